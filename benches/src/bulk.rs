//! Bulk data through two endpoints in one thread: no sockets, no simulator.
//!
//! Batches move straight from `poll_transmit` to `handle_batch`. The data is
//! copied three times, as over a socket: into the send buffer, into the batch,
//! and from the batch into the receiver's buffer, which is the kernel's part.
//! Copying reads add a fourth. It must not know who measures what.

use core::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use core::time::Duration;
use std::sync::Arc;

use bytes::BytesMut;
use tou_proto::{
    ConnId, DatagramMachine, Ecn, Endpoint, EndpointConfig, Event, Instant, Port, ReadError,
    ReceivedBatch, Remote, TransmitBuf, WriteError,
};

/// How the receiver reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// `read_chunk`: without copying.
    Chunk,
    /// `read` into a buffer.
    Copy,
}

/// What a transfer took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Octets delivered.
    pub bytes: u64,
    /// Segments that the sender sent, all but a few of them with data.
    pub data_segments: u64,
    /// Batches that the sender sent.
    pub batches: u64,
    /// Segments that the receiver sent: acknowledgments.
    pub acks: u64,
}

/// Two endpoints with one established connection, and a wire that loses
/// nothing and takes no time.
#[derive(Debug)]
pub struct Bulk {
    now: Instant,
    sender: Side,
    receiver: Side,
    chunk: Vec<u8>,
    sink: Vec<u8>,
    /// The receiver's socket buffer.
    wire: BytesMut,
}

#[derive(Debug)]
struct Side {
    endpoint: Endpoint,
    addr: SocketAddr,
    conn: Option<ConnId>,
    buf: TransmitBuf,
    segments: u64,
    batches: u64,
}

impl Bulk {
    /// Two endpoints with default configurations (1500-byte MTU, SACK,
    /// timestamps, CUBIC) and an established connection.
    ///
    /// # Panics
    /// If they do not connect.
    #[must_use]
    pub fn new() -> Self {
        let mut bulk = Self {
            now: Instant::ZERO,
            sender: Side::new(1),
            receiver: Side::new(2),
            chunk: vec![0x5A; WRITE_SIZE],
            sink: vec![0; WRITE_SIZE],
            wire: BytesMut::new(),
        };
        bulk.connect();
        bulk
    }

    /// Moves that many octets, or a little more, from one side to the other. The
    /// sender writes 128 KiB as soon as less than that is on its way; each batch
    /// is read and acknowledged before the next.
    ///
    /// # Panics
    /// If nothing moves any more.
    pub fn transfer(&mut self, bytes: u64, read: Read) -> Report {
        let (segments, batches, acks) =
            (self.sender.segments, self.sender.batches, self.receiver.segments);
        let mut written = 0;
        let mut received = 0;
        let mut idle_rounds = 0;
        while received < bytes {
            if written < bytes && written - received < WRITE_SIZE as u64 {
                written += self.write();
            }
            let before = received;
            self.step();
            received += self.read(read);
            self.answer();
            idle_rounds = if received > before { 0 } else { idle_rounds + 1 };
            assert!(idle_rounds < 100_000, "stuck at {received} of {bytes}");
        }
        Report {
            bytes: received,
            data_segments: self.sender.segments - segments,
            batches: self.sender.batches - batches,
            acks: self.receiver.segments - acks,
        }
    }

    fn connect(&mut self) {
        let port = Port::new(PORT).expect("not zero");
        let listener = self.receiver.endpoint.listen(port, 1).expect("a free port");
        let remote = Remote { addr: self.receiver.addr, port };
        let conn = self.sender.endpoint.connect(self.now, remote);
        self.sender.conn = Some(conn.expect("room for one"));
        for _ in 0..10 {
            self.step();
            self.answer();
        }
        self.receiver.conn = self.receiver.endpoint.accept(listener);
        assert!(self.receiver.conn.is_some(), "connected");
    }

    /// Writes one piece, or as much of it as fits.
    fn write(&mut self) -> u64 {
        let conn = self.sender.conn.expect("connected");
        match self.sender.endpoint.write(self.now, conn, &self.chunk) {
            Ok(written) => written as u64,
            Err(WriteError::WouldBlock) => 0,
            Err(error) => panic!("write: {error}"),
        }
    }

    /// Reads what there is.
    fn read(&mut self, read: Read) -> u64 {
        match read {
            Read::Chunk => self.read_chunks(),
            Read::Copy => self.read_copies(),
        }
    }

    fn read_chunks(&mut self) -> u64 {
        let conn = self.receiver.conn.expect("connected");
        let mut read = 0;
        loop {
            match self.receiver.endpoint.read_chunk(self.now, conn, usize::MAX) {
                Ok(Some(chunk)) => read += chunk.len() as u64,
                Ok(None) => panic!("end of stream"),
                Err(ReadError::WouldBlock) => return read,
                Err(error) => panic!("read: {error}"),
            }
        }
    }

    fn read_copies(&mut self) -> u64 {
        let conn = self.receiver.conn.expect("connected");
        let mut read = 0;
        loop {
            match self.receiver.endpoint.read(self.now, conn, &mut self.sink) {
                Ok(0) => panic!("end of stream"),
                Ok(len) => read += len as u64,
                Err(ReadError::WouldBlock) => return read,
                Err(error) => panic!("read: {error}"),
            }
        }
    }

    /// Time passes, and a batch of the sender's goes over.
    fn step(&mut self) {
        self.now = self.now + ROUND;
        self.sender.wake(self.now);
        self.receiver.wake(self.now);
        self.sender.send_to(&mut self.receiver, self.now, &mut self.wire);
    }

    /// What the receiver has to say goes over.
    fn answer(&mut self) {
        while self.receiver.send_to(&mut self.sender, self.now, &mut self.wire) {}
    }
}

impl Default for Bulk {
    fn default() -> Self {
        Self::new()
    }
}

impl Side {
    fn new(host: u8) -> Self {
        Self {
            endpoint: Endpoint::new(Arc::new(EndpointConfig::default()), [host; 32]),
            addr: SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, host), PORT)),
            conn: None,
            buf: TransmitBuf::new(BATCH, TransmitBuf::MAX_BYTES),
            segments: 0,
            batches: 0,
        }
    }

    fn wake(&mut self, now: Instant) {
        if self.endpoint.poll_timeout().is_some_and(|deadline| deadline <= now) {
            self.endpoint.handle_timeout(now);
        }
    }

    /// Sends one batch. False if there is none.
    fn send_to(&mut self, peer: &mut Self, now: Instant, wire: &mut BytesMut) -> bool {
        let Some(transmit) = self.endpoint.poll_transmit(now, &mut self.buf) else { return false };
        self.segments += transmit.segments as u64;
        self.batches += 1;
        wire.extend_from_slice(self.buf.data());
        let batch = ReceivedBatch {
            peer: self.addr,
            local_ip: Some(peer.addr.ip()),
            ecn: Ecn::NotEct,
            stride: transmit.stride,
            data: wire.split().freeze(),
        };
        peer.endpoint.handle_batch(now, &batch);
        while let Some(event) = peer.endpoint.poll_event() {
            assert!(!matches!(event, Event::Closed(..)), "the connection broke");
        }
        true
    }
}

/// As kernel TCP was measured with.
const WRITE_SIZE: usize = 128 * 1024;
/// 64 KiB of 1472-byte datagrams: one GSO send.
const BATCH: usize = 44;
const PORT: u16 = 7;
/// Time passes, or nothing would ever be measured as a round trip.
const ROUND: Duration = Duration::from_micros(10);
