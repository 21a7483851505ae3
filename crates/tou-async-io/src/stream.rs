//! A connection as its users hold it: opening, options, closing.
//!
//! Moving data through it is in `transfer`.

use core::fmt;
use core::net::SocketAddr;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use core::time::Duration;
use std::io;
use std::net::Shutdown;
use std::sync::Arc;

use tou_proto::{
    ConnId, ConnectionInfo, Endpoint, Instant, Keepalive, Port, Remote, SetOptionError,
    UnknownConnection,
};
use tou_udp::driver::{ConnectOptions, Interest, Linger, Timeout, error, port_of, wildcard_for};

use crate::block;
use crate::engine::Engine;
use crate::shared::Shared;
use crate::socket::TouSocket;
use crate::split::{OwnedReadHalf, OwnedWriteHalf};
use crate::wait::Wait;

/// A TCP connection over UDP: [`AsyncRead`](futures_io::AsyncRead) and
/// [`AsyncWrite`](futures_io::AsyncWrite), with the methods of
/// [`std::net::TcpStream`].
///
/// Clones are handles to the same connection, and any number of tasks may read
/// and write it at once, each through its own. When the last handle is dropped
/// the connection is closed gracefully: what was written still arrives, and so
/// does the end of the stream.
///
/// # Cancel safety
/// Reading takes octets, and writing hands them over, only in the poll that is
/// ready. A pending read or write may be dropped at any time, and nothing is
/// lost. What is made of several reads or writes, like `read_exact` and
/// `write_all`, forgets when it is dropped how far it has come.
pub struct TouStream {
    pub(crate) inner: Arc<Inner>,
    pub(crate) reading: Wait,
    pub(crate) writing: Wait,
}

/// What the handles of a stream share.
pub(crate) struct Inner {
    shared: Arc<Shared>,
    pub(crate) conn: ConnId,
    remote: Remote,
    local_port: Port,
    pub(crate) read_timeout: Timeout,
    pub(crate) write_timeout: Timeout,
    /// Reading was shut down.
    pub(crate) deaf: AtomicBool,
    linger: Linger,
}

impl TouStream {
    /// Opens a socket, and connects to the TCP port that is the same as the UDP
    /// port.
    ///
    /// # Errors
    /// `ConnectionRefused`, `TimedOut`, `NetworkUnreachable`, or the system's.
    ///
    /// # Cancel safety
    /// When it is dropped the connection is given up.
    pub async fn connect(addr: impl Into<SocketAddr>) -> io::Result<Self> {
        Self::connect_to(addr.into(), &ConnectOptions::new()).await
    }

    /// The same in `timeout` at most.
    ///
    /// # Errors
    /// As [`TouStream::connect`], and `InvalidInput` for a timeout of zero.
    ///
    /// # Cancel safety
    /// As [`TouStream::connect`].
    pub async fn connect_timeout(addr: &SocketAddr, timeout: Duration) -> io::Result<Self> {
        if timeout.is_zero() {
            let message = "cannot connect in no time";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        Self::connect_to(*addr, &ConnectOptions::new().with_timeout(timeout)).await
    }

    async fn connect_to(addr: SocketAddr, options: &ConnectOptions) -> io::Result<Self> {
        let remote = Remote { addr, port: port_of(addr)? };
        TouSocket::bind(wildcard_for(addr))?.connect_with(remote, options).await
    }

    pub(crate) fn new(
        shared: &Arc<Shared>,
        conn: ConnId,
        remote: Remote,
        local_port: Port,
    ) -> Self {
        Self::from_inner(Arc::new(Inner {
            shared: Arc::clone(shared),
            conn,
            remote,
            local_port,
            read_timeout: Timeout::default(),
            write_timeout: Timeout::default(),
            deaf: AtomicBool::new(false),
            linger: Linger::default(),
        }))
    }

    fn from_inner(inner: Arc<Inner>) -> Self {
        Self { reading: inner.wait_to_read(), writing: inner.wait_to_write(), inner }
    }

    pub(crate) fn id(&self) -> ConnId {
        self.inner.conn
    }

    /// Two halves, for two tasks: one reads, the other writes. Dropping the
    /// write half shuts writing down.
    #[must_use]
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        (OwnedReadHalf::new(self.clone()), OwnedWriteHalf::new(self))
    }

