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
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::task::Wake;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tou_proto::Instant;

use crate::engine::Engine;
use crate::hub::{Hub, Interest};

/// How often to look when nobody can ring.
const NAP: Duration = Duration::from_millis(10);

/// Runs `future` in this thread, which looks after the socket meanwhile.
pub(crate) fn block_on<T>(engine: &Engine, future: impl Future<Output = T>) -> T {
    let bell = Bell::hang();
    let waker = Waker::from(Arc::clone(&bell));
    let cx = &mut Context::from_waker(&waker);
    let due = Arc::new(Due { bell: Arc::clone(&bell), is_due: AtomicBool::new(false) });
    let key = engine.new_key();
    engine.start_blocking(key, &Waker::from(Arc::clone(&due)));
    // Not even a panic may leave the socket to nobody.
    let _leave = OnDrop(|| engine.stop_blocking(key));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(result) = future.as_mut().poll(cx) {
            return result;
        }
        while !bell.was_rung() {
            let writes = engine.look(|hub| hub.pump().wants_write());
            bell.wait(engine, None, writes);
            engine.look_after(|_, _| ());
        }
        // The reactor may have rung while nobody waited, and rings only once.
        if due.is_due.swap(false, SeqCst) {
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
    let bell = Bell::hang();
    let waker = Waker::from(Arc::clone(&bell));
    let key = engine.new_key();
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
            Ok((time, writes)) if !bell.was_rung() => bell.wait(engine, Some(time), writes),
            Ok(_) => {}
            Err(done) => return done,
        }
    }
}

/// The waker of a thread that waits for descriptors.
struct Bell {
    /// `None` when the process has no more descriptors.
    pipe: Option<(PipeReader, PipeWriter)>,
    rung: AtomicBool,
    /// The thread waits, or is about to: it does not look at `rung`.
    waits: AtomicBool,
}

impl Bell {
    fn hang() -> Arc<Self> {
        let (rung, waits) = (AtomicBool::new(false), AtomicBool::new(false));
        Arc::new(Self { pipe: io::pipe().ok(), rung, waits })
    }

    /// Whether it was rung since this was asked last.
    fn was_rung(&self) -> bool {
        self.rung.swap(false, SeqCst)
    }

    /// Waits until the socket is ready, the bell rings or the time is over.
    fn wait(&self, engine: &Engine, time: Option<Duration>, writes: bool) {
        self.waits.store(true, SeqCst);
        if !self.rung.load(SeqCst) {
            self.wait_for_descriptors(engine, time, writes);
        }
        self.waits.store(false, SeqCst);
    }

    fn wait_for_descriptors(&self, engine: &Engine, time: Option<Duration>, writes: bool) {
        let time = if self.pipe.is_some() { time } else { Some(time.unwrap_or(NAP).min(NAP)) };
        // Rounded up: better late than spinning.
        let time = time.map_or(PollTimeout::NONE, |time| {
            PollTimeout::from(u16::try_from(time.as_millis() + 1).unwrap_or(u16::MAX))
        });
        let mut events = PollFlags::POLLIN;
        events.set(PollFlags::POLLOUT, writes);
        let socket = PollFd::new(engine.socket().as_fd(), events);
        // An interrupted wait is a short one.
        let _ = match &self.pipe {
            None => poll(&mut [socket], time),
            Some((reader, _)) => {
                let mut fds = [socket, PollFd::new(reader.as_fd(), PollFlags::POLLIN)];
                let result = poll(&mut fds, time);
                if fds[1].any().unwrap_or(false) {
                    let mut reader = reader;
                    let _ = reader.read(&mut [0; 64]);
                }
                result
            }
        };
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let first = !self.rung.swap(true, SeqCst);
        // Rung once for each wait, it never fills the pipe.
        if first
            && self.waits.load(SeqCst)
            && let Some((_, writer)) = &self.pipe
        {
            let mut writer = writer;
            let _ = writer.write(&[0]);
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
        self.bell.wake_by_ref();
    }
}

struct OnDrop<F: Fn()>(F);

impl<F: Fn()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
