//! What of several connections travels in one batch.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use core::net::SocketAddr;

use tou_proto::{
    ConnId, ConnectionConfig, DatagramMachine, Endpoint, EndpointConfig, Instant, Port,
    ReceivedBatch, Remote, TransmitBuf,
};

const NOW: Instant = Instant::from_secs(1);

fn addr(host: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, host], 7))
}

fn endpoint(seed: u8) -> Endpoint {
    let connection = ConnectionConfig::builder().with_nodelay(true).build().unwrap();
    let config = EndpointConfig::builder().with_connection(connection).build().unwrap();
    Endpoint::new(config, [seed; 32])
}

/// A client, and connections of it: two with one server, one with another, a third with
/// the first.
fn connected() -> (Endpoint, [ConnId; 4]) {
    let port = Port::new(7).unwrap();
    let mut client = endpoint(1);
    let mut servers = [endpoint(2), endpoint(3)];
    for server in &mut servers {
        server.listen(port, 4).unwrap();
    }
    let hosts = [2, 2, 3, 2];
    let conns = hosts.map(|host| client.connect(NOW, Remote { addr: addr(host), port }).unwrap());
    let mut buf = TransmitBuf::single();
    for _ in 0..4 {
        while let Some(transmit) = client.poll_transmit(NOW, &mut buf) {
            let server = &mut servers[usize::from(transmit.peer == addr(3))];
            server.handle_batch(NOW, &ReceivedBatch::single(addr(1), buf.data().to_vec()));
        }
        for (server, host) in servers.iter_mut().zip([2, 3]) {
            while server.poll_transmit(NOW, &mut buf).is_some() {
                client.handle_batch(NOW, &ReceivedBatch::single(addr(host), buf.data().to_vec()));
            }
        }
    }
    (client, conns)
}

/// The batches that the client sends after it has written so many bytes to each: to whom,
/// and how long each datagram is beyond an acknowledgment.
fn batches(written: [usize; 4], buf: &mut TransmitBuf) -> Vec<(SocketAddr, Vec<usize>)> {
    let (mut client, conns) = connected();
    for (conn, len) in conns.into_iter().zip(written).filter(|(_, len)| *len > 0) {
        client.write(NOW, conn, &vec![7; len]).unwrap();
    }
    let mut batches = Vec::new();
    while let Some(transmit) = client.poll_transmit(NOW, buf) {
        let datagrams: Vec<_> = transmit.datagrams(buf.data()).map(<[u8]>::len).collect();
        assert_eq!(datagrams.len(), transmit.segments);
        batches.push((transmit.peer, datagrams.into_iter().map(|len| len - 32).collect()));
    }
    batches
}

fn many() -> TransmitBuf {
    TransmitBuf::new(64, TransmitBuf::MAX_BYTES)
}

#[test]
fn short_segments_for_one_peer_travel_together() {
    assert_eq!(
        batches([10, 10, 10, 10], &mut many()),
        [(addr(2), vec![10, 10]), (addr(3), vec![10]), (addr(2), vec![10])],
        "those next in line, not those behind a connection with somebody else"
    );
}

#[test]
fn only_the_last_of_a_batch_is_shorter_and_none_is_longer() {
    assert_eq!(batches([10, 9, 0, 9], &mut many()), [(addr(2), vec![10, 9]), (addr(2), vec![9])],);
    assert_eq!(
        batches([10, 11, 0, 11], &mut many()),
        [(addr(2), vec![10]), (addr(2), vec![11, 11])],
        "who is too long for one batch begins the next"
    );
}

#[test]
fn long_segments_travel_with_their_own_connection_s_only() {
    let whole = 1_000;
    assert_eq!(
        batches([whole, whole, 0, 10], &mut many()),
        [(addr(2), vec![whole]), (addr(2), vec![whole]), (addr(2), vec![10])],
    );
}

#[test]
fn each_syn_travels_alone() {
    let (mut client, [one, ..]) = connected();
    let remote = Remote { addr: addr(2), port: Port::new(7).unwrap() };
    let mut buf = many();
    for _ in 0..2 {
        client.connect(NOW, remote).unwrap();
    }
    client.write(NOW, one, b"beside them").unwrap();
    let mut batch = || client.poll_transmit(NOW, &mut buf).map(|transmit| transmit.segments);
    assert_eq!([batch(), batch(), batch(), batch()], [Some(1), Some(1), Some(1), None]);
}

#[test]
fn a_carrier_without_batches_gets_none() {
    let batches = batches([10, 10, 0, 10], &mut TransmitBuf::single());
    assert_eq!(batches, [(addr(2), vec![10]), (addr(2), vec![10]), (addr(2), vec![10])]);
}

#[test]
fn who_has_said_its_last_word_travels_with_others() {
    let (mut client, [one, two, _, four]) = connected();
    for conn in [one, two, four] {
        client.write(NOW, conn, b"last").unwrap();
        client.release(NOW, conn).unwrap();
    }
    let mut buf = many();
    let transmit = client.poll_transmit(NOW, &mut buf).unwrap();
    assert_eq!((transmit.segments, buf.data().len()), (3, 3 * 36));
    assert!(client.poll_transmit(NOW, &mut buf).is_none());
}
