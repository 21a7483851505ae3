extern crate std;

use super::*;
use quickcheck::quickcheck;
use std::vec;

fn at(position: u64) -> StreamPos {
    StreamPos::from_raw(position)
}

fn sent(start: u64, end: u64, millis: u64) -> Transmission {
    Transmission { now: Instant::from_millis(millis), start: at(start), end: at(end), tsval: None }
}

fn queue(segments: u64) -> SentQueue {
    let mut queue = SentQueue::new();
    for i in 0..segments {
        queue.push(&sent(i * 100, (i + 1) * 100, i));
    }
    queue
}

fn order(queue: &SentQueue) -> Vec<SegmentNumber> {
    queue.by_transmission().map(|(_, number)| number).collect()
}

#[test]
fn a_segment_fits_a_cache_line() {
    assert!(size_of::<SentSegment>() <= 64);
}

#[test]
fn a_retransmission_becomes_the_latest_sent() {
    let mut queue = queue(4);
    queue.mark_lost(1);
    assert_eq!(order(&queue), [0, 2, 3]);
    assert_eq!((queue.in_flight(), queue.lost()), (300, 100));
    queue.retransmit(1, &sent(100, 200, 9));
    assert_eq!(order(&queue), [0, 2, 3, 1]);
    assert_eq!((queue.in_flight(), queue.lost()), (400, 0));
    let segment = queue.get(1).expect("outstanding");
    assert!(segment.retransmitted);
    queue.check_invariants();
}

#[test]
fn a_probe_of_a_segment_in_flight_counts_its_bytes_once() {
    let mut queue = queue(2);
    queue.retransmit(0, &sent(0, 100, 9));
    assert_eq!(queue.in_flight(), 200);
    assert_eq!(order(&queue), [1, 0]);
    queue.check_invariants();
}

#[test]
fn restored_segments_return_to_their_place_in_time() {
    let mut queue = queue(5);
    for number in [0, 1, 3] {
        queue.mark_lost(number);
    }
    queue.retransmit(0, &sent(0, 100, 9));
    queue.restore_lost();
    assert_eq!(order(&queue), [1, 2, 3, 4, 0]);
    queue.check_invariants();
}

#[test]
fn time_that_goes_back_does_not_disorder_the_list() {
    let mut queue = queue(3);
    queue.push(&sent(300, 400, 0));
    assert_eq!(queue.back().map(|s| s.sent_at), Some(Instant::from_millis(2)));
    queue.check_invariants();
}

#[test]
fn cutting_segments_keeps_states_and_order() {
    let mut queue = queue(4);
    queue.mark_lost(0);
    queue.mark_sacked(2);
    queue.retransmit(1, &sent(100, 200, 9));
    queue.resegment(|_| 60);
    queue.check_invariants();
    assert_eq!(queue.len(), 8);
    assert_eq!((queue.in_flight(), queue.lost(), queue.sacked()), (200, 100, 100));
    assert_eq!(queue.sacked_segments(), 2);
    assert_eq!(order(&queue), [6, 7, 2, 3]);
    assert_eq!(queue.first_lost(), Some(0));
}

quickcheck! {
    /// Any sequence of operations keeps the counts equal to the sums.
    fn counts_equal_the_sums(steps: Vec<(u8, u8)>) -> bool {
        let mut queue = SentQueue::new();
        let mut now = 0;
        for (what, which) in steps {
            now += 1;
            let number = queue.front_number() + u64::from(which) % (queue.len() as u64 + 1);
            match what % 9 {
                0..=2 => {
                    let start = queue.end().raw();
                    queue.push(&sent(start, start + u64::from(which) + 1, now));
                }
                3 => queue.mark_lost(number),
                4 => drop(queue.mark_sacked(number)),
                5 => queue.retransmit(number, &sent(0, 0, now)),
                6 => {
                    let to = queue.start() + u64::from(which);
                    while queue.pop_acknowledged(to).is_some() {}
                    queue.trim_front(to);
                }
                7 => queue.restore_lost(),
                _ if which % 4 == 0 => queue.resegment(|_| u64::from(which / 4)),
                _ => queue.mark_reneged(number),
            }
            queue.check_invariants();
        }
        true
    }
}

#[test]
fn segments_are_found_by_position() {
    let queue = queue(3);
    let found: Vec<_> = [0, 1, 100, 299].iter().map(|p| queue.first_from(at(*p))).collect();
    assert_eq!(found, vec![0, 1, 1, 3]);
    let found: Vec<_> = [0, 99, 100, 300].iter().map(|p| queue.end_before(at(*p))).collect();
    assert_eq!(found, vec![0, 0, 1, 3]);
}
