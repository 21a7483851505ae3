//! A connection's part of the memory that all connections of an endpoint share.
//!
//! The endpoint says how much is free before each call that may take some, and asks
//! afterwards how much the connection is to be charged. Must not know of other
//! connections.
//!
//! What is charged is what the buffers hold, and what the window that the peer was
//! offered may still bring: data inside it is always taken, so the place to say no is
//! before it is offered. A buffer may grow while it costs less than what is free. So
//! the first to come leave as much as they take (the dynamic threshold of Choudhury
//! and Hahne for packets in a shared memory), and nobody who comes later finds nothing:
//! [`MIN_BUFFER`] in each direction is always there.
//!
//! Octets cost more than themselves: what leads to them and what they arrived in, at
//! most a quarter, and the unused part of the allocation where small pieces are
//! gathered, which is no larger than what is held.

use core::mem;

use crate::buffer::{ReassemblyLimits, Spares};
use crate::config::{ConnectionConfig, ConnectionConfigBuilder, MEMORY_RESERVE, MIN_BUFFER};

use super::Connection;
use super::state::State;

/// The largest allocation in which a buffer gathers small pieces.
const LARGEST_TAIL: u64 = 16 * 1_024;

/// What so many octets cost at most, in whatever pieces they come.
fn cost(octets: u64) -> u64 {
    octets.saturating_add(octets / 4).saturating_add(octets.min(LARGEST_TAIL))
}

/// How many octets cost no more than this, whatever pieces they come in; but what is
/// set aside is always there.
fn affordable(bytes: u64) -> u64 {
    (bytes - bytes / 4).saturating_sub(LARGEST_TAIL).max(MIN_BUFFER)
}

/// The window that the SYN-ACK of a connection offers which does not exist yet, and
/// which it will begin with if as much memory is free then. `shift` is the scale of
/// its windows, but not of this one.
pub(crate) fn first_window(config: &ConnectionConfig, shift: u8, free_memory: u64) -> u16 {
    let recv_buffer = config.fields.recv_buffer;
    let window = recv_buffer.min(affordable(free_memory).max(expressible(shift)));
    u16::try_from(window).unwrap_or(u16::MAX)
}

/// A window that the scale cuts down to nothing would never open.
fn expressible(shift: u8) -> u64 {
    2 << shift
}

/// How much may wait out of order.
pub(super) fn reassembly_limits(fields: &ConnectionConfigBuilder) -> ReassemblyLimits {
    ReassemblyLimits { ranges: fields.max_reassembly_ranges, bytes: fields.max_reassembly_bytes }
}

impl Connection {
    /// This much memory is free, for all connections together.
    pub(crate) fn set_free_memory(&mut self, bytes: u64) {
        self.free_memory = bytes;
    }

    /// Lends the connection `spares` for its next call, or takes them back after it.
    pub(crate) fn swap_spares(&mut self, spares: &mut Spares) {
        mem::swap(&mut self.spares, spares);
    }

    /// As [`set_free_memory`](Self::set_free_memory), for a connection that has not
    /// offered a window yet: its first one is made to fit.
    pub(crate) fn begin_with_memory(&mut self, bytes: u64) {
        self.free_memory = bytes;
        let first = self.rcv.nxt + self.recv_limit();
        self.rcv.edge = self.rcv.edge.min(first).max(self.recv.next());
    }

    /// What the connection takes of the shared memory: all but what is set aside for
    /// each.
    pub(crate) fn charge(&self) -> u64 {
        let recv = self.recv_memory().max(cost(self.promised()));
        (self.send.memory() as u64).saturating_add(recv).saturating_sub(MEMORY_RESERVE)
    }

    /// What the receive buffer may hold now.
    pub(super) fn recv_limit(&self) -> u64 {
        let expressible = expressible(self.negotiated.rcv_shift);
        let limit = self.limit_to_memory(self.autotune.limit());
        self.limit_to_arrivals(limit).max(expressible)
    }

    /// The receive buffer would be larger if there were more memory.
    pub(super) fn is_recv_memory_short(&self) -> bool {
        affordable(self.free_memory) < self.autotune.limit()
    }

    /// The send buffer of `limit` bytes, as the connection would have it, and as memory
    /// allows.
    pub(super) fn limit_to_memory(&self, limit: u64) -> u64 {
        limit.min(affordable(self.free_memory))
    }

    /// Keeps the bookkeeping of what waits out of order, which a peer can make larger
    /// than the data, to what is free.
    pub(super) fn shed_out_of_order(&mut self) {
        let own = cost(self.promised()).max(MEMORY_RESERVE / 2);
        let most = own.saturating_add(self.free_memory);
        if self.recv_memory() > most {
            let most = usize::try_from(most).unwrap_or(usize::MAX);
            self.counters.reassembly_bytes_dropped += self.recv.shed(most);
        }
    }

    /// The last `count` octets received in order turned out to be little of what they
    /// arrived in.
    pub(crate) fn unshare(&mut self, count: u64) {
        self.recv.unshare(count);
    }

    fn recv_memory(&self) -> u64 {
        self.recv.memory() as u64
    }

    /// What may be in the receive buffer once everything has come that was offered.
    fn promised(&self) -> u64 {
        match self.state {
            State::Closed | State::Listen => 0,
            state if state.is_peer_done() => 0,
            _ => self.rcv.edge.since(self.recv.read_pos()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_affordable_costs_no_more_than_there_is() {
        for bytes in [0, 1, 8_191, 8_192, 30_000, 70_000, 1 << 20, 1 << 40, u64::MAX] {
            let octets = affordable(bytes);
            assert!(cost(octets) <= bytes.max(MEMORY_RESERVE / 2), "{bytes}: {octets}");
        }
    }
}
