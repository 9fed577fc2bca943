//! Every way to root that a request can write, one row each: what the hardened policy says, and
//! whether the compatible one lets it pass as Docker would.

use crate::request::*;
use bulkhead_policy::proto::*;
use bulkhead_policy::{Permitted, Policy, RULES, Refused, capability};

struct Row {
    ask: fn(&mut ContainerSpec),
    field: &'static str,
    rule: &'static str,
    /// Docker allows it, and so does `compat`.
    compat: bool,
}

const ROWS: &[Row] = &[
    // Binds.
    row(
        |spec| spec.mounts = list([bind("/srv", "/x")]),
        "HostConfig.Binds=/srv",
        "bind.root",
        true,
    ),
    row(
        |spec| spec.mounts = list([bind("/etc/cron.d", "/x")]),
        "HostConfig.Binds=/etc/cron.d",
        "bind.root",
        true,
    ),
    row(|spec| spec.mounts = list([bind("/", "/x")]), "HostConfig.Binds=/", "bind.floor", false),
    row(
        |spec| spec.mounts = list([bind("/proc/1", "/x")]),
        "HostConfig.Binds=/proc/1",
        "bind.floor",
        false,
    ),
    row(
        |spec| spec.mounts = list([bind("/sys", "/x")]),
        "HostConfig.Binds=/sys",
        "bind.floor",
        false,
    ),
    row(
        |spec| spec.mounts = list([bind("/dev/sda", "/x")]),
        "HostConfig.Binds=/dev/sda",
        "bind.floor",
        false,
    ),
    row(
        |spec| spec.mounts = list([bind("/run/bulkhead/api/docker.sock", "/x")]),
        "HostConfig.Binds=/run/bulkhead/api/docker.sock",
        "bind.floor",
        false,
    ),
    row(
        |spec| spec.mounts = list([bind("/var/lib/bulkhead/shim/layers", "/x")]),
        "HostConfig.Binds=/var/lib/bulkhead/shim/layers",
        "bind.floor",
        false,
    ),
    row(
        |spec| spec.mounts = list([bind("/var/lib", "/x")]),
        "HostConfig.Binds=/var/lib",
        "bind.floor",
        false,
    ),
    row(
        |spec| spec.mounts = list([bind("/var", "/x")]),
        "HostConfig.Binds=/var",
        "bind.floor",
        false,
    ),
    // Other mounts.
    row(
        |spec| spec.mounts = list([tmpfs("/proc", None)]),
        "HostConfig.Mounts.Target=/proc",
        "mount.target",
        false,
    ),
    row(
        |spec| spec.mounts = list([tmpfs("/sys/fs/cgroup", None)]),
        "HostConfig.Mounts.Target=/sys/fs/cgroup",
        "mount.target",
        false,
    ),
    row(
        |spec| spec.mounts = list([volume("/dev/pts")]),
        "HostConfig.Mounts.Target=/dev/pts",
        "mount.target",
        false,
    ),
    row(
        |spec| spec.mounts = list([volume("/")]),
        "HostConfig.Mounts.Target=/",
        "mount.target",
        false,
    ),
    row(
        |spec| spec.mounts = list([tmpfs("/x", Some(1 << 40))]),
        "HostConfig.Tmpfs=/x:size=1099511627776",
        "tmpfs.max",
        true,
    ),
    row(|spec| spec.shm_bytes = Some(1 << 40), "HostConfig.ShmSize=1099511627776", "shm.max", true),
    // Devices.
    row(
        |spec| spec.devices = list([device("/dev/sda")]),
        "HostConfig.Devices=/dev/sda",
        "device",
        true,
    ),
    row(
        |spec| spec.devices = list([device("/dev/kvm")]),
        "HostConfig.Devices=/dev/kvm",
        "device",
        true,
    ),
    // Rights.
    row(|spec| spec.privileged = true, "HostConfig.Privileged=true", "privileged", true),
    row(|spec| spec.process.cap_add = 1 << 21, "HostConfig.CapAdd=CAP_SYS_ADMIN", "caps.max", true),
    row(
        |spec| spec.process.cap_add = 1 << 2,
        "HostConfig.CapAdd=CAP_DAC_READ_SEARCH",
        "caps.max",
        true,
    ),
    row(|spec| spec.process.cap_add = 1 << 13, "HostConfig.CapAdd=CAP_NET_RAW", "caps.max", true),
    row(
        |spec| spec.process.cap_add = capability::ALL,
        "HostConfig.CapAdd=CAP_DAC_READ_SEARCH",
        "caps.max",
        true,
    ),
    row(
        |spec| spec.process.no_new_privs = Some(false),
        "HostConfig.SecurityOpt=no-new-privileges=false",
        "no_new_privs",
        true,
    ),
    row(
        |spec| spec.process.seccomp = Seccomp::Unconfined,
        "HostConfig.SecurityOpt=seccomp=unconfined",
        "seccomp.unconfined",
        true,
    ),
    row(|spec| spec.unmask = true, "HostConfig.SecurityOpt=systempaths=unconfined", "unmask", true),
    // Namespaces.
    row(
        |spec| spec.namespaces.user = UserMode::Host,
        "HostConfig.UsernsMode=host",
        "userns.host",
        true,
    ),
    row(|spec| spec.namespaces.pid = Share::Host, "HostConfig.PidMode=host", "pidns.host", true),
    row(|spec| spec.namespaces.ipc = Share::Host, "HostConfig.IpcMode=host", "ipcns.host", true),
    row(
        |spec| {
            spec.namespaces.network = NetworkMode::Host;
            spec.endpoints = List::default();
        },
        "HostConfig.NetworkMode=host",
        "netns.host",
        true,
    ),
    row(|spec| spec.namespaces.uts = HostOr::Host, "HostConfig.UTSMode=host", "utsns.host", true),
    row(
        |spec| spec.namespaces.cgroup = HostOr::Host,
        "HostConfig.CgroupnsMode=host",
        "cgroupns.host",
        true,
    ),
    // Kernel parameters.
    row(
        |spec| spec.sysctls = list([sysctl("kernel.core_pattern")]),
        "HostConfig.Sysctls=kernel.core_pattern",
        "sysctl.namespaced",
        false,
    ),
    row(
        |spec| spec.sysctls = list([sysctl("vm.overcommit_memory")]),
        "HostConfig.Sysctls=vm.overcommit_memory",
        "sysctl.namespaced",
        false,
    ),
    row(
        |spec| spec.sysctls = list([sysctl("net.ipv4.ip_forward")]),
        "HostConfig.Sysctls=net.ipv4.ip_forward",
        "sysctl.allow",
        true,
    ),
    row(
        |spec| {
            spec.namespaces.network =
                NetworkMode::Container { id: ContainerId::from_bytes([9; 32]) };
            spec.endpoints = List::default();
            spec.sysctls = list([sysctl("net.core.somaxconn")]);
        },
        "HostConfig.Sysctls=net.core.somaxconn",
        "sysctl.private",
        false,
    ),
    // Limits.
    row(
        |spec| spec.process.rlimits = list([rlimit(7, 1 << 30)]),
        "HostConfig.Ulimits=nofile",
        "rlimit.max",
        true,
    ),
    row(
        |spec| spec.process.rlimits = list([rlimit(4, 1)]),
        "HostConfig.Ulimits=core",
        "rlimit.max",
        true,
    ),
    row(
        |spec| spec.process.rlimits = list([rlimit(14, 99)]),
        "HostConfig.Ulimits=rtprio",
        "rlimit.max",
        true,
    ),
    row(
        |spec| spec.process.oom_score_adj = Some(-999),
        "HostConfig.OomScoreAdj=-999",
        "oom.score_adj_min",
        true,
    ),
    row(
        |spec| spec.resources.oom_kill_disable = true,
        "HostConfig.OomKillDisable=true",
        "oom.kill_disable",
        true,
    ),
    row(|spec| spec.resources.pids = Some(u64::MAX), "HostConfig.PidsLimit=-1", "pids.max", true),
    row(|spec| spec.resources.pids = Some(5000), "HostConfig.PidsLimit=5000", "pids.max", true),
    row(
        |spec| {
            let kind = ThrottleKind::ReadBytes;
            spec.resources.blkio_throttles =
                list([BlkioThrottle { major: 8, minor: 0, kind, rate: 1 }]);
        },
        "HostConfig.BlkioDevice*=8:0",
        "block_io",
        true,
    ),
    // Addresses.
    row(
        |spec| {
            let mut endpoint = spec.endpoints[0];
            endpoint.ipv4 = Ipv4 { address: [8, 8, 8, 7], prefix: 24 };
            spec.endpoints = list([endpoint]);
        },
        "EndpointsConfig.IPAMConfig.IPv4Address=8.8.8.7/24",
        "network.pools",
        false,
    ),
];

