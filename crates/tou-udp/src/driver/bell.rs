//! Waiting for a socket in the calling thread, with `poll(2)` and no reactor in
//! between, until it is ready or another thread rings.
//!
//! It is one system call, and needs nothing to be registered with the kernel: a
//! socket that is registered somewhere pays for that with every datagram.

use core::sync::atomic::{AtomicBool, Ordering::SeqCst};
use core::time::Duration;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::task::Wake;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// How often to look when nobody can ring.
const NAP: Duration = Duration::from_millis(10);

/// What a wait ended with. Nothing set: its time was up, or somebody rang.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// Datagrams, or error reports, may have arrived.
    pub readable: bool,
    /// The socket takes datagrams.
    pub writable: bool,
}

/// For one thread at a time to wait by, and for any other to end that wait.
#[derive(Debug)]
pub struct Bell {
    /// `None` when the process has no more descriptors.
    pipe: Option<(PipeReader, PipeWriter)>,
    rung: AtomicBool,
    /// The thread waits, or is about to: it does not look at `rung`.
    waits: AtomicBool,
}

impl Default for Bell {
    fn default() -> Self {
        let (rung, waits) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { pipe: io::pipe().ok(), rung, waits }
    }
}

impl Bell {
    /// Whether it was rung since this was asked last.
    pub fn was_rung(&self) -> bool {
        self.rung.swap(false, SeqCst)
    }

    /// Ends the present wait, or all waits to come until somebody asks
    /// [`was_rung`](Self::was_rung).
    pub fn ring(&self) {
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

    /// Waits until the socket is readable (or writable, if `writes`), the bell rings
    /// or the time is over.
    pub fn wait(&self, socket: &impl AsFd, time: Option<Duration>, writes: bool) -> Readiness {
        self.waits.store(true, SeqCst);
        let readiness = if self.rung.load(SeqCst) {
            Readiness::default()
        } else {
            self.wait_for_descriptors(socket, time, writes)
        };
        self.waits.store(false, SeqCst);
        readiness
    }

    fn wait_for_descriptors(
        &self,
        socket: &impl AsFd,
        time: Option<Duration>,
        writes: bool,
    ) -> Readiness {
        let time = if self.pipe.is_some() { time } else { Some(time.unwrap_or(NAP).min(NAP)) };
        // Rounded up: better late than spinning.
        let time = time.map_or(PollTimeout::NONE, |time| {
            let millis = time.as_nanos().div_ceil(1_000_000);
            PollTimeout::from(u16::try_from(millis).unwrap_or(u16::MAX))
        });
        let mut events = PollFlags::POLLIN;
        events.set(PollFlags::POLLOUT, writes);
        let socket = PollFd::new(socket.as_fd(), events);
        // An interrupted wait is a short one.
        let seen = match &self.pipe {
            None => {
                let mut fds = [socket];
                let _ = poll(&mut fds, time);
                fds[0].revents()
            }
            Some((reader, _)) => {
                let mut fds = [socket, PollFd::new(reader.as_fd(), PollFlags::POLLIN)];
                let _ = poll(&mut fds, time);
                if fds[1].any().unwrap_or(false) {
                    let mut reader = reader;
                    let _ = reader.read(&mut [0; 64]);
                }
                fds[0].revents()
            }
        };
        let seen = seen.unwrap_or(PollFlags::empty());
        // A queued error report makes a socket "in error", not readable.
        let readable = seen.intersects(PollFlags::POLLIN | PollFlags::POLLERR);
        Readiness { readable, writable: seen.contains(PollFlags::POLLOUT) }
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ring();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ring();
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::thread;

    use super::*;

    const SHORT: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(20);

    fn socket() -> UdpSocket {
        UdpSocket::bind("127.0.0.1:0").unwrap_or_else(|error| panic!("no socket: {error}"))
    }

    #[test]
    fn a_wait_ends_with_its_time_and_with_what_it_waits_for() {
        let (bell, socket) = (Bell::default(), socket());
        assert_eq!(bell.wait(&socket, Some(SHORT), false), Readiness::default());
        let writable = Readiness { readable: false, writable: true };
        assert_eq!(bell.wait(&socket, Some(LONG), true), writable);
        let addr = socket.local_addr().ok();
        assert!(addr.is_some_and(|addr| socket.send_to(&[1], addr).is_ok()));
        let readable = Readiness { readable: true, writable: false };
        assert_eq!(bell.wait(&socket, Some(LONG), false), readable);
    }

    #[test]
    fn who_rings_ends_the_present_wait_or_the_next() {
        let (bell, socket) = (Bell::default(), socket());
        for pause in [Duration::ZERO, SHORT] {
            thread::scope(|scope| {
                scope.spawn(|| {
                    thread::sleep(pause);
                    bell.ring();
                    bell.ring();
                });
                assert_eq!(bell.wait(&socket, None, false), Readiness::default());
            });
            assert!(bell.was_rung());
            assert!(!bell.was_rung());
            // Nothing of it is left in the pipe to end another wait at once.
            let start = std::time::Instant::now();
            while start.elapsed() < SHORT && !bell.was_rung() {
                bell.wait(&socket, Some(SHORT), false);
            }
            assert!(start.elapsed() >= SHORT);
        }
    }
}
