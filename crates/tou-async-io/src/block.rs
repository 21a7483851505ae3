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
use crate::waiters::Key;

/// Runs `future` in this thread, which looks after the socket meanwhile.
pub(crate) fn block_on<T>(engine: &Engine, future: impl Future<Output = T>) -> T {
    let bell = engine.bell();
    let waker = Waker::from(Arc::clone(&bell));
    let cx = &mut Context::from_waker(&waker);
    let due = Arc::new(Due { bell: Arc::clone(&bell), is_due: AtomicBool::new(false) });
    let key = engine.new_key();
    let inlet = engine.start_blocking(key, &Waker::from(Arc::clone(&due)));
    let mut place = Place { engine, key, inlet };
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(result) = future.as_mut().poll(cx) {
            return result;
        }
        let mut has_waited = false;
        while !bell.was_rung() {
            wait(engine, &bell, &mut place.inlet);
            has_waited = true;
        }
        if due.is_due.swap(false, SeqCst) {
            // The reactor may have rung while nobody waited, and rings only once.
            engine.look_after(|_, _| ());
        } else if !has_waited {
            // A future that wakes itself never lets this thread wait.
            engine.call(|_, _| ());
        }
    }
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

/// A thread that drives the socket. Not even a panic may leave the socket to nobody, or
/// its inlet lost.
struct Place<'a> {
    engine: &'a Engine,
    key: Key,
    inlet: Option<Inlet>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.engine.stop_blocking(self.key, self.inlet.take());
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

#[cfg(test)]
mod tests {
    use core::panic::AssertUnwindSafe;
    use std::io;
    use std::panic::catch_unwind;

    use tou_udp::driver::{Builder, FromSetup, Setup};

    use super::*;

    struct Bare(Arc<Engine>);

    impl FromSetup for Bare {
        fn from_setup(setup: Setup) -> io::Result<Self> {
            Engine::start(setup.pump).map(Self)
        }
    }

    #[test]
    fn a_future_that_panics_takes_no_inlet_with_it() {
        let built = Builder::<Bare>::default().bind("127.0.0.1:0");
        let Bare(engine) = built.unwrap_or_else(|error| panic!("no socket: {error}"));
        let (key, waker) = (engine.new_key(), Waker::noop());
        let inlet = engine.start_blocking(key, waker);
        let has_inlet = inlet.is_some();
        engine.stop_blocking(key, inlet);
        let panics = async { panic!("a panic that is part of a test") };
        assert!(catch_unwind(AssertUnwindSafe(|| block_on::<()>(&engine, panics))).is_err());
        let inlet = engine.start_blocking(key, waker);
        assert_eq!(inlet.is_some(), has_inlet);
        engine.stop_blocking(key, inlet);
    }
}
