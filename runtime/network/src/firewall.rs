//! What may pass: the engine's tables as a function of its networks.
//!
//! ```text
//! table inet bulkhead {
//!   set bridges { type ifname }            every bridge of the engine
//!   set linked  { type ifname . ifname }   twice the same bridge: its containers may talk
//!   set open    { type ifname }            bridges with a way out
//!   set masqueraded { type ifname }        those whose containers take the host's address there
//!   chain forward {
//!     type filter hook forward priority filter; policy accept;
//!     iifname != @bridges oifname != @bridges accept     not ours
//!     iifname . oifname @linked accept
//!     ct state established,related accept
//!     ct state invalid drop                              they would leave untranslated
//!     iifname @open oifname != @bridges accept
//!     drop
//!   }
//!   chain postrouting {
//!     type nat hook postrouting priority srcnat; policy accept;
//!     iifname @masqueraded oifname != @bridges masquerade
//!   }
//! }
//! table netdev bulkhead {
//!   chain <port> {                                       one for each container interface
//!     type filter hook ingress device <port> priority filter; policy drop;
//!     ether saddr <mac> ip saddr <address> accept
//!     ether saddr <mac> arp saddr ether <mac> arp saddr ip <address> accept
//!   }
//! }
//! ```
//!
//! So: nothing comes in from outside but answers; nothing passes between networks; a container cannot
//! speak with another's address, and not in IPv6, 802.1Q or STP. With `inter_container` off, ports
//! are isolated in the bridge (`IFLA_BRPORT_ISOLATED`), and `linked` closes the way by the gateway. To
//! and from the host itself nothing is filtered. Published ports will be a map beside the sets and
//! two rules (`dnat` before, `ct status dnat accept` here) that networks do not change.
//!
//! A port's chain goes with the port: the kernel removes it when the container's namespace ends.

use crate::bridge::Network;
use crate::endpoint::EndpointPlan;
use crate::nftables::{BaseChain, Change, Step, Table};
use crate::socket::Socket;
use crate::uapi::nf;
use crate::{Error, Instance};

/// nft(8)'s number for the type `ifname`.
const IFNAME: u32 = 41;
/// `linux/if_arp.h`: 1.
const ARPHRD_ETHER: [u8; 2] = 1_u16.to_ne_bytes();
/// Ethertypes.
const IP: [u8; 2] = [0x08, 0x00];
const ARP: [u8; 2] = [0x08, 0x06];
const FORWARD: &str = "forward";
const POSTROUTING: &str = "postrouting";

/// Make the tables say what these networks, all of the engine, need; with none, remove them.
///
/// It does not matter what they said before, so that this also repairs a flushed ruleset.
pub(crate) fn apply(
    socket: &mut Socket,
    instance: &Instance,
    networks: &[Network],
) -> Result<(), Error> {
    let name = instance.table();
    let inet = Table { family: nf::NFPROTO_INET, name: &name };
    let netdev = Table { family: nf::NFPROTO_NETDEV, name: &name };
    let mut change = Change::new();
    change.table(inet, 0);
    change.table(netdev, 0);
    if networks.is_empty() {
        change.delete_table(inet);
        change.delete_table(netdev);
        return change.commit(socket);
    }
    let keys = |of: fn(&Network) -> bool, parts: usize| -> Vec<Vec<u8>> {
        let chosen = networks.iter().filter(|network| of(network));
        chosen.map(|network| ifname(network.bridge()).repeat(parts)).collect()
    };
    let any = |_: &Network| true;
    change.set(inet, "bridges", &[IFNAME], &keys(any, 1));
    let linked = |network: &Network| network.spec().inter_container;
    change.set(inet, "linked", &[IFNAME, IFNAME], &keys(linked, 2));
    let open = |network: &Network| !network.spec().internal;
    change.set(inet, "open", &[IFNAME], &keys(open, 1));
    let masqueraded = |network: &Network| !network.spec().internal && network.spec().masquerade;
    change.set(inet, "masqueraded", &[IFNAME], &keys(masqueraded, 1));
    put_chains(&mut change, inet);
    change.commit(socket)
}

