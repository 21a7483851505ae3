//! Runs the body of the `segment` target over the committed corpus and over
//! mutations of it.
#![allow(clippy::unwrap_used, reason = "a panic is a failed test")]

use std::fs;
use std::path::{Path, PathBuf};

use tou_proto::wire::{
    Checksum, SackBlock, SegmentFlags, SegmentHeader, SegmentOptions, Timestamps,
};
use tou_proto::{Port, SeqNumber};

/// Mutations a run tries for each seed.
const MUTATIONS: usize = 500;

#[test]
fn committed_corpus_holds_no_surprise() {
    let mut files = 0;
    for entry in fs::read_dir(corpus()).unwrap() {
        tou_fuzz::segment(&fs::read(entry.unwrap().path()).unwrap());
        files += 1;
    }
    assert!(files >= seeds().len());
}

#[test]
fn mutated_seeds_hold_no_surprise() {
    let mut random = XorShift(0x9E37_79B9_7F4A_7C15);
    for (_, seed) in seeds() {
        for _ in 0..MUTATIONS {
            tou_fuzz::segment(&mutated(&seed, &mut random));
        }
    }
}

#[test]
fn corpus_has_the_seeds_as_written_below() {
    for (name, octets) in seeds() {
        let committed = fs::read(corpus().join(name)).unwrap_or_default();
        assert_eq!(committed, octets, "{name}: see write_seeds");
    }
}

#[test]
fn seeds_take_every_way_through_the_parser() {
    for (name, octets) in seeds() {
        let parsed = SegmentHeader::parse(&octets, Checksum::Carrier);
        assert_eq!(parsed.is_err(), name.starts_with("refused"), "{name}");
        let malformed = parsed.is_ok_and(|parsed| parsed.options_malformed);
        assert_eq!(malformed, name.starts_with("malformed"), "{name}");
    }
}

/// Writes the seeds to the corpus: `cargo test -p tou-fuzz -- --ignored`.
#[test]
#[ignore = "writes into the source tree"]
fn write_seeds() {
    for (name, octets) in seeds() {
        fs::write(corpus().join(name), octets).unwrap();
    }
}

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/segment")
}

/// Datagrams of real shapes, and one of every kind that is refused or
/// malformed.
fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let stamps = Some(Timestamps { tsval: 0x0001_E240, tsecr: 0x0001_E0FF });
    let none = SegmentOptions::default;
    let syn_options = SegmentOptions {
        mss: Some(1452),
        window_scale: Some(7),
        sack_permitted: true,
        timestamps: stamps,
        ..none()
    };
    let ack = SegmentFlags::ACK;
    let syn = SegmentFlags::SYN;
    let ecn = SegmentFlags::ECE | SegmentFlags::CWR;
    let sack = |count| (0..count).map(block).collect();
    let bare = emitted(ack, none(), b"");
    vec![
        ("syn", emitted(syn, syn_options.clone(), b"")),
        ("syn_ecn", emitted(syn | ecn, syn_options.clone(), b"")),
        ("syn_ack", emitted(syn | ack, syn_options.clone(), b"")),
        ("syn_mss_only", emitted(syn, SegmentOptions { mss: Some(536), ..none() }, b"")),
        (
            "syn_without_timestamps",
            emitted(syn, SegmentOptions { timestamps: None, ..syn_options.clone() }, b""),
        ),
        ("ack", bare.clone()),
        (
            "data_timestamps",
            emitted(
                SegmentFlags::PSH | ack,
                SegmentOptions { timestamps: stamps, ..none() },
                b"GET / HTTP/1.0\r\n\r\n",
            ),
        ),
        (
            "sack_3_timestamps",
            emitted(ack, SegmentOptions { timestamps: stamps, sack: sack(3), ..none() }, b""),
        ),
        ("sack_4", emitted(ack, SegmentOptions { sack: sack(4), ..none() }, b"")),
        ("fin", emitted(SegmentFlags::FIN | ack, none(), b"bye")),
        ("rst", emitted(SegmentFlags::RST, none(), b"")),
        ("urgent", emitted(SegmentFlags::URG | ack, none(), b"!")),
        ("unknown_options", with_list(&[253, 4, 1, 2, 34, 6, 1, 2, 3, 4, 1, 0], b"")),
        ("duplicate_options", with_list(&[2, 4, 1, 2, 2, 4, 3, 4, 3, 3, 1, 3, 3, 14, 1, 0], b"")),
        (
            "sack_packed_too_tight_to_align",
            with_list(&[&[3, 3, 7, 4, 2, 5, 34][..], &[9; 32], &[0]].concat(), b""),
        ),
        ("malformed_length_0", with_list(&[2, 4, 5, 172, 253, 0, 1, 1], b"")),
        ("malformed_length_1", with_list(&[3, 3, 7, 253, 1, 1, 1, 1], b"")),
        ("malformed_no_length", with_list(&[1, 1, 1, 8], b"")),
        ("malformed_past_the_end", with_list(&[1, 1, 8, 10, 0, 0, 0, 0], b"data")),
        ("malformed_mss", with_list(&[2, 3, 5, 0], b"")),
        ("malformed_window_scale", with_list(&[3, 4, 7, 7], b"")),
        ("malformed_sack_permitted", with_list(&[4, 3, 0, 0], b"")),
        ("malformed_sack_empty", with_list(&[1, 1, 5, 2], b"")),
        ("malformed_sack_half_a_block", with_list(&[1, 1, 5, 6, 0, 0, 0, 1], b"")),
        ("malformed_timestamps", with_list(&[8, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], b"")),
        ("refused_empty", Vec::new()),
        ("refused_too_short", bare[..19].to_vec()),
        ("refused_offset_inside_the_header", changed(&bare, 12, 0x40)),
        ("refused_offset_past_the_end", changed(&bare, 12, 0xF0)),
        ("refused_port_zero", changed(&changed(&bare, 0, 0), 1, 0)),
    ]
}

