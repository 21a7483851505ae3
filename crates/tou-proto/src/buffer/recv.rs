//! The receive buffer: bytes in order that wait to be read, and behind them those that wait
//! for a hole to be filled (RFC 9293 §3.10.7.4, seventh, "process the segment text").
//!
//! It must not know segments, when to acknowledge, or how large the window is: its owner
//! trims what arrives to the window, and so bounds the bytes held. Data in order is always
//! taken; data out of order is evicted, the furthest first, where it is more, or falls into
//! more ranges, than there may be.
//!
//! Payload of [`SMALL`] bytes and more that arrives in order is kept as it came and leaves as
//! it came. It keeps the batch alive that it is a part of: who hands in parts of one, and then
//! finds that they are the only useful ones in it, calls [`RecvBuffer::unshare`]. All other
//! payload is copied.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use core::fmt;
use core::ops::Range;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::buffer::reassembly::{Reassembly, SMALL, skip};
use crate::buffer::run::{Payload, Run};
use crate::buffer::spares::Spares;
use crate::buffer::tail::Tail;
use crate::buffer::{copy_prefix, shrink, to_usize};
use crate::seq::StreamPos;

/// What is charged for a run beside its place in the queue: the header in front of it, and
/// what counts the references to its batch.
const RUN_COST: usize = 96;

/// An empty queue keeps this many places at most: most batches need one.
const IDLE_PLACES: usize = 4;

/// What came of [`RecvBuffer::insert`].
///
/// Of the bytes handed in, each is counted once as `duplicate`, as `out_of_order`, or in
/// `advanced`, which has those that were out of order before as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Inserted {
    /// Bytes by which `next` advanced: in-order data, and what it joined from reassembly.
    pub advanced: u64,
    /// New bytes that have to wait for a hole to be filled; also those evicted at once.
    pub out_of_order: u64,
    /// Bytes that were already there.
    pub duplicate: u64,
    /// In-order data came while other data waited behind a hole: it filled all or part of
    /// that hole, and wants an immediate ACK (RFC 5681 §4.2).
    pub filled_gap: bool,
    /// Out-of-order bytes evicted, the furthest first, to keep the bounds.
    pub evicted: u64,
}

/// Bytes received: in order and waiting to be read, and out of order behind a hole.
pub(crate) struct RecvBuffer {
    next: StreamPos,
    /// In order and not read: the bytes before `next`, in `runs` and then in `tail`.
    unread: u64,
    runs: VecDeque<Run>,
    /// What the runs' spans come to.
    spans: usize,
    /// Small payloads, gathered.
    tail: Tail,
    /// There only while something waits.
    reassembly: Option<Box<Reassembly>>,
    limits: ReassemblyLimits,
}

/// How much may wait out of order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReassemblyLimits {
    /// Ranges.
    pub(crate) ranges: usize,
    /// Bytes.
    pub(crate) bytes: u64,
}

impl RecvBuffer {
    /// An empty buffer whose first byte will be at `start`.
    pub(crate) fn new(start: StreamPos, limits: ReassemblyLimits) -> Self {
        Self {
            next: start,
            unread: 0,
            runs: VecDeque::new(),
            spans: 0,
            tail: Tail::default(),
            reassembly: None,
            limits,
        }
    }

    /// Takes `data` that belongs at `at`; the caller has trimmed it to the window. Where it
    /// overlaps with what is there, what came first stays. O(1) in order with nothing out of
    /// order, else O(log ranges) amortised.
    pub(crate) fn insert(
        &mut self,
        at: StreamPos,
        data: Payload<'_>,
        spares: &mut Spares,
    ) -> Inserted {
        if at == self.next && self.reassembly.is_none() {
            self.push(data, spares);
            return Inserted { advanced: data.len() as u64, ..Inserted::default() };
        }
        let mut data = data.octets();
        let duplicate = skip(&mut data, self.next.since(at));
        if data.is_empty() {
            return Inserted { duplicate, ..Inserted::default() };
        }
        let mut inserted =
            if at > self.next { self.hold(at, data) } else { self.fill(data, spares) };
        inserted.duplicate += duplicate;
        inserted
    }

    /// Copies out and removes the next bytes; returns how many.
    pub(crate) fn read(&mut self, out: &mut [u8], spares: &mut Spares) -> usize {
        if self.unread == 0 {
            return 0;
        }
        let mut copied = 0;
        while copied < out.len() {
            let rest = out.get_mut(copied..).unwrap_or_default();
            let count = match self.runs.front_mut() {
                Some(front) => {
                    let span = front.span();
                    let count = front.read(rest);
                    self.spans -= span - front.span();
                    if front.is_empty() {
                        self.runs.pop_front();
                    }
                    count
                }
                None if self.tail.is_empty() => break,
                None => {
                    let count = copy_prefix(self.tail.octets(), rest);
                    self.tail.skip(count);
                    count
                }
            };
            copied += count;
        }
        self.consume(copied, spares);
        copied
    }

