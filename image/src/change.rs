//! Instructions that change a run configuration: `docker import --change`, `docker commit
//! --change`. The words are a Dockerfile's; the file itself is not read here.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::config::{Healthcheck, RunConfig};
use crate::error::Error;
use crate::words::{expand, split};

/// Apply instructions in order.
///
/// # Errors
/// [`Error::InvalidArgument`]: an unknown or malformed instruction.
pub fn apply_changes(run: &mut RunConfig, changes: &[String]) -> Result<(), Error> {
    changes.iter().try_for_each(|change| apply(run, change))
}

fn apply(run: &mut RunConfig, change: &str) -> Result<(), Error> {
    let change = change.trim();
    let (name, rest) = change.split_once(char::is_whitespace).unwrap_or((change, ""));
    let rest = rest.trim();
    let name = name.to_ascii_uppercase();
    if rest.is_empty() && !name.is_empty() {
        return Err(invalid(format!("{name} requires at least one argument")));
    }
    match name.as_str() {
        "CMD" => run.cmd = Some(command(rest)),
        "ENTRYPOINT" => {
            run.entrypoint = Some(command(rest));
            // What the former entry point was given makes no sense to the new one.
            run.cmd = None;
        }
        "ENV" => {
            let env = run.env.get_or_insert_default();
            for (name, value) in pairs(rest, env)? {
                set_env(env, &name, &value);
            }
        }
        "EXPOSE" => {
            for port in expanded_words(rest, run)? {
                for port in ports(&port)? {
                    run.exposed_ports.get_or_insert_default().insert(port, empty());
                }
            }
        }
        "HEALTHCHECK" => run.healthcheck = Some(healthcheck(rest)?),
        "LABEL" => {
            let labels = pairs(rest, run.env.as_deref().unwrap_or_default())?;
            run.labels.get_or_insert_default().extend(labels);
        }
        "ONBUILD" => run.on_build.get_or_insert_default().push(trigger(rest)?),
        "STOPSIGNAL" => run.stop_signal = Some(one_word(rest, run, "STOPSIGNAL")?),
        "USER" => run.user = Some(one_word(rest, run, "USER")?),
        "VOLUME" => {
            let volumes = match json_words(rest) {
                Some(words) => words,
                None => expanded_words(rest, run)?,
            };
            if volumes.iter().any(String::is_empty) {
                return Err(invalid("VOLUME specified can not be an empty string".to_owned()));
            }
            let places: BTreeMap<_, _> =
                volumes.into_iter().map(|volume| (volume, empty())).collect();
            run.volumes.get_or_insert_default().extend(places);
        }
        "WORKDIR" => {
            let to = expand(rest, run.env.as_deref().unwrap_or_default())?;
            run.working_dir = Some(directory(run.working_dir.as_deref(), &to));
        }
        _ => return Err(invalid(format!("{name} is not a valid change command"))),
    }
    Ok(())
}

/// A JSON array of strings as it is, anything else for the shell.
fn command(text: &str) -> Vec<String> {
    json_words(text).unwrap_or_else(|| vec!["/bin/sh".to_owned(), "-c".to_owned(), text.to_owned()])
}

fn json_words(text: &str) -> Option<Vec<String>> {
    serde_json::from_str(text).ok()
}

/// `name=value name2="value 2"`, or the old `name value`.
fn pairs(text: &str, env: &[String]) -> Result<Vec<(String, String)>, Error> {
    let words = split(text)?;
    let first = words.first().map(String::as_str).unwrap_or_default();
    if !first.contains('=') {
        let (name, value) = text
            .split_once(char::is_whitespace)
            .ok_or_else(|| invalid(format!("Syntax error - can't find = in {text:?}")))?;
        return Ok(vec![(expand(name, env)?, expand(value.trim_start(), env)?)]);
    }
    words
        .iter()
        .map(|word| match word.split_once('=') {
            Some(("", _)) => Err(invalid("names can not be blank".to_owned())),
            Some((name, value)) => Ok((expand(name, env)?, expand(value, env)?)),
            None => Err(invalid(format!("Syntax error - can't find = in {word:?}"))),
        })
        .collect()
}

