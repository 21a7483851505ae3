//! What a write changes before anybody asks for something to send: the deadline, the
//! memory in use.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use core::net::SocketAddr;
use core::time::Duration;

use tou_proto::{
    ConnId, DatagramMachine, Endpoint, EndpointConfig, Instant, Port, ReceivedBatch, Remote,
    TransmitBuf,
};

/// How long what is too small to be sent waits (RFC 9293 §3.8.6.2.1).
const OVERRIDE: Duration = Duration::from_millis(200);

fn addr(host: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, host], 7))
}

/// A client, and two of its connections on which only full segments are sent.
fn corked() -> (Endpoint, [ConnId; 2], Instant) {
    let endpoint = |seed| Endpoint::new(EndpointConfig::default(), [seed; 32]);
    let (mut client, mut server) = (endpoint(1), endpoint(2));
    let port = Port::new(7).unwrap();
    server.listen(port, 2).unwrap();
    let now = Instant::from_secs(1);
    let conns = [(); 2].map(|()| client.connect(now, Remote { addr: addr(2), port }).unwrap());
    let mut buf = TransmitBuf::single();
    for _ in 0..4 {
        while client.poll_transmit(now, &mut buf).is_some() {
            server.handle_batch(now, &ReceivedBatch::single(addr(1), buf.data().to_vec()));
        }
        while server.poll_transmit(now, &mut buf).is_some() {
            client.handle_batch(now, &ReceivedBatch::single(addr(2), buf.data().to_vec()));
        }
    }
    for conn in conns {
        client.set_cork(now, conn, true).unwrap();
    }
    (client, conns, now)
}

#[test]
fn deadlines_of_what_was_written_are_known_at_once() {
    let (mut client, [one, other], now) = corked();
    let later = now + Duration::from_millis(1);
    client.write(now, one, b"one").unwrap();
    client.write(later, other, b"other").unwrap();
    assert_eq!(client.poll_timeout(), Some(now + OVERRIDE));
}

#[test]
fn another_connection_does_not_make_a_deadline_forgotten() {
    let (mut client, [one, other], now) = corked();
    client.write(now, one, b"one").unwrap();
    client.set_nodelay(now, other, true).unwrap();
    assert_eq!(client.poll_timeout(), Some(now + OVERRIDE));
}

#[test]
fn time_counts_for_what_was_written_whoever_asks() {
    let (mut client, [one, _], now) = corked();
    let mut buf = TransmitBuf::single();
    client.write(now, one, b"one").unwrap();
    client.handle_timeout(now + OVERRIDE);
    assert!(client.poll_transmit(now + OVERRIDE, &mut buf).is_some());
    assert!(buf.data().ends_with(b"one"));
}

#[test]
fn memory_is_charged_for_what_was_written_at_once() {
    let (mut client, [one, _], now) = corked();
    let before = client.shared_memory_used();
    let written = client.write(now, one, &[7; 60_000]).unwrap();
    assert!(client.shared_memory_used() > before + written as u64 / 2, "{before}");
}

#[test]
fn the_end_of_time_is_no_deadline() {
    let (mut client, [one, _], _) = corked();
    client.handle_timeout(Instant::from_nanos(u64::MAX));
    assert!(client.info(one).unwrap().state.is_synchronized());
}
