//! The policy as data: what root lets each peer have. As written by root in `policy.toml`,
//! compiled to a table ([`Policy::to_table`]) by `bulkhead policy compile`.
//!
//! A value is the *limit* of what may be asked for, or the *default* where nothing is asked. What is
//! not said is not allowed.

use crate::effective::BindIdmap;
use bulkhead_proto::{ContainerSpec, HostPath, Ipv4, List, Name, Rlimit, Sysctl, choice, record};

/// The most entries in one list of a policy.
pub const MAX_ENTRIES: usize = 64;

/// Everything that root permits, to everybody who may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The policy's name, for `info`: `hardened`, `compat`, or what its file says.
    pub name: Name,
    /// One section a peer.
    pub sections: List<Section, 16>,
    /// Facts of this host, set at load; not part of the table.
    pub host: HostFacts,
}

/// What decisions depend on beside policy and request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostFacts {
    /// The engine's own directories: configuration, state, sockets. No bind root admits them.
    pub own_directories: Vec<HostPath>,
    /// How many CPUs have a directory in sysfs, for masked paths.
    pub cpus: u32,
}

impl Policy {
    /// The name.
    pub fn name(&self) -> String {
        self.name.to_string()
    }

    /// The section of a peer, if it may ask for anything at all.
    pub fn section(&self, uid: u32) -> Option<&Section> {
        self.sections.iter().find(|section| section.uid == uid)
    }

    /// Whether the peer has a section.
    pub fn admits(&self, uid: u32) -> bool {
        self.section(uid).is_some()
    }

    /// Whether the peer's containers get `no_new_privs` when nothing is asked.
    pub fn default_no_new_privs(&self, uid: u32) -> bool {
        self.section(uid).is_none_or(|section| section.no_new_privs.default)
    }

    /// The limit of processes of the peer's containers when nothing is asked; 0: none.
    pub fn default_pids(&self, uid: u32) -> u64 {
        match self.section(uid).map(|section| section.resources.pids_default) {
            None | Some(u64::MAX) => 0,
            Some(pids) => pids,
        }
    }
}

record! {
    /// What one peer may have.
    pub struct Section {
        /// The peer: the uid of an apid.
        0 uid: u32,
        /// Directories of the host from which bind mounts may be made.
        1 binds: List<BindRoot, MAX_ENTRIES>,
        /// Other mounts.
        2 mounts: Mounts,
        /// Devices of the host.
        3 devices: List<DeviceRoot, MAX_ENTRIES>,
        /// Docker's `--privileged`.
        4 privileged: Privileged,
        /// Docker's `exec --privileged`.
        5 exec_privileged: bool,
        /// Capabilities.
        6 capabilities: Capabilities,
        /// Namespaces of others.
        7 namespaces: Sharing,
        /// System-call filters.
        8 seccomp: Filters,
        /// `PR_SET_NO_NEW_PRIVS`.
        9 no_new_privs: NoNewPrivs,
        /// Kernel parameters.
        10 sysctls: Sysctls,
        /// `setrlimit(2)`.
        11 rlimits: Rlimits,
        /// The kernel's choice of victim when memory ends.
        12 oom: Oom,
        /// The cgroup's limits.
        13 resources: Limits,
        /// Bridge networks.
        14 networks: Networks,
        /// Image layers.
        15 images: Images,
        /// How many of what at once. The shim counts.
        16 counts: Counts,
        /// Dangerous containers that may be, exactly as written.
        17 grants: List<Grant, MAX_ENTRIES>,
    }
}

record! {
    /// A directory or file of the host, and how it and what is below it may be mounted. Where
    /// several hold, the longest counts.
    pub struct BindRoot {
        /// The directory.
        0 source: HostPath,
        /// The container may never write.
        1 read_only: bool,
        /// How ids of files appear.
        2 idmap: BindIdmap,
        /// No program may be executed from it.
        3 no_exec: bool,
        /// Set-id bits count.
        4 suid: bool,
        /// Device nodes work.
        5 dev: bool,
        /// Other file systems mounted below it may be entered.
        6 cross_mounts: bool,
        /// A source that is missing is created: owner and permission bits.
        7 create: Option<CreateRule>,
        /// Mounts made on the host later may appear in the container.
        8 slave: bool,
        /// Mounts made in the container may appear on the host.
        9 shared: bool,
        /// The host's own directories (`/etc`, `/usr`, `/run`, `/var/lib`...) may be had too
        /// although they are below this root, not at it.
        10 system: bool,
    }
}

record! {
    /// How a missing bind source is created.
    #[derive(Copy)]
    pub struct CreateRule {
        /// Owner, user and group.
        0 uid: u32,
        /// Permission bits.
        1 mode: u32,
    }
}

record! {
    /// Mounts that are no bind mounts.
    #[derive(Copy)]
    pub struct Mounts {
        /// The largest tmpfs in bytes; `u64::MAX`: no limit of ours.
        0 tmpfs_bytes: u64,
        /// The largest `/dev/shm` in bytes.
        1 shm_bytes: u64,
        /// `systempaths=unconfined`: no masked and read-only paths.
        2 unmask: bool,
    }
}

record! {
    /// A device node below `/dev`, or a directory of such.
    pub struct DeviceRoot {
        /// The node or directory.
        0 path: HostPath,
        /// Bits: 1 mknod, 2 read, 4 write.
        1 access: u8,
        /// Block devices too: whoever writes to one owns the file system on it.
        2 block: bool,
    }
}

