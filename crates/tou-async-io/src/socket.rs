//! One UDP port, and the connections that go through it.

use core::fmt;
use core::future::poll_fn;
use core::net::SocketAddr;
use core::time::Duration;
use std::io;
use std::net::UdpSocket as StdSocket;
use std::sync::Arc;

use tou_proto::{ConnectionConfig, EndpointCounters, Port, Remote};
use tou_udp::driver::{
    BACKLOG, ConnectOptions, FromSetup, Interest, Opening, Setup, error, port_of,
};
use tou_udp::{Direction, Impairment, ImpairmentStats, SocketStats};

use crate::block;
use crate::drive::Drive;
use crate::engine::{DriverCounters, Engine};
use crate::hub::Hub;
use crate::listener::TouListener;
use crate::shared::Shared;
use crate::stream::TouStream;
use crate::wait::Wait;

/// A UDP socket that carries any number of TCP connections, both those that it
/// opens and those that it accepts.
///
/// Clones are handles to the same socket. It lives as long as a handle, a
/// listener or a stream of it. The last of them to be dropped blocks until what
/// was written to dropped streams has arrived: see [the crate's
/// documentation](crate#the-end) for when, for how long, and how to avoid it.
#[derive(Clone)]
pub struct TouSocket {
    shared: Arc<Shared>,
}

/// Builds a [`TouSocket`]: `with_endpoint` and `with_connection` for configurations,
/// `with_socket_options` for the UDP socket, `with_close_timeout`, and for tests
/// `with_seed`, `with_impairment` and `with_observer`; then `bind` or `from_udp`.
/// `bind` takes what std's does: a name is looked up, and that blocks.
///
/// ```no_run
/// use std::time::Duration;
/// use tou_async_io::{TouSocket, default_connection_config};
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
    fn from_setup(Setup { pump, connection, close_timeout }: Setup) -> io::Result<Self> {
        let local_addr = pump.socket().local_addr();
        let shared = Shared { engine: Engine::start(pump)?, local_addr, connection, close_timeout };
        Ok(Self { shared: Arc::new(shared) })
    }
}

impl TouSocket {
    /// A builder that holds the defaults.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Opens a UDP socket bound to `addr`.
    ///
    /// # Errors
    /// The system's.
    pub fn bind(addr: impl Into<SocketAddr>) -> io::Result<Self> {
        Self::builder().bind(addr.into())
    }

    /// Takes over a UDP socket that was bound elsewhere, perhaps after a hole
    /// was punched with it. It must not be connected.
    ///
    /// # Errors
    /// The system's.
    pub fn from_udp(socket: StdSocket) -> io::Result<Self> {
        Self::builder().from_udp(socket)
    }

    pub(crate) fn from_shared(shared: &Arc<Shared>) -> Self {
        Self { shared: Arc::clone(shared) }
    }

    /// Does the socket's work in the task that polls this future, as long as it
    /// is polled: receiving, retransmitting, keepalive, accepting. Without it
    /// that happens by itself, in whichever thread the reactor of async-io is
    /// in; with it, that thread only wakes the task.
    ///
    /// This is for programs that say where work is done: a core for each
    /// socket, a priority, a thread of its own. Whoever stops polling it without
    /// dropping it stops the socket.
    ///
    /// ```
    /// use tou_async_io::TouSocket;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let socket = TouSocket::bind(([127, 0, 0, 1], 0))?;
    /// let driver = std::thread::spawn({
    ///     let drive = socket.drive();
    ///     || async_io::block_on(drive)
    /// });
    /// // Use the socket from any thread, in any runtime ...
    /// drop(socket);
    /// // ... and all that was written arrives before the driver ends.
    /// driver.join().unwrap();
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Cancel safety
    /// When it is dropped the work goes on by itself, as if it had never been;
    /// unless all handles are gone: what has not arrived then never will.
    pub fn drive(&self) -> Drive {
        Drive::new(&self.shared.engine)
    }

