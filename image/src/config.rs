//! An image's configuration file: OCI's image config with the fields that Docker adds.
//!
//! Fields we do not know are kept (`extra`), and the store keeps the file's bytes as they came,
//! because an image's id is their digest: parsing and writing again must never make an image's id.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::digest::{Digest, LayerDigest};
use crate::error::Error;

/// The most bytes of a configuration file or manifest (D10; Docker and containerd: 4 MiB).
pub const MAX_JSON_BYTES: usize = 4 * 1024 * 1024;
/// The most layers of an image: the shim's limit and, within 3, Docker's.
pub const MAX_LAYERS: usize = 128;

/// An image's configuration (OCI image spec, config.md; moby `image/spec`).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ImageConfig {
    /// Go's name of the CPU: `amd64`.
    #[serde(default)]
    pub architecture: String,
    /// Of the CPU: `v8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// `linux`.
    #[serde(default)]
    pub os: String,
    /// Windows only.
    #[serde(default, rename = "os.version", skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// When it was made, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// A word on it, from `commit` and `import`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// The builder's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docker_version: Option<String>,
    /// What a container of it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<RunConfig>,
    /// Its layers.
    pub rootfs: RootFs,
    /// How it was made, the oldest step first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<Vec<History>>,
    /// Everything else, as it came.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// What a container of the image runs, and how. `None` and empty mean the same to Docker.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RunConfig {
    /// `user[:group]`, names or numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// `80/tcp` to nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exposed_ports: Option<BTreeMap<String, Value>>,
    /// `NAME=value`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<Vec<String>>,
    /// Program and first arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// Further arguments, or the program if there is no entry point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Vec<String>>,
    /// Directories that want volumes, to nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volumes: Option<BTreeMap<String, Value>>,
    /// Where the program starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// Names and values for people and tools.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
    /// What `stop` sends: `SIGTERM` or a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    /// How long `stop` waits, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_timeout: Option<i64>,
    /// How to see whether it is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    /// Instructions for builds on top of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_build: Option<Vec<String>>,
    /// What the shell form of instructions uses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell: Option<Vec<String>>,
    /// Everything else, as it came.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A container's health check. Durations are nanoseconds; 0 or absent: the engine's default.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Healthcheck {
    /// `["NONE"]`, `["CMD", ...]` or `["CMD-SHELL", "..."]`; empty: inherit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<Vec<String>>,
    /// Between two checks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<i64>,
    /// For one check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<i64>,
    /// After start, during which failures do not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_period: Option<i64>,
    /// Between two checks in that time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_interval: Option<i64>,
    /// Failures in a row that make it unhealthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<i64>,
}

/// The layers of an image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RootFs {
    /// `layers`.
    #[serde(rename = "type", default = "layers")]
    pub kind: String,
    /// The lowest first.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub diff_ids: Vec<LayerDigest>,
}

impl Default for RootFs {
    fn default() -> Self {
        Self { kind: layers(), diff_ids: Vec::new() }
    }
}

/// One step in the making of an image.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct History {
    /// When, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// The instruction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// Who.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// A word on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// The step made no layer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub empty_layer: Option<bool>,
}

