//! LISTEN (RFC 9293 §3.10.7.2), and from a SYN to a connection: remembered in the
//! SYN cache, or left to a cookie (RFC 4987 §3.4, §3.6).
//!
//! ```text
//!  SYN -> accept queue full? ------------> dropped
//!      -> room in the cache? ------------> half_open, SYN-ACK by its timer too
//!      -> cookies? ----------------------> cookie, SYN-ACK once
//!      -> else --------------------------> dropped
//!
//!  ACK -> completes a half-open, or is a good cookie
//!      -> accept queue full? ------------> dropped; the SYN-ACK comes again
//!      -> else --------------------------> a connection, and its first segment
//! ```
//!
//! Data, FIN and urgent mark of the SYN itself are not kept: they are not
//! acknowledged, so that the peer sends them again when it has shown where it is.

use core::net::IpAddr;

use crate::config::ConnectionConfig;
use crate::conn::{Connection, Opening, SynFacts, TimestampState, announced_mss, first_window};
use crate::id::ListenerId;
use crate::seq::SeqNumber;
use crate::time::Instant;
use crate::wire::{SegmentFlags, SegmentHeader, UserTimeout};

use super::demux::{Key, Target};
use super::half_open::{self, Expiry, HalfOpen, Terms, Verdict};
use super::input::{Incoming, key, stray_reply};
use super::isn::{begin_above, initial_sequence_number, names, timestamp_offset};
use super::listener::Listener;
use super::reset::StrayReply;
use super::slots::Stage;
use super::{Endpoint, Remote, cookie, default_mss};

impl Endpoint {
    /// RFC 9293 §3.10.7.2, for a port that is listened on. Returns the connection
    /// that `seg` makes, whose first segment it is.
    pub(super) fn input_listen(
        &mut self,
        now: Instant,
        listener: ListenerId,
        seg: &Incoming<'_>,
    ) -> Option<u32> {
        let flags = seg.header.flags;
        let is_ack = flags.contains(SegmentFlags::ACK);
        if flags.contains(SegmentFlags::RST) {
            self.input_closed(now, seg);
        } else if is_ack && !flags.contains(SegmentFlags::SYN) && self.are_cookies_out(now) {
            return self.input_cookie(now, listener, seg);
        } else if is_ack {
            self.input_closed(now, seg);
        } else if flags.contains(SegmentFlags::SYN) {
            self.input_syn(now, listener, seg);
        }
        None
    }

    fn input_syn(&mut self, now: Instant, listener: ListenerId, seg: &Incoming<'_>) {
        if self.listeners.get(listener).is_none_or(Listener::is_full) {
            self.counters.syns_dropped += 1;
        } else if self.slots.len() >= self.config.fields.max_connections {
            self.counters.connections_refused += 1;
        } else if self.may_remember(listener) {
            self.remember(now, listener, seg, None);
        } else {
            self.counters.syn_cache_overflows += 1;
            if self.config.fields.syn_cookies {
                self.send_cookie(now, listener, seg);
            } else {
                self.counters.syns_dropped += 1;
            }
        }
    }

    /// Whether the SYN cache has room for a SYN to `listener`, which may then
    /// become a connection.
    pub(super) fn may_remember(&self, listener: ListenerId) -> bool {
        let has_room = |listener: &Listener| listener.has_room() && !listener.is_full();
        self.syn_cache.has_room()
            && self.slots.len() < self.config.fields.max_connections
            && self.listeners.get(listener).is_some_and(has_room)
    }

    /// A SYN for a listener is remembered, and will be answered. `above`: our
    /// sequence numbers must begin above this one (RFC 6191).
    pub(super) fn remember(
        &mut self,
        now: Instant,
        listener_id: ListenerId,
        seg: &Incoming<'_>,
        above: Option<SeqNumber>,
    ) {
        let addr = seg.batch.peer;
        let ip = addr.ip();
        let (peer_port, local_port) = (seg.header.src_port, seg.header.dst_port);
        let isn = initial_sequence_number(&self.secret, now, ip, peer_port, local_port);
        let iss = begin_above(isn, above);
        let Some(listener) = self.listeners.get_mut(listener_id) else { return };
        listener.on_begun();
        let syn = SynFacts::new(&listener.config, seg.header, default_mss(ip));
        let peer = self.paths.join(addr, seg.batch.local_ip);
        let key = key(peer, seg.header);
        let mut entry = HalfOpen::new(now, key, listener_id, (iss, syn), seg.len);
        entry.set_deadline(now, &listener.config);
        let slot = self.syn_cache.insert(entry);
        self.demux.insert(key, ip, Target::HalfOpen(slot));
    }

