//! After anything that touched a connection: tell its owner, note its next
//! deadline, let it stand in line to send, and bury it when it is over.

use crate::conn::State;
use crate::time::Instant;

use super::Endpoint;
use super::demux::Target;
use super::slots::Stage;

impl Endpoint {
    /// Brings everything the endpoint keeps about the connection in `slot` in
    /// step with it.
    pub(super) fn settle(&mut self, now: Instant, slot: u32) {
        self.tell(slot);
        self.hand_over_remains(now, slot);
        self.settle_speaker(now, slot);
        self.recharge(slot);
        let Some(entry) = self.slots.get_mut(slot) else { return };
        if entry.conn.is_finished() {
            self.bury(slot);
            return;
        }
        entry.deadline = entry.conn.poll_timeout(now);
        self.deadlines.update(slot, entry.deadline);
        if !entry.is_ready && entry.conn.wants_transmit(now) {
            entry.is_ready = true;
            let id = entry.id(slot);
            self.stand_in_line(id);
        }
    }

    fn tell(&mut self, slot: u32) {
        let Some(id) = self.slots.id(slot) else { return };
        let Some(entry) = self.slots.get_mut(slot) else { return };
        if entry.stage != Stage::User {
            return;
        }
        let happened = entry.conn.take_happenings();
        self.events.add(id, happened, entry.conn.error());
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

    /// Charges the connection for the memory that it takes now.
    pub(super) fn recharge(&mut self, slot: u32) {
        let Some(entry) = self.slots.get_mut(slot) else { return };
        let charge = entry.conn.charge();
        self.memory.recharge(entry.charged, charge);
        entry.charged = charge;
    }

    /// Removes a connection that is over and held by nobody.
    fn bury(&mut self, slot: u32) {
        let Some(id) = self.slots.id(slot) else { return };
        let Some(entry) = self.slots.remove(slot) else { return };
        self.deadlines.set(slot, None);
        self.memory.recharge(entry.charged, 0);
        self.events.forget(id);
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
    pub(super) fn next_connection_deadline(&mut self) -> Option<Instant> {
        loop {
            let (at, slot) = self.deadlines.first()?;
            let actual = self.slots.get(slot).and_then(|entry| entry.deadline);
            if actual == Some(at) || at <= self.now {
                return Some(at);
            }
            // It has moved away, or is gone.
            self.deadlines.set(slot, actual);
        }
    }

    /// A connection whose entry has come up at `now`, whether its deadline is
    /// still the same or not.
    pub(super) fn next_due(&mut self, now: Instant) -> Option<u32> {
        let (_, slot) = self.deadlines.first().filter(|(at, _)| *at <= now)?;
        self.deadlines.set(slot, None);
        Some(slot)
    }
}
