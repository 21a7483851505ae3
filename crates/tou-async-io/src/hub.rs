//! What the tasks of a socket share: the pump, and who waits for what on which
//! stream and listener.
//!
//! It turns the endpoint's events into wakers to wake. It does not know how the
//! socket is waited for, nor what the woken do.

use core::task::Waker;
use std::io;

use rustc_hash::FxHashMap;
use tou_proto::{ConnId, ConnectionError, Endpoint, Event, Instant, ListenerId, State};
use tou_udp::driver::{Interest, Opening, Standing};
use tou_udp::{Inbound, Pump};

use crate::waiters::{Key, Waiters, Wakes};

/// The waiting room of a stream.
#[derive(Debug, Default)]
struct StreamSeat {
    readers: Waiters,
    writers: Waiters,
    standing: Standing,
}

/// A socket's pump, and who waits for its streams and listeners.
#[derive(Debug)]
pub(crate) struct Hub {
    pump: Pump<Endpoint>,
    streams: FxHashMap<ConnId, StreamSeat>,
    listeners: FxHashMap<ListenerId, Waiters>,
    /// Operations that wait for any progress.
    progress: Waiters,
    wakes: Wakes,
    socket_error: Option<io::Error>,
    closed: bool,
}

impl Hub {
    pub(crate) fn new(pump: Pump<Endpoint>) -> Self {
        Self {
            pump,
            streams: FxHashMap::default(),
            listeners: FxHashMap::default(),
            progress: Waiters::default(),
            wakes: Wakes::default(),
            socket_error: None,
            closed: false,
        }
    }

    pub(crate) fn endpoint(&mut self) -> &mut Endpoint {
        self.pump.machine_mut()
    }

    pub(crate) fn pump(&mut self) -> &mut Pump<Endpoint> {
        &mut self.pump
    }

    /// Who is to be woken once the lock is released.
    pub(crate) fn wakes(&mut self) -> &mut Wakes {
        &mut self.wakes
    }

    /// Whether [`Hub::close`] was called.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Something is wrong with the UDP socket. That ends no connection: their
    /// timers will tell.
    pub(crate) fn note_socket_error(&mut self, error: io::Error) {
        self.socket_error = Some(error);
    }

    /// The last error of the UDP socket, once.
    pub(crate) fn take_socket_error(&mut self) -> Option<io::Error> {
        self.socket_error.take()
    }

    /// A connection is about to become a stream.
    pub(crate) fn seat_stream(&mut self, conn: ConnId) {
        self.streams.insert(conn, StreamSeat::default());
    }

    /// A listener is about to be used.
    pub(crate) fn seat_listener(&mut self, listener: ListenerId) {
        self.listeners.insert(listener, Waiters::default());
    }

    /// How far a connection has come that this side opens.
    pub(crate) fn opening(&self, conn: ConnId) -> Opening {
        self.streams.get(&conn).map_or(Opening::Failed(None), |seat| seat.standing.opening())
    }

    /// Why the connection ended in an untimely way; reported once.
    pub(crate) fn take_error(&mut self, conn: ConnId) -> Option<ConnectionError> {
        self.streams.get_mut(&conn)?.standing.take_error()
    }

    /// Whether all that was written to `conn`, and the FIN, has arrived, or
    /// never will.
    pub(crate) fn has_left(&self, conn: ConnId) -> bool {
        self.pump.machine().info(conn).is_none_or(|info| {
            matches!(info.state, State::FinWait2 | State::TimeWait | State::Closed)
        })
    }

    /// Whether all that was ever written to any stream, and the FINs, have
    /// arrived, or never will.
    pub(crate) fn have_all_left(&self) -> bool {
        self.pump.machine().unfinished_count() == 0
    }

    /// Whether all that was ever written has arrived: what may be missing is the
    /// acknowledgment of a last FIN by a peer that has said its last word too.
    pub(crate) fn has_all_arrived(&self) -> bool {
        self.pump.machine().undelivered_count() == 0
    }

    /// Datagrams that have arrived so far, for whomever.
    pub(crate) fn heard(&self) -> u64 {
        self.pump.machine().counters().datagrams_received
    }

    /// An operation waits, or has a new waker.
    pub(crate) fn enlist(&mut self, interest: Interest, key: Key, waker: &Waker) {
        let (waiters, wakes) = self.waiters(interest);
        if let Some(waiters) = waiters {
            waiters.set(key, waker, wakes);
        }
    }

    /// It waits no longer.
    pub(crate) fn delist(&mut self, interest: Interest, key: Key) {
        let (waiters, wakes) = self.waiters(interest);
        if let Some(waiters) = waiters {
            waiters.remove(key, wakes);
        }
    }

