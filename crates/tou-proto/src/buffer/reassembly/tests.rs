use alloc::vec;
use alloc::vec::Vec;

use quickcheck::quickcheck;

use super::*;

/// Just before the numbers on the wire wrap.
const BASE: StreamPos = StreamPos::from_raw((3 << 32) - 700);

fn at(offset: u64) -> StreamPos {
    BASE + offset
}

fn span(start: u64, end: u64) -> Range<StreamPos> {
    at(start)..at(end)
}

fn fill(byte: u8, len: usize) -> Bytes {
    Bytes::from(vec![byte; len])
}

/// Inserts the range, filled with a byte.
fn put(reassembly: &mut Reassembly, start: u64, end: u64, byte: u8) -> u64 {
    reassembly.insert(at(start), &fill(byte, (end - start) as usize))
}

fn sacks(reassembly: &Reassembly, max: usize) -> Vec<(u64, u64)> {
    let ranges = reassembly.sack_ranges(max);
    ranges.iter().map(|range| (range.start.since(BASE), range.end.since(BASE))).collect()
}

/// Every byte that is held, by its offset. Checks the shape on the way.
fn content(reassembly: &Reassembly, len: usize) -> Vec<Option<u8>> {
    let mut all = vec![None; len];
    let (mut bytes, mut pieces, mut reach) = (0, 0, None);
    for (start, block) in &reassembly.blocks {
        assert!(reach.is_none_or(|reach| reach < *start), "blocks touch");
        reach = Some(block.end);
        let mut offset = start.since(BASE) as usize;
        for piece in &block.pieces {
            assert!(!piece.is_empty(), "empty piece");
            for byte in piece {
                all[offset] = Some(*byte);
                offset += 1;
            }
        }
        assert_eq!(at(offset as u64), block.end, "pieces do not fill their block");
        let mut pairs = block.pieces.iter().zip(block.pieces.iter().skip(1));
        assert!(pairs.all(|(a, b)| a.len() + b.len() > SMALL), "neighbours left apart");
        bytes += block.end.since(*start);
        pieces += block.pieces.len();
    }
    assert_eq!((bytes, pieces), (reassembly.bytes, reassembly.pieces), "counts");
    assert_eq!(reassembly.is_empty(), bytes == 0);
    all
}

/// Maximal runs of bytes.
fn runs(model: &[Option<u8>]) -> Vec<(u64, u64)> {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for (offset, _) in model.iter().enumerate().filter(|(_, byte)| byte.is_some()) {
        let offset = offset as u64;
        match runs.last_mut() {
            Some(run) if run.1 == offset => run.1 += 1,
            _ => runs.push((offset, offset + 1)),
        }
    }
    runs
}

/// Inserts, in order of arrival, and compares with the model after each.
fn check(arrivals: Vec<(u64, usize)>, max_blocks: usize) -> bool {
    const LEN: usize = 4_000;
    let mut reassembly = Reassembly::default();
    let mut model: Vec<Option<u8>> = vec![None; LEN];
    // Where segments arrived, the newest last.
    let mut arrived: Vec<u64> = Vec::new();
    for (round, (start, len)) in arrivals.into_iter().enumerate() {
        let end = (start as usize + len).min(LEN);
        let mut duplicate = 0;
        for byte in &mut model[start as usize..end] {
            match byte {
                Some(_) => duplicate += 1,
                None => *byte = Some(round as u8),
            }
        }
        assert_eq!(put(&mut reassembly, start, end as u64, round as u8), duplicate);
        arrived.push(start);

        let mut evicted = 0;
        let mut blocks = runs(&model);
        while blocks.len() > max_blocks {
            let (start, end) = blocks.pop().unwrap();
            model[start as usize..end as usize].fill(None);
            evicted += end - start;
            arrived.retain(|position| !(start..end).contains(position));
        }
        assert_eq!(reassembly.evict(max_blocks, u64::MAX), evicted);
        assert_eq!(content(&reassembly, LEN), model);

        let mut expected: Vec<(u64, u64)> = Vec::new();
        for position in arrived.iter().rev() {
            let block = blocks.iter().find(|block| (block.0..block.1).contains(position));
            let block = *block.expect("held");
            if !expected.contains(&block) {
                expected.push(block);
            }
        }
        let mut reported = sacks(&reassembly, usize::MAX);
        assert_eq!(reported.first(), expected.first());
        if max_blocks < RECENT {
            assert_eq!(reported, expected);
        }
        reported.sort_unstable();
        assert_eq!(reported, blocks);

        let bound = reassembly.bytes as usize * 5 / 4
            + (BLOCK_COST + PIECE_COST) * max_blocks.min(blocks.len())
            + BASE_COST;
        assert!(reassembly.memory() <= bound);
    }
    let runs = runs(&model);
    for offset in (0..LEN as u64).step_by(7) {
        let run = runs.iter().find(|run| (run.0..run.1).contains(&offset));
        assert_eq!(reassembly.block_around(at(offset)), run.map(|run| span(run.0, run.1)));
        let range = offset..(offset + 50).min(LEN as u64);
        let first = runs.iter().find(|run| run.1 > range.start && run.0 < range.end);
        let first = first.map(|run| span(run.0.max(range.start), run.1.min(range.end)));
        assert_eq!(reassembly.first_overlap(at(range.start)..at(range.end)), first);
    }
    true
}

