//! A segment arrives: RFC 9293 §3.10.7.4, in its order, with RFC 7323's
//! timestamp check and RFC 5961's mitigations where they belong.

use bytes::Bytes;

use crate::buffer::Payload;
use crate::error::ConnectionError;
use crate::seq::StreamPos;
use crate::time::Instant;
use crate::wire::{SegmentFlags, SegmentHeader, Timestamps};

use super::Connection;
use super::state::State;
use super::verdict::{
    AckVerdict, Extent, ResetVerdict, is_in_window, is_old_timestamp, judge_ack, judge_reset,
};

/// What the finder of the connection is to do after a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Disposition {
    /// Nothing.
    Done,
    /// Answer the segment with a reset, as if there were no connection
    /// (RFC 9293 §3.10.7.1).
    Reset,
}

impl Disposition {
    /// A reset answers everything but a reset.
    pub(super) fn reset_unless(is_reset: bool) -> Self {
        if is_reset { Self::Done } else { Self::Reset }
    }
}

const SYN_ACK: SegmentFlags =
    SegmentFlags::from_bits(SegmentFlags::SYN.bits() | SegmentFlags::ACK.bits());

/// A segment whose numbers have become positions.
#[derive(Debug)]
pub(super) struct Arrival<'a> {
    pub(super) header: &'a SegmentHeader,
    /// SEG.SEQ.
    pub(super) seq: StreamPos,
    /// SEG.ACK; means something only with the ACK flag.
    pub(super) ack: StreamPos,
    /// SEG.WND, scaled.
    pub(super) window: u64,
    pub(super) payload: Payload<'a>,
    /// The data did not fit a closed window, so that the FIN behind it is not
    /// there either.
    pub(super) is_cut: bool,
    /// The SYN is the one that was taken already, on its way again with an ACK.
    is_syn_known: bool,
}

impl<'a> Arrival<'a> {
    /// Unwraps the numbers of `header`: the peer's near `peer_pos`, ours near
    /// `our_pos`. The window of a SYN is never scaled (RFC 7323 §2.2).
    pub(super) fn new(
        peer_pos: StreamPos,
        our_pos: StreamPos,
        shift: u8,
        header: &'a SegmentHeader,
        payload: Payload<'a>,
    ) -> Self {
        let shift = if header.flags.contains(SegmentFlags::SYN) { 0 } else { shift };
        Self {
            header,
            seq: peer_pos.nearest(header.seq),
            ack: our_pos.nearest(header.ack),
            window: u64::from(header.window) << shift,
            payload,
            is_cut: false,
            is_syn_known: false,
        }
    }

    pub(super) fn flags(&self) -> SegmentFlags {
        self.header.flags
    }

    pub(super) fn has(&self, flag: SegmentFlags) -> bool {
        self.header.flags.contains(flag)
    }

    /// SEG.LEN.
    pub(super) fn len(&self) -> u64 {
        self.payload.len() as u64 + u64::from(self.header.flags.sequence_len())
    }

    /// Where the data starts: after the SYN, if there is one.
    pub(super) fn data_start(&self) -> StreamPos {
        self.seq + u64::from(self.has(SegmentFlags::SYN))
    }

    /// Where the data ends, and a FIN would be.
    pub(super) fn data_end(&self) -> StreamPos {
        self.data_start() + self.payload.len() as u64
    }

    fn extent(&self) -> Extent {
        Extent { seq: self.seq, len: self.len() }
    }
}

impl Connection {
    /// Takes in one segment. Call [`end_of_batch`](Self::end_of_batch) after
    /// the last of those that were waiting.
    #[expect(clippy::needless_pass_by_value, reason = "a part in it is kept")]
    pub fn handle_segment(
        &mut self,
        now: Instant,
        header: &SegmentHeader,
        payload: Bytes,
    ) -> Disposition {
        self.handle_part(now, header, (&payload).into())
    }

