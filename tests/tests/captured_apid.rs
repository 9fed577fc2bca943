//! "The API daemon is captured": a client with its uid that speaks the channel directly. Whatever
//! it sends, under the hardened policy it gains nothing (boundary-and-policy, section 3.5).

use bulkhead_proto::*;
use bulkhead_tests::channel::{Channel, as_user};
use bulkhead_tests::{Engine, Policy, Snapshot, need};
use std::os::fd::AsFd;

/// The engine with its API daemon dead, and that daemon's uid.
fn captured() -> (Engine, u32) {
    let engine = Engine::start(Policy::Hardened);
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", engine.pid("apid"))).expect("status");
    let uid = status.lines().find_map(|line| line.strip_prefix("Uid:")).expect("uid");
    let uid = uid.split_whitespace().next().and_then(|uid| uid.parse().ok()).expect("a number");
    assert_ne!(uid, 0, "apid does not run as root");
    engine.kill("apid");
    (engine, uid)
}

fn text<const N: usize>(text: &str) -> ByteString<N> {
    text.try_into().expect("fits")
}

fn container_path(path: &str) -> ContainerPath {
    ContainerPath::new(path.as_bytes()).expect("a path")
}

fn spec() -> ContainerSpec {
    ContainerSpec {
        id: ContainerId::from_bytes([9; 32]),
        layers: List::default(),
        read_only: false,
        process: ProcessSpec {
            args: vec![text("/bin/true")].try_into().expect("one"),
            env: List::default(),
            cwd: container_path("/"),
            user: Name::default(),
            groups: List::default(),
            terminal: None,
            stdin: false,
            cap_add: 0,
            cap_drop: 0,
            no_new_privs: None,
            rlimits: List::default(),
            oom_score_adj: None,
            seccomp: Seccomp::Default,
        },
        hostname: text("box"),
        domainname: ByteString::default(),
        namespaces: Namespaces {
            user: UserMode::Private,
            pid: Share::Private,
            ipc: Share::Private,
            network: NetworkMode::None,
            uts: HostOr::Private,
            cgroup: HostOr::Private,
        },
        mounts: List::default(),
        masked_paths: List::default(),
        readonly_paths: List::default(),
        unmask: false,
        sysctls: List::default(),
        resources: Resources::default(),
        devices: List::default(),
        privileged: false,
        init: false,
        shm_bytes: None,
        endpoints: List::default(),
    }
}

fn bind(source: &str, read_only: bool) -> MountSpec {
    MountSpec::Bind {
        target: container_path("/mnt"),
        source: HostPath::new(source.as_bytes()).expect("a path"),
        read_only,
        propagation: Propagation::Private,
        recursive: true,
        create: false,
    }
}

fn tmpfs(target: &str) -> MountSpec {
    MountSpec::Tmpfs {
        target: container_path(target),
        bytes: None,
        mode: 0o1777,
        read_only: false,
        no_exec: false,
    }
}

type Change = Box<dyn Fn(&mut ContainerSpec)>;

fn change(
    what: &'static str,
    change: impl Fn(&mut ContainerSpec) + 'static,
) -> (&'static str, Change) {
    (what, Box::new(change))
}

