//! Ids, namespaces, cgroup.

use crate::rig::{Rig, host_mounts, name};
use bulkhead_policy::proto::{
    Endpoint, HostOr, Ipv4, NetworkId, NetworkMode, NetworkSpec, Share, Sysctl,
};
use bulkhead_runtime::{Joined, RANGE};
use rustix::thread::UnshareFlags;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind};

crate::tests! {
    a_container_runs_its_program,
    ids_are_those_of_its_range_and_no_others,
    two_containers_have_no_id_in_common,
    with_host_ids_the_same_steps_hold,
    the_hosts_mount_table_does_not_change,
    every_namespace_is_its_own,
    namespaces_of_the_host_can_be_kept,
    an_endpoint_is_an_interface_of_the_container,
    a_network_namespace_can_be_joined,
    pid_and_ipc_namespaces_can_be_joined_with_the_user_namespace,
    limits_hold_by_the_cgroup,
    its_own_cgroup_is_the_root_of_what_it_sees,
    sysctls_are_set_in_its_own_namespaces_only,
    a_sysctl_name_cannot_leave_proc_sys,
}

fn a_container_runs_its_program(rig: &Rig) {
    let out = rig.shell("echo out; echo err >&2; exit 7").run();
    assert_eq!((out.code, out.out.as_str(), out.err.as_str()), (7, "out\n", "err\n"));
    assert_eq!(
        rig.shell("kill -9 $$").run().code,
        0,
        "init ignores signals that it does not handle"
    );
}

fn ids_are_those_of_its_range_and_no_others(rig: &Rig) {
    let case = rig.shell("echo hello > /file; chown 1000:1001 /file; id -u; id -g; cat");
    let (base, file) = (case.base(), case.dir.join("w/upper/file"));
    let waiting = case.with(|spec| spec.process.stdin = true).create().unwrap();
    for map in ["uid_map", "gid_map"] {
        let map: Vec<u32> =
            waiting.proc(map).split_ascii_whitespace().map(|n| n.parse().unwrap()).collect();
        assert_eq!(map, [0, base, RANGE]);
    }
    let mut waiting = waiting;
    waiting.open().unwrap();
    let status = waiting.proc("status");
    assert!(status.contains(&format!("Uid:\t{base}\t{base}\t{base}\t{base}\n")), "{status}");
    let case_dir = waiting.case.dir.clone();
    assert_eq!(waiting.finish().text(), "0\n0\n");
    let stat = std::fs::metadata(file).unwrap();
    assert_eq!((stat.uid(), stat.gid()), (base + 1000, base + 1001));
    let upper = std::fs::metadata(case_dir.join("w/upper")).unwrap();
    assert_eq!((upper.uid(), upper.gid()), (base, base));
}

fn two_containers_have_no_id_in_common(rig: &Rig) {
    let range = |case: &crate::rig::Case<'_>| case.base()..case.base() + RANGE;
    let (one, two) = (rig.shell("true"), rig.shell("true"));
    assert!(range(&one).end <= range(&two).start);
    // The image's files are root's in both.
    for case in [one, two] {
        let case = case.with(|spec| {
            spec.process.args =
                crate::rig::arguments(&["/bin/stat", "-c", "%u:%g", "/bin/sh", "/home/app"])
        });
        assert_eq!(case.run().text(), "0:0\n1000:1001\n");
    }
}

fn with_host_ids_the_same_steps_hold(rig: &Rig) {
    let case = rig.shell("id; stat -c %u:%g /bin/sh /home/app; touch /x; cat /proc/self/uid_map");
    let dir = case.dir.clone();
    let text = case.host_ids().run().text();
    assert!(text.starts_with("uid=0(root) gid=0(root) groups=0(root)\n0:0\n1000:1001\n"), "{text}");
    assert_eq!(std::fs::metadata(dir.join("w/upper/x")).unwrap().uid(), 0);
}

fn the_hosts_mount_table_does_not_change(rig: &Rig) {
    let before = host_mounts();
    let mut waiting = rig.shell("cat").with(|spec| spec.process.stdin = true).create().unwrap();
    assert_eq!(host_mounts(), before);
    waiting.open().unwrap();
    assert_eq!(host_mounts(), before);
    waiting.finish().text();
    rig.shell("mount -t tmpfs x /tmp || true").host_ids().run();
    assert_eq!(host_mounts(), before);
}

