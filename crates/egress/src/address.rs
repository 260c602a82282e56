//! Which addresses are special, by IANA's registries of special-purpose addresses, and what a policy says about them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// A network that no tenant reaches unless its policy says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Special {
    pub(crate) net: IpNet,
    /// Completes "is …".
    pub(crate) what: &'static str,
}

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8, what: &'static str) -> Special {
    Special { net: IpNet::new_assert(IpAddr::V4(Ipv4Addr::new(a, b, c, d)), prefix), what }
}

const fn v6(head: [u16; 4], prefix: u8, what: &'static str) -> Special {
    let [a, b, c, d] = head;
    Special { net: IpNet::new_assert(IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0)), prefix), what }
}

/// The narrower network comes first where one lies inside another, so that a refusal names what it is about.
const SPECIAL_V4: [Special; 19] = [
    v4(0, 0, 0, 0, 32, "the unspecified address"),
    v4(0, 0, 0, 0, 8, "an address of \"this network\""),
    v4(10, 0, 0, 0, 8, "a private address"),
    v4(100, 64, 0, 0, 10, "an address shared behind a carrier's NAT"),
    v4(127, 0, 0, 0, 8, "a loopback address"),
    v4(169, 254, 169, 254, 32, "a cloud's metadata address"),
    v4(169, 254, 0, 0, 16, "a link-local address"),
    v4(172, 16, 0, 0, 12, "a private address"),
    v4(192, 0, 0, 0, 24, "an address for protocol assignments"),
    v4(192, 0, 2, 0, 24, "a documentation address"),
    v4(192, 88, 99, 0, 24, "a 6to4 relay address"),
    v4(192, 168, 0, 0, 16, "a private address"),
    v4(198, 18, 0, 0, 15, "a benchmarking address"),
    v4(198, 51, 100, 0, 24, "a documentation address"),
    v4(203, 0, 113, 0, 24, "a documentation address"),
    v4(224, 0, 0, 0, 4, "a multicast address"),
    v4(255, 255, 255, 255, 32, "the broadcast address"),
    v4(240, 0, 0, 0, 4, "a reserved address"),
    // Public by the registries, but inside Azure it is the host of the machine and answers with its secrets.
    v4(168, 63, 129, 16, 32, "a cloud's platform address"),
];

const SPECIAL_V6: [Special; 16] = [
    Special { net: IpNet::new_assert(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 128), what: "the unspecified address" },
    Special { net: IpNet::new_assert(IpAddr::V6(Ipv6Addr::LOCALHOST), 128), what: "a loopback address" },
    Special { net: IpNet::new_assert(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 96), what: "an IPv4-compatible address" },
    v6([0x64, 0xff9b, 1, 0], 48, "a local NAT64 address"),
    v6([0x100, 0, 0, 0], 64, "a discard address"),
    v6([0x2001, 0, 0, 0], 32, "a Teredo address"),
    v6([0x2001, 2, 0, 0], 48, "a benchmarking address"),
    v6([0x2001, 0, 0, 0], 23, "an address for protocol assignments"),
    v6([0x2001, 0xdb8, 0, 0], 32, "a documentation address"),
    v6([0x2002, 0, 0, 0], 16, "a 6to4 address"),
    v6([0x3fff, 0, 0, 0], 20, "a documentation address"),
    v6([0x5f00, 0, 0, 0], 16, "a segment-routing address"),
    v6([0xfc00, 0, 0, 0], 7, "a unique local address"),
    v6([0xfe80, 0, 0, 0], 10, "a link-local address"),
    v6([0xfec0, 0, 0, 0], 10, "a site-local address"),
    v6([0xff00, 0, 0, 0], 8, "a multicast address"),
];

/// Global unicast, the only part of IPv6 that the internet routes.
const GLOBAL_V6: Special = v6([0x2000, 0, 0, 0], 3, "");
const NOT_GLOBAL_V6: Special = v6([0, 0, 0, 0], 0, "an address outside of IPv6's global unicast space");

/// The address to connect to, if a policy lets it: itself, or the IPv4 address that an IPv4-mapped one stands for.
///
/// # Errors
/// The special network that it lies in and that `allowed` does not hold.
pub(crate) fn check(address: IpAddr, allowed: &[IpNet]) -> Result<IpAddr, Special> {
    // The system connects to a mapped address by IPv4, so that is what must be judged.
    let address = address.to_canonical();
    let behind = behind_nat64(address);
    let within = |address: IpAddr| allowed.iter().any(|net| net.contains(&address));
    match special(behind.unwrap_or(address)) {
        Some(special) if !within(address) && !behind.is_some_and(within) => Err(special),
        _ => Ok(address),
    }
}

/// The special network that an address lies in; the narrowest that has a name.
fn special(address: IpAddr) -> Option<Special> {
    let find = |table: &[Special]| table.iter().find(|special| special.net.contains(&address)).copied();
    match address {
        IpAddr::V4(_) => find(&SPECIAL_V4),
        IpAddr::V6(_) => find(&SPECIAL_V6).or_else(|| (!GLOBAL_V6.net.contains(&address)).then_some(NOT_GLOBAL_V6)),
    }
}

/// The IPv4 address that a translator at `64:ff9b::/96` connects to (RFC 6052). On an IPv6-only network every IPv4 host has such an address,
/// so it is judged by what it leads to.
fn behind_nat64(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V6(address) => match address.segments() {
            [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(IpAddr::V4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))),
            _ => None,
        },
        IpAddr::V4(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Special, check};

    fn checked(address: &str, allowed: &[&str]) -> Result<String, Special> {
        let allowed: Vec<_> = allowed.iter().map(|net| net.parse().unwrap()).collect();
        check(address.parse().unwrap(), &allowed).map(|address| address.to_string())
    }

    #[test]
    fn neighbours_of_special_networks_are_public() {
        for public in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.0.3.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "168.63.129.15",
            "2000::1",
            "2606:4700::1111",
            "2001:200::1",
            "2001:db7:ffff::",
            "2003::",
            "3ffe::1",
            "64:ff9b::101:101",
        ] {
            assert_eq!(checked(public, &[]).as_deref(), Ok(public));
        }
    }

    #[test]
    fn a_policy_allows_what_it_holds_and_nothing_beside_it() {
        assert_eq!(checked("10.1.2.3", &["10.1.0.0/16"]).as_deref(), Ok("10.1.2.3"));
        assert!(checked("10.2.0.0", &["10.1.0.0/16"]).is_err());
        assert!(checked("127.0.0.1", &["::/0"]).is_err());
        assert_eq!(checked("fd00::1", &["fd00::/8"]).as_deref(), Ok("fd00::1"));
        assert_eq!(checked("64:ff9b::a01:203", &["10.0.0.0/8"]).as_deref(), Ok("64:ff9b::a01:203"));
    }

    #[test]
    fn a_mapped_address_is_its_ipv4_address() {
        assert_eq!(checked("::ffff:1.1.1.1", &[]).as_deref(), Ok("1.1.1.1"));
        assert_eq!(checked("::ffff:127.0.0.1", &["127.0.0.0/8"]).as_deref(), Ok("127.0.0.1"));
        assert!(checked("::ffff:127.0.0.1", &["::/0"]).is_err());
    }
}
