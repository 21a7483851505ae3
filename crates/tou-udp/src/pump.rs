//! The pump: a socket and a datagram machine, tied together.
//!
//! It moves batches both ways, keeps what would block, passes on error reports,
//! lets time pass, and says when it wants to be called again. It does not know
//! who waits for readiness, nor what the machine is: an endpoint, or a recorder
//! or a sealing layer around one.

use core::fmt;
use std::collections::VecDeque;
use std::io;

use bytes::Bytes;
use tou_proto::{DatagramMachine, Instant, ReceivedBatch, Transmit, TransmitBuf};

use crate::clock::Clock;
use crate::datagram::{self, Datagram};
use crate::impair::{Direction, Impairer, Impairment, ImpairmentError, ImpairmentStats};
use crate::inlet::Inbound;
use crate::observe::{Observer, PumpEvent};
use crate::raw::{KernelSocket, RawSocket};
use crate::socket::{Received, UdpSocket};

/// Batches that one flush sends at most.
const FLUSH_BATCHES: usize = 64;

/// What a call to the pump did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Batches received from the socket.
    pub received: usize,
    /// Datagrams given to the socket.
    pub sent: usize,
    /// The call ended for fairness: call again without waiting.
    pub more: bool,
}

impl Progress {
    fn and(self, other: Self) -> Self {
        Self {
            received: self.received + other.received,
            sent: self.sent + other.sent,
            more: self.more || other.more,
        }
    }
}

/// A socket and a datagram machine.
///
/// Whoever drives it calls [`service`](Self::service) when the socket is
/// readable, when it is writable while [`wants_write`](Self::wants_write), and
/// when [`next_deadline`](Self::next_deadline) has come; and
/// [`flush`](Self::flush) or `service` after doing anything to the machine.
pub struct Pump<M, R = KernelSocket> {
    socket: UdpSocket<R>,
    machine: M,
    clock: Clock,
    buf: TransmitBuf,
    /// On its way to the socket.
    pending: Option<Pending>,
    /// When the machine was last told the time.
    told: Instant,
    sending: Option<Box<Impaired>>,
    receiving: Option<Box<Impaired>>,
    observer: Option<Box<dyn Observer + Send>>,
}

/// A batch that the socket has not taken all of.
#[derive(Debug)]
struct Pending {
    transmit: Transmit,
    /// Datagrams done with.
    done: usize,
    /// In the impaired direction's buffer, not in the machine's.
    impaired: bool,
}

/// A direction with impairment.
#[derive(Debug)]
struct Impaired {
    impairer: Impairer,
    /// Past the impairment, not yet in a batch.
    passed: VecDeque<Datagram>,
    batch: Vec<u8>,
}

impl<M: DatagramMachine, R: RawSocket> Pump<M, R> {
    /// Ties `machine` to `socket`. The machine is told the time of `clock`.
    #[must_use]
    pub fn new(socket: UdpSocket<R>, machine: M, clock: Clock) -> Self {
        let buf = TransmitBuf::new(socket.max_segments(), TransmitBuf::MAX_BYTES);
        Self {
            socket,
            machine,
            clock,
            buf,
            pending: None,
            told: Instant::ZERO,
            sending: None,
            receiving: None,
            observer: None,
        }
    }

    /// Impairs the datagrams of one direction from now on. Those under way in
    /// an impairment set earlier are lost.
    ///
    /// # Errors
    /// When the impairment is out of range.
    pub fn impair(
        &mut self,
        direction: Direction,
        impairment: &Impairment,
    ) -> Result<(), ImpairmentError> {
        let impairer = Impairer::new(impairment, direction)?;
        let impaired = (!impairment.is_none())
            .then(|| Box::new(Impaired { impairer, passed: VecDeque::new(), batch: Vec::new() }));
        match direction {
            Direction::Send => {
                self.pending.take_if(|pending| pending.impaired);
                self.sending = impaired;
            }
            Direction::Receive => self.receiving = impaired,
        }
        Ok(())
    }

    /// What impairment has done in one direction, if there is any.
    #[must_use]
    pub fn impairment_stats(&self, direction: Direction) -> Option<ImpairmentStats> {
        let impaired = match direction {
            Direction::Send => &self.sending,
            Direction::Receive => &self.receiving,
        };
        impaired.as_ref().map(|impaired| impaired.impairer.stats())
    }

    /// Has `observer` told of every batch from now on.
    pub fn set_observer(&mut self, observer: impl Observer + Send + 'static) {
        self.observer = Some(Box::new(observer));
    }

    /// The machine.
    #[must_use]
    pub fn machine(&self) -> &M {
        &self.machine
    }

    /// The machine, to be used. Call [`flush`](Self::flush) afterwards.
    pub fn machine_mut(&mut self) -> &mut M {
        &mut self.machine
    }

    /// The socket.
    #[must_use]
    pub fn socket(&self) -> &UdpSocket<R> {
        &self.socket
    }

    /// The socket, to be set up.
    pub fn socket_mut(&mut self) -> &mut UdpSocket<R> {
        &mut self.socket
    }

