//! What holds for every request that can be written.

use crate::request::*;
use bulkhead_policy::proto::*;
use bulkhead_policy::{Permitted, Policy, Refused, capability};
use proptest::prelude::*;
use proptest::sample::select;

/// A path of parts that matter, in spellings that normalise.
fn path() -> impl Strategy<Value = String> {
    let parts = vec![
        "", ".", "etc", "proc", "sys", "dev", "run", "bulkhead", "var", "lib", "srv", "shm", "x",
    ];
    proptest::collection::vec(select(parts), 0..5).prop_map(|parts| format!("/{}", parts.join("/")))
}

fn any_mount() -> impl Strategy<Value = MountSpec> {
    (path(), path(), any::<[bool; 3]>(), any::<u64>(), any::<u32>(), 0..4u8).prop_map(
        |(target, source, [read_only, recursive, create], bytes, mode, kind)| {
            let target = inside(&target);
            match kind {
                0 => MountSpec::Tmpfs {
                    target,
                    bytes: Some(bytes),
                    mode,
                    read_only,
                    no_exec: create,
                },
                1 => MountSpec::Bind {
                    target,
                    source: outside(&source),
                    read_only,
                    propagation: match mode % 3 {
                        0 => Propagation::Private,
                        1 => Propagation::Slave,
                        _ => Propagation::Shared,
                    },
                    recursive,
                    create,
                },
                2 => MountSpec::File { target, content: text("x"), mode },
                _ => MountSpec::Volume { target, name: text(&source), read_only, copy_up: create },
            }
        },
    )
}

fn any_share() -> impl Strategy<Value = Share> {
    prop_oneof![
        4 => Just(Share::Private),
        1 => Just(Share::Host),
        1 => any::<[u8; 32]>().prop_map(|id| Share::Container { id: ContainerId::from_bytes(id) }),
        1 => Just(Share::Container { id: harmless().id }),
    ]
}

fn any_namespaces() -> impl Strategy<Value = Namespaces> {
    let network = prop_oneof![
        Just(NetworkMode::None),
        Just(NetworkMode::Host),
        Just(NetworkMode::Endpoints),
        any::<[u8; 32]>().prop_map(|id| NetworkMode::Container { id: ContainerId::from_bytes(id) }),
    ];
    (any::<[bool; 3]>(), any_share(), any_share(), network).prop_map(|(host, pid, ipc, network)| {
        let host_or = |host| if host { HostOr::Host } else { HostOr::Private };
        Namespaces {
            user: if host[0] { UserMode::Host } else { UserMode::Private },
            pid,
            ipc,
            network,
            uts: host_or(host[1]),
            cgroup: host_or(host[2]),
        }
    })
}

fn any_process() -> impl Strategy<Value = ProcessSpec> {
    let capabilities = prop_oneof![Just(0), 0..1u64 << 41, any::<u64>()];
    let seccomp = select(vec![Seccomp::Default, Seccomp::Unconfined, Seccomp::Program]);
    (
        (capabilities.clone(), capabilities, any::<Option<bool>>(), any::<Option<i16>>(), seccomp),
        proptest::collection::vec((0..20u8, any::<u64>(), any::<u64>()), 0..3),
    )
        .prop_map(|((cap_add, cap_drop, no_new_privs, oom_score_adj, seccomp), rlimits)| {
            let rlimits: Vec<Rlimit> = rlimits
                .into_iter()
                .map(|(resource, soft, hard)| Rlimit { resource, soft, hard })
                .collect();
            let rlimits = List::try_from(rlimits).unwrap();
            ProcessSpec {
                cap_add,
                cap_drop,
                no_new_privs,
                oom_score_adj,
                seccomp,
                rlimits,
                ..process()
            }
        })
}

fn any_resources() -> impl Strategy<Value = Resources> {
    (
        any::<[Option<u64>; 7]>(),
        proptest::option::of("[0-9,-]{0,8}"),
        any::<Option<u16>>(),
        proptest::option::of((any::<u32>(), any::<u32>())),
        any::<bool>(),
    )
        .prop_map(|(numbers, cpus, blkio_weight, throttle, oom_kill_disable)| {
            let throttle = throttle.map(|(major, minor)| BlkioThrottle {
                major,
                minor,
                kind: ThrottleKind::WriteBytes,
                rate: 1,
            });
            Resources {
                memory: numbers[0],
                memory_and_swap: numbers[1],
                memory_reservation: numbers[2],
                cpu_shares: numbers[3],
                cpu_quota_us: numbers[4],
                cpu_period_us: numbers[5].map(|period| period % 2_000_000),
                cpuset_cpus: cpus.map(|cpus| text(&cpus)),
                cpuset_mems: None,
                pids: numbers[6],
                blkio_weight,
                blkio_throttles: List::try_from(throttle.into_iter().collect::<Vec<_>>()).unwrap(),
                oom_kill_disable,
            }
        })
}

prop_compose! {
    fn any_container()(
        namespaces in any_namespaces(),
        process in any_process(),
        resources in prop_oneof![Just(Resources::default()), any_resources()],
        mounts in proptest::collection::vec(any_mount(), 0..4),
        sysctl in proptest::option::of(("[a-z./*]{0,12}", "[0-9 +|-]{0,4}")),
        device in proptest::option::of((path(), path(), any::<u8>())),
        [unmask, privileged, init, endpoints] in any::<[bool; 4]>(),
        hostname in "[ -~]{0,8}",
        shm_bytes in any::<Option<u64>>(),
    ) -> ContainerSpec {
        let sysctl = sysctl.map(|(name, value)| Sysctl { name: text(&name), value: text(&value) });
        let device = device.map(|(host, target, access)| DeviceSpec {
            host: outside(&format!("/dev{host}")),
            target: inside(&format!("/dev{target}")),
            access,
        });
        ContainerSpec {
            namespaces,
            process,
            resources,
            mounts: List::try_from(mounts).unwrap(),
            sysctls: List::try_from(Vec::from_iter(sysctl)).unwrap(),
            devices: List::try_from(Vec::from_iter(device)).unwrap(),
            unmask,
            privileged,
            init,
            hostname: text(&hostname),
            shm_bytes,
            endpoints: if endpoints { harmless().endpoints } else { List::default() },
            ..harmless()
        }
    }
}

