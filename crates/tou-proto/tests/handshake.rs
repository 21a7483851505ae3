//! Opening a connection (RFC 9293 §3.5, §3.10.1, §3.10.7.2-3) and what the SYNs
//! settle.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use core::time::Duration;
use std::sync::Arc;

use tou_proto::wire::SegmentFlags;
use tou_proto::{
    ConnectionConfig, ConnectionError, EndpointConfig, Event, PathError, PathErrorKind, Port,
    ReadError, Remote, State, WriteError,
};
use tou_sim::pair::CLIENT;
use tou_sim::script::{Script, ack, data, fin, rst, rst_ack, seg, syn, syn_ack};
use tou_sim::{Pair, presets};

fn plain() -> Script {
    Script::with_connection(presets::plain())
}

fn with(
    change: impl Fn(tou_proto::ConnectionConfigBuilder) -> tou_proto::ConnectionConfigBuilder,
) -> Script {
    Script::with_connection(change(ConnectionConfig::builder()).build().unwrap())
}

#[test]
fn active_open_offers_all_options_and_uses_those_granted() {
    let mut script = Script::new(Arc::default());
    let conn = script.connect();
    script.expect(syn(0).mss(1_452).wscale(8).sack_ok().ts(0, 0).win(65_535));
    assert_eq!(script.state(conn), State::SynSent);
    script.inject(syn_ack(0, 1).mss(1_460).wscale(7).sack_ok().ts(1_000, 0));
    script.expect(ack(1, 1).ecr(1_000).win(512));
    script.expect_event(Event::Connected(conn));
    let info = script.host.info(conn).unwrap();
    assert_eq!(info.state, State::Established);
    assert!(info.timestamps && info.sack);
    assert_eq!((info.snd_wscale, info.rcv_wscale), (7, 8));
    assert_eq!((info.peer_mss, info.mss), (1_460, 1_440));
}

#[test]
fn options_that_the_peer_does_not_grant_are_not_used() {
    let mut script = Script::new(Arc::default());
    let conn = script.connect();
    script.expect(syn(0));
    script.inject(syn_ack(0, 1));
    script.expect(ack(1, 1).no_ts());
    let info = script.host.info(conn).unwrap();
    assert!(!info.timestamps && !info.sack);
    assert_eq!((info.snd_wscale, info.rcv_wscale), (0, 0));
    // RFC 9293 §3.7.1, MUST-15.
    assert_eq!((info.peer_mss, info.mss), (536, 536));
}

#[test]
fn passive_open_answers_only_what_was_offered() {
    let mut script = Script::listening(Arc::default());
    script.inject(syn(0).mss(1_000));
    script.expect(syn_ack(0, 1).mss(1_452).no_wscale().no_sack_ok().no_ts());
    script.inject(ack(1, 1));
    let conn = script.accept();
    assert_eq!(script.host.info(conn).unwrap().mss, 1_000);

    let mut script = Script::listening(Arc::default());
    script.inject(syn(0).mss(1_000).wscale(3).sack_ok().ts(55, 0));
    script.expect(syn_ack(0, 1).mss(1_452).wscale(8).sack_ok().ts(0, 55).win(65_535));
    script.inject(ack(1, 1).ts(56, 0));
    let conn = script.accept();
    let info = script.host.info(conn).unwrap();
    assert!(info.timestamps && info.sack);
    assert_eq!((info.snd_wscale, info.rcv_wscale), (3, 8));
}

#[test]
fn options_switched_off_are_neither_offered_nor_granted() {
    let mut script = plain();
    script.connect();
    script.expect(syn(0).mss(1_452).no_wscale().no_sack_ok().no_ts());

    let mut script = plain();
    script.listen(1);
    script.inject(syn(0).mss(1_000).wscale(3).sack_ok().ts(55, 0));
    script.expect(syn_ack(0, 1).mss(1_452).no_wscale().no_sack_ok().no_ts());
}

#[test]
fn window_shift_over_14_counts_as_14() {
    let mut script = Script::new(Arc::default());
    let conn = script.connect();
    script.expect(syn(0));
    script.inject(syn_ack(0, 1).wscale(15).win(1));
    script.expect(ack(1, 1));
    assert_eq!(script.host.info(conn).unwrap().snd_wscale, 14);
    // RFC 7323 §2.2: the window of a SYN is not scaled.
    assert_eq!(script.host.info(conn).unwrap().snd_wnd, 1);
}

