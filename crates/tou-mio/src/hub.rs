//! What the threads of a socket share: the pump, and who waits for what on
//! which stream and listener.
//!
//! It turns the endpoint's events into signals. It does not know how threads
//! wait, nor what they do when they are woken.

use core::mem::replace;
use std::io;

use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use tou_proto::{ConnId, ConnectionError, Endpoint, Event, Instant, ListenerId, State};
use tou_udp::driver::{Interest, Opening, Readiness, Standing};
use tou_udp::{Inbound, Pump};

use crate::engine::{Charge, Hook, Ready, Signals, Ticket};

/// Threads that wait for the same thing; hardly ever more than one.
type Waiting = SmallVec<[Ticket; 1]>;

/// The waiting room of a stream.
#[derive(Debug, Default)]
struct StreamSeat {
    readers: Waiting,
    writers: Waiting,
    hook: Option<Hook>,
    standing: Standing,
}

/// The waiting room of a listener.
#[derive(Debug, Default)]
struct ListenerSeat {
    waiting: Waiting,
    hook: Option<Hook>,
}

/// A socket's pump, and who waits for its streams and listeners.
#[derive(Debug)]
pub(crate) struct Hub {
    pump: Pump<Endpoint>,
    streams: FxHashMap<ConnId, StreamSeat>,
    listeners: FxHashMap<ListenerId, ListenerSeat>,
    /// Threads that wait for any progress.
    progress: Waiting,
    socket_error: Option<io::Error>,
    closed: bool,
}