    /// Removes and returns the next run of bytes, at most `max`, without copying: as long as a
    /// payload was, or as what was gathered of small ones. `None` if there is nothing to read.
    pub(crate) fn read_chunk(&mut self, max: usize, spares: &mut Spares) -> Option<Bytes> {
        if max == 0 {
            return None;
        }
        let data = match self.runs.front_mut() {
            Some(front) => {
                let span = front.span();
                let data = front.take(max);
                self.spans -= span - front.span();
                if front.is_empty() {
                    self.runs.pop_front();
                }
                data
            }
            None if self.tail.is_empty() => return None,
            None => self.split_tail(max),
        };
        self.consume(data.len(), spares);
        Some(data)
    }

    /// Removes everything readable and everything out of order; returns how many bytes were
    /// readable. Later data goes on at `next`.
    pub(crate) fn discard(&mut self) -> u64 {
        let unread = self.unread;
        *self = Self::new(self.next, self.limits);
        unread
    }

    /// Drops out-of-order data, for memory pressure. It may have been reported in SACK blocks
    /// before: RFC 2018 §8 allows it, and its sender will send it again after a timeout.
    pub(crate) fn drop_out_of_order(&mut self) {
        self.reassembly = None;
    }

    /// Drops the furthest out-of-order data until the buffer takes at most `max_memory` bytes
    /// of memory, or none of it is left; returns the bytes lost.
    pub(crate) fn shed(&mut self, max_memory: usize) -> u64 {
        let rest = self.memory_in_order();
        let Some(reassembly) = &mut self.reassembly else { return 0 };
        let shed = reassembly.shed(max_memory.saturating_sub(rest));
        self.settle();
        shed
    }

    /// Copies the last `count` bytes in order into memory of their own, so that they keep
    /// nothing else alive.
    pub(crate) fn unshare(&mut self, count: u64) {
        let mut rest = count.saturating_sub(self.tail.len() as u64);
        let mut runs = self.runs.iter_mut().rev();
        while rest > 0
            && let Some(run) = runs.next()
        {
            self.spans -= run.span();
            *run = run.copied();
            self.spans += run.span();
            rest = rest.saturating_sub(run.span() as u64);
        }
    }

    /// Copies out the next bytes, leaves them; returns how many.
    pub(crate) fn peek(&self, out: &mut [u8]) -> usize {
        let mut copied = 0;
        for piece in self.runs.iter().flat_map(Run::pieces).chain([self.tail.octets()]) {
            let rest = out.get_mut(copied..).unwrap_or_default();
            if rest.is_empty() {
                break;
            }
            copied += copy_prefix(piece, rest);
        }
        copied
    }

    /// Position of the next byte the user reads.
    pub(crate) fn read_pos(&self) -> StreamPos {
        self.next.back(self.unread)
    }

    /// Position of the next byte expected in order: RCV.NXT until SYN and FIN are counted.
    pub(crate) fn next(&self) -> StreamPos {
        self.next
    }

    /// Bytes in order, not yet read.
    pub(crate) fn unread(&self) -> u64 {
        self.unread
    }

    /// Bytes waiting out of order.
    pub(crate) fn out_of_order(&self) -> u64 {
        self.reassembly.as_ref().map_or(0, |it| it.bytes())
    }

    /// Position after the last byte held, in order or not.
    pub(crate) fn highest(&self) -> StreamPos {
        self.reassembly.as_ref().and_then(|it| it.highest()).unwrap_or(self.next())
    }

    /// True if nothing waits out of order.
    pub(crate) fn is_contiguous(&self) -> bool {
        self.reassembly.is_none()
    }

    /// Ranges to report as SACK blocks (RFC 2018 §4), at most `max`: the one that holds the
    /// newest arrival first, then those that grew most recently, then the lowest.
    pub(crate) fn sack_ranges(&self, max: usize) -> SmallVec<[Range<StreamPos>; 4]> {
        self.reassembly.as_ref().map_or_else(SmallVec::new, |it| it.sack_ranges(max))
    }

    /// What a D-SACK block reports of a segment that covers `range` (RFC 2883 §4): the first
    /// run of its bytes that is already held, whether read, in order or out of order. Call
    /// before `insert`.
    pub(crate) fn duplicate_part(&self, range: Range<StreamPos>) -> Option<Range<StreamPos>> {
        if range.is_empty() {
            return None;
        }
        if range.start < self.next {
            return Some(range.start..range.end.min(self.next));
        }
        self.reassembly.as_ref().and_then(|it| it.first_overlap(range))
    }

    /// The out-of-order block which contains `position`: the second block of a D-SACK report
    /// about a duplicate above the cumulative acknowledgement (RFC 2883 §4, rule 4).
    pub(crate) fn block_around(&self, position: StreamPos) -> Option<Range<StreamPos>> {
        self.reassembly.as_ref().and_then(|it| it.block_around(position))
    }

