//! What the driver does while nobody polls, and who does the work.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use core::net::SocketAddr;
use core::pin::{Pin, pin};
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use core::task::{Context, Waker};
use core::time::Duration;
use std::io::{ErrorKind, Read, Write};
use std::sync::{Arc, Mutex};
use std::task::Wake;
use std::thread::{self, ThreadId};

use async_io::{Timer, block_on};
use futures::{AsyncRead, AsyncReadExt, AsyncWriteExt, future};
use tou_async_io::{TouSocket, TouStream};
use tou_proto::{Instant, Keepalive, State};
use tou_udp::{Clock, Direction, Impairment, PumpEvent};

use common::*;

#[test]
fn a_connection_lives_on_while_nobody_polls() {
    // Keepalive asks the peer every 150 ms.
    let keepalive = Keepalive {
        idle: Duration::from_millis(150),
        interval: Duration::from_millis(150),
        probes: 1,
    };
    let config =
        tou_async_io::default_connection_config().with_keepalive(Some(keepalive)).build().unwrap();
    let builder = TouSocket::builder().with_connection(config);
    let Pair { mut client, mut server, .. } = block_on(pair_of(builder, TouSocket::builder()));
    block_on(client.write_all(&noise(100_000, 3))).unwrap();
    thread::sleep(Duration::from_millis(800));
    // All of it was acknowledged meanwhile, and the peer's silence was asked about.
    let info = client.info().unwrap();
    assert_eq!(info.send_queue, 0);
    assert_eq!(info.state, State::Established);
    assert!(info.counters.keepalive_probes >= 2, "{}", info.counters.keepalive_probes);
    let mut data = vec![0; 100_000];
    block_on(server.read_exact(&mut data)).unwrap();
    assert_same(&data, &noise(100_000, 3));
}

#[test]
fn idle_connections_cost_no_wakeups() {
    block_on(async {
        let Pair { mut client, server, listener } = pair().await;
        let sockets = [client.socket(), listener.socket()];
        let asking = async {
            round_trip(&mut client, &noise(100_000, 1)).await;
            // Delayed acknowledgments and the last planned wake-ups pass.
            Timer::after(Duration::from_millis(700)).await;
            let before = sockets.each_ref().map(TouSocket::driver_counters);
            Timer::after(Duration::from_millis(700)).await;
            assert_eq!(sockets.each_ref().map(TouSocket::driver_counters), before);
            client.close().await.unwrap();
        };
        future::join(asking, echo(server)).await;
    });
}

#[test]
fn a_round_trip_costs_about_one_wakeup_a_side() {
    const ROUNDS: u64 = 500;
    block_on(async {
        let Pair { mut client, server, .. } = pair().await;
        client.set_nodelay(true).unwrap();
        server.set_nodelay(true).unwrap();
        let asking = async {
            let before = client.socket().driver_counters();
            for _ in 0..ROUNDS {
                round_trip(&mut client, b"ping").await;
            }
            let after = client.socket().driver_counters();
            // On a loaded machine timers fire in between.
            let wakeups = after.wakeups - before.wakeups;
            assert!(wakeups < 2 * ROUNDS, "{wakeups} wake-ups in {ROUNDS} rounds");
            client.close().await.unwrap();
        };
        future::join(asking, echo(server)).await;
    });
}

/// Notes which threads do a socket's work.
#[derive(Clone, Default)]
struct Workers(Arc<Mutex<Vec<ThreadId>>>);

impl Workers {
    fn watch(&self) -> tou_async_io::Builder {
        let workers = self.clone();
        TouSocket::builder().with_observer(move |_: Instant, event: PumpEvent<'_>| {
            if matches!(event, PumpEvent::Received(_)) {
                workers.0.lock().unwrap().push(thread::current().id());
            }
        })
    }

    fn clear(&self) {
        self.0.lock().unwrap().clear();
    }

    fn only(&self, thread: ThreadId) -> bool {
        let workers = self.0.lock().unwrap();
        !workers.is_empty() && workers.iter().all(|worker| *worker == thread)
    }
}

