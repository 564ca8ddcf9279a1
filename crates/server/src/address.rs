//! Where a request comes from when proxies stand before the service.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use http::header::FORWARDED;
use ipnet::IpNet;

/// Who asks: the rightmost address that is no trusted proxy's. Only what a trusted proxy says is believed; where its two headers do not agree, one of
/// them is the client's own invention, and neither is.
pub(crate) fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    if !trusts(trusted, peer) {
        return peer;
    }
    let walk = |hops: Option<Vec<Option<IpAddr>>>| hops.map(|hops| rightmost(peer, &hops, trusted));
    match (walk(x_forwarded_for(headers)), walk(forwarded(headers))) {
        (Some(one), Some(two)) if one != two => peer,
        (Some(one), _) | (None, Some(one)) => one,
        (None, None) => peer,
    }
}

fn trusts(trusted: &[IpNet], address: IpAddr) -> bool {
    trusted.iter().any(|network| network.contains(&address))
}

fn rightmost(peer: IpAddr, hops: &[Option<IpAddr>], trusted: &[IpNet]) -> IpAddr {
    let mut last = peer;
    for hop in hops.iter().rev() {
        // What cannot be read hides everything before it.
        let Some(hop) = hop else { return last };
        last = *hop;
        if !trusts(trusted, last) {
            return last;
        }
    }
    last
}

fn values<'a>(headers: &'a HeaderMap, name: &str) -> Option<Vec<&'a str>> {
    headers.contains_key(name).then(|| {
        let lines = headers.get_all(name).iter().map(|line| line.to_str().unwrap_or("unreadable"));
        lines.flat_map(|line| line.split(',')).map(str::trim).collect()
    })
}

fn x_forwarded_for(headers: &HeaderMap) -> Option<Vec<Option<IpAddr>>> {
    Some(values(headers, "x-forwarded-for")?.into_iter().map(node).collect())
}

/// RFC 7239 §4: `for=192.0.2.60;proto=http, for="[2001:db8::17]:4711"`.
fn forwarded(headers: &HeaderMap) -> Option<Vec<Option<IpAddr>>> {
    let elements = values(headers, FORWARDED.as_str())?;
    let hop = |element: &str| {
        element
            .split(';')
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(name, _)| name.eq_ignore_ascii_case("for"))
            .and_then(|(_, value)| node(value.trim_matches('"')))
    };
    Some(elements.into_iter().map(hop).collect())
}

/// An address, with or without a port.
fn node(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().or_else(|_| text.parse::<SocketAddr>().map(|socket| socket.ip()));
    address.ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(peer: &str, lines: &[(&'static str, &str)]) -> String {
        let trusted: Vec<IpNet> = ["10.0.0.0/8", "fd00::/8"].map(|n| n.parse().unwrap()).into();
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        client(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn only_trusted_proxies_are_believed_and_only_as_far_as_they_reach() {
        let x = |value| [("x-forwarded-for", value)];
        // A stranger says what he likes.
        assert_eq!(seen("192.0.2.1", &x("198.51.100.1")), "192.0.2.1");
        assert_eq!(seen("10.0.0.1", &x("198.51.100.1")), "198.51.100.1");
        // What stands before the rightmost stranger is his invention.
        assert_eq!(seen("10.0.0.1", &x("203.0.113.9, 198.51.100.1, 10.0.0.2")), "198.51.100.1");
        assert_eq!(seen("10.0.0.1", &x("10.0.0.3, 10.0.0.2")), "10.0.0.3");
        assert_eq!(seen("10.0.0.1", &x("203.0.113.9, nonsense, 10.0.0.2")), "10.0.0.2");
        assert_eq!(seen("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(seen("10.0.0.1", &x("")), "10.0.0.1");
        let lines = [("x-forwarded-for", "203.0.113.9"), ("x-forwarded-for", "198.51.100.1:4711")];
        assert_eq!(seen("10.0.0.1", &lines), "198.51.100.1");
    }

    #[test]
    fn forwarded_is_read_too_and_two_that_disagree_are_not_believed() {
        let f = |value| [("forwarded", value)];
        assert_eq!(seen("10.0.0.1", &f("for=198.51.100.1;proto=https")), "198.51.100.1");
        assert_eq!(seen("fd00::1", &f("For=\"[2001:db8::17]:4711\", for=10.0.0.2")), "2001:db8::17");
        assert_eq!(seen("10.0.0.1", &f("for=_hidden, for=10.0.0.2")), "10.0.0.2");
        assert_eq!(seen("10.0.0.1", &f("proto=https")), "10.0.0.1");
        let both = [("forwarded", "for=198.51.100.1"), ("x-forwarded-for", "198.51.100.1")];
        assert_eq!(seen("10.0.0.1", &both), "198.51.100.1");
        let both = [("forwarded", "for=198.51.100.1"), ("x-forwarded-for", "203.0.113.9")];
        assert_eq!(seen("10.0.0.1", &both), "10.0.0.1");
    }
}
