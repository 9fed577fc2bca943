//! What a container is, as far as root needs to know. No image names, no restart policy, no HTTP.
//!
//! apid says what its client asked for; *absent means the policy's default*, and whatever is asked
//! beyond the default is decided by `bulkhead_policy::decide`.

use crate::bounded::{ByteString, List};
use crate::codec::{choice, record};
use crate::id::{ContainerId, LayerId, NetworkId};
use crate::path::{ContainerPath, HostPath};

/// The most layers below one container: overlayfs takes 500, Docker 125.
pub const MAX_LAYERS: usize = 128;
/// The most arguments or environment variables.
pub const MAX_STRINGS: usize = 8192;
/// The longest argument or environment variable: Linux's `MAX_ARG_STRLEN` less the NUL.
pub const MAX_STRING_BYTES: usize = 131_071;
/// The most mounts that one container may ask for.
pub const MAX_MOUNTS: usize = 128;
/// The longest text of an engine-made file (`/etc/hosts`, `/etc/resolv.conf`).
pub const MAX_FILE_BYTES: usize = 32 * 1024;

/// An argument or an environment variable.
pub type Argument = ByteString<MAX_STRING_BYTES>;
/// A short name: a user, a group, a sysctl.
pub type Name = ByteString<256>;

record! {
    /// All that root is asked to do for one container.
    pub struct ContainerSpec {
        /// The container's name everywhere below apid.
        0 id: ContainerId,
        /// Image layers, the lowest first. The shim holds them by id; apid cannot name a directory.
        1 layers: List<LayerId, MAX_LAYERS>,
        /// The root filesystem is read-only.
        2 read_only: bool,
        /// The first process.
        3 process: ProcessSpec,
        /// `hostname(7)`; RFC 1123 bytes, at most 64.
        4 hostname: ByteString<64>,
        /// NIS domain name; empty: none.
        5 domainname: ByteString<64>,
        /// Which namespaces are its own.
        6 namespaces: Namespaces,
        /// Mounts beside the root, in the order in which they are made.
        7 mounts: List<MountSpec, MAX_MOUNTS>,
        /// Paths to mask beside the built-in ones.
        8 masked_paths: List<ContainerPath, 64>,
        /// Paths to make read-only beside the built-in ones.
        9 readonly_paths: List<ContainerPath, 64>,
        /// Docker's `systempaths=unconfined`: no masked and no read-only paths.
        10 unmask: bool,
        /// Names and values below `/proc/sys`.
        11 sysctls: List<Sysctl, 64>,
        /// Limits of the cgroup.
        12 resources: Resources,
        /// Host devices to bring in beside the built-in ones (`null zero full random urandom tty`).
        13 devices: List<DeviceSpec, 64>,
        /// Docker's `--privileged`.
        14 privileged: bool,
        /// Run the built-in init as pid 1 and the program as its child (Docker's `--init`).
        15 init: bool,
        /// Size of `/dev/shm` in bytes; none: 64 MiB.
        16 shm_bytes: Option<u64>,
        /// Network endpoints; only with [`NetworkMode::Endpoints`].
        17 endpoints: List<Endpoint, 32>,
    }
}

record! {
    /// One process to run.
    pub struct ProcessSpec {
        /// Program and arguments; the program is looked up in `PATH` inside the container.
        0 args: List<Argument, MAX_STRINGS>,
        /// `NAME=value` strings. `HOME` is added from the container's passwd file if missing.
        1 env: List<Argument, MAX_STRINGS>,
        /// Working directory; created, owned by the user, when it is not there.
        2 cwd: ContainerPath,
        /// `user`, `uid`, `user:group`, `uid:gid`, as Docker writes it; empty: root. Resolved in
        /// the container's own passwd and group files.
        3 user: Name,
        /// Supplementary groups, names or numbers.
        4 groups: List<Name, 64>,
        /// A terminal of this size; none: three pipes.
        5 terminal: Option<TerminalSize>,
        /// Keep standard input open; otherwise it is `/dev/null`.
        6 stdin: bool,
        /// Capabilities to add to the policy's default set: bits as in `capability.h`.
        7 cap_add: u64,
        /// Capabilities to take from it. Taken after adding.
        8 cap_drop: u64,
        /// `PR_SET_NO_NEW_PRIVS`; none: as the policy says.
        9 no_new_privs: Option<bool>,
        /// Resource limits beside the policy's.
        10 rlimits: List<Rlimit, 16>,
        /// `/proc/PID/oom_score_adj`; none: 0.
        11 oom_score_adj: Option<i16>,
        /// Which system calls are admitted.
        12 seccomp: Seccomp,
    }
}