const fn row(
    ask: fn(&mut ContainerSpec),
    field: &'static str,
    rule: &'static str,
    compat: bool,
) -> Row {
    Row { ask, field, rule, compat }
}

fn tmpfs(target: &str, bytes: Option<u64>) -> MountSpec {
    MountSpec::Tmpfs {
        target: inside(target),
        bytes,
        mode: 0o1777,
        read_only: false,
        no_exec: true,
    }
}

fn volume(target: &str) -> MountSpec {
    MountSpec::Volume {
        target: inside(target),
        name: text("data"),
        read_only: false,
        copy_up: true,
    }
}

fn device(path: &str) -> DeviceSpec {
    DeviceSpec { host: outside(path), target: inside(path), access: 7 }
}

fn sysctl(name: &str) -> Sysctl {
    Sysctl { name: text(name), value: text("1") }
}

fn rlimit(resource: u8, limit: u64) -> Rlimit {
    Rlimit { resource, soft: limit, hard: limit }
}

fn create(policy: &Policy, spec: ContainerSpec) -> Result<Permitted, Refused> {
    ask(policy, Request::Create(spec))
}

#[track_caller]
fn assert_denied(outcome: Result<Permitted, Refused>, field: &str, rule: &str) {
    match outcome {
        Err(Refused::Denied { field: found, rule: id, .. }) => {
            assert_eq!((found.as_str(), id), (field, rule));
        }
        Err(Refused::Invalid { what }) => panic!("{field}: invalid: {what}"),
        Ok(_) => panic!("{field} was permitted"),
    }
}

