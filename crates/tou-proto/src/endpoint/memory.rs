//! The memory that the buffers of all connections share: how much of it is taken, and
//! what of it is at hand for the next of them that needs some.
//!
//! What each connection takes, and what it makes of what is free, is the connection's
//! to say (`conn/memory.rs`). What is at hand is free: it is given back to the allocator
//! before there is not enough of it.
//!
//! A send buffer empties when an acknowledgment comes and fills when its writer does, and
//! those of a few fast connections by megabytes. What they let go of in between is kept for
//! them: an allocator may give it to the system, and every page of it has then to be found
//! and cleared again. So as much is kept as they have held at once lately.

use core::time::Duration;

use crate::buffer::Spares;
use crate::conn::{Charge, Connection};
use crate::time::{Instant, nanos};

/// "Lately" is the present epoch and the one before.
const EPOCH: Duration = Duration::from_secs(1);

/// But no more chunks than these are kept for those who send: 16 MiB.
const MOST_CHUNKS: usize = 1_024;

/// The account.
#[derive(Debug)]
pub(super) struct Memory {
    /// What there is, beyond what is set aside for each connection.
    shared: u64,
    charged: u64,
    sending: Sending,
    /// Not charged, and no more than what is free.
    spares: Spares,
}

impl Memory {
    pub(super) fn new(shared: u64) -> Self {
        Self { shared, charged: 0, sending: Sending::default(), spares: Spares::new() }
    }

    /// What nobody has taken.
    pub(super) fn free(&self) -> u64 {
        self.shared.saturating_sub(self.charged)
    }

    /// What is taken.
    pub(super) fn charged(&self) -> u64 {
        self.charged
    }

    /// Somebody who was `charged` so much takes `charge`.
    pub(super) fn recharge(&mut self, now: Instant, charged: &mut Charge, charge: Charge) {
        let before = core::mem::replace(charged, charge);
        self.charged = self.charged.saturating_sub(before.octets).saturating_add(charge.octets);
        if before.chunks != charge.chunks {
            self.limit_spares(now, before.chunks, charge.chunks);
        }
        if self.free() < self.spares.memory() {
            self.spares.clear();
        }
    }

    /// Time has passed, perhaps without anybody's taking or giving back anything.
    pub(super) fn pass_time(&mut self, now: Instant) {
        self.limit_spares(now, 0, 0);
    }

    /// Keeps as many chunks at hand as were held lately. Somebody's send buffer holds `new`
    /// instead of `old`.
    fn limit_spares(&mut self, now: Instant, old: usize, new: usize) {
        let most = self.sending.update(now, old, new);
        self.spares.limit_chunks(most.min(MOST_CHUNKS));
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

/// The chunks that the send buffers of all hold.
#[derive(Debug, Default)]
struct Sending {
    chunks: usize,
    epoch: u64,
    /// The most in the epoch.
    peak: usize,
    /// And in the one before.
    peak_before: usize,
}

impl Sending {
    /// Somebody's buffer holds `new` chunks instead of `old`. Returns the most that all have
    /// held at once lately.
    fn update(&mut self, now: Instant, old: usize, new: usize) -> usize {
        let epoch = now.as_nanos() / nanos(EPOCH);
        if epoch != self.epoch {
            self.peak_before = if epoch == self.epoch + 1 { self.peak } else { self.chunks };
            self.peak = self.chunks;
            self.epoch = epoch;
        }
        self.chunks = self.chunks.saturating_sub(old).saturating_add(new);
        self.peak = self.peak.max(self.chunks);
        self.peak.max(self.peak_before)
    }
}

#[cfg(test)]
mod tests {
    use crate::buffer::CHUNK;

    use super::*;

    fn charge(octets: u64, chunks: usize) -> Charge {
        Charge { octets, chunks }
    }

    impl Memory {
        fn keep(&mut self, chunks: usize) -> usize {
            for _ in 0..chunks {
                self.spares.keep_chunk(alloc::vec![0; CHUNK].into());
            }
            usize::try_from(self.spares.memory()).unwrap() / CHUNK
        }
    }

    #[test]
    fn what_is_at_hand_is_given_back_before_memory_is_short() {
        let mut memory = Memory::new(100_000);
        let (now, mut charged) = (Instant::ZERO, Charge::default());
        memory.recharge(now, &mut charged, charge(50_000, 0));
        assert_eq!(memory.keep(3), 3);
        memory.recharge(now, &mut charged, charge(50_848, 0));
        assert_eq!((memory.free(), memory.spares.memory()), (49_152, 3 * CHUNK as u64));
        memory.recharge(now, &mut charged, charge(50_849, 0));
        assert_eq!((memory.free(), memory.spares.memory()), (49_151, 0));
    }

    #[test]
    fn as_much_is_at_hand_as_all_have_held_to_send_lately() {
        let mut memory = Memory::new(1 << 30);
        let (mut one, mut other) = (Charge::default(), Charge::default());
        let at = |seconds: u64| Instant::from_secs(1_000 + seconds);
        memory.recharge(at(0), &mut one, charge(0, 100));
        memory.recharge(at(0), &mut other, charge(0, 50));
        memory.recharge(at(0), &mut one, charge(0, 20));
        assert_eq!(memory.keep(400), 150, "the most at once");
        memory.recharge(at(1), &mut one, charge(0, 30));
        memory.recharge(at(1), &mut other, charge(0, 40));
        assert_eq!(memory.keep(400), 150, "an epoch ago");
        memory.recharge(at(2), &mut one, charge(0, 35));
        assert_eq!(memory.keep(0), 80, "two epochs ago");
        memory.recharge(at(9), &mut one, charge(0, 36));
        assert_eq!(memory.keep(400), 76, "nothing has happened for long");
        memory.recharge(at(20), &mut one, charge(0, 0));
        memory.recharge(at(20), &mut other, charge(0, 0));
        assert_eq!(memory.keep(400), 76, "nobody sends");
        memory.pass_time(at(30));
        assert_eq!(memory.keep(400), 64, "nobody has for long");
    }

    #[test]
    fn there_is_a_bound_for_what_is_kept_for_sending() {
        let mut memory = Memory::new(1 << 30);
        memory.recharge(Instant::ZERO, &mut Charge::default(), charge(0, 2 * MOST_CHUNKS));
        assert_eq!(memory.keep(MOST_CHUNKS + 1), MOST_CHUNKS);
    }
}
