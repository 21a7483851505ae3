//! Options for where a socket is and whom it talks to.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::str::FromStr;
use core::time::Duration;

use clap::Args;
use tou_proto::Port;

use crate::failure::Failure;
use crate::value;

/// Which addresses count, and which UDP port.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Network")]
pub(crate) struct NetworkOptions {
    /// IPv4 only
    #[arg(short = '4', long = "4", conflicts_with = "only_ipv6")]
    only_ipv4: bool,
    /// IPv6 only
    #[arg(short = '6', long = "6")]
    only_ipv6: bool,
    /// The UDP port, if it is not the TCP port that PORT names
    #[arg(long, value_name = "PORT", value_parser = value::port)]
    pub(crate) udp_port: Option<Port>,
}

/// How a connection is opened.
#[derive(Args, Debug)]
#[command(next_help_heading = "Network")]
pub(crate) struct DialOptions {
    #[command(flatten)]
    pub(crate) network: NetworkOptions,
    /// Connect from this address, and from this UDP port if one is given
    #[arg(long, value_name = "ADDR[:PORT]")]
    bind: Option<LocalAddress>,
    /// How long to wait for an answer
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = value::timeout)]
    pub(crate) connect_timeout: Duration,
}

/// An address of this host, and perhaps a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct LocalAddress(SocketAddr);

impl FromStr for LocalAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
        let address = bare.unwrap_or(text).parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 0));
        let address = address.or_else(|_| text.parse());
        address.map(Self).map_err(|_| {
            "a local address is an IP address and perhaps a port, such as 192.0.2.1 or [::1]:4000"
                .to_owned()
        })
    }
}

impl NetworkOptions {
    /// Whether an address is of a family that counts.
    fn admits(&self, addr: &SocketAddr) -> bool {
        !(self.only_ipv4 && addr.is_ipv6() || self.only_ipv6 && addr.is_ipv4())
    }

    /// The family that alone counts, if one does.
    fn family(&self) -> Option<&'static str> {
        match (self.only_ipv4, self.only_ipv6) {
            (true, _) => Some("IPv4"),
            (_, true) => Some("IPv6"),
            _ => None,
        }
    }

    /// Those of a host's addresses that count.
    pub(crate) fn select(&self, addrs: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, Failure> {
        let (counting, others): (Vec<_>, Vec<_>) =
            addrs.into_iter().partition(|addr| self.admits(addr));
        match (counting.is_empty(), others.first(), self.family()) {
            (true, Some(other), Some(family)) => {
                Err(Failure::new(format!("no {family} address: there is only {}", other.ip())))
            }
            _ => Ok(counting),
        }
    }

    /// All addresses of this host that count; `None` for both families if there
    /// are both.
    pub(crate) fn wildcard(&self) -> Option<IpAddr> {
        match (self.only_ipv4, self.only_ipv6) {
            (true, _) => Some(Ipv4Addr::UNSPECIFIED.into()),
            (_, true) => Some(Ipv6Addr::UNSPECIFIED.into()),
            _ => None,
        }
    }

    /// Whether a socket on all IPv6 addresses takes IPv4 too.
    pub(super) fn is_dual(&self) -> bool {
        !self.only_ipv6
    }
}

impl DialOptions {
    /// Where to connect to `peer` from; `None` if there is no way.
    pub(crate) fn local_addr(&self, peer: SocketAddr) -> Option<SocketAddr> {
        match self.bind {
            Some(LocalAddress(addr)) => (addr.is_ipv4() == peer.is_ipv4()).then_some(addr),
            None if peer.is_ipv4() => Some((Ipv4Addr::UNSPECIFIED, 0).into()),
            None => Some((Ipv6Addr::UNSPECIFIED, 0).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_local_address_may_have_a_port() {
        let parse = |text: &str| text.parse::<LocalAddress>().ok().map(|LocalAddress(addr)| addr);
        for (text, addr) in [
            ("192.0.2.1", "192.0.2.1:0"),
            ("192.0.2.1:4000", "192.0.2.1:4000"),
            ("::1", "[::1]:0"),
            ("[::1]", "[::1]:0"),
            ("[::1]:4000", "[::1]:4000"),
        ] {
            assert_eq!(parse(text), Some(addr.parse().unwrap()), "{text}");
        }
        for wrong in ["", "4000", "localhost", "192.0.2.1:65536", "[::1", "1.2.3.4.5"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn one_family_may_be_all_that_counts() {
        let both: Vec<SocketAddr> =
            vec!["[::1]:7".parse().unwrap(), "127.0.0.1:7".parse().unwrap()];
        let only_ipv4 = NetworkOptions { only_ipv4: true, ..NetworkOptions::default() };
        assert_eq!(only_ipv4.select(both.clone()).unwrap(), both[1..]);
        let only_ipv6 = NetworkOptions { only_ipv6: true, ..NetworkOptions::default() };
        assert_eq!(only_ipv6.select(both.clone()).unwrap(), both[..1]);
        assert_eq!(NetworkOptions::default().select(both.clone()).unwrap(), both);
        let failure = only_ipv6.select(both[1..].to_vec()).unwrap_err();
        assert_eq!(failure.to_string(), "no IPv6 address: there is only 127.0.0.1");
    }
}
