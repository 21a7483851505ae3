//! The ways a connection ends (RFC 9293 §3.6, §3.10.4-5) and TIME-WAIT.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use core::time::Duration;

use bytes::Bytes;
use tou_proto::wire::{Checksum, SegmentFlags, SegmentHeader};
use tou_proto::{
    ConnId, Connection, ConnectionError, EndpointConfig, Event, Instant, OpenParams, PathError,
    PathErrorKind, Port, ReadError, Remote, SeqNumber, State, TransmitBuf, WriteError,
};
use tou_sim::script::{Script, ack, data, fin, rst, rst_ack, syn, syn_ack};
use tou_sim::{Manners, Pair, Talk, presets};

fn established() -> (Script, ConnId) {
    Script::established(presets::plain(), syn(0).mss(1_000))
}

/// Both FINs are acknowledged, this side's came first.
fn in_time_wait() -> (Script, ConnId) {
    let (mut script, conn) = established();
    close_first(&mut script, conn);
    (script, conn)
}

fn close_first(script: &mut Script, conn: ConnId) {
    script.host.shutdown(conn).unwrap();
    script.expect(fin(1, 1));
    script.inject(fin(1, 2));
    script.expect(ack(2, 2));
}

/// The peer has closed, and so has this side: its FIN is not acknowledged yet.
fn in_last_ack() -> (Script, ConnId) {
    let (mut script, conn) = established();
    script.inject(fin(1, 1));
    script.expect(ack(1, 2));
    script.host.shutdown(conn).unwrap();
    script.expect(fin(1, 2));
    while script.host.next_event().is_some() {}
    (script, conn)
}

/// As [`in_last_ack`], but both closed at once.
fn in_closing() -> (Script, ConnId) {
    let (mut script, conn) = established();
    script.host.shutdown(conn).unwrap();
    script.expect(fin(1, 1));
    script.inject(fin(1, 1));
    script.expect(ack(2, 2));
    while script.host.next_event().is_some() {}
    (script, conn)
}

#[test]
fn active_close_goes_through_fin_wait_to_time_wait() {
    let (mut script, conn) = established();
    script.host.shutdown(conn).unwrap();
    script.expect(fin(1, 1));
    assert_eq!(script.state(conn), State::FinWait1);
    script.inject(ack(1, 2));
    script.expect_nothing();
    assert_eq!(script.state(conn), State::FinWait2);
    script.inject(fin(1, 2));
    script.expect(ack(2, 2));
    assert_eq!(script.state(conn), State::TimeWait);
    script.expect_event(Event::Readable(conn));
    script.expect_event(Event::Closed(conn, None));
    assert_eq!(script.host.read(conn, &mut [0]), Ok(0));
    script.host.close(conn).unwrap();
    script.expect_nothing();
    assert_eq!(script.host.endpoint().connection_count(), 0);
}

#[test]
fn passive_close_goes_through_close_wait_to_last_ack() {
    let (mut script, conn) = established();
    script.inject(fin(1, 1));
    script.expect(ack(1, 2));
    assert_eq!(script.state(conn), State::CloseWait);
    script.expect_event(Event::Readable(conn));
    assert_eq!(script.host.read(conn, &mut [0]), Ok(0));
    script.host.shutdown(conn).unwrap();
    script.expect(fin(1, 2));
    assert_eq!(script.state(conn), State::LastAck);
    script.inject(ack(2, 2));
    script.expect_nothing();
    script.expect_event(Event::Closed(conn, None));
    assert_eq!(script.state(conn), State::Closed);
    // Nothing waits: the other side has TIME-WAIT.
    script.inject(ack(2, 2));
    script.expect(rst(2));
}

#[test]
fn simultaneous_close_goes_through_closing() {
    let (mut script, conn) = established();
    script.host.shutdown(conn).unwrap();
    script.expect(fin(1, 1));
    script.inject(fin(1, 1));
    script.expect(ack(2, 2));
    assert_eq!(script.state(conn), State::Closing);
    script.inject(ack(2, 2));
    script.expect_nothing();
    assert_eq!(script.state(conn), State::TimeWait);
}

