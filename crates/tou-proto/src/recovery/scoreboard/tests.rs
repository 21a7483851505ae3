extern crate std;

use super::*;
use crate::recovery::Transmission;
use quickcheck::quickcheck;
use std::vec::Vec;

fn at(position: u64) -> StreamPos {
    StreamPos::from_raw(position)
}

fn ms(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

fn range(start: u64, end: u64) -> Range<StreamPos> {
    at(start)..at(end)
}

/// Segments of 100 bytes from position 0, one sent every millisecond from 0.
fn board(segments: u64) -> Scoreboard {
    let mut board = Scoreboard::new();
    for i in 0..segments {
        board.queue.push(&Transmission {
            now: ms(i),
            start: at(i * 100),
            end: at((i + 1) * 100),
            tsval: Some(i as u32),
        });
    }
    board
}

fn context(now: u64) -> DeliveryContext {
    DeliveryContext { now: ms(now), tsecr: None, min_rtt: None, fack: at(0), timeout_point: None }
}

fn deliver(
    board: &mut Scoreboard,
    ack: u64,
    blocks: &SackBlocks,
    context: DeliveryContext,
) -> Delivery {
    let mut delivery = Delivery::new(context);
    board.apply(at(ack), blocks, &mut delivery);
    delivery
}

fn apply(board: &mut Scoreboard, now: u64, ack: u64, blocks: &[Range<StreamPos>]) -> Delivery {
    let blocks = SackBlocks::sort(blocks, at(ack), board.queue.end());
    let delivery = deliver(board, ack, &blocks, context(now));
    board.check_invariants();
    delivery
}

fn retransmit(board: &mut Scoreboard, start: u64, now: u64) {
    let number = board.find(at(start));
    let sent = Transmission {
        now: ms(now),
        start: at(start),
        end: at(start + 100),
        tsval: Some(now as u32),
    };
    board.queue.retransmit(number, &sent);
}

#[test]
fn a_first_block_below_the_acknowledgment_is_a_duplicate() {
    let blocks = SackBlocks::sort(&[range(100, 200), range(500, 600)], at(400), at(1000));
    assert_eq!(blocks.duplicate, Some(range(100, 200)));
    assert_eq!(blocks.held(), [range(500, 600)]);
}

#[test]
fn a_first_block_inside_the_second_is_a_duplicate() {
    let blocks = SackBlocks::sort(&[range(500, 600), range(500, 800)], at(400), at(1000));
    assert_eq!(blocks.duplicate, Some(range(500, 600)));
    assert_eq!(blocks.held(), [range(500, 800)]);
}

#[test]
fn blocks_come_out_in_ascending_order() {
    let blocks = SackBlocks::sort(&[range(800, 900), range(500, 600)], at(400), at(1000));
    assert_eq!(blocks.duplicate, None);
    assert_eq!(blocks.held(), [range(500, 600), range(800, 900)]);
}

#[test]
fn impossible_blocks_are_ignored() {
    let blocks =
        [range(900, 800), range(900, 1001), range(400, 500), range(0, u64::MAX), range(500, 600)];
    let sorted = SackBlocks::sort(&blocks, at(400), at(1000));
    assert!(sorted.held().is_empty() && sorted.duplicate.is_none());
}

#[test]
fn delivered_bytes_are_counted_once() {
    let mut board = board(10);
    assert_eq!(apply(&mut board, 20, 0, &[range(200, 400)]).bytes, 200);
    assert_eq!(apply(&mut board, 20, 0, &[range(200, 500)]).bytes, 100);
    let delivery = apply(&mut board, 20, 600, &[]);
    assert_eq!((delivery.acked, delivery.bytes), (600, 300));
}

#[test]
fn a_block_is_rounded_inwards_to_whole_segments() {
    let mut board = board(10);
    assert_eq!(apply(&mut board, 20, 0, &[range(250, 450)]).bytes, 100);
    assert_eq!(board.queue.sacked(), 100);
    assert_eq!(apply(&mut board, 20, 0, &[range(510, 590)]).bytes, 0);
}

#[test]
fn part_of_a_segment_is_acknowledged_by_its_bytes() {
    let mut board = board(3);
    let delivery = apply(&mut board, 20, 150, &[]);
    assert_eq!((delivery.acked, delivery.bytes), (150, 150));
    assert_eq!(board.queue.front().map(SentSegment::range), Some(range(150, 200)));
    assert_eq!(board.queue.in_flight(), 150);
}

#[test]
fn the_sample_is_the_most_recently_sent_segment() {
    let mut board = board(5);
    assert_eq!(apply(&mut board, 30, 300, &[]).rtt(), Some(Span::from_millis(28)));
}

/// Karn, and what a retransmission released.
#[test]
fn a_retransmission_among_the_acknowledged_gives_no_sample() {
    let mut board = board(5);
    retransmit(&mut board, 0, 15);
    assert_eq!(apply(&mut board, 30, 300, &[]).rtt(), None);
    assert_eq!(apply(&mut board, 30, 300, &[range(400, 500)]).rtt(), Some(Span::from_millis(26)));
}

#[test]
fn delivery_below_the_highest_is_reordering_unless_sent_twice() {
    let mut board = board(6);
    let first = apply(&mut board, 30, 0, &[range(200, 300), range(400, 500)]);
    assert!(!first.reordered);
    retransmit(&mut board, 0, 31);
    let blocks = SackBlocks::default();
    let delivery =
        deliver(&mut board, 100, &blocks, DeliveryContext { fack: first.fack, ..context(40) });
    assert!(!delivery.reordered);
    let delivery =
        deliver(&mut board, 200, &blocks, DeliveryContext { fack: first.fack, ..context(40) });
    assert!(delivery.reordered);
}

/// RFC 8985 §6.2 RACK_update: neither an echo older than the retransmission nor a
/// round trip below the minimum is of the retransmission.
#[test]
fn a_doubtful_retransmission_does_not_count_as_latest() {
    for (tsecr, min_rtt, trusted) in [
        (Some(14), None, false),
        (Some(15), None, true),
        (None, Some(16), false),
        (None, Some(15), true),
    ] {
        let mut board = board(2);
        retransmit(&mut board, 0, 15);
        let context =
            DeliveryContext { tsecr, min_rtt: min_rtt.map(Span::from_millis), ..context(30) };
        let delivery = deliver(&mut board, 100, &SackBlocks::default(), context);
        assert_eq!(delivery.latest.is_some(), trusted, "{tsecr:?} {min_rtt:?}");
    }
}

/// A segment above a hole is not what the peer's echo speaks of.
#[test]
fn the_echo_is_not_asked_about_selective_acknowledgments() {
    let mut board = board(3);
    retransmit(&mut board, 100, 15);
    let blocks = SackBlocks::sort(&[range(100, 200)], at(0), at(300));
    let delivery =
        deliver(&mut board, 0, &blocks, DeliveryContext { tsecr: Some(0), ..context(30) });
    assert_eq!(delivery.latest, Some((ms(15), at(200))));
}

#[test]
fn an_acknowledgment_up_to_a_held_segment_is_reneging() {
    let mut board = board(6);
    apply(&mut board, 30, 0, &[range(100, 200), range(300, 500)]);
    let delivery = apply(&mut board, 31, 100, &[range(300, 500)]);
    assert!(delivery.reneged);
    assert_eq!((board.queue.sacked(), board.queue.lost()), (0, 300));
    // Not believed while what was outstanding then still is.
    assert_eq!(apply(&mut board, 32, 200, &[range(300, 500)]).bytes, 0);
    assert_eq!(board.queue.sacked(), 0);
    // Counted once, though delivered twice.
    assert_eq!(apply(&mut board, 33, 600, &[]).bytes, 200);
    assert!(board.queue.is_empty());
}

#[test]
fn reneging_on_part_of_a_segment_is_reneging() {
    let mut board = board(3);
    apply(&mut board, 30, 0, &[range(100, 200)]);
    assert!(apply(&mut board, 31, 150, &[]).reneged);
    assert_eq!(board.queue.lost(), 50);
}

#[test]
fn the_tail_is_the_highest_that_the_peer_does_not_hold() {
    let mut board = board(6);
    assert_eq!(board.tail().map(SentSegment::range), Some(range(500, 600)));
    apply(&mut board, 30, 0, &[range(400, 600)]);
    assert_eq!(board.tail().map(SentSegment::range), Some(range(300, 400)));
}

#[test]
fn timestamps_compare_across_the_wrap() {
    assert!(is_before(u32::MAX, 0) && is_before(5, 6));
    assert!(!is_before(0, u32::MAX) && !is_before(7, 7));
}

quickcheck! {
    /// The model: one flag a segment for "held", and a count of those delivered.
    fn agrees_with_flags(steps: Vec<(u8, u8, u8)>) -> bool {
        let mut board = board(40);
        let mut held = [false; 40];
        let mut una = 0;
        for (advance, a, b) in steps {
            // Keep clear of held segments: reneging has its own tests.
            let mut to = (una + usize::from(advance % 4)).min(40);
            while to < 40 && held[to] {
                to += 1;
            }
            let expected_acked = held[una..to].iter().filter(|held| !**held).count();
            let blocks = [range(u64::from(a) * 16, u64::from(b) * 16)];
            let sorted = SackBlocks::sort(&blocks, at(to as u64 * 100), at(4000));
            let mut expected = expected_acked;
            for (i, held) in held.iter_mut().enumerate() {
                let (start, end) = (i as u64 * 100, (i as u64 + 1) * 100);
                let within = sorted.held().iter().any(|r| r.start <= at(start) && at(end) <= r.end);
                if within && !*held {
                    *held = true;
                    expected += 1;
                }
            }
            let delivery = deliver(&mut board, to as u64 * 100, &sorted, context(100));
            una = to;
            board.check_invariants();
            if delivery.bytes != expected as u64 * 100
                || board.queue.sacked() != held[una..].iter().filter(|h| **h).count() as u64 * 100
            {
                return false;
            }
        }
        true
    }
}
