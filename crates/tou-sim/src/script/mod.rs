//! One endpoint against literal segments, so that a test reads like a trace.
//!
//! ```
//! use tou_sim::script::{Script, ack, data, syn, syn_ack};
//!
//! let mut script = Script::listening(Default::default());
//! script.inject(syn(0).mss(1_460));
//! script.expect(syn_ack(0, 1).no_ts());
//! script.inject(ack(1, 1));
//! let conn = script.accept();
//! script.inject(data(1, 1, "hi"));
//! assert_eq!(script.host.read_all(conn).0, b"hi");
//! script.expect_after(40, ack(1, 3));
//! ```
//!
//! A script is strict: a segment that came out and was not asked for is a
//! failure as soon as the script goes on.

mod numbers;
mod seg;

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;
use std::thread;

use bytes::Bytes;
use tou_proto::wire::{Checksum, SegmentHeader};
use tou_proto::{
    ConnId, ConnectError, ConnectionConfig, Ecn, EndpointConfig, Event, Instant, ListenerId, Port,
    ReceivedBatch, Remote, SeqNumber, State,
};

use self::numbers::{Frame, Numbers};
pub use self::seg::{Seg, ack, data, fin, pattern, rst, rst_ack, seg, syn, syn_ack};
use crate::host::Host;
use crate::link::Fate;
use crate::presets;
use crate::rng::SimRng;
use crate::trace::{Record, Trace};

/// One endpoint whose peer is the test.
#[derive(Debug)]
pub struct Script {
    /// The endpoint. Call its verbs; what they send is expected next.
    pub host: Host,
    /// Every segment, both ways.
    pub trace: Trace,
    /// The peer's UDP address, for segments injected from now on.
    pub peer: SocketAddr,
    /// The peer's TCP port, for segments injected from now on.
    pub peer_port: Port,
    /// The endpoint's TCP port, for segments injected from now on.
    pub local_port: Port,
    /// Injected segments that say nothing of timestamps carry them: the peer's
    /// clock, and the last value received.
    pub stamped: bool,
    now: Instant,
    numbers: Numbers,
    listener: Option<ListenerId>,
    out: VecDeque<(Instant, Bytes)>,
}

impl Script {
    /// The listening port, and the port that [`Self::connect`] goes to.
    pub const SERVER_PORT: u16 = 7;
    /// The other port.
    pub const CLIENT_PORT: u16 = 40_000;

    /// An endpoint that does nothing yet. Its peer's initial sequence number is
    /// so near the wrap that any data crosses it.
    #[must_use]
    pub fn new(config: Arc<EndpointConfig>) -> Self {
        let seed = SimRng::new(1, 0).seed();
        Self {
            host: Host::new("tou", LOCAL, config, seed),
            trace: Trace::default(),
            peer: PEER,
            peer_port: port(Self::CLIENT_PORT),
            local_port: port(Self::SERVER_PORT),
            stamped: false,
            now: Instant::ZERO,
            numbers: Numbers::new(SeqNumber::new(u32::MAX - 2)),
            listener: None,
            out: VecDeque::new(),
        }
    }

    /// The same with this configuration of its connections.
    #[must_use]
    pub fn with_connection(config: Arc<ConnectionConfig>) -> Self {
        let config = presets::endpoint_builder().with_connection(config).build();
        Self::new(config.expect("all else is default"))
    }

    /// The same, with one connection, which the peer opened with `syn`.
    ///
    /// # Panics
    /// If it does not come about.
    #[must_use]
    pub fn established(config: Arc<ConnectionConfig>, syn: Seg) -> (Self, ConnId) {
        let mut script = Self::with_connection(config);
        let conn = script.establish(syn);
        (script, conn)
    }

    /// An endpoint that listens.
    #[must_use]
    pub fn listening(config: Arc<EndpointConfig>) -> Self {
        let mut script = Self::new(config);
        script.listen(16);
        script
    }

    /// Lets the endpoint listen.
    ///
    /// # Panics
    /// If it does so already.
    pub fn listen(&mut self, backlog: usize) -> ListenerId {
        let listener = self.host.listen(self.local_port, backlog).expect("the port is free");
        self.listener = Some(listener);
        listener
    }