    /// The same, with data that is part of a batch.
    pub(crate) fn handle_part(
        &mut self,
        now: Instant,
        header: &SegmentHeader,
        payload: Payload<'_>,
    ) -> Disposition {
        self.counters.segments_received += 1;
        let shift = self.negotiated.snd_shift;
        match self.state {
            State::Closed | State::Listen => Disposition::Done,
            State::SynSent => {
                let irs = StreamPos::first(header.seq);
                let seg = Arrival::new(irs, self.snd.nxt, shift, header, payload);
                self.input_syn_sent(now, &seg)
            }
            State::TimeWait => {
                let seg = Arrival::new(self.rcv.nxt, self.snd.nxt, shift, header, payload);
                self.input_time_wait(now, &seg);
                Disposition::Done
            }
            _ => {
                let seg = Arrival::new(self.rcv.nxt, self.snd.nxt, shift, header, payload);
                self.input(now, seg)
            }
        }
    }

    /// All segments that were waiting have been taken in: decides on an
    /// acknowledgment (RFC 9293 MUST-58, MUST-59).
    pub fn end_of_batch(&mut self, now: Instant) {
        self.acks.end_of_batch(now, self.config.fields.ack_delay);
        self.settle(now);
    }

    /// RFC 9293 §3.10.7.4 for SYN-RECEIVED and all later states.
    fn input(&mut self, now: Instant, mut seg: Arrival<'_>) -> Disposition {
        // First, check sequence number; before it, the timestamp (RFC 7323
        // §5.3, R1).
        if !self.is_timestamp_acceptable(now, &seg) {
            return Disposition::Done;
        }
        if !self.is_acceptable(now, &mut seg) {
            if self.is_news_of_a_prober(&seg) && self.input_ack(now, &seg) {
                self.on_heard(now);
            }
            return Disposition::Done;
        }
        // Second, check the RST bit.
        if seg.has(SegmentFlags::RST) {
            self.input_reset(now, &seg);
            return Disposition::Done;
        }
        // Third, check security: there are no compartments here.
        // Fourth, check the SYN bit.
        if seg.has(SegmentFlags::SYN) && !seg.is_syn_known {
            self.input_syn(now);
            return Disposition::Done;
        }
        // Fifth, check the ACK field.
        if !seg.has(SegmentFlags::ACK) {
            return Disposition::Done;
        }
        if self.state == State::SynReceived {
            if seg.ack <= self.snd.una || seg.ack > self.snd.nxt {
                return Disposition::Reset;
            }
            self.on_syn_acked(now, &seg);
            self.establish(now, seg.seq, seg.ack, seg.window);
        }
        if !self.input_ack(now, &seg) {
            return Disposition::Done;
        }
        // What a blind sender may have guessed so far ends here: the peer is
        // alive, and its timestamp counts.
        self.on_heard(now);
        self.take_timestamp(now, &seg);
        self.take_user_timeout(seg.header.options.user_timeout);
        // Sixth, check the URG bit.
        if seg.has(SegmentFlags::URG) && self.state.may_receive() {
            self.note_urgent(&seg);
        }
        // Seventh, process the segment text. Eighth, check the FIN bit.
        self.input_text(now, &seg)
    }

    /// A segment arrives in TIME-WAIT (RFC 9293 §3.10.7.4, RFC 1337, RFC 5961
    /// §4.2): a reset is ignored, the peer's FIN is acknowledged again.
    fn input_time_wait(&mut self, now: Instant, seg: &Arrival<'_>) {
        let is_plain_ack = seg.len() == 0 && seg.seq == self.rcv.nxt;
        if seg.has(SegmentFlags::RST) || is_plain_ack {
            return;
        }
        if seg.flags().intersects(SegmentFlags::SYN | SegmentFlags::ACK) {
            self.challenge(now);
        }
    }

    /// PAWS: a segment with a timestamp older than the last is an old
    /// duplicate, and is answered with an ACK. A reset is not held to it, and
    /// a segment without timestamp is tolerated (RFC 7323 §3.2 says SHOULD
    /// drop; FreeBSD's stack and middleboxes that strip options say otherwise).
    fn is_timestamp_acceptable(&mut self, now: Instant, seg: &Arrival<'_>) -> bool {
        let recent = self.timestamps.recent(now).filter(|_| self.negotiated.timestamps);
        let (Some(recent), Some(timestamps)) = (recent, seg.header.options.timestamps) else {
            return true;
        };
        if seg.has(SegmentFlags::RST) || !is_old_timestamp(timestamps.tsval, recent) {
            return true;
        }
        self.counters.paws_rejected += 1;
        if seg.len() == 0 {
            self.challenge(now);
        } else {
            self.acks.require();
        }
        false
    }