impl Hub {
    pub(crate) fn new(pump: Pump<Endpoint>) -> Self {
        Self {
            pump,
            streams: FxHashMap::default(),
            listeners: FxHashMap::default(),
            progress: Waiting::new(),
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

    /// Whether [`Hub::close`] was called.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
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
        self.listeners.insert(listener, ListenerSeat::default());
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

    /// Sets or clears the hook of a stream. A new hook is called at once, since
    /// what it is for may have happened already. The one that is not used any more is
    /// returned: it may own handles, whose drop needs the lock.
    #[must_use = "to be dropped with no lock held"]
    pub(crate) fn set_stream_hook(
        &mut self,
        conn: ConnId,
        hook: Option<Hook>,
        signals: &mut Signals,
    ) -> Option<Hook> {
        let Some(seat) = self.streams.get_mut(&conn) else { return hook };
        call(hook.as_ref(), Ready::BOTH, signals);
        replace(&mut seat.hook, hook)
    }

    /// The same for a listener.
    #[must_use = "to be dropped with no lock held"]
    pub(crate) fn set_listener_hook(
        &mut self,
        listener: ListenerId,
        hook: Option<Hook>,
        signals: &mut Signals,
    ) -> Option<Hook> {
        let Some(seat) = self.listeners.get_mut(&listener) else { return hook };
        call(hook.as_ref(), Ready::READABLE, signals);
        replace(&mut seat.hook, hook)
    }

    /// Has everybody who waits for `conn` look again.
    pub(crate) fn stir(&mut self, conn: ConnId, signals: &mut Signals) {
        if let Some(seat) = self.streams.get_mut(&conn) {
            seat.tell(Ready::BOTH, signals);
        }
        wake(&mut self.progress, signals);
    }

    /// Gives a stream up: gracefully, or at once with a reset.
    pub(crate) fn drop_stream(
        &mut self,
        now: Instant,
        conn: ConnId,
        abort: bool,
        signals: &mut Signals,
    ) {
        // What tells a hook also keeps it until no lock is held.
        self.stir(conn, signals);
        self.streams.remove(&conn);
        let endpoint = self.pump.machine_mut();
        // An unknown connection was given up by `close`.
        let _ = if abort { endpoint.abort(now, conn) } else { endpoint.release(now, conn) };
    }

    /// Stops listening. Returns the hook, as [`set_listener_hook`](Self::set_listener_hook)
    /// does.
    #[must_use = "to be dropped with no lock held"]
    pub(crate) fn drop_listener(&mut self, now: Instant, listener: ListenerId) -> Option<Hook> {
        let seat = self.listeners.remove(&listener)?;
        self.pump.machine_mut().close_listener(now, listener);
        seat.hook
    }

    /// Gives up all streams gracefully, and all listeners.
    pub(crate) fn close(&mut self, now: Instant, signals: &mut Signals) {
        self.closed = true;
        for (listener, mut seat) in self.listeners.drain() {
            seat.tell(signals);
            self.pump.machine_mut().close_listener(now, listener);
        }
        for (conn, mut seat) in self.streams.drain() {
            seat.tell(Ready::BOTH, signals);
            let _ = self.pump.machine_mut().release(now, conn);
        }
        wake(&mut self.progress, signals);
    }

    /// Turns events into signals.
    #[inline]
    fn dispatch(&mut self, signals: &mut Signals) {
        // Mostly there is none.
        while let Some(event) = self.pump.machine_mut().poll_event() {
            self.pass_on(event, signals);
        }
    }

    /// Turns an event into signals.
    #[inline(never)]
    fn pass_on(&mut self, event: Event, signals: &mut Signals) {
        match event {
            Event::Incoming(listener) => {
                if let Some(seat) = self.listeners.get_mut(&listener) {
                    seat.tell(signals);
                }
            }
            Event::Connected(conn) => self.tell(conn, Ready::WRITABLE, signals, |seat| {
                seat.standing.on_connected();
            }),
            Event::Readable(conn) => self.tell(conn, Ready::READABLE, signals, |_| {}),
            Event::Writable(conn) => self.tell(conn, Ready::WRITABLE, signals, |_| {}),
            Event::Closed(conn, error) => self.tell(conn, Ready::BOTH, signals, |seat| {
                seat.standing.on_closed(error);
            }),
            // Urgent data is read in line (RFC 6093 §3.1).
            _ => {}
        }
    }

    /// Tells a stream's waiting room; a connection without one is not accepted
    /// yet, or was dropped.
    fn tell(
        &mut self,
        conn: ConnId,
        ready: Ready,
        signals: &mut Signals,
        note: impl FnOnce(&mut StreamSeat),
    ) {
        if let Some(seat) = self.streams.get_mut(&conn) {
            note(seat);
            seat.tell(ready, signals);
        }
    }

    fn waiting(&mut self, interest: Interest) -> Option<&mut Waiting> {
        match interest {
            Interest::Read(conn) => self.streams.get_mut(&conn).map(|seat| &mut seat.readers),
            Interest::Write(conn) => self.streams.get_mut(&conn).map(|seat| &mut seat.writers),
            Interest::Accept(listener) => {
                self.listeners.get_mut(&listener).map(|seat| &mut seat.waiting)
            }
            Interest::Progress => Some(&mut self.progress),
        }
    }
}

impl Charge for Hub {
    type Interest = Interest;

    fn service(&mut self, now: Instant, ready: Readiness, signals: &mut Signals) -> bool {
        let more = if ready.readable {
            match self.pump.service_at(now) {
                Ok(progress) => progress.more,
                Err(error) => {
                    // Not the end of any connection: its timers will tell.
                    self.socket_error = Some(error);
                    false
                }
            }
        } else {
            self.pump.handle_timeout_at(now);
            self.pump.flush_at(now).more
        };
        wake(&mut self.progress, signals);
        self.dispatch(signals);
        more
    }

    fn receive(&mut self, now: Instant, inbound: Inbound, signals: &mut Signals) {
        self.pump.recv_inbound(now, inbound);
        self.pump.handle_timeout_at(now);
        wake(&mut self.progress, signals);
        self.dispatch(signals);
    }

    fn is_interruptible(&self) -> bool {
        self.pump.socket().is_interruptible()
    }

    fn flush(&mut self, now: Instant, signals: &mut Signals) {
        while self.pump.flush_at(now).more {}
        self.dispatch(signals);
    }

    fn next_deadline(&mut self) -> Option<Instant> {
        self.pump.next_deadline()
    }

    fn wants_write(&self) -> bool {
        self.pump.wants_write()
    }

    fn enlist(&mut self, interest: Interest, ticket: Ticket) {
        if let Some(waiting) = self.waiting(interest) {
            waiting.push(ticket);
        }
    }

    fn delist(&mut self, interest: Interest, ticket: Ticket) {
        if let Some(waiting) = self.waiting(interest) {
            waiting.retain(|waiting| *waiting != ticket);
        }
    }
}

impl StreamSeat {
    fn tell(&mut self, ready: Ready, signals: &mut Signals) {
        if ready.readable {
            wake(&mut self.readers, signals);
        }
        if ready.writable {
            wake(&mut self.writers, signals);
        }
        call(self.hook.as_ref(), ready, signals);
    }
}

impl ListenerSeat {
    fn tell(&mut self, signals: &mut Signals) {
        wake(&mut self.waiting, signals);
        call(self.hook.as_ref(), Ready::READABLE, signals);
    }
}

fn wake(waiting: &mut Waiting, signals: &mut Signals) {
    for ticket in waiting.drain(..) {
        signals.wake(ticket);
    }
}

fn call(hook: Option<&Hook>, ready: Ready, signals: &mut Signals) {
    if let Some(hook) = hook {
        signals.call(hook, ready);
    }
}
