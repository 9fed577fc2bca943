//! What networks do to the host they are on: what is made, refused, remembered and removed. Needs
//! root.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on ends")]

mod harness;

use bulkhead_network::{
    Error, Instance, create_network, detach_dead, list_networks, open_network, remove_all,
    remove_network, snapshot,
};
use bulkhead_policy::proto::{ContainerId, Endpoint, Ipv4, NetworkSpec};
use harness::{Namespace, create, id, installed, plan, spec};

const TABLES: &str = r#"table inet bulkhead {
	set bridges {
		type ifname
		elements = { "bulkhead0" }
	}

	set linked {
		type ifname . ifname
		elements = { "bulkhead0" . "bulkhead0" }
	}

	set open {
		type ifname
		elements = { "bulkhead0" }
	}

	set masqueraded {
		type ifname
		elements = { "bulkhead0" }
	}

	chain forward {
		type filter hook forward priority filter; policy accept;
		iifname != @bridges oifname != @bridges accept
		iifname . oifname @linked accept
		ct state established,related accept
		ct state invalid drop
		iifname @open oifname != @bridges accept
		drop
	}

	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		iifname @masqueraded oifname != @bridges masquerade
	}
}
table netdev bulkhead {
}
table inet bulkhead_guard {
	chain forward {
		type filter hook forward priority filter; policy accept;
		iifgroup != 25192 oifgroup != 25192 drop
	}
}
"#;

const PORT: &str = r#"table netdev bulkhead {
	chain bv0707070707-0 {
		type filter hook ingress device "bv0707070707-0" priority filter; policy drop;
		ether saddr 02:42:0a:05:00:02 ip saddr 10.5.0.2 accept
		ether saddr 02:42:0a:05:00:02 arp saddr ether 02:42:0a:05:00:02 arp saddr ip 10.5.0.2 accept
	}
}
"#;

#[test]
fn the_default_network_is_a_bridge_and_two_tables() {
    let host = Namespace::new();
    let network = create(&host, NetworkSpec { default: true, ..spec(5) });

    assert_eq!(network.bridge(), "bulkhead0");
    let link = host.sh("ip -d link show bulkhead0");
    assert!(link.contains("MULTICAST,UP"), "{link}");
    assert!(link.contains("02:42:0a:05:00:01") && link.contains("group 25192"), "{link}");
    let alias = format!(
        "alias bulkhead - {} 10.5.0.1/24 mtu=1500 inter-container masquerade default",
        id(5)
    );
    assert!(link.contains(&alias), "{link}");
    let address = host.sh("ip -o addr show dev bulkhead0");
    assert!(address.contains("inet 10.5.0.1/24 brd 10.5.0.255 scope global"), "{address}");
    assert!(!address.contains("inet6"), "{address}");
    assert_eq!(host.sh("nft list ruleset"), TABLES);
    let of_bridge =
        "cd /proc/sys/net/ipv4/conf/bulkhead0; cat rp_filter send_redirects accept_redirects";
    assert_eq!(host.sh(of_bridge), "1\n0\n0\n");
}

#[test]
fn a_port_admits_its_own_addresses_only() {
    let host = Namespace::new();
    let network = create(&host, spec(5));
    let _container = host.container(&network, 2);

    assert_eq!(host.sh("nft list table netdev bulkhead"), PORT);
}

#[test]
fn making_a_network_again_repairs_it_and_keeps_the_others() {
    let host = Namespace::new();
    create(&host, spec(6));
    let first = create(&host, spec(5));
    let rules = host.sh("nft list ruleset");
    assert_eq!(create(&host, spec(5)), first);
    assert_eq!(host.sh("nft list ruleset"), rules);

    host.sh(
        "nft flush ruleset; ip addr flush dev bh-050505050505; ip link set bh-050505050505 down",
    );
    assert_eq!(create(&host, spec(5)), first);
    let sets = |rules: &str| rules.split("table inet bulkhead_guard").next().map(str::to_owned);
    assert_eq!(sets(&host.sh("nft list ruleset")), sets(&rules));
    assert!(host.sh("ip -o addr show dev bh-050505050505").contains("10.5.0.1/24"));
}

#[test]
fn a_network_with_other_settings_is_refused() {
    let host = Namespace::new();
    create(&host, spec(5));
    for other in [
        NetworkSpec { internal: true, ..spec(5) },
        NetworkSpec { inter_container: false, ..spec(5) },
        NetworkSpec { masquerade: false, ..spec(5) },
        NetworkSpec { mtu: 1400, ..spec(5) },
        NetworkSpec { default: true, ..spec(5) },
        NetworkSpec { gateway: Ipv4 { address: [10, 5, 0, 2], prefix: 24 }, ..spec(5) },
    ] {
        let result = host.run(move || create_network(&installed(), &other));
        assert!(matches!(result, Err(Error::Exists { .. })), "{result:?}");
    }
}

