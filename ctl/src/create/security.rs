//! `--security-opt`.

use std::fs;

use serde_json::json;

use super::{Fields, put_list};
use crate::flags::Args;
use crate::output::json::Json;
use crate::output::text::{quote, system_words};

/// Put the security options into `host`. A seccomp profile is read here: the engine has no sight of
/// the client's files.
pub(super) fn fill(args: &Args, host: &mut Fields) -> Result<(), String> {
    let mut options = Vec::new();
    for option in args.all("security-opt") {
        if option == "systempaths=unconfined" {
            host.insert("MaskedPaths".to_owned(), json!([]));
            host.insert("ReadonlyPaths".to_owned(), json!([]));
            continue;
        }
        let (key, value) = match option.split_once('=').or_else(|| option.split_once(':')) {
            Some(pair) => pair,
            None if option == "no-new-privileges" => (option, ""),
            None => return Err(format!("Invalid --security-opt: {}", quote(option))),
        };
        options.push(match (key, value) {
            ("seccomp", "unconfined" | "builtin") | ("no-new-privileges", _) => option.to_owned(),
            ("seccomp", path) => format!("seccomp={}", profile(path)?),
            _ => option.to_owned(),
        });
    }
    put_list("SecurityOpt", options, host);
    Ok(())
}

fn profile(path: &str) -> Result<String, String> {
    let bytes = fs::read(path).map_err(|error| {
        format!("opening seccomp profile ({path}) failed: open {path}: {}", system_words(&error))
    })?;
    let json: Json = serde_json::from_slice(&bytes)
        .map_err(|error| format!("compacting json for seccomp profile ({path}) failed: {error}"))?;
    Ok(json.compact())
}
