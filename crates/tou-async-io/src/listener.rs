//! Accepting connections.

use core::fmt;
use core::future::poll_fn;
use core::net::SocketAddr;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::io;
use std::sync::Arc;

use futures_core::Stream;
use futures_core::stream::FusedStream;
use tou_proto::{ListenerId, Port};
use tou_udp::driver::{Interest, Timeout, error};

use crate::shared::Shared;
use crate::socket::TouSocket;
use crate::stream::TouStream;
use crate::wait::Wait;

/// Accepts the connections to one TCP port of a [`TouSocket`].
///
/// Clones are handles to the same listener. When the last one is dropped,
/// connections that were not accepted are reset; accepted ones live on.
#[derive(Clone)]
pub struct TouListener {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    id: ListenerId,
    port: Port,
    timeout: Timeout,
}

impl TouListener {
    /// Opens a socket bound to `addr`, and listens on the TCP port that is the
    /// same as the UDP port.
    ///
    /// # Errors
    /// The system's.
    pub fn bind(addr: impl Into<SocketAddr>) -> io::Result<Self> {
        TouSocket::bind(addr)?.listen()
    }

    pub(crate) fn new(shared: &Arc<Shared>, id: ListenerId, port: Port) -> Self {
        let shared = Arc::clone(shared);
        Self { inner: Arc::new(Inner { shared, id, port, timeout: Timeout::default() }) }
    }

    /// Waits for a connection, and accepts it. The address is the peer's of UDP: all
    /// connections that come from one socket have the same, and
    /// [`TouStream::peer_port`] tells them apart.
    ///
    /// # Errors
    /// `TimedOut` when the timeout has passed; `NotConnected` when the socket
    /// was closed.
    ///
    /// # Cancel safety
    /// When it is dropped no connection is lost: the next call accepts it.
    pub async fn accept(&self) -> io::Result<(TouStream, SocketAddr)> {
        let mut wait = self.inner.wait();
        let stream = poll_fn(|cx| self.inner.poll_accept(&mut wait, cx)).await?;
        let peer = stream.peer_addr()?;
        Ok((stream, peer))
    }

    /// The connections, as [`TouListener::accept`] returns them, as a stream
    /// that never ends.
    ///
    /// # Cancel safety
    /// As [`TouListener::accept`].
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming { listener: &self.inner, wait: self.inner.wait() }
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

    /// How long an accept that begins later waits at most; `None` for no limit.
    ///
    /// # Errors
    /// `InvalidInput` for a timeout of zero.
    pub fn set_accept_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.inner.timeout.set(timeout)
    }

    /// How long an accept waits at most.
    #[must_use]
    pub fn accept_timeout(&self) -> Option<Duration> {
        self.inner.timeout.get()
    }
}

impl Inner {
    fn wait(&self) -> Wait {
        Wait::new(&self.shared.engine, Interest::Accept(self.id))
    }

    fn poll_accept(&self, wait: &mut Wait, cx: &mut Context<'_>) -> Poll<io::Result<TouStream>> {
        let accepted = wait.poll(cx, self.timeout.get(), |hub, _| {
            if hub.is_closed() {
                return Some(Err(error::closed()));
            }
            let conn = hub.endpoint().accept(self.id)?;
            let addresses = hub.endpoint().addresses(conn)?;
            hub.seat_stream(conn);
            Some(Ok((conn, addresses)))
        });
        accepted.map(|accepted| {
            let (conn, (remote, port)) = accepted.ok_or(io::ErrorKind::TimedOut)??;
            Ok(TouStream::new(&self.shared, conn, remote, port))
        })
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
        self.shared.engine.call(|hub, now| hub.drop_listener(now, self.id));
    }
}

/// The connections to a [`TouListener`], one after the other.
#[must_use = "streams do nothing unless polled"]
pub struct Incoming<'a> {
    listener: &'a Inner,
    wait: Wait,
}

impl Stream for Incoming<'_> {
    type Item = io::Result<TouStream>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { listener, wait } = self.get_mut();
        listener.poll_accept(wait, cx).map(Some)
    }
}

impl FusedStream for Incoming<'_> {
    fn is_terminated(&self) -> bool {
        false
    }
}

impl fmt::Debug for Incoming<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").field("local_port", &self.listener.port).finish()
    }
}
