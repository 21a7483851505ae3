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
            let Some(peer) = self.peer_in_line(id) else { continue };
            let Some(path) = self.paths.in_slot(peer.slot) else { continue };
            let (addr, local_ip) = (path.addr, path.local_ip);
            let Some(filled) = self.ask(now, id.slot, buf, None) else { continue };
            // Whoever has said its last word is gone, and perhaps its path.
            if let Some(path) = self.paths.in_slot(peer.slot) {
                path.sent_at = now;
            }
            let Filled { segments, stride, .. } = self.let_others_join(now, peer, buf, filled);
            return Some(Transmit { peer: addr, local_ip, ecn: Ecn::NotEct, stride, segments });
        }
        None
    }

    /// Whose connection stands in the line there, unless it is gone.
    fn peer_in_line(&self, id: ConnId) -> Option<PeerId> {
        let entry = self.slots.get(id.slot)?;
        (entry.id(id.slot) == id).then_some(entry.peer)
    }

    /// Has a connection that was in the line put into `buf` what it has to send, behind what
    /// others have put there. Whoever may have more goes to the end of the line.
    fn ask(
        &mut self,
        now: Instant,
        slot: u32,
        buf: &mut TransmitBuf,
        begun: Option<Filled>,
    ) -> Option<Filled> {
        let entry = self.slots.get_mut(slot)?;
        entry.is_ready = false;
        entry.conn.set_free_memory(self.memory.free());
        entry.conn.set_arrival_share(self.arrivals.share(now));
        let filled = match begun {
            None => entry.conn.poll_transmit(now, buf),
            Some(begun) => entry.conn.join_transmit(now, buf, begun),
        };
        self.settle_sender(now, slot, filled.is_some_and(|filled| filled.may_have_more));
        filled
    }

    /// Adds to a batch of short segments for `peer` those of the connections next in line.
    fn let_others_join(
        &mut self,
        now: Instant,
        peer: PeerId,
        buf: &mut TransmitBuf,
        mut filled: Filled,
    ) -> Filled {
        while filled.is_open
            && filled.stride <= SHORT
            && let Some(&id) = self.ready.front()
        {
            let next = self.peer_in_line(id);
            if next.is_some_and(|next| next != peer) {
                break;
            }
            self.ready.pop_front();
            match next.and_then(|_| self.ask(now, id.slot, buf, Some(filled))) {
                Some(joined) => filled = joined,
                None if self.keep_turn(now, id) => break,
                None => {}
            }
        }
        filled
    }

    /// A connection that could not join, as what it has to send is longer, is the next one
    /// to be asked. False if it has nothing to send.
    fn keep_turn(&mut self, now: Instant, id: ConnId) -> bool {
        let next = self.slots.get_mut(id.slot).filter(|entry| entry.id(id.slot) == id);
        let Some(entry) = next.filter(|entry| entry.conn.wants_transmit(now)) else {
            return false;
        };
        entry.is_ready = true;
        self.ready.push_front(id);
        true
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