#[test]
fn fin_rides_on_the_last_data() {
    let (mut script, conn) = established();
    script.host.write(conn, b"bye").unwrap();
    script.host.shutdown(conn).unwrap();
    script.expect(fin(1, 1).data("bye"));
    script.expect_nothing();
}

#[test]
fn lost_fin_is_sent_again() {
    let (mut script, conn) = established();
    script.host.shutdown(conn).unwrap();
    script.expect(fin(1, 1));
    script.expect_eventually(fin(1, 1));
    script.inject(fin(1, 2));
    script.expect(ack(2, 2));
    assert_eq!(script.state(conn), State::TimeWait);
}

#[test]
fn fin_counts_only_when_all_before_it_has_arrived() {
    let (mut script, conn) = established();
    script.inject(fin(6, 1));
    script.expect(ack(1, 1));
    assert_eq!(script.state(conn), State::Established);
    script.inject(data(1, 1, "hello"));
    script.expect(ack(1, 7));
    assert_eq!(script.state(conn), State::CloseWait);
    assert_eq!(script.host.read_all(conn), (b"hello".to_vec(), Ok(())));
}

#[test]
fn fin_in_the_middle_of_what_waits_is_none() {
    // RFC 9293 §3.10.7.4, eighth: nothing follows a FIN.
    let (mut script, conn) = established();
    script.inject(ack(11, 1).len(10));
    script.expect(ack(1, 1));
    script.inject(fin(11, 1));
    script.expect(ack(1, 1));
    script.inject(ack(1, 1).len(10));
    script.expect(ack(1, 21));
    assert_eq!(script.state(conn), State::Established);
    let (read, end) = script.host.read_all(conn);
    assert_eq!((read.len(), end), (20, Err(ReadError::WouldBlock)));
    script.inject(fin(21, 1));
    script.expect(ack(1, 22));
    assert_eq!(script.state(conn), State::CloseWait);
    assert_eq!(script.host.read_all(conn), (Vec::new(), Ok(())));
}

#[test]
fn half_closed_connection_carries_data_the_other_way() {
    let (mut script, conn) = established();
    script.host.shutdown(conn).unwrap();
    script.expect(fin(1, 1));
    script.inject(ack(1, 2));
    script.inject(data(1, 2, "still"));
    script.expect_after(40, ack(2, 6));
    script.inject(fin(6, 2).data(" here"));
    script.expect(ack(2, 12));
    assert_eq!(script.host.read_all(conn), (b"still here".to_vec(), Ok(())));
    assert_eq!(script.state(conn), State::TimeWait);

    let (mut script, conn) = established();
    script.inject(fin(1, 1));
    script.expect(ack(1, 2));
    script.host.write(conn, b"answer").unwrap();
    script.expect(data(1, 2, "answer"));
    script.inject(ack(2, 7));
    script.expect_nothing();
    assert_eq!(script.state(conn), State::CloseWait);
}

#[test]
fn half_close_loses_nothing_in_either_direction() {
    let talk = [7_u8; 300_000];
    for (client_says, server_says) in [(0, 300_000), (300_000, 0), (1, 300_000)] {
        let mut pair = Pair::new(11);
        pair.both(|knobs| knobs.loss = 0.05);
        let (client, server) = pair.connect();
        let mut client = Talk::new(client, talk[..client_says].to_vec(), Manners::default());
        let mut server = Talk::new(server, talk[..server_says].to_vec(), Manners::default());
        pair.converse(&mut client, &mut server);
        assert_eq!(client.received().len(), server_says);
        assert_eq!(server.received().len(), client_says);
        assert_eq!((client.read_end(), server.read_end()), (Some(Ok(())), Some(Ok(()))));
    }
}

