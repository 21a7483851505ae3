//! Where a caller who leads waits: in the receive call itself, or in a poll.
//!
//! This knows both ways to wait; which one it is to be is decided where the wait is
//! planned.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use tou_udp::driver::{Bell, Woken};
use tou_udp::{Inlet, Interrupter};

use super::Wait;

/// What a leader waits in. It goes from hand to hand, so it is boxed.
#[derive(Debug)]
pub(super) struct Post {
    socket: OwnedFd,
    bell: Arc<Bell>,
    inlet: Option<Inlet>,
    /// What the last wait ended with.
    woken: Woken,
}

impl Post {
    /// A post for `socket`, and the bell that ends the wait there, or the next one.
    pub(super) fn new(
        socket: &impl AsFd,
        inlet: Option<(Inlet, Interrupter)>,
    ) -> io::Result<(Box<Self>, Arc<Bell>)> {
        let socket = socket.as_fd().try_clone_to_owned()?;
        let (inlet, interrupter) = inlet.unzip();
        let bell = Arc::new(Bell::new(interrupter.map(Arc::new)));
        let post = Self { socket, bell: Arc::clone(&bell), inlet, woken: Woken::default() };
        Ok((Box::new(post), bell))
    }

    /// Whether one can wait in the receive call here.
    pub(super) fn has_inlet(&self) -> bool {
        self.inlet.is_some()
    }

    /// Waits as planned.
    pub(super) fn wait(&mut self, wait: Wait) {
        self.woken = if wait.receiving {
            self.bell.receive(&mut self.inlet)
        } else {
            Woken::Ready(self.bell.wait(&self.socket, wait.timeout, wait.writes))
        };
        self.bell.was_rung();
    }

    /// What the last wait ended with, once.
    pub(super) fn take_woken(&mut self) -> Woken {
        core::mem::take(&mut self.woken)
    }
}

#[cfg(test)]
impl Post {
    /// A wait is over that never was.
    pub(super) fn end_with(&mut self, woken: Woken) {
        self.woken = woken;
    }
}
