//! What an acknowledgment does: each algorithm in its turn.
//!
//! The order matters, and is the only thing that this file decides: deliver, then
//! measure, then see whether the last reduction was a mistake, then whether the
//! episode is over, and only then look for loss, with the reordering window that
//! the new phase has.

use core::time::Duration;

use super::scoreboard::{Delivery, DeliveryContext, SackBlocks};
use super::tlp::ProbeAck;
use super::undo::{Spurious, UndoAck};
use super::{AckInfo, AckOutcome, Phase, Recovery};
use crate::time::{Instant, Span};

/// More than a path that reorders makes; what comes after them is treated as loss.
const MISTAKES_IN_A_WINDOW: u8 = 16;

/// How coarse timestamps are.
const TIMESTAMP_TICK: Span = Span::from_millis(1);

impl Recovery {
    /// Applies an acknowledgment. `ack.ack` outside SND.UNA..=SND.NXT is taken as
    /// the nearer of the two.
    ///
    /// O(log n) and what it newly delivers or marks lost.
    pub(crate) fn on_ack(&mut self, ack: &AckInfo<'_>) -> AckOutcome {
        let (prior_in_flight, prior_outstanding) = (self.in_flight(), self.outstanding());
        let queue = &self.board.queue;
        let una = ack.ack.clamp(queue.start(), queue.end());
        let blocks = if self.sack && !ack.sack.is_empty() {
            SackBlocks::sort(ack.sack, una, queue.end())
        } else {
            SackBlocks::default()
        };
        let mut delivery = Delivery::new(DeliveryContext {
            now: ack.now,
            tsecr: ack.tsecr,
            min_rtt: self.rtt.min_rtt(),
            fack: self.rack.fack(),
            timeout_point: match self.phase {
                Phase::Timeout { recover } => Some(recover),
                _ => None,
            },
        });
        self.board.apply(una, &blocks, &mut delivery);

        if delivery.acked > 0 {
            // RFC 6298 (5.3).
            self.rto.on_progress(ack.now);
        }
        if delivery.acked > 0 || delivery.bytes > 0 {
            // RFC 8985 §7.2.
            self.tlp.arm(ack.now);
        }
        let rtt_sample = self.measure(ack, &delivery, prior_outstanding);
        self.rack.on_delivery(ack.now, &delivery);
        let probe_repaired_loss = self.tlp.on_ack(&ProbeAck {
            ack: una,
            dsack: blocks.duplicate.clone(),
            bare_duplicate: ack.duplicate && ack.sack.is_empty(),
        });
        let spurious = if self.undo.is_settled() {
            None
        } else {
            self.judge_reduction(ack, &delivery, &blocks)
        };
        let recovery_ended = self.end_episode(spurious.is_some());
        let dsack = blocks.duplicate.is_some();
        let showed_loss = if self.sack {
            self.look_for_loss(ack.now, dsack, recovery_ended, spurious.is_some())
                | delivery.reneged
        } else {
            self.count_duplicate(ack, &mut delivery)
        };
        let loss_found = showed_loss && self.phase.is_open();
        let probe_repaired_loss = probe_repaired_loss && !loss_found;
        if probe_repaired_loss {
            self.on_other_reduction();
        }
        self.last_delivered = delivery.bytes;
        self.last_showed_loss = showed_loss;
        AckOutcome {
            acked: delivery.acked,
            delivered: delivery.bytes,
            rtt_sample: rtt_sample.map(Duration::from),
            prior_in_flight,
            in_flight: self.in_flight(),
            prior_outstanding,
            loss_found,
            probe_repaired_loss,
            recovery_ended,
            spurious: spurious.is_some(),
            dsack,
        }
    }

    /// Takes a round-trip sample, if there is one (RFC 6298 §2, §3).
    fn measure(
        &mut self,
        ack: &AckInfo<'_>,
        delivery: &Delivery,
        flight_size: u64,
    ) -> Option<Span> {
        // RFC 7323 appendix G: ExpectedSamples = ceiling(FlightSize / (SMSS * 2)).
        let expected = flight_size.div_ceil(self.mss.saturating_mul(2));
        // RFC 7323 §4.1: only from an acknowledgment that advances SND.UNA. What
        // is echoed then is the segment that filled the gap, so that an
        // acknowledgment lost before this one does not lengthen the sample.
        let echoed = ack.ts_rtt.filter(|_| delivery.may_trust_echo());
        let sample = match (delivery.rtt(), echoed) {
            (Some(rtt), Some(echoed))
                if rtt > echoed.saturating_add(TIMESTAMP_TICK.saturating_mul(2)) =>
            {
                self.rtt.add_coarse_sample(echoed, expected);
                echoed
            }
            (Some(rtt), _) => {
                self.rtt.add_sample(ack.now, rtt, expected);
                rtt
            }
            (None, Some(echoed)) => {
                self.rtt.add_coarse_sample(echoed, expected);
                echoed
            }
            (None, None) => return None,
        };
        self.on_sample();
        Some(sample)
    }

