//! Resets (RFC 9293 §3.5.2-3, §3.10.7.1) and the defences of RFC 5961.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;

use tou_proto::wire::SegmentFlags;
use tou_proto::{
    ConnId, ConnectionError, EndpointConfig, Event, Port, ReadError, State, WriteError,
};
use tou_sim::presets;
use tou_sim::script::{Script, ack, data, fin, rst, rst_ack, seg, syn, syn_ack};

fn established() -> (Script, ConnId) {
    Script::established(presets::plain(), syn(0).mss(1_000))
}

#[test]
fn segments_for_nobody_are_answered_with_the_reset_they_deserve() {
    let mut script = Script::new(Arc::default());
    script.set_peer_isn(0);
    // With ACK: the reset takes its number from there.
    script.inject(ack(100, 777));
    script.expect(rst(777));
    script.inject(fin(100, 778).len(10));
    script.expect(rst(778));
    script.inject(syn_ack(0, 779));
    script.expect(rst(779));
    // Without: zero, and everything is acknowledged.
    script.inject(syn(100));
    script.expect(rst_ack(0, 101));
    script.inject(seg(SegmentFlags::FIN).seq(100).len(10));
    script.expect(rst_ack(0, 111));
    script.inject(seg(SegmentFlags::EMPTY).seq(100).len(10));
    script.expect(rst_ack(0, 110));
    // Never for a reset.
    script.inject(rst(100));
    script.inject(rst_ack(100, 100));
    script.expect_nothing();
    let counters = script.host.endpoint().counters();
    assert_eq!((counters.stray_segments, counters.resets_sent), (8, 6));
}

#[test]
fn resets_for_nobody_are_limited_for_each_source() {
    // A twentieth to a tenth of the limit for one source.
    let config = EndpointConfig::builder().with_stray_replies_per_second(60).build().unwrap();
    let mut script = Script::new(config);
    let mut answers = || {
        (0..10).for_each(|_| script.inject_loosely(ack(1, 1)));
        let answers = script.take_output().len();
        script.advance(1_000);
        answers
    };
    let (first, second) = (answers(), answers());
    assert!((3..=6).contains(&first) && (3..=6).contains(&second), "{first}, {second}");
    let suppressed = script.host.endpoint().counters().stray_replies_suppressed;
    assert_eq!(suppressed, 20 - (first + second) as u64);
}

#[test]
fn nobody_learns_of_others_from_the_limit_of_resets() {
    // CVE-2016-5696: an attacker sends one segment in a victim's name, then many
    // in its own, and counts the answers to those. Their number must not tell
    // whether the victim's was answered, which is whether it has a connection.
    let answers_to_the_attacker = |victim_is_connected: bool| {
        let mut script = Script::with_connection(presets::plain());
        if victim_is_connected {
            script.establish(syn(0).mss(1_000));
        }
        script.advance(5_000);
        script.inject_loosely(ack(500_000, 77));
        script.take_output();
        script.peer = "198.51.100.1:999".parse().unwrap();
        script.peer_port = Port::new(1).unwrap();
        let answers = (0..2_000).filter(|_| {
            script.inject_loosely(ack(500_000, 77));
            !script.take_output().is_empty()
        });
        answers.count()
    };
    let answers = answers_to_the_attacker(true);
    assert!(answers > 0);
    assert_eq!(answers, answers_to_the_attacker(false));
}

#[test]
fn listener_answers_only_a_syn() {
    let mut script = Script::listening(Arc::default());
    script.inject(rst(0));
    script.expect_nothing();
    script.inject(ack(1, 55));
    script.expect(rst(55));
    script.inject(seg(SegmentFlags::EMPTY).seq(1).len(5));
    script.expect_nothing();
    script.inject(syn(0));
    script.expect(syn_ack(0, 1));
}

#[test]
fn reset_at_the_next_number_ends_the_connection() {
    let (mut script, conn) = established();
    script.inject(data(1, 1, "read me"));
    script.expect_event(Event::Readable(conn));
    script.inject(rst(8));
    script.expect_silence(100);
    script.expect_event(Event::Closed(conn, Some(ConnectionError::Reset)));
    let reset = ConnectionError::Reset;
    assert_eq!(script.host.write(conn, b"x"), Err(WriteError::Closed(reset)));
    assert_eq!(script.host.read_all(conn), (b"read me".to_vec(), Err(ReadError::Closed(reset))));
}

#[test]
fn reset_elsewhere_in_the_window_is_challenged() {
    // RFC 5961 §3.2.
    let (mut script, conn) = established();
    for number in [2, 1_000, 65_535] {
        script.inject(rst(number));
        script.expect(ack(1, 1));
    }
    assert_eq!(script.host.info(conn).unwrap().counters.challenge_acks, 3);
    assert_eq!(script.state(conn), State::Established);
    // A peer that means it knows better now.
    script.inject(rst(1));
    assert_eq!(script.state(conn), State::Closed);
}