fn every_namespace_is_its_own(rig: &Rig) {
    let waiting = rig.shell("true").create().unwrap();
    for kind in ["user", "mnt", "pid", "ipc", "net", "uts", "cgroup"] {
        let of = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap();
        assert_ne!(of(&waiting.pid.to_string()), of("self"), "{kind}");
    }
    drop(waiting);
    let script = "hostname; cat /proc/sys/kernel/domainname; ls -d /proc/[0-9]* | wc -l; \
        ls /sys/class/net; ip -o addr show lo | grep -c 127.0.0.1";
    let case = rig.shell(script).with(|spec| spec.domainname = "here".try_into().unwrap());
    let text = case.run().text();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("box"));
    assert_eq!(lines.next(), Some("here"));
    assert!(lines.next().unwrap().parse::<u32>().unwrap() <= 4, "{text}");
    assert_eq!(lines.next(), Some("lo"));
    assert_eq!(lines.next(), Some("1"));
}

fn namespaces_of_the_host_can_be_kept(rig: &Rig) {
    let case = rig.shell("cat").with(|spec| {
        spec.process.stdin = true;
        spec.namespaces.pid = Share::Host;
        spec.namespaces.ipc = Share::Host;
        spec.namespaces.network = NetworkMode::Host;
        spec.namespaces.uts = HostOr::Host;
        spec.namespaces.cgroup = HostOr::Host;
        spec.sysctls = Vec::new().try_into().unwrap();
    });
    let waiting = case.create().map_err(|error| crate::rig::chain(&error)).unwrap();
    waiting.audit().unwrap();
    for kind in ["pid", "ipc", "net", "uts", "cgroup"] {
        let of = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap();
        assert_eq!(of(&waiting.pid.to_string()), of("self"), "{kind}");
    }
}

/// In a network namespace that is thrown away.
fn an_endpoint_is_an_interface_of_the_container(rig: &Rig) {
    let own = crate::rig::open("/proc/self/ns/net");
    bulkhead_sys::fork::unshare(UnshareFlags::NEWNET).unwrap();
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        bulkhead_network::loopback_up().unwrap();
        let instance = bulkhead_network::Instance::new("0123abcd").unwrap();
        let id = NetworkId::from_bytes([3; 32]);
        let network = NetworkSpec {
            id,
            gateway: Ipv4 { address: [172, 30, 0, 1], prefix: 16 },
            internal: false,
            inter_container: true,
            masquerade: true,
            mtu: 1500,
            default: true,
        };
        let network = bulkhead_network::create_network(&instance, &network).unwrap();
        let endpoint = Endpoint {
            network: id,
            ipv4: Ipv4 { address: [172, 30, 0, 2], prefix: 16 },
            mac: [2, 0x42, 1, 2, 3, 4],
            gateway: true,
        };
        let script = "ip -o addr show eth0 | grep -c 172.30.0.2/16; ip route | head -1; \
            cat /sys/class/net/eth0/address; ping -c 1 -W 2 172.30.0.1 | grep -c '1 packets received'";
        let mut case = rig.shell(script).with(|spec| {
            spec.namespaces.network = NetworkMode::Endpoints;
            spec.endpoints = vec![endpoint].try_into().unwrap();
        });
        let container = &case.spec.id;
        let plan = bulkhead_network::plan_endpoint(&network, &endpoint, container, 0).unwrap();
        case.endpoints = vec![plan];
        let text = case.run().text();
        bulkhead_network::remove_all(&instance).unwrap();
        text
    }));
    let kind = rustix::thread::LinkNameSpaceType::Network;
    rustix::thread::move_into_link_name_space(own.as_fd(), Some(kind)).unwrap();
    let expected = "1\ndefault via 172.30.0.1 dev eth0 \n02:42:01:02:03:04\n1\n";
    assert_eq!(outcome.unwrap(), expected);
}

fn namespace(pid: u32, kind: &str) -> Option<std::os::fd::OwnedFd> {
    Some(crate::rig::open(&format!("/proc/{pid}/ns/{kind}")))
}

