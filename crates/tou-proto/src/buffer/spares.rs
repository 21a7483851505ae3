//! Chunks of a send buffer that were released, for the next write: a bulk transfer takes
//! as much memory as it gives back, and the allocator, and the pages that the system would
//! have to find anew, need not hear of it.
//!
//! It must not know what was in them, or when there are too many.

use alloc::boxed::Box;
use alloc::vec::Vec;

use bytes::{Bytes, BytesMut};

use crate::buffer::CHUNK;

/// Empty chunks of [`CHUNK`] bytes each.
#[derive(Default)]
pub(super) struct Spares(Option<Box<Stack>>);

#[derive(Default)]
struct Stack(Vec<BytesMut>);

impl Spares {
    /// Keeps the allocation of `data`, unless somebody else has a part in it, or it is of
    /// another size.
    pub(super) fn keep(&mut self, data: Bytes) {
        if data.len() != CHUNK {
            return;
        }
        if let Ok(mut chunk) = data.try_into_mut()
            && chunk.capacity() == CHUNK
        {
            chunk.clear();
            self.0.get_or_insert_default().0.push(chunk);
        }
    }

    /// An empty chunk: the last that was kept, or a new one.
    pub(super) fn take(&mut self) -> BytesMut {
        let kept = self.0.as_mut().and_then(|stack| stack.0.pop());
        kept.unwrap_or_else(|| BytesMut::with_capacity(CHUNK))
    }

    /// Keeps `most` of them.
    pub(super) fn truncate(&mut self, most: usize) {
        if let Some(stack) = &mut self.0 {
            stack.0.truncate(most);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |stack| stack.0.len())
    }

    /// Bytes of memory held.
    pub(super) fn memory(&self) -> usize {
        let Some(stack) = &self.0 else { return 0 };
        let places = stack.0.capacity() * size_of::<BytesMut>();
        size_of::<Stack>() + places + stack.0.len() * CHUNK
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn what_is_kept_comes_back_empty_and_is_the_same_allocation() {
        let mut spares = Spares::default();
        let data = Bytes::from(vec![7; CHUNK]);
        let place = data.as_ptr();
        spares.keep(data);
        assert!(spares.memory() >= CHUNK);
        let chunk = spares.take();
        assert_eq!((chunk.as_ptr(), chunk.len(), chunk.capacity()), (place, 0, CHUNK));
        assert_eq!(spares.len(), 0);
        assert_ne!(spares.take().capacity(), 0, "a new one");
    }

    #[test]
    fn what_is_shared_or_of_another_size_is_not_kept() {
        let mut spares = Spares::default();
        let shared = Bytes::from(vec![7; CHUNK]);
        spares.keep(shared.clone());
        spares.keep(Bytes::from(vec![7; CHUNK - 1]));
        spares.keep(Bytes::from(vec![7; 2 * CHUNK]).slice(..CHUNK));
        spares.keep(Bytes::from_static(&[7; CHUNK]));
        assert_eq!((spares.len(), spares.memory()), (0, 0));
        assert_eq!(shared.len(), CHUNK);
    }
}
