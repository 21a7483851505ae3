//! A queue of deadlines, one a slot: of connections, or of paths.
//!
//! A deadline in the queue may lie before the true one, never after: one that
//! moves away is left where it is until it comes up, since most (retransmission,
//! delayed acknowledgment) move away long before they are due. A heap that knows
//! where everybody stands: to move the only or the first one costs next to
//! nothing, any other O(log n).

use alloc::vec::Vec;

use crate::time::Instant;

/// The queue.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    /// Nobody stands before his parent, who is at half the place.
    heap: Vec<(Instant, u32)>,
    /// By slot: the place in the heap, or [`NOWHERE`].
    places: Vec<u32>,
}

const NOWHERE: u32 = u32::MAX;

impl Deadlines {
    /// `slot` now waits for `deadline`, which may be never. What moves away is left in
    /// its place.
    #[inline]
    pub(super) fn update(&mut self, slot: u32, deadline: Instant) {
        match self.place(slot) {
            Some((place, queued)) if deadline < queued => self.advance(place, deadline),
            Some(_) => {}
            None => self.set(slot, deadline),
        }
    }

    /// Puts `slot` where `deadline` belongs, or removes it if that is never.
    pub(super) fn set(&mut self, slot: u32, deadline: Instant) {
        match self.place(slot) {
            None if deadline == Instant::NEVER => {}
            None => self.push(slot, deadline),
            Some((place, _)) if deadline == Instant::NEVER => self.remove(slot, place),
            Some((place, queued)) if deadline < queued => self.advance(place, deadline),
            Some((place, _)) => {
                self.heap[place].0 = deadline;
                self.sink(place);
            }
        }
    }

    fn push(&mut self, slot: u32, deadline: Instant) {
        let index = slot as usize;
        if index >= self.places.len() {
            self.places.resize(index + 1, NOWHERE);
        }
        let last = self.heap.len();
        self.heap.push((deadline, slot));
        self.note(last);
        self.rise(last);
    }

    fn remove(&mut self, slot: u32, place: usize) {
        self.heap.swap_remove(place);
        self.places[slot as usize] = NOWHERE;
        if place < self.heap.len() {
            self.note(place);
            self.rise(place);
            self.sink(place);
        }
    }

    /// What is at `place` waits for `deadline` now, which is earlier.
    fn advance(&mut self, place: usize, deadline: Instant) {
        self.heap[place].0 = deadline;
        self.rise(place);
    }

    /// The earliest, and whose it is.
    pub(super) fn first(&self) -> Option<(Instant, u32)> {
        self.heap.first().copied()
    }

    /// Whether `slot` stands in the queue.
    pub(super) fn contains(&self, slot: u32) -> bool {
        self.place(slot).is_some()
    }

    fn place(&self, slot: u32) -> Option<(usize, Instant)> {
        let place = *self.places.get(slot as usize)? as usize;
        Some((place, self.heap.get(place)?.0))
    }

    /// Moves what is at `place` up to where it belongs.
    fn rise(&mut self, mut place: usize) {
        while place > 0 {
            let parent = (place - 1) / 2;
            if self.heap[parent] <= self.heap[place] {
                break;
            }
            self.swap(parent, place);
            place = parent;
        }
    }

    /// Moves what is at `place` down to where it belongs.
    fn sink(&mut self, mut place: usize) {
        loop {
            let left = 2 * place + 1;
            let children = left..self.heap.len().min(left + 2);
            let Some(child) = children.min_by_key(|child| self.heap[*child]) else { return };
            if self.heap[place] <= self.heap[child] {
                return;
            }
            self.swap(place, child);
            place = child;
        }
    }

    fn swap(&mut self, one: usize, other: usize) {
        self.heap.swap(one, other);
        self.note(one);
        self.note(other);
    }

    fn note(&mut self, place: usize) {
        let slot = self.heap[place].1;
        self.places[slot as usize] = u32::try_from(place).unwrap_or(NOWHERE);
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use quickcheck::quickcheck;
    use std::collections::BTreeMap;

    #[test]
    fn deadlines_move_forward_at_once_and_back_only_when_set() {
        let mut deadlines = Deadlines::default();
        let at = Instant::from_millis;
        deadlines.update(1, at(50));
        deadlines.update(1, at(90));
        deadlines.update(1, Instant::NEVER);
        assert_eq!(deadlines.first(), Some((at(50), 1)));
        deadlines.update(1, at(20));
        deadlines.update(2, at(30));
        assert_eq!(deadlines.first(), Some((at(20), 1)));
        deadlines.set(1, at(40));
        assert_eq!(deadlines.first(), Some((at(30), 2)));
        deadlines.set(2, Instant::NEVER);
        assert_eq!(deadlines.first(), Some((at(40), 1)));
    }

    quickcheck! {
        fn first_is_the_earliest_of_a_sorted_list(steps: Vec<(u8, Option<u16>)>) -> bool {
            let mut deadlines = Deadlines::default();
            let mut model = BTreeMap::new();
            steps.into_iter().all(|(slot, deadline)| {
                let slot = u32::from(slot % 32);
                let deadline = deadline.map(|at| Instant::from_millis(u64::from(at)));
                deadlines.set(slot, deadline.unwrap_or(Instant::NEVER));
                match deadline {
                    Some(deadline) => model.insert(slot, deadline),
                    None => model.remove(&slot),
                };
                let first = model.iter().map(|(slot, deadline)| (*deadline, *slot)).min();
                deadlines.first() == first
                    && (0..32).all(|slot| deadlines.contains(slot) == model.contains_key(&slot))
            })
        }
    }
}