    /// The sequence number check. With a closed window, a segment exactly at
    /// RCV.NXT still has its ACK, URG and RST looked at (RFC 9293 §3.10.7.4,
    /// MUST-66), but loses its data.
    fn is_acceptable(&mut self, now: Instant, seg: &mut Arrival<'_>) -> bool {
        if is_in_window(&self.rcv, seg.extent()) {
            return true;
        }
        if self.rcv.wnd() == 0 && seg.seq == self.rcv.nxt && !seg.has(SegmentFlags::SYN) {
            // Either data that does not fit or a lone FIN, which needs no room.
            if !seg.payload.is_empty() {
                self.counters.bytes_beyond_window += seg.payload.len() as u64;
                seg.payload.truncate(0);
                seg.is_cut = true;
                self.acks.require();
            }
            return true;
        }
        if self.state == State::SynReceived && seg.seq == self.rcv.irs && seg.has(SYN_ACK) {
            // The end of a simultaneous open (RFC 9293 §3.5, figure 7).
            seg.is_syn_known = true;
            self.acks.require();
            return true;
        }
        self.counters.unacceptable_segments += 1;
        if !seg.has(SegmentFlags::RST) {
            self.answer_unacceptable(now, seg);
        }
        false
    }

    /// An unacceptable segment is answered with an ACK (RFC 9293 §3.10.7.4):
    /// at once if it carried data that may have been sent in one of our windows,
    /// for the peer may have lost our last ACK; within the limit of challenge ACKs
    /// if not, lest two ends that disagree answer each other for ever, and lest
    /// somebody who guesses make us send the peer duplicates without end.
    fn answer_unacceptable(&mut self, now: Instant, seg: &Arrival<'_>) {
        if self.state == State::SynReceived && seg.has(SegmentFlags::SYN) && seg.seq == self.rcv.irs
        {
            // The peer's SYN again: our answer was lost. An ACK alone would
            // not help a peer in SYN-SENT.
            self.recovery.mark_all_lost();
        } else if seg.len() == 0 || seg.has(SegmentFlags::SYN) || !self.may_be_of_the_peer(seg) {
            // RFC 5961 §4.2 for the SYN, wherever it lies.
            self.challenge(now);
        } else {
            if self.negotiated.sack && seg.data_end() <= self.rcv.nxt && !seg.payload.is_empty() {
                self.acks.report_duplicate(seg.data_start()..seg.data_end());
            }
            self.counters.duplicate_bytes_received += seg.payload.len() as u64;
            self.acks.on_disorder();
            self.echo_timestamp_of_duplicate(seg);
        }
    }

    /// The peer's last octet was a zero-window probe, and was taken: it does not know
    /// that our window is open, and acknowledges from before it. If it has taken a probe
    /// of ours too, neither end's acknowledgments are acceptable, and only what they
    /// say of news leads on (RFC 9293 §3.10.7.4, on simultaneous window probes).
    fn is_news_of_a_prober(&self, seg: &Arrival<'_>) -> bool {
        seg.len() == 0
            && seg.has(SegmentFlags::ACK)
            && !seg.has(SegmentFlags::RST)
            && self.state.is_synchronized()
            && seg.seq + 1 == self.rcv.nxt
            && seg.ack > self.snd.una
    }

    /// A peer never sent anything beyond our window, nor does it send again what was
    /// taken a whole window ago: its SND.UNA was acknowledged past that since (the
    /// other direction of RFC 5961 §5.2's MAX.SND.WND).
    fn may_be_of_the_peer(&self, seg: &Arrival<'_>) -> bool {
        let reach = self.autotune.limit().max(self.rcv.wnd());
        self.rcv.nxt.back(reach) <= seg.seq && seg.seq <= self.rcv.edge
    }

