//! What the owner of the endpoint has yet to be told.
//!
//! What happened to a connection is kept with the connection, which stands in
//! the queue at most once, so that an owner who does not look costs nothing.

use alloc::collections::VecDeque;
use core::mem;

use crate::conn::Connection;
use crate::event::Event;
use crate::id::{ConnId, ListenerId};

use super::slots::Slots;

/// A queue shorter than this is not worth sweeping.
const SWEEP_AT_LEAST: usize = 32;

/// The queue.
#[derive(Debug, Default)]
pub(super) struct Events {
    queue: VecDeque<Subject>,
    /// How many in the queue are connections that their owners have given up.
    forgotten: usize,
}

#[derive(Clone, Copy, Debug)]
enum Subject {
    Listener(ListenerId),
    Connection(ConnId),
}

impl Events {
    /// A listener's queue is no longer empty.
    pub(super) fn incoming(&mut self, listener: ListenerId) {
        self.queue.push_back(Subject::Listener(listener));
    }

    /// Something happened to a connection that is not in the queue.
    pub(super) fn announce(&mut self, conn: ConnId) {
        self.queue.push_back(Subject::Connection(conn));
    }

    /// The owner of a connection has given it up, which stood in the queue if it
    /// `was_announced`.
    pub(super) fn forget(&mut self, was_announced: bool, slots: &Slots) {
        self.forgotten += usize::from(was_announced);
        // The queue still names it, and nobody is found when its turn comes; it is
        // swept when most of what it names is gone.
        if self.forgotten > SWEEP_AT_LEAST + self.queue.len() / 2 {
            self.forgotten = 0;
            self.queue.retain(|subject| match subject {
                Subject::Listener(_) => true,
                Subject::Connection(id) => slots.find(*id).is_some(),
            });
        }
    }

    /// The next event.
    #[inline]
    pub(super) fn pop(&mut self, slots: &mut Slots) -> Option<Event> {
        if self.queue.is_empty() { None } else { self.pop_first(slots) }
    }

    fn pop_first(&mut self, slots: &mut Slots) -> Option<Event> {
        loop {
            let id = match *self.queue.front()? {
                Subject::Connection(id) => id,
                Subject::Listener(listener) => {
                    self.queue.pop_front();
                    return Some(Event::Incoming(listener));
                }
            };
            let Some(slot) = slots.find_mut(id) else {
                self.queue.pop_front();
                self.forgotten = self.forgotten.saturating_sub(1);
                continue;
            };
            let event = next_of(id, &mut slot.conn);
            if !slot.conn.has_happenings() {
                slot.is_announced = false;
                self.queue.pop_front();
            }
            if event.is_some() {
                return event;
            }
        }
    }
}

/// The next event of one connection.
fn next_of(id: ConnId, conn: &mut Connection) -> Option<Event> {
    let error = conn.error();
    let happened = conn.happenings_mut();
    Some(if mem::take(&mut happened.connected) {
        Event::Connected(id)
    } else if mem::take(&mut happened.urgent) {
        Event::Urgent(id)
    } else if mem::take(&mut happened.readable) {
        Event::Readable(id)
    } else if mem::take(&mut happened.writable) {
        Event::Writable(id)
    } else if mem::take(&mut happened.stalled) {
        Event::Stalled(id)
    } else if mem::take(&mut happened.closed) {
        Event::Closed(id, error)
    } else {
        return None;
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ConnectionConfig;
    use crate::conn::{Happenings, OpenParams};
    use crate::endpoint::demux::Key;
    use crate::endpoint::slots::Stage;
    use crate::id::{PeerId, Port};
    use crate::seq::SeqNumber;
    use crate::time::Instant;
    use crate::wire::Checksum;

    fn connection(slots: &mut Slots) -> ConnId {
        let port = Port::new(1).unwrap();
        let params = OpenParams {
            config: ConnectionConfig::default().into(),
            checksum: Checksum::Carrier,
            local_port: port,
            peer_port: port,
            isn: SeqNumber::new(1),
            timestamp_offset: 0,
            mss: 1_000,
            default_mss: 536,
        };
        let conn = Connection::connect(Instant::ZERO, params);
        let peer = PeerId { slot: 0, generation: 0 };
        let key = Key { peer, peer_port: port, local_port: port };
        slots.insert(Box::new(conn), key, Stage::User, false)
    }

    fn happen(events: &mut Events, slots: &mut Slots, id: ConnId, what: Happenings) {
        let slot = slots.find_mut(id).unwrap();
        let happened = slot.conn.happenings_mut();
        happened.readable |= what.readable;
        happened.closed |= what.closed;
        if slot.has_news() {
            slot.is_announced = true;
            events.announce(id);
        }
    }

    fn give_up(events: &mut Events, slots: &mut Slots, id: ConnId) {
        let slot = slots.remove(id.slot).unwrap();
        events.forget(slot.is_announced, slots);
    }

    const READABLE: Happenings = Happenings {
        connected: false,
        readable: true,
        writable: false,
        urgent: false,
        stalled: false,
        closed: false,
    };

    #[test]
    fn a_connection_stands_in_the_queue_once() {
        let (mut events, mut slots) = (Events::default(), Slots::default());
        let (conn, other) = (connection(&mut slots), connection(&mut slots));
        happen(&mut events, &mut slots, conn, READABLE);
        happen(&mut events, &mut slots, other, READABLE);
        happen(&mut events, &mut slots, conn, READABLE);
        happen(&mut events, &mut slots, conn, Happenings { closed: true, ..READABLE });
        give_up(&mut events, &mut slots, other);
        assert_eq!(events.pop(&mut slots), Some(Event::Readable(conn)));
        assert_eq!(events.pop(&mut slots), Some(Event::Closed(conn, None)));
        assert_eq!(events.pop(&mut slots), None);
        happen(&mut events, &mut slots, conn, READABLE);
        assert_eq!(events.pop(&mut slots), Some(Event::Readable(conn)));
    }

    #[test]
    fn an_owner_who_never_looks_leaves_no_queue_behind() {
        let (mut events, mut slots) = (Events::default(), Slots::default());
        let held = connection(&mut slots);
        happen(&mut events, &mut slots, held, READABLE);
        let mut longest = 0;
        for _ in 1..10_000 {
            let conn = connection(&mut slots);
            happen(&mut events, &mut slots, conn, READABLE);
            give_up(&mut events, &mut slots, conn);
            longest = longest.max(events.queue.len());
        }
        assert!(longest <= 2 * (SWEEP_AT_LEAST + 2), "{longest}");
        assert_eq!(events.pop(&mut slots), Some(Event::Readable(held)));
        assert_eq!(events.pop(&mut slots), None);
    }
}