#[test]
fn a_foreign_interface_of_the_bridges_name_is_left_alone() {
    let host = Namespace::new();
    for foreign in ["type bridge", "type dummy", "type veth peer name other"] {
        host.sh(&format!(
            "ip link add bulkhead0 {foreign} 2>/dev/null || ip link add bulkhead0 type bridge"
        ));
        let before = host.sh("ip -d addr");
        let result =
            host.run(|| create_network(&installed(), &NetworkSpec { default: true, ..spec(5) }));
        let Err(Error::Exists { what }) = result else { panic!("{result:?}") };
        assert_eq!(what, "interface bulkhead0");
        host.run(|| remove_all(&installed()).unwrap());
        assert_eq!(host.sh("ip -d addr"), before);
        host.sh("ip link del bulkhead0");
    }
}

#[test]
fn a_subnet_in_use_on_the_host_is_refused() {
    let host = Namespace::new();
    let before = host.sh("ip link set lo up; ip link set lo down; ip addr flush dev lo; nft list ruleset; ip -d addr");
    for (in_use, undo) in [
        ("ip addr add 10.5.0.77/32 dev lo", "ip addr flush dev lo"),
        ("ip addr add 10.4.0.1/14 dev lo", "ip addr flush dev lo"),
        ("ip link set lo up; ip route add 10.5.0.128/25 dev lo", "ip link set lo down"),
        ("ip route add blackhole 10.0.0.0/8", "ip route del blackhole 10.0.0.0/8"),
        ("ip route add blackhole 10.0.0.0/8 table 77", "ip route flush table 77"),
    ] {
        host.sh(in_use);
        let result = host.run(|| create_network(&installed(), &spec(5)));
        assert!(matches!(result, Err(Error::Overlap { .. })), "{in_use}: {result:?}");
        host.sh(undo);
    }
    host.sh("ip addr flush dev lo");
    assert_eq!(host.sh("nft list ruleset; ip -d addr"), before, "nothing is left of the tries");
    host.sh("ip route add unreachable default");
    create(&host, spec(5));
    let again = host.run(|| create_network(&installed(), &NetworkSpec { id: id(6), ..spec(5) }));
    assert!(matches!(again, Err(Error::Overlap { .. })), "{again:?}");
}

#[test]
fn networks_are_found_again_in_the_kernel() {
    let host = Namespace::new();
    let made = [
        NetworkSpec { default: true, ..spec(5) },
        NetworkSpec { internal: true, masquerade: false, mtu: 9000, ..spec(6) },
        NetworkSpec { inter_container: false, ..spec(7) },
    ]
    .map(|spec| create(&host, spec));
    let other = Instance::new("89abcdef").unwrap();
    let others = other.clone();
    host.run(move || create_network(&others, &spec(8)).unwrap());

    let mut listed = host.run(|| list_networks(&installed()).unwrap());
    listed.sort_by_key(|network| network.spec().id);
    assert_eq!(listed, made);
    assert_eq!(host.run(|| open_network(&installed(), &id(6)).unwrap()), made[1]);
    let missing = host.run(|| open_network(&installed(), &id(8)));
    assert!(matches!(missing, Err(Error::NotFound { .. })), "another engine's: {missing:?}");
}

#[test]
fn a_network_with_containers_is_not_removed_and_without_leaves_nothing() {
    let host = Namespace::new();
    let before = host.sh("nft list ruleset; ip -d addr; sysctl -a 2>/dev/null | grep forward");
    let network = create(&host, spec(5));
    let container = host.container(&network, 2);
    let result = host.run(|| remove_network(&installed(), &id(5)));
    assert!(matches!(result, Err(Error::InUse { .. })), "{result:?}");

    container.sh("ip link del eth0");
    host.run(|| remove_network(&installed(), &id(5)).unwrap());
    let after = host.sh("nft list ruleset; ip -d addr; sysctl -a 2>/dev/null | grep forward");
    assert_eq!(after, before);
    let again = host.run(|| remove_network(&installed(), &id(5)));
    assert!(matches!(again, Err(Error::NotFound { .. })), "{again:?}");
}

