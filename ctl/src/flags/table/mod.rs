//! Every command and every flag there is.

mod container;
mod container_group;
mod image;
mod other_groups;
mod run;
mod system;
mod top_level;

use super::{Action, Command, Count, Flag, Kind};

/// Words under which commands are gathered, and what they are about.
pub(crate) const GROUPS: [(&str, &str); 5] = [
    ("container", "Manage containers"),
    ("image", "Manage images"),
    ("network", "Manage networks"),
    ("policy", "Manage what the root daemon permits"),
    ("system", "Manage Bulkhead"),
];

/// Flags that may stand before the command.
pub(crate) const GLOBAL: Command = Command {
    path: "",
    aliases: &[],
    usage: "[OPTIONS] COMMAND [ARG...]",
    about: "A container engine whose network side is not root",
    also: &[],
    flags: &[&[
        Flag::short('D', "debug", Kind::Bool, "Enable debug mode"),
        Flag::short('H', "host", Kind::List, "Daemon socket to connect to"),
        Flag::short('v', "version", Kind::Bool, "Print version information and quit"),
    ]],
    count: Count::AtLeast(0),
    stops: true,
    action: Action::Version,
};

const LIST_FORMAT: &str = "Format output using a custom template:\n\
    'table':            Print output in table format with column headers (default)\n\
    'table TEMPLATE':   Print output in table format using the given Go template\n\
    'json':             Print in JSON format\n\
    'TEMPLATE':         Print output using the given Go template.\n\
    Refer to https://docs.docker.com/go/formatting/ for more information about formatting output \
    with templates";

const FORMAT: &str = "Format output using a custom template:\n\
    'json':             Print in JSON format\n\
    'TEMPLATE':         Print output using the given Go template.\n\
    Refer to https://docs.docker.com/go/formatting/ for more information about formatting output \
    with templates";

const HOST: &[Command] = &[
    Command {
        path: "up",
        aliases: &[],
        usage: "[OPTIONS]",
        about: "Start an engine",
        also: &[],
        flags: &[system::ROOT, system::UP],
        count: Count::Exactly(0),
        stops: false,
        action: Action::Up,
    },
    Command {
        path: "down",
        aliases: &[],
        usage: "[OPTIONS]",
        about: "Stop an engine",
        also: &[],
        flags: &[system::ROOT, system::DOWN],
        count: Count::Exactly(0),
        stops: false,
        action: Action::Down,
    },
    Command {
        path: "policy compile",
        aliases: &[],
        usage: "[OPTIONS] --out FILE",
        about: "Compile a policy to the table that the root daemon loads",
        also: &[],
        flags: &[system::POLICY_IN, system::POLICY_OUT],
        count: Count::Exactly(0),
        stops: false,
        action: Action::PolicyCompile,
    },
    Command {
        path: "policy check",
        aliases: &[],
        usage: "[OPTIONS]",
        about: "Show what a policy means, with every default spelled out",
        also: &[],
        flags: &[system::POLICY_IN],
        count: Count::Exactly(0),
        stops: false,
        action: Action::PolicyCheck,
    },
    Command {
        path: "policy explain",
        aliases: &[],
        usage: "[OPTIONS] REQUEST.json",
        about: "Show what a policy makes of a request to create a container",
        also: &[],
        flags: &[system::POLICY_EXPLAIN],
        count: Count::Exactly(1),
        stops: false,
        action: Action::PolicyExplain,
    },
];

/// All commands.
pub(crate) fn all() -> impl Iterator<Item = &'static Command> {
    [HOST, top_level::COMMANDS, container_group::COMMANDS, other_groups::COMMANDS]
        .into_iter()
        .flatten()
}

/// The commands a group gathers, or those of one word for the empty group.
pub(crate) fn in_group(group: &str) -> impl Iterator<Item = &'static Command> {
    all().filter(move |command| command.group() == group)
}

/// The command of that name in the group.
pub(crate) fn find(group: &str, name: &str) -> Option<&'static Command> {
    in_group(group).find(|command| command.name() == name || command.aliases.contains(&name))
}

impl Command {
    /// The first word of a path of two, or nothing.
    pub(crate) fn group(&self) -> &'static str {
        self.path.split_once(' ').map_or("", |(group, _)| group)
    }

    /// The last word of the path.
    pub(crate) fn name(&self) -> &'static str {
        self.path.split_once(' ').map_or(self.path, |(_, name)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_flags_of_a_command_have_one_name() {
        for command in all() {
            let flags: Vec<&Flag> = command.flags.iter().flat_map(|group| group.iter()).collect();
            for (index, flag) in flags.iter().enumerate() {
                for other in flags.iter().skip(index + 1) {
                    assert_ne!(flag.name, other.name, "{}", command.path);
                    assert!(
                        flag.short.is_none() || flag.short != other.short,
                        "{}: -{:?}",
                        command.path,
                        flag.short
                    );
                }
            }
        }
    }

    #[test]
    fn no_two_commands_have_one_name() {
        for command in all() {
            let same = all().filter(|other| {
                other.group() == command.group()
                    && (other.name() == command.name() || other.aliases.contains(&command.name()))
            });
            assert_eq!(same.count(), 1, "{}", command.path);
        }
    }
}
