//! Which packets pass, on the real kernel: a host, its containers and an outside as network
//! namespaces. Needs root.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod harness;

use bulkhead_policy::proto::NetworkSpec;
use harness::{Namespace, create, ip, plan, spec};

const OUTSIDE: [u8; 4] = [192, 0, 2, 2];

#[test]
fn containers_of_a_network_reach_each_other_and_the_host_both_ways() {
    let (host, _outside) = Namespace::host_and_outside();
    let network = create(&host, spec(5));
    let (a, b) = (host.container(&network, 2), host.container(&network, 3));

    assert_eq!(a.reach(&b, [10, 5, 0, 3]), Some(ip([10, 5, 0, 2])));
    assert_eq!(b.reach(&a, [10, 5, 0, 2]), Some(ip([10, 5, 0, 3])));
    assert_eq!(a.reach(&host, [10, 5, 0, 1]), Some(ip([10, 5, 0, 2])));
    assert_eq!(host.reach(&a, [10, 5, 0, 2]), Some(ip([10, 5, 0, 1])));
    assert_eq!(a.reach(&a, [127, 0, 0, 1]), Some(ip([127, 0, 0, 1])));
}

#[test]
fn a_container_leaves_with_the_hosts_address_unless_masquerade_is_off() {
    let (host, outside) = Namespace::host_and_outside();
    outside.sh("ip route add 10.6.0.0/24 via 192.0.2.1");
    let translated = create(&host, spec(5));
    let plain = create(&host, NetworkSpec { masquerade: false, ..spec(6) });
    let (a, b) = (host.container(&translated, 2), host.container(&plain, 2));

    assert_eq!(a.reach(&outside, OUTSIDE), Some(ip([192, 0, 2, 1])));
    assert_eq!(b.reach(&outside, OUTSIDE), Some(ip([10, 6, 0, 2])));
}

#[test]
fn a_neighbour_of_the_host_reaches_no_container() {
    let (host, outside) = Namespace::host_and_outside();
    let network = create(&host, spec(5));
    let a = host.container(&network, 2);
    outside.sh("ip route add 10.5.0.0/24 via 192.0.2.1");

    assert_eq!(outside.reach(&a, [10, 5, 0, 2]), None);
    host.sh("nft delete table inet bulkhead");
    assert!(outside.reach(&a, [10, 5, 0, 2]).is_some(), "but for our table it would");
}

#[test]
fn networks_do_not_reach_each_other() {
    let (host, _outside) = Namespace::host_and_outside();
    let (one, two) = (create(&host, spec(5)), create(&host, spec(6)));
    let (a, b) = (host.container(&one, 2), host.container(&two, 2));

    assert_eq!(a.reach(&b, [10, 6, 0, 2]), None);
    assert_eq!(b.reach(&a, [10, 5, 0, 2]), None);
    host.sh("nft delete table inet bulkhead");
    assert!(a.reach(&b, [10, 6, 0, 2]).is_some(), "but for our table they would");
}

#[test]
fn without_inter_container_only_the_gateway_is_reached() {
    let (host, outside) = Namespace::host_and_outside();
    let network = create(&host, NetworkSpec { inter_container: false, ..spec(5) });
    let (a, b) = (host.container(&network, 2), host.container(&network, 3));

    assert_eq!(a.reach(&b, [10, 5, 0, 3]), None);
    a.sh("ip route add 10.5.0.3/32 via 10.5.0.1");
    b.sh("ip route add 10.5.0.2/32 via 10.5.0.1");
    assert_eq!(a.reach(&b, [10, 5, 0, 3]), None, "nor by way of the gateway");
    assert!(a.reach(&host, [10, 5, 0, 1]).is_some());
    assert!(a.reach(&outside, OUTSIDE).is_some());
}

#[test]
fn an_internal_network_has_no_way_out_or_in() {
    let (host, outside) = Namespace::host_and_outside();
    let network = create(&host, NetworkSpec { internal: true, ..spec(5) });
    // Another network makes the host a router.
    create(&host, spec(6));
    let (a, b) = (host.container(&network, 2), host.container(&network, 3));
    outside.sh("ip route add 10.5.0.0/24 via 192.0.2.1");

    assert_eq!(a.sh("ip route show default"), "", "no default route");
    a.sh("ip route add default via 10.5.0.1");
    assert_eq!(a.reach(&outside, OUTSIDE), None);
    assert_eq!(outside.reach(&a, [10, 5, 0, 2]), None);
    assert!(a.reach(&b, [10, 5, 0, 3]).is_some());
    assert!(a.reach(&host, [10, 5, 0, 1]).is_some());
}

