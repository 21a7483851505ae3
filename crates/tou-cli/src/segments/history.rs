//! Which sequence numbers have been sent before: what tells a retransmission.

use core::net::SocketAddr;
use std::collections::HashMap;

use tou_proto::wire::{SegmentFlags, SegmentHeader};
use tou_proto::{Port, SeqNumber};

/// Flows that are remembered. A program of one connection has few, but answers
/// to strangers count too.
const MAX_FLOWS: usize = 1_024;

/// Gaps of a flow that are remembered: more than impairment holds back at once.
const MAX_GAPS: usize = 128;

/// What was sent so far, flow by flow.
///
/// It sees datagrams after impairment. One that was held back leaves a gap, and
/// is no retransmission when it comes at last. A copy made by impairment is
/// taken for one: it looks like nothing else.
#[derive(Debug, Default)]
pub(super) struct History {
    flows: HashMap<(SocketAddr, Port, Port), Flow>,
}

#[derive(Debug)]
struct Flow {
    /// The first number that was not sent yet.
    next: SeqNumber,
    /// Numbers before it that were not seen yet, first and length.
    gaps: Vec<(SeqNumber, u32)>,
}

impl History {
    /// Whether a segment with `data_len` octets of data was sent before, in
    /// part at least; it counts as sent from now on.
    pub(super) fn was_sent(
        &mut self,
        peer: SocketAddr,
        header: &SegmentHeader,
        data_len: usize,
    ) -> bool {
        let is_syn = header.flags.contains(SegmentFlags::SYN);
        let is_fin = header.flags.contains(SegmentFlags::FIN);
        #[expect(clippy::cast_possible_truncation, reason = "a datagram is shorter than 64 KiB")]
        let occupied = data_len as u32 + u32::from(is_syn) + u32::from(is_fin);
        if occupied == 0 {
            return false;
        }
        if self.flows.len() >= MAX_FLOWS {
            self.flows.clear();
        }
        let key = (peer, header.src_port, header.dst_port);
        let flow = self.flows.entry(key).or_insert_with(|| Flow::new(header.seq));
        let end = header.seq.plus(occupied);
        if is_syn && end.distance_from(flow.next) != 0 {
            // Another connection between the same ports.
            *flow = Flow::new(header.seq);
        }
        flow.was_sent(header.seq, occupied)
    }
}

impl Flow {
    fn new(first: SeqNumber) -> Self {
        Self { next: first, gaps: Vec::new() }
    }

    fn was_sent(&mut self, first: SeqNumber, len: u32) -> bool {
        let ahead = first.distance_from(self.next);
        if ahead < 0 {
            let overlaps = |&(gap, gap_len): &(SeqNumber, u32)| {
                first.distance_from(gap.plus(gap_len)) < 0 && gap.distance_from(first.plus(len)) < 0
            };
            let Some(index) = self.gaps.iter().position(overlaps) else {
                self.advance(first.plus(len));
                return true;
            };
            self.fill(index, first, first.plus(len));
            return false;
        }
        if ahead > 0 && self.gaps.len() < MAX_GAPS {
            self.gaps.push((self.next, ahead.unsigned_abs()));
        }
        self.advance(first.plus(len));
        false
    }

    fn advance(&mut self, end: SeqNumber) {
        if end.distance_from(self.next) > 0 {
            self.next = end;
        }
    }

    /// Leaves of a gap what is before and after a segment.
    fn fill(&mut self, index: usize, first: SeqNumber, end: SeqNumber) {
        let (gap, len) = self.gaps.swap_remove(index);
        let parts = [(gap, first.distance_from(gap)), (end, gap.plus(len).distance_from(end))];
        let parts = parts.iter().filter(|(_, len)| *len > 0);
        self.gaps.extend(parts.map(|(first, len)| (*first, len.unsigned_abs())));
    }
}

#[cfg(test)]
mod tests {
    use tou_proto::wire::SegmentOptions;

    use super::*;

    fn sent(history: &mut History, flags: SegmentFlags, seq: u32, len: usize) -> bool {
        let header = SegmentHeader {
            src_port: Port::new(1).unwrap(),
            dst_port: Port::new(2).unwrap(),
            seq: SeqNumber::new(seq),
            ack: SeqNumber::new(0),
            flags,
            window: 0,
            urgent: 0,
            options: SegmentOptions::default(),
        };
        history.was_sent(SocketAddr::from(([127, 0, 0, 1], 9)), &header, len)
    }

    #[test]
    fn what_was_sent_before_is_sent_again() {
        const SYN: SegmentFlags = SegmentFlags::SYN;
        const ACK: SegmentFlags = SegmentFlags::ACK;
        const FIN: SegmentFlags = SegmentFlags::FIN;
        let mut history = History::default();
        // The numbers wrap on the way.
        let isn = u32::MAX - 100;
        assert!(!sent(&mut history, SYN, isn, 0));
        assert!(sent(&mut history, SYN, isn, 0));
        assert!(!sent(&mut history, ACK, isn + 1, 0), "an acknowledgment occupies nothing");
        assert!(!sent(&mut history, ACK, isn + 1, 90));
        assert!(!sent(&mut history, ACK, isn + 91, 90));
        assert!(sent(&mut history, ACK, isn + 1, 90));
        assert!(sent(&mut history, ACK, isn + 91, 180), "part of it is new");
        assert!(!sent(&mut history, FIN, isn.wrapping_add(271), 0));
        assert!(sent(&mut history, FIN, isn.wrapping_add(271), 0));
        assert!(!sent(&mut history, SYN, isn.wrapping_add(9_000), 0), "a new connection");
        assert!(!sent(&mut history, ACK, isn.wrapping_add(9_001), 9));
    }

    #[test]
    fn what_was_held_back_is_sent_once() {
        const ACK: SegmentFlags = SegmentFlags::ACK;
        let mut history = History::default();
        // The numbers wrap on the way.
        let first = u32::MAX - 25;
        assert!(!sent(&mut history, SegmentFlags::SYN, first.wrapping_sub(1), 0));
        let at = |number: u32| first.wrapping_add(number);
        assert!(!sent(&mut history, ACK, at(30), 10), "0 to 30 are held back");
        assert!(!sent(&mut history, ACK, at(10), 10));
        assert!(sent(&mut history, ACK, at(10), 10));
        assert!(!sent(&mut history, ACK, at(20), 10));
        assert!(!sent(&mut history, ACK, at(0), 10));
        for again in [0, 10, 20, 30] {
            assert!(sent(&mut history, ACK, at(again), 10));
        }
        assert!(!sent(&mut history, ACK, at(40), 10));
    }

    #[test]
    fn strangers_do_not_fill_the_memory() {
        let mut history = History::default();
        for port in 1..=u16::MAX {
            let header = SegmentHeader {
                src_port: Port::new(port).unwrap(),
                dst_port: Port::new(2).unwrap(),
                seq: SeqNumber::new(1),
                ack: SeqNumber::new(0),
                flags: SegmentFlags::SYN,
                window: 0,
                urgent: 0,
                options: SegmentOptions::default(),
            };
            history.was_sent(SocketAddr::from(([127, 0, 0, 1], 9)), &header, 0);
            assert!(history.flows.len() <= MAX_FLOWS);
        }
    }
}
