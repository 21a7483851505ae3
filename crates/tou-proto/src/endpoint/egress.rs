//! Who sends next: answers to strays and SYNs first, then the connections that
//! have something, a batch each in turn.
//!
//! Short segments of several connections with one peer travel together: a system call,
//! on either side, costs more than what is in them, and who receives from many at once
//! owes each an acknowledgment at once.

use crate::conn::Filled;
use crate::id::{ConnId, PeerId};
use crate::machine::{Ecn, Transmit, TransmitBuf};
use crate::time::Instant;

use super::Endpoint;
use super::reset::StrayReply;

/// Segments up to so long travel with those of other connections: acknowledgments, and
/// requests and answers that are not much longer. With longer ones a batch is filled soon
/// enough, and who has much to send gets a batch for itself.
const SHORT: usize = 256;

/// A line shorter than this is not worth sweeping.
const SWEEP_AT_LEAST: usize = 32;

impl Endpoint {
    /// The connection, which is not in the line, goes to its end.
    pub(super) fn stand_in_line(&mut self, id: ConnId) {
        let Some(entry) = self.slots.get_mut(id.slot) else { return };
        entry.is_ready = true;
        // Connections come and go also while nothing can be sent.
        if self.ready.len() > 2 * (self.slots.len() + SWEEP_AT_LEAST) {
            let slots = &self.slots;
            self.ready.retain(|id| slots.id(id.slot) == Some(*id));
        }
        self.ready.push_back(id);
    }

    /// Whether there may be a next batch: the question that is asked most often.
    pub(super) fn may_have_output(&self) -> bool {
        !self.ready.is_empty() || self.has_replies()
    }

    /// Fills `buf` with the next batch.
    pub(super) fn next_batch(&mut self, now: Instant, buf: &mut TransmitBuf) -> Option<Transmit> {
        if self.has_replies()
            && let Some(reply) = self.strays.pop().or_else(|| self.next_syn_ack(now))
        {
            return Some(self.emit_reply(&reply, buf));
        }
        while let Some(id) = self.ready.pop_front() {
            let slot = id.slot;
            let Some(entry) = self.slots.get_mut(slot).filter(|entry| entry.id(slot) == id) else {
                continue;
            };
            entry.is_ready = false;
            entry.conn.set_free_memory(self.memory.free());
            entry.conn.set_arrival_share(self.arrivals.share(now));
            let peer = entry.peer;
            let path = self.paths.in_slot(peer.slot);
            let filled = entry.conn.poll_transmit(now, buf);
            let may_have_more = filled.is_some_and(|filled| filled.may_have_more);
            let mut transmit = filled.zip(path).map(|(filled, path)| {
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
            self.settle_sender(now, slot, may_have_more);
            if let (Some(transmit), Some(filled)) = (&mut transmit, filled)
                && filled.stride <= SHORT
            {
                transmit.segments = self.let_others_join(now, buf, peer, filled);
            }
            if transmit.is_some() {
                return transmit;
            }
        }
        None
    }

    /// Adds to a batch of short segments for `peer` those of the connections next in line.
    /// Returns how many segments there are then.
    fn let_others_join(
        &mut self,
        now: Instant,
        buf: &mut TransmitBuf,
        peer: PeerId,
        mut filled: Filled,
    ) -> usize {
        while filled.is_open
            && let Some(&id) = self.ready.front()
        {
            let slot = id.slot;
            let Some(entry) = self.slots.get_mut(slot).filter(|entry| entry.id(slot) == id) else {
                self.ready.pop_front();
                continue;
            };
            if entry.peer != peer {
                break;
            }
            entry.conn.set_free_memory(self.memory.free());
            entry.conn.set_arrival_share(self.arrivals.share(now));
            let joined = entry.conn.join_transmit(now, buf, filled);
            if joined.is_none() && entry.conn.wants_transmit(now) {
                // It has something longer, and its turn is next.
                break;
            }
            entry.is_ready = false;
            self.ready.pop_front();
            self.settle_sender(now, slot, joined.is_some_and(|joined| joined.may_have_more));
            filled = joined.unwrap_or(filled);
        }
        filled.segments
    }

    fn has_replies(&self) -> bool {
        !self.strays.is_empty() || self.syn_cache.has_due()
    }

    fn emit_reply(&self, reply: &StrayReply, buf: &mut TransmitBuf) -> Transmit {
        buf.clear();
        let len = reply.header.encoded_len();
        reply.header.emit(self.config.fields.checksum, buf.push(len));
        Transmit {
            peer: reply.peer,
            local_ip: reply.local_ip,
            ecn: Ecn::NotEct,
            stride: buf.data().len(),
            segments: 1,
        }
    }
}