    /// What is echoed moves with segments that span the last ACK we sent (RFC 7323
    /// §4.3, (2)).
    ///
    /// TS.Recent does not where something behind the segment is held: it is most likely
    /// sent again, and of what was sent between the two, other pieces may be missing that
    /// are only late. §5.2 leaves the choice of a timestamp to compare with, as long as it
    /// never goes back and is less than a window behind.
    fn take_timestamp(&mut self, now: Instant, seg: &Arrival<'_>) {
        if let Some(timestamps) = self.countable_timestamps(seg) {
            if self.recv.is_contiguous() {
                self.timestamps.set_recent(now, timestamps.tsval);
            } else if !is_old_timestamp(timestamps.tsval, self.timestamps.tsecr()) {
                // An older one would tell the peer that it need not have sent again.
                self.timestamps.set_echo(timestamps.tsval);
            }
        }
    }

    /// The peer has sent again what is here already: our acknowledgment was lost,
    /// or late. The next one echoes the repetition's timestamp (RFC 7323 §4.3, (2)):
    /// echoing the first one's would tell the peer of a round trip as long as its
    /// timeouts. But TS.Recent stays (§5.3 drops the segment before): what the peer sent
    /// between the two may only be late. Only from what a blind sender can hardly make up:
    /// in the last window, with an acceptable ACK field.
    fn echo_timestamp_of_duplicate(&mut self, seg: &Arrival<'_>) {
        let is_recent =
            seg.data_end() <= self.rcv.nxt && self.rcv.nxt.since(seg.seq) <= self.autotune.limit();
        let is_genuine =
            seg.has(SegmentFlags::ACK) && judge_ack(&self.snd, seg.ack) != AckVerdict::Challenge;
        if is_recent
            && is_genuine
            && !seg.has(SegmentFlags::SYN)
            && let Some(timestamps) = self.countable_timestamps(seg)
        {
            self.timestamps.set_echo(timestamps.tsval);
        }
    }

    /// The timestamps of a segment that begins no later than the last ACK we sent.
    fn countable_timestamps(&self, seg: &Arrival<'_>) -> Option<Timestamps> {
        let counts = self.negotiated.timestamps
            && seg.seq <= self.rcv.last_ack_sent
            && !seg.has(SegmentFlags::RST);
        seg.header.options.timestamps.filter(|_| counts)
    }

    /// RST in the window (RFC 9293 §3.10.7.4, second; RFC 5961 §3.2).
    fn input_reset(&mut self, now: Instant, seg: &Arrival<'_>) {
        match judge_reset(&self.rcv, seg.seq) {
            ResetVerdict::Drop => {}
            ResetVerdict::Challenge => self.challenge(now),
            // The peer's FIN has come, and nothing of ours is missing there.
            ResetVerdict::Reset if self.state.is_peer_done() && self.is_only_fin_left() => {
                self.finish();
            }
            ResetVerdict::Reset => {
                let error = match self.state {
                    State::SynReceived => ConnectionError::Refused,
                    _ => ConnectionError::Reset,
                };
                self.fail(error);
            }
        }
    }

    /// SYN in the window (RFC 9293 §3.10.7.4, fourth; RFC 5961 §4.2): a
    /// passive opener goes back to listening, everybody else challenges.
    fn input_syn(&mut self, now: Instant) {
        if self.state == State::SynReceived && self.is_passive {
            self.fail(ConnectionError::Reset);
        } else {
            self.challenge(now);
        }
    }

    /// Owes a challenge ACK, if the limit allows one.
    pub(super) fn challenge(&mut self, now: Instant) {
        if self.acks.challenge(now, self.config.fields.challenge_acks_per_second) {
            self.counters.challenge_acks += 1;
        } else {
            self.counters.challenge_acks_suppressed += 1;
        }
    }

    /// The peer is alive.
    pub(super) fn on_heard(&mut self, now: Instant) {
        self.heard_at = now;
        self.flags.heard = true;
        self.persist.on_heard();
        self.keepalive_probes = 0;
        self.flags.keepalive_probe = false;
    }
}
