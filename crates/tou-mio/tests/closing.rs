//! Nothing that was written is lost by closing.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use core::time::Duration;
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::thread;
use std::time::Instant;

use tou_mio::{TouListener, TouSocket, TouStream};
use tou_udp::{Direction, Impairment};

use common::*;

#[expect(clippy::disallowed_methods, reason = "a test measures real time")]
fn now() -> Instant {
    Instant::now()
}

#[test]
fn a_dropped_stream_delivers_everything() {
    const LEN: usize = 3 << 20;
    let listener = TouListener::bind(LOCAL).unwrap();
    let addr = listener.local_addr().unwrap();
    let sender = thread::spawn(move || {
        let mut stream = TouStream::connect(addr).unwrap();
        stream.write_all(&noise(LEN, 1)).unwrap();
        // The stream and its socket go here, with megabytes still to send.
    });
    let (stream, _) = listener.accept().unwrap();
    assert_same(&read_all(&stream), &noise(LEN, 1));
    sender.join().unwrap();
}

#[test]
fn a_dropped_stream_delivers_everything_through_loss() {
    const LEN: usize = 200_000;
    let lossy = Impairment { drop: 0.05, seed: 4, ..Impairment::default() };
    let builder = TouSocket::builder()
        .with_connection(small_segments())
        .with_impairment(Direction::Send, lossy);
    let listener = TouListener::bind(LOCAL).unwrap();
    let addr = listener.local_addr().unwrap();
    let sender = thread::spawn(move || {
        let mut stream = builder.bind(LOCAL).unwrap().connect(addr).unwrap();
        stream.write_all(&noise(LEN, 1)).unwrap();
    });
    let (stream, _) = listener.accept().unwrap();
    assert_same(&read_all(&stream), &noise(LEN, 1));
    sender.join().unwrap();
}

#[test]
fn a_dropped_stream_does_not_wait_while_its_socket_lives() {
    let socket = TouSocket::bind(LOCAL).unwrap();
    let listener = TouListener::bind(LOCAL).unwrap();
    let mut stream = socket.connect(listener.local_addr().unwrap()).unwrap();
    let (peer, _) = listener.accept().unwrap();
    let start = now();
    // More than the peer takes unread.
    stream.set_nonblocking(true).unwrap();
    let mut written = 0;
    while let Ok(len) = stream.write(&[9; 10_000]) {
        written += len;
    }
    drop(stream);
    assert!(start.elapsed() < Duration::from_secs(1));
    assert_eq!(read_all(&peer).len(), written);
}

#[test]
fn the_last_drop_is_bounded() {
    let builder = TouSocket::builder().with_close_timeout(Duration::from_millis(100));
    let Pair { mut client, server, listener } = pair_of(builder, TouSocket::builder());
    let nothing = Impairment { drop: 1.0, ..Impairment::default() };
    client.socket().impair(Direction::Send, &nothing).unwrap();
    client.write_all(b"into the void").unwrap();
    let start = now();
    drop(client);
    let waited = start.elapsed();
    assert!(waited >= Duration::from_millis(100) && waited < Duration::from_secs(2), "{waited:?}");
    server.abort();
    drop(listener);
}

#[test]
fn a_slow_reader_gets_everything_from_the_last_drop() {
    const LEN: usize = 2 << 20;
    // Far less than the reader takes.
    let builder = TouSocket::builder().with_close_timeout(Duration::from_millis(100));
    let Pair { mut client, mut server, .. } = pair_of(builder, TouSocket::builder());
    let sender = thread::spawn(move || {
        client.write_all(&noise(LEN, 7)).unwrap();
        let start = now();
        drop(client);
        start.elapsed()
    });
    let (mut got, mut buf) = (Vec::new(), vec![0; 40_000]);
    while let len @ 1.. = server.read(&mut buf).unwrap() {
        got.extend_from_slice(&buf[..len]);
        thread::sleep(Duration::from_millis(15));
    }
    assert_same(&got, &noise(LEN, 7));
    assert!(sender.join().unwrap() > Duration::from_millis(100));
}