/// One row a field of section 3.5 that the channel can express.
fn hostile() -> Vec<(&'static str, Change)> {
    let sysctl = |name: &'static str, value: &'static str| {
        move |spec: &mut ContainerSpec| {
            spec.sysctls =
                vec![Sysctl { name: text(name), value: text(value) }].try_into().expect("one");
        }
    };
    let mount = |mount: fn() -> MountSpec| {
        move |spec: &mut ContainerSpec| spec.mounts = vec![mount()].try_into().expect("one")
    };
    let device = |path: &'static str| {
        move |spec: &mut ContainerSpec| {
            let device = DeviceSpec {
                host: HostPath::new(path.as_bytes()).expect("a path"),
                target: container_path("/dev/x"),
                access: 7,
            };
            spec.devices = vec![device].try_into().expect("one");
        }
    };
    vec![
        change("bind /", mount(|| bind("/", false))),
        change("bind / read-only", mount(|| bind("/", true))),
        change("bind /etc", mount(|| bind("/etc", true))),
        change("bind /proc", mount(|| bind("/proc", true))),
        change("bind /sys", mount(|| bind("/sys/fs/cgroup", false))),
        change("bind /dev", mount(|| bind("/dev", false))),
        change("bind /run", mount(|| bind("/run", false))),
        change("bind the home of root", mount(|| bind("/root", false))),
        change("tmpfs over /proc", mount(|| tmpfs("/proc"))),
        change("tmpfs below /proc", mount(|| tmpfs("/proc/sys"))),
        change("tmpfs over /sys", mount(|| tmpfs("/sys"))),
        change("tmpfs over /dev", mount(|| tmpfs("/dev"))),
        change("tmpfs over /", mount(|| tmpfs("/"))),
        change(
            "file over /dev/null",
            mount(|| MountSpec::File {
                target: container_path("/dev/null"),
                content: ByteString::default(),
                mode: 0o666,
            }),
        ),
        change("the host's disk", device("/dev/vda")),
        change("the host's memory", device("/dev/mem")),
        change("kvm", device("/dev/kvm")),
        change("fuse", device("/dev/fuse")),
        change("a device outside /dev", device("/etc/passwd")),
        change("privileged", |spec| spec.privileged = true),
        change("every capability", |spec| spec.process.cap_add = u64::MAX),
        change("SYS_ADMIN", |spec| spec.process.cap_add = 1 << 21),
        change("SYS_MODULE", |spec| spec.process.cap_add = 1 << 16),
        change("NET_ADMIN", |spec| spec.process.cap_add = 1 << 12),
        change("SYS_PTRACE", |spec| spec.process.cap_add = 1 << 19),
        change("NET_RAW", |spec| spec.process.cap_add = 1 << 13),
        change("the host's user namespace", |spec| spec.namespaces.user = UserMode::Host),
        change("the host's pid namespace", |spec| spec.namespaces.pid = Share::Host),
        change("the host's ipc namespace", |spec| spec.namespaces.ipc = Share::Host),
        change("the host's network", |spec| spec.namespaces.network = NetworkMode::Host),
        change("the host's uts namespace", |spec| spec.namespaces.uts = HostOr::Host),
        change("the host's cgroup namespace", |spec| spec.namespaces.cgroup = HostOr::Host),
        change("a namespace of a container that is not there", |spec| {
            spec.namespaces.network =
                NetworkMode::Container { id: ContainerId::from_bytes([1; 32]) };
        }),
        change("no seccomp", |spec| spec.process.seccomp = Seccomp::Unconfined),
        change("set-id programs count", |spec| spec.process.no_new_privs = Some(false)),
        change("no masked paths", |spec| spec.unmask = true),
        change("core_pattern", sysctl("kernel.core_pattern", "|/tmp/x")),
        change("modprobe", sysctl("kernel.modprobe", "/tmp/x")),
        change(
            "a sysctl with two values",
            sysctl("kernel.shm_rmid_forced", "1+kernel.core_pattern=x"),
        ),
        change("a sysctl path", sysctl("net/ipv4/ip_forward/../../../kernel/core_pattern", "1")),
        change("a limit above root's", |spec| {
            let limit = Rlimit { resource: 7, soft: 1 << 30, hard: 1 << 30 };
            spec.process.rlimits = vec![limit].try_into().expect("one");
        }),
        change("killed last", |spec| spec.process.oom_score_adj = Some(-1000)),
        change("never killed", |spec| spec.resources.oom_kill_disable = true),
        change("processes without limit", |spec| spec.resources.pids = Some(u64::MAX)),
        change("a cpu range that never ends", |spec| {
            spec.resources.cpuset_cpus = Some(text("1-9223372036854775807"));
        }),
        change("a disk of the host's to throttle", |spec| {
            let throttle =
                BlkioThrottle { major: 254, minor: 0, kind: ThrottleKind::ReadBytes, rate: 1 };
            spec.resources.blkio_throttles = vec![throttle].try_into().expect("one");
        }),
        change("a hostname with a newline", |spec| spec.hostname = text("a\nb")),
        change("a layer that is not there", |spec| {
            spec.layers = vec![LayerId::from_bytes([3; 32])].try_into().expect("one");
        }),
        change("a network that is not there", |spec| {
            spec.namespaces.network = NetworkMode::Endpoints;
            let endpoint = Endpoint {
                network: NetworkId::from_bytes([4; 32]),
                ipv4: Ipv4 { address: [10, 0, 0, 2], prefix: 24 },
                mac: [2, 66, 10, 0, 0, 2],
                gateway: true,
            };
            spec.endpoints = vec![endpoint].try_into().expect("one");
        }),
    ]
}

