//! Manifests, indexes and platforms (OCI image spec, manifest.md and image-index.md; Docker's
//! schema 2 is the same with other media types).
//!
//! One document has one meaning: what could be read both as manifest and as index is refused
//! (CVE-2021-41190), and so is a document whose `mediaType` is not what its descriptor promised.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::{MAX_JSON_BYTES, MAX_LAYERS};
use crate::digest::Digest;
use crate::error::Error;

/// OCI's manifest.
pub const MEDIA_TYPE_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// OCI's index.
pub const MEDIA_TYPE_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// Docker's manifest.
pub const MEDIA_TYPE_DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker's index.
pub const MEDIA_TYPE_DOCKER_LIST: &str =
    "application/vnd.docker.distribution.manifest.list.v2+json";

/// The most entries of an index.
const MAX_INDEX_ENTRIES: usize = 1024;

/// A pointer to a blob.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the blob is.
    #[serde(default)]
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// Names and values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
    /// In an index: what it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// In a manifest that is not an image's: what kind of thing it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
}

impl Descriptor {
    /// The annotation of this name.
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.annotations.as_ref()?.get(name).map(String::as_str)
    }
}

/// What an image runs on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// `linux`.
    pub os: String,
    /// Go's name of the CPU: `amd64`.
    pub architecture: String,
    /// Of the CPU: `v7`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Platform {
    /// This machine's.
    pub fn host() -> Self {
        let (architecture, variant) = match std::env::consts::ARCH {
            "x86_64" => ("amd64", None),
            "x86" => ("386", None),
            "aarch64" => ("arm64", None),
            "arm" => ("arm", Some("v7".to_owned())),
            "powerpc64" => ("ppc64le", None),
            "loongarch64" => ("loong64", None),
            other => (other, None),
        };
        Self { os: "linux".to_owned(), architecture: architecture.to_owned(), variant }
    }

    /// Whether an image for `self` runs where `wanted` is asked for.
    pub fn satisfies(&self, wanted: &Self) -> bool {
        let variant = |platform: &Self| match (&*platform.architecture, &platform.variant) {
            ("arm64", None) => Some("v8".to_owned()),
            ("amd64", None) => Some("v1".to_owned()),
            ("arm", None) => Some("v7".to_owned()),
            (_, variant) => variant.clone(),
        };
        self.os == wanted.os
            && self.architecture == wanted.architecture
            && variant(self) == variant(wanted)
    }
}

/// `os/architecture[/variant]`, or `os` or `architecture` alone as `docker --platform` takes.
impl FromStr for Platform {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let invalid = || {
            Error::InvalidArgument(format!(
                "{text:?} is an invalid OS or architecture: use os/architecture[/variant]"
            ))
        };
        let word = |part: &&str| {
            !part.is_empty()
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        };
        let parts: Vec<&str> = text.split('/').collect();
        if !parts.iter().all(word) {
            return Err(invalid());
        }
        let lower = |part: &str| match part.to_ascii_lowercase().as_str() {
            "x86_64" | "x86-64" => "amd64".to_owned(),
            "aarch64" => "arm64".to_owned(),
            other => other.to_owned(),
        };
        match parts.as_slice() {
            [one] if lower(one) == "linux" => Ok(Self::host()),
            [one] => Ok(Self { os: "linux".to_owned(), architecture: lower(one), variant: None }),
            [os, architecture] => {
                Ok(Self { os: lower(os), architecture: lower(architecture), variant: None })
            }
            [os, architecture, variant] => Ok(Self {
                os: lower(os),
                architecture: lower(architecture),
                variant: Some(lower(variant)),
            }),
            _ => Err(invalid()),
        }
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

/// An image's parts.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// Its configuration.
    pub config: Descriptor,
    /// Its layers, the lowest first.
    pub layers: Vec<Descriptor>,
}

/// Images, one a platform, or of any other kind.
#[derive(Debug, Clone, PartialEq)]
pub struct Index {
    /// Manifests and further indexes.
    pub manifests: Vec<Descriptor>,
}

/// Either.
#[derive(Debug, Clone, PartialEq)]
pub enum Document {
    /// One image.
    Manifest(Manifest),
    /// Several.
    Index(Index),
}

/// Everything that either may have, so that what a document has too much is seen.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    schema_version: u32,
    media_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    fs_layers: Option<Value>,
}

