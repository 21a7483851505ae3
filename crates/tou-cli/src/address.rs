//! Addresses as users write them, and what they stand for.

use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use core::str::FromStr;
use std::fmt;
use std::net::{ToSocketAddrs, UdpSocket};

use tou_proto::Port;

use crate::failure::{Failure, describe};
use crate::options::NetworkOptions;

/// Where to listen: `5000`, `127.0.0.1:5000`, `[::1]:5000`, `localhost:0`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListenAddress {
    /// `None` for all addresses of this host.
    host: Option<String>,
    /// Zero lets the system choose.
    port: u16,
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, port),
            None => ("", text),
        };
        let port = port.parse().map_err(|_| {
            "a place to listen is PORT or ADDRESS:PORT, with a port from 0 to 65535".to_owned()
        })?;
        let host = match host {
            "" | "*" => None,
            host => Some(bare_host(host)?),
        };
        Ok(Self { host, port })
    }
}

impl ListenAddress {
    /// The addresses to try to bind.
    pub(crate) fn resolve(&self, network: &NetworkOptions) -> Result<Vec<SocketAddr>, Failure> {
        let udp_port = network.udp_port.map_or(self.port, Port::get);
        match (&self.host, network.wildcard()) {
            (Some(host), _) => network.select(resolve(host, udp_port)?),
            (None, Some(any)) => Ok(vec![SocketAddr::new(any, udp_port)]),
            (None, None) => Ok(vec![any(udp_port)]),
        }
    }

    /// The TCP port to listen on; `None` for that which is the same as the UDP
    /// port, when the system chooses.
    pub(crate) fn port(&self) -> Option<Port> {
        Port::new(self.port)
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Some(host) => write_host_port(f, host, self.port),
            None => write!(f, "port {}", self.port),
        }
    }
}

/// Whom to connect to: `example.org:5000`, `[::1]:5000`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PeerAddress {
    host: String,
    port: Port,
}

impl FromStr for PeerAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rule = || "a peer is HOST:PORT, with a port from 1 to 65535".to_owned();
        let (host, port) = text.rsplit_once(':').ok_or_else(rule)?;
        let port = port.parse().ok().and_then(Port::new).ok_or_else(rule)?;
        if host.is_empty() {
            return Err(rule());
        }
        Ok(Self { host: bare_host(host)?, port })
    }
}

impl PeerAddress {
    /// The addresses to try to connect to.
    pub(crate) fn resolve(&self, network: &NetworkOptions) -> Result<Vec<SocketAddr>, Failure> {
        let udp_port = network.udp_port.unwrap_or(self.port);
        network.select(resolve(&self.host, udp_port.get())?)
    }

    /// The TCP port to connect to.
    pub(crate) fn port(&self) -> Port {
        self.port
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_host_port(f, &self.host, self.port.get())
    }
}

/// The host without the brackets of an IPv6 address.
fn bare_host(host: &str) -> Result<String, String> {
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    match inner {
        Some(inner) if inner.contains(':') => Ok(inner.to_owned()),
        None if !host.contains([':', '[', ']']) => Ok(host.to_owned()),
        _ => Err("an IPv6 address stands in brackets, such as [::1]:5000".to_owned()),
    }
}

fn write_host_port(f: &mut fmt::Formatter<'_>, host: &str, port: u16) -> fmt::Result {
    if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
}

fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, Failure> {
    let unknown = |why: &str| Failure::new(format!("cannot resolve {host}: {why}"));
    let addrs: Vec<_> =
        (host, port).to_socket_addrs().map_err(|error| unknown(&describe(&error)))?.collect();
    if addrs.is_empty() { Err(unknown("no address")) } else { Ok(addrs) }
}

/// All addresses of this host: both families where there are both.
fn any(port: u16) -> SocketAddr {
    let has_ipv6 = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).is_ok();
    if has_ipv6 {
        SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))
    } else {
        SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listen(text: &str) -> Option<(Option<String>, u16)> {
        let address = text.parse::<ListenAddress>().ok()?;
        Some((address.host, address.port))
    }

    fn peer(text: &str) -> Option<(String, u16)> {
        let address = text.parse::<PeerAddress>().ok()?;
        Some((address.host, address.port.get()))
    }

    #[test]
    fn a_port_alone_is_enough_to_listen() {
        assert_eq!(listen("5000"), Some((None, 5_000)));
        assert_eq!(listen(":0"), Some((None, 0)));
        assert_eq!(listen("*:7"), Some((None, 7)));
        assert_eq!(listen("localhost:5000"), Some((Some("localhost".into()), 5_000)));
        assert_eq!(listen("[::1]:5000"), Some((Some("::1".into()), 5_000)));
        for wrong in ["", "x", "65536", "-1", "host:", "::1:5000", "[::1]", "[::1:5", "[a]:5"] {
            assert_eq!(listen(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_peer_has_a_host_and_a_port() {
        assert_eq!(peer("example.org:80"), Some(("example.org".into(), 80)));
        assert_eq!(peer("[fe80::1%eth0]:80"), Some(("fe80::1%eth0".into(), 80)));
        for wrong in ["", "5000", ":5000", "host:0", "host:x", "::1:5000", "host:65536"] {
            assert_eq!(peer(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn addresses_are_shown_as_they_are_written() {
        for text in ["example.org:80", "[::1]:80"] {
            assert_eq!(text.parse::<PeerAddress>().unwrap().to_string(), text);
        }
        assert_eq!("80".parse::<ListenAddress>().unwrap().to_string(), "port 80");
    }

    #[test]
    fn numeric_addresses_resolve_without_a_resolver() {
        let peer = "[::1]:80".parse::<PeerAddress>().unwrap();
        let addrs = peer.resolve(&NetworkOptions::default()).unwrap();
        assert_eq!(addrs, [SocketAddr::from((Ipv6Addr::LOCALHOST, 80))]);
        let mut network = NetworkOptions::default();
        network.udp_port = Port::new(81);
        let addrs = peer.resolve(&network).unwrap();
        assert_eq!(addrs, [SocketAddr::from((Ipv6Addr::LOCALHOST, 81))]);
        assert_eq!(peer.port().get(), 80);
    }
}