#[test]
fn shutdown_is_idempotent_and_ends_writing() {
    let (mut script, conn) = established();
    script.host.shutdown(conn).unwrap();
    script.host.shutdown(conn).unwrap();
    script.expect(fin(1, 1));
    script.expect_nothing();
    assert_eq!(script.host.write(conn, b"x"), Err(WriteError::Shutdown));
}

#[test]
fn close_with_unread_data_resets() {
    let (mut script, conn) = established();
    script.inject(data(1, 1, "unread"));
    script.host.close(conn).unwrap();
    script.expect(rst_ack(1, 7));
    script.expect_silence(100_000);
    assert_eq!(script.host.endpoint().connection_count(), 0);
}

#[test]
fn close_with_unread_data_resets_after_both_fins_as_well() {
    // RFC 9293 §3.6.1, SHLD-3. Without the reset a peer that misses the answer
    // waits in FIN-WAIT-2 for ever.
    let (mut script, conn) = established();
    script.inject(fin(1, 1).data("request"));
    script.expect(ack(1, 9));
    script.host.write(conn, b"answer").unwrap();
    script.host.shutdown(conn).unwrap();
    script.expect(fin(1, 9).data("answer"));
    assert_eq!(script.state(conn), State::LastAck);
    script.host.close(conn).unwrap();
    script.expect(rst_ack(8, 9));
    assert_eq!(script.host.endpoint().connection_count(), 0);

    let (mut script, conn) = established();
    script.host.shutdown(conn).unwrap();
    script.expect(fin(1, 1));
    script.inject(fin(1, 1).data("request"));
    script.expect(ack(2, 9));
    assert_eq!(script.state(conn), State::Closing);
    script.host.close(conn).unwrap();
    script.expect(rst_ack(2, 9));
    assert_eq!(script.host.endpoint().connection_count(), 0);
}

#[test]
fn data_after_close_is_answered_with_a_reset() {
    let (mut script, conn) = established();
    script.host.close(conn).unwrap();
    script.expect(fin(1, 1));
    script.inject(data(1, 1, "late"));
    script.expect(rst(1));
    script.expect_silence(100_000);
    assert_eq!(script.host.endpoint().connection_count(), 0);
}

#[test]
fn close_with_everything_read_is_graceful() {
    let (mut script, conn) = established();
    script.host.write(conn, b"last").unwrap();
    script.host.close(conn).unwrap();
    script.expect(fin(1, 1).data("last"));
    assert!(script.host.info(conn).is_none());
    assert_eq!(script.host.endpoint().unfinished_count(), 1);
    script.inject(fin(1, 6));
    script.expect(ack(6, 2));
    assert_eq!(script.host.endpoint().unfinished_count(), 0);
}

#[test]
fn release_discards_input_until_its_fin_is_acknowledged() {
    let (mut script, conn) = established();
    script.inject(data(1, 1, "unread"));
    script.host.write(conn, b"last").unwrap();
    script.host.release(conn).unwrap();
    script.expect(fin(1, 7).data("last"));
    script.inject(data(7, 1, "more"));
    script.expect_after(40, ack(6, 11));
    script.inject(ack(11, 6));
    script.expect_nothing();
    // From now on nobody can be surprised by a reset.
    script.inject(data(11, 6, "too much"));
    script.expect(rst(6));
    assert_eq!(script.host.endpoint().connection_count(), 0);
}

#[test]
fn released_connection_takes_the_peers_fin() {
    let (mut script, conn) = established();
    script.host.release(conn).unwrap();
    script.expect(fin(1, 1));
    script.inject(ack(1, 2));
    script.inject(fin(1, 2));
    script.expect(ack(2, 2));
    assert_eq!(script.host.endpoint().connection_count(), 0);
}

