//! Waiting for a socket in the calling thread, with no reactor in between, until
//! another thread rings: in `poll(2)`, or in the receive call itself.
//!
//! Either is one system call, and needs nothing to be registered with the kernel: a
//! socket that is registered somewhere pays for that with every datagram. The receive
//! call is the faster one, but brings one batch and nothing else: no time-out, no
//! writability.

use core::sync::atomic::{
    AtomicBool, AtomicU8,
    Ordering::{Release, SeqCst},
};
use core::time::Duration;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::task::Wake;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::inlet::{Inbound, Inlet, Interrupter};

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

/// What a wait in the receive call ended with.
#[derive(Clone, Debug)]
pub enum Woken {
    /// Somebody rang, or there may be an error report.
    Ready(Readiness),
    /// This was received; or somebody rang, and it is an interruption.
    Inbound(Inbound),
}

impl Default for Woken {
    /// Nothing has happened.
    fn default() -> Self {
        Self::Ready(Readiness::default())
    }
}

/// For one thread at a time to wait by, and for any other to end that wait.
#[derive(Debug)]
pub struct Bell {
    /// `None` when the process has no more descriptors.
    pipe: Option<(PipeReader, PipeWriter)>,
    interrupter: Option<Arc<Interrupter>>,
    rung: AtomicBool,
    /// How the thread waits, or is about to: it does not look at `rung`.
    waits: AtomicU8,
}

const NOT: u8 = 0;
const IN_POLL: u8 = 1;
const IN_RECEIVE: u8 = 2;

impl Bell {
    /// A bell that ends waits in the receive call by `interrupter`.
    #[must_use]
    pub fn new(interrupter: Option<Arc<Interrupter>>) -> Self {
        let (rung, waits) = (AtomicBool::new(false), AtomicU8::new(NOT));
        Self { pipe: io::pipe().ok(), interrupter, rung, waits }
    }

    /// Whether it was rung since this was asked last.
    pub fn was_rung(&self) -> bool {
        // Mostly it was not, and to look costs less than to write.
        self.rung.load(SeqCst) && self.rung.swap(false, SeqCst)
    }

    /// Ends the present wait, or all waits to come until somebody asks
    /// [`was_rung`](Self::was_rung).
    pub fn ring(&self) {
        // Rung once for each wait, it never fills the pipe.
        if self.rung.swap(true, SeqCst) {
            return;
        }
        match (self.waits.load(SeqCst), &self.pipe, &self.interrupter) {
            (IN_POLL, Some((_, writer)), _) => {
                let mut writer = writer;
                let _ = writer.write(&[0]);
            }
            (IN_RECEIVE, _, Some(interrupter)) => interrupter.interrupt(),
            _ => {}
        }
    }

    /// Waits until the socket is readable (or writable, if `writes`), the bell rings
    /// or the time is over.
    pub fn wait(&self, socket: &impl AsFd, time: Option<Duration>, writes: bool) -> Readiness {
        self.waits.store(IN_POLL, SeqCst);
        let readiness = if self.rung.load(SeqCst) {
            Readiness::default()
        } else {
            self.wait_for_descriptors(socket, time, writes)
        };
        self.waits.store(NOT, Release);
        readiness
    }

    /// Waits in `inlet` until something arrives or the bell rings. The socket must be
    /// [interruptible](crate::UdpSocket::is_interruptible). An inlet that cannot be waited
    /// in is taken away.
    pub fn receive(&self, inlet: &mut Option<Inlet>) -> Woken {
        self.waits.store(IN_RECEIVE, SeqCst);
        let received = match inlet {
            Some(inlet) if !self.rung.load(SeqCst) => inlet.wait(),
            _ => Err(io::ErrorKind::Interrupted.into()),
        };
        self.waits.store(NOT, Release);
        let kind = match received {
            Ok(inbound) => return Woken::Inbound(inbound),
            Err(error) => error.kind(),
        };
        if kind == io::ErrorKind::WouldBlock {
            // Somebody who shares the socket made it non-blocking.
            *inlet = None;
        }
        // An earlier datagram's error: there may be a report of it.
        let readable = kind != io::ErrorKind::Interrupted;
        Woken::Ready(Readiness { readable, writable: false })
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
        let (bell, socket) = (Bell::new(None), socket());
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
        let (bell, socket) = (Bell::new(None), socket());
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
            let clock = crate::Clock::start();
            let waited = || clock.now().saturating_since(tou_proto::Instant::ZERO);
            while waited() < SHORT && !bell.was_rung() {
                bell.wait(&socket, Some(SHORT), false);
            }
            assert!(waited() >= SHORT);
        }
    }
}
