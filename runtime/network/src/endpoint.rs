//! A container's interfaces: a veth pair each, one end a port of the network's bridge.

use crate::bridge::Network;
use crate::instance::PORT;
use crate::link::{self, Link};
use crate::message::Batch;
use crate::socket::Socket;
use crate::subnet::Subnet;
use crate::{Error, Instance, firewall, route};
use bulkhead_policy::proto::{ContainerId, Endpoint, Ipv4};
use rustix::io::Errno;
use std::net::Ipv4Addr;

/// The loopback interface is the first of every network namespace.
const LOOPBACK: u32 = 1;
/// As in `ContainerSpec::endpoints`.
const MAX_ENDPOINTS: usize = 32;

/// One interface as it will be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointPlan {
    /// The bridge's interface index on the host.
    pub bridge: u32,
    /// The host's end.
    pub host_name: String,
    /// The container's end: `eth0` and so on.
    pub name: String,
    /// The container's address with the subnet's prefix.
    pub ipv4: Ipv4,
    /// The container's hardware address.
    pub mac: [u8; 6],
    /// Where the default route leads.
    pub gateway: Option<[u8; 4]>,
    /// Bytes.
    pub mtu: u32,
    /// It reaches the gateway but no other container on the bridge.
    pub isolated: bool,
    pub(crate) table: String,
    pub(crate) alias: String,
}

/// Decide names and addresses of a container's interface number `index` (0 is `eth0`).
///
/// There is no default route on an internal network, whatever the endpoint says.
///
/// # Errors
/// `Invalid`: the endpoint does not fit its network.
pub fn plan_endpoint(
    network: &Network,
    endpoint: &Endpoint,
    container: &ContainerId,
    index: usize,
) -> Result<EndpointPlan, Error> {
    let spec = network.spec();
    let subnet = network.subnet();
    let Endpoint { network: id, ipv4, mac, gateway } = *endpoint;
    let address = Ipv4Addr::from(ipv4.address);
    let wrong = |what: &str| Err(Error::invalid(format!("endpoint {index}: {what}")));
    if id != spec.id || index >= MAX_ENDPOINTS {
        return wrong("for another network, or the 33rd");
    }
    if ipv4.prefix != subnet.prefix || !subnet.is_host(address) || address == subnet.address {
        return wrong(&format!("address {address}/{} is not free in {subnet}", ipv4.prefix));
    }
    if mac[0] & 0b11 != 0b10 || mac == network.mac() {
        return wrong("hardware address is not locally administered and unicast, or the gateway's");
    }
    Ok(EndpointPlan {
        bridge: network.index(),
        host_name: Instance::port(container, index),
        name: format!("eth{index}"),
        ipv4,
        mac,
        gateway: (gateway && !spec.internal).then_some(spec.gateway.address),
        mtu: spec.mtu,
        isolated: !spec.inter_container,
        table: network.instance().table(),
        alias: format!("{}{container}", port_prefix(network)),
    })
}

/// Make the interfaces of a process's network namespace. Call in the host's.
///
/// The process must be ours and not reaped, so that its pid cannot be another's.
///
/// # Errors
/// The kernel's. No interface is left then.
pub fn attach(child_pid: u32, plans: &[EndpointPlan]) -> Result<(), Error> {
    if plans.is_empty() {
        return Ok(());
    }
    let mut route = Socket::route()?;
    let mut made = 0;
    let done = plans.iter().try_for_each(|plan| {
        // One by one: what follows goes by name, which is ours only if this succeeds.
        let mut batch = Batch::default();
        link::create_veth(&mut batch, plan, child_pid);
        match route.commit(&batch) {
            Err(error) if exists(&error) && !is_among(plan, plans.get(..made)) => {
                remove_last_runs(&mut route, plan)?;
                route.commit(&batch)?;
            }
            done => done?,
        }
        made += 1;
        Ok(())
    });
    let done = done.and_then(|()| configure_ports(&mut route, plans));
    if done.is_err() {
        // What fails here as well is gone with the namespace.
        drop(detach(&mut route, plans.get(..made).unwrap_or_default()));
    }
    done
}

fn exists(error: &Error) -> bool {
    error.errno() == Some(Errno::EXIST.raw_os_error())
}

/// Whether one of these, which were just made, has the plan's name.
fn is_among(plan: &EndpointPlan, made: Option<&[EndpointPlan]>) -> bool {
    made.unwrap_or_default().iter().any(|other| other.host_name == plan.host_name)
}