/// Admit from each port of these plans only its own addresses. The ports must be there.
pub(crate) fn guard_ports(socket: &mut Socket, plans: &[EndpointPlan]) -> Result<(), Error> {
    let mut change = Change::new();
    for plan in plans {
        let table = Table { family: nf::NFPROTO_NETDEV, name: &plan.table };
        let chain = BaseChain {
            name: &plan.host_name,
            kind: "filter",
            hook: nf::NF_NETDEV_INGRESS,
            priority: nf::PRIORITY_FILTER,
            policy: nf::NF_DROP,
            device: Some(&plan.host_name),
        };
        let address = plan.ipv4.address;
        let (mac, own) = (Step::Is(&plan.mac), Step::Is(&address));
        let ethernet = |at, length| Step::Payload(nf::NFT_PAYLOAD_LL_HEADER, at, length);
        let network = |at, length| Step::Payload(nf::NFT_PAYLOAD_NETWORK_HEADER, at, length);
        let accept = Step::Verdict(nf::NF_ACCEPT);
        let admit = |change: &mut Change, ethertype, rest: &[Step<'_>]| {
            // nft(8) needs to see the first two steps to show the others by name.
            let mut rule = vec![Step::Meta(nf::NFT_META_IIFTYPE), Step::Is(&ARPHRD_ETHER)];
            rule.extend([ethernet(6, 6), mac, ethernet(12, 2), Step::Is(ethertype)]);
            rule.extend_from_slice(rest);
            change.rule(table, chain.name, &rule);
        };
        change.table(table, 0);
        change.empty_chain(table, chain);
        admit(&mut change, &IP, &[network(12, 4), own, accept]);
        admit(&mut change, &ARP, &[network(8, 6), mac, network(14, 4), own, accept]);
    }
    change.commit(socket)
}

fn put_chains(change: &mut Change, table: Table<'_>) {
    change.empty_chain(
        table,
        BaseChain {
            name: FORWARD,
            kind: "filter",
            hook: nf::NF_INET_FORWARD,
            priority: nf::PRIORITY_FILTER,
            policy: nf::NF_ACCEPT,
            device: None,
        },
    );
    change.empty_chain(
        table,
        BaseChain {
            name: POSTROUTING,
            kind: "nat",
            hook: nf::NF_INET_POST_ROUTING,
            priority: nf::PRIORITY_SRCNAT,
            policy: nf::NF_ACCEPT,
            device: None,
        },
    );
    let from = Step::Meta(nf::NFT_META_IIFNAME);
    let to = Step::Meta(nf::NFT_META_OIFNAME);
    let accept = Step::Verdict(nf::NF_ACCEPT);
    let drop = Step::Verdict(nf::NF_DROP);
    let forward: [&[Step<'_>]; 6] = [
        &[from, Step::NotIn("bridges"), to, Step::NotIn("bridges"), accept],
        &[from, Step::AndMeta(nf::NFT_META_OIFNAME), Step::In("linked"), accept],
        &[Step::State(nf::CT_ESTABLISHED | nf::CT_RELATED), accept],
        &[Step::State(nf::CT_INVALID), drop],
        &[from, Step::In("open"), to, Step::NotIn("bridges"), accept],
        &[drop],
    ];
    for rule in forward {
        change.rule(table, FORWARD, rule);
    }
    let masquerade = [from, Step::In("masqueraded"), to, Step::NotIn("bridges"), Step::Masquerade];
    change.rule(table, POSTROUTING, &masquerade);
}

/// An interface's name as rules see it: 16 bytes, NUL at the end.
fn ifname(name: &str) -> Vec<u8> {
    let mut key = name.as_bytes().to_vec();
    key.resize(16, 0);
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::MAX_NETWORKS;
    use bulkhead_policy::proto::{Ipv4, NetworkId, NetworkSpec};

    #[test]
    fn the_most_networks_fit_one_batch() {
        std::thread::spawn(|| {
            #[allow(deprecated, reason = "a network namespace shares no descriptors")]
            rustix::thread::unshare(rustix::thread::UnshareFlags::NEWNET).unwrap();
            let instance = Instance::new("").unwrap();
            let network = |number: usize| {
                let [high, low] = u16::try_from(number).unwrap().to_be_bytes();
                let spec = NetworkSpec {
                    id: NetworkId::from_bytes([low; 32]),
                    gateway: Ipv4 { address: [10, high, low, 1], prefix: 24 },
                    internal: false,
                    inter_container: true,
                    masquerade: true,
                    mtu: 1500,
                    default: false,
                };
                Network::assumed(&instance, spec, format!("bh-{number:012}"))
            };
            let networks: Vec<Network> = (0..MAX_NETWORKS).map(network).collect();
            let mut socket = Socket::netfilter().unwrap();
            apply(&mut socket, &instance, &networks).unwrap();
            apply(&mut socket, &instance, &networks).unwrap();
            apply(&mut socket, &instance, &[]).unwrap();
        })
        .join()
        .unwrap();
    }
}
