//! Answers to segments that no connection takes (RFC 9293 §3.10.7.1), and
//! their limit.

use alloc::collections::VecDeque;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use crate::seq::SeqNumber;
use crate::time::Instant;
use crate::wire::{SegmentFlags, SegmentHeader, SegmentOptions};

/// A segment without data, ready to be sent.
#[derive(Debug)]
pub(super) struct StrayReply {
    pub(super) peer: SocketAddr,
    pub(super) local_ip: Option<IpAddr>,
    pub(super) header: SegmentHeader,
}

/// Answers that wait to be sent.
#[derive(Debug)]
pub(super) struct StrayReplies {
    queue: VecDeque<StrayReply>,
    per_second: u32,
    second: Instant,
    given: u32,
}

/// Answers waiting at once: more are not worth their memory.
const MAX_QUEUED: usize = 256;

impl StrayReplies {
    pub(super) fn new(per_second: u32) -> Self {
        Self { queue: VecDeque::new(), per_second, second: Instant::ZERO, given: 0 }
    }

    /// Queues a reply; `false` if the limit forbids it.
    pub(super) fn push(&mut self, now: Instant, reply: StrayReply) -> bool {
        if now.saturating_since(self.second) >= Duration::from_secs(1) {
            self.second = now;
            self.given = 0;
        }
        if self.given >= self.per_second || self.queue.len() >= MAX_QUEUED {
            return false;
        }
        self.given += 1;
        self.queue.push_back(reply);
        true
    }

    pub(super) fn pop(&mut self) -> Option<StrayReply> {
        self.queue.pop_front()
    }
}

/// The reset that answers `segment` with `payload_len` bytes of data when no
/// connection takes it; `None` for a reset (RFC 9293 §3.10.7.1).
pub(super) fn reset_for(segment: &SegmentHeader, payload_len: usize) -> Option<SegmentHeader> {
    if segment.flags.contains(SegmentFlags::RST) {
        return None;
    }
    let (seq, ack, flags) = if segment.flags.contains(SegmentFlags::ACK) {
        (segment.ack, SeqNumber::default(), SegmentFlags::RST)
    } else {
        let data = u32::try_from(payload_len).unwrap_or(u32::MAX);
        let ack = segment.seq.plus(data).plus(segment.flags.sequence_len());
        (SeqNumber::default(), ack, SegmentFlags::RST | SegmentFlags::ACK)
    };
    Some(SegmentHeader {
        src_port: segment.dst_port,
        dst_port: segment.src_port,
        seq,
        ack,
        flags,
        window: 0,
        urgent: 0,
        options: SegmentOptions::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Port;

    fn segment(flags: SegmentFlags) -> SegmentHeader {
        SegmentHeader {
            src_port: Port::new(1).unwrap(),
            dst_port: Port::new(2).unwrap(),
            seq: SeqNumber::new(u32::MAX),
            ack: SeqNumber::new(77),
            flags,
            window: 9,
            urgent: 0,
            options: SegmentOptions::default(),
        }
    }

    #[test]
    fn resets_take_their_numbers_from_what_they_answer() {
        let reset = reset_for(&segment(SegmentFlags::ACK), 10).unwrap();
        assert_eq!((reset.seq.get(), reset.flags), (77, SegmentFlags::RST));
        assert_eq!((reset.src_port.get(), reset.dst_port.get()), (2, 1));
        let reset = reset_for(&segment(SegmentFlags::SYN | SegmentFlags::FIN), 10).unwrap();
        assert_eq!((reset.seq.get(), reset.ack.get()), (0, 11));
        assert_eq!(reset.flags, SegmentFlags::RST | SegmentFlags::ACK);
        assert_eq!(reset_for(&segment(SegmentFlags::RST), 0), None);
    }

    #[test]
    fn replies_are_limited_for_each_second() {
        let mut replies = StrayReplies::new(3);
        let push = |replies: &mut StrayReplies, millis| {
            let reply = StrayReply {
                peer: SocketAddr::from(([10, 0, 0, 1], 9)),
                local_ip: None,
                header: segment(SegmentFlags::RST),
            };
            replies.push(Instant::from_millis(millis), reply)
        };
        let given = (0..10).filter(|_| push(&mut replies, 5_000)).count();
        assert_eq!(given, 3);
        assert!(!push(&mut replies, 5_999));
        assert!(push(&mut replies, 6_000));
    }
}