#[test]
fn mss_follows_from_the_mtu_and_its_limits() {
    let config = EndpointConfig::builder().with_mtu(9_000).build().unwrap();
    let mut script = Script::new(config);
    script.connect();
    script.expect(syn(0).mss(8_952));

    let mut script = with(|config| config.with_max_mss(500));
    let conn = script.connect();
    script.expect(syn(0).mss(500));
    script.inject(syn_ack(0, 1).mss(1_460));
    script.expect(ack(1, 1));
    assert_eq!(script.host.info(conn).unwrap().mss, 500);
}

#[test]
fn mss_over_ipv6_leaves_room_for_the_longer_header() {
    let mut pair = Pair::builder(1).ipv6(true).build();
    let (client, _) = pair.connect();
    // 1500 - 40 - 8 - 20, and 12 for timestamps.
    assert_eq!(pair.client().info(client).unwrap().peer_mss, 1_432);
    assert_eq!(pair.client().info(client).unwrap().mss, 1_420);
}

#[test]
fn tiny_mss_of_the_peer_is_raised() {
    let mut script = plain();
    let conn = script.establish(syn(0).mss(1));
    assert_eq!(script.host.info(conn).unwrap().mss, 64);
}

#[test]
fn syn_ack_data_is_delivered_and_acknowledged() {
    let mut script = plain();
    let conn = script.connect();
    script.expect(syn(0));
    script.inject(syn_ack(0, 1).data("hello"));
    script.expect(ack(1, 6));
    assert_eq!(script.host.read_all(conn).0, b"hello");
}

#[test]
fn data_on_a_syn_is_not_delivered_before_the_handshake_ends() {
    let mut script = plain();
    script.listen(1);
    script.inject(syn(0).data("hello"));
    script.expect(syn_ack(0, 1));
    script.inject(data(1, 1, "hello"));
    let conn = script.accept();
    assert_eq!(script.host.read_all(conn).0, b"hello");
    script.take_output();
    script.inject(data(6, 1, "!"));
    assert_eq!(script.host.read_all(conn).0, b"!");
}

#[test]
fn data_on_a_syn_is_never_delivered_if_the_handshake_fails() {
    // RFC 9293 §3.4. Anybody can send a SYN to an active opener, without having
    // to guess a number.
    let mut script = plain();
    let conn = script.connect();
    script.expect(syn(0));
    script.inject(syn(0).data("forged"));
    script.expect(syn_ack(0, 1));
    script.inject(rst(1));
    script.expect_nothing();
    assert_eq!(script.state(conn), State::Closed);
    let (read, end) = script.host.read_all(conn);
    assert_eq!((read.len(), end), (0, Err(ReadError::Closed(ConnectionError::Refused))));
}

#[test]
fn third_segment_may_carry_data_and_fin() {
    let mut script = plain();
    script.listen(1);
    script.inject(syn(0));
    script.expect(syn_ack(0, 1));
    script.inject(fin(1, 1).data("all"));
    script.expect(ack(1, 5));
    let conn = script.accept();
    assert_eq!(script.host.read_all(conn), (b"all".to_vec(), Ok(())));
    assert_eq!(script.state(conn), State::CloseWait);
}

#[test]
fn data_written_before_the_handshake_follows_it() {
    let mut script = plain();
    let conn = script.connect();
    assert_eq!(script.host.write(conn, b"early"), Ok(5));
    script.expect(syn(0));
    script.expect_nothing();
    script.inject(syn_ack(0, 1));
    script.expect(data(1, 1, "early"));
    script.expect_nothing();
}

#[test]
fn shutdown_before_the_handshake_ends_sends_its_fin_after_it() {
    let mut script = plain();
    let conn = script.connect();
    script.host.write(conn, b"bye").unwrap();
    script.host.shutdown(conn).unwrap();
    assert_eq!(script.host.write(conn, b"more"), Err(WriteError::Shutdown));
    script.expect(syn(0));
    script.inject(syn_ack(0, 1));
    script.expect(fin(1, 1).data("bye"));
}

