//! Bytes that arrived before bytes that go before them (RFC 9293 §3.10.7.4, "segments with
//! higher beginning sequence numbers SHOULD be held", SHLD-31), and what of them to report
//! in SACK blocks (RFC 2018 §4).
//!
//! It must not know where in-order data ends, who reads it, or how blocks are encoded.
//!
//! # Shape
//!
//! ```text
//! blocks   [=====][==][=======]          [===]       [=======][=======]
//! pieces     1440   90   1440              100          1440     1440
//! ```
//!
//! A block is a maximal run of bytes: what a SACK block reports. Because a block has no
//! holes, new bytes only ever go to its front or its back, or join it to a neighbour; so its
//! pieces are a queue, and need no positions of their own.
//!
//! # Bounds
//!
//! The owner bounds the bytes, by the window and by what it evicts, and the number of blocks.
//! The number of pieces follows: two neighbours that are not longer than [`SMALL`] together
//! are copied into one, so there are at most `2 * bytes / SMALL + blocks`. Overlaps cost
//! nothing: of bytes that are already there, the first to arrive stay, and the others are
//! dropped.
//!
//! Every piece is a copy of its own size. What arrives out of order may be the only thing in
//! its buffer that is worth keeping, and which of it will be is for the peer to choose.

use alloc::collections::{BTreeMap, VecDeque};
use core::ops::Range;

use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;

use crate::seq::StreamPos;

/// Bytes that are copied rather than kept as a slice of what they arrived in.
pub(super) const SMALL: usize = 512;

/// How many blocks' order of arrival is remembered: as many as a TCP header has room for
/// (RFC 2018 §3).
const RECENT: usize = 4;

/// What is charged for a piece: its place in a queue that is half empty.
const PIECE_COST: usize = 2 * size_of::<Bytes>();

/// What is charged for a block: its share of a tree that is filled to a third, as nodes and
/// their allocations at worst are, and its queue's smallest allocation.
const BLOCK_COST: usize = 3 * ENTRY + 4 * size_of::<Bytes>();

/// What is charged for holding anything: this type, and the tree's first node.
const BASE_COST: usize = size_of::<Reassembly>() + 12 * ENTRY;

const ENTRY: usize = size_of::<(StreamPos, Block)>();

/// Blocks of bytes behind holes.
#[derive(Default)]
pub(super) struct Reassembly {
    /// By the position where they begin. They neither overlap nor touch.
    blocks: BTreeMap<StreamPos, Block>,
    /// A position within each of the blocks that grew last, the last one first.
    recent: SmallVec<[StreamPos; RECENT]>,
    bytes: u64,
    pieces: usize,
}

/// A run of bytes without a hole, in pieces.
struct Block {
    end: StreamPos,
    pieces: VecDeque<Bytes>,
}

impl Reassembly {
    /// Adds those bytes of `data`, which belongs at `at`, that are not there yet; returns how
    /// many were. O(log blocks) amortised.
    pub(super) fn insert(&mut self, at: StreamPos, mut data: &[u8]) -> u64 {
        if data.is_empty() {
            return 0;
        }
        let end = at + data.len() as u64;
        // The last block that may touch `data`. If it begins at or before `at`, as it does while
        // a stream goes on behind a hole, it is the only one.
        match self.blocks.range_mut(..=end).next_back() {
            Some((&start, _)) if start > at => self.join(at, data),
            Some((&start, block)) if at <= block.end => {
                let duplicate = skip(&mut data, block.end.since(at));
                let pieces = block.pieces.len();
                self.bytes += data.len() as u64;
                block.push_back(data);
                self.pieces += block.pieces.len() - pieces;
                let grown = start..block.end;
                self.touch(grown);
                duplicate
            }
            _ => {
                let mut block = Block::empty(at);
                self.bytes += data.len() as u64;
                block.push_back(data);
                self.put(at, block);
                0
            }
        }
    }

