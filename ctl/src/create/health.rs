//! `--health-*`.

use serde_json::{Value, json};

use super::Fields;
use crate::flags::Args;

const DURATIONS: [(&str, &str); 4] = [
    ("health-interval", "Interval"),
    ("health-timeout", "Timeout"),
    ("health-start-period", "StartPeriod"),
    ("health-start-interval", "StartInterval"),
];

/// The health check asked for.
pub(super) fn check(args: &Args) -> Result<Option<Value>, String> {
    let mut check = Fields::new();
    if !args.text("health-cmd").is_empty() {
        check.insert("Test".to_owned(), json!(["CMD-SHELL", args.text("health-cmd")]));
    }
    for (flag, key) in DURATIONS {
        match args.nanoseconds(flag).unwrap_or(0) {
            0 => {}
            ..0 => return Err(format!("--{flag} cannot be negative")),
            nanoseconds => {
                check.insert(key.to_owned(), nanoseconds.into());
            }
        }
    }
    match args.int("health-retries").unwrap_or(0) {
        0 => {}
        ..0 => return Err("--health-retries cannot be negative".to_owned()),
        retries => {
            check.insert("Retries".to_owned(), retries.into());
        }
    }
    if args.on("no-healthcheck") {
        if !check.is_empty() {
            return Err("--no-healthcheck conflicts with --health-* options".to_owned());
        }
        return Ok(Some(json!({"Test": ["NONE"]})));
    }
    Ok((!check.is_empty()).then_some(Value::Object(check)))
}
