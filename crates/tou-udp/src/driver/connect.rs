//! Opening a connection: what can be asked for, and asking the endpoint.

use core::net::SocketAddr;
use core::time::Duration;
use std::io;
use std::sync::Arc;

use tou_proto::{ConnId, ConnectError, ConnectionConfig, Endpoint, Instant, Port, Remote};

use super::error;
use crate::addr;

/// Connections that may be opened by peers and not yet accepted, unless it is
/// said otherwise.
pub const BACKLOG: usize = 1_024;

/// How a connection is opened, where that is not as usual.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct ConnectOptions {
    local_port: Option<Port>,
    config: Option<Arc<ConnectionConfig>>,
    timeout: Option<Duration>,
}

impl ConnectOptions {
    /// The usual way.
    pub fn new() -> Self {
        Self::default()
    }

    /// This side's TCP port. Two sides that connect to each other's given
    /// ports open simultaneously (RFC 9293 §3.5), as peers do that punch holes.
    /// A SYN that arrives before this side connects is refused, unless
    /// `EndpointConfigBuilder::with_stray_replies_per_second(0)` keeps it
    /// silent. Default: an ephemeral port.
    pub fn with_local_port(mut self, port: Port) -> Self {
        self.local_port = Some(port);
        self
    }

    /// The connection's configuration. Default: the socket's.
    pub fn with_config(mut self, config: Arc<ConnectionConfig>) -> Self {
        self.config = Some(config);
        self
    }

    /// How long to wait for the connection. Default: as long as its
    /// configuration says, which is three minutes unless it is told otherwise.
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// How long to wait for the connection.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// What a driver does; its users call `connect_with` of its socket. Has
    /// `endpoint`, whose socket is bound to `local`, open a connection to `remote`.
    /// `config` is for those that were given none. Returns the connection, its peer
    /// as the endpoint names it, and this side's TCP port.
    ///
    /// # Errors
    /// `NetworkUnreachable` when a socket of that family cannot reach the peer,
    /// and what [`error::connect`] makes of the endpoint's.
    pub fn open(
        &self,
        endpoint: &mut Endpoint,
        now: Instant,
        (local, remote): (SocketAddr, Remote),
        config: Option<&Arc<ConnectionConfig>>,
    ) -> io::Result<(ConnId, Remote, Port)> {
        let remote = Remote { addr: addr::canonical(remote.addr), ..remote };
        if remote.addr.is_ipv6() && local.is_ipv4() {
            let message = "an IPv4 socket cannot reach an IPv6 address";
            return Err(io::Error::new(io::ErrorKind::NetworkUnreachable, message));
        }
        let config = self.config.as_ref().or(config).cloned();
        let conn =
            endpoint.connect_with(now, remote, self.local_port, config).map_err(error::connect)?;
        let port = endpoint.addresses(conn).map_or(remote.port, |(_, port)| port);
        Ok((conn, remote, port))
    }
}

/// The TCP port that is the same as the UDP port of `addr`.
///
/// # Errors
/// `InvalidInput` for port zero.
pub fn port_of(addr: SocketAddr) -> io::Result<Port> {
    Port::new(addr.port()).ok_or_else(|| error::connect(ConnectError::InvalidAddress))
}

/// A wildcard address to reach `peer` from.
#[must_use]
pub fn wildcard_for(peer: SocketAddr) -> SocketAddr {
    if peer.is_ipv4() { SocketAddr::from(([0; 4], 0)) } else { SocketAddr::from(([0_u16; 8], 0)) }
}
