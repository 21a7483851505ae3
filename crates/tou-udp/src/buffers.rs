//! Receive buffers that are handed over whole and come back.
//!
//! A well-filled buffer leaves as [`Bytes`] without a copy, and returns when its
//! last user drops it, whoever that is: it is already initialised, so nothing is
//! zeroed or allocated. The one that came back last goes out first, as its memory
//! is the likeliest to be in the cache. What fills only a small part of a buffer is
//! copied, so that a small datagram never pins 64 KiB.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use smallvec::SmallVec;

/// Octets in a buffer: the largest batch that receive offload delivers.
pub(crate) const BUFFER_BYTES: usize = 1 << 16;

/// Less than this is copied rather than handed over.
const COPY_BELOW: usize = BUFFER_BYTES / 4;

/// Up to this a copy takes one allocation, which counts its users too; of such sizes are
/// acknowledgments, requests and answers.
const SMALL: usize = 192;

/// How many buffers are kept for later at most.
const MAX_FREE: usize = 64;

/// A buffer to receive into, and the way to the next ones. Clones share what comes
/// back.
#[derive(Debug, Default)]
pub(crate) struct RecvBuffers {
    /// To be filled next; empty if it was handed over.
    current: Box<[u8]>,
    pool: Arc<Pool>,
}

/// Buffers that came back.
#[derive(Default)]
struct Pool {
    free: Mutex<Vec<Box<[u8]>>>,
    allocated: AtomicU64,
}

/// A buffer that was handed over.
struct Lent {
    buffer: Box<[u8]>,
    pool: Arc<Pool>,
}

impl Clone for RecvBuffers {
    fn clone(&self) -> Self {
        Self { current: Box::default(), pool: Arc::clone(&self.pool) }
    }
}

impl RecvBuffers {
    /// How many buffers have been allocated so far.
    pub(crate) fn allocated(&self) -> u64 {
        self.pool.allocated.load(Relaxed)
    }

    /// The buffer to fill, [`BUFFER_BYTES`] long.
    pub(crate) fn current(&mut self) -> &mut [u8] {
        if self.current.is_empty() {
            self.current = self.pool.take();
        }
        &mut self.current
    }

    /// The first `len` octets of the current buffer.
    pub(crate) fn filled(&mut self, len: usize) -> Bytes {
        if len < COPY_BELOW {
            let filled = self.current.get(..len).unwrap_or_default();
            return if len <= SMALL {
                Bytes::from_owner(SmallVec::<[u8; SMALL]>::from_slice(filled))
            } else {
                Bytes::copy_from_slice(filled)
            };
        }
        let buffer = core::mem::take(&mut self.current);
        let len = len.min(buffer.len());
        Bytes::from_owner(Lent { buffer, pool: Arc::clone(&self.pool) }).slice(..len)
    }
}

impl Pool {
    fn take(&self) -> Box<[u8]> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        free.unwrap_or_else(|| {
            self.allocated.fetch_add(1, Relaxed);
            vec![0; BUFFER_BYTES].into_boxed_slice()
        })
    }

    fn put(&self, buffer: Box<[u8]>) {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < MAX_FREE {
            free.push(buffer);
        }
    }
}

impl fmt::Debug for Pool {
    /// How many there are; never what is in them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("allocated", &self.allocated).finish_non_exhaustive()
    }
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.pool.put(core::mem::take(&mut self.buffer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(buffers: &mut RecvBuffers, len: usize, value: u8) -> Bytes {
        assert_eq!(buffers.current().len(), BUFFER_BYTES);
        buffers.current()[..len].fill(value);
        buffers.filled(len)
    }

    #[test]
    fn small_fillings_are_copied_and_their_buffer_stays() {
        let mut buffers = RecvBuffers::default();
        for len in [0, 1, 100, SMALL, SMALL + 1, COPY_BELOW - 1] {
            let first = fill(&mut buffers, len, 1);
            let second = fill(&mut buffers, len, 2);
            assert_eq!((first, second), (vec![1; len].into(), vec![2; len].into()));
        }
        assert_eq!(buffers.allocated(), 1);
    }

    #[test]
    fn large_fillings_are_not_overwritten_while_held_and_reused_when_dropped() {
        let mut buffers = RecvBuffers::default();
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
    fn buffers_come_back_in_any_order_and_to_every_clone() {
        let mut buffers = RecvBuffers::default();
        let mut held: Vec<Bytes> = (0..50).map(|_| fill(&mut buffers, 20_000, 7)).collect();
        held.retain({
            let mut index = 0;
            move |_| {
                index += 1;
                index % 2 == 0
            }
        });
        let mut other = buffers.clone();
        let again: Vec<Bytes> = (0..25).map(|_| fill(&mut other, 20_000, 8)).collect();
        assert_eq!(buffers.allocated(), 50);
        assert!(held.iter().all(|bytes| bytes == &vec![7; 20_000]));
        assert_eq!(again.len(), 25);
    }

    #[test]
    fn no_more_than_some_are_kept() {
        let mut buffers = RecvBuffers::default();
        let held: Vec<Bytes> = (0..200).map(|_| fill(&mut buffers, 20_000, 7)).collect();
        drop(held);
        assert_eq!(buffers.pool.free.lock().map(|free| free.len()).ok(), Some(MAX_FREE));
    }
}