#[test]
fn orphan_in_fin_wait_2_does_not_wait_for_ever() {
    let (mut script, conn) = established();
    script.host.release(conn).unwrap();
    script.expect(fin(1, 1));
    script.inject(ack(1, 2));
    script.advance(59_999);
    script.expect_nothing();
    assert_eq!(script.host.endpoint().connection_count(), 1);
    script.advance(1);
    script.take_output();
    assert_eq!(script.host.endpoint().connection_count(), 0);
}

#[test]
fn held_connection_stays_in_fin_wait_2() {
    let (mut script, conn) = established();
    script.host.shutdown(conn).unwrap();
    script.expect(fin(1, 1));
    script.inject(ack(1, 2));
    script.expect_silence(1_000_000);
    assert_eq!(script.state(conn), State::FinWait2);
}

#[test]
fn abort_resets_at_once() {
    let (mut script, conn) = established();
    script.host.write(conn, b"never mind").unwrap();
    script.expect(data(1, 1, "never mind"));
    script.host.abort(conn).unwrap();
    script.expect(rst_ack(11, 1));
    assert!(script.host.abort(conn).is_err());
    script.expect_silence(100_000);
    assert_eq!(script.host.endpoint().connection_count(), 0);
    assert_eq!(script.host.next_event(), None);
}

#[test]
fn reset_carries_timestamps_where_they_are_in_use() {
    // RFC 7323 §3.2, SHOULD.
    let config = presets::plain_builder().with_timestamps(true).build().unwrap();
    let mut script = Script::with_connection(config);
    let conn = script.establish(syn(0).mss(1_000).ts(1_000, 0));
    script.advance(30);
    script.host.abort(conn).unwrap();
    script.expect(rst_ack(1, 1).ts(30, 1_000));
}

#[test]
fn abort_with_an_unacknowledged_fin_resets() {
    for (mut script, conn) in [in_last_ack(), in_closing()] {
        script.host.abort(conn).unwrap();
        script.expect(rst_ack(2, 2));
        script.expect_silence(100_000);
        assert_eq!(script.host.endpoint().connection_count(), 0);
    }
}

#[test]
fn reset_in_answer_to_the_last_fin_is_a_close_without_error() {
    // RFC 9293 §3.10.7.4, second: in CLOSING and LAST-ACK a reset deletes the
    // control block, and nobody is told of one.
    for (mut script, conn) in [in_last_ack(), in_closing()] {
        script.inject(rst(2));
        script.expect_silence(100_000);
        script.expect_event(Event::Closed(conn, None));
        assert_eq!(script.host.read(conn, &mut [0]), Ok(0));
    }
}

#[test]
fn reset_before_the_last_data_is_acknowledged_is_an_error() {
    let (mut script, conn) = established();
    script.inject(fin(1, 1));
    script.expect(ack(1, 2));
    script.host.write(conn, b"lost").unwrap();
    script.host.shutdown(conn).unwrap();
    script.expect(fin(1, 2).data("lost"));
    while script.host.next_event().is_some() {}
    script.inject(rst(2));
    script.expect_event(Event::Closed(conn, Some(ConnectionError::Reset)));
}

#[test]
fn last_fin_at_a_closed_udp_port_is_as_good_as_acknowledged() {
    // RFC 5927 §4.1 keeps port unreachable from ending connections; here
    // nothing is left that could be lost.
    let refuse = |script: &mut Script, seq: u32| {
        let seq = script.local_isn().unwrap().plus(seq).get();
        let ports = [script.local_port, script.peer_port].map(|port| port.get().to_be_bytes());
        let quoted = [&ports.concat()[..], &seq.to_be_bytes()].concat().into();
        let (peer, kind) = (script.peer, PathErrorKind::Refused);
        script.host.handle_path_error(&PathError { peer, kind, quoted });
        script.expect_nothing();
    };
    for (mut script, conn) in [in_last_ack(), in_closing()] {
        refuse(&mut script, 1);
        script.expect_event(Event::Closed(conn, None));
        assert_eq!(script.host.endpoint().unfinished_count(), 0);
    }

    let (mut script, conn) = established();
    script.inject(fin(1, 1));
    script.expect(ack(1, 2));
    script.host.write(conn, b"data").unwrap();
    script.host.shutdown(conn).unwrap();
    script.expect(fin(1, 2).data("data"));
    refuse(&mut script, 1);
    assert_eq!(script.state(conn), State::LastAck);
}

