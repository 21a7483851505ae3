//! Waiting for a UDP socket, or for a nudge from another thread.
//!
//! One poller serves one waiting thread at a time. It knows file descriptors
//! and time-outs; it knows neither what the socket carries nor why one waits.

use core::time::Duration;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};

const SOCKET: Token = Token(0);
const NUDGE: Token = Token(1);

/// What a wait ended with. Nothing set: its time was up, or somebody nudged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Readiness {
    /// Datagrams, or error reports, may have arrived.
    pub(crate) readable: bool,
    /// The socket takes datagrams again.
    pub(crate) writable: bool,
}

/// Readiness of one socket, edge-triggered: whoever is told that the socket is
/// readable reads it empty, or remembers that he did not.
///
/// Several pollers may watch the same socket; each gets every edge, and keeps
/// it until its next wait. So threads may change places at any time and none
/// misses a datagram.
#[derive(Debug)]
pub(crate) struct Poller {
    poll: Poll,
    events: Events,
    /// Kept open while registered, whatever becomes of the original.
    socket: OwnedFd,
    watches_writes: bool,
}

/// Ends the current or the next wait of the poller it belongs to.
#[derive(Clone, Debug)]
pub(crate) struct Nudge(Arc<Waker>);

impl Poller {
    /// A poller for `socket`, and what nudges it.
    pub(crate) fn new(socket: &impl AsFd) -> io::Result<(Self, Nudge)> {
        let poll = Poll::new()?;
        let socket = socket.as_fd().try_clone_to_owned()?;
        poll.registry().register(&mut SourceFd(&socket.as_raw_fd()), SOCKET, Interest::READABLE)?;
        let waker = Waker::new(poll.registry(), NUDGE)?;
        let poller = Self { poll, events: Events::with_capacity(4), socket, watches_writes: false };
        Ok((poller, Nudge(Arc::new(waker))))
    }

    /// Waits until something happens or `timeout` has passed (`None`: for ever).
    ///
    /// `writes`: whether to wait for writability too. Not always: the kernel
    /// would then report every datagram that leaves.
    ///
    /// # Errors
    /// The system's; none is expected.
    pub(crate) fn wait(
        &mut self,
        timeout: Option<Duration>,
        writes: bool,
    ) -> io::Result<Readiness> {
        self.watch_writes(writes)?;
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

    fn watch_writes(&mut self, watch: bool) -> io::Result<()> {
        if watch == self.watches_writes {
            return Ok(());
        }
        let interest =
            if watch { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
        let fd = self.socket.as_raw_fd();
        self.poll.registry().reregister(&mut SourceFd(&fd), SOCKET, interest)?;
        self.watches_writes = watch;
        Ok(())
    }
}

impl Nudge {
    /// Wakes the poller's thread.
    pub(crate) fn send(&self) {
        // It fails only if the poller is gone, and then nobody waits there.
        let _ = self.0.wake();
    }
}