#[test]
fn a_container_that_asks_for_nothing_is_permitted_and_safest() {
    for policy in [hardened(), compat()] {
        assert!(matches!(create(&policy, harmless()), Ok(Permitted::Create(_))));
    }
    let Ok(Permitted::Create(permit)) = create(&hardened(), harmless()) else { panic!() };
    let effective = permit.granted();
    assert_eq!(effective.confinement.capabilities, capability::HARDENED);
    assert!(effective.confinement.no_new_privs);
    assert!(effective.confinement.seccomp_floor && effective.confinement.seccomp_default);
    assert_eq!(effective.spec.process.no_new_privs, Some(true));
    assert_eq!(effective.spec.process.oom_score_adj, Some(0));
    assert_eq!(effective.spec.resources.pids, Some(512));
    assert_eq!(effective.spec.shm_bytes, Some(64 << 20));
    assert!(effective.masked_paths.contains(&inside("/proc/kcore")));
    let thermal = "/sys/devices/system/cpu/cpu1/thermal_throttle";
    assert!(effective.masked_paths.contains(&inside(thermal)));
    assert!(effective.readonly_paths.contains(&inside("/proc/sys")));
    assert!(effective.rlimits.contains(&rlimit(4, 0)), "no core files");
    assert_eq!(effective.grant, None);
}

#[test]
fn every_row_is_denied_when_hardened_and_permitted_where_docker_does() {
    for Row { ask, field, rule, compat: docker } in ROWS {
        let mut spec = harmless();
        ask(&mut spec);
        assert_denied(create(&hardened(), spec.clone()), field, rule);
        match (create(&compat(), spec), docker) {
            (Ok(_), true) => {}
            (Ok(_), false) => panic!("compat permits {field}"),
            (outcome @ Err(_), false) => assert_denied(outcome, field, rule),
            (Err(refused), true) => panic!("compat: {refused}"),
        }
    }
}

#[test]
fn every_rule_has_a_knob_and_a_name_of_its_own() {
    for (at, rule) in RULES.iter().enumerate() {
        assert!(!rule.knob.is_empty());
        assert!(RULES[at + 1..].iter().all(|other| other.id != rule.id), "{}", rule.id);
    }
    for Row { rule, .. } in ROWS {
        assert!(RULES.iter().any(|known| known.id == *rule), "{rule}");
    }
}

