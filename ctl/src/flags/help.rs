//! Help texts, laid out as pflag and cobra lay them out.

use std::fmt::Write as _;
use std::io::IsTerminal;

use super::table::{self, GLOBAL, GROUPS};
use super::{Command, Flag};

/// The name this program goes by.
const PROGRAM: &str = "bulkhead";

/// The help of one command. `columns` is the terminal's width.
pub(crate) fn command(command: &Command, columns: usize) -> String {
    let mut help = format!("{}\n\n{}\n", usage(command), command.about);
    if !command.also.is_empty() {
        let also: Vec<String> =
            command.also.iter().map(|path| format!("{PROGRAM} {path}")).collect();
        write!(help, "\nAliases:\n  {}\n", also.join(", ")).unwrap_or(());
    }
    let flags = flags(command, columns);
    if !flags.is_empty() {
        write!(help, "\nOptions:\n{flags}").unwrap_or(());
    }
    help
}

/// `Usage:  bulkhead run [OPTIONS] IMAGE ...`
pub(crate) fn usage(command: &Command) -> String {
    match (command.path, command.usage) {
        ("", usage) => format!("Usage:  {PROGRAM} {usage}"),
        (path, usage) => format!("Usage:  {PROGRAM} {path} {usage}").trim_end().to_owned(),
    }
}

/// The help of a group of commands.
pub(crate) fn group(name: &str, about: &str) -> String {
    let commands = list(table::in_group(name).map(|command| (command.name(), command.about)));
    format!(
        "Usage:  {PROGRAM} {name} COMMAND\n\n{about}\n\nCommands:\n{commands}\n\
         Run '{PROGRAM} {name} COMMAND --help' for more information on a command.\n"
    )
}

/// The help of the whole program.
pub(crate) fn program(columns: usize) -> String {
    let is_common = |command: &&Command| {
        ["up", "down", "run", "exec", "ps", "images", "version", "info"].contains(&command.path)
    };
    let entry = |command: &'static Command| (command.path, command.about);
    let common = list(table::in_group("").filter(is_common).map(entry));
    let rest = list(table::in_group("").filter(|command| !is_common(command)).map(entry));
    let groups = list(GROUPS.into_iter());
    format!(
        "{}\n\n{}\n\nCommon Commands:\n{common}\nManagement Commands:\n{groups}\nCommands:\n{rest}\n\
         Global Options:\n{}\n\
         Run '{PROGRAM} COMMAND --help' for more information on a command.\n",
        usage(&GLOBAL),
        GLOBAL.about,
        flags(&GLOBAL, columns)
    )
}

/// The width of the terminal on standard output, or 80.
///
/// Texts end one column before it, as those of Docker's command line do.
pub(crate) fn columns() -> usize {
    let stdout = std::io::stdout();
    if !stdout.is_terminal() {
        return 80;
    }
    match rustix::termios::tcgetwinsize(&stdout) {
        Ok(size) if size.ws_col > 0 => size.ws_col.into(),
        Ok(_) | Err(_) => 80,
    }
}

fn list<'a>(entries: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    entries.fold(String::new(), |mut list, (name, about)| {
        writeln!(list, "  {name:<11} {about}").unwrap_or(());
        list
    })
}

fn flags(command: &Command, columns: usize) -> String {
    let mut flags: Vec<&Flag> = command
        .flags
        .iter()
        .flat_map(|group| group.iter())
        .filter(|flag| !flag.help.is_empty())
        .collect();
    flags.sort_by_key(|flag| flag.name);
    let heads: Vec<String> = flags.iter().map(|flag| head(flag)).collect();
    let width = heads.iter().map(String::len).max().unwrap_or(0) + 3;
    let columns = columns.saturating_sub(1);
    let mut text = String::new();
    for (flag, head) in flags.iter().zip(heads) {
        writeln!(text, "{head:<width$}{}", wrapped(width, columns, flag.help)).unwrap_or(());
    }
    text
}

fn head(flag: &Flag) -> String {
    let mut head = match flag.short {
        Some(short) => format!("  -{short}, --{}", flag.name),
        None => format!("      --{}", flag.name),
    };
    let word = flag.kind.word();
    if !word.is_empty() {
        head.push(' ');
        head.push_str(word);
    }
    head
}

/// Text in lines of at most `columns`, all but the first indented, with pflag's rules: lines may be
/// up to five wider if that saves a last line of one word, and if little room is left beside the
/// indentation the text begins on a line of its own.
fn wrapped(indent: usize, columns: usize, text: &str) -> String {
    const SLOP: usize = 5;
    const NARROW: usize = 24;
    let mut indent = indent;
    let mut result = String::new();
    if columns < indent + NARROW {
        indent = 16;
        result.push('\n');
        result.push_str(&" ".repeat(indent));
    }
    let margin = format!("\n{}", " ".repeat(indent));
    if columns < indent + NARROW {
        return text.replace('\n', &result);
    }
    let width = columns - indent - SLOP;
    let (mut line, mut rest) = split_line(width, SLOP, text);
    result.push_str(&line.replace('\n', &margin));
    while !rest.is_empty() {
        (line, rest) = split_line(width, SLOP, rest);
        result.push_str(&margin);
        result.push_str(&line.replace('\n', &margin));
    }
    result
}

fn split_line(width: usize, slop: usize, text: &str) -> (&str, &str) {
    if width + slop > text.len() {
        return (text, "");
    }
    let Some(start) = text.get(..width) else { return (text, "") };
    let Some(space) = start.rfind([' ', '\t', '\n']).filter(|at| *at > 0) else {
        return (text, "");
    };
    let at = start.rfind('\n').filter(|line| *line > 0 && *line < space).unwrap_or(space);
    (text.get(..at).unwrap_or(text), text.get(at + 1..).unwrap_or(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_wrapped_as_pflag_wraps_them() {
        assert_eq!(
            wrapped(10, 40, "one two three four five six seven"),
            "one two three four five\n          six seven"
        );
        assert_eq!(
            wrapped(30, 50, "one two three four five six seven"),
            "\n                one two three four five six seven"
        );
        assert_eq!(wrapped(4, 80, "a\nb"), "a\n    b");
    }

    #[test]
    fn help_of_a_command_names_usage_aliases_and_options() {
        assert_eq!(
            command(table::find("", "kill").unwrap(), 80),
            "Usage:  bulkhead kill [OPTIONS] CONTAINER [CONTAINER...]\n\n\
             Kill one or more running containers\n\n\
             Aliases:\n  bulkhead container kill, bulkhead kill\n\n\
             Options:\n  -s, --signal string   Signal to send to the container\n"
        );
    }
}