impl Document {
    /// Read a manifest or an index.
    ///
    /// `promised` is the media type that the descriptor or the HTTP header gave; empty: none.
    ///
    /// # Errors
    /// [`Error::Document`]: malformed, ambiguous, of another media type than promised, too large.
    pub fn parse(bytes: &[u8], promised: &str) -> Result<Self, Error> {
        let invalid = |why: String| Error::Document { what: "manifest", why };
        if bytes.len() > MAX_JSON_BYTES {
            return Err(invalid(format!("larger than {MAX_JSON_BYTES} bytes")));
        }
        let raw: Raw = serde_json::from_slice(bytes).map_err(|error| invalid(error.to_string()))?;
        if raw.schema_version != 2 || raw.fs_layers.is_some() {
            return Err(invalid(format!("schema version {} is not 2", raw.schema_version)));
        }
        let said = raw.media_type.unwrap_or_default();
        if !said.is_empty() && !promised.is_empty() && said != promised {
            return Err(invalid(format!("it is {said:?} where {promised:?} was promised")));
        }
        let media_type = if said.is_empty() { promised } else { &said };
        let document = match (raw.config, raw.layers, raw.manifests) {
            (Some(config), Some(layers), None) => Self::Manifest(Manifest { config, layers }),
            (None, None, Some(manifests)) => Self::Index(Index { manifests }),
            _ => {
                return Err(invalid(
                    "it must have either config and layers, or manifests".to_owned(),
                ));
            }
        };
        document.check(media_type).map_err(invalid)?;
        Ok(document)
    }

    fn check(&self, media_type: &str) -> Result<(), String> {
        let (known, count, most) = match self {
            Self::Manifest(manifest) => (
                [MEDIA_TYPE_MANIFEST, MEDIA_TYPE_DOCKER_MANIFEST],
                manifest.layers.len(),
                MAX_LAYERS,
            ),
            Self::Index(index) => (
                [MEDIA_TYPE_INDEX, MEDIA_TYPE_DOCKER_LIST],
                index.manifests.len(),
                MAX_INDEX_ENTRIES,
            ),
        };
        if !media_type.is_empty() && !known.contains(&media_type) {
            return Err(format!("media type {media_type:?} does not fit its fields"));
        }
        if count > most {
            return Err(format!("more than {most} entries"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn descriptor(media_type: &str) -> String {
        format!(r#"{{"mediaType":"{media_type}","digest":"{}","size":1}}"#, Digest::of(b"a"))
    }

    #[test]
    fn e3_a_document_has_one_meaning() {
        let d = descriptor("x");
        let manifest = format!(r#""config":{d},"layers":[{d}]"#);
        let index = format!(r#""manifests":[{d}]"#);
        let good = |inside: &str, promised: &str| {
            Document::parse(format!(r#"{{"schemaVersion":2,{inside}}}"#).as_bytes(), promised)
        };
        assert!(matches!(good(&manifest, ""), Ok(Document::Manifest(_))));
        assert!(matches!(good(&index, MEDIA_TYPE_INDEX), Ok(Document::Index(_))));

        let typed = |kind: &str, inside: &str| format!(r#""mediaType":"{kind}",{inside}"#);
        for (rule, inside, promised) in [
            ("both at once", format!("{manifest},{index}"), ""),
            ("layers in an index", format!(r#"{index},"layers":[]"#), ""),
            ("neither", r#""x":1"#.to_owned(), ""),
            ("schema 1 layers", format!(r#"{manifest},"fsLayers":[]"#), ""),
            ("an index that says manifest", typed(MEDIA_TYPE_MANIFEST, &index), ""),
            ("a manifest promised as index", manifest.clone(), MEDIA_TYPE_INDEX),
            (
                "it says other than promised",
                typed(MEDIA_TYPE_MANIFEST, &manifest),
                MEDIA_TYPE_DOCKER_MANIFEST,
            ),
            ("twice the same key", format!("{manifest},{manifest}"), ""),
            (
                "a negative size",
                format!(r#""config":{},"layers":[]"#, d.replace(":1}", ":-1}")),
                "",
            ),
        ] {
            assert!(good(&inside, promised).is_err(), "{rule}");
        }
    }

    #[test]
    fn platforms_match_with_their_default_variants() {
        let platform = |text: &str| text.parse::<Platform>().unwrap();
        assert!(platform("linux/arm64/v8").satisfies(&platform("linux/aarch64")));
        assert!(platform("linux/amd64").satisfies(&platform("linux/x86_64")));
        assert!(!platform("linux/arm/v6").satisfies(&platform("linux/arm/v7")));
        assert!("linux/".parse::<Platform>().is_err());
        assert!("linux/a b".parse::<Platform>().is_err());
    }
}
