//! Limits hold: the kernel says so, and processes meet them.

use super::{Host, Mounts, Shell};
use crate::Error;
use bulkhead_policy::proto::{BlkioThrottle, Resources, ThrottleKind};

const MIB: u64 = 1 << 20;

fn resources(change: impl FnOnce(&mut Resources)) -> Resources {
    let mut resources = Resources::default();
    change(&mut resources);
    resources
}

fn memory(bytes: u64, sum: Option<u64>) -> Resources {
    resources(|r| (r.memory, r.memory_and_swap) = (Some(bytes), sum))
}

#[test]
fn a_memory_limit_is_held_and_the_oom_kill_is_counted() {
    for host in Host::limiting() {
        let cgroup = host.create("oom");
        cgroup.apply(&memory(16 * MIB + 1, None)).unwrap();
        let limit = host.read_either("oom", "memory.max", "memory.limit_in_bytes");
        assert_eq!(limit, (16 * MIB).to_string());
        let events = cgroup.oom_fd().unwrap();
        assert_eq!(crate::read_oom_kills(&events).unwrap(), 0);
        assert_eq!(Shell::in_group(&cgroup, "exec tail /dev/zero").end(), -9);
        assert_eq!(crate::read_oom_kills(&events).unwrap(), 1);
        assert_eq!(cgroup.oom_kills().unwrap(), 1);
    }
}

#[test]
fn oom_kills_can_be_read_without_privileges() {
    use std::os::unix::process::CommandExt;
    for host in Host::limiting() {
        let events = host.create("events").oom_fd().unwrap();
        let output = std::process::Command::new("cat")
            .uid(65_534)
            .gid(65_534)
            .stdin(events)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("oom_kill 0"), "{text}");
    }
}

#[test]
fn memory_can_be_raised_and_lowered_and_swap_with_it() {
    for host in Host::limiting() {
        let cgroup = host.create("memory");
        let held = || {
            let number = |text: String| text.parse::<u64>().map_or(u64::MAX, |bytes| bytes / MIB);
            let memory = number(host.read_either("memory", "memory.max", "memory.limit_in_bytes"));
            let swap = number(host.read_either(
                "memory",
                "memory.swap.max",
                "memory.memsw.limit_in_bytes",
            ));
            (memory, if host.hierarchy.version() == 2 { memory.saturating_add(swap) } else { swap })
        };
        let steps = [
            // No swap unless asked for, up, down; then some, kept up and down; then less than the
            // memory before, more than the sum before, and the sum alone.
            (memory(32 * MIB, None), (32, 32)),
            (memory(64 * MIB, None), (64, 64)),
            (memory(16 * MIB, None), (16, 16)),
            (memory(32 * MIB, Some(48 * MIB)), (32, 48)),
            (memory(64 * MIB, None), (64, 80)),
            (memory(16 * MIB, None), (16, 32)),
            (memory(8 * MIB, Some(12 * MIB)), (8, 12)),
            (memory(128 * MIB, Some(256 * MIB)), (128, 256)),
            (resources(|r| r.memory_and_swap = Some(128 * MIB)), (128, 128)),
        ];
        for (resources, expected) in steps {
            cgroup.apply(&resources).unwrap();
            assert_eq!(held(), expected, "{resources:?}");
        }
        let error = cgroup.apply(&memory(128 * MIB, Some(127 * MIB))).unwrap_err();
        assert!(matches!(error, Error::Invalid { limit: "MemorySwap", .. }), "{error}");
        assert_eq!(held(), (128, 128));
        cgroup.apply(&memory(64 * MIB, Some(u64::MAX))).unwrap();
        cgroup.apply(&memory(u64::MAX, None)).unwrap();
        let reservation = resources(|r| r.memory_reservation = Some(4 * MIB + 5));
        cgroup.apply(&reservation).unwrap();
        let soft = host.read_either("memory", "memory.low", "memory.soft_limit_in_bytes");
        assert_eq!(soft, (4 * MIB).to_string());
    }
}

#[test]
fn less_memory_than_is_in_use_is_an_error_on_v1() {
    let Some(host) = Host::new(Mounts::V1) else { return };
    let cgroup = host.create("busy");
    cgroup.apply(&memory(64 * MIB, None)).unwrap();
    // 16 MiB in a shell variable, which cannot be reclaimed without swap.
    let script = "x=$(head -c 16000000 /dev/zero | tr '\\0' x); echo ready; read -r more || :; kill -STOP $$";
    let mut shell = Shell::in_group(&cgroup, script);
    assert_eq!(shell.line(), "ready");
    let error = cgroup.apply(&memory(MIB, None)).unwrap_err();
    assert!(matches!(error, Error::Kernel { .. }), "{error}");
    assert_eq!(host.read("busy", "memory.limit_in_bytes"), (64 * MIB).to_string());
}