quickcheck! {
    fn it_equals_a_vector_of_options(arrivals: Vec<(u16, u8, u8)>, few: bool) -> bool {
        let arrivals = arrivals.into_iter().map(|(start, len, kind)| {
            let len = match kind % 4 {
                0 => 1 + usize::from(len) % 3,
                1 => 1 + usize::from(len),
                2 => SMALL - 2 + usize::from(len) % 5,
                _ => 600 + 4 * usize::from(len),
            };
            (u64::from(start) % 3_999, len)
        });
        check(arrivals.collect(), if few { 3 } else { usize::MAX })
    }

    fn it_equals_a_vector_of_options_where_all_touches(arrivals: Vec<(u8, u8)>) -> bool {
        check(arrivals.into_iter().map(|(a, b)| (a.into(), 1 + usize::from(b % 16))).collect(), 9)
    }
}

/// RFC 2018 §7, case 2: the first of eight segments is lost.
#[test]
fn one_hole_reports_one_growing_block() {
    let mut reassembly = Reassembly::default();
    for segment in 1..8 {
        put(&mut reassembly, 500 * segment, 500 * (segment + 1), 0);
        assert_eq!(sacks(&reassembly, 3), [(500, 500 * (segment + 1))]);
    }
}

#[test]
fn blocks_are_reported_in_the_order_of_their_last_arrival() {
    let mut reassembly = Reassembly::default();
    for segment in [1, 3, 5, 7] {
        put(&mut reassembly, 500 * segment, 500 * (segment + 1), 0);
    }
    assert_eq!(sacks(&reassembly, 3), [(3500, 4000), (2500, 3000), (1500, 2000)]);
    put(&mut reassembly, 1000, 1500, 0);
    assert_eq!(sacks(&reassembly, 3), [(500, 2000), (3500, 4000), (2500, 3000)]);
    assert_eq!(reassembly.first(), Some(at(500)));
    assert_eq!(reassembly.pop_first().iter().map(Bytes::len).sum::<usize>(), 1_500);
    assert_eq!(sacks(&reassembly, 3), [(3500, 4000), (2500, 3000)]);
}

#[test]
fn duplicate_arrival_moves_its_block_to_the_front() {
    let mut reassembly = Reassembly::default();
    put(&mut reassembly, 100, 200, 1);
    put(&mut reassembly, 300, 400, 2);
    assert_eq!(put(&mut reassembly, 120, 180, 3), 60);
    assert_eq!(sacks(&reassembly, 4), [(100, 200), (300, 400)]);
}

#[test]
fn blocks_beyond_memory_are_reported_from_the_lowest_on() {
    let mut reassembly = Reassembly::default();
    for block in 0..8 {
        put(&mut reassembly, 100 * block, 100 * block + 50, 0);
    }
    // The four that are remembered become one.
    put(&mut reassembly, 400, 750, 0);
    assert_eq!(sacks(&reassembly, 4), [(400, 750), (0, 50), (100, 150), (200, 250)]);
    assert_eq!(sacks(&reassembly, 2), [(400, 750), (0, 50)]);
    assert_eq!(sacks(&reassembly, 0), []);
}

