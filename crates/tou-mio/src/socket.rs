//! One UDP port, and the connections that go through it.

use core::net::SocketAddr;
use core::time::Duration;
use std::fmt;
use std::io;
use std::net::{ToSocketAddrs, UdpSocket as StdSocket};
use std::sync::Arc;

use tou_proto::{ConnectionConfig, EndpointCounters, Port, Remote};
use tou_udp::driver::{
    BACKLOG, ConnectOptions, FromSetup, Interest, Opening, Setup, error, port_of,
};
use tou_udp::{Direction, Impairment, ImpairmentStats, SocketStats};

use crate::engine::{DriverCounters, Engine};
use crate::hub::Hub;
use crate::listener::TouListener;
use crate::shared::Shared;
use crate::stream::TouStream;

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

/// Builds a [`TouSocket`]: `with_endpoint` and `with_connection` for configurations,
/// `with_socket_options` for the UDP socket, `with_close_timeout`, and for tests
/// `with_seed`, `with_impairment` and `with_observer`; then `bind` or `from_udp`.
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
pub type Builder = tou_udp::driver::Builder<TouSocket>;

impl FromSetup for TouSocket {
    fn from_setup(Setup { mut pump, connection, close_timeout }: Setup) -> io::Result<Self> {
        let inlet = pump.socket_mut().open_inlet()?;
        let local_addr = pump.socket().local_addr();
        let descriptor = pump.socket().as_std().try_clone()?;
        let clock = pump.clock();
        let background = Engine::start(Hub::new(pump), &descriptor, inlet, clock)?;
        let shared = Shared { background, local_addr, connection, close_timeout };
        Ok(Self { shared: Arc::new(shared) })
    }
}

impl TouSocket {
    /// A builder that holds the defaults.
    pub fn builder() -> Builder {
        Builder::default()
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
    /// was punched with it. It must not be connected. Whether calls on it block is
    /// settled anew, also for whoever holds a clone of it, and who changes that again
    /// makes this slower.
    ///
    /// # Errors
    /// The system's.
    pub fn from_udp(socket: StdSocket) -> io::Result<Self> {
        Self::builder().from_udp(socket)
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
            let id = hub.endpoint().listen_with(port, backlog, config).map_err(error::listen)?;
            hub.seat_listener(id);
            Ok(id)
        })?;
        Ok(TouListener::new(Arc::clone(&self.shared), id, port))
    }

    /// Connects to the TCP port that is the same as the UDP port, at the first
    /// of `addr`'s addresses that answers.
    ///
    /// # Errors
    /// `ConnectionRefused`, `TimedOut`, `NetworkUnreachable`; `NotConnected` if the
    /// socket was closed.
    pub fn connect(&self, addr: impl ToSocketAddrs) -> io::Result<TouStream> {
        let mut failure = None;
        for addr in addr.to_socket_addrs()? {
            let remote = Remote { addr, port: port_of(addr)? };
            match self.connect_with(remote, &ConnectOptions::new()) {
                Ok(stream) => return Ok(stream),
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.unwrap_or_else(error::no_address))
    }

    /// Connects to `remote` in a way that is not the usual one.
    ///
    /// # Errors
    /// As [`TouSocket::connect`]; and `AddrInUse` when the local port is
    /// connected to `remote` already.
    pub fn connect_with(&self, remote: Remote, options: &ConnectOptions) -> io::Result<TouStream> {
        let stream = self.start_connect(remote, options)?;
        let deadline = options.timeout().map(|timeout| self.shared.engine().now() + timeout);
        let conn = stream.id();
        let opening = self.shared.engine().wait_for(Interest::Write(conn), deadline, |hub, _| {
            Some(hub.opening(conn)).filter(|opening| *opening != Opening::Pending)
        });
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
        let (conn, remote, port) = self.shared.engine().call(|hub, now, _| {
            if hub.is_closed() {
                return Err(error::closed());
            }
            let ends = (self.shared.local_addr, remote);
            let opened =
                options.open(hub.endpoint(), now, ends, self.shared.connection.as_ref())?;
            hub.seat_stream(opened.0);
            Ok(opened)
        })?;
        Ok(TouStream::new(Arc::clone(&self.shared), conn, remote, port))
    }

    /// Closes all streams and listeners of this socket, whoever holds them, and
    /// waits until what was written and the FINs have arrived. Calls on these
    /// streams return `NotConnected` from then on. A server that lets its clients
    /// finish stops accepting ([`TouListener::set_accept_timeout`]), joins their
    /// threads, and calls this last.
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
        self.shared.engine().look(Hub::take_socket_error)
    }
}

impl fmt::Debug for TouSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TouSocket").field("local_addr", &self.local_addr()).finish()
    }
}