#[test]
fn closing_reports_what_did_not_arrive_in_time() {
    let Pair { mut client, server, .. } = pair();
    let socket = client.socket();
    let nothing = Impairment { drop: 1.0, ..Impairment::default() };
    socket.impair(Direction::Send, &nothing).unwrap();
    client.write_all(b"late").unwrap();
    let error = socket.close(Duration::from_millis(50)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    // It goes on trying.
    socket.impair(Direction::Send, &Impairment::default()).unwrap();
    assert_eq!(read_all(&server), b"late");
    socket.close(LONG).unwrap();
}

#[test]
fn lingering_waits_for_the_data() {
    let Pair { mut client, server, .. } = pair();
    let socket = client.socket();
    client.set_linger(Some(LONG));
    assert_eq!(client.linger(), Some(LONG));
    let slow = Impairment { delay: Duration::from_millis(50), ..Impairment::default() };
    socket.impair(Direction::Send, &slow).unwrap();
    let start = now();
    client.write_all(b"take your time").unwrap();
    drop(client);
    assert!(start.elapsed() >= Duration::from_millis(50));
    assert_eq!(read_all(&server), b"take your time");
}

#[test]
fn lingering_ends_after_its_time_and_the_data_still_goes() {
    let Pair { mut client, server, .. } = pair();
    let socket = client.socket();
    let nothing = Impairment { drop: 1.0, ..Impairment::default() };
    socket.impair(Direction::Send, &nothing).unwrap();
    client.set_linger(Some(Duration::from_millis(50)));
    client.write_all(b"late").unwrap();
    let start = now();
    drop(client);
    assert!(start.elapsed() >= Duration::from_millis(50));
    assert_eq!(socket.connection_count(), 1, "it goes on trying");
    socket.impair(Direction::Send, &Impairment::default()).unwrap();
    assert_eq!(read_all(&server), b"late");
}

#[test]
fn lingering_for_no_time_resets() {
    let Pair { client, mut server, .. } = pair();
    let _socket = client.socket();
    client.set_linger(Some(Duration::ZERO));
    drop(client);
    let error = server.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_dropped_peer_ends_the_stream() {
    let Pair { client, mut server, .. } = pair();
    // Somebody has to answer for it.
    let _socket = client.socket();
    drop(client);
    assert_eq!(server.read(&mut [0]).unwrap(), 0);
    // Nobody listens any more: writing fails sooner or later.
    let start = now();
    let error = loop {
        if let Err(error) = server.write(&[0; 1_000]) {
            break error;
        }
        assert!(start.elapsed() < LONG);
        thread::sleep(Duration::from_millis(5));
    };
    assert!(
        matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe),
        "{error:?}"
    );
}

#[test]
fn a_lost_last_acknowledgment_is_no_failure() {
    let Pair { mut client, mut server, .. } = pair();
    let (socket, peer) = (server.socket(), client.socket());
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_all(&server), []);
    server.write_all(b"the end").unwrap();
    client.read_exact(&mut [0; 7]).unwrap();
    let start = now();
    while server.info().unwrap().send_queue > 0 {
        assert!(start.elapsed() < LONG);
        thread::sleep(Duration::from_millis(1));
    }
    // The peer gets the FIN and is gone, and its acknowledgment is lost.
    let nothing = Impairment { drop: 1.0, ..Impairment::default() };
    peer.impair(Direction::Send, &nothing).unwrap();
    drop(server);
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
    drop((client, peer));
    socket.close(LONG).unwrap();
    assert!(start.elapsed() < LONG / 2);
    assert!(socket.take_error().is_none());
}

#[test]
fn a_last_fin_that_nobody_acknowledges_is_no_failure() {
    let Pair { client, mut server, listener } = pair();
    let socket = server.socket();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_all(&server), []);
    server.write_all(b"the end").unwrap();
    (&client).read_exact(&mut [0; 7]).unwrap();
    let start = now();
    while server.info().unwrap().send_queue > 0 {
        assert!(start.elapsed() < LONG);
        thread::sleep(Duration::from_millis(1));
    }
    // From now on the path is silent, and swallows the FIN.
    let nothing = Impairment { drop: 1.0, ..Impairment::default() };
    socket.impair(Direction::Send, &nothing).unwrap();
    drop((server, listener));
    socket.close(Duration::from_millis(300)).unwrap();
}

#[test]
fn streams_outlive_their_listener() {
    let Pair { client, server, listener } = pair();
    let addr = listener.local_addr().unwrap();
    drop(listener);
    let echo = thread::spawn(move || echo(&server));
    round_trip(&client, b"still here");
    let error = TouStream::connect(addr).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    drop(client);
    echo.join().unwrap();
}

#[test]
fn connections_not_accepted_are_reset_with_their_listener() {
    let listener = TouListener::bind(LOCAL).unwrap();
    let socket = listener.socket();
    let mut client = TouStream::connect(listener.local_addr().unwrap()).unwrap();
    drop(listener);
    assert_eq!(client.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    drop(socket);
}
