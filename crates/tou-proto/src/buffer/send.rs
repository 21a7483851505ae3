//! The send buffer: what the user wrote and the peer has not acknowledged yet
//! (SND.UNA on, RFC 9293 §3.3.1).
//!
//! It copies bytes out by position as often as it is asked, and drops them once they are
//! released. It must not know what was sent, what was lost, or how long a segment is.

use alloc::collections::VecDeque;
use core::fmt;

use bytes::{Buf, Bytes};

use crate::buffer::spares::Spares;
use crate::buffer::tail::Tail;
use crate::buffer::{CHUNK, copy_prefix, shrink, to_usize};
use crate::seq::StreamPos;

/// From this length on, [`SendBuffer::write_bytes`] keeps the user's buffer. Copying less
/// costs no more than keeping it: a place in the queue, and two atomic counts.
const MIN_SHARED: usize = 1024;

/// A queue that is nearly empty may keep this many places.
const IDLE_PLACES: usize = 16;

/// Bytes written by the user, from the first unacknowledged one on.
pub(crate) struct SendBuffer {
    start: StreamPos,
    end: StreamPos,
    /// In ascending order, each beginning where the one before ends. The first may begin
    /// before `start`: a chunk goes when all of it is released.
    chunks: VecDeque<Chunk>,
    /// What follows the last chunk, up to `end`.
    tail: Tail,
    /// Index of the chunk last read: the next read is most likely there or just after.
    cursor: usize,
}

struct Chunk {
    start: StreamPos,
    data: Bytes,
}

impl SendBuffer {
    /// An empty buffer whose first byte will be at `start`.
    pub(crate) fn new(start: StreamPos) -> Self {
        Self { start, end: start, chunks: VecDeque::new(), tail: Tail::default(), cursor: 0 }
    }

    /// Copies as much of `data` as fits when at most `limit` bytes may be held; returns how
    /// much. One write costs O(its length), and at most one allocation more than it has
    /// whole chunks.
    pub(crate) fn write(&mut self, data: &[u8], limit: u64, spares: &mut Spares) -> usize {
        let len = self.room(limit).min(data.len());
        self.append(data.get(..len).unwrap_or_default(), spares);
        len
    }

    /// Takes as much of the front of `data` as fits when at most `limit` bytes may be held;
    /// the rest stays in `data`. Returns how much it took. Long pieces are kept as they are,
    /// with whatever allocation they are part of, until they are released; short ones are
    /// copied.
    pub(crate) fn write_bytes(
        &mut self,
        data: &mut Bytes,
        limit: u64,
        spares: &mut Spares,
    ) -> usize {
        let len = self.room(limit).min(data.len());
        if len < MIN_SHARED {
            self.append(data.get(..len).unwrap_or_default(), spares);
            data.advance(len);
        } else {
            self.flush_tail();
            self.push_chunk(data.split_to(len));
        }
        len
    }

    /// Copies the bytes from `from` on into `out`, as many as both have; returns how many:
    /// none if `from` is not within `start..end`. O(1) amortised when reads go forward, else
    /// O(log chunks).
    pub(crate) fn copy_to(&mut self, from: StreamPos, out: &mut [u8]) -> usize {
        if from < self.start {
            return 0;
        }
        let mut copied = 0;
        let mut copy = |data: &[u8], start: StreamPos| {
            let offset = to_usize((from + copied as u64).since(start));
            let rest = out.get_mut(copied..).unwrap_or_default();
            copied += copy_prefix(data.get(offset..).unwrap_or_default(), rest);
            copied == out.len()
        };
        let tail_start = self.tail_start();
        if from < tail_start {
            self.seek(from);
            while let Some(chunk) = self.chunks.get(self.cursor) {
                if copy(&chunk.data, chunk.start) {
                    return copied;
                }
                self.cursor += 1;
            }
        }
        copy(self.tail.octets(), tail_start);
        copied
    }

