//! The queue of outstanding segments, and what is believed of each.
//!
//! Knows when each segment was sent and whether it is in flight, lost or held
//! by the peer, and keeps the byte counts of each. Must not know why: what an
//! acknowledgment or a timer makes of a segment is decided elsewhere.
//!
//! Two orders run through the queue. By position it is a deque, and a segment's
//! number, counted since the queue was made, is its index plus a base. By time
//! of transmission it is a doubly linked list of the segments in flight, as
//! RFC 8985 §6.2 recommends, so that loss detection looks only at what it marks.

use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::ops::Range;

use super::Transmission;
use crate::seq::StreamPos;
use crate::time::Instant;

/// A segment's number, counted since the queue was made. Renumbered only by
/// [`SentQueue::resegment`].
pub(super) type SegmentNumber = u64;

/// Room for this many segments is kept while nothing is outstanding; more is given
/// back, for an idle connection costs memory only, and there may be many.
const KEPT_CAPACITY: usize = 8;

/// No segment: the end of the list.
const NONE: SegmentNumber = SegmentNumber::MAX;

/// What is believed of an outstanding segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Its last transmission is in the network.
    InFlight,
    /// Its last transmission is lost, and it has not been sent again.
    Lost,
    /// The peer holds it, above a hole (RFC 2018).
    Sacked,
}

/// One outstanding segment: less than a cache line.
#[derive(Clone, Copy, Debug)]
pub(super) struct SentSegment {
    pub(super) start: StreamPos,
    pub(super) end: StreamPos,
    /// When it was last sent: RFC 8985's `Segment.xmit_ts`.
    pub(super) sent_at: Instant,
    /// Neighbours in the order of transmission, if it is in flight.
    earlier: SegmentNumber,
    later: SegmentNumber,
    /// The timestamp value of its last transmission.
    pub(super) tsval: Option<u32>,
    pub(super) state: State,
    /// It was sent more than once: RFC 8985's `Segment.retransmitted`.
    pub(super) retransmitted: bool,
    /// It was reported delivered, and then reneged on: not to be counted again.
    pub(super) counted: bool,
}

impl SentSegment {
    /// Sequence space it occupies, in positions.
    pub(super) fn len(&self) -> u64 {
        self.end.since(self.start)
    }

    /// Its positions.
    pub(super) fn range(&self) -> Range<StreamPos> {
        self.start..self.end
    }
}

/// The outstanding segments in order of position. They are contiguous.
#[derive(Debug)]
pub(super) struct SentQueue {
    segments: VecDeque<SentSegment>,
    /// The number of the front segment.
    base: SegmentNumber,
    /// The ends of the list in order of transmission.
    earliest: SegmentNumber,
    latest: SegmentNumber,
    /// The segments in state [`State::Lost`].
    lost: BTreeSet<SegmentNumber>,
    /// SND.UNA, once something was sent.
    start: StreamPos,
    /// SND.NXT, once something was sent.
    end: StreamPos,
    in_flight: u64,
    sacked: u64,
    sacked_segments: u32,
}

