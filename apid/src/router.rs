//! From a path to a handler. A pattern is literal text with at most one `{}`, which stands for
//! any text that is not empty, slashes included, because names of images have them; so the verb
//! is matched from the end.

use crate::error::ApiError;
use crate::extract::Call;
use crate::reply::Reply;
use std::fmt;
use std::pin::Pin;

/// A handler at work.
pub(crate) type Answer = Pin<Box<dyn Future<Output = Result<Reply, ApiError>> + Send>>;

/// One line of the API.
pub(crate) struct Route {
    /// The method, in capitals.
    pub(crate) method: &'static str,
    /// The path behind the version.
    pub(crate) pattern: &'static str,
    /// Who answers.
    pub(crate) handler: fn(Call) -> Answer,
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.pattern)
    }
}

/// `route!(POST "/containers/{}/start" => lifecycle::start)`
macro_rules! route {
    ($method:ident $pattern:literal => $handler:path) => {
        $crate::router::Route {
            method: stringify!($method),
            pattern: $pattern,
            handler: |call| Box::pin($handler(call)),
        }
    };
}
pub(crate) use route;

/// What stands for `{}` (empty for a pattern without), or nothing when the path does not fit.
pub(crate) fn fits<'a>(pattern: &str, path: &'a str) -> Option<&'a str> {
    let Some((before, after)) = pattern.split_once("{}") else {
        return (pattern == path).then_some("");
    };
    let name = path.strip_prefix(before)?.strip_suffix(after)?;
    (!name.is_empty()).then_some(name)
}

/// A path without its version, and the version if it has one: digits and dots after `/v`.
pub(crate) fn split_version(path: &str) -> (Option<&str>, &str) {
    let versioned = || {
        let (version, _) = path.strip_prefix("/v")?.split_once('/')?;
        let is_version = version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let rest = path.get("/v".len() + version.len()..)?;
        (is_version && !version.is_empty()).then_some((version, rest))
    };
    versioned().map_or((None, path), |(version, rest)| (Some(version), rest))
}

/// `%41` is `A`. None: a bad escape, or text that is not UTF-8 or holds a NUL.
pub(crate) fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => hex(bytes.next()?)? << 4 | hex(bytes.next()?)?,
            other => other,
        });
    }
    String::from_utf8(decoded).ok().filter(|text| !text.contains('\0'))
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_have_slashes_and_the_verb_is_last() {
        for (pattern, path, name) in [
            ("/images/{}/json", "/images/busybox/json", Some("busybox")),
            ("/images/{}/json", "/images/reg.io:5000/a/b:tag/json", Some("reg.io:5000/a/b:tag")),
            ("/images/{}/json", "/images/json/json", Some("json")),
            ("/images/{}/json", "/images/json", None),
            ("/images/{}/json", "/images//json", None),
            ("/images/{}", "/images/a/b", Some("a/b")),
            ("/images/json", "/images/json", Some("")),
            ("/images/json", "/images/json/", None),
            ("/containers/{}/attach", "/containers/x/attach/ws", None),
        ] {
            assert_eq!(fits(pattern, path), name, "{pattern} {path}");
        }
    }

    #[test]
    fn a_version_is_digits_and_dots() {
        assert_eq!(split_version("/v1.43/info"), (Some("1.43"), "/info"));
        assert_eq!(split_version("/v1/info"), (Some("1"), "/info"));
        assert_eq!(split_version("/volumes"), (None, "/volumes"));
        assert_eq!(split_version("/v/info"), (None, "/v/info"));
        assert_eq!(split_version("/v1.43"), (None, "/v1.43"));
        assert_eq!(split_version("/info"), (None, "/info"));
    }

    #[test]
    fn escapes_are_decoded_and_broken_ones_refused() {
        assert_eq!(percent_decode("/a%2Fb%3a").as_deref(), Some("/a/b:"));
        for broken in ["%", "%4", "%zz", "%ff", "%00"] {
            assert_eq!(percent_decode(broken), None, "{broken}");
        }
    }
}
