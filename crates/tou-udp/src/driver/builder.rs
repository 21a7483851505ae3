//! How a driver's socket is made: everything that is decided once, before there
//! is one. It does not know what the driver makes of it.

use core::fmt;
use core::marker::PhantomData;
use core::time::Duration;
use std::io;
use std::net::{ToSocketAddrs, UdpSocket as StdSocket};
use std::sync::Arc;

use tou_proto::{ConnectionConfig, ConnectionConfigBuilder, Endpoint, EndpointConfig, Keepalive};

use super::error;
use crate::clock::Clock;
use crate::impair::{Direction, Impairment};
use crate::observe::{Observer, PumpEvent};
use crate::pump::Pump;
use crate::socket::{SocketOptions, UdpSocket};

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

/// What a driver starts with.
#[derive(Debug)]
pub struct Setup {
    /// The UDP socket and the endpoint, tied together.
    pub pump: Pump<Endpoint>,
    /// For connections that name no configuration of their own; `None` leaves
    /// it to the endpoint.
    pub connection: Option<Arc<ConnectionConfig>>,
    /// How long the drop of the last handle waits for an answer.
    pub close_timeout: Duration,
}

/// A driver's socket, which a [`Builder`] builds.
pub trait FromSetup: Sized {
    /// Sets the driver going.
    ///
    /// # Errors
    /// The system's, when no thread or descriptor is left.
    fn from_setup(setup: Setup) -> io::Result<Self>;
}

/// Builds the socket `S` of a driver.
#[must_use]
pub struct Builder<S> {
    endpoint: Option<Arc<EndpointConfig>>,
    connection: Option<Arc<ConnectionConfig>>,
    seed: Option<[u8; 32]>,
    options: SocketOptions,
    impairments: Vec<(Direction, Impairment)>,
    observer: Option<Box<dyn Observer + Send>>,
    close_timeout: Duration,
    builds: PhantomData<fn() -> S>,
}

impl<S> Default for Builder<S> {
    /// Each default is explained at the method that changes it.
    fn default() -> Self {
        Self {
            endpoint: None,
            connection: None,
            seed: None,
            // The endpoint makes no use of ECN marks.
            options: SocketOptions::default().with_ecn(false),
            impairments: Vec::new(),
            observer: None,
            close_timeout: CLOSE_TIMEOUT,
            builds: PhantomData,
        }
    }
}

impl<S: FromSetup> Builder<S> {
    /// The endpoint's configuration. Its connections are configured as it says,
    /// unless [`Builder::with_connection`] is used too. Default: the core's.
    pub fn with_endpoint(mut self, config: Arc<EndpointConfig>) -> Self {
        self.endpoint = Some(config);
        self
    }

    /// The configuration of connections that are opened or accepted without one
    /// of their own. Default: [`default_connection_config`], or what
    /// [`Builder::with_endpoint`] has.
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

    /// Buffer sizes of the UDP socket, how it is bound, and whether an observer sees
    /// ECN marks. Default: [`SocketOptions::default`], but no marks, which the endpoint
    /// makes no use of.
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
    /// by the thread that does so, while it holds the socket's lock: it must neither use
    /// the socket nor panic.
    pub fn with_observer(mut self, observer: impl Observer + Send + 'static) -> Self {
        self.observer = Some(Box::new(observer));
        self
    }

    /// How long the drop of the last handle waits for what was written to
    /// arrive when nothing is heard from the peer. A peer that answers but is
    /// slow is waited for up to twelve times as long. Time in which this process is
    /// stopped hardly counts. Zero: no waiting at all. Default: 5 s.
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
    pub fn bind(self, addr: impl ToSocketAddrs) -> io::Result<S> {
        let mut failure = None;
        for addr in addr.to_socket_addrs()? {
            match UdpSocket::bind(addr, &self.options) {
                Ok(socket) => return self.start(socket),
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.unwrap_or_else(error::no_address))
    }

    /// Takes over a UDP socket that was bound elsewhere, perhaps after a hole
    /// was punched with it. It must not be connected. Of the socket options
    /// only the buffer sizes apply.
    ///
    /// # Errors
    /// As [`Builder::bind`].
    pub fn from_udp(self, socket: StdSocket) -> io::Result<S> {
        let socket = UdpSocket::from_std(socket, &self.options)?;
        self.start(socket)
    }

    fn start(self, socket: UdpSocket) -> io::Result<S> {
        let seed = match self.seed {
            Some(seed) => seed,
            None => os_seed()?,
        };
        let connection = match (self.connection, &self.endpoint) {
            (None, None) => Some(default_connection_config().build().map_err(error::config)?),
            (connection, _) => connection,
        };
        let config = with_room_of(&socket, self.endpoint.unwrap_or_default())?;
        let endpoint = Endpoint::new(config, seed);
        let mut pump = Pump::new(socket, endpoint, Clock::start());
        for (direction, impairment) in &self.impairments {
            pump.impair(*direction, impairment)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        }
        if let Some(mut observer) = self.observer {
            pump.set_observer(move |now, event: PumpEvent<'_>| observer.observe(now, event));
        }
        S::from_setup(Setup { pump, connection, close_timeout: self.close_timeout })
    }
}

impl<S> fmt::Debug for Builder<S> {
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

/// `config`, with the room for arrivals that the socket has unless another is given.
fn with_room_of(
    socket: &UdpSocket,
    config: Arc<EndpointConfig>,
) -> io::Result<Arc<EndpointConfig>> {
    if config.arrival_room().is_some() {
        return Ok(config);
    }
    // What the system keeps beside the octets of a batch counts too.
    let room = socket.buffer_sizes()?.recv as u64 / 4 * 3;
    config.to_builder().with_arrival_room(Some(room)).build().map_err(error::config)
}

fn os_seed() -> io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(io::Error::other)?;
    Ok(seed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoint_knows_the_room_of_its_socket_unless_it_is_told_another() {
        let options = SocketOptions::default().with_recv_buffer(100_000);
        let socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap(), &options).unwrap();
        let room = |config| with_room_of(&socket, config).unwrap().arrival_room().unwrap();
        let recv = socket.buffer_sizes().unwrap().recv as u64;
        let own = room(Arc::default());
        assert!(own < recv && own > recv / 2, "{own} of {recv}");
        let told = EndpointConfig::builder().with_arrival_room(Some(7)).build().unwrap();
        assert_eq!(room(told), 7);
    }
}
