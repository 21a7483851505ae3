//! One operation that may have to wait: its place among those who wait, and its
//! time limit.
//!
//! Dropping it takes it out again. It knows neither what is attempted nor why.

use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::sync::Arc;

use async_io::Timer;
use tou_proto::Instant;
use tou_udp::driver::Interest;

use crate::engine::Engine;
use crate::hub::Hub;
use crate::waiters::Key;

#[derive(Debug)]
pub(crate) struct Wait {
    engine: Arc<Engine>,
    interest: Interest,
    key: Key,
    /// Its last attempt had to wait.
    waits: bool,
    /// Runs while it waits, if its time is limited.
    timer: Option<Box<Timer>>,
}

impl Wait {
    pub(crate) fn new(engine: &Arc<Engine>, interest: Interest) -> Self {
        let key = engine.new_key();
        Self { engine: Arc::clone(engine), interest, key, waits: false, timer: None }
    }

    /// Attempts something. Ready with `None` when `limit` has passed since the
    /// first attempt that had to wait.
    pub(crate) fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        limit: Option<Duration>,
        mut attempt: impl FnMut(&mut Hub, Instant) -> Option<T>,
    ) -> Poll<Option<T>> {
        let place = (self.interest, self.key, cx.waker());
        let mut result = self.engine.attempt(place, &mut attempt);
        self.waits = result.is_none();
        if self.waits {
            if !self.is_over(cx, limit) {
                return Poll::Pending;
            }
            // What arrived while nobody looked has arrived in time.
            self.engine.look_after(|_, _| ());
            result = self.engine.attempt(place, attempt);
        }
        self.leave();
        self.timer = None;
        Poll::Ready(result)
    }

    fn is_over(&mut self, cx: &mut Context<'_>, limit: Option<Duration>) -> bool {
        limit.is_some_and(|limit| {
            let timer = self.timer.get_or_insert_with(|| Box::new(Timer::after(limit)));
            Pin::new(&mut **timer).poll(cx).is_ready()
        })
    }

    fn leave(&mut self) {
        if core::mem::take(&mut self.waits) {
            self.engine.look(|hub| hub.delist(self.interest, self.key));
        }
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.leave();
    }
}
