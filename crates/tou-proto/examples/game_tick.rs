//! A game: everything happens in a fixed tick, and nothing between two of them.
//! The core waits for nobody, so a tick is three calls. Commands go up and
//! snapshots come down, each with its length before it.

use core::time::Duration;
use std::io;
use std::net::UdpSocket;
use std::thread;

use tou_proto::{
    ConnId, ConnectionConfig, DatagramMachine, Endpoint, EndpointConfig, Instant, ReceivedBatch,
    Remote, TransmitBuf,
};

const TICK: Duration = Duration::from_millis(4);

/// A player or the server: a socket, an endpoint, what has arrived in part.
struct Side {
    socket: UdpSocket,
    endpoint: Endpoint,
    conn: Option<ConnId>,
    partial: Vec<u8>,
}

/// Plays until the player has seen itself arrive at 20.
pub fn main() -> io::Result<()> {
    let (mut server, mut player) = (Side::open()?, Side::open()?);
    let remote = Remote::new(server.socket.local_addr()?).ok_or(io::ErrorKind::Other)?;
    let listener = server.endpoint.listen(remote.port, 4)?;
    player.conn = Some(player.endpoint.connect(Instant::ZERO, remote)?);

    let (mut position, mut seen) = (0, 0);
    let mut now = Instant::ZERO;
    while seen < 20 {
        // The core's clock is the game's: it stands still between ticks, and
        // with it a deadline waits for the next one.
        now = now + TICK;
        server.receive(now);
        player.receive(now);

        server.conn = server.conn.or_else(|| server.endpoint.accept(listener));
        while let Some(command) = server.next_message(now) {
            position += u32::from(command == b"forward");
        }
        server.send(now, &position.to_be_bytes())?;
        while let Some(snapshot) = player.next_message(now) {
            seen = snapshot.first_chunk().copied().map_or(seen, u32::from_be_bytes);
        }
        player.send(now, b"forward")?;

        server.flush(now);
        player.flush(now);
        thread::sleep(TICK);
    }
    println!("at {seen} after {now} s of play");
    Ok(())
}

impl Side {
    fn open() -> io::Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.set_nonblocking(true)?;
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(io::Error::other)?;
        // Small messages must not wait for each other (Nagle), nor their
        // acknowledgments for more than a tick.
        let small = ConnectionConfig::builder().with_nodelay(true).with_ack_delay(TICK);
        let config = EndpointConfig::builder().with_connection(small.build()?).build()?;
        let endpoint = Endpoint::new(config, seed);
        Ok(Self { socket, endpoint, conn: None, partial: Vec::new() })
    }

    fn receive(&mut self, now: Instant) {
        let mut buf = [0; 65_535];
        while let Ok((len, peer)) = self.socket.recv_from(&mut buf) {
            self.endpoint.handle_batch(now, &ReceivedBatch::single(peer, buf[..len].to_vec()));
        }
        self.endpoint.handle_timeout(now);
    }

    fn flush(&mut self, now: Instant) {
        let mut buf = TransmitBuf::single();
        while let Some(transmit) = self.endpoint.poll_transmit(now, &mut buf) {
            let _ = self.socket.send_to(buf.data(), transmit.peer);
        }
    }

    fn send(&mut self, now: Instant, message: &[u8]) -> io::Result<()> {
        let len = u8::try_from(message.len()).map_err(io::Error::other)?;
        if let Some(conn) = self.conn {
            // Too little to fill the send buffer. A game that can skips a
            // snapshot when `info` shows a long `send_queue`.
            self.endpoint.write(now, conn, &[&[len], message].concat())?;
        }
        Ok(())
    }

    fn next_message(&mut self, now: Instant) -> Option<Vec<u8>> {
        while let Some(conn) = self.conn
            && let Ok(Some(chunk)) = self.endpoint.read_chunk(now, conn, usize::MAX)
        {
            self.partial.extend_from_slice(&chunk);
        }
        let len = self.partial.first().map(|len| 1 + usize::from(*len));
        let len = len.filter(|len| *len <= self.partial.len())?;
        Some(self.partial.drain(..len).skip(1).collect())
    }
}
