//! A counting allocator: how many octets this thread has allocated and not freed.
//!
//! What is measured runs in one thread, so that tests may run beside each other.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::Cell;
use std::alloc::System;

/// The system's allocator, counted.
#[derive(Debug)]
pub(crate) struct Counting;

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

/// Octets allocated and not freed by this thread. Means something only as a
/// difference.
pub(crate) fn live() -> isize {
    LIVE.with(Cell::get)
}

/// How often this thread has asked for memory. Means something only as a difference.
pub(crate) fn allocations() -> usize {
    ALLOCATIONS.with(Cell::get)
}

fn count(octets: isize) {
    if octets > 0 {
        let _ = ALLOCATIONS.try_with(|all| all.set(all.get() + 1));
    }
    // While a thread ends there may be nothing left to count in.
    let _ = LIVE.try_with(|live| live.set(live.get() + octets));
}

// SAFETY: every call is passed on to the system's allocator as it came, and so is its
// answer. Counting allocates nothing: the cell is constant-initialised and has no
// destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed());
        // SAFETY: the caller keeps `GlobalAlloc::alloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        count(-layout.size().cast_signed());
        // SAFETY: the caller keeps `GlobalAlloc::dealloc`'s contract, and `ptr` came
        // from `System`.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(new_size.cast_signed() - layout.size().cast_signed());
        // SAFETY: the caller keeps `GlobalAlloc::realloc`'s contract, and `ptr` came
        // from `System`.
        unsafe { System.realloc(ptr, layout, new_size) }
    }
}
