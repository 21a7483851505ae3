//! What the driver does while nobody is in a call, and how it is built into
//! other programs.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;
use std::io::{ErrorKind, Read, Write};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use tou_mio::{ConnectOptions, Ready, TouListener, TouSocket, TouStream};
use tou_proto::{EndpointConfig, Instant, Keepalive, Port, Remote, State};
use tou_udp::PumpEvent;

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
        // A process that was stopped comes back from it before anything has happened.
        while let Err(error) = poll.poll(&mut events, Some(LONG)) {
            assert_eq!(error.kind(), ErrorKind::Interrupted);
        }
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
fn hooks_may_own_last_handles() {
    let (done, is_done) = mpsc::channel();
    let thread = thread::spawn(move || {
        let Pair { client, server, listener } = pair();
        let addr = listener.local_addr().unwrap();
        // A hook that owns one stream of the socket more.
        let owner = || {
            let stream = client.socket().connect(addr).unwrap();
            move |_: Ready| _ = stream.local_port()
        };
        client.set_ready_hook(Some(owner()));
        client.set_ready_hook(Some(owner()));
        client.set_ready_hook(None::<fn(Ready)>);
        let own = client.socket().listen().unwrap();
        own.set_ready_hook(Some(owner()));
        own.set_ready_hook(Some(owner()));
        drop(own);
        let late = client.try_clone().unwrap();
        client.set_ready_hook(Some(owner()));
        late.abort();
        // It is never called.
        client.set_ready_hook(Some(owner()));
        let other = client.socket().connect(addr).unwrap();
        other.set_ready_hook(Some(owner()));
        let itself = other.try_clone().unwrap();
        other.set_ready_hook(Some(move |_: Ready| _ = itself.local_port()));
        drop(other);
        client.socket().close(LONG).unwrap();
        drop(server);
        done.send(()).unwrap();
    });
    is_done.recv_timeout(LONG).expect("a hook is dropped under the lock");
    thread.join().unwrap();
}

#[test]
fn a_hook_that_panics_disturbs_no_other_stream() {
    let Pair { client, mut server, listener } = pair();
    let mut other = client.socket().connect(listener.local_addr().unwrap()).unwrap();
    let (mut other_server, _) = listener.accept().unwrap();
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&calls);
    client.set_nonblocking(true).unwrap();
    client.set_ready_hook(Some(move |_: Ready| {
        counter.fetch_add(1, Ordering::SeqCst);
        panic!("a panic that is part of a test");
    }));
    assert!((&client).read(&mut [0]).is_err());
    // It leads, so the hook is called by it.
    let reader = thread::spawn(move || {
        other.read_exact(&mut [0]).unwrap();
        other
    });
    thread::sleep(Duration::from_millis(30));
    server.write_all(b"x").unwrap();
    while calls.load(Ordering::SeqCst) < 2 {
        thread::sleep(Duration::from_millis(1));
    }
    other_server.write_all(b"y").unwrap();
    let mut other = reader.join().unwrap();
    other.set_read_timeout(Some(LONG)).unwrap();
    other_server.write_all(b"z").unwrap();
    other.read_exact(&mut [0]).unwrap();
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
