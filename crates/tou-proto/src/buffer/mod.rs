//! Where a stream's bytes wait: to be acknowledged ([`SendBuffer`]) or to be
//! read ([`RecvBuffer`]).
//!
//! Buffers speak stream positions and know nothing of segments, timers, windows on the
//! wire or loss. Whoever owns them sets the bounds and keeps to the window.
//!
//! Both are queues of parts of [`Bytes`](bytes::Bytes), whose content is not moved once it is in. What comes in
//! small pieces is gathered at the queue's end in one allocation, its tail, so that a piece
//! costs neither an allocation nor a place in the queue, nor keeps alive a large buffer that
//! it is a small part of.

use alloc::collections::VecDeque;

mod autotune;
mod reassembly;
mod recv;
mod run;
mod send;
mod spares;
mod tail;

pub(crate) use self::autotune::RecvAutotune;
pub(crate) use self::recv::{ReassemblyLimits, RecvBuffer};
pub(crate) use self::run::Payload;
pub(crate) use self::send::SendBuffer;
pub(crate) use self::spares::Spares;

/// The largest tail, and the size of the pieces that a large write is cut into. Large enough
/// that its allocation does not show beside the copying, small enough that what of it is
/// already released, or not yet used, does not show beside a window.
const CHUNK: usize = 16 * 1024;

/// The smallest tail: a short request on an idle connection costs no more.
const MIN_TAIL: usize = 512;

/// Gives back places that a queue, most of which is gone, needs no more, but for `idle` that
/// the next does not have to begin without. Amortised O(1): as many entries left it since it
/// was larger.
fn shrink<T>(queue: &mut VecDeque<T>, idle: usize) {
    if queue.capacity() > idle && queue.len() < queue.capacity() / 4 {
        queue.shrink_to(idle.max(2 * queue.len()));
    }
}

/// Copies as much of the front of `from` as fits into `to`; returns how much.
fn copy_prefix(from: &[u8], to: &mut [u8]) -> usize {
    let len = from.len().min(to.len());
    if let (Some(from), Some(to)) = (from.get(..len), to.get_mut(..len)) {
        to.copy_from_slice(from);
    }
    len
}

/// `value` as a length in memory; more than fits there is as good as the largest.
fn to_usize(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}
