//! Opening a connection: actively, passively, from both sides at once
//! (RFC 9293 §3.5), and what the SYNs' options settle.

use alloc::sync::Arc;
use core::time::Duration;

use bytes::Bytes;

use crate::buffer::{RecvAutotune, RecvBuffer, SendBuffer, Spares};
use crate::cc::{AnyController, Controller, PathFacts};
use crate::config::{ConnectionConfig, MIN_MSS};
use crate::id::Port;
use crate::recovery::{AckInfo, Recovery, RecoveryConfig, Transmission};
use crate::seq::{SeqNumber, StreamPos};
use crate::stats::ConnectionCounters;
use crate::time::Instant;
use crate::wire::{Checksum, SegmentFlags, SegmentHeader, SegmentOptions, UserTimeout};

use super::ack_out::AckPolicy;
use super::close::Owner;
use super::input::{Arrival, Disposition};
use super::memory::reassembly_limits;
use super::pacing::Pacer;
use super::persist::Persist;
use super::pmtu::SegmentSize;
use super::state::State;
use super::tcb::{Negotiated, Ports, RecvSpace, SendSpace, TimestampState};
use super::user::Interest;
use super::user_timeout::TimeoutAdvice;
use super::{Connection, Flags};

/// What a connection must be told to begin.
#[derive(Clone, Debug)]
pub struct OpenParams {
    /// The configuration.
    pub config: Arc<ConnectionConfig>,
    /// Who checks that segments arrive undamaged.
    pub checksum: Checksum,
    /// This side's TCP port.
    pub local_port: Port,
    /// The peer's TCP port.
    pub peer_port: Port,
    /// The initial sequence number (RFC 6528: unpredictable, and later ones for
    /// the same ports lie ahead).
    pub isn: SeqNumber,
    /// The offset of the timestamp clock (RFC 7323 §5.4).
    pub timestamp_offset: u32,
    /// The largest segment that the interface carries, in bytes of options and
    /// data: what is announced (RFC 9293 §3.7.1).
    pub mss: u16,
    /// What a peer takes that announces no MSS: 536 over IPv4, 1220 over IPv6
    /// (RFC 9293 §3.7.1, MUST-15).
    pub default_mss: u16,
}

/// Shift counts above this are taken for this (RFC 7323 §2.3).
const MAX_WINDOW_SHIFT: u8 = 14;

/// What a SYN says that still matters when it has been answered: what both sides
/// can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SynFacts {
    /// IRS: the SYN's sequence number.
    pub(crate) irs: SeqNumber,
    /// The MSS option, or the default.
    pub(crate) mss: u16,
    /// The peer's shift count, if both sides scale windows.
    pub(crate) window_scale: Option<u8>,
    /// Both sides do SACK.
    pub(crate) sack: bool,
    /// TSval, if both sides send timestamps.
    pub(crate) tsval: Option<u32>,
    /// The peer's user timeout, if it counts here (RFC 5482).
    pub(crate) user_timeout: Option<UserTimeout>,
}

impl SynFacts {
    /// What `syn` offers and `config` takes. `default_mss` is that of
    /// [`OpenParams`].
    pub(crate) fn new(config: &ConnectionConfig, syn: &SegmentHeader, default_mss: u16) -> Self {
        let fields = &config.fields;
        let options = &syn.options;
        let timestamps = options.timestamps.filter(|_| fields.timestamps);
        let window_scale = options.window_scale.filter(|_| fields.window_scaling);
        Self {
            irs: syn.seq,
            mss: options.mss.unwrap_or(default_mss),
            window_scale: window_scale.map(|shift| shift.min(MAX_WINDOW_SHIFT)),
            sack: fields.sack && options.sack_permitted,
            tsval: timestamps.map(|timestamps| timestamps.tsval),
            user_timeout: options.user_timeout.filter(|_| fields.user_timeout_option.is_some()),
        }
    }
}