    /// Lets the endpoint connect from [`Self::CLIENT_PORT`] to this script's
    /// peer at [`Self::SERVER_PORT`]. The SYN is to be expected.
    ///
    /// # Panics
    /// If it cannot.
    pub fn connect(&mut self) -> ConnId {
        self.try_connect().expect("it may connect")
    }

    /// The same, where it may be that it cannot.
    ///
    /// # Errors
    /// As the endpoint.
    pub fn try_connect(&mut self) -> Result<ConnId, ConnectError> {
        self.peer_port = port(Self::SERVER_PORT);
        self.local_port = port(Self::CLIENT_PORT);
        let remote = Remote { addr: self.peer, port: self.peer_port };
        self.host.connect(remote, Some(self.local_port))
    }

    /// Opens a connection from the peer's side, with the options of `syn`, and
    /// takes its events.
    ///
    /// # Panics
    /// If it does not come about.
    pub fn establish(&mut self, syn: Seg) -> ConnId {
        if self.listener.is_none() {
            self.listen(16);
        }
        let stamped = syn.timestamps.is_some();
        self.inject(syn);
        self.expect(syn_ack(0, 1));
        self.stamped |= stamped;
        self.inject(ack(1, 1));
        let conn = self.accept();
        while self.host.next_event().is_some() {}
        conn
    }

    /// The next connection to accept.
    ///
    /// # Panics
    /// If there is none.
    pub fn accept(&mut self) -> ConnId {
        self.flush();
        let listener = self.listener.expect("it listens");
        self.host.accept(listener).expect("a connection to accept")
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.now
    }

    /// The connection's state.
    #[must_use]
    pub fn state(&self, conn: ConnId) -> State {
        self.host.state(conn)
    }

    /// Sets the peer's initial sequence number, for its next connection.
    pub fn set_peer_isn(&mut self, isn: u32) {
        self.numbers.peer_isn = SeqNumber::new(isn);
    }

    /// Forgets the endpoint's initial sequence number: the next SYN tells it.
    pub fn forget_isn(&mut self) {
        self.numbers.local_isn = None;
    }

    /// The first timestamp value that the endpoint showed: what those in tests
    /// are relative to.
    #[must_use]
    pub fn first_tsval(&self) -> u32 {
        self.numbers.first_tsval.unwrap_or(0)
    }

    /// The endpoint's initial sequence number, once it sent a SYN.
    #[must_use]
    pub fn local_isn(&self) -> Option<SeqNumber> {
        self.numbers.local_isn
    }

    /// Lets a segment arrive.
    ///
    /// # Panics
    /// If something had come out that was not expected.
    pub fn inject(&mut self, seg: Seg) {
        self.inject_batch([seg]);
    }

    /// Lets segments arrive in one batch. All but the last are equally long.
    ///
    /// # Panics
    /// If something had come out that was not expected.
    pub fn inject_batch(&mut self, segs: impl IntoIterator<Item = Seg>) {
        self.expect_nothing();
        let datagrams: Vec<Bytes> = segs.into_iter().map(|seg| self.encode(&seg)).collect();
        let stride = datagrams.first().map_or(0, Bytes::len);
        let batch = ReceivedBatch {
            peer: self.peer,
            local_ip: Some(self.host.addr().ip()),
            ecn: Ecn::NotEct,
            stride,
            data: datagrams.concat().into(),
        };
        for datagram in datagrams {
            self.record("peer", "tou", datagram);
        }
        self.host.handle_batch(&batch);
        self.flush();
    }

    /// Lets a segment arrive, whatever had come out before: for floods, whose
    /// answers are counted with [`Self::take_output`].
    #[expect(clippy::needless_pass_by_value, reason = "a test reads like a trace")]
    pub fn inject_loosely(&mut self, seg: Seg) {
        let datagram = self.encode(&seg);
        self.record("peer", "tou", datagram.clone());
        self.host.handle_batch(&ReceivedBatch::single(self.peer, datagram));
        self.flush();
    }