    /// A segment for a half-open connection. Returns the connection that it makes.
    pub(super) fn input_half_open(
        &mut self,
        now: Instant,
        slot: u32,
        seg: &Incoming<'_>,
    ) -> Option<u32> {
        let listener_id = self.syn_cache.get(slot)?.listener;
        let terms = self.terms(listener_id, seg.batch.peer.ip())?;
        let config = &self.listeners.get(listener_id)?.config;
        let len = seg.data.len();
        let judge = |entry: &mut HalfOpen| {
            let verdict = entry.judge(now, seg.header, len, &terms);
            if verdict == Verdict::SynAck {
                entry.resend();
                // The timer runs from the last transmission (RFC 6298 (5.1)).
                entry.set_deadline(now, config);
            }
            verdict
        };
        match self.syn_cache.with(slot, judge)? {
            Verdict::Ignore | Verdict::SynAck => {}
            Verdict::Suppress => self.counters.handshake_replies_suppressed += 1,
            Verdict::Acknowledge => {
                let header = self.syn_cache.get(slot)?.ack(now, &terms, seg.len);
                self.strays.push_owed(stray_reply(seg, header));
            }
            Verdict::Reset if self.are_cookies_out(now) => {
                // Its SYN may have come twice, and first been left to a cookie.
                return self.input_cookie(now, listener_id, seg);
            }
            Verdict::Reset => self.reply_reset(now, seg),
            Verdict::Forget => self.forget_half_open(slot),
            Verdict::Complete => return self.complete(slot, listener_id),
        }
        None
    }

    /// The handshake in `slot` is complete: there is a connection, if there is room
    /// for it. If not, the SYN-ACK goes again when its time comes, and asks for
    /// the acknowledgment again.
    fn complete(&mut self, slot: u32, listener_id: ListenerId) -> Option<u32> {
        if !self.has_room_to_accept(listener_id) {
            return None;
        }
        let entry = self.syn_cache.remove(slot)?;
        self.listeners.get_mut(listener_id)?.on_ended();
        self.establish(listener_id, entry.key, entry.iss, &entry.opening)
    }

    /// Whether a connection may be made for `listener`; what is missing is counted.
    fn has_room_to_accept(&mut self, listener: ListenerId) -> bool {
        if self.listeners.get(listener).is_none_or(Listener::is_full) {
            self.counters.accept_queue_overflows += 1;
            false
        } else if self.slots.len() >= self.config.fields.max_connections {
            self.counters.connections_refused += 1;
            false
        } else {
            true
        }
    }

    /// Makes the connection of a handshake, whose path it has joined.
    fn establish(
        &mut self,
        listener_id: ListenerId,
        key: Key,
        iss: SeqNumber,
        opening: &Opening,
    ) -> Option<u32> {
        let addr = self.paths.get(key.peer)?.addr;
        let listener = self.listeners.get_mut(listener_id)?;
        let config = listener.config.clone();
        let remote = Remote { addr, port: key.peer_port };
        let mut params = self.open_params(opening.sent_at, remote, key.local_port, config);
        params.isn = iss;
        let conn = Connection::resume(params, opening, self.memory.free());
        let id = self.enter(conn, key, addr.ip(), Stage::Queued);
        if self.listeners.get_mut(listener_id)?.on_established(id) {
            self.events.incoming(listener_id);
        }
        Some(id.slot)
    }

    /// Answers a SYN that cannot be remembered so that its sender remembers it.
    fn send_cookie(&mut self, now: Instant, listener_id: ListenerId, seg: &Incoming<'_>) {
        let ip = seg.batch.peer.ip();
        let (peer_port, local_port) = (seg.header.src_port, seg.header.dst_port);
        let Some(listener) = self.listeners.get(listener_id) else { return };
        let syn = SynFacts::new(&listener.config, seg.header, default_mss(ip));
        let syn = cookie::keep(&syn);
        let announces_mss = half_open::has_room_for_mss(&syn, seg.len);
        let Some(terms) = self.terms(listener_id, ip) else { return };
        let names = names(ip, peer_port, local_port);
        let iss = cookie::bake(&self.secret, now, &names, &syn);
        let tsval = cookie::stamp(terms.clock.tsval(now), &syn);
        let mss = announces_mss.then_some(terms.mss);
        let header = half_open::syn_ack((local_port, peer_port), iss, &syn, &terms, (mss, tsval));
        self.strays.push_owed(stray_reply(seg, header));
        self.cookie_sent = Some(now);
        self.counters.syn_cookies_sent += 1;
    }

    /// Whether a cookie that was sent may still come back.
    pub(super) fn are_cookies_out(&self, now: Instant) -> bool {
        self.cookie_sent.is_some_and(|at| now.saturating_since(at) <= cookie::LIFETIME)
    }

