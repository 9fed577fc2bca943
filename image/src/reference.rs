//! Image references as Docker reads and writes them (github.com/distribution/reference 0.6:
//! `normalize.go`, `regexp.go`), with its error texts.

use std::fmt;
use std::str::FromStr;

use crate::digest::{Digest, ParseDigestError};

/// The registry that a name without one means.
const DEFAULT_DOMAIN: &str = "docker.io";
/// What old clients wrote for it.
const LEGACY_DOMAIN: &str = "index.docker.io";
/// The namespace of names without one on the default registry.
const OFFICIAL_PREFIX: &str = "library/";
/// The tag that a name without tag and digest means.
const DEFAULT_TAG: &str = "latest";
/// The longest `domain/path` (`RepositoryNameTotalLengthMax`).
const MAX_NAME_BYTES: usize = 255;
/// The longest tag.
const MAX_TAG_BYTES: usize = 128;

/// The text is no reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// Anything that does not match the grammar.
    #[error("invalid reference format")]
    Format,
    /// `domain/path` has capitals in its path.
    #[error("invalid reference format: repository name ({0}) must be lowercase")]
    Uppercase(String),
    /// 64 hex digits would be taken for an id.
    #[error("invalid repository name ({0}), cannot specify 64-byte hexadecimal strings")]
    Identifier(String),
    /// Longer than 255 bytes.
    #[error("repository name must not be more than 255 characters")]
    TooLong,
    /// What stands behind `@` is not a digest of ours.
    #[error(transparent)]
    Digest(#[from] ParseDigestError),
}

/// A repository on a registry, with a tag, a digest, both, or neither.
///
/// Normalised: `busybox` is `docker.io/library/busybox`. [`fmt::Display`] writes the familiar form
/// that users know (`busybox`); [`Reference::canonical`] the full one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Reference {
    /// The registry: `docker.io`, `localhost:5000`, `[::1]:5000`.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The repository on it: `library/busybox`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The tag, if one is given.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if one is given.
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// `domain/path`, the key under which the store keeps names.
    pub fn repository(&self) -> String {
        format!("{}/{}", self.domain, self.path)
    }

    /// `domain/path` as users write it: without the default registry and its `library/`.
    pub fn familiar_name(&self) -> String {
        if self.domain != DEFAULT_DOMAIN {
            return self.repository();
        }
        match self.path.strip_prefix(OFFICIAL_PREFIX) {
            Some(short) if !short.contains('/') => short.to_owned(),
            Some(_) | None => self.path.clone(),
        }
    }

    /// The full form, with domain.
    pub fn canonical(&self) -> String {
        self.with_suffix(self.repository())
    }

    /// With the tag `latest`, if it has neither tag nor digest.
    #[must_use]
    pub fn or_latest(mut self) -> Self {
        if self.tag.is_none() && self.digest.is_none() {
            self.tag = Some(DEFAULT_TAG.to_owned());
        }
        self
    }

    /// The same repository with this tag and no digest.
    ///
    /// # Errors
    /// The tag is not `[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}`.
    pub fn with_tag(&self, tag: &str) -> Result<Self, ReferenceError> {
        if !is_tag(tag) {
            return Err(ReferenceError::Format);
        }
        Ok(Self { tag: Some(tag.to_owned()), digest: None, ..self.clone() })
    }

    /// The same repository with this digest and no tag.
    #[must_use]
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self { tag: None, digest: Some(digest), ..self.clone() }
    }

    fn with_suffix(&self, mut text: String) -> String {
        if let Some(tag) = &self.tag {
            text.push(':');
            text.push_str(tag);
        }
        if let Some(digest) = &self.digest {
            text.push('@');
            text.push_str(&digest.to_string());
        }
        text
    }
}

/// `ParseNormalizedNamed` of distribution/reference.
impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if is_identifier(text) {
            return Err(ReferenceError::Identifier(text.to_owned()));
        }
        let (domain, remainder) = split_domain(text);
        let remote = remainder.split(':').next().unwrap_or_default();
        if remote.chars().any(char::is_uppercase) {
            return Err(ReferenceError::Uppercase(remote.to_owned()));
        }
        let (named, digest) = match remainder.split_once('@') {
            Some((named, digest)) => (named, Some(parse_digest(digest)?)),
            None => (remainder.as_str(), None),
        };
        let (path, tag) = match named.split_once(':') {
            Some((path, tag)) => (path, Some(tag)),
            None => (named, None),
        };
        if !is_domain(&domain) || !path.split('/').all(is_path_component) {
            return Err(ReferenceError::Format);
        }
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(ReferenceError::Format);
        }
        if domain.len() + 1 + path.len() > MAX_NAME_BYTES {
            return Err(ReferenceError::TooLong);
        }
        let (path, tag) = (path.to_owned(), tag.map(str::to_owned));
        Ok(Self { domain, path, tag, digest })
    }
}

/// The familiar form: what Docker's clients show.
impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.with_suffix(self.familiar_name()))
    }
}