#[test]
fn who_drives_does_the_work() {
    let workers = Workers::default();
    let Pair { client, server, .. } = block_on(pair_of(workers.watch(), TouSocket::builder()));
    let driver = thread::spawn({
        let drive = client.socket().drive();
        || futures::executor::block_on(drive)
    });
    thread::sleep(Duration::from_millis(100));
    workers.clear();
    // Nobody reads here: all that is done is done by the driver.
    block_on(async {
        let mut server = server.clone();
        server.write_all(&noise(50_000, 1)).await.unwrap();
        while server.info().unwrap().send_queue > 0 {
            Timer::after(Duration::from_millis(1)).await;
        }
    });
    assert!(workers.only(driver.thread().id()));
    block_on(part(client, server));
    driver.join().unwrap();
}

#[test]
fn what_drives_sees_the_data_off_and_the_drop_does_not_wait() {
    const LEN: usize = 2 << 20;
    let Pair { mut client, server, .. } = block_on(pair());
    let drive = client.socket().drive();
    // It counts from the first poll.
    let driver = thread::spawn(|| futures::executor::block_on(drive));
    thread::sleep(Duration::from_millis(50));
    let slow = Impairment { delay: Duration::from_millis(100), ..Impairment::default() };
    client.socket().impair(Direction::Send, &slow).unwrap();
    let (sent, dropped) = (noise(LEN, 1), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            block_on(client.write_all(&sent)).unwrap();
            drop(client);
            dropped.store(true, Relaxed);
        });
        let mut first = [0];
        let mut reader = server.clone();
        block_on(reader.read_exact(&mut first)).unwrap();
        assert_same(&block_on(read_all(server))[..], &sent[1..]);
    });
    assert!(dropped.load(Relaxed));
    driver.join().unwrap();
}

#[test]
fn what_drives_does_not_wait_for_a_silent_peer_for_ever() {
    let builder = TouSocket::builder().with_close_timeout(Duration::from_millis(100));
    let Pair { mut client, server, .. } = block_on(pair_of(builder, TouSocket::builder()));
    let nothing = Impairment { drop: 1.0, ..Impairment::default() };
    client.socket().impair(Direction::Send, &nothing).unwrap();
    let driver = thread::spawn({
        let drive = client.socket().drive();
        || futures::executor::block_on(drive)
    });
    thread::sleep(Duration::from_millis(50));
    block_on(client.write_all(b"into the void")).unwrap();
    drop(client);
    driver.join().unwrap();
    server.abort();
}

#[test]
fn who_stops_driving_last_keeps_no_socket_open() {
    let builder = TouSocket::builder().with_close_timeout(LONG);
    let Pair { mut client, server, .. } = block_on(pair_of(builder, TouSocket::builder()));
    let nothing = Impairment { drop: 1.0, ..Impairment::default() };
    client.socket().impair(Direction::Send, &nothing).unwrap();
    block_on(client.write_all(b"into the void")).unwrap();
    let addr = client.local_addr().unwrap();
    let [mut drives, mut idle] = [(), ()].map(|()| Box::pin(client.socket().drive()));
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(drives.as_mut().poll(cx).is_pending());
    drop(client);
    drop(drives);
    // Nobody drove for a moment, and that was the end.
    assert!(idle.as_mut().poll(cx).is_ready());
    drop(idle);
    TouSocket::bind(addr).unwrap();
    server.abort();
}

#[test]
fn what_drives_a_socket_that_nobody_holds_ends_at_once() {
    let socket = TouSocket::bind(([127, 0, 0, 1], 0)).unwrap();
    let drive = socket.drive();
    drop(socket);
    block_on(drive);
}

