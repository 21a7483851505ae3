//! When acknowledgments go and what they say (RFC 9293 §3.8.6.3, RFC 5681 §4.2,
//! RFC 2018, RFC 2883, RFC 7323 §4.3).

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use tou_proto::{ConnId, ConnectionConfigBuilder, Event};
use tou_sim::presets;
use tou_sim::script::{Script, ack, data, fin, rst, syn};

fn established() -> (Script, ConnId) {
    with(|config| config)
}

fn with(change: impl Fn(ConnectionConfigBuilder) -> ConnectionConfigBuilder) -> (Script, ConnId) {
    let config = change(presets::plain_builder()).build().unwrap();
    Script::established(config, syn(0).mss(1_000).sack_ok())
}

fn with_sack() -> (Script, ConnId) {
    with(|config| config.with_sack(true))
}

/// A full-sized segment.
fn full(seq: u32) -> tou_sim::Seg {
    ack(seq, 1).len(1_000)
}

#[test]
fn lone_segment_is_acknowledged_after_the_delay() {
    let (mut script, _) = established();
    script.inject(full(1));
    script.expect_after(40, ack(1, 1_001));
    script.expect_silence(1_000);
}

#[test]
fn ack_delay_is_configured() {
    let (mut script, _) = with(|config| config.with_ack_delay(core::time::Duration::ZERO));
    script.inject(full(1));
    script.expect(ack(1, 1_001));
}

#[test]
fn second_full_segment_is_acknowledged_at_once() {
    let (mut script, _) = established();
    script.inject(full(1));
    script.advance(30);
    script.inject(full(1_001));
    script.expect(ack(1, 2_001));
    script.expect_silence(1_000);
}

#[test]
fn small_segments_share_an_acknowledgment() {
    let (mut script, _) = established();
    script.inject(full(1));
    script.inject(full(1_001));
    script.expect(ack(1, 2_001));
    script.inject(data(2_001, 1, "a"));
    script.advance(10);
    script.inject(data(2_002, 1, "b"));
    script.expect_after(30, ack(1, 2_003));
}

#[test]
fn small_segments_alone_share_a_delayed_acknowledgment() {
    // RFC 9293 §3.8.6.3, SHLD-19, asks for one for each second full-sized
    // segment, and eight octets are none, whatever else the peer has sent.
    let (mut script, _) = established();
    for index in 0..4 {
        script.inject(data(1 + 8 * index, 1, vec![0; 8]));
    }
    script.expect_after(40, ack(1, 33));
    // The default MSS is full-sized to a peer that sends no more.
    script.inject(ack(33, 1).len(536));
    script.inject(ack(569, 1).len(536));
    script.expect(ack(1, 1_105));
}

#[test]
fn segments_larger_than_was_announced_are_not_the_measure_of_full_ones() {
    let (mut script, _) = with(|config| config.with_max_mss(1_000));
    script.inject(ack(1, 1).len(4_000));
    script.expect(ack(1, 4_001));
    script.inject(full(4_001));
    script.inject(full(5_001));
    script.expect(ack(1, 6_001));
}

#[test]
fn batch_is_acknowledged_once() {
    // RFC 9293 §3.10.7.4, MUST-58 and MUST-59.
    let (mut script, conn) = established();
    script.inject_batch((0..20).map(|index| full(1 + index * 1_000)));
    script.expect(ack(1, 20_001));
    script.expect_nothing();
    script.expect_event(Event::Readable(conn));
    assert_eq!(script.host.next_event(), None);
}

#[test]
fn acknowledgment_rides_on_data() {
    let (mut script, conn) = established();
    script.inject(data(1, 1, "ping"));
    script.host.write(conn, b"pong").unwrap();
    script.expect(data(1, 5, "pong"));
    script.expect_silence(100);
}

#[test]
fn data_out_of_order_is_acknowledged_at_once() {
    let (mut script, conn) = established();
    script.inject(full(1_001));
    script.expect(ack(1, 1));
    script.inject(full(2_001));
    script.expect(ack(1, 1));
    // And so is what fills the gap.
    script.inject(full(1));
    script.expect(ack(1, 3_001));
    assert_eq!(script.host.info(conn).unwrap().counters.out_of_order_segments, 2);
}

#[test]
fn acknowledgments_are_not_delayed_for_a_while_after_disorder() {
    let (mut script, _) = established();
    script.inject(full(1_001));
    script.expect(ack(1, 1));
    script.inject(full(1));
    script.expect(ack(1, 2_001));
    script.inject(full(2_001));
    script.expect(ack(1, 3_001));
}

