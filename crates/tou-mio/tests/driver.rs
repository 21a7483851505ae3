//! What the driver does while nobody is in a call, and how it is built into
//! other programs.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;
use std::io::{Read, Write};
use std::net::UdpSocket;
use std::sync::{Arc, Mutex};
use std::thread;

use tou_mio::{ConnectOptions, Ready, TouListener, TouSocket, TouStream};
use tou_proto::wire::Checksum;
use tou_proto::{EndpointConfig, Instant, Keepalive, Port, Remote, State};
use tou_udp::{Damage, Direction, Impairment, PumpEvent};

use common::*;

#[test]
fn a_connection_lives_on_with_no_thread_in_a_call() {
    // Keepalive asks the peer every 150 ms.
    let keepalive = Keepalive {
        idle: Duration::from_millis(150),
        interval: Duration::from_millis(150),
        probes: 1,
    };
    let config =
        tou_mio::default_connection_config().with_keepalive(Some(keepalive)).build().unwrap();
    let builder = TouSocket::builder().with_connection(config);
    let Pair { mut client, mut server, .. } = pair_of(builder, TouSocket::builder());
    client.write_all(&noise(100_000, 3)).unwrap();
    thread::sleep(Duration::from_millis(800));
    // All of it was acknowledged meanwhile, and the peer's silence was asked about.
    let info = client.info().unwrap();
    assert_eq!(info.send_queue, 0);
    assert_eq!(info.state, State::Established);
    assert!(info.counters.keepalive_probes >= 2, "{}", info.counters.keepalive_probes);
    let mut data = vec![0; 100_000];
    server.read_exact(&mut data).unwrap();
    assert_same(&data, &noise(100_000, 3));
}

#[test]
fn connections_are_established_with_no_thread_in_accept() {
    let listener = TouListener::bind(LOCAL).unwrap();
    let addr = listener.local_addr().unwrap();
    let clients: Vec<_> = (0..5).map(|_| TouStream::connect(addr).unwrap()).collect();
    for _ in &clients {
        listener.accept().unwrap();
    }
}

#[test]
fn idle_connections_cost_no_wakeups() {
    let Pair { client, server, listener } = pair();
    let echoing = thread::spawn(move || echo(&server));
    round_trip(&client, &noise(100_000, 1));
    // Delayed acknowledgments and the last planned wake-ups pass.
    thread::sleep(Duration::from_millis(700));
    let count = || {
        let counters = [client.socket().driver_counters(), listener.socket().driver_counters()];
        counters.map(|counters| counters.wakeups)
    };
    let before = count();
    thread::sleep(Duration::from_millis(700));
    assert_eq!(count(), before);
    drop(client);
    echoing.join().unwrap();
}

#[test]
fn path_kept_open_costs_one_wakeup_for_each_silence() {
    let silence = Duration::from_secs(1);
    let config = EndpointConfig::builder().with_path_keepalive(Some(silence)).build().unwrap();
    let builder = TouSocket::builder().with_endpoint(config);
    let Pair { mut client, server, .. } = pair_of(builder, TouSocket::builder());
    client.write_all(b"x").unwrap();
    thread::sleep(Duration::from_millis(300));
    let socket = client.socket();
    let before = socket.driver_counters().wakeups;
    let before_it = socket.counters().path_keepalives;
    // The third will not come before this has looked.
    while socket.counters().path_keepalives < before_it + 2 {
        thread::sleep(Duration::from_millis(10));
    }
    // Each of them, and at most one look that found that something was sent since.
    let wakeups = socket.driver_counters().wakeups - before;
    assert!((2..=3).contains(&wakeups), "{wakeups}");
    drop(server);
}

#[test]
fn requests_do_not_wake_the_background_thread_each_time() {
    const ROUNDS: u64 = 500;
    let Pair { client, server, .. } = pair();
    let echoing = thread::spawn(move || echo(&server));
    round_trip(&client, b"warm up");
    let before = client.socket().driver_counters();
    for _ in 0..ROUNDS {
        round_trip(&client, b"ping");
    }
    let after = client.socket().driver_counters();
    // On a slow machine a round takes longer than the watch's millisecond.
    let takeovers = after.takeovers - before.takeovers;
    assert!(takeovers < ROUNDS / 5, "{takeovers} takeovers in {ROUNDS} rounds");
    let waits = after.caller_waits - before.caller_waits;
    assert!((ROUNDS / 2..ROUNDS * 2).contains(&waits), "{waits} waits in {ROUNDS} rounds");
    drop(client);
    echoing.join().unwrap();
}

