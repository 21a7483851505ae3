//! Dropping what is pending loses nothing and wedges nothing, whenever it
//! happens: each operation is given up after its first, second, third ... poll,
//! and begun again.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use core::future::poll_fn;
use core::pin::{Pin, pin};
use core::task::Poll;

use async_io::block_on;
use bytes::Bytes;
use futures::{AsyncReadExt, AsyncWriteExt, StreamExt, future};
use tou_async_io::{TouListener, TouSocket};
use tou_udp::{Direction, Impairment};

use common::*;

/// How often an operation is polled before it is given up: all of these.
const POLLS: core::ops::RangeInclusive<usize> = 1..=4;

/// Polls `operation`, each time it is woken, `polls` times at most. `None` when
/// it is pending still: it is dropped then.
async fn give_up<T>(polls: usize, operation: impl Future<Output = T>) -> Option<T> {
    let mut operation = pin!(operation);
    let mut left = polls;
    poll_fn(|cx| {
        left -= 1;
        match operation.as_mut().poll(cx) {
            Poll::Ready(result) => Poll::Ready(Some(result)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Lets all other tasks and the reactor have their turn.
async fn pause() {
    async_io::Timer::after(core::time::Duration::from_micros(200)).await;
}

/// Begins an operation again and again until it is done, and gives it up after
/// so many polls each time.
macro_rules! insist {
    ($polls:expr, $operation:expr) => {
        loop {
            match give_up($polls, $operation).await {
                Some(result) => break result.unwrap(),
                None => pause().await,
            }
        }
    };
}

/// A network on which there is always something to wait for.
async fn slow_pair() -> Pair {
    let bad = |seed| Impairment { drop: 0.02, seed, ..Impairment::default() };
    let builder = |seed| {
        TouSocket::builder()
            .with_connection(small_segments())
            .with_impairment(Direction::Send, bad(seed))
    };
    pair_of(builder(5), builder(6)).await
}

#[test]
fn reads_and_writes_given_up_lose_no_octet() {
    const LEN: usize = 150_000;
    block_on(async {
        for polls in POLLS {
            let Pair { mut client, mut server, .. } = slow_pair().await;
            let sent = noise(LEN, polls as u64);
            let writing = async {
                let mut written = 0;
                while written < LEN {
                    let end = LEN.min(written + 20_000);
                    written += insist!(polls, client.write(&sent[written..end]));
                }
                client.close().await.unwrap();
            };
            let reading = async {
                let (mut got, mut buf) = (Vec::new(), vec![0; 9_000]);
                loop {
                    match insist!(polls, server.read(&mut buf)) {
                        0 => break got,
                        len => got.extend_from_slice(&buf[..len]),
                    }
                }
            };
            let ((), got) = future::join(writing, reading).await;
            assert_same(&got, &sent);
            part(client, server).await;
        }
    });
}

#[test]
fn chunks_given_up_lose_no_octet() {
    const LEN: usize = 150_000;
    block_on(async {
        for polls in POLLS {
            let Pair { client, server, .. } = slow_pair().await;
            let sent = Bytes::from(noise(LEN, polls as u64));
            let writing = async {
                let mut left = sent.clone();
                while !left.is_empty() {
                    let before = left.len();
                    let taken = insist!(polls, client.write_bytes(&mut left));
                    assert_eq!(before - left.len(), taken);
                }
                client.shutdown(std::net::Shutdown::Write).unwrap();
            };
            let reading = async {
                let mut got = Vec::new();
                loop {
                    let mut front = [0; 10];
                    let seen = insist!(polls, server.peek(&mut front));
                    let Some(chunk) = insist!(polls, server.read_chunk(5_000)) else { break };
                    assert_eq!(chunk[..seen], front[..seen]);
                    got.extend_from_slice(&chunk);
                }
                got
            };
            let ((), got) = future::join(writing, reading).await;
            assert_same(&got, &sent);
            part(client, server).await;
        }
    });
}

#[test]
fn accepting_given_up_loses_no_connection() {
    const CLIENTS: u8 = 20;
    block_on(async {
        for polls in POLLS {
            let listener = TouListener::bind(LOCAL).unwrap();
            let addr = listener.local_addr().unwrap();
            let socket = TouSocket::bind(LOCAL).unwrap();
            let clients = future::join_all((0..CLIENTS).map(|number| {
                let socket = &socket;
                async move {
                    let mut stream = socket.connect(addr).await.unwrap();
                    stream.write_all(&[number]).await.unwrap();
                }
            }));
            let server = async {
                let mut numbers = Vec::new();
                let mut incoming = listener.incoming();
                for count in 0..CLIENTS {
                    let stream = if count % 2 == 0 {
                        insist!(polls, listener.accept()).0
                    } else {
                        insist!(polls, async { incoming.next().await.unwrap() })
                    };
                    numbers.extend(read_all(stream).await);
                }
                numbers.sort_unstable();
                numbers
            };
            let (_, numbers) = future::join(clients, server).await;
            assert_eq!(numbers, Vec::from_iter(0..CLIENTS));
        }
    });
}

#[test]
fn connecting_given_up_leaves_nothing_behind() {
    block_on(async {
        let listener = TouListener::bind(LOCAL).unwrap();
        let addr = listener.local_addr().unwrap();
        let socket = TouSocket::bind(LOCAL).unwrap();
        let mut given_up = 0;
        for polls in POLLS.cycle().take(20) {
            match give_up(polls, socket.connect(addr)).await {
                Some(stream) => drop(stream.unwrap()),
                None => given_up += 1,
            }
        }
        assert!(given_up > 0);
        // One that is not given up works as ever, behind whatever of the others
        // has come about.
        let mut client = socket.connect(addr).await.unwrap();
        client.write_all(b"the last").await.unwrap();
        client.close().await.unwrap();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            if read_all(stream).await == b"the last" {
                break;
            }
        }
        drop(client);
        while socket.connection_count() > 0 {
            pause().await;
        }
    });
}

#[test]
fn closing_given_up_goes_on_and_can_be_awaited_again() {
    block_on(async {
        for polls in POLLS {
            let Pair { mut client, server, .. } = slow_pair().await;
            let sent = noise(60_000, 1);
            client.write_all(&sent).await.unwrap();
            let socket = client.socket();
            let closing = async { insist!(polls, socket.close(LONG)) };
            let ((), got) = future::join(closing, read_all(server)).await;
            assert_same(&got, &sent);
        }
    });
}

#[test]
fn driving_given_up_goes_on_by_itself() {
    block_on(async {
        for polls in POLLS {
            let Pair { mut client, server, .. } = slow_pair().await;
            let socket = client.socket();
            let drives = async {
                loop {
                    assert!(give_up(polls, socket.drive()).await.is_none());
                    pause().await;
                }
            };
            let sent = noise(60_000, 1);
            let transfer = future::join(write_all(client.clone(), &sent), read_all(server.clone()));
            // Driving goes on for ever, and is dropped here: one that is only
            // polled no more would stop the socket.
            let got = {
                let (drives, transfer) = (pin!(drives), pin!(transfer));
                let future::Either::Right((((), got), _)) = future::select(drives, transfer).await;
                got
            };
            assert_same(&got, &sent);
            server.shutdown(std::net::Shutdown::Write).unwrap();
            assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
        }
    });
}

#[test]
fn a_pending_operation_that_is_dropped_wakes_nobody_later() {
    block_on(async {
        let Pair { client, mut server, .. } = pair().await;
        let (waker, count) = counting_waker();
        {
            let mut read = pin!(client.read_chunk(10));
            let cx = &mut core::task::Context::from_waker(&waker);
            assert!(Pin::as_mut(&mut read).poll(cx).is_pending());
        }
        server.write_all(b"x").await.unwrap();
        assert_eq!(client.read_chunk(10).await.unwrap().unwrap(), "x");
        assert_eq!(count.load(core::sync::atomic::Ordering::Relaxed), 0);
    });
}

/// A waker that counts.
fn counting_waker() -> (core::task::Waker, std::sync::Arc<core::sync::atomic::AtomicUsize>) {
    use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    use std::sync::Arc;

    struct Count(Arc<AtomicUsize>);

    impl std::task::Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    let count = Arc::new(AtomicUsize::new(0));
    (Arc::new(Count(Arc::clone(&count))).into(), count)
}