#[test]
fn a_timer_that_fires_while_the_future_is_polled_is_not_forgotten() {
    let Pair { mut client, mut server, .. } =
        block_on(pair_of(TouSocket::builder(), TouSocket::builder()));
    let socket = client.socket();
    socket.block_on(async {
        let nothing = Impairment { drop: 1.0, ..Impairment::default() };
        socket.impair(Direction::Send, &nothing).unwrap();
        client.write_all(b"lost at first").await.unwrap();
        socket.impair(Direction::Send, &Impairment::default()).unwrap();
        // Long enough for the retransmission timer.
        thread::sleep(Duration::from_millis(600));
        // A timeout would save who has forgotten, too.
        let clock = Clock::start();
        server.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut got = [0; 13];
        server.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"lost at first");
        assert!(clock.now() < Instant::from_secs(9));
    });
}

#[test]
fn a_read_whose_time_is_over_takes_what_has_arrived_before_it_gives_up() {
    const TIME: Duration = Duration::from_millis(20);
    let Pair { mut client, mut server, .. } = block_on(pair());
    let socket = client.socket();
    let cx = &mut Context::from_waker(Waker::noop());
    // Looking after the socket is left to a task that never gets its turn.
    let mut drive = pin!(socket.drive());
    assert!(drive.as_mut().poll(cx).is_pending());
    client.set_read_timeout(Some(TIME)).unwrap();
    let mut got = [0; 4];
    assert!(Pin::new(&mut client).poll_read(cx, &mut got).is_pending());
    block_on(server.write_all(b"data")).unwrap();
    thread::sleep(2 * TIME);
    assert_eq!(block_on(client.read(&mut got)).unwrap(), 4);
    assert_eq!(&got, b"data");
    // And gives up when there is nothing.
    let start = Clock::start();
    assert_eq!(block_on(client.read(&mut got)).unwrap_err().kind(), ErrorKind::TimedOut);
    assert!(start.now() >= Instant::ZERO + TIME);
}

#[test]
fn who_blocks_on_the_socket_does_the_work() {
    let workers = Workers::default();
    let Pair { client, server, .. } = block_on(pair_of(workers.watch(), TouSocket::builder()));
    let socket = client.socket();
    thread::scope(|scope| {
        scope.spawn(|| block_on(exchange_half(&server)));
        socket.block_on(async {
            // Reactors of others are heard, and other threads.
            Timer::after(Duration::from_millis(50)).await;
            workers.clear();
            let (sender, receiver) = futures::channel::oneshot::channel();
            scope.spawn(move || {
                thread::sleep(Duration::from_millis(50));
                sender.send(()).unwrap();
            });
            future::join(exchange_half(&client), async { receiver.await.unwrap() }).await;
        });
        assert!(workers.only(thread::current().id()));
    });
    // Afterwards all is as before.
    let mut client = client;
    thread::scope(|scope| {
        scope.spawn(|| block_on(async { echo_one(&server).await }));
        block_on(round_trip(&mut client, b"again"));
    });
    block_on(part(client, server));
}

#[test]
fn a_future_that_always_wakes_itself_gets_its_data_all_the_same() {
    const ROUNDS: usize = 5;
    let Pair { mut client, mut server, .. } = block_on(pair());
    let socket = client.socket();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..ROUNDS {
                thread::sleep(Duration::from_millis(20));
                block_on(server.write_all(b"x")).unwrap();
            }
        });
        socket.block_on(async {
            let reading = async {
                let read = client.read_exact(&mut [0; ROUNDS]).await;
                done.store(true, Relaxed);
                read.unwrap();
            };
            let clock = Clock::start();
            let spinning = async {
                while !done.load(Relaxed) && clock.now() < Instant::ZERO + LONG {
                    smol::future::yield_now().await;
                }
                assert!(done.load(Relaxed), "nobody looked at the socket");
            };
            future::join(reading, spinning).await;
        });
    });
}

/// Sends and receives as much at once.
async fn exchange_half(stream: &TouStream) {
    let data = noise(1_000_000, 3);
    let (mut reader, mut writer) = (stream.clone(), stream.clone());
    let mut got = vec![0; data.len()];
    let (sent, received) = future::join(writer.write_all(&data), reader.read_exact(&mut got)).await;
    sent.unwrap();
    received.unwrap();
    assert_same(&got, &data);
}

