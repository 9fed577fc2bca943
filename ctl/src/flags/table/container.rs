//! The flags of the commands on containers.

use super::{FORMAT, LIST_FORMAT};
use crate::flags::{Flag, Kind, check};

/// Of `start`.
pub(super) const START: &[Flag] = &[
    Flag::short('a', "attach", Kind::Bool, "Attach STDOUT/STDERR and forward signals"),
    Flag::long("checkpoint", Kind::Text, ""),
    Flag::long("checkpoint-dir", Kind::Text, ""),
    Flag::long("detach-keys", Kind::Text, "Override the key sequence for detaching a container"),
    Flag::short('i', "interactive", Kind::Bool, "Attach container's STDIN"),
];

/// Of `stop` and `restart`.
pub(super) const STOP: &[Flag] = &[
    Flag::short('s', "signal", Kind::Text, "Signal to send to the container"),
    Flag::short('t', "timeout", Kind::Int, "Seconds to wait before killing the container"),
];

/// Of `kill`.
pub(super) const KILL: &[Flag] =
    &[Flag::short('s', "signal", Kind::Text, "Signal to send to the container")];

/// Of `rm`.
pub(super) const RM: &[Flag] = &[
    Flag::short(
        'f',
        "force",
        Kind::Bool,
        "Force the removal of a running container (uses SIGKILL)",
    ),
    Flag::short('l', "link", Kind::Bool, "Remove the specified link"),
    Flag::short(
        'v',
        "volumes",
        Kind::Bool,
        "Remove anonymous volumes associated with the container",
    ),
];

/// Of `ps`.
pub(super) const PS: &[Flag] = &[
    Flag::short('a', "all", Kind::Bool, "Show all containers (default shows just running)"),
    Flag::short('f', "filter", Kind::Filter, "Filter output based on conditions provided"),
    Flag::long("format", Kind::Text, LIST_FORMAT),
    Flag::short(
        'n',
        "last",
        Kind::Int,
        "Show n last created containers (includes all states) (default -1)",
    ),
    Flag::short(
        'l',
        "latest",
        Kind::Bool,
        "Show the latest created container (includes all states)",
    ),
    Flag::long("no-trunc", Kind::Bool, "Don't truncate output"),
    Flag::short('q', "quiet", Kind::Bool, "Only display container IDs"),
    Flag::short('s', "size", Kind::Bool, "Display total file sizes"),
];

/// Of `logs`.
pub(super) const LOGS: &[Flag] = &[
    Flag::long("details", Kind::Bool, "Show extra details provided to logs"),
    Flag::short('f', "follow", Kind::Bool, "Follow log output"),
    Flag::long(
        "since",
        Kind::Text,
        "Show logs since timestamp (e.g. \"2013-01-02T13:23:37Z\") or relative (e.g. \"42m\" for 42 minutes)",
    ),
    Flag::short(
        'n',
        "tail",
        Kind::Text,
        "Number of lines to show from the end of the logs (default \"all\")",
    ),
    Flag::short('t', "timestamps", Kind::Bool, "Show timestamps"),
    Flag::long(
        "until",
        Kind::Text,
        "Show logs before a timestamp (e.g. \"2013-01-02T13:23:37Z\") or relative (e.g. \"42m\" for 42 minutes)",
    ),
];

/// Of `exec`.
pub(super) const EXEC: &[Flag] = &[
    Flag::short('d', "detach", Kind::Bool, "Detached mode: run command in the background"),
    Flag::long("detach-keys", Kind::Text, "Override the key sequence for detaching a container"),
    Flag::short('e', "env", Kind::List, "Set environment variables").checked(check::env),
    Flag::long("env-file", Kind::List, "Read in a file of environment variables"),
    Flag::short('i', "interactive", Kind::Bool, "Keep STDIN open even if not attached"),
    Flag::long("privileged", Kind::Bool, "Give extended privileges to the command"),
    Flag::short('t', "tty", Kind::Bool, "Allocate a pseudo-TTY"),
    Flag::short('u', "user", Kind::Text, "Username or UID (format: \"<name|uid>[:<group|gid>]\")"),
    Flag::short('w', "workdir", Kind::Text, "Working directory inside the container"),
];

/// Of `attach`.
pub(super) const ATTACH: &[Flag] = &[
    Flag::long("detach-keys", Kind::Text, "Override the key sequence for detaching a container"),
    Flag::long("no-stdin", Kind::Bool, "Do not attach STDIN"),
    Flag::long("sig-proxy", Kind::Bool, "Proxy all received signals to the process (default true)"),
];

/// Of `container inspect`.
pub(super) const CONTAINER_INSPECT: &[Flag] = &[
    Flag::short('f', "format", Kind::Text, FORMAT),
    Flag::short('s', "size", Kind::Bool, "Display total file sizes"),
];

/// Of `container prune`.
pub(super) const PRUNE: &[Flag] = &[
    Flag::long("filter", Kind::Filter, "Provide filter values (e.g. \"until=<timestamp>\")"),
    Flag::short('f', "force", Kind::Bool, "Do not prompt for confirmation"),
];

/// Of `update`.
pub(super) const UPDATE: &[Flag] = &[
    Flag::long(
        "blkio-weight",
        Kind::Uint16,
        "Block IO (relative weight), between 10 and 1000, or 0 to disable (default 0)",
    ),
    Flag::long("cpu-period", Kind::Int, "Limit CPU CFS (Completely Fair Scheduler) period"),
    Flag::long("cpu-quota", Kind::Int, "Limit CPU CFS (Completely Fair Scheduler) quota"),
    Flag::long("cpu-rt-period", Kind::Int, "Limit the CPU real-time period in microseconds"),
    Flag::long("cpu-rt-runtime", Kind::Int, "Limit the CPU real-time runtime in microseconds"),
    Flag::short('c', "cpu-shares", Kind::Int, "CPU shares (relative weight)"),
    Flag::long("cpus", Kind::Decimal, "Number of CPUs"),
    Flag::long("cpuset-cpus", Kind::Text, "CPUs in which to allow execution (0-3, 0,1)"),
    Flag::long("cpuset-mems", Kind::Text, "MEMs in which to allow execution (0-3, 0,1)"),
    Flag::short('m', "memory", Kind::Bytes, "Memory limit"),
    Flag::long("memory-reservation", Kind::Bytes, "Memory soft limit"),
    Flag::long(
        "memory-swap",
        Kind::SwapBytes,
        "Swap limit equal to memory plus swap: -1 to enable unlimited swap",
    ),
    Flag::long("pids-limit", Kind::Int, "Tune container pids limit (set -1 for unlimited)"),
    Flag::long("restart", Kind::Text, "Restart policy to apply when a container exits"),
];
