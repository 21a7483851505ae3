//! Listening: backlog, half-open connections, limits (RFC 9293 §3.10.1-2,
//! §3.10.7.2; RFC 4987 §2).

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use core::time::Duration;
use std::sync::Arc;

use tou_proto::wire::{Checksum, SegmentFlags, SegmentHeader, SegmentOptions};
use tou_proto::{
    ConnectError, ConnectionConfig, ConnectionError, DatagramMachine, EndpointConfig, Event,
    ListenError, Port, ReceivedBatch, SeqNumber, State,
};
use tou_sim::script::{Script, ack, data, rst, syn, syn_ack};
use tou_sim::{Pair, Seg, presets};

fn port(number: u16) -> Port {
    Port::new(number).unwrap()
}

/// A listener with this backlog.
fn listening(backlog: usize) -> (Script, tou_proto::ListenerId) {
    let mut script = Script::with_connection(presets::plain());
    let listener = script.listen(backlog);
    (script, listener)
}

/// A peer's port from now on, and its SYN.
fn syn_from(script: &mut Script, number: u16) -> Seg {
    script.peer_port = port(number);
    script.forget_isn();
    syn(0)
}

#[test]
fn connections_are_accepted_in_the_order_they_were_established() {
    let (mut script, listener) = listening(4);
    for number in [1, 2, 3] {
        let syn = syn_from(&mut script, number);
        script.inject(syn);
        script.expect(syn_ack(0, 1));
        script.inject(ack(1, 1));
        script.expect_nothing();
    }
    // One event until somebody has looked.
    script.expect_event(Event::Incoming(listener));
    assert_eq!(script.host.next_event(), None);
    let order: Vec<u16> = core::iter::from_fn(|| {
        let conn = script.host.accept(listener)?;
        let (remote, local) = script.host.endpoint().addresses(conn)?;
        assert_eq!((remote.addr, local), (script.peer, script.local_port));
        Some(remote.port.get())
    })
    .collect();
    assert_eq!(order, [1, 2, 3]);
    let syn = syn_from(&mut script, 4);
    script.inject(syn);
    script.expect(syn_ack(0, 1));
    script.inject(ack(1, 1));
    script.expect_event(Event::Incoming(listener));
}

#[test]
fn incoming_is_told_once_until_the_queue_was_found_empty() {
    let (mut script, listener) = listening(4);
    let open = |number, script: &mut Script| {
        let syn = syn_from(script, number);
        script.inject(syn);
        script.expect(syn_ack(0, 1));
        script.inject(ack(1, 1));
    };
    // Whoever accepts without looking at events makes no queue of them grow.
    for number in 1..=20 {
        open(number, &mut script);
        let (_, endpoint) = script.host.endpoint_mut();
        assert!(endpoint.accept(listener).is_some());
    }
    script.expect_event(Event::Incoming(listener));
    assert_eq!(script.host.next_event(), None);
    assert_eq!(script.host.accept(listener), None);
    open(21, &mut script);
    script.expect_event(Event::Incoming(listener));
    assert_eq!(script.host.next_event(), None);
}

#[test]
fn nobody_is_told_of_a_listener_that_was_closed() {
    let (mut script, listener) = listening(4);
    script.inject(syn(0));
    script.expect(syn_ack(0, 1));
    let peer = (script.peer, script.peer_port);
    let header = SegmentHeader {
        src_port: peer.1,
        dst_port: script.local_port,
        seq: SeqNumber::new(u32::MAX - 1),
        ack: script.local_isn().unwrap().plus(1),
        flags: SegmentFlags::ACK,
        window: 1_000,
        urgent: 0,
        options: SegmentOptions::default(),
    };
    let mut segment = vec![0; header.encoded_len()];
    header.emit(Checksum::Carrier, &mut segment);
    let (now, endpoint) = script.host.endpoint_mut();
    endpoint.handle_batch(now, &ReceivedBatch::single(peer.0, segment));
    assert_eq!(endpoint.backlog(listener), Some((0, 1)));
    endpoint.close_listener(now, listener);
    assert_eq!(endpoint.poll_event(), None);
    script.take_output();
}

#[test]
fn port_is_listened_on_once() {
    let (mut script, listener) = listening(1);
    let again = script.host.listen(port(Script::SERVER_PORT), 1);
    assert_eq!(again, Err(ListenError::InUse));
    let (now, endpoint) = script.host.endpoint_mut();
    endpoint.close_listener(now, listener);
    assert!(script.host.listen(port(Script::SERVER_PORT), 1).is_ok());
}

