//! One endpoint with an address and a clock: what a driver would hold.
//!
//! A [`Host`] passes verbs on with the present time, and keeps what comes out
//! (datagrams, events, a deadline) for whoever owns it. It must not know links
//! or other hosts.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use tou_proto::{
    ConnId, ConnectError, ConnectionConfig, ConnectionInfo, DatagramMachine, Ecn, Endpoint,
    EndpointConfig, Event, Instant, ListenError, ListenerId, PathError, Port, ReadError,
    ReceivedBatch, Remote, State, TransmitBuf, UnknownConnection, WriteError,
};

/// A datagram that a host wants to send.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// Where to.
    pub to: SocketAddr,
    /// Its ECN codepoint.
    pub ecn: Ecn,
    /// The UDP payload.
    pub datagram: Bytes,
}

/// An endpoint, its UDP address and its clock.
///
/// The host's clock runs with the world's, but may show another time: a core
/// must not care where the epoch is. Verbs take effect at once, their datagrams
/// leave when the owner flushes.
#[derive(Debug)]
pub struct Host {
    name: &'static str,
    addr: SocketAddr,
    endpoint: Endpoint,
    now: Instant,
    clock_offset: Duration,
    transmit: TransmitBuf,
    events: VecDeque<Event>,
    /// Something may have changed since the last flush.
    dirty: bool,
    deadline: Option<Instant>,
}

impl Host {
    /// A host with a new endpoint.
    #[must_use]
    pub fn new(
        name: &'static str,
        addr: SocketAddr,
        config: Arc<EndpointConfig>,
        seed: [u8; 32],
    ) -> Self {
        Self {
            name,
            addr,
            endpoint: Endpoint::new(config, seed),
            now: Instant::ZERO,
            clock_offset: Duration::ZERO,
            transmit: TransmitBuf::new(MAX_SEGMENTS, TransmitBuf::MAX_BYTES),
            events: VecDeque::new(),
            dirty: false,
            deadline: None,
        }
    }

    /// The name that traces show.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The UDP address.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Moves to another address, as behind a NAT that forgot.
    pub fn set_addr(&mut self, addr: SocketAddr) {
        self.addr = addr;
    }

    /// Sets how far this host's clock is ahead of the world's. Only before the
    /// first verb: clocks do not jump.
    pub fn set_clock_offset(&mut self, offset: Duration) {
        self.clock_offset = offset;
    }

    /// Changes the buffer that batches are taken out with.
    pub fn set_transmit_buf(&mut self, buf: TransmitBuf) {
        self.transmit = buf;
    }

    /// The endpoint, to look at.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The endpoint, for verbs that a host does not pass on, with the time to
    /// give to them.
    pub fn endpoint_mut(&mut self) -> (Instant, &mut Endpoint) {
        self.dirty = true;
        (self.clock(), &mut self.endpoint)
    }

    /// [`Endpoint::listen`].
    ///
    /// # Errors
    /// As the endpoint.
    pub fn listen(&mut self, port: Port, backlog: usize) -> Result<ListenerId, ListenError> {
        self.endpoint_mut().1.listen(port, backlog)
    }

    /// [`Endpoint::accept`].
    pub fn accept(&mut self, listener: ListenerId) -> Option<ConnId> {
        self.endpoint_mut().1.accept(listener)
    }

    /// [`Endpoint::connect`] with the endpoint's own configuration.
    ///
    /// # Errors
    /// As the endpoint.
    pub fn connect(
        &mut self,
        remote: Remote,
        local_port: Option<Port>,
    ) -> Result<ConnId, ConnectError> {
        self.connect_with(remote, local_port, None)
    }

    /// [`Endpoint::connect`].
    ///
    /// # Errors
    /// As the endpoint.
    pub fn connect_with(
        &mut self,
        remote: Remote,
        local_port: Option<Port>,
        config: Option<Arc<ConnectionConfig>>,
    ) -> Result<ConnId, ConnectError> {
        let (now, endpoint) = self.endpoint_mut();
        endpoint.connect_with(now, remote, local_port, config)
    }

    /// [`Endpoint::write`].
    ///
    /// # Errors
    /// As the endpoint.
    pub fn write(&mut self, conn: ConnId, data: &[u8]) -> Result<usize, WriteError> {
        let (now, endpoint) = self.endpoint_mut();
        endpoint.write(now, conn, data)
    }

    /// [`Endpoint::write_bytes`].
    ///
    /// # Errors
    /// As the endpoint.
    pub fn write_bytes(&mut self, conn: ConnId, data: &mut Bytes) -> Result<usize, WriteError> {
        let (now, endpoint) = self.endpoint_mut();
        endpoint.write_bytes(now, conn, data)
    }

    /// [`Endpoint::read`].
    ///
    /// # Errors
    /// As the endpoint.
    pub fn read(&mut self, conn: ConnId, out: &mut [u8]) -> Result<usize, ReadError> {
        let (now, endpoint) = self.endpoint_mut();
        endpoint.read(now, conn, out)
    }

    /// [`Endpoint::read_chunk`].
    ///
    /// # Errors
    /// As the endpoint.
    pub fn read_chunk(&mut self, conn: ConnId, max: usize) -> Result<Option<Bytes>, ReadError> {
        let (now, endpoint) = self.endpoint_mut();
        endpoint.read_chunk(now, conn, max)
    }

    /// All that can be read now, and how it ended: `Ok` at the end of the
    /// stream, else why no more was read.
    pub fn read_all(&mut self, conn: ConnId) -> (Vec<u8>, Result<(), ReadError>) {
        let mut all = Vec::new();
        loop {
            match self.read_chunk(conn, usize::MAX) {
                Ok(Some(chunk)) => all.extend_from_slice(&chunk),
                Ok(None) => return (all, Ok(())),
                Err(error) => return (all, Err(error)),
            }
        }
    }