    /// The peer's UDP address, which all connections through one socket of the peer
    /// share.
    ///
    /// # Errors
    /// None; it returns a result because std's does.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.inner.remote.addr)
    }

    /// The UDP address of the socket that this stream goes through.
    ///
    /// # Errors
    /// None; it returns a result because std's does.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.inner.shared.local_addr)
    }

    /// The peer's TCP port.
    #[must_use]
    pub fn peer_port(&self) -> Port {
        self.inner.remote.port
    }

    /// This side's TCP port.
    #[must_use]
    pub fn local_port(&self) -> Port {
        self.inner.local_port
    }

    /// The socket that this stream goes through.
    #[must_use]
    pub fn socket(&self) -> TouSocket {
        TouSocket::from_shared(&self.inner.shared)
    }

    /// The connection's figures, as Linux has them in `tcp_info`.
    ///
    /// # Errors
    /// `NotConnected` when the stream was aborted, or its socket closed.
    pub fn info(&self) -> io::Result<ConnectionInfo> {
        let info = self.inner.engine().look(|hub| hub.endpoint().info(self.inner.conn));
        info.ok_or_else(error::closed)
    }

    /// Ends one direction or both. The peer reads the end of the stream once it
    /// has read what was written; reading ends here at once. Operations that
    /// wait in other tasks are over.
    ///
    /// # Errors
    /// `NotConnected` when the stream was aborted, or its socket closed.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        if how != Shutdown::Write {
            self.inner.deaf.store(true, Relaxed);
        }
        let conn = self.inner.conn;
        let result = self.inner.engine().call(|hub, now| {
            hub.stir(conn);
            if how == Shutdown::Read {
                return Ok(());
            }
            hub.endpoint().shutdown(now, conn)
        });
        result.map_err(|UnknownConnection| error::closed())
    }

    /// Resets the connection at once: what has not arrived yet never will.
    /// Operations of other handles return `NotConnected` from then on.
    pub fn abort(&self) {
        let conn = self.inner.conn;
        self.inner.engine().call(|hub, now| hub.drop_stream(now, conn, true));
    }

    /// How the connection has come to an untimely end, if it has; reported once.
    ///
    /// # Errors
    /// None; it returns a result because std's does.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        let error = self.inner.engine().look(|hub| hub.take_error(self.inner.conn));
        Ok(error.map(error::connection))
    }

    /// How long a read that begins to wait later waits at most; `None` for no
    /// limit. It then returns `TimedOut` (the blocking driver, like std, says
    /// `WouldBlock`, which to an `AsyncRead` is forbidden).
    ///
    /// The time of an [`AsyncRead`](futures_io::AsyncRead) runs from the first
    /// poll that found nothing until one finds something, also while nobody
    /// polls: a loop that gives reads up and begins them again, to do other
    /// things in between, gets its timeout all the same.
    ///
    /// # Errors
    /// `InvalidInput` for a timeout of zero.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.inner.read_timeout.set(timeout)
    }

    /// How long a write that begins to wait later waits at most; `None` for no
    /// limit. As with [`TouStream::set_read_timeout`].
    ///
    /// # Errors
    /// `InvalidInput` for a timeout of zero.
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.inner.write_timeout.set(timeout)
    }

    /// How long a read waits at most.
    ///
    /// # Errors
    /// None; it returns a result because std's does.
    pub fn read_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(self.inner.read_timeout.get())
    }

    /// How long a write waits at most.
    ///
    /// # Errors
    /// None; it returns a result because std's does.
    pub fn write_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(self.inner.write_timeout.get())
    }

    /// Switches Nagle's algorithm off or on (RFC 9293 §3.7.4).
    ///
    /// # Errors
    /// `NotConnected` when the stream was aborted, or its socket closed.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.adjust(|endpoint, now, conn| endpoint.set_nodelay(now, conn, nodelay).map_err(unknown))
    }

    /// While corked, only full segments are sent, or what has waited 200 ms.
    ///
    /// # Errors
    /// `NotConnected` when the stream was aborted, or its socket closed.
    pub fn set_cork(&self, cork: bool) -> io::Result<()> {
        self.adjust(|endpoint, now, conn| endpoint.set_cork(now, conn, cork).map_err(unknown))
    }

    /// When and how often an idle peer is asked whether it is there still (RFC
    /// 9293 §3.8.4); `None`: never.
    ///
    /// # Errors
    /// `InvalidInput` for times or probes of zero; `NotConnected` when the
    /// stream was aborted, or its socket closed.
    pub fn set_keepalive(&self, keepalive: Option<Keepalive>) -> io::Result<()> {
        self.adjust(|endpoint, now, conn| endpoint.set_keepalive(now, conn, keepalive))
    }

    /// How long data may stay unacknowledged before the connection is given up
    /// (RFC 9293 §3.8.3).
    ///
    /// # Errors
    /// `InvalidInput` for a timeout of zero; `NotConnected` when the stream was
    /// aborted, or its socket closed.
    pub fn set_user_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.adjust(|endpoint, now, conn| endpoint.set_user_timeout(now, conn, timeout))
    }

    /// What the drop of the last handle does. `None`, the default: it returns at
    /// once, and what was written arrives later. Some time: it waits so long
    /// for that, and blocks its thread, since nothing can be awaited in a drop.
    /// No time: it resets the connection. If it is the last handle of the socket too,
    /// as that of [`TouStream::connect`] is, the socket waits besides: see
    /// [the end](crate#the-end).
    pub fn set_linger(&self, linger: Option<Duration>) {
        self.inner.linger.set(linger);
    }

    /// What the drop of the last handle does.
    #[must_use]
    pub fn linger(&self) -> Option<Duration> {
        self.inner.linger.get()
    }

    fn adjust(
        &self,
        adjust: impl FnOnce(&mut Endpoint, Instant, ConnId) -> Result<(), SetOptionError>,
    ) -> io::Result<()> {
        let conn = self.inner.conn;
        let result = self.inner.engine().call(|hub, now| adjust(hub.endpoint(), now, conn));
        result.map_err(error::option)
    }
}

