//! Requests that make no sense are refused as such, whatever the policy permits.

use crate::request::*;
use bulkhead_policy::Refused;
use bulkhead_policy::proto::*;

type Change = (&'static str, fn(&mut ContainerSpec));

const CHANGES: &[Change] = &[
    ("no command", |spec| spec.process.args = List::default()),
    ("an empty command", |spec| spec.process.args = list([text("")])),
    ("a host name with a blank", |spec| spec.hostname = text("a b")),
    ("a host name with a newline", |spec| spec.hostname = text("a\nb")),
    ("a domain name with a slash", |spec| spec.domainname = text("a/b")),
    ("a host name that is an option", |spec| spec.hostname = text("-rf")),
    ("an unknown capability", |spec| spec.process.cap_add = 1 << 41),
    ("an unknown capability to drop", |spec| spec.process.cap_drop = 1 << 63),
    ("its own pid namespace", |spec| spec.namespaces.pid = Share::Container { id: spec.id }),
    ("its own ipc namespace", |spec| spec.namespaces.ipc = Share::Container { id: spec.id }),
    ("its own network", |spec| {
        spec.namespaces.network = NetworkMode::Container { id: spec.id };
        spec.endpoints = List::default();
    }),
    ("endpoints without a network", |spec| spec.namespaces.network = NetworkMode::None),
    ("a group address", |spec| endpoint(spec, |endpoint| endpoint.mac = [3, 0, 0, 0, 0, 1])),
    ("a vendor's address", |spec| {
        endpoint(spec, |endpoint| endpoint.mac = [0, 0x16, 0x3e, 0, 0, 1])
    }),
    ("the network's address", |spec| {
        endpoint(spec, |endpoint| endpoint.ipv4.address = [172, 17, 0, 0])
    }),
    ("the broadcast address", |spec| {
        endpoint(spec, |endpoint| endpoint.ipv4.address = [172, 17, 255, 255]);
    }),
    ("two default routes", |spec| {
        let other = Endpoint { network: NetworkId::from_bytes([8; 32]), ..spec.endpoints[0] };
        spec.endpoints = list([spec.endpoints[0], other]);
    }),
    ("twice on one network", |spec| {
        let other = Endpoint { gateway: false, ..spec.endpoints[0] };
        spec.endpoints = list([spec.endpoints[0], other]);
    }),
    ("two mounts at one place", |spec| {
        spec.mounts = list([bind("/srv/a", "/x"), bind("/srv/b", "/x")]);
    }),
    ("a volume with a path for a name", |spec| {
        let name = text("../x");
        spec.mounts = list([MountSpec::Volume {
            target: inside("/x"),
            name,
            read_only: false,
            copy_up: false,
        }]);
    }),
    ("a file with set-id bits", |spec| {
        spec.mounts =
            list([MountSpec::File { target: inside("/x"), content: text(""), mode: 0o4755 }]);
    }),
    ("a tmpfs with no permission bits", |spec| {
        spec.mounts = list([MountSpec::Tmpfs {
            target: inside("/x"),
            bytes: None,
            mode: 0o10000,
            read_only: false,
            no_exec: false,
        }]);
    }),
    ("a device outside /dev", |spec| {
        spec.devices =
            list([DeviceSpec { host: outside("/srv/sda"), target: inside("/dev/x"), access: 7 }]);
    }),
    ("a device put outside /dev", |spec| {
        spec.devices =
            list([DeviceSpec { host: outside("/dev/null"), target: inside("/etc/x"), access: 7 }]);
    }),
    ("a device without access", |spec| {
        spec.devices =
            list([DeviceSpec { host: outside("/dev/null"), target: inside("/dev/x"), access: 0 }]);
    }),
    ("a device with unknown access", |spec| {
        spec.devices =
            list([DeviceSpec { host: outside("/dev/null"), target: inside("/dev/x"), access: 8 }]);
    }),
    ("a limit above its maximum", |spec| {
        spec.process.rlimits = list([Rlimit { resource: 7, soft: 2, hard: 1 }]);
    }),
    ("an unknown limit", |spec| {
        spec.process.rlimits = list([Rlimit { resource: 16, soft: 1, hard: 1 }]);
    }),
    ("a limit twice", |spec| {
        let limit = Rlimit { resource: 7, soft: 1, hard: 1 };
        spec.process.rlimits = list([limit, limit]);
    }),
    ("an impossible oom score", |spec| spec.process.oom_score_adj = Some(1001)),
    ("no memory", |spec| spec.resources.memory = Some(0)),
    ("less with swap than without", |spec| {
        spec.resources.memory = Some(2 << 20);
        spec.resources.memory_and_swap = Some(1 << 20);
    }),
    ("no processes", |spec| spec.resources.pids = Some(0)),
    ("too small a share", |spec| spec.resources.cpu_shares = Some(1)),
    ("too short a period", |spec| spec.resources.cpu_period_us = Some(999)),
    ("too small a quota", |spec| spec.resources.cpu_quota_us = Some(999)),
    ("too small a weight", |spec| spec.resources.blkio_weight = Some(9)),
    ("no shared memory", |spec| spec.shm_bytes = Some(0)),
    ("a parameter twice", |spec| {
        let one = |value| Sysctl { name: text("kernel.msgmax"), value: text(value) };
        spec.sysctls = list([one("1"), one("2")]);
    }),
];

fn endpoint(spec: &mut ContainerSpec, change: fn(&mut Endpoint)) {
    let mut endpoint = spec.endpoints[0];
    change(&mut endpoint);
    spec.endpoints = list([endpoint]);
}

#[track_caller]
fn assert_invalid(what: &str, spec: ContainerSpec) {
    for policy in [compat(), hardened()] {
        match ask(&policy, Request::Create(spec.clone())) {
            Err(Refused::Invalid { .. }) => {}
            other => panic!("{what}: {other:?}"),
        }
    }
}

#[test]
fn contradictions_are_invalid_under_any_policy() {
    for (what, change) in CHANGES {
        let mut spec = harmless();
        change(&mut spec);
        assert_invalid(what, spec);
    }
}

#[test]
fn lists_of_cpus_are_lists_of_cpus() {
    for good in ["0", "0-3", "0-3,7", "1,2,3", "65535"] {
        let mut spec = harmless();
        spec.resources.cpuset_cpus = Some(text(good));
        assert!(ask(&hardened(), Request::Create(spec)).is_ok(), "{good}");
    }
    let bad = [
        "",
        "a",
        "3-1",
        "1,",
        ",1",
        "0-",
        "-1",
        "0-1-2",
        "1 ",
        "+1",
        "65536",
        "9999999999",
        "0\n1",
    ];
    for bad in bad {
        let mut spec = harmless();
        spec.resources.cpuset_cpus = Some(text(bad));
        assert_invalid(bad, spec.clone());
        spec.resources.cpuset_cpus = None;
        spec.resources.cpuset_mems = Some(text(bad));
        assert_invalid(bad, spec);
    }
}

#[test]
fn values_of_kernel_parameters_are_numbers() {
    for good in ["1", "1024 65535", "-1", "0\t1"] {
        let mut spec = harmless();
        spec.sysctls = list([Sysctl { name: text("kernel.msgmax"), value: text(good) }]);
        assert!(ask(&hardened(), Request::Create(spec)).is_ok(), "{good}");
    }
    for bad in
        ["", "1+kernel.core_pattern=|/x", "1\nkernel.core_pattern=x", "|/bin/sh", "0x10", "1;"]
    {
        let mut spec = harmless();
        spec.sysctls = list([Sysctl { name: text("kernel.msgmax"), value: text(bad) }]);
        assert_invalid(bad, spec);
    }
    let long = "1".repeat(65);
    let mut spec = harmless();
    spec.sysctls = list([Sysctl { name: text("kernel.msgmax"), value: text(&long) }]);
    assert_invalid("65 digits", spec);
}
