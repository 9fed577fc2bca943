//! The two policies that ship. `presets/*.toml` beside are the same as files with comments.

use crate::capability;
use crate::effective::BindIdmap;
use crate::policy::{
    BindRoot, BlockIo, Capabilities, Counts, CreateRule, DeviceRoot, Filters, HostFacts, Images,
    Limits, Mounts, Networks, NoNewPrivs, Oom, Policy, Privileged, Rlimits, Section, Sharing,
    Sysctls,
};
use bulkhead_proto::{ByteString, HostPath, Ipv4, List, Rlimit, Sysctl};

/// `RLIMIT_CORE` and `RLIMIT_NOFILE` of `asm-generic/resource.h`.
const CORE: u8 = 4;
const NOFILE: u8 = 7;
const NO_LIMIT: u64 = u64::MAX;
/// systemd's defaults, which daemons are written for.
const FILES: Rlimit = Rlimit { resource: NOFILE, soft: 1024, hard: 524_288 };

/// Subnets that are private (RFC 1918).
const PRIVATE: [Ipv4; 3] = [
    Ipv4 { address: [10, 0, 0, 0], prefix: 8 },
    Ipv4 { address: [172, 16, 0, 0], prefix: 12 },
    Ipv4 { address: [192, 168, 0, 0], prefix: 16 },
];

impl Policy {
    /// Nothing of the host's for the peer of this uid; the default of an installed host.
    pub fn hardened(uid: u32) -> Self {
        Self::of("hardened", Section::hardened(uid))
    }

    /// What Docker allows, but for the floor: the engine's own directories, `/`, `/proc`, `/sys` and
    /// `/dev` are not bind-mounted, and the constant system-call filter stays.
    pub fn compat(uid: u32) -> Self {
        Self::of("compat", Section::compat(uid))
    }

    fn of(name: &str, section: Section) -> Self {
        Self { name: known(name), sections: list([section]), host: HostFacts::default() }
    }
}

impl Section {
    /// See [`Policy::hardened`].
    pub fn hardened(uid: u32) -> Self {
        let none = BlockIo::Listed { devices: List::default() };
        Self {
            uid,
            binds: List::default(),
            mounts: Mounts { tmpfs_bytes: 1 << 30, shm_bytes: 1 << 30, unmask: false },
            devices: List::default(),
            privileged: Privileged::Never,
            exec_privileged: false,
            capabilities: Capabilities {
                default: capability::HARDENED,
                max: capability::HARDENED,
                max_host_userns: capability::HARDENED & !capability::HOST_FATAL,
            },
            namespaces: Sharing {
                user_host: false,
                pid_host: false,
                ipc_host: false,
                network_host: false,
                uts_host: false,
                cgroup_host: false,
                join: true,
            },
            seccomp: Filters { unconfined: false, program: true, replace_default: false },
            no_new_privs: NoNewPrivs { default: true, may_be_off: false },
            sysctls: sysctls(
                "net.core.somaxconn net.ipv4.tcp_* net.ipv4.ip_local_port_range \
                net.ipv4.ip_unprivileged_port_start net.ipv4.ping_group_range \
                net.ipv6.conf.all.disable_ipv6 kernel.shm* kernel.msg* kernel.sem fs.mqueue.*",
            ),
            rlimits: Rlimits {
                default: list([Rlimit { resource: CORE, soft: 0, hard: 0 }, FILES]),
                max: unlimited(&[(CORE, 0), (NOFILE, 1 << 20), (8, 64 << 20), (13, 20), (14, 0)]),
            },
            oom: Oom { score_adj_min: 0, kill_disable: false },
            resources: limits(512, 4096, none),
            networks: Networks {
                create: true,
                pools: list([Ipv4 { address: [172, 16, 0, 0], prefix: 12 }]),
            },
            images: Images { layer_bytes: 16 << 30 },
            counts: Counts { containers: 256, execs: 32, layers: 4096, networks: 32 },
            grants: List::default(),
        }
    }

    /// See [`Policy::compat`].
    pub fn compat(uid: u32) -> Self {
        Self {
            uid,
            binds: anywhere(),
            mounts: Mounts { tmpfs_bytes: NO_LIMIT, shm_bytes: NO_LIMIT, unmask: true },
            devices: HostPath::new(b"/dev")
                .map(|path| list([DeviceRoot { path, access: 7, block: true }]))
                .unwrap_or_default(),
            privileged: Privileged::Host,
            exec_privileged: true,
            capabilities: Capabilities {
                default: capability::DOCKER,
                max: capability::ALL,
                max_host_userns: capability::ALL,
            },
            namespaces: Sharing {
                user_host: true,
                pid_host: true,
                ipc_host: true,
                network_host: true,
                uts_host: true,
                cgroup_host: true,
                join: true,
            },
            seccomp: Filters { unconfined: true, program: true, replace_default: true },
            no_new_privs: NoNewPrivs { default: false, may_be_off: true },
            sysctls: sysctls("net.* kernel.* fs.mqueue.*"),
            rlimits: Rlimits { default: list([FILES]), max: unlimited(&[]) },
            oom: Oom { score_adj_min: -1000, kill_disable: true },
            resources: limits(NO_LIMIT, NO_LIMIT, BlockIo::Any),
            networks: Networks { create: true, pools: list(PRIVATE) },
            images: Images { layer_bytes: 64 << 30 },
            counts: Counts { containers: 2048, execs: 1024, layers: 32_768, networks: 256 },
            grants: List::default(),
        }
    }
}

fn anywhere() -> List<BindRoot, 64> {
    let root = HostPath::new(b"/").map(|source| BindRoot {
        source,
        read_only: false,
        idmap: BindIdmap::Full,
        no_exec: false,
        suid: true,
        dev: false,
        cross_mounts: true,
        create: Some(CreateRule { uid: 0, mode: 0o755 }),
        slave: true,
        shared: true,
        system: true,
    });
    root.map(|root| list([root])).unwrap_or_default()
}

fn limits(pids_default: u64, pids: u64, block_io: BlockIo) -> Limits {
    let (memory, cpus_milli) = (None, None);
    Limits { memory, memory_and_swap: NO_LIMIT, cpus_milli, pids_default, pids, block_io }
}

/// What Docker sets too: a program without rights may bind ports below 1024 and `ping` needs no
/// capability, in its own network namespace. Groups above 65535 are not mapped.
fn sysctls(allow: &str) -> Sysctls {
    let set = |name: &str, value: &str| Sysctl { name: known(name), value: known(value) };
    let allow: Vec<_> = allow.split_ascii_whitespace().map(known).collect();
    Sysctls {
        allow: List::try_from(allow).unwrap_or_default(),
        set: list([
            set("net.ipv4.ip_unprivileged_port_start", "0"),
            set("net.ipv4.ping_group_range", "0 65535"),
        ]),
    }
}

/// No limit but for these resources.
fn unlimited(but: &[(u8, u64)]) -> List<Rlimit, 16> {
    let max = |resource| {
        let limit =
            but.iter().find(|(but, _)| *but == resource).map_or(NO_LIMIT, |(_, most)| *most);
        Rlimit { resource, soft: limit, hard: limit }
    };
    List::try_from((0..16).map(max).collect::<Vec<_>>()).unwrap_or_default()
}

/// A constant of this file that fits.
fn known<const N: usize>(text: &str) -> ByteString<N> {
    ByteString::try_from(text).unwrap_or_default()
}

fn list<T, const N: usize, const MAX: usize>(items: [T; N]) -> List<T, MAX> {
    List::try_from(Vec::from(items)).unwrap_or_default()
}
