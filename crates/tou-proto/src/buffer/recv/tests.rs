use alloc::vec;
use alloc::vec::Vec;
use core::ops::{Deref, DerefMut};

use quickcheck::{Arbitrary, Gen, quickcheck};

use super::*;
use crate::buffer::{CHUNK, MIN_TAIL};

/// Just before the numbers on the wire wrap.
const BASE: StreamPos = StreamPos::from_raw((3 << 32) - 3_000);

fn at(offset: usize) -> StreamPos {
    BASE + offset as u64
}

fn span(start: usize, end: usize) -> Range<StreamPos> {
    at(start)..at(end)
}

fn fill(byte: u8, len: usize) -> Bytes {
    Bytes::from(vec![byte; len])
}

/// A buffer and the store that is lent to it.
struct Lent {
    buffer: RecvBuffer,
    spares: Spares,
}

impl Lent {
    fn new(limits: ReassemblyLimits) -> Self {
        Self { buffer: RecvBuffer::new(BASE, limits), spares: Spares::new() }
    }

    fn insert(&mut self, at: StreamPos, data: Payload<'_>) -> Inserted {
        self.buffer.insert(at, data, &mut self.spares)
    }

    /// Inserts something that is no part of anything else.
    #[expect(clippy::needless_pass_by_value, reason = "it is made for that")]
    fn put(&mut self, at: StreamPos, data: Bytes) -> Inserted {
        self.insert(at, (&data).into())
    }

    fn read(&mut self, out: &mut [u8]) -> usize {
        self.buffer.read(out, &mut self.spares)
    }

    fn read_chunk(&mut self, max: usize) -> Option<Bytes> {
        self.buffer.read_chunk(max, &mut self.spares)
    }
}

impl Deref for Lent {
    type Target = RecvBuffer;

    fn deref(&self) -> &RecvBuffer {
        &self.buffer
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut RecvBuffer {
        &mut self.buffer
    }
}

fn ranges(ranges: usize) -> ReassemblyLimits {
    ReassemblyLimits { ranges, bytes: u64::MAX }
}

fn buffer() -> Lent {
    Lent::new(ranges(100))
}

#[derive(Clone, Debug)]
enum Op {
    /// `shift` bytes from `next`.
    Insert {
        shift: i16,
        len: usize,
    },
    Read {
        len: usize,
    },
    ReadChunk {
        max: usize,
    },
    Peek {
        len: usize,
    },
    Discard,
    Drop,
}

impl Arbitrary for Op {
    fn arbitrary(g: &mut Gen) -> Self {
        let len = match u8::arbitrary(g) % 4 {
            0 => usize::arbitrary(g) % 4,
            1 => usize::arbitrary(g) % 300,
            2 => SMALL - 2 + usize::arbitrary(g) % 5,
            _ => 1440,
        };
        match u8::arbitrary(g) {
            0..100 => Self::Insert { shift: 0, len },
            100..180 => Self::Insert { shift: i16::arbitrary(g) % 5_000, len },
            180..210 => Self::Read { len },
            210..235 => Self::ReadChunk { max: len },
            235..250 => Self::Peek { len: 5 * len },
            250..254 => Self::Drop,
            _ => Self::Discard,
        }
    }
}

/// Every byte ever, as it was first held.
#[derive(Default)]
struct Model {
    bytes: Vec<Option<u8>>,
    read: usize,
    next: usize,
}

impl Model {
    fn unread(&self) -> Vec<u8> {
        self.bytes[self.read..self.next].iter().flatten().copied().collect()
    }

    fn out_of_order(&self) -> usize {
        self.bytes[self.next..].iter().flatten().count()
    }

    fn runs(&self) -> Vec<Range<StreamPos>> {
        let held = |offset: &usize| self.bytes[*offset].is_some();
        let mut runs: Vec<Range<StreamPos>> = Vec::new();
        for offset in (self.next..self.bytes.len()).filter(held) {
            match runs.last_mut() {
                Some(run) if run.end == at(offset) => run.end = at(offset + 1),
                _ => runs.push(span(offset, offset + 1)),
            }
        }
        runs
    }

    fn duplicate_part(&self, start: usize, len: usize) -> Option<Range<StreamPos>> {
        let held = |offset: &usize| self.bytes.get(*offset).is_some_and(Option::is_some);
        let first = (start..start + len).find(held)?;
        let end = (first..start + len).find(|offset| !held(offset)).unwrap_or(start + len);
        Some(span(first, end))
    }

