//! What is remembered of each flow to show its segments: where its numbers
//! began, and which of ours have been sent before.

use core::net::SocketAddr;
use std::collections::HashMap;

use tou_proto::wire::{SackBlock, SegmentFlags, SegmentHeader};
use tou_proto::{Port, SeqNumber};

/// Flows that are remembered. A program of one connection has few, but answers
/// to strangers count too.
const MAX_FLOWS: usize = 1_024;

/// Whose segment it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    Us,
    Peer,
}

/// The flows seen so far.
#[derive(Debug, Default)]
pub(super) struct Flows {
    /// By peer, our TCP port and the peer's.
    flows: HashMap<(SocketAddr, Port, Port), Flow>,
}

#[derive(Debug, Default)]
struct Flow {
    /// Initial sequence numbers, once a SYN has shown them.
    our_isn: Option<SeqNumber>,
    peer_isn: Option<SeqNumber>,
    /// The first number that we have not sent yet.
    next: Option<SeqNumber>,
}

impl Flows {
    /// The header with numbers counted from where each direction began, as far
    /// as its SYN was seen; SYNs themselves keep theirs, as tcpdump does it.
    pub(super) fn relative(
        &mut self,
        from: From,
        peer: SocketAddr,
        header: &SegmentHeader,
    ) -> SegmentHeader {
        let flow = self.flow(from, peer, header);
        let (own, other) = match from {
            From::Us => (&mut flow.our_isn, flow.peer_isn),
            From::Peer => (&mut flow.peer_isn, flow.our_isn),
        };
        let mut shown = header.clone();
        if header.flags.contains(SegmentFlags::SYN) {
            *own = Some(header.seq);
            return shown;
        }
        let since = |number: SeqNumber, isn: Option<SeqNumber>| {
            isn.map_or(number, |isn| SeqNumber::new(number.get().wrapping_sub(isn.get())))
        };
        shown.seq = since(header.seq, *own);
        shown.ack = since(header.ack, other);
        let block = |block: &SackBlock| SackBlock {
            left: since(block.left, other),
            right: since(block.right, other),
        };
        shown.options.sack = header.options.sack.iter().map(block).collect();
        shown
    }

    /// Whether a segment of ours with `data_len` octets of data was sent before,
    /// in part at least; it counts as sent from now on.
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
        let end = header.seq.plus(occupied);
        let next = self.flow(From::Us, peer, header).next.get_or_insert(header.seq);
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

    fn flow(&mut self, from: From, peer: SocketAddr, header: &SegmentHeader) -> &mut Flow {
        let (local_port, peer_port) = match from {
            From::Us => (header.src_port, header.dst_port),
            From::Peer => (header.dst_port, header.src_port),
        };
        let key = (peer, local_port, peer_port);
        if self.flows.len() >= MAX_FLOWS && !self.flows.contains_key(&key) {
            self.flows.clear();
        }
        self.flows.entry(key).or_default()
    }
}

#[cfg(test)]
mod tests {
    use tou_proto::wire::SegmentOptions;

    use super::*;

    const SYN: SegmentFlags = SegmentFlags::SYN;
    const ACK: SegmentFlags = SegmentFlags::ACK;
    const FIN: SegmentFlags = SegmentFlags::FIN;

    fn peer() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 9))
    }

    /// From port 1 to port 2.
    fn header(flags: SegmentFlags, seq: u32, ack: u32) -> SegmentHeader {
        SegmentHeader {
            src_port: Port::new(1).unwrap(),
            dst_port: Port::new(2).unwrap(),
            seq: SeqNumber::new(seq),
            ack: SeqNumber::new(ack),
            flags,
            window: 0,
            urgent: 0,
            options: SegmentOptions::default(),
        }
    }

    /// From port 2 to port 1.
    fn answer(flags: SegmentFlags, seq: u32, ack: u32) -> SegmentHeader {
        let header = header(flags, seq, ack);
        SegmentHeader { src_port: header.dst_port, dst_port: header.src_port, ..header }
    }

    fn sent(flows: &mut Flows, flags: SegmentFlags, seq: u32, len: usize) -> bool {
        flows.was_sent(peer(), &header(flags, seq, 0), len)
    }

    #[test]
    fn what_was_sent_before_is_sent_again() {
        let mut flows = Flows::default();
        // The numbers wrap on the way.
        let isn = u32::MAX - 100;
        assert!(!sent(&mut flows, SYN, isn, 0));
        assert!(sent(&mut flows, SYN, isn, 0));
        assert!(!sent(&mut flows, ACK, isn + 1, 0), "an acknowledgment occupies nothing");
        assert!(!sent(&mut flows, ACK, isn + 1, 90));
        assert!(!sent(&mut flows, ACK, isn + 91, 90));
        assert!(sent(&mut flows, ACK, isn + 1, 90));
        assert!(sent(&mut flows, ACK, isn + 91, 180), "part of it is new");
        assert!(!sent(&mut flows, FIN, isn.wrapping_add(271), 0));
        assert!(sent(&mut flows, FIN, isn.wrapping_add(271), 0));
        assert!(!sent(&mut flows, SYN, isn.wrapping_add(9_000), 0), "a new connection");
        assert!(!sent(&mut flows, ACK, isn.wrapping_add(9_001), 9));
    }

    #[test]
    fn numbers_are_counted_from_the_syns() {
        let mut flows = Flows::default();
        let mut shown = |from, header: SegmentHeader| {
            let shown = flows.relative(from, peer(), &header);
            (shown.seq.get(), shown.ack.get())
        };
        let (ours, theirs) = (u32::MAX - 4, 7_000);
        assert_eq!(shown(From::Peer, answer(ACK, 50, 60)), (50, 60), "no SYN was seen");
        assert_eq!(shown(From::Us, header(SYN, ours, 0)), (ours, 0));
        assert_eq!(shown(From::Peer, answer(SYN, theirs, ours + 1)), (theirs, ours + 1));
        assert_eq!(shown(From::Us, header(ACK, ours + 1, theirs + 1)), (1, 1));
        assert_eq!(shown(From::Us, header(ACK, 15, theirs + 1)), (20, 1), "beyond the wrap");
        assert_eq!(shown(From::Peer, answer(ACK, theirs + 1, 15)), (1, 20));
        assert_eq!(shown(From::Us, header(SYN, 500, 0)), (500, 0));
        assert_eq!(shown(From::Us, header(ACK, 501, 0)).0, 1, "a new connection");
    }

    #[test]
    fn selective_acknowledgments_count_like_the_cumulative_one() {
        let mut flows = Flows::default();
        flows.relative(From::Us, peer(), &header(SYN, 1_000, 0));
        let mut ack = answer(ACK, 7_001, 1_001);
        let (left, right) = (SeqNumber::new(1_100), SeqNumber::new(1_200));
        ack.options.sack = [SackBlock { left, right }].into_iter().collect();
        let shown = flows.relative(From::Peer, peer(), &ack);
        let blocks: Vec<_> = shown.options.sack.iter().collect();
        assert_eq!((blocks[0].left.get(), blocks[0].right.get()), (100, 200));
    }

    #[test]
    fn strangers_do_not_fill_the_memory() {
        let mut flows = Flows::default();
        for port in 1..=u16::MAX {
            let stranger =
                SegmentHeader { src_port: Port::new(port).unwrap(), ..header(SYN, 1, 0) };
            flows.was_sent(peer(), &stranger, 0);
            flows.relative(From::Peer, peer(), &stranger);
            assert!(flows.flows.len() <= MAX_FLOWS);
        }
    }
}
