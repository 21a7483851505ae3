//! The system calls: one datagram batch out, some batches in, one error report.
//!
//! [`RawSocket`] is what [`crate::UdpSocket`] needs of a kernel, so that tests
//! put one in its place that refuses as kernels do. [`KernelSocket`] is the
//! real one. No policy here: what a refusal means, and what to do about it, is
//! decided above.

use core::fmt;
use core::net::{IpAddr, SocketAddr};
use std::io::{self, IoSliceMut};
use std::net::UdpSocket as StdSocket;

pub use quinn_udp::RecvMeta;
use quinn_udp::{EcnCodepoint, UdpSocketState};
use tou_proto::Ecn;

use crate::errqueue;
pub use crate::errqueue::{ErrorReport, ErrorSource};

/// One system call's worth of datagrams: all to one peer and equally long but
/// for the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outgoing<'a> {
    /// Where to, in the socket's own address family.
    pub peer: SocketAddr,
    /// The address to send from; `None` leaves the choice to the kernel.
    pub source: Option<IpAddr>,
    /// The ECN codepoint.
    pub ecn: Ecn,
    /// Octets from one datagram to the next; `None` for one datagram.
    pub segment_size: Option<usize>,
    /// The datagrams.
    pub data: &'a [u8],
}

/// The system calls of a UDP socket. Each call is one attempt and none blocks.
pub trait RawSocket: fmt::Debug {
    /// Sends a batch, with the control messages for segmentation, ECN and the
    /// source address.
    ///
    /// # Errors
    /// The kernel's; the batch is then not sent, not even in part.
    fn send(&self, outgoing: &Outgoing<'_>) -> io::Result<()>;

    /// Sends one datagram without any control message.
    ///
    /// # Errors
    /// The kernel's.
    fn send_plain(&self, peer: SocketAddr, data: &[u8]) -> io::Result<()>;

    /// Receives one batch into each buffer, as many as there are now, and
    /// returns how many.
    ///
    /// # Errors
    /// The kernel's: `WouldBlock` when nothing is there, or a pending error
    /// about some datagram sent earlier.
    fn recv(&self, bufs: &mut [IoSliceMut<'_>], metas: &mut [RecvMeta]) -> io::Result<usize>;

    /// Takes the oldest report off the socket's error queue.
    ///
    /// # Errors
    /// The kernel's, but never `WouldBlock`: an empty queue is `None`.
    fn recv_error(&self) -> io::Result<Option<ErrorReport>>;

    /// How many datagrams one `send` can carry; one without segmentation
    /// offload.
    fn max_segments(&self) -> usize;

    /// Forgets what an implementation concluded from refused sends. The ladder
    /// above draws the conclusions, and tells apart what was at fault.
    fn forget_refusals(&mut self);

    /// The address the socket is bound to.
    ///
    /// # Errors
    /// The kernel's.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

/// A socket of the operating system, through `quinn-udp`.
#[derive(Debug)]
pub struct KernelSocket {
    socket: StdSocket,
    state: UdpSocketState,
}

impl KernelSocket {
    /// Takes over a bound socket: makes it non-blocking, forbids
    /// fragmentation, and turns on receive offload, ECN, local addresses and
    /// the error queue where the system has them.
    ///
    /// # Errors
    /// When the system refuses an option that cannot be done without.
    pub fn new(socket: StdSocket) -> io::Result<Self> {
        let state = UdpSocketState::new((&socket).into())?;
        state.enable_transport_errors((&socket).into())?;
        errqueue::without_timestamps(&socket);
        Ok(Self { socket, state })
    }

    /// The socket itself, to register with a poller.
    #[must_use]
    pub fn as_std(&self) -> &StdSocket {
        &self.socket
    }
}

impl RawSocket for KernelSocket {
    fn send(&self, outgoing: &Outgoing<'_>) -> io::Result<()> {
        let Outgoing { peer, source, ecn, segment_size, data } = *outgoing;
        if (source, ecn, segment_size) == (None, Ecn::NotEct, None) {
            // `quinn-udp` would say so in a control message.
            return self.send_plain(peer, data);
        }
        let transmit = quinn_udp::Transmit {
            destination: peer,
            ecn: EcnCodepoint::from_bits(ecn as u8),
            contents: data,
            segment_size,
            src_ip: source,
        };
        self.state.try_send((&self.socket).into(), &transmit)
    }

    fn send_plain(&self, peer: SocketAddr, data: &[u8]) -> io::Result<()> {
        self.socket.send_to(data, peer).map(drop)
    }

    fn recv(&self, bufs: &mut [IoSliceMut<'_>], metas: &mut [RecvMeta]) -> io::Result<usize> {
        self.state.recv((&self.socket).into(), bufs, metas)
    }

    fn recv_error(&self) -> io::Result<Option<ErrorReport>> {
        errqueue::recv(&self.socket)
    }

    fn max_segments(&self) -> usize {
        self.state.max_gso_segments()
    }

    fn forget_refusals(&mut self) {
        // `quinn-udp` stops marking ECN after any EINVAL or EIO, even one that
        // a vanished source address or a device without segmentation caused.
        // Its new state sets the socket options again, and marks again.
        if let Ok(state) = UdpSocketState::new((&self.socket).into()) {
            self.state = state;
            errqueue::without_timestamps(&self.socket);
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}