record! {
    /// The size of a terminal in characters.
    #[derive(Copy)]
    pub struct TerminalSize {
        /// Lines.
        0 rows: u16,
        /// Characters a line.
        1 columns: u16,
    }
}

choice! {
    /// The system-call filter on top of the shim's own constant floor.
    #[derive(Copy)]
    pub enum Seccomp {
        /// The built-in default profile.
        0 Default,
        /// Only the floor (Docker's `seccomp=unconfined`); by policy.
        1 Unconfined,
        /// A classic BPF program in a sealed memfd, the message's first descriptor; stacked on
        /// the floor and, unless the policy admits replacing it, on the default profile.
        2 Program,
    }
}

record! {
    /// One limit of `setrlimit(2)`.
    #[derive(Copy)]
    pub struct Rlimit {
        /// `RLIMIT_*` as in `resource.h`.
        0 resource: u8,
        /// The soft limit; `u64::MAX`: none.
        1 soft: u64,
        /// The hard limit; `u64::MAX`: none.
        2 hard: u64,
    }
}

record! {
    /// Which namespaces a container has.
    #[derive(Copy)]
    pub struct Namespaces {
        /// `user_namespaces(7)`.
        0 user: UserMode,
        /// `pid_namespaces(7)`.
        1 pid: Share,
        /// `ipc_namespaces(7)`.
        2 ipc: Share,
        /// `network_namespaces(7)`.
        3 network: NetworkMode,
        /// `uts_namespaces(7)`: its own, or the host's.
        4 uts: HostOr,
        /// `cgroup_namespaces(7)`: its own, or the host's.
        5 cgroup: HostOr,
    }
}

choice! {
    /// How user ids of the container map to the host's.
    #[derive(Copy)]
    pub enum UserMode {
        /// Its own range of 65,536 ids, leased by the shim.
        0 Private,
        /// No user namespace (Docker's `--userns=host`); by policy.
        1 Host,
    }
}

choice! {
    /// Whose namespace.
    #[derive(Copy)]
    pub enum Share {
        /// Its own.
        0 Private,
        /// The host's; by policy.
        1 Host,
        /// Another container's.
        2 Container {
            /// Which.
            id: ContainerId,
        },
    }
}

choice! {
    /// Its own, or the host's.
    #[derive(Copy)]
    pub enum HostOr {
        /// Its own.
        0 Private,
        /// The host's; by policy.
        1 Host,
    }
}

choice! {
    /// What the container sees of networks.
    #[derive(Copy)]
    pub enum NetworkMode {
        /// Its own namespace with loopback and nothing else.
        0 None,
        /// The host's; by policy.
        1 Host,
        /// Another container's.
        2 Container {
            /// Which.
            id: ContainerId,
        },
        /// Its own namespace with [`ContainerSpec::endpoints`].
        3 Endpoints,
    }
}

record! {
    /// An interface of the container on one network.
    #[derive(Copy)]
    pub struct Endpoint {
        /// Which network: made before by [`crate::Request::CreateNetwork`].
        0 network: NetworkId,
        /// Its address there.
        1 ipv4: Ipv4,
        /// Its hardware address: locally administered, unicast.
        2 mac: [u8; 6],
        /// The default route leads here.
        3 gateway: bool,
    }
}

record! {
    /// An IPv4 address with its prefix length.
    #[derive(Copy)]
    pub struct Ipv4 {
        /// Network byte order.
        0 address: [u8; 4],
        /// 0 to 32.
        1 prefix: u8,
    }
}

record! {
    /// A bridge network.
    #[derive(Copy)]
    pub struct NetworkSpec {
        /// Its name below apid.
        0 id: NetworkId,
        /// The bridge's own address, the gateway of its containers, with the subnet's prefix.
        1 gateway: Ipv4,
        /// No masquerade and no route to the outside.
        2 internal: bool,
        /// Containers on it may reach each other.
        3 inter_container: bool,
        /// Source addresses are translated on the way out.
        4 masquerade: bool,
        /// Maximum transmission unit in bytes.
        5 mtu: u32,
        /// The engine's default bridge, which has a name that an administrator knows.
        6 default: bool,
    }
}