    fn insert(&mut self, start: usize, data: &[u8], max_ranges: usize) -> Inserted {
        let mut inserted = Inserted::default();
        let waited = self.out_of_order() > 0;
        self.bytes.resize(self.bytes.len().max(start + data.len()), None);
        let next = self.next;
        let mut fresh = Vec::new();
        for (offset, byte) in (start..).zip(data) {
            match &mut self.bytes[offset] {
                Some(_) => inserted.duplicate += 1,
                free => {
                    *free = Some(*byte);
                    fresh.push(offset);
                }
            }
        }
        while self.bytes.get(self.next).is_some_and(Option::is_some) {
            self.next += 1;
        }
        inserted.advanced = (self.next - next) as u64;
        inserted.out_of_order = fresh.iter().filter(|offset| **offset >= self.next).count() as u64;
        inserted.filled_gap = waited && inserted.advanced > 0;
        while self.runs().len() > max_ranges {
            let run = self.runs().pop().unwrap();
            inserted.evicted += run.end.since(run.start);
            self.bytes[run.start.since(BASE) as usize..run.end.since(BASE) as usize].fill(None);
        }
        inserted
    }

    fn consume(&mut self, len: usize) {
        self.read += len;
    }

    fn drop_out_of_order(&mut self) {
        self.bytes.truncate(self.next);
    }
}

fn apply(buffer: &mut Lent, model: &mut Model, op: &Op, round: usize, max_ranges: usize) {
    match *op {
        Op::Insert { shift, len } => {
            let start = model.next.saturating_add_signed(isize::from(shift));
            let data: Vec<u8> = (0..len).map(|byte| (byte * 7 + round * 13) as u8).collect();
            let part = buffer.duplicate_part(span(start, start + len));
            assert_eq!(part, model.duplicate_part(start, len));
            let inserted = buffer.put(at(start), Bytes::from(data.clone()));
            assert_eq!(inserted, model.insert(start, &data, max_ranges));
            let newest = model.runs().into_iter().find(|run| run.contains(&at(start)));
            if let Some(newest) = newest.filter(|_| len > 0) {
                assert_eq!(buffer.sack_ranges(4).first(), Some(&newest));
                assert_eq!(buffer.block_around(at(start)), Some(newest));
            }
        }
        Op::Read { len } => {
            let mut out = vec![0; len];
            let read = buffer.read(&mut out);
            assert_eq!(read, len.min(model.unread().len()));
            assert_eq!(out[..read], model.unread()[..read]);
            model.consume(read);
        }
        Op::ReadChunk { max } => {
            let chunk = buffer.read_chunk(max).unwrap_or_default();
            assert_eq!(chunk.is_empty(), max == 0 || model.unread().is_empty());
            assert!(chunk.len() <= max);
            assert_eq!(chunk, model.unread()[..chunk.len()]);
            model.consume(chunk.len());
        }
        Op::Peek { len } => {
            let mut out = vec![0; len];
            let read = buffer.peek(&mut out);
            assert_eq!(read, len.min(model.unread().len()));
            assert_eq!(out[..read], model.unread()[..read]);
        }
        Op::Discard => {
            assert_eq!(buffer.discard(), model.unread().len() as u64);
            model.drop_out_of_order();
            model.consume(model.next - model.read);
        }
        Op::Drop => {
            buffer.drop_out_of_order();
            model.drop_out_of_order();
        }
    }
}

fn check(ops: &[Op], max_ranges: usize) -> bool {
    let mut buffer = Lent::new(ranges(max_ranges));
    let mut model = Model::default();
    for (round, op) in ops.iter().enumerate() {
        apply(&mut buffer, &mut model, op, round, max_ranges);
        assert_eq!(buffer.read_pos(), at(model.read));
        assert_eq!(buffer.next(), at(model.next));
        assert_eq!(buffer.unread(), model.unread().len() as u64);
        assert_eq!(buffer.out_of_order(), model.out_of_order() as u64);
        let runs = model.runs();
        assert_eq!(buffer.is_contiguous(), runs.is_empty());
        let mut sacks = buffer.sack_ranges(usize::MAX).into_vec();
        sacks.sort_unstable_by_key(|range| range.start);
        assert_eq!(sacks, runs);
        assert_eq!(buffer.sack_ranges(3).len(), runs.len().min(3));
        let held = model.unread().len() + model.out_of_order();
        let bound = 2 * held + 400 * runs.len() + CHUNK + 2_048;
        assert!(buffer.memory() <= bound, "{} > {bound}", buffer.memory());
    }
    let mut rest = vec![0; model.unread().len() + 1];
    let read = buffer.read(&mut rest);
    rest[..read] == model.unread() && read == model.unread().len()
}

quickcheck! {
    fn it_equals_a_vector_of_options(ops: Vec<Op>) -> bool {
        check(&ops, usize::MAX)
    }

    fn it_equals_a_vector_of_options_with_few_ranges(ops: Vec<Op>) -> bool {
        check(&ops, 2)
    }
}

#[test]
fn payload_in_order_leaves_as_it_came() {
    let mut buffer = buffer();
    let datagram = fill(1, 1_500);
    let inserted = buffer.put(BASE, datagram.slice(60..));
    assert_eq!(inserted, Inserted { advanced: 1_440, ..Inserted::default() });
    let chunk = buffer.read_chunk(usize::MAX).unwrap();
    assert_eq!(chunk.as_ptr(), datagram[60..].as_ptr());
    assert_eq!(buffer.read_chunk(usize::MAX), None);
}

#[test]
fn small_payloads_are_gathered_and_keep_nothing_alive() {
    let mut buffer = buffer();
    let datagram = fill(1, 65_000);
    for part in 0..10_000 {
        buffer.put(at(10 * part), datagram.slice(..10));
    }
    assert!(datagram.is_unique());
    assert!(buffer.runs.len() <= 16, "{} runs", buffer.runs.len());
    assert!(buffer.memory() <= 100_000 + CHUNK + 2_048);
}

#[test]
fn remainders_of_trimmed_segments_are_gathered_too() {
    let mut buffer = buffer();
    let datagram = fill(1, 1_440);
    for shift in 0..1_000 {
        buffer.put(at(shift), datagram.clone());
    }
    assert_eq!(buffer.unread(), 1_440 + 999);
    assert!(buffer.runs.len() <= 3, "{} runs", buffer.runs.len());
}

#[test]
fn a_small_chunk_that_is_read_does_not_keep_the_tail_alive() {
    let mut buffer = buffer();
    buffer.put(BASE, fill(1, 100));
    buffer.put(at(100), fill(2, 400));
    let tail = buffer.tail.octets().as_ptr();
    assert_ne!(buffer.read_chunk(50).unwrap().as_ptr(), tail);
    assert_eq!(buffer.tail.octets().as_ptr(), tail.wrapping_add(50));
}

#[test]
fn empty_again_holds_next_to_no_memory() {
    let mut buffer = buffer();
    assert_eq!(buffer.memory(), 0);
    for segment in 0..1_000 {
        buffer.put(at(1_440 * segment), fill(0, 1_440));
    }
    buffer.put(at(1_440_000), fill(0, 100));
    buffer.put(at(2_000_000), fill(0, 100));
    let mut out = vec![0; 2_000_000];
    assert_eq!(buffer.read(&mut out), 1_440_100);
    buffer.drop_out_of_order();
    assert!(buffer.memory() <= 16 * size_of::<Bytes>(), "{}", buffer.memory());
    buffer.put(at(1_440_100), fill(0, 1));
    assert!(buffer.memory() <= 16 * size_of::<Bytes>() + MIN_TAIL);
}

#[test]
fn a_filled_hole_delivers_what_waited() {
    let mut buffer = buffer();
    let inserted = buffer.put(at(1_440), fill(2, 1_440));
    assert_eq!(inserted, Inserted { out_of_order: 1_440, ..Inserted::default() });
    assert_eq!((buffer.next(), buffer.out_of_order()), (BASE, 1_440));
    let inserted = buffer.put(BASE, fill(1, 1_440));
    assert_eq!(inserted, Inserted { advanced: 2_880, filled_gap: true, ..Inserted::default() });
    assert!(buffer.is_contiguous());
}

#[test]
fn part_of_a_hole_filled_is_told() {
    let mut buffer = buffer();
    buffer.put(at(3_000), fill(2, 10));
    assert!(buffer.put(BASE, fill(1, 1_440)).filled_gap);
    assert!(!buffer.put(BASE, fill(1, 1_440)).filled_gap);
    assert_eq!(buffer.next(), at(1_440));
}

#[test]
fn in_order_data_is_taken_whatever_waits() {
    let mut buffer = Lent::new(ranges(1));
    buffer.put(at(100), fill(1, 10));
    let inserted = buffer.put(at(200), fill(1, 10));
    assert_eq!((inserted.out_of_order, inserted.evicted), (10, 10));
    let inserted = buffer.put(at(50), fill(1, 10));
    assert_eq!((inserted.out_of_order, inserted.evicted), (10, 10));
    assert_eq!(buffer.sack_ranges(4)[..], [span(50, 60)]);
    assert_eq!(buffer.put(BASE, fill(1, 1_000)).advanced, 1_000);
}

#[test]
fn in_order_data_shares_its_buffer_until_it_is_unshared() {
    let mut buffer = buffer();
    let batch = fill(1, 9_000);
    buffer.put(BASE, batch.slice(..1_440));
    buffer.put(at(1_440), batch.slice(1_440..2_880));
    assert!(!batch.is_unique());
    buffer.unshare(1_440);
    assert!(!batch.is_unique(), "one slice is left");
    buffer.unshare(2_880);
    assert!(batch.is_unique());
    assert_eq!(buffer.read_chunk(9_999).unwrap(), fill(1, 1_440));
}

#[test]
fn what_fills_a_gap_keeps_nothing_else_alive() {
    let mut buffer = buffer();
    let batch = fill(1, 9_000);
    buffer.put(at(1_440), batch.slice(..1_440));
    buffer.put(BASE, batch.slice(..1_000));
    buffer.put(at(1_000), batch.slice(..440));
    assert!(batch.is_unique());
    assert_eq!((buffer.unread(), buffer.out_of_order()), (2_880, 0));
}

#[test]
fn bytes_out_of_order_have_a_bound() {
    let mut buffer = Lent::new(ReassemblyLimits { ranges: 9, bytes: 2_000 });
    assert_eq!(buffer.put(at(5_000), fill(1, 1_500)).evicted, 0);
    assert_eq!(buffer.put(at(1_000), fill(1, 1_500)).evicted, 1_500);
    assert_eq!(buffer.sack_ranges(4)[..], [span(1_000, 2_500)]);
    assert_eq!(buffer.put(BASE, fill(1, 1_000)).advanced, 2_500);
}

#[test]
fn no_ranges_means_in_order_only() {
    let mut buffer = Lent::new(ranges(0));
    assert_eq!(buffer.put(at(1), fill(1, 10)).evicted, 10);
    assert!(buffer.is_contiguous());
    assert_eq!(buffer.put(BASE, fill(1, 10)).advanced, 10);
}

/// RFC 2018 §7, case 3: the second, fourth, sixth and eighth of eight segments are lost; then
/// the fourth arrives, then the second.
#[test]
fn sack_blocks_are_those_of_the_rfc_example() {
    let mut buffer = buffer();
    let mut arrive = |segment: usize| {
        buffer.put(at(500 * segment), fill(0, 500));
        (buffer.next(), buffer.sack_ranges(3).into_vec())
    };
    let (third, fifth, seventh) = (span(1000, 1500), span(2000, 2500), span(3000, 3500));
    assert_eq!(arrive(0), (at(500), vec![]));
    assert_eq!(arrive(2), (at(500), vec![third.clone()]));
    assert_eq!(arrive(4), (at(500), vec![fifth.clone(), third.clone()]));
    assert_eq!(arrive(6), (at(500), vec![seventh.clone(), fifth, third]));
    assert_eq!(arrive(3), (at(500), vec![span(1000, 2500), seventh.clone()]));
    assert_eq!(arrive(1), (at(2500), vec![seventh]));
}

/// RFC 2883 §4.1 and §4.2: what is below the cumulative acknowledgement, above it in a block,
/// and in two places, of which the first is reported.
#[test]
fn duplicates_are_reported_as_rfc_2883_has_it() {
    let mut buffer = buffer();
    buffer.put(BASE, fill(1, 1_000));
    buffer.put(at(1_500), fill(1, 500));
    buffer.put(at(2_500), fill(1, 500));
    // Whole segments: read or not makes no difference.
    assert_eq!(buffer.duplicate_part(span(0, 500)), Some(span(0, 500)));
    buffer.read(&mut [0; 800]);
    assert_eq!(buffer.duplicate_part(span(0, 500)), Some(span(0, 500)));
    assert_eq!(buffer.duplicate_part(span(1_600, 1_700)), Some(span(1_600, 1_700)));
    assert_eq!(buffer.block_around(at(1_600)), Some(span(1_500, 2_000)));
    // Parts.
    assert_eq!(buffer.duplicate_part(span(500, 1_500)), Some(span(500, 1_000)));
    assert_eq!(buffer.duplicate_part(span(1_000, 1_600)), Some(span(1_500, 1_600)));
    assert_eq!(buffer.duplicate_part(span(1_900, 2_500)), Some(span(1_900, 2_000)));
    // Two parts.
    assert_eq!(buffer.duplicate_part(span(900, 2_600)), Some(span(900, 1_000)));
    assert_eq!(buffer.duplicate_part(span(1_400, 2_600)), Some(span(1_500, 2_000)));
    // None.
    assert_eq!(buffer.duplicate_part(span(1_000, 1_500)), None);
    assert_eq!(buffer.duplicate_part(span(500, 500)), None);
    assert_eq!(buffer.block_around(at(500)), None);
}

#[test]
fn data_goes_on_after_a_discard() {
    let mut buffer = buffer();
    buffer.put(BASE, fill(1, 700));
    buffer.put(at(900), fill(1, 700));
    assert_eq!(buffer.discard(), 700);
    assert_eq!((buffer.read_pos(), buffer.next()), (at(700), at(700)));
    assert_eq!((buffer.unread(), buffer.out_of_order(), buffer.memory()), (0, 0, 0));
    assert_eq!(buffer.put(at(700), fill(3, 5)).advanced, 5);
    assert_eq!(buffer.read_chunk(9).unwrap(), fill(3, 5));
}

/// Payloads of a batch, each behind a header.
fn payloads(batch: &Bytes) -> impl Iterator<Item = Payload<'_>> {
    let starts = (52..batch.len()).step_by(1_500);
    starts.map(|start| Payload::new(batch, start, start + 1_448))
}

