//! Digests as bytes. A value of [`Digest`] cannot hold `/`, `..` or an unknown algorithm, so the
//! path of an object is always 64 hex digits below a directory of ours.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

/// A SHA-256, written `sha256:` and 64 lower-case hex digits (OCI image spec, descriptor.md).
///
/// `sha512`, which the specification permits, is refused: no image found in the wild needs it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

/// The SHA-256 of a layer's *uncompressed* tar stream: OCI's diffID, the shim's `LayerId`.
pub type LayerDigest = Digest;

/// The SHA-256 of an image's configuration file: Docker's image id.
pub type ImageId = Digest;

/// The text is not a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseDigestError {
    /// No `algorithm:hex`.
    #[error("invalid checksum digest format")]
    Format,
    /// An algorithm other than `sha256`.
    #[error("unsupported digest algorithm")]
    Algorithm,
    /// Not 64 digits.
    #[error("invalid checksum digest length")]
    Length,
}

impl Digest {
    /// The digest with these bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The SHA-256 of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The digest with these 64 lower-case hex digits.
    ///
    /// # Errors
    /// Another number of digits, or something that is none.
    pub fn from_hex(hex: &str) -> Result<Self, ParseDigestError> {
        let (pairs, []) = hex.as_bytes().as_chunks::<2>() else {
            return Err(ParseDigestError::Length);
        };
        let pairs: &[[u8; 2]; 32] = pairs.try_into().or(Err(ParseDigestError::Length))?;
        let mut bytes = [0; 32];
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = nibble(*high)? << 4 | nibble(*low)?;
        }
        Ok(Self(bytes))
    }

    /// The 64 hex digits.
    pub fn hex(&self) -> String {
        use fmt::Write as _;
        self.0.iter().fold(String::with_capacity(64), |mut text, byte| {
            // Writing to a String does not fail.
            write!(text, "{byte:02x}").ok();
            text
        })
    }

    /// The first 12 hex digits, as Docker shortens ids.
    pub fn short(&self) -> String {
        self.hex().get(..12).unwrap_or_default().to_owned()
    }
}

impl FromStr for Digest {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Self, ParseDigestError> {
        let (algorithm, hex) = text.split_once(':').ok_or(ParseDigestError::Format)?;
        if algorithm != "sha256" {
            return Err(ParseDigestError::Algorithm);
        }
        Self::from_hex(hex)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The chain ids of a stack of layers, the lowest first (OCI image spec, config.md, "Layer
/// ChainID"). Docker's report of a removal names layers so.
pub fn chain_ids(layers: &[LayerDigest]) -> Vec<Digest> {
    let mut chain = Vec::with_capacity(layers.len());
    let mut below: Option<Digest> = None;
    for layer in layers {
        let id = match below {
            None => *layer,
            Some(below) => Digest::of(format!("{below} {layer}").as_bytes()),
        };
        chain.push(id);
        below = Some(id);
    }
    chain
}

fn nibble(digit: u8) -> Result<u8, ParseDigestError> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        _ => Err(ParseDigestError::Format),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_its_canonical_form_only() {
        let good = format!("sha256:{}", "0123456789abcdef".repeat(4));
        assert_eq!(good.parse::<Digest>().unwrap().to_string(), good);

        for (rule, bad) in [
            ("upper-case hex", good.replace('a', "A")),
            ("upper-case algorithm", good.replace("sha", "SHA")),
            ("truncated", good[..70].to_owned()),
            ("longer", format!("{good}00")),
            ("a path", format!("sha256:../../{}", "a".repeat(58))),
            ("blank", format!(" {good}")),
            ("another algorithm", format!("sha512:{}", "a".repeat(128))),
            ("5,000 digits", format!("sha256:{}", "a".repeat(5000))),
            ("none", String::new()),
        ] {
            assert!(bad.parse::<Digest>().is_err(), "{rule}: {bad}");
        }
    }

    #[test]
    fn chain_ids_are_those_of_the_specification() {
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        let chain = chain_ids(&[a, b]);
        assert_eq!(chain, [a, Digest::of(format!("{a} {b}").as_bytes())]);
    }
}