impl SentQueue {
    /// An empty queue. Allocates nothing.
    pub(super) fn new() -> Self {
        Self {
            segments: VecDeque::new(),
            base: 0,
            earliest: NONE,
            latest: NONE,
            lost: BTreeSet::new(),
            start: StreamPos::default(),
            end: StreamPos::default(),
            in_flight: 0,
            sacked: 0,
            sacked_segments: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// Segments outstanding.
    pub(super) fn len(&self) -> usize {
        self.segments.len()
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.segments.capacity()
    }

    /// SND.UNA: the first outstanding position.
    pub(super) fn start(&self) -> StreamPos {
        self.start
    }

    /// SND.NXT: the position after the last outstanding one.
    pub(super) fn end(&self) -> StreamPos {
        self.end
    }

    /// Bytes outstanding.
    pub(super) fn outstanding(&self) -> u64 {
        self.end.since(self.start)
    }

    /// Bytes in state [`State::InFlight`].
    pub(super) fn in_flight(&self) -> u64 {
        self.in_flight
    }

    /// Bytes in state [`State::Sacked`].
    pub(super) fn sacked(&self) -> u64 {
        self.sacked
    }

    /// Bytes in state [`State::Lost`].
    pub(super) fn lost(&self) -> u64 {
        self.outstanding() - self.in_flight - self.sacked
    }

    /// Segments in state [`State::Sacked`]: RFC 8985's `RACK.segs_sacked`.
    pub(super) fn sacked_segments(&self) -> u32 {
        self.sacked_segments
    }

    /// Forgets all segments: the next goes where the first of them was.
    pub(super) fn take_back(&mut self) {
        let start = self.start;
        *self = Self::new();
        self.start = start;
        self.end = start;
    }

    pub(super) fn front(&self) -> Option<&SentSegment> {
        self.segments.front()
    }

    pub(super) fn back(&self) -> Option<&SentSegment> {
        self.segments.back()
    }

    pub(super) fn get(&self, number: SegmentNumber) -> Option<&SentSegment> {
        self.segments.get(self.index(number))
    }

    fn get_mut(&mut self, number: SegmentNumber) -> Option<&mut SentSegment> {
        let index = self.index(number);
        self.segments.get_mut(index)
    }

    /// Out of bounds for a number that is not in the queue.
    fn index(&self, number: SegmentNumber) -> usize {
        usize::try_from(number.wrapping_sub(self.base)).unwrap_or(usize::MAX)
    }

    /// The number of the front segment, whether there is one or not.
    pub(super) fn front_number(&self) -> SegmentNumber {
        self.base
    }

    /// The number of the first segment that starts at or after `position`.
    pub(super) fn first_from(&self, position: StreamPos) -> SegmentNumber {
        self.base + self.segments.partition_point(|segment| segment.start < position) as u64
    }

    /// The number after that of the last segment that ends at or before `position`.
    pub(super) fn end_before(&self, position: StreamPos) -> SegmentNumber {
        self.base + self.segments.partition_point(|segment| segment.end <= position) as u64
    }

    /// The segment that `position` is in.
    pub(super) fn segment_at(&self, position: StreamPos) -> Option<&SentSegment> {
        self.get(self.end_before(position)).filter(|segment| segment.start <= position)
    }

    /// Whether any segment is lost.
    pub(super) fn has_lost(&self) -> bool {
        !self.lost.is_empty()
    }

    /// The lowest lost segment.
    pub(super) fn first_lost(&self) -> Option<SegmentNumber> {
        self.lost.first().copied()
    }

    /// The segment in flight whose last transmission is the oldest.
    pub(super) fn earliest_sent(&self) -> Option<SegmentNumber> {
        (self.earliest != NONE).then_some(self.earliest)
    }

    /// Appends a segment that was sent for the first time (RFC 8985 §6.1).
    ///
    /// Segments are contiguous: one that does not start at the queue's end is
    /// taken to do so.
    pub(super) fn push(&mut self, sent: &Transmission) {
        if self.segments.is_empty() {
            self.start = sent.start;
            self.end = sent.start;
        }
        debug_assert_eq!(sent.start, self.end, "segments are contiguous");
        if sent.end <= self.end {
            return;
        }
        let number = self.base + self.segments.len() as u64;
        let earlier = core::mem::replace(&mut self.latest, number);
        let sent_at = match self.get_mut(earlier) {
            Some(segment) => {
                segment.later = number;
                segment.sent_at.max(sent.now)
            }
            None => {
                self.earliest = number;
                sent.now
            }
        };
        self.segments.push_back(SentSegment {
            start: self.end,
            end: sent.end,
            sent_at,
            earlier,
            later: NONE,
            tsval: sent.tsval,
            state: State::InFlight,
            retransmitted: false,
            counted: false,
        });
        self.in_flight += sent.end.since(self.end);
        self.end = sent.end;
    }

    /// A segment was sent again (RFC 8985 §6.1): it is in flight, and the latest
    /// sent. No effect on one that the peer holds.
    pub(super) fn retransmit(&mut self, number: SegmentNumber, sent: &Transmission) {
        let sent_at = self.not_before_the_latest(sent.now);
        let Some(segment) = self.get_mut(number) else { return };
        let (was, len) = (segment.state, segment.len());
        if was == State::Sacked {
            return;
        }
        segment.state = State::InFlight;
        segment.sent_at = sent_at;
        segment.tsval = sent.tsval;
        segment.retransmitted = true;
        if was == State::Lost {
            self.lost.remove(&number);
            self.in_flight += len;
        } else {
            self.unlink(number);
        }
        self.link_last(number);
    }

    /// Its last transmission is deemed lost. No effect unless it was in flight.
    pub(super) fn mark_lost(&mut self, number: SegmentNumber) {
        let Some(segment) = self.get_mut(number) else { return };
        if segment.state != State::InFlight {
            return;
        }
        segment.state = State::Lost;
        self.in_flight -= segment.len();
        self.unlink(number);
        self.lost.insert(number);
    }

    /// The peer holds it. Returns the segment as it was, unless it was held before.
    pub(super) fn mark_sacked(&mut self, number: SegmentNumber) -> Option<SentSegment> {
        let segment = self.get_mut(number)?;
        let before = *segment;
        segment.state = State::Sacked;
        match before.state {
            State::Sacked => return None,
            State::Lost => drop(self.lost.remove(&number)),
            State::InFlight => {
                self.in_flight -= before.len();
                self.unlink(number);
            }
        }
        self.sacked += before.len();
        self.sacked_segments += 1;
        Some(before)
    }

    /// The peer reneged on it (RFC 2018 §8): it has to be sent again.
    pub(super) fn mark_reneged(&mut self, number: SegmentNumber) {
        let Some(segment) = self.get_mut(number) else { return };
        if segment.state != State::Sacked {
            return;
        }
        segment.state = State::Lost;
        segment.counted = true;
        self.sacked -= segment.len();
        self.sacked_segments -= 1;
        self.lost.insert(number);
    }

    /// Every lost segment is believed in flight after all. O(n) if there is any.
    pub(super) fn restore_lost(&mut self) {
        if self.lost.is_empty() {
            return;
        }
        let mut order: Vec<_> = self.by_transmission().collect();
        for number in core::mem::take(&mut self.lost) {
            if let Some(segment) = self.get_mut(number) {
                segment.state = State::InFlight;
                let (sent_at, len) = (segment.sent_at, segment.len());
                self.in_flight += len;
                order.push((sent_at, number));
            }
        }
        // Both parts are all but sorted: this is a merge. Numbers break ties as
        // positions do (RFC 8985 §6.2, RACK_sent_after).
        order.sort();
        self.relink(order.into_iter().map(|(_, number)| number));
    }

    /// Takes the front segment off, if it ends at or before `position`.
    #[inline]
    pub(super) fn pop_acknowledged(&mut self, position: StreamPos) -> Option<SentSegment> {
        let segment = self.segments.front().filter(|segment| segment.end <= position)?;
        let (state, len, end) = (segment.state, segment.len(), segment.end);
        let number = self.base;
        match state {
            State::InFlight => {
                self.in_flight -= len;
                self.unlink(number);
            }
            State::Lost => drop(self.lost.remove(&number)),
            State::Sacked => {
                self.sacked -= len;
                self.sacked_segments -= 1;
            }
        }
        self.base += 1;
        self.start = end;
        self.segments.pop_front()
    }

    /// Cuts the front segment off at `position`, if that is inside it. Returns the
    /// segment as it was.
    pub(super) fn trim_front(&mut self, position: StreamPos) -> Option<SentSegment> {
        let segment = self.segments.front_mut()?;
        if position <= segment.start || position >= segment.end {
            return None;
        }
        let before = *segment;
        let cut = position.since(segment.start);
        segment.start = position;
        self.start = position;
        match before.state {
            State::InFlight => self.in_flight -= cut,
            State::Sacked => self.sacked -= cut,
            State::Lost => {}
        }
        Some(before)
    }

    /// Nothing is outstanding: gives memory back.
    pub(super) fn release_memory(&mut self) {
        if self.segments.capacity() > KEPT_CAPACITY {
            self.segments.shrink_to(KEPT_CAPACITY);
        }
        debug_assert!(self.lost.is_empty(), "what is lost is outstanding");
    }

    /// Cuts segments into pieces and renumbers the rest. `piece` is given what
    /// remains of a segment and says how much of it the next piece takes. O(n).
    pub(super) fn resegment(&mut self, piece: impl Fn(&Range<StreamPos>) -> u64) {
        let order: Vec<_> = self.by_transmission().map(|(_, number)| number).collect();
        let mut pieces = VecDeque::with_capacity(self.segments.len());
        // The index of each old segment's first piece, and the end of the last's.
        let mut first_piece = Vec::with_capacity(self.segments.len() + 1);
        self.sacked_segments = 0;
        self.lost.clear();
        for segment in &self.segments {
            first_piece.push(pieces.len());
            let mut rest = segment.range();
            while rest.start < rest.end {
                let end = rest.end.min(rest.start + piece(&rest).max(1));
                match segment.state {
                    State::Sacked => self.sacked_segments += 1,
                    State::Lost => drop(self.lost.insert(self.base + pieces.len() as u64)),
                    State::InFlight => {}
                }
                pieces.push_back(SentSegment { start: rest.start, end, ..*segment });
                rest.start = end;
            }
        }
        first_piece.push(pieces.len());
        let base = self.base;
        let places = order.iter().map(|&number| self.index(number));
        let renumbered: Vec<_> = places
            .filter_map(|old| Some(*first_piece.get(old)?..*first_piece.get(old + 1)?))
            .flatten()
            .map(|index| base + index as u64)
            .collect();
        self.segments = pieces;
        self.relink(renumbered.into_iter());
    }

    /// The segments in flight, in the order of their transmission.
    fn by_transmission(&self) -> impl Iterator<Item = (Instant, SegmentNumber)> + '_ {
        let mut next = self.earliest;
        core::iter::from_fn(move || {
            let segment = self.get(next)?;
            let number = core::mem::replace(&mut next, segment.later);
            Some((segment.sent_at, number))
        })
    }

    /// Time as the list sees it never goes back, or it would not be in order.
    fn not_before_the_latest(&self, now: Instant) -> Instant {
        self.get(self.latest).map_or(now, |segment| segment.sent_at.max(now))
    }

    fn link_last(&mut self, number: SegmentNumber) {
        let latest = core::mem::replace(&mut self.latest, number);
        match self.get_mut(latest) {
            Some(segment) => segment.later = number,
            None => self.earliest = number,
        }
        if let Some(segment) = self.get_mut(number) {
            segment.earlier = latest;
            segment.later = NONE;
        }
    }

    fn unlink(&mut self, number: SegmentNumber) {
        let Some(segment) = self.get(number) else { return };
        let (earlier, later) = (segment.earlier, segment.later);
        match self.get_mut(earlier) {
            Some(segment) => segment.later = later,
            None => self.earliest = later,
        }
        match self.get_mut(later) {
            Some(segment) => segment.earlier = earlier,
            None => self.latest = earlier,
        }
    }

    fn relink(&mut self, order: impl Iterator<Item = SegmentNumber>) {
        self.earliest = NONE;
        self.latest = NONE;
        for number in order {
            self.link_last(number);
        }
    }

    /// Compares every count and both orders with the segments themselves.
    #[cfg(test)]
    pub(super) fn check_invariants(&self) {
        let sum = |state| -> u64 {
            self.segments.iter().filter(|s| s.state == state).map(SentSegment::len).sum()
        };
        assert_eq!(self.in_flight, sum(State::InFlight));
        assert_eq!(self.sacked, sum(State::Sacked));
        assert_eq!(self.lost(), sum(State::Lost));
        let mut position = self.start;
        for segment in &self.segments {
            assert_eq!(segment.start, position, "contiguous");
            assert!(segment.end > segment.start, "not empty");
            position = segment.end;
        }
        assert_eq!(position, self.end);
        let numbers = |state| {
            let with_number = self.segments.iter().zip(self.base..);
            with_number.filter(move |(s, _)| s.state == state).map(|(_, number)| number)
        };
        assert!(numbers(State::Lost).eq(self.lost.iter().copied()));
        assert_eq!(numbers(State::Sacked).count(), self.sacked_segments as usize);
        let order: Vec<_> = self.by_transmission().collect();
        assert!(order.is_sorted_by_key(|(sent_at, _)| *sent_at), "in order of transmission");
        let mut listed: Vec<_> = order.iter().map(|(_, number)| *number).collect();
        assert_eq!(self.latest, listed.last().copied().unwrap_or(NONE));
        listed.sort_unstable();
        assert!(numbers(State::InFlight).eq(listed), "the list holds what is in flight");
        for number in numbers(State::InFlight) {
            let segment = self.get(number).expect("listed");
            if let Some(earlier) = self.get(segment.earlier) {
                assert_eq!(earlier.later, number, "linked both ways");
            }
        }
    }
}

#[cfg(test)]
mod tests;