#[test]
fn data_gets_through_a_bad_network() {
    const LEN: usize = 300_000;
    let bad = |seed| Impairment {
        drop: 0.05,
        duplicate: 0.02,
        reorder: 0.05,
        corrupt: 0.02,
        seed,
        ..Impairment::default()
    };
    let builder = |seed| {
        TouSocket::builder()
            .with_connection(small_segments())
            .with_impairment(Direction::Send, bad(seed))
            .with_impairment(Direction::Receive, bad(seed + 1))
    };
    let Pair { client, server, .. } = pair_of(builder(1), builder(3));
    transfer_both_ways(&client, &server, LEN);
    let stats = client.socket().impairment_stats(Direction::Send).unwrap();
    assert!(stats.dropped > 0 && stats.reordered > 0, "{stats:?}");
    part(client, server);
}

#[test]
fn a_segment_checksum_catches_flipped_bits() {
    const LEN: usize = 300_000;
    let config = EndpointConfig::builder().with_checksum(Checksum::Segment).build().unwrap();
    let noisy =
        Impairment { corrupt: 0.05, damage: Damage::FlipBit, seed: 6, ..Impairment::default() };
    let builder = || {
        TouSocket::builder()
            .with_endpoint(Arc::clone(&config))
            .with_connection(small_segments())
            .with_impairment(Direction::Send, noisy.clone())
    };
    let Pair { client, server, .. } = pair_of(builder(), builder());
    transfer_both_ways(&client, &server, LEN);
    assert!(server.socket().counters().bad_checksums > 0);
    part(client, server);
}

fn transfer_both_ways(client: &TouStream, server: &TouStream, len: usize) {
    thread::scope(|scope| {
        for (stream, seed) in [(client, 1), (server, 2)] {
            scope.spawn(move || {
                let mut stream = stream;
                stream.write_all(&noise(len, seed)).unwrap();
                stream.shutdown(std::net::Shutdown::Write).unwrap();
            });
            scope.spawn(move || assert_same(&read_all(stream), &noise(len, 3 - seed)));
        }
    });
}

#[test]
fn two_sockets_that_were_punched_through_open_simultaneously() {
    let udp: [UdpSocket; 2] = core::array::from_fn(|_| UdpSocket::bind(LOCAL).unwrap());
    let addrs = udp.each_ref().map(|socket| socket.local_addr().unwrap());
    // Each has sent its SYN before the other's arrives.
    let far = Impairment { delay: Duration::from_millis(50), ..Impairment::default() };
    let builder = || TouSocket::builder().with_impairment(Direction::Send, far.clone());
    let sockets = udp.map(|socket| builder().from_udp(socket).unwrap());
    let ports = [Port::new(1_001).unwrap(), Port::new(1_002).unwrap()];
    let [one, two] = [0, 1].map(|side| {
        let socket = sockets[side].clone();
        let remote = Remote { addr: addrs[1 - side], port: ports[1 - side] };
        let options = ConnectOptions::new().with_local_port(ports[side]).with_timeout(LONG);
        thread::spawn(move || socket.connect_with(remote, &options).unwrap())
    });
    let (one, two) = (one.join().unwrap(), two.join().unwrap());
    assert_eq!((one.local_port(), one.peer_port()), (ports[0], ports[1]));
    let echoing = thread::spawn(move || echo(&two));
    round_trip(&one, b"through the hole");
    drop(one);
    echoing.join().unwrap();
}