choice! {
    /// What `--privileged` may mean.
    #[derive(Copy)]
    pub enum Privileged {
        /// Nothing.
        0 Never,
        /// All capabilities in the container's own user namespace; no devices.
        1 UsernsOnly,
        /// What it means to Docker.
        2 Host,
    }
}

record! {
    /// Sets of capabilities, bits as in `capability.h`.
    #[derive(Copy)]
    pub struct Capabilities {
        /// What a container has if it does not ask.
        0 default: u64,
        /// The most it may have in its own user namespace.
        1 max: u64,
        /// The most it may have in the host's user namespace.
        2 max_host_userns: u64,
    }
}

record! {
    /// Which namespaces of others a container may be in.
    #[derive(Copy)]
    pub struct Sharing {
        /// `UsernsMode=host`
        0 user_host: bool,
        /// `PidMode=host`
        1 pid_host: bool,
        /// `IpcMode=host`
        2 ipc_host: bool,
        /// `NetworkMode=host`
        3 network_host: bool,
        /// `UTSMode=host`
        4 uts_host: bool,
        /// `CgroupnsMode=host`
        5 cgroup_host: bool,
        /// `container:ID` of the same peer, for pid, ipc and network.
        6 join: bool,
    }
}

record! {
    /// Which system-call filters may be asked for.
    #[derive(Copy)]
    pub struct Filters {
        /// None but the floor.
        0 unconfined: bool,
        /// One's own, on top of the default.
        1 program: bool,
        /// One's own replaces the default.
        2 replace_default: bool,
    }
}

record! {
    /// `PR_SET_NO_NEW_PRIVS`
    #[derive(Copy)]
    pub struct NoNewPrivs {
        /// When nothing is asked.
        0 default: bool,
        /// It may be asked to be off.
        1 may_be_off: bool,
    }
}

record! {
    /// Kernel parameters.
    pub struct Sysctls {
        /// Names that may be asked for; one that ends in `*` is a prefix. Only parameters that
        /// belong to a namespace ever pass, whatever stands here.
        0 allow: List<Name, MAX_ENTRIES>,
        /// Set where the container has the namespace and does not ask otherwise.
        1 set: List<Sysctl, 16>,
    }
}

record! {
    /// Resource limits.
    pub struct Rlimits {
        /// Set when nothing is asked.
        0 default: List<Rlimit, 16>,
        /// The highest values that may be asked for; a resource that is missing may not.
        1 max: List<Rlimit, 16>,
    }
}

record! {
    /// The kernel's choice of victim when memory ends.
    #[derive(Copy)]
    pub struct Oom {
        /// The lowest `oom_score_adj` that may be asked for; -1000 to 1000.
        0 score_adj_min: i16,
        /// `OomKillDisable`
        1 kill_disable: bool,
    }
}

record! {
    /// The cgroup's limits.
    pub struct Limits {
        /// The most memory in bytes; also the default.
        0 memory: Option<u64>,
        /// The most memory and swap in bytes; `u64::MAX`: no limit of ours.
        1 memory_and_swap: u64,
        /// The most CPU time in thousandths of a CPU; also the default.
        2 cpus_milli: Option<u64>,
        /// Processes when nothing is asked; `u64::MAX`: without limit.
        3 pids_default: u64,
        /// The most processes.
        4 pids: u64,
        /// Block devices whose throughput may be limited.
        5 block_io: BlockIo,
    }
}

choice! {
    /// Block devices.
    pub enum BlockIo {
        /// Any.
        0 Any,
        /// These.
        1 Listed {
            /// Which.
            devices: List<DeviceNumber, MAX_ENTRIES>,
        },
    }
}

record! {
    /// A device by number.
    #[derive(Copy)]
    pub struct DeviceNumber {
        /// Major.
        0 major: u32,
        /// Minor.
        1 minor: u32,
    }
}

record! {
    /// Bridge networks.
    pub struct Networks {
        /// Networks beside the default one may be made.
        0 create: bool,
        /// Where their subnets, and all addresses of containers, must lie.
        1 pools: List<Ipv4, 16>,
    }
}

record! {
    /// Image layers.
    #[derive(Copy)]
    pub struct Images {
        /// The most bytes that the files of one layer may have.
        0 layer_bytes: u64,
    }
}

record! {
    /// How many of what at once.
    #[derive(Copy)]
    pub struct Counts {
        /// Containers that are not removed.
        0 containers: u32,
        /// Execs running in one container.
        1 execs: u32,
        /// Layers in the store.
        2 layers: u32,
        /// Networks, the default one included.
        3 networks: u32,
    }
}

record! {
    /// One container that may be although the rest of the section denies it. A request must be
    /// the same in everything that decides what runs and with which rights.
    pub struct Grant {
        /// For the audit log.
        0 name: Name,
        /// What is pinned; see `grant.rs` for which fields count.
        1 spec: ContainerSpec,
        /// For bind mounts of the spec: how they are admitted. Here even the engine's own
        /// directories may stand.
        2 binds: List<BindRoot, MAX_ENTRIES>,
        /// Leave out even the constant system-call filter.
        3 without_floor: bool,
        /// `exec` into it is admitted.
        4 exec: bool,
        /// The most such containers at once.
        5 instances: u32,
    }
}