async fn echo_one(stream: &TouStream) {
    let mut stream = stream.clone();
    let mut octets = [0; 5];
    stream.read_exact(&mut octets).await.unwrap();
    stream.write_all(&octets).await.unwrap();
}

/// A waker that drops the last handle to a socket.
struct LastDrop(Mutex<Option<TouStream>>);

impl Wake for LastDrop {
    fn wake(self: Arc<Self>) {
        self.0.lock().unwrap().take();
    }
}

#[test]
fn the_last_handle_may_be_dropped_in_the_reactor() {
    // The peer does not depend on the reactor, which is blocked meanwhile.
    let listener = tou_mio::TouListener::bind(SocketAddr::from(LOCAL)).unwrap();
    let addr = listener.local_addr().unwrap();
    let (go, gone) = std::sync::mpsc::channel();
    let peer = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.read_exact(&mut [0; 5]).unwrap();
        gone.recv().unwrap();
        stream.write_all(b"x").unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        rest
    });
    let waker = Arc::new(LastDrop(Mutex::new(None)));
    block_on(async {
        let mut client = TouStream::connect(addr).await.unwrap();
        client.write_all(b"hello").await.unwrap();
        // What follows takes a while, so that the drop has something to wait for.
        let slow = Impairment { delay: Duration::from_millis(100), ..Impairment::default() };
        client.socket().impair(Direction::Send, &slow).unwrap();
        client.write_all(b" and farewell").await.unwrap();
        // Whoever is the reactor wakes this reader, and there it goes.
        let waker_of_reader = Waker::from(Arc::clone(&waker));
        let cx = &mut Context::from_waker(&waker_of_reader);
        let mut held = waker.0.lock().unwrap();
        assert!(pin!(&mut client).poll_read(cx, &mut [0]).is_pending());
        *held = Some(client);
    });
    go.send(()).unwrap();
    assert_eq!(peer.join().unwrap(), b" and farewell");
    assert!(waker.0.lock().unwrap().is_none());
}

/// A waker that counts how often it is woken, and may panic then.
struct Counting {
    panics: bool,
    count: AtomicUsize,
}

impl Counting {
    fn wait_for(&self, times: usize) {
        let clock = Clock::start();
        while self.count.load(Relaxed) != times {
            assert!(clock.now() < Instant::ZERO + LONG, "not woken {times} times");
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Wake for Counting {
    fn wake(self: Arc<Self>) {
        self.count.fetch_add(1, Relaxed);
        assert!(!self.panics, "a panic that is part of a test");
    }
}

#[test]
fn a_waker_that_panics_disturbs_no_other_task() {
    let Pair { client, mut server, .. } = block_on(pair());
    let wakers =
        [true, false].map(|panics| Arc::new(Counting { panics, count: AtomicUsize::new(0) }));
    let mut readers = [client.clone(), client.clone()];
    let mut wait = |times: usize| {
        for (reader, waker) in readers.iter_mut().zip(&wakers) {
            waker.wait_for(times);
            let waker = Waker::from(Arc::clone(waker));
            let cx = &mut Context::from_waker(&waker);
            assert!(Pin::new(reader).poll_read(cx, &mut [0]).is_pending());
        }
    };
    wait(0);
    // The reactor wakes them.
    block_on(server.write_all(b"x")).unwrap();
    let mut reader = client.clone();
    block_on(reader.read_exact(&mut [0])).unwrap();
    wait(1);
    // And so does a call, in its own thread.
    client.abort();
    wakers.iter().for_each(|waker| waker.wait_for(2));
}

#[test]
fn data_gets_through_a_bad_network() {
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
    block_on(async {
        let Pair { client, server, .. } = pair_of(builder(1), builder(3)).await;
        exchange(&client, &server, 300_000).await;
        let stats = client.socket().impairment_stats(Direction::Send).unwrap();
        assert!(stats.dropped > 0 && stats.reordered > 0, "{stats:?}");
        part(client, server).await;
    });
}
