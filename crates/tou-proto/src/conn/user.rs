//! The user's calls for data (RFC 9293 §3.10.2, §3.10.3), and what the user is
//! told.

use core::time::Duration;

use bytes::Bytes;

use crate::cc::Controller;
use crate::config::{ConfigError, Keepalive};
use crate::error::{ConnectionError, ReadError, WriteError};
use crate::time::Instant;

use super::Connection;
use super::close::Owner;
use super::state::State;

/// What happened since the user was last told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is an edge of its own")]
pub struct Happenings {
    /// The connection is established.
    pub connected: bool,
    /// There is something to read: data, the end, or an error.
    pub readable: bool,
    /// There is room to write again.
    pub writable: bool,
    /// The urgent mark moved.
    pub urgent: bool,
    /// The same segment was sent for the fourth time and nothing comes back.
    pub stalled: bool,
    /// The connection is over.
    pub closed: bool,
}

/// What the user waits for, and what is to be told.
#[derive(Debug)]
pub(super) struct Interest {
    /// The user has seen everything there was to read.
    wants_data: bool,
    /// The user has found the send buffer full.
    wants_room: bool,
    happened: Happenings,
}

impl Default for Interest {
    fn default() -> Self {
        Self { wants_data: true, wants_room: false, happened: Happenings::default() }
    }
}

impl Interest {
    pub(super) fn on_connected(&mut self) {
        self.happened.connected = true;
    }

    pub(super) fn on_data(&mut self) {
        self.happened.readable |= core::mem::take(&mut self.wants_data);
    }

    /// The user waits for room.
    pub(super) fn wants_room(&self) -> bool {
        self.wants_room
    }

    /// `room` of `limit` bytes are free: worth a wake-up from a third on.
    pub(super) fn on_room(&mut self, room: u64, limit: u64) {
        if room >= limit / 3 {
            self.wants_room = false;
            self.happened.writable = true;
        }
    }

    pub(super) fn on_stalled(&mut self) {
        self.happened.stalled = true;
    }

    pub(super) fn on_urgent(&mut self) {
        self.happened.urgent = true;
    }

    pub(super) fn on_closed(&mut self, error: Option<ConnectionError>) {
        self.happened.closed = true;
        if error.is_some() {
            self.happened.readable |= core::mem::take(&mut self.wants_data);
        }
        self.happened.writable |= core::mem::take(&mut self.wants_room);
    }

    /// Nobody is interested any more.
    pub(super) fn ignore(&mut self) {
        self.wants_data = false;
        self.wants_room = false;
        self.happened = Happenings::default();
    }
}

impl Connection {
    /// What happened since this was last called.
    pub fn take_happenings(&mut self) -> Happenings {
        let happened = core::mem::take(&mut self.interest.happened);
        if self.owner == Owner::Held { happened } else { Happenings::default() }
    }

    /// Whether [`take_happenings`](Self::take_happenings) has anything to tell.
    pub(crate) fn has_happenings(&self) -> bool {
        self.interest.happened != Happenings::default()
    }

    /// What it would tell, for who takes one thing after the other.
    pub(crate) fn happenings_mut(&mut self) -> &mut Happenings {
        &mut self.interest.happened
    }

    /// The user has learnt by other means that the connection is established.
    pub(crate) fn forget_connected(&mut self) {
        self.interest.happened.connected = false;
    }

    /// Copies data into the send buffer; returns how much fitted.
    ///
    /// # Errors
    /// [`WriteError::WouldBlock`] when nothing fits; the others when nothing
    /// ever will.
    pub fn write(&mut self, now: Instant, data: &[u8]) -> Result<usize, WriteError> {
        self.check_writable()?;
        let written = self.send.write(data, self.send_limit(), &mut self.spares);
        self.after_write(now, written, data.len() - written)
    }

