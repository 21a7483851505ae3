//! An allocator that gives out a fixed piece of memory from its front and takes
//! back only what it gave out last. Enough to show that the core needs no more
//! than `alloc`; a device brings one that frees.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ptr;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

const SIZE: usize = 32 << 20;

/// The memory, and how much of it was given out.
#[repr(align(4096))]
pub(crate) struct Bump {
    memory: UnsafeCell<[u8; SIZE]>,
    used: AtomicUsize,
}

// SAFETY: `used` says which part of the memory belongs to nobody, and is changed
// atomically.
unsafe impl Sync for Bump {}

impl Bump {
    pub(crate) const fn new() -> Self {
        Self { memory: UnsafeCell::new([0; SIZE]), used: AtomicUsize::new(0) }
    }
}

// SAFETY: what is returned lies in `memory`, is aligned (`memory` is aligned to
// more than anything asks for, and larger alignments are refused) and was not
// given out before, unless it was taken back.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() > 4096 {
            return ptr::null_mut();
        }
        let taken = self.used.fetch_update(Relaxed, Relaxed, |used| {
            let end = used.checked_next_multiple_of(layout.align())?.checked_add(layout.size())?;
            (end <= SIZE).then_some(end)
        });
        match taken {
            // SAFETY: the multiple and the size after it are within `memory`.
            Ok(used) => unsafe {
                self.memory.get().cast::<u8>().add(used.next_multiple_of(layout.align()))
            },
            Err(_) => ptr::null_mut(),
        }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        let start = memory.addr() - self.memory.get().addr();
        // Fails when something was given out since.
        let end = start + layout.size();
        let _ = self.used.compare_exchange(end, start, Relaxed, Relaxed);
    }
}