fn block(index: u32) -> SackBlock {
    let left = SeqNumber::new(0x7000_0000).plus(index * 2880);
    SackBlock { left, right: left.plus(1440) }
}

fn emitted(flags: SegmentFlags, options: SegmentOptions, data: &[u8]) -> Vec<u8> {
    let header = SegmentHeader {
        src_port: Port::new(49152).unwrap(),
        dst_port: Port::new(5000).unwrap(),
        seq: SeqNumber::new(0x1234_5678),
        ack: SeqNumber::new(0x6FFF_FFF0),
        flags,
        window: 502,
        urgent: u16::from(flags.contains(SegmentFlags::URG)),
        options,
    };
    let mut octets = vec![0; header.encoded_len()];
    octets.extend_from_slice(data);
    header.emit(Checksum::Carrier, &mut octets);
    octets
}

/// A segment whose option list is `list` to the letter.
fn with_list(list: &[u8], data: &[u8]) -> Vec<u8> {
    assert!(list.len().is_multiple_of(4) && list.len() <= 40);
    let mut octets = emitted(SegmentFlags::ACK, SegmentOptions::default(), b"");
    octets.extend_from_slice(list);
    octets[12] = u8::try_from(octets.len() << 2).unwrap();
    octets.extend_from_slice(data);
    octets
}

fn changed(octets: &[u8], at: usize, octet: u8) -> Vec<u8> {
    let mut changed = octets.to_vec();
    changed[at] = octet;
    changed
}

/// `seed` with one to eight octets set, bits flipped, octets cut off or added.
fn mutated(seed: &[u8], random: &mut XorShift) -> Vec<u8> {
    let mut octets = seed.to_vec();
    for _ in 0..=random.below(8) {
        let at = random.below(octets.len().max(1));
        let octet = random.next().to_be_bytes()[0];
        match (random.below(8), octets.get_mut(at)) {
            (0..=2, Some(place)) => *place = octet,
            (3..=4, Some(place)) => *place ^= 1 << (octet % 8),
            // Small numbers are what kinds and lengths are made of.
            (5, Some(place)) => *place = octet % 12,
            (6, _) => octets.truncate(at),
            _ => octets.insert(at, octet),
        }
    }
    octets
}

/// A xorshift generator: the same mutations on every run.
struct XorShift(u64);

impl XorShift {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }
}