    /// The clock that the machine is told the time of.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// The time now, as the machine is told it.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Whether a batch waits for the socket to become writable.
    #[must_use]
    pub fn wants_write(&self) -> bool {
        self.pending.is_some()
    }

    /// When to call [`service`](Self::service) at the latest.
    pub fn next_deadline(&mut self) -> Option<Instant> {
        let blocked = self.wants_write();
        // What the machine still wants at a time it was told of already is to
        // send, and that waits for the socket.
        let told = self.told;
        let machine = self.machine.poll_timeout().filter(|&due| !blocked || due > told);
        let sending = self.sending.as_ref().filter(|_| !blocked);
        if sending.is_none() && self.receiving.is_none() {
            return machine;
        }
        let delayed = sending.into_iter().chain(&self.receiving);
        machine.into_iter().chain(delayed.filter_map(|it| it.impairer.next_due())).min()
    }

    /// Does everything that can be done now, once and in the right order:
    /// receives, lets time pass, sends.
    ///
    /// # Errors
    /// When the socket is broken.
    pub fn service(&mut self) -> io::Result<Progress> {
        self.service_at(self.clock.now())
    }

    /// [`service`](Self::service) for whoever has just read the clock.
    ///
    /// # Errors
    /// When the socket is broken.
    pub fn service_at(&mut self, now: Instant) -> io::Result<Progress> {
        let received = self.recv_round(now)?;
        self.handle_timeout_at(now);
        let flushed = self.flush_at(now);
        Ok(received.and(flushed))
    }

    /// Receives what is there, one look's worth at most, and gives it to the
    /// machine together with any error reports.
    ///
    /// # Errors
    /// When the socket is broken.
    pub fn recv_ready(&mut self) -> io::Result<Progress> {
        self.recv_round(self.clock.now())
    }

    /// Lets time pass, for the machine and for what impairment delays.
    pub fn handle_timeout(&mut self) {
        self.handle_timeout_at(self.clock.now());
    }

    /// [`handle_timeout`](Self::handle_timeout) for whoever has just read the
    /// clock.
    pub fn handle_timeout_at(&mut self, now: Instant) {
        self.told = now;
        if self.machine.poll_timeout().is_some_and(|due| due <= now) {
            self.machine.handle_timeout(now);
        }
        self.deliver_impaired(now);
    }

    /// Sends what the machine has to send, until there is nothing more or the
    /// socket takes no more.
    pub fn flush(&mut self) -> Progress {
        self.flush_at(self.clock.now())
    }

    /// [`flush`](Self::flush) for whoever has just read the clock.
    pub fn flush_at(&mut self, now: Instant) -> Progress {
        match self.next_batch(now) {
            Some(batch) => self.send_batches(now, batch),
            // Mostly there is nothing.
            None if !self.handle_path_errors(now) => Progress::default(),
            // The machine may have an answer to what failed.
            None => self
                .next_batch(now)
                .map_or_else(Progress::default, |batch| self.send_batches(now, batch)),
        }
    }

    /// Sends `batch` and what follows it.
    #[inline(never)]
    fn send_batches(&mut self, now: Instant, mut batch: Pending) -> Progress {
        let mut progress = Progress::default();
        for left in (0..FLUSH_BATCHES).rev() {
            progress.sent += self.send_batch(now, batch);
            if self.pending.is_some() || left == 0 {
                break;
            }
            let mut next = self.next_batch(now);
            if next.is_none() && self.handle_path_errors(now) {
                next = self.next_batch(now);
            }
            let Some(next) = next else { return progress };
            batch = next;
        }
        self.handle_path_errors(now);
        progress.more = self.pending.is_none();
        progress
    }

    /// Takes in what came through an inlet of the socket.
    pub fn recv_inbound(&mut self, now: Instant, inbound: Inbound) {
        let Self { socket, machine, receiving, observer, .. } = self;
        if let Some(batch) = socket.recv_inbound(inbound) {
            take_in(now, machine, receiving, observer, &batch);
            self.deliver_impaired(now);
        }
    }

    /// One look at the socket, and what comes of it.
    fn recv_round(&mut self, now: Instant) -> io::Result<Progress> {
        let Self { socket, machine, receiving, observer, .. } = self;
        let Received { batches, more } =
            socket.recv(|batch| take_in(now, machine, receiving, observer, &batch))?;
        if batches == 0 {
            // Whoever woke us did so for some reason.
            socket.drain_errors();
        }
        self.deliver_impaired(now);
        self.handle_path_errors(now);
        Ok(Progress { received: batches, sent: 0, more })
    }

    /// Gives the machine what has passed the receiving direction's impairment.
    fn deliver_impaired(&mut self, now: Instant) {
        if self.receiving.is_some() {
            self.deliver_passed(now);
        }
    }

    #[cold]
    fn deliver_passed(&mut self, now: Instant) {
        let Some(impaired) = &mut self.receiving else { return };
        let limits = (usize::MAX, TransmitBuf::MAX_BYTES);
        while let Some(transmit) = impaired.next_batch(now, limits) {
            let Transmit { peer, local_ip, ecn, stride, .. } = transmit;
            let data = Bytes::copy_from_slice(&impaired.batch);
            let batch = ReceivedBatch { peer, local_ip, ecn, stride, data };
            deliver(now, &mut self.machine, &mut self.observer, &batch);
        }
    }

