//! `ContainerConfig`: what an image may preset and a create body may override.

use crate::shape::{Empty, Map, is_default, shape};
use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor, value::SeqAccessDeserializer};
use serde::ser::{Serialize, Serializer};
use std::fmt;
use std::ops::Deref;

shape! {
    /// The portable part of a container's configuration.
    pub struct ContainerConfig {
        pub hostname: String,
        pub domainname: String,
        pub user: String,
        pub attach_stdin: bool,
        pub attach_stdout: bool,
        pub attach_stderr: bool,
        /// Keys are `port/proto`.
        #[serde(skip_serializing_if = "Map::is_empty")]
        pub exposed_ports: Map<Empty>,
        pub tty: bool,
        pub open_stdin: bool,
        pub stdin_once: bool,
        pub env: Option<Vec<String>>,
        pub cmd: Option<StringOrList>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub healthcheck: Option<HealthConfig>,
        #[serde(skip_serializing_if = "is_default")]
        pub args_escaped: bool,
        pub image: String,
        /// Keys are paths in the container.
        pub volumes: Option<Map<Empty>>,
        pub working_dir: String,
        pub entrypoint: Option<StringOrList>,
        #[serde(skip_serializing_if = "is_default")]
        pub network_disabled: bool,
        #[serde(skip_serializing_if = "is_default")]
        pub mac_address: String,
        pub on_build: Option<Vec<String>>,
        pub labels: Option<Map<String>>,
        #[serde(skip_serializing_if = "is_default")]
        pub stop_signal: String,
        /// Seconds.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub stop_timeout: Option<i64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub shell: Option<StringOrList>,
    }
}

shape! {
    /// How to find out whether a container is healthy. Durations are nanoseconds; 0: inherit.
    pub struct HealthConfig {
        #[serde(skip_serializing_if = "Option::is_none")]
        pub test: Option<Vec<String>>,
        #[serde(skip_serializing_if = "is_default")]
        pub interval: i64,
        #[serde(skip_serializing_if = "is_default")]
        pub timeout: i64,
        #[serde(skip_serializing_if = "is_default")]
        pub start_period: i64,
        #[serde(skip_serializing_if = "is_default")]
        pub start_interval: i64,
        #[serde(skip_serializing_if = "is_default")]
        pub retries: i64,
    }
}

/// A command: Docker reads `"sh"` as `["sh"]` (its `strslice`), and writes a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StringOrList(pub Vec<String>);

impl Deref for StringOrList {
    type Target = Vec<String>;

    fn deref(&self) -> &Vec<String> {
        &self.0
    }
}

impl From<Vec<String>> for StringOrList {
    fn from(list: Vec<String>) -> Self {
        Self(list)
    }
}

impl Serialize for StringOrList {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for StringOrList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = StringOrList;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of strings")
            }

            fn visit_str<E>(self, text: &str) -> Result<StringOrList, E> {
                Ok(StringOrList(vec![text.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<StringOrList, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list)).map(StringOrList)
            }
        }

        deserializer.deserialize_any(Either)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_and_missing_are_the_default_and_unknown_is_skipped() {
        let read: ContainerConfig =
            serde_json::from_str(r#"{"Env":null,"Tty":null,"User":null,"Later":{"x":1}}"#).unwrap();
        assert_eq!(read, ContainerConfig::default());
    }

    #[test]
    fn a_command_may_be_one_string() {
        let read: ContainerConfig =
            serde_json::from_str(r#"{"Cmd":"top","Entrypoint":["sh","-c"]}"#).unwrap();
        assert_eq!(read.cmd, Some(vec!["top".to_owned()].into()));
        assert_eq!(read.entrypoint.unwrap().len(), 2);
    }

    #[test]
    fn never_set_lists_are_null_and_empty_ones_are_not() {
        let config = ContainerConfig { env: Some(vec![]), ..Default::default() };
        let written = serde_json::to_value(&config).unwrap();
        assert_eq!(written["Env"], serde_json::json!([]));
        assert!(written["Cmd"].is_null());
        assert!(written.get("Healthcheck").is_none());
        assert!(written.get("ExposedPorts").is_none());
    }
}
