//! The same thing spelled otherwise gets the same answer, and a thing that only looks like
//! something permitted does not get it.

use crate::request::*;
use bulkhead_policy::proto::*;
use bulkhead_policy::{
    BindIdmap, BindRoot, DeviceRoot, Permitted, Policy, Privileged, Refused, Section, capability,
};

fn with(change: impl FnOnce(&mut Section)) -> Policy {
    let mut policy = hardened();
    let mut section = policy.sections[0].clone();
    change(&mut section);
    policy.sections = list([section]);
    policy.check().unwrap();
    policy
}

fn root(source: &str) -> BindRoot {
    BindRoot {
        source: outside(source),
        read_only: false,
        idmap: BindIdmap::None,
        no_exec: true,
        suid: false,
        dev: false,
        cross_mounts: false,
        create: None,
        slave: false,
        shared: false,
        system: false,
    }
}

fn rule_of(policy: &Policy, spec: &ContainerSpec) -> Option<&'static str> {
    match ask(policy, Request::Create(spec.clone())) {
        Ok(_) => None,
        Err(Refused::Denied { rule, .. }) => Some(rule),
        Err(Refused::Invalid { what }) => panic!("{what}"),
    }
}

fn bound(policy: &Policy, source: &str) -> Option<&'static str> {
    rule_of(policy, &ContainerSpec { mounts: list([bind(source, "/x")]), ..harmless() })
}

#[test]
fn a_bind_source_is_below_its_root_by_components() {
    let policy = with(|section| section.binds = list([root("/srv/data")]));
    for inside in ["/srv/data", "/srv/data/", "//srv//data/./x", "/srv/data/x/y"] {
        assert_eq!(bound(&policy, inside), None, "{inside}");
    }
    for outside in ["/srv", "/srv/database", "/srv/dat", "/SRV/data", "/x/srv/data", "/"] {
        assert!(bound(&policy, outside).is_some(), "{outside}");
    }
    for bad in ["/srv/data/../../etc", "srv/data", "/srv/data/..", "/srv\0/data"] {
        assert!(HostPath::new(bad.as_bytes()).is_err(), "{bad:?} cannot even be written");
    }
}

#[test]
fn no_spelling_of_the_floor_passes_under_a_root_for_everything() {
    for source in [
        "/",
        "//",
        "/.",
        "/./",
        "/proc",
        "/proc/",
        "/proc/self/root",
        "/proc/./1",
        "//dev//mem",
        "/sys/kernel/debug",
        "/run/bulkhead",
        "/run/./bulkhead/",
        "/run",
        "/etc/bulkhead/policy.toml",
        "/var/lib/bulkhead/../bulkhead",
    ] {
        match HostPath::new(source.as_bytes()) {
            Ok(_) => assert_eq!(bound(&compat(), source), Some("bind.floor"), "{source}"),
            Err(PathError::ParentComponent) => {}
            Err(error) => panic!("{source}: {error}"),
        }
    }
    let elsewhere = Policy { host: Default::default(), ..compat() };
    assert_eq!(bound(&elsewhere, "/"), Some("bind.floor"), "wherever the engine's directories are");
    assert_eq!(bound(&compat(), "/runner"), None);
    assert_eq!(bound(&compat(), "/var/library"), None);
}

#[test]
fn a_root_above_the_systems_directories_does_not_admit_them() {
    let policy = with(|section| section.binds = list([root("/"), root("/etc/ssl")]));
    for system in
        ["/etc/shadow", "/usr/bin", "/root/.ssh", "/boot", "/run/x.sock", "/var/spool/cron"]
    {
        assert_eq!(bound(&policy, system), Some("bind.system"), "{system}");
    }
    assert_eq!(bound(&policy, "/home/x"), None);
    assert_eq!(bound(&policy, "/etc/ssl/certs"), None, "a root of its own admits it");
}

#[test]
fn the_longest_root_counts() {
    let closed = BindRoot { read_only: true, ..root("/srv/data/logs") };
    let policy = with(|section| section.binds = list([root("/srv/data"), closed]));
    assert_eq!(bound(&policy, "/srv/data"), None);
    assert_eq!(bound(&policy, "/srv/data/logs/a"), Some("bind.read_only"));
}

#[test]
fn what_a_root_does_not_give_is_refused_or_taken_back() {
    let policy = with(|section| section.binds = list([root("/srv")]));
    let spec = |propagation| ContainerSpec {
        mounts: list([MountSpec::Bind {
            target: inside("/x"),
            source: outside("/srv/a"),
            read_only: true,
            propagation,
            recursive: true,
            create: true,
        }]),
        ..harmless()
    };
    assert_eq!(rule_of(&policy, &spec(Propagation::Slave)), Some("bind.slave"));
    assert_eq!(rule_of(&policy, &spec(Propagation::Shared)), Some("bind.shared"));
    let Ok(Permitted::Create(permit)) = ask(&policy, Request::Create(spec(Propagation::Private)))
    else {
        panic!("denied");
    };
    let effective = permit.granted();
    assert!(matches!(
        effective.spec.mounts[0],
        MountSpec::Bind { recursive: false, create: false, read_only: true, .. }
    ));
    assert!(effective.binds[0].no_exec && !effective.binds[0].suid && !effective.binds[0].dev);
}

