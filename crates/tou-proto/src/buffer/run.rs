//! Payloads that arrived together: one of them ([`Payload`]), and those in a row that are
//! kept as they came ([`Run`]).
//!
//! A batch is one buffer with a header in front of each payload, and most batches are full
//! segments of one stream. So the payloads that follow each other are equally long and
//! equally far apart, and to keep one more costs an addition: neither a place in a queue nor
//! a count of who shares the buffer.
//!
//! ```text
//! [hdr|payload][hdr|payload][hdr|payload][hdr|payload][hdr|other][..]
//!          ^                 gap   piece             |     rest     |
//!          '----------------- span ------------------'
//! ```
//!
//! It must not know positions in the stream, or what is in a header.

use core::fmt;
use core::mem;

use bytes::{Buf, Bytes, BytesMut};

use crate::buffer::copy_prefix;

/// A segment's data where it arrived: a part of a batch.
#[derive(Clone, Copy)]
pub(crate) struct Payload<'a> {
    batch: &'a Bytes,
    /// `start <= end <= batch.len()`.
    start: usize,
    end: usize,
}

impl<'a> Payload<'a> {
    /// Those octets of `batch` from `start` up to, not including, `end` that are there.
    pub(crate) fn new(batch: &'a Bytes, start: usize, end: usize) -> Self {
        let end = end.min(batch.len());
        Self { batch, start: start.min(end), end }
    }

    pub(crate) fn len(&self) -> usize {
        self.end - self.start
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub(crate) fn octets(&self) -> &'a [u8] {
        self.batch.get(self.start..self.end).unwrap_or_default()
    }

    /// Keeps the first `len` octets, or all there are.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.end = self.start + len.min(self.len());
    }
}

impl<'a> From<&'a Bytes> for Payload<'a> {
    /// All of it.
    fn from(data: &'a Bytes) -> Self {
        Self { batch: data, start: 0, end: data.len() }
    }
}

impl fmt::Debug for Payload<'_> {
    /// Where it is; never what.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Payload").field("start", &self.start).field("end", &self.end).finish()
    }
}

/// Payloads of one batch in a row, as far as they were not read: equally long, but for what
/// was read of the first, and equally far apart.
pub(super) struct Run {
    /// The batch from the next octet on, shared with whoever has other parts of it.
    batch: Bytes,
    /// Octets of each payload, when it came.
    piece: usize,
    /// Octets between one payload and the next. Means nothing while there is no next.
    gap: usize,
    /// Octets of the batch after the last payload.
    rest: usize,
}

impl Run {
    /// A run of one payload.
    pub(super) fn new(data: Payload<'_>) -> Self {
        let mut batch = data.batch.clone();
        batch.advance(data.start);
        Self { rest: batch.len() - data.len(), batch, piece: data.len(), gap: 0 }
    }

    /// Takes `next`, which follows in the stream, if it goes on in the batch as the others
    /// do: `Some` is by how much the span grew.
    pub(super) fn extend(&mut self, next: Payload<'_>) -> Option<usize> {
        // What this run has a part in is not freed, so that nothing else ends there.
        let is_same = self.batch.as_ptr_range().end == next.batch.as_ptr_range().end;
        if !is_same || next.len() != self.piece {
            return None;
        }
        let remaining = next.batch.len() - next.start;
        let gap = self.rest.checked_sub(remaining)?;
        let has_one = self.span() <= self.piece;
        if gap != self.gap && !has_one {
            return None;
        }
        self.gap = gap;
        self.rest = remaining - self.piece;
        Some(gap + self.piece)
    }

    /// Whether all of it was read.
    pub(super) fn is_empty(&self) -> bool {
        self.span() == 0
    }

    /// Octets of the batch from the next one to be read up to the last, gaps included.
    pub(super) fn span(&self) -> usize {
        self.batch.len() - self.rest
    }

    /// What is left of the payloads, in order.
    pub(super) fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let held = self.batch.get(..self.span()).unwrap_or_default();
        let (front, following) = held.split_at(self.front());
        let following = following.chunks(self.stride());
        [front].into_iter().chain(following.filter_map(|chunk| chunk.get(self.gap..)))
    }

    /// Copies out and removes the next octets; returns how many.
    pub(super) fn read(&mut self, out: &mut [u8]) -> usize {
        let mut copied = 0;
        while !self.is_empty()
            && let Some(room) = out.get_mut(copied..).filter(|room| !room.is_empty())
        {
            let front = self.front();
            let count = copy_prefix(self.batch.get(..front).unwrap_or_default(), room);
            self.batch.advance(count);
            copied += count;
            if count == front {
                self.skip_gap();
            }
        }
        copied
    }

    /// Removes and returns the first payload, or the first `max` octets of it.
    pub(super) fn take(&mut self, max: usize) -> Bytes {
        let front = self.front();
        let len = front.min(max);
        if len == self.span() {
            let mut data = mem::take(&mut self.batch);
            self.rest = 0;
            data.truncate(len);
            return data;
        }
        let data = self.batch.split_to(len);
        if len == front {
            self.skip_gap();
        }
        data
    }

    /// The same octets in memory of their own.
    pub(super) fn copied(&self) -> Self {
        let mut own = BytesMut::with_capacity(self.pieces().map(<[u8]>::len).sum());
        self.pieces().for_each(|piece| own.extend_from_slice(piece));
        Self::from(own.freeze())
    }

    /// Octets left of the first payload: what there is beside whole ones and their gaps.
    fn front(&self) -> usize {
        let span = self.span();
        if span <= self.piece { span } else { (span - 1) % self.stride() + 1 }
    }

    /// Octets from the end of one payload to the end of the next.
    fn stride(&self) -> usize {
        (self.gap + self.piece).max(1)
    }

    /// Goes on to the next payload, if there is one.
    fn skip_gap(&mut self) {
        if !self.is_empty() {
            self.batch.advance(self.gap);
        }
    }
}

impl From<Bytes> for Run {
    /// A run of one payload, which is all there is.
    fn from(data: Bytes) -> Self {
        Self { piece: data.len(), batch: data, gap: 0, rest: 0 }
    }
}

#[cfg(test)]
mod tests;
