//! What the tests share: pairs of streams on 127.0.0.1, and data to send.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(dead_code, unused_imports, reason = "each test file uses some of it")]

use core::net::SocketAddr;
use core::time::Duration;
use std::io::{Read, Write};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

pub(crate) use tou_conformance::noise;
use tou_mio::{Builder, TouListener, TouSocket, TouStream};
use tou_proto::ConnectionConfig;

/// Long enough for anything that is going to happen.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// Any port of the loopback interface.
pub(crate) const LOCAL: &str = "127.0.0.1:0";

/// A stream from a socket of its own to another.
pub(crate) struct Pair {
    pub(crate) client: TouStream,
    pub(crate) server: TouStream,
    pub(crate) listener: TouListener,
}

/// A connected pair of streams.
pub(crate) fn pair() -> Pair {
    pair_of(TouSocket::builder(), TouSocket::builder())
}

/// A connected pair of streams, of sockets made by two builders.
pub(crate) fn pair_of(client: Builder, server: Builder) -> Pair {
    let listener = server.bind(LOCAL).unwrap().listen().unwrap();
    let addr = listener.local_addr().unwrap();
    let client = thread::spawn(move || client.bind(LOCAL).unwrap().connect(addr).unwrap());
    let (server, peer) = listener.accept().unwrap();
    let client = client.join().unwrap();
    assert_eq!(client.local_addr().unwrap(), peer);
    for stream in [&client, &server] {
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream.set_write_timeout(Some(LONG)).unwrap();
    }
    Pair { client, server, listener }
}

/// Segments as on Ethernet: the loopback interface takes much larger ones, too
/// few for a network to be bad to. And timers as on no real network, or the
/// tests would mostly wait for them.
pub(crate) fn small_segments() -> Arc<ConnectionConfig> {
    let rto = [50, 20, 1_000].map(Duration::from_millis);
    tou_mio::default_connection_config()
        .with_max_mss(1_452)
        .with_rto(rto[0], rto[1], rto[2])
        .build()
        .unwrap()
}

/// A server on a thread of its own that echoes what `clients` clients send.
pub(crate) fn echo_server(clients: usize) -> (SocketAddr, JoinHandle<()>) {
    let listener = TouListener::bind(LOCAL).unwrap();
    let addr = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let threads: Vec<_> = listener
            .incoming()
            .take(clients)
            .map(|stream| thread::spawn(move || echo(&stream.unwrap())))
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
    });
    (addr, server)
}

/// Sends back what comes until the peer has no more.
pub(crate) fn echo(mut stream: &TouStream) {
    std::io::copy(&mut stream.try_clone().unwrap(), &mut stream).unwrap();
}

/// Reads to the end of the stream.
pub(crate) fn read_all(mut stream: &TouStream) -> Vec<u8> {
    let mut data = Vec::new();
    stream.read_to_end(&mut data).unwrap();
    data
}

/// Fails without printing megabytes.
pub(crate) fn assert_same(got: &[u8], sent: &[u8]) {
    assert_eq!(got.len(), sent.len());
    assert!(got == sent, "the data arrived damaged");
}

/// A question and its answer.
pub(crate) fn round_trip(mut stream: &TouStream, question: &[u8]) {
    stream.write_all(question).unwrap();
    let mut answer = vec![0; question.len()];
    stream.read_exact(&mut answer).unwrap();
    assert_same(&answer, question);
}

/// Drops both ends, each while the other's socket still answers for it.
pub(crate) fn part(client: TouStream, server: TouStream) {
    let sockets = [client.socket(), server.socket()];
    drop((client, server));
    for socket in &sockets {
        socket.close(LONG).unwrap();
    }
}