choice! {
    /// One mount in the container.
    pub enum MountSpec {
        /// A `tmpfs(5)`; always nosuid and nodev.
        0 Tmpfs {
            /// Where.
            target: ContainerPath,
            /// At most this many bytes; none: half of the host's memory, as Linux does.
            bytes: Option<u64>,
            /// Permission bits of its root, e.g. 0o1777.
            mode: u32,
            /// Not writable.
            read_only: bool,
            /// No program may be executed from it.
            no_exec: bool,
        },
        /// A directory or file of the host; only below a root that the policy names.
        1 Bind {
            /// Where.
            target: ContainerPath,
            /// What.
            source: HostPath,
            /// Not writable, mounts below it included.
            read_only: bool,
            /// How mounts and unmounts travel.
            propagation: Propagation,
            /// Mounts below the source come along.
            recursive: bool,
            /// The source is created, a directory of the container's root, if missing; by policy.
            create: bool,
        },
        /// A file that the engine writes, on a private tmpfs: never through a link of the image.
        2 File {
            /// Where.
            target: ContainerPath,
            /// What it says.
            content: ByteString<MAX_FILE_BYTES>,
            /// Permission bits, e.g. 0o644.
            mode: u32,
        },
        /// A named volume, held by the shim by name.
        3 Volume {
            /// Where.
            target: ContainerPath,
            /// Which.
            name: Name,
            /// Not writable.
            read_only: bool,
            /// The image's files at the target are copied in while the volume is empty.
            copy_up: bool,
        },
    }
}

choice! {
    /// `mount_namespaces(7)`: propagation of a bind mount.
    #[derive(Copy)]
    pub enum Propagation {
        /// Neither way.
        0 Private,
        /// From the host into the container; by policy.
        1 Slave,
        /// Both ways; by policy.
        2 Shared,
    }
}

record! {
    /// A kernel parameter below `/proc/sys`.
    pub struct Sysctl {
        /// With dots: `net.ipv4.ip_forward`.
        0 name: Name,
        /// Digits, blanks and `-` only.
        1 value: Name,
    }
}

record! {
    /// A device of the host.
    pub struct DeviceSpec {
        /// On the host, below `/dev`.
        0 host: HostPath,
        /// In the container, below `/dev`.
        1 target: ContainerPath,
        /// Bits: 1 mknod, 2 read, 4 write.
        2 access: u8,
    }
}

record! {
    /// Limits of a cgroup. What is `None` is not limited, or is as the policy says.
    #[derive(Default)]
    pub struct Resources {
        /// Memory in bytes (`memory.max`).
        0 memory: Option<u64>,
        /// Memory and swap together in bytes; `u64::MAX`: swap without limit.
        1 memory_and_swap: Option<u64>,
        /// Soft limit in bytes (`memory.low`, v1 `memory.soft_limit_in_bytes`).
        2 memory_reservation: Option<u64>,
        /// Docker's relative weight, 2 to 262144 (v2: converted to `cpu.weight`).
        3 cpu_shares: Option<u64>,
        /// Microseconds of CPU time in a period.
        4 cpu_quota_us: Option<u64>,
        /// The period in microseconds, 1,000 to 1,000,000.
        5 cpu_period_us: Option<u64>,
        /// CPUs it may use, as in `cpuset(7)`: `0-3,7`.
        6 cpuset_cpus: Option<ByteString<1024>>,
        /// Memory nodes it may use.
        7 cpuset_mems: Option<ByteString<1024>>,
        /// Processes and threads; `u64::MAX`: without limit, by policy. None: the policy's default.
        8 pids: Option<u64>,
        /// Relative block I/O weight, 10 to 1000.
        9 blkio_weight: Option<u16>,
        /// Block I/O limits by device.
        10 blkio_throttles: List<BlkioThrottle, 64>,
        /// The kernel's OOM killer is off for it (cgroup v1 only); by policy.
        11 oom_kill_disable: bool,
    }
}

record! {
    /// One limit on one block device.
    #[derive(Copy)]
    pub struct BlkioThrottle {
        /// Major device number.
        0 major: u32,
        /// Minor device number.
        1 minor: u32,
        /// What is limited.
        2 kind: ThrottleKind,
        /// Bytes or operations a second.
        3 rate: u64,
    }
}

choice! {
    /// What a block I/O limit counts.
    #[derive(Copy)]
    pub enum ThrottleKind {
        /// Bytes read a second.
        0 ReadBytes,
        /// Bytes written a second.
        1 WriteBytes,
        /// Read operations a second.
        2 ReadOperations,
        /// Write operations a second.
        3 WriteOperations,
    }
}

record! {
    /// A process to start in a running container. It gets the container's namespaces, cgroup,
    /// system-call filter and, at most, its capabilities.
    pub struct ExecSpec {
        /// Where.
        0 container: ContainerId,
        /// Its name below apid.
        1 exec: crate::id::ExecId,
        /// What to run; an empty user: the container's own; an empty `cwd` is not possible, apid
        /// sends the container's.
        2 process: ProcessSpec,
        /// Docker's `exec --privileged`; by policy.
        3 privileged: bool,
    }
}