    /// Drops every byte before `position` (clamped to `start..=end`).
    pub(crate) fn release_to(&mut self, position: StreamPos, spares: &mut Spares) {
        self.start = position.clamp(self.start, self.end);
        while self.chunks.front().is_some_and(|chunk| chunk.end() <= self.start)
            && let Some(released) = self.chunks.pop_front()
        {
            self.cursor = self.cursor.saturating_sub(1);
            spares.keep_chunk(released.data);
        }
        if self.start == self.end {
            // An idle connection holds no memory here.
            self.tail.release(spares);
            if self.chunks.capacity() > 0 {
                *self = Self::new(self.end);
            }
            return;
        }
        shrink(&mut self.chunks, IDLE_PLACES);
    }

    /// Drops everything, for a connection that was reset; `end` becomes `start`.
    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.start);
    }

    /// Position of the oldest byte kept.
    pub(crate) fn start(&self) -> StreamPos {
        self.start
    }

    /// Position after the last byte written.
    pub(crate) fn end(&self) -> StreamPos {
        self.end
    }

    /// Bytes held (`end - start`).
    pub(crate) fn len(&self) -> u64 {
        self.end.since(self.start)
    }

    /// Whether no byte is held.
    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Bytes of memory held: capacity, not content, and the queue itself. At most one tail's
    /// worth is missing from it, when the front of an allocation that the tail still grows
    /// in is released. What a user's [`Bytes`] keeps alive beyond itself is not known here.
    pub(crate) fn memory(&self) -> usize {
        if self.chunks.capacity() == 0 {
            return self.tail.capacity();
        }
        let first = self.chunks.front().map_or(self.tail_start(), |chunk| chunk.start);
        let chunks = to_usize(self.tail_start().since(first));
        let queue = self.chunks.capacity() * size_of::<Chunk>();
        chunks + self.tail.capacity() + queue
    }

    /// How many more bytes may be held when `limit` may.
    fn room(&self, limit: u64) -> usize {
        to_usize(limit.saturating_sub(self.len()))
    }

    fn tail_start(&self) -> StreamPos {
        self.end.back(self.tail.len() as u64)
    }

    /// Copies `data` to the end: fills the tail, then makes chunks of the exact size, then
    /// begins a new tail with what remains.
    fn append(&mut self, data: &[u8], spares: &mut Spares) {
        let mut rest = self.tail.fill(data);
        self.end = self.end + (data.len() - rest.len()) as u64;
        if rest.is_empty() {
            return;
        }
        self.flush_tail();
        while let Some((whole, after)) = rest.split_at_checked(CHUNK) {
            let mut chunk = spares.take(CHUNK);
            chunk.extend_from_slice(whole);
            self.push_chunk(chunk.freeze());
            rest = after;
        }
        if !rest.is_empty() {
            self.tail.renew(rest.len(), self.len(), spares);
            self.tail.fill(rest);
            self.end = self.end + rest.len() as u64;
        }
    }

    /// Turns what the tail holds into a chunk. What room it has left stays the tail's.
    fn flush_tail(&mut self) {
        if !self.tail.is_empty() {
            let start = self.tail_start();
            self.chunks.push_back(Chunk { start, data: self.tail.freeze() });
        }
    }

    /// Appends `data` as it is. The tail must be empty.
    fn push_chunk(&mut self, data: Bytes) {
        debug_assert!(self.tail.is_empty(), "a chunk goes before what the tail holds");
        let start = self.end;
        self.end = start + data.len() as u64;
        self.chunks.push_back(Chunk { start, data });
    }

    /// Moves the cursor to the chunk that holds `position`.
    fn seek(&mut self, position: StreamPos) {
        let holds = |index: usize| {
            self.chunks.get(index).is_some_and(|it| it.start <= position && position < it.end())
        };
        if holds(self.cursor) {
            return;
        }
        self.cursor = if holds(self.cursor + 1) {
            self.cursor + 1
        } else {
            self.chunks.partition_point(|chunk| chunk.start <= position).saturating_sub(1)
        };
    }
}

impl Chunk {
    fn end(&self) -> StreamPos {
        self.start + self.data.len() as u64
    }
}

impl fmt::Debug for SendBuffer {
    /// Where it begins and ends; never what it holds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendBuffer")
            .field("start", &self.start)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