    /// An acknowledgment that may bring a cookie back. One that does not is dropped
    /// without a word: it may be a later segment of a handshake whose first was
    /// lost, and a reset would end it.
    fn input_cookie(
        &mut self,
        now: Instant,
        listener_id: ListenerId,
        seg: &Incoming<'_>,
    ) -> Option<u32> {
        let addr = seg.batch.peer;
        let header = seg.header;
        let names = names(addr.ip(), header.src_port, header.dst_port);
        let (irs, iss) = (header.seq.plus(u32::MAX), header.ack.plus(u32::MAX));
        let timestamps = header.options.timestamps;
        let Some(syn) = cookie::read(&self.secret, now, &names, (irs, iss), timestamps) else {
            self.counters.syn_cookies_rejected += 1;
            return None;
        };
        if !self.has_room_to_accept(listener_id) {
            return None;
        }
        self.counters.syn_cookies_accepted += 1;
        // When the SYN-ACK was sent the echo of its timestamp tells, to 32 ms, and
        // else nothing: as if it had been sent more than once.
        let clock = TimestampState::new(timestamp_offset(&self.secret, addr.ip()));
        let round_trip = timestamps.and_then(|echo| clock.round_trip(now, echo.tsecr));
        let sent_at = now.back(round_trip.unwrap_or_default());
        let resends = u8::from(round_trip.is_none());
        let opening = Opening { syn, sent_at, last_sent_at: sent_at, resends, timeouts: 0 };
        let peer = self.paths.join(addr, seg.batch.local_ip);
        let key = key(peer, header);
        if let Some(Target::HalfOpen(slot)) = self.demux.find(&key) {
            self.forget_half_open(slot);
        }
        self.establish(listener_id, key, iss, &opening)
    }

    /// What this side brings into a handshake of `listener` with a peer.
    fn terms(&self, listener: ListenerId, ip: IpAddr) -> Option<Terms> {
        let config: &ConnectionConfig = &self.listeners.get(listener)?.config;
        let shift = config.window_shift();
        let free = self.memory.free();
        Some(Terms {
            mss: announced_mss(config, self.local_mss(ip)),
            shift,
            windows: [0, shift].map(|shift| first_window(config, shift, free)),
            replies: config.fields.challenge_acks_per_second,
            user_timeout: UserTimeout::new(config.fields.user_timeout),
            clock: TimestampState::new(timestamp_offset(&self.secret, ip)),
        })
    }

    /// The next SYN-ACK to send.
    pub(super) fn next_syn_ack(&mut self, now: Instant) -> Option<StrayReply> {
        loop {
            let slot = self.syn_cache.next_due()?;
            let reply = self.half_open_reply(slot, |entry, terms| entry.syn_ack(now, terms));
            if reply.is_some() {
                return reply;
            }
        }
    }

    /// The segment that `make` makes for the handshake in `slot`.
    fn half_open_reply(
        &mut self,
        slot: u32,
        make: impl FnOnce(&mut HalfOpen, &Terms) -> SegmentHeader,
    ) -> Option<StrayReply> {
        let entry = self.syn_cache.get(slot)?;
        let path = self.paths.get(entry.key.peer)?;
        let (peer, local_ip) = (path.addr, path.local_ip);
        let terms = self.terms(entry.listener, peer.ip())?;
        let header = self.syn_cache.with(slot, |entry| make(entry, &terms))?;
        Some(StrayReply { peer, local_ip, header })
    }

    /// The deadline of the handshake in `slot` has come.
    pub(super) fn on_half_open_timeout(&mut self, now: Instant, slot: u32) {
        let retries = self.config.fields.syn_ack_retries;
        let listener =
            self.syn_cache.get(slot).and_then(|entry| self.listeners.get(entry.listener));
        let Some(config) = listener.map(|listener| listener.config.clone()) else {
            debug_assert!(false, "a handshake does not outlive its listener");
            self.forget_half_open(slot);
            return;
        };
        let expire = |entry: &mut HalfOpen| entry.on_timeout(now, &config, retries);
        match self.syn_cache.with(slot, expire) {
            Some(Expiry::Again) => self.counters.syn_acks_retransmitted += 1,
            Some(Expiry::Over) | None => {
                self.counters.handshakes_timed_out += 1;
                self.reset_one(now, slot);
            }
        }
    }

    /// All handshakes of a listener are over.
    pub(super) fn reset_half_open(&mut self, now: Instant, listener: ListenerId) {
        for slot in self.syn_cache.of(listener) {
            self.reset_one(now, slot);
        }
    }

    /// The peer is told, as far as there is room for telling.
    fn reset_one(&mut self, now: Instant, slot: u32) {
        if let Some(reply) = self.half_open_reply(slot, |entry, terms| entry.reset(now, terms)) {
            self.strays.push_owed(reply);
        }
        self.forget_half_open(slot);
    }

    /// Nothing comes of the handshake in `slot`.
    fn forget_half_open(&mut self, slot: u32) {
        let Some(entry) = self.syn_cache.remove(slot) else { return };
        if let Some(listener) = self.listeners.get_mut(entry.listener) {
            listener.on_ended();
        }
        if let Some(path) = self.paths.get(entry.key.peer) {
            let ip = path.addr.ip();
            self.demux.remove(&entry.key, ip);
        }
        self.paths.leave(entry.key.peer);
    }
}
