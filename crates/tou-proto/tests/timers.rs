//! What time alone does: keepalive (RFC 9293 §3.8.4), the user timeout (§3.8.3),
//! backoff, and rest.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use core::time::Duration;
use std::sync::Arc;

use tou_proto::{
    ConnId, ConnectionConfigBuilder, ConnectionError, DatagramMachine, Event, Keepalive, ReadError,
    SetOptionError, State, TransmitBuf,
};
use tou_sim::script::{Script, ack, data, syn};
use tou_sim::{Pair, presets};

fn with(change: impl Fn(ConnectionConfigBuilder) -> ConnectionConfigBuilder) -> (Script, ConnId) {
    let config = change(presets::plain_builder()).build().unwrap();
    Script::established(config, syn(0).mss(1_000))
}

fn with_keepalive() -> (Script, ConnId) {
    let keepalive =
        Keepalive { idle: Duration::from_secs(10), interval: Duration::from_secs(2), probes: 3 };
    with(|config| config.with_keepalive(Some(keepalive)))
}

#[test]
fn idle_connection_has_no_deadline() {
    let (mut script, conn) = with(|config| config);
    assert_eq!(script.host.deadline(), None);
    script.host.write(conn, b"x").unwrap();
    script.expect(data(1, 1, "x"));
    assert!(script.host.deadline().is_some());
    script.inject(ack(1, 2));
    script.expect_nothing();
    assert_eq!(script.host.deadline(), None);

    // Nor does one that this side opened, if its path need not be kept open.
    let mut pair = Pair::builder(1).config(&presets::endpoint()).build();
    let (client, server) = pair.connect();
    assert!(pair.run_until_idle(Duration::from_secs(1)));
    assert_eq!(pair.client().state(client), State::Established);
    assert_eq!(pair.server().state(server), State::Established);
}

#[test]
fn keepalive_probes_below_the_next_number() {
    let (mut script, conn) = with_keepalive();
    script.host.write(conn, b"x").unwrap();
    script.expect(data(1, 1, "x"));
    script.inject(ack(1, 2));
    // RFC 9293 §3.8.4: SEG.SEQ = SND.NXT - 1, no data (MAY one octet).
    script.expect_after(10_000, ack(1, 1));
    script.inject(ack(1, 2));
    script.expect_after(10_000, ack(1, 1));
    assert_eq!(script.host.info(conn).unwrap().counters.keepalive_probes, 2);
}

#[test]
fn keepalive_waits_for_two_hours_by_default() {
    // RFC 9293 §3.8.4, MUST-28.
    let (mut script, _) = with(|config| config.with_keepalive(Some(Keepalive::default())));
    script.expect_after(7_200_000, ack(0, 1));
}

#[test]
fn unanswered_keepalive_probes_end_the_connection() {
    let (mut script, conn) = with_keepalive();
    script.expect_after(10_000, ack(0, 1));
    script.expect_after(2_000, ack(0, 1));
    script.expect_after(2_000, ack(0, 1));
    script.advance(2_000);
    script.take_output();
    script.expect_event(Event::Readable(conn));
    script.expect_event(Event::Closed(conn, Some(ConnectionError::TimedOut)));
}

#[test]
fn late_call_sends_one_keepalive_probe_and_waits_for_its_answer() {
    // RFC 9293 §3.8.4, MUST-29: a program that was stopped for an hour has not
    // asked anybody meanwhile.
    let (mut script, conn) = with_keepalive();
    let (start, endpoint) = script.host.endpoint_mut();
    let mut buf = TransmitBuf::new(1, TransmitBuf::MAX_BYTES);
    let late = start + Duration::from_secs(3_600);
    for wait in [0, 2, 2] {
        let now = endpoint.poll_timeout().unwrap().max(late + Duration::from_secs(wait));
        endpoint.handle_timeout(now);
        assert!(endpoint.poll_transmit(now, &mut buf).is_some());
        assert!(endpoint.poll_transmit(now, &mut buf).is_none());
        assert_eq!(endpoint.poll_timeout(), Some(now + Duration::from_secs(2)));
    }
    assert_eq!(endpoint.info(conn).unwrap().state, State::Established);
}

