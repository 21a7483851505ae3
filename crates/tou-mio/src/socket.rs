//! One UDP port, and the connections that go through it.

use core::net::{SocketAddr, SocketAddrV6};
use core::time::Duration;
use std::fmt;
use std::io;
use std::net::{ToSocketAddrs, UdpSocket as StdSocket};
use std::sync::Arc;

use tou_proto::{ConnectionConfig, EndpointCounters, Port, Remote};
use tou_udp::{Direction, Impairment, ImpairmentStats, SocketStats};

use crate::builder::{Builder, no_address};
use crate::engine::DriverCounters;
use crate::error;
use crate::hub::{Interest, Opening};
use crate::listener::TouListener;
use crate::shared::{Shared, port_of};
use crate::stream::TouStream;

/// Connections that may be opened by peers and not yet accepted, unless it is
/// said otherwise.
const BACKLOG: usize = 1_024;

/// A UDP socket that carries any number of TCP connections, both those that it
/// opens and those that it accepts.
///
/// Clones are handles to the same socket. It lives as long as a handle, a
/// listener or a stream of it; the last of them to be dropped waits until what
/// was written to dropped streams has arrived (see
/// [`Builder::with_close_timeout`]).
#[derive(Clone)]
pub struct TouSocket {
    shared: Arc<Shared>,
}

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
    /// configuration says.
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

impl TouSocket {
    /// A builder that holds the defaults.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Opens a UDP socket, bound to the first of `addr`'s addresses that can be
    /// bound.
    ///
    /// # Errors
    /// The system's.
    pub fn bind(addr: impl ToSocketAddrs) -> io::Result<Self> {
        Self::builder().bind(addr)
    }

    /// Takes over a UDP socket that was bound elsewhere, perhaps after a hole
    /// was punched with it. It must not be connected.
    ///
    /// # Errors
    /// The system's.
    pub fn from_udp(socket: StdSocket) -> io::Result<Self> {
        Self::builder().from_udp(socket)
    }

    pub(crate) fn new(shared: Shared) -> Self {
        Self { shared: Arc::new(shared) }
    }

    pub(crate) fn from_shared(shared: &Arc<Shared>) -> Self {
        Self { shared: Arc::clone(shared) }
    }

    /// Accepts connections to the TCP port that is the same as the UDP port.
    ///
    /// # Errors
    /// `AddrInUse` if there is such a listener already, `NotConnected` if the
    /// socket was closed.
    pub fn listen(&self) -> io::Result<TouListener> {
        self.listen_on(self.shared.udp_port()?, BACKLOG, None)
    }

    /// Accepts connections to a TCP port: at most `backlog` that are being
    /// opened or wait to be accepted, and each configured as `config` says
    /// (`None`: as the socket has it).
    ///
    /// # Errors
    /// As [`TouSocket::listen`].
    pub fn listen_on(
        &self,
        port: Port,
        backlog: usize,
        config: Option<Arc<ConnectionConfig>>,
    ) -> io::Result<TouListener> {
        let config = config.or_else(|| self.shared.connection.clone());
        let id = self.shared.engine().call(|hub, _, _| {
            if hub.is_closed() {
                return Err(error::closed());
            }
            let id = hub.endpoint().listen(port, backlog, config).map_err(error::listen)?;
            hub.seat_listener(id);
            Ok(id)
        })?;
        Ok(TouListener::new(Arc::clone(&self.shared), id, port))
    }

