//! A connection as its users hold it: opening, options, closing.
//!
//! Moving data through it is in `transfer`.

use core::net::SocketAddr;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use core::time::Duration;
use std::fmt;
use std::io;
use std::net::{Shutdown, ToSocketAddrs};
use std::sync::Arc;

use tou_proto::{
    ConnId, ConnectionInfo, Endpoint, Instant, Keepalive, Port, Remote, SetOptionError,
    UnknownConnection,
};
use tou_udp::driver::{ConnectOptions, Interest, Linger, Timeout, error, port_of, wildcard_for};

use crate::engine::{Engine, Hook, Ready};
use crate::hub::Hub;
use crate::shared::Shared;
use crate::socket::TouSocket;

/// A TCP connection over UDP, with the interface of [`std::net::TcpStream`].
///
/// Any number of threads may read and write it at once, through references or
/// through [`TouStream::try_clone`]. When the last handle is dropped the
/// connection is closed gracefully: what was written still arrives, and so does
/// the end of the stream.
pub struct TouStream {
    pub(crate) inner: Arc<Inner>,
}

/// What the handles of a stream share.
pub(crate) struct Inner {
    shared: Arc<Shared>,
    pub(crate) conn: ConnId,
    remote: Remote,
    local_port: Port,
    pub(crate) nonblocking: AtomicBool,
    pub(crate) read_timeout: Timeout,
    pub(crate) write_timeout: Timeout,
    /// Reading was shut down.
    pub(crate) deaf: AtomicBool,
    linger: Linger,
}

impl TouStream {
    /// Opens a socket, and connects to the TCP port that is the same as the UDP
    /// port, at the first of `addr`'s addresses that answers.
    ///
    /// # Errors
    /// `ConnectionRefused`, `TimedOut`, `NetworkUnreachable`, or the system's.
    pub fn connect(addr: impl ToSocketAddrs) -> io::Result<Self> {
        let mut failure = None;
        for addr in addr.to_socket_addrs()? {
            match Self::connect_to(addr, &ConnectOptions::new()) {
                Ok(stream) => return Ok(stream),
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.unwrap_or_else(error::no_address))
    }

    /// The same for one address, in `timeout` at most.
    ///
    /// # Errors
    /// As [`TouStream::connect`], and `InvalidInput` for a timeout of zero.
    pub fn connect_timeout(addr: &SocketAddr, timeout: Duration) -> io::Result<Self> {
        if timeout.is_zero() {
            let message = "cannot connect in no time";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        Self::connect_to(*addr, &ConnectOptions::new().with_timeout(timeout))
    }

    fn connect_to(addr: SocketAddr, options: &ConnectOptions) -> io::Result<Self> {
        let remote = Remote { addr, port: port_of(addr)? };
        TouSocket::bind(wildcard_for(addr))?.connect_with(remote, options)
    }

    pub(crate) fn new(shared: Arc<Shared>, conn: ConnId, remote: Remote, local_port: Port) -> Self {
        let inner = Inner {
            shared,
            conn,
            remote,
            local_port,
            nonblocking: AtomicBool::new(false),
            read_timeout: Timeout::default(),
            write_timeout: Timeout::default(),
            deaf: AtomicBool::new(false),
            linger: Linger::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    pub(crate) fn id(&self) -> ConnId {
        self.inner.conn
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

    /// Another handle to the same stream, with the same options.
    ///
    /// # Errors
    /// None; it returns a result because std's does.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { inner: Arc::clone(&self.inner) })
    }

    /// The connection's figures, as Linux has them in `tcp_info`.
    ///
    /// # Errors
    /// `NotConnected` when the stream was aborted, or its socket closed.
    pub fn info(&self) -> io::Result<ConnectionInfo> {
        let info = self.engine().look(|hub| hub.endpoint().info(self.inner.conn));
        info.ok_or_else(error::closed)
    }

    /// Ends one direction or both. The peer reads the end of the stream once it
    /// has read what was written; reading ends here at once. Calls that wait in
    /// other threads return.
    ///
    /// # Errors
    /// `NotConnected` when the stream was aborted, or its socket closed.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        if how != Shutdown::Write {
            self.inner.deaf.store(true, Relaxed);
        }
        let conn = self.inner.conn;
        let result = self.engine().call(|hub, now, signals| {
            hub.stir(conn, signals);
            if how == Shutdown::Read {
                return Ok(());
            }
            hub.endpoint().shutdown(now, conn)
        });
        result.map_err(|UnknownConnection| error::closed())
    }

    /// Resets the connection at once: what has not arrived yet never will. Calls
    /// of other handles return `NotConnected` from then on.
    pub fn abort(&self) {
        let conn = self.inner.conn;
        self.engine().call(|hub, now, signals| hub.drop_stream(now, conn, true, signals));
    }

    /// How the connection has come to an untimely end, if it has; reported once.
    ///
    /// # Errors
    /// None; it returns a result because std's does.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        let error = self.engine().look(|hub| hub.take_error(self.inner.conn));
        Ok(error.map(error::connection))
    }

    /// How long a read waits at most; `None` for no limit. It then returns
    /// `WouldBlock`.
    ///
    /// # Errors
    /// `InvalidInput` for a timeout of zero.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.inner.read_timeout.set(timeout)
    }