#[test]
fn interfaces_of_dead_containers_need_not_be_waited_for() {
    let host = Namespace::new();
    let network = create(&host, spec(5));
    let _live = host.container(&network, 2);
    // Its namespace lives, as one does that the kernel has not yet got round to.
    let _dead = host.container(&network, 3);
    host.sh(
        "ip link add foreign type veth peer name other; ip link set foreign master bh-050505050505",
    );
    let (first, second) = (network.clone(), network.clone());
    let live = ContainerId::from_bytes([2 ^ 5; 32]);
    host.run(move || detach_dead(&first, |container| *container == live).unwrap());
    let ports = "ip -o link show master bh-050505050505 | cut -d@ -f1 | cut -d' ' -f2 | sort";
    assert_eq!(host.sh(ports), "bv0707070707-0\nforeign\n");
    host.run(move || detach_dead(&second, |_| false).unwrap());
    assert_eq!(host.sh(ports), "foreign\n");
    let result = host.run(|| remove_network(&installed(), &id(5)));
    assert!(matches!(result, Err(Error::InUse { .. })), "an administrator's: {result:?}");
}

#[test]
fn a_create_that_fails_leaves_nothing() {
    let host = Namespace::new();
    let before = host.sh("nft list ruleset; ip -d addr; cat /proc/sys/net/ipv4/ip_forward");
    host.sh("nft 'add table inet bulkhead; add chain inet bulkhead forward { type filter hook input priority 5; }'");
    let result = host.run(|| create_network(&installed(), &spec(5)));
    let Err(Error::Kernel { call, .. }) = result else { panic!("{result:?}") };
    assert_eq!(call, "NFT_MSG_NEWCHAIN(bulkhead forward)");
    assert_eq!(host.sh("nft list ruleset; ip -d addr; cat /proc/sys/net/ipv4/ip_forward"), before);
}

#[test]
fn removing_all_leaves_other_engines_what_is_theirs() {
    let host = Namespace::new();
    let (one, two) = (Instance::new("01234567").unwrap(), installed());
    let network = create(&host, spec(5));
    let _container = host.container(&network, 2);
    let (engine, theirs) = (two.clone(), one.clone());
    host.run(move || {
        create_network(&engine, &spec(6)).unwrap();
        create_network(&theirs, &NetworkSpec { default: true, ..spec(7) }).unwrap();
        assert_eq!(snapshot(&theirs).unwrap().links, ["bh01234567"]);
        let ours = snapshot(&engine).unwrap();
        assert_eq!(ours.links, ["bh-050505050505", "bh-060606060606", "bv0707070707-0"]);
        assert_eq!(ours.tables, ["inet bulkhead", "netdev bulkhead"]);

        remove_all(&engine).unwrap();
        assert!(snapshot(&engine).unwrap().is_empty());
        assert!(!snapshot(&theirs).unwrap().is_empty());
        remove_all(&theirs).unwrap();
        remove_all(&theirs).unwrap();
    });
    assert_eq!(host.sh("nft list ruleset"), "");
    assert_eq!(host.sh("ip -o link").lines().filter(|link| !link.contains("lo:")).count(), 0);
}

#[test]
fn a_host_that_was_no_router_is_none_for_others() {
    let (host, outside) = Namespace::host_and_outside();
    let lan = Namespace::new();
    host.join(&lan, "lan", "198.51.100.1/24", "198.51.100.2/24");
    lan.sh("ip route add default via 198.51.100.1");
    outside.sh("ip route add default via 192.0.2.1");
    let forward = "cat /proc/sys/net/ipv4/ip_forward";

    create(&host, NetworkSpec { internal: true, ..spec(5) });
    assert_eq!(host.sh(forward), "0\n", "an internal network needs no router");
    create(&host, spec(6));
    assert_eq!(host.sh(forward), "1\n");
    assert_eq!(lan.reach(&outside, [192, 0, 2, 2]), None);
    host.sh("nft delete table inet bulkhead_guard");
    assert!(lan.reach(&outside, [192, 0, 2, 2]).is_some(), "but for the guard it would be");
}

#[test]
fn forwarding_stays_on_while_any_engine_needs_it_and_ends_as_it_was() {
    let host = Namespace::new();
    let forward = "cat /proc/sys/net/ipv4/ip_forward";
    let other = Instance::new("01234567").unwrap();
    for (before, guard) in [("0\n", true), ("1\n", false)] {
        host.sh(&format!("echo {} > /proc/sys/net/ipv4/ip_forward", before.trim()));
        let others = other.clone();
        create(&host, spec(5));
        host.run(move || create_network(&others, &spec(6)).unwrap());
        let others = other.clone();
        assert_eq!(host.sh("nft list tables").contains("bulkhead_guard"), guard);
        host.run(|| remove_network(&installed(), &id(5)).unwrap());
        assert_eq!(host.sh(forward), "1\n");
        assert_eq!(host.sh("nft list tables").contains("bulkhead_guard"), guard);
        host.run(move || remove_network(&others, &id(6)).unwrap());
        assert_eq!(host.sh(forward), before);
        assert_eq!(host.sh("nft list tables"), "");
    }
}