/// Whether Docker reads the text as an image id and never as a name: 64 lower-case hex digits.
pub fn is_identifier(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// `splitDockerDomain`.
fn split_domain(name: &str) -> (String, String) {
    let Some((first, rest)) = name.split_once('/') else {
        return (DEFAULT_DOMAIN.to_owned(), format!("{OFFICIAL_PREFIX}{name}"));
    };
    let is_domain =
        first == "localhost" || first.contains(['.', ':']) || first.chars().any(char::is_uppercase);
    let (domain, remainder) = match first {
        LEGACY_DOMAIN => (DEFAULT_DOMAIN, rest),
        _ if is_domain => (first, rest),
        _ => (DEFAULT_DOMAIN, name),
    };
    if domain == DEFAULT_DOMAIN && !remainder.contains('/') {
        return (domain.to_owned(), format!("{OFFICIAL_PREFIX}{remainder}"));
    }
    (domain.to_owned(), remainder.to_owned())
}

/// `domain-name [':' port]` or `'[' IPv6 ']' [':' port]`.
fn is_domain(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, rest)) => {
            let hex = |byte: u8| byte.is_ascii_hexdigit() || byte == b':';
            if address.is_empty() || !address.bytes().all(hex) {
                return false;
            }
            if rest.is_empty() {
                return true;
            }
            match rest.strip_prefix(':') {
                Some(port) => (None, Some(port)),
                None => return false,
            }
        }
        None => match text.split_once(':') {
            Some((host, port)) => (Some(host), Some(port)),
            None => (Some(text), None),
        },
    };
    host.is_none_or(|host| host.split('.').all(is_domain_component))
        && port
            .is_none_or(|port| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()))
}

fn is_domain_component(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Runs of `[a-z0-9]+` parted by one of `.`, `_`, `__`, or dashes.
fn is_path_component(text: &str) -> bool {
    let alphanumeric = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9');
    let bytes = text.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    alphanumeric(*first)
        && alphanumeric(*last)
        && bytes.split(|byte| alphanumeric(*byte)).all(|separator| {
            matches!(separator, b"" | b"." | b"_" | b"__")
                || separator.iter().all(|byte| *byte == b'-')
        })
}

fn is_tag(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.len() <= MAX_TAG_BYTES
        && text.bytes().next().is_some_and(word)
        && text.bytes().all(|byte| word(byte) || byte == b'.' || byte == b'-')
}

/// What does not look like a digest is a malformed reference; what does is a digest's error.
fn parse_digest(text: &str) -> Result<Digest, ReferenceError> {
    let looks_right = text.split_once(':').is_some_and(|(algorithm, hex)| {
        algorithm.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic())
            && algorithm.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_+.".contains(&byte))
            && hex.len() >= 32
            && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
    });
    if !looks_right {
        return Err(ReferenceError::Format);
    }
    Ok(text.parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn names_are_normalised_as_docker_does() {
        for (text, canonical, familiar) in [
            ("busybox", "docker.io/library/busybox", "busybox"),
            ("busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36"),
            ("docker.io/busybox", "docker.io/library/busybox", "busybox"),
            ("index.docker.io/busybox", "docker.io/library/busybox", "busybox"),
            ("library/busybox", "docker.io/library/busybox", "busybox"),
            ("docker/docker", "docker.io/docker/docker", "docker/docker"),
            ("localhost/a", "localhost/a", "localhost/a"),
            ("localhost:5000/a:b", "localhost:5000/a:b", "localhost:5000/a:b"),
            ("127.0.0.1:5000/a/b/c", "127.0.0.1:5000/a/b/c", "127.0.0.1:5000/a/b/c"),
            ("[2001:db8::1]:5000/a", "[2001:db8::1]:5000/a", "[2001:db8::1]:5000/a"),
            ("[::1]/a", "[::1]/a", "[::1]/a"),
            ("Uppercase/lower", "Uppercase/lower", "Uppercase/lower"),
            ("a.b/c", "a.b/c", "a.b/c"),
            ("a__b/c-d--e_f.g", "docker.io/a__b/c-d--e_f.g", "a__b/c-d--e_f.g"),
            ("library/library/a", "docker.io/library/library/a", "library/library/a"),
            ("localhost:5000", "docker.io/library/localhost:5000", "localhost:5000"),
        ] {
            let reference: Reference = text.parse().unwrap();
            assert_eq!(reference.canonical(), canonical, "{text}");
            assert_eq!(reference.to_string(), familiar, "{text}");
            assert_eq!(canonical.parse::<Reference>().unwrap(), reference, "{text}");
        }
        let both: Reference = format!("a:b@sha256:{HEX}").parse().unwrap();
        assert_eq!((both.tag(), both.digest()), (Some("b"), Digest::from_hex(HEX).ok()));
    }

    #[test]
    fn what_docker_refuses_is_refused_with_its_words() {
        let format = "invalid reference format";
        let long = "a/".repeat(127) + "ab";
        for (text, message) in [
            ("", format),
            (":tag", format),
            ("a:", format),
            ("a b", format),
            ("a//b", format),
            ("/a", format),
            ("a/", format),
            ("-a", format),
            ("a-", format),
            ("a..b", format),
            ("a___b", format),
            ("a_.b", format),
            ("a:b:c", format),
            ("a:.b", format),
            ("a@b", format),
            ("a@sha256:abc", format),
            ("foo:port/a", format),
            ("[fe80::1%eth0]/a", format),
            ("-x.com/a", format),
            ("../../etc", format),
            ("a\n", format),
            ("ä", format),
            ("Foo", "invalid reference format: repository name (library/Foo) must be lowercase"),
            ("a.b/Foo:x", "invalid reference format: repository name (Foo) must be lowercase"),
            (long.as_str(), "repository name must not be more than 255 characters"),
        ] {
            let error = text.parse::<Reference>().unwrap_err();
            assert_eq!(error.to_string(), message, "{text:?}");
        }
        let error = HEX.parse::<Reference>().unwrap_err().to_string();
        assert!(error.contains("cannot specify 64-byte hexadecimal strings"), "{error}");
        let upper = format!("a@sha256:{}", HEX.to_uppercase());
        assert_eq!(
            upper.parse::<Reference>().unwrap_err(),
            ReferenceError::Digest(ParseDigestError::Format)
        );
        assert!(format!("a:{}", "t".repeat(129)).parse::<Reference>().is_err());
    }
}
