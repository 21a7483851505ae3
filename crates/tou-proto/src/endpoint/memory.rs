//! The memory that the buffers of all connections share: how much of it is taken.
//!
//! What each connection takes, and what it makes of what is free, is the connection's
//! to say (`conn/memory.rs`).

/// The account.
#[derive(Debug)]
pub(super) struct Memory {
    /// What there is, beyond what is set aside for each connection.
    shared: u64,
    charged: u64,
}

impl Memory {
    pub(super) fn new(shared: u64) -> Self {
        Self { shared, charged: 0 }
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
    }
}
