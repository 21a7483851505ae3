//! Where an endpoint keeps its connections.

use alloc::boxed::Box;

use slab::Slab;

use crate::conn::{Connection, State};
use crate::id::{ConnId, PeerId, Port};
use crate::time::Instant;

use super::arrivals::Received;
use super::demux::Key;

/// A connection and what the endpoint keeps beside it.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) conn: Box<Connection>,
    pub(super) peer: PeerId,
    pub(super) peer_port: Port,
    pub(super) local_port: Port,
    pub(super) stage: Stage,
    /// The connection has its key in the demultiplexer. When it enters
    /// TIME-WAIT the key passes to what remains of it.
    pub(super) is_keyed: bool,
    /// The connection stands in the ready queue.
    pub(super) is_ready: bool,
    /// The connection stands in the queue of events.
    pub(super) is_announced: bool,
    /// Its path was opened by this side, which keeps it open while any of its
    /// connections is established.
    pub(super) keeps_path: bool,
    /// It is one of those that may speak for the path.
    pub(super) is_speaker: bool,
    /// When it wants to be called, as it was when it was last settled.
    pub(super) deadline: Instant,
    /// What its buffers are charged for, of the memory that all share.
    pub(super) charged: u64,
    /// What it has received lately, of the room that all share.
    pub(super) received: Received,
    generation: u32,
}

/// Whose the connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// A listener's, to be accepted.
    Queued,
    /// The user's.
    User,
    /// Nobody's any more: its handle names nothing.
    Orphan,
}

impl Slot {
    /// The handle of the connection, which is in `slot`.
    pub(super) fn id(&self, slot: u32) -> ConnId {
        ConnId { slot, generation: self.generation }
    }

    fn is_named_by(&self, id: ConnId) -> bool {
        self.generation == id.generation && self.stage != Stage::Orphan
    }

    /// Something has happened that the user does not know, and will not learn from
    /// the queue of events.
    pub(super) fn has_news(&self) -> bool {
        !self.is_announced && self.stage == Stage::User && self.conn.has_happenings()
    }

    /// Whether the table of names and the paths may have to hear of the connection.
    pub(super) fn has_new_standing(&self) -> bool {
        let is_closing = matches!(self.conn.state(), State::Closed | State::TimeWait);
        is_closing || (self.keeps_path && self.can_speak() != self.is_speaker)
    }

    /// The connection can keep its path open.
    pub(super) fn can_speak(&self) -> bool {
        self.is_keyed && self.conn.state().is_synchronized()
    }

    pub(super) fn key(&self) -> Key {
        Key { peer: self.peer, peer_port: self.peer_port, local_port: self.local_port }
    }
}

/// The connections.
#[derive(Debug, Default)]
pub(super) struct Slots {
    slab: Slab<Slot>,
    generation: u32,
}

impl Slots {
    pub(super) fn insert(
        &mut self,
        conn: Box<Connection>,
        key: Key,
        stage: Stage,
        keeps_path: bool,
    ) -> ConnId {
        self.generation = self.generation.wrapping_add(1);
        let generation = self.generation;
        let slot = self.slab.insert(Slot {
            conn,
            peer: key.peer,
            peer_port: key.peer_port,
            local_port: key.local_port,
            stage,
            is_keyed: true,
            is_ready: false,
            is_announced: false,
            keeps_path,
            is_speaker: false,
            deadline: Instant::NEVER,
            charged: 0,
            received: Received::default(),
            generation,
        });
        ConnId { slot: u32::try_from(slot).unwrap_or(u32::MAX), generation }
    }

    pub(super) fn get(&self, slot: u32) -> Option<&Slot> {
        self.slab.get(slot as usize)
    }

    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut Slot> {
        self.slab.get_mut(slot as usize)
    }

    /// The handle of the connection in `slot`.
    pub(super) fn id(&self, slot: u32) -> Option<ConnId> {
        self.get(slot).map(|entry| entry.id(slot))
    }

    /// The user's connection that `id` names.
    pub(super) fn find(&self, id: ConnId) -> Option<&Slot> {
        self.get(id.slot).filter(|slot| slot.is_named_by(id))
    }

    pub(super) fn find_mut(&mut self, id: ConnId) -> Option<&mut Slot> {
        self.get_mut(id.slot).filter(|slot| slot.is_named_by(id))
    }

    pub(super) fn remove(&mut self, slot: u32) -> Option<Slot> {
        self.slab.try_remove(slot as usize)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Slot> {
        self.slab.iter().map(|(_, slot)| slot)
    }

    pub(super) fn len(&self) -> usize {
        self.slab.len()
    }
}