#[test]
fn a_stranger_may_nothing() {
    let request = Request::Hello(HelloRequest { client: text("x") });
    let outcome = bulkhead_policy::decide(&compat(), bulkhead_policy::Peer { uid: 0 }, request);
    assert_denied(outcome, "uid 0", "peer");
}

#[test]
fn exec_is_decided_like_create() {
    let mut spec = exec();
    assert!(ask(&hardened(), Request::Exec(spec.clone())).is_ok());
    spec.privileged = true;
    assert_denied(
        ask(&hardened(), Request::Exec(spec.clone())),
        "ExecConfig.Privileged=true",
        "exec.privileged",
    );
    assert!(ask(&compat(), Request::Exec(spec)).is_ok());
    let denied: [(fn(&mut ProcessSpec), &str); 4] = [
        (|process| process.cap_add = 1 << 21, "caps.max"),
        (|process| process.no_new_privs = Some(false), "no_new_privs"),
        (|process| process.seccomp = Seccomp::Unconfined, "seccomp.unconfined"),
        (|process| process.oom_score_adj = Some(-1), "oom.score_adj_min"),
    ];
    for (change, rule) in denied {
        let mut spec = exec();
        change(&mut spec.process);
        match ask(&hardened(), Request::Exec(spec)) {
            Err(Refused::Denied { rule: id, .. }) => assert_eq!(id, rule),
            other => panic!("{rule}: {other:?}"),
        }
    }
}

#[test]
fn update_is_bounded_like_create_and_fills_nothing_in() {
    let update = |resources| {
        let id = ContainerId::from_bytes([1; 32]);
        ask(&hardened(), Request::Update(UpdateRequest { id, resources }))
    };
    let unlimited = Resources { pids: Some(u64::MAX), ..Resources::default() };
    assert_denied(update(unlimited), "HostConfig.PidsLimit=-1", "pids.max");
    match update(Resources { memory: Some(1 << 30), ..Resources::default() }) {
        Ok(Permitted::Update(permit)) => assert_eq!(permit.granted().resources.pids, None),
        other => panic!("{other:?}"),
    }
}

#[test]
fn networks_lie_in_the_pools() {
    let create = |policy: &Policy, spec| ask(policy, Request::CreateNetwork(spec));
    assert!(create(&hardened(), network([172, 18, 0, 1], 16)).is_ok());
    for (gateway, prefix) in [([10, 1, 0, 1], 16), ([172, 16, 0, 1], 11), ([8, 8, 8, 1], 24)] {
        match create(&hardened(), network(gateway, prefix)) {
            Err(Refused::Denied { rule, .. }) => assert_eq!(rule, "network.pools"),
            other => panic!("{gateway:?}: {other:?}"),
        }
    }
    let no_hosts =
        [([172, 18, 0, 0], 16), ([172, 18, 255, 255], 16), ([172, 18, 0, 1], 31), ([0; 4], 0)];
    for (gateway, prefix) in no_hosts {
        assert!(matches!(
            create(&compat(), network(gateway, prefix)),
            Err(Refused::Invalid { .. })
        ));
    }
    let mut policy = hardened();
    let mut section = policy.sections[0].clone();
    section.networks.create = false;
    policy.sections = list([section]);
    assert_denied(create(&policy, network([172, 18, 0, 1], 16)), "NetworkCreate", "network.create");
    let default = NetworkSpec { default: true, ..network([172, 17, 0, 1], 16) };
    assert!(create(&policy, default).is_ok(), "the default network is the engine's own");
}

#[test]
fn a_layer_is_never_larger_than_the_policy_says() {
    for (asked, most) in [(None, 16 << 30), (Some(1), 1), (Some(u64::MAX), 16 << 30)] {
        let request = UnpackRequest { expected: None, max_bytes: asked };
        match ask(&hardened(), Request::UnpackLayer(request)) {
            Ok(Permitted::UnpackLayer(permit)) => {
                assert_eq!(permit.granted().max_bytes, Some(most))
            }
            other => panic!("{other:?}"),
        }
    }
}
