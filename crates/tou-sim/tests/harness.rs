//! The harness itself: it does what its knobs say, repeats itself, and notices.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use core::net::SocketAddr;
use core::time::Duration;
use std::sync::Arc;

use tou_proto::{EndpointConfig, Event, Port, Remote, State};
use tou_sim::script::{Script, ack, data, syn, syn_ack};
use tou_sim::{Fate, Knobs, LossCause, Manners, Pair, Talk, World, presets};

fn address(host: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, host], 9_000))
}

/// A pair that is idle when nobody says anything: no path is kept open.
fn quiet_pair() -> Pair {
    let config = EndpointConfig::builder().with_path_keepalive(None).build().unwrap();
    Pair::builder(1).config(&config).build()
}

/// Three clients that talk to one server; the digest, and what it heard.
fn star(seed: u64) -> (u64, Vec<u8>) {
    let mut world = World::new(seed);
    world.default_knobs.loss = 0.1;
    let port = Port::new(7).unwrap();
    let server = world.add_host("server", address(1), Arc::default());
    let listener = world.host_mut(server).listen(port, 8).unwrap();
    for (name, host) in [("a", 2), ("b", 3), ("c", 4)] {
        let client = world.add_host(name, address(host), Arc::default());
        world.link_mut(client, server).knobs.delay = Duration::from_millis(u64::from(host) * 7);
        let client = world.host_mut(client);
        let conn = client.connect(Remote { addr: address(1), port }, None).unwrap();
        client.write(conn, name.as_bytes()).unwrap();
        client.release(conn).unwrap();
    }
    world.run_for(Duration::from_secs(60));
    let host = world.host_mut(server);
    let mut heard = Vec::new();
    while let Some(conn) = host.accept(listener) {
        heard.extend(host.read_all(conn).0);
    }
    (world.trace.digest(), heard)
}

#[test]
fn worlds_have_any_number_of_hosts_and_repeat_themselves() {
    let (digest, mut heard) = star(1);
    assert_eq!((digest, heard.clone()), star(1));
    assert_ne!(digest, star(2).0);
    heard.sort_unstable();
    assert_eq!(heard, b"abc");
}

#[test]
fn datagrams_to_nowhere_are_lost_and_noted() {
    let mut world = World::new(1);
    let host = world.add_host("host", address(1), Arc::default());
    let remote = Remote { addr: address(2), port: Port::new(7).unwrap() };
    world.host_mut(host).connect(remote, None).unwrap();
    assert!(world.step());
    let record = world.trace.records().next().unwrap();
    assert_eq!((record.to, record.fate), ("?", Fate::Lost(LossCause::NoRoute)));
}

#[test]
fn knobs_turn_while_a_pair_runs() {
    let mut pair = Pair::new(1);
    let (client, server) = pair.connect();
    pair.to_server().outage = true;
    pair.client().write(client, b"hello").unwrap();
    pair.run_for(Duration::from_secs(2));
    assert_eq!(pair.server().info(server).unwrap().recv_queue, 0);
    pair.to_server().outage = false;
    pair.run_until(|pair| pair.server().take_event(Event::Readable(server)));
    assert_eq!(pair.server().read_all(server).0, b"hello");
}

#[test]
fn initial_numbers_can_be_had_right_before_the_wrap() {
    for seed in 0..5 {
        let mut pair = Pair::builder(seed).isns_before_wrap(5_000).build();
        pair.connect();
        for isn in [pair.isns().0, pair.isns().1] {
            assert!((4_990..=5_010).contains(&isn.get().wrapping_neg()), "{isn}");
        }
    }
}

#[test]
fn batches_are_taken_as_one() {
    let acks = |batch| {
        let mut pair = Pair::builder(1).batch(batch).build();
        let (client, server) = pair.connect();
        let mut from = Talk::new(client, vec![0; 300_000], Manners::default());
        let mut to = Talk::new(server, Vec::new(), Manners::default());
        pair.converse(&mut from, &mut to);
        pair.server().info(server).unwrap().counters.segments_sent
    };
    assert!(acks(true) * 3 < acks(false), "{} and {}", acks(true), acks(false));
}

#[test]
fn run_for_ends_on_time() {
    let mut pair = quiet_pair();
    pair.connect();
    let before = pair.now();
    pair.run_for(Duration::from_millis(1_234));
    assert_eq!(pair.now().saturating_since(before), Duration::from_millis(1_234));
    assert!(pair.run_until_idle(Duration::ZERO));
}

#[test]
fn mtu_of_the_path_counts_ip_and_udp() {
    // 1,452 octets of segment data and options make 1,500 octets of IP packet.
    let path = Knobs { mtu_drop: Some(1_500), ..Knobs::default() };
    let mut pair = Pair::builder(1).path(path).build();
    let (client, server) = pair.connect();
    pair.client().write(client, &[0; 20_000]).unwrap();
    pair.run_for(Duration::from_millis(100));
    assert_eq!(pair.server().info(server).unwrap().recv_queue, 20_000);
    pair.to_server().mtu_drop = Some(1_499);
    pair.client().write(client, &[0; 20_000]).unwrap();
    pair.run_for(Duration::from_millis(100));
    assert!(pair.server().info(server).unwrap().recv_queue < 30_000);
}

#[test]
fn script_reads_like_a_trace() {
    let mut script = Script::with_connection(presets::plain());
    let conn = script.connect();
    script.expect(syn(0).mss(1_452).no_ts());
    script.inject(syn_ack(0, 1).mss(1_000));
    script.expect(ack(1, 1));
    script.inject(data(1, 1, "hi"));
    script.expect_silence(39);
    script.expect_after(1, ack(1, 3));
    assert_eq!(script.state(conn), State::Established);
}

#[test]
#[should_panic(expected = "expected nothing")]
fn script_notices_what_was_not_asked_for() {
    let mut script = Script::with_connection(presets::plain());
    script.connect();
    script.inject(syn_ack(0, 1));
}

#[test]
#[should_panic(expected = "but came")]
fn script_notices_what_is_not_as_expected() {
    let mut script = Script::with_connection(presets::plain());
    script.connect();
    script.expect(syn(0).mss(1_453));
}

#[test]
#[should_panic(expected = "but nothing came")]
fn script_notices_what_does_not_come() {
    let mut script = Script::with_connection(presets::plain());
    script.listen(1);
    script.expect(syn(0));
}

#[test]
#[should_panic(expected = "nothing happens any more")]
fn pair_notices_that_it_waits_in_vain() {
    let mut pair = quiet_pair();
    pair.connect();
    pair.run_until(|_| false);
}
