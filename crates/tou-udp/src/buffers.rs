//! Receive buffers that are handed over whole and come back.
//!
//! A well-filled buffer leaves as [`Bytes`] without a copy. A handle to it is
//! kept, and once every other one is dropped the buffer is used again: it is
//! already initialised, so nothing is zeroed or allocated. What fills only a
//! small part of a buffer is copied, so that a small datagram never pins 64 KiB.

use std::collections::VecDeque;
use std::io::IoSliceMut;

use bytes::{Bytes, BytesMut};

/// Octets in a buffer: the largest batch that receive offload delivers.
pub(crate) const BUFFER_BYTES: usize = 1 << 16;

/// How many buffers one system call may fill.
pub(crate) const BUFFERS: usize = 8;

/// Less than this is copied rather than handed over.
const COPY_BELOW: usize = BUFFER_BYTES / 4;

/// How many lent buffers are remembered. Others are freed by their last holder.
const MAX_LENT: usize = 64;

/// The buffers of one socket.
#[derive(Debug)]
pub(crate) struct RecvBuffers {
    /// To be filled next; an empty one was handed over since.
    slots: [BytesMut; BUFFERS],
    /// Handed over, oldest first.
    lent: VecDeque<Bytes>,
    allocated: u64,
}

impl RecvBuffers {
    pub(crate) fn new() -> Self {
        Self {
            slots: core::array::from_fn(|_| BytesMut::new()),
            lent: VecDeque::new(),
            allocated: 0,
        }
    }

    /// How many buffers have been allocated so far.
    pub(crate) fn allocated(&self) -> u64 {
        self.allocated
    }

    /// The buffers to fill, each [`BUFFER_BYTES`] long.
    pub(crate) fn slices(&mut self) -> [IoSliceMut<'_>; BUFFERS] {
        for index in 0..BUFFERS {
            if self.slots[index].is_empty() {
                self.slots[index] = self.fresh();
            }
        }
        self.slots.each_mut().map(|slot| IoSliceMut::new(slot))
    }

    /// The first `len` octets of buffer `index`, which was filled so far.
    pub(crate) fn take(&mut self, index: usize, len: usize) -> Bytes {
        let Some(slot) = self.slots.get_mut(index) else { return Bytes::new() };
        if len < COPY_BELOW {
            return Bytes::copy_from_slice(slot.get(..len).unwrap_or_default());
        }
        let whole = core::mem::take(slot).freeze();
        let filled = whole.slice(..len.min(whole.len()));
        if self.lent.len() == MAX_LENT {
            self.lent.pop_front();
        }
        self.lent.push_back(whole);
        filled
    }

    /// A buffer that came back, or a new one. The newest is tried first, as
    /// its memory is the likeliest to be in the cache, then the oldest, as it
    /// is the likeliest to have been read.
    fn fresh(&mut self) -> BytesMut {
        let returned = if self.lent.back().is_some_and(Bytes::is_unique) {
            self.lent.pop_back()
        } else if self.lent.front().is_some_and(Bytes::is_unique) {
            self.lent.pop_front()
        } else {
            None
        };
        match returned.map(Bytes::try_into_mut) {
            Some(Ok(buffer)) => buffer,
            _ => {
                self.allocated += 1;
                BytesMut::zeroed(BUFFER_BYTES)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(buffers: &mut RecvBuffers, len: usize, value: u8) -> Bytes {
        let mut slices = buffers.slices();
        assert!(slices.iter().all(|slice| slice.len() == BUFFER_BYTES));
        slices[0][..len].fill(value);
        buffers.take(0, len)
    }

    #[test]
    fn small_fillings_are_copied_and_their_buffer_stays() {
        let mut buffers = RecvBuffers::new();
        let first = fill(&mut buffers, 100, 1);
        let second = fill(&mut buffers, 200, 2);
        assert_eq!(first, vec![1; 100]);
        assert_eq!(second, vec![2; 200]);
        assert_eq!(buffers.allocated(), BUFFERS as u64);
    }

    #[test]
    fn large_fillings_are_not_overwritten_while_held_and_reused_when_dropped() {
        let mut buffers = RecvBuffers::new();
        let first = fill(&mut buffers, 60_000, 1);
        let part = first.slice(1_000..2_000);
        drop(first);
        let second = fill(&mut buffers, 60_000, 2);
        assert_eq!(part, vec![1; 1_000]);
        assert_eq!(second, vec![2; 60_000]);
        let before = buffers.allocated();
        drop((part, second));
        for round in 0..100 {
            assert_eq!(fill(&mut buffers, 65_507, round), vec![round; 65_507]);
        }
        assert_eq!(buffers.allocated(), before);
    }

    #[test]
    fn buffers_that_never_come_back_are_forgotten() {
        let mut buffers = RecvBuffers::new();
        let held: Vec<Bytes> = (0..200).map(|_| fill(&mut buffers, 20_000, 7)).collect();
        assert_eq!(buffers.lent.len(), MAX_LENT);
        assert!(held.iter().all(|bytes| bytes.len() == 20_000));
    }
}
