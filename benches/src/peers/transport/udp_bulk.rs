//! Raw UDP for bulk data: full batches, offload both ways, and credits.
//!
//! The ceiling of any transport over UDP. The receiver counts what has arrived
//! and says so now and then; the sender stays one window ahead, so that the
//! socket's buffer never overflows. Nothing else is done for the data.

use core::net::SocketAddr;
use core::time::Duration;
use std::io::{self, IoSliceMut};
use std::net::UdpSocket;
use std::sync::Arc;

use quinn_udp::{RecvMeta, Transmit, UdpSocketState};

use super::{ANY_PORT, Options, Stream, Transport, parse_addr, wrong_side};

/// A UDP socket that serves one connection.
#[derive(Clone, Debug)]
pub(crate) struct UdpBulk {
    socket: Arc<UdpSocket>,
    /// A client's.
    server: Option<SocketAddr>,
}

impl UdpBulk {
    fn open(server: Option<SocketAddr>) -> io::Result<Self> {
        let socket = UdpSocket::bind(ANY_PORT)?;
        socket2::SockRef::from(&socket).set_recv_buffer_size(SOCKET_BUFFER)?;
        Ok(Self { socket: Arc::new(socket), server })
    }
}

impl Transport for UdpBulk {
    type Stream = UdpBulkStream;

    fn server(_: &Options) -> io::Result<(Self, String)> {
        let server = Self::open(None)?;
        let invitation = server.socket.local_addr()?.to_string();
        Ok((server, invitation))
    }

    fn client(_: &Options, invitation: &str) -> io::Result<Self> {
        Self::open(Some(parse_addr(invitation)?))
    }

    async fn connect(&self) -> io::Result<UdpBulkStream> {
        let peer = self.server.ok_or_else(wrong_side)?;
        self.socket.send_to(&[0], peer)?;
        UdpBulkStream::new(&self.socket, peer, Role::Sender)
    }

    async fn accept(&self) -> io::Result<UdpBulkStream> {
        let (_, peer) = self.socket.recv_from(&mut [0])?;
        UdpBulkStream::new(&self.socket, peer, Role::Receiver)
    }
}

/// The client sends the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Sender,
    Receiver,
}

/// Data in one direction, credits in the other; an empty datagram is the end.
#[derive(Debug)]
pub(crate) struct UdpBulkStream {
    socket: Arc<UdpSocket>,
    state: UdpSocketState,
    peer: SocketAddr,
    role: Role,
    /// Octets that were sent or received.
    moved: u64,
    /// Octets of these that the receiver has said to have.
    credited: u64,
}

impl UdpBulkStream {
    fn new(socket: &Arc<UdpSocket>, peer: SocketAddr, role: Role) -> io::Result<Self> {
        let state = UdpSocketState::new((&**socket).into())?;
        // It makes the socket non-blocking, and there is nothing else to do here.
        socket.set_nonblocking(false)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { socket: Arc::clone(socket), state, peer, role, moved: 0, credited: 0 })
    }

    fn send(&self, contents: &[u8]) -> io::Result<()> {
        let transmit = Transmit {
            destination: self.peer,
            ecn: None,
            contents,
            segment_size: (contents.len() > DATAGRAM).then_some(DATAGRAM),
            src_ip: None,
        };
        self.state.try_send((&*self.socket).into(), &transmit)
    }

    fn receive(&self, out: &mut [u8]) -> io::Result<usize> {
        let mut meta = [RecvMeta::default()];
        self.state.recv((&*self.socket).into(), &mut [IoSliceMut::new(out)], &mut meta)?;
        Ok(meta[0].len)
    }

    /// Counts what has arrived, and says so if that is worth a datagram.
    fn take(&mut self, received: usize) -> io::Result<usize> {
        self.moved += received as u64;
        if self.role == Role::Receiver && self.moved - self.credited > WINDOW / 4 {
            self.credited = self.moved;
            self.send(&self.moved.to_be_bytes())?;
        }
        Ok(received)
    }
}

impl Stream for UdpBulkStream {
    async fn write(&mut self, data: &[u8]) -> io::Result<()> {
        for batch in data.chunks(BATCH * DATAGRAM) {
            while self.moved - self.credited > WINDOW {
                let mut credit = [0; 8];
                if self.receive(&mut credit)? != credit.len() {
                    return Err(io::ErrorKind::InvalidData.into());
                }
                self.credited = u64::from_be_bytes(credit);
            }
            self.send(batch)?;
            self.moved += batch.len() as u64;
        }
        Ok(())
    }

    async fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let received = self.receive(out)?;
            // A sender reads late credits, and then the end.
            if received == 0 || self.role == Role::Receiver {
                return self.take(received);
            }
        }
    }

    async fn finish(&mut self) -> io::Result<()> {
        self.send(&[])
    }
}

/// As the other figures of this datagram size were taken.
const DATAGRAM: usize = 1_452;
/// What fits into one send.
const BATCH: usize = 45;
/// Less than what the socket's buffer holds, in which octets count double.
const WINDOW: u64 = 1 << 20;
const SOCKET_BUFFER: usize = 4 << 20;
/// A datagram that takes longer was lost, and nobody will send it again.
const PATIENCE: Duration = Duration::from_secs(3);
