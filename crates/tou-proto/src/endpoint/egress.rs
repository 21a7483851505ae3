//! Who sends next: answers to strays and SYNs first, then the connections that
//! have something, a batch each in turn.

use crate::id::ConnId;
use crate::machine::{Ecn, Transmit, TransmitBuf};
use crate::time::Instant;

use super::Endpoint;

/// A line shorter than this is not worth sweeping.
const SWEEP_AT_LEAST: usize = 32;

impl Endpoint {
    /// The connection, which is not in the line, goes to its end.
    pub(super) fn stand_in_line(&mut self, id: ConnId) {
        // Connections come and go also while nothing can be sent.
        if self.ready.len() > 2 * (self.slots.len() + SWEEP_AT_LEAST) {
            let slots = &self.slots;
            self.ready.retain(|id| slots.id(id.slot) == Some(*id));
        }
        self.ready.push_back(id);
    }

    /// Fills `buf` with the next batch.
    pub(super) fn next_batch(&mut self, now: Instant, buf: &mut TransmitBuf) -> Option<Transmit> {
        if let Some(reply) = self.strays.pop().or_else(|| self.next_syn_ack(now)) {
            buf.clear();
            let len = reply.header.encoded_len();
            let checksum = self.config.fields.checksum;
            reply.header.emit(checksum, buf.push(len));
            return Some(Transmit {
                peer: reply.peer,
                local_ip: reply.local_ip,
                ecn: Ecn::NotEct,
                stride: buf.data().len(),
                segments: 1,
            });
        }
        while let Some(id) = self.ready.pop_front() {
            let slot = id.slot;
            let Some(entry) = self.slots.get_mut(slot).filter(|entry| entry.id(slot) == id) else {
                continue;
            };
            entry.is_ready = false;
            entry.conn.set_free_memory(self.memory.free());
            let path = self.paths.in_slot(entry.peer.slot);
            let transmit = entry.conn.poll_transmit(now, buf).zip(path).map(|(filled, path)| {
                path.sent_at = now;
                Transmit {
                    peer: path.addr,
                    local_ip: path.local_ip,
                    ecn: Ecn::NotEct,
                    stride: filled.stride,
                    segments: filled.segments,
                }
            });
            // Whoever has more goes to the end of the line; whoever has said its
            // last word is gone, and perhaps its path.
            self.settle(now, slot);
            if transmit.is_some() {
                return transmit;
            }
        }
        None
    }
}
