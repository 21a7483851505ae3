//! Allocations that buffers gave back, for the next that needs one: a transfer takes as much
//! memory as it gives back, and a request as much as the answer before it did, so that the
//! allocator, and the pages that the system would have to find anew, need not hear of it.
//!
//! One store serves all connections of an endpoint: it is lent to whichever is called. It
//! must not know what was in them, or when there is memory for them.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use bytes::{Bytes, BytesMut};

use crate::buffer::{CHUNK, MIN_TAIL};

/// So many of each size are kept: what a few fast connections have between an acknowledgment
/// and the next write, or many that take turns.
const MOST: usize = 64;

/// A store of empty allocations, or a place for one that is lent: what is not there keeps
/// nothing.
#[derive(Default)]
pub(crate) struct Spares(Option<Box<Store>>);

#[derive(Default)]
struct Store {
    /// Of [`CHUNK`] octets each.
    chunks: Vec<BytesMut>,
    /// Of [`MIN_TAIL`] octets each.
    tails: Vec<BytesMut>,
}

impl Spares {
    /// The most there may be in it, in octets.
    pub(crate) const MOST_MEMORY: u64 = (MOST * (CHUNK + MIN_TAIL)) as u64;

    /// An empty store.
    pub(crate) fn new() -> Self {
        Self(Some(Box::default()))
    }

    /// Gives everything back to the allocator.
    pub(crate) fn clear(&mut self) {
        if let Some(store) = &mut self.0 {
            **store = Store::default();
        }
    }

    /// Octets held.
    pub(crate) fn memory(&self) -> u64 {
        let Some(store) = &self.0 else { return 0 };
        (store.chunks.len() * CHUNK + store.tails.len() * MIN_TAIL) as u64
    }

    /// Something empty that takes `capacity` octets: what was kept last, or a new allocation.
    pub(super) fn take(&mut self, capacity: usize) -> BytesMut {
        let kept = self.of_size(capacity).and_then(Vec::pop);
        kept.unwrap_or_else(|| BytesMut::with_capacity(capacity))
    }

    /// Keeps `spare`, which is empty, and all of its allocation.
    #[inline]
    pub(super) fn keep(&mut self, spare: BytesMut) {
        if let Some(kept) = self.of_size(spare.capacity())
            && kept.len() < MOST
        {
            kept.push(spare);
        }
    }

    /// Keeps the allocation of `data`, if it is a chunk in which nobody else has a part.
    pub(crate) fn keep_chunk(&mut self, data: Bytes) {
        if data.len() != CHUNK || self.0.is_none() {
            return;
        }
        if let Ok(mut chunk) = data.try_into_mut()
            && chunk.capacity() == CHUNK
        {
            chunk.clear();
            self.keep(chunk);
        }
    }

    fn of_size(&mut self, capacity: usize) -> Option<&mut Vec<BytesMut>> {
        let store = self.0.as_mut()?;
        match capacity {
            MIN_TAIL => Some(&mut store.tails),
            CHUNK => Some(&mut store.chunks),
            _ => None,
        }
    }
}

impl fmt::Debug for Spares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spares").field("memory", &self.memory()).finish()
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn what_is_kept_comes_back_empty_and_is_the_same_allocation() {
        let mut spares = Spares::new();
        let data = Bytes::from(vec![7; CHUNK]);
        let place = data.as_ptr();
        spares.keep_chunk(data);
        assert_eq!(spares.memory(), CHUNK as u64);
        assert_ne!(spares.take(MIN_TAIL).as_ptr(), place);
        let chunk = spares.take(CHUNK);
        assert_eq!((chunk.as_ptr(), chunk.len(), chunk.capacity()), (place, 0, CHUNK));
        assert_eq!(spares.memory(), 0);
        assert_eq!(spares.take(CHUNK).capacity(), CHUNK, "a new one");
    }

    #[test]
    fn what_is_shared_or_of_another_size_is_not_kept() {
        let mut spares = Spares::new();
        let shared = Bytes::from(vec![7; CHUNK]);
        spares.keep_chunk(shared.clone());
        spares.keep_chunk(Bytes::from(vec![7; CHUNK - 1]));
        spares.keep_chunk(Bytes::from(vec![7; 2 * CHUNK]).slice(..CHUNK));
        spares.keep_chunk(Bytes::from_static(&[7; CHUNK]));
        spares.keep(BytesMut::with_capacity(MIN_TAIL + 1));
        assert_eq!(spares.memory(), 0);
        assert_eq!(shared.len(), CHUNK);
    }

    #[test]
    fn there_is_a_bound_for_each_size() {
        let mut spares = Spares::new();
        for _ in 0..2 * MOST {
            spares.keep(BytesMut::with_capacity(CHUNK));
            spares.keep(BytesMut::with_capacity(MIN_TAIL));
        }
        assert_eq!(spares.memory(), Spares::MOST_MEMORY);
        spares.clear();
        assert_eq!(spares.memory(), 0);
    }

    #[test]
    fn where_no_store_is_nothing_is_kept() {
        let mut spares = Spares::default();
        spares.keep(BytesMut::with_capacity(CHUNK));
        spares.keep_chunk(Bytes::from(vec![7; CHUNK]));
        assert_eq!((spares.memory(), spares.take(CHUNK).capacity()), (0, CHUNK));
    }
}
