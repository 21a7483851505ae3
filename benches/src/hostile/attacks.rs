//! What an attacker may send. Each attack makes the endpoint hold something, and then
//! sends one segment after the other.

use bytes::Bytes;
use tou_proto::wire::SegmentFlags;

use super::target::{MSS, Target, encode, port};

/// One attack.
pub(super) struct Attack {
    pub(super) name: &'static str,
    /// Makes the endpoint hold `size` of what the attack is about.
    pub(super) begin: fn(&mut Target, u32),
    /// The segment with this index.
    pub(super) segment: fn(&Target, u32, u32) -> Bytes,
}

fn nothing(_: &mut Target, _: u32) {}

fn outstanding(target: &mut Target, size: u32) {
    target.talk(size);
}

/// So many ranges of one octet out of order.
fn holes(target: &mut Target, size: u32) {
    for index in 0..size {
        let datagram = target.segment(1_000_000 + 2 * index, 1, 0, &[]);
        target.suffer(datagram);
    }
}

/// Every second of the outstanding segments is held.
fn half_held(target: &mut Target, size: u32) {
    target.talk(size);
    for index in 0..size / 2 {
        let datagram = target.segment(0, 0, 0, &[odd(index, size)]);
        target.suffer(datagram);
    }
}

/// One of every second segment, in no order: each once before any comes again.
fn odd(index: u32, size: u32) -> (u32, u32) {
    let half = u64::from((size / 2).max(1));
    // A prime, and so without a common divisor with any smaller number.
    let place = u32::try_from(u64::from(index) * 1_000_003 % half).unwrap_or(0);
    let start = (2 * place + 1) * MSS;
    (start, start + MSS)
}

/// Numbers that look random.
fn scrambled(index: u32) -> u32 {
    let mut value = index.wrapping_add(1).wrapping_mul(0x9E37_79B1);
    value ^= value >> 15;
    value.wrapping_mul(0x85EB_CA6B)
}

pub(super) const ATTACKS: &[Attack] = &[
    Attack {
        name: "none: data in order",
        begin: nothing,
        segment: |target, _, index| target.segment(index * MSS, MSS, 0, &[]),
    },
    Attack {
        name: "none: acknowledgments in order",
        begin: outstanding,
        segment: |target, _, index| target.segment(0, 0, index * MSS, &[]),
    },
    Attack {
        name: "strangers",
        begin: nothing,
        segment: |target, _, index| {
            let mut header = target.header(index, index, &[]);
            header.dst_port = port(999);
            encode(&header, 0)
        },
    },
    Attack {
        name: "resets in the window",
        begin: nothing,
        segment: |target, _, index| {
            let mut header = target.header(1 + index % 60_000, 0, &[]);
            header.flags = SegmentFlags::RST;
            encode(&header, 0)
        },
    },
    Attack {
        name: "numbers all over",
        begin: outstanding,
        segment: |target, _, index| {
            let ahead = (20 << 20) + scrambled(index) % (1 << 31);
            target.segment(ahead, index % 40, scrambled(index + 7), &[])
        },
    },
    Attack {
        name: "forty octets of NOP",
        begin: nothing,
        segment: |target, _, index| {
            let plain = target.segment(index, 1, 0, &[]);
            let mut datagram = [&plain[..20], &[1; 40], &[0]].concat();
            datagram[12] = 15 << 4;
            datagram.into()
        },
    },
    Attack {
        name: "twenty unknown options",
        begin: nothing,
        segment: |target, _, index| {
            let plain = target.segment(index, 1, 0, &[]);
            let mut datagram = [&plain[..20], &[253, 2].repeat(20), &[0]].concat();
            datagram[12] = 15 << 4;
            datagram.into()
        },
    },
    Attack {
        name: "octets in order",
        begin: nothing,
        segment: |target, _, index| target.segment(index, 1, 0, &[]),
    },
    Attack {
        name: "octets out of order, each a range",
        begin: holes,
        segment: |target, size, index| {
            target.segment(1_000_000 + 2 * (size + index % 30_000), 1, 0, &[])
        },
    },
    Attack {
        name: "octets out of order, backwards",
        begin: holes,
        segment: |target, _, index| target.segment(999_999 - 2 * (index % 30_000), 1, 0, &[]),
    },
    Attack {
        name: "octets that fill a hole each",
        begin: holes,
        segment: |target, size, index| {
            let place = u64::from(index) * 1_000_003 % u64::from(size);
            let place = u32::try_from(place).unwrap_or(0);
            target.segment(1_000_001 + 2 * place, 1, 0, &[])
        },
    },
    Attack {
        name: "old data",
        begin: |target, _| {
            let datagram = target.segment(0, MSS, 0, &[]);
            target.suffer(datagram);
        },
        segment: |target, _, _| target.segment(0, MSS, 0, &[]),
    },
    Attack {
        name: "blocks, each new",
        begin: outstanding,
        segment: |target, size, index| target.segment(0, 0, 0, &[odd(index, size)]),
    },
    Attack {
        name: "blocks, nothing new",
        begin: half_held,
        segment: |target, size, index| {
            let blocks = [0, 1, 2].map(|more| odd(index + more, size));
            target.segment(0, 0, 0, &blocks)
        },
    },
    Attack {
        name: "blocks of an octet",
        begin: half_held,
        segment: |target, size, index| {
            let start = odd(index, size).0.wrapping_sub(MSS) + 5;
            target.segment(0, 0, 0, &[(start, start + 1)])
        },
    },
    Attack {
        name: "blocks taken back",
        begin: outstanding,
        segment: |target, size, index| {
            // All is held; no, only the next segment.
            let acked = index.div_ceil(2) * MSS;
            let held = [(acked + MSS, acked + size * MSS)];
            target.segment(0, 0, acked, if index % 2 == 0 { &held } else { &[] })
        },
    },
    Attack {
        name: "duplicates that were none",
        begin: outstanding,
        segment: |target, _, index| {
            let start = 0_u32.wrapping_sub(MSS * (1 + index % 5));
            target.segment(0, 0, 0, &[(start, start.wrapping_add(MSS))])
        },
    },
    Attack {
        name: "repeated acknowledgments",
        begin: outstanding,
        segment: |target, _, _| target.segment(0, 0, 0, &[]),
    },
    Attack {
        name: "acknowledgments in octets",
        begin: outstanding,
        segment: |target, _, index| target.segment(0, 0, index + 1, &[]),
    },
    Attack {
        name: "acknowledgments of the future",
        begin: outstanding,
        segment: |target, size, index| target.segment(0, 0, size * MSS + 1 + index, &[]),
    },
    Attack {
        name: "losses that were none",
        begin: outstanding,
        segment: |target, size, index| {
            // The last three are held, so that all others are lost; no, they are not: the
            // timestamp echoed is from before anything was sent again.
            let acked = index.div_ceil(2) * MSS;
            let tail = [(acked + (size - 3) * MSS, acked + size * MSS)];
            target.segment(0, 0, acked, if index % 2 == 0 { &tail } else { &[] })
        },
    },
    Attack {
        name: "windows that come and go",
        begin: outstanding,
        segment: |target, _, index| {
            let mut header = target.header(0, 0, &[]);
            header.window = [0, u16::MAX, 1, 40][index as usize % 4];
            encode(&header, 0)
        },
    },
];
