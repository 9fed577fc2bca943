//! Links by rtnetlink(7): what is there, bridges and veth pairs.

use crate::Error;
use crate::endpoint::EndpointPlan;
use crate::message::{Attributes, Batch, attributes, number, text};
use crate::socket::Socket;
use crate::uapi::{nl, rt};

/// The device group (`IFLA_GROUP`) of the bridges of every engine on a host: "bh".
pub(crate) const GROUP: u32 = 0x6268;

const CREATE: u16 = nl::NLM_F_ACK | nl::NLM_F_CREATE | nl::NLM_F_EXCL;

/// A network interface.
#[derive(Debug, Clone, Default)]
pub(crate) struct Link {
    pub(crate) index: u32,
    pub(crate) name: String,
    pub(crate) alias: String,
    /// `bridge`, `veth`; empty for hardware.
    pub(crate) kind: String,
    pub(crate) group: u32,
}

/// All links.
pub(crate) fn all(socket: &mut Socket) -> Result<Vec<Link>, Error> {
    dump(socket, |_| {})
}

/// All bridges.
pub(crate) fn bridges(socket: &mut Socket) -> Result<Vec<Link>, Error> {
    let links = dump(socket, |a| {
        a.nested(rt::IFLA_LINKINFO, |a| a.text(rt::IFLA_INFO_KIND, "bridge"));
    })?;
    Ok(links.into_iter().filter(|link| link.kind == "bridge").collect())
}

/// The ports of a bridge.
pub(crate) fn ports(socket: &mut Socket, bridge: u32) -> Result<Vec<Link>, Error> {
    dump(socket, |a| a.u32(rt::IFLA_MASTER, bridge))
}

/// Whether an interface has this name.
pub(crate) fn exists(socket: &Socket, name: &str) -> Result<bool, Error> {
    match rustix::net::netdevice::name_to_index(socket.fd(), name) {
        Ok(_) => Ok(true),
        Err(rustix::io::Errno::NODEV) => Ok(false),
        Err(errno) => Err(Error::kernel(format!("ioctl(SIOCGIFINDEX {name})"), errno)),
    }
}

pub(crate) fn index(socket: &Socket, name: &str) -> Result<u32, Error> {
    rustix::net::netdevice::name_to_index(socket.fd(), name)
        .map_err(|errno| Error::kernel(format!("ioctl(SIOCGIFINDEX {name})"), errno))
}

/// Make a bridge, down. It must not be there. Its hardware address is fixed, so that containers need
/// not learn it again when ports come and go.
pub(crate) fn create_bridge(batch: &mut Batch, name: &str, mac: [u8; 6]) {
    let call = format!("RTM_NEWLINK(bridge {name})");
    batch.push((rt::RTM_NEWLINK, CREATE), call, &ifinfomsg(0, 0), |a| {
        a.text(rt::IFLA_IFNAME, name);
        a.bytes(rt::IFLA_ADDRESS, &mac);
        a.u32(rt::IFLA_GROUP, GROUP);
        a.nested(rt::IFLA_LINKINFO, |a| {
            a.text(rt::IFLA_INFO_KIND, "bridge");
            a.nested(rt::IFLA_INFO_DATA, |a| a.bytes(rt::IFLA_BR_MCAST_SNOOPING, &[0]));
        });
    });
}

/// Mark a new bridge as ours and set what creation does not take. The host believes no redirect from
/// containers, sends none, and takes from the bridge only source addresses that it would reach there.
pub(crate) fn configure_bridge(batch: &mut Batch, name: &str, alias: &str, mtu: u32) {
    let call = format!("RTM_NEWLINK({name} alias \"{alias}\" mtu {mtu})");
    batch.push((rt::RTM_NEWLINK, nl::NLM_F_ACK), call, &ifinfomsg(0, 0), |a| {
        a.text(rt::IFLA_IFNAME, name);
        a.bytes(rt::IFLA_IFALIAS, alias.as_bytes());
        a.u32(rt::IFLA_MTU, mtu);
        a.nested(rt::IFLA_AF_SPEC, |a| {
            a.nested(rt::AF_INET.into(), |a| {
                a.nested(rt::IFLA_INET_CONF, |a| {
                    a.u32(rt::IPV4_DEVCONF_ACCEPT_REDIRECTS, 0);
                    a.u32(rt::IPV4_DEVCONF_SEND_REDIRECTS, 0);
                    a.u32(rt::IPV4_DEVCONF_RP_FILTER, 1);
                });
            });
        });
    });
}

