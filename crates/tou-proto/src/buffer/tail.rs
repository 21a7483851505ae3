//! Where a queue ends: small pieces, gathered in one allocation that does not grow.
//!
//! It must not know what is in the queue, or when it is full enough.

use core::mem;

use bytes::{Buf, Bytes, BytesMut};

use crate::buffer::spares::Spares;
use crate::buffer::{CHUNK, MIN_TAIL, to_usize};

/// Small pieces at the end of a queue.
#[derive(Default)]
pub(super) struct Tail {
    /// Never grows past its capacity.
    data: BytesMut,
    /// What the allocation took when it was made: less is here once something was split off.
    whole: usize,
}

impl Tail {
    /// Begins anew, for `need` octets now: as large as what is `held` already, so that a
    /// stream of small pieces gets to large tails in a few steps and never has more unused
    /// than used.
    pub(super) fn renew(&mut self, need: usize, held: u64, spares: &mut Spares) {
        let capacity = to_usize(held).clamp(MIN_TAIL, CHUNK).max(need);
        *self = Self { data: spares.take(capacity), whole: capacity };
    }

    /// Copies as much of `data` as there is room for; returns the rest.
    pub(super) fn fill<'a>(&mut self, data: &'a [u8]) -> &'a [u8] {
        let room = self.data.capacity() - self.data.len();
        if room == 0 {
            return data;
        }
        let (fits, rest) = data.split_at(room.min(data.len()));
        self.data.extend_from_slice(fits);
        rest
    }

    /// Takes out what is there; what room is left stays.
    pub(super) fn freeze(&mut self) -> Bytes {
        if self.data.len() == self.data.capacity() {
            // Nothing to share: no reference count is needed, and none stays behind.
            return mem::take(&mut self.data).freeze();
        }
        self.data.split().freeze()
    }

    /// Takes out the first `len` octets, or all.
    pub(super) fn split_to(&mut self, len: usize) -> Bytes {
        self.data.split_to(len.min(self.len())).freeze()
    }

    /// Drops the first `count` octets, or all.
    pub(super) fn skip(&mut self, count: usize) {
        if count < self.len() {
            self.data.advance(count);
        } else {
            self.data.clear();
        }
    }

    /// Gives the allocation up.
    pub(super) fn release(&mut self, spares: &mut Spares) {
        let Self { mut data, whole } = mem::take(self);
        data.clear();
        // What was read of it is room again, unless somebody else has a part in it.
        if data.capacity() == whole || data.try_reclaim(whole) {
            spares.keep(data);
        }
    }

    pub(super) fn octets(&self) -> &[u8] {
        &self.data
    }

    pub(super) fn len(&self) -> usize {
        self.data.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// Octets of memory held.
    pub(super) fn capacity(&self) -> usize {
        self.data.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail(need: usize, spares: &mut Spares) -> Tail {
        let mut tail = Tail::default();
        tail.renew(need, 0, spares);
        tail
    }

    #[test]
    fn a_tail_read_in_parts_goes_back_whole() {
        let mut spares = Spares::new();
        let mut tail = tail(1, &mut spares);
        assert_eq!(tail.fill(&[1; MIN_TAIL + 1]), [1]);
        tail.skip(MIN_TAIL - 7);
        assert_eq!(tail.octets(), [1; 7]);
        tail.release(&mut spares);
        assert_eq!((tail.capacity(), spares.memory()), (0, MIN_TAIL as u64));
        tail.renew(1, 0, &mut spares);
        assert_eq!((tail.len(), tail.capacity()), (0, MIN_TAIL));
    }

    #[test]
    fn a_tail_that_somebody_has_a_part_of_does_not_go_back() {
        let mut spares = Spares::new();
        for take in [Tail::freeze, |tail: &mut Tail| tail.split_to(10)] {
            // What is left of it is as large as others are in all.
            let mut tail = tail(10 + MIN_TAIL, &mut spares);
            tail.fill(&[1; 10]);
            let part = take(&mut tail);
            assert_eq!((part.len(), tail.capacity()), (10, MIN_TAIL));
            tail.release(&mut spares);
            assert_eq!((tail.capacity(), spares.memory()), (0, 0));
        }
    }

    #[test]
    fn a_new_tail_is_as_large_as_what_is_held_and_takes_what_it_must() {
        let mut tail = Tail::default();
        for (need, held, capacity) in
            [(1, 0, MIN_TAIL), (1, 5_000, 5_000), (1, u64::MAX, CHUNK), (600, 0, 600)]
        {
            tail.renew(need, held, &mut Spares::default());
            assert_eq!(tail.capacity(), capacity);
        }
    }
}