    /// Tells the machine of error reports; returns whether there were any.
    fn handle_path_errors(&mut self, now: Instant) -> bool {
        let mut any = false;
        while let Some(error) = self.socket.poll_error() {
            observe(&mut self.observer, now, PumpEvent::PathError(&error));
            self.machine.handle_path_error(now, &error);
            any = true;
        }
        any
    }

    /// The next batch for the socket: what is left of the last one first.
    #[inline]
    fn next_batch(&mut self, now: Instant) -> Option<Pending> {
        if self.pending.is_some() {
            return self.pending.take();
        }
        let max_segments = self.socket.max_segments();
        if self.buf.max_segments() != max_segments {
            self.buf.set_max_segments(max_segments);
        }
        if self.sending.is_some() {
            return self.next_impaired_batch(now);
        }
        let transmit = self.machine.poll_transmit(now, &mut self.buf)?;
        Some(Pending { transmit, done: 0, impaired: false })
    }

    /// The next batch that has passed the sending direction's impairment.
    #[cold]
    fn next_impaired_batch(&mut self, now: Instant) -> Option<Pending> {
        let limits = (self.socket.max_segments(), self.socket.max_bytes());
        let impaired = self.sending.as_mut()?;
        loop {
            if let Some(transmit) = impaired.next_batch(now, limits) {
                return Some(Pending { transmit, done: 0, impaired: true });
            }
            let transmit = self.machine.poll_transmit(now, &mut self.buf)?;
            let event = PumpEvent::Emitted { transmit: &transmit, data: self.buf.data() };
            observe(&mut self.observer, now, event);
            for datagram in datagram::of_transmit(&transmit, self.buf.data()) {
                impaired.push(now, &datagram, Direction::Send, &mut self.observer);
            }
        }
    }

    /// Gives the socket what is left of a batch, and keeps what it does not take. Returns
    /// how many datagrams went.
    fn send_batch(&mut self, now: Instant, mut pending: Pending) -> usize {
        let whole = match &self.sending {
            Some(impaired) if pending.impaired => &impaired.batch[..],
            _ => self.buf.data(),
        };
        let rest = whole.get(pending.done * pending.transmit.stride..).unwrap_or_default();
        let sent = self.socket.send(&pending.transmit, rest);
        if self.observer.is_some() && sent.datagrams > 0 {
            let len = (sent.datagrams * pending.transmit.stride).min(rest.len());
            let transmit = Transmit { segments: sent.datagrams, ..pending.transmit };
            let event = PumpEvent::Sent { transmit: &transmit, data: &rest[..len] };
            observe(&mut self.observer, now, event);
        }
        if sent.blocked {
            pending.done += sent.datagrams;
            self.pending = Some(pending);
        }
        sent.datagrams
    }
}

impl Impaired {
    fn push(
        &mut self,
        now: Instant,
        datagram: &Datagram,
        direction: Direction,
        observer: &mut Option<Box<dyn Observer + Send>>,
    ) {
        if let Some(reason) = self.impairer.push(now, datagram, &mut self.passed) {
            observe(observer, now, PumpEvent::Dropped { direction, reason, datagram });
        }
    }

    /// Puts into `self.batch` what has passed by now and can travel together.
    fn next_batch(&mut self, now: Instant, limits: (usize, usize)) -> Option<Transmit> {
        self.impairer.release(now, &mut self.passed);
        datagram::next_batch(&mut self.passed, limits, &mut self.batch)
    }
}

/// Hands a batch to the machine, or to what impairs the receiving direction.
fn take_in<M: DatagramMachine>(
    now: Instant,
    machine: &mut M,
    receiving: &mut Option<Box<Impaired>>,
    observer: &mut Option<Box<dyn Observer + Send>>,
    batch: &ReceivedBatch,
) {
    let Some(impaired) = receiving else { return deliver(now, machine, observer, batch) };
    for datagram in datagram::of_received(batch) {
        impaired.push(now, &datagram, Direction::Receive, observer);
    }
}

/// Hands a batch to the machine.
fn deliver<M: DatagramMachine>(
    now: Instant,
    machine: &mut M,
    observer: &mut Option<Box<dyn Observer + Send>>,
    batch: &ReceivedBatch,
) {
    observe(observer, now, PumpEvent::Received(batch));
    machine.handle_batch(now, batch);
}

fn observe(observer: &mut Option<Box<dyn Observer + Send>>, now: Instant, event: PumpEvent<'_>) {
    if let Some(observer) = observer {
        observer.observe(now, event);
    }
}

impl<M, R: fmt::Debug> fmt::Debug for Pump<M, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pump")
            .field("socket", &self.socket)
            .field("pending", &self.pending)
            .field("sending", &self.sending)
            .field("receiving", &self.receiving)
            .finish_non_exhaustive()
    }
}