/// Remove the interface of the container's last run, which the kernel has not come to yet.
fn remove_last_runs(route: &mut Socket, plan: &EndpointPlan) -> Result<(), Error> {
    let mut batch = Batch { tolerate: Some(Errno::NODEV.raw_os_error()), ..Batch::default() };
    let same = |port: &Link| {
        port.name == plan.host_name && (port.alias == plan.alias || port.alias.is_empty())
    };
    for port in link::ports(route, plan.bridge)?.iter().filter(|port| same(port)) {
        link::delete(&mut batch, port.index, &port.name);
    }
    if batch.calls.is_empty() { Ok(()) } else { route.commit(&batch) }
}

/// Remove the interfaces on a network whose container does not live. The kernel does so by itself, but
/// some time after the last process of the namespace has ended.
///
/// # Errors
/// The kernel's.
pub fn detach_dead(network: &Network, lives: impl Fn(&ContainerId) -> bool) -> Result<(), Error> {
    let mut route = Socket::route()?;
    let mut batch = Batch { tolerate: Some(Errno::NODEV.raw_os_error()), ..Batch::default() };
    for (port, container) in ports(&mut route, network)? {
        if !container.is_some_and(|container| lives(&container)) {
            link::delete(&mut batch, port.index, &port.name);
        }
    }
    if batch.calls.is_empty() { Ok(()) } else { route.commit(&batch) }
}

/// Our interfaces on a bridge, and whose they are; none: [`attach`] was cut short.
pub(crate) fn ports(
    route: &mut Socket,
    network: &Network,
) -> Result<Vec<(Link, Option<ContainerId>)>, Error> {
    let prefix = port_prefix(network);
    let ports = link::ports(route, network.index())?.into_iter();
    let ours = ports.filter_map(|port| match port.alias.strip_prefix(&prefix) {
        Some(container) => Some((port.clone(), container.parse().ok())),
        None if port.alias.is_empty() && port.name.starts_with(PORT) => Some((port, None)),
        None => None,
    });
    Ok(ours.filter(|(port, _)| port.kind == "veth").collect())
}

/// Set up the interfaces from inside: loopback up, addresses, default route. Call as the container's
/// first process, with `CAP_NET_ADMIN` over its network namespace, after [`attach`].
///
/// Call early: the bridge forwards from the interface some tens of microseconds after it came up, when
/// the kernel's worker has seen its carrier. A packet sent before that is lost, and the next try of
/// ARP or TCP is a second later.
///
/// # Errors
/// The kernel's; two default routes are one.
pub fn configure_inside(plans: &[EndpointPlan]) -> Result<(), Error> {
    let mut socket = Socket::route()?;
    let mut batch = Batch { tolerate: Some(Errno::AFNOSUPPORT.raw_os_error()), ..Batch::default() };
    let mut addresses = Batch::default();
    for plan in plans {
        let index = link::index(&socket, &plan.name)?;
        let subnet = Subnet { address: plan.ipv4.address.into(), prefix: plan.ipv4.prefix };
        // Up at once, see above.
        link::without_ipv6(&mut batch, &plan.name);
        link::up(&mut batch, index);
        route::add_address(&mut addresses, index, subnet);
        if let Some(gateway) = plan.gateway {
            route::add_default(&mut addresses, index, gateway.into());
        }
    }
    link::up(&mut batch, LOOPBACK);
    socket.commit(&batch)?;
    if plans.is_empty() { Ok(()) } else { socket.commit(&addresses) }
}

/// Bring up the loopback interface of the calling thread's network namespace.
///
/// # Errors
/// The kernel's.
pub fn loopback_up() -> Result<(), Error> {
    configure_inside(&[])
}

fn port_prefix(network: &Network) -> String {
    format!("{}port of ", network.instance().alias_prefix())
}

fn configure_ports(route: &mut Socket, plans: &[EndpointPlan]) -> Result<(), Error> {
    firewall::guard_ports(&mut Socket::netfilter()?, plans)?;
    let mut batch = Batch { tolerate: Some(Errno::AFNOSUPPORT.raw_os_error()), ..Batch::default() };
    for plan in plans {
        link::configure_port(&mut batch, plan);
        link::without_ipv6(&mut batch, &plan.host_name);
    }
    route.commit(&batch)
}

fn detach(route: &mut Socket, plans: &[EndpointPlan]) -> Result<(), Error> {
    let mut batch = Batch::default();
    for plan in plans {
        let index = link::index(route, &plan.host_name)?;
        link::delete(&mut batch, index, &plan.host_name);
    }
    route.commit(&batch)
}