/// A handshake in SYN-RECEIVED for which there is no connection yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opening {
    pub(crate) syn: SynFacts,
    /// When our SYN-ACK was sent for the first time.
    pub(crate) sent_at: Instant,
    /// When it was sent for the last time.
    pub(crate) last_sent_at: Instant,
    /// How often it was sent again.
    pub(crate) resends: u8,
    /// How many of these followed a timeout.
    pub(crate) timeouts: u8,
}

/// The MSS option of our SYNs: what the interface carries, and `config` allows.
pub(crate) fn announced_mss(config: &ConnectionConfig, interface: u16) -> u16 {
    config.fields.max_mss.unwrap_or(u16::MAX).min(interface).max(MIN_MSS)
}

impl Connection {
    /// Opens actively (RFC 9293 §3.10.1): a SYN is ready to be sent.
    #[must_use]
    pub fn connect(now: Instant, params: OpenParams) -> Self {
        Self::new(now, params, State::SynSent)
    }

    /// Opens passively for a SYN that came to a listener (RFC 9293 §3.10.7.2,
    /// third): a SYN-ACK is ready to be sent. `payload` is the SYN's data.
    #[expect(clippy::needless_pass_by_value, reason = "a part in it is kept")]
    #[must_use]
    pub fn accept(now: Instant, params: OpenParams, syn: &SegmentHeader, payload: Bytes) -> Self {
        let mut conn = Self::new(now, params, State::SynReceived);
        conn.is_passive = true;
        conn.counters.segments_received = 1;
        let irs = StreamPos::first(syn.seq);
        let seg = Arrival::new(irs, conn.snd.nxt, 0, syn, (&payload).into());
        conn.on_peer_syn(now, &seg);
        conn
    }

    /// Goes on with an `opening` that was only noted so far, when the segment has
    /// come that acknowledges its SYN-ACK. That segment is the first to be handed
    /// in. `memory` is what is free of the endpoint's.
    pub(crate) fn resume(params: OpenParams, opening: &Opening, memory: u64) -> Self {
        let mut conn = Self::new(opening.sent_at, params, State::SynReceived);
        conn.is_passive = true;
        conn.take_syn(opening.sent_at, &opening.syn);
        conn.begin_with_memory(memory);
        let start = conn.snd.iss;
        let timestamps = &conn.timestamps;
        let tsval = |at| conn.negotiated.timestamps.then(|| timestamps.tsval(at));
        let sent = |now| Transmission { now, start, end: start + 1, tsval: tsval(now) };
        conn.recovery.on_sent(&sent(opening.sent_at));
        if opening.resends > 0 {
            conn.recovery.on_retransmitted(&sent(opening.last_sent_at));
        }
        conn.sent_at = opening.last_sent_at;
        conn.snd.nxt = start + 1;
        conn.snd.max = conn.snd.nxt;
        conn.flags.syn_retransmitted = opening.timeouts > 0;
        conn.counters.segments_received = 1;
        conn.counters.segments_sent = 1 + u64::from(opening.resends);
        conn.counters.segments_retransmitted = u64::from(opening.resends);
        conn.counters.timeouts = u64::from(opening.timeouts);
        conn
    }

    fn new(now: Instant, params: OpenParams, state: State) -> Self {
        let OpenParams { config, checksum, local_port, peer_port, isn, .. } = params;
        let fields = &config.fields;
        let mss = announced_mss(&config, params.mss);
        let iss = StreamPos::first(isn);
        let recovery = RecoveryConfig {
            rto_initial: fields.rto_initial,
            rto_min: fields.rto_min,
            rto_max: fields.rto_max,
            dupthresh: fields.dupthresh,
            max_ack_delay: MAX_ACK_DELAY,
        };
        Self {
            checksum,
            ports: Ports { local: local_port, peer: peer_port },
            state,
            owner: Owner::Held,
            is_passive: false,
            snd: SendSpace::new(iss),
            rcv: RecvSpace::unknown(),
            negotiated: Negotiated::default(),
            timestamps: TimestampState::new(params.timestamp_offset),
            segment_size: SegmentSize::new(mss),
            announced_mss: mss,
            peer_mss: params.default_mss,
            send: SendBuffer::new(iss + 1),
            recv: RecvBuffer::new(StreamPos::default(), reassembly_limits(fields)),
            autotune: RecvAutotune::new(fields.recv_buffer, fields.recv_buffer_max),
            recovery: Recovery::new(recovery, u64::from(mss)),
            congestion: None,
            acks: AckPolicy::default(),
            persist: Persist::default(),
            pacer: Pacer::default(),
            flags: Flags { nodelay: fields.nodelay, ..Flags::default() },
            interest: Interest::default(),
            progress_at: now,
            timeout_advice: TimeoutAdvice::default(),
            heard_at: now,
            sent_at: now,
            keepalive_probes: 0,
            keepalive_at: now,
            cwnd_limited_to: iss,
            free_memory: u64::MAX,
            spares: Spares::default(),
            arrival_share: u64::MAX,
            error: None,
            counters: ConnectionCounters::default(),
            config,
        }
    }