    /// Bytes of memory held: capacity, not content, and the bookkeeping. What is missing from
    /// it is the part already read of one allocation, or of one batch.
    pub(crate) fn memory(&self) -> usize {
        self.memory_in_order() + self.reassembly.as_ref().map_or(0, |it| it.memory())
    }

    fn memory_in_order(&self) -> usize {
        let queue = self.runs.capacity() * size_of::<Run>();
        let around = self.runs.len() * RUN_COST;
        self.spans + around + self.tail.capacity() + queue
    }

    /// Takes data behind a hole.
    fn hold(&mut self, at: StreamPos, data: &[u8]) -> Inserted {
        let len = data.len() as u64;
        let reassembly = self.reassembly.get_or_insert_default();
        let duplicate = reassembly.insert(at, data);
        let evicted = reassembly.evict(self.limits.ranges, self.limits.bytes);
        self.settle();
        Inserted { out_of_order: len - duplicate, duplicate, evicted, ..Inserted::default() }
    }

    /// Takes data at `next` while other data waits behind it, and what it joins of that.
    fn fill(&mut self, mut data: &[u8], spares: &mut Spares) -> Inserted {
        let before = self.next;
        let mut duplicate = 0;
        let filled_gap = self.reassembly.is_some();
        while let Some(reassembly) = &mut self.reassembly
            && let Some(first) = reassembly.first()
            && let Some((gap, rest)) = data.split_at_checked(to_usize(first.since(self.next)))
        {
            let joined = reassembly.pop_first();
            data = rest;
            self.push_copy(gap, spares);
            let joins_at = self.next;
            for piece in &joined {
                self.push(piece.into(), spares);
            }
            duplicate += skip(&mut data, self.next.since(joins_at));
            self.settle();
        }
        self.push_copy(data, spares);
        let advanced = self.next.since(before);
        Inserted { advanced, duplicate, filled_gap, ..Inserted::default() }
    }

    /// Appends `data` at `next`.
    fn push(&mut self, data: Payload<'_>, spares: &mut Spares) {
        let len = data.len() as u64;
        if data.len() < SMALL {
            self.gather(data.octets(), spares);
        } else if !self.extend_last(data) {
            self.flush_tail();
            self.spans += data.len();
            self.runs.push_back(Run::new(data));
        }
        self.next = self.next + len;
        self.unread += len;
    }

    /// The same for what arrived in disorder, and is copied; see `reassembly`.
    fn push_copy(&mut self, data: &[u8], spares: &mut Spares) {
        self.push((&Bytes::copy_from_slice(data)).into(), spares);
    }

    /// Appends `data` to the last run, if it goes on with it; returns whether it does.
    fn extend_last(&mut self, data: Payload<'_>) -> bool {
        let last = self.runs.back_mut().filter(|_| self.tail.is_empty());
        let grown = last.and_then(|run| run.extend(data));
        self.spans += grown.unwrap_or(0);
        grown.is_some()
    }

    /// Copies a small payload into the tail.
    fn gather(&mut self, data: &[u8], spares: &mut Spares) {
        let rest = self.tail.fill(data);
        if !rest.is_empty() {
            self.flush_tail();
            self.tail.renew(rest.len(), self.unread, spares);
            self.tail.fill(rest);
        }
    }

    /// Turns what the tail holds into a run. What room it has left stays the tail's.
    fn flush_tail(&mut self) {
        if !self.tail.is_empty() {
            self.spans += self.tail.len();
            self.runs.push_back(self.tail.freeze().into());
        }
    }

    /// Takes the front of the tail: at least one byte, at most `max`.
    fn split_tail(&mut self, max: usize) -> Bytes {
        let len = max.min(self.tail.len());
        if len >= SMALL {
            return self.tail.split_to(len);
        }
        // A slice would cost as much as the copy, and keep all of the tail alive.
        let data = Bytes::copy_from_slice(self.tail.octets().get(..len).unwrap_or_default());
        self.tail.skip(len);
        data
    }

    /// Notes that `count` bytes left; keeps next to no memory when they were the last.
    fn consume(&mut self, count: usize, spares: &mut Spares) {
        self.unread -= count as u64;
        shrink(&mut self.runs, IDLE_PLACES);
        if self.unread == 0 {
            self.tail.release(spares);
        }
    }

    /// Drops an empty reassembly.
    fn settle(&mut self) {
        if self.reassembly.as_ref().is_some_and(|it| it.is_empty()) {
            self.reassembly = None;
        }
    }
}

impl fmt::Debug for RecvBuffer {
    /// Where it stands; never what it holds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecvBuffer")
            .field("read_pos", &self.read_pos())
            .field("next", &self.next)
            .field("out_of_order", &self.out_of_order())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