#[test]
fn the_oom_killer_can_be_turned_off_on_v1_only() {
    for host in Host::limiting() {
        let result = host.create("oom").apply(&resources(|r| r.oom_kill_disable = true));
        if host.hierarchy.version() == 1 {
            result.unwrap();
            assert!(host.read("oom", "memory.oom_control").starts_with("oom_kill_disable 1"));
        } else {
            assert!(matches!(result, Err(Error::Unsupported { limit: "OomKillDisable", .. })));
        }
    }
}

#[test]
fn the_pids_limit_meets_fork() {
    for host in Host::limiting() {
        let cgroup = host.create("pids");
        cgroup.apply(&resources(|r| r.pids = Some(1))).unwrap();
        assert_eq!(host.read("pids", "pids.max"), "1");
        assert_eq!(Shell::in_group(&cgroup, "/bin/true && exit 42").end(), 2);
        cgroup.apply(&resources(|r| r.pids = Some(u64::MAX))).unwrap();
        assert_eq!(host.read("pids", "pids.max"), "max");
        assert_eq!(Shell::in_group(&cgroup, "/bin/true && exit 42").end(), 42);
        let error = cgroup.apply(&resources(|r| r.pids = Some(1 << 23))).unwrap_err();
        assert!(matches!(error, Error::Invalid { limit: "PidsLimit", .. }), "{error}");
    }
}

#[test]
fn cpu_time_and_shares_are_read_back() {
    for host in Host::limiting() {
        let cgroup = host.create("cpu");
        let apply = |shares, quota, period| {
            cgroup.apply(&resources(|r| {
                (r.cpu_shares, r.cpu_quota_us, r.cpu_period_us) = (shares, quota, period);
            }))
        };
        apply(Some(512), Some(50_000), Some(20_000)).unwrap();
        apply(None, Some(25_000), None).unwrap();
        if host.hierarchy.version() == 2 {
            assert_eq!(host.read("cpu", "cpu.weight"), "59");
            assert_eq!(host.read("cpu", "cpu.max"), "25000 20000");
        } else {
            assert_eq!(host.read("cpu", "cpu.shares"), "512");
            assert_eq!(host.read("cpu", "cpu.cfs_quota_us"), "25000");
            assert_eq!(host.read("cpu", "cpu.cfs_period_us"), "20000");
        }
        apply(None, Some(u64::MAX), None).unwrap();
        for (shares, quota, period) in [
            (Some(1), None, None),
            (Some(262_145), None, None),
            (None, Some(999), None),
            (None, None, Some(999)),
            (None, None, Some(1_000_001)),
        ] {
            let error = apply(shares, quota, period).unwrap_err();
            assert!(matches!(error, Error::Invalid { .. }), "{error}");
        }
    }
}

#[test]
fn cpusets_are_handed_down_and_narrowed() {
    for host in Host::limiting() {
        let cgroup = host.create("cpuset");
        if host.hierarchy.version() == 1 {
            let root = std::fs::read_to_string("/sys/fs/cgroup/cpuset/cpuset.cpus").unwrap();
            assert_eq!(host.read("cpuset", "cpuset.cpus"), root.trim());
        }
        let set = |cpus: &str, mems: Option<&str>| {
            cgroup.apply(&resources(|r| {
                r.cpuset_cpus = Some(cpus.try_into().unwrap());
                r.cpuset_mems = mems.map(|mems| mems.try_into().unwrap());
            }))
        };
        set("0", Some("0")).unwrap();
        assert_eq!(host.read("cpuset", "cpuset.cpus"), "0");
        let mut shell = Shell::in_group(&cgroup, "grep Cpus_allowed_list /proc/self/status");
        assert_eq!(shell.line(), "Cpus_allowed_list:\t0");
        assert_eq!(shell.end(), 0);
        for missing in ["0-8191", "8000", "0,5000"] {
            let error = set(missing, None).unwrap_err();
            assert!(
                matches!(error, Error::Invalid { .. } | Error::NotApplied { .. }),
                "{missing}: {error}"
            );
        }
        for malformed in ["", "0-", "1-9223372036854775807"] {
            let error = set(malformed, None).unwrap_err();
            assert!(matches!(error, Error::Invalid { limit: "CpusetCpus", .. }), "{error}");
        }
    }
}