    /// Options of our SYN or SYN-ACK. A SYN-ACK offers only what the SYN did.
    pub(super) fn syn_options(&self, now: Instant) -> SegmentOptions {
        let fields = &self.config.fields;
        let is_answer = self.state == State::SynReceived;
        let timestamps = if is_answer { self.negotiated.timestamps } else { fields.timestamps };
        let scaling = fields.window_scaling && (!is_answer || self.flags.peer_scales);
        SegmentOptions {
            mss: Some(self.announced_mss),
            window_scale: scaling.then(|| self.config.window_shift()),
            sack_permitted: if is_answer { self.negotiated.sack } else { fields.sack },
            timestamps: timestamps.then(|| self.timestamp_option(now)),
            user_timeout: self.user_timeout_option(),
            ..SegmentOptions::default()
        }
    }

    /// A segment arrives in SYN-SENT (RFC 9293 §3.10.7.3).
    pub(super) fn input_syn_sent(&mut self, now: Instant, seg: &Arrival<'_>) -> Disposition {
        let flags = seg.flags();
        // First, check the ACK bit. Nothing but our SYN can be acknowledged.
        let acks_syn = flags.contains(SegmentFlags::ACK);
        if acks_syn && (seg.ack <= self.snd.iss || seg.ack > self.snd.nxt) {
            return Disposition::reset_unless(flags.contains(SegmentFlags::RST));
        }
        // Second, check the RST bit. One without ACK could be anybody's.
        if flags.contains(SegmentFlags::RST) {
            if acks_syn {
                self.fail(crate::error::ConnectionError::Refused);
            }
            return Disposition::Done;
        }
        // Fourth, check the SYN bit.
        if !flags.contains(SegmentFlags::SYN) {
            return Disposition::Done;
        }
        self.on_heard(now);
        self.on_peer_syn(now, seg);
        if acks_syn {
            self.on_syn_acked(now, seg);
            self.establish(now, seg.seq, seg.ack, seg.window);
            self.acks.require();
        } else {
            // Simultaneous open: our SYN goes out again, now with an ACK.
            self.state = State::SynReceived;
            self.recovery.mark_all_lost();
        }
        Disposition::Done
    }

    /// Notes what the peer's SYN says, and keeps data and FIN that came with
    /// it until the connection is established.
    fn on_peer_syn(&mut self, now: Instant, seg: &Arrival<'_>) {
        let facts = SynFacts::new(&self.config, seg.header, self.peer_mss);
        self.take_syn(now, &facts);
        if seg.header.flags.contains(SegmentFlags::URG) {
            self.note_urgent(seg);
        }
        if seg.header.flags.contains(SegmentFlags::FIN) {
            self.rcv.fin = Some(seg.data_start() + seg.payload.len() as u64);
        }
        let room = self.rcv.edge.since(seg.data_start());
        let mut payload = seg.payload;
        payload.truncate(usize::try_from(room).unwrap_or(usize::MAX));
        if !payload.is_empty() {
            self.recv.insert(self.rcv.nxt, payload, &mut self.spares);
        }
    }