#[test]
fn duplicate_is_acknowledged_at_once() {
    let (mut script, conn) = established();
    script.inject(full(1));
    script.expect_after(40, ack(1, 1_001));
    script.inject(full(1));
    script.expect(ack(1, 1_001));
    assert_eq!(script.host.info(conn).unwrap().counters.duplicate_bytes_received, 1_000);
}

#[test]
fn fin_is_acknowledged_at_once() {
    let (mut script, _) = established();
    script.inject(fin(1, 1).data("end"));
    script.expect(ack(1, 5));
}

#[test]
fn acknowledgments_are_not_acknowledged() {
    let (mut script, _) = established();
    for _ in 0..3 {
        script.inject(ack(1, 1));
    }
    script.expect_silence(10_000);
}

#[test]
fn sack_names_the_newest_block_first() {
    // RFC 2018 §4.
    let (mut script, _) = with_sack();
    script.inject(full(2_001));
    script.expect(ack(1, 1).sack(&[(2_001, 3_001)]));
    script.inject(full(6_001));
    script.expect(ack(1, 1).sack(&[(6_001, 7_001), (2_001, 3_001)]));
    script.inject(full(3_001));
    script.expect(ack(1, 1).sack(&[(2_001, 4_001), (6_001, 7_001)]));
    script.inject(full(8_001));
    script.expect(ack(1, 1).sack(&[(8_001, 9_001), (2_001, 4_001), (6_001, 7_001)]));
    script.inject(full(1));
    script.expect(ack(1, 1_001).sack(&[(8_001, 9_001), (2_001, 4_001), (6_001, 7_001)]));
    script.inject(full(1_001));
    script.expect(ack(1, 4_001).sack(&[(8_001, 9_001), (6_001, 7_001)]));
}

#[test]
fn sack_has_at_most_four_blocks_and_three_beside_timestamps() {
    let blocks = |timestamps: bool| {
        let config = presets::plain_builder().with_sack(true).with_timestamps(timestamps);
        let mut script = Script::with_connection(config.build().unwrap());
        let offer = syn(0).mss(1_000).sack_ok();
        script.establish(if timestamps { offer.ts(1, 0) } else { offer });
        for index in 1..=6 {
            script.inject_loosely(full(1 + 2_000 * index));
        }
        script.take_output().pop().unwrap().0.options.sack.len()
    };
    assert_eq!((blocks(false), blocks(true)), (4, 3));
}

#[test]
fn duplicates_are_reported_first() {
    // RFC 2883 §4.
    let (mut script, _) = with_sack();
    script.inject(full(1));
    script.inject(full(1_001));
    script.expect(ack(1, 2_001).sack(&[]));
    script.inject(full(1_001));
    script.expect(ack(1, 2_001).sack(&[(1_001, 2_001)]));
    // Within what waits out of order, the block around it follows.
    script.inject(full(4_001));
    script.expect(ack(1, 2_001).sack(&[(4_001, 5_001)]));
    script.inject(full(5_001));
    script.expect(ack(1, 2_001).sack(&[(4_001, 6_001)]));
    script.inject(full(4_001));
    script.expect(ack(1, 2_001).sack(&[(4_001, 5_001), (4_001, 6_001)]));
    // Reported once.
    script.inject(full(6_001));
    script.expect(ack(1, 2_001).sack(&[(4_001, 7_001)]));
}

#[test]
fn partly_new_data_is_taken_and_the_rest_reported() {
    let (mut script, conn) = with_sack();
    script.inject(ack(1, 1).data("abcd"));
    script.inject(ack(3, 1).data("cdef"));
    script.expect_eventually(ack(1, 7).sack(&[(3, 5)]));
    assert_eq!(script.host.read_all(conn).0, b"abcdef");
}

#[test]
fn all_blocks_of_a_batch_are_told_of() {
    // A hole before each segment: more blocks than one ACK has room for.
    let (mut script, _) = with_sack();
    let block = |n: u32| (n * 20 + 11, n * 20 + 21);
    let segments = |blocks: core::ops::Range<u32>| {
        blocks.map(move |n| ack(block(n).0, 1).len(10)).collect::<Vec<_>>()
    };
    script.inject_batch(segments(0..10));
    script.expect(ack(1, 1).sack(&[block(3), block(2), block(1), block(0)]));
    script.expect(ack(1, 1).sack(&[block(7), block(6), block(5), block(4)]));
    script.expect(ack(1, 1).sack(&[block(9), block(8), block(7), block(6)]));
    script.expect_silence(1_000);
    // Four and fewer need one, and one run of segments is one block.
    script.inject_batch(segments(10..14));
    script.expect(ack(1, 1).sack(&[block(13), block(12), block(11), block(10)]));
    script.inject_batch((0..20).map(|n| ack(401 + n * 10, 1).len(10)));
    script.expect(ack(1, 1).sack(&[(401, 601), block(13), block(12), block(11)]));
    script.expect_silence(1_000);
}