#[test]
fn abort_of_the_peer_is_an_error_here() {
    let mut pair = Pair::new(5);
    let (client, server) = pair.connect();
    pair.server().write(server, b"before").unwrap();
    pair.run_for(Duration::from_secs(1));
    pair.server().abort(server).unwrap();
    pair.run_for(Duration::from_secs(1));
    assert!(pair.client().take_event(Event::Readable(client)));
    assert!(pair.client().take_event(Event::Closed(client, Some(ConnectionError::Reset))));
    // What had arrived can still be read.
    let reset = Err(ReadError::Closed(ConnectionError::Reset));
    assert_eq!(pair.client().read_all(client), (b"before".to_vec(), reset));
}

#[test]
fn time_wait_acknowledges_the_fin_again_and_ends() {
    let (mut script, _) = in_time_wait();
    script.advance(30_000);
    script.inject(fin(1, 2));
    script.expect(ack(2, 2));
    // RFC 9293 §3.10.7.4, eighth: the FIN restarts the timer.
    script.expect_silence(59_000);
    script.inject(fin(1, 2));
    script.expect(ack(2, 2));
    script.expect_silence(60_001);
    script.inject(fin(1, 2));
    script.expect(rst(2));
}

#[test]
fn no_other_fin_restarts_time_wait() {
    // RFC 9293 §3.10.7.4, eighth, speaks of the peer's own: else a blind sender
    // could keep the entry for ever.
    let (mut script, _) = in_time_wait();
    let remote = Remote { addr: script.peer, port: script.peer_port };
    script.advance(30_000);
    for strange in [fin(2, 2), fin(0, 2), fin(1, 2).len(1), fin(70_000, 2), fin(1 << 31, 2)] {
        script.inject_loosely(strange);
    }
    script.take_output();
    script.advance(29_999);
    let (local, endpoint) = (script.local_port, script.host.endpoint());
    assert_eq!(endpoint.state_of(remote, local), State::TimeWait);
    script.advance(1);
    assert_eq!(script.host.endpoint().time_wait_count(), 0);
}

#[test]
fn forged_segments_do_not_keep_the_peers_fin_unanswered_in_time_wait() {
    // RFC 9293 §3.10.7.4, eighth, against RFC 5961 §7: old segments use up what
    // answers there are for them, and not those for the FIN.
    let (mut script, _) = in_time_wait();
    for _ in 0..100 {
        script.inject_loosely(ack(0, 2).len(1));
    }
    assert!(script.take_output().len() < 100);
    script.inject(fin(1, 2));
    script.expect(ack(2, 2));
}

#[test]
fn last_acknowledgment_is_no_answer_to_a_stray() {
    // RFC 9293 §3.10.7.4, eighth: the peer's FIN is acknowledged, whoever else
    // asks for answers.
    let config = EndpointConfig::builder()
        .with_connection(presets::plain())
        .with_stray_replies_per_second(0)
        .build()
        .unwrap();
    let mut script = Script::new(config);
    let conn = script.establish(syn(0).mss(1_000));
    close_first(&mut script, conn);
    script.inject(fin(1, 2));
    script.expect(ack(2, 2));
    // And a stray gets none.
    script.peer.set_port(1);
    script.peer_port = Port::new(1).unwrap();
    script.inject(ack(1, 1));
    script.expect_nothing();
}

#[test]
fn time_wait_can_be_forgotten() {
    let (mut script, _) = in_time_wait();
    let remote = Remote { addr: script.peer, port: script.peer_port };
    let local_port = script.local_port;
    let (_, endpoint) = script.host.endpoint_mut();
    assert_eq!(endpoint.state_of(remote, local_port), State::TimeWait);
    assert!(endpoint.forget(remote, local_port));
    assert!(!endpoint.forget(remote, local_port));
    assert_eq!(endpoint.state_of(remote, local_port), State::Listen);
    script.inject(fin(1, 2));
    script.expect(rst(2));
}

