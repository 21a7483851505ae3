//! Where the background thread waits: for the UDP socket, or for a nudge from
//! another thread.
//!
//! It knows file descriptors and time-outs; it knows neither what the socket carries
//! nor why one waits.

use core::time::Duration;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use tou_udp::driver::Readiness;

const SOCKET: Token = Token(0);
const NUDGE: Token = Token(1);

/// Readiness of one socket, edge-triggered: whoever is told that the socket is
/// readable reads it empty, or remembers that he did not. But a wait that is the first
/// since [`leave`](Self::leave) is told how things are.
#[derive(Debug)]
pub(super) struct Poller {
    poll: Poll,
    events: Events,
    /// Kept open while registered, whatever becomes of the original.
    socket: OwnedFd,
    /// What the socket is registered for.
    watched: Option<Interest>,
}

/// Ends the current or the next wait of the poller it belongs to.
#[derive(Clone, Debug)]
pub(super) struct Nudge(Arc<Waker>);

impl Poller {
    /// A poller for `socket`, and what nudges it.
    pub(super) fn new(socket: &impl AsFd) -> io::Result<(Self, Nudge)> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), NUDGE)?;
        let socket = socket.as_fd().try_clone_to_owned()?;
        let poller = Self { poll, events: Events::with_capacity(4), socket, watched: None };
        Ok((poller, Nudge(Arc::new(waker))))
    }

    /// Waits until something happens or `timeout` has passed (`None`: for ever).
    ///
    /// `writes`: whether to wait for writability too. Not always: the kernel
    /// would then report every datagram that leaves.
    ///
    /// # Errors
    /// The system's; none is expected.
    pub(super) fn wait(
        &mut self,
        timeout: Option<Duration>,
        writes: bool,
    ) -> io::Result<Readiness> {
        let read = Interest::READABLE;
        self.watch(if writes { read | Interest::WRITABLE } else { read })?;
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                return Ok(Readiness::default());
            }
            result => result?,
        }
        let mut readiness = Readiness::default();
        for event in &self.events {
            if event.token() == SOCKET {
                // A queued error report makes a socket "in error", not readable.
                readiness.readable |= event.is_readable() || event.is_error();
                readiness.writable |= event.is_writable();
            }
        }
        Ok(readiness)
    }

    /// Others wait from now on: a socket that is registered here pays for it with
    /// every datagram, 0.2 us and more.
    pub(super) fn leave(&mut self) {
        if self.watched.take().is_some() {
            // It fails only if the socket was not registered.
            let _ = self.poll.registry().deregister(&mut SourceFd(&self.socket.as_raw_fd()));
        }
    }

    fn watch(&mut self, interest: Interest) -> io::Result<()> {
        if self.watched == Some(interest) {
            return Ok(());
        }
        let fd = self.socket.as_raw_fd();
        let (registry, source) = (self.poll.registry(), &mut SourceFd(&fd));
        match self.watched {
            None => registry.register(source, SOCKET, interest)?,
            Some(_) => registry.reregister(source, SOCKET, interest)?,
        }
        self.watched = Some(interest);
        Ok(())
    }
}

impl Nudge {
    /// Wakes the poller's thread.
    pub(super) fn send(&self) {
        // It fails only if the poller is gone, and then nobody waits there.
        let _ = self.0.wake();
    }
}