#[test]
fn the_first_bytes_to_arrive_stay() {
    let mut reassembly = Reassembly::default();
    put(&mut reassembly, 10, 14, b'a');
    put(&mut reassembly, 18, 20, b'b');
    assert_eq!(put(&mut reassembly, 8, 24, b'c'), 6);
    assert_eq!(reassembly.first(), Some(at(8)));
    assert_eq!(Vec::from(reassembly.pop_first()).concat(), b"ccaaaaccccbbcccc");
    assert!(reassembly.is_empty());
}

#[test]
fn furthest_block_is_evicted_even_if_it_is_the_newest() {
    let mut reassembly = Reassembly::default();
    put(&mut reassembly, 100, 110, 0);
    put(&mut reassembly, 200, 220, 0);
    put(&mut reassembly, 300, 330, 0);
    assert_eq!(reassembly.evict(2, u64::MAX), 30);
    assert_eq!(sacks(&reassembly, 4), [(200, 220), (100, 110)]);
    assert_eq!(reassembly.evict(0, u64::MAX), 30);
    assert!(reassembly.is_empty() && reassembly.recent.is_empty());
}

#[test]
fn furthest_bytes_are_evicted_piece_by_piece() {
    let mut reassembly = Reassembly::default();
    put(&mut reassembly, 100, 1_100, 1);
    put(&mut reassembly, 2_000, 3_000, 2);
    put(&mut reassembly, 3_000, 4_000, 3);
    assert_eq!(reassembly.evict(9, 2_500), 1_000);
    assert_eq!(sacks(&reassembly, 4), [(2_000, 3_000), (100, 1_100)]);
    assert_eq!(reassembly.evict(9, 500), 2_000, "pieces are not cut");
    assert!(reassembly.is_empty() && reassembly.recent.is_empty());
}

#[test]
fn memory_is_shed_from_the_far_end() {
    let mut reassembly = Reassembly::default();
    for offset in (0..5_000).step_by(100) {
        put(&mut reassembly, offset, offset + 1, 0);
    }
    let whole = reassembly.memory();
    assert_eq!(reassembly.shed(whole), 0);
    assert_eq!(reassembly.shed(whole / 2), 50 - reassembly.bytes());
    assert!(reassembly.memory() <= whole / 2 && reassembly.bytes() > 10);
    assert_eq!(reassembly.first(), Some(at(0)));
    content(&reassembly, 5_000);
    reassembly.shed(0);
    assert!(reassembly.is_empty());
}

/// Positions of `count` things in an order that makes tiny segments cost most.
fn orders(count: u64) -> [Vec<u64>; 4] {
    let even_then_odd = (0..count).step_by(2).chain((1..count).step_by(2));
    let halves = (0..count / 2).flat_map(|i| [i, count - 1 - i]);
    [(0..count).collect(), (0..count).rev().collect(), even_then_odd.collect(), halves.collect()]
}

#[test]
fn single_bytes_in_any_order_cost_a_small_multiple() {
    const COUNT: u64 = 6_000;
    const MAX_BLOCKS: usize = 100;
    for order in orders(COUNT) {
        let mut reassembly = Reassembly::default();
        let mut peak = 0;
        // Twice, for what was evicted.
        for offset in order.iter().chain(&order) {
            put(&mut reassembly, *offset, offset + 1, 0);
            reassembly.evict(MAX_BLOCKS, u64::MAX);
            peak = peak.max(reassembly.memory());
            assert!(reassembly.pieces as u64 <= 2 * reassembly.bytes / SMALL as u64 + 100);
        }
        assert!(
            peak <= COUNT as usize * 5 / 4 + MAX_BLOCKS * (BLOCK_COST + PIECE_COST) + BASE_COST
        );
    }
}

#[test]
fn nothing_that_waits_keeps_what_it_arrived_in_alive() {
    let mut reassembly = Reassembly::default();
    let large = fill(1, 9_000);
    put(&mut reassembly, 1, 1_000, 0);
    reassembly.insert(at(0), &large.slice(..1_000));
    assert!(large.is_unique());
    reassembly.insert(at(2_000), &large.slice(..SMALL - 1));
    assert!(large.is_unique());
    reassembly.insert(at(4_000), &large.slice(..1_440));
    assert!(large.is_unique());
}

#[test]
fn block_stays_as_small_as_its_charge() {
    // `Block` is what an entry of the tree moves when it splits.
    assert!(size_of::<Block>() <= 40);
}
