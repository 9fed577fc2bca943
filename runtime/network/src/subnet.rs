//! IPv4 arithmetic.

use crate::Error;
use bulkhead_policy::proto::Ipv4;
use std::fmt;
use std::net::Ipv4Addr;

/// An address range; host bits may be set (then it is an address in its range).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Subnet {
    pub(crate) address: Ipv4Addr,
    pub(crate) prefix: u8,
}

impl Subnet {
    /// The range that a bridge with this address serves.
    ///
    /// # Errors
    /// Not 8 to 30 bits, not a host's address in that range, or in a range with a meaning of its own
    /// (RFC 6890: this network, loopback, link-local, multicast, reserved).
    pub(crate) fn of_gateway(gateway: Ipv4) -> Result<Self, Error> {
        let subnet = Self { address: gateway.address.into(), prefix: gateway.prefix };
        let [first, ..] = gateway.address;
        if !(8..=30).contains(&gateway.prefix) {
            Err(Error::invalid(format!("gateway {subnet}: prefix is not 8 to 30")))
        } else if first == 0
            || first >= 224
            || subnet.address.is_loopback()
            || subnet.address.is_link_local()
        {
            Err(Error::invalid(format!("gateway {subnet}: not in a range for hosts")))
        } else if subnet.is_host(subnet.address) {
            Ok(subnet)
        } else {
            Err(Error::invalid(format!("gateway {subnet}: the network's own or broadcast address")))
        }
    }

    /// Whether the address is in the range and neither its first nor its last.
    pub(crate) fn is_host(self, address: Ipv4Addr) -> bool {
        let host = address.to_bits() & !self.mask();
        self.overlaps(Self { address, prefix: 32 }) && host != 0 && host != !self.mask()
    }

    pub(crate) fn overlaps(self, other: Self) -> bool {
        let mask = self.mask() & other.mask();
        self.address.to_bits() & mask == other.address.to_bits() & mask
    }

    pub(crate) fn broadcast(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.address.to_bits() | !self.mask())
    }

    fn mask(self) -> u32 {
        u32::MAX.checked_shl(32_u32.saturating_sub(self.prefix.into())).unwrap_or(0)
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet {
        let (address, prefix) = text.split_once('/').unwrap();
        Subnet { address: address.parse().unwrap(), prefix: prefix.parse().unwrap() }
    }

    #[test]
    fn ranges_overlap_when_one_holds_the_other() {
        for (one, other, overlaps) in [
            ("172.17.0.1/16", "172.17.5.0/24", true),
            ("172.17.5.0/24", "172.17.0.1/16", true),
            ("172.17.0.1/16", "172.18.0.0/16", false),
            ("10.0.0.0/8", "10.255.255.255/32", true),
            ("0.0.0.0/0", "10.0.0.0/8", true),
            ("10.0.0.1/32", "10.0.0.2/32", false),
        ] {
            assert_eq!(subnet(one).overlaps(subnet(other)), overlaps, "{one} {other}");
        }
    }

    #[test]
    fn a_gateway_is_a_hosts_address() {
        for (gateway, admitted) in [
            ("172.17.0.1/16", true),
            ("10.1.2.2/30", true),
            ("10.1.2.3/30", false),
            ("10.1.2.0/30", false),
            ("10.1.2.3/24", true),
            ("10.1.2.255/24", false),
            ("10.1.2.1/31", false),
            ("10.1.2.1/32", false),
            ("10.1.2.1/7", false),
            ("127.0.0.1/8", false),
            ("169.254.1.1/16", false),
            ("224.0.0.1/24", false),
            ("0.1.2.3/8", false),
        ] {
            let Subnet { address, prefix } = subnet(gateway);
            let gateway = Ipv4 { address: address.octets(), prefix };
            assert_eq!(Subnet::of_gateway(gateway).is_ok(), admitted, "{gateway:?}");
        }
    }
}
