//! When to acknowledge (RFC 9293 §3.8.6.3, RFC 5681 §4.2), what duplicate to
//! report (RFC 2883), and how many challenge ACKs to give (RFC 5961 §7).
//!
//! Knows how much arrived and when; nothing of sequence checks or of how an
//! acknowledgment is sent.

use alloc::boxed::Box;
use core::ops::Range;
use core::time::Duration;

use smallvec::SmallVec;

use crate::seq::StreamPos;
use crate::time::Instant;

use super::reply_limit::ReplyLimit;

/// What is owed to the peer in acknowledgments.
#[derive(Debug, Default)]
pub(crate) struct AckPolicy {
    /// An acknowledgment is to go out with the next output.
    is_due: bool,
    /// When one that was delayed goes out at the latest.
    deadline: Option<Instant>,
    /// Bytes of data that arrived in order since the last acknowledgment.
    unacknowledged: u64,
    /// The largest segment the peer has sent, as an estimate of what
    /// "full-sized" means to it.
    peer_segment: u64,
    /// A duplicate arrival to report once (RFC 2883 §4).
    dsack: Option<Range<StreamPos>>,
    /// Acknowledgments that are not delayed: the sender is repairing losses,
    /// and waits for each.
    quick: u8,
    /// Duplicate acknowledgments that are owed by themselves, one for each segment
    /// out of order, to a peer that counts them because it has no SACK.
    duplicates: u8,
    /// Only while data has arrived out of order and that is not acknowledged.
    untold: Option<Box<Untold>>,
    challenges: ReplyLimit,
}

impl AckPolicy {
    /// A segment with `segment` bytes of data arrived, and what is in order
    /// grew by `advanced`.
    pub(crate) fn on_data(&mut self, advanced: u64, segment: u64) {
        self.unacknowledged += advanced;
        if advanced > 0 {
            // What the peer was to hear of the old hole, the new number tells it.
            self.duplicates = 0;
        }
        self.peer_segment = self.peer_segment.max(segment);
    }

    /// The segment just taken in must be acknowledged at once.
    pub(crate) fn require(&mut self) {
        self.is_due = true;
    }

    /// The segment just taken in was out of order, filled a gap, or was a
    /// duplicate (RFC 5681 §4.2): it is acknowledged at once, and so are the
    /// next few. A sender with a small window and losses would else wait for
    /// the delay again and again.
    pub(crate) fn on_disorder(&mut self) {
        self.is_due = true;
        self.quick = QUICK_ACKS;
    }

    /// Data arrived behind a hole, and the peer has no SACK: all it learns of each
    /// such segment is a duplicate acknowledgment of its own (RFC 5681 §4.2).
    ///
    /// Three would tell it of the loss, but it takes each for a segment that has left
    /// the network, and sends by their count while it repairs (RFC 6582 §3.2 step 3).
    pub(crate) fn on_segment_without_block(&mut self) {
        self.duplicates = (self.duplicates + 1).min(MAX_DUPLICATES);
    }

    /// Data arrived behind a hole, at `range`.
    pub(crate) fn on_block(&mut self, range: Range<StreamPos>) {
        let untold = self.untold.get_or_insert_default();
        if untold.end != Some(range.start) && untold.blocks.len() < MAX_UNTOLD {
            untold.blocks.push(range.start);
        }
        untold.end = Some(range.end);
    }

    /// What the next acknowledgment is to report first, if it has room for `room`
    /// blocks and there are more of them to tell of: where some of the oldest are,
    /// the newest of these first. The other acknowledgments that follow it at once
    /// report the rest.
    pub(crate) fn blocks_ahead(&self, room: usize) -> impl Iterator<Item = StreamPos> + '_ {
        let blocks = self.untold.as_ref().filter(|untold| untold.blocks.len() > room);
        let ahead = blocks.and_then(|untold| untold.blocks.get(..room)).unwrap_or_default();
        ahead.iter().rev().copied()
    }

    /// An acknowledgment reported that many of the oldest, and others are to follow.
    pub(crate) fn on_blocks_told(&mut self, blocks: usize) {
        if let Some(untold) = &mut self.untold {
            untold.blocks.drain(..blocks.min(untold.blocks.len()));
        }
    }

    /// A duplicate of `range` arrived.
    pub(crate) fn report_duplicate(&mut self, range: Range<StreamPos>) {
        self.dsack = Some(range);
        self.on_disorder();
    }

    /// All segments that were waiting have been taken in (RFC 9293 MUST-58 and
    /// MUST-59: one decision for what was there together). Two full-sized
    /// segments' worth is acknowledged at once, less may wait for `delay`.
    pub(crate) fn end_of_batch(&mut self, now: Instant, delay: Duration) {
        if self.unacknowledged == 0 {
            return;
        }
        let is_enough = self.unacknowledged >= 2 * self.peer_segment.max(SMALLEST_FULL_SIZE);
        if is_enough || self.quick > 0 || delay.is_zero() {
            self.is_due = true;
        } else if self.deadline.is_none() {
            self.deadline = Some(now + delay);
        }
    }

    /// An acknowledgment went out, alone or with data. Only what is alone and
    /// acknowledges nothing new is a duplicate to the peer (RFC 5681 §2).
    pub(crate) fn on_sent(&mut self, is_alone: bool) {
        let is_duplicate = is_alone && self.unacknowledged == 0;
        self.duplicates = self.duplicates.saturating_sub(u8::from(is_duplicate));
        self.is_due = self.duplicates > 0;
        self.deadline = None;
        self.unacknowledged = 0;
        self.dsack = None;
        self.untold = None;
        if !self.is_due {
            self.quick = self.quick.saturating_sub(1);
        }
    }

    /// Time has passed.
    pub(crate) fn on_timeout(&mut self, now: Instant) {
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            self.is_due = true;
            self.deadline = None;
        }
    }

    /// Asks for a challenge ACK (RFC 5961 §3.2, §4.2, §5.2); `false` if the
    /// limit of RFC 5961 §7, `most` in a second, forbids one now.
    pub(crate) fn challenge(&mut self, now: Instant, most: u32) -> bool {
        let allowed = self.challenges.allow(now, most);
        self.is_due |= allowed;
        allowed
    }

    pub(crate) fn is_due(&self) -> bool {
        self.is_due
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The next acknowledgment may have more to report than what the receive buffer
    /// holds behind holes.
    pub(crate) fn has_more_to_tell(&self) -> bool {
        self.dsack.is_some() || self.untold.is_some()
    }

    pub(crate) fn dsack(&self) -> Option<Range<StreamPos>> {
        self.dsack.clone()
    }

    /// The largest segment the peer has sent.
    pub(crate) fn peer_segment(&self) -> u64 {
        self.peer_segment
    }
}

