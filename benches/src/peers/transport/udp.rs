//! Raw UDP for request and response: one datagram a write, nothing repaired.
//!
//! What any transport over UDP has to pay at least: [`Blocking`] waits in the
//! socket call itself, [`Polling`] in mio's poll, as an event loop does.

use core::net::SocketAddr;
use core::time::Duration;
use std::io;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use super::{ANY_PORT, Options, Stream, Transport, parse_addr, wrong_side};

/// Raw UDP that waits in `recv`.
pub(crate) type Blocking = Udp<false>;
/// Raw UDP that waits in a poll.
pub(crate) type Polling = Udp<true>;

/// A UDP socket that serves one connection.
#[derive(Clone, Debug)]
pub(crate) struct Udp<const POLL: bool> {
    socket: Arc<UdpSocket>,
    /// A client's.
    server: Option<SocketAddr>,
}

impl<const POLL: bool> Udp<POLL> {
    fn open(server: Option<SocketAddr>) -> io::Result<Self> {
        Ok(Self { socket: Arc::new(UdpSocket::bind(ANY_PORT)?), server })
    }
}

impl<const POLL: bool> Transport for Udp<POLL> {
    type Stream = UdpStream;

    fn server(_: &Options) -> io::Result<(Self, String)> {
        let server = Self::open(None)?;
        let invitation = server.socket.local_addr()?.to_string();
        Ok((server, invitation))
    }

    fn client(_: &Options, invitation: &str) -> io::Result<Self> {
        Self::open(Some(parse_addr(invitation)?))
    }

    async fn connect(&self) -> io::Result<UdpStream> {
        self.socket.connect(self.server.ok_or_else(wrong_side)?)?;
        self.socket.send(HELLO)?;
        UdpStream::new(&self.socket, POLL)
    }

    async fn accept(&self) -> io::Result<UdpStream> {
        let (_, peer) = self.socket.recv_from(&mut [0])?;
        self.socket.connect(peer)?;
        UdpStream::new(&self.socket, POLL)
    }
}

/// A connected UDP socket; an empty datagram is the end.
#[derive(Debug)]
pub(crate) struct UdpStream {
    socket: UdpSocket,
    poll: Option<(Poll, Events)>,
}

impl UdpStream {
    fn new(socket: &UdpSocket, poll: bool) -> io::Result<Self> {
        let socket = socket.try_clone()?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_nonblocking(poll)?;
        let poll = poll.then(|| watch(&socket)).transpose()?;
        Ok(Self { socket, poll })
    }
}

fn watch(socket: &UdpSocket) -> io::Result<(Poll, Events)> {
    let poll = Poll::new()?;
    poll.registry().register(&mut SourceFd(&socket.as_raw_fd()), Token(0), Interest::READABLE)?;
    Ok((poll, Events::with_capacity(1)))
}

impl Stream for UdpStream {
    async fn write(&mut self, data: &[u8]) -> io::Result<()> {
        self.socket.send(data).map(drop)
    }

    async fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let Some((poll, events)) = &mut self.poll else { return self.socket.recv(out) };
        loop {
            poll.poll(events, Some(PATIENCE))?;
            if events.is_empty() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            // The edge may be that of a datagram which was read already.
            match self.socket.recv(out) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result,
            }
        }
    }

    async fn finish(&mut self) -> io::Result<()> {
        self.socket.send(&[]).map(drop)
    }
}

const HELLO: &[u8] = &[0];
/// A datagram that takes longer was lost, and nobody will send it again.
const PATIENCE: Duration = Duration::from_secs(3);
