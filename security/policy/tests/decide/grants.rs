//! A grant admits one dangerous container exactly as written, and nothing that only resembles it.

use crate::request::*;
use bulkhead_policy::proto::*;
use bulkhead_policy::{
    BindIdmap, BindRoot, EffectiveContainer, Grant, Peer, Permitted, Policy, Refused, capability,
    decide_join,
};

/// A backup program that reads the host's root directory and a disk.
fn wanted() -> ContainerSpec {
    let mut spec = harmless();
    spec.process.args = list([text("/bin/backup"), text("--all")]);
    spec.process.env = list([text("PATH=/bin"), text("HOSTNAME=web-1")]);
    spec.process.cap_add = capability::bit(capability::DAC_READ_SEARCH);
    spec.process.seccomp = Seccomp::Unconfined;
    spec.namespaces.pid = Share::Host;
    spec.namespaces.user = UserMode::Host;
    let disk = outside("/dev/sda");
    spec.devices = list([DeviceSpec { host: disk, target: inside("/dev/sda"), access: 2 }]);
    spec.mounts = list([
        MountSpec::File { target: inside("/etc/hosts"), content: text("x"), mode: 0o644 },
        MountSpec::Bind {
            target: inside("/host"),
            source: outside("/"),
            read_only: true,
            propagation: Propagation::Private,
            recursive: true,
            create: false,
        },
    ]);
    spec
}

/// As the compiler of `policy.toml` writes it.
fn grant() -> Grant {
    let mut spec = wanted();
    spec.id = ContainerId::from_bytes([0; 32]);
    spec.hostname = text("");
    spec.endpoints = List::default();
    spec.namespaces.network = NetworkMode::None;
    spec.process.env = list([text("PATH=/bin")]);
    spec.mounts = list([spec.mounts[1].clone()]);
    let root = BindRoot {
        source: outside("/"),
        read_only: true,
        idmap: BindIdmap::None,
        no_exec: true,
        suid: false,
        dev: false,
        cross_mounts: true,
        create: None,
        slave: false,
        shared: false,
        system: true,
    };
    let binds = list([root]);
    Grant { name: text("backup"), spec, binds, without_floor: false, exec: false, instances: 1 }
}

pub(crate) fn policy() -> Policy {
    let mut policy = hardened();
    let mut section = policy.sections[0].clone();
    section.grants = list([grant()]);
    policy.sections = list([section]);
    policy.check().unwrap();
    policy
}

