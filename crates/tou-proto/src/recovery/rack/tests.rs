extern crate std;

use super::*;
use crate::recovery::Transmission;
use crate::recovery::scoreboard::{Delivery, DeliveryContext, SackBlocks, Scoreboard};
use core::ops::Range;

fn at(position: u64) -> StreamPos {
    StreamPos::from_raw(position)
}

fn ms(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

const fn dur(millis: u64) -> Span {
    Span::from_millis(millis)
}

fn range(start: u64, end: u64) -> Range<StreamPos> {
    at(start)..at(end)
}

/// RACK and a queue, without the rest of recovery.
struct Bench {
    rack: Rack,
    board: Scoreboard,
    facts: WindowFacts,
}

impl Bench {
    /// Segments of 100 bytes, sent at these times.
    fn new(sent_at: &[u64]) -> Self {
        let mut board = Scoreboard::new();
        for (i, &millis) in sent_at.iter().enumerate() {
            let i = i as u64;
            board.queue.push(&transmission(i, millis));
        }
        let facts = WindowFacts {
            in_recovery: false,
            dupthresh: 3,
            min_rtt: Some(dur(40)),
            srtt: Some(dur(40)),
        };
        Self { rack: Rack::new(), board, facts }
    }

    fn ack(&mut self, now: u64, ack: u64, blocks: &[Range<StreamPos>]) -> bool {
        let blocks = SackBlocks::sort(blocks, at(ack), self.board.queue.end());
        let context = DeliveryContext {
            now: ms(now),
            tsecr: None,
            min_rtt: self.facts.min_rtt,
            fack: self.rack.fack(),
            timeout_point: None,
        };
        let mut delivery = Delivery::new(context);
        self.board.apply(at(ack), &blocks, &mut delivery);
        self.rack.on_delivery(ms(now), &delivery);
        let queue = &self.board.queue;
        let dsack = blocks.duplicate.is_some();
        self.rack.adapt_window(dsack, queue.start(), queue.end(), false);
        self.rack.detect_loss(ms(now), &mut self.board.queue, &self.facts)
    }

    fn expire(&mut self, now: u64) -> bool {
        self.rack.detect_loss(ms(now), &mut self.board.queue, &self.facts)
    }

    fn retransmit(&mut self, number: u64, now: u64) {
        self.rack.on_retransmit();
        self.board.queue.retransmit(number, &transmission(number, now));
    }

    fn lost(&self) -> u64 {
        self.board.queue.lost() / 100
    }
}

fn transmission(number: u64, millis: u64) -> Transmission {
    Transmission {
        now: ms(millis),
        start: at(number * 100),
        end: at(number * 100 + 100),
        tsval: None,
    }
}

/// RFC 8985 §9.1 example 1: P1 and P3 of three are lost.
#[test]
fn an_application_limited_flight_is_repaired_without_a_timeout() {
    let mut bench = Bench::new(&[0, 20, 40]);
    assert!(bench.ack(60, 0, &[range(100, 200)]), "P1, a window before P2");
    assert_eq!(bench.board.queue.first_lost(), Some(0));
    bench.facts.in_recovery = true;
    bench.retransmit(0, 60);
    assert!(bench.ack(100, 200, &[]), "P3, sent before R1");
    assert_eq!(bench.board.queue.first_lost(), Some(2));
}

/// RFC 8985 §9.1 example 2: R1 is lost, R2 is not.
#[test]
fn a_lost_retransmission_is_found() {
    let mut bench = Bench::new(&[0, 10, 20]);
    bench.rack.reordering_seen = true;
    assert!(bench.ack(60, 0, &[range(200, 300)]));
    assert_eq!(bench.lost(), 2, "P1 and P2: 10 ms is the window");
    bench.facts.in_recovery = true;
    bench.retransmit(0, 60);
    bench.retransmit(1, 75);
    assert!(bench.ack(115, 0, &[range(100, 300)]));
    assert_eq!(bench.board.queue.first_lost(), Some(0));
}

/// RFC 8985 §9.1 example 3: P3 overtakes P1 and P2.
#[test]
fn reordering_within_the_window_is_waited_for() {
    let mut bench = Bench::new(&[0, 1, 2]);
    bench.rack.reordering_seen = true;
    assert!(!bench.ack(42, 0, &[range(200, 300)]));
    // The earliest of the two: P1's time of sending, the round trip, the window.
    assert_eq!(bench.rack.deadline(), Some(ms(40 + 10)));
    assert!(!bench.ack(45, 300, &[]));
    assert_eq!(bench.rack.deadline(), None);
}

#[test]
fn each_expiry_marks_the_earliest_and_waits_for_the_next() {
    let mut bench = Bench::new(&[0, 1, 2]);
    bench.rack.reordering_seen = true;
    bench.ack(42, 0, &[range(200, 300)]);
    assert!(bench.expire(50));
    assert_eq!((bench.lost(), bench.rack.deadline()), (1, Some(ms(51))));
    assert!(bench.expire(51));
    assert_eq!((bench.lost(), bench.rack.deadline()), (2, None));
}

/// RFC 8985 §6.2: segments of one burst have one time of transmission.
#[test]
fn positions_break_ties_of_time() {
    let mut bench = Bench::new(&[0, 0, 0, 0]);
    bench.facts.in_recovery = true;
    assert!(bench.ack(40, 0, &[range(200, 300)]));
    assert_eq!(bench.lost(), 2, "not the one after it");
}

#[test]
fn dupthresh_closes_the_window_until_reordering_is_seen() {
    let mut bench = Bench::new(&[0, 0, 0, 0]);
    assert!(!bench.ack(40, 0, &[range(100, 200)]));
    assert_eq!(bench.rack.window(), dur(10));
    assert!(!bench.ack(40, 0, &[range(100, 300)]));
    assert!(bench.ack(40, 0, &[range(100, 400)]));
    assert_eq!((bench.rack.window(), bench.lost()), (Span::ZERO, 1));

    let mut bench = Bench::new(&[0, 0, 0, 0]);
    bench.rack.reordering_seen = true;
    assert!(!bench.ack(40, 0, &[range(100, 400)]));
    assert_eq!(bench.rack.window(), dur(10));
}

#[test]
fn a_segment_delivered_late_is_reordering() {
    let mut bench = Bench::new(&[0, 1, 2]);
    bench.ack(42, 0, &[range(200, 300)]);
    assert!(!bench.rack.reordering_seen());
    bench.ack(43, 0, &[range(100, 300)]);
    assert!(bench.rack.reordering_seen());
}

/// RFC 8985 §6.2 step 4: (N + 1) * min_RTT / 4 after N rounds with a DSACK.
#[test]
fn each_round_with_a_dsack_widens_the_window() {
    let mut bench = Bench::new(&[0; 10]);
    bench.rack.reordering_seen = true;
    bench.facts.srtt = Some(dur(35));
    for _ in 0..9 {
        bench.rack.on_retransmit();
    }
    let mut windows = Vec::new();
    for round in 1..=5 {
        for _ in 0..2 {
            // Twice a round; counted once, until SND.UNA passes what was SND.NXT.
            bench.ack(40, round * 100, &[range(0, 100)]);
            windows.push(bench.rack.window().as_nanos() / 1_000_000);
        }
        bench.rack.dsack_round = Some(at(round * 100 + 1));
    }
    assert_eq!(windows, [20, 20, 30, 30, 35, 35, 35, 35, 35, 35], "bounded by SRTT");
}

#[test]
fn a_dsack_that_answers_no_retransmission_widens_nothing() {
    let mut bench = Bench::new(&[0, 0]);
    bench.rack.reordering_seen = true;
    bench.ack(40, 100, &[range(0, 100)]);
    assert_eq!(bench.rack.window(), dur(10));
}

#[test]
fn the_window_is_narrow_again_after_sixteen_recoveries() {
    let mut rack = Rack::new();
    rack.on_retransmit();
    rack.adapt_window(true, at(0), at(100), false);
    for _ in 0..15 {
        rack.adapt_window(false, at(0), at(100), true);
    }
    assert_eq!(rack.window_multiplier, 2);
    rack.adapt_window(false, at(0), at(100), true);
    assert_eq!(rack.window_multiplier, 1);
}

#[test]
fn nothing_delivered_is_nothing_lost() {
    let mut bench = Bench::new(&[0, 0]);
    assert!(!bench.expire(1_000_000));
    assert_eq!((bench.lost(), bench.rack.deadline()), (0, None));
}

/// §6.3.
#[test]
fn a_timeout_spares_what_was_sent_lately() {
    let mut bench = Bench::new(&[0, 10, 200, 210]);
    bench.ack(50, 100, &[]);
    assert_eq!(bench.rack.age_lost_on_timeout(), dur(50 + 10));
    bench.board.queue.retransmit(1, &transmission(1, 300));
    bench.board.mark_lost_on_timeout(ms(260), bench.rack.age_lost_on_timeout());
    // The first outstanding, however lately sent, and 200; not 210.
    assert_eq!(bench.lost(), 2);
    assert_eq!(bench.board.queue.earliest_sent(), Some(3));
}
