//! What an acknowledgment does (RFC 9293 §3.10.7.4, fifth): to the
//! scoreboard, to the congestion window, to the send buffer and to the state.

use core::ops::Range;
use core::time::Duration;

use smallvec::SmallVec;

use crate::cc::{AckEvent, CongestionEvent, Controller};
use crate::recovery::{AckInfo, AckOutcome};
use crate::seq::StreamPos;
use crate::time::Instant;
use crate::wire::SegmentFlags;

use super::Connection;
use super::input::Arrival;
use super::state::State;
use super::verdict::{AckVerdict, judge_ack};

/// What was under way when an acknowledgment came.
#[derive(Clone, Copy, Debug)]
struct Before {
    /// A fast recovery.
    in_recovery: bool,
    /// The repair of a timeout.
    after_timeout: bool,
    /// Either, or what was outstanding when it ended.
    after_recovery: bool,
}

impl Connection {
    /// Processes the ACK field in a synchronized state. Returns whether the
    /// rest of the segment is to be processed.
    pub(super) fn input_ack(&mut self, now: Instant, seg: &Arrival<'_>) -> bool {
        match judge_ack(&self.snd, seg.ack) {
            AckVerdict::Challenge => {
                self.challenge(now);
                return false;
            }
            AckVerdict::Old => return true,
            AckVerdict::Acceptable => {}
        }
        let acks_new = seg.ack > self.snd.una;
        if seg.ack > self.snd.nxt {
            // A zero-window probe that was taken back had been taken after all.
            self.snd.nxt = seg.ack;
            self.on_acked(now, seg.ack);
        } else if self.may_tell_news(seg) {
            let front = self.recovery.front();
            let before = Before {
                in_recovery: self.recovery.in_fast_recovery(),
                after_timeout: self.recovery.in_rto_recovery(),
                after_recovery: self.recovery.is_after_episode(),
            };
            let outcome = self.apply_ack(now, seg);
            if outcome.acked > 0 {
                // The segment that was the first outstanding, or a part of it.
                let len = front.map_or(0, |front| front.end.min(seg.ack).since(front.start));
                self.segment_size.on_delivered(len, u64::from(self.option_len()));
                self.on_acked(now, seg.ack);
            }
            self.adjust_window(now, seg, &outcome, before);
        }
        self.update_send_window(now, seg, acks_new);
        self.on_our_fin_acked(now);
        self.state != State::Closed
    }

    /// Whether the ACK says anything about what we sent: not so on most segments
    /// of a bulk transfer in the other direction.
    fn may_tell_news(&self, seg: &Arrival<'_>) -> bool {
        seg.ack != self.snd.una
            || !seg.header.options.sack.is_empty()
            || (seg.payload.is_empty() && self.is_duplicate_awaited())
    }

    /// Whether a repeated acknowledgment could tell something: of a loss, or that
    /// a tail loss probe was needless, which may come to light when everything is
    /// acknowledged (RFC 8985 §7.4.2, case 2).
    fn is_duplicate_awaited(&self) -> bool {
        self.recovery.outstanding() > 0 || self.recovery.is_probe_unresolved()
    }

    /// Tells the scoreboard.
    fn apply_ack(&mut self, now: Instant, seg: &Arrival<'_>) -> AckOutcome {
        let timestamps = seg
            .header
            .options
            .timestamps
            .filter(|_| self.negotiated.timestamps && seg.ack > self.snd.iss);
        let tsecr = timestamps.map(|timestamps| timestamps.tsecr);
        let mut sack: SmallVec<[Range<StreamPos>; 4]> = SmallVec::new();
        if self.negotiated.sack {
            let position = |seq| self.snd.una.nearest(seq);
            for block in &seg.header.options.sack {
                sack.push(position(block.left)..position(block.right));
            }
        }
        let outcome = self.recovery.on_ack(&AckInfo {
            now,
            ack: seg.ack,
            sack: &sack,
            ts_rtt: tsecr.and_then(|tsecr| self.timestamps.round_trip(now, tsecr)),
            tsecr,
            duplicate: self.is_duplicate_ack(seg),
        });
        self.counters.dsacks_received += u64::from(outcome.dsack);
        outcome
    }

    /// RFC 5681 §2's five conditions. What answers a zero-window probe repeats
    /// the last acknowledgment too, and says nothing of loss.
    fn is_duplicate_ack(&self, seg: &Arrival<'_>) -> bool {
        self.is_duplicate_awaited()
            && self.persist.probing_since().is_none()
            && seg.payload.is_empty()
            && !seg.flags().intersects(SegmentFlags::SYN | SegmentFlags::FIN)
            && seg.ack == self.snd.una
            && seg.window == self.snd.wnd
    }

    /// New data was acknowledged: it need not be kept.
    fn on_acked(&mut self, now: Instant, ack: StreamPos) {
        let before = self.send.start();
        self.snd.una = ack;
        self.send.release_to(ack.min(self.send.end()), &mut self.spares);
        self.counters.bytes_acked += self.send.start().since(before);
        self.progress_at = now;
        if self.snd.up.is_some_and(|up| up <= ack) {
            self.snd.up = None;
        }
        self.flags.tail_probe = false;
        if self.interest.wants_room() {
            self.interest.on_room(self.send_room(), self.send_limit());
        }
    }

    /// Loss, delivery and mistakes, as the congestion controller sees them.
    ///
    /// The acknowledgment that ends a fast recovery, which was one when it came,
    /// leaves the window at ssthresh (RFC 6582 §3.2 step 3, RFC 9937 §6.2).
    fn adjust_window(
        &mut self,
        now: Instant,
        seg: &Arrival<'_>,
        outcome: &AckOutcome,
        before: Before,
    ) {
        let Some(congestion) = &mut self.congestion else { return };
        if outcome.spurious {
            congestion.on_spurious(now);
            self.counters.spurious_recoveries += 1;
        }
        if outcome.loss_found || outcome.probe_repaired_loss {
            let flight_size = outcome.prior_outstanding;
            congestion.on_congestion(&CongestionEvent { now, flight_size, ecn: false });
            if outcome.loss_found {
                self.recovery.enter_recovery(congestion.ssthresh());
                self.counters.fast_recoveries += 1;
            }
        }
        if outcome.delivered == 0 {
            self.recovery.on_recovery_ack(outcome);
            return;
        }
        self.recovery.on_recovery_ack(outcome);
        congestion.on_ack(&AckEvent {
            now,
            acked: outcome.acked,
            delivered: outcome.delivered,
            prior_in_flight: outcome.prior_in_flight,
            in_flight: outcome.in_flight,
            rtt_sample: outcome.rtt_sample,
            srtt: self.recovery.srtt().map(Duration::from),
            min_rtt: self.recovery.min_rtt().map(Duration::from),
            ack_pos: seg.ack.raw(),
            sent_pos: self.snd.nxt.raw(),
            app_limited: seg.ack > self.cwnd_limited_to,
            in_recovery: before.in_recovery || self.recovery.in_fast_recovery(),
            after_timeout: before.after_timeout,
            after_recovery: before.after_recovery,
        });
    }

    /// The states that wait for the acknowledgment of our FIN (RFC 9293
    /// §3.10.7.4, fifth: FIN-WAIT-1, CLOSING, LAST-ACK).
    fn on_our_fin_acked(&mut self, now: Instant) {
        if !self.is_fin_acked() {
            return;
        }
        match self.state {
            State::FinWait1 => {
                self.state = State::FinWait2;
                self.progress_at = now;
            }
            State::Closing => self.enter_time_wait(),
            State::LastAck => self.finish(),
            _ => {}
        }
    }
}
