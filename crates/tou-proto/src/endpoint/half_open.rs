//! A handshake that waits for its last segment: RFC 9293's SYN-RECEIVED of a
//! passive open, in as few octets as it takes (RFC 4987 §3.4).
//!
//! Judges segments (RFC 9293 §3.10.7.4, RFC 5961), runs the timer of the SYN-ACK
//! (RFC 6298 §5) and makes the segments that are sent. It changes its own
//! variables and returns values; it must not know tables, queues or other
//! handshakes.

use crate::config::ConnectionConfig;
use crate::conn::{
    Extent, Opening, RecvSpace, ReplyLimit, ResetVerdict, SynFacts, TimestampState, is_in_window,
    is_old_timestamp, judge_reset,
};
use crate::id::{ListenerId, Port};
use crate::seq::{SeqNumber, StreamPos};
use crate::time::Instant;
use crate::wire::{SegmentFlags, SegmentHeader, SegmentOptions, Timestamps, UserTimeout};

use super::demux::Key;

/// A handshake without its last segment.
#[derive(Debug)]
pub(super) struct HalfOpen {
    pub(super) key: Key,
    pub(super) listener: ListenerId,
    /// ISS: our initial sequence number.
    pub(super) iss: SeqNumber,
    pub(super) opening: Opening,
    /// When the SYN-ACK goes out again, or all is given up.
    pub(super) deadline: Instant,
    /// The SYN-ACK is to be sent.
    pub(super) is_due: bool,
    /// It has room for our MSS.
    announces_mss: bool,
    replies: ReplyLimit,
}

/// What this side brings into the handshakes of one listener with one peer.
#[derive(Debug)]
pub(super) struct Terms {
    /// The MSS to announce.
    pub(super) mss: u16,
    /// The shift count to announce.
    pub(super) shift: u8,
    /// The window field of the SYN-ACK: without window scaling, and with it.
    pub(super) windows: [u16; 2],
    /// How many answers a handshake gets in a second.
    pub(super) replies: u32,
    /// The user timeout to advise, to those who advise one (RFC 5482).
    pub(super) user_timeout: UserTimeout,
    /// The timestamp clock towards the peer.
    pub(super) clock: TimestampState,
}

impl Terms {
    fn window(&self, syn: &SynFacts) -> u16 {
        let [plain, scaled] = self.windows;
        syn.window_scale.map_or(plain, |_| scaled)
    }
}

/// What a segment for a half-open connection deserves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing.
    Ignore,
    /// Nothing, because the limit of answers is reached.
    Suppress,
    /// An acknowledgment.
    Acknowledge,
    /// The SYN-ACK again.
    SynAck,
    /// A reset; the handshake goes on.
    Reset,
    /// The handshake is over: back to LISTEN.
    Forget,
    /// There is a connection now, for which this is the first segment.
    Complete,
}

/// What has become of a handshake whose deadline has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expiry {
    /// The SYN-ACK is to be sent again.
    Again,
    /// It is given up.
    Over,
}

/// Whether the answer to `syn`, a segment of `len` octets, has room for our MSS. It
/// must not be longer than what it answers, for whom it goes to has only been
/// claimed. All else in it grants what the SYN offered in no fewer octets, so that
/// nothing but the MSS is ever too much: a peer that announces none gets none if
/// it leaves no room for it.
pub(super) fn has_room_for_mss(syn: &SynFacts, len: usize) -> bool {
    let options = SegmentOptions {
        mss: Some(0),
        window_scale: syn.window_scale,
        sack_permitted: syn.sack,
        timestamps: syn.tsval.map(|tsval| Timestamps { tsval, tsecr: 0 }),
        user_timeout: syn.user_timeout,
        ..SegmentOptions::default()
    };
    HEADER + options.encoded_len() <= len
}

/// A header without options.
const HEADER: usize = 20;

