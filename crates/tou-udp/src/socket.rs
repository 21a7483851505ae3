//! A UDP socket that speaks in batches: opening it, receiving, and the way into
//! the sending ladder.
//!
//! It knows datagrams and addresses. It knows no machine, no clock, and not who
//! waits for readiness: no call blocks.

use core::net::{IpAddr, SocketAddr};
use std::io;
use std::net::UdpSocket as StdSocket;

use bytes::Bytes;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tou_proto::{PathError, PathErrorKind, ReceivedBatch, Transmit};

use crate::addr;
use crate::buffers::RecvBuffers;
use crate::inlet::{Inbound, Inlet, Interrupter, PendingErrors};
use crate::raw::{Incoming, KernelSocket, RawSocket};
use crate::refusal::Refusal;
use crate::reports::Reports;
use crate::send::{Ladder, Limits, Sent};
use crate::stats::SocketStats;

/// How many batches are received before the machine may answer.
const MAX_BATCHES: usize = 8;

/// How often a receive is tried again because of pending errors.
const MAX_RECV_ERRORS: u32 = 16;

/// How a socket is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SocketOptions {
    /// Octets of receive buffer to ask for. The system may grant less, see
    /// [`UdpSocket::buffer_sizes`].
    pub recv_buffer: usize,
    /// Octets of send buffer to ask for.
    pub send_buffer: usize,
    /// Whether a socket bound to `[::]` takes IPv4 too.
    pub dual_stack: bool,
    /// Whether several sockets may bind the same port and share its peers
    /// (`SO_REUSEPORT`; an error where the system has no such thing).
    pub reuse_port: bool,
    /// Whether the system is asked for the ECN mark of what arrives. That takes some
    /// time with each datagram; without, everything arrives as not ECN-capable.
    pub ecn: bool,
}

impl Default for SocketOptions {
    /// 4 MiB each way, dual stack, a port of its own, ECN marks.
    fn default() -> Self {
        let (recv_buffer, send_buffer) = (4 << 20, 4 << 20);
        Self { recv_buffer, send_buffer, dual_stack: true, reuse_port: false, ecn: true }
    }
}

impl SocketOptions {
    /// Asks for a receive buffer of `octets`.
    #[must_use]
    pub fn with_recv_buffer(mut self, octets: usize) -> Self {
        self.recv_buffer = octets;
        self
    }

    /// Asks for a send buffer of `octets`.
    #[must_use]
    pub fn with_send_buffer(mut self, octets: usize) -> Self {
        self.send_buffer = octets;
        self
    }

    /// Whether a socket bound to `[::]` takes IPv4 too.
    #[must_use]
    pub fn with_dual_stack(mut self, dual_stack: bool) -> Self {
        self.dual_stack = dual_stack;
        self
    }

    /// Whether the system is asked for ECN marks.
    #[must_use]
    pub fn with_ecn(mut self, ecn: bool) -> Self {
        self.ecn = ecn;
        self
    }

    /// Whether several sockets may bind the same port.
    #[must_use]
    pub fn with_reuse_port(mut self, reuse_port: bool) -> Self {
        self.reuse_port = reuse_port;
        self
    }
}

/// The buffers that the system granted, in octets as it reports them (Linux
/// says twice what was asked for, to cover its own book-keeping).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferSizes {
    /// For what arrived and was not read yet.
    pub recv: usize,
    /// For what was sent and has not left yet.
    pub send: usize,
}

/// What receiving brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Batches handed over.
    pub batches: usize,
    /// There is probably more to receive.
    pub more: bool,
}

/// A UDP socket, in batches.
#[derive(Debug)]
pub struct UdpSocket<R = KernelSocket> {
    raw: R,
    local_addr: SocketAddr,
    /// The one address that it is bound to: that needs neither be asked for nor told with
    /// each datagram.
    bound_ip: Option<IpAddr>,
    buffers: RecvBuffers,
    limits: Limits,
    reports: Reports,
    stats: SocketStats,
    /// Where interruptions of an inlet come from.
    interrupter: Option<SocketAddr>,
    interruptible: bool,
    inlet_errors: PendingErrors,
}