    /// The estimate has taken in a sample.
    pub(super) fn on_sample(&mut self) {
        if let Some((srtt, rttvar)) = self.rtt.estimate() {
            self.rto.on_sample(srtt, rttvar);
        }
        self.tlp.on_sample();
    }

    /// Whether the last reduction was a mistake. If so, what it made lost and was
    /// not sent again is believed in flight.
    #[inline(never)]
    fn judge_reduction(
        &mut self,
        ack: &AckInfo<'_>,
        delivery: &Delivery,
        blocks: &SackBlocks,
    ) -> Option<Spurious> {
        let spurious = self.undo.on_ack(&UndoAck {
            una: self.board.queue.start(),
            advanced: delivery.acked > 0,
            duplicate: ack.duplicate || !ack.sack.is_empty(),
            tsecr: ack.tsecr,
            dsack: blocks.duplicate.clone(),
            fack: delivery.fack,
            original_before_timeout: delivery.original_before_timeout,
            recover: self.phase.recover(),
            is_loss_left: self.board.queue.first_lost().is_some(),
        })?;
        if !self.may_believe_mistake() {
            return None;
        }
        match spurious {
            Spurious::Recovery => self.rack.on_spurious_recovery(),
            // RFC 4015 §3.2 would also raise the RTO to the round trip of what was
            // sent too early again. If the peer's acknowledgment was lost, that is
            // the timeout itself and not a round trip: samples will tell.
            Spurious::Timeout => self.rto.clear_backoff(),
        }
        self.board.queue.restore_lost();
        self.tlp.arm(ack.now);
        Some(spurious)
    }

    /// To mark all that is outstanding lost, and to put it back, costs a look at all of it.
    /// A peer can pretend both with two acknowledgments, so there is a bound for each window
    /// of data: a few looks a segment.
    fn may_believe_mistake(&mut self) -> bool {
        if self.mistakes_until <= self.board.queue.start() {
            self.mistakes = 0;
            self.mistakes_until = self.board.queue.end();
        }
        let may_believe = self.mistakes < MISTAKES_IN_A_WINDOW;
        self.mistakes += u8::from(may_believe);
        may_believe
    }

    /// Ends the episode if it was a mistake, or if all that was outstanding at its
    /// start is acknowledged (RFC 6675 §5, RFC 6582 §3.2 step 3). Returns whether it
    /// ended one.
    fn end_episode(&mut self, spurious: bool) -> bool {
        let queue = &self.board.queue;
        let Some(recover) = self.phase.recover() else { return false };
        let is_over = queue.start() >= recover || spurious;
        if is_over {
            self.phase = Phase::Open;
            self.episodes_until = queue.end();
            self.must_retransmit = false;
            self.newreno.reset();
            self.undo.on_end(queue.end());
        }
        is_over
    }

    /// RFC 8985 §6.2 steps 4 and 5.
    ///
    /// What a mistaken reduction gave back is not looked at in the same breath: the
    /// window that condemned it is the one that was too narrow.
    fn look_for_loss(
        &mut self,
        now: Instant,
        dsack: bool,
        recovery_ended: bool,
        spurious: bool,
    ) -> bool {
        let queue = &self.board.queue;
        self.rack.adapt_window(dsack, queue.start(), queue.end(), recovery_ended);
        if spurious {
            self.rack.cancel_timer();
            return false;
        }
        let facts = self.window_facts();
        self.rack.detect_loss(now, &mut self.board.queue, &facts)
    }

    /// RFC 6582 §3.2, for a peer without SACK.
    #[inline(never)]
    fn count_duplicate(&mut self, ack: &AckInfo<'_>, delivery: &mut Delivery) -> bool {
        let queue = &mut self.board.queue;
        let front = queue.front().map_or(0, super::SentSegment::len);
        // At least one segment is still missing.
        let limit = queue.outstanding() - queue.lost().max(front);
        if delivery.acked > 0 {
            let counted = self.newreno.on_advance(delivery.acked, self.mss, limit);
            delivery.bytes = delivery.bytes.saturating_sub(counted);
            // Step 3: a partial acknowledgment names the next hole.
            let partial = matches!(self.phase, Phase::Fast { .. });
            if partial {
                queue.mark_lost(queue.front_number());
            }
            return partial;
        }
        if !ack.duplicate || front == 0 {
            return false;
        }
        let lost = self.phase.is_open() && self.newreno.is_next_loss(self.dupthresh, queue.start());
        let in_episode = lost || matches!(self.phase, Phase::Fast { .. });
        delivery.bytes += self.newreno.on_duplicate(self.mss, limit, in_episode);
        if lost {
            queue.mark_lost(queue.front_number());
        }
        lost
    }
}
