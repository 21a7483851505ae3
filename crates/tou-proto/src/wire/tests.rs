//! The whole room: headers out and in again, hostile octets, golden layouts.

use alloc::vec;
use alloc::vec::Vec;

use quickcheck::{Arbitrary, Gen, quickcheck};

use core::time::Duration;

use super::*;
use crate::id::Port;
use crate::seq::SeqNumber;

/// Any header at all, sensible or not.
#[derive(Clone, Debug)]
struct AnyHeader(SegmentHeader);

/// Any options at all, sensible or not.
#[derive(Clone, Debug)]
struct AnyOptions(SegmentOptions);

/// An option list that is mostly well formed, and often just not.
#[derive(Clone, Debug)]
struct OptionList(Vec<u8>);

impl Arbitrary for AnyHeader {
    fn arbitrary(g: &mut Gen) -> Self {
        let port = |g: &mut Gen| Port::from(core::num::NonZeroU16::arbitrary(g));
        Self(SegmentHeader {
            src_port: port(g),
            dst_port: port(g),
            seq: SeqNumber::new(Arbitrary::arbitrary(g)),
            ack: SeqNumber::new(Arbitrary::arbitrary(g)),
            flags: SegmentFlags::from_bits(Arbitrary::arbitrary(g)),
            window: Arbitrary::arbitrary(g),
            urgent: Arbitrary::arbitrary(g),
            options: AnyOptions::arbitrary(g).0,
        })
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
        let header = self.0.clone();
        let options = AnyOptions(self.0.options.clone()).shrink();
        Box::new(
            options
                .map(move |options| Self(SegmentHeader { options: options.0, ..header.clone() })),
        )
    }
}

impl Arbitrary for AnyOptions {
    fn arbitrary(g: &mut Gen) -> Self {
        let blocks = *g.choose(&[0, 0, 1, 2, 3, 4, 5]).unwrap();
        let block = |_| SackBlock {
            left: SeqNumber::new(Arbitrary::arbitrary(g)),
            right: SeqNumber::new(Arbitrary::arbitrary(g)),
        };
        let sack = (0..blocks).map(block).collect();
        let timestamps = Option::<(u32, u32)>::arbitrary(g);
        Self(SegmentOptions {
            mss: Arbitrary::arbitrary(g),
            window_scale: Arbitrary::arbitrary(g),
            sack_permitted: Arbitrary::arbitrary(g),
            timestamps: timestamps.map(|(tsval, tsecr)| Timestamps { tsval, tsecr }),
            user_timeout: Option::<u32>::arbitrary(g)
                .map(|seconds| UserTimeout::new(Duration::from_secs(u64::from(seconds)))),
            sack,
        })
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
        let all = &self.0;
        let fewer = all.sack.iter().copied().skip(1).collect();
        let smaller = [
            SegmentOptions { mss: None, ..all.clone() },
            SegmentOptions { window_scale: None, ..all.clone() },
            SegmentOptions { sack_permitted: false, ..all.clone() },
            SegmentOptions { timestamps: None, ..all.clone() },
            SegmentOptions { user_timeout: None, ..all.clone() },
            SegmentOptions { sack: fewer, ..all.clone() },
        ];
        let all = all.clone();
        Box::new(smaller.into_iter().filter(move |options| *options != all).map(Self))
    }
}

impl Arbitrary for OptionList {
    fn arbitrary(g: &mut Gen) -> Self {
        let mut list = Vec::new();
        while list.len() < 40 && u8::arbitrary(g) % 8 != 0 {
            let (kind, right_len): (u8, u8) = *g
                .choose(&[
                    (0, 1),
                    (1, 1),
                    (1, 1),
                    (2, 4),
                    (3, 3),
                    (4, 2),
                    (5, 10),
                    (5, 18),
                    (5, 34),
                ])
                .filter(|_| bool::arbitrary(g))
                .unwrap_or(g.choose(&[(8, 10), (8, 10), (28, 4), (34, 6), (253, 2)]).unwrap());
            list.push(kind);
            if kind > 1 {
                let wrong = u8::arbitrary(g);
                let len = if wrong % 16 == 0 { wrong / 16 } else { right_len };
                list.push(len);
                list.extend((2..len).map(|_| u8::arbitrary(g)));
            }
        }
        list.truncate(40);
        Self(list)
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
        Box::new(self.0.shrink().map(Self))
    }
}

