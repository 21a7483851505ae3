//! How a socket is made: everything that is decided once, before there is one.

use core::net::SocketAddr;
use core::time::Duration;
use std::fmt;
use std::io;
use std::net::{ToSocketAddrs, UdpSocket as StdSocket};
use std::sync::Arc;

use tou_proto::{ConnectionConfig, ConnectionConfigBuilder, Endpoint, EndpointConfig, Keepalive};
use tou_udp::{Clock, Direction, Impairment, Observer, Pump, SocketOptions, UdpSocket};

use crate::engine::Engine;
use crate::error;
use crate::hub::Hub;
use crate::shared::Shared;
use crate::socket::TouSocket;

/// How long the last handle waits for an answer to what was written, unless it
/// is said otherwise: a few retransmissions on any path where people wait.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long data may stay unacknowledged in a connection of this driver.
const USER_TIMEOUT: Duration = Duration::from_secs(30);

/// How a connection of this driver finds out that its peer is gone: within two
/// minutes of silence.
const KEEPALIVE: Keepalive =
    Keepalive { idle: Duration::from_secs(60), interval: Duration::from_secs(10), probes: 6 };

/// The configuration of connections that are given none, to start from: the
/// core's, with a user timeout of 30 s and with keepalive (first probe after
/// 60 s of silence, then six, 10 s apart).
///
/// The core's own defaults are RFC 9293's: five minutes, and no keepalive.
pub fn default_connection_config() -> ConnectionConfigBuilder {
    ConnectionConfig::builder().with_user_timeout(USER_TIMEOUT).with_keepalive(Some(KEEPALIVE))
}

/// Builds a [`TouSocket`].
///
/// ```no_run
/// use std::time::Duration;
/// use tou_mio::{TouSocket, default_connection_config};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let connection = default_connection_config().with_nodelay(true).build()?;
/// let socket = TouSocket::builder()
///     .with_connection(connection)
///     .with_close_timeout(Duration::from_secs(1))
///     .bind("0.0.0.0:4000")?;
/// # Ok(())
/// # }
/// ```
#[must_use]
pub struct Builder {
    endpoint: Option<Arc<EndpointConfig>>,
    connection: Option<Arc<ConnectionConfig>>,
    seed: Option<[u8; 32]>,
    options: SocketOptions,
    impairments: Vec<(Direction, Impairment)>,
    observer: Option<Box<dyn Observer + Send>>,
    close_timeout: Duration,
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self {
            endpoint: None,
            connection: None,
            seed: None,
            options: SocketOptions::default(),
            impairments: Vec::new(),
            observer: None,
            close_timeout: CLOSE_TIMEOUT,
        }
    }

    /// The endpoint's configuration. Its connections are configured as it says,
    /// unless [`Builder::with_connection`] is used too. Default: the core's.
    pub fn with_endpoint(mut self, config: Arc<EndpointConfig>) -> Self {
        self.endpoint = Some(config);
        self
    }

    /// The configuration of connections that are opened or accepted without one
    /// of their own. Default: [`default_connection_config`].
    pub fn with_connection(mut self, config: Arc<ConnectionConfig>) -> Self {
        self.connection = Some(config);
        self
    }

    /// Where sequence numbers, ports and secrets come from. A seed that others
    /// know lets them disturb connections: only for tests. Default: the
    /// system's randomness.
    pub fn with_seed(mut self, seed: [u8; 32]) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Buffer sizes of the UDP socket, and how it is bound.
    pub fn with_socket_options(mut self, options: SocketOptions) -> Self {
        self.options = options;
        self
    }

    /// Does to the datagrams of one direction what a bad network does.
    pub fn with_impairment(mut self, direction: Direction, impairment: Impairment) -> Self {
        self.impairments.push((direction, impairment));
        self
    }

    /// Has `observer` told of every batch of segments that is sent or received,
    /// by the thread that does so, while it holds the socket's lock.
    pub fn with_observer(mut self, observer: impl Observer + Send + 'static) -> Self {
        self.observer = Some(Box::new(observer));
        self
    }

    /// How long the drop of the last handle waits for what was written to
    /// arrive when nothing is heard from the peer. A peer that answers but is
    /// slow is waited for up to twelve times as long. Zero: no waiting at all.
    /// Default: 5 s.
    pub fn with_close_timeout(mut self, timeout: Duration) -> Self {
        self.close_timeout = timeout;
        self
    }

    /// Opens a UDP socket bound to the first of `addr`'s addresses that can be
    /// bound.
    ///
    /// # Errors
    /// The system's, when there is none, or no thread or descriptor is left;
    /// `InvalidInput` for an impairment out of range.
    pub fn bind(self, addr: impl ToSocketAddrs) -> io::Result<TouSocket> {
        let mut failure = None;
        for addr in addr.to_socket_addrs()? {
            match UdpSocket::bind(addr, &self.options) {
                Ok(socket) => return self.start(socket),
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.unwrap_or_else(no_address))
    }

    /// Takes over a UDP socket that was bound elsewhere, perhaps after a hole
    /// was punched with it. It must not be connected. Of the socket options
    /// only the buffer sizes apply.
    ///
    /// # Errors
    /// As [`Builder::bind`].
    pub fn from_udp(self, socket: StdSocket) -> io::Result<TouSocket> {
        let socket = UdpSocket::from_std(socket, &self.options)?;
        self.start(socket)
    }

    fn start(self, socket: UdpSocket) -> io::Result<TouSocket> {
        let seed = match self.seed {
            Some(seed) => seed,
            None => os_seed()?,
        };
        let connection = match (self.connection, &self.endpoint) {
            (None, None) => Some(default_connection_config().build().map_err(error::config)?),
            (connection, _) => connection,
        };
        let endpoint = Endpoint::new(self.endpoint.unwrap_or_default(), seed);
        let local_addr = socket.local_addr();
        let descriptor = socket.as_std().try_clone()?;
        let clock = Clock::start();
        let mut pump = Pump::new(socket, endpoint, clock);
        for (direction, impairment) in &self.impairments {
            pump.impair(*direction, impairment)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        }
        if let Some(mut observer) = self.observer {
            pump.set_observer(move |now, event: tou_udp::PumpEvent<'_>| {
                observer.observe(now, event);
            });
        }
        let background = Engine::start(Hub::new(pump), &descriptor, clock)?;
        let close_timeout = self.close_timeout;
        Ok(TouSocket::new(Shared { background, local_addr, connection, close_timeout }))
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("endpoint", &self.endpoint)
            .field("connection", &self.connection)
            .field("options", &self.options)
            .field("impairments", &self.impairments)
            .field("close_timeout", &self.close_timeout)
            .finish_non_exhaustive()
    }
}

/// A wildcard address to reach `peer` from.
pub(crate) fn wildcard_for(peer: SocketAddr) -> SocketAddr {
    if peer.is_ipv4() { SocketAddr::from(([0; 4], 0)) } else { SocketAddr::from(([0_u16; 8], 0)) }
}

/// A name stood for no address at all.
pub(crate) fn no_address() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "no address to use")
}

fn os_seed() -> io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(io::Error::other)?;
    Ok(seed)
}