#[test]
fn keepalive_and_user_timeout_that_no_configuration_takes_are_refused() {
    let (mut script, conn) = with(|config| config);
    let (now, endpoint) = script.host.endpoint_mut();
    let of_nothing = Keepalive { idle: Duration::ZERO, ..Keepalive::default() };
    let without_pause = Keepalive { interval: Duration::ZERO, ..Keepalive::default() };
    let without_probe = Keepalive { probes: 0, ..Keepalive::default() };
    for keepalive in [of_nothing, without_pause, without_probe] {
        let result = endpoint.set_keepalive(now, conn, Some(keepalive));
        assert!(matches!(result, Err(SetOptionError::Config(_))), "{keepalive:?}: {result:?}");
    }
    let result = endpoint.set_user_timeout(now, conn, Duration::ZERO);
    assert!(matches!(result, Err(SetOptionError::Config(_))), "{result:?}");
    // And nothing has changed.
    script.expect_silence(1_000_000);
    script.host.close(conn).unwrap();
    script.take_output();
    let (now, endpoint) = script.host.endpoint_mut();
    let result = endpoint.set_keepalive(now, conn, None);
    assert_eq!(result, Err(SetOptionError::UnknownConnection));
}

#[test]
fn keepalive_and_user_timeout_can_be_changed() {
    let (mut script, conn) = with(|config| config);
    let keepalive = Keepalive { idle: Duration::from_secs(3), ..Keepalive::default() };
    let (now, endpoint) = script.host.endpoint_mut();
    endpoint.set_keepalive(now, conn, Some(keepalive)).unwrap();
    script.expect_after(3_000, ack(0, 1));
    script.inject(ack(1, 1));
    let (now, endpoint) = script.host.endpoint_mut();
    endpoint.set_keepalive(now, conn, None).unwrap();
    endpoint.set_user_timeout(now, conn, Duration::from_secs(5)).unwrap();
    script.expect_silence(100_000);
    script.host.write(conn, b"x").unwrap();
    script.expect(data(1, 1, "x"));
    script.advance(4_999);
    assert_eq!(script.state(conn), State::Established);
    script.take_output();
    script.advance(1);
    assert_eq!(script.state(conn), State::Closed);
    script.take_output();
}

#[test]
fn any_segment_puts_the_keepalive_off() {
    let (mut script, _) = with_keepalive();
    script.advance(9_000);
    script.inject(data(1, 1, "x"));
    script.expect_after(40, ack(1, 2));
    script.expect_silence(9_900);
    script.expect_after(60, ack(0, 2));
}

#[test]
fn forged_segment_does_not_put_the_keepalive_off() {
    // RFC 5961 §5.2: what acknowledges the impossible is not the peer's.
    let (mut script, _) = with_keepalive();
    script.advance(9_000);
    script.inject(data(1, 0x4000_0000, "x"));
    script.expect(ack(1, 1));
    script.expect_after(1_000, ack(0, 1));
}

#[test]
fn keepalive_is_answered_without_one() {
    let (mut script, _) = with(|config| config);
    script.inject(ack(0, 1));
    script.expect(ack(1, 1));
    script.inject(data(0, 1, "?"));
    script.expect(ack(1, 1));
}

#[test]
fn unacknowledged_data_ends_at_the_user_timeout() {
    let (mut script, conn) = with(|config| config.with_user_timeout(Duration::from_secs(20)));
    script.advance(7_000);
    script.host.write(conn, b"anybody?").unwrap();
    script.expect(data(1, 1, "anybody?"));
    let mut retransmissions = 0;
    while script.state(conn) == State::Established {
        script.advance(100);
        retransmissions += script.take_output().iter().filter(|(_, data)| data.len() == 8).count();
    }
    assert_eq!(script.now().as_millis(), 27_000);
    assert!(retransmissions >= 3, "{retransmissions}");
    let timed_out = ReadError::Closed(ConnectionError::TimedOut);
    assert_eq!(script.host.read(conn, &mut [0]), Err(timed_out));
}

