//! A container that asks for nothing, to start from.

use bulkhead_policy::proto::*;
use bulkhead_policy::{HostFacts, Peer, Permitted, Policy, Refused, decide};

pub(crate) const UID: u32 = 990;

pub(crate) fn harmless() -> ContainerSpec {
    ContainerSpec {
        id: ContainerId::from_bytes([1; 32]),
        layers: list([LayerId::from_bytes([2; 32])]),
        read_only: false,
        process: process(),
        hostname: text("web-1"),
        domainname: text(""),
        namespaces: Namespaces {
            user: UserMode::Private,
            pid: Share::Private,
            ipc: Share::Private,
            network: NetworkMode::Endpoints,
            uts: HostOr::Private,
            cgroup: HostOr::Private,
        },
        mounts: list([MountSpec::File {
            target: inside("/etc/hosts"),
            content: text("::1 x\n"),
            mode: 0o644,
        }]),
        masked_paths: List::default(),
        readonly_paths: List::default(),
        unmask: false,
        sysctls: List::default(),
        resources: Resources::default(),
        devices: List::default(),
        privileged: false,
        init: false,
        shm_bytes: None,
        endpoints: list([Endpoint {
            network: NetworkId::from_bytes([3; 32]),
            ipv4: Ipv4 { address: [172, 17, 0, 2], prefix: 16 },
            mac: [2, 0, 0, 0, 0, 1],
            gateway: true,
        }]),
    }
}

pub(crate) fn process() -> ProcessSpec {
    ProcessSpec {
        args: list([text("/bin/true")]),
        env: list([text("PATH=/bin")]),
        cwd: inside("/"),
        user: text(""),
        groups: List::default(),
        terminal: None,
        stdin: false,
        cap_add: 0,
        cap_drop: 0,
        no_new_privs: None,
        rlimits: List::default(),
        oom_score_adj: None,
        seccomp: Seccomp::Default,
    }
}

pub(crate) fn exec() -> ExecSpec {
    ExecSpec {
        container: ContainerId::from_bytes([1; 32]),
        exec: ExecId::from_bytes([4; 32]),
        process: process(),
        privileged: false,
    }
}

pub(crate) fn bind(source: &str, target: &str) -> MountSpec {
    MountSpec::Bind {
        target: inside(target),
        source: outside(source),
        read_only: false,
        propagation: Propagation::Private,
        recursive: true,
        create: true,
    }
}

pub(crate) fn network(gateway: [u8; 4], prefix: u8) -> NetworkSpec {
    NetworkSpec {
        id: NetworkId::from_bytes([3; 32]),
        gateway: Ipv4 { address: gateway, prefix },
        internal: false,
        inter_container: true,
        masquerade: true,
        mtu: 1500,
        default: false,
    }
}

pub(crate) fn hardened() -> Policy {
    loaded(Policy::hardened(UID))
}

pub(crate) fn compat() -> Policy {
    loaded(Policy::compat(UID))
}

fn loaded(policy: Policy) -> Policy {
    let own_directories =
        ["/etc/bulkhead", "/run/bulkhead", "/var/lib/bulkhead"].map(outside).into();
    Policy { host: HostFacts { own_directories, cpus: 2 }, ..policy }
}

pub(crate) fn ask(policy: &Policy, request: Request) -> Result<Permitted, Refused> {
    decide(policy, Peer { uid: UID }, request)
}

pub(crate) fn list<T, const N: usize, const MAX: usize>(items: [T; N]) -> List<T, MAX> {
    List::try_from(Vec::from(items)).unwrap_or_else(|_| panic!("fits"))
}

pub(crate) fn text<const MAX: usize>(text: &str) -> ByteString<MAX> {
    ByteString::try_from(text).unwrap()
}

pub(crate) fn inside(path: &str) -> ContainerPath {
    ContainerPath::new(path.as_bytes()).unwrap()
}

pub(crate) fn outside(path: &str) -> HostPath {
    HostPath::new(path.as_bytes()).unwrap()
}
