//! Networks: bridges that serve one subnet each.

use crate::lock::Lock;
use crate::message::Batch;
use crate::socket::Socket;
use crate::subnet::Subnet;
use crate::{Error, Instance, endpoint, firewall, forwarding, link, route};
use bulkhead_policy::proto::{Ipv4, NetworkId, NetworkSpec};
use rustix::io::Errno;
use std::net::Ipv4Addr;

/// The most networks of one engine.
pub const MAX_NETWORKS: usize = 1000;

/// The MTUs that Linux takes for a bridge with IPv4: RFC 791's least, and what fits its length field.
const MTU: std::ops::RangeInclusive<u32> = 68..=65_535;

/// A network that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    instance: Instance,
    spec: NetworkSpec,
    bridge: String,
    index: u32,
}

impl Network {
    /// Whose it is.
    pub fn instance(&self) -> &Instance {
        &self.instance
    }

    /// What it is.
    pub fn spec(&self) -> &NetworkSpec {
        &self.spec
    }

    /// The name of its bridge on the host.
    pub fn bridge(&self) -> &str {
        &self.bridge
    }

    /// The bridge's interface index.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// The bridge's hardware address.
    pub(crate) fn mac(&self) -> [u8; 6] {
        mac(&self.spec)
    }

    #[cfg(test)]
    pub(crate) fn assumed(instance: &Instance, spec: NetworkSpec, bridge: String) -> Self {
        Self { instance: instance.clone(), spec, bridge, index: 0 }
    }

    pub(crate) fn subnet(&self) -> Subnet {
        Subnet { address: self.spec.gateway.address.into(), prefix: self.spec.gateway.prefix }
    }
}

/// Make a bridge with its address and firewall rules. If the same network is there, its address,
/// rules and state are only put right again.
///
/// Unless it is internal, IPv4 forwarding is switched on for the host; if it was off, between other
/// interfaces it stays off by a rule.
///
/// # Errors
/// `Invalid`: gateway or MTU. `Exists`: an interface of the bridge's name that is not ours, or the
/// network with other settings. `Overlap`: with an address or a route of this host. `Exhausted`:
/// [`MAX_NETWORKS`]. Nothing is left then.
pub fn create_network(instance: &Instance, spec: &NetworkSpec) -> Result<Network, Error> {
    let subnet = Subnet::of_gateway(spec.gateway)?;
    if !MTU.contains(&spec.mtu) {
        return Err(Error::invalid(format!("mtu {}: not 68 to 65535", spec.mtu)));
    }
    let mut lock = Lock::take()?;
    let mut route = Socket::route()?;
    let mut networks = list(&mut route, instance)?;
    let bridge = instance.bridge(&spec.id, spec.default);
    if let Some(there) = networks.iter().find(|there| there.spec.id == spec.id).cloned() {
        if there.spec != *spec {
            return Err(Error::Exists { what: format!("network {} with other settings", spec.id) });
        }
        bring_up(&mut lock, &mut route, &there, &networks)?;
        return Ok(there);
    }
    if link::exists(&route, &bridge)? {
        return Err(Error::Exists { what: format!("interface {bridge}") });
    }
    if networks.len() >= MAX_NETWORKS {
        return Err(Error::Exhausted { what: format!("{MAX_NETWORKS} networks") });
    }
    route::check_free(&mut route, subnet)?;

    let index = make_bridge(&mut route, instance, spec, &bridge)?;
    let made = Network { instance: instance.clone(), spec: *spec, bridge, index };
    networks.push(made.clone());
    let done = bring_up(&mut lock, &mut route, &made, &networks);
    if let Err(error) = done {
        // What fails here as well is not worse than the first error, which is told.
        drop(take_down(&mut lock, &mut route, instance, &[made], &[]));
        return Err(error);
    }
    Ok(made)
}

/// A network of this engine that exists, as the kernel has it.
///
/// # Errors
/// `NotFound`.
pub fn open_network(instance: &Instance, id: &NetworkId) -> Result<Network, Error> {
    let networks = list_networks(instance)?;
    networks
        .into_iter()
        .find(|network| network.spec.id == *id)
        .ok_or_else(|| Error::NotFound { what: format!("network {id}") })
}

/// All networks of this engine, as the kernel has them.
///
/// # Errors
/// The kernel's.
pub fn list_networks(instance: &Instance) -> Result<Vec<Network>, Error> {
    list(&mut Socket::route()?, instance)
}

/// Remove a network with its rules; with the engine's last one its tables, and with the host's last
/// one IPv4 forwarding if it was switched on for them.
///
/// # Errors
/// `NotFound`; `InUse`: interfaces are attached (see [`crate::detach_dead`]).
pub fn remove_network(instance: &Instance, id: &NetworkId) -> Result<(), Error> {
    let mut lock = Lock::take()?;
    let mut route = Socket::route()?;
    let networks = list(&mut route, instance)?;
    let Some(network) = networks.into_iter().find(|network| network.spec.id == *id) else {
        return Err(Error::NotFound { what: format!("network {id}") });
    };
    if !link::ports(&mut route, network.index)?.is_empty() {
        return Err(Error::InUse { what: format!("network {id} (bridge {})", network.bridge) });
    }
    take_down(&mut lock, &mut route, instance, &[network], &[])
}

