//! Waiting in a destructor, where nothing can be awaited.
//!
//! A destructor may run anywhere: at the end of `main`, in a task of any
//! executor, in a waker that the reactor is just calling. So this waits for the
//! socket by itself and leans on no executor and no reactor.

use core::task::Waker;
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

/// Blocks this thread and looks after the socket until `done`, for `timeout` at
/// most. Returns whether it was done.
pub(crate) fn block_until(
    engine: &Engine,
    timeout: Duration,
    mut done: impl FnMut(&Hub) -> bool,
) -> bool {
    let deadline = engine.now() + timeout;
    let bell = Bell::hang();
    let key = engine.new_key();
    loop {
        let step = engine.look_after(|hub, now| {
            if done(hub) || now >= deadline {
                hub.delist(Interest::Progress, key);
                return Err(done(hub));
            }
            // Whatever other threads get done is heard of, too.
            if let Ok((_, waker)) = &bell {
                hub.enlist(Interest::Progress, key, waker);
            }
            let due = hub.pump().next_deadline();
            Ok((until(now, due.into_iter().chain([deadline]).min()), hub.pump().wants_write()))
        });
        match step {
            Ok((time, writes)) => wait(engine, bell.as_ref().ok(), time, writes),
            Err(done) => return done,
        }
    }
}

fn until(now: Instant, due: Option<Instant>) -> Duration {
    due.map_or(NAP, |due| due.saturating_since(now))
}

/// Waits for the socket or the bell.
fn wait(engine: &Engine, bell: Option<&(PipeReader, Waker)>, time: Duration, writes: bool) {
    let time = if bell.is_some() { time } else { time.min(NAP) };
    // Rounded up: better late than spinning.
    let time = u16::try_from(time.as_millis() + 1).unwrap_or(u16::MAX);
    let events = if writes { PollFlags::POLLIN | PollFlags::POLLOUT } else { PollFlags::POLLIN };
    let socket = PollFd::new(engine.socket().as_fd(), events);
    let time = PollTimeout::from(time);
    // An interrupted wait is a short one.
    let _ = match bell {
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

/// A waker for a thread that waits for descriptors.
struct Bell(PipeWriter);

impl Bell {
    fn hang() -> io::Result<(PipeReader, Waker)> {
        let (reader, writer) = io::pipe()?;
        Ok((reader, Waker::from(Arc::new(Self(writer)))))
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        // Rung once for each time it is entered, it never fills the pipe.
        let _ = (&self.0).write(&[0]);
    }
}