    /// Drops what is furthest until at most `max_blocks` blocks and `max_bytes` bytes are
    /// left; returns the bytes lost.
    pub(super) fn evict(&mut self, max_blocks: usize, max_bytes: u64) -> u64 {
        let before = self.bytes;
        while self.blocks.len() > max_blocks
            && let Some((start, block)) = self.blocks.pop_last()
        {
            self.on_removed(start, &block);
        }
        while self.bytes > max_bytes {
            self.drop_last_piece();
        }
        before - self.bytes
    }

    /// Drops what is furthest until at most `max_memory` bytes of memory are held, or nothing;
    /// returns the bytes lost.
    pub(super) fn shed(&mut self, max_memory: usize) -> u64 {
        let before = self.bytes;
        while !self.is_empty() && self.memory() > max_memory {
            self.drop_last_piece();
        }
        before - self.bytes
    }

    /// Drops the furthest piece, and its block if it was the only one.
    fn drop_last_piece(&mut self) {
        let Some(mut last) = self.blocks.last_entry() else { return };
        let block = last.get_mut();
        if let Some(piece) = block.pieces.pop_back() {
            block.end = block.end.back(piece.len() as u64);
            self.bytes -= piece.len() as u64;
            self.pieces -= 1;
        }
        let end = block.end;
        if block.pieces.is_empty() {
            last.remove();
        }
        self.recent.retain(|position| *position < end);
    }

    /// Takes out the first block's pieces, in order; none if there is no block.
    pub(super) fn pop_first(&mut self) -> VecDeque<Bytes> {
        let Some((start, block)) = self.blocks.pop_first() else { return VecDeque::new() };
        self.on_removed(start, &block);
        block.pieces
    }

    /// Where the first block begins.
    pub(super) fn first(&self) -> Option<StreamPos> {
        self.blocks.first_key_value().map(|(start, _)| *start)
    }

    /// Where the last block ends.
    pub(super) fn highest(&self) -> Option<StreamPos> {
        self.blocks.last_key_value().map(|(_, block)| block.end)
    }

    /// The block that contains `position`.
    pub(super) fn block_around(&self, position: StreamPos) -> Option<Range<StreamPos>> {
        let (start, block) = self.blocks.range(..=position).next_back()?;
        (position < block.end).then_some(*start..block.end)
    }

    /// The first part of `range` that is held.
    pub(super) fn first_overlap(&self, range: Range<StreamPos>) -> Option<Range<StreamPos>> {
        if range.is_empty() {
            return None;
        }
        let block = match self.block_around(range.start) {
            Some(block) => block,
            None => {
                let (start, block) = self.blocks.range(range.clone()).next()?;
                *start..block.end
            }
        };
        Some(block.start.max(range.start)..block.end.min(range.end))
    }

