//! What the measures ask of a transport.
//!
//! The measures are written once, as futures. A blocking transport's futures
//! are ready whenever they return, and [`run_blocking`] polls them just once;
//! QUIC's run on tokio. It must not know what is measured.

#[cfg(feature = "quinn")]
pub(crate) mod quic;
pub(crate) mod tcp;
pub(crate) mod tou;
pub(crate) mod tou_async;
pub(crate) mod udp;
pub(crate) mod udp_bulk;

use core::net::SocketAddr;
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::io;
use std::sync::Arc;
use std::thread;

/// One side of a transport: a socket, and what it needs to open connections.
pub(crate) trait Transport: Clone + Send + Sync + Sized + 'static {
    /// A connection, as seen from one of its ends.
    type Stream: Stream;

    /// A side that accepts connections, and what a client has to be told to
    /// reach it.
    fn server(options: &Options) -> io::Result<(Self, String)>;
    /// A side that opens connections to the server with that invitation.
    fn client(options: &Options, invitation: &str) -> io::Result<Self>;
    /// Opens a connection.
    fn connect(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
    /// Waits for the next connection.
    fn accept(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
    /// How the socket was used so far, where that is counted.
    fn socket_use(&self) -> Option<SocketUse> {
        None
    }

    /// Runs a measure to its end.
    fn run<T>(&self, measure: impl Future<Output = T>) -> T {
        run_blocking(measure)
    }

    /// Runs several parts of a measure at once: in a thread each, unless the
    /// transport has a better way.
    fn run_all<T: Send + 'static>(
        &self,
        parts: Vec<impl Future<Output = io::Result<T>> + Send + 'static>,
    ) -> impl Future<Output = io::Result<Vec<T>>> {
        let threads: Vec<_> =
            parts.into_iter().map(|part| thread::spawn(|| run_blocking(part))).collect();
        let results = threads.into_iter().map(|thread| {
            thread.join().unwrap_or_else(|_| Err(io::Error::other("a thread has panicked")))
        });
        core::future::ready(results.collect())
    }

    /// Has what was closed last reach the peer, before the process ends.
    fn leave(&self) -> impl Future<Output = ()> {
        core::future::ready(())
    }

    /// Does nothing for that long.
    fn pause(&self, time: Duration) -> impl Future<Output = ()> {
        thread::sleep(time);
        core::future::ready(())
    }
}

/// An ordered run of octets in each direction; for raw UDP, what a measure needs
/// of one.
pub(crate) trait Stream: Send + 'static {
    /// Writes all of `data`.
    fn write(&mut self, data: &[u8]) -> impl Future<Output = io::Result<()>> + Send;
    /// Reads what there is into `out`, and waits if there is nothing. Zero is the
    /// end of the stream.
    fn read(&mut self, out: &mut [u8]) -> impl Future<Output = io::Result<usize>> + Send;
    /// Says that no more will be written.
    fn finish(&mut self) -> impl Future<Output = io::Result<()>> + Send;
    /// Gives the connection up: the client when it has what it wanted, the
    /// server after it has read the end.
    fn close(self) -> impl Future<Output = io::Result<()>> + Send
    where
        Self: Sized,
    {
        async { Ok(()) }
    }

    /// Reads until `out` is full.
    fn read_exact(&mut self, out: &mut [u8]) -> impl Future<Output = io::Result<()>> + Send {
        async move {
            let mut filled = 0;
            while filled < out.len() {
                match self.read(&mut out[filled..]).await? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    read => filled += read,
                }
            }
            Ok(())
        }
    }
}

/// What is the same for both sides.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Options {
    /// MTU that tou assumes; the interface's if none is given.
    pub(crate) mtu: Option<u16>,
    /// Small writes are sent at once.
    pub(crate) nodelay: bool,
}

/// How a transport used its UDP socket.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct SocketUse {
    /// Datagrams sent in one system call.
    pub(crate) sent_per_call: f64,
    /// Datagrams received in one system call.
    pub(crate) received_per_call: f64,
    /// Octets of all datagrams sent.
    pub(crate) octets_sent: f64,
}

/// The result of a future that never waits but in a system call.
///
/// # Panics
/// If it waits for anything else.
pub(crate) fn run_blocking<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("a blocking transport's future is not ready"),
    }
}

/// What a side of a transport with listeners holds.
#[derive(Debug)]
pub(crate) enum Side<L> {
    /// The server's address.
    Client(SocketAddr),
    Server(Arc<L>),
}

impl<L> Side<L> {
    pub(crate) fn client(invitation: &str) -> io::Result<Self> {
        let addr = invitation.parse();
        addr.map(Self::Client).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
    }

    pub(crate) fn server(listener: L) -> Self {
        Self::Server(Arc::new(listener))
    }

    /// For a client to connect to.
    pub(crate) fn addr(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Client(addr) => Ok(*addr),
            Self::Server(_) => Err(wrong_side()),
        }
    }

    /// For a server to accept from.
    pub(crate) fn listener(&self) -> io::Result<&L> {
        match self {
            Self::Client(_) => Err(wrong_side()),
            Self::Server(listener) => Ok(listener),
        }
    }
}

impl<L> Clone for Side<L> {
    fn clone(&self) -> Self {
        match self {
            Self::Client(addr) => Self::Client(*addr),
            Self::Server(listener) => Self::Server(Arc::clone(listener)),
        }
    }
}

/// An address that a server has given.
pub(crate) fn parse_addr(invitation: &str) -> io::Result<SocketAddr> {
    invitation.parse().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
}

/// A client was to accept, or a server to connect.
pub(crate) fn wrong_side() -> io::Error {
    io::ErrorKind::Unsupported.into()
}

/// What sockets are bound to.
pub(crate) const ANY_PORT: &str = "127.0.0.1:0";
