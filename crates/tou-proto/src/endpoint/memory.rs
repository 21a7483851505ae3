//! The memory that the buffers of all connections share: how much of it is taken, and
//! what of it is at hand for the next of them that needs some.
//!
//! What each connection takes, and what it makes of what is free, is the connection's
//! to say (`conn/memory.rs`). What is at hand is free: it is given back to the allocator
//! before there is not enough of it.

use crate::buffer::Spares;
use crate::conn::Connection;

/// The account.
#[derive(Debug)]
pub(super) struct Memory {
    /// What there is, beyond what is set aside for each connection.
    shared: u64,
    charged: u64,
    /// Not charged, and no more than what is free.
    spares: Spares,
}

impl Memory {
    pub(super) fn new(shared: u64) -> Self {
        Self { shared, charged: 0, spares: Spares::new() }
    }

    /// What nobody has taken.
    pub(super) fn free(&self) -> u64 {
        self.shared.saturating_sub(self.charged)
    }

    /// What is taken.
    pub(super) fn charged(&self) -> u64 {
        self.charged
    }

    /// Somebody who was `charged` so much takes `now`.
    pub(super) fn recharge(&mut self, charged: &mut u64, now: u64) {
        let before = core::mem::replace(charged, now);
        self.charged = self.charged.saturating_sub(before).saturating_add(now);
        if self.free() < Spares::MOST_MEMORY {
            self.limit_spares();
        }
    }

    /// Keeps no more at hand than is free.
    #[cold]
    fn limit_spares(&mut self) {
        if self.free() < self.spares.memory() {
            self.spares.clear();
        }
    }

    /// Runs `verb`, for which the connection may take what is at hand, and where it may
    /// leave what it needs no more.
    // What a verb returns may be large, and the verb small.
    #[inline]
    pub(super) fn lend<T>(
        &mut self,
        conn: &mut Connection,
        verb: impl FnOnce(&mut Connection) -> T,
    ) -> T {
        conn.set_free_memory(self.free());
        conn.swap_spares(&mut self.spares);
        let result = verb(conn);
        conn.swap_spares(&mut self.spares);
        result
    }

    /// Nobody needs any for now.
    pub(super) fn drop_spares(&mut self) {
        self.spares.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_at_hand_is_given_back_before_memory_is_short() {
        let mut memory = Memory::new(100_000);
        let mut charged = 0;
        memory.recharge(&mut charged, 50_000);
        for _ in 0..3 {
            memory.spares.keep_chunk(alloc::vec![0; 16 * 1_024].into());
        }
        memory.recharge(&mut charged, 50_848);
        assert_eq!((memory.free(), memory.spares.memory()), (49_152, 3 * 16 * 1_024));
        memory.recharge(&mut charged, 50_849);
        assert_eq!((memory.free(), memory.spares.memory()), (49_151, 0));
    }
}