fn unknown(_: UnknownConnection) -> SetOptionError {
    SetOptionError::UnknownConnection
}

impl Clone for TouStream {
    fn clone(&self) -> Self {
        Self::from_inner(Arc::clone(&self.inner))
    }
}

impl Inner {
    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.shared.engine
    }

    pub(crate) fn wait_to_read(&self) -> Wait {
        Wait::new(self.engine(), Interest::Read(self.conn))
    }

    pub(crate) fn wait_to_write(&self) -> Wait {
        Wait::new(self.engine(), Interest::Write(self.conn))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let conn = self.conn;
        let linger = self.linger.get();
        if let Some(time) = linger.filter(|time| !time.is_zero()) {
            self.engine().call(|hub, now| {
                let _ = hub.endpoint().shutdown(now, conn);
            });
            block::block_until(self.engine(), time, |hub| hub.has_left(conn));
        }
        let abort = linger == Some(Duration::ZERO);
        self.engine().call(|hub, now| hub.drop_stream(now, conn, abort));
    }
}

impl fmt::Debug for TouStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TouStream")
            .field("peer_addr", &self.inner.remote.addr)
            .field("peer_port", &self.inner.remote.port)
            .field("local_addr", &self.inner.shared.local_addr)
            .field("local_port", &self.inner.local_port)
            .finish()
    }
}
