//! What a segment's data does (RFC 9293 §3.10.7.4, sixth to eighth): urgent
//! mark, text, FIN.

use crate::buffer::Payload;
use crate::error::ConnectionError;
use crate::seq::StreamPos;
use crate::time::Instant;
use crate::wire::SegmentFlags;

use super::Connection;
use super::close::Owner;
use super::input::{Arrival, Disposition};
use super::state::State;

impl Connection {
    /// Moves the urgent mark (RFC 9293 §3.8.5; RFC 6093 §3: it points after the
    /// last urgent byte, and the data stays in line).
    pub(super) fn note_urgent(&mut self, seg: &Arrival<'_>) {
        let up = seg.data_start() + u64::from(seg.header.urgent);
        if up > self.recv.read_pos() && self.rcv.up.is_none_or(|known| known < up) {
            self.rcv.up = Some(up);
            self.interest.on_urgent();
        }
    }

    /// Text and FIN.
    pub(super) fn input_text(&mut self, now: Instant, seg: &Arrival<'_>) -> Disposition {
        let has_fin = seg.has(SegmentFlags::FIN) && !seg.is_cut;
        if !self.state.may_receive() || (seg.payload.is_empty() && !has_fin) {
            return Disposition::Done;
        }
        let (start, end) = (seg.data_start(), seg.data_end());
        if end > self.rcv.nxt && start < end && !self.takes_data() {
            // RFC 9293 §3.6.1, SHLD-3: data after CLOSE is lost, and the peer
            // must know.
            self.fail(ConnectionError::Aborted);
            return Disposition::Reset;
        }
        // Nothing follows a FIN: one that data already here belies is none.
        let is_last = end >= self.recv.highest();
        if has_fin && is_last && end <= self.rcv.edge && self.rcv.fin.is_none() {
            self.rcv.fin = Some(end);
        }
        self.insert(now, start, seg.payload);
        self.process_fin(now);
        if has_fin && !self.state.is_peer_done() {
            // It waits behind a hole: RFC 5681 §4.2.
            self.acks.require();
        }
        Disposition::Done
    }

    /// Data that arrives is read, or discarded, rather than refused.
    fn takes_data(&self) -> bool {
        match self.owner {
            Owner::Held => true,
            Owner::Closed => false,
            Owner::Released => !self.is_fin_acked(),
        }
    }

    /// Takes data that overlaps the window.
    fn insert(&mut self, now: Instant, start: StreamPos, mut payload: Payload<'_>) {
        // Beyond the window, or beyond the FIN, nothing counts.
        let edge = self.rcv.fin.map_or(self.rcv.edge, |fin| fin.min(self.rcv.edge));
        let room = usize::try_from(edge.since(start)).unwrap_or(usize::MAX);
        let beyond = (start + payload.len() as u64).since(self.rcv.edge);
        self.counters.bytes_beyond_window += beyond.min(payload.len() as u64);
        payload.truncate(room);
        if payload.is_empty() {
            return;
        }
        let len = payload.len() as u64;
        let is_plain = start == self.rcv.nxt && self.recv.is_contiguous();
        let duplicate = if is_plain || !self.negotiated.sack {
            None
        } else {
            self.recv.duplicate_part(start..start + len)
        };
        let inserted = self.recv.insert(start, payload, &mut self.spares);
        if inserted.out_of_order > 0 {
            self.shed_out_of_order();
        }
        self.counters.duplicate_bytes_received += inserted.duplicate;
        self.counters.reassembly_bytes_dropped += inserted.evicted;
        if inserted.advanced > 0 {
            self.on_in_order_data(now, inserted.advanced, len);
        }
        if let Some(range) = duplicate {
            self.acks.report_duplicate(range);
        }
        if inserted.advanced == 0 || inserted.filled_gap {
            self.acks.on_disorder();
            self.counters.out_of_order_segments += u64::from(inserted.out_of_order > 0);
            match (inserted.out_of_order > 0, self.negotiated.sack) {
                (false, _) => {}
                (true, true) => self.acks.on_block(start..start + len),
                (true, false) => self.acks.on_segment_without_block(),
            }
        }
    }

    /// RCV.NXT follows the receive buffer.
    pub(super) fn on_in_order_data(&mut self, now: Instant, advanced: u64, segment: u64) {
        self.rcv.nxt = self.recv.next();
        self.counters.bytes_received += advanced;
        // A peer that ignores our MSS does not change what a full segment is.
        self.acks.on_data(advanced, segment.min(u64::from(self.announced_mss)));
        if self.owner == Owner::Held {
            self.interest.on_data();
        } else {
            while let Some(chunk) = self.recv.read_chunk(usize::MAX, &mut self.spares) {
                self.on_user_read(now, chunk.len() as u64);
            }
        }
    }

    /// Processes the peer's FIN once everything before it has arrived (RFC 9293
    /// §3.10.7.4, eighth).
    pub(super) fn process_fin(&mut self, now: Instant) {
        if self.rcv.fin != Some(self.rcv.nxt) || self.state.is_peer_done() {
            return;
        }
        self.rcv.nxt = self.rcv.nxt + 1;
        self.rcv.edge = self.rcv.edge.max(self.rcv.nxt);
        self.acks.require();
        self.interest.on_data();
        self.progress_at = now;
        match self.state {
            State::Established => self.state = State::CloseWait,
            // Were our FIN acknowledged, this would be FIN-WAIT-2.
            State::FinWait1 => self.state = State::Closing,
            State::FinWait2 => self.enter_time_wait(),
            _ => {}
        }
    }
}