#[test]
fn one_socket_listens_and_connects_at_once() {
    let [one, two] = [0, 1].map(|_| TouSocket::bind(LOCAL).unwrap());
    let (listen_one, listen_two) = (one.listen().unwrap(), two.listen().unwrap());
    let from_one = one.connect(two.local_addr()).unwrap();
    let from_two = two.connect(one.local_addr()).unwrap();
    let (at_two, peer) = listen_two.accept().unwrap();
    assert_eq!(peer, one.local_addr());
    let (at_one, _) = listen_one.accept().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| echo(&at_one));
        scope.spawn(|| echo(&at_two));
        round_trip(&from_one, b"one to two");
        round_trip(&from_two, b"two to one");
        drop((from_one, from_two));
    });
}

#[test]
fn the_tcp_port_may_differ_from_the_udp_port() {
    let socket = TouSocket::bind(LOCAL).unwrap();
    let ports = [80, 443].map(|port| Port::new(port).unwrap());
    let listeners = ports.map(|port| socket.listen_on(port, 4, None).unwrap());
    let client = TouSocket::bind(LOCAL).unwrap();
    for (listener, port) in listeners.iter().zip(ports) {
        let remote = Remote { addr: socket.local_addr(), port };
        let stream = client.connect_with(remote, &ConnectOptions::new()).unwrap();
        assert_eq!(stream.peer_port(), port);
        let (accepted, _) = listener.accept().unwrap();
        assert_eq!(accepted.local_port(), port);
        assert_eq!(accepted.peer_port(), stream.local_port());
    }
}

#[test]
fn hooks_drive_a_foreign_event_loop() {
    const WAKE: mio::Token = mio::Token(7);
    let (addr, server) = echo_server(1);
    let mut poll = mio::Poll::new().unwrap();
    let waker = Arc::new(mio::Waker::new(poll.registry(), WAKE).unwrap());
    let socket = TouSocket::bind(LOCAL).unwrap();
    let remote = Remote { addr, port: Port::new(addr.port()).unwrap() };
    let mut stream = socket.start_connect(remote, &ConnectOptions::new()).unwrap();
    stream.set_nonblocking(true).unwrap();
    stream.set_ready_hook(Some(move |_: Ready| waker.wake().unwrap()));
    let data = noise(400_000, 8);
    let (mut written, mut got) = (0, Vec::new());
    let mut events = mio::Events::with_capacity(4);
    let mut buf = vec![0; 65_536];
    while got.len() < data.len() {
        poll.poll(&mut events, Some(LONG)).unwrap();
        assert!(!events.is_empty(), "no event, {written} written, {} read", got.len());
        while written < data.len()
            && let Ok(len) = stream.write(&data[written..])
        {
            written += len;
        }
        while let Ok(len) = stream.read(&mut buf) {
            got.extend_from_slice(&buf[..len]);
        }
    }
    assert_same(&got, &data);
    stream.set_ready_hook(None::<fn(Ready)>);
    drop(stream);
    server.join().unwrap();
}

#[test]
fn a_listeners_hook_tells_of_connections() {
    let listener = TouListener::bind(LOCAL).unwrap();
    listener.set_nonblocking(true).unwrap();
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&calls);
    listener.set_ready_hook(Some(move |ready: Ready| {
        assert!(ready.readable);
        counter.fetch_add(1, Ordering::SeqCst);
    }));
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    let _client = TouStream::connect(listener.local_addr().unwrap()).unwrap();
    while calls.load(Ordering::SeqCst) < 2 {
        thread::sleep(Duration::from_millis(1));
    }
    listener.accept().unwrap();
}

#[test]
fn an_observer_sees_the_segments() {
    let log = Arc::new(Mutex::new((0, 0)));
    let writer = Arc::clone(&log);
    let observer = move |_: Instant, event: PumpEvent<'_>| {
        let mut log = writer.lock().unwrap();
        match event {
            PumpEvent::Sent { transmit, .. } => log.0 += transmit.segments,
            PumpEvent::Received(batch) => log.1 += batch.datagrams().count(),
            _ => {}
        }
    };
    let builder = TouSocket::builder().with_observer(observer);
    let Pair { client, server, .. } = pair_of(builder, TouSocket::builder());
    let echoing = thread::spawn(move || echo(&server));
    round_trip(&client, b"watched");
    drop(client);
    echoing.join().unwrap();
    let (sent, received) = *log.lock().unwrap();
    assert!(sent >= 4 && received >= 3, "{sent} sent, {received} received");
}