/// The same header with the SACK blocks that there is room for.
fn as_sent(header: &SegmentHeader) -> SegmentHeader {
    let mut sent = header.clone();
    let room = sent.options.max_sack_blocks();
    sent.options.sack = sent.options.sack.iter().copied().take(room).collect();
    sent
}

/// `header` and `data` as a datagram.
fn datagram(header: &SegmentHeader, data: &[u8], checksum: Checksum) -> Vec<u8> {
    let mut segment = vec![0xAA; header.encoded_len()];
    segment.extend_from_slice(data);
    assert_eq!(header.emit(checksum, &mut segment), header.encoded_len());
    segment
}

fn parse(datagram: &[u8]) -> Result<ParsedHeader, ParseError> {
    SegmentHeader::parse(datagram, Checksum::Carrier)
}

fn read(list: &[u8]) -> (SegmentOptions, bool) {
    let mut options = SegmentOptions::default();
    let malformed = options.read(list);
    if let Some(timestamps) = SegmentOptions::read_timestamps(list) {
        assert_eq!((&timestamps, false), (&options, malformed), "the short way leads there too");
    }
    (options, malformed)
}

/// Reads an option list the plain way: by index, one kind after the other.
fn naive_options(list: &[u8]) -> (SegmentOptions, bool) {
    let word = |at: usize| u32::from_be_bytes([list[at], list[at + 1], list[at + 2], list[at + 3]]);
    let mut options = SegmentOptions::default();
    let mut at = 0;
    while at < list.len() && list[at] != 0 {
        if list[at] == 1 {
            at += 1;
            continue;
        }
        if at + 1 >= list.len() || list[at + 1] < 2 || at + usize::from(list[at + 1]) > list.len() {
            return (options, true);
        }
        let len = usize::from(list[at + 1]);
        match (list[at], len) {
            (2, 4) => options.mss = Some(u16::from(list[at + 2]) << 8 | u16::from(list[at + 3])),
            (3, 3) => options.window_scale = Some(list[at + 2]),
            (4, 2) => options.sack_permitted = true,
            (5, 10 | 18 | 26 | 34) => {
                options.sack = SackBlocks::new();
                for block in (at + 2..at + len).step_by(8) {
                    let (left, right) = (word(block), word(block + 4));
                    let (left, right) = (SeqNumber::new(left), SeqNumber::new(right));
                    options.sack.push(SackBlock { left, right });
                }
            }
            (8, 10) => {
                options.timestamps = Some(Timestamps { tsval: word(at + 2), tsecr: word(at + 6) });
            }
            (28, 4) => {
                let value = u16::from(list[at + 2]) << 8 | u16::from(list[at + 3]);
                options.user_timeout = Some(UserTimeout(value));
            }
            (2..=5 | 8 | 28, _) => return (options, true),
            _ => {}
        }
        at += len;
    }
    (options, false)
}