/// The answer to `syn`, from one port to another. `mss` and `tsval` are ours, if
/// they are to be told.
pub(super) fn syn_ack(
    (src_port, dst_port): (Port, Port),
    iss: SeqNumber,
    syn: &SynFacts,
    terms: &Terms,
    (mss, tsval): (Option<u16>, u32),
) -> SegmentHeader {
    SegmentHeader {
        src_port,
        dst_port,
        seq: iss,
        ack: syn.irs.plus(1),
        flags: SegmentFlags::SYN | SegmentFlags::ACK,
        window: terms.window(syn),
        urgent: 0,
        options: SegmentOptions {
            mss,
            window_scale: syn.window_scale.map(|_| terms.shift),
            sack_permitted: syn.sack,
            timestamps: syn.tsval.map(|tsecr| Timestamps { tsval, tsecr }),
            user_timeout: syn.user_timeout.map(|_| terms.user_timeout),
            ..SegmentOptions::default()
        },
    }
}

impl HalfOpen {
    /// The handshake that `syn`, a segment of `len` octets, begins. Its SYN-ACK is
    /// to be sent.
    pub(super) fn new(
        now: Instant,
        key: Key,
        listener: ListenerId,
        (iss, syn): (SeqNumber, SynFacts),
        len: usize,
    ) -> Self {
        let announces_mss = has_room_for_mss(&syn, len);
        let opening = Opening { syn, sent_at: now, last_sent_at: now, resends: 0, timeouts: 0 };
        let replies = ReplyLimit::default();
        let deadline = now;
        Self { key, listener, iss, opening, deadline, is_due: true, announces_mss, replies }
    }

    /// Judges a segment with `payload_len` octets of data, as RFC 9293 §3.10.7.4
    /// has it.
    pub(super) fn judge(
        &mut self,
        now: Instant,
        segment: &SegmentHeader,
        payload_len: usize,
        terms: &Terms,
    ) -> Verdict {
        let flags = segment.flags;
        let most = terms.replies;
        let irs = StreamPos::first(self.opening.syn.irs);
        let rcv = RecvSpace {
            irs,
            nxt: irs + 1,
            edge: irs + 1 + u64::from(terms.window(&self.opening.syn)),
            ..RecvSpace::unknown()
        };
        let seq = rcv.nxt.nearest(segment.seq);
        let len = payload_len as u64 + u64::from(flags.sequence_len());
        let is_reset = flags.contains(SegmentFlags::RST);
        // First, check sequence number; before it, the timestamp (RFC 7323 §5.3).
        if !is_reset && self.is_old(segment) {
            return self.limited(now, most, Verdict::Acknowledge);
        }
        let is_syn = flags.contains(SegmentFlags::SYN) && !flags.contains(SegmentFlags::ACK);
        if is_syn && !is_reset && seq == irs {
            // The SYN again: our answer was lost. An ACK alone would not help a
            // peer in SYN-SENT.
            return self.limited(now, most, Verdict::SynAck);
        }
        if !is_in_window(&rcv, Extent { seq, len }) {
            return if is_reset {
                Verdict::Ignore
            } else {
                self.limited(now, most, Verdict::Acknowledge)
            };
        }
        // Second, check the RST bit (RFC 5961 §3.2).
        if is_reset {
            return match judge_reset(&rcv, seq) {
                ResetVerdict::Drop => Verdict::Ignore,
                ResetVerdict::Challenge => self.limited(now, most, Verdict::Acknowledge),
                ResetVerdict::Reset => Verdict::Forget,
            };
        }
        // Fourth, check the SYN bit.
        if flags.contains(SegmentFlags::SYN) {
            return Verdict::Forget;
        }
        // Fifth, check the ACK field.
        if !flags.contains(SegmentFlags::ACK) {
            Verdict::Ignore
        } else if segment.ack == self.iss.plus(1) {
            Verdict::Complete
        } else {
            Verdict::Reset
        }
    }

    fn is_old(&self, segment: &SegmentHeader) -> bool {
        let times = self.opening.syn.tsval.zip(segment.options.timestamps);
        times.is_some_and(|(recent, timestamps)| is_old_timestamp(timestamps.tsval, recent))
    }

    /// Each handshake counts for itself, so that nobody learns anything from what
    /// is not answered (RFC 5961 §7, CVE-2016-5696).
    fn limited(&mut self, now: Instant, most: u32, verdict: Verdict) -> Verdict {
        if self.replies.allow(now, most) { verdict } else { Verdict::Suppress }
    }

