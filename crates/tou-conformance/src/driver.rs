//! What a driver looks like to the cases. Its adaptor implements these traits
//! and adds nothing: where the driver says no, so does the adaptor.
//!
//! Everything here may be called by several threads at once. A call that waits
//! ends when its time is over, also while another thread is in one.

use core::net::SocketAddr;
use core::time::Duration;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::net::{Shutdown, UdpSocket};
use std::sync::Arc;

use bytes::Bytes;
use tou_proto::{
    ConnectionConfig, ConnectionInfo, EndpointConfig, EndpointCounters, Keepalive, Port, Remote,
};
use tou_udp::{Direction, Impairment, ImpairmentStats, SocketOptions};

/// How a socket is made. What is not given is the driver's own choice.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// The endpoint's configuration.
    pub endpoint: Option<Arc<EndpointConfig>>,
    /// That of connections which have none of their own.
    pub connection: Option<Arc<ConnectionConfig>>,
    /// How the UDP socket is bound.
    pub options: SocketOptions,
    /// What a bad network does to one direction.
    pub impairment: Option<(Direction, Impairment)>,
    /// How long the drop of the last handle waits for a peer that is silent.
    pub close_timeout: Option<Duration>,
}

/// How a connection is opened.
#[derive(Clone, Debug, Default)]
pub struct Connect {
    /// This side's TCP port; an ephemeral one if none is given.
    pub local_port: Option<Port>,
    /// The connection's configuration; the socket's if none is given.
    pub config: Option<Arc<ConnectionConfig>>,
    /// How long to wait; as long as the configuration says if none is given.
    pub timeout: Option<Duration>,
}

/// A driver of `tou-proto`.
pub trait Driver: Send + Sync + 'static {
    /// Its UDP socket with connections.
    type Socket: Socket<Listener = Self::Listener, Stream = Self::Stream>;
    /// Its listener.
    type Listener: Listener<Socket = Self::Socket, Stream = Self::Stream>;
    /// Its stream.
    type Stream: Stream<Socket = Self::Socket>;

    /// What a read, write or accept says whose own timeout is over: `WouldBlock`,
    /// as std's does on Unix, unless its interface forbids that.
    const OUT_OF_TIME: ErrorKind = ErrorKind::WouldBlock;

    /// Opens a socket.
    ///
    /// # Errors
    /// The system's.
    fn bind(&self, addr: SocketAddr, setup: &Setup) -> io::Result<Self::Socket>;

    /// Takes over a UDP socket.
    ///
    /// # Errors
    /// The system's.
    fn adopt(&self, udp: UdpSocket, setup: &Setup) -> io::Result<Self::Socket>;

    /// Listens on a socket of its own, as `TcpListener::bind`.
    ///
    /// # Errors
    /// As std's.
    fn listen(&self, addr: SocketAddr) -> io::Result<Self::Listener>;

    /// Connects through a socket of its own, as `TcpStream::connect`.
    ///
    /// # Errors
    /// As std's.
    fn connect(&self, addr: SocketAddr) -> io::Result<Self::Stream>;

    /// The same to one address in limited time, as `TcpStream::connect_timeout`.
    ///
    /// # Errors
    /// As std's.
    fn connect_timeout(&self, addr: SocketAddr, timeout: Duration) -> io::Result<Self::Stream>;
}

/// A UDP socket with any number of connections. Clones are handles to the same.
pub trait Socket: Clone + Send + Sync + 'static {
    /// The listener of the driver.
    type Listener;
    /// The stream of the driver.
    type Stream;

    /// The UDP address.
    fn local_addr(&self) -> SocketAddr;

    /// Listens on the TCP port equal to the UDP port.
    ///
    /// # Errors
    /// `AddrInUse`; `NotConnected` when the socket was closed.
    fn listen(&self) -> io::Result<Self::Listener>;

    /// Listens on a given TCP port, with a backlog.
    ///
    /// # Errors
    /// As [`Socket::listen`].
    fn listen_on(&self, port: Port, backlog: usize) -> io::Result<Self::Listener>;

    /// Connects to the TCP port equal to the UDP port.
    ///
    /// # Errors
    /// As `TcpStream::connect`; `NotConnected` when the socket was closed.
    fn connect(&self, addr: SocketAddr) -> io::Result<Self::Stream>;

    /// Connects in a way that is not the usual one.
    ///
    /// # Errors
    /// As [`Socket::connect`]; `AddrInUse` for names that are taken.
    fn connect_with(&self, remote: Remote, how: &Connect) -> io::Result<Self::Stream>;

    /// Closes everything, and waits until all that was written has arrived.
    ///
    /// # Errors
    /// `TimedOut`.
    fn close(&self, timeout: Duration) -> io::Result<()>;

    /// Makes the network bad, or good again.
    ///
    /// # Errors
    /// `InvalidInput` when it is out of range.
    fn impair(&self, direction: Direction, impairment: &Impairment) -> io::Result<()>;

    /// What impairment has done.
    fn impairment_stats(&self, direction: Direction) -> Option<ImpairmentStats>;

    /// What the endpoint has counted.
    fn counters(&self) -> EndpointCounters;

    /// Connections that exist.
    fn connection_count(&self) -> usize;

    /// Connections in TIME-WAIT.
    fn time_wait_count(&self) -> usize;
}

