//! `LogConfig`: the drivers `json-file` and `none`.

use crate::config::EngineConfig;
use crate::error::{EngineError, Result};
use crate::logs::Limits;
use bulkhead_types::{ContainerConfig, LogConfig, Map};
use std::sync::Arc;

/// Where a container's output goes.
#[derive(Debug, Clone)]
pub(crate) enum LogPlan {
    /// Nowhere but to the attached.
    None,
    /// A file.
    JsonFile {
        limits: Limits,
        /// JSON object for every line; empty: none.
        attributes: Arc<str>,
    },
}

/// Write out what a container does not say: the daemon's driver, and with that driver the daemon's
/// options beside the container's own (Docker's `mergeAndVerifyLogConfig`).
pub(crate) fn fill_in(log: &mut LogConfig, engine: &EngineConfig) {
    if log.r#type.is_empty() {
        log.r#type.clone_from(&engine.log_driver);
    }
    let options = log.config.get_or_insert_default();
    if log.r#type == engine.log_driver {
        for (name, value) in &engine.log_opts {
            options.entry(name.clone()).or_insert_with(|| value.clone());
        }
    }
}

pub(super) fn translate(log: &LogConfig, config: &ContainerConfig) -> Result<LogPlan> {
    let LogConfig { r#type, config: options } = log;
    let none = Map::new();
    let options = options.as_ref().unwrap_or(&none);
    match r#type.as_str() {
        "none" => Ok(LogPlan::None),
        "json-file" => json_file(options, config),
        "local" | "syslog" | "journald" | "gelf" | "fluentd" | "awslogs" | "splunk" | "etwlogs"
        | "gcplogs" => Err(EngineError::unsupported(format!(
            "HostConfig.LogConfig.Type: the log driver '{type}' is not implemented",
            type = r#type
        ))),
        other => Err(EngineError::bad(format!(
            "error looking up logging plugin {other}: plugin \"{other}\" not found"
        ))),
    }
}

fn json_file(options: &Map<String>, config: &ContainerConfig) -> Result<LogPlan> {
    let mut limits = Limits { max_bytes: None, max_files: 1 };
    let mut attributes = Map::new();
    for (name, value) in options {
        let invalid = |why: &str| {
            EngineError::bad(format!("invalid value for log opt {name}: {why}: {value}"))
        };
        match name.as_str() {
            "max-size" => {
                let size = human_size(value).ok_or_else(|| invalid("not a size"))?;
                if size == 0 {
                    return Err(EngineError::bad("max-size must be a positive number"));
                }
                limits.max_bytes = Some(size);
            }
            "max-file" => {
                limits.max_files = value.parse().or(Err(invalid("not a number")))?;
                if limits.max_files < 1 {
                    return Err(EngineError::bad("max-file cannot be less than 1"));
                }
            }
            "labels" => {
                for label in value.split(',') {
                    let labels = config.labels.as_ref();
                    if let Some(text) = labels.and_then(|labels| labels.get(label)) {
                        attributes.insert(label.to_owned(), text.clone());
                    }
                }
            }
            "env" => {
                for wanted in value.split(',') {
                    let pairs = config.env.iter().flatten().filter_map(|pair| pair.split_once('='));
                    for (key, text) in pairs.filter(|(key, _)| *key == wanted) {
                        attributes.insert(key.to_owned(), text.to_owned());
                    }
                }
            }
            "compress" if value == "false" => {}
            "mode" if matches!(value.as_str(), "" | "blocking") => {}
            "compress" | "mode" | "max-buffer-size" | "labels-regex" | "env-regex" | "tag" => {
                return Err(EngineError::unsupported(format!(
                    "HostConfig.LogConfig.Config: '{name}={value}' is not implemented"
                )));
            }
            _ => {
                return Err(EngineError::bad(format!(
                    "unknown log opt '{name}' for json-file log driver"
                )));
            }
        }
    }
    let attributes = if attributes.is_empty() {
        String::new()
    } else {
        serde_json::to_string(&attributes).unwrap_or_default()
    };
    Ok(LogPlan::JsonFile { limits, attributes: attributes.into() })
}

/// Go's `units.FromHumanSize`: decimal units, `10m`, `1.5gb`.
fn human_size(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let number = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = text.strip_prefix(number)?;
    let factor: u64 = match unit.trim_end_matches('b') {
        "" => 1,
        "k" => 1_000,
        "m" => 1_000_000,
        "g" => 1_000_000_000,
        "t" => 1_000_000_000_000,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let whole: u64 = whole.trim().parse().ok()?;
    let tenths: u64 = match fraction.get(..1) {
        None => 0,
        Some(digit) => digit.parse().ok()?,
    };
    whole.checked_mul(factor)?.checked_add(tenths * factor / 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(driver: &str, options: &[(&str, &str)]) -> Result<LogPlan> {
        let options = options.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        let log = LogConfig { r#type: driver.to_owned(), config: Some(options.collect()) };
        let config = ContainerConfig {
            labels: Some(Map::from([("team".to_owned(), "sea".to_owned())])),
            env: Some(vec!["A=b=c".to_owned()]),
            ..ContainerConfig::default()
        };
        translate(&log, &config)
    }

    #[test]
    fn options_are_those_of_docker() {
        let Ok(LogPlan::JsonFile { limits, attributes }) = plan(
            "json-file",
            &[("max-size", "10m"), ("max-file", "3"), ("labels", "team,none"), ("env", "A")],
        ) else {
            panic!("refused");
        };
        assert_eq!(limits, Limits { max_bytes: Some(10_000_000), max_files: 3 });
        assert_eq!(&*attributes, r#"{"A":"b=c","team":"sea"}"#);
        assert!(matches!(plan("none", &[]), Ok(LogPlan::None)));
    }

    #[test]
    fn options_without_a_driver_are_for_the_default_one() {
        let mut engine = EngineConfig::new("/", "/");
        engine.log_opts = vec![
            ("max-size".to_owned(), "10m".to_owned()),
            ("max-file".to_owned(), "3".to_owned()),
        ];
        let own = || Some(Map::from([("max-size".to_owned(), "1m".to_owned())]));
        let mut unnamed = LogConfig { r#type: String::new(), config: own() };
        fill_in(&mut unnamed, &engine);
        assert_eq!(unnamed.r#type, "json-file");
        let options = unnamed.config.unwrap();
        assert_eq!((&*options["max-size"], &*options["max-file"]), ("1m", "3"));
        let mut other = LogConfig { r#type: "none".to_owned(), config: None };
        fill_in(&mut other, &engine);
        assert_eq!(other.config, Some(Map::new()));
    }

    #[test]
    fn what_is_not_done_is_said() {
        use crate::ErrorKind::{BadParameter, NotImplemented};
        for (driver, options, kind) in [
            ("syslog", &[][..], NotImplemented),
            ("smoke", &[], BadParameter),
            ("json-file", &[("compress", "true")], NotImplemented),
            ("json-file", &[("colour", "red")], BadParameter),
            ("json-file", &[("max-size", "0")], BadParameter),
            ("json-file", &[("max-size", "much")], BadParameter),
            ("json-file", &[("max-file", "0")], BadParameter),
        ] {
            assert_eq!(plan(driver, options).unwrap_err().kind(), kind, "{driver} {options:?}");
        }
    }

    #[test]
    fn sizes_are_decimal() {
        for (text, bytes) in [
            ("1", Some(1)),
            ("1k", Some(1_000)),
            ("1.5kb", Some(1_500)),
            ("2GB", Some(2_000_000_000)),
            ("1q", None),
        ] {
            assert_eq!(human_size(text), bytes, "{text}");
        }
    }
}
