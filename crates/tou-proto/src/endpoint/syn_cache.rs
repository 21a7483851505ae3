//! The SYN cache (RFC 4987 §3.4): half-open connections of all listeners, their
//! bound, and the order in which they want something.
//!
//! It must not know what a handshake is about, or who is told.

use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec::Vec;

use slab::Slab;

use crate::id::ListenerId;
use crate::time::Instant;

use super::half_open::HalfOpen;

/// A queue shorter than this is not worth sweeping.
const SWEEP_AT_LEAST: usize = 32;

/// The store.
#[derive(Debug)]
pub(super) struct SynCache {
    slab: Slab<HalfOpen>,
    max: usize,
    /// The deadline of each.
    deadlines: BTreeSet<(Instant, u32)>,
    /// Those whose SYN-ACK is to be sent, in turn. It may name some that are gone.
    due: VecDeque<u32>,
}

impl SynCache {
    pub(super) fn new(max: usize) -> Self {
        Self { slab: Slab::new(), max, deadlines: BTreeSet::new(), due: VecDeque::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.slab.len()
    }

    pub(super) fn has_room(&self) -> bool {
        self.slab.len() < self.max
    }

    /// Enters a handshake; returns its slot.
    pub(super) fn insert(&mut self, entry: HalfOpen) -> u32 {
        let deadline = entry.deadline;
        let is_due = entry.is_due;
        let slot = u32::try_from(self.slab.insert(entry)).unwrap_or(u32::MAX);
        self.deadlines.insert((deadline, slot));
        if is_due {
            self.push_due(slot);
        }
        slot
    }

    pub(super) fn get(&self, slot: u32) -> Option<&HalfOpen> {
        self.slab.get(slot as usize)
    }

    /// Changes an entry, and notes what it wants from now on.
    pub(super) fn with<T>(
        &mut self,
        slot: u32,
        change: impl FnOnce(&mut HalfOpen) -> T,
    ) -> Option<T> {
        let entry = self.slab.get_mut(slot as usize)?;
        let (deadline, was_due) = (entry.deadline, entry.is_due);
        let result = change(entry);
        let (new_deadline, is_due) = (entry.deadline, entry.is_due);
        if new_deadline != deadline {
            self.deadlines.remove(&(deadline, slot));
            self.deadlines.insert((new_deadline, slot));
        }
        if is_due && !was_due {
            self.push_due(slot);
        }
        Some(result)
    }

    fn push_due(&mut self, slot: u32) {
        self.due.push_back(slot);
        if self.due.len() > 2 * (self.slab.len() + SWEEP_AT_LEAST) {
            // Each entry once; those that are gone not at all.
            let slab = &self.slab;
            let mut seen = BTreeSet::new();
            self.due.retain(|slot| {
                slab.get(*slot as usize).is_some_and(|entry| entry.is_due) && seen.insert(*slot)
            });
        }
    }

    pub(super) fn remove(&mut self, slot: u32) -> Option<HalfOpen> {
        let entry = self.slab.try_remove(slot as usize)?;
        self.deadlines.remove(&(entry.deadline, slot));
        Some(entry)
    }

    /// Whether there may be SYN-ACKs to send.
    pub(super) fn has_due(&self) -> bool {
        !self.due.is_empty()
    }

    /// The next whose SYN-ACK is to be sent. Sending is up to the caller: until it
    /// is done, the entry comes up no more.
    pub(super) fn next_due(&mut self) -> Option<u32> {
        loop {
            let slot = self.due.pop_front()?;
            if self.get(slot).is_some_and(|entry| entry.is_due) {
                return Some(slot);
            }
        }
    }

    /// The earliest deadline.
    pub(super) fn next_deadline(&self) -> Instant {
        self.deadlines.first().map_or(Instant::NEVER, |(at, _)| *at)
    }

    /// An entry whose deadline has come.
    pub(super) fn expired(&self, now: Instant) -> Option<u32> {
        self.deadlines.first().filter(|(at, _)| *at <= now).map(|(_, slot)| *slot)
    }

    /// The entries of a listener. Looks at all.
    pub(super) fn of(&self, listener: ListenerId) -> Vec<u32> {
        let all = self.slab.iter().filter(|(_, entry)| entry.listener == listener);
        all.filter_map(|(slot, _)| u32::try_from(slot).ok()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conn::SynFacts;
    use crate::id::{PeerId, Port};
    use crate::seq::SeqNumber;

    use super::super::demux::Key;

    fn entry(listener: u32, millis: u64) -> HalfOpen {
        let port = Port::new(1).unwrap();
        let peer = PeerId { slot: 0, generation: 0 };
        let key = Key { peer, peer_port: port, local_port: port };
        let listener = ListenerId { slot: listener, generation: 0 };
        let syn = SynFacts {
            irs: SeqNumber::new(1),
            mss: 536,
            window_scale: None,
            sack: false,
            tsval: None,
            user_timeout: None,
        };
        let now = Instant::from_millis(millis);
        HalfOpen::new(now, key, listener, (SeqNumber::new(1), syn), 20)
    }

    #[test]
    fn entries_come_up_by_deadline_and_to_send_in_turn() {
        let at = Instant::from_millis;
        let mut cache = SynCache::new(2);
        let late = cache.insert(entry(1, 20));
        let soon = cache.insert(entry(2, 10));
        assert!(!cache.has_room());
        assert_eq!(cache.of(ListenerId { slot: 2, generation: 0 }), [soon]);
        assert_eq!((cache.expired(at(9)), cache.expired(at(10))), (None, Some(soon)));
        cache.with(soon, |entry| entry.deadline = at(30));
        assert_eq!(cache.next_deadline(), at(20));
        assert_eq!(cache.next_due(), Some(late));
        cache.with(late, |entry| entry.is_due = false);
        cache.with(soon, HalfOpen::resend);
        assert_eq!(cache.next_due(), Some(soon), "it was waiting for its turn already");
        assert_eq!(cache.next_due(), None);
        cache.remove(late);
        assert_eq!((cache.next_deadline(), cache.has_room()), (at(30), true));
    }

    #[test]
    fn those_that_come_and_go_leave_no_queue_behind() {
        let mut cache = SynCache::new(9);
        let kept = cache.insert(entry(1, 10));
        for _ in 0..10_000 {
            let slot = cache.insert(entry(1, 10));
            cache.remove(slot);
        }
        assert!(cache.due.len() <= 2 * (SWEEP_AT_LEAST + 2), "{}", cache.due.len());
        assert_eq!(cache.deadlines.len(), 1);
        assert_eq!(cache.next_due(), Some(kept));
    }
}
