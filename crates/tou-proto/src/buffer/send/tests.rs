use alloc::vec;
use alloc::vec::Vec;
use core::ops::{Deref, DerefMut};

use quickcheck::{Arbitrary, Gen, quickcheck};

use super::*;
use crate::buffer::MIN_TAIL;

/// Just before the numbers on the wire wrap.
const BASE: StreamPos = StreamPos::from_raw((3 << 32) - 5_000);

/// A buffer and the store that is lent to it.
struct Lent {
    buffer: SendBuffer,
    spares: Spares,
}

impl Lent {
    fn new() -> Self {
        Self { buffer: SendBuffer::new(BASE), spares: Spares::new() }
    }

    fn write(&mut self, data: &[u8], limit: u64) -> usize {
        self.buffer.write(data, limit, &mut self.spares)
    }

    fn write_bytes(&mut self, data: &mut Bytes, limit: u64) -> usize {
        self.buffer.write_bytes(data, limit, &mut self.spares)
    }

    fn release_to(&mut self, position: StreamPos) {
        self.buffer.release_to(position, &mut self.spares);
    }
}

impl Deref for Lent {
    type Target = SendBuffer;

    fn deref(&self) -> &SendBuffer {
        &self.buffer
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut SendBuffer {
        &mut self.buffer
    }
}

#[derive(Clone, Debug)]
enum Op {
    Write {
        len: usize,
        limit: u64,
    },
    WriteBytes {
        len: usize,
        limit: u64,
    },
    /// `from` and `to` in thousandths of what is held, and beyond.
    Copy {
        from: u64,
        len: usize,
    },
    /// Goes on where the last copy ended.
    CopyNext {
        len: usize,
    },
    Release {
        to: u64,
    },
}

impl Arbitrary for Op {
    fn arbitrary(g: &mut Gen) -> Self {
        let len = *g.choose(&[0, 1, 7, 100, 1023, 1024, 1440, 5_000, CHUNK, 80_000]).unwrap_or(&0);
        let limit = *g.choose(&[0, 1_000, 150_000, 150_000, u64::MAX]).unwrap_or(&0);
        let part = u64::arbitrary(g) % 1_200;
        match u8::arbitrary(g) % 8 {
            0 | 1 => Self::Write { len, limit },
            2 | 3 => Self::WriteBytes { len, limit },
            4 => Self::Copy { from: part, len },
            5 | 6 => Self::CopyNext { len },
            _ => Self::Release { to: part },
        }
    }
}

fn bytes(count: usize, seed: usize) -> Vec<u8> {
    (0..count).map(|at| ((at * 31 + seed * 7) ^ (at >> 8)) as u8).collect()
}

/// All that is held, read in one go.
fn content(buffer: &mut Lent) -> Vec<u8> {
    let mut out = vec![0; buffer.len() as usize + 1];
    let start = buffer.start();
    let len = buffer.copy_to(start, &mut out);
    out.truncate(len);
    out
}

quickcheck! {
    fn it_equals_a_vector(ops: Vec<Op>) -> bool {
        let mut buffer = Lent::new();
        let mut model: Vec<u8> = Vec::new();
        let mut start = BASE;
        let mut read_next = BASE;
        for (seed, op) in ops.into_iter().enumerate() {
            match op {
                Op::Write { len, limit } => {
                    let data = bytes(len, seed);
                    let fits = len.min(limit.saturating_sub(model.len() as u64) as usize);
                    assert_eq!(buffer.write(&data, limit), fits);
                    model.extend(&data[..fits]);
                }
                Op::WriteBytes { len, limit } => {
                    let mut data = Bytes::from(bytes(len, seed));
                    let whole = data.clone();
                    let fits = len.min(limit.saturating_sub(model.len() as u64) as usize);
                    assert_eq!(buffer.write_bytes(&mut data, limit), fits);
                    assert_eq!(data, whole[fits..]);
                    model.extend(&whole[..fits]);
                }
                Op::Copy { from, len } => {
                    let offset = model.len() as u64 * from / 1_000;
                    read_next = check_copy(&mut buffer, &model, start, start + offset, len);
                }
                Op::CopyNext { len } => {
                    read_next = check_copy(&mut buffer, &model, start, read_next, len);
                }
                Op::Release { to } => {
                    let count = model.len() as u64 * to / 1_000;
                    buffer.release_to(start + count);
                    let count = (count as usize).min(model.len());
                    model.drain(..count);
                    start = start + count as u64;
                }
            }
            assert_eq!((buffer.start(), buffer.end()), (start, start + model.len() as u64));
            assert_eq!(buffer.len(), model.len() as u64);
            assert_eq!(buffer.is_empty(), model.is_empty());
            // The front may be released but for a byte, the tail new, and the queue half
            // empty: a small and a large chunk for each piece of a user's.
            let bound = model.len() + model.len() / 4 + 80_000 + CHUNK + 2_048;
            assert!(buffer.memory() <= bound, "{} > {bound}", buffer.memory());
        }
        content(&mut buffer) == model
    }
}

fn check_copy(
    buffer: &mut Lent,
    model: &[u8],
    start: StreamPos,
    from: StreamPos,
    len: usize,
) -> StreamPos {
    let mut out = vec![0xA5; len];
    let copied = buffer.copy_to(from, &mut out);
    let expected = match from >= start {
        true => model.get(from.since(start) as usize..).unwrap_or_default(),
        false => &[],
    };
    let expected = &expected[..len.min(expected.len())];
    assert_eq!(&out[..copied], expected);
    assert!(out[copied..].iter().all(|&byte| byte == 0xA5), "wrote beyond what it returned");
    from + copied as u64
}

#[test]
fn small_writes_share_allocations() {
    let mut buffer = Lent::new();
    for _ in 0..100_000 {
        buffer.write(b"x", u64::MAX);
    }
    assert!(buffer.chunks.len() <= 16, "{} chunks", buffer.chunks.len());
    assert!(buffer.memory() <= 100_000 + CHUNK + 2_048);
}

#[test]
fn full_tail_leaves_nothing_behind() {
    let mut buffer = Lent::new();
    buffer.write(&[0; MIN_TAIL], u64::MAX);
    buffer.write_bytes(&mut Bytes::from_static(&[0; MIN_SHARED]), u64::MAX);
    assert!(buffer.chunks[0].data.is_unique());
}

#[test]
fn short_request_costs_little() {
    let mut buffer = Lent::new();
    buffer.write(b"GET /", u64::MAX);
    assert_eq!(buffer.memory(), MIN_TAIL);
    buffer.release_to(buffer.end());
    assert_eq!(buffer.memory(), 0);
}

#[test]
fn large_write_makes_exact_chunks() {
    let mut buffer = Lent::new();
    buffer.write(&bytes(4 * CHUNK, 1), u64::MAX);
    assert_eq!(buffer.chunks.len(), 4);
    assert_eq!(buffer.tail.capacity(), 0);
}

#[test]
fn large_buffers_are_not_copied_and_small_ones_not_kept() {
    let large = Bytes::from(bytes(65_536, 1));
    let mut buffer = Lent::new();
    buffer.write_bytes(&mut large.slice(..MIN_SHARED - 1), u64::MAX);
    assert!(large.is_unique());
    buffer.write_bytes(&mut large.slice(..MIN_SHARED), u64::MAX);
    assert!(!large.is_unique());
    buffer.release_to(buffer.end());
    assert!(large.is_unique());
}

#[test]
fn single_bytes_between_large_buffers_share_one_tail() {
    let large = Bytes::from(bytes(MIN_SHARED, 1));
    let mut buffer = Lent::new();
    for _ in 0..300 {
        buffer.write(b"x", u64::MAX);
        buffer.write_bytes(&mut large.clone(), u64::MAX);
    }
    assert_eq!(buffer.chunks.len(), 600);
    let ends = buffer.chunks.iter().step_by(2).map(|chunk| chunk.data.as_ptr_range());
    let ends: Vec<_> = ends.collect();
    assert!(ends.windows(2).all(|pair| pair[0].end == pair[1].start), "bytes apart");
    assert!(buffer.memory() <= 300 * (MIN_SHARED + 1) + 1024 * size_of::<Chunk>() + MIN_TAIL);
}

#[test]
fn released_chunks_are_freed_one_by_one() {
    let mut buffer = Lent::new();
    buffer.write(&bytes(4 * CHUNK, 1), u64::MAX);
    let full = buffer.memory();
    buffer.release_to(BASE + (CHUNK as u64 - 1));
    assert_eq!(buffer.memory(), full);
    buffer.release_to(BASE + CHUNK as u64);
    assert_eq!(buffer.memory(), full - CHUNK);
}

/// Where the chunks in use are.
fn places(buffer: &Lent) -> Vec<*const u8> {
    buffer.chunks.iter().map(|chunk| chunk.data.as_ptr()).collect()
}

#[test]
fn writer_who_fills_a_third_at_a_time_gets_what_was_released() {
    let mut buffer = Lent::new();
    buffer.write(&bytes(48 * CHUNK, 1), u64::MAX);
    let mut own = places(&buffer);
    own.sort_unstable();
    let full = buffer.memory();
    for turn in 1..10 {
        for released in 1..=16 {
            buffer.release_to(BASE + (16 * turn - 16 + released) * CHUNK as u64);
            let memory = buffer.memory() + buffer.spares.memory() as usize;
            assert!(memory <= full + 2_048, "{memory}");
        }
        buffer.write(&bytes(16 * CHUNK, 1), u64::MAX);
        let mut now = places(&buffer);
        now.sort_unstable();
        assert!(now == own, "other allocations");
    }
}

#[test]
fn gathered_writes_get_what_was_released_too() {
    let mut buffer = Lent::new();
    buffer.write(&bytes(4 * CHUNK, 1), u64::MAX);
    let first = places(&buffer)[0];
    buffer.release_to(BASE + CHUNK as u64);
    buffer.write(b"x", u64::MAX);
    assert_eq!(buffer.tail.octets().as_ptr(), first);
    assert_eq!(buffer.spares.memory(), 0);
}

#[test]
fn what_one_buffer_released_serves_another() {
    let mut spares = Spares::new();
    let mut buffers = [SendBuffer::new(BASE), SendBuffer::new(BASE)];
    let mut write = |buffer: &mut SendBuffer, len: usize| {
        buffer.write(&bytes(len, 1), u64::MAX, &mut spares);
        let place = buffer.chunks.front().map_or(buffer.tail.octets(), |chunk| &chunk.data);
        let place = place.as_ptr();
        buffer.release_to(buffer.end(), &mut spares);
        assert_eq!(buffer.memory(), 0);
        place
    };
    for len in [CHUNK, 64] {
        let places = buffers.each_mut().map(|buffer| write(buffer, len));
        assert_eq!(places[0], places[1], "{len}");
    }
    assert_eq!(spares.memory(), (CHUNK + MIN_TAIL) as u64);
}

#[test]
fn queue_gives_back_places_after_a_peak() {
    let piece = Bytes::from(bytes(MIN_SHARED, 1));
    let mut buffer = Lent::new();
    for _ in 0..10_000 {
        buffer.write_bytes(&mut piece.clone(), u64::MAX);
    }
    buffer.release_to(buffer.end().back(1));
    assert!(buffer.memory() <= MIN_SHARED + 32 * size_of::<Chunk>());
}

#[test]
fn release_outside_is_clamped() {
    let mut buffer = Lent::new();
    buffer.write(b"abcdef", u64::MAX);
    buffer.release_to(BASE + 4);
    buffer.release_to(BASE);
    assert_eq!(content(&mut buffer), b"ef");
    buffer.release_to(BASE + 1_000_000);
    assert_eq!((buffer.start(), buffer.end()), (BASE + 6, BASE + 6));
}

#[test]
fn clear_forgets_what_was_written() {
    let mut buffer = Lent::new();
    buffer.write(&bytes(100_000, 1), u64::MAX);
    buffer.release_to(BASE + 10);
    buffer.clear();
    assert_eq!((buffer.start(), buffer.end(), buffer.memory()), (BASE + 10, BASE + 10, 0));
    buffer.write(b"next", u64::MAX);
    assert_eq!(content(&mut buffer), b"next");
}

#[test]
fn release_leaves_the_cursor_where_it_reads() {
    let mut buffer = Lent::new();
    buffer.write(&bytes(10 * CHUNK, 3), u64::MAX);
    buffer.copy_to(BASE + 5 * CHUNK as u64, &mut [0; 100]);
    assert_eq!(buffer.cursor, 5);
    buffer.release_to(BASE + 3 * CHUNK as u64);
    assert_eq!(buffer.cursor, 2);
    buffer.release_to(BASE + 9 * CHUNK as u64);
    assert_eq!(buffer.cursor, 0);
}

#[test]
fn retransmission_does_not_disturb_what_follows() {
    let data = bytes(10 * CHUNK, 3);
    let mut buffer = Lent::new();
    buffer.write(&data, u64::MAX);
    let mut out = [0; 1440];
    for segment in 0..100 {
        let new = segment * 1440;
        buffer.copy_to(BASE + new as u64, &mut out);
        assert_eq!(out, data[new..new + 1440]);
        assert_eq!(buffer.cursor, (new + 1439) / CHUNK);
        let old = new / 3;
        buffer.copy_to(BASE + old as u64, &mut out);
        assert_eq!(out, data[old..old + 1440]);
    }
}