#[test]
fn listening_on_the_port_of_a_connection_leaves_the_connection_alone() {
    // RFC 9293 §3.9.1.1, MUST-41 and MUST-42.
    let mut script = Script::with_connection(presets::plain());
    let conn = script.connect();
    script.expect(syn(0));
    script.listen(1);
    // A stranger's SYN is the listener's.
    let own = script.peer_port;
    let isn = script.local_isn().unwrap();
    let stranger = syn_from(&mut script, 999);
    script.inject(stranger);
    script.expect(syn_ack(0, 1));
    script.inject(ack(1, 1));
    let accepted = script.accept();
    assert_ne!(script.local_isn().unwrap(), isn);
    // The answer to ours is ours.
    script.peer_port = own;
    let distance = isn.get().wrapping_sub(script.local_isn().unwrap().get());
    script.inject(syn_ack(0, distance.wrapping_add(1)));
    script.take_output();
    assert_eq!(script.state(conn), State::Established);
    assert_eq!(script.state(accepted), State::Established);
}

#[test]
fn full_backlog_drops_syns_until_there_is_room() {
    let (mut script, listener) = listening(2);
    for number in [1, 2] {
        let syn = syn_from(&mut script, number);
        script.inject(syn);
        script.expect(syn_ack(0, 1));
        script.inject(ack(1, 1));
    }
    let syn = syn_from(&mut script, 3);
    script.inject(syn.clone());
    script.expect_nothing();
    assert_eq!(script.host.endpoint().counters().syns_dropped, 1);
    assert!(script.host.accept(listener).is_some());
    script.inject(syn);
    script.expect(syn_ack(0, 1));
}

#[test]
fn backlog_tells_who_is_in_it() {
    let (mut script, listener) = listening(4);
    let backlog = |script: &Script| script.host.endpoint().backlog(listener);
    assert_eq!(backlog(&script), Some((0, 0)));
    script.inject(syn(0));
    script.expect(syn_ack(0, 1));
    assert_eq!(backlog(&script), Some((1, 0)));
    script.inject(ack(1, 1));
    assert_eq!(backlog(&script), Some((0, 1)));
    script.accept();
    assert_eq!(backlog(&script), Some((0, 0)));
    let (now, endpoint) = script.host.endpoint_mut();
    endpoint.close_listener(now, listener);
    assert_eq!(backlog(&script), None);
}

#[test]
fn half_open_connections_count_and_are_given_up() {
    let config = presets::plain_builder().with_connect_timeout(Duration::from_secs(10)).build();
    let config = EndpointConfig::builder().with_connection(config.unwrap()).with_syn_cookies(false);
    let mut script = Script::new(config.build().unwrap());
    script.listen(1);
    let first = syn_from(&mut script, 1);
    script.inject(first);
    script.expect(syn_ack(0, 1));
    let second = syn_from(&mut script, 2);
    script.inject(second.clone());
    script.expect_nothing();
    script.advance(10_000);
    script.take_output();
    assert_eq!(script.host.endpoint().connection_count(), 0);
    script.forget_isn();
    script.inject(second);
    script.expect(syn_ack(0, 1));
    // Nobody is told of what never was.
    assert_eq!(script.host.next_event(), None);
}

#[test]
fn closing_a_listener_resets_what_was_not_accepted() {
    let (mut script, listener) = listening(4);
    script.inject(syn(0));
    script.expect(syn_ack(0, 1));
    script.inject(ack(1, 1));
    let accepted = script.accept();
    let waiting = syn_from(&mut script, 2);
    script.inject(waiting);
    script.expect(syn_ack(0, 1));
    script.inject(ack(1, 1));
    script.expect_nothing();
    let (now, endpoint) = script.host.endpoint_mut();
    endpoint.close_listener(now, listener);
    script.expect(tou_sim::script::rst_ack(1, 1));
    script.expect_nothing();
    assert_eq!(script.state(accepted), State::Established);
    assert_eq!(script.host.accept(listener), None);
    let late = syn_from(&mut script, 3);
    script.inject(late);
    script.expect(tou_sim::script::rst_ack(0, 1).absolute_seq(0));
}

