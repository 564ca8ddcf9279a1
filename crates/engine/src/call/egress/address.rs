//! Which addresses belong to the public internet. Everything else is somebody's inside.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(a: u16, b: u16, c: u16, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0), prefix)
}

/// IPv4: what is listed is not public (RFC 6890 and the registry it began).
pub(super) const INSIDE_V4: &[(Ipv4Net, &str)] = &[
    (v4(0, 0, 0, 0, 8), "an address of \"this network\""),
    (v4(10, 0, 0, 0, 8), "a private address"),
    (v4(100, 64, 0, 0, 10), "an address of carrier-grade NAT"),
    (v4(127, 0, 0, 0, 8), "a loopback address"),
    (v4(168, 63, 129, 16, 32), "a cloud platform's own address"), // Azure, inside every virtual machine
    (v4(169, 254, 0, 0, 16), "a link-local address"),             // cloud metadata lives here
    (v4(172, 16, 0, 0, 12), "a private address"),
    (v4(192, 0, 0, 0, 24), "a reserved address"), // one more cloud's metadata: 192.0.0.192
    (v4(192, 0, 2, 0, 24), "a documentation address"),
    (v4(192, 88, 99, 0, 24), "a reserved address"), // 6to4 relays, withdrawn
    (v4(192, 168, 0, 0, 16), "a private address"),
    (v4(198, 18, 0, 0, 15), "a benchmarking address"),
    (v4(198, 51, 100, 0, 24), "a documentation address"),
    (v4(203, 0, 113, 0, 24), "a documentation address"),
    (v4(224, 0, 0, 0, 4), "a multicast address"),
    (v4(240, 0, 0, 0, 4), "a reserved address"), // broadcast among them
];

/// IPv6 is the other way round: only `2000::/3` is handed out for use on the internet.
const GLOBAL_V6: Ipv6Net = v6(0x2000, 0, 0, 3);

/// … and these parts of it are not public.
pub(super) const INSIDE_GLOBAL_V6: &[(Ipv6Net, &str)] = &[
    (v6(0x2001, 0, 0, 23), "a reserved address"), // Teredo is judged before; benchmarking, ORCHID and their like
    (v6(0x2001, 0xdb8, 0, 32), "a documentation address"),
    (v6(0x3fff, 0, 0, 20), "a documentation address"),
];

/// Names for the best-known parts outside `2000::/3`; the rest is "reserved".
pub(super) const OUTSIDE_GLOBAL_V6: &[(Ipv6Net, &str)] = &[
    (Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 128), "the unspecified address"),
    (Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128), "a loopback address"),
    (v6(0x64, 0xff9b, 1, 48), "an address of a local translator"),
    (v6(0x100, 0, 0, 64), "a discard address"),
    (v6(0xfc00, 0, 0, 7), "a private address"),
    (v6(0xfe80, 0, 0, 10), "a link-local address"),
    (v6(0xfec0, 0, 0, 10), "a site-local address"),
    (v6(0xff00, 0, 0, 8), "a multicast address"),
];

const NAT64: Ipv6Net = v6(0x64, 0xff9b, 0, 96);
const SIX_TO_FOUR: Ipv6Net = v6(0x2002, 0, 0, 16);
const TEREDO: Ipv6Net = v6(0x2001, 0, 0, 32);

/// What kind of inside address this is; `None` for a public one.
pub(super) fn inside(address: IpAddr) -> Option<&'static str> {
    match address.to_canonical() {
        IpAddr::V4(address) => inside_v4(address),
        IpAddr::V6(address) => inside_v6(address),
    }
}

/// Whether the operator lists the address. A mapped address is compared as the IPv4 address that it is; one that
/// merely embeds an IPv4 address is not.
pub(super) fn listed(allow: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    allow.iter().any(|net| net.contains(&address))
}

fn inside_v4(address: Ipv4Addr) -> Option<&'static str> {
    INSIDE_V4.iter().find(|(net, _)| net.contains(&address)).map(|(_, kind)| *kind)
}

fn inside_v6(address: Ipv6Addr) -> Option<&'static str> {
    let find = |table: &[(Ipv6Net, &'static str)]| {
        table.iter().find(|(net, _)| net.contains(&address)).map(|(_, kind)| *kind)
    };
    let [_, one, two, three, .., six, seven] = address.segments();
    if NAT64.contains(&address) {
        return inside_v4(embedded(six, seven));
    }
    if !GLOBAL_V6.contains(&address) {
        return Some(find(OUTSIDE_GLOBAL_V6).unwrap_or("a reserved address"));
    }
    if SIX_TO_FOUR.contains(&address) {
        return inside_v4(embedded(one, two));
    }
    if TEREDO.contains(&address) {
        // The server behind the prefix; the client, inverted, at the end (RFC 4380 §4).
        return inside_v4(embedded(two, three)).or_else(|| inside_v4(embedded(!six, !seven)));
    }
    find(INSIDE_GLOBAL_V6)
}

