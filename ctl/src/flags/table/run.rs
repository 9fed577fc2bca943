//! The flags of `run` and `create`.

use crate::flags::{Flag, Kind, check};

/// Those both have. The ones without help are for other systems' containers.
pub(super) const CREATE_AND_RUN: &[Flag] = &[
    Flag::long("add-host", Kind::List, "Add a custom host-to-IP mapping (host:ip)")
        .checked(check::extra_host),
    Flag::long(
        "annotation",
        Kind::Map,
        "Add an annotation to the container (passed through to the OCI runtime) (default map[])",
    ),
    Flag::short('a', "attach", Kind::List, "Attach to STDIN, STDOUT or STDERR")
        .checked(check::attach),
    Flag::long(
        "blkio-weight",
        Kind::Uint16,
        "Block IO (relative weight), between 10 and 1000, or 0 to disable (default 0)",
    ),
    Flag::long(
        "blkio-weight-device",
        Kind::List,
        "Block IO weight (relative device weight) (default [])",
    )
    .checked(check::device_weight),
    Flag::long("cap-add", Kind::List, "Add Linux capabilities"),
    Flag::long("cap-drop", Kind::List, "Drop Linux capabilities"),
    Flag::long("cgroup-parent", Kind::Text, "Optional parent cgroup for the container"),
    Flag::long(
        "cgroupns",
        Kind::Text,
        "Cgroup namespace to use (host|private)\n'host':    Run the container in the Docker host's cgroup namespace\n'private': Run the container in its own private cgroup namespace\n'':        Use the cgroup namespace as configured by the\n           default-cgroupns-mode option on the daemon (default)",
    ),
    Flag::long("cidfile", Kind::Text, "Write the container ID to the file"),
    Flag::long("cpu-count", Kind::Int, ""),
    Flag::long("cpu-percent", Kind::Int, ""),
    Flag::long("cpu-period", Kind::Int, "Limit CPU CFS (Completely Fair Scheduler) period"),
    Flag::long("cpu-quota", Kind::Int, "Limit CPU CFS (Completely Fair Scheduler) quota"),
    Flag::long("cpu-rt-period", Kind::Int, "Limit CPU real-time period in microseconds"),
    Flag::long("cpu-rt-runtime", Kind::Int, "Limit CPU real-time runtime in microseconds"),
    Flag::short('c', "cpu-shares", Kind::Int, "CPU shares (relative weight)"),
    Flag::long("cpus", Kind::Decimal, "Number of CPUs"),
    Flag::long("cpuset-cpus", Kind::Text, "CPUs in which to allow execution (0-3, 0,1)"),
    Flag::long("cpuset-mems", Kind::Text, "MEMs in which to allow execution (0-3, 0,1)"),
    Flag::long("device", Kind::List, "Add a host device to the container"),
    Flag::long("device-cgroup-rule", Kind::List, "Add a rule to the cgroup allowed devices list")
        .checked(check::device_cgroup_rule),
    Flag::long(
        "device-read-bps",
        Kind::List,
        "Limit read rate (bytes per second) from a device (default [])",
    )
    .checked(check::device_bps),
    Flag::long(
        "device-read-iops",
        Kind::List,
        "Limit read rate (IO per second) from a device (default [])",
    )
    .checked(check::device_iops),
    Flag::long(
        "device-write-bps",
        Kind::List,
        "Limit write rate (bytes per second) to a device (default [])",
    )
    .checked(check::device_bps),
    Flag::long(
        "device-write-iops",
        Kind::List,
        "Limit write rate (IO per second) to a device (default [])",
    )
    .checked(check::device_iops),
    Flag::long("disable-content-trust", Kind::Bool, "Skip image verification (default true)"),
    Flag::long("dns", Kind::List, "Set custom DNS servers").checked(check::address),
    Flag::long("dns-option", Kind::List, "Set DNS options"),
    Flag::long("dns-search", Kind::List, "Set custom DNS search domains")
        .checked(check::dns_search),
    Flag::long("domainname", Kind::Text, "Container NIS domain name"),
    Flag::long("entrypoint", Kind::Text, "Overwrite the default ENTRYPOINT of the image"),
    Flag::short('e', "env", Kind::List, "Set environment variables").checked(check::env),
    Flag::long("env-file", Kind::List, "Read in a file of environment variables"),
    Flag::long("expose", Kind::List, "Expose a port or a range of ports"),
    Flag::long("gpus", Kind::Gpus, "GPU devices to add to the container ('all' to pass all GPUs)"),
    Flag::long("group-add", Kind::List, "Add additional groups to join"),
    Flag::long("health-cmd", Kind::Text, "Command to run to check health"),
    Flag::long(
        "health-interval",
        Kind::Duration,
        "Time between running the check (ms|s|m|h) (default 0s)",
    ),
    Flag::long("health-retries", Kind::Int, "Consecutive failures needed to report unhealthy"),
    Flag::long(
        "health-start-interval",
        Kind::Duration,
        "Time between running the check during the start period (ms|s|m|h) (default 0s)",
    ),
    Flag::long(
        "health-start-period",
        Kind::Duration,
        "Start period for the container to initialize before starting health-retries countdown (ms|s|m|h) (default 0s)",
    ),
    Flag::long(
        "health-timeout",
        Kind::Duration,
        "Maximum time to allow one check to run (ms|s|m|h) (default 0s)",
    ),
    Flag::long("help", Kind::Bool, "Print usage"),
    Flag::short('h', "hostname", Kind::Text, "Container host name"),
    Flag::long(
        "init",
        Kind::Bool,
        "Run an init inside the container that forwards signals and reaps processes",
    ),
    Flag::short('i', "interactive", Kind::Bool, "Keep STDIN open even if not attached"),
    Flag::long("io-maxbandwidth", Kind::Bytes, ""),
    Flag::long("io-maxiops", Kind::Uint, ""),
    Flag::long("ip", Kind::Text, "IPv4 address (e.g., 172.30.100.104)"),
    Flag::long("ip6", Kind::Text, "IPv6 address (e.g., 2001:db8::33)"),
    Flag::long("ipc", Kind::Text, "IPC mode to use"),
    Flag::long("isolation", Kind::Text, "Container isolation technology"),
    Flag::long("kernel-memory", Kind::Bytes, "Kernel memory limit"),
    Flag::short('l', "label", Kind::List, "Set meta data on a container").checked(check::label),
    Flag::long("label-file", Kind::List, "Read in a line delimited file of labels"),
    Flag::long("link", Kind::List, "Add link to another container").checked(check::link),
    Flag::long("link-local-ip", Kind::List, "Container IPv4/IPv6 link-local addresses"),
    Flag::long("log-driver", Kind::Text, "Logging driver for the container"),
    Flag::long("log-opt", Kind::List, "Log driver options"),
    Flag::long("mac-address", Kind::Text, "Container MAC address (e.g., 92:d0:c6:0a:29:33)"),
    Flag::short('m', "memory", Kind::Bytes, "Memory limit"),
    Flag::long("memory-reservation", Kind::Bytes, "Memory soft limit"),
    Flag::long(
        "memory-swap",
        Kind::SwapBytes,
        "Swap limit equal to memory plus swap: '-1' to enable unlimited swap",
    ),
    Flag::long(
        "memory-swappiness",
        Kind::Int,
        "Tune container memory swappiness (0 to 100) (default -1)",
    ),
    Flag::long("mount", Kind::Mount, "Attach a filesystem mount to the container"),
    Flag::long("name", Kind::Text, "Assign a name to the container"),
    Flag::long("network", Kind::Network, "Connect a container to a network"),
    Flag::long("network-alias", Kind::List, "Add network-scoped alias for the container"),
    Flag::long("no-healthcheck", Kind::Bool, "Disable any container-specified HEALTHCHECK"),
    Flag::long("oom-kill-disable", Kind::Bool, "Disable OOM Killer"),
    Flag::long("oom-score-adj", Kind::Int, "Tune host's OOM preferences (-1000 to 1000)"),
    Flag::long("pid", Kind::Text, "PID namespace to use"),
    Flag::long("pids-limit", Kind::Int, "Tune container pids limit (set -1 for unlimited)"),
    Flag::long("platform", Kind::Text, "Set platform if server is multi-platform capable"),
    Flag::long("privileged", Kind::Bool, "Give extended privileges to this container"),
    Flag::short('p', "publish", Kind::List, "Publish a container's port(s) to the host"),
    Flag::short('P', "publish-all", Kind::Bool, "Publish all exposed ports to random ports"),
    Flag::short('q', "quiet", Kind::Bool, "Suppress the pull output"),
    Flag::long("read-only", Kind::Bool, "Mount the container's root filesystem as read only"),
    Flag::long(
        "restart",
        Kind::Text,
        "Restart policy to apply when a container exits (default \"no\")",
    ),
    Flag::long(
        "rm",
        Kind::Bool,
        "Automatically remove the container and its associated anonymous volumes when it exits",
    ),
    Flag::long("runtime", Kind::Text, "Runtime to use for this container"),
    Flag::long("security-opt", Kind::List, "Security Options"),
    Flag::long("shm-size", Kind::Bytes, "Size of /dev/shm"),
    Flag::long("stop-signal", Kind::Text, "Signal to stop the container"),
    Flag::long("stop-timeout", Kind::Int, "Timeout (in seconds) to stop a container"),
    Flag::long("storage-opt", Kind::List, "Storage driver options for the container"),
    Flag::long("sysctl", Kind::Map, "Sysctl options (default map[])").checked(check::sysctl),
    Flag::long("tmpfs", Kind::List, "Mount a tmpfs directory"),
    Flag::short('t', "tty", Kind::Bool, "Allocate a pseudo-TTY"),
    Flag::long("ulimit", Kind::Ulimit, "Ulimit options (default [])"),
    Flag::long("use-api-socket", Kind::Bool, "Bind mount Docker API socket and required auth"),
    Flag::short('u', "user", Kind::Text, "Username or UID (format: <name|uid>[:<group|gid>])"),
    Flag::long("userns", Kind::Text, "User namespace to use"),
    Flag::long("uts", Kind::Text, "UTS namespace to use"),
    Flag::short('v', "volume", Kind::List, "Bind mount a volume"),
    Flag::long("volume-driver", Kind::Text, "Optional volume driver for the container"),
    Flag::long("volumes-from", Kind::List, "Mount volumes from the specified container(s)"),
    Flag::short('w', "workdir", Kind::Text, "Working directory inside the container"),
];

/// Older names of some of those, which the help does not list.
pub(super) const OLDER_NAMES: &[Flag] = &[
    Flag::alias("net", Kind::Network, "network"),
    Flag::alias("net-alias", Kind::List, "network-alias"),
    Flag::alias("dns-opt", Kind::List, "dns-option"),
];

/// Those `run` alone has.
pub(super) const RUN_ONLY: &[Flag] = &[
    Flag::short('d', "detach", Kind::Bool, "Run container in background and print container ID"),
    Flag::long("detach-keys", Kind::Text, "Override the key sequence for detaching a container"),
    Flag::long(
        "pull",
        Kind::Text,
        "Pull image before running (\"always\", \"missing\", \"never\") (default \"missing\")",
    ),
    Flag::long("sig-proxy", Kind::Bool, "Proxy received signals to the process (default true)"),
];

/// Those `create` alone has.
pub(super) const CREATE_ONLY: &[Flag] = &[Flag::long(
    "pull",
    Kind::Text,
    "Pull image before creating (\"always\", \"|missing\", \"never\") (default \"missing\")",
)];
