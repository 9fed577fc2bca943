//! IPv4 addresses and routes by rtnetlink(7).

use crate::Error;
use crate::message::{Batch, attributes};
use crate::socket::Socket;
use crate::subnet::Subnet;
use crate::uapi::{nl, rt};
use std::net::Ipv4Addr;

/// Give a link an address; done already is no error.
pub(crate) fn add_address(batch: &mut Batch, link: u32, subnet: Subnet) {
    let call = format!("RTM_NEWADDR({subnet} link {link})");
    let mut header = [rt::AF_INET, subnet.prefix, 0, rt::RT_SCOPE_UNIVERSE, 0, 0, 0, 0];
    let [_, _, _, _, index @ ..] = &mut header;
    *index = link.to_ne_bytes();
    let flags = nl::NLM_F_ACK | nl::NLM_F_CREATE | nl::NLM_F_REPLACE;
    batch.push((rt::RTM_NEWADDR, flags), call, &header, |a| {
        a.bytes(rt::IFA_LOCAL, &subnet.address.octets());
        a.bytes(rt::IFA_ADDRESS, &subnet.address.octets());
        a.bytes(rt::IFA_BROADCAST, &subnet.broadcast().octets());
    });
}

/// Make a default route, of which there must be none.
pub(crate) fn add_default(batch: &mut Batch, link: u32, gateway: Ipv4Addr) {
    let call = format!("RTM_NEWROUTE(default via {gateway} link {link})");
    let (table, protocol) = (rt::RT_TABLE_MAIN, rt::RTPROT_BOOT);
    let header = rtmsg([0, 0, 0, table, protocol, rt::RT_SCOPE_UNIVERSE, rt::RTN_UNICAST]);
    let flags = nl::NLM_F_ACK | nl::NLM_F_CREATE | nl::NLM_F_EXCL;
    batch.push((rt::RTM_NEWROUTE, flags), call, &header, |a| {
        a.bytes(rt::RTA_GATEWAY, &gateway.octets());
        a.u32(rt::RTA_OIF, link);
    });
}

/// Refuse a subnet that overlaps an address or a route of this host, default routes aside.
pub(crate) fn check_free(socket: &mut Socket, subnet: Subnet) -> Result<(), Error> {
    let taken = |kind, of: Vec<Subnet>| match of.into_iter().find(|one| one.overlaps(subnet)) {
        Some(one) => {
            Err(Error::Overlap { subnet: subnet.to_string(), with: format!("{kind} {one}") })
        }
        None => Ok(()),
    };
    taken("address", addresses(socket)?)?;
    taken("route", routes(socket)?)
}

fn addresses(socket: &mut Socket) -> Result<Vec<Subnet>, Error> {
    let mut request = Batch::default();
    let header = [rt::AF_INET, 0, 0, 0, 0, 0, 0, 0];
    request.push((rt::RTM_GETADDR, nl::NLM_F_DUMP), "RTM_GETADDR", &header, |_| {});
    socket
        .dump(&request, |message| subnet(message.payload, message.payload.get(8..)?, rt::IFA_LOCAL))
}

fn routes(socket: &mut Socket) -> Result<Vec<Subnet>, Error> {
    let mut request = Batch::default();
    let get = (rt::RTM_GETROUTE, nl::NLM_F_DUMP);
    request.push(get, "RTM_GETROUTE", &rtmsg([0; 7]), |_| {});
    // A default route has no RTA_DST.
    socket
        .dump(&request, |message| subnet(message.payload, message.payload.get(12..)?, rt::RTA_DST))
}

/// Both `struct ifaddrmsg` and `struct rtmsg` begin with family and prefix length.
fn subnet(header: &[u8], body: &[u8], kind: u16) -> Option<Subnet> {
    let [rt::AF_INET, prefix, ..] = *header else { return None };
    let address = attributes(body).find(|(found, _)| *found == kind)?.1.first_chunk::<4>()?;
    (prefix > 0).then_some(Subnet { address: Ipv4Addr::from(*address), prefix })
}

/// `struct rtmsg` for IPv4: family; prefix lengths of destination and source, type of service, table,
/// protocol, scope, type; flags.
fn rtmsg([dst, src, tos, table, protocol, scope, kind]: [u8; 7]) -> [u8; 12] {
    [rt::AF_INET, dst, src, tos, table, protocol, scope, kind, 0, 0, 0, 0]
}
