//! What one acknowledgment says about the segments outstanding.
//!
//! Sorts the blocks of a SACK option into duplicates and holdings (RFC 2018,
//! RFC 2883), applies them and the cumulative acknowledgment to the queue, and
//! sums up what was newly delivered. Must not judge what is lost, or keep time.

use core::ops::Range;

use smallvec::SmallVec;

use super::sent::{SegmentNumber, SentQueue, SentSegment, State};
use crate::seq::StreamPos;
use crate::time::{Instant, Span};
use crate::util::RangeSet;

/// A SACK option has room for four blocks (RFC 2018 §3); more are not looked at.
const MAX_BLOCKS: usize = 4;

/// The blocks of one SACK option, told apart. Hostile until it comes out of here.
#[derive(Debug, Default)]
pub(super) struct SackBlocks {
    /// What the peer received more than once (RFC 2883 §4).
    pub(super) duplicate: Option<Range<StreamPos>>,
    /// What it holds above the cumulative acknowledgment, in ascending order.
    held: SmallVec<[Range<StreamPos>; MAX_BLOCKS]>,
}

impl SackBlocks {
    /// Sorts `blocks`, which came with the cumulative acknowledgment `ack` while
    /// everything before `end` had been sent.
    ///
    /// A block that is empty, reports data never sent, or touches `ack` (which
    /// the acknowledgment itself would cover) is not a report of anything.
    pub(super) fn sort(blocks: &[Range<StreamPos>], ack: StreamPos, end: StreamPos) -> Self {
        let mut sorted = Self::default();
        let mut rest = blocks.get(..MAX_BLOCKS).unwrap_or(blocks);
        if let [first, others @ ..] = rest {
            // RFC 2883 §4: the first block is a duplicate if the cumulative
            // acknowledgment or the second block covers it.
            let inside_second = others
                .first()
                .is_some_and(|second| second.start <= first.start && first.end <= second.end);
            if first.end <= ack || inside_second {
                if first.start < first.end && first.end <= end {
                    sorted.duplicate = Some(first.clone());
                }
                rest = others;
            }
        }
        let plausible = |block: &&Range<StreamPos>| {
            ack < block.start && block.start < block.end && block.end <= end
        };
        sorted.held.extend(rest.iter().filter(plausible).cloned());
        sorted.held.sort_unstable_by_key(|block| block.start);
        sorted
    }

    #[cfg(test)]
    fn held(&self) -> &[Range<StreamPos>] {
        &self.held
    }
}

/// What [`Delivery`] needs to know to judge a newly delivered segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct DeliveryContext {
    pub(super) now: Instant,
    /// The timestamp that the acknowledgment echoed.
    pub(super) tsecr: Option<u32>,
    pub(super) min_rtt: Option<Span>,
    /// RFC 8985's `RACK.fack`: the highest position delivered so far.
    pub(super) fack: StreamPos,
    /// Where the last timeout found SND.NXT.
    pub(super) timeout_point: Option<StreamPos>,
}

/// What one acknowledgment newly delivered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delivery {
    context: DeliveryContext,
    /// Bytes newly acknowledged cumulatively.
    pub(super) acked: u64,
    /// Bytes newly delivered, one way or the other.
    pub(super) bytes: u64,
    /// The most recently sent segment newly delivered whose transmission time
    /// can be trusted (RFC 8985 §6.2 step 2): when it was sent, and its end.
    pub(super) latest: Option<(Instant, StreamPos)>,
    /// The most recently sent segment newly delivered.
    newest: Option<Newest>,
    /// A retransmission was acknowledged by an echo older than it: what it
    /// repeated had arrived long before, and the echo measures nothing.
    is_echo_stale: bool,
    /// The highest position delivered (RFC 8985 §6.2 step 3).
    pub(super) fack: StreamPos,
    /// Something never retransmitted was delivered after something above it.
    pub(super) reordered: bool,
    /// Something sent before the last timeout and never again was delivered.
    pub(super) original_before_timeout: bool,
    /// The peer dropped what it had reported held (RFC 2018 §8).
    pub(super) reneged: bool,
}

/// The most recently sent of the newly delivered: most likely the one whose
/// arrival the peer acknowledges.
#[derive(Clone, Copy, Debug)]
struct Newest {
    sent_at: Instant,
    retransmitted: bool,
}

impl Delivery {
    /// Nothing yet.
    pub(super) fn new(context: DeliveryContext) -> Self {
        Self {
            context,
            acked: 0,
            bytes: 0,
            latest: None,
            newest: None,
            is_echo_stale: false,
            fack: context.fack,
            reordered: false,
            original_before_timeout: false,
            reneged: false,
        }
    }