#[test]
fn batch_of_nothing_but_holes_costs_a_few_acknowledgments() {
    let (mut script, _) = with_sack();
    script.inject_batch((0..1_000).map(|n| ack(n * 2 + 2, 1).len(1)));
    assert!((2..=5).contains(&script.take_output().len()));
    script.expect_silence(1_000);
}

#[test]
fn without_sack_there_are_no_blocks() {
    let (mut script, _) = established();
    script.inject(full(2_001));
    script.expect(ack(1, 1).sack(&[]));
}

#[test]
fn without_sack_each_segment_out_of_order_of_a_batch_is_a_duplicate() {
    // RFC 5681 §4.2. The first acknowledgment is of something new, and no duplicate.
    let (mut script, conn) = established();
    script.inject_batch([full(1), full(2_001), full(3_001), full(4_001)]);
    for _ in 0..4 {
        script.expect(ack(1, 1_001));
    }
    script.expect_silence(1_000);
    script.host.write(conn, b"a").unwrap();
    script.expect(data(1, 1_001, "a"));
    script.inject_batch([full(5_001), full(6_001)]);
    script.expect(ack(2, 1_001));
    script.expect(ack(2, 1_001));
    script.expect_nothing();
    // What was missing makes them needless.
    script.inject_batch([full(7_001), full(8_001), full(1_001)]);
    script.expect(ack(2, 9_001));
    script.expect_nothing();
}

#[test]
fn first_arrival_wins_where_data_overlaps() {
    let (mut script, conn) = with_sack();
    script.inject(ack(5, 1).data("56"));
    script.inject_loosely(ack(3, 1).data("xxyyzz"));
    script.inject_loosely(ack(1, 1).data("12"));
    assert_eq!(script.host.read_all(conn).0, b"12xx56zz");
}

#[test]
fn echoed_timestamp_is_the_oldest_not_yet_acknowledged() {
    // RFC 7323 §4.3.
    let config = presets::plain_builder().with_timestamps(true).build().unwrap();
    let mut script = Script::with_connection(config);
    script.establish(syn(0).mss(1_000).ts(100, 0));
    script.inject(full(1).ts(110, 0));
    script.inject(full(1_001).ts(120, 0));
    script.expect(ack(1, 2_001).ecr(110));
    // Out of order: the echo stays that of the last segment in order.
    script.inject(full(3_001).ts(130, 0));
    script.expect(ack(1, 2_001).ecr(110));
    script.inject(full(2_001).ts(140, 0));
    script.expect(ack(1, 4_001).ecr(140));
}

#[test]
fn old_timestamp_is_refused() {
    // PAWS (RFC 7323 §5.3).
    let config = presets::plain_builder().with_timestamps(true).build().unwrap();
    let mut script = Script::with_connection(config);
    let conn = script.establish(syn(0).mss(1_000).ts(100, 0));
    script.inject(data(1, 1, "old").ts(99, 0));
    script.expect(ack(1, 1));
    assert_eq!(script.host.info(conn).unwrap().counters.paws_rejected, 1);
    script.inject(data(1, 1, "new").ts(100, 0));
    script.expect_eventually(ack(1, 4));
    // A missing timestamp is borne.
    script.inject(data(4, 1, "bare").no_ts());
    script.expect_eventually(ack(1, 8));
}

#[test]
fn timestamp_of_a_forged_segment_does_not_count() {
    // RFC 7323 §4.3 speaks of accepted segments; RFC 5961 §4.2 and §5.2 accept
    // none of these. If their timestamps counted, all the peer's would be old.
    let config = presets::plain_builder().with_timestamps(true).build().unwrap();
    let mut script = Script::with_connection(config);
    let conn = script.establish(syn(0).mss(1_000).ts(100, 0));
    let future = 100 + 0x7000_0000;
    for forged in [
        data(1, 0x4000_0000, "forged").ts(future, 0),
        data(1, 0x9000_0000, "forged").ts(future, 0),
        syn(1).ts(future, 0),
    ] {
        script.inject(forged);
        script.expect(ack(1, 1).ecr(100));
    }
    script.inject(rst(2).ts(future, 0));
    script.expect(ack(1, 1).ecr(100));
    script.inject(data(1, 1, "genuine").ts(110, 0));
    script.expect_eventually(ack(1, 8).ecr(110));
    assert_eq!(script.host.read_all(conn).0, b"genuine");
    assert_eq!(script.host.info(conn).unwrap().counters.paws_rejected, 0);
}
