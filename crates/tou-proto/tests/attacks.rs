//! What somebody can do who is not on the path, sees nothing and guesses
//! (docs/SECURITY.md): whole number spaces are tried, and what came of it is
//! counted. Single forged segments are in reset.rs, paths.rs and acks.rs, floods in
//! hostile.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;

use tou_proto::{ConnId, ConnectionCounters, PathError, PathErrorKind, Port, SeqNumber, State};
use tou_sim::presets;
use tou_sim::script::{Script, ack, data, rst, syn};

/// The window of each side. An attacker who knows it needs no smaller steps.
const WINDOW: u32 = 65_535;

fn established() -> (Script, ConnId) {
    Script::established(presets::plain(), syn(0).mss(1_460))
}

/// Numbers as far apart as a window is wide, from `first` on, once around.
fn once_around(first: u32) -> impl Iterator<Item = u32> {
    (0..u32::MAX / WINDOW).map(move |step| first.wrapping_add(step.wrapping_mul(WINDOW)))
}

fn counters(script: &Script, conn: ConnId) -> ConnectionCounters {
    script.host.info(conn).unwrap().counters
}

#[test]
fn blind_resets_a_window_apart_reset_nothing() {
    // RFC 5961 §3: before it, one of these ended the connection.
    let (mut script, conn) = established();
    once_around(2).for_each(|number| script.inject_loosely(rst(number)));
    assert_eq!(script.state(conn), State::Established);
    let counters = counters(&script, conn);
    let in_window = counters.challenge_acks + counters.challenge_acks_suppressed;
    assert!((1..=2).contains(&in_window), "{in_window}");
    assert!(script.take_output().len() <= 2);
}

#[test]
fn blind_syns_change_nothing_and_are_hardly_answered() {
    // RFC 5961 §4. All of them deserve a challenge ACK.
    let (mut script, conn) = established();
    once_around(0).for_each(|number| script.inject_loosely(syn(number)));
    assert_eq!(script.state(conn), State::Established);
    assert_eq!(script.take_output().len(), 5);
    let counters = counters(&script, conn);
    assert_eq!(counters.challenge_acks, 5);
    assert!(counters.challenge_acks_suppressed > 65_000);
    script.inject(data(1, 1, "genuine"));
    assert_eq!(script.host.read_all(conn).0, b"genuine");
}

#[test]
fn blind_data_needs_a_good_ack_number_too() {
    // RFC 5961 §5: one in 65,536 of the ACK numbers will do with a window of 64 KiB,
    // and as many of the sequence numbers: 2^32 guesses together.
    let (mut script, conn) = established();
    for number in once_around(1) {
        script.inject_loosely(data(1_000, number, "x"));
        script.take_output();
    }
    let taken = counters(&script, conn);
    let taken = taken.out_of_order_segments + taken.duplicate_bytes_received;
    assert!((1..=2).contains(&taken), "{taken}");

    let (mut script, conn) = established();
    for number in once_around(1_000) {
        script.inject_loosely(data(number, 1, "x"));
        script.take_output();
    }
    let taken = counters(&script, conn);
    let taken = taken.out_of_order_segments + taken.bytes_received;
    assert!((1..=2).contains(&taken), "{taken}");
}

#[test]
fn blind_acks_acknowledge_nothing() {
    let (mut script, conn) = established();
    script.host.write(conn, &[7; 1_000]).unwrap();
    script.take_output();
    // None is of what is in flight.
    for number in once_around(1_002) {
        script.inject_loosely(ack(1, number));
    }
    script.take_output();
    assert_eq!(counters(&script, conn).bytes_acked, 0);
    assert_eq!(script.host.info(conn).unwrap().outstanding, 1_000);
}

#[test]
fn resets_from_every_other_udp_port_do_nothing_and_get_no_answer() {
    let (mut script, conn) = established();
    let home = script.peer;
    for port in (1..=u16::MAX).filter(|port| *port != home.port()) {
        script.peer.set_port(port);
        script.inject(rst(1));
    }
    script.expect_nothing();
    assert_eq!(script.state(conn), State::Established);
}

#[test]
fn resets_to_every_other_tcp_port_do_nothing() {
    let (mut script, conn) = established();
    let home = script.peer_port;
    for port in (1..=u16::MAX).filter_map(Port::new).filter(|port| *port != home) {
        script.peer_port = port;
        script.inject(rst(1));
    }
    script.expect_nothing();
    assert_eq!(script.state(conn), State::Established);
}

#[test]
fn forged_reports_need_a_number_in_flight_and_shrink_segments_no_further_than_the_base() {
    // RFC 5927 §4.1, §7: "port unreachable" and "too big" about everything that was
    // not sent just now.
    const IN_FLIGHT: u32 = 14_520;
    let (mut script, conn) = established();
    script.host.write(conn, &[7; IN_FLIGHT as usize]).unwrap();
    script.take_output();
    assert_eq!(script.host.info(conn).unwrap().outstanding, u64::from(IN_FLIGHT));
    let isn = script.local_isn().unwrap();
    let report = |script: &mut Script, kind, number: u32| {
        let ports = [script.local_port, script.peer_port].map(|port| port.get().to_be_bytes());
        let number = SeqNumber::plus(isn, number).get().to_be_bytes();
        let quoted = [&ports.concat()[..], &number].concat().into();
        let peer = script.peer;
        script.host.handle_path_error(&PathError { peer, kind, quoted });
    };
    let too_big = PathErrorKind::TooBig { mtu: Some(68) };
    let before = script.host.info(conn).unwrap().mss;
    for number in (1 + IN_FLIGHT..=u32::MAX).step_by(IN_FLIGHT as usize - 1) {
        report(&mut script, too_big, number);
        report(&mut script, PathErrorKind::Refused, number);
    }
    script.expect_nothing();
    assert_eq!(script.state(conn), State::Established);
    assert_eq!(script.host.info(conn).unwrap().mss, before);
    // The luckiest of guesses.
    report(&mut script, PathErrorKind::Refused, 1);
    report(&mut script, too_big, 1);
    assert_eq!(script.state(conn), State::Established);
    assert_eq!(script.host.info(conn).unwrap().mss, 1_180);
}

#[test]
fn numbers_of_one_connection_tell_nothing_of_another() {
    // RFC 6528: at one time, from one endpoint, to neighbouring ports.
    let mut script = Script::with_connection(presets::plain());
    script.listen(1_000);
    let isns: Vec<u32> = (1..=500)
        .map(|port| {
            script.peer_port = Port::new(port).unwrap();
            script.forget_isn();
            script.inject_loosely(syn(0));
            script.take_output();
            script.local_isn().unwrap().get()
        })
        .collect();
    let steps: BTreeSet<u32> = isns.windows(2).map(|two| two[1].wrapping_sub(two[0])).collect();
    assert_eq!(steps.len(), isns.len() - 1, "a step twice");
    // In each quarter of the number space there is about a quarter of them.
    for quarter in 0..4 {
        let there = isns.iter().filter(|isn| **isn >> 30 == quarter).count();
        assert!((80..=170).contains(&there), "{there}");
    }
}