#[test]
fn block_io_is_throttled_by_device() {
    for host in Host::limiting() {
        let cgroup = host.create("io");
        let throttle = |kind, rate| {
            let throttles = vec![BlkioThrottle { major: 7, minor: 0, kind, rate }];
            cgroup.apply(&resources(|r| r.blkio_throttles = throttles.try_into().unwrap()))
        };
        let v1 = host.hierarchy.version() == 1;
        throttle(ThrottleKind::ReadBytes, MIB).unwrap();
        throttle(ThrottleKind::WriteOperations, 100).unwrap();
        if v1 {
            assert_eq!(host.read("io", "blkio.throttle.read_bps_device"), "7:0 1048576");
            assert_eq!(host.read("io", "blkio.throttle.write_iops_device"), "7:0 100");
        } else {
            let expected = "7:0 rbps=1048576 wbps=max riops=max wiops=100";
            assert_eq!(host.read("io", "io.max"), expected);
        }
        throttle(ThrottleKind::WriteOperations, 0).unwrap();
        throttle(ThrottleKind::ReadBytes, u64::MAX).unwrap();
        assert_eq!(host.read_either("io", "io.max", "blkio.throttle.read_bps_device"), "");
        let nowhere =
            BlkioThrottle { major: 4095, minor: 1, kind: ThrottleKind::ReadBytes, rate: 1 };
        let throttles = vec![nowhere].try_into().unwrap();
        assert!(cgroup.apply(&resources(|r| r.blkio_throttles = throttles)).is_err());
        if v1 {
            // The kernel keeps the low 32 bits and says nothing.
            let error = throttle(ThrottleKind::ReadOperations, (1 << 32) + 7).unwrap_err();
            assert!(matches!(error, Error::NotApplied { .. }), "{error}");
        }
    }
}

#[test]
fn block_io_weight_is_set_or_named_as_unsupported() {
    for host in Host::limiting() {
        let cgroup = host.create("io");
        match cgroup.apply(&resources(|r| r.blkio_weight = Some(500))) {
            Ok(()) => {
                let files = ["blkio.weight", "blkio.bfq.weight", "io.bfq.weight", "io.weight"];
                let set = files.iter().flat_map(|file| host.paths("io", file)).any(|path| {
                    let text = std::fs::read_to_string(path).unwrap();
                    matches!(text.trim_end(), "500" | "default 500" | "default 4950")
                });
                assert!(set);
            }
            Err(Error::Unsupported { limit: "BlkioWeight", .. }) => {}
            Err(error) => panic!("{error}"),
        }
        let error = cgroup.apply(&resources(|r| r.blkio_weight = Some(9))).unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{error}");
    }
}

#[test]
fn a_missing_controller_matters_only_to_a_limit_that_needs_it() {
    let Some(host) = Host::new(Mounts::V2) else { return };
    if host.parent().create("probe").unwrap().oom_fd().is_ok() {
        return;
    }
    let cgroup = host.create("bare");
    cgroup.apply(&Resources::default()).unwrap();
    let throttle = BlkioThrottle { major: 7, minor: 0, kind: ThrottleKind::ReadBytes, rate: 1 };
    let asked = [
        (memory(MIB, None), "Memory", "memory.max"),
        (resources(|r| r.memory_reservation = Some(1)), "MemoryReservation", "memory.low"),
        (resources(|r| r.cpu_shares = Some(2)), "CpuShares", "cpu.weight"),
        (resources(|r| r.cpu_quota_us = Some(1000)), "CpuQuota", "cpu.max"),
        (resources(|r| r.cpuset_mems = Some("0".try_into().unwrap())), "CpusetMems", "cpuset.mems"),
        (resources(|r| r.pids = Some(5)), "PidsLimit", "pids.max"),
        (resources(|r| r.blkio_weight = Some(10)), "BlkioWeight", "io.weight"),
        (
            resources(|r| r.blkio_throttles = vec![throttle].try_into().unwrap()),
            "BlkioDeviceReadBps",
            "io.max",
        ),
    ];
    for (resources, name, path) in asked {
        match cgroup.apply(&resources) {
            Err(Error::Unsupported { limit, file }) => assert_eq!((limit, file), (name, path)),
            other => panic!("{name}: {other:?}"),
        }
    }
}