/// Accepts connections.
pub trait Listener: Sized + Send + Sync + 'static {
    /// The socket of the driver.
    type Socket;
    /// The stream of the driver.
    type Stream;

    /// The UDP address.
    ///
    /// # Errors
    /// None that the cases know.
    fn local_addr(&self) -> io::Result<SocketAddr>;

    /// The TCP port.
    fn local_port(&self) -> Port;

    /// Waits for a connection.
    ///
    /// # Errors
    /// [`Driver::OUT_OF_TIME`] when the timeout is over, `NotConnected` when the socket was
    /// closed.
    fn accept(&self) -> io::Result<(Self::Stream, SocketAddr)>;

    /// How long [`Listener::accept`] waits.
    ///
    /// # Errors
    /// `InvalidInput` for zero.
    fn set_accept_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;

    /// Another handle to the same listener.
    ///
    /// # Errors
    /// None that the cases know.
    fn try_clone(&self) -> io::Result<Self>;

    /// The socket underneath.
    fn socket(&self) -> Self::Socket;
}

/// A connection, as `TcpStream`.
pub trait Stream: Sized + Send + Sync + 'static {
    /// The socket of the driver.
    type Socket;

    /// As `Read::read`.
    ///
    /// # Errors
    /// As std's: [`Driver::OUT_OF_TIME`] when the timeout is over.
    fn read(&self, buf: &mut [u8]) -> io::Result<usize>;

    /// As `Read::read_vectored`.
    ///
    /// # Errors
    /// As [`Stream::read`].
    fn read_vectored(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize>;

    /// The next run of data without a copy; `None` at the end of the stream.
    ///
    /// # Errors
    /// As [`Stream::read`].
    fn read_chunk(&self, max: usize) -> io::Result<Option<Bytes>>;

    /// As `TcpStream::peek`.
    ///
    /// # Errors
    /// As [`Stream::read`].
    fn peek(&self, buf: &mut [u8]) -> io::Result<usize>;

    /// As `Write::write`.
    ///
    /// # Errors
    /// As std's: [`Driver::OUT_OF_TIME`] when the timeout is over.
    fn write(&self, data: &[u8]) -> io::Result<usize>;

    /// As `Write::write_vectored`.
    ///
    /// # Errors
    /// As [`Stream::write`].
    fn write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Writes from the front of `data` without a copy, and leaves the rest there.
    ///
    /// # Errors
    /// As [`Stream::write`].
    fn write_bytes(&self, data: &mut Bytes) -> io::Result<usize>;

    /// As `Write::flush`.
    ///
    /// # Errors
    /// As std's.
    fn flush(&self) -> io::Result<()>;

    /// As `TcpStream::shutdown`.
    ///
    /// # Errors
    /// `NotConnected`.
    fn shutdown(&self, how: Shutdown) -> io::Result<()>;

    /// Resets the connection.
    fn abort(&self);

    /// Another handle to the same stream.
    ///
    /// # Errors
    /// None that the cases know.
    fn try_clone(&self) -> io::Result<Self>;

    /// The peer's UDP address.
    ///
    /// # Errors
    /// None that the cases know.
    fn peer_addr(&self) -> io::Result<SocketAddr>;

    /// This side's UDP address.
    ///
    /// # Errors
    /// None that the cases know.
    fn local_addr(&self) -> io::Result<SocketAddr>;

    /// The peer's TCP port.
    fn peer_port(&self) -> Port;

    /// This side's TCP port.
    fn local_port(&self) -> Port;

    /// The socket underneath.
    fn socket(&self) -> Self::Socket;

    /// As `TcpStream::set_read_timeout`.
    ///
    /// # Errors
    /// `InvalidInput` for zero.
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;

    /// As `TcpStream::set_write_timeout`.
    ///
    /// # Errors
    /// `InvalidInput` for zero.
    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;

    /// As `TcpStream::read_timeout`.
    ///
    /// # Errors
    /// None that the cases know.
    fn read_timeout(&self) -> io::Result<Option<Duration>>;

    /// As `TcpStream::write_timeout`.
    ///
    /// # Errors
    /// None that the cases know.
    fn write_timeout(&self) -> io::Result<Option<Duration>>;

    /// As `TcpStream::set_nodelay`.
    ///
    /// # Errors
    /// `NotConnected`.
    fn set_nodelay(&self, nodelay: bool) -> io::Result<()>;

    /// Sends full segments only.
    ///
    /// # Errors
    /// `NotConnected`.
    fn set_cork(&self, cork: bool) -> io::Result<()>;

    /// When an idle peer is asked whether it is there.
    ///
    /// # Errors
    /// `InvalidInput` for times or probes of zero; `NotConnected`.
    fn set_keepalive(&self, keepalive: Option<Keepalive>) -> io::Result<()>;

    /// How long data may stay unacknowledged.
    ///
    /// # Errors
    /// `InvalidInput` for zero; `NotConnected`.
    fn set_user_timeout(&self, timeout: Duration) -> io::Result<()>;

    /// What the drop of the last handle does: nothing that waits, wait so long, or
    /// reset (zero).
    fn set_linger(&self, linger: Option<Duration>);

    /// What was set.
    fn linger(&self) -> Option<Duration>;

    /// The connection's figures.
    ///
    /// # Errors
    /// `NotConnected`.
    fn info(&self) -> io::Result<ConnectionInfo>;

    /// As `TcpStream::take_error`.
    ///
    /// # Errors
    /// None that the cases know.
    fn take_error(&self) -> io::Result<Option<io::Error>>;
}