    /// The blocks to report, at most `max`: the one with the newest arrival first, then those
    /// that had one most recently (RFC 2018 §4), then, where that memory does not reach, from
    /// the lowest on, because an option "SHOULD include as many distinct SACK blocks as
    /// possible".
    pub(super) fn sack_ranges(&self, max: usize) -> SmallVec<[Range<StreamPos>; RECENT]> {
        let mut ranges = SmallVec::new();
        let recent = self.recent.iter().filter_map(|position| self.block_around(*position));
        ranges.extend(recent.take(max));
        for (start, block) in &self.blocks {
            if ranges.len() >= max {
                break;
            }
            let range = *start..block.end;
            if !ranges.contains(&range) {
                ranges.push(range);
            }
        }
        ranges
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether nothing is held.
    pub(super) fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Bytes of memory held, bookkeeping included, as an upper estimate.
    pub(super) fn memory(&self) -> usize {
        super::to_usize(self.bytes)
            + self.pieces * PIECE_COST
            + self.blocks.len() * BLOCK_COST
            + BASE_COST
    }

    /// Adds `data`, which touches a block that begins behind `at`, and joins all it touches.
    fn join(&mut self, at: StreamPos, mut data: &[u8]) -> u64 {
        let left = self.blocks.range(..=at).next_back();
        let left = left.filter(|(_, block)| at <= block.end).map(|(start, _)| *start);
        let start = left.unwrap_or(at);
        let mut grown = left.and_then(|left| self.take(left)).unwrap_or(Block::empty(at));
        let mut duplicate = skip(&mut data, grown.end.since(at));
        while let Some((&right, _)) = self.blocks.range(grown.end..).next() {
            let gap = super::to_usize(right.since(grown.end));
            let Some((fill, rest)) = data.split_at_checked(gap) else { break };
            data = rest;
            self.bytes += fill.len() as u64;
            grown.push_back(fill);
            let Some(block) = self.take(right) else { break };
            duplicate += skip(&mut data, block.end.since(right));
            grown = grown.joined(block);
        }
        self.bytes += data.len() as u64;
        grown.push_back(data);
        self.put(start, grown);
        duplicate
    }

    /// Takes the block at `start` out of the map and the count of pieces.
    fn take(&mut self, start: StreamPos) -> Option<Block> {
        let block = self.blocks.remove(&start)?;
        self.pieces -= block.pieces.len();
        Some(block)
    }

    /// Puts a block that just grew into the map and the count of pieces.
    fn put(&mut self, start: StreamPos, block: Block) {
        let range = start..block.end;
        self.pieces += block.pieces.len();
        self.blocks.insert(start, block);
        self.touch(range);
    }

    /// Notes that a segment arrived which is now part of `block`.
    fn touch(&mut self, block: Range<StreamPos>) {
        let position = block.start;
        self.forget(block);
        self.recent.truncate(RECENT - 1);
        self.recent.insert(0, position);
    }

    /// Stops counting and remembering a block that was taken out for good.
    fn on_removed(&mut self, start: StreamPos, block: &Block) {
        self.bytes -= block.end.since(start);
        self.pieces -= block.pieces.len();
        self.forget(start..block.end);
    }

    fn forget(&mut self, block: Range<StreamPos>) {
        self.recent.retain(|position| !block.contains(position));
    }
}

impl Block {
    fn empty(at: StreamPos) -> Self {
        Self { end: at, pieces: VecDeque::new() }
    }

    /// Appends a copy of `data`.
    fn push_back(&mut self, data: &[u8]) {
        if data.is_empty() {
            return;
        }
        self.end = self.end + data.len() as u64;
        match self.pieces.back_mut() {
            Some(last) if fit_together(last, data) => *last = together(last, data),
            _ => self.pieces.push_back(Bytes::copy_from_slice(data)),
        }
    }

    /// This block and `right`, which begins where this one ends. Moves the pieces of the
    /// block that has fewer, so that none moves more often than O(log pieces) times.
    fn joined(mut self, mut right: Self) -> Self {
        if let (Some(last), Some(first)) = (self.pieces.back(), right.pieces.front_mut())
            && fit_together(last, first)
        {
            *first = together(last, first);
            self.pieces.pop_back();
        }
        if self.pieces.len() < right.pieces.len() {
            while let Some(piece) = self.pieces.pop_back() {
                right.pieces.push_front(piece);
            }
            return right;
        }
        self.pieces.append(&mut right.pieces);
        Self { end: right.end, pieces: self.pieces }
    }
}

/// Whether two neighbours are to be one piece.
fn fit_together(left: &[u8], right: &[u8]) -> bool {
    left.len() + right.len() <= SMALL
}

/// A copy of both, in one allocation of their size.
fn together(left: &[u8], right: &[u8]) -> Bytes {
    let mut both = BytesMut::with_capacity(left.len() + right.len());
    both.extend_from_slice(left);
    both.extend_from_slice(right);
    both.freeze()
}

/// Drops the first `count` bytes of `data`, or all; returns how many.
pub(super) fn skip(data: &mut &[u8], count: u64) -> u64 {
    let skipped = super::to_usize(count).min(data.len());
    *data = data.get(skipped..).unwrap_or_default();
    skipped as u64
}

#[cfg(test)]
mod tests;