#[test]
fn simultaneous_open_answers_with_a_syn_ack() {
    let mut script = plain();
    let conn = script.connect();
    script.expect(syn(0));
    script.inject(syn(0).mss(1_000));
    script.expect(syn_ack(0, 1));
    assert_eq!(script.state(conn), State::SynReceived);
    script.inject(ack(1, 1));
    script.expect_event(Event::Connected(conn));
    assert_eq!(script.state(conn), State::Established);
}

#[test]
fn simultaneous_open_is_no_sign_of_loss() {
    // RFC 5681 §3.1 and RFC 6298 (5.7) start small and slow after a SYN that was
    // lost; this one goes out again because the peer has sent its own.
    let mut script = plain();
    let conn = script.connect();
    script.expect(syn(0));
    script.advance(10);
    script.inject(syn(0).mss(1_000));
    script.expect(syn_ack(0, 1));
    script.advance(10);
    script.inject(syn_ack(0, 1).mss(1_000));
    script.expect(ack(1, 1));
    let info = script.host.info(conn).unwrap();
    assert_eq!(info.cwnd, 10_000);
    assert!(info.rto <= Duration::from_secs(1), "{:?}", info.rto);
    script.host.write(conn, &[1; 20_000]).unwrap();
    assert_eq!(script.take_output().len(), 10);
}

#[test]
fn two_sides_that_open_at_once_have_one_connection() {
    let mut pair = Pair::new(3);
    let [a, b] = [1_111, 2_222].map(|port| Port::new(port).unwrap());
    let (client_addr, server_addr) = (pair.client().addr(), pair.server().addr());
    let client = pair.client().connect(Remote { addr: server_addr, port: b }, Some(a)).unwrap();
    let server = pair.server().connect(Remote { addr: client_addr, port: a }, Some(b)).unwrap();
    pair.run_until(|pair| {
        pair.client().state(client) == State::Established
            && pair.server().state(server) == State::Established
    });
    assert!(pair.now().as_millis() < 100, "no timeout was needed: {}", pair.now());
    assert!(pair.client().take_event(Event::Connected(client)));
    assert!(pair.server().take_event(Event::Connected(server)));
    pair.client().write(client, b"ping").unwrap();
    pair.server().write(server, b"pong").unwrap();
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.client().read_all(client).0, b"pong");
    assert_eq!(pair.server().read_all(server).0, b"ping");
    assert!(pair.world.trace.count() < 20, "they stop talking");
}

#[test]
fn unanswered_syn_is_sent_again_with_doubling_gaps_until_the_timeout() {
    let mut script = plain();
    let conn = script.connect();
    script.expect(syn(0));
    for gap in [1_000, 2_000, 4_000, 8_000, 16_000, 32_000] {
        script.expect_after(gap, syn(0).mss(1_452));
    }
    script.expect_after(60_000, syn(0));
    script.expect_silence(180_000 - 123_000);
    script.expect_event(Event::Stalled(conn));
    script.expect_event(Event::Readable(conn));
    script.expect_event(Event::Closed(conn, Some(ConnectionError::TimedOut)));
    assert_eq!(script.host.read_all(conn).1, Err(ReadError::Closed(ConnectionError::TimedOut)),);
}

#[test]
fn connect_timeout_can_be_shortened() {
    let mut script = with(|config| config.with_connect_timeout(Duration::from_millis(1_500)));
    let conn = script.connect();
    script.expect(syn(0));
    script.expect_after(1_000, syn(0));
    script.expect_silence(499);
    assert_eq!(script.state(conn), State::SynSent);
    script.expect_silence(1);
    assert_eq!(script.state(conn), State::Closed);
}

#[test]
fn unacknowledged_syn_ack_is_sent_again() {
    let mut script = plain();
    script.listen(1);
    script.inject(syn(0).mss(1_000));
    script.expect(syn_ack(0, 1).mss(1_452));
    script.expect_after(1_000, syn_ack(0, 1).mss(1_452));
    // So it is when the peer's SYN comes again: it cannot have got the first.
    script.inject(syn(0).mss(1_000));
    script.expect(syn_ack(0, 1));
    script.inject(ack(1, 1));
    script.accept();
}

