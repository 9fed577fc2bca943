//! Networks and addresses.

use crate::policy::Section;
use crate::rule::{self, Judge};
use bulkhead_proto::{ContainerSpec, Ipv4, NetworkMode, NetworkSpec};
use std::net::Ipv4Addr;

/// A bridge network.
pub(super) fn check(judge: &mut Judge, section: &Section, spec: &NetworkSpec) {
    if !spec.default {
        judge.ask(rule::NETWORK_CREATE, section.networks.create, "NetworkCreate");
    }
    host_address(judge, "IPAM.Config.Gateway", spec.gateway);
    judge.valid((68..=65_535).contains(&spec.mtu), || {
        "com.docker.network.driver.mtu is not between 68 and 65535".to_owned()
    });
    pool(judge, section, "IPAM.Config.Subnet", spec.gateway);
}

/// A container's interfaces.
pub(super) fn endpoints(judge: &mut Judge, section: &Section, spec: &ContainerSpec) {
    let endpoints = &spec.endpoints;
    let has = spec.namespaces.network == NetworkMode::Endpoints;
    judge.valid(has || endpoints.is_empty(), || {
        "NetworkingConfig.EndpointsConfig with a NetworkMode that has no endpoints".to_owned()
    });
    judge.valid(endpoints.iter().filter(|endpoint| endpoint.gateway).count() <= 1, || {
        "NetworkingConfig.EndpointsConfig: more than one default route".to_owned()
    });
    for (at, endpoint) in endpoints.iter().enumerate() {
        let twice = endpoints.iter().skip(at + 1).any(|other| other.network == endpoint.network);
        judge.valid(!twice, || format!("NetworkingConfig: twice on network {}", endpoint.network));
        let [first, ..] = endpoint.mac;
        judge.valid(first & 3 == 2, || {
            "MacAddress is not a locally administered unicast address".to_owned()
        });
        host_address(judge, "EndpointsConfig.IPAMConfig.IPv4Address", endpoint.ipv4);
        pool(judge, section, "EndpointsConfig.IPAMConfig.IPv4Address", endpoint.ipv4);
    }
}

/// An address that one host can have in its subnet.
fn host_address(judge: &mut Judge, field: &str, ipv4: Ipv4) {
    let (address, mask) = (u32::from_be_bytes(ipv4.address), mask(ipv4.prefix));
    let ok = (1..=30).contains(&ipv4.prefix) && address & !mask != 0 && address | mask != u32::MAX;
    judge.valid(ok, || format!("{field}: {} is no host's address", text(ipv4)));
}

fn pool(judge: &mut Judge, section: &Section, field: &str, ipv4: Ipv4) {
    let allowed = section.networks.pools.iter().any(|pool| contains(*pool, ipv4));
    judge.ask(rule::NETWORK_POOL, allowed, format!("{field}={}", text(ipv4)));
}

/// Whether the whole of a subnet lies in a pool.
fn contains(pool: Ipv4, subnet: Ipv4) -> bool {
    let mask = mask(pool.prefix);
    let network = |ipv4: Ipv4| u32::from_be_bytes(ipv4.address) & mask;
    subnet.prefix >= pool.prefix && network(pool) == network(subnet)
}

/// All ones for a prefix above 32, which no address has.
pub(crate) fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32u32.saturating_sub(u32::from(prefix))).unwrap_or(0)
}

fn text(ipv4: Ipv4) -> String {
    format!("{}/{}", Ipv4Addr::from(ipv4.address), ipv4.prefix)
}
