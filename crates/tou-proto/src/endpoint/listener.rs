//! Listeners: a port, a backlog, the connections waiting in it, and how many
//! handshakes may become such.

use alloc::collections::VecDeque;
use alloc::sync::Arc;

use slab::Slab;

use crate::config::ConnectionConfig;
use crate::error::ListenError;
use crate::id::{ConnId, ListenerId, Port};
use crate::secret::Secret;

use super::table::Table;

/// The listeners of an endpoint.
#[derive(Debug)]
pub(super) struct Listeners {
    slab: Slab<Listener>,
    by_port: Table<PortKey, u32>,
    generation: u32,
}

/// One listener (RFC 9293's LISTEN).
#[derive(Debug)]
pub(super) struct Listener {
    port: Port,
    generation: u32,
    backlog: usize,
    pub(super) config: Arc<ConnectionConfig>,
    /// Handshakes of this listener in the SYN cache.
    half_open: usize,
    /// Established ones, in order.
    ready: VecDeque<ConnId>,
    /// The owner was told, and has not yet found the queue empty.
    is_told: bool,
}

#[derive(Debug, PartialEq, Eq)]
struct PortKey(Port);

impl core::hash::Hash for PortKey {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        state.write(&self.0.get().to_be_bytes());
    }
}

impl Listeners {
    pub(super) fn new(secret: &Secret) -> Self {
        Self { slab: Slab::new(), by_port: Table::new(secret), generation: 0 }
    }

    pub(super) fn open(
        &mut self,
        port: Port,
        backlog: usize,
        config: Arc<ConnectionConfig>,
    ) -> Result<ListenerId, ListenError> {
        if self.by_port.contains(&PortKey(port)) {
            return Err(ListenError::InUse);
        }
        self.generation = self.generation.wrapping_add(1);
        let generation = self.generation;
        let backlog = backlog.max(1);
        let ready = VecDeque::new();
        let slot = self.slab.insert(Listener {
            port,
            generation,
            backlog,
            config,
            half_open: 0,
            ready,
            is_told: false,
        });
        let slot = u32::try_from(slot).unwrap_or(u32::MAX);
        self.by_port.insert(PortKey(port), slot);
        Ok(ListenerId { slot, generation })
    }

    /// Removes a listener; returns the connections that nobody accepted.
    pub(super) fn close(&mut self, id: ListenerId) -> VecDeque<ConnId> {
        if self.get_mut(id).is_none() {
            return VecDeque::new();
        }
        let listener = self.slab.remove(id.slot as usize);
        self.by_port.remove(&PortKey(listener.port));
        listener.ready
    }

    /// Who listens on `port`.
    pub(super) fn find(&self, port: Port) -> Option<ListenerId> {
        let slot = *self.by_port.get(&PortKey(port))?;
        let generation = self.slab.get(slot as usize)?.generation;
        Some(ListenerId { slot, generation })
    }

    pub(super) fn get(&self, id: ListenerId) -> Option<&Listener> {
        let listener = self.slab.get(id.slot as usize)?;
        (listener.generation == id.generation).then_some(listener)
    }

    pub(super) fn get_mut(&mut self, id: ListenerId) -> Option<&mut Listener> {
        let listener = self.slab.get_mut(id.slot as usize)?;
        (listener.generation == id.generation).then_some(listener)
    }
}

impl Listener {
    /// Whether another handshake may be remembered.
    pub(super) fn has_room(&self) -> bool {
        self.half_open < self.backlog
    }

    /// Whether as many connections wait to be accepted as may.
    pub(super) fn is_full(&self) -> bool {
        self.ready.len() >= self.backlog
    }

    /// Connections being opened, and waiting to be accepted.
    pub(super) fn backlog(&self) -> (usize, usize) {
        (self.half_open, self.ready.len())
    }

    /// A handshake is remembered.
    pub(super) fn on_begun(&mut self) {
        self.half_open += 1;
    }

    /// A handshake that was remembered has ended.
    pub(super) fn on_ended(&mut self) {
        self.half_open = self.half_open.saturating_sub(1);
    }

    /// A connection is established. Returns whether the owner is to be told.
    pub(super) fn on_established(&mut self, conn: ConnId) -> bool {
        self.ready.push_back(conn);
        !core::mem::replace(&mut self.is_told, true)
    }

    /// The next connection to accept.
    pub(super) fn accept(&mut self) -> Option<ConnId> {
        let next = self.ready.pop_front();
        self.is_told &= next.is_some();
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owner_is_told_again_after_it_found_nothing_to_accept() {
        let mut listeners = Listeners::new(&Secret::new(&[0; 32]));
        let config = ConnectionConfig::builder().build().unwrap();
        let id = listeners.open(Port::new(7).unwrap(), 9, config).unwrap();
        let listener = listeners.get_mut(id).unwrap();
        let conn = |slot| ConnId { slot, generation: 1 };
        assert!(listener.on_established(conn(1)));
        assert!(!listener.on_established(conn(2)));
        assert_eq!(listener.accept(), Some(conn(1)));
        assert_eq!(listener.accept(), Some(conn(2)));
        assert!(!listener.on_established(conn(3)), "it has not looked to the end");
        assert_eq!(listener.accept(), Some(conn(3)));
        assert_eq!(listener.accept(), None);
        assert!(listener.on_established(conn(4)));
    }
}