    /// Connects to the TCP port that is the same as the UDP port, at the first
    /// of `addr`'s addresses that answers.
    ///
    /// # Errors
    /// `ConnectionRefused`, `TimedOut`, `HostUnreachable`, `NetworkUnreachable`;
    /// `NotConnected` if the socket was closed.
    pub fn connect(&self, addr: impl ToSocketAddrs) -> io::Result<TouStream> {
        let mut failure = None;
        for addr in addr.to_socket_addrs()? {
            let remote = Remote { addr, port: port_of(addr)? };
            match self.connect_with(remote, &ConnectOptions::new()) {
                Ok(stream) => return Ok(stream),
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.unwrap_or_else(no_address))
    }

    /// Connects to `remote` in a way that is not the usual one.
    ///
    /// # Errors
    /// As [`TouSocket::connect`]; and `AddrInUse` when the local port is
    /// connected to `remote` already.
    pub fn connect_with(&self, remote: Remote, options: &ConnectOptions) -> io::Result<TouStream> {
        let stream = self.start_connect(remote, options)?;
        let deadline = options.timeout.map(|timeout| self.shared.engine().now() + timeout);
        let conn = stream.id();
        let opening =
            self.shared.engine().wait_for(Interest::Write(conn), deadline, |hub, _| {
                Some(hub.opening(conn)).filter(|opening| *opening != Opening::Pending)
            })?;
        match opening {
            Some(Opening::Connected) => Ok(stream),
            Some(Opening::Failed(Some(error))) => Err(error::connection(error)),
            Some(_) => Err(error::closed()),
            None => {
                stream.abort();
                Err(io::ErrorKind::TimedOut.into())
            }
        }
    }

    /// Begins to connect to `remote` and does not wait. What is written to the
    /// stream waits for the connection; a readiness hook tells when it is there
    /// (writable), and [`TouStream::take_error`] why it failed.
    ///
    /// # Errors
    /// As [`TouSocket::connect_with`], as far as it fails at once.
    pub fn start_connect(&self, remote: Remote, options: &ConnectOptions) -> io::Result<TouStream> {
        let remote = Remote { addr: canonical(remote.addr), ..remote };
        if remote.addr.is_ipv6() && self.local_addr().is_ipv4() {
            let message = "an IPv4 socket cannot reach an IPv6 address";
            return Err(io::Error::new(io::ErrorKind::NetworkUnreachable, message));
        }
        let config = options.config.clone().or_else(|| self.shared.connection.clone());
        let (conn, port) = self.shared.engine().call(|hub, now, _| {
            if hub.is_closed() {
                return Err(error::closed());
            }
            let conn = hub
                .endpoint()
                .connect(now, remote, options.local_port, config)
                .map_err(error::connect)?;
            hub.seat_stream(conn);
            let addresses = hub.endpoint().addresses(conn);
            Ok((conn, addresses.map_or(remote.port, |(_, port)| port)))
        })?;
        Ok(TouStream::new(Arc::clone(&self.shared), conn, remote, port))
    }

    /// Closes all streams and listeners of this socket, whoever holds them, and
    /// waits until what was written and the FINs have arrived. Calls on these
    /// streams return `NotConnected` from then on.
    ///
    /// # Errors
    /// `TimedOut` when that took longer than `timeout`. The socket goes on
    /// trying as long as it lives.
    pub fn close(&self, timeout: Duration) -> io::Result<()> {
        self.shared.close(timeout)
    }

    /// Does to the datagrams of one direction from now on what a bad network
    /// does.
    ///
    /// # Errors
    /// `InvalidInput` for an impairment out of range.
    pub fn impair(&self, direction: Direction, impairment: &Impairment) -> io::Result<()> {
        let result =
            self.shared.engine().call(|hub, _, _| hub.pump().impair(direction, impairment));
        result.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
    }

    /// The address that the UDP socket is bound to.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.shared.local_addr
    }

    /// What the endpoint has counted.
    #[must_use]
    pub fn counters(&self) -> EndpointCounters {
        self.shared.engine().look(|hub| *hub.endpoint().counters())
    }

    /// Connections that exist, dropped ones that are still closing included;
    /// those in TIME-WAIT not.
    #[must_use]
    pub fn connection_count(&self) -> usize {
        self.shared.engine().look(|hub| hub.endpoint().connection_count())
    }

    /// Connections remembered in TIME-WAIT.
    #[must_use]
    pub fn time_wait_count(&self) -> usize {
        self.shared.engine().look(|hub| hub.endpoint().time_wait_count())
    }

    /// What the UDP socket has counted.
    #[must_use]
    pub fn socket_stats(&self) -> SocketStats {
        self.shared.engine().look(|hub| hub.pump().socket().stats())
    }

    /// What impairment has done in one direction, if there is any.
    #[must_use]
    pub fn impairment_stats(&self, direction: Direction) -> Option<ImpairmentStats> {
        self.shared.engine().look(|hub| hub.pump().impairment_stats(direction))
    }

    /// What the driver has counted: how often threads were woken, and why.
    #[must_use]
    pub fn driver_counters(&self) -> DriverCounters {
        self.shared.engine().counters()
    }

    /// The last error of the UDP socket itself, and forgets it. Connections
    /// outlive such an error, or time out.
    #[must_use]
    pub fn take_error(&self) -> Option<io::Error> {
        self.shared.engine().look(crate::hub::Hub::take_socket_error)
    }
}

impl fmt::Debug for TouSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TouSocket").field("local_addr", &self.local_addr()).finish()
    }
}

/// `addr` as datagrams from there will be said to come from: plain IPv4 rather
/// than IPv4-mapped IPv6, and no flow label.
fn canonical(addr: SocketAddr) -> SocketAddr {
    match addr {
        SocketAddr::V6(v6) if v6.ip().to_ipv4_mapped().is_none() => {
            SocketAddr::V6(SocketAddrV6::new(*v6.ip(), v6.port(), 0, v6.scope_id()))
        }
        _ => SocketAddr::new(addr.ip().to_canonical(), addr.port()),
    }
}
