//! What the owner of the endpoint has yet to be told.
//!
//! Each connection stands in the queue at most once, with everything that has
//! happened to it since, so that an owner who does not look costs nothing.

use alloc::collections::{BTreeMap, VecDeque};

use crate::conn::Happenings;
use crate::error::ConnectionError;
use crate::event::Event;
use crate::id::{ConnId, ListenerId};

/// A queue shorter than this is not worth sweeping.
const SWEEP_AT_LEAST: usize = 32;

/// The queue.
#[derive(Debug, Default)]
pub(super) struct Events {
    queue: VecDeque<Subject>,
    pending: BTreeMap<ConnId, Pending>,
}

#[derive(Clone, Copy, Debug)]
enum Subject {
    Listener(ListenerId),
    Connection(ConnId),
}

#[derive(Debug, Default)]
struct Pending {
    happened: Happenings,
    error: Option<ConnectionError>,
}

impl Events {
    /// A listener's queue is no longer empty.
    pub(super) fn incoming(&mut self, listener: ListenerId) {
        self.queue.push_back(Subject::Listener(listener));
    }

    /// Something happened to a connection.
    pub(super) fn add(&mut self, conn: ConnId, new: Happenings, error: Option<ConnectionError>) {
        if new == Happenings::default() {
            return;
        }
        let queue = &mut self.queue;
        let pending = self.pending.entry(conn).or_insert_with(|| {
            queue.push_back(Subject::Connection(conn));
            Pending::default()
        });
        let happened = &mut pending.happened;
        happened.connected |= new.connected;
        happened.readable |= new.readable;
        happened.writable |= new.writable;
        happened.urgent |= new.urgent;
        happened.stalled |= new.stalled;
        happened.closed |= new.closed;
        pending.error = error;
    }

    /// A connection's owner has given it up.
    pub(super) fn forget(&mut self, conn: ConnId) {
        // The queue still names it, and nothing is pending when its turn comes;
        // it is swept when most of what it names is gone.
        if self.pending.remove(&conn).is_some()
            && self.queue.len() > 2 * (self.pending.len() + SWEEP_AT_LEAST)
        {
            let pending = &self.pending;
            self.queue.retain(|subject| match subject {
                Subject::Listener(_) => true,
                Subject::Connection(id) => pending.contains_key(id),
            });
        }
    }

    /// The next event.
    pub(super) fn pop(&mut self) -> Option<Event> {
        loop {
            match *self.queue.front()? {
                Subject::Listener(listener) => {
                    self.queue.pop_front();
                    return Some(Event::Incoming(listener));
                }
                Subject::Connection(conn) => match self.pop_of(conn) {
                    Some(event) => return Some(event),
                    None => self.queue.pop_front(),
                },
            };
        }
    }

    /// The next event of the connection at the front of the queue.
    fn pop_of(&mut self, conn: ConnId) -> Option<Event> {
        let pending = self.pending.get_mut(&conn)?;
        let happened = &mut pending.happened;
        let event = if core::mem::take(&mut happened.connected) {
            Event::Connected(conn)
        } else if core::mem::take(&mut happened.urgent) {
            Event::Urgent(conn)
        } else if core::mem::take(&mut happened.readable) {
            Event::Readable(conn)
        } else if core::mem::take(&mut happened.writable) {
            Event::Writable(conn)
        } else if core::mem::take(&mut happened.stalled) {
            Event::Stalled(conn)
        } else {
            happened.closed = false;
            Event::Closed(conn, pending.error)
        };
        if *happened == Happenings::default() {
            self.pending.remove(&conn);
            self.queue.pop_front();
        }
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_stands_in_the_queue_once() {
        let mut events = Events::default();
        let conn = ConnId { slot: 1, generation: 1 };
        let other = ConnId { slot: 2, generation: 2 };
        let readable = Happenings { readable: true, ..Happenings::default() };
        let closed = Happenings { closed: true, ..Happenings::default() };
        events.add(conn, readable, None);
        events.add(other, readable, None);
        events.add(conn, readable, None);
        events.add(conn, closed, Some(ConnectionError::Reset));
        events.forget(other);
        assert_eq!(events.pop(), Some(Event::Readable(conn)));
        assert_eq!(events.pop(), Some(Event::Closed(conn, Some(ConnectionError::Reset))));
        assert_eq!(events.pop(), None);
    }

    #[test]
    fn an_owner_who_never_looks_leaves_no_queue_behind() {
        let mut events = Events::default();
        let readable = Happenings { readable: true, ..Happenings::default() };
        let held = ConnId { slot: 0, generation: 0 };
        events.add(held, readable, None);
        let mut longest = 0;
        for generation in 1..10_000 {
            let conn = ConnId { slot: 1, generation };
            events.add(conn, readable, None);
            events.forget(conn);
            longest = longest.max(events.queue.len());
        }
        assert!(longest <= 2 * (SWEEP_AT_LEAST + 2), "{longest}");
        assert_eq!(events.pop(), Some(Event::Readable(held)));
        assert_eq!(events.pop(), None);
    }
}
