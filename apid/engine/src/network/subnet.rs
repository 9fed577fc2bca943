//! Which subnet the default bridge gets.

use crate::config::{AddressPool, EngineConfig};
use crate::error::{EngineError, Result};
use ipnet::Ipv4Net;
use std::net::Ipv4Addr;

/// Docker's own pools (`libnetwork/ipamutils`): the base and the prefix length of each subnet.
const POOLS: &[(Ipv4Addr, u8, u8)] = &[
    (Ipv4Addr::new(172, 17, 0, 0), 16, 16),
    (Ipv4Addr::new(172, 18, 0, 0), 16, 16),
    (Ipv4Addr::new(172, 19, 0, 0), 16, 16),
    (Ipv4Addr::new(172, 20, 0, 0), 14, 16),
    (Ipv4Addr::new(172, 24, 0, 0), 14, 16),
    (Ipv4Addr::new(172, 28, 0, 0), 14, 16),
    (Ipv4Addr::new(192, 168, 0, 0), 16, 20),
];

/// The configured one, or the first of the pools that no route of the host overlaps. With the
/// gateway's address.
pub(super) fn choose(config: &EngineConfig) -> Result<Ipv4Net> {
    if let Some(bip) = config.bip {
        return Ok(bip);
    }
    let routes = std::fs::read_to_string("/proc/net/route").unwrap_or_default();
    let taken = taken(&routes);
    let dockers = POOLS.iter().filter_map(|(base, prefix, size)| {
        Some(AddressPool { base: Ipv4Net::new(*base, *prefix).ok()?, size: *size })
    });
    let pools: Vec<AddressPool> = if config.address_pools.is_empty() {
        dockers.collect()
    } else {
        config.address_pools.clone()
    };
    pools
        .iter()
        .filter_map(|pool| pool.base.subnets(pool.size).ok())
        .flatten()
        .find(|subnet| !taken.iter().any(|route| overlap(route, subnet)))
        .and_then(|subnet| Ipv4Net::new(subnet.hosts().next()?, subnet.prefix_len()).ok())
        .ok_or_else(|| {
            EngineError::internal(
                "could not find an available, non-overlapping IPv4 address pool among the \
                 defaults to assign to the network",
            )
        })
}

/// The host's routes but the default one (`proc_pid_net(5)`: hex, in the byte order of the host's
/// memory).
fn taken(routes: &str) -> Vec<Ipv4Net> {
    let number = |text: &str| u32::from_str_radix(text, 16).ok().map(u32::to_le_bytes);
    let route = |line: &str| {
        let mut words = line.split_whitespace();
        let destination = number(words.nth(1)?)?;
        let mask = number(words.nth(5)?)?;
        Ipv4Net::with_netmask(destination.into(), mask.into()).ok()
    };
    routes.lines().skip(1).filter_map(route).filter(|net| net.prefix_len() > 0).collect()
}

fn overlap(one: &Ipv4Net, other: &Ipv4Net) -> bool {
    one.contains(other) || other.contains(one)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `cat /proc/net/route` of a host with 172.17.0.0/16 and 10.0.2.0/24.
    const ROUTES: &str = "\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t0202000A\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t0002000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
";

    #[test]
    fn routes_of_the_host_are_taken_and_the_default_is_not_one() {
        let nets: Vec<_> = taken(ROUTES).iter().map(ToString::to_string).collect();
        assert_eq!(nets, ["10.0.2.0/24", "172.17.0.0/16"]);
    }

    #[test]
    fn a_pool_gives_its_first_subnet_that_is_free() {
        let mut config = EngineConfig::new("/", "/");
        let base = "10.200.0.0/16".parse().unwrap();
        config.address_pools = vec![AddressPool { base, size: 24 }];
        let chosen = choose(&config).unwrap();
        assert_eq!(chosen.prefix_len(), 24);
        assert!(base.contains(&chosen));
        config.bip = Some("192.0.2.1/24".parse().unwrap());
        assert_eq!(choose(&config).unwrap().to_string(), "192.0.2.1/24");
    }
}