quickcheck! {
    fn what_is_emitted_parses_back_equal(header: AnyHeader, data: Vec<u8>, segment: bool) -> bool {
        let AnyHeader(header) = header;
        let checksum = if segment { Checksum::Segment } else { Checksum::Carrier };
        let octets = datagram(&header, &data, checksum);
        let parsed = SegmentHeader::parse(&octets, checksum).unwrap();
        parsed.header == as_sent(&header)
            && !parsed.options_malformed
            && parsed.data_offset == header.encoded_len()
            && octets[parsed.data_offset..] == data
    }

    fn encoded_len_is_what_emit_writes(header: AnyHeader) -> bool {
        let AnyHeader(header) = header;
        let len = header.encoded_len();
        let mut octets = vec![0xAA; 80];
        let written = header.emit(Checksum::Carrier, &mut octets);
        let beyond_is_untouched = octets[len..].iter().all(|octet| *octet == 0xAA);
        let option_len = header.options.encoded_len();
        written == len
            && beyond_is_untouched
            && len == 20 + option_len
            && option_len <= 40
            && option_len % 4 == 0
            && len >> 2 == usize::from(octets[12] >> 4)
    }

    fn too_short_a_buffer_is_left_untouched(header: AnyHeader, short_by: usize) -> bool {
        let AnyHeader(header) = header;
        let len = header.encoded_len();
        let mut octets = vec![0xAA; len - 1 - short_by % len];
        header.emit(Checksum::Segment, &mut octets) == 0
            && octets.iter().all(|octet| *octet == 0xAA)
    }

    fn parse_takes_any_octets(octets: Vec<u8>) -> bool {
        let _ = SegmentHeader::parse(&octets, Checksum::Segment);
        parse(&octets).is_ok_and(|parsed| parsed.data_offset <= octets.len())
            || parse(&octets).is_err()
    }

    fn options_agree_with_the_naive_parser(list: OptionList) -> bool {
        read(&list.0) == naive_options(&list.0)
    }

    fn arbitrary_option_octets_agree_with_the_naive_parser(list: Vec<u8>) -> bool {
        let list = &list[..list.len().min(40)];
        read(list) == naive_options(list)
    }

    fn whatever_parses_re_emits_and_parses_equal(header: AnyHeader, list: OptionList) -> bool {
        let AnyHeader(mut header) = header;
        header.options = SegmentOptions::default();
        let mut octets = datagram(&header, &[], Checksum::Carrier);
        octets.extend(list.0);
        octets.resize(octets.len().next_multiple_of(4), 0);
        octets[12] = (octets.len() << 2) as u8;
        let first = parse(&octets).unwrap().header;
        let again = datagram(&first, &[], Checksum::Carrier);
        let second = parse(&again).unwrap();
        second.header == as_sent(&first)
            && !second.options_malformed
            && datagram(&second.header, &[], Checksum::Carrier) == again
    }

    fn truncated_datagram_errs_or_keeps_its_header(header: AnyHeader, data: Vec<u8>) -> bool {
        let AnyHeader(header) = header;
        let octets = datagram(&header, &data, Checksum::Carrier);
        let whole = parse(&octets);
        (0..octets.len()).all(|len| match parse(&octets[..len]) {
            Err(ParseError::TooShort) => len < 20,
            Err(error) => error == ParseError::BadDataOffset && len < header.encoded_len(),
            parsed => parsed == whole && len >= header.encoded_len(),
        })
    }

    fn every_flipped_bit_fails_the_checksum(header: AnyHeader, data: Vec<u8>) -> bool {
        let mut octets = datagram(&header.0, &data, Checksum::Segment);
        (0..octets.len() * 8).all(|bit| {
            octets[bit / 8] ^= 1 << (bit % 8);
            let parsed = SegmentHeader::parse(&octets, Checksum::Segment);
            octets[bit / 8] ^= 1 << (bit % 8);
            parsed == Err(ParseError::BadChecksum)
        })
    }
}

fn bare_header() -> SegmentHeader {
    SegmentHeader {
        src_port: Port::new(0xC000).unwrap(),
        dst_port: Port::new(0x1388).unwrap(),
        seq: SeqNumber::new(0x0102_0304),
        ack: SeqNumber::new(0x0506_0708),
        flags: SegmentFlags::ACK,
        window: 0x090A,
        urgent: 0x0B0C,
        options: SegmentOptions::default(),
    }
}

fn sack(count: u32) -> SackBlocks {
    let block = |n| SackBlock { left: SeqNumber::new(2 * n), right: SeqNumber::new(2 * n + 1) };
    (1..=count).map(block).collect()
}

const STAMPS: Option<Timestamps> = Some(Timestamps { tsval: 0x1112_1314, tsecr: 0x2122_2324 });

#[test]
fn fixed_part_is_laid_out_as_in_the_rfc() {
    #[rustfmt::skip]
    let golden = [
        0xC0, 0x00, 0x13, 0x88, 1, 2, 3, 4, 5, 6, 7, 8,
        0x50, 0x10, 0x09, 0x0A, 0, 0, 0x0B, 0x0C,
    ];
    assert_eq!(datagram(&bare_header(), &[], Checksum::Carrier), golden);
}

#[test]
fn syn_options_are_laid_out_as_kernels_do() {
    let all = SegmentOptions {
        mss: Some(1452),
        window_scale: Some(7),
        sack_permitted: true,
        timestamps: STAMPS,
        ..SegmentOptions::default()
    };
    let stamps = [8, 10, 0x11, 0x12, 0x13, 0x14, 0x21, 0x22, 0x23, 0x24];
    let list = [&[2, 4, 0x05, 0xAC, 4, 2][..], &stamps, &[1, 3, 3, 7]].concat();
    assert_eq!(emitted(&all), list);
    let without_permission = SegmentOptions { sack_permitted: false, ..all.clone() };
    let list = [&[2, 4, 0x05, 0xAC, 1, 1][..], &stamps, &[1, 3, 3, 7]].concat();
    assert_eq!(emitted(&without_permission), list);
    let without_stamps = SegmentOptions { timestamps: None, ..all };
    assert_eq!(emitted(&without_stamps), [2, 4, 0x05, 0xAC, 1, 1, 4, 2, 1, 3, 3, 7]);
}

