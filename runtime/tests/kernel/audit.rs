//! The audit finds a process that is not as permitted, whoever made it so.

use crate::rig::{Case, Rig, path};
use bulkhead_policy::EffectiveContainer;
use bulkhead_policy::proto::{NetworkMode, Share};
use bulkhead_runtime::Mismatch;
use std::time::Instant;

crate::tests! {
    a_process_as_permitted_passes,
    a_corrupted_process_is_found,
    another_cgroup_and_other_ids_are_found,
    a_process_that_is_gone_is_found,
    the_audit_is_cheap,
}

fn a_process_as_permitted_passes(rig: &Rig) {
    let changes: [fn(Case<'_>) -> Case<'_>; 4] =
        [|case| case, |case| case.hardened(), |case| case.host_ids(), |case| case.user("app")];
    for change in changes {
        let waiting = change(rig.shell("true")).create().unwrap();
        assert_eq!(waiting.audit(), Ok(()));
        let read_only = change(rig.shell("true")).with(|spec| spec.read_only = true);
        assert_eq!(read_only.create().unwrap().audit(), Ok(()));
    }
}

/// The process was made by one plan and is compared with another, as if the spawner had changed it.
fn found(rig: &Rig, permitted: impl FnOnce(&mut EffectiveContainer)) -> Vec<String> {
    let waiting = rig.shell("true").create().unwrap();
    let mut container = waiting.permit.granted().clone();
    permitted(&mut container);
    let mismatches = waiting.audit_as(&container).err().unwrap_or_default();
    mismatches.iter().map(|Mismatch { what, .. }| what.clone()).collect()
}

fn a_corrupted_process_is_found(rig: &Rig) {
    type Permitted = fn(&mut EffectiveContainer);
    let table: [(&str, Permitted); 9] = [
        ("CapBnd", |container| container.confinement.capabilities &= !1),
        ("NoNewPrivs", |container| container.confinement.no_new_privs = true),
        ("Seccomp_filters", |container| container.confinement.seccomp_program = true),
        ("mount /", |container| container.spec.read_only = true),
        ("mask /proc/cpuinfo", |container| {
            container.masked_paths.push(path("/proc/cpuinfo"));
        }),
        ("mount /proc/driver", |container| {
            container.readonly_paths.push(path("/proc/driver"));
        }),
        ("ns/net", |container| container.spec.namespaces.network = NetworkMode::Host),
        ("ns/pid", |container| container.spec.namespaces.pid = Share::Host),
        ("ns/user", |container| {
            container.spec.namespaces.user = bulkhead_policy::proto::UserMode::Host;
        }),
    ];
    for (what, permitted) in table {
        let found = found(rig, permitted);
        assert!(found.iter().any(|name| name == what), "{what}: {found:?}");
    }
}

fn another_cgroup_and_other_ids_are_found(rig: &Rig) {
    let waiting = rig.shell("true").create().unwrap();
    let mut expected = waiting.expected(waiting.permit.granted(), false);
    expected.base += 65_536;
    expected.cgroup = expected.cgroup.replace("runtime", "other");
    let mismatches = bulkhead_runtime::audit(&waiting.pidfd, waiting.pid, &expected).unwrap_err();
    for what in ["uid_map", "gid_map", "ids", "cgroup memory"] {
        assert!(mismatches.iter().any(|mismatch| mismatch.what == what), "{what}: {mismatches:?}");
    }
}

fn a_process_that_is_gone_is_found(rig: &Rig) {
    let waiting = rig.shell("true").create().unwrap();
    let expected = waiting.expected(waiting.permit.granted(), false);
    let mut other = rig.shell("true").create().unwrap();
    // Another process with that pid: the pidfd is what counts.
    bulkhead_sys::fork::pidfd_signal(&other.pidfd, 9).unwrap();
    crate::rig::wait(&other.pidfd);
    other.reaped = true;
    let mismatches = bulkhead_runtime::audit(&other.pidfd, waiting.pid, &expected).unwrap_err();
    assert_eq!(mismatches.len(), 1, "{mismatches:?}");
    assert_eq!(mismatches[0].what, "process");
}

fn the_audit_is_cheap(rig: &Rig) {
    let waiting = rig.shell("true").create().unwrap();
    let time = || {
        let start = Instant::now();
        waiting.audit().unwrap();
        start.elapsed()
    };
    // The machine may be busy: the best of many is the cost.
    let best = (0..50).map(|_| time()).min().unwrap();
    assert!(best < std::time::Duration::from_millis(2), "{best:?}");
}
