//! What a caller may ask of an operation, already out of its query string.

use crate::error::{EngineError, Result};
use std::collections::BTreeMap;

/// Docker's `filters`: names with values; an item passes when, for every name, one value fits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filters(BTreeMap<String, Vec<String>>);

impl Filters {
    /// From the query parameter: `{"label":["a=b"]}`, or `{"label":{"a=b":true}}` as old clients
    /// write it. Empty text is no filter.
    ///
    /// # Errors
    /// `BadParameter`: it is neither.
    pub fn parse(text: &str) -> Result<Self> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        if let Ok(lists) = serde_json::from_str::<BTreeMap<String, Vec<String>>>(text) {
            return Ok(Self(lists));
        }
        let maps: BTreeMap<String, BTreeMap<String, bool>> = serde_json::from_str(text)
            .map_err(|error| EngineError::bad("invalid filter").because(error))?;
        let wanted = |values: BTreeMap<String, bool>| {
            values.into_iter().filter_map(|(value, on)| on.then_some(value)).collect()
        };
        Ok(Self(maps.into_iter().map(|(name, values)| (name, wanted(values))).collect()))
    }

    /// No filter at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The values given for a name; none: not filtered by it.
    pub fn get(&self, name: &str) -> Option<&[String]> {
        self.0.get(name).map(Vec::as_slice).filter(|values| !values.is_empty())
    }

    /// Refuse names that the operation does not know, as Docker words it.
    pub(crate) fn only(&self, known: &[&str]) -> Result<()> {
        match self.0.keys().find(|name| !known.contains(&name.as_str())) {
            Some(name) => Err(EngineError::bad(format!("invalid filter '{name}'"))),
            None => Ok(()),
        }
    }

    /// Whether a value of this name fits, or the name is not filtered by.
    pub(crate) fn admits(&self, name: &str, fits: impl Fn(&str) -> bool) -> bool {
        self.get(name).is_none_or(|values| values.iter().any(|value| fits(value)))
    }

    /// Whether labels fit all of `label` and none of `label!`; each `key` or `key=value`.
    pub(crate) fn admits_labels(&self, labels: &BTreeMap<String, String>) -> bool {
        let has = |wanted: &String| match wanted.split_once('=') {
            Some((key, value)) => labels.get(key).is_some_and(|have| have == value),
            None => labels.contains_key(wanted),
        };
        self.get("label").is_none_or(|wanted| wanted.iter().all(has))
            && self.get("label!").is_none_or(|unwanted| !unwanted.iter().any(has))
    }
}

/// Of `GET /containers/json`.
#[derive(Debug, Clone, Default)]
pub struct ListOptions {
    /// Also those that do not run.
    pub all: bool,
    /// Only so many of the newest, running or not.
    pub limit: Option<usize>,
    /// `ancestor before expose exited health id is-task isolation label name network publish since
    /// status volume`
    pub filters: Filters,
}

/// Of stop and restart.
#[derive(Debug, Clone, Default)]
pub struct StopOptions {
    /// Name or number; none: the container's.
    pub signal: Option<String>,
    /// Seconds before `SIGKILL`; negative: never; none: the container's, else 10.
    pub timeout: Option<i64>,
}

/// Of `DELETE /containers/{id}`.
#[derive(Debug, Clone, Copy, Default)]
pub struct RemoveOptions {
    /// Kill it first if it runs.
    pub force: bool,
    /// Its anonymous volumes too.
    pub volumes: bool,
    /// Only a link: refused, there are none.
    pub link: bool,
}

/// What `POST /containers/{id}/wait` waits for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WaitCondition {
    /// That it does not run; at once if it does not.
    #[default]
    NotRunning,
    /// Its next exit.
    NextExit,
    /// That it is gone.
    Removed,
}

impl WaitCondition {
    /// From the query parameter; empty: `not-running`.
    ///
    /// # Errors
    /// `BadParameter`: another word.
    pub fn parse(text: &str) -> Result<Self> {
        match text {
            "" | "not-running" => Ok(Self::NotRunning),
            "next-exit" => Ok(Self::NextExit),
            "removed" => Ok(Self::Removed),
            other => Err(EngineError::bad(format!("invalid condition: \"{other}\""))),
        }
    }
}

