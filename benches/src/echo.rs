//! Small requests and their answers through two endpoints in one thread: no
//! sockets, no simulator.
//!
//! Each side makes the calls that the blocking driver makes, in its order, so that
//! what they cost when there is nothing to do counts too. It must not know who
//! measures what.

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
    client: Side,
    server: Side,
    /// The wire.
    wire: BytesMut,
}

#[derive(Debug)]
struct Side {
    now: Instant,
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
        let mut echo = Self { client: Side::new(1), server: Side::new(2), wire: BytesMut::new() };
        echo.connect();
        echo
    }

    fn connect(&mut self) {
        let port = Port::new(PORT).expect("not zero");
        let listener = self.server.endpoint.listen(port, 1).expect("a free port");
        let remote = Remote { addr: self.server.addr, port };
        let conn = self.client.endpoint.connect(self.client.now, remote);
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
            self.say(Role::Client);
            self.hear(Role::Server);
            self.say(Role::Server);
            self.hear(Role::Client);
        }
    }

    /// One side writes, and waits: what it has written goes over, it looks for an
    /// answer, finds none, and asks how long it may sleep.
    fn say(&mut self, role: Role) {
        self.side(role).write();
        self.flush(role);
        let side = self.side(role);
        assert_eq!(side.read(), Err(ReadError::WouldBlock), "nothing yet");
        let deadline = side.endpoint.poll_timeout();
        assert!(deadline.is_some(), "what was sent may be lost");
    }

    /// Something has come to one side: whatever else is due is done, and it is read.
    fn hear(&mut self, role: Role) {
        self.turn(role);
        assert_eq!(self.side(role).read(), Ok(SIZE), "it has arrived");
    }

    /// Time, and then what there is to send.
    fn turn(&mut self, role: Role) {
        let side = self.side(role);
        if side.endpoint.poll_timeout().is_some_and(|deadline| deadline <= side.now) {
            side.endpoint.handle_timeout(side.now);
        }
        self.flush(role);
    }

    /// What one side has to send goes over to the other; then its events.
    fn flush(&mut self, role: Role) {
        let (from, to) = match role {
            Role::Client => (&mut self.client, &mut self.server),
            Role::Server => (&mut self.server, &mut self.client),
        };
        while let Some(transmit) = from.endpoint.poll_transmit(from.now, &mut from.buf) {
            self.wire.extend_from_slice(from.buf.data());
            let batch = ReceivedBatch {
                peer: from.addr,
                local_ip: Some(to.addr.ip()),
                ecn: Ecn::NotEct,
                stride: transmit.stride,
                data: self.wire.split().freeze(),
            };
            to.now = from.now + DELAY;
            to.endpoint.handle_batch(to.now, &batch);
        }
        while let Some(event) = from.endpoint.poll_event() {
            assert!(!matches!(event, Event::Closed(..)), "the connection broke");
        }
    }

    fn side(&mut self, role: Role) -> &mut Side {
        match role {
            Role::Client => &mut self.client,
            Role::Server => &mut self.server,
        }
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
            now: Instant::ZERO,
            endpoint: Endpoint::new(config, [host; 32]),
            addr: SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, host), PORT)),
            conn: None,
            buf: TransmitBuf::new(BATCH, TransmitBuf::MAX_BYTES),
        }
    }

    fn write(&mut self) {
        let conn = self.conn.expect("connected");
        let written = self.endpoint.write(self.now, conn, &[0x5A; SIZE]);
        assert_eq!(written, Ok(SIZE), "room for one");
    }

    fn read(&mut self) -> Result<usize, ReadError> {
        let conn = self.conn.expect("connected");
        self.endpoint.read(self.now, conn, &mut [0; SIZE])
    }
}

/// Octets of a request, and of an answer.
pub const SIZE: usize = 64;
const BATCH: usize = 44;
const PORT: u16 = 7;
const DELAY: Duration = Duration::from_micros(10);