    fn waiters(&mut self, interest: Interest) -> (Option<&mut Waiters>, &mut Wakes) {
        let waiters = match interest {
            Interest::Read(conn) => self.streams.get_mut(&conn).map(|seat| &mut seat.readers),
            Interest::Write(conn) => self.streams.get_mut(&conn).map(|seat| &mut seat.writers),
            Interest::Accept(listener) => self.listeners.get_mut(&listener),
            Interest::Progress => Some(&mut self.progress),
        };
        (waiters, &mut self.wakes)
    }

    /// Has everybody who waits for `conn` look again.
    pub(crate) fn stir(&mut self, conn: ConnId) {
        if let Some(seat) = self.streams.get_mut(&conn) {
            seat.readers.wake(&mut self.wakes);
            seat.writers.wake(&mut self.wakes);
        }
        self.progress.wake(&mut self.wakes);
    }

    /// Gives a stream up: gracefully, or at once with a reset.
    pub(crate) fn drop_stream(&mut self, now: Instant, conn: ConnId, abort: bool) {
        self.stir(conn);
        self.streams.remove(&conn);
        let endpoint = self.pump.machine_mut();
        // An unknown connection was given up by `close`.
        let _ = if abort { endpoint.abort(now, conn) } else { endpoint.release(now, conn) };
    }

    /// Stops listening.
    pub(crate) fn drop_listener(&mut self, now: Instant, listener: ListenerId) {
        if let Some(mut waiters) = self.listeners.remove(&listener) {
            waiters.wake(&mut self.wakes);
            self.pump.machine_mut().close_listener(now, listener);
        }
    }

    /// Gives up all streams gracefully, and all listeners.
    pub(crate) fn close(&mut self, now: Instant) {
        self.closed = true;
        for (listener, mut waiters) in self.listeners.drain() {
            waiters.wake(&mut self.wakes);
            self.pump.machine_mut().close_listener(now, listener);
        }
        for (conn, mut seat) in self.streams.drain() {
            seat.readers.wake(&mut self.wakes);
            seat.writers.wake(&mut self.wakes);
            let _ = self.pump.machine_mut().release(now, conn);
        }
        self.progress.wake(&mut self.wakes);
    }

    /// Takes in what has arrived, lets time pass and sends what is due.
    pub(crate) fn service(&mut self, now: Instant) {
        if let Err(error) = self.pump.service_at(now) {
            self.note_socket_error(error);
        }
        self.progress.wake(&mut self.wakes);
        self.dispatch();
    }

    /// Lets time pass and sends what is due, but takes in nothing.
    pub(crate) fn pass_time(&mut self, now: Instant) {
        self.pump.handle_timeout_at(now);
        self.progress.wake(&mut self.wakes);
        self.flush(now);
    }

    /// Takes in what a thread has received that waited in the receive call, and sends
    /// what is due.
    pub(crate) fn receive(&mut self, now: Instant, inbound: Inbound) {
        self.pump.recv_inbound(now, inbound);
        self.pump.handle_timeout_at(now);
        self.progress.wake(&mut self.wakes);
        self.flush(now);
    }

    /// Sends what a call has made ready to send.
    pub(crate) fn flush(&mut self, now: Instant) {
        while self.pump.flush_at(now).more {}
        self.dispatch();
    }

    /// Turns events into wakers.
    fn dispatch(&mut self) {
        while let Some(event) = self.pump.machine_mut().poll_event() {
            let Self { streams, listeners, wakes, .. } = self;
            match event {
                Event::Incoming(listener) => {
                    if let Some(waiters) = listeners.get_mut(&listener) {
                        waiters.wake(wakes);
                    }
                }
                Event::Readable(conn) => {
                    if let Some(seat) = streams.get_mut(&conn) {
                        seat.readers.wake(wakes);
                    }
                }
                Event::Writable(conn) => {
                    if let Some(seat) = streams.get_mut(&conn) {
                        seat.writers.wake(wakes);
                    }
                }
                Event::Connected(conn) => {
                    if let Some(seat) = streams.get_mut(&conn) {
                        seat.standing.on_connected();
                        seat.writers.wake(wakes);
                    }
                }
                Event::Closed(conn, error) => {
                    if let Some(seat) = streams.get_mut(&conn) {
                        seat.standing.on_closed(error);
                        seat.readers.wake(wakes);
                        seat.writers.wake(wakes);
                    }
                }
                // Urgent data is read in line (RFC 6093 §3.1).
                _ => {}
            }
        }
    }
}
