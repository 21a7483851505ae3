//! The system calls: one datagram batch out, one batch in, one error report.
//!
//! [`RawSocket`] is what [`crate::UdpSocket`] needs of a kernel, so that tests
//! put one in its place that refuses as kernels do. [`KernelSocket`] is the
//! real one. No policy here: what a refusal means, and what to do about it, is
//! decided above.
//!
//! On Linux the calls are made through `nix` and `rustix`, each with the flag that
//! it must not block, so that the socket may be left in blocking mode for
//! [`crate::Inlet`]; elsewhere they are `quinn-udp`'s.

use core::fmt;
use core::net::{IpAddr, SocketAddr};
use std::io;
use std::net::UdpSocket as StdSocket;

use tou_proto::Ecn;

use crate::errqueue;
pub use crate::errqueue::{ErrorReport, ErrorSource};

#[cfg(any(target_os = "linux", target_os = "android"))]
#[path = "raw/linux.rs"]
pub(crate) mod calls;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
#[path = "raw/portable.rs"]
mod calls;

/// One system call's worth of datagrams: all to one peer and equally long but
/// for the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outgoing<'a> {
    /// Where to, in the socket's own address family.
    pub peer: &'a SocketAddr,
    /// The address to send from; `None` leaves the choice to the kernel.
    pub source: Option<IpAddr>,
    /// The ECN codepoint.
    pub ecn: Ecn,
    /// Octets from one datagram to the next; `None` for one datagram.
    pub segment_size: Option<usize>,
    /// The datagrams.
    pub data: &'a [u8],
}

/// What one receive call brought: one datagram, or several from one peer,
/// equally long but for the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// Where from, in the socket's own address family.
    pub peer: SocketAddr,
    /// The local address it was sent to, where the system tells.
    pub local_ip: Option<IpAddr>,
    /// The ECN codepoint.
    pub ecn: Ecn,
    /// Octets received.
    pub len: usize,
    /// Octets from one datagram to the next; `len` for one datagram.
    pub stride: usize,
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
    fn send_plain(&self, peer: &SocketAddr, data: &[u8]) -> io::Result<()>;

    /// Receives one batch into `buffer`.
    ///
    /// # Errors
    /// The kernel's: `WouldBlock` when nothing is there, or a pending error
    /// about some datagram sent earlier.
    fn recv(&self, buffer: &mut [u8]) -> io::Result<Incoming>;

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

/// A socket of the operating system.
#[derive(Debug)]
pub struct KernelSocket {
    socket: StdSocket,
    state: calls::State,
}

impl KernelSocket {
    /// Takes over a bound socket: makes it non-blocking, forbids
    /// fragmentation, and turns on receive offload, ECN, local addresses and
    /// the error queue where the system has them.
    ///
    /// # Errors
    /// When the system refuses an option that cannot be done without.
    pub fn new(socket: StdSocket) -> io::Result<Self> {
        let state = calls::State::set_up(&socket)?;
        Ok(Self { socket, state })
    }

    /// Asks the system for ECN marks no more.
    ///
    /// # Errors
    /// The system's.
    pub fn without_ecn(&self) -> io::Result<()> {
        calls::without_ecn(&self.socket)
    }

    /// The socket itself, to register with a poller.
    #[must_use]
    pub fn as_std(&self) -> &StdSocket {
        &self.socket
    }
}

impl RawSocket for KernelSocket {
    fn send(&self, outgoing: &Outgoing<'_>) -> io::Result<()> {
        if (outgoing.source, outgoing.ecn, outgoing.segment_size) == (None, Ecn::NotEct, None) {
            // That is what a datagram is without control messages.
            return self.send_plain(outgoing.peer, outgoing.data);
        }
        calls::send(&self.socket, &self.state, outgoing)
    }

    fn send_plain(&self, peer: &SocketAddr, data: &[u8]) -> io::Result<()> {
        calls::send_plain(&self.socket, peer, data)
    }

    fn recv(&self, buffer: &mut [u8]) -> io::Result<Incoming> {
        calls::recv(&self.socket, &self.state, buffer)
    }

    fn recv_error(&self) -> io::Result<Option<ErrorReport>> {
        errqueue::recv(&self.socket)
    }

    fn max_segments(&self) -> usize {
        self.state.max_segments()
    }

    fn forget_refusals(&mut self) {
        self.state.forget_refusals(&self.socket);
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}