#[test]
fn mount_targets_are_compared_as_places() {
    for target in
        ["/proc", "/proc/", "//proc", "/./proc/sys", "/sys/fs/cgroup", "/dev/shm/x", "/dev"]
    {
        let spec = ContainerSpec { mounts: list([bind("/srv", target)]), ..harmless() };
        assert_eq!(rule_of(&compat(), &spec), Some("mount.target"), "{target}");
    }
    for target in ["/process", "/devel", "/dev/shm", "/data/proc"] {
        let spec = ContainerSpec { mounts: list([bind("/srv", target)]), ..harmless() };
        assert_eq!(rule_of(&compat(), &spec), None, "{target}");
    }
    let twice = list([bind("/srv/a", "/x"), bind("/srv/b", "//x/")]);
    let outcome = ask(&compat(), Request::Create(ContainerSpec { mounts: twice, ..harmless() }));
    assert!(matches!(outcome, Err(Refused::Invalid { .. })));
}

#[test]
fn names_of_kernel_parameters_have_one_spelling() {
    for name in [
        "net/ipv4/ip_forward",
        "kernel.core_pattern",
        "kernel..msgmax",
        ".kernel.msgmax",
        "net.",
        "net",
        "kernel.msgmax.",
        "net.ipv4/../../kernel/core_pattern",
        "kernel.msgmax ",
        "Kernel.msgmax",
        "kernel.domainname",
        "fs.mqueue",
        "fs.file-max",
        "net.ipv4.\nx",
    ] {
        let sysctls = list([Sysctl { name: text(name), value: text("1") }]);
        let spec = ContainerSpec { sysctls, ..harmless() };
        assert_eq!(rule_of(&compat(), &spec), Some("sysctl.namespaced"), "{name}");
    }
    let shared = Namespaces { ipc: Share::Host, ..harmless().namespaces };
    let sysctls = list([Sysctl { name: text("kernel.msgmax"), value: text("1") }]);
    let spec = ContainerSpec { sysctls, namespaces: shared, ..harmless() };
    assert_eq!(rule_of(&compat(), &spec), Some("sysctl.private"));
}

#[test]
fn capabilities_have_one_meaning_in_every_spelling() {
    for name in ["SYS_ADMIN", "CAP_SYS_ADMIN", "cap_sys_admin", "Sys_Admin"] {
        assert_eq!(capability::by_name(name), Some(21), "{name}");
    }
    for name in ["", "CAP_", "SYS_ADMIN ", "CAP_CAP_SYS_ADMIN", "SYSADMIN"] {
        assert_eq!(capability::by_name(name), None, "{name}");
    }
    assert_eq!(capability::parse(["ALL"]), Ok(capability::ALL));
    assert_eq!(capability::parse(["chown", "nope"]), Err("nope"));
    let all: Vec<String> = capability::names(capability::ALL).collect();
    assert_eq!(all.len(), 41);
    assert_eq!(capability::parse(all.iter().map(String::as_str)), Ok(capability::ALL));
    assert_eq!(capability::names(capability::DOCKER).count(), 14);
    assert_eq!(capability::names(capability::HARDENED).count(), 9);
}

#[test]
fn dropping_comes_after_adding() {
    let mut spec = harmless();
    spec.process.cap_add = capability::bit(capability::CHOWN);
    spec.process.cap_drop = capability::ALL;
    let Ok(Permitted::Create(permit)) = ask(&hardened(), Request::Create(spec)) else { panic!() };
    assert_eq!(permit.granted().confinement.capabilities, 0);
}

#[test]
fn without_a_user_namespace_the_maximum_is_another() {
    let policy = with(|section| section.namespaces.user_host = true);
    let mut spec = harmless();
    spec.namespaces.user = UserMode::Host;
    let Ok(Permitted::Create(permit)) = ask(&policy, Request::Create(spec.clone())) else {
        panic!()
    };
    assert_eq!(permit.granted().confinement.capabilities & capability::HOST_FATAL, 0);
    spec.process.cap_add = capability::bit(capability::SYS_ADMIN);
    assert_eq!(rule_of(&policy, &spec), Some("caps.max_host_userns"));
    // It cuts the default too.
    let policy = with(|section| {
        section.namespaces.user_host = true;
        section.capabilities.max_host_userns = capability::bit(capability::KILL);
    });
    spec.process.cap_add = 0;
    let Ok(Permitted::Create(permit)) = ask(&policy, Request::Create(spec)) else { panic!() };
    assert_eq!(permit.granted().confinement.capabilities, capability::bit(capability::KILL));
}

