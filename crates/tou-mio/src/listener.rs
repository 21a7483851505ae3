//! Accepting connections.

use core::iter::FusedIterator;
use core::net::SocketAddr;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use core::time::Duration;
use std::fmt;
use std::io;
use std::net::ToSocketAddrs;
use std::sync::Arc;

use tou_proto::{ListenerId, Port};
use tou_udp::driver::{Interest, Timeout, error};

use crate::engine::{Hook, Ready};
use crate::shared::Shared;
use crate::socket::TouSocket;
use crate::stream::TouStream;

/// Accepts the connections to one TCP port of a [`TouSocket`].
///
/// When the last handle is dropped, connections that were not accepted are
/// reset; accepted ones live on.
pub struct TouListener {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    id: ListenerId,
    port: Port,
    nonblocking: AtomicBool,
    timeout: Timeout,
}

impl TouListener {
    /// Opens a socket bound to `addr`, and listens on the TCP port that is the
    /// same as the UDP port.
    ///
    /// # Errors
    /// The system's.
    pub fn bind(addr: impl ToSocketAddrs) -> io::Result<Self> {
        TouSocket::bind(addr)?.listen()
    }

    pub(crate) fn new(shared: Arc<Shared>, id: ListenerId, port: Port) -> Self {
        let inner = Inner {
            shared,
            id,
            port,
            nonblocking: AtomicBool::new(false),
            timeout: Timeout::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Waits for a connection, and accepts it. The address is the peer's of UDP: all
    /// connections that come from one socket have the same, and
    /// [`TouStream::peer_port`] tells them apart.
    ///
    /// # Errors
    /// `WouldBlock` when there is none and waiting is switched off, or the
    /// timeout has passed; `NotConnected` when the socket was closed.
    pub fn accept(&self) -> io::Result<(TouStream, SocketAddr)> {
        let Inner { shared, id, nonblocking, timeout, .. } = &*self.inner;
        let engine = shared.engine();
        let attempt = |hub: &mut crate::hub::Hub, _| {
            if hub.is_closed() {
                return Some(Err(error::closed()));
            }
            let conn = hub.endpoint().accept(*id)?;
            let addresses = hub.endpoint().addresses(conn)?;
            hub.seat_stream(conn);
            Some(Ok((conn, addresses)))
        };
        let accepted = if nonblocking.load(Relaxed) {
            engine.attempt(attempt)
        } else {
            let deadline = timeout.get().map(|timeout| engine.now() + timeout);
            engine.wait_for(Interest::Accept(*id), deadline, attempt)
        };
        let (conn, (remote, port)) = accepted.ok_or_else(error::would_block)??;
        Ok((TouStream::new(Arc::clone(shared), conn, remote, port), remote.addr))
    }

    /// An iterator over connections, as [`TouListener::accept`] returns them;
    /// it never ends.
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming { listener: self }
    }

    /// The UDP address that connections are accepted at.
    ///
    /// # Errors
    /// None; it returns a result because std's does.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.inner.shared.local_addr)
    }

    /// The TCP port that is listened on.
    #[must_use]
    pub fn local_port(&self) -> Port {
        self.inner.port
    }

    /// The socket that this listener belongs to.
    #[must_use]
    pub fn socket(&self) -> TouSocket {
        TouSocket::from_shared(&self.inner.shared)
    }

    /// Another handle to the same listener.
    ///
    /// # Errors
    /// None; it returns a result because std's does.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { inner: Arc::clone(&self.inner) })
    }

    /// Switches waiting off or on, for all handles.
    ///
    /// # Errors
    /// None; it returns a result because std's does.
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.inner.nonblocking.store(nonblocking, Relaxed);
        Ok(())
    }

    /// How long [`TouListener::accept`] waits at most; `None` for no limit.
    ///
    /// # Errors
    /// `InvalidInput` for a timeout of zero.
    pub fn set_accept_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.inner.timeout.set(timeout)
    }

    /// How long [`TouListener::accept`] waits at most.
    #[must_use]
    pub fn accept_timeout(&self) -> Option<Duration> {
        self.inner.timeout.get()
    }

    /// Has `hook` called when there may be a connection to accept, and once
    /// now; `None` ends that. See [`TouStream::set_ready_hook`].
    pub fn set_ready_hook<H>(&self, hook: Option<H>)
    where
        H: Fn(Ready) + Send + Sync + 'static,
    {
        let id = self.inner.id;
        let hook = hook.map(Hook::new);
        let engine = self.inner.shared.engine();
        drop(engine.call(|hub, _, signals| hub.set_listener_hook(id, hook, signals)));
    }
}

impl fmt::Debug for TouListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TouListener")
            .field("local_addr", &self.inner.shared.local_addr)
            .field("local_port", &self.inner.port)
            .finish()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        drop(self.shared.engine().call(|hub, now, _| hub.drop_listener(now, self.id)));
    }
}

/// The connections to a [`TouListener`], one after the other.
#[derive(Debug)]
pub struct Incoming<'a> {
    listener: &'a TouListener,
}

impl Iterator for Incoming<'_> {
    type Item = io::Result<TouStream>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.listener.accept().map(|(stream, _)| stream))
    }
}

impl FusedIterator for Incoming<'_> {}

impl<'a> IntoIterator for &'a TouListener {
    type Item = io::Result<TouStream>;
    type IntoIter = Incoming<'a>;

    fn into_iter(self) -> Incoming<'a> {
        self.incoming()
    }
}
