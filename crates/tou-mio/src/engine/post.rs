//! Where a caller who leads waits: in the receive call itself, or in a poll.
//!
//! The receive call is the faster one, but brings one batch and nothing else: no
//! timeout, no writability. This knows both ways to wait, and how to end either from
//! another thread; which one it is to be is decided where the wait is planned.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use tou_udp::driver::{Bell, Readiness};
use tou_udp::{Inbound, Inlet, Interrupter};

use super::Wait;

/// What a wait ended with.
#[derive(Debug)]
pub(super) enum Woken {
    /// The socket is ready, the time is up, or somebody nudged.
    Ready(Readiness),
    /// This was received; or somebody nudged, and it is an interruption.
    Inbound(Inbound),
}

/// What a leader waits in.
#[derive(Debug)]
pub(super) struct Post {
    socket: OwnedFd,
    bell: Arc<Bell>,
    inlet: Option<Inlet>,
}

/// Ends the current or the next wait at a post.
#[derive(Debug)]
pub(super) struct PostNudge {
    bell: Arc<Bell>,
    interrupter: Option<Interrupter>,
}

impl Post {
    /// A post for `socket`, and what nudges whoever waits there.
    pub(super) fn new(
        socket: &impl AsFd,
        inlet: Option<(Inlet, Interrupter)>,
    ) -> io::Result<(Self, PostNudge)> {
        let socket = socket.as_fd().try_clone_to_owned()?;
        let (inlet, interrupter) = inlet.unzip();
        let bell = Arc::new(Bell::default());
        let nudge = PostNudge { bell: Arc::clone(&bell), interrupter };
        Ok((Self { socket, bell, inlet }, nudge))
    }

    /// Whether one can wait in the receive call here.
    pub(super) fn has_inlet(&self) -> bool {
        self.inlet.is_some()
    }

    /// Waits as planned.
    pub(super) fn wait(&mut self, wait: Wait) -> Woken {
        if wait.receiving
            && let Some(inlet) = &mut self.inlet
        {
            let kind = match inlet.wait() {
                Ok(inbound) => return Woken::Inbound(inbound),
                Err(error) => error.kind(),
            };
            if kind == io::ErrorKind::Interrupted {
                return Woken::Ready(Readiness::default());
            }
            if kind != io::ErrorKind::WouldBlock {
                // An earlier datagram's error: there may be a report of it.
                return Woken::Ready(Readiness { readable: true, writable: false });
            }
            // Somebody who shares the socket made it non-blocking.
            self.inlet = None;
        }
        let ready = self.bell.wait(&self.socket, wait.timeout, wait.writes);
        self.bell.was_rung();
        Woken::Ready(ready)
    }
}

impl PostNudge {
    /// Wakes whoever waits in a poll there.
    pub(super) fn ring(&self) {
        self.bell.ring();
    }

    /// Wakes whoever waits in the receive call there.
    pub(super) fn interrupt(&self) {
        if let Some(interrupter) = &self.interrupter {
            interrupter.interrupt();
        }
    }
}