fn a_network_namespace_can_be_joined(rig: &Rig) {
    let first = rig.shell("true").create().unwrap();
    let id = first.case.spec.id;
    let mut second = rig.shell("ip -o addr show lo | grep -c 127.0.0.1; ls /sys/class/net");
    second.join = Joined { net: namespace(first.pid, "net"), ..Joined::default() };
    let second = second.with(|spec| spec.namespaces.network = NetworkMode::Container { id });
    let waiting = second.create().map_err(|error| crate::rig::chain(&error)).unwrap();
    waiting.audit().unwrap();
    let of = |pid: u32| std::fs::read_link(format!("/proc/{pid}/ns/net")).unwrap();
    assert_eq!(of(waiting.pid), of(first.pid));
    let mut waiting = waiting;
    waiting.open().unwrap();
    let text = waiting.finish().text();
    assert!(text.starts_with("1\n"), "{text}");
}

fn pid_and_ipc_namespaces_can_be_joined_with_the_user_namespace(rig: &Rig) {
    let mut first = rig.program(&["/bin/sleep", "1000"]).create().unwrap();
    first.open().unwrap();
    let id = first.case.spec.id;
    let mut second = rig.shell("cat /proc/1/cmdline; echo; id -u; cat /proc/self/uid_map | wc -l");
    second.ids = first.case.ids;
    second.join = Joined {
        user: namespace(first.pid, "user"),
        pid: namespace(first.pid, "pid"),
        ipc: namespace(first.pid, "ipc"),
        net: None,
    };
    let second = second.with(|spec| {
        spec.namespaces.pid = Share::Container { id };
        spec.namespaces.ipc = Share::Container { id };
    });
    let text = second.run().text();
    assert_eq!(text, "/bin/sleep\x001000\0\n0\n1\n");

    let mut third = rig.shell("ls -d /proc/[0-9]* | wc -l");
    third.ids = first.case.ids;
    third.join = Joined {
        user: namespace(first.pid, "user"),
        ipc: namespace(first.pid, "ipc"),
        ..Joined::default()
    };
    let third = third.with(|spec| spec.namespaces.ipc = Share::Container { id });
    let count: u32 = third.run().text().trim().parse().unwrap();
    assert!(count <= 3, "its own pid namespace, {count} processes");
}

fn limits_hold_by_the_cgroup(rig: &Rig) {
    let case = rig.shell("for i in 1 2 3 4 5 6 7 8; do sleep 5 & done; echo all");
    let outcome = case.with(|spec| spec.resources.pids = Some(4)).run();
    assert!(outcome.err.contains("can't fork"), "{outcome:?}");
}

fn its_own_cgroup_is_the_root_of_what_it_sees(rig: &Rig) {
    let case =
        rig.shell("cat /proc/self/cgroup; ls /sys/fs/cgroup | head -1; touch /sys/fs/cgroup/x");
    let outcome = case.run();
    assert!(outcome.out.lines().all(|line| !line.contains("bulkhead")), "{}", outcome.out);
    assert!(outcome.err.contains("Read-only file system"), "{}", outcome.err);
}

fn sysctls_are_set_in_its_own_namespaces_only(rig: &Rig) {
    let path = "/proc/sys/net/core/somaxconn";
    let before = std::fs::read_to_string(path).unwrap();
    let sysctls = vec![
        Sysctl { name: name("net.core.somaxconn"), value: name("77") },
        Sysctl { name: name("kernel.msgmax"), value: name("9999") },
    ];
    let case = rig.shell("cat /proc/sys/net/core/somaxconn /proc/sys/kernel/msgmax");
    let case = case.with(|spec| spec.sysctls = sysctls.try_into().unwrap());
    assert_eq!(case.run().text(), "77\n9999\n");
    assert_eq!(std::fs::read_to_string(path).unwrap(), before);
}

fn a_sysctl_name_cannot_leave_proc_sys(rig: &Rig) {
    let mut case = rig.shell("true");
    // Policy would refuse these names; the runtime has to as well.
    for bad in ["kernel.core_pattern", "...sysrq-trigger", "net/../kernel/core_pattern"] {
        let sysctl = Sysctl { name: name(bad), value: name("1") };
        let proc = crate::rig::open("/proc");
        drop(proc);
        case.spec.sysctls = vec![sysctl].try_into().unwrap();
        let request = bulkhead_policy::proto::Request::Create(case.spec.clone());
        let peer = bulkhead_policy::Peer { uid: 0 };
        assert!(bulkhead_policy::decide(&case.policy, peer, request).is_err(), "{bad}");
    }
}