#[test]
fn data_that_comes_before_accept_is_kept() {
    let (mut script, _) = listening(1);
    script.inject(syn(0));
    script.expect(syn_ack(0, 1));
    script.inject(ack(1, 1));
    script.inject(data(1, 1, "early bird"));
    let conn = script.accept();
    assert_eq!(script.host.read_all(conn).0, b"early bird");
}

#[test]
fn connection_that_is_reset_before_accept_is_not_accepted_twice() {
    let (mut script, listener) = listening(1);
    script.inject(syn(0));
    script.expect(syn_ack(0, 1));
    script.inject(ack(1, 1));
    script.inject(rst(1));
    script.expect_nothing();
    // Accepted or forgotten: either way its place is free in the end.
    if let Some(conn) = script.host.accept(listener) {
        assert_eq!(script.state(conn), State::Closed);
        script.host.close(conn).unwrap();
    }
    let next = syn_from(&mut script, 2);
    script.inject(next);
    script.expect(syn_ack(0, 1));
}

#[test]
fn listener_has_a_configuration_of_its_own() {
    let mut script = Script::new(Arc::default());
    let small = ConnectionConfig::builder().with_max_mss(600).build().unwrap();
    let (_, endpoint) = script.host.endpoint_mut();
    endpoint.listen_with(port(Script::SERVER_PORT), 1, Some(small)).unwrap();
    script.inject(syn(0).mss(1_000));
    script.expect(syn_ack(0, 1).mss(600));
}

#[test]
fn endpoint_has_a_limit_of_connections() {
    let config = EndpointConfig::builder().with_max_connections(1).build().unwrap();
    let mut pair = Pair::builder(1).server(Arc::clone(&config)).client(config).build();
    let (client, _) = pair.connect();
    let remote = pair.remote();
    assert_eq!(pair.client().connect(remote, None), Err(ConnectError::TooManyConnections));
    pair.client().abort(client).unwrap();
    pair.run_for(Duration::from_secs(1));
    assert!(pair.client().connect(remote, None).is_ok());

    let config = EndpointConfig::builder().with_max_connections(1).build().unwrap();
    let mut pair = Pair::builder(1).server(config).build();
    pair.connect();
    let second = pair.start_connect();
    pair.run_for(Duration::from_millis(500));
    assert_eq!(pair.client().state(second), State::SynSent);
    assert_eq!(pair.server().endpoint().counters().connections_refused, 1);
}

#[test]
fn nobody_listens_is_told_by_a_reset() {
    let mut pair = Pair::new(1);
    let remote = pair.remote();
    let conn = pair.client().connect(remote, None).unwrap();
    pair.run_until(|pair| {
        pair.client().take_event(Event::Closed(conn, Some(ConnectionError::Refused)))
    });
}

#[test]
fn local_port_is_connected_once_to_each_peer() {
    let mut script = Script::with_connection(presets::plain());
    let conn = script.connect();
    script.take_output();
    let (remote, local) = script.host.endpoint().addresses(conn).unwrap();
    assert_eq!(script.host.connect(remote, Some(local)), Err(ConnectError::InUse));
    let other = tou_proto::Remote { port: port(8), ..remote };
    assert!(script.host.connect(other, Some(local)).is_ok());
}

#[test]
fn ephemeral_ports_come_from_their_range_and_run_out() {
    let config = EndpointConfig::builder().with_ephemeral_ports(30_000, 30_003).build().unwrap();
    let mut script = Script::new(config);
    let remote = tou_proto::Remote { addr: script.peer, port: port(7) };
    let mut ports: Vec<u16> = (0..4)
        .map(|_| {
            let conn = script.host.connect(remote, None).unwrap();
            script.host.endpoint().addresses(conn).unwrap().1.get()
        })
        .collect();
    ports.sort_unstable();
    assert_eq!(ports, [30_000, 30_001, 30_002, 30_003]);
    assert_eq!(script.host.connect(remote, None), Err(ConnectError::NoFreePort));
}

#[test]
fn impossible_addresses_are_refused() {
    let mut script = Script::new(Arc::default());
    for addr in ["0.0.0.0:7", "10.0.0.1:0", "224.0.0.1:7", "[::]:7", "[ff02::1]:7"] {
        let remote = tou_proto::Remote { addr: addr.parse().unwrap(), port: port(7) };
        assert_eq!(script.host.connect(remote, None), Err(ConnectError::InvalidAddress), "{addr}");
    }
}