#[test]
fn time_wait_ignores_resets() {
    // RFC 1337: they might be old.
    let (mut script, _) = in_time_wait();
    for reset in [rst(2), rst(1), rst_ack(2, 2)] {
        script.inject(reset);
        script.expect_nothing();
    }
    script.inject(fin(1, 2));
    script.expect(ack(2, 2));
}

#[test]
fn later_syn_opens_a_new_connection_out_of_time_wait() {
    // RFC 9293 §3.6.1, MAY-2; RFC 6191.
    let (mut script, _) = in_time_wait();
    let old = script.local_isn().unwrap();
    script.set_peer_isn(100_000);
    script.forget_isn();
    script.inject(syn(0));
    script.expect(syn_ack(0, 1));
    assert!(script.local_isn().unwrap().distance_from(old) > 2, "beyond what was used");
    script.inject(ack(1, 1));
    script.accept();
}

#[test]
fn earlier_syn_in_time_wait_is_only_acknowledged() {
    let (mut script, _) = in_time_wait();
    script.inject(syn(1));
    script.expect(ack(2, 2));
    script.inject(syn(0).with(SegmentFlags::FIN));
    script.expect(ack(2, 2));
}

#[test]
fn syn_that_finds_no_listener_or_no_room_is_acknowledged_in_time_wait() {
    // RFC 5961 §4.2. The peer hears that there is something left, and TIME-WAIT
    // goes on.
    let full = || {
        let mut script = Script::with_connection(presets::plain());
        script.listen(1);
        let conn = script.establish(syn(0).mss(1_000));
        close_first(&mut script, conn);
        let (port, isn) = (script.peer_port, script.local_isn());
        script.peer_port = Port::new(1).unwrap();
        script.forget_isn();
        script.inject(syn(0));
        script.expect(syn_ack(0, 1));
        script.peer_port = port;
        (script, isn)
    };
    let without_listener = || {
        let mut script = Script::with_connection(presets::plain());
        let conn = script.connect();
        script.expect(syn(0));
        script.inject(syn_ack(0, 1));
        script.expect(ack(1, 1));
        close_first(&mut script, conn);
        let isn = script.local_isn();
        (script, isn)
    };
    for (mut script, isn) in [full(), without_listener()] {
        script.inject(syn(100_000));
        let (answer, _) = script.take_output().pop().unwrap();
        assert_eq!((answer.flags, answer.ack), (SegmentFlags::ACK, SeqNumber::new(2)));
        let sent = script.trace.records().next_back().unwrap().header().unwrap();
        assert_eq!(Some(sent.seq), isn.map(|isn| isn.plus(2)));
        assert_eq!(script.host.endpoint().time_wait_count(), 1);
    }
}

#[test]
fn syn_that_finds_the_endpoint_full_is_acknowledged_in_time_wait() {
    let config = EndpointConfig::builder()
        .with_connection(presets::plain())
        .with_max_connections(1)
        .build()
        .unwrap();
    let mut script = Script::new(config);
    let conn = script.establish(syn(0).mss(1_000));
    close_first(&mut script, conn);
    script.host.close(conn).unwrap();
    let (port, isn) = (script.peer_port, script.local_isn().unwrap());
    script.peer_port = Port::new(1).unwrap();
    script.forget_isn();
    script.establish(syn(0));
    script.peer_port = port;
    script.inject(syn(100_000));
    assert_eq!(script.host.endpoint().time_wait_count(), 1);
    let (answer, _) = script.take_output().pop().unwrap();
    assert_eq!((answer.flags, answer.ack), (SegmentFlags::ACK, SeqNumber::new(2)));
    let sent = script.trace.records().next_back().unwrap().header().unwrap();
    assert_eq!(sent.seq, isn.plus(2));
}

