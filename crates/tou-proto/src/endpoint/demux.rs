//! Whose is this segment? A connection is (peer, peer's TCP port, local TCP
//! port); the peer is a UDP address.

use core::hash::{Hash, Hasher};
use core::net::IpAddr;

use crate::id::{PeerId, Port};
use crate::secret::Secret;

use super::isn::names;
use super::table::Table;

/// What names a connection on an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) peer: PeerId,
    pub(super) peer_port: Port,
    pub(super) local_port: Port,
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let mut octets = [0; 8];
        octets[..4].copy_from_slice(&self.peer.slot.to_be_bytes());
        octets[4..6].copy_from_slice(&self.peer_port.get().to_be_bytes());
        octets[6..].copy_from_slice(&self.local_port.get().to_be_bytes());
        state.write(&octets);
    }
}

/// The same without the UDP port: what TCP itself would call the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InnerTuple {
    pub(super) ip: IpAddr,
    pub(super) peer_port: Port,
    pub(super) local_port: Port,
}

impl Hash for InnerTuple {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&names(self.ip, self.peer_port, self.local_port));
    }
}

/// Who has a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// The connection in this slot.
    Connection(u32),
    /// The handshake in this slot of the SYN cache.
    HalfOpen(u32),
    /// What remains of one, in this slot of the TIME-WAIT store.
    TimeWait(u32),
}

/// The table.
#[derive(Debug)]
pub(super) struct Demux {
    targets: Table<Key, Target>,
    /// How many keys share an inner tuple: peers behind one address translator
    /// may.
    inner: Table<InnerTuple, u32>,
}

impl Demux {
    pub(super) fn new(secret: &Secret) -> Self {
        Self { targets: Table::new(secret), inner: Table::new(secret) }
    }

    pub(super) fn find(&self, key: &Key) -> Option<Target> {
        self.targets.get(key).copied()
    }

    /// Enters a target; a key that is there already changes hands.
    pub(super) fn insert(&mut self, key: Key, ip: IpAddr, target: Target) {
        if self.targets.insert(key, target).is_none() {
            let inner = inner_tuple(&key, ip);
            let count = self.inner.get(&inner).copied().unwrap_or(0);
            self.inner.insert(inner, count.saturating_add(1));
        }
    }

    pub(super) fn remove(&mut self, key: &Key, ip: IpAddr) {
        if self.targets.remove(key).is_none() {
            return;
        }
        let inner = inner_tuple(key, ip);
        if let Some(count) = self.inner.get_mut(&inner) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.inner.remove(&inner);
            }
        }
    }

    /// Whether a connection with this inner tuple is there, whatever its UDP
    /// port.
    pub(super) fn has_inner(&self, inner: &InnerTuple) -> bool {
        self.inner.contains(inner)
    }
}

fn inner_tuple(key: &Key, ip: IpAddr) -> InnerTuple {
    InnerTuple { ip, peer_port: key.peer_port, local_port: key.local_port }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inner_tuple_is_live_while_any_udp_port_has_it() {
        let mut demux = Demux::new(&Secret::new(&[0; 32]));
        let port = |number| Port::new(number).unwrap();
        let ip = IpAddr::from([10, 0, 0, 1]);
        let key = |slot| Key {
            peer: PeerId { slot, generation: 0 },
            peer_port: port(1),
            local_port: port(2),
        };
        let inner = InnerTuple { ip, peer_port: port(1), local_port: port(2) };
        demux.insert(key(0), ip, Target::Connection(0));
        demux.insert(key(1), ip, Target::Connection(1));
        demux.insert(key(1), ip, Target::TimeWait(7));
        assert_eq!(demux.find(&key(1)), Some(Target::TimeWait(7)));
        demux.remove(&key(0), ip);
        assert!(demux.has_inner(&inner));
        demux.remove(&key(1), ip);
        assert!(!demux.has_inner(&inner));
    }
}