fn create(spec: ContainerSpec) -> Result<EffectiveContainer, Refused> {
    match ask(&policy(), Request::Create(spec))? {
        Permitted::Create(permit) => Ok(permit.granted().clone()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_granted_container_passes_and_says_so() {
    let effective = create(wanted()).unwrap();
    let grant = effective.grant.unwrap();
    assert_eq!((grant.name.as_bytes(), grant.exec, grant.instances), (&b"backup"[..], false, 1));
    let confinement = effective.confinement;
    assert!(confinement.seccomp_floor && !confinement.seccomp_default);
    let host = capability::HARDENED & !capability::HOST_FATAL;
    assert_eq!(confinement.capabilities, host | capability::bit(capability::DAC_READ_SEARCH));
    assert!(effective.binds[0].read_only && effective.devices[0].block);
    match ask(&policy(), Request::Create(wanted())) {
        Ok(permitted) => assert_eq!(permitted.rule(), "grant"),
        Err(refused) => panic!("{refused}"),
    }
}

#[test]
fn what_a_grant_does_not_pin_may_differ() {
    let changes: [fn(&mut ContainerSpec); 8] = [
        |spec| spec.id = ContainerId::from_bytes([77; 32]),
        |spec| spec.hostname = text("other"),
        |spec| spec.endpoints = List::default(),
        |spec| spec.resources.memory = Some(64 << 20),
        |spec| spec.process.cap_drop = capability::bit(capability::CHOWN),
        |spec| spec.read_only = true,
        |spec| spec.process.env = list([text("TERM=xterm"), text("PATH=/bin")]),
        |spec| spec.mounts = list([spec.mounts[1].clone(), spec.mounts[0].clone()]),
    ];
    for (at, change) in changes.iter().enumerate() {
        let mut spec = wanted();
        change(&mut spec);
        assert!(create(spec).is_ok(), "change {at}");
    }
}

#[test]
fn any_difference_in_what_runs_or_with_which_rights_is_denied() {
    let changes: [(&str, fn(&mut ContainerSpec)); 22] = [
        ("layers", |spec| spec.layers = list([LayerId::from_bytes([5; 32])])),
        ("one more layer", |spec| {
            spec.layers = list([spec.layers[0], LayerId::from_bytes([5; 32])]);
        }),
        ("program", |spec| spec.process.args = list([text("/bin/sh"), text("--all")])),
        ("arguments", |spec| spec.process.args = list([text("/bin/backup")])),
        ("environment", |spec| {
            spec.process.env = list([text("PATH=/bin"), text("LD_PRELOAD=/tmp/x")]);
        }),
        ("less environment", |spec| spec.process.env = List::default()),
        ("directory", |spec| spec.process.cwd = inside("/tmp")),
        ("user", |spec| spec.process.user = text("1000")),
        ("groups", |spec| spec.process.groups = list([text("disk")])),
        ("input", |spec| spec.process.stdin = true),
        ("capability", |spec| spec.process.cap_add |= 1 << 21),
        ("other capability", |spec| spec.process.cap_add = 1 << 21),
        ("privileged", |spec| spec.privileged = true),
        ("namespace", |spec| spec.namespaces.ipc = Share::Host),
        ("network", |spec| {
            spec.namespaces.network = NetworkMode::Host;
            spec.endpoints = List::default();
        }),
        ("writable mount", |spec| change_bind(spec, |read_only, _| *read_only = false)),
        ("mount's place", |spec| change_bind(spec, |_, target| *target = inside("/bin"))),
        ("one more mount", |spec| {
            let more = MountSpec::Volume {
                target: inside("/bin"),
                name: text("evil"),
                read_only: false,
                copy_up: false,
            };
            spec.mounts = list([spec.mounts[1].clone(), more]);
        }),
        ("file over the program", |spec| {
            let content = text("#!/bin/sh");
            let file = MountSpec::File { target: inside("/bin/backup"), content, mode: 0o755 };
            spec.mounts = list([spec.mounts[1].clone(), file]);
        }),
        ("device access", |spec| {
            let device = DeviceSpec { access: 7, ..spec.devices[0].clone() };
            spec.devices = list([device]);
        }),
        ("unmasked paths", |spec| spec.unmask = true),
        ("kernel parameter", |spec| {
            spec.sysctls = list([Sysctl { name: text("kernel.msgmax"), value: text("1") }]);
        }),
    ];
    for (what, change) in changes {
        let mut spec = wanted();
        change(&mut spec);
        assert!(matches!(create(spec), Err(Refused::Denied { .. })), "{what}");
    }
}

fn change_bind(spec: &mut ContainerSpec, change: fn(&mut bool, &mut ContainerPath)) {
    let mut mount = spec.mounts[1].clone();
    if let MountSpec::Bind { read_only, target, .. } = &mut mount {
        change(read_only, target);
    }
    spec.mounts = list([mount]);
}

#[test]
fn a_grant_does_not_lift_the_sections_limits() {
    let mut spec = wanted();
    spec.resources.pids = Some(u64::MAX);
    assert!(matches!(create(spec), Err(Refused::Denied { rule: "pids.max", .. })));
}

#[test]
fn a_request_that_needs_no_grant_gets_none() {
    let mut policy = policy();
    let mut section = policy.sections[0].clone();
    let mut plain = grant();
    plain.spec.process = process();
    plain.spec.namespaces = Namespaces { network: NetworkMode::None, ..harmless().namespaces };
    (plain.spec.mounts, plain.spec.devices, plain.binds) = Default::default();
    section.grants = list([plain]);
    policy.sections = list([section]);
    policy.check().unwrap();
    match ask(&policy, Request::Create(harmless())) {
        Ok(Permitted::Create(permit)) => assert_eq!(permit.granted().grant, None),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_grant_that_pins_too_little_is_no_policy() {
    let changes: [(&str, fn(&mut Grant)); 7] = [
        ("layers", |grant| grant.spec.layers = List::default()),
        ("program", |grant| grant.spec.process.args = List::default()),
        ("name", |grant| grant.name = text("")),
        ("instances", |grant| grant.instances = 0),
        ("host name", |grant| grant.spec.hostname = text("x")),
        ("rule of the mount", |grant| grant.binds = List::default()),
        ("order of variables", |grant| grant.spec.process.env = list([text("B="), text("A=")])),
    ];
    for (what, change) in changes {
        let mut policy = policy();
        let mut section = policy.sections[0].clone();
        let mut grant = grant();
        change(&mut grant);
        section.grants = list([grant]);
        policy.sections = list([section]);
        assert!(policy.check().is_err(), "{what}");
    }
}

/// What a request that joins a container in these ways gets.
fn join(
    held: &EffectiveContainer,
    change: fn(&mut Namespaces, ContainerId),
) -> Result<(), Refused> {
    let mut spec = harmless();
    change(&mut spec.namespaces, held.spec.id);
    decide_join(&policy(), Peer { uid: UID }, &spec, held.spec.id, held)
}

#[track_caller]
fn assert_rule(outcome: Result<(), Refused>, wanted: &str) {
    match outcome {
        Err(Refused::Denied { rule, .. }) => assert_eq!(rule, wanted),
        other => panic!("{wanted}: {other:?}"),
    }
}

#[test]
fn nobody_gets_the_hosts_namespaces_by_joining_who_has_them() {
    let pid: fn(&mut Namespaces, ContainerId) = |wanted, id| wanted.pid = Share::Container { id };
    let network: fn(&mut Namespaces, ContainerId) =
        |wanted, id| wanted.network = NetworkMode::Container { id };
    let mut held = create(wanted()).unwrap();
    held.spec.namespaces.user = UserMode::Private;
    assert_rule(join(&held, pid), "namespace.join.grant");
    assert_rule(join(&held, network), "namespace.join.grant");
    held.grant.as_mut().unwrap().exec = true;
    assert_rule(join(&held, pid), "pidns.host");
    assert_eq!(join(&held, network), Ok(()), "its network is its own");
    held.grant = None;
    held.spec.namespaces.network = NetworkMode::Host;
    assert_rule(join(&held, network), "netns.host");
    held.spec.namespaces.pid = Share::Private;
    assert_eq!(join(&held, pid), Ok(()));
    held.spec.namespaces.ipc = Share::Host;
    assert_rule(join(&held, |wanted, id| wanted.ipc = Share::Container { id }), "ipcns.host");
    held.spec.namespaces.user = UserMode::Host;
    assert!(matches!(join(&held, pid), Err(Refused::Invalid { .. })));
    assert_eq!(join(&held, |_, _| ()), Ok(()), "nothing is joined");
}
