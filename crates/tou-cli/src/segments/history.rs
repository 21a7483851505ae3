//! Which sequence numbers have been sent before: what tells a retransmission.

use core::net::SocketAddr;
use std::collections::HashMap;

use tou_proto::wire::{SegmentFlags, SegmentHeader};
use tou_proto::{Port, SeqNumber};

/// Flows that are remembered. A program of one connection has few, but answers
/// to strangers count too.
const MAX_FLOWS: usize = 1_024;

/// What was sent so far, flow by flow.
#[derive(Debug, Default)]
pub(super) struct History {
    /// The first number that was not sent yet.
    nexts: HashMap<(SocketAddr, Port, Port), SeqNumber>,
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
        if self.nexts.len() >= MAX_FLOWS {
            self.nexts.clear();
        }
        let end = header.seq.plus(occupied);
        let next = self.nexts.entry((peer, header.src_port, header.dst_port)).or_insert(header.seq);
        if is_syn && end.distance_from(*next) != 0 {
            // Another connection between the same ports.
            *next = header.seq;
        }
        let was_sent = header.seq.distance_from(*next) < 0;
        if end.distance_from(*next) > 0 {
            *next = end;
        }
        was_sent
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
            assert!(history.nexts.len() <= MAX_FLOWS);
        }
    }
}
