//! Loss by time: RACK (RFC 8985 §6).
//!
//! A segment is lost when one sent sufficiently later was delivered. How much
//! later is the reordering window, which adapts to what the path does. Knows the
//! queue, and marks segments in it. Must not know why it is called, nor what
//! becomes of what it marks.
//!
//! Differs from the RFC's pseudo-code in three things. The timer is armed for
//! the earliest segment that may become lost, not for the latest: each expiry
//! marks at least one, so the cost is amortised, and the first is repaired
//! sooner. A DSACK that answers no retransmission of ours (the network made the
//! copy) does not widen the window. And a fast recovery that proves spurious is
//! itself reordering seen: RACK_detect_reordering cannot see it, because the
//! segment that was overtaken has been retransmitted.

use super::scoreboard::Delivery;
use super::sent::{SegmentNumber, SentQueue};
use crate::seq::StreamPos;
use crate::time::{Instant, Span};

/// Recoveries without a DSACK after which the window is narrow again.
const PERSIST: u8 = 16;

/// What the reordering window depends on (RFC 8985 §6.2 step 4).
#[derive(Clone, Copy, Debug)]
pub(super) struct WindowFacts {
    /// In fast or timeout recovery.
    pub(super) in_recovery: bool,
    /// DupThresh.
    pub(super) dupthresh: u32,
    pub(super) min_rtt: Option<Span>,
    pub(super) srtt: Option<Span>,
}

/// RFC 8985's `RACK` variables.
#[derive(Debug)]
pub(super) struct Rack {
    /// `RACK.xmit_ts` and `RACK.end_seq`: the latest sent segment delivered.
    latest: Option<(Instant, StreamPos)>,
    /// `RACK.rtt`.
    rtt: Span,
    /// `RACK.fack`.
    fack: StreamPos,
    reordering_seen: bool,
    /// `RACK.dsack_round`.
    dsack_round: Option<StreamPos>,
    /// `RACK.reo_wnd_mult`.
    window_multiplier: u32,
    /// `RACK.reo_wnd_persist`.
    window_persist: u8,
    /// `RACK.reo_wnd`.
    window: Span,
    /// When the earliest segment in the reordering window becomes lost.
    deadline: Option<Instant>,
    /// Retransmissions that no DSACK has answered.
    unanswered: u64,
}

impl Rack {
    pub(super) fn new() -> Self {
        Self {
            latest: None,
            rtt: Span::ZERO,
            fack: StreamPos::default(),
            reordering_seen: false,
            dsack_round: None,
            window_multiplier: 1,
            window_persist: 0,
            window: Span::ZERO,
            deadline: None,
            unanswered: 0,
        }
    }

    /// A segment was sent again.
    pub(super) fn on_retransmit(&mut self) {
        self.unanswered += 1;
    }

    /// Steps 2 and 3: RACK_update and RACK_detect_reordering.
    pub(super) fn on_delivery(&mut self, now: Instant, delivery: &Delivery) {
        if let Some(latest) = delivery.latest {
            // Of what one acknowledgment delivers, the latest sent gives the round trip.
            self.rtt = now.span_since(latest.0);
            // RACK_sent_after: tuples compare by time, then by position.
            if self.latest.is_none_or(|known| known < latest) {
                self.latest = Some(latest);
            }
        }
        self.fack = delivery.fack;
        self.reordering_seen |= delivery.reordered;
    }

    /// Step 4, first half: RACK_update_reo_wnd's adaptation. The
    /// acknowledgment had a `dsack` block; `una` and `nxt` are SND.UNA and SND.NXT;
    /// `recovery_ended` with it.
    pub(super) fn adapt_window(
        &mut self,
        dsack: bool,
        una: StreamPos,
        nxt: StreamPos,
        recovery_ended: bool,
    ) {
        self.dsack_round = self.dsack_round.filter(|round| una < *round);
        let dsack = dsack && self.unanswered > 0;
        self.unanswered -= u64::from(dsack);
        if dsack && self.dsack_round.is_none() {
            self.dsack_round = Some(nxt);
            self.window_multiplier = self.window_multiplier.saturating_add(1);
            self.window_persist = PERSIST;
        } else if recovery_ended {
            self.window_persist = self.window_persist.saturating_sub(1);
            if self.window_persist == 0 {
                self.window_multiplier = 1;
            }
        }
    }

    /// A fast recovery was spurious: an original came after its retransmission.
    pub(super) fn on_spurious_recovery(&mut self) {
        self.reordering_seen = true;
    }

    /// Step 4, second half: RACK_update_reo_wnd's value.
    fn update_window(&mut self, sacked_segments: u32, facts: &WindowFacts) {
        let narrow =
            !self.reordering_seen && (facts.in_recovery || sacked_segments >= facts.dupthresh);
        self.window = if narrow {
            Span::ZERO
        } else {
            let min_rtt = facts.min_rtt.unwrap_or(self.rtt);
            let window = min_rtt.saturating_mul(u64::from(self.window_multiplier)) / 4;
            facts.srtt.map_or(window, |srtt| window.min(srtt))
        };
    }

    /// Step 5: RACK_detect_loss_and_arm_timer. Returns whether it marked any lost.
    ///
    /// The queue lists what is in flight in the order of transmission, so this
    /// looks at the segments that it marks and at one more.
    #[inline]
    pub(super) fn detect_loss(
        &mut self,
        now: Instant,
        queue: &mut SentQueue,
        facts: &WindowFacts,
    ) -> bool {
        self.update_window(queue.sacked_segments(), facts);
        let wait = self.rtt.saturating_add(self.window);
        let mut marked = false;
        while let Some((number, due)) = self.first_overtaken(queue, wait) {
            if due > now {
                self.deadline = Some(due);
                return marked;
            }
            queue.mark_lost(number);
            marked = true;
        }
        self.deadline = None;
        marked
    }

    /// The earliest sent segment in flight, if one sent after it was delivered,
    /// and when it becomes lost.
    fn first_overtaken(&self, queue: &SentQueue, wait: Span) -> Option<(SegmentNumber, Instant)> {
        let number = queue.earliest_sent()?;
        let segment = queue.get(number)?;
        let overtaken = self.latest? > (segment.sent_at, segment.end);
        overtaken.then_some((number, segment.sent_at + wait))
    }

    /// How long ago a segment must have been sent to be lost on a timeout (§6.3).
    pub(super) fn age_lost_on_timeout(&self) -> Span {
        self.rtt.saturating_add(self.window)
    }

    /// The reordering timer.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The reordering timer is not wanted: all that it waited for was decided.
    pub(super) fn cancel_timer(&mut self) {
        self.deadline = None;
    }

    pub(super) fn fack(&self) -> StreamPos {
        self.fack
    }

    pub(super) fn window(&self) -> Span {
        self.window
    }

    pub(super) fn reordering_seen(&self) -> bool {
        self.reordering_seen
    }
}

#[cfg(test)]
mod tests;