#[test]
fn data_options_are_laid_out_as_kernels_do() {
    let stamps = SegmentOptions { timestamps: STAMPS, ..SegmentOptions::default() };
    let list = [1, 1, 8, 10, 0x11, 0x12, 0x13, 0x14, 0x21, 0x22, 0x23, 0x24];
    assert_eq!(emitted(&stamps), list);
    assert_eq!(stamps.encoded_len(), Timestamps::ENCODED_LEN);
    let stamps_and_sack = SegmentOptions { sack: sack(1), ..stamps };
    let list = [&list[..], &[1, 1, 5, 10, 0, 0, 0, 2, 0, 0, 0, 3]].concat();
    assert_eq!(emitted(&stamps_and_sack), list);
}

fn emitted(options: &SegmentOptions) -> Vec<u8> {
    let header = SegmentHeader { options: options.clone(), ..bare_header() };
    datagram(&header, &[], Checksum::Carrier).split_off(20)
}

#[test]
fn sack_blocks_without_room_are_left_out() {
    let four = SegmentOptions { sack: sack(4), ..SegmentOptions::default() };
    assert_eq!((four.max_sack_blocks(), four.encoded_len()), (4, 36));
    let stamps = SegmentOptions { timestamps: STAMPS, ..four };
    assert_eq!((stamps.max_sack_blocks(), stamps.encoded_len()), (3, 40));
    let syn = SegmentOptions { mss: Some(0), window_scale: Some(0), ..stamps };
    assert_eq!((syn.max_sack_blocks(), syn.encoded_len()), (2, 40));
    let (kept, malformed) = read(&emitted(&syn));
    assert_eq!((&kept.sack, malformed), (&sack(2), false));
}

#[test]
fn fifth_sack_block_is_left_out() {
    let mut blocks = sack(5);
    assert_eq!(blocks, sack(4));
    blocks.push(SackBlock::default());
    blocks.extend(sack(1).iter().copied());
    assert_eq!(blocks, sack(4));
}

#[test]
fn malformed_option_ends_the_list_and_keeps_what_came_before() {
    let mss = SegmentOptions { mss: Some(1452), ..SegmentOptions::default() };
    let part_of_a_block = [&[5, 13][..], &[0; 11]].concat();
    for bad in [
        &[253, 0][..],
        &[253, 1],
        &[2, 3, 0],
        &[3, 2],
        &[4, 3, 0],
        &[5, 2],
        &[5, 9, 0, 0, 0, 0, 0, 0, 0],
        &part_of_a_block,
        &[8, 8, 0, 0, 0, 0, 0, 0],
    ] {
        let list = [&[2, 4, 0x05, 0xAC][..], bad, &[3, 3, 7]].concat();
        assert_eq!(read(&list), (mss.clone(), true), "{bad:?}");
    }
    for without_end in [&[253][..], &[253, 3], &[8, 10, 0, 0, 0, 0, 0, 0, 0]] {
        let list = [&[2, 4, 0x05, 0xAC], without_end].concat();
        assert_eq!(read(&list), (mss.clone(), true), "{without_end:?}");
    }
}

#[test]
fn nothing_behind_the_end_of_the_list_counts() {
    assert_eq!(read(&[1, 0, 2, 4, 5, 6, 9, 0]), Default::default());
}

#[test]
fn last_of_an_option_that_comes_twice_holds() {
    let twice = [2, 4, 0, 1, 2, 4, 0, 2, 3, 3, 1, 3, 3, 20];
    let (options, malformed) = read(&twice);
    assert_eq!((options.mss, options.window_scale, malformed), (Some(2), Some(20), false));
    let two_then_one = SegmentOptions { sack: sack(2), ..SegmentOptions::default() };
    let one = SegmentOptions { sack: sack(1), ..SegmentOptions::default() };
    let list = [emitted(&two_then_one), emitted(&one)].concat();
    assert_eq!(read(&list), (one, false));
}

