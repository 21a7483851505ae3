//! Data gets through: small and large, one way, both ways, from many.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::io::{ErrorKind, IoSlice, IoSliceMut};
use std::net::Shutdown;

use async_io::block_on;
use bytes::Bytes;
use futures::{AsyncReadExt, AsyncWriteExt, StreamExt, future};
use tou_async_io::{TouListener, TouSocket, TouStream};

use common::*;

const fn is_shareable<T: Send + Sync + Unpin + 'static>() {}

const _: () = is_shareable::<TouSocket>();
const _: () = is_shareable::<TouListener>();
const _: () = is_shareable::<TouStream>();

#[test]
fn an_echo_comes_back() {
    block_on(async {
        let Pair { mut client, server, .. } = pair().await;
        let questions = async {
            for len in [1, 64, 1_500, 20_000] {
                round_trip(&mut client, &noise(len, len as u64)).await;
            }
            client.close().await.unwrap();
            assert_eq!(read_all(client.clone()).await, []);
        };
        future::join(questions, echo(server)).await;
    });
}

#[test]
fn much_data_goes_both_ways_at_once() {
    block_on(async {
        let Pair { client, server, .. } = pair().await;
        exchange(&client, &server, 4 << 20).await;
    });
}

#[test]
fn many_streams_of_one_socket_are_served_at_once() {
    const CLIENTS: usize = 32;
    let listener = TouListener::bind(LOCAL).unwrap();
    let addr = listener.local_addr().unwrap();
    block_on(async {
        let socket = TouSocket::bind(LOCAL).unwrap();
        let clients = (0..CLIENTS).map(|client| {
            let socket = &socket;
            async move {
                let mut stream = socket.connect(addr).await.unwrap();
                for round in 0..20 {
                    round_trip(&mut stream, &noise(100 + 700 * round, client as u64)).await;
                }
            }
        });
        let server = listener
            .incoming()
            .take(CLIENTS)
            .for_each_concurrent(None, |stream| echo(stream.unwrap()));
        future::join(future::join_all(clients), server).await;
    });
}

#[test]
fn chunks_are_passed_on_without_a_copy() {
    block_on(async {
        let Pair { client, server, .. } = pair().await;
        let sent = Bytes::from(noise(500_000, 11));
        let sending = async {
            let mut left = sent.clone();
            while !left.is_empty() {
                assert!(client.write_bytes(&mut left).await.unwrap() > 0);
            }
            client.shutdown(Shutdown::Write).unwrap();
        };
        let receiving = async {
            let mut got = Vec::new();
            while let Some(chunk) = server.read_chunk(10_000).await.unwrap() {
                assert!((1..=10_000).contains(&chunk.len()));
                got.extend_from_slice(&chunk);
            }
            got
        };
        let ((), got) = future::join(sending, receiving).await;
        assert_same(&got, &sent);
    });
}

#[test]
fn vectored_calls_use_all_their_buffers() {
    block_on(async {
        let Pair { mut client, mut server, .. } = pair().await;
        let parts: [&[u8]; 4] = [b"some", b"", b"thing", b" else"];
        assert_eq!(client.write_vectored(&parts.map(IoSlice::new)).await.unwrap(), 14);
        client.shutdown(Shutdown::Write).unwrap();
        let (mut front, mut back) = ([0; 6], [0; 100]);
        let mut got = Vec::new();
        loop {
            let bufs = &mut [IoSliceMut::new(&mut front), IoSliceMut::new(&mut back)];
            match server.read_vectored(bufs).await.unwrap() {
                0 => break,
                len => {
                    got.extend_from_slice(&front[..len.min(6)]);
                    got.extend_from_slice(&back[..len.saturating_sub(6)]);
                }
            }
        }
        assert_eq!(got, b"something else");
    });
}

#[test]
fn peeking_takes_nothing() {
    block_on(async {
        let Pair { mut client, mut server, .. } = pair().await;
        let peeking = async {
            let mut seen = [0; 5];
            assert_eq!(server.peek(&mut seen).await.unwrap(), 5);
            assert_eq!(&seen, b"hello");
            server.read_exact(&mut seen).await.unwrap();
            assert_eq!(&seen, b"hello");
            // Nothing there: it waits for what comes next, and sees the end.
            assert_eq!(server.peek(&mut seen).await.unwrap(), 0);
        };
        let writing = async {
            client.write_all(b"hello").await.unwrap();
            drop(client);
        };
        future::join(peeking, writing).await;
    });
}

#[test]
fn halves_belong_to_two_tasks_and_become_one_again() {
    block_on(async {
        let Pair { client, server, .. } = pair().await;
        let (mut reader, mut writer) = client.into_split();
        let (mut far_reader, mut far_writer) = server.into_split();
        let sent = noise(300_000, 1);
        let mut got = vec![0; 300_000];
        let there = async {
            let (written, read) =
                future::join(writer.write_all(&sent), far_reader.read_exact(&mut got)).await;
            written.and(read).unwrap();
        };
        let back = async {
            far_writer.write_all(b"well").await.unwrap();
            let mut got = [0; 4];
            reader.read_exact(&mut got).await.unwrap();
        };
        // More than the buffers hold, so that both ends of it must go on at once.
        future::join(there, back).await;
        assert_same(&got, &sent);
        let (far_reader, writer) = far_reader
            .reunite(writer)
            .map(|_| ())
            .map_or_else(|error| (error.0, error.1), |()| panic!("halves of two streams are none"));
        let client = reader.reunite(writer).unwrap();
        // Nothing was shut down by that; dropping a write half does it.
        assert_eq!(client.info().unwrap().state, tou_proto::State::Established);
        drop(far_writer);
        assert_eq!(read_all(client.clone()).await, []);
        write_all(client, b"half open").await;
        assert_eq!(read_all(far_reader.as_ref().clone()).await, b"half open");
    });
}

#[test]
fn reading_or_writing_nothing_returns_at_once() {
    block_on(async {
        let Pair { mut client, .. } = pair().await;
        assert_eq!(client.read(&mut []).await.unwrap(), 0);
        assert_eq!(client.write(&[]).await.unwrap(), 0);
        assert_eq!(client.write_bytes(&mut Bytes::new()).await.unwrap(), 0);
    });
}

#[test]
fn several_tasks_wait_for_the_same_stream_and_each_is_woken() {
    block_on(async {
        let Pair { client, mut server, .. } = pair().await;
        let readers = future::join_all((0..5).map(|_| {
            let mut stream = client.clone();
            async move {
                let mut octet = [0];
                stream.read_exact(&mut octet).await.map(|()| octet[0])
            }
        }));
        let (got, ()) = future::join(readers, async {
            server.write_all(&[1, 2, 3]).await.unwrap();
            server.close().await.unwrap();
        })
        .await;
        let (mut got, ends): (Vec<_>, Vec<_>) = got.into_iter().partition(Result::is_ok);
        got.sort_by_key(|octet| *octet.as_ref().unwrap());
        assert_eq!(got.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [1, 2, 3]);
        assert!(ends.iter().all(|end| {
            end.as_ref().is_err_and(|error| error.kind() == ErrorKind::UnexpectedEof)
        }));
        assert_eq!(ends.len(), 2);
    });
}