#[test]
fn every_hostile_create_is_refused_and_leaves_nothing() {
    need!("every_hostile_create_is_refused_and_leaves_nothing", root);
    let before = Snapshot::take();
    let (engine, uid) = captured();
    let socket = engine.root().join("run/shim/shim.sock");
    as_user(uid, || {
        let mut channel = Channel::greeted(&socket);
        for (what, change) in hostile() {
            let mut spec = spec();
            change(&mut spec);
            let (reply, fds) = channel.ask(&Request::Create(spec), &[]).expect("an answer");
            assert!(matches!(reply, Reply::Refused { .. }), "{what}: {reply:?}");
            assert!(fds.is_empty(), "{what}");
        }
        let recover = Request::Recover(RecoverRequest { after: None });
        let (reply, _) = channel.ask(&recover, &[]).expect("an answer");
        assert_eq!(reply, Reply::Recovered { known: List::default() }, "nothing was made");
    });
    assert_eq!(Snapshot::take(), before, "the host is as it was");
}

#[test]
fn a_network_may_not_take_over_the_hosts_addresses() {
    need!("a_network_may_not_take_over_the_hosts_addresses", root);
    let (engine, uid) = captured();
    let socket = engine.root().join("run/shim/shim.sock");
    as_user(uid, || {
        let mut channel = Channel::greeted(&socket);
        for (address, prefix) in
            [([127, 0, 0, 1], 8), ([8, 8, 8, 1], 24), ([0, 0, 0, 0], 0), ([224, 0, 0, 1], 8)]
        {
            let network = NetworkSpec {
                id: NetworkId::from_bytes([5; 32]),
                gateway: Ipv4 { address, prefix },
                internal: false,
                inter_container: true,
                masquerade: true,
                mtu: 1500,
                default: false,
            };
            let (reply, _) = channel.ask(&Request::CreateNetwork(network), &[]).expect("an answer");
            assert!(matches!(reply, Reply::Refused { .. }), "{address:?}: {reply:?}");
        }
    });
}

#[test]
fn what_is_not_a_request_closes_the_connection() {
    need!("what_is_not_a_request_closes_the_connection", root);
    let (engine, uid) = captured();
    let socket = engine.root().join("run/shim/shim.sock");
    as_user(uid, || {
        let start = Request::Start(ContainerId::from_bytes([7; 32]));
        let body = start.encode();
        let header =
            |kind, large, length| Header { kind, large, length, sequence: 1 }.to_bytes().to_vec();
        let length = u32::try_from(body.len()).expect("short");
        let null = std::fs::File::open("/dev/null").expect("null");
        let many = [null.as_fd(); 12];
        let mut flipped = header(6, false, length);
        flipped[0] = 9;
        for (what, header, body, fds) in [
            ("nothing but a header", header(6, false, 0), &[][..], &[][..]),
            ("a kind that there is not", header(0x666, false, length), &body[..], &[]),
            ("a reply", header(7, false, length), &body, &[]),
            ("another version", flipped, &body, &[]),
            ("a length that lies", header(6, false, length + 1), &body, &[]),
            ("bytes left over", header(6, false, length + 1), &[&body[..], &[0]].concat(), &[]),
            ("descriptors that do not belong", header(6, false, length), &body, &many[..1]),
            ("twelve descriptors", header(6, false, length), &body, &many),
            ("a large body without a memfd", header(6, true, length), &[], &many[..1]),
            ("a large body without a descriptor", header(6, true, length), &[], &[]),
        ] {
            let channel = Channel::greeted(&socket);
            // Some of these the kernel refuses already.
            let sent = channel.send_raw(&header, body, fds);
            assert!(sent.is_err() || channel.is_closed(), "{what}");
        }
        let channel = Channel::connect(&socket).expect("connect");
        channel.send_raw(&header(6, false, length), &body, &[]).expect("sent");
        assert!(channel.is_closed(), "a request before Hello");
    });
    let audit =
        std::fs::read_to_string(engine.root().join("lib/shim/audit.log")).expect("audit log");
    assert!(audit.lines().filter(|line| line.contains("\"verdict\":\"protocol\"")).count() >= 8);
}

#[test]
fn a_uid_without_a_section_is_not_served() {
    need!("a_uid_without_a_section_is_not_served", root);
    let (engine, _) = captured();
    let socket = engine.root().join("run/shim/shim.sock");
    as_user(65_534, || assert!(Channel::connect(&socket).is_err(), "the socket is its owner's"));
    // Root may open it, and is not admitted either.
    let channel = Channel::connect(&socket).expect("connect");
    assert!(channel.is_closed());
}

#[test]
fn a_second_connection_of_the_same_uid_is_refused() {
    need!("a_second_connection_of_the_same_uid_is_refused", root);
    let (engine, uid) = captured();
    let socket = engine.root().join("run/shim/shim.sock");
    as_user(uid, || {
        let first = Channel::greeted(&socket);
        let second = Channel::connect(&socket).expect("connect");
        assert!(second.is_closed());
        drop(first);
        drop(Channel::greeted(&socket));
    });
}
