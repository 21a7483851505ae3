//! Answers to segments that no connection takes (RFC 9293 §3.10.7.1), and
//! their limit.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use crate::secret::{Purpose, Secret};
use crate::seq::SeqNumber;
use crate::time::Instant;
use crate::wire::{SegmentFlags, SegmentHeader, SegmentOptions};

use super::path::addr_bytes;

/// A segment without data, ready to be sent.
#[derive(Debug)]
pub(super) struct StrayReply {
    pub(super) peer: SocketAddr,
    pub(super) local_ip: Option<IpAddr>,
    pub(super) header: SegmentHeader,
}

/// Answers that wait to be sent, and how many more may be given.
///
/// A limit that everybody shares and can foresee tells an attacker who counts
/// his own answers whether somebody else got one, and so whether a connection
/// exists (CVE-2016-5696). So each source has a limit of its own, and the shared
/// one above it changes every second in a way that nobody foresees.
#[derive(Debug)]
pub(super) struct StrayReplies {
    queue: VecDeque<StrayReply>,
    secret: Secret,
    per_second: u32,
    second: Instant,
    /// How many may still be given in this second, to all and to each source;
    /// sources whose hashes meet share a limit.
    left: u32,
    left_to: Box<[u32; SOURCES]>,
}

/// Answers waiting at once: more are not worth their memory.
const MAX_QUEUED: usize = 256;
const SOURCES: usize = 256;

/// What part of the shared limit one source may use up.
const SHARE_OF_ONE: u32 = 10;

impl StrayReplies {
    pub(super) fn new(per_second: u32, secret: &Secret) -> Self {
        let mut replies = Self {
            queue: VecDeque::new(),
            secret: secret.clone(),
            per_second,
            second: Instant::ZERO,
            left: 0,
            left_to: Box::new([0; SOURCES]),
        };
        replies.begin_second(Instant::ZERO);
        replies
    }

    fn begin_second(&mut self, now: Instant) {
        self.second = now;
        let draw = self.secret.prf(Purpose::StrayLimit, &now.as_nanos().to_be_bytes());
        let half = self.per_second / 2;
        self.left = self.per_second - u32::try_from(draw % (u64::from(half) + 1)).unwrap_or(0);
        let share = self.per_second.div_ceil(SHARE_OF_ONE);
        let less = u32::try_from((draw >> 32) % (u64::from(share / 2) + 1)).unwrap_or(0);
        self.left_to.fill(share - less);
    }

    /// Queues a reply; `false` if a limit forbids it.
    pub(super) fn push(&mut self, now: Instant, reply: StrayReply) -> bool {
        if now.saturating_since(self.second) >= Duration::from_secs(1) {
            self.begin_second(now);
        }
        // Which sources share a limit changes too, so that nobody can find out.
        let mut source = [0; 24];
        let (ip, second) = source.split_at_mut(16);
        ip.copy_from_slice(&addr_bytes(reply.peer.ip()));
        second.copy_from_slice(&self.second.as_nanos().to_be_bytes());
        let source = self.secret.prf(Purpose::StrayLimit, &source);
        let source = usize::try_from(source % SOURCES as u64).unwrap_or(0);
        let Some(left_to) = self.left_to.get_mut(source) else { return false };
        if *left_to == 0 || self.left == 0 || self.queue.len() >= MAX_QUEUED {
            return false;
        }
        *left_to -= 1;
        self.left -= 1;
        self.queue.push_back(reply);
        true
    }

    /// Queues an answer that is owed to what remains of a connection, which has
    /// a limit of its own.
    pub(super) fn push_owed(&mut self, reply: StrayReply) {
        if self.queue.len() < 2 * MAX_QUEUED {
            self.queue.push_back(reply);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
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

    fn push(replies: &mut StrayReplies, millis: u64, host: u8) -> bool {
        let peer = SocketAddr::from(([10, 0, 0, host], 9));
        let header = segment(SegmentFlags::RST);
        let pushed =
            replies.push(Instant::from_millis(millis), StrayReply { peer, local_ip: None, header });
        replies.pop();
        pushed
    }

    #[test]
    fn a_source_gets_its_share_in_each_second() {
        let mut replies = StrayReplies::new(100, &Secret::new(&[0; 32]));
        let given = (0..50).filter(|_| push(&mut replies, 5_000, 1)).count();
        assert!((5..=10).contains(&given), "{given}");
        assert!(push(&mut replies, 5_000, 2), "another has its own");
        assert!(!push(&mut replies, 5_999, 1));
        assert!(push(&mut replies, 6_000, 1));
    }

    #[test]
    fn all_together_get_half_to_all_of_the_limit_and_nobody_knows_how_much() {
        let mut replies = StrayReplies::new(100, &Secret::new(&[0; 32]));
        let mut in_second = |second: u64| {
            (0..=255).filter(|host| push(&mut replies, second * 1_000, *host)).count()
        };
        let totals: Vec<usize> = (1..20).map(&mut in_second).collect();
        assert!(totals.iter().all(|total| (50..=100).contains(total)), "{totals:?}");
        assert!(totals.windows(2).any(|pair| pair[0] != pair[1]), "{totals:?}");
    }
}