    /// Lets any octets arrive.
    ///
    /// # Panics
    /// If something had come out that was not expected.
    pub fn inject_octets(&mut self, octets: impl Into<Bytes>) {
        self.expect_nothing();
        let octets = octets.into();
        self.record("peer", "tou", octets.clone());
        self.host.handle_batch(&ReceivedBatch::single(self.peer, octets));
        self.flush();
    }

    /// Takes the next segment that came out, which must be this one.
    ///
    /// # Panics
    /// If it is another, or none.
    #[track_caller]
    #[expect(clippy::needless_pass_by_value, reason = "a test reads like a trace")]
    pub fn expect(&mut self, seg: Seg) {
        self.flush();
        let Some((time, datagram)) = self.out.pop_front() else {
            panic!("expected {seg}\n  but nothing came at {}", self.now);
        };
        self.compare(&seg, time, &datagram);
    }

    /// Lets time pass and takes the next segment, which must be this one and
    /// come out exactly so many milliseconds from now.
    ///
    /// # Panics
    /// If it is another, or comes at another time.
    #[track_caller]
    pub fn expect_after(&mut self, millis: u64, seg: Seg) {
        let due = self.now + Duration::from_millis(millis);
        let time = self.run_until_output(due);
        assert_eq!(time, Some(due), "expected then: {seg}");
        self.expect(seg);
    }

    /// Lets time pass until a segment comes out, which must be this one. Returns
    /// how long that took.
    ///
    /// # Panics
    /// If it is another, or none comes for an hour.
    #[track_caller]
    pub fn expect_eventually(&mut self, seg: Seg) -> Duration {
        let waited = self.wait();
        self.expect(seg);
        waited
    }

    /// Lets time pass until a segment comes out, and leaves it to be taken.
    /// Returns how long that took.
    ///
    /// # Panics
    /// If none comes for an hour.
    #[track_caller]
    pub fn wait(&mut self) -> Duration {
        let start = self.now;
        let time = self.run_until_output(self.now + Duration::from_secs(3_600));
        assert!(time.is_some(), "nothing came for an hour");
        self.now.saturating_since(start)
    }

    /// Nothing has come out that was not taken.
    ///
    /// # Panics
    /// If something has.
    #[track_caller]
    pub fn expect_nothing(&mut self) {
        self.flush();
        if let Some((time, datagram)) = self.out.pop_front() {
            panic!("expected nothing, but at {time} came {}", self.describe(&datagram));
        }
    }

    /// Lets so many milliseconds pass, in which nothing may come out.
    ///
    /// # Panics
    /// If something does.
    #[track_caller]
    pub fn expect_silence(&mut self, millis: u64) {
        self.advance(millis);
        self.expect_nothing();
    }

    /// Takes the next event, which must be this one.
    ///
    /// # Panics
    /// If it is another, or none.
    #[track_caller]
    pub fn expect_event(&mut self, event: Event) {
        self.flush();
        assert_eq!(self.host.next_event(), Some(event));
    }

    /// Takes everything that has come out: headers with relative numbers, and
    /// data.
    pub fn take_output(&mut self) -> Vec<(SegmentHeader, Bytes)> {
        self.flush();
        let out = core::mem::take(&mut self.out);
        out.into_iter()
            .filter_map(|(_, datagram)| {
                let parsed = SegmentHeader::parse(&datagram, Checksum::Carrier).ok()?;
                let relative = self.numbers.relative(&parsed.header, &[]);
                let (seq, ack) = (SeqNumber::new(relative.seq), SeqNumber::new(relative.ack));
                Some((
                    SegmentHeader { seq, ack, ..parsed.header },
                    datagram.slice(parsed.data_offset..),
                ))
            })
            .collect()
    }

    /// Lets so many milliseconds pass. What comes out is to be taken after.
    ///
    /// # Panics
    /// If something had come out before that was not expected.
    #[track_caller]
    pub fn advance(&mut self, millis: u64) {
        self.expect_nothing();
        self.run_to(self.now + Duration::from_millis(millis));
    }