fn set_env(env: &mut Vec<String>, name: &str, value: &str) {
    let pair = format!("{name}={value}");
    let same = |have: &&mut String| have.split_once('=').is_some_and(|(have, _)| have == name);
    match env.iter_mut().find(same) {
        Some(have) => *have = pair,
        None => env.push(pair),
    }
}

/// `80`, `80/udp`, `8000-8002/tcp`.
fn ports(text: &str) -> Result<Vec<String>, Error> {
    let refused = || invalid(format!("invalid containerPort: {text}"));
    let (range, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(invalid(format!("invalid proto: {protocol}")));
    }
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let port = |text: &str| text.parse::<u16>().map_err(|_not_a_port| refused());
    let (first, last) = (port(first)?, port(last)?);
    if first > last {
        return Err(refused());
    }
    Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
}

fn healthcheck(text: &str) -> Result<Healthcheck, Error> {
    let mut check = Healthcheck::default();
    let mut rest = text;
    while let Some(flag) = rest.strip_prefix("--") {
        let (flag, behind) = flag.split_once(char::is_whitespace).unwrap_or((flag, ""));
        let (name, value) = flag
            .split_once('=')
            .ok_or_else(|| invalid(format!("missing a value on flag: {flag}")))?;
        match name {
            "interval" => check.interval = Some(nanoseconds(value)?),
            "timeout" => check.timeout = Some(nanoseconds(value)?),
            "start-period" => check.start_period = Some(nanoseconds(value)?),
            "start-interval" => check.start_interval = Some(nanoseconds(value)?),
            "retries" => {
                let retries = value.parse().map_err(|_not_a_number| {
                    invalid(format!("--retries must be a number, not {value:?}"))
                })?;
                check.retries = Some(retries);
            }
            _ => return Err(invalid(format!("unknown flag: {name}"))),
        }
        rest = behind.trim_start();
    }
    let (kind, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    check.test = Some(match (kind.to_ascii_uppercase().as_str(), rest.trim()) {
        ("NONE", "") => vec!["NONE".to_owned()],
        ("CMD", rest) if !rest.is_empty() => match json_words(rest) {
            Some(words) => [vec!["CMD".to_owned()], words].concat(),
            None => vec!["CMD-SHELL".to_owned(), rest.to_owned()],
        },
        _ => return Err(invalid(format!("Unknown type {kind:?} in HEALTHCHECK (try CMD)"))),
    });
    Ok(check)
}

/// Go's durations: `1m30s`, `500ms`. At least a millisecond, as Docker asks for.
fn nanoseconds(text: &str) -> Result<i64, Error> {
    let refused = || invalid(format!("invalid duration {text:?}"));
    let mut total = 0f64;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(refused)?;
        let (number, behind) = rest.split_at(digits);
        let unit = behind.find(|c: char| c.is_ascii_digit()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(unit);
        let seconds = match unit {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(refused()),
        };
        total += number.parse::<f64>().map_err(|_not_a_number| refused())? * seconds;
        rest = behind;
    }
    let duration =
        std::time::Duration::try_from_secs_f64(total).map_err(|_out_of_range| refused())?;
    if duration.as_millis() < 1 {
        return Err(refused());
    }
    i64::try_from(duration.as_nanos()).map_err(|_out_of_range| refused())
}

fn trigger(text: &str) -> Result<String, Error> {
    let name = text.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
    match name.as_str() {
        "ONBUILD" => {
            Err(invalid("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed".to_owned()))
        }
        "MAINTAINER" | "FROM" => {
            Err(invalid(format!("{name} isn't allowed as an ONBUILD trigger")))
        }
        _ => Ok(text.to_owned()),
    }
}

fn one_word(text: &str, run: &RunConfig, name: &str) -> Result<String, Error> {
    let words = expanded_words(text, run)?;
    match words.as_slice() {
        [word] if !word.is_empty() => Ok(word.clone()),
        _ => Err(invalid(format!("{name} requires exactly one argument"))),
    }
}

fn expanded_words(text: &str, run: &RunConfig) -> Result<Vec<String>, Error> {
    let env = run.env.as_deref().unwrap_or_default();
    split(text)?.iter().map(|word| expand(word, env)).collect()
}

/// Where `WORKDIR to` leads from `from`: `.` and `..` taken away as Go's `filepath.Clean` does.
fn directory(from: Option<&str>, to: &str) -> String {
    let from = if to.starts_with('/') { "" } else { from.unwrap_or_default() };
    let mut parts: Vec<&str> = Vec::new();
    for part in from.split('/').chain(to.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    format!("/{}", parts.join("/"))
}

fn empty() -> Value {
    Value::Object(Map::new())
}

fn invalid(why: String) -> Error {
    Error::InvalidArgument(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(changes: &[&str]) -> Result<RunConfig, Error> {
        let changes: Vec<String> = changes.iter().map(|&change| change.to_owned()).collect();
        let mut run = RunConfig::default();
        apply_changes(&mut run, &changes).map(|()| run)
    }

    #[test]
    fn instructions_change_what_they_name() {
        let run = changed(&[
            "CMD [\"/bin/a\", \"b c\"]",
            "env A=1 B=\"two words\" C=x\\ y",
            "ENV D $A-${B}",
            "ENV A=2",
            "EXPOSE 80 53/udp 8000-8001/tcp",
            "LABEL a.b=c 'd e'=f",
            "USER 1000:1000",
            "VOLUME [\"/data\"]",
            "VOLUME /x /y",
            "WORKDIR /srv/./x/..",
            "WORKDIR www",
            "STOPSIGNAL SIGINT",
            "ONBUILD RUN make",
            "HEALTHCHECK --interval=1m30s --retries=3 CMD curl -f http://localhost",
        ])
        .unwrap();
        assert_eq!(run.cmd.unwrap(), ["/bin/a", "b c"]);
        assert_eq!(run.env.unwrap(), ["A=2", "B=two words", "C=x y", "D=1-two words"]);
        let ports: Vec<_> = run.exposed_ports.unwrap().into_keys().collect();
        assert_eq!(ports, ["53/udp", "80/tcp", "8000/tcp", "8001/tcp"]);
        assert_eq!(run.labels.unwrap()["d e"], "f");
        assert_eq!(run.user.unwrap(), "1000:1000");
        let volumes: Vec<_> = run.volumes.unwrap().into_keys().collect();
        assert_eq!(volumes, ["/data", "/x", "/y"]);
        assert_eq!(run.working_dir.unwrap(), "/srv/www");
        assert_eq!(run.stop_signal.unwrap(), "SIGINT");
        assert_eq!(run.on_build.unwrap(), ["RUN make"]);
        let check = run.healthcheck.unwrap();
        assert_eq!(check.interval, Some(90_000_000_000));
        assert_eq!(check.test.unwrap(), ["CMD-SHELL", "curl -f http://localhost"]);
    }

    #[test]
    fn the_shell_form_is_run_by_a_shell_and_an_entry_point_resets_the_command() {
        let run = changed(&["CMD echo $HOME", "ENTRYPOINT exec top"]).unwrap();
        assert_eq!(run.entrypoint.unwrap(), ["/bin/sh", "-c", "exec top"]);
        assert_eq!(run.cmd, None);
    }

    #[test]
    fn malformed_instructions_are_refused() {
        for bad in [
            "RUN true",
            "",
            "CMD",
            "ENV A",
            "ENV A=1 B",
            "ENV =1",
            "LABEL a='b",
            "EXPOSE 70000",
            "EXPOSE 80/icmp",
            "EXPOSE 9-8",
            "USER a b",
            "ONBUILD FROM x",
            "ONBUILD ONBUILD RUN x",
            "VOLUME [\"\"]",
            "HEALTHCHECK true",
            "HEALTHCHECK --interval=1 CMD x",
            "HEALTHCHECK --interval=1ns CMD x",
        ] {
            assert!(matches!(changed(&[bad]), Err(Error::InvalidArgument(_))), "{bad}");
        }
    }
}