/// Make a veth pair: the host's end up and a port of the bridge, the container's end down in its
/// namespace. No packet passes before the container's end is up.
pub(crate) fn create_veth(batch: &mut Batch, plan: &EndpointPlan, namespace_of: u32) {
    let call = format!(
        "RTM_NEWLINK(veth {} master {}, peer {} in namespace of {namespace_of})",
        plan.host_name, plan.bridge, plan.name
    );
    let header = ifinfomsg(0, rt::IFF_UP);
    batch.push((rt::RTM_NEWLINK, CREATE), call, &header, |a| {
        a.text(rt::IFLA_IFNAME, &plan.host_name);
        a.u32(rt::IFLA_MTU, plan.mtu);
        a.u32(rt::IFLA_MASTER, plan.bridge);
        one_queue(a);
        a.nested(rt::IFLA_LINKINFO, |a| {
            a.text(rt::IFLA_INFO_KIND, "veth");
            a.nested(rt::IFLA_INFO_DATA, |a| {
                a.nested(rt::VETH_INFO_PEER, |a| {
                    a.raw(&ifinfomsg(0, 0));
                    a.text(rt::IFLA_IFNAME, &plan.name);
                    a.bytes(rt::IFLA_ADDRESS, &plan.mac);
                    a.u32(rt::IFLA_MTU, plan.mtu);
                    a.u32(rt::IFLA_NET_NS_PID, namespace_of);
                    one_queue(a);
                });
            });
        });
    });
}

/// Mark a new port as ours; an isolated one reaches the bridge itself and no other isolated port.
pub(crate) fn configure_port(batch: &mut Batch, plan: &EndpointPlan) {
    let call = format!("RTM_NEWLINK({} alias \"{}\")", plan.host_name, plan.alias);
    batch.push((rt::RTM_NEWLINK, nl::NLM_F_ACK), call, &ifinfomsg(0, 0), |a| {
        a.text(rt::IFLA_IFNAME, &plan.host_name);
        a.bytes(rt::IFLA_IFALIAS, plan.alias.as_bytes());
        a.nested(rt::IFLA_LINKINFO, |a| {
            a.text(rt::IFLA_INFO_SLAVE_KIND, "bridge");
            a.nested(rt::IFLA_INFO_SLAVE_DATA, |a| {
                a.bytes(rt::IFLA_BRPORT_ISOLATED, &[u8::from(plan.isolated)]);
            });
        });
    });
}

/// No IPv6 address by itself. To be sent before the interface is up with a carrier, in a batch that
/// tolerates `EAFNOSUPPORT`: a host without IPv6, or an interface whose MTU is too small for it.
pub(crate) fn without_ipv6(batch: &mut Batch, name: &str) {
    let call = format!("RTM_NEWLINK({name} addr_gen_mode none)");
    batch.push((rt::RTM_NEWLINK, nl::NLM_F_ACK), call, &ifinfomsg(0, 0), |a| {
        a.text(rt::IFLA_IFNAME, name);
        a.nested(rt::IFLA_AF_SPEC, |a| {
            a.nested(rt::AF_INET6.into(), |a| {
                a.bytes(rt::IFLA_INET6_ADDR_GEN_MODE, &[rt::IN6_ADDR_GEN_MODE_NONE]);
            });
        });
    });
}

pub(crate) fn up(batch: &mut Batch, index: u32) {
    let header = ifinfomsg(index, rt::IFF_UP);
    let call = format!("RTM_NEWLINK(link {index} up)");
    batch.push((rt::RTM_NEWLINK, nl::NLM_F_ACK), call, &header, |_| {});
}

pub(crate) fn delete(batch: &mut Batch, index: u32, name: &str) {
    let call = format!("RTM_DELLINK({name})");
    batch.push((rt::RTM_DELLINK, nl::NLM_F_ACK), call, &ifinfomsg(index, 0), |_| {});
}

fn dump(socket: &mut Socket, filter: impl FnOnce(&mut Attributes<'_>)) -> Result<Vec<Link>, Error> {
    let mut request = Batch::default();
    let get = (rt::RTM_GETLINK, nl::NLM_F_DUMP);
    request.push(get, "RTM_GETLINK", &ifinfomsg(0, 0), |a| {
        a.u32(rt::IFLA_EXT_MASK, rt::RTEXT_FILTER_SKIP_STATS);
        filter(a);
    });
    socket.dump(&request, |message| {
        let mut link = Link { index: number(message.payload, 4)?, ..Link::default() };
        for (kind, value) in attributes(message.payload.get(16..)?) {
            match kind {
                rt::IFLA_IFNAME => link.name = text(value),
                rt::IFLA_IFALIAS => link.alias = text(value),
                rt::IFLA_GROUP => link.group = number(value, 0)?,
                rt::IFLA_LINKINFO => {
                    let kind = attributes(value).find(|(kind, _)| *kind == rt::IFLA_INFO_KIND);
                    link.kind = kind.map(|(_, value)| text(value)).unwrap_or_default();
                }
                _ => {}
            }
        }
        Some(link)
    })
}

/// A veth with a queue a processor takes a third longer to make and is no faster without XDP.
fn one_queue(to: &mut Attributes<'_>) {
    to.u32(rt::IFLA_NUM_TX_QUEUES, 1);
    to.u32(rt::IFLA_NUM_RX_QUEUES, 1);
}

/// `struct ifinfomsg`: family, type, index, flags, and which flags to change: those set.
fn ifinfomsg(index: u32, flags: u32) -> [u8; 16] {
    let mut header = [0; 16];
    let [_, _, _, _, fields @ ..] = &mut header;
    for (field, value) in fields.as_chunks_mut::<4>().0.iter_mut().zip([index, flags, flags]) {
        *field = value.to_ne_bytes();
    }
    header
}