#[test]
fn a_container_cannot_speak_with_another_address() {
    let (host, outside) = Namespace::host_and_outside();
    let network = create(&host, spec(5));
    let victim = host.container(&network, 9);
    for (last, address, commands) in [
        (2, "another container's", "ip addr add 10.5.0.9/24 dev eth0"),
        (3, "the gateway's", "ip addr add 10.5.0.1/24 dev eth0"),
        (
            4,
            "one of the outside",
            "ip addr add 8.8.8.8/24 dev eth0; ip route add 10.5.0.1 dev eth0",
        ),
    ] {
        let liar = host.container(&network, last);
        assert!(liar.reach(&outside, OUTSIDE).is_some());
        liar.sh(&format!(
            "ip addr flush dev eth0; ip neigh flush all; {commands}; ip route add default via 10.5.0.1"
        ));
        assert_eq!(liar.reach(&outside, OUTSIDE), None, "{address} address");
    }
    let liar = host.container(&network, 5);
    liar.sh("ip link set eth0 address 02:42:0a:05:00:09");
    assert_eq!(liar.reach(&host, [10, 5, 0, 1]), None, "another container's hardware address");

    assert!(victim.reach(&outside, OUTSIDE).is_some(), "the owner is not hurt");
    let known = host.sh(&format!("ip neigh show dev {} to 10.5.0.9", network.bridge()));
    assert!(known.contains("02:42:0a:05:00:09"), "{known}");
}

#[test]
fn ipv6_is_off_and_does_not_pass_if_containers_switch_it_on() {
    let (host, _outside) = Namespace::host_and_outside();
    let network = create(&host, spec(5));
    let (a, b) = (host.container(&network, 2), host.container(&network, 3));
    a.reach(&b, [10, 5, 0, 3]).unwrap();

    for container in [&a, &b] {
        assert_eq!(container.sh("ip -6 -o addr show dev eth0"), "");
    }
    assert_eq!(host.sh("ip -6 -o addr show | grep -v -e ': lo ' -e uplink || true"), "");
    a.sh("ip -6 addr add fd00::a/64 dev eth0 nodad");
    b.sh("ip -6 addr add fd00::b/64 dev eth0 nodad");
    let there = "[fd00::b]:0".parse().unwrap();
    assert!(!a.connects(&b, there));
    host.sh("nft delete table netdev bulkhead");
    a.sh("ip -6 neigh flush dev eth0");
    assert!(a.connects(&b, there), "but for our table it would");
}

#[test]
fn a_container_on_two_networks_has_two_interfaces_and_one_default_route() {
    let (host, outside) = Namespace::host_and_outside();
    let (one, two) = (create(&host, spec(5)), create(&host, spec(6)));
    let (a, b) = (host.container(&one, 3), host.container(&two, 4));
    let both = Namespace::new();
    let mut plans = vec![plan(&one, 2), plan(&two, 2)];
    plans[1].name = "eth1".to_owned();
    plans[1].gateway = None;
    both.attach_to(&host, plans).unwrap();

    assert_eq!(both.reach(&a, [10, 5, 0, 3]), Some(ip([10, 5, 0, 2])));
    assert_eq!(both.reach(&b, [10, 6, 0, 4]), Some(ip([10, 6, 0, 2])));
    assert!(both.reach(&outside, OUTSIDE).is_some());
    assert_eq!(a.reach(&b, [10, 6, 0, 4]), None);
}

#[test]
fn every_link_has_the_networks_mtu() {
    let host = Namespace::new();
    let network = create(&host, NetworkSpec { mtu: 9000, ..spec(5) });
    let (a, b) = (host.container(&network, 2), host.container(&network, 3));
    for (namespace, link) in [(&host, network.bridge()), (&a, "eth0"), (&b, "eth0")] {
        assert!(namespace.sh(&format!("ip link show {link}")).contains("mtu 9000"));
    }
    assert!(a.reach(&b, [10, 5, 0, 3]).is_some());
}