#[test]
fn a_batch_in_order_is_one_run_and_is_charged_with_its_headers() {
    let mut buffer = buffer();
    for batch in [fill(1, 45 * 1_500), fill(2, 45 * 1_500)] {
        for payload in payloads(&batch) {
            buffer.insert(buffer.next(), payload);
        }
    }
    assert_eq!((buffer.runs.len(), buffer.unread()), (2, 90 * 1_448));
    assert!(buffer.memory() > 2 * (45 * 1_500 - 52));
    let mut peeked = vec![0; 90 * 1_448];
    assert_eq!(buffer.peek(&mut peeked), peeked.len());
    assert_eq!(peeked, [[1; 45 * 1_448], [2; 45 * 1_448]].concat());
    for _ in 0..90 {
        assert_eq!(buffer.read_chunk(usize::MAX).unwrap().len(), 1_448);
    }
    assert_eq!((buffer.read_chunk(usize::MAX), buffer.spans), (None, 0));
}

#[test]
fn what_was_gathered_stands_between_payloads_of_a_batch() {
    let mut buffer = buffer();
    let batch = fill(1, 3 * 1_500);
    let mut payloads = payloads(&batch);
    buffer.insert(BASE, payloads.next().unwrap());
    buffer.put(at(1_448), fill(2, 10));
    buffer.insert(at(1_458), payloads.next().unwrap());
    let mut out = [0; 1_460];
    assert_eq!((buffer.read(&mut out), buffer.unread()), (1_460, 1_446));
    assert_eq!(out[1_448..], [2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1]);
    buffer.insert(at(2_906), payloads.next().unwrap());
    assert_eq!(buffer.runs.len(), 1, "nothing stands between these");
    buffer.unshare(1);
    drop(payloads);
    assert!(batch.is_unique());
    assert_eq!((buffer.unread(), buffer.spans), (2_894, 2_894));
}

#[test]
fn a_tail_that_was_read_serves_the_next_in_need() {
    let mut buffer = buffer();
    buffer.put(BASE, fill(1, 64));
    let place = buffer.tail.octets().as_ptr();
    assert_eq!(buffer.read(&mut [0; 8]), 8);
    assert_eq!(buffer.spares.memory(), 0);
    assert_eq!(buffer.read(&mut [0; 99]), 56);
    assert_eq!((buffer.memory(), buffer.spares.memory()), (0, MIN_TAIL as u64));
    buffer.put(at(64), fill(1, 64));
    assert_eq!((buffer.tail.octets().as_ptr(), buffer.spares.memory()), (place, 0));
}