#[test]
fn engines_that_change_networks_at_once_do_not_disturb_each_other() {
    let host = Namespace::new();
    host.run(|| {
        let engines: Vec<_> = (1..=6_u8)
            .map(|number| {
                // The thread has its maker's namespace.
                std::thread::spawn(move || {
                    let engine = Instance::new(&format!("{number:08x}")).unwrap();
                    for _ in 0..10 {
                        create_network(&engine, &spec(number)).unwrap();
                        let on = std::fs::read("/proc/sys/net/ipv4/ip_forward").unwrap();
                        assert_eq!(on, b"1\n");
                        remove_network(&engine, &id(number)).unwrap();
                        assert!(snapshot(&engine).unwrap().is_empty());
                    }
                })
            })
            .collect();
        engines.into_iter().for_each(|engine| engine.join().unwrap());
    });
    assert_eq!(host.sh("nft list ruleset; cat /proc/sys/net/ipv4/ip_forward"), "0\n");
}

#[test]
fn a_failed_attach_leaves_no_interface_and_says_what_the_kernel_said() {
    let host = Namespace::new();
    let network = create(&host, spec(5));
    let before = host.sh("ip -o link | cut -d: -f2; nft list ruleset");
    let container = Namespace::new();

    let plans = vec![plan(&network, 2), plan(&network, 2)];
    let error = container.attach_to(&host, plans).unwrap_err();
    assert_eq!(error.errno(), Some(17), "{error}: the second has the first's name");
    let text = error.to_string();
    assert!(text.starts_with("RTM_NEWLINK(veth bv0707070707-0 master "), "{text}");
    assert_eq!(host.sh("ip -o link | cut -d: -f2; nft list ruleset"), before);

    let mut gone = plan(&network, 3);
    gone.bridge = 4711;
    let error = container.attach_to(&host, vec![gone]).unwrap_err();
    assert_eq!(error.errno(), Some(22), "no such master: {error}");
    assert_eq!(host.sh("ip -o link | cut -d: -f2; nft list ruleset"), before);
    container.run(|| {
        bulkhead_network::loopback_up().unwrap();
        bulkhead_network::attach(0x7fff_fff0, &[]).unwrap();
    });
    assert!(container.sh("ip -o link").contains("LOOPBACK,UP"));
}

#[test]
fn the_kernels_own_words_are_in_the_error() {
    let host = Namespace::new();
    let network = create(&host, spec(5));
    let container = Namespace::new();
    let mut wrong = plan(&network, 2);
    wrong.gateway = Some([10, 6, 0, 1]);
    let error = container.attach_to(&host, vec![wrong]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "RTM_NEWROUTE(default via 10.6.0.1 link 2): Nexthop has invalid gateway"
    );
    assert_eq!(error.errno(), Some(101));
}

#[test]
fn an_endpoint_that_does_not_fit_its_network_is_refused() {
    let host = Namespace::new();
    let network = create(&host, spec(5));
    let container = ContainerId::from_bytes([1; 32]);
    let good = Endpoint {
        network: id(5),
        ipv4: Ipv4 { address: [10, 5, 0, 2], prefix: 24 },
        mac: [2, 0, 0, 0, 0, 1],
        gateway: true,
    };
    let at = |address, prefix| Endpoint { ipv4: Ipv4 { address, prefix }, ..good };
    let plan =
        |endpoint, index| bulkhead_network::plan_endpoint(&network, &endpoint, &container, index);
    assert!(plan(good, 0).is_ok());
    for (rule, endpoint, index) in [
        ("its network", Endpoint { network: id(6), ..good }, 0),
        ("in the subnet", at([10, 6, 0, 2], 24), 0),
        ("the subnet's prefix", at([10, 5, 0, 2], 16), 0),
        ("not the gateway", at([10, 5, 0, 1], 24), 0),
        ("not the broadcast address", at([10, 5, 0, 255], 24), 0),
        ("not multicast", Endpoint { mac: [3, 0, 0, 0, 0, 1], ..good }, 0),
        ("not the gateway's", Endpoint { mac: [2, 0x42, 10, 5, 0, 1], ..good }, 0),
        ("not a vendor's", Endpoint { mac: [0, 0, 0, 0, 0, 1], ..good }, 0),
        ("at most 32", good, 32),
    ] {
        assert!(matches!(plan(endpoint, index), Err(Error::Invalid { .. })), "{rule}");
    }
}