    /// The round trip of the most recently sent segment, if it was sent once
    /// (Karn: of one sent twice nobody knows which transmission arrived).
    ///
    /// Anything sent before it may have arrived long ago, its acknowledgment
    /// lost, or have waited behind a hole, and gives no sample.
    pub(super) fn rtt(&self) -> Option<Span> {
        let newest = self.newest.filter(|newest| !newest.retransmitted)?;
        Some(self.context.now.span_since(newest.sent_at))
    }

    /// Whether the echoed timestamp measures a round trip.
    pub(super) fn may_trust_echo(&self) -> bool {
        self.acked > 0 && !self.is_echo_stale
    }

    /// Takes note of a newly delivered segment; in ascending order of position.
    #[inline]
    fn add(&mut self, segment: &SentSegment, cumulatively: bool) {
        if segment.counted {
            return;
        }
        self.bytes += segment.len();
        let is_newer = |newest: Newest| {
            newest.sent_at < segment.sent_at
                || (newest.sent_at == segment.sent_at && !newest.retransmitted)
        };
        if self.newest.is_none_or(is_newer) {
            self.newest =
                Some(Newest { sent_at: segment.sent_at, retransmitted: segment.retransmitted });
        }
        let sent = (segment.sent_at, segment.end);
        if self.latest.is_none_or(|latest| latest < sent)
            && (!segment.retransmitted || self.is_last_transmission(segment, cumulatively))
        {
            self.latest = Some(sent);
        }
        // RFC 8985 §6.2 RACK_detect_reordering.
        if segment.end > self.fack {
            self.fack = segment.end;
        } else if segment.end < self.fack && !segment.retransmitted {
            self.reordered = true;
        }
        if segment.retransmitted {
            self.is_echo_stale |= cumulatively && self.is_echo_older_than(segment);
        } else if self.context.timeout_point.is_some_and(|point| segment.end <= point) {
            self.original_before_timeout = true;
        }
    }

    /// Whether the transmission of a retransmitted segment that was delivered is the
    /// last one (RFC 8985 §6.2 RACK_update).
    ///
    /// The echoed timestamp is asked only about what was acknowledged
    /// cumulatively: a segment above a hole does not change what the peer echoes
    /// (RFC 7323 §4.3), so that for it the echo is older than it in any case.
    fn is_last_transmission(&self, segment: &SentSegment, cumulatively: bool) -> bool {
        if cumulatively && self.is_echo_older_than(segment) {
            return false;
        }
        let rtt = self.context.now.span_since(segment.sent_at);
        self.context.min_rtt.is_none_or(|min_rtt| rtt >= min_rtt)
    }

    fn is_echo_older_than(&self, segment: &SentSegment) -> bool {
        let times = self.context.tsecr.zip(segment.tsval);
        times.is_some_and(|(tsecr, tsval)| is_before(tsecr, tsval))
    }
}

/// Whether timestamp `a` is older than `b`: they wrap (RFC 7323 §5.2).
pub(super) fn is_before(a: u32, b: u32) -> bool {
    a.wrapping_sub(b).cast_signed() < 0
}

/// The queue, and which ranges of it the peer holds.
#[derive(Debug)]
pub(super) struct Scoreboard {
    pub(super) queue: SentQueue,
    /// Exactly the segments in state `Sacked`: blocks are rounded to whole
    /// segments first, so a peer cannot make it larger than the queue.
    sacked: RangeSet,
    /// The peer reneged: its blocks are not believed until this is acknowledged.
    /// That pays for the pass over the queue which reneging costs.
    distrusted_until: Option<StreamPos>,
}

impl Scoreboard {
    pub(super) fn new() -> Self {
        Self { queue: SentQueue::new(), sacked: RangeSet::new(), distrusted_until: None }
    }

    /// Applies an acknowledgment, and adds what it delivers to `delivery`. `ack` is
    /// within the queue's positions.
    #[inline]
    pub(super) fn apply(&mut self, ack: StreamPos, blocks: &SackBlocks, delivery: &mut Delivery) {
        self.acknowledge(ack, delivery);
        if self.queue.front().is_some_and(|front| front.state == State::Sacked) {
            self.renege();
            delivery.reneged = true;
        }
        if self.distrusted_until.is_some_and(|until| self.queue.start() < until) {
            return;
        }
        self.distrusted_until = None;
        for block in &blocks.held {
            self.sack(block, delivery);
        }
    }

