//! Receiving outside the pump: a thread waits in the receive call itself.
//!
//! To wait in a poll first and receive then costs a quarter more of a whole round
//! trip between two processes on one core. But a receive call ends when a datagram
//! arrives and not otherwise, so whoever has to interrupt it sends one: an empty one,
//! from a socket that is there for nothing else, and that the receiving socket knows
//! ([`UdpSocket::open_inlet`](crate::UdpSocket::open_inlet)). Whether such datagrams
//! come through, nobody can tell beforehand; one is sent when the inlet is opened, and
//! once it was received the inlet may be waited in
//! ([`UdpSocket::is_interruptible`](crate::UdpSocket::is_interruptible)). While a thread
//! waits in the inlet nobody else may receive from the socket: what he takes may be the
//! interruption.
//!
//! This knows sockets. It does not know who waits, or why he is interrupted.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::io;
use std::net::UdpSocket as StdSocket;

use bytes::Bytes;

use crate::buffers::RecvBuffers;
use crate::raw::Incoming;

/// A way to receive from a socket without the pump, for one thread at a time.
#[derive(Debug)]
pub struct Inlet {
    socket: StdSocket,
    buffers: RecvBuffers,
}

/// One batch that came through an [`Inlet`], on its way to the pump.
#[derive(Clone, Debug)]
pub struct Inbound {
    pub(crate) incoming: Incoming,
    pub(crate) data: Bytes,
}

/// Ends the present or the next wait in an [`Inlet`].
#[derive(Debug)]
pub struct Interrupter {
    socket: StdSocket,
}

impl Inlet {
    pub(crate) fn new(socket: StdSocket, buffers: RecvBuffers) -> Self {
        Self { socket, buffers }
    }

    /// Waits for a batch, as long as it takes.
    ///
    /// # Errors
    /// The kernel's: an error that an earlier datagram caused, and that the pump has
    /// to look after; `Interrupted` by a signal; `WouldBlock` if somebody who
    /// shares the socket made it non-blocking.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub fn wait(&mut self) -> io::Result<Inbound> {
        let incoming = crate::raw::calls::recv_waiting(&self.socket, self.buffers.current())?;
        Ok(Inbound { incoming, data: self.buffers.filled(incoming.len) })
    }

    /// There is no inlet on this system.
    ///
    /// # Errors
    /// `Unsupported`.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    pub fn wait(&mut self) -> io::Result<Inbound> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl Inbound {
    /// The datagrams, as they arrived.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.data
    }
}

impl Interrupter {
    /// An interrupter of whoever receives at `target`.
    pub(crate) fn new(target: SocketAddr) -> io::Result<Self> {
        let loopback: IpAddr = match target.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        };
        let target = match target.ip() {
            ip if ip.is_unspecified() => SocketAddr::new(loopback, target.port()),
            _ => target,
        };
        // It sends from the address that it sends to: no route, no filter of the
        // outside is on the way.
        let socket = StdSocket::bind(SocketAddr::new(target.ip(), 0))?;
        socket.set_nonblocking(true)?;
        socket.connect(target)?;
        Ok(Self { socket })
    }

    /// Where its datagrams come from.
    pub(crate) fn addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Ends the present wait, or the next one.
    pub fn interrupt(&self) {
        // It fails when the receiver's buffer is full, and then nobody waits there.
        let _ = self.socket.send(&[]);
    }
}
