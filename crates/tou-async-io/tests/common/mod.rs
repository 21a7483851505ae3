//! What the tests share: pairs of streams on 127.0.0.1, and data to send.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(dead_code, unused_imports, reason = "each test file uses some of it")]

use core::net::SocketAddr;
use core::time::Duration;
use std::sync::Arc;

use futures::{AsyncReadExt, AsyncWriteExt, future};
use tou_async_io::{Builder, TouListener, TouSocket, TouStream};
pub(crate) use tou_conformance::noise;
use tou_proto::ConnectionConfig;

/// Long enough for anything that is going to happen.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// Any port of the loopback interface.
pub(crate) const LOCAL: ([u8; 4], u16) = ([127, 0, 0, 1], 0);

/// A stream from a socket of its own to another.
pub(crate) struct Pair {
    pub(crate) client: TouStream,
    pub(crate) server: TouStream,
    pub(crate) listener: TouListener,
}

/// A connected pair of streams.
pub(crate) async fn pair() -> Pair {
    pair_of(TouSocket::builder(), TouSocket::builder()).await
}

/// A connected pair of streams, of sockets made by two builders.
pub(crate) async fn pair_of(client: Builder, server: Builder) -> Pair {
    let local = SocketAddr::from(LOCAL);
    let listener = server.bind(local).unwrap().listen().unwrap();
    let socket = client.bind(local).unwrap();
    let connecting = socket.connect(listener.local_addr().unwrap());
    let (client, accepted) = future::join(connecting, listener.accept()).await;
    let (client, (server, peer)) = (client.unwrap(), accepted.unwrap());
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
    tou_async_io::default_connection_config()
        .with_max_mss(1_452)
        .with_rto(rto[0], rto[1], rto[2])
        .build()
        .unwrap()
}

/// Sends back what comes until the peer has no more, and says so then.
pub(crate) async fn echo(stream: TouStream) {
    let (reader, mut writer) = stream.into_split();
    futures::io::copy(reader, &mut writer).await.unwrap();
    writer.close().await.unwrap();
}

/// Reads to the end of the stream.
pub(crate) async fn read_all(mut stream: TouStream) -> Vec<u8> {
    let mut data = Vec::new();
    stream.read_to_end(&mut data).await.unwrap();
    data
}

/// Writes everything and the end.
pub(crate) async fn write_all(mut stream: TouStream, data: &[u8]) {
    stream.write_all(data).await.unwrap();
    stream.close().await.unwrap();
}

/// Fails without printing megabytes.
pub(crate) fn assert_same(got: &[u8], sent: &[u8]) {
    assert_eq!(got.len(), sent.len());
    assert!(got == sent, "the data arrived damaged");
}

/// A question and its answer.
pub(crate) async fn round_trip(stream: &mut TouStream, question: &[u8]) {
    stream.write_all(question).await.unwrap();
    let mut answer = vec![0; question.len()];
    stream.read_exact(&mut answer).await.unwrap();
    assert_same(&answer, question);
}

/// Both directions at once, and both to the end.
pub(crate) async fn exchange(client: &TouStream, server: &TouStream, len: usize) {
    let (there, back) = (noise(len, 1), noise(len, 2));
    let (_, _, got_there, got_back) = future::join4(
        write_all(client.clone(), &there),
        write_all(server.clone(), &back),
        read_all(server.clone()),
        read_all(client.clone()),
    )
    .await;
    assert_same(&got_there, &there);
    assert_same(&got_back, &back);
}

/// Drops both ends, each while the other's socket still answers for it.
pub(crate) async fn part(client: TouStream, server: TouStream) {
    let sockets = [client.socket(), server.socket()];
    drop((client, server));
    for socket in &sockets {
        socket.close(LONG).await.unwrap();
    }
}
