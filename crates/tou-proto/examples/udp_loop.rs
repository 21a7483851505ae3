//! A whole driver over `std::net::UdpSocket`, and an echo server and a client
//! that use it. `drive` is the loop that docs/EMBEDDING.md explains.
#![allow(clippy::disallowed_methods, reason = "a driver reads the clock")]

use core::ops::ControlFlow::{self, Break, Continue};
use core::time::Duration;
use std::io::{self, ErrorKind::*};
use std::net::UdpSocket;
use std::thread;
use std::time;

use tou_proto::{
    ConnId, DatagramMachine, Endpoint, EndpointConfig, Event, Instant, ReadError, ReceivedBatch,
    Remote, TransmitBuf,
};

/// Turns the crank until `app` has had enough. Once only: the endpoint's time begins here.
fn drive(
    socket: &UdpSocket,
    endpoint: &mut Endpoint,
    mut app: impl FnMut(&mut Endpoint, Instant) -> io::Result<ControlFlow<()>>,
) -> io::Result<()> {
    let epoch = time::Instant::now();
    let (mut incoming, mut outgoing) = (vec![0; 65_535], TransmitBuf::single());
    loop {
        let now = Instant::ZERO + epoch.elapsed();
        endpoint.handle_timeout(now);
        let flow = app(endpoint, now)?;
        while let Some(transmit) = endpoint.poll_transmit(now, &mut outgoing) {
            // What cannot be sent is lost, and will be sent again.
            let _ = socket.send_to(outgoing.data(), transmit.peer);
        }
        if flow.is_break() {
            return Ok(());
        }
        // `None` waits for ever. A timeout of zero is none that std takes.
        let wait = endpoint.poll_timeout().map(|due| due.saturating_since(now));
        socket.set_read_timeout(wait.map(|wait| wait.max(Duration::from_micros(1))))?;
        match socket.recv_from(&mut incoming) {
            Ok((len, peer)) => {
                let batch = ReceivedBatch::single(peer, incoming[..len].to_vec());
                endpoint.handle_batch(Instant::ZERO + epoch.elapsed(), &batch);
            }
            // The deadline has come, or nothing has.
            Err(error) if matches!(error.kind(), WouldBlock | TimedOut | Interrupted) => {}
            // Some peer is gone: its connection will notice by itself.
            Err(error) if matches!(error.kind(), ConnectionRefused | ConnectionReset) => {}
            Err(error) => return Err(error),
        }
    }
}

/// An echo server: what every connection sends goes back to it.
fn echo(endpoint: &mut Endpoint, now: Instant) -> io::Result<ControlFlow<()>> {
    while let Some(event) = endpoint.poll_event() {
        match event {
            Event::Incoming(listener) => {
                while let Some(conn) = endpoint.accept(listener) {
                    send_back(endpoint, now, conn)?;
                }
            }
            Event::Readable(conn) | Event::Writable(conn) => send_back(endpoint, now, conn)?,
            Event::Closed(conn, _) => endpoint.release(now, conn)?,
            _ => {}
        }
    }
    Ok(Continue(()))
}

/// Until there is nothing to read, or no room to write: an event says when to go on.
fn send_back(endpoint: &mut Endpoint, now: Instant, conn: ConnId) -> io::Result<()> {
    let mut buf = [0; 4096];
    while let Ok(len) = endpoint.peek(conn, &mut buf) {
        if len == 0 {
            return Ok(endpoint.shutdown(now, conn)?);
        }
        let Ok(written) = endpoint.write(now, conn, &buf[..len]) else { break };
        endpoint.read(now, conn, &mut buf[..written])?;
    }
    Ok(())
}

fn open() -> io::Result<(UdpSocket, Endpoint)> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(io::Error::other)?;
    Ok((UdpSocket::bind("127.0.0.1:0")?, Endpoint::new(EndpointConfig::default(), seed)))
}

/// The server in a thread; here a client that says hello, and reads to the end.
pub fn main() -> io::Result<()> {
    let (socket, mut endpoint) = open()?;
    let server = Remote::new(socket.local_addr()?).ok_or(AddrNotAvailable)?;
    endpoint.listen(server.port, 128)?;
    thread::spawn(move || drive(&socket, &mut endpoint, echo));

    let (socket, mut endpoint) = open()?;
    let conn = endpoint.connect(Instant::ZERO, server)?;
    endpoint.write(Instant::ZERO, conn, b"hello")?;
    endpoint.shutdown(Instant::ZERO, conn)?;
    let mut answer = Vec::new();
    drive(&socket, &mut endpoint, |endpoint, now| {
        loop {
            match endpoint.read_chunk(now, conn, usize::MAX) {
                Ok(Some(chunk)) => answer.extend_from_slice(&chunk),
                Ok(None) => return Ok(Break(())),
                Err(ReadError::WouldBlock) => return Ok(Continue(())),
                Err(error) => return Err(error.into()),
            }
        }
    })?;
    assert_eq!(answer, b"hello");
    println!("{} sent back {} octets", server.addr, answer.len());
    Ok(())
}