#[test]
fn round_trip_of_a_repeated_syn_is_told_by_timestamps() {
    // RFC 7323 §4.1: they tell which SYN was answered. A side that only receives
    // has no other sample.
    let mut script = Script::new(Arc::default());
    let conn = script.connect();
    script.expect(syn(0));
    script.expect_after(1_000, syn(0).ts(1_000, 0));
    script.advance(70);
    script.inject(syn_ack(0, 1).mss(1_460).wscale(7).sack_ok().ts(5_000, 1_000));
    script.expect(ack(1, 1));
    assert_eq!(script.host.info(conn).unwrap().srtt, Some(Duration::from_millis(70)));

    let mut script = Script::listening(Arc::default());
    script.inject(syn(0).mss(1_000).wscale(3).sack_ok().ts(55, 0));
    script.expect(syn_ack(0, 1));
    script.expect_after(1_000, syn_ack(0, 1).ts(1_000, 55));
    script.advance(70);
    script.inject(ack(1, 1).ts(56, 1_000));
    let conn = script.accept();
    assert_eq!(script.host.info(conn).unwrap().srtt, Some(Duration::from_millis(70)));
}

#[test]
fn late_duplicate_of_the_syn_ack_is_acknowledged_again() {
    let mut script = plain();
    script.connect();
    script.expect(syn(0));
    script.inject(syn_ack(0, 1));
    script.expect(ack(1, 1));
    script.inject(syn_ack(0, 1));
    script.expect(ack(1, 1));
}

#[test]
fn reset_that_acknowledges_the_syn_refuses() {
    let mut script = plain();
    let conn = script.connect();
    script.expect(syn(0));
    script.inject(rst_ack(0, 1));
    script.expect_event(Event::Readable(conn));
    script.expect_event(Event::Closed(conn, Some(ConnectionError::Refused)));
    script.expect_silence(10_000);
    assert_eq!(script.host.write(conn, b"x"), Err(WriteError::Closed(ConnectionError::Refused)));
}

#[test]
fn other_resets_do_not_refuse() {
    let mut script = plain();
    let conn = script.connect();
    script.expect(syn(0));
    for reset in [rst(0), rst_ack(0, 0), rst_ack(0, 2)] {
        script.inject(reset);
        script.expect_nothing();
        assert_eq!(script.state(conn), State::SynSent);
    }
}

#[test]
fn unacceptable_ack_in_syn_sent_is_answered_with_a_reset() {
    let mut script = plain();
    let conn = script.connect();
    script.expect(syn(0));
    for (flags, number) in [
        (SegmentFlags::ACK, 0),
        (SegmentFlags::ACK, 2),
        (SegmentFlags::SYN | SegmentFlags::ACK, 5),
        (SegmentFlags::FIN | SegmentFlags::ACK, 9),
    ] {
        script.inject(seg(flags).seq(0).ack(number));
        script.expect(rst(number));
    }
    // The rest of the table of §3.10.7.3: an acceptable ACK alone does nothing.
    script.inject(ack(1, 1));
    script.expect_nothing();
    script.inject(seg(SegmentFlags::FIN).seq(0));
    script.expect_nothing();
    assert_eq!(script.state(conn), State::SynSent);
    script.inject(syn_ack(0, 1));
    script.expect(ack(1, 1));
}

#[test]
fn acknowledgment_of_something_else_in_syn_received_is_reset() {
    let mut script = plain();
    script.listen(1);
    script.inject(syn(0));
    script.expect(syn_ack(0, 1));
    for number in [0, 2] {
        script.inject(ack(1, number));
        script.expect(rst(number));
    }
    script.inject(ack(1, 1));
    script.accept();
}

/// The first 8 octets of a segment, as an ICMP message quotes them: the ports
/// and the endpoint's number `seq`.
fn quoted(script: &Script, local: u16, peer: u16, seq: u32) -> bytes::Bytes {
    let seq = script.local_isn().unwrap().plus(seq).get();
    [&local.to_be_bytes()[..], &peer.to_be_bytes(), &seq.to_be_bytes()].concat().into()
}

