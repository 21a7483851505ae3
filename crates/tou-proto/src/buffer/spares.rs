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

/// So many of each size are kept whatever there is to send: what connections that take turns
/// have between an acknowledgment and the next write.
const MOST: usize = 64;

/// A store of empty allocations, or a place for one that is lent: what is not there keeps
/// nothing.
#[derive(Default)]
pub(crate) struct Spares(Option<Box<Store>>);

struct Store {
    /// Of [`CHUNK`] octets each.
    chunks: Vec<BytesMut>,
    /// How many of them are kept, [`MOST`] at least.
    most_chunks: usize,
    /// Of [`MIN_TAIL`] octets each.
    tails: Vec<BytesMut>,
}

impl Spares {
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

    /// Keeps so many chunks from now on, or as many as always if that is more.
    pub(crate) fn limit_chunks(&mut self, most: usize) {
        let Some(store) = &mut self.0 else { return };
        store.most_chunks = most.max(MOST);
        store.chunks.truncate(store.most_chunks);
        if store.chunks.capacity() > 4 * store.most_chunks {
            store.chunks.shrink_to(2 * store.most_chunks);
        }
    }

    /// Octets held.
    pub(crate) fn memory(&self) -> u64 {
        let Some(store) = &self.0 else { return 0 };
        (store.chunks.len() * CHUNK + store.tails.len() * MIN_TAIL) as u64
    }

    /// Something empty that takes `capacity` octets: what was kept last, or a new allocation.
    pub(super) fn take(&mut self, capacity: usize) -> BytesMut {
        let kept = self.0.as_mut().and_then(|store| match capacity {
            MIN_TAIL => store.tails.pop(),
            CHUNK => store.chunks.pop(),
            _ => None,
        });
        kept.unwrap_or_else(|| BytesMut::with_capacity(capacity))
    }

    /// Keeps `spare`, which is empty, and all of its allocation.
    #[inline]
    pub(super) fn keep(&mut self, spare: BytesMut) {
        let Some(store) = &mut self.0 else { return };
        let (kept, most) = match spare.capacity() {
            MIN_TAIL => (&mut store.tails, MOST),
            CHUNK => (&mut store.chunks, store.most_chunks),
            _ => return,
        };
        if kept.len() < most {
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
}

impl Default for Store {
    fn default() -> Self {
        Self { chunks: Vec::new(), most_chunks: MOST, tails: Vec::new() }
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
        assert_eq!(spares.memory(), (MOST * (CHUNK + MIN_TAIL)) as u64);
        spares.clear();
        assert_eq!(spares.memory(), 0);
    }

    #[test]
    fn more_chunks_are_kept_while_that_is_the_limit() {
        let mut spares = Spares::new();
        let fill = |spares: &mut Spares| {
            for _ in 0..10 * MOST {
                spares.keep(BytesMut::with_capacity(CHUNK));
                spares.keep(BytesMut::with_capacity(MIN_TAIL));
            }
            spares.memory() - (MOST * MIN_TAIL) as u64
        };
        for (limit, kept) in [(9, 9), (2, 2), (0, 1), (3, 3)] {
            spares.limit_chunks(limit * MOST);
            assert_eq!(fill(&mut spares), (kept * MOST * CHUNK) as u64, "{limit}");
        }
        spares.limit_chunks(0);
        assert_eq!(spares.memory(), (MOST * (CHUNK + MIN_TAIL)) as u64, "at once");
        let places = spares.0.map(|store| store.chunks.capacity());
        assert!(places <= Some(4 * MOST), "{places:?}");
    }

    #[test]
    fn where_no_store_is_nothing_is_kept() {
        let mut spares = Spares::default();
        spares.keep(BytesMut::with_capacity(CHUNK));
        spares.keep_chunk(Bytes::from(vec![7; CHUNK]));
        assert_eq!((spares.memory(), spares.take(CHUNK).capacity()), (0, CHUNK));
    }
}
