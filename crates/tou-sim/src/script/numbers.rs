//! From the small numbers that a test writes to those on the wire, and back.
//!
//! [`Numbers`] learns the endpoint's initial sequence number and timestamp
//! from what it sends. It must not know what is expected, or when.

use core::time::Duration;

use bytes::{Bytes, BytesMut};
use tou_proto::wire::{
    Checksum, SackBlock, SegmentFlags, SegmentHeader, SegmentOptions, Timestamps, UserTimeout,
};
use tou_proto::{Port, SeqNumber};

use super::seg::{Relative, Seg};

/// Where both sides' numbers begin.
#[derive(Debug)]
pub(super) struct Numbers {
    pub(super) peer_isn: SeqNumber,
    pub(super) local_isn: Option<SeqNumber>,
    /// The first timestamp value that the endpoint showed, and the last.
    pub(super) first_tsval: Option<u32>,
    last_tsval: u32,
    /// What the peer's SYN said its clock showed, less the milliseconds then.
    peer_clock: u32,
}

/// What a segment to inject needs beside what it says itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) src_port: Port,
    pub(super) dst_port: Port,
    pub(super) now_ms: u32,
    /// A segment that says nothing of timestamps carries them.
    pub(super) stamped: bool,
}

impl Numbers {
    pub(super) fn new(peer_isn: SeqNumber) -> Self {
        Self { peer_isn, local_isn: None, first_tsval: None, last_tsval: 0, peer_clock: 0 }
    }

    /// Learns from a segment that the endpoint sent.
    pub(super) fn learn(&mut self, header: &SegmentHeader) {
        if header.flags.contains(SegmentFlags::SYN) {
            self.local_isn.get_or_insert(header.seq);
        }
        if let Some(stamps) = header.options.timestamps {
            self.first_tsval.get_or_insert(stamps.tsval);
            self.last_tsval = stamps.tsval;
        }
    }

    /// The octets of a segment to inject.
    pub(super) fn encode(&mut self, seg: &Seg, frame: &Frame) -> Bytes {
        let local_isn = self.local_isn.unwrap_or_default();
        let seq = seg.seq.unwrap_or(0);
        let block = |(left, right): &(u32, u32)| SackBlock {
            left: local_isn.plus(*left),
            right: local_isn.plus(*right),
        };
        let header = SegmentHeader {
            src_port: frame.src_port,
            dst_port: frame.dst_port,
            seq: if seg.seq_is_absolute { SeqNumber::new(seq) } else { self.peer_isn.plus(seq) },
            ack: seg.ack.map_or(SeqNumber::default(), |ack| local_isn.plus(ack)),
            flags: seg.flags,
            window: seg.window.unwrap_or(u16::MAX),
            urgent: seg.urgent,
            options: SegmentOptions {
                mss: seg.mss,
                window_scale: seg.window_scale,
                sack_permitted: seg.sack_permitted.unwrap_or(false),
                timestamps: self.stamps(seg, frame),
                user_timeout: seg
                    .user_timeout
                    .map(|seconds| UserTimeout::new(Duration::from_secs(seconds))),
                sack: seg.sack.iter().flatten().map(block).collect(),
            },
        };
        let mut datagram = BytesMut::zeroed(header.encoded_len());
        datagram.extend_from_slice(&seg.octets());
        header.emit(Checksum::Carrier, &mut datagram);
        datagram.freeze()
    }

    /// The timestamps option of a segment to inject. A SYN sets the peer's
    /// clock, and echoes nothing.
    fn stamps(&mut self, seg: &Seg, frame: &Frame) -> Option<Timestamps> {
        let is_syn = seg.flags.contains(SegmentFlags::SYN);
        if let (true, Some((Some(val), _))) = (is_syn, seg.timestamps) {
            self.peer_clock = val.wrapping_sub(frame.now_ms);
        }
        let peer_now = self.peer_clock.wrapping_add(frame.now_ms);
        let echoes = seg.flags != SegmentFlags::SYN;
        match seg.timestamps {
            Some((val, ecr)) => Some(Timestamps {
                tsval: val.unwrap_or(peer_now),
                tsecr: if echoes { self.first_tsval.unwrap_or(0).wrapping_add(ecr) } else { ecr },
            }),
            None if frame.stamped && !seg.without.timestamps => {
                Some(Timestamps { tsval: peer_now, tsecr: self.last_tsval })
            }
            None => None,
        }
    }

    /// What the endpoint sent, in relative numbers. What it acknowledges is the
    /// peer's; without ACK there is nothing to make relative.
    pub(super) fn relative<'a>(
        &self,
        header: &'a SegmentHeader,
        payload: &'a [u8],
    ) -> Relative<'a> {
        let mine =
            |seq: SeqNumber| seq.get().wrapping_sub(self.local_isn.unwrap_or_default().get());
        let theirs = |seq: SeqNumber| seq.get().wrapping_sub(self.peer_isn.get());
        let has_ack = header.flags.contains(SegmentFlags::ACK);
        let blocks = header.options.sack.iter();
        Relative {
            header,
            payload,
            seq: mine(header.seq),
            ack: if has_ack { theirs(header.ack) } else { header.ack.get() },
            sack: blocks.map(|block| (theirs(block.left), theirs(block.right))).collect(),
            timestamps: header.options.timestamps.map(|stamps| Timestamps {
                tsval: stamps.tsval.wrapping_sub(self.first_tsval.unwrap_or(0)),
                tsecr: stamps.tsecr,
            }),
        }
    }
}