#[test]
fn port_unreachable_refuses_a_connection_that_is_being_opened() {
    let mut script = plain();
    let conn = script.connect();
    script.expect(syn(0));
    let (here, there) = (Script::CLIENT_PORT, Script::SERVER_PORT);
    // Other ports, and a number that is not in flight (RFC 5927 §4).
    for (local, peer, seq) in [(1, there, 0), (here, 2, 0), (here, there, 5)] {
        let quoted = quoted(&script, local, peer, seq);
        let error = PathError { peer: CLIENT, kind: PathErrorKind::Refused, quoted };
        script.host.handle_path_error(&error);
        script.expect_nothing();
        assert_eq!(script.state(conn), State::SynSent, "that was about something else");
    }
    let quoted = quoted(&script, here, there, 0);
    script.host.handle_path_error(&PathError {
        peer: CLIENT,
        kind: PathErrorKind::Refused,
        quoted,
    });
    script.expect_event(Event::Readable(conn));
    script.expect_event(Event::Closed(conn, Some(ConnectionError::Refused)));
}

#[test]
fn path_errors_are_soft_once_connected() {
    let mut script = plain();
    let conn = script.establish(syn(0));
    script.host.write(conn, b"x").unwrap();
    script.expect(data(1, 1, "x"));
    for kind in [PathErrorKind::Refused, PathErrorKind::Unreachable, PathErrorKind::NoRoute] {
        let quoted = quoted(&script, Script::SERVER_PORT, Script::CLIENT_PORT, 1);
        script.host.handle_path_error(&PathError { peer: CLIENT, kind, quoted });
        script.expect_nothing();
    }
    let info = script.host.info(conn).unwrap();
    assert_eq!((info.state, info.counters.soft_errors), (State::Established, 3));
}

#[test]
fn no_route_for_the_first_syn_ends_connecting_and_later_it_does_not() {
    let no_route = |script: &mut Script| {
        let quoted = quoted(script, Script::CLIENT_PORT, Script::SERVER_PORT, 0);
        let error = PathError { peer: CLIENT, kind: PathErrorKind::NoRoute, quoted };
        script.host.handle_path_error(&error);
    };
    let mut script = plain();
    let conn = script.connect();
    script.expect(syn(0));
    no_route(&mut script);
    script.expect_event(Event::Readable(conn));
    script.expect_event(Event::Closed(conn, Some(ConnectionError::Unreachable)));

    let mut script = plain();
    let conn = script.connect();
    script.expect(syn(0));
    script.advance(1_000);
    script.expect(syn(0));
    no_route(&mut script);
    script.expect_nothing();
    assert_eq!(script.state(conn), State::SynSent, "the way may come back");
}

#[test]
fn initial_sequence_numbers_differ_and_move_with_the_clock() {
    let isn = |millis, port| {
        let mut script = plain();
        script.advance(millis);
        let remote = Remote { addr: CLIENT, port: Port::new(port).unwrap() };
        script.host.connect(remote, Port::new(40_000)).unwrap();
        script.take_output();
        script.local_isn().unwrap()
    };
    assert_eq!(isn(0, 7), isn(0, 7), "same seed, same time");
    // RFC 9293 §3.4.1, MUST-8: one number each 4 us.
    assert_eq!(isn(1_000, 7).distance_from(isn(0, 7)), 250_000);
    assert!(isn(0, 8).distance_from(isn(0, 7)).unsigned_abs() > 100);
}

#[test]
fn nothing_can_be_done_with_a_handle_that_was_given_up() {
    let mut script = plain();
    let conn = script.connect();
    script.expect(syn(0));
    // RFC 9293 §3.10.4, SYN-SENT: the block is deleted, and nothing is sent.
    script.host.close(conn).unwrap();
    script.expect_silence(10_000);
    assert_eq!(script.host.write(conn, b"x"), Err(WriteError::UnknownConnection));
    assert_eq!(script.host.read(conn, &mut [0]), Err(ReadError::UnknownConnection));
    assert!(script.host.shutdown(conn).is_err() && script.host.info(conn).is_none());
    assert_eq!(script.host.endpoint().connection_count(), 0);
}