/// One to three things of [`any_container`], so that most requests are not refused at once.
fn container() -> impl Strategy<Value = ContainerSpec> {
    (any_container(), proptest::collection::vec(0..10u8, 1..4)).prop_map(|(any, parts)| {
        let mut spec = harmless();
        for part in parts {
            match part {
                0 => spec.namespaces = any.namespaces,
                1 => spec.process = any.process.clone(),
                2 => spec.resources = any.resources.clone(),
                3 => spec.mounts = any.mounts.clone(),
                4 => spec.sysctls = any.sysctls.clone(),
                5 => spec.devices = any.devices.clone(),
                6 => (spec.unmask, spec.privileged) = (any.unmask, any.privileged),
                7 => spec.hostname = any.hostname.clone(),
                8 => spec.shm_bytes = any.shm_bytes,
                _ => spec.endpoints = any.endpoints.clone(),
            }
        }
        spec
    })
}

fn policies() -> [Policy; 3] {
    [hardened(), compat(), crate::grants::policy()]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn a_permitted_container_is_within_the_policy(spec in prop_oneof![container(), any_container()]) {
        for policy in policies() {
            let section = &policy.sections[0];
            let Ok(Permitted::Create(permit)) = ask(&policy, Request::Create(spec.clone())) else {
                continue;
            };
            let effective = permit.granted();
            let max = match spec.namespaces.user {
                _ if spec.privileged => capability::ALL,
                UserMode::Private => section.capabilities.max,
                UserMode::Host => section.capabilities.max_host_userns,
            };
            prop_assert_eq!(effective.confinement.capabilities & !max, 0);
            prop_assert_eq!(effective.confinement.capabilities & spec.process.cap_drop, 0);
            prop_assert!(effective.confinement.seccomp_floor);
            prop_assert!(effective.spec.resources.pids.is_some_and(|pids| pids <= section.resources.pids));
            prop_assert!(effective.spec.process.no_new_privs.is_some());
            prop_assert!(effective.spec.shm_bytes.is_some_and(|bytes| bytes <= section.mounts.shm_bytes));
            let binds = effective.spec.mounts.iter().filter(|mount| matches!(mount, MountSpec::Bind { .. }));
            prop_assert_eq!(binds.count(), effective.binds.len());
            prop_assert_eq!(effective.spec.devices.len(), effective.devices.len());
            for path in ["/proc", "/sys", "/dev", "/run/bulkhead", "/var/lib/bulkhead", "/etc/bulkhead"] {
                for mount in effective.spec.mounts.iter() {
                    if let MountSpec::Bind { source, .. } = mount {
                        prop_assert!(!source.is_at_or_below(path), "{source}");
                        prop_assert!(!std::path::Path::new(path).starts_with(source.as_path()), "{source}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_hardened_policy_gives_nothing_of_the_hosts(spec in prop_oneof![container(), any_container()]) {
        if let Ok(Permitted::Create(permit)) = ask(&hardened(), Request::Create(spec)) {
            let Permitted::Create(again) =
                ask(&compat(), Request::Create(permit.granted().spec.clone())).unwrap()
            else {
                unreachable!()
            };
            let effective = permit.granted();
            prop_assert!(effective.confinement.no_new_privs && effective.confinement.seccomp_default);
            prop_assert!(effective.binds.is_empty() && effective.devices.is_empty());
            prop_assert!(!effective.masked_paths.is_empty() && !effective.readonly_paths.is_empty());
            prop_assert_eq!(effective.spec.namespaces.user, UserMode::Private);
            prop_assert!(!effective.spec.privileged);
            // What the strict policy permits, the other one does too.
            prop_assert_eq!(&again.granted().spec.mounts, &effective.spec.mounts);
        }
    }

    #[test]
    fn deciding_again_what_was_decided_changes_nothing(spec in prop_oneof![container(), any_container()]) {
        for policy in policies() {
            if let Ok(Permitted::Create(permit)) = ask(&policy, Request::Create(spec.clone())) {
                let first = permit.granted();
                match ask(&policy, Request::Create(first.spec.clone())) {
                    Ok(Permitted::Create(permit)) => prop_assert_eq!(permit.granted(), first),
                    other => prop_assert!(false, "{other:?}"),
                }
            }
        }
    }

    #[test]
    fn execs_and_updates_never_panic(process in any_process(), resources in any_resources(), privileged: bool) {
        for policy in policies() {
            let spec = ExecSpec { process: process.clone(), privileged, ..exec() };
            if let Err(refused) = ask(&policy, Request::Exec(spec)) {
                let said = match refused {
                    Refused::Denied { field, .. } => field,
                    Refused::Invalid { what } => what,
                };
                prop_assert!(!said.is_empty());
            }
            let id = ContainerId::from_bytes([1; 32]);
            drop(ask(&policy, Request::Update(UpdateRequest { id, resources: resources.clone() })));
        }
    }

    #[test]
    fn tables_of_random_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
        prop_assert!(Policy::from_table(&bytes).is_err());
    }
}