fn embedded(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from_bits((u32::from(high) << 16) | u32::from(low))
}

/// An IPv4 address in another notation than four decimal numbers: `2130706433`, `0x7f.1`, `0177.0.0.1`, `127.1`, and
/// with a dot behind. The system's resolver reads them all, programs disagree on which; here they are no hosts.
/// The rule is the URL standard's: a host whose last label is a number is an IPv4 address or nothing.
pub(super) fn odd_notation(host: &str) -> bool {
    let bare = host.strip_suffix('.').unwrap_or(host);
    let last = bare.rsplit('.').next().unwrap_or(bare);
    let hexadecimal = last
        .strip_prefix("0x")
        .or_else(|| last.strip_prefix("0X"))
        .is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
    let number = hexadecimal || (!last.is_empty() && last.bytes().all(|b| b.is_ascii_digit()));
    number && host.parse::<Ipv4Addr>().is_err()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_edges_of_every_range() {
        for address in [
            "0.0.0.0",
            "0.255.255.255",
            "10.0.0.0",
            "10.255.255.255",
            "100.64.0.0",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.255",
            "168.63.129.16",
            "169.254.0.0",
            "169.254.169.254",
            "169.254.255.255",
            "172.16.0.0",
            "172.31.255.255",
            "192.0.0.0",
            "192.0.0.192",
            "192.0.0.255",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.0",
            "192.168.255.255",
            "198.18.0.0",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.255",
            "224.0.0.0",
            "239.255.255.255",
            "240.0.0.0",
            "255.255.255.255",
            "::",
            "::1",
            "::2",
            "::7f00:1",
            "::8.8.8.8",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:0:8.8.8.8",
            "64:ff9b::10.0.0.1",
            "64:ff9b::127.0.0.1",
            "64:ff9b:1::8.8.8.8",
            "64:ff9b:1:ffff::1",
            "64:ff9b::1:8.8.8.8",
            "100::",
            "100::ffff",
            "100:0:0:1::1",
            "2001::1",
            "2001:2::1",
            "2001:10::1",
            "2001:20::1",
            "2001:1ff:ffff::1",
            "2001:db8::",
            "2001:db8:ffff::1",
            "2002:7f00:1::",
            "2002:a00:1::1",
            "2002:c0a8:101::1",
            "3fff::1",
            "3fff:fff:ffff::1",
            "4000::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fdff::1",
            "fe80::1",
            "febf:ffff::1",
            "fec0::1",
            "feff::1",
            "ff00::1",
            "ff02::1",
            "ffff::1",
        ] {
            assert!(inside(ip(address)).is_some(), "{address} is not public");
        }
        for address in [
            "1.0.0.0",
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "168.63.129.15",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2000::1",
            "2001:200::1",
            "2001:4860:4860::8888",
            "2002:808:808::1",
            "2606:4700:4700::1111",
            "2a00::1",
            "3ffe::1",
            "3fff:1000::1",
            // Teredo of a public server and a public client.
            "2001:0:4136:e378:8000:63bf:f7f7:f7f7",
        ] {
            assert_eq!(inside(ip(address)), None, "{address} is public");
        }
    }

    #[test]
    fn teredo_is_judged_by_server_and_client() {
        let inverted = |v4: [u8; 4]| !u32::from_be_bytes(v4);
        let teredo = |server: [u8; 4], client: [u8; 4]| {
            let bits = (0x2001_0000_u128 << 96)
                | (u128::from(u32::from_be_bytes(server)) << 64)
                | u128::from(inverted(client));
            inside(Ipv6Addr::from_bits(bits).into())
        };
        assert_eq!(teredo([8, 8, 8, 8], [1, 1, 1, 1]), None);
        assert_eq!(teredo([8, 8, 8, 8], [10, 0, 0, 1]), Some("a private address"));
        assert_eq!(teredo([127, 0, 0, 1], [1, 1, 1, 1]), Some("a loopback address"));
    }

    #[test]
    fn listed_ranges() {
        let allow: Vec<IpNet> = vec!["10.1.0.0/16".parse().unwrap(), "fd00::/8".parse().unwrap()];
        for address in ["10.1.0.1", "::ffff:10.1.2.3", "fd00::1"] {
            assert!(listed(&allow, ip(address)), "{address}");
        }
        for address in
            ["10.2.0.1", "::ffff:10.2.0.1", "64:ff9b::10.1.0.1", "2002:a01:1::1", "::10.1.0.1", "fc00::1"]
        {
            assert!(!listed(&allow, ip(address)), "{address}");
        }
        let all_v6: Vec<IpNet> = vec!["::/0".parse().unwrap()];
        assert!(!listed(&all_v6, ip("::ffff:127.0.0.1")), "a mapped address is IPv4");
    }

    #[test]
    fn notations() {
        for host in [
            "2130706433",
            "0x7f000001",
            "0X7F000001",
            "0x7f.1",
            "0x7f.0.0.0x1",
            "0177.0.0.1",
            "017700000001",
            "127.1",
            "127.0.1",
            "127.0.0.01",
            "127.0.0.1.",
            "1.2.3.4.5",
            "256.1.1.1",
            "127.0.0.0x1",
            "0x",
            "example.0x1",
            "a.1",
            "2130706433.",
            "1.1.1.1.",
        ] {
            assert!(odd_notation(host), "{host}");
        }
        for host in [
            "127.0.0.1",
            "8.8.8.8",
            "example.com",
            "example.com.",
            "1password.com",
            "a1",
            "0xg.com",
            "x.0xzz",
            "1.example",
        ] {
            assert!(!odd_notation(host), "{host}");
        }
    }

    fn within_v4(net: Ipv4Net, bits: u32) -> Ipv4Addr {
        Ipv4Addr::from_bits(net.network().to_bits() | (bits & net.hostmask().to_bits()))
    }

    fn within_v6(net: Ipv6Net, bits: u128) -> Ipv6Addr {
        Ipv6Addr::from_bits(net.network().to_bits() | (bits & net.hostmask().to_bits()))
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_address_in_a_listed_range_is_refused(bits: u32, wide: u128, subnet: u16, host: u16) {
            // Written out once more, so that a slip in the tables is seen.
            for net in [
                "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
                "192.0.0.0/24", "192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
                "224.0.0.0/4", "240.0.0.0/4", "255.255.255.255/32",
            ] {
                let address = within_v4(net.parse().unwrap(), bits);
                prop_assert!(inside(address.into()).is_some(), "{address}");
                let [a, b] = [0, 2].map(|at| u16::from_be_bytes([address.octets()[at], address.octets()[at + 1]]));
                for embedding in [
                    Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, a, b),
                    Ipv6Addr::new(0, 0, 0, 0, 0, 0, a, b),
                    Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, a, b),
                    Ipv6Addr::new(0x2002, a, b, subnet, 0, 0, 0, host),
                ] {
                    prop_assert!(inside(embedding.into()).is_some(), "{embedding}");
                }
            }
            for net in [
                "::/96", "64:ff9b:1::/48", "100::/64", "2001:2::/48", "2001:db8::/32", "3fff::/20", "fc00::/7", "fe80::/10",
                "fec0::/10", "ff00::/8",
            ] {
                let address = within_v6(net.parse().unwrap(), wide);
                prop_assert!(inside(address.into()).is_some(), "{address}");
            }
        }

        #[test]
        fn mapped_and_translated_agree_with_their_ipv4(bits: u32, prefix in 0_u8..=32) {
            let address = Ipv4Addr::from_bits(bits);
            let mapped = address.to_ipv6_mapped();
            prop_assert_eq!(inside(mapped.into()), inside(address.into()));
            let translated = Ipv6Addr::from_bits((0x0064_ff9b_u128 << 96) | u128::from(bits));
            prop_assert_eq!(inside(translated.into()), inside(address.into()));
            let six_to_four = Ipv6Addr::from_bits((0x2002_u128 << 112) | (u128::from(bits) << 80));
            prop_assert_eq!(inside(six_to_four.into()), inside(address.into()));
            let allow = [IpNet::from(Ipv4Net::new(address, prefix).unwrap().trunc())];
            prop_assert!(listed(&allow, address.into()) && listed(&allow, mapped.into()));
        }

        #[test]
        fn four_decimal_numbers_are_the_one_notation(bits: u32) {
            let address = Ipv4Addr::from_bits(bits);
            let [a, b, c, d] = address.octets();
            prop_assert!(!odd_notation(&address.to_string()));
            for odd in [
                format!("{bits}"), format!("{bits:#x}"), format!("0{bits:o}"), format!("{a}.{b}.{c}.{d}."),
                format!("{a}.{}", bits & 0xff_ffff), format!("{a:#x}.{b}.{c}.{d}"), format!("0{a:03o}.{b}.{c}.{d}"),
            ] {
                prop_assert!(odd_notation(&odd), "{odd}");
            }
        }
    }
}
