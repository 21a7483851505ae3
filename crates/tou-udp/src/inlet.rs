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
//! Interruptions take the loopback interface. Nobody who waits is interrupted while
//! that is down.
//!
//! This knows sockets. It does not know who waits, or why he is interrupted.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::io;
use std::net::UdpSocket as StdSocket;
use std::sync::Arc;

use bytes::Bytes;

use crate::buffers::RecvBuffers;
use crate::raw::Incoming;

/// A way to receive from a socket without the pump, for one thread at a time.
#[derive(Debug)]
pub struct Inlet {
    socket: StdSocket,
    buffers: RecvBuffers,
    errors: PendingErrors,
}

/// Whether an inlet was given an error: the socket does not tell of it again, and the
/// report is still in the error queue.
#[derive(Clone, Debug, Default)]
pub(crate) struct PendingErrors(Arc<AtomicBool>);

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
    pub(crate) fn new(socket: StdSocket, buffers: RecvBuffers, errors: PendingErrors) -> Self {
        Self { socket, buffers, errors }
    }

    /// Waits for a batch, as long as it takes.
    ///
    /// # Errors
    /// The kernel's: an error that an earlier datagram caused, and that the pump has
    /// to look after; `Interrupted` by a signal; `WouldBlock` if somebody who
    /// shares the socket made it non-blocking.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub fn wait(&mut self) -> io::Result<Inbound> {
        let received = crate::raw::calls::recv_waiting(&self.socket, self.buffers.current());
        let incoming = received.inspect_err(|_| self.errors.0.store(true, Relaxed))?;
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

impl PendingErrors {
    /// Whether there may be any since this was asked last.
    pub(crate) fn take(&self) -> bool {
        // Mostly there are none, and to look costs less than to write.
        self.0.load(Relaxed) && self.0.swap(false, Relaxed)
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
        // It fails when the receiver's buffer is full, and then nobody waits there; or it
        // returns the error of an earlier one, and this one is still to be sent.
        if self.socket.send(&[]).is_err() {
            let _ = self.socket.send(&[]);
        }
    }
}

#[cfg(all(test, any(target_os = "linux", target_os = "android")))]
mod tests {
    use super::*;

    #[test]
    fn an_interruption_goes_out_whatever_became_of_the_last() {
        let gone = StdSocket::bind("127.0.0.1:0").unwrap_or_else(|error| panic!("{error}"));
        let addr = gone.local_addr().unwrap_or_else(|error| panic!("{error}"));
        let interrupter = Interrupter::new(addr).unwrap_or_else(|error| panic!("{error}"));
        drop(gone);
        // Refused.
        interrupter.interrupt();
        let Ok(target) = StdSocket::bind(addr) else {
            return eprintln!("NOT RUN: somebody else has the port now");
        };
        interrupter.interrupt();
        assert!(target.set_nonblocking(true).is_ok());
        assert_eq!(target.recv(&mut [0]).ok(), Some(0));
    }
}