    /// The SYN-ACK is sent `now`.
    pub(super) fn syn_ack(&mut self, now: Instant, terms: &Terms) -> SegmentHeader {
        self.is_due = false;
        self.opening.last_sent_at = now;
        let mss = self.announces_mss.then_some(terms.mss);
        let tsval = terms.clock.tsval(now);
        let ports = (self.key.local_port, self.key.peer_port);
        syn_ack(ports, self.iss, &self.opening.syn, terms, (mss, tsval))
    }

    /// An acknowledgment for a segment of `len` octets: no longer than that.
    pub(super) fn ack(&self, now: Instant, terms: &Terms, len: usize) -> SegmentHeader {
        let mut header = self.header(now, terms, SegmentFlags::ACK);
        if header.encoded_len() > len {
            header.options = SegmentOptions::default();
        }
        header
    }

    /// The reset that tells the peer that nothing comes of it.
    pub(super) fn reset(&self, now: Instant, terms: &Terms) -> SegmentHeader {
        self.header(now, terms, SegmentFlags::RST | SegmentFlags::ACK)
    }

    fn header(&self, now: Instant, terms: &Terms, flags: SegmentFlags) -> SegmentHeader {
        let syn = &self.opening.syn;
        let tsval = terms.clock.tsval(now);
        SegmentHeader {
            src_port: self.key.local_port,
            dst_port: self.key.peer_port,
            seq: self.iss.plus(1),
            ack: syn.irs.plus(1),
            flags,
            window: terms.window(syn) >> syn.window_scale.map_or(0, |_| terms.shift),
            urgent: 0,
            options: SegmentOptions {
                timestamps: syn.tsval.map(|tsecr| Timestamps { tsval, tsecr }),
                ..SegmentOptions::default()
            },
        }
    }

    /// The SYN-ACK is to go out again.
    pub(super) fn resend(&mut self) {
        if !core::mem::replace(&mut self.is_due, true) {
            self.opening.resends = self.opening.resends.saturating_add(1);
        }
    }

    /// Sets the deadline: the retransmission timeout, doubled each time (RFC 6298
    /// (5.5)), or the end of all patience.
    pub(super) fn set_deadline(&mut self, now: Instant, config: &ConnectionConfig) {
        let fields = &config.fields;
        let backoff = 1_u32.checked_shl(u32::from(self.opening.timeouts)).unwrap_or(u32::MAX);
        let rto = fields.rto_initial.saturating_mul(backoff).min(fields.rto_max);
        self.deadline = (now + rto).min(self.opening.sent_at + fields.connect_timeout);
    }