    /// How long a write waits at most; `None` for no limit. It then returns
    /// `WouldBlock`.
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

    /// Switches waiting off or on, for all handles.
    ///
    /// # Errors
    /// None; it returns a result because std's does.
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.inner.nonblocking.store(nonblocking, Relaxed);
        Ok(())
    }

    /// Has `hook` called whenever the stream may have become readable or
    /// writable, and once now; `None` ends that. This is how a stream takes
    /// part in an event loop of another kind: the hook of a program with a mio
    /// poll notes the stream and calls `mio::Waker::wake`.
    ///
    /// Readiness is an edge: it is told again only after a read or a write has
    /// returned `WouldBlock`. The hook runs in whichever thread noticed, also
    /// inside a call of this thread's own, and delays every stream of the
    /// socket: it should wake somebody and return, and take no lock that is
    /// held around calls to streams. It should not panic: that is reported, and
    /// goes no further. A hook that owns its stream keeps it alive.
    pub fn set_ready_hook<H>(&self, hook: Option<H>)
    where
        H: Fn(Ready) + Send + Sync + 'static,
    {
        let conn = self.inner.conn;
        let hook = hook.map(Hook::new);
        drop(self.engine().call(|hub, _, signals| hub.set_stream_hook(conn, hook, signals)));
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
    /// for that. No time: it resets the connection. If it is the last handle of the
    /// socket too, as that of [`TouStream::connect`] is, the socket waits besides
    /// ([`Builder::with_close_timeout`](crate::Builder::with_close_timeout)).
    pub fn set_linger(&self, linger: Option<Duration>) {
        self.inner.linger.set(linger);
    }

    /// What the drop of the last handle does.
    #[must_use]
    pub fn linger(&self) -> Option<Duration> {
        self.inner.linger.get()
    }

    pub(crate) fn engine(&self) -> &Engine<Hub> {
        self.inner.shared.engine()
    }

    fn adjust(
        &self,
        adjust: impl FnOnce(&mut Endpoint, Instant, ConnId) -> Result<(), SetOptionError>,
    ) -> io::Result<()> {
        let conn = self.inner.conn;
        let result = self.engine().call(|hub, now, _| adjust(hub.endpoint(), now, conn));
        result.map_err(error::option)
    }
}

fn unknown(_: UnknownConnection) -> SetOptionError {
    SetOptionError::UnknownConnection
}

impl Drop for Inner {
    fn drop(&mut self) {
        let conn = self.conn;
        let engine = self.shared.engine();
        let linger = self.linger.get();
        if let Some(time) = linger.filter(|time| !time.is_zero()) {
            engine.call(|hub, now, _| {
                let _ = hub.endpoint().shutdown(now, conn);
            });
            let deadline = Some(engine.now() + time);
            let left = |hub: &mut Hub, _| hub.has_left(conn).then_some(());
            let _ = engine.wait_for(Interest::Progress, deadline, left);
        }
        let abort = linger == Some(Duration::ZERO);
        engine.call(|hub, now, signals| hub.drop_stream(now, conn, abort, signals));
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