    /// Runs a future in this thread, which does the socket's work meanwhile and
    /// waits for the socket itself. So a datagram wakes this thread and costs no
    /// turn of a reactor: the quickest way from a request to its answer, as quick
    /// as the blocking driver. The future may use anything else, and be an
    /// executor with many tasks. While it blocks this thread in a way of its own,
    /// nobody looks after the socket.
    ///
    /// ```
    /// # use futures::{AsyncReadExt, AsyncWriteExt, future};
    /// # use tou_async_io::{TouListener, TouSocket};
    /// # fn main() -> std::io::Result<()> {
    /// let socket = TouSocket::bind(([127, 0, 0, 1], 0))?;
    /// # let listener = TouListener::bind(([127, 0, 0, 1], 0))?;
    /// # let server = listener.local_addr()?;
    /// # std::thread::spawn(move || async_io::block_on(async move {
    /// #     let (mut stream, _) = listener.accept().await.unwrap();
    /// #     stream.write_all(b"hello").await.unwrap();
    /// # }));
    /// let greeting = socket.block_on(async {
    ///     let mut stream = socket.connect(server).await?;
    ///     let mut greeting = [0; 5];
    ///     stream.read_exact(&mut greeting).await?;
    ///     std::io::Result::Ok(greeting)
    /// })?;
    /// assert_eq!(&greeting, b"hello");
    /// # Ok(())
    /// # }
    /// ```
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        block::block_on(&self.shared.engine, future)
    }

    /// Accepts connections to the TCP port that is the same as the UDP port.
    ///
    /// # Errors
    /// `AddrInUse` if there is such a listener already, `NotConnected` if the
    /// socket was closed.
    pub fn listen(&self) -> io::Result<TouListener> {
        self.listen_on(port_of(self.shared.local_addr)?, BACKLOG, None)
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
        let id = self.shared.engine.call(|hub, _| {
            if hub.is_closed() {
                return Err(error::closed());
            }
            let id = hub.endpoint().listen_with(port, backlog, config).map_err(error::listen)?;
            hub.seat_listener(id);
            Ok(id)
        })?;
        Ok(TouListener::new(&self.shared, id, port))
    }

    /// Connects to the TCP port that is the same as the UDP port of `addr`.
    ///
    /// # Errors
    /// `ConnectionRefused`, `TimedOut`, `NetworkUnreachable`; `NotConnected` if the
    /// socket was closed.
    ///
    /// # Cancel safety
    /// When it is dropped the connection is given up.
    pub async fn connect(&self, addr: impl Into<SocketAddr>) -> io::Result<TouStream> {
        let addr = addr.into();
        let remote = Remote { addr, port: port_of(addr)? };
        self.connect_with(remote, &ConnectOptions::new()).await
    }

    /// Connects to `remote` in a way that is not the usual one.
    ///
    /// # Errors
    /// As [`TouSocket::connect`]; and `AddrInUse` when the local port is
    /// connected to `remote` already.
    ///
    /// # Cancel safety
    /// As [`TouSocket::connect`].
    pub async fn connect_with(
        &self,
        remote: Remote,
        options: &ConnectOptions,
    ) -> io::Result<TouStream> {
        let stream = self.start_connect(remote, options)?;
        let conn = stream.id();
        let mut wait = Wait::new(&self.shared.engine, Interest::Write(conn));
        let opening = poll_fn(|cx| {
            wait.poll(cx, options.timeout(), |hub, _| {
                Some(hub.opening(conn)).filter(|opening| *opening != Opening::Pending)
            })
        });
        match opening.await {
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
    /// stream waits for the connection; reading tells when it failed.
    ///
    /// # Errors
    /// As [`TouSocket::connect_with`], as far as it fails at once.
    pub fn start_connect(&self, remote: Remote, options: &ConnectOptions) -> io::Result<TouStream> {
        let (conn, remote, port) = self.shared.engine.call(|hub, now| {
            if hub.is_closed() {
                return Err(error::closed());
            }
            let ends = (self.shared.local_addr, remote);
            let opened =
                options.open(hub.endpoint(), now, ends, self.shared.connection.as_ref())?;
            hub.seat_stream(opened.0);
            Ok(opened)
        })?;
        Ok(TouStream::new(&self.shared, conn, remote, port))
    }

    /// Closes all streams and listeners of this socket, whoever holds them, and
    /// waits until what was written and the FINs have arrived. Operations on
    /// these streams return `NotConnected` from then on.
    ///
    /// # Errors
    /// `TimedOut` when that took longer than `timeout`. The socket goes on
    /// trying as long as it lives.
    ///
    /// # Cancel safety
    /// When it is dropped after it was polled, everything stays closed and only
    /// the waiting ends.
    pub async fn close(&self, timeout: Duration) -> io::Result<()> {
        self.shared.close(timeout).await
    }

    /// Does to the datagrams of one direction from now on what a bad network
    /// does.
    ///
    /// # Errors
    /// `InvalidInput` for an impairment out of range.
    pub fn impair(&self, direction: Direction, impairment: &Impairment) -> io::Result<()> {
        let result = self.shared.engine.call(|hub, _| hub.pump().impair(direction, impairment));
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
        self.shared.engine.look(|hub| *hub.endpoint().counters())
    }

    /// Connections that exist, dropped ones that are still closing included;
    /// those in TIME-WAIT not.
    #[must_use]
    pub fn connection_count(&self) -> usize {
        self.shared.engine.look(|hub| hub.endpoint().connection_count())
    }

    /// Connections remembered in TIME-WAIT.
    #[must_use]
    pub fn time_wait_count(&self) -> usize {
        self.shared.engine.look(|hub| hub.endpoint().time_wait_count())
    }

    /// What the UDP socket has counted.
    #[must_use]
    pub fn socket_stats(&self) -> SocketStats {
        self.shared.engine.look(|hub| hub.pump().socket().stats())
    }

    /// What impairment has done in one direction, if there is any.
    #[must_use]
    pub fn impairment_stats(&self, direction: Direction) -> Option<ImpairmentStats> {
        self.shared.engine.look(|hub| hub.pump().impairment_stats(direction))
    }

    /// What the driver has counted: how often it was woken.
    #[must_use]
    pub fn driver_counters(&self) -> DriverCounters {
        self.shared.engine.counters()
    }

    /// The last error of the UDP socket itself, and forgets it. Connections
    /// outlive such an error, or time out.
    #[must_use]
    pub fn take_error(&self) -> Option<io::Error> {
        self.shared.engine.look(Hub::take_socket_error)
    }
}

impl fmt::Debug for TouSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TouSocket").field("local_addr", &self.local_addr()).finish()
    }
}