    /// Lets time pass up to this millisecond.
    ///
    /// # Panics
    /// If something had come out before that was not expected.
    #[track_caller]
    pub fn at(&mut self, millis: u64) {
        self.expect_nothing();
        self.run_to(Instant::from_millis(millis));
    }

    /// Runs timers until something comes out, or until `end`. Returns when it
    /// came out.
    fn run_until_output(&mut self, end: Instant) -> Option<Instant> {
        self.flush();
        while self.out.is_empty() {
            match self.host.deadline().filter(|deadline| *deadline <= end) {
                Some(deadline) => self.expire(deadline),
                None => {
                    self.set_now(end);
                    return None;
                }
            }
        }
        self.out.front().map(|(time, _)| *time)
    }

    fn run_to(&mut self, end: Instant) {
        self.flush();
        while let Some(deadline) = self.host.deadline().filter(|deadline| *deadline <= end) {
            self.expire(deadline);
        }
        self.set_now(end);
    }

    /// Lets a deadline pass.
    fn expire(&mut self, deadline: Instant) {
        self.set_now(deadline.max(self.now));
        self.host.handle_timeout();
        let before = self.out.len();
        self.flush();
        assert!(
            self.out.len() > before || self.host.deadline().is_none_or(|next| next > self.now),
            "the deadline passed, nothing was sent, and the deadline stays",
        );
    }

    fn set_now(&mut self, now: Instant) {
        self.now = now.max(self.now);
        self.host.set_now(self.now);
    }

    /// Collects what the endpoint has to send, and learns its numbers.
    fn flush(&mut self) {
        for outgoing in self.host.flush() {
            if let Ok(parsed) = SegmentHeader::parse(&outgoing.datagram, Checksum::Carrier) {
                self.numbers.learn(&parsed.header);
            }
            self.record("tou", "peer", outgoing.datagram.clone());
            self.out.push_back((self.now, outgoing.datagram));
        }
    }

    fn record(&mut self, from: &'static str, to: &'static str, datagram: Bytes) {
        self.trace.push(Record {
            time: self.now,
            from,
            to,
            ecn: Ecn::NotEct,
            datagram,
            fate: Fate::Arrives(self.now),
        });
    }

    /// The octets of a segment to inject.
    fn encode(&mut self, seg: &Seg) -> Bytes {
        let frame = Frame {
            src_port: self.peer_port,
            dst_port: self.local_port,
            now_ms: u32::try_from(self.now.as_millis() % (1 << 32)).unwrap_or(0),
            stamped: self.stamped,
        };
        self.numbers.encode(seg, &frame)
    }

    #[track_caller]
    fn compare(&self, seg: &Seg, time: Instant, datagram: &[u8]) {
        let matches = SegmentHeader::parse(datagram, Checksum::Carrier).is_ok_and(|parsed| {
            let payload = datagram.get(parsed.data_offset..).unwrap_or_default();
            parsed.header.src_port == self.local_port
                && parsed.header.dst_port == self.peer_port
                && seg.matches(&self.numbers.relative(&parsed.header, payload))
        });
        assert!(matches, "at {time}\n  expected {seg}\n  but came {}", self.describe(datagram));
    }

    fn describe(&self, datagram: &[u8]) -> String {
        match SegmentHeader::parse(datagram, Checksum::Carrier) {
            Ok(parsed) => {
                let payload = datagram.get(parsed.data_offset..).unwrap_or_default();
                self.numbers.relative(&parsed.header, payload).to_string()
            }
            Err(error) => format!("{} octets, no segment: {error:?}", datagram.len()),
        }
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("-- the script was at {}; its last segments:", self.now);
            eprint!("{}", self.trace.tail(TAIL));
        }
    }
}

const LOCAL: SocketAddr = crate::pair::SERVER;
const PEER: SocketAddr = crate::pair::CLIENT;

/// Lines of the trace that a failure shows.
const TAIL: usize = 40;

fn port(number: u16) -> Port {
    Port::new(number).expect("not zero")
}