    /// The deadline has come. After `retries` timeouts there is none again.
    pub(super) fn on_timeout(
        &mut self,
        now: Instant,
        config: &ConnectionConfig,
        retries: u8,
    ) -> Expiry {
        let fields = &config.fields;
        let retries = fields.max_retries.unwrap_or(u32::MAX).min(retries.into());
        let is_late = now >= self.opening.sent_at + fields.connect_timeout;
        if is_late || u32::from(self.opening.timeouts) >= retries {
            return Expiry::Over;
        }
        self.opening.timeouts += 1;
        self.resend();
        self.set_deadline(now, config);
        Expiry::Again
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;
    use core::time::Duration;

    use super::*;
    use crate::id::PeerId;

    const OURS: u32 = 5_000;
    const PEER: u32 = u32::MAX - 1;

    fn terms() -> Terms {
        Terms {
            mss: 1_452,
            shift: 0,
            windows: [1_000; 2],
            replies: 5,
            user_timeout: UserTimeout::new(Duration::from_secs(1)),
            clock: TimestampState::new(0),
        }
    }

    fn port(number: u16) -> Port {
        Port::new(number).unwrap()
    }

    fn half_open(tsval: Option<u32>) -> HalfOpen {
        let peer = PeerId { slot: 0, generation: 0 };
        let key = Key { peer, peer_port: port(1), local_port: port(2) };
        let listener = ListenerId { slot: 0, generation: 0 };
        let irs = SeqNumber::new(PEER);
        let syn =
            SynFacts { irs, mss: 9, window_scale: None, sack: false, tsval, user_timeout: None };
        HalfOpen::new(Instant::ZERO, key, listener, (SeqNumber::new(OURS), syn), 40)
    }

    fn segment(flags: SegmentFlags, seq: u32, ack: u32) -> SegmentHeader {
        SegmentHeader {
            src_port: port(1),
            dst_port: port(2),
            seq: SeqNumber::new(PEER.wrapping_add(seq)),
            ack: SeqNumber::new(OURS.wrapping_add(ack)),
            flags,
            window: 9,
            urgent: 0,
            options: SegmentOptions::default(),
        }
    }

    /// About a hundred octets a SYN: a flood is paid in these.
    #[test]
    fn a_handshake_is_small() {
        assert!(size_of::<HalfOpen>() <= 112, "{}", size_of::<HalfOpen>());
    }

    #[test]
    fn segments_are_judged_as_syn_received_has_it() {
        const ACK: SegmentFlags = SegmentFlags::ACK;
        const SYN: SegmentFlags = SegmentFlags::SYN;
        const RST: SegmentFlags = SegmentFlags::RST;
        let judge = |flags, seq, ack, len| {
            half_open(None).judge(Instant::ZERO, &segment(flags, seq, ack), len, &terms())
        };
        assert_eq!(judge(ACK, 1, 1, 0), Verdict::Complete);
        assert_eq!(judge(ACK, 1, 1, 10), Verdict::Complete);
        assert_eq!(judge(ACK | SegmentFlags::FIN, 500, 1, 10), Verdict::Complete);
        assert_eq!(judge(ACK, 1, 0, 0), Verdict::Reset);
        assert_eq!(judge(ACK, 1, 2, 0), Verdict::Reset);
        assert_eq!(judge(ACK, 0, 1, 0), Verdict::Acknowledge);
        assert_eq!(judge(ACK, 1_002, 1, 0), Verdict::Acknowledge);
        assert_eq!(judge(SegmentFlags::EMPTY, 1, 1, 5), Verdict::Ignore);
        assert_eq!(judge(SYN, 0, 0, 0), Verdict::SynAck);
        assert_eq!(judge(SYN, 0, 0, 100), Verdict::SynAck);
        assert_eq!(judge(SYN | ACK, 0, 1, 0), Verdict::Acknowledge);
        assert_eq!(judge(SYN, 5, 0, 0), Verdict::Forget);
        assert_eq!(judge(SYN | ACK, 5, 1, 0), Verdict::Forget);
        assert_eq!(judge(SYN, 5_000, 0, 0), Verdict::Acknowledge);
        assert_eq!(judge(RST, 1, 0, 0), Verdict::Forget);
        assert_eq!(judge(RST | ACK, 1, 9, 0), Verdict::Forget);
        assert_eq!(judge(RST, 2, 0, 0), Verdict::Acknowledge);
        assert_eq!(judge(RST, 0, 0, 0), Verdict::Ignore);
        assert_eq!(judge(RST | SYN, 0, 0, 0), Verdict::Ignore);
        assert_eq!(judge(RST, 2_000, 0, 0), Verdict::Ignore);
    }

    #[test]
    fn an_old_timestamp_completes_nothing() {
        let judge = |flags, tsval| {
            let mut segment = segment(flags, 1, 1);
            segment.options.timestamps = Some(Timestamps { tsval, tsecr: 0 });
            half_open(Some(100)).judge(Instant::ZERO, &segment, 0, &terms())
        };
        assert_eq!(judge(SegmentFlags::ACK, 99), Verdict::Acknowledge);
        assert_eq!(judge(SegmentFlags::ACK, 100), Verdict::Complete);
        assert_eq!(judge(SegmentFlags::RST, 99), Verdict::Forget, "RFC 7323 §5.2");
    }

    #[test]
    fn the_timer_doubles_up_to_its_bound_and_ends_with_the_connect_timeout() {
        let secs = Duration::from_secs;
        let config = ConnectionConfig::builder()
            .with_rto(secs(1), secs(1), secs(4))
            .with_connect_timeout(secs(12))
            .build()
            .unwrap();
        let mut entry = half_open(None);
        entry.set_deadline(Instant::ZERO, &config);
        let mut deadlines = Vec::new();
        loop {
            let now = entry.deadline;
            deadlines.push(now.as_millis() / 1_000);
            if entry.on_timeout(now, &config, 99) == Expiry::Over {
                break;
            }
        }
        assert_eq!(deadlines, [1, 3, 7, 11, 12]);
    }
}