impl UdpSocket {
    /// Opens a socket bound to `addr`.
    ///
    /// # Errors
    /// The system's, when it cannot open, bind or set up the socket. A buffer
    /// smaller than asked for is no error.
    pub fn bind(addr: SocketAddr, options: &SocketOptions) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
        if addr.is_ipv6() {
            socket.set_only_v6(!options.dual_stack)?;
        }
        if options.reuse_port {
            reuse_port(&socket)?;
        }
        socket.bind(&addr.into())?;
        Self::from_std(socket.into(), options)
    }

    /// Takes over a socket that the caller bound (and perhaps punched a hole
    /// for). It must not be connected. Of the options only the buffer sizes
    /// and ECN apply.
    ///
    /// # Errors
    /// The system's, when it refuses an option that cannot be done without.
    pub fn from_std(socket: StdSocket, options: &SocketOptions) -> io::Result<Self> {
        let reference = SockRef::from(&socket);
        // Best effort: the limits are the administrator's, who may pass them.
        if !force_recv_buffer(&socket, options.recv_buffer) {
            let _ = reference.set_recv_buffer_size(options.recv_buffer);
        }
        if !force_send_buffer(&socket, options.send_buffer) {
            let _ = reference.set_send_buffer_size(options.send_buffer);
        }
        let kernel = KernelSocket::new(socket)?;
        if !options.ecn {
            kernel.without_ecn()?;
        }
        Self::from_raw(kernel)
    }

    /// The socket itself, to register with a poller or to clone. Reading from
    /// it, or changing its options, takes from this.
    #[must_use]
    pub fn as_std(&self) -> &StdSocket {
        self.raw.as_std()
    }

    /// Opens a way to receive without this, for a thread that waits in the receive
    /// call itself; `None` where there is no such way. The socket is in blocking mode
    /// from then on, which no other call through this heeds. Not to be waited in
    /// before [`is_interruptible`](Self::is_interruptible).
    ///
    /// # Errors
    /// The system's, when it has no more descriptors.
    pub fn open_inlet(&mut self) -> io::Result<Option<(Inlet, Interrupter)>> {
        let options = SockRef::from(self.as_std());
        // Where sockets share a port an interruption may reach another one.
        let shares_port =
            options.reuse_port().unwrap_or(true) || options.reuse_address().unwrap_or(true);
        // Where the socket has one address, none reaches it once the host has lost that.
        let ip = self.local_addr.ip().to_canonical();
        let loses_address = !ip.is_unspecified() && !ip.is_loopback();
        let has_calls = cfg!(any(target_os = "linux", target_os = "android"));
        if !has_calls || shares_port || loses_address {
            return Ok(None);
        }
        let Ok(interrupter) = Interrupter::new(self.local_addr) else { return Ok(None) };
        let socket = self.as_std().try_clone()?;
        let inlet = Inlet::new(socket, self.buffers.clone(), self.inlet_errors.clone());
        self.as_std().set_nonblocking(false)?;
        self.interrupter = Some(interrupter.addr()?);
        interrupter.interrupt();
        Ok(Some((inlet, interrupter)))
    }

    /// The buffers that the system granted.
    ///
    /// # Errors
    /// The system's.
    pub fn buffer_sizes(&self) -> io::Result<BufferSizes> {
        let socket = SockRef::from(self.as_std());
        Ok(BufferSizes { recv: socket.recv_buffer_size()?, send: socket.send_buffer_size()? })
    }
}

#[cfg(unix)]
impl std::os::fd::AsFd for UdpSocket {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.as_std().as_fd()
    }
}

#[cfg(windows)]
impl std::os::windows::io::AsSocket for UdpSocket {
    fn as_socket(&self) -> std::os::windows::io::BorrowedSocket<'_> {
        self.as_std().as_socket()
    }
}

