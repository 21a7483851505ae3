//! Looking after a socket in a task of the program's own.

use core::pin::Pin;
use core::task::{Context, Poll};
use std::sync::Arc;

use crate::engine::Engine;
use crate::waiters::Key;

/// Does a socket's work in the task that polls it; see
/// [`TouSocket::drive`](crate::TouSocket::drive).
///
/// Ready when the last handle to the socket is dropped and what was written has
/// arrived, or was waited for as long as
/// [`Builder::with_close_timeout`](crate::Builder) says.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Drive {
    engine: Arc<Engine>,
    key: Key,
}

impl Drive {
    pub(crate) fn new(engine: &Arc<Engine>) -> Self {
        Self { engine: Arc::clone(engine), key: engine.new_key() }
    }
}

impl Future for Drive {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.engine.poll_drive(self.key, cx.waker())
    }
}

impl Drop for Drive {
    fn drop(&mut self) {
        self.engine.stop_driving(self.key);
    }
}
