//! The server that docs/EMBEDDING.md shows does what the guide says of it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use core::net::SocketAddr;
use std::io;

use tou_proto::{
    ConnId, DatagramMachine, Endpoint, EndpointConfig, Event, Instant, Port, ReceivedBatch, Remote,
    TransmitBuf,
};

// As it stands in the guide.
/// A server that counts what it is sent, and says so at the end.
fn serve(endpoint: &mut Endpoint, now: Instant) -> io::Result<()> {
    while let Some(event) = endpoint.poll_event() {
        match event {
            Event::Incoming(listener) => {
                while let Some(conn) = endpoint.accept(listener) {
                    count(endpoint, now, conn);
                }
            }
            Event::Readable(conn) => count(endpoint, now, conn),
            // Over on both sides, or failed, and read to the end: see `count`.
            Event::Closed(conn, _error) => endpoint.release(now, conn)?,
            _ => {}
        }
    }
    Ok(())
}

fn count(endpoint: &mut Endpoint, now: Instant, conn: ConnId) {
    // An error is `WouldBlock`, or the connection's end: `Closed` will say so too.
    while let Ok(chunk) = endpoint.read_chunk(now, conn, usize::MAX) {
        if chunk.is_none() {
            // The peer has ended its stream. Ours ends behind what is written. Both calls
            // may find that it has ended already: no reason to end the others' loop.
            let received = endpoint.info(conn).map_or(0, |info| info.counters.bytes_received);
            let _ = endpoint.write(now, conn, received.to_string().as_bytes());
            let _ = endpoint.shutdown(now, conn);
            return;
        }
    }
}

#[test]
fn the_server_in_the_guide_is_this_one() {
    let guide = include_str!("../../../docs/EMBEDDING.md");
    let this = include_str!("guide.rs");
    let start = this.find("/// A server that counts").unwrap();
    let end = this.find("#[test]").unwrap();
    assert!(guide.contains(this[start..end].trim_end()), "copy `serve` and `count` into the guide");
}

/// Moves datagrams between a client and the server until there are none.
fn exchange(client: &mut Endpoint, server: &mut Endpoint) {
    let addrs: [SocketAddr; 2] = [([192, 0, 2, 1], 40_000).into(), ([192, 0, 2, 2], 5_000).into()];
    let mut buf = TransmitBuf::single();
    let mut carry = |from: &mut Endpoint, to: &mut Endpoint, addr| {
        let mut count = 0;
        while from.poll_transmit(Instant::ZERO, &mut buf).is_some() {
            let batch = ReceivedBatch::single(addr, buf.data().to_vec());
            to.handle_batch(Instant::ZERO, &batch);
            count += 1;
        }
        count
    };
    while carry(client, server, addrs[0]) + carry(server, client, addrs[1]) > 0 {}
}

fn ends() -> (Endpoint, Endpoint, ConnId) {
    let mut client = Endpoint::new(EndpointConfig::default(), [1; 32]);
    let mut server = Endpoint::new(EndpointConfig::default(), [2; 32]);
    server.listen(Port::new(5_000).unwrap(), 16).unwrap();
    let remote = Remote::new(([192, 0, 2, 2], 5_000).into()).unwrap();
    let conn = client.connect(Instant::ZERO, remote).unwrap();
    (client, server, conn)
}

/// Everything is there when the server looks for the first time.
#[test]
fn a_client_is_told_how_much_it_has_sent() {
    let (mut client, mut server, conn) = ends();
    client.write(Instant::ZERO, conn, b"hello").unwrap();
    client.shutdown(Instant::ZERO, conn).unwrap();
    exchange(&mut client, &mut server);
    serve(&mut server, Instant::ZERO).unwrap();
    exchange(&mut client, &mut server);
    let mut answer = [0; 16];
    assert_eq!(client.read(Instant::ZERO, conn, &mut answer), Ok(1));
    assert_eq!(answer[0], b'5');
    assert_eq!(client.read(Instant::ZERO, conn, &mut answer), Ok(0));
    serve(&mut server, Instant::ZERO).unwrap();
    assert_eq!(server.connection_count(), 0, "it is released");
}

#[test]
fn a_client_that_resets_behind_its_fin_does_not_end_the_server() {
    let (mut client, mut server, conn) = ends();
    exchange(&mut client, &mut server);
    serve(&mut server, Instant::ZERO).unwrap();
    client.write(Instant::ZERO, conn, b"hello").unwrap();
    client.shutdown(Instant::ZERO, conn).unwrap();
    exchange(&mut client, &mut server);
    client.abort(Instant::ZERO, conn).unwrap();
    exchange(&mut client, &mut server);
    serve(&mut server, Instant::ZERO).unwrap();
    assert_eq!(server.connection_count(), 0, "it is released");
}
