//! Arguments as typed to arguments as meant: Go's pflag grammar over a command's table.

use super::{Command, Count, Flag, Kind, check};

/// A command line that does not fit the command's table.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum UsageError {
    /// A flag is unknown or its value wrong: exit code 125.
    Flag(String),
    /// Too few or too many positional arguments: exit code 1.
    Count(String),
    /// `--help` was asked for.
    Help,
}

/// What was typed after a command: flag values in the order given, then positional arguments.
#[derive(Debug, Default)]
pub(crate) struct Args {
    flags: Vec<(&'static str, String)>,
    positional: Vec<String>,
}

impl Args {
    /// The positional arguments.
    pub(crate) fn positional(&self) -> &[String] {
        &self.positional
    }

    /// The positional argument at `index`; empty if it was not given, which the command's
    /// [`Count`] excludes for those it needs.
    pub(crate) fn at(&self, index: usize) -> &str {
        self.positional.get(index).map_or("", String::as_str)
    }

    /// The flag was given, whatever its value.
    pub(crate) fn given(&self, name: &str) -> bool {
        self.last(name).is_some()
    }

    /// The value given last.
    pub(crate) fn last(&self, name: &str) -> Option<&str> {
        self.flags.iter().rev().find(|(flag, _)| *flag == name).map(|(_, value)| value.as_str())
    }

    /// The value given last, or the empty text.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.last(name).unwrap_or("")
    }

    /// All values in the order given.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.flags.iter().filter(move |(flag, _)| *flag == name).map(|(_, value)| value.as_str())
    }

    /// A switch; off unless given.
    pub(crate) fn on(&self, name: &str) -> bool {
        self.last(name).and_then(check::parse_bool).unwrap_or(false)
    }

    /// A switch that is on unless given as off.
    pub(crate) fn on_unless_unset(&self, name: &str) -> bool {
        self.last(name).and_then(check::parse_bool).unwrap_or(true)
    }

    /// A number. It was checked when parsed.
    pub(crate) fn int(&self, name: &str) -> Option<i64> {
        self.last(name).and_then(|value| check::parse_int(value).ok())
    }

    /// A size in bytes. It was checked when parsed.
    pub(crate) fn bytes(&self, name: &str) -> Option<i64> {
        self.last(name).and_then(|value| check::parse_bytes(value).ok())
    }

    /// A duration in nanoseconds. It was checked when parsed.
    pub(crate) fn nanoseconds(&self, name: &str) -> Option<i64> {
        self.last(name).and_then(|value| check::parse_duration(value).ok())
    }
}

/// Parse what follows a command's name.
pub(crate) fn parse(command: &Command, typed: &[String]) -> Result<Args, UsageError> {
    let mut args = Args::default();
    let mut rest = typed.iter();
    while let Some(word) = rest.next() {
        if word == "--" {
            args.positional.extend(rest.by_ref().cloned());
        } else if let Some(long) = word.strip_prefix("--") {
            long_flag(command, long, word, &mut rest, &mut args)?;
        } else if let Some(cluster) = word.strip_prefix('-').filter(|cluster| !cluster.is_empty()) {
            short_flags(command, cluster, &mut rest, &mut args)?;
        } else {
            args.positional.push(word.clone());
            if command.stops {
                args.positional.extend(rest.by_ref().cloned());
            }
        }
    }
    check_count(command, args.positional.len())?;
    Ok(args)
}

fn long_flag<'a>(
    command: &Command,
    long: &str,
    word: &str,
    rest: &mut impl Iterator<Item = &'a String>,
    args: &mut Args,
) -> Result<(), UsageError> {
    let (name, value) = match long.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (long, None),
    };
    if name.is_empty() || name.starts_with('-') {
        return Err(UsageError::Flag(format!("bad flag syntax: {word}")));
    }
    let Some(flag) = all_flags(command).find(|flag| flag.name == name) else {
        return Err(if name == "help" {
            UsageError::Help
        } else {
            UsageError::Flag(format!("unknown flag: --{name}"))
        });
    };
    let value = match value {
        Some(value) => value,
        None if flag.kind == Kind::Bool => "true".to_owned(),
        None => rest
            .next()
            .ok_or_else(|| UsageError::Flag(format!("flag needs an argument: --{name}")))?
            .clone(),
    };
    take(flag, value, args)
}

fn short_flags<'a>(
    command: &Command,
    cluster: &str,
    rest: &mut impl Iterator<Item = &'a String>,
    args: &mut Args,
) -> Result<(), UsageError> {
    let mut remaining = cluster;
    while let Some(letter) = remaining.chars().next() {
        let after = remaining.get(letter.len_utf8()..).unwrap_or("");
        let Some(flag) = all_flags(command).find(|flag| flag.short == Some(letter)) else {
            return Err(if letter == 'h' {
                UsageError::Help
            } else {
                UsageError::Flag(format!("unknown shorthand flag: '{letter}' in -{remaining}"))
            });
        };
        let value = if let Some(value) = after.strip_prefix('=').filter(|_| after.len() > 1) {
            remaining = "";
            value.to_owned()
        } else if flag.kind == Kind::Bool {
            remaining = after;
            "true".to_owned()
        } else if !after.is_empty() {
            remaining = "";
            after.to_owned()
        } else {
            remaining = "";
            let missing =
                || UsageError::Flag(format!("flag needs an argument: '{letter}' in -{letter}"));
            rest.next().ok_or_else(missing)?.clone()
        };
        take(flag, value, args)?;
    }
    Ok(())
}

