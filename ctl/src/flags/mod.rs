//! The command line's grammar: tables of commands and flags, and what is done with them.
//!
//! One table ([`table`]) says what exists; parsing ([`mod@parse`]) and help ([`help`]) read it, so that
//! they cannot drift apart. The grammar is the one of Docker's command line (Go's pflag: short
//! flags cluster, `--flag=false` unsets a switch, `-e=X` and `-eX` are one), and so are the words
//! of its errors and help, which scripts and people know.
//!
//! Decision: no clap. Its grammar and error texts are other ones, and building its tree of some 60
//! commands costs 0.43 ms at each start, a third of what `run` may cost in all; these tables are
//! constants and cost nothing.

pub(crate) mod check;
pub(crate) mod help;
mod parse;
pub(crate) mod table;

pub(crate) use parse::{Args, UsageError, parse};

/// What a flag's value is: the word for it in the help, and what it must look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A switch: given alone, or with `=true` or `=false`.
    Bool,
    /// Any text; the last one counts.
    Text,
    /// May be given several times.
    List,
    /// May be given several times, or several values with commas between them.
    Texts,
    /// `key=value`, several times.
    Map,
    /// A filter, several times.
    Filter,
    /// A signed number.
    Int,
    /// An unsigned number.
    Uint,
    /// An unsigned number of 16 bits.
    Uint16,
    /// A size: `512m`.
    Bytes,
    /// A size, or -1 for no limit.
    SwapBytes,
    /// A fraction: `1.5`.
    Decimal,
    /// A Go duration: `1m30s`.
    Duration,
    /// A resource limit: `nofile=1024:2048`.
    Ulimit,
    /// A mount: `type=bind,src=/a,dst=/b`.
    Mount,
    /// A network or `name=net,alias=web`.
    Network,
    /// A request for GPUs.
    Gpus,
}

impl Kind {
    /// The word that stands for the value in the help.
    fn word(self) -> &'static str {
        match self {
            Self::Bool => "",
            Self::Text => "string",
            Self::List => "list",
            Self::Texts => "strings",
            Self::Map => "map",
            Self::Filter => "filter",
            Self::Int => "int",
            Self::Uint => "uint",
            Self::Uint16 => "uint16",
            Self::Bytes | Self::SwapBytes => "bytes",
            Self::Decimal => "decimal",
            Self::Duration => "duration",
            Self::Ulimit => "ulimit",
            Self::Mount => "mount",
            Self::Network => "network",
            Self::Gpus => "gpu-request",
        }
    }
}

/// Says why a value is not good, in the words of the usage error.
pub(crate) type Check = fn(&str) -> Result<(), String>;

/// One flag of a command.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flag {
    /// Without the dashes.
    pub(crate) name: &'static str,
    /// The one-letter form.
    pub(crate) short: Option<char>,
    /// What its value is.
    pub(crate) kind: Kind,
    /// One line or more for the help; empty: not listed.
    pub(crate) help: &'static str,
    /// What its value must satisfy beyond its kind.
    check: Option<Check>,
    /// The flag this one is another name for.
    means: Option<&'static str>,
}

impl Flag {
    /// A flag without a one-letter form.
    pub(crate) const fn long(name: &'static str, kind: Kind, help: &'static str) -> Self {
        Self { name, short: None, kind, help, check: None, means: None }
    }

    /// A flag with a one-letter form.
    pub(crate) const fn short(
        short: char,
        name: &'static str,
        kind: Kind,
        help: &'static str,
    ) -> Self {
        Self { name, short: Some(short), kind, help, check: None, means: None }
    }

    /// Another name of a flag, not listed.
    pub(crate) const fn alias(name: &'static str, kind: Kind, means: &'static str) -> Self {
        Self { name, short: None, kind, help: "", check: None, means: Some(means) }
    }

    /// The same flag with a check of its value.
    pub(crate) const fn checked(self, check: Check) -> Self {
        Self { check: Some(check), ..self }
    }

    /// The name its value is kept under.
    fn key(&self) -> &'static str {
        self.means.unwrap_or(self.name)
    }

    /// `-m, --memory`, or `--cpus`.
    fn spelled(&self) -> String {
        match self.short {
            Some(short) => format!("-{short}, --{}", self.name),
            None => format!("--{}", self.name),
        }
    }
}

/// How many positional arguments a command takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Count {
    /// Exactly so many.
    Exactly(usize),
    /// So many or more.
    AtLeast(usize),
    /// None or one.
    AtMost(usize),
}

/// One command.
#[derive(Debug)]
pub(crate) struct Command {
    /// As typed after the program's name: `container ls`.
    pub(crate) path: &'static str,
    /// Other words for the last word of the path.
    pub(crate) aliases: &'static [&'static str],
    /// What follows the path in the usage line.
    pub(crate) usage: &'static str,
    /// One line: what it does.
    pub(crate) about: &'static str,
    /// The `Aliases:` line of the help, without the program's name; empty: none.
    pub(crate) also: &'static [&'static str],
    /// Its flags, in groups shared among commands.
    pub(crate) flags: &'static [&'static [Flag]],
    /// Its positional arguments.
    pub(crate) count: Count,
    /// Flags end at the first positional argument, as the rest is another program's command line.
    pub(crate) stops: bool,
    /// What runs.
    pub(crate) action: Action,
}

/// What a command does. Several commands (`ps`, `container ls`) may do the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Attach,
    ContainerInspect,
    ContainerPrune,
    Create,
    Down,
    Events,
    Exec,
    History,
    ImageInspect,
    ImagePrune,
    Images,
    Import,
    Info,
    Inspect,
    Kill,
    Load,
    Logs,
    NetworkInspect,
    Networks,
    Pause,
    PolicyCheck,
    PolicyCompile,
    PolicyExplain,
    Ps,
    Pull,
    Rename,
    Restart,
    Rm,
    Rmi,
    Run,
    Start,
    Stop,
    SystemDf,
    Tag,
    Top,
    Unpause,
    Up,
    Update,
    Version,
    Wait,
}