#[test]
fn timestamps_tell_a_new_syn_from_an_old_one() {
    // RFC 6191: a later timestamp counts, whatever the sequence number says.
    let config = presets::plain_builder().with_timestamps(true).build().unwrap();
    for (tsval, is_new) in [(5_000, true), (999, false)] {
        let mut script = Script::with_connection(config.clone());
        let conn = script.establish(syn(0).ts(1_000, 0));
        script.host.close(conn).unwrap();
        script.expect(fin(1, 1));
        script.inject(fin(1, 2));
        script.expect(ack(2, 2));
        script.inject(syn(u32::MAX - 5_000).ts(tsval, 0));
        let (answer, _) = script.take_output().pop().unwrap();
        assert_eq!(answer.flags.contains(SegmentFlags::SYN), is_new);
    }
}

#[test]
fn everything_ends_clean_in_a_pair() {
    let mut pair = Pair::new(17);
    let (client, server) = pair.connect();
    pair.client().close(client).unwrap();
    pair.run_until(|pair| pair.server().take_event(Event::Readable(server)));
    assert_eq!(pair.server().read(server, &mut [0]), Ok(0));
    pair.server().close(server).unwrap();
    assert!(pair.run_until_idle(Duration::from_secs(200)));
    for host in [pair.client, pair.server] {
        let endpoint = pair.world.host(host).endpoint();
        assert_eq!((endpoint.connection_count(), endpoint.unfinished_count()), (0, 0));
    }
}

/// What a connection that nobody keeps for its user sends, to the last segment.
fn deliver(now: Instant, from: &mut Connection, to: &mut Connection) {
    let mut buf = TransmitBuf::new(1, TransmitBuf::MAX_BYTES);
    while from.poll_transmit(now, &mut buf).is_some() {
        let segment = Bytes::copy_from_slice(buf.data());
        let parsed = SegmentHeader::parse(&segment, Checksum::Carrier).unwrap();
        let _ = to.handle_segment(now, &parsed.header, segment.slice(parsed.data_offset..));
        to.end_of_batch(now);
    }
}

#[test]
fn connection_without_an_endpoint_sends_its_last_acknowledgment() {
    // RFC 9293 §3.10.7.4, eighth; TIME-WAIT is its owner's to keep.
    let params = |local, peer| OpenParams {
        config: presets::plain(),
        checksum: Checksum::Carrier,
        local_port: Port::new(local).unwrap(),
        peer_port: Port::new(peer).unwrap(),
        isn: SeqNumber::new(100),
        timestamp_offset: 0,
        mss: 1_000,
        default_mss: 536,
    };
    let now = Instant::from_secs(1);
    let mut client = Connection::connect(now, params(1, 2));
    let mut buf = TransmitBuf::new(1, TransmitBuf::MAX_BYTES);
    client.poll_transmit(now, &mut buf).unwrap();
    let syn = SegmentHeader::parse(buf.data(), Checksum::Carrier).unwrap().header;
    let mut server = Connection::accept(now, params(2, 1), &syn, Bytes::new());
    deliver(now, &mut server, &mut client);
    deliver(now, &mut client, &mut server);
    client.shutdown(now);
    deliver(now, &mut client, &mut server);
    deliver(now, &mut server, &mut client);
    server.shutdown(now);
    deliver(now, &mut server, &mut client);
    assert_eq!(client.state(), State::TimeWait);
    // That acknowledgment is lost, and the FIN comes again.
    assert!(client.poll_transmit(now, &mut buf).is_some());
    assert_eq!(server.state(), State::LastAck);
    let now = server.poll_timeout(now).unwrap();
    server.handle_timeout(now);
    deliver(now, &mut server, &mut client);
    deliver(now, &mut client, &mut server);
    assert_eq!((client.state(), server.state()), (State::TimeWait, State::Closed));
}