/// Remove all that this engine made: container interfaces, bridges, tables.
///
/// # Errors
/// The kernel's; as much as possible is removed all the same.
pub fn remove_all(instance: &Instance) -> Result<(), Error> {
    let mut lock = Lock::take()?;
    let mut route = Socket::route()?;
    let networks = list(&mut route, instance)?;
    let mut ports = Vec::new();
    for network in &networks {
        ports.extend(endpoint::ports(&mut route, network)?.into_iter().map(|(port, _)| port));
    }
    take_down(&mut lock, &mut route, instance, &networks, &ports)
}

fn list(route: &mut Socket, instance: &Instance) -> Result<Vec<Network>, Error> {
    let networks = link::bridges(route)?.into_iter().filter_map(|link| {
        let spec = parse(&link.alias, instance)?;
        let instance = instance.clone();
        Some(Network { instance, spec, bridge: link.name, index: link.index })
    });
    Ok(networks.collect())
}

fn make_bridge(
    route: &mut Socket,
    instance: &Instance,
    spec: &NetworkSpec,
    name: &str,
) -> Result<u32, Error> {
    let mut batch = Batch::default();
    link::create_bridge(&mut batch, name, mac(spec));
    route.commit(&batch)?;
    // The name is ours from here on.
    let mut batch = Batch { tolerate: Some(Errno::AFNOSUPPORT.raw_os_error()), ..Batch::default() };
    link::configure_bridge(&mut batch, name, &alias(instance, spec), spec.mtu);
    link::without_ipv6(&mut batch, name);
    let index = link::index(route, name)?;
    if let Err(error) = route.commit(&batch) {
        let mut batch = Batch::default();
        link::delete(&mut batch, index, name);
        drop(route.commit(&batch));
        return Err(error);
    }
    Ok(index)
}

/// Rules first, packets last.
fn bring_up(
    lock: &mut Lock,
    route: &mut Socket,
    network: &Network,
    networks: &[Network],
) -> Result<(), Error> {
    firewall::apply(&mut lock.netfilter, &network.instance, networks)?;
    if !network.spec.internal {
        forwarding::ensure(&mut lock.netfilter)?;
    }
    let mut batch = Batch::default();
    route::add_address(&mut batch, network.index, network.subnet());
    link::up(&mut batch, network.index);
    route.commit(&batch)
}

/// Remove links, then the rules that are for them.
fn take_down(
    lock: &mut Lock,
    route: &mut Socket,
    instance: &Instance,
    networks: &[Network],
    ports: &[link::Link],
) -> Result<(), Error> {
    let mut batch = Batch { tolerate: Some(Errno::NODEV.raw_os_error()), ..Batch::default() };
    ports.iter().for_each(|port| link::delete(&mut batch, port.index, &port.name));
    networks.iter().for_each(|one| link::delete(&mut batch, one.index, &one.bridge));
    let links = if batch.calls.is_empty() { Ok(()) } else { route.commit(&batch) };
    let left = list(route, instance)?;
    firewall::apply(&mut lock.netfilter, instance, &left)?;
    forwarding::release(route, &mut lock.netfilter)?;
    links
}

/// As Docker makes them: unique where addresses are.
fn mac(spec: &NetworkSpec) -> [u8; 6] {
    let [a, b, c, d] = spec.gateway.address;
    [0x02, 0x42, a, b, c, d]
}

/// The bridge's alias: all there is to know of a network. `ip -d link` shows it.
fn alias(instance: &Instance, spec: &NetworkSpec) -> String {
    let NetworkSpec { id, gateway, internal, inter_container, masquerade, mtu, default } = *spec;
    let mut alias = instance.alias_prefix();
    let address = Subnet { address: gateway.address.into(), prefix: gateway.prefix };
    alias += &format!("{id} {address} mtu={mtu}");
    for (set, word) in [
        (internal, " internal"),
        (inter_container, " inter-container"),
        (masquerade, " masquerade"),
        (default, " default"),
    ] {
        alias += if set { word } else { "" };
    }
    alias
}

/// The reverse. None: not a network of this engine.
fn parse(text: &str, instance: &Instance) -> Option<NetworkSpec> {
    let mut words = text.strip_prefix(&instance.alias_prefix())?.split(' ');
    let id = words.next()?.parse().ok()?;
    let (address, prefix) = words.next()?.split_once('/')?;
    let address = address.parse::<Ipv4Addr>().ok()?.octets();
    let gateway = Ipv4 { address, prefix: prefix.parse().ok()? };
    let mtu = words.next()?.strip_prefix("mtu=")?.parse().ok()?;
    let words: Vec<&str> = words.collect();
    let has = |word| words.contains(&word);
    let spec = NetworkSpec {
        id,
        gateway,
        internal: has("internal"),
        inter_container: has("inter-container"),
        masquerade: has("masquerade"),
        mtu,
        default: has("default"),
    };
    (alias(instance, &spec) == text).then_some(spec)
}