    #[inline]
    fn acknowledge(&mut self, ack: StreamPos, delivery: &mut Delivery) {
        delivery.acked = ack.since(self.queue.start());
        while let Some(segment) = self.queue.pop_acknowledged(ack) {
            if segment.state != State::Sacked {
                delivery.add(&segment, true);
            }
        }
        // Part of a segment: delivered, but no word on the rest of it.
        if let Some(segment) = self.queue.trim_front(ack)
            && segment.state != State::Sacked
            && !segment.counted
        {
            delivery.bytes += ack.since(segment.start);
        }
        self.sacked.remove_below(ack);
        if self.queue.is_empty() {
            self.queue.release_memory();
            self.sacked.clear();
        }
    }

    /// Marks the segments that lie wholly within `block`. O(log n) when nothing
    /// in it is new.
    fn sack(&mut self, block: &Range<StreamPos>, delivery: &mut Delivery) {
        if self.sacked.covers(block) {
            return;
        }
        let (first, after) = (self.queue.first_from(block.start), self.queue.end_before(block.end));
        let (Some(start), Some(end)) = (
            self.queue.get(first).map(|segment| segment.start),
            self.queue.get(after.wrapping_sub(1)).map(|segment| segment.end),
        ) else {
            return;
        };
        let queue = &mut self.queue;
        let mut number = first;
        self.sacked.insert(start..end, |new| {
            // The first new range usually starts where the block does.
            if queue.get(number).is_none_or(|segment| segment.start != new.start) {
                number = queue.first_from(new.start);
            }
            while queue.get(number).is_some_and(|segment| segment.end <= new.end) {
                if let Some(segment) = queue.mark_sacked(number) {
                    delivery.add(&segment, false);
                }
                number += 1;
            }
        });
    }

    /// Everything that the peer reported held has to be sent again (RFC 2018 §8).
    fn renege(&mut self) {
        for range in self.sacked.iter() {
            let mut number = self.queue.first_from(range.start);
            while self.queue.get(number).is_some_and(|segment| segment.end <= range.end) {
                self.queue.mark_reneged(number);
                number += 1;
            }
        }
        self.sacked.clear();
        self.distrusted_until = Some(self.queue.end());
    }

    /// RFC 8985 §6.3 RACK_mark_losses_on_RTO: the first segment, and every one
    /// sent at least `age` before `now`.
    pub(super) fn mark_lost_on_timeout(&mut self, now: Instant, age: Span) {
        self.queue.mark_lost(self.queue.front_number());
        while let Some(number) = self.queue.earliest_sent()
            && self.queue.get(number).is_some_and(|segment| segment.sent_at + age <= now)
        {
            self.queue.mark_lost(number);
        }
    }

    /// Forgets all that is outstanding.
    pub(super) fn take_back(&mut self) {
        self.queue.take_back();
        self.sacked.clear();
    }

    /// Everything that the peer does not hold is lost.
    pub(super) fn mark_all_lost(&mut self) {
        while let Some(number) = self.queue.earliest_sent() {
            self.queue.mark_lost(number);
        }
    }

    /// The highest segment that the peer does not hold. O(log n).
    pub(super) fn tail(&self) -> Option<&SentSegment> {
        let back = self.queue.back()?;
        if back.state != State::Sacked {
            return Some(back);
        }
        let last = self.sacked.iter().next_back()?;
        self.queue.get(self.queue.first_from(last.start).wrapping_sub(1))
    }

    /// The number of the segment that starts at `position`.
    pub(super) fn find(&self, position: StreamPos) -> SegmentNumber {
        let starts_here = |number: &SegmentNumber| {
            self.queue.get(*number).is_some_and(|segment| segment.start == position)
        };
        self.queue
            .first_lost()
            .filter(starts_here)
            .unwrap_or_else(|| self.queue.first_from(position))
    }

    /// The queue's own invariants, and those between the two.
    #[cfg(test)]
    pub(super) fn check_invariants(&self) {
        self.queue.check_invariants();
        let mut held = 0;
        for range in self.sacked.iter() {
            held += range.end.since(range.start);
            let first = self.queue.get(self.queue.first_from(range.start)).expect("outstanding");
            assert_eq!((first.start, first.state), (range.start, State::Sacked));
        }
        assert_eq!(held, self.queue.sacked(), "the ranges are the segments");
        let front = self.queue.front().map(|front| front.state);
        assert_ne!(front, Some(State::Sacked), "the front is acknowledged or reneged on");
    }
}

#[cfg(test)]
mod tests;
