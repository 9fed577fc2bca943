//! Device filters: v1's files, and BPF programs on v2.

use super::{Host, Mounts, Shell};
use crate::{ALL_DEVICES, Cgroup, DEFAULT_DEVICES, DeviceKind, DeviceRule, Error};

/// `/dev/kmsg`.
const KMSG: DeviceRule =
    DeviceRule { kind: DeviceKind::Char, major: Some(1), minor: Some(11), access: 7 };

fn succeeds(cgroup: &Cgroup, script: &str) -> bool {
    Shell::in_group(cgroup, &format!("exec 2>&-; {script}")).end() == 0
}

#[test]
fn only_listed_devices_can_be_opened() {
    for host in Host::each() {
        let cgroup = host.create("devices");
        assert!(succeeds(&cgroup, ": </dev/kmsg"));
        cgroup.set_devices(DEFAULT_DEVICES).unwrap();
        for device in ["null", "zero", "full", "random", "urandom"] {
            assert!(succeeds(&cgroup, &format!(": <>/dev/{device}")), "{device}");
        }
        assert!(!succeeds(&cgroup, ": </dev/kmsg"));
        assert!(!succeeds(&cgroup, ": </dev/loop0"));
        assert!(!succeeds(&cgroup, ": </dev/loop-control"));
    }
}

#[test]
fn only_listed_devices_can_be_made() {
    for host in Host::each() {
        let cgroup = host.create("devices");
        cgroup.set_devices(DEFAULT_DEVICES).unwrap();
        let node = std::env::temp_dir().join(&host.name);
        let node = node.display();
        let mknod = |device: &str| {
            succeeds(&cgroup, &format!("trap 'rm -f {node}' EXIT; mknod {node} {device}"))
        };
        assert!(mknod("c 1 3"));
        assert!(mknod("c 136 77"));
        assert!(!mknod("c 1 11"));
        assert!(!mknod("c 1 1"));
        assert!(!mknod("b 1 3"));
        assert!(!mknod("b 7 0"));
    }
}

#[test]
fn a_rule_admits_no_more_ways_than_it_names() {
    for host in Host::each() {
        let cgroup = host.create("devices");
        let read_only = DeviceRule { access: 2, ..KMSG };
        cgroup.set_devices(&[&[read_only], DEFAULT_DEVICES].concat()).unwrap();
        assert!(succeeds(&cgroup, ": </dev/kmsg"));
        assert!(!succeeds(&cgroup, ": >/dev/kmsg"));
        assert!(!succeeds(&cgroup, ": <>/dev/kmsg"));
    }
}

#[test]
fn rules_can_be_replaced_widened_and_emptied() {
    for host in Host::each() {
        let cgroup = host.create("devices");
        cgroup.set_devices(DEFAULT_DEVICES).unwrap();
        cgroup.set_devices(&[&[KMSG], DEFAULT_DEVICES].concat()).unwrap();
        assert!(succeeds(&cgroup, ": </dev/kmsg"));
        cgroup.set_devices(ALL_DEVICES).unwrap();
        assert!(succeeds(&cgroup, ": </dev/loop-control"));
        cgroup.set_devices(DEFAULT_DEVICES).unwrap();
        assert!(!succeeds(&cgroup, ": </dev/kmsg"));
        cgroup.set_devices(&[]).unwrap();
        assert!(!succeeds(&cgroup, ": </dev/null"));
    }
}

#[test]
fn overlapping_and_repeated_rules_are_taken() {
    for host in Host::each() {
        let cgroup = host.create("devices");
        let any_of_1 = DeviceRule { minor: None, access: 2, ..KMSG };
        let write = DeviceRule { access: 4, ..KMSG };
        cgroup.set_devices(&[any_of_1, write, KMSG, KMSG, any_of_1]).unwrap();
        assert!(succeeds(&cgroup, ": <>/dev/kmsg"));
    }
}

#[test]
fn rules_that_say_nothing_or_too_much_are_refused() {
    for host in Host::each() {
        let cgroup = host.create("devices");
        let with = |access| DeviceRule { access, ..KMSG };
        for rules in [vec![with(0)], vec![with(8)], vec![KMSG; 257]] {
            let error = cgroup.set_devices(&rules).unwrap_err();
            assert!(matches!(error, Error::Invalid { limit: "Devices", .. }), "{error}");
        }
        cgroup.set_devices(&vec![KMSG; 256]).unwrap();
    }
}

#[test]
fn on_v2_one_program_stands_on_the_group_however_often_rules_are_set() {
    let Some(host) = Host::new(Mounts::V2) else { return };
    let cgroup = host.create("devices");
    let directory = cgroup.clone_into_fd().unwrap();
    for _ in 0..3 {
        cgroup.set_devices(DEFAULT_DEVICES).unwrap();
        assert_eq!(bulkhead_sys::bpf::device_programs(directory).unwrap().len(), 1);
    }
}
