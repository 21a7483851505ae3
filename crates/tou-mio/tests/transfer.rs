//! Data gets through: small and large, one way, both ways, from many.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::net::Shutdown;
use std::thread;

use bytes::Bytes;
use tou_mio::{TouListener, TouSocket, TouStream};

use common::*;

const fn is_shareable<T: Send + Sync + 'static>() {}

const _: () = is_shareable::<TouSocket>();
const _: () = is_shareable::<TouListener>();
const _: () = is_shareable::<TouStream>();

#[test]
fn an_echo_comes_back() {
    let (addr, server) = echo_server(1);
    let stream = TouStream::connect(addr).unwrap();
    for len in [1, 64, 1_500, 20_000] {
        round_trip(&stream, &noise(len, len as u64));
    }
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_all(&stream), []);
    server.join().unwrap();
}

#[test]
fn ipv6_works_too() {
    let Ok(listener) = TouListener::bind("[::1]:0") else { return };
    let mut client = TouStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, peer) = listener.accept().unwrap();
    assert!(peer.is_ipv6());
    client.write_all(b"six").unwrap();
    drop(client);
    assert_eq!(read_all(&server), b"six");
}

#[test]
fn much_data_goes_both_ways_at_once() {
    const LEN: usize = 4 << 20;
    let Pair { client, server, .. } = pair();
    thread::scope(|scope| {
        for (stream, seed) in [(&client, 1), (&server, 2)] {
            scope.spawn(move || {
                (&*stream).write_all(&noise(LEN, seed)).unwrap();
                stream.shutdown(Shutdown::Write).unwrap();
            });
            scope.spawn(move || assert_same(&read_all(stream), &noise(LEN, 3 - seed)));
        }
    });
}

#[test]
fn one_direction_may_end_before_the_other() {
    let Pair { mut client, mut server, .. } = pair();
    client.write_all(b"question").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_all(&server), b"question");
    let answer = noise(300_000, 5);
    thread::scope(|scope| {
        scope.spawn(|| assert_same(&read_all(&client), &answer));
        server.write_all(&answer).unwrap();
        server.shutdown(Shutdown::Write).unwrap();
    });
    // The end stays the end.
    assert_eq!(client.read(&mut [0; 8]).unwrap(), 0);
}

#[test]
fn many_clients_are_served_at_once() {
    const CLIENTS: usize = 32;
    let (addr, server) = echo_server(CLIENTS);
    // Half of them share a socket.
    let shared = TouSocket::bind(LOCAL).unwrap();
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let shared = &shared;
            scope.spawn(move || {
                let stream = if client % 2 == 0 {
                    shared.connect(addr).unwrap()
                } else {
                    TouStream::connect(addr).unwrap()
                };
                for round in 0..20 {
                    round_trip(&stream, &noise(100 + 700 * round, client as u64));
                }
            });
        }
    });
    server.join().unwrap();
}

#[test]
fn a_stream_is_read_and_written_by_two_threads() {
    const LEN: usize = 1 << 20;
    let (addr, server) = echo_server(1);
    let mut stream = TouStream::connect(addr).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let writer = thread::spawn(move || {
        for chunk in noise(LEN, 9).chunks(1_000) {
            writer.write_all(chunk).unwrap();
        }
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let mut data = Vec::new();
    stream.read_to_end(&mut data).unwrap();
    assert_same(&data, &noise(LEN, 9));
    writer.join().unwrap();
    drop(stream);
    server.join().unwrap();
}

#[test]
fn chunks_are_passed_on_without_a_copy() {
    let Pair { client, server, .. } = pair();
    let sent = Bytes::from(noise(500_000, 11));
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut left = sent.clone();
            while !left.is_empty() {
                assert!(client.write_bytes(&mut left).unwrap() > 0);
            }
            client.shutdown(Shutdown::Write).unwrap();
        });
        let mut got = Vec::new();
        while let Some(chunk) = server.read_chunk(10_000).unwrap() {
            assert!((1..=10_000).contains(&chunk.len()));
            got.extend_from_slice(&chunk);
        }
        assert_same(&got, &sent);
    });
}

#[test]
fn vectored_calls_use_all_their_buffers() {
    let Pair { mut client, mut server, .. } = pair();
    let parts: [&[u8]; 4] = [b"some", b"", b"thing", b" else"];
    let written = client.write_vectored(&parts.map(IoSlice::new)).unwrap();
    assert_eq!(written, 14);
    client.shutdown(Shutdown::Write).unwrap();
    let (mut front, mut back) = ([0; 6], [0; 100]);
    let mut got = Vec::new();
    loop {
        let bufs = &mut [IoSliceMut::new(&mut front), IoSliceMut::new(&mut back)];
        match server.read_vectored(bufs).unwrap() {
            0 => break,
            len => {
                got.extend_from_slice(&front[..len.min(6)]);
                got.extend_from_slice(&back[..len.saturating_sub(6)]);
            }
        }
    }
    assert_eq!(got, b"something else");
}

#[test]
fn peeking_takes_nothing() {
    let Pair { mut client, mut server, .. } = pair();
    let peeker = thread::spawn(move || {
        let mut seen = [0; 5];
        assert_eq!(server.peek(&mut seen).unwrap(), 5);
        assert_eq!(&seen, b"hello");
        server.read_exact(&mut seen).unwrap();
        assert_eq!(&seen, b"hello");
        // Nothing there: it waits for what comes next, and sees the end.
        assert_eq!(server.peek(&mut seen).unwrap(), 0);
    });
    client.write_all(b"hello").unwrap();
    thread::sleep(core::time::Duration::from_millis(50));
    drop(client);
    peeker.join().unwrap();
}

#[test]
fn reading_or_writing_nothing_returns_at_once() {
    let Pair { mut client, .. } = pair();
    assert_eq!(client.read(&mut []).unwrap(), 0);
    assert_eq!(client.write(&[]).unwrap(), 0);
    assert_eq!(client.write_bytes(&mut Bytes::new()).unwrap(), 0);
}