#[test]
fn user_learns_of_a_stall_at_the_third_retransmission() {
    // RFC 9293 §3.8.3: R1 of three (SHLD-10), well before R2.
    let (mut script, conn) = with(|config| config);
    script.host.write(conn, b"x").unwrap();
    script.expect(data(1, 1, "x"));
    let mut retransmissions = 0;
    while retransmissions < 3 {
        assert!(!script.host.info(conn).unwrap().is_stalled);
        assert!(!script.host.take_event(Event::Stalled(conn)));
        script.wait();
        retransmissions += script.take_output().len();
    }
    assert!(script.host.info(conn).unwrap().is_stalled);
    script.expect_event(Event::Stalled(conn));
    // Once, until something comes back.
    script.wait();
    script.take_output();
    assert!(!script.host.take_event(Event::Stalled(conn)));
    script.inject(ack(1, 2));
    assert!(!script.host.info(conn).unwrap().is_stalled);
}

#[test]
fn unanswered_retransmissions_end_the_connection_at_their_number() {
    let (mut script, conn) = with(|config| {
        let second = Duration::from_secs(1);
        config.with_max_retries(Some(2)).with_rto(second, second, 60 * second)
    });
    // An answer starts the count again.
    script.host.write(conn, b"x").unwrap();
    script.expect(data(1, 1, "x"));
    script.expect_after(1_000, data(1, 1, "x"));
    script.expect_after(2_000, data(1, 1, "x"));
    script.inject(ack(1, 2));
    script.expect_nothing();
    script.host.write(conn, b"y").unwrap();
    script.expect(data(2, 1, "y"));
    // The backoff lasts until a round trip is measured (RFC 6298 (5.7)).
    script.expect_after(4_000, data(2, 1, "y"));
    script.expect_after(8_000, data(2, 1, "y"));
    // The third timeout in a row is the end, and the peer is told.
    script.advance(15_999);
    assert_eq!(script.state(conn), State::Established);
    script.advance(1);
    assert_eq!(script.state(conn), State::Closed);
    assert_eq!(script.take_output().len(), 1);
    let timed_out = ReadError::Closed(ConnectionError::TimedOut);
    assert_eq!(script.host.read(conn, &mut [0]), Err(timed_out));
}

#[test]
fn retransmission_timeout_keeps_to_its_bounds() {
    let seconds = Duration::from_secs;
    let (mut script, conn) = with(|config| config.with_rto(seconds(1), seconds(1), seconds(4)));
    script.host.write(conn, b"x").unwrap();
    script.expect(data(1, 1, "x"));
    for gap in [1_000, 2_000, 4_000, 4_000, 4_000] {
        script.expect_after(gap, data(1, 1, "x"));
    }
}

#[test]
fn round_trips_are_measured() {
    let mut pair = Pair::new(2);
    pair.both(|knobs| knobs.delay = Duration::from_millis(35));
    let (client, _) = pair.connect();
    for _ in 0..20 {
        pair.client().write(client, b"x").unwrap();
        pair.run_for(Duration::from_millis(500));
    }
    let info = pair.client().info(client).unwrap();
    let min = info.min_rtt.unwrap().as_millis();
    assert!((70..=71).contains(&min), "{min}");
    // The other side delays its acknowledgments by 40 ms.
    let srtt = info.srtt.unwrap().as_millis();
    assert!((70..=111).contains(&srtt), "{srtt}");
}

#[test]
fn early_and_repeated_calls_change_nothing() {
    let mut script = Script::new(Arc::default());
    let conn = script.connect();
    script.take_output();
    let deadline = script.host.deadline();
    for _ in 0..5 {
        script.host.handle_timeout();
        script.expect_nothing();
    }
    assert_eq!(script.host.deadline(), deadline);
    assert_eq!(script.state(conn), State::SynSent);
}