#[test]
fn privileged_in_the_own_user_namespace_brings_no_devices_and_keeps_the_floor() {
    let policy = with(|section| section.privileged = Privileged::UsernsOnly);
    let mut spec = harmless();
    spec.privileged = true;
    let Ok(Permitted::Create(permit)) = ask(&policy, Request::Create(spec.clone())) else {
        panic!()
    };
    let confinement = &permit.granted().confinement;
    assert_eq!(confinement.capabilities, capability::ALL);
    assert!(confinement.seccomp_floor && !confinement.seccomp_default);
    assert!(permit.granted().masked_paths.is_empty());
    spec.devices =
        list([DeviceSpec { host: outside("/dev/sda"), target: inside("/dev/sda"), access: 7 }]);
    assert_eq!(rule_of(&policy, &spec), Some("device"));
    spec.devices = List::default();
    spec.namespaces.user = UserMode::Host;
    assert_eq!(rule_of(&policy, &spec), Some("privileged.host"));
}

#[test]
fn a_device_needs_every_access_that_is_asked() {
    let fuse = DeviceRoot { path: outside("/dev/fuse"), access: 6, block: false };
    let policy = with(|section| section.devices = list([fuse]));
    let rule = |path: &str, access| {
        let device = DeviceSpec { host: outside(path), target: inside("/dev/x"), access };
        rule_of(&policy, &ContainerSpec { devices: list([device]), ..harmless() })
    };
    assert_eq!(rule("/dev/fuse", 6), None);
    assert_eq!(rule("//dev/./fuse", 2), None);
    assert_eq!(rule("/dev/fuse", 7), Some("device"));
    assert_eq!(rule("/dev/fuse2", 2), Some("device"));
}

#[test]
fn a_program_of_ones_own_can_only_take_away_unless_policy_says_so() {
    let mut spec = harmless();
    spec.process.seccomp = Seccomp::Program;
    let confinement = |policy: &Policy| {
        let Ok(Permitted::Create(permit)) = ask(policy, Request::Create(spec.clone())) else {
            panic!()
        };
        permit.granted().confinement.clone()
    };
    let strict = confinement(&hardened());
    assert!(strict.seccomp_floor && strict.seccomp_default && strict.seccomp_program);
    let docker = confinement(&compat());
    assert!(docker.seccomp_floor && !docker.seccomp_default && docker.seccomp_program);
}

#[test]
fn asked_paths_are_added_to_the_engines_and_never_replace_them() {
    let mut spec = harmless();
    spec.masked_paths = list([inside("/proc/kcore"), inside("/proc/meminfo")]);
    let Ok(Permitted::Create(permit)) = ask(&hardened(), Request::Create(spec)) else { panic!() };
    let masked = &permit.granted().masked_paths;
    assert_eq!(masked.iter().filter(|path| path.as_bytes() == b"/proc/kcore").count(), 1);
    assert!(masked.contains(&inside("/proc/meminfo")) && masked.contains(&inside("/proc/keys")));
}

#[test]
fn limits_of_the_policy_hold_when_nothing_is_asked() {
    let policy = with(|section| {
        section.resources.memory = Some(1 << 30);
        section.resources.cpus_milli = Some(1500);
    });
    let mut spec = harmless();
    spec.resources.cpu_period_us = Some(50_000);
    let Ok(Permitted::Create(permit)) = ask(&policy, Request::Create(spec.clone())) else {
        panic!()
    };
    let resources = &permit.granted().spec.resources;
    assert_eq!((resources.memory, resources.cpu_quota_us), (Some(1 << 30), Some(75_000)));
    spec.resources.cpu_quota_us = Some(75_001);
    assert_eq!(rule_of(&policy, &spec), Some("cpus.max"));
    spec.resources.cpu_quota_us = Some(u64::MAX);
    assert_eq!(rule_of(&policy, &spec), Some("cpus.max"));
    spec.resources = Resources { memory: Some((1 << 30) + 1), ..Resources::default() };
    assert_eq!(rule_of(&policy, &spec), Some("memory.max"));
}

#[test]
fn the_policys_parameters_are_set_only_in_the_containers_own_namespace() {
    let set = |network, endpoints: bool| {
        let mut spec = harmless();
        spec.namespaces.network = network;
        if !endpoints {
            spec.endpoints = List::default();
        }
        let Ok(Permitted::Create(permit)) = ask(&compat(), Request::Create(spec)) else { panic!() };
        permit.granted().sysctls.len()
    };
    assert_eq!(set(NetworkMode::Endpoints, true), 2);
    assert_eq!(set(NetworkMode::None, false), 2);
    assert_eq!(set(NetworkMode::Host, false), 0);
    assert_eq!(set(NetworkMode::Container { id: ContainerId::from_bytes([9; 32]) }, false), 0);
}