fn take(flag: &Flag, value: String, args: &mut Args) -> Result<(), UsageError> {
    let checked = check::kind(flag.kind, &value)
        .and_then(|()| flag.check.map_or(Ok(()), |check| check(&value)));
    if let Err(why) = checked {
        return Err(UsageError::Flag(format!(
            "invalid argument {} for \"{}\" flag: {why}",
            check::quote(&value),
            flag.spelled()
        )));
    }
    if flag.name == "help" && check::parse_bool(&value) == Some(true) {
        return Err(UsageError::Help);
    }
    args.flags.push((flag.key(), value));
    Ok(())
}

fn all_flags(command: &Command) -> impl Iterator<Item = &'static Flag> {
    command.flags.iter().flat_map(|group| group.iter())
}

fn check_count(command: &Command, count: usize) -> Result<(), UsageError> {
    let plural = |n: usize| if n == 1 { "argument" } else { "arguments" };
    let says = match command.count {
        Count::Exactly(0) if count > 0 => "accepts no arguments".to_owned(),
        Count::Exactly(n) if count != n => format!("requires {n} {}", plural(n)),
        Count::AtLeast(n) if count < n => format!("requires at least {n} {}", plural(n)),
        Count::AtMost(n) if count > n => format!("requires at most {n} {}", plural(n)),
        Count::Exactly(_) | Count::AtLeast(_) | Count::AtMost(_) => return Ok(()),
    };
    Err(UsageError::Count(says))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::table;

    fn parsed(command: &str, line: &str) -> Result<Args, UsageError> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        parse(table::find("", command).unwrap(), &words)
    }

    #[test]
    fn short_flags_cluster_and_take_values_in_every_way() {
        for line in ["-itm 5 -e=A=1 x", "-i -t -m5 -eA=1 x", "-it -m=5 --env A=1 x"] {
            let args = parsed("run", line).unwrap();
            assert!(args.on("interactive") && args.on("tty"), "{line}");
            assert_eq!((args.bytes("memory"), args.text("env")), (Some(5), "A=1"), "{line}");
            assert_eq!(args.positional(), ["x"], "{line}");
        }
    }

    #[test]
    fn switches_can_be_unset() {
        let args = parsed("run", "--rm=false -t=0 --sig-proxy=false x").unwrap();
        assert!(!args.on("rm") && !args.on("tty") && !args.on_unless_unset("sig-proxy"));
        assert!(parsed("run", "x").unwrap().on_unless_unset("sig-proxy"));
    }

    #[test]
    fn flags_end_where_another_command_begins() {
        assert_eq!(
            parsed("run", "x ls -la --rm").unwrap().positional(),
            ["x", "ls", "-la", "--rm"]
        );
        assert_eq!(parsed("exec", "-i c -- x").unwrap().positional(), ["c", "--", "x"]);
        let args = parsed("rm", "a -f b").unwrap();
        assert!(args.on("force"), "elsewhere they may follow");
        assert_eq!(args.positional(), ["a", "b"]);
        assert_eq!(parsed("rm", "-- -f").unwrap().positional(), ["-f"]);
    }

    #[test]
    fn older_names_mean_the_same() {
        assert_eq!(parsed("run", "--net host x").unwrap().text("network"), "host");
    }

    #[test]
    fn errors_are_those_of_pflag() {
        let flag = |text: &str| Some(UsageError::Flag(text.to_owned()));
        let count = |text: &str| Some(UsageError::Count(text.to_owned()));
        for (command, line, error) in [
            ("run", "--foo x", flag("unknown flag: --foo")),
            ("run", "-z x", flag("unknown shorthand flag: 'z' in -z")),
            ("run", "-dm", flag("flag needs an argument: 'm' in -m")),
            ("run", "--memory", flag("flag needs an argument: --memory")),
            ("run", "---x", flag("bad flag syntax: ---x")),
            ("run", "-d", count("requires at least 1 argument")),
            ("exec", "a", count("requires at least 2 arguments")),
            ("ps", "a", count("accepts no arguments")),
            ("logs", "", count("requires 1 argument")),
            ("images", "a b", count("requires at most 1 argument")),
            ("ps", "-h", Some(UsageError::Help)),
            ("run", "--help", Some(UsageError::Help)),
            ("run", "-h", flag("flag needs an argument: 'h' in -h")),
        ] {
            assert_eq!(parsed(command, line).err(), error, "{command} {line}");
        }
    }
}
