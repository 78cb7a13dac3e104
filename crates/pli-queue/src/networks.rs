//! Which addresses mail may go to that DNS or an address literal names.
//!
//! A name of somebody else's must not make this server speak to itself or to what stands beside it: an MX record that
//! points to 127.0.0.1 or 10.0.0.1 is a mistake or an attack. Routes that an administrator wrote are not asked.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// `192.0.2.0/24`, `2001:db8::/32`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address.parse().ok()?, Some(bits.parse::<u8>().ok()?)),
            None => (text.parse::<IpAddr>().ok()?, None),
        };
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        (bits <= most).then_some(Self { address, bits })
    }

    fn holds(&self, other: IpAddr) -> bool {
        let (one, two, width) = match (self.address, other) {
            (IpAddr::V4(a), IpAddr::V4(b)) => (u128::from(a.to_bits()), u128::from(b.to_bits()), 32_u32),
            (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits(), b.to_bits(), 128),
            _ => return false,
        };
        let host = width.saturating_sub(u32::from(self.bits));
        (one ^ two).checked_shr(host).unwrap_or(0) == 0
    }
}

/// Whether a list of networks is one.
#[must_use]
pub fn is_network(text: &str) -> bool {
    Network::parse(text).is_some()
}

/// Whether mail may go there.
pub(crate) fn may_reach(address: IpAddr, allowed: &[Network]) -> bool {
    let plain = match address {
        // ::ffff:127.0.0.1 is 127.0.0.1.
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    };
    allowed.iter().any(|network| network.holds(plain)) || !is_inside(plain)
}

fn is_inside(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_inside_v4(v4),
        IpAddr::V6(v6) => is_inside_v6(v6),
    }
}

fn is_inside_v4(address: Ipv4Addr) -> bool {
    let [a, b, ..] = address.octets();
    address.is_unspecified()
        || address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        || a == 0
        || a >= 240
        // RFC 6598: between a carrier and its customers.
        || (a == 100 && (64..128).contains(&b))
}

fn is_inside_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    address.is_unspecified()
        || address.is_loopback()
        || address.is_multicast()
        || address.is_unique_local()
        || address.is_unicast_link_local()
        // fec0::/10, site-local of old
        || first & 0xffc0 == 0xfec0
        // RFC 6052, RFC 3056: an IPv4 address within, which may be one of those above.
        || (first == 0x64 && second == 0xff9b)
        || first == 0x2002
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn inside_addresses_are_refused_unless_listed() {
        let none: Vec<Network> = Vec::new();
        for inside in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "0.1.2.3",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "fec0::1",
        ] {
            assert!(!may_reach(inside.parse().unwrap(), &none), "{inside}");
        }
        for outside in ["192.0.2.1", "8.8.8.8", "100.128.0.1", "2001:db8::1", "172.32.0.1"] {
            assert!(may_reach(outside.parse().unwrap(), &none), "{outside}");
        }
        let allowed = vec![Network::parse("127.0.0.0/8").unwrap(), Network::parse("fd00:1::/32").unwrap()];
        assert!(may_reach("127.9.9.9".parse().unwrap(), &allowed));
        assert!(may_reach("::ffff:127.0.0.1".parse().unwrap(), &allowed));
        assert!(may_reach("fd00:1::5".parse().unwrap(), &allowed));
        assert!(!may_reach("fd00:2::5".parse().unwrap(), &allowed));
        assert!(!may_reach("10.0.0.1".parse().unwrap(), &allowed));
    }

    #[test]
    fn networks_are_read() {
        assert!(Network::parse("0.0.0.0/0").unwrap().holds("9.9.9.9".parse().unwrap()));
        assert!(Network::parse("::/0").unwrap().holds("::1".parse().unwrap()));
        assert!(!Network::parse("::/0").unwrap().holds("9.9.9.9".parse().unwrap()));
        assert!(Network::parse("10.0.0.1").unwrap().holds("10.0.0.1".parse().unwrap()));
        for wrong in ["", "10.0.0.0/33", "::/129", "10.0.0/8", "x", "10.0.0.0/-1"] {
            assert!(!is_network(wrong), "{wrong}");
        }
    }
}
