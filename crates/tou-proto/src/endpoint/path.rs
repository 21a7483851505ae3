//! The path table: what belongs to the way to a peer rather than to one
//! connection. One entry for each UDP address that a connection, or what
//! remains of one, uses.

use core::hash::{Hash, Hasher};
use core::net::{IpAddr, SocketAddr};

use slab::Slab;

use crate::id::PeerId;
use crate::secret::Secret;
use crate::time::Instant;

use super::table::Table;

/// The paths of an endpoint.
#[derive(Debug)]
pub(super) struct Paths {
    slab: Slab<Path>,
    by_addr: Table<AddrKey, u32>,
    generation: u32,
}

/// One path.
#[derive(Debug)]
pub(super) struct Path {
    pub(super) addr: SocketAddr,
    /// The local address that the peer sends to, and that answers come from.
    pub(super) local_ip: Option<IpAddr>,
    generation: u32,
    /// How many connections and remains use the path.
    users: u32,
    /// How many of them are connections.
    connections: u32,
    /// This side connected first: it keeps the path open (`path_keepalive`).
    is_opened_here: bool,
    /// When a connection last sent something.
    pub(super) sent_at: Instant,
}

/// A UDP address as a key: explicit bytes, the same on every machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct AddrKey(SocketAddr);

impl Hash for AddrKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let mut octets = [0; 18];
        octets[..16].copy_from_slice(&addr_bytes(self.0.ip()));
        octets[16..].copy_from_slice(&self.0.port().to_be_bytes());
        state.write(&octets);
    }
}

/// An address in 16 bytes; an IPv4 address as IPv6 maps it.
pub(super) fn addr_bytes(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

impl Paths {
    pub(super) fn new(secret: &Secret) -> Self {
        Self { slab: Slab::new(), by_addr: Table::new(secret), generation: 0 }
    }

    /// The path to `addr`, if it is in use.
    pub(super) fn find(&self, addr: SocketAddr) -> Option<PeerId> {
        let slot = *self.by_addr.get(&AddrKey(addr))?;
        let generation = self.slab.get(slot as usize)?.generation;
        Some(PeerId { slot, generation })
    }

    /// Another user of the path to `addr`.
    pub(super) fn join(&mut self, addr: SocketAddr, local_ip: Option<IpAddr>) -> PeerId {
        if let Some(peer) = self.find(addr)
            && let Some(path) = self.slab.get_mut(peer.slot as usize)
        {
            path.users = path.users.saturating_add(1);
            return peer;
        }
        self.generation = self.generation.wrapping_add(1);
        let generation = self.generation;
        let slot = self.slab.insert(Path {
            addr,
            local_ip,
            generation,
            users: 1,
            connections: 0,
            is_opened_here: false,
            sent_at: Instant::ZERO,
        });
        let slot = u32::try_from(slot).unwrap_or(u32::MAX);
        self.by_addr.insert(AddrKey(addr), slot);
        PeerId { slot, generation }
    }

    /// One user less; the last one takes the path along.
    pub(super) fn leave(&mut self, peer: PeerId) {
        let Some(path) = self.slab.get_mut(peer.slot as usize) else { return };
        path.users = path.users.saturating_sub(1);
        if path.users == 0 {
            let addr = path.addr;
            self.slab.remove(peer.slot as usize);
            self.by_addr.remove(&AddrKey(addr));
        }
    }

    pub(super) fn get(&self, peer: PeerId) -> Option<&Path> {
        self.slab.get(peer.slot as usize)
    }

    /// The path in a slot.
    pub(super) fn in_slot(&mut self, slot: u32) -> Option<&mut Path> {
        self.slab.get_mut(slot as usize)
    }

    /// A user of the path is a connection, opened by this side or by the peer.
    /// Returns whether the path was opened by this side: by the first of the
    /// connections there are.
    pub(super) fn begin_connection(&mut self, peer: PeerId, is_active: bool) -> bool {
        let Some(path) = self.slab.get_mut(peer.slot as usize) else { return false };
        if path.connections == 0 {
            path.is_opened_here = is_active;
        }
        path.connections = path.connections.saturating_add(1);
        path.is_opened_here
    }

    /// A user of the path is no connection any more.
    pub(super) fn end_connection(&mut self, peer: PeerId) {
        if let Some(path) = self.slab.get_mut(peer.slot as usize) {
            path.connections = path.connections.saturating_sub(1);
        }
    }

    /// The peer was heard from: answers go out from the address it wrote to.
    pub(super) fn on_heard(&mut self, peer: PeerId, local_ip: Option<IpAddr>) {
        if let (Some(path), Some(_)) = (self.slab.get_mut(peer.slot as usize), local_ip) {
            path.local_ip = local_ip;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_lives_as_long_as_it_has_users() {
        let mut paths = Paths::new(&Secret::new(&[0; 32]));
        let addr = SocketAddr::from(([10, 0, 0, 1], 9));
        let first = paths.join(addr, None);
        assert_eq!(paths.join(addr, None), first);
        paths.leave(first);
        assert_eq!(paths.find(addr), Some(first));
        paths.leave(first);
        assert_eq!(paths.find(addr), None);
        assert_ne!(paths.join(addr, None), first, "a new path is not the old one");
    }

    #[test]
    fn a_path_is_opened_by_the_first_of_its_connections() {
        let mut paths = Paths::new(&Secret::new(&[0; 32]));
        let path = paths.join(SocketAddr::from(([10, 0, 0, 1], 9)), None);
        assert!(paths.begin_connection(path, true));
        assert!(paths.begin_connection(path, false));
        paths.end_connection(path);
        assert!(paths.begin_connection(path, false), "one of them still is");
        paths.end_connection(path);
        paths.end_connection(path);
        assert!(!paths.begin_connection(path, false));
        assert!(!paths.begin_connection(path, true));
    }
}
