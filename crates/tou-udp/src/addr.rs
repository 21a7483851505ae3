//! Addresses as the core sees them and as a socket wants them.
//!
//! A dual-stack socket speaks of IPv4 peers in IPv4-mapped IPv6 addresses. The
//! core must know a peer under one name only, so all that comes up from a
//! socket is made canonical, and all that goes down is put into the socket's
//! family. Nothing else of this crate compares or converts addresses.

use core::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::borrow::Cow;

/// `addr` as the core knows it: plain IPv4 instead of IPv4-mapped, no flow
/// label (it names a flow, not a peer), and a scope only where there are several
/// (RFC 4007 §6): nothing that arrives has one elsewhere.
pub(crate) fn canonical(addr: SocketAddr) -> SocketAddr {
    let SocketAddr::V6(v6) = addr else { return addr };
    match v6.ip().to_ipv4_mapped() {
        Some(v4) => SocketAddr::from((v4, v6.port())),
        None => {
            let scope = if v6.ip().is_unicast_link_local() { v6.scope_id() } else { 0 };
            SocketAddr::V6(SocketAddrV6::new(*v6.ip(), v6.port(), 0, scope))
        }
    }
}

/// The address of `peer` for a socket of the given family; `None` when a
/// socket of that family cannot reach it.
pub(crate) fn for_family(peer: &SocketAddr, socket_is_v4: bool) -> Option<Cow<'_, SocketAddr>> {
    let translated = match (peer, socket_is_v4) {
        (SocketAddr::V4(_), true) | (SocketAddr::V6(_), false) => return Some(Cow::Borrowed(peer)),
        (SocketAddr::V4(v4), false) => (v4.ip().to_ipv6_mapped(), v4.port()).into(),
        (SocketAddr::V6(v6), true) => (v6.ip().to_ipv4_mapped()?, v6.port()).into(),
    };
    Some(Cow::Owned(translated))
}

/// The source address to ask for when sending to a peer of the given family:
/// none if it is of the other family or no address at all.
pub(crate) fn source_for(local_ip: IpAddr, peer: &SocketAddr) -> Option<IpAddr> {
    let source = local_ip.to_canonical();
    let same_family = source.is_ipv4() == peer.ip().to_canonical().is_ipv4();
    (same_family && !source.is_unspecified()).then_some(source)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn mapped_addresses_come_up_as_plain_ipv4_and_go_down_mapped() {
        let mapped = addr("[::ffff:192.0.2.1]:9");
        let plain = addr("192.0.2.1:9");
        assert_eq!(canonical(mapped), plain);
        assert_eq!(for_family(&plain, false).as_deref(), Some(&mapped));
        assert_eq!(for_family(&plain, true).as_deref(), Some(&plain));
        assert_eq!(for_family(&mapped, true).as_deref(), Some(&plain));
        assert_eq!(for_family(&addr("[2001:db8::1]:9"), true), None);
    }

    #[test]
    fn the_scope_names_a_peer_and_the_flow_label_does_not() {
        let ip = "fe80::1".parse().unwrap();
        let labelled = SocketAddr::V6(SocketAddrV6::new(ip, 9, 77, 3));
        assert_eq!(canonical(labelled), SocketAddr::V6(SocketAddrV6::new(ip, 9, 0, 3)));
    }

    #[test]
    fn an_address_that_is_the_same_on_every_link_has_no_scope() {
        for ip in ["::1", "2001:db8::1", "fd00::1"] {
            let scoped = SocketAddr::V6(SocketAddrV6::new(ip.parse().unwrap(), 9, 0, 3));
            assert_eq!(canonical(scoped), addr(&format!("[{ip}]:9")));
        }
    }

    #[test]
    fn a_source_address_is_asked_for_in_the_peers_family_only() {
        let v4 = "192.0.2.7".parse().unwrap();
        assert_eq!(source_for(v4, &addr("[::ffff:192.0.2.1]:9")), Some(v4));
        let mapped = "::ffff:192.0.2.7".parse().unwrap();
        assert_eq!(source_for(mapped, &addr("192.0.2.1:9")), Some(v4));
        assert_eq!(source_for(v4, &addr("[2001:db8::1]:9")), None);
        assert_eq!(source_for("0.0.0.0".parse().unwrap(), &addr("192.0.2.1:9")), None);
    }
}
