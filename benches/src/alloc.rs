//! An allocator that counts, while it is asked to: how many octets are live.
//!
//! It must not know what is measured. While it is not asked it costs one relaxed
//! load an allocation, so that the other measurements are not disturbed.

use core::alloc::{GlobalAlloc, Layout};
use core::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};
use std::alloc::System;

/// The system's allocator, counted.
#[derive(Debug)]
pub struct Counting;

static IS_COUNTING: AtomicBool = AtomicBool::new(false);
static LIVE: AtomicI64 = AtomicI64::new(0);

/// Starts counting at zero.
pub fn start() {
    LIVE.store(0, Relaxed);
    IS_COUNTING.store(true, Relaxed);
}

/// Octets allocated and not freed since then.
#[must_use]
pub fn live() -> i64 {
    LIVE.load(Relaxed)
}

/// Stops counting.
pub fn stop() {
    IS_COUNTING.store(false, Relaxed);
}

fn count(octets: i64) {
    if IS_COUNTING.load(Relaxed) {
        LIVE.fetch_add(octets, Relaxed);
    }
}

fn size(octets: usize) -> i64 {
    i64::try_from(octets).unwrap_or(i64::MAX)
}

// SAFETY: all of it is the system allocator's.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(size(layout.size()));
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(-size(layout.size()));
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(size(new_size) - size(layout.size()));
        // SAFETY: as the caller promises.
        unsafe { System.realloc(block, layout, new_size) }
    }
}