#[test]
fn unknown_option_is_skipped() {
    let (options, malformed) = read(&[253, 4, 2, 2, 254, 2, 3, 3, 9]);
    assert_eq!((options.window_scale, options.mss, malformed), (Some(9), None, false));
}

#[test]
fn malformed_option_is_reported_and_the_segment_kept() {
    let mut octets = datagram(&bare_header(), &[2, 9, 0, 0, b'x'], Checksum::Carrier);
    octets[12] = 0x60;
    let parsed = parse(&octets).unwrap();
    assert_eq!((parsed.header, parsed.data_offset), (bare_header(), 24));
    assert!(parsed.options_malformed);
}

#[test]
fn reserved_bits_and_carried_checksum_are_not_looked_at() {
    let mut octets = datagram(&bare_header(), &[], Checksum::Carrier);
    let clean = parse(&octets);
    octets[12] |= 0x0F;
    octets[16..18].fill(0xEE);
    assert_eq!(parse(&octets), clean);
}

#[test]
fn impossible_headers_are_refused() {
    let octets = datagram(&bare_header(), b"data", Checksum::Carrier);
    let with = |at: usize, octet: u8| {
        let mut changed = octets.clone();
        changed[at] = octet;
        parse(&changed).map(|parsed| parsed.data_offset)
    };
    assert_eq!(parse(&octets[..19]), Err(ParseError::TooShort));
    assert_eq!(with(12, 0x4F), Err(ParseError::BadDataOffset));
    assert_eq!(with(12, 0x70), Err(ParseError::BadDataOffset));
    assert_eq!(with(12, 0x60), Ok(24));
    assert_eq!(with(0, 0), Err(ParseError::PortZero));
    let mut no_destination = octets.clone();
    no_destination[2..4].fill(0);
    assert_eq!(parse(&no_destination), Err(ParseError::PortZero));
    assert_eq!(
        SegmentHeader::parse(&octets, Checksum::Segment),
        Err(ParseError::BadChecksum),
        "a zero checksum does not pass for none"
    );
}

#[test]
fn user_timeout_is_in_seconds_or_minutes_and_never_zero() {
    let seconds = |seconds| UserTimeout::new(Duration::from_secs(seconds));
    let emitted = |option| {
        emitted(&SegmentOptions { user_timeout: Some(option), ..SegmentOptions::default() })
    };
    assert_eq!(emitted(seconds(300)), [28, 4, 0x01, 0x2C]);
    assert_eq!(emitted(seconds(32_767)), [28, 4, 0x7F, 0xFF]);
    assert_eq!(emitted(seconds(32_768)), [28, 4, 0x82, 0x23]);
    assert_eq!(seconds(32_768).timeout(), Some(Duration::from_secs(547 * 60)));
    assert_eq!(seconds(u64::MAX).timeout(), Some(Duration::from_secs(32_767 * 60)));
    assert_eq!(seconds(0), seconds(1));
    let rounded_up = UserTimeout::new(Duration::from_millis(1_001));
    assert_eq!(rounded_up.timeout(), Some(Duration::from_secs(2)));
    for zero in [[28, 4, 0, 0], [28, 4, 0x80, 0]] {
        let mut options = SegmentOptions::default();
        assert!(!options.read(&zero));
        assert_eq!(options.user_timeout.unwrap().timeout(), None);
    }
    assert!(SegmentOptions::default().read(&[28, 3, 0, 1]), "a wrong length is malformed");
}

#[test]
fn timestamps_alone_are_known_by_their_first_octets() {
    let timestamps = Timestamps { tsval: 0x0102_0304, tsecr: 0x0506_0708 };
    let mut options = SegmentOptions { timestamps: Some(timestamps), ..SegmentOptions::default() };
    let mut list = [0; 12];
    options.emit(&mut list);
    assert_eq!(list, [1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(SegmentOptions::read_timestamps(&list), Some(options.clone()));
    assert_eq!(read(&list), (options.clone(), false));
    // As long, and not the same.
    options.sack_permitted = true;
    options.emit(&mut list);
    assert_eq!(list[..4], [4, 2, 8, 10]);
    assert_eq!(SegmentOptions::read_timestamps(&list), None);
    assert_eq!(read(&list), (options, false));
}