/// The blocks that began or grew since the last acknowledgment, as far as more
/// than one acknowledgment may be needed to tell of them: segments that arrive
/// together are acknowledged together, with many holes between them perhaps, and
/// what the sender does not hear of it sends again.
#[derive(Debug, Default)]
struct Untold {
    /// Where the first arrival in each of them was.
    blocks: SmallVec<[StreamPos; MAX_UNTOLD]>,
    /// The end of the last arrival: one that begins there is in the same block.
    end: Option<StreamPos>,
}

/// With three blocks in each, six acknowledgments tell of so many: far fewer than
/// one for each segment (RFC 5681 §4.2).
const MAX_UNTOLD: usize = 16;

/// As many segments as receive offload puts into a batch. An acknowledgment is no
/// longer than a segment, and there are never more of them than segments.
const MAX_DUPLICATES: u8 = 64;

/// Segments below the default MSS (RFC 9293 §3.7.1) are not full-sized.
const SMALLEST_FULL_SIZE: u64 = 536;

/// As many as Linux gives after a sign of loss.
const QUICK_ACKS: u8 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Duration = Duration::from_millis(40);

    #[test]
    fn every_second_full_sized_segment_is_acknowledged_at_once() {
        let mut acks = AckPolicy::default();
        let now = Instant::from_secs(1);
        acks.on_data(1_000, 1_000);
        acks.end_of_batch(now, DELAY);
        assert!(!acks.is_due());
        assert_eq!(acks.deadline(), Some(now + DELAY));
        acks.on_data(1_000, 1_000);
        acks.end_of_batch(now, DELAY);
        assert!(acks.is_due());
        acks.on_sent(true);
        assert!(!acks.is_due());
        assert_eq!(acks.deadline(), None);
    }

    #[test]
    fn a_lone_segment_is_acknowledged_after_the_delay() {
        let mut acks = AckPolicy::default();
        acks.on_data(10, 10);
        acks.end_of_batch(Instant::ZERO, DELAY);
        acks.on_data(5, 5);
        let later = Instant::ZERO + Duration::from_millis(30);
        acks.end_of_batch(later, DELAY);
        assert_eq!(acks.deadline(), Some(Instant::ZERO + DELAY), "the first one's delay holds");
        acks.on_timeout(later);
        assert!(!acks.is_due());
        acks.on_timeout(Instant::ZERO + DELAY);
        assert!(acks.is_due());
    }

    #[test]
    fn after_disorder_acknowledgments_are_not_delayed_for_a_while() {
        let mut acks = AckPolicy::default();
        acks.on_disorder();
        acks.on_sent(true);
        let mut quick = 0;
        loop {
            acks.on_data(10, 1_000);
            acks.end_of_batch(Instant::ZERO, DELAY);
            if !acks.is_due() {
                break;
            }
            acks.on_sent(true);
            quick += 1;
        }
        assert_eq!(quick, 15);
    }

    #[test]
    fn each_segment_without_a_block_is_a_duplicate_of_its_own() {
        let mut acks = AckPolicy::default();
        let sent = |acks: &mut AckPolicy, is_alone| {
            let mut sent = 0;
            while acks.is_due() {
                acks.on_sent(is_alone || sent > 0);
                sent += 1;
            }
            sent
        };
        let arrive = |acks: &mut AckPolicy, segments| {
            for _ in 0..segments {
                acks.on_disorder();
                acks.on_segment_without_block();
            }
        };
        arrive(&mut acks, 5);
        assert_eq!(sent(&mut acks, true), 5);
        // What acknowledges something new is no duplicate, nor is what has data.
        acks.on_data(1_000, 1_000);
        arrive(&mut acks, 5);
        assert_eq!(sent(&mut acks, true), 6);
        arrive(&mut acks, 5);
        assert_eq!(sent(&mut acks, false), 6);
        // What filled the hole made them needless.
        arrive(&mut acks, 5);
        acks.on_data(6_000, 1_000);
        acks.on_disorder();
        assert_eq!(sent(&mut acks, true), 1);
        arrive(&mut acks, 3_000);
        assert_eq!(sent(&mut acks, true), 64);
    }
}
