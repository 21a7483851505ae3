use alloc::vec;
use alloc::vec::Vec;

use quickcheck::{Arbitrary, Gen, quickcheck};

use super::*;

const HEADER: usize = 52;
const PIECE: usize = 1_448;

/// A batch in which each octet differs from its neighbours.
fn batch(len: usize) -> Bytes {
    (0..len).map(|at| (at * 7 + (at >> 8)) as u8).collect::<Vec<u8>>().into()
}

/// The payload of the datagram with that number, of a batch of full ones.
fn nth(batch: &Bytes, number: usize) -> Payload<'_> {
    let start = number * (HEADER + PIECE) + HEADER;
    Payload::new(batch, start, start + PIECE)
}

fn run_of(batch: &Bytes, count: usize) -> Run {
    let mut run = Run::new(nth(batch, 0));
    assert!((1..count).all(|number| run.extend(nth(batch, number)).is_some()));
    run
}

fn content(run: &Run) -> Vec<u8> {
    run.pieces().collect::<Vec<_>>().concat()
}

#[derive(Clone, Debug)]
enum Op {
    /// So far behind what was last offered, of one of two batches.
    Extend {
        gap: usize,
        len: usize,
        is_other: bool,
    },
    Read {
        len: usize,
    },
    Take {
        max: usize,
    },
    Copy,
}

impl Arbitrary for Op {
    fn arbitrary(g: &mut Gen) -> Self {
        let len = usize::arbitrary(g) % 30;
        match u8::arbitrary(g) % 16 {
            0..8 => Self::Extend { gap: 3, len: 10, is_other: false },
            8 => Self::Extend { gap: 3, len: len.max(1), is_other: false },
            9 => Self::Extend { gap: len, len: 10, is_other: false },
            10 => Self::Extend { gap: 3, len: 10, is_other: true },
            11 | 12 => Self::Read { len },
            13 | 14 => Self::Take { max: len },
            _ => Self::Copy,
        }
    }
}

quickcheck! {
    fn it_equals_a_vector(ops: Vec<Op>) -> bool {
        let (batch, other) = (batch(5_000), batch(5_000));
        let mut run = Run::new(Payload::new(&batch, 3, 13));
        let mut model = batch[3..13].to_vec();
        let mut offered = 13;
        for op in ops {
            match op {
                Op::Extend { gap, len, is_other } => {
                    let from = if is_other { &other } else { &batch };
                    let payload = Payload::new(from, offered + gap, offered + gap + len);
                    // What is empty is not kept, and so goes on no more.
                    let span = run.span();
                    if payload.len() == len
                        && !run.is_empty()
                        && let Some(grown) = run.extend(payload)
                    {
                        assert!(!is_other && len == 10);
                        assert_eq!(run.span(), span + grown);
                        model.extend(payload.octets());
                    }
                    offered += gap + len;
                }
                Op::Read { len } => {
                    let mut out = vec![0xA5; len];
                    let read = run.read(&mut out);
                    assert_eq!(read, len.min(model.len()));
                    assert!(model.drain(..read).eq(out[..read].iter().copied()));
                    assert!(out[read..].iter().all(|octet| *octet == 0xA5));
                }
                Op::Take { max } => {
                    let taken = run.take(max);
                    assert!(taken.len() <= max && (taken.is_empty() == (max.min(model.len()) == 0)));
                    assert!(model.drain(..taken.len()).eq(taken));
                }
                Op::Copy => run = run.copied(),
            }
            assert_eq!(content(&run), model);
            assert_eq!(run.is_empty(), model.is_empty());
            assert!(run.span() >= model.len());
        }
        true
    }
}

#[test]
fn payloads_of_a_batch_are_one_run_that_shares_it_once() {
    let batch = batch(45 * (HEADER + PIECE));
    let run = run_of(&batch, 45);
    assert_eq!(run.pieces().count(), 45);
    assert_eq!(run.span(), 45 * PIECE + 44 * HEADER);
    drop(run);
    assert!(batch.is_unique());
}

#[test]
fn what_is_taken_is_the_batch_itself_and_the_last_leaves_nothing_behind() {
    let batch = batch(2 * (HEADER + PIECE));
    let mut run = run_of(&batch, 2);
    let first = run.take(PIECE);
    assert_eq!(first.as_ptr(), nth(&batch, 0).octets().as_ptr());
    let (half, rest) = (run.take(PIECE / 2), run.take(usize::MAX));
    assert_eq!([half, rest].concat(), nth(&batch, 1).octets());
    assert!(run.is_empty() && run.take(1).is_empty());
    drop(first);
    assert!(batch.is_unique());
}

#[test]
fn a_run_goes_on_after_it_was_read_in_part() {
    let batch = batch(3 * (HEADER + PIECE));
    let mut run = run_of(&batch, 1);
    assert_eq!(run.read(&mut [0; 100]), 100);
    assert!(run.extend(nth(&batch, 1)).is_some());
    assert_eq!(run.read(&mut [0; PIECE]), PIECE);
    assert!(run.extend(nth(&batch, 2)).is_some());
    assert_eq!(content(&run).len(), 2 * PIECE - 100);
}

#[test]
fn what_does_not_go_on_as_the_others_is_no_part_of_the_run() {
    let batch = batch(9 * (HEADER + PIECE));
    let mut run = run_of(&batch, 3);
    let Payload { start, end, .. } = nth(&batch, 3);
    let twin = Bytes::copy_from_slice(&batch);
    for other in [
        nth(&batch, 4),
        nth(&batch, 2),
        nth(&batch, 0),
        nth(&twin, 3),
        Payload::new(&batch, start, end - 1),
        Payload::new(&batch, start + 1, end),
        Payload::new(&batch.slice(..batch.len() - 1), start, end),
    ] {
        assert!(run.extend(other).is_none(), "{other:?}");
    }
    assert_eq!(run.extend(nth(&batch.clone(), 3)), Some(HEADER + PIECE));
}

#[test]
fn a_copy_keeps_nothing_else_alive() {
    let batch = batch(3 * (HEADER + PIECE));
    let mut run = run_of(&batch, 3);
    run.read(&mut [0; 100]);
    let copy = run.copied();
    assert_eq!(content(&copy), content(&run));
    assert_eq!(copy.span(), 3 * PIECE - 100);
    drop(run);
    assert!(batch.is_unique());
}

#[test]
fn a_payload_ends_where_its_batch_does() {
    let batch = batch(10);
    assert_eq!(Payload::new(&batch, 4, 99).octets(), &batch[4..]);
    assert!(Payload::new(&batch, 99, 100).is_empty());
    assert!(Payload::new(&batch, 5, 4).is_empty());
    let mut payload = Payload::from(&batch);
    payload.truncate(99);
    assert_eq!(payload.len(), 10);
    payload.truncate(3);
    assert_eq!(payload.octets(), &batch[..3]);
}
