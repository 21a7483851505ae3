//! After anything that touched a connection: tell its owner, note its next
//! deadline, let it stand in line to send, and bury it when it is over.

use crate::conn::State;
use crate::time::Instant;

use super::Endpoint;
use super::demux::Target;

impl Endpoint {
    /// Brings everything the endpoint keeps about the connection in `slot` in
    /// step with it.
    pub(super) fn settle(&mut self, now: Instant, slot: u32) {
        self.settle_sender(now, slot, true);
    }

    /// The same. If the connection was just asked for what it has to send, it is known
    /// whether it `may_send` more.
    pub(super) fn settle_sender(&mut self, now: Instant, slot: u32, may_send: bool) {
        let Some(mut entry) = self.slots.get_mut(slot) else { return };
        if entry.has_new_standing() {
            self.settle_standing(now, slot);
            // If it is over, and held by nobody, it is no more.
            let Some(left) = self.slots.get_mut(slot) else { return };
            entry = left;
        }
        if entry.has_news() {
            entry.is_announced = true;
            self.events.announce(entry.id(slot));
        }
        self.memory.recharge(&mut entry.charged, entry.conn.charge());
        if self.unsettled == Some(slot) {
            self.unsettled = None;
        }
        entry.deadline = entry.conn.deadline(now);
        self.deadlines.update(slot, entry.deadline);
        if may_send && !entry.is_ready && entry.conn.wants_transmit(now) {
            let id = entry.id(slot);
            self.stand_in_line(id);
        }
    }

    /// Notes the deadline of the connection that was last written to.
    pub(super) fn settle_deadline(&mut self) {
        if let Some(slot) = self.unsettled.take()
            && let Some(entry) = self.slots.get_mut(slot)
        {
            entry.deadline = entry.conn.deadline(self.now);
            self.deadlines.update(slot, entry.deadline);
        }
    }

    /// A connection is over, or nearly, or can keep its path open from now on.
    #[cold]
    fn settle_standing(&mut self, now: Instant, slot: u32) {
        self.hand_over_remains(now, slot);
        self.settle_speaker(now, slot);
        if self.slots.get(slot).is_some_and(|entry| entry.conn.is_finished()) {
            self.bury(slot);
        }
    }

    /// A connection in TIME-WAIT passes its names to what remains of it. The
    /// connection itself stays for as long as its owner has something to read.
    fn hand_over_remains(&mut self, now: Instant, slot: u32) {
        let Some(entry) = self.slots.get_mut(slot) else { return };
        if !entry.is_keyed {
            return;
        }
        let key = entry.key();
        if let Some(remains) = entry.conn.remains() {
            entry.is_keyed = false;
            let Some(path) = self.paths.get(key.peer) else { return };
            let (addr, local_ip) = (path.addr, path.local_ip);
            self.paths.join(addr, local_ip);
            self.paths.end_connection(key.peer);
            let (remains_slot, evicted) = self.time_waits.insert(now, key, remains);
            self.demux.insert(key, addr.ip(), Target::TimeWait(remains_slot));
            if let Some(evicted) = evicted {
                self.counters.time_wait_evicted += 1;
                self.forget_time_wait(evicted);
            }
        } else if entry.conn.state() == State::Closed {
            // Nothing that comes now is for this connection any more.
            entry.is_keyed = false;
            self.paths.end_connection(key.peer);
            let ip = self.paths.get(key.peer).map(|path| path.addr.ip());
            if let Some(ip) = ip {
                self.demux.remove(&key, ip);
            }
        }
    }

    /// Removes a connection that is over and held by nobody.
    fn bury(&mut self, slot: u32) {
        let Some(mut entry) = self.slots.remove(slot) else { return };
        self.deadlines.set(slot, Instant::NEVER);
        self.memory.recharge(&mut entry.charged, 0);
        if self.slots.len() == 0 {
            self.memory.drop_spares();
        }
        self.events.forget(entry.is_announced, &self.slots);
        if entry.is_keyed
            && let Some(path) = self.paths.get(entry.peer)
        {
            let ip = path.addr.ip();
            self.demux.remove(&entry.key(), ip);
            self.paths.end_connection(entry.peer);
        }
        self.paths.leave(entry.peer);
    }

    /// Removes what remains of a connection.
    pub(super) fn forget_time_wait(&mut self, slot: u32) {
        let Some(key) = self.time_waits.remove(slot) else { return };
        if self.demux.find(&key) == Some(Target::TimeWait(slot))
            && let Some(path) = self.paths.get(key.peer)
        {
            let ip = path.addr.ip();
            self.demux.remove(&key, ip);
        }
        self.paths.leave(key.peer);
    }

    /// The earliest deadline of a connection.
    pub(super) fn next_connection_deadline(&mut self) -> Instant {
        while let Some((at, slot)) = self.deadlines.first() {
            let actual = self.slots.get(slot).map_or(Instant::NEVER, |entry| entry.deadline);
            if actual == at || at <= self.now {
                return at;
            }
            // It has moved away, or is gone.
            self.deadlines.set(slot, actual);
        }
        Instant::NEVER
    }

    /// A connection whose entry has come up at `now`, whether its deadline is
    /// still the same or not.
    pub(super) fn next_due(&mut self, now: Instant) -> Option<u32> {
        let (_, slot) = self.deadlines.first().filter(|(at, _)| *at <= now)?;
        self.deadlines.set(slot, Instant::NEVER);
        Some(slot)
    }
}
