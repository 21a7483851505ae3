//! The user timeout option (RFC 5482).

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use core::time::Duration;
use std::sync::Arc;

use tou_proto::{ConnId, ConnectionConfig, State, UserTimeoutLimits};
use tou_sim::presets;
use tou_sim::script::{Script, ack, data, pattern, syn, syn_ack};

fn config(limits: Option<UserTimeoutLimits>) -> Arc<ConnectionConfig> {
    presets::plain_builder()
        .with_user_timeout(Duration::from_secs(150))
        .with_user_timeout_option(limits)
        .build()
        .unwrap()
}

fn on() -> Arc<ConnectionConfig> {
    config(Some(UserTimeoutLimits::default()))
}

fn timeout(script: &Script, conn: ConnId) -> u64 {
    script.host.info(conn).unwrap().user_timeout.as_secs()
}

#[test]
fn it_is_off_unless_it_is_switched_on() {
    let mut script = Script::with_connection(config(None));
    let conn = script.connect();
    assert_eq!(script.take_output()[0].0.options.user_timeout, None);
    script.inject(syn_ack(0, 1).uto(1_000));
    assert_eq!(script.take_output()[0].0.options.user_timeout, None);
    assert_eq!(timeout(&script, conn), 150);
}

#[test]
fn syn_and_the_first_segment_after_it_tell_the_peer() {
    let mut script = Script::with_connection(on());
    let conn = script.connect();
    script.expect(syn(0).uto(150));
    script.inject(syn_ack(0, 1));
    script.expect(ack(1, 1).uto(150));
    script.host.write(conn, b"x").unwrap();
    assert_eq!(script.take_output()[0].0.options.user_timeout, None, "said twice");

    let mut script = Script::with_connection(on());
    script.listen(1);
    // An answer to a SYN is no longer than the SYN.
    script.inject(syn(0).mss(1_000).uto(120));
    script.expect(syn_ack(0, 1).uto(150));
    script.inject(ack(1, 1));
    script.expect_nothing();
    let conn = script.accept();
    script.host.write(conn, b"x").unwrap();
    script.expect(data(1, 1, "x").uto(150));
}

#[test]
fn full_segment_leaves_it_to_an_acknowledgment() {
    let mut script = Script::with_connection(on());
    let conn = script.establish(syn(0).mss(1_000));
    let (now, endpoint) = script.host.endpoint_mut();
    endpoint.set_user_timeout(now, conn, Duration::from_secs(200)).unwrap();
    script.host.write(conn, &pattern(1, 1_000)).unwrap();
    let output = script.take_output();
    let [(full, octets), (bare, nothing)] = output.as_slice() else { panic!("{output:?}") };
    assert_eq!((octets.len(), full.options.user_timeout), (1_000, None));
    let told = bare.options.user_timeout.and_then(tou_proto::wire::UserTimeout::timeout);
    assert_eq!((nothing.len(), told), (0, Some(Duration::from_secs(200))));
}

#[test]
fn peers_advice_is_followed_within_limits() {
    for (advice, becomes) in [(500, 500), (120, 150), (1_000_000, 3_600)] {
        let mut script = Script::with_connection(on());
        let conn = script.establish(syn(0).mss(1_000).uto(advice));
        assert_eq!(timeout(&script, conn), becomes);
    }
    // Later advice counts too, but not a blind sender's.
    let mut script = Script::with_connection(on());
    let conn = script.establish(syn(0).mss(1_000));
    assert_eq!(timeout(&script, conn), 150);
    script.inject(ack(1, 0x4000_0000).uto(700));
    script.take_output();
    assert_eq!(timeout(&script, conn), 150);
    script.inject(ack(1, 1).uto(600));
    assert_eq!(timeout(&script, conn), 600);
}

#[test]
fn connection_lasts_as_long_as_the_peer_asked() {
    let mut script = Script::with_connection(on());
    let conn = script.establish(syn(0).mss(1_000).uto(400));
    script.host.write(conn, b"x").unwrap();
    script.take_output();
    let start = script.now();
    while script.state(conn) == State::Established {
        script.wait();
        script.take_output();
    }
    assert_eq!(script.now().saturating_since(start), Duration::from_secs(400));
}

#[test]
fn what_the_user_sets_is_told_at_once_and_does_not_change() {
    // RFC 5482 §3.1: CHANGEABLE becomes false.
    let mut script = Script::with_connection(on());
    let conn = script.establish(syn(0).mss(1_000).uto(400));
    script.host.write(conn, b"x").unwrap();
    script.expect(data(1, 1, "x"));
    script.inject(ack(1, 2));
    let (now, endpoint) = script.host.endpoint_mut();
    endpoint.set_user_timeout(now, conn, Duration::from_secs(30)).unwrap();
    script.expect(ack(2, 1).uto(30));
    assert_eq!(timeout(&script, conn), 30);
    script.inject(ack(1, 2).uto(500));
    assert_eq!(timeout(&script, conn), 30);
}