/// Sets the size of the receive buffer beyond the system's limit, for a process that is
/// allowed to; false if it is not.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn force_recv_buffer(socket: &StdSocket, octets: usize) -> bool {
    use nix::sys::socket::{setsockopt, sockopt::RcvBufForce};
    setsockopt(socket, RcvBufForce, &octets).is_ok()
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn force_recv_buffer(_socket: &StdSocket, _octets: usize) -> bool {
    false
}

/// The same for the send buffer.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn force_send_buffer(socket: &StdSocket, octets: usize) -> bool {
    use nix::sys::socket::{setsockopt, sockopt::SndBufForce};
    setsockopt(socket, SndBufForce, &octets).is_ok()
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn force_send_buffer(_socket: &StdSocket, _octets: usize) -> bool {
    false
}

#[cfg(all(unix, not(any(target_os = "solaris", target_os = "illumos", target_os = "cygwin"))))]
fn reuse_port(socket: &Socket) -> io::Result<()> {
    socket.set_reuse_port(true)
}

#[cfg(not(all(
    unix,
    not(any(target_os = "solaris", target_os = "illumos", target_os = "cygwin"))
)))]
fn reuse_port(_socket: &Socket) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

impl<R: RawSocket> UdpSocket<R> {
    /// A socket over any system calls.
    ///
    /// # Errors
    /// When the local address cannot be told.
    pub fn from_raw(raw: R) -> io::Result<Self> {
        let local_addr = raw.local_addr()?;
        let limits = Limits::new(raw.max_segments());
        Ok(Self {
            raw,
            local_addr,
            bound_ip: Some(local_addr.ip().to_canonical()).filter(|ip| !ip.is_unspecified()),
            buffers: RecvBuffers::default(),
            limits,
            reports: Reports::default(),
            stats: SocketStats::default(),
            interrupter: None,
            interruptible: false,
            inlet_errors: PendingErrors::default(),
        })
    }

    /// The system calls underneath.
    #[must_use]
    pub fn raw(&self) -> &R {
        &self.raw
    }

    /// The address that the socket is bound to.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// How many datagrams a batch should have at most: one once the kernel
    /// refused segmentation offload.
    #[must_use]
    pub fn max_segments(&self) -> usize {
        self.limits.max_segments()
    }

    /// How many octets a batch should have at most.
    #[must_use]
    pub fn max_bytes(&self) -> usize {
        self.limits.max_bytes()
    }

    /// What the socket has done so far.
    #[must_use]
    pub fn stats(&self) -> SocketStats {
        SocketStats { buffers_allocated: self.buffers.allocated(), ..self.stats }
    }

    /// Sends a batch: `data` holds its datagrams, `transmit.stride` octets
    /// apart.
    ///
    /// A batch larger than the kernel takes goes in several, one that it
    /// refuses goes again in the way it does take. Whoever is told of fewer
    /// datagrams than there are calls again, when the socket is writable, with
    /// the rest. Datagrams that cannot be sent at all (no route, larger than
    /// the interface takes) count as lost, and [`UdpSocket::poll_error`] tells
    /// of them.
    pub fn send(&mut self, transmit: &Transmit, data: &[u8]) -> Sent {
        let Some(peer) = addr::for_family(&transmit.peer, self.local_addr.is_ipv4()) else {
            return self.lose_foreign(transmit, data);
        };
        let peer = peer.as_ref();
        let source = transmit.local_ip.filter(|_| self.bound_ip.is_none());
        let mut ladder = Ladder {
            raw: &mut self.raw,
            limits: &mut self.limits,
            reports: &mut self.reports,
            stats: &mut self.stats,
            peer,
            source: source.and_then(|ip| addr::source_for(ip, peer)),
            transmit,
        };
        ladder.send(data)
    }