/// Of `POST /containers/{id}/attach`.
#[derive(Debug, Clone, Copy, Default)]
pub struct AttachOptions {
    /// Write to standard input.
    pub stdin: bool,
    /// See standard output.
    pub stdout: bool,
    /// See standard error.
    pub stderr: bool,
    /// See what comes from now on.
    pub stream: bool,
    /// See what came before, from the log.
    pub logs: bool,
}

/// Of `GET /containers/{id}/logs`.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogsOptions {
    /// Lines of standard output.
    pub stdout: bool,
    /// Lines of standard error.
    pub stderr: bool,
    /// Stay, and see new lines until the container stops.
    pub follow: bool,
    /// Put the time before each line.
    pub timestamps: bool,
    /// Put the extra attributes (`labels`, `env` of the log options) before each line.
    pub details: bool,
    /// Only lines at or after this; nanoseconds since 1970.
    pub since: Option<i64>,
    /// Only lines at or before this; nanoseconds since 1970.
    pub until: Option<i64>,
    /// Only so many of the last lines; none: all.
    pub tail: Option<u64>,
}

/// Of `GET /events`.
#[derive(Debug, Clone, Default)]
pub struct EventsOptions {
    /// Also stored events from this on; nanoseconds since 1970.
    pub since: Option<i64>,
    /// End here; nanoseconds since 1970.
    pub until: Option<i64>,
    /// `config container daemon event image label network node plugin scope secret service type
    /// volume`
    pub filters: Filters,
}

/// A point in time from a query parameter: Unix seconds with or without a fraction, or RFC 3339.
/// Empty and `0` are none. In nanoseconds since 1970.
///
/// # Errors
/// `BadParameter`: neither.
pub fn parse_time(text: &str) -> Result<Option<i64>> {
    if text.is_empty() || text == "0" {
        return Ok(None);
    }
    let bad = || EngineError::bad(format!("invalid timestamp: \"{text}\""));
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return i64::try_from(at.as_nanosecond()).map(Some).or(Err(bad()));
    }
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = seconds.parse().or(Err(bad()))?;
    if fraction.len() > 9 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(bad());
    }
    let nanos: i64 = format!("{fraction:0<9}").parse().or(Err(bad()))?;
    let total = seconds.checked_mul(1_000_000_000).and_then(|whole| whole.checked_add(nanos));
    total.map(Some).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_read_in_both_spellings() {
        let new = Filters::parse(r#"{"label":["a=b"],"name":["x"]}"#).unwrap();
        let old = Filters::parse(r#"{"label":{"a=b":true,"c":false},"name":{"x":true}}"#).unwrap();
        assert_eq!(new, old);
        assert!(Filters::parse("[]").is_err());
        assert!(new.only(&["label"]).unwrap_err().message().contains("'name'"));
    }

    #[test]
    fn all_labels_must_fit_and_no_unwanted_one() {
        let labels = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
        for (text, fits) in [
            (r#"{"label":["a"]}"#, true),
            (r#"{"label":["a=b"]}"#, true),
            (r#"{"label":["a=c"]}"#, false),
            (r#"{"label":["a","d"]}"#, false),
            (r#"{"label!":["a"]}"#, false),
            (r#"{"label!":["a=c"]}"#, true),
        ] {
            assert_eq!(Filters::parse(text).unwrap().admits_labels(&labels), fits, "{text}");
        }
    }

    #[test]
    fn times_are_unix_seconds_or_rfc3339() {
        assert_eq!(parse_time("").unwrap(), None);
        assert_eq!(parse_time("5").unwrap(), Some(5_000_000_000));
        assert_eq!(parse_time("5.25").unwrap(), Some(5_250_000_000));
        assert_eq!(parse_time("1970-01-01T00:00:05Z").unwrap(), Some(5_000_000_000));
        assert!(parse_time("soon").is_err());
        assert!(parse_time("5.1234567890").is_err());
    }
}
