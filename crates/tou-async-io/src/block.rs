//! Waiting for the socket in the calling thread, with no reactor in between.
//!
//! Destructors need it: nothing can be awaited there, and they may run anywhere,
//! at the end of `main`, in a task of any executor, in a waker that the reactor
//! is just calling. And it is the fastest way to wait: one system call instead of
//! the six or seven that a turn of a reactor for everything takes.

use core::pin::pin;
use core::sync::atomic::{AtomicBool, Ordering::SeqCst};
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::sync::Arc;
use std::task::Wake;

use tou_proto::Instant;
use tou_udp::Inlet;
use tou_udp::driver::{Bell, Interest};

use crate::engine::{Engine, Planned};
use crate::hub::Hub;

/// Runs `future` in this thread, which looks after the socket meanwhile.
pub(crate) fn block_on<T>(engine: &Engine, future: impl Future<Output = T>) -> T {
    let bell = engine.bell();
    let waker = Waker::from(Arc::clone(&bell));
    let cx = &mut Context::from_waker(&waker);
    let due = Arc::new(Due { bell: Arc::clone(&bell), is_due: AtomicBool::new(false) });
    let key = engine.new_key();
    let mut inlet = engine.start_blocking(key, &Waker::from(Arc::clone(&due)));
    // Not even a panic may leave the socket to nobody.
    let _leave = OnDrop(|| engine.stop_blocking(key));
    let mut future = pin!(future);
    let result = loop {
        if let Poll::Ready(result) = future.as_mut().poll(cx) {
            break result;
        }
        while !bell.was_rung() {
            wait(engine, &bell, &mut inlet);
        }
        // The reactor may have rung while nobody waited, and rings only once.
        if due.is_due.swap(false, SeqCst) {
            engine.look_after(|_, _| ());
        }
    };
    if let Some(inlet) = inlet {
        engine.return_inlet(inlet);
    }
    result
}

/// Waits once, and looks after the socket.
fn wait(engine: &Engine, bell: &Bell, inlet: &mut Option<Inlet>) {
    match engine.plan_wait(inlet.is_some()) {
        Planned::Receive => engine.received(bell.receive(inlet)),
        Planned::Poll { writes } => {
            let _ = bell.wait(engine.socket(), None, writes);
            engine.look_after(|_, _| ());
        }
    }
}

/// Blocks this thread and looks after the socket until `done`, for `timeout` at
/// most. Returns whether it was done.
pub(crate) fn block_until(
    engine: &Engine,
    timeout: Duration,
    mut done: impl FnMut(&Hub) -> bool,
) -> bool {
    let deadline = engine.now() + timeout;
    let bell = engine.bell();
    let waker = Waker::from(Arc::clone(&bell));
    let key = engine.new_key();
    engine.start_waiting();
    let _stop = OnDrop(|| engine.stop_waiting());
    loop {
        let step = engine.look_after(|hub, now| {
            if done(hub) || now >= deadline {
                hub.delist(Interest::Progress, key);
                return Err(done(hub));
            }
            // Whatever other threads get done is heard of, too.
            hub.enlist(Interest::Progress, key, &waker);
            let due = hub.pump().next_deadline();
            let until = due.map_or(deadline, |due: Instant| due.min(deadline));
            Ok((until.saturating_since(now), hub.pump().wants_write()))
        });
        match step {
            Ok((time, writes)) if !bell.was_rung() => {
                let _ = bell.wait(engine.socket(), Some(time), writes);
            }
            Ok(_) => {}
            Err(done) => return done,
        }
    }
}

/// Rings because the socket needs to be looked after, not because a task does.
struct Due {
    bell: Arc<Bell>,
    is_due: AtomicBool,
}

impl Wake for Due {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_due.store(true, SeqCst);
        self.bell.ring();
    }
}

struct OnDrop<F: Fn()>(F);

impl<F: Fn()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