    /// An IPv4 socket was given an IPv6 peer.
    #[cold]
    fn lose_foreign(&mut self, transmit: &Transmit, data: &[u8]) -> Sent {
        let datagrams = data.len().div_ceil(transmit.stride.max(1)).max(1);
        self.stats.lost_unreachable += datagrams as u64;
        let error =
            PathError { peer: transmit.peer, kind: PathErrorKind::NoRoute, quoted: Bytes::new() };
        self.reports.push(error, &mut self.stats);
        Sent { datagrams, blocked: false }
    }

    /// Receives what is there, a few batches' worth at most, and hands it to `sink`.
    /// Brings nothing, and is no error, when there is nothing to receive; error
    /// reports that turned up instead wait in [`UdpSocket::poll_error`].
    ///
    /// # Errors
    /// The system's, when the socket itself is broken.
    pub fn recv(&mut self, mut sink: impl FnMut(ReceivedBatch)) -> io::Result<Received> {
        if self.inlet_errors.take() {
            self.drain_errors();
        }
        let mut batches = 0;
        let mut errors = 0;
        while batches < MAX_BATCHES && errors < MAX_RECV_ERRORS {
            self.stats.recv_calls += 1;
            let error = match self.raw.recv(self.buffers.current()) {
                Ok(incoming) => {
                    let data = self.buffers.filled(incoming.len);
                    batches += 1;
                    self.admit(&incoming, data).map(&mut sink);
                    continue;
                }
                Err(error) => error,
            };
            errors += 1;
            match Refusal::of(&error) {
                Refusal::Blocked | Refusal::QueueFull => {
                    return Ok(Received { batches, more: false });
                }
                Refusal::Interrupted => {}
                // The socket returned a pending error, and cleared it.
                Refusal::Path(_) | Refusal::TooBig => self.drain_errors(),
                Refusal::Unsupported => return Err(error),
            }
        }
        // There is probably more; or a storm of reports, and the caller has other
        // things to do as well.
        Ok(Received { batches, more: true })
    }

    /// What came through an [`Inlet`] of this socket, as [`recv`](Self::recv) would
    /// hand it over; `None` for an interruption.
    pub fn recv_inbound(&mut self, inbound: Inbound) -> Option<ReceivedBatch> {
        self.stats.recv_calls += 1;
        self.admit(&inbound.incoming, inbound.data)
    }

    /// Whether an interruption of the inlet has come through so far.
    #[must_use]
    pub fn is_interruptible(&self) -> bool {
        self.interruptible
    }

    /// Counts what was received, and puts it into the machine's terms.
    fn admit(&mut self, incoming: &Incoming, data: Bytes) -> Option<ReceivedBatch> {
        let Incoming { peer, local_ip, ecn, len, stride } = *incoming;
        if len == 0 && self.interrupter == Some(peer) {
            self.interruptible = true;
            return None;
        }
        let stride = if stride >= len { 0 } else { stride };
        let datagrams = if stride == 0 { 1 } else { len.div_ceil(stride) };
        self.stats.datagrams_received += datagrams as u64;
        self.stats.bytes_received += len as u64;
        self.stats.batches_received.count(datagrams);
        let local_ip = self.bound_ip.or_else(|| self.note_local_ip(local_ip?));
        Some(ReceivedBatch { peer: addr::canonical(peer), local_ip, ecn, stride, data })
    }

    /// A datagram has arrived at this address of the host's.
    fn note_local_ip(&mut self, local_ip: IpAddr) -> Option<IpAddr> {
        let local_ip = local_ip.to_canonical();
        self.limits.source_works(local_ip);
        Some(local_ip)
    }

    /// Empties the socket's error queue into [`UdpSocket::poll_error`].
    ///
    /// A receive does so by itself when it meets an error. This is for the case
    /// that a poller reported something and nothing was there to receive.
    pub fn drain_errors(&mut self) {
        self.reports.drain(&self.raw, &mut self.stats);
    }

    /// The next error report about a peer.
    pub fn poll_error(&mut self) -> Option<PathError> {
        self.reports.pop()
    }
}
