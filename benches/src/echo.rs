//! Small requests and their answers through two endpoints in one thread: no
//! sockets, no simulator.
//!
//! Each side makes the calls that a driver makes, so that what they cost when
//! there is nothing to do counts too. It must not know who measures what.

use core::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use core::time::Duration;

use bytes::BytesMut;
use tou_proto::{
    ConnId, ConnectionConfig, DatagramMachine, Ecn, Endpoint, EndpointConfig, Event, Instant, Port,
    ReadError, ReceivedBatch, Remote, TransmitBuf,
};

/// Two endpoints with one established connection, and a wire on which each
/// datagram takes ten microseconds.
#[derive(Debug)]
pub struct Echo {
    now: Instant,
    client: Side,
    server: Side,
    /// The wire.
    wire: BytesMut,
}

#[derive(Debug)]
struct Side {
    endpoint: Endpoint,
    addr: SocketAddr,
    conn: Option<ConnId>,
    buf: TransmitBuf,
}

impl Echo {
    /// Two endpoints with default configurations, but for the delay of small
    /// segments, and an established connection.
    ///
    /// # Panics
    /// If they do not connect.
    #[must_use]
    pub fn new() -> Self {
        let mut echo = Self {
            now: Instant::ZERO,
            client: Side::new(1),
            server: Side::new(2),
            wire: BytesMut::new(),
        };
        echo.connect();
        echo
    }

    fn connect(&mut self) {
        let port = Port::new(PORT).expect("not zero");
        let listener = self.server.endpoint.listen(port, 1).expect("a free port");
        let remote = Remote { addr: self.server.addr, port };
        let conn = self.client.endpoint.connect(self.now, remote);
        self.client.conn = Some(conn.expect("room for one"));
        for _ in 0..4 {
            self.turn(Role::Client);
            self.turn(Role::Server);
        }
        self.server.conn = self.server.endpoint.accept(listener);
        assert!(self.server.conn.is_some(), "connected");
    }

    /// So many requests of [`SIZE`] octets, one after the other, each answered
    /// with as many.
    ///
    /// # Panics
    /// If one does not arrive.
    pub fn rounds(&mut self, rounds: u64) {
        for _ in 0..rounds {
            self.client.write(self.now);
            self.turn(Role::Client);
            self.client.wait(self.now);
            self.take(Role::Server);
            self.server.write(self.now);
            self.turn(Role::Server);
            self.server.wait(self.now);
            self.take(Role::Client);
        }
    }

    /// What has arrived is announced, and read.
    fn take(&mut self, role: Role) {
        self.turn(role);
        match role {
            Role::Client => self.client.read(self.now),
            Role::Server => self.server.read(self.now),
        }
        self.turn(role);
    }

    /// A driver's turn: time, then what there is to send, which the other side
    /// receives, then events.
    fn turn(&mut self, role: Role) {
        let (from, to) = match role {
            Role::Client => (&mut self.client, &mut self.server),
            Role::Server => (&mut self.server, &mut self.client),
        };
        from.wake(self.now);
        while let Some(transmit) = from.endpoint.poll_transmit(self.now, &mut from.buf) {
            self.wire.extend_from_slice(from.buf.data());
            let batch = ReceivedBatch {
                peer: from.addr,
                local_ip: Some(to.addr.ip()),
                ecn: Ecn::NotEct,
                stride: transmit.stride,
                data: self.wire.split().freeze(),
            };
            self.now = self.now + DELAY;
            to.endpoint.handle_batch(self.now, &batch);
        }
        while let Some(event) = from.endpoint.poll_event() {
            assert!(!matches!(event, Event::Closed(..)), "the connection broke");
        }
        from.wake(self.now);
    }
}

#[derive(Clone, Copy, Debug)]
enum Role {
    Client,
    Server,
}

impl Default for Echo {
    fn default() -> Self {
        Self::new()
    }
}

impl Side {
    fn new(host: u8) -> Self {
        let connection = ConnectionConfig::builder().with_nodelay(true).build();
        let config = EndpointConfig::builder()
            .with_connection(connection.expect("all else is default"))
            .build()
            .expect("all else is default");
        Self {
            endpoint: Endpoint::new(config, [host; 32]),
            addr: SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, host), PORT)),
            conn: None,
            buf: TransmitBuf::new(BATCH, TransmitBuf::MAX_BYTES),
        }
    }

    fn write(&mut self, now: Instant) {
        let conn = self.conn.expect("connected");
        let written = self.endpoint.write(now, conn, &[0x5A; SIZE]);
        assert_eq!(written, Ok(SIZE), "room for one");
    }

    fn read(&mut self, now: Instant) {
        assert_eq!(self.try_read(now), Ok(SIZE), "it has arrived");
    }

    /// Who waits for data has looked first, and is told when it comes.
    fn wait(&mut self, now: Instant) {
        assert_eq!(self.try_read(now), Err(ReadError::WouldBlock), "nothing yet");
    }

    fn try_read(&mut self, now: Instant) -> Result<usize, ReadError> {
        let conn = self.conn.expect("connected");
        self.endpoint.read(now, conn, &mut [0; SIZE])
    }

    fn wake(&mut self, now: Instant) {
        if self.endpoint.poll_timeout().is_some_and(|deadline| deadline <= now) {
            self.endpoint.handle_timeout(now);
        }
    }
}

/// Octets of a request, and of an answer.
pub const SIZE: usize = 64;
const BATCH: usize = 44;
const PORT: u16 = 7;
const DELAY: Duration = Duration::from_micros(10);
