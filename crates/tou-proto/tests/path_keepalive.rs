//! Paths through address translators are kept open by the side that opened them
//! (RFC 4787 REQ-5, REQ-6), with one small segment for each that has been silent.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use core::time::Duration;
use std::sync::Arc;

use tou_proto::{
    ConnId, DatagramMachine, EndpointConfig, EndpointConfigBuilder, Port, Remote, State,
};
use tou_sim::script::{Script, ack, data, fin, syn, syn_ack};
use tou_sim::{Pair, presets};

fn config(change: impl Fn(EndpointConfigBuilder) -> EndpointConfigBuilder) -> Arc<EndpointConfig> {
    change(EndpointConfig::builder().with_connection(presets::plain())).build().unwrap()
}

fn twenty_seconds() -> Arc<EndpointConfig> {
    config(|config| config.with_path_keepalive(Some(Duration::from_secs(20))))
}

/// A connection that this side opened.
fn connected(config: Arc<EndpointConfig>) -> (Script, ConnId) {
    let mut script = Script::new(config);
    let conn = script.connect();
    script.expect(syn(0));
    script.inject(syn_ack(0, 1));
    script.expect(ack(1, 1));
    (script, conn)
}

#[test]
fn silent_path_gets_an_acknowledgment_that_nobody_answers() {
    let (mut script, conn) = connected(twenty_seconds());
    for _ in 0..10 {
        // SEG.SEQ = SND.NXT: a keepalive that asks has SND.NXT - 1.
        script.expect_after(20_000, ack(1, 1));
    }
    assert_eq!(script.host.endpoint().counters().path_keepalives, 10);
    assert_eq!(script.host.info(conn).unwrap().counters.keepalive_probes, 0);

    let mut pair = Pair::builder(1).config(&twenty_seconds()).build();
    let (client, server) = pair.connect();
    pair.run_for(Duration::from_secs(1));
    let before = pair.server().info(server).unwrap().counters;
    pair.run_for(Duration::from_secs(100));
    let after = pair.server().info(server).unwrap().counters;
    assert_eq!(after.segments_received, before.segments_received + 5);
    assert_eq!(after.segments_sent, before.segments_sent);
    assert_eq!(pair.client().info(client).unwrap().state, State::Established);
}

#[test]
fn what_this_side_sends_puts_it_off_and_what_the_peer_sends_does_not() {
    let (mut script, conn) = connected(twenty_seconds());
    script.advance(15_000);
    script.host.write(conn, b"x").unwrap();
    script.expect(data(1, 1, "x"));
    script.inject(ack(1, 2));
    for _ in 0..19 {
        script.advance(1_000);
        script.inject(ack(1, 2));
        script.expect_nothing();
    }
    script.expect_after(1_000, ack(2, 1));
}

#[test]
fn side_that_did_not_open_the_path_has_no_deadline() {
    let mut script = Script::new(twenty_seconds());
    script.establish(syn(0).mss(1_000));
    assert_eq!(script.host.deadline(), None);
    // Nor does it when it connects over that path itself.
    let remote = Remote { addr: script.peer, port: Port::new(80).unwrap() };
    script.host.connect(remote, None).unwrap();
    script.take_output();
    assert_eq!(script.host.endpoint().counters().path_keepalives, 0);
    script.advance(60_000);
    assert_eq!(script.host.endpoint().counters().path_keepalives, 0);
    script.take_output();
}

#[test]
fn it_can_be_switched_off() {
    let (script, _) = connected(config(|config| config.with_path_keepalive(None)));
    assert_eq!(script.host.deadline(), None);
}

#[test]
fn path_without_connections_is_left_alone() {
    let (mut script, conn) = connected(twenty_seconds());
    script.host.close(conn).unwrap();
    script.expect(fin(1, 1));
    script.inject(fin(1, 2));
    script.expect(ack(2, 2));
    assert_eq!(script.host.endpoint().time_wait_count(), 1);
    script.expect_silence(100_000);
    assert_eq!(script.host.deadline(), None);
    let mut script = Script::new(twenty_seconds());
    let conn = script.connect();
    script.expect(syn(0));
    script.inject(syn_ack(0, 1));
    script.expect(ack(1, 1));
    script.host.abort(conn).unwrap();
    script.take_output();
    assert_eq!(script.host.deadline(), None);
}

#[test]
fn one_segment_keeps_a_path_open_however_many_connections_it_has() {
    let mut pair = Pair::builder(3).config(&twenty_seconds()).build();
    let (first, _) = pair.connect();
    let (remote, _) = pair.client().endpoint().addresses(first).unwrap();
    let others: Vec<ConnId> =
        (0..20).map(|_| pair.client().connect(remote, None).unwrap()).collect();
    pair.run_for(Duration::from_secs(5));
    pair.run_for(Duration::from_secs(100));
    assert_eq!(pair.client().endpoint().counters().path_keepalives, 5);
    // Whichever is left speaks for it.
    pair.client().abort(first).unwrap();
    for conn in others.iter().skip(1) {
        pair.client().abort(*conn).unwrap();
    }
    pair.run_for(Duration::from_secs(101));
    assert_eq!(pair.client().endpoint().counters().path_keepalives, 10);
    pair.client().abort(others[0]).unwrap();
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.client().deadline(), None);
}

#[test]
fn two_sides_that_opened_at_once_both_keep_the_path_open() {
    // Hole punching: each may be behind a translator.
    let (mut script, _) = {
        let mut script = Script::new(twenty_seconds());
        let conn = script.connect();
        script.expect(syn(0));
        script.inject(syn(0));
        script.expect(syn_ack(0, 1));
        script.inject(syn_ack(0, 1));
        script.take_output();
        (script, conn)
    };
    script.expect_after(20_000, ack(1, 1));
}

#[test]
fn deadline_is_one_a_path_and_moves_lazily() {
    let (mut script, conn) = connected(twenty_seconds());
    let first = script.host.deadline().unwrap();
    script.advance(5_000);
    script.host.write(conn, b"x").unwrap();
    script.expect(data(1, 1, "x"));
    script.inject(ack(1, 2));
    // The next wake-up is for the segment, and none is needless.
    assert_eq!(script.host.deadline(), Some(first + Duration::from_secs(5)));
    let (now, endpoint) = script.host.endpoint_mut();
    assert_eq!(endpoint.poll_timeout(), Some(now + Duration::from_secs(20)));
}
