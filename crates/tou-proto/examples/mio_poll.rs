//! The core in somebody's own `mio::Poll`, beside a TCP listener and a timer:
//! one thread, no waiting but in `poll`.
#![allow(clippy::disallowed_methods, reason = "a driver reads the clock")]

use core::time::Duration;
use std::io::{self, ErrorKind, Write};
use std::net::TcpStream;
use std::time;

use mio::net::{TcpListener, UdpSocket};
use mio::{Events, Interest, Poll, Token};
use tou_proto::{
    DatagramMachine, Endpoint, EndpointConfig, Event, Instant, ReceivedBatch, Remote, TransmitBuf,
};

const TCP: Token = Token(0);
const TOU: Token = Token(1);
const TICK: Duration = Duration::from_millis(5);

/// Runs until a TCP client was greeted, the timer has ticked three times, and a
/// tou connection has brought its message.
pub fn main() -> io::Result<()> {
    let mut poll = Poll::new()?;
    let mut tcp = TcpListener::bind(([127, 0, 0, 1], 0).into())?;
    let mut udp = UdpSocket::bind(([127, 0, 0, 1], 0).into())?;
    poll.registry().register(&mut tcp, TCP, Interest::READABLE)?;
    poll.registry().register(&mut udp, TOU, Interest::READABLE)?;

    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(io::Error::other)?;
    let mut endpoint = Endpoint::new(EndpointConfig::default(), seed);
    let here = Remote::new(udp.local_addr()?).ok_or(ErrorKind::AddrNotAvailable)?;
    endpoint.listen(here.port, 16)?;

    // Somebody to serve: one by kernel TCP, and one connection to ourselves.
    let mut guest = TcpStream::connect(tcp.local_addr()?)?;
    guest.write_all(b"hello")?;
    let client = endpoint.connect(Instant::ZERO, here)?;
    endpoint.write(Instant::ZERO, client, b"hello over UDP")?;

    let epoch = time::Instant::now();
    let mut next_tick = Instant::ZERO + TICK;
    let (mut ticks, mut guests, mut message) = (0, 0, Vec::new());
    let mut events = Events::with_capacity(64);
    let (mut incoming, mut outgoing) = (vec![0; 65_535], TransmitBuf::single());
    while ticks < 3 || guests < 1 || message != b"hello over UDP" {
        let now = Instant::ZERO + epoch.elapsed();
        while let Some(transmit) = endpoint.poll_transmit(now, &mut outgoing) {
            // What the socket does not take is lost, and will be sent again.
            let _ = udp.send_to(outgoing.data(), transmit.peer);
        }
        // One wait for all: sockets, the program's timer, the core's deadline.
        let due = endpoint.poll_timeout().map_or(next_tick, |due| due.min(next_tick));
        if let Err(error) = poll.poll(&mut events, Some(due.saturating_since(now)))
            && error.kind() != ErrorKind::Interrupted
        {
            return Err(error);
        }
        let now = Instant::ZERO + epoch.elapsed();
        if next_tick <= now {
            (ticks, next_tick) = (ticks + 1, now + TICK);
        }
        // Readiness is an edge: receive until it would block.
        while let Ok((len, peer)) = udp.recv_from(&mut incoming) {
            endpoint.handle_batch(now, &ReceivedBatch::single(peer, incoming[..len].to_vec()));
        }
        endpoint.handle_timeout(now);
        while let Ok((mut stream, _)) = tcp.accept() {
            guests += 1;
            stream.write_all(b"welcome")?;
        }
        let mut readable = None;
        while let Some(event) = endpoint.poll_event() {
            match event {
                Event::Incoming(listener) => readable = endpoint.accept(listener),
                Event::Readable(conn) => readable = Some(conn),
                _ => {}
            }
        }
        while let Some(conn) = readable
            && let Ok(Some(chunk)) = endpoint.read_chunk(now, conn, usize::MAX)
        {
            message.extend_from_slice(&chunk);
        }
    }
    println!("{ticks} ticks, {guests} TCP guest, {:?}", String::from_utf8_lossy(&message));
    Ok(())
}