#[test]
fn reset_outside_the_window_is_dropped() {
    let (mut script, conn) = established();
    for number in [0, 65_536, 1_000_000, 1 << 31, u32::MAX] {
        script.inject(rst(number));
        script.expect_nothing();
    }
    assert_eq!(script.state(conn), State::Established);
}

#[test]
fn syn_on_an_established_connection_is_challenged() {
    // RFC 5961 §4.2.
    let (mut script, conn) = established();
    for number in [0, 1, 30_000, 1 << 30] {
        script.inject(syn(number));
        script.expect(ack(1, 1));
    }
    assert_eq!(script.state(conn), State::Established);
}

#[test]
fn ack_of_the_impossible_is_challenged_and_its_data_dropped() {
    // RFC 5961 §5.2.
    let (mut script, conn) = established();
    script.inject(data(1, 2, "forged"));
    script.expect(ack(1, 1));
    script.inject(data(1, 1_u32.wrapping_sub(70_000), "forged"));
    script.expect(ack(1, 1));
    assert_eq!(script.host.read(conn, &mut [0; 9]), Err(ReadError::WouldBlock));
}

#[test]
fn late_ack_is_ignored_but_its_data_is_not() {
    let (mut script, conn) = established();
    script.host.write(conn, b"12345").unwrap();
    script.expect(data(1, 1, "12345"));
    script.inject(ack(1, 6));
    script.inject(data(1, 1, "late"));
    assert_eq!(script.host.read_all(conn).0, b"late");
}

#[test]
fn challenges_are_limited_for_each_connection() {
    // RFC 5961 §7; counted by connection, so that nobody learns of others.
    let (mut script, conn) = established();
    let mut challenges = || {
        (0..20).for_each(|_| script.inject_loosely(syn(100)));
        let answers = script.take_output().len();
        script.advance(2_000);
        answers
    };
    let first = challenges();
    assert!((1..=10).contains(&first), "{first}");
    assert_eq!(challenges(), first);
    let counters = script.host.info(conn).unwrap().counters;
    assert_eq!(counters.challenge_acks, 2 * first as u64);
    assert_eq!(counters.challenge_acks + counters.challenge_acks_suppressed, 40);
}

#[test]
fn reset_of_a_half_open_connection_leaves_the_listener_alone() {
    let mut script = Script::with_connection(presets::plain());
    script.listen(1);
    script.inject(syn(0));
    script.expect(syn_ack(0, 1));
    script.inject(rst(1));
    script.expect_silence(5_000);
    assert_eq!(script.host.next_event(), None);
    assert_eq!(script.host.endpoint().connection_count(), 0);
    script.forget_isn();
    script.establish(syn(0));
}

#[test]
fn reset_of_a_half_open_connection_needs_the_next_number() {
    let mut script = Script::with_connection(presets::plain());
    script.listen(1);
    script.inject(syn(0));
    script.expect(syn_ack(0, 1));
    script.inject(rst(2));
    script.expect(ack(1, 1));
    script.inject(rst(70_000));
    script.expect_nothing();
    script.inject(ack(1, 1));
    script.accept();
}

#[test]
fn segments_without_ack_are_dropped_once_established() {
    let (mut script, conn) = established();
    script.inject(seg(SegmentFlags::EMPTY).seq(1).data("quiet"));
    script.inject(seg(SegmentFlags::FIN).seq(1));
    script.expect_nothing();
    assert_eq!(script.state(conn), State::Established);
}

#[test]
fn what_is_no_segment_is_counted_and_dropped() {
    let (mut script, _) = established();
    let before = script.host.endpoint().counters().malformed_segments;
    for octets in [&[0_u8; 19][..], &[0; 20], &[0xFF; 59], &[1]] {
        script.inject_octets(octets.to_vec());
        script.expect_nothing();
    }
    assert_eq!(script.host.endpoint().counters().malformed_segments - before, 4);
}

#[test]
fn segment_from_another_udp_port_neither_moves_nor_kills_a_connection() {
    let (mut script, conn) = established();
    let home = script.peer;
    script.peer.set_port(1_234);
    for segment in [data(1, 1, "hijack"), rst(1), fin(1, 1)] {
        script.inject(segment);
        script.expect_nothing();
    }
    assert!(script.host.endpoint().counters().wrong_path >= 2);
    script.peer = home;
    script.inject(data(1, 1, "genuine"));
    assert_eq!(script.host.read_all(conn).0, b"genuine");
}