    /// [`Endpoint::shutdown`].
    ///
    /// # Errors
    /// As the endpoint.
    pub fn shutdown(&mut self, conn: ConnId) -> Result<(), UnknownConnection> {
        let (now, endpoint) = self.endpoint_mut();
        endpoint.shutdown(now, conn)
    }

    /// [`Endpoint::close`].
    ///
    /// # Errors
    /// As the endpoint.
    pub fn close(&mut self, conn: ConnId) -> Result<(), UnknownConnection> {
        let (now, endpoint) = self.endpoint_mut();
        endpoint.close(now, conn)
    }

    /// [`Endpoint::release`].
    ///
    /// # Errors
    /// As the endpoint.
    pub fn release(&mut self, conn: ConnId) -> Result<(), UnknownConnection> {
        let (now, endpoint) = self.endpoint_mut();
        endpoint.release(now, conn)
    }

    /// [`Endpoint::abort`].
    ///
    /// # Errors
    /// As the endpoint.
    pub fn abort(&mut self, conn: ConnId) -> Result<(), UnknownConnection> {
        let (now, endpoint) = self.endpoint_mut();
        endpoint.abort(now, conn)
    }

    /// [`Endpoint::info`].
    #[must_use]
    pub fn info(&self, conn: ConnId) -> Option<ConnectionInfo> {
        self.endpoint.info(conn)
    }

    /// The connection's state; CLOSED if there is no such connection.
    #[must_use]
    pub fn state(&self, conn: ConnId) -> State {
        self.info(conn).map_or(State::Closed, |info| info.state)
    }

    /// Events not taken yet, oldest first.
    #[must_use]
    pub fn events(&self) -> &VecDeque<Event> {
        &self.events
    }

    /// Takes the oldest event.
    pub fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Takes this event, if it has come.
    pub fn take_event(&mut self, event: Event) -> bool {
        let position = self.events.iter().position(|known| *known == event);
        position.and_then(|position| self.events.remove(position)).is_some()
    }

    /// When the endpoint wants to be woken, in the world's time.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Lets the clock show a later time.
    pub fn set_now(&mut self, now: Instant) {
        debug_assert!(now >= self.now, "time goes forward");
        self.now = now;
    }

    /// Hands a batch in.
    pub fn handle_batch(&mut self, batch: &ReceivedBatch) {
        let (now, endpoint) = self.endpoint_mut();
        endpoint.handle_batch(now, batch);
    }

    /// Hands an error report in.
    pub fn handle_path_error(&mut self, error: &PathError) {
        let (now, endpoint) = self.endpoint_mut();
        endpoint.handle_path_error(now, error);
    }

    /// Lets the endpoint's timers expire.
    pub fn handle_timeout(&mut self) {
        let (now, endpoint) = self.endpoint_mut();
        endpoint.handle_timeout(now);
    }

    /// Takes out what the last verbs led to: events are kept, the deadline is
    /// noted, datagrams are returned in order. Checks the endpoint's promises.
    ///
    /// # Panics
    /// If the endpoint breaks its contract: a batch of another shape than it
    /// says, output without end, or unfinished work without a deadline.
    pub fn flush(&mut self) -> Vec<Outgoing> {
        let mut outgoing = Vec::new();
        if !self.dirty {
            return outgoing;
        }
        self.dirty = false;
        let now = self.clock();
        for batch in 0_u32.. {
            assert!(batch < MAX_BATCHES, "{}: output does not end", self.name);
            let Some(transmit) = self.endpoint.poll_transmit(now, &mut self.transmit) else {
                break;
            };
            let datagrams = split(&self.transmit, transmit.stride, transmit.segments);
            outgoing.extend(datagrams.into_iter().map(|datagram| Outgoing {
                to: transmit.peer,
                ecn: transmit.ecn,
                datagram,
            }));
        }
        while let Some(event) = self.endpoint.poll_event() {
            self.events.push_back(event);
        }
        let deadline = self.endpoint.poll_timeout();
        self.deadline = deadline.map(|deadline| deadline.saturating_sub(self.clock_offset));
        assert!(
            self.deadline.is_some() || self.endpoint.unfinished_count() == 0,
            "{}: something is unfinished, and nothing will ever wake it",
            self.name,
        );
        outgoing
    }

    /// The time that this host's endpoint sees.
    fn clock(&self) -> Instant {
        self.now + self.clock_offset
    }
}

/// Takes a batch apart into its datagrams, and checks that it has the shape
/// that [`tou_proto::Transmit`] promises.
fn split(buf: &TransmitBuf, stride: usize, segments: usize) -> Vec<Bytes> {
    let batch = Bytes::copy_from_slice(buf.data());
    assert!((1..=buf.max_segments()).contains(&segments), "{segments} segments in a batch");
    assert!(segments == 1 || batch.len() <= buf.max_bytes(), "{} octets in a batch", batch.len());
    assert_eq!(batch.len().div_ceil(stride), segments, "stride {stride}, {} octets", batch.len());
    (0..segments)
        .map(|index| {
            let start = index * stride + buf.headroom();
            let end = batch.len().min((index + 1) * stride) - buf.tailroom();
            batch.slice(start..end)
        })
        .collect()
}

/// 64 KiB of the datagrams of a 1500-byte MTU: what one system call takes.
const MAX_SEGMENTS: usize = 44;

/// Far more batches than any window holds.
const MAX_BATCHES: u32 = 100_000;