    /// What both SYNs settle.
    fn take_syn(&mut self, now: Instant, syn: &SynFacts) {
        // By our own SYN, if it went first.
        let offered = self.rcv.wnd();
        self.rcv.irs = StreamPos::first(syn.irs);
        self.rcv.nxt = self.rcv.irs + 1;
        self.rcv.last_ack_sent = self.rcv.nxt;
        self.recv = RecvBuffer::new(self.rcv.nxt, reassembly_limits(&self.config.fields));
        self.rcv.edge = self.rcv.nxt + offered.max(self.recv_limit().min(u64::from(u16::MAX)));

        self.peer_mss = syn.mss;
        self.segment_size = SegmentSize::new(self.segment_size.mss().min(syn.mss.max(MIN_MSS)));
        self.negotiated.sack = syn.sack;
        if let Some(tsval) = syn.tsval {
            self.negotiated.timestamps = true;
            self.timestamps.set_recent(now, tsval);
        }
        if let Some(shift) = syn.window_scale {
            self.negotiated.snd_shift = shift;
            self.negotiated.rcv_shift = self.config.window_shift();
            self.flags.peer_scales = true;
        }
        self.take_user_timeout(syn.user_timeout);
    }

    /// Our SYN is acknowledged: the first round-trip sample, from the echoed
    /// timestamp if the SYN had to be sent again (RFC 7323 §4.1).
    pub(super) fn on_syn_acked(&mut self, now: Instant, seg: &Arrival<'_>) {
        let ack = self.snd.iss + 1;
        let timestamps = seg.header.options.timestamps.filter(|_| self.negotiated.timestamps);
        let tsecr = timestamps.map(|timestamps| timestamps.tsecr);
        self.recovery.on_ack(&AckInfo {
            now,
            ack,
            sack: &[],
            ts_rtt: tsecr.and_then(|tsecr| self.timestamps.round_trip(now, tsecr)),
            tsecr,
            duplicate: false,
        });
        self.snd.una = ack;
        self.progress_at = now;
    }

    /// Enters ESTABLISHED (RFC 9293 §3.10.7.3 and §3.10.7.4, fifth).
    pub(super) fn establish(&mut self, now: Instant, seq: StreamPos, ack: StreamPos, window: u64) {
        self.state = State::Established;
        self.snd.take_window(seq, ack, window, self.negotiated.snd_shift);
        let mss = self.mss();
        self.recovery.set_sack(self.negotiated.sack);
        self.recovery.set_mss(mss);
        self.recovery.on_established(self.flags.syn_retransmitted);
        let facts = PathFacts::new(mss, self.initial_window(mss));
        let facts = facts.with_pacing(self.config.fields.pacing);
        self.congestion = Some(AnyController::new(&self.config.fields.congestion, &facts));
        self.repeat_user_timeout();
        self.interest.on_connected();
        // What came with the SYN counts from now on.
        let early = self.recv.next().since(self.rcv.nxt);
        if early > 0 {
            self.on_in_order_data(now, early, early);
        }
        if self.flags.fin_queued {
            self.state = State::FinWait1;
        }
        self.process_fin(now);
    }

    /// RFC 6928's initial window, or one segment after a lost SYN (RFC 5681
    /// §3.1).
    fn initial_window(&self, mss: u64) -> u64 {
        if self.flags.syn_retransmitted {
            return mss;
        }
        let standard = (10 * mss).min((2 * mss).max(14_600));
        self.config.fields.initial_window.unwrap_or(standard).max(mss)
    }

    /// The segment size changed, and who depends on it must know.
    pub(super) fn on_segment_size(&mut self) {
        let mss = self.mss();
        self.recovery.set_mss(mss);
        if let Some(congestion) = &mut self.congestion {
            congestion.on_mss(mss);
        }
        self.counters.mtu_fallbacks += 1;
    }
}

/// How long peers delay acknowledgments, as a tail loss probe assumes (RFC 8985
/// §7.2): our own and FreeBSD's 40 ms, and what timers add. A peer that takes
/// longer costs one needless segment, which is not taken for loss.
const MAX_ACK_DELAY: Duration = Duration::from_millis(50);
