//! Nothing that was written is lost by closing, and who must not block need not.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use core::time::Duration;
use std::io::ErrorKind;
use std::thread;
use std::time::Instant;

use async_io::{Timer, block_on};
use futures::{AsyncReadExt, AsyncWriteExt, future};
use tou_async_io::{TouListener, TouSocket, TouStream};
use tou_udp::{Direction, Impairment};

use common::*;

#[expect(clippy::disallowed_methods, reason = "a test measures real time")]
fn now() -> Instant {
    Instant::now()
}

fn delayed(millis: u64) -> Impairment {
    Impairment { delay: Duration::from_millis(millis), ..Impairment::default() }
}

#[test]
fn the_last_drop_delivers_everything() {
    const LEN: usize = 3 << 20;
    let listener = TouListener::bind(LOCAL).unwrap();
    let addr = listener.local_addr().unwrap();
    let sender = thread::spawn(move || {
        block_on(async {
            let mut stream = TouStream::connect(addr).await.unwrap();
            stream.write_all(&noise(LEN, 1)).await.unwrap();
            // The stream and its socket go here, with megabytes still to send.
        });
    });
    let got = block_on(async { read_all(listener.accept().await.unwrap().0).await });
    assert_same(&got, &noise(LEN, 1));
    sender.join().unwrap();
}

#[test]
fn a_drop_in_a_task_delivers_everything_to_another_task_of_the_same_thread() {
    // More than the receiver takes unread: its task must run for it to arrive.
    const LEN: usize = 3 << 20;
    block_on(async {
        let Pair { mut client, server, .. } = pair().await;
        let socket = client.socket();
        let sent = noise(LEN, 1);
        let sending = async {
            client.write_all(&sent).await.unwrap();
            // Not the last handle: it does not wait, and could not.
            drop(client);
        };
        let ((), got) = future::join(sending, read_all(server)).await;
        assert_same(&got, &sent);
        socket.close(LONG).await.unwrap();
    });
}

#[test]
fn a_drop_with_nothing_on_its_way_does_not_wait() {
    block_on(async {
        let Pair { mut client, server, listener } = pair().await;
        client.socket().impair(Direction::Send, &delayed(50)).unwrap();
        client.write_all(b"on the way").await.unwrap();
        let closing = client.socket().close(LONG).await;
        closing.unwrap();
        let start = now();
        drop(client);
        assert!(start.elapsed() < Duration::from_millis(40));
        assert_eq!(read_all(server).await, b"on the way");
        drop(listener);
    });
}

#[test]
fn the_last_drop_is_bounded() {
    let builder = TouSocket::builder().with_close_timeout(Duration::from_millis(100));
    let Pair { mut client, server, listener } = block_on(pair_of(builder, TouSocket::builder()));
    let nothing = Impairment { drop: 1.0, ..Impairment::default() };
    client.socket().impair(Direction::Send, &nothing).unwrap();
    block_on(client.write_all(b"into the void")).unwrap();
    let start = now();
    drop(client);
    let waited = start.elapsed();
    assert!(waited >= Duration::from_millis(100) && waited < Duration::from_secs(3), "{waited:?}");
    server.abort();
    drop(listener);
}

#[test]
fn closing_reports_what_did_not_arrive_in_time() {
    block_on(async {
        let Pair { mut client, server, .. } = pair().await;
        let socket = client.socket();
        let nothing = Impairment { drop: 1.0, ..Impairment::default() };
        socket.impair(Direction::Send, &nothing).unwrap();
        client.write_all(b"late").await.unwrap();
        let error = socket.close(Duration::from_millis(50)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        // It goes on trying.
        socket.impair(Direction::Send, &Impairment::default()).unwrap();
        assert_eq!(read_all(server).await, b"late");
        socket.close(LONG).await.unwrap();
        assert_eq!(client.read(&mut [0]).await.unwrap_err().kind(), ErrorKind::NotConnected);
    });
}

#[test]
fn closing_ends_operations_that_wait() {
    block_on(async {
        let Pair { client, server, listener } = pair().await;
        let socket = server.socket();
        let (mut reader, mut writer) = server.into_split();
        let data = noise(16 << 20, 1);
        let (read, written, accepted, closed) = future::join4(
            async { reader.read(&mut [0]).await.unwrap_err().kind() },
            async { writer.write_all(&data).await.unwrap_err().kind() },
            async { listener.accept().await.unwrap_err().kind() },
            async {
                Timer::after(Duration::from_millis(50)).await;
                future::join(socket.close(LONG), read_all(client)).await.0
            },
        )
        .await;
        assert_eq!([read, written, accepted], [ErrorKind::NotConnected; 3]);
        closed.unwrap();
    });
}

#[test]
fn lingering_waits_for_the_data() {
    let Pair { mut client, server, .. } = block_on(pair());
    let socket = client.socket();
    client.set_linger(Some(LONG));
    assert_eq!(client.linger(), Some(LONG));
    socket.impair(Direction::Send, &delayed(50)).unwrap();
    let start = now();
    block_on(client.write_all(b"take your time")).unwrap();
    drop(client);
    assert!(start.elapsed() >= Duration::from_millis(50));
    assert_eq!(block_on(read_all(server)), b"take your time");
}

#[test]
fn timeouts_run_while_a_wait_is_given_up_and_begun_again() {
    block_on(async {
        let Pair { mut client, mut server, listener } = pair().await;
        let (timeout, tick) = (Duration::from_millis(100), Duration::from_millis(10));
        client.set_read_timeout(Some(timeout)).unwrap();
        let start = now();
        let error = loop {
            let mut octet = [0];
            let read = core::pin::pin!(client.read(&mut octet));
            if let future::Either::Left((read, _)) = future::select(read, Timer::after(tick)).await
            {
                break read.unwrap_err();
            }
            assert!(start.elapsed() < LONG);
        };
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(start.elapsed() >= timeout);
        assert!(error.get_ref().is_none());
        // The stream is as it was, and the time begins anew.
        server.write_all(b"x").await.unwrap();
        client.read_exact(&mut [0]).await.unwrap();
        let start = now();
        assert_eq!(client.read(&mut [0]).await.unwrap_err().kind(), ErrorKind::TimedOut);
        assert!(start.elapsed() >= timeout);
        listener.set_accept_timeout(Some(timeout)).unwrap();
        assert_eq!(listener.accept().await.unwrap_err().kind(), ErrorKind::TimedOut);
    });
}