impl ImageConfig {
    /// Read a configuration file.
    ///
    /// # Errors
    /// [`Error::Document`]: not JSON of this shape, larger than [`MAX_JSON_BYTES`], more than
    /// [`MAX_LAYERS`] layers, not for Linux, an impossible date, or more steps that made a layer
    /// than there are layers.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let invalid = |why: String| Error::Document { what: "image configuration", why };
        if bytes.len() > MAX_JSON_BYTES {
            return Err(invalid(format!("larger than {MAX_JSON_BYTES} bytes")));
        }
        let config: Self =
            serde_json::from_slice(bytes).map_err(|error| invalid(error.to_string()))?;
        if config.rootfs.kind != "layers" {
            return Err(invalid(format!("rootfs type {:?}", config.rootfs.kind)));
        }
        if config.rootfs.diff_ids.len() > MAX_LAYERS {
            return Err(invalid(format!("more than {MAX_LAYERS} layers")));
        }
        if !matches!(config.os.as_str(), "linux" | "") {
            return Err(invalid(format!("made for {:?}, not for linux", config.os)));
        }
        let steps = config.history.as_deref().unwrap_or_default();
        let dates = steps.iter().filter_map(|step| step.created.as_deref());
        if let Some(bad) = dates.chain(config.created.as_deref()).find(|date| time(date).is_none())
        {
            return Err(invalid(format!("{bad:?} is not an RFC 3339 time")));
        }
        let made = steps.iter().filter(|step| step.empty_layer != Some(true)).count();
        if made > config.rootfs.diff_ids.len() {
            return Err(invalid("too many non-empty layers in History section".to_owned()));
        }
        Ok(config)
    }

    /// When it was made; Docker takes a missing date for the epoch.
    pub fn created_at(&self) -> Timestamp {
        self.created.as_deref().and_then(time).unwrap_or_default()
    }

    /// The labels, none if there is no run configuration.
    pub fn labels(&self) -> BTreeMap<String, String> {
        self.config.as_ref().and_then(|run| run.labels.clone()).unwrap_or_default()
    }

    /// Write it and say what its id then is.
    ///
    /// # Errors
    /// [`Error::Document`]: does not happen with the types as they are.
    pub fn encode(&self) -> Result<(Digest, Vec<u8>), Error> {
        let bytes = serde_json::to_vec(self).map_err(|error| Error::Document {
            what: "image configuration",
            why: error.to_string(),
        })?;
        Ok((Digest::of(&bytes), bytes))
    }
}

impl History {
    /// When; Docker shows a missing date as the epoch.
    pub fn created_at(&self) -> Timestamp {
        self.created.as_deref().and_then(time).unwrap_or_default()
    }
}

fn time(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

fn layers() -> String {
    "layers".to_owned()
}

/// Go writes an empty slice as `null`.
fn null_is_empty<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<LayerDigest>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_we_do_not_know_are_kept() {
        let text = format!(
            r#"{{"architecture":"amd64","os":"linux","moby.buildkit.trace":"x",
            "config":{{"Cmd":null,"ArgsEscaped":true,"Healthcheck":{{"Test":["NONE"]}}}},
            "rootfs":{{"type":"layers","diff_ids":["{}"]}}}}"#,
            Digest::of(b"")
        );
        let config = ImageConfig::parse(text.as_bytes()).unwrap();
        let (_, written) = config.encode().unwrap();
        let written: Value = serde_json::from_slice(&written).unwrap();
        assert_eq!(written["moby.buildkit.trace"], "x");
        assert_eq!(written["config"]["ArgsEscaped"], true);
        assert_eq!(written["config"]["Healthcheck"]["Test"][0], "NONE");
    }

    #[test]
    fn a_config_that_contradicts_itself_is_refused() {
        let config = |inside: &str| format!(r#"{{"os":"linux",{inside}}}"#);
        let many = format!("\"{}\",", Digest::of(b"")).repeat(MAX_LAYERS + 1);
        let many = many.trim_end_matches(',');
        for (rule, bad) in [
            ("no layers at all", config(r#""history":[]"#)),
            ("a short digest", config(r#""rootfs":{"type":"layers","diff_ids":["sha256:aa"]}"#)),
            (
                "a path for a digest",
                config(r#""rootfs":{"type":"layers","diff_ids":["sha256:../../x"]}"#),
            ),
            ("layers of another type", config(r#""rootfs":{"type":"x","diff_ids":[]}"#)),
            ("too many layers", config(&format!(r#""rootfs":{{"diff_ids":[{many}]}}"#))),
            ("history of layers that are not", config(r#""history":[{}],"rootfs":{}"#)),
            ("an impossible date", config(r#""created":"yesterday","rootfs":{}"#)),
            ("said twice", config(r#""rootfs":{},"rootfs":{}"#)),
            ("another system", r#"{"os":"windows","rootfs":{}}"#.to_owned()),
            ("deep nesting", config(&format!(r#""rootfs":{{}},"x":{}"#, "[".repeat(100_000)))),
        ] {
            assert!(ImageConfig::parse(bad.as_bytes()).is_err(), "{rule}");
        }
    }
}
