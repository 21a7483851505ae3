//! Keeping paths open: address translators forget a UDP path after some silence,
//! many after half a minute, and then nothing comes through from outside.
//!
//! The side that opened a path, and so is the one that may be behind a
//! translator, sends something whenever it has been silent for a while and the
//! path has connections: an acknowledgment of one of them at SND.NXT, without
//! data, which every TCP takes and none answers. What the peer sends does not
//! count: translators need not refresh on it (RFC 4787 REQ-6).
//!
//! Beside the connection's own keepalive (RFC 9293 §3.8.4), which asks whether the
//! peer is alive and knows nothing of paths.

use alloc::collections::BTreeSet;
use core::time::Duration;

use crate::time::Instant;

use super::Endpoint;
use super::deadlines::Deadlines;

/// Which paths are kept open, and when they need it.
#[derive(Debug)]
pub(super) struct PathKeepalives {
    silence: Option<Duration>,
    /// Path and connection, by slot: the established connections of paths that
    /// this side opened. Any of them can speak for its path.
    speakers: BTreeSet<(u32, u32)>,
    /// One entry a path, moved lazily: each transmission puts the deadline off.
    deadlines: Deadlines,
}

impl PathKeepalives {
    pub(super) fn new(silence: Option<Duration>) -> Self {
        Self { silence, speakers: BTreeSet::new(), deadlines: Deadlines::default() }
    }

    /// A connection that can speak for the path.
    fn speaker(&self, path: u32) -> Option<u32> {
        self.speakers.range((path, 0)..=(path, u32::MAX)).next().map(|(_, conn)| *conn)
    }
}

impl Endpoint {
    /// The connection in `slot` may have begun, or ceased, to be one that can
    /// speak for its path.
    pub(super) fn settle_speaker(&mut self, now: Instant, slot: u32) {
        let Some(silence) = self.path_keepalives.silence else { return };
        let Some(entry) = self.slots.get_mut(slot).filter(|entry| entry.keeps_path) else { return };
        let can_speak = entry.can_speak();
        if can_speak == entry.is_speaker {
            return;
        }
        entry.is_speaker = can_speak;
        let path_slot = entry.peer.slot;
        let keepalives = &mut self.path_keepalives;
        if can_speak {
            keepalives.speakers.insert((path_slot, slot));
        } else {
            keepalives.speakers.remove(&(path_slot, slot));
        }
        let Some(path) = self.paths.in_slot(path_slot) else { return };
        if keepalives.speaker(path_slot).is_none() {
            keepalives.deadlines.set(path_slot, Instant::NEVER);
        } else if !keepalives.deadlines.contains(path_slot) {
            let deadline = path.sent_at.max(now) + silence;
            keepalives.deadlines.set(path_slot, deadline);
        }
    }

    /// When the first path needs something, or `bound` if none does before that.
    pub(super) fn next_path_deadline(&mut self, bound: Instant) -> Instant {
        while let Some((at, slot)) = self.path_keepalives.deadlines.first()
            && at < bound
            && let Some(silence) = self.path_keepalives.silence
        {
            let sent_at = self.paths.in_slot(slot).map(|path| path.sent_at);
            let actual = sent_at.map_or(Instant::NEVER, |sent_at| sent_at + silence);
            if actual <= at {
                return at;
            }
            // Something was sent since.
            self.path_keepalives.deadlines.set(slot, actual);
        }
        bound
    }

    /// Lets the paths that have been silent for too long say something.
    pub(super) fn keep_paths_open(&mut self, now: Instant) {
        let Some(silence) = self.path_keepalives.silence else { return };
        while self.next_path_deadline(Instant::NEVER).has_come(now) {
            let Some((_, path_slot)) = self.path_keepalives.deadlines.first() else { return };
            if let Some(path) = self.paths.in_slot(path_slot) {
                // As good as sent.
                path.sent_at = now;
            }
            self.path_keepalives.deadlines.set(path_slot, now + silence);
            if let Some(slot) = self.path_keepalives.speaker(path_slot)
                && let Some(entry) = self.slots.get_mut(slot)
            {
                entry.conn.acknowledge();
                self.counters.path_keepalives += 1;
                self.settle(now, slot);
            }
        }
    }
}
