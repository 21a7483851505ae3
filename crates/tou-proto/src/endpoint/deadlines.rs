//! One queue of deadlines, one entry a connection.
//!
//! An entry may lie before its connection's true deadline, never after: a
//! deadline that moves away is left where it is until it comes up, since most
//! (retransmission, delayed acknowledgment) move away long before they are due.

use alloc::collections::BTreeSet;

use crate::time::Instant;

/// The queue.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    queue: BTreeSet<(Instant, u32)>,
}

impl Deadlines {
    /// The connection in `slot`, whose entry is `entry`, now waits for
    /// `deadline`. Returns its entry from now on.
    pub(super) fn update(
        &mut self,
        slot: u32,
        entry: Option<Instant>,
        deadline: Option<Instant>,
    ) -> Option<Instant> {
        match (entry, deadline) {
            (_, None) => entry,
            (Some(entry), Some(deadline)) if entry <= deadline => Some(entry),
            (_, Some(deadline)) => {
                self.remove(slot, entry);
                self.queue.insert((deadline, slot));
                Some(deadline)
            }
        }
    }

    /// Removes the entry of the connection in `slot`.
    pub(super) fn remove(&mut self, slot: u32, entry: Option<Instant>) {
        if let Some(entry) = entry {
            self.queue.remove(&(entry, slot));
        }
    }

    /// The earliest entry.
    pub(super) fn first(&self) -> Option<(Instant, u32)> {
        self.queue.first().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_move_forward_at_once_and_back_only_when_removed() {
        let mut deadlines = Deadlines::default();
        let at = Instant::from_millis;
        let entry = deadlines.update(1, None, Some(at(50)));
        assert_eq!(deadlines.update(1, entry, Some(at(90))), Some(at(50)));
        assert_eq!(deadlines.update(1, entry, None), Some(at(50)));
        let entry = deadlines.update(1, entry, Some(at(20)));
        deadlines.update(2, None, Some(at(30)));
        assert_eq!(deadlines.first(), Some((at(20), 1)));
        deadlines.remove(1, entry);
        assert_eq!(deadlines.first(), Some((at(30), 2)));
    }
}
