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