    /// The same without copying: takes as much from the front of `data` as fits.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn write_bytes(&mut self, now: Instant, data: &mut Bytes) -> Result<usize, WriteError> {
        self.check_writable()?;
        let written = self.send.write_bytes(data, self.send_limit(), &mut self.spares);
        self.after_write(now, written, data.len())
    }

    /// Marks everything written so far as urgent (RFC 9293 §3.8.5; RFC 6093
    /// advises against its use in new programs).
    pub fn mark_urgent(&mut self) {
        if self.send.end() > self.snd.una {
            self.snd.up = Some(self.send.end());
        }
    }

    fn check_writable(&self) -> Result<(), WriteError> {
        if let Some(error) = self.error {
            return Err(WriteError::Closed(error));
        }
        if self.flags.fin_queued {
            return Err(WriteError::Shutdown);
        }
        match self.state {
            State::Closed => Err(WriteError::Closed(ConnectionError::Aborted)),
            _ => Ok(()),
        }
    }

    fn after_write(
        &mut self,
        now: Instant,
        written: usize,
        left: usize,
    ) -> Result<usize, WriteError> {
        if left > 0 && self.is_send_memory_short() {
            self.counters.memory_limited += 1;
        }
        if written == 0 && left > 0 {
            self.interest.wants_room = true;
            self.counters.writes_refused += 1;
            return Err(WriteError::WouldBlock);
        }
        self.counters.segments_limited += u64::from(self.has_sent_enough());
        self.settle(now);
        Ok(written)
    }

    /// Bytes that may wait in the send buffer: twice the congestion window or the
    /// peer's, whichever is smaller, so that the next window is there when this one is
    /// acknowledged. What waits longer only gets cold.
    fn own_send_limit(&self) -> u64 {
        let fields = &self.config.fields;
        let cwnd = self.congestion.as_ref().map_or(0, Controller::cwnd);
        cwnd.min(self.snd.max_wnd)
            .saturating_mul(2)
            .clamp(fields.send_buffer, fields.send_buffer_max)
    }

    /// The same, as far as there is memory.
    pub(super) fn send_limit(&self) -> u64 {
        self.limit_to_memory(self.own_send_limit())
    }

    /// The send buffer would be larger if there were more memory.
    pub(super) fn is_send_memory_short(&self) -> bool {
        self.send_limit() < self.own_send_limit()
    }

    /// Bytes that fit the send buffer now.
    pub(super) fn send_room(&self) -> u64 {
        self.send_limit().saturating_sub(self.send.len())
    }

    /// Copies received data out. `Ok(0)` for a non-empty `out` is the end of
    /// the stream.
    ///
    /// # Errors
    /// [`ReadError::WouldBlock`] when there is nothing yet;
    /// [`ReadError::Closed`] when the connection failed and everything received
    /// was read.
    pub fn read(&mut self, now: Instant, out: &mut [u8]) -> Result<usize, ReadError> {
        let is_deliverable = self.is_deliverable();
        let read = if is_deliverable { self.recv.read(out, &mut self.spares) } else { 0 };
        if read > 0 {
            self.after_read(now, read);
            return Ok(read);
        }
        if out.is_empty() {
            return Ok(0);
        }
        self.nothing_to_read().map(|()| 0)
    }

    /// The next run of received data, at most `max` bytes, without copying;
    /// `None` is the end of the stream. For a `max` of zero there is always an empty one.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_chunk(&mut self, now: Instant, max: usize) -> Result<Option<Bytes>, ReadError> {
        let is_deliverable = self.is_deliverable();
        let chunk = is_deliverable.then(|| self.recv.read_chunk(max, &mut self.spares));
        match chunk.flatten() {
            Some(chunk) => {
                self.after_read(now, chunk.len());
                Ok(Some(chunk))
            }
            None if max == 0 => Ok(Some(Bytes::new())),
            None => self.nothing_to_read().map(|()| None),
        }
    }

    /// Copies received data out and leaves it.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn peek(&mut self, out: &mut [u8]) -> Result<usize, ReadError> {
        let peeked = if self.is_deliverable() { self.recv.peek(out) } else { 0 };
        if peeked > 0 || out.is_empty() {
            return Ok(peeked);
        }
        self.nothing_to_read().map(|()| 0)
    }

    /// Bytes that may be read up to the urgent mark, if there is one ahead
    /// (RFC 6093 §3).
    #[must_use]
    pub fn urgent_ahead(&self) -> Option<u64> {
        let ahead = self.rcv.up?.since(self.recv.read_pos());
        (ahead > 0).then_some(ahead)
    }

    /// Data that came with a SYN is not the user's before the handshake has
    /// shown that the peer is there (RFC 9293 §3.4, MUST not deliver).
    fn is_deliverable(&self) -> bool {
        self.congestion.is_some()
    }

    /// The end of the stream (`Ok`), or why there is nothing.
    fn nothing_to_read(&mut self) -> Result<(), ReadError> {
        if self.state.is_peer_done() || self.rcv.fin.is_some_and(|fin| self.rcv.nxt > fin) {
            return Ok(());
        }
        if let Some(error) = self.error {
            return Err(ReadError::Closed(error));
        }
        if self.state == State::Closed {
            return Ok(());
        }
        self.interest.wants_data = true;
        Err(ReadError::WouldBlock)
    }

    fn after_read(&mut self, now: Instant, read: usize) {
        self.on_user_read(now, read as u64);
    }

    /// Switches Nagle's algorithm (RFC 9293 §3.7.4) off or on.
    pub fn set_nodelay(&mut self, now: Instant, nodelay: bool) {
        self.flags.nodelay = nodelay;
        self.settle(now);
    }

    /// Changes when and how often the idle peer is asked whether it is there
    /// (RFC 9293 §3.8.4).
    ///
    /// # Errors
    /// If the value is none that a configuration takes.
    pub fn set_keepalive(&mut self, keepalive: Option<Keepalive>) -> Result<(), ConfigError> {
        self.config = self.config.to_builder().with_keepalive(keepalive).build()?;
        self.keepalive_probes = 0;
        Ok(())
    }

    /// Changes how long data may stay unacknowledged (RFC 9293 §3.8.3).
    ///
    /// # Errors
    /// If the value is none that a configuration takes.
    pub fn set_user_timeout(&mut self, timeout: Duration) -> Result<(), ConfigError> {
        self.config = self.config.to_builder().with_user_timeout(timeout).build()?;
        self.on_user_timeout_set();
        Ok(())
    }

    /// Owes the peer an acknowledgment, news or not: a segment that it takes and
    /// does not answer, for those who want to keep a path open. Does nothing before
    /// the connection is established.
    pub fn acknowledge(&mut self) {
        if self.state.is_synchronized() {
            self.acks.require();
        }
    }

    /// While corked only full segments are sent, or what has waited 200 ms.
    pub fn set_cork(&mut self, now: Instant, cork: bool) {
        self.flags.cork = cork;
        self.settle(now);
    }
}
