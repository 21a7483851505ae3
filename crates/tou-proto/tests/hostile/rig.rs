//! One endpoint that is measured, peers that send it anything, and an honest one.
//!
//! Datagrams move at once and nothing is recorded, so that the only memory that
//! stays allocated between two calls is the endpoint's.

use core::net::SocketAddr;
use core::time::Duration;

use bytes::Bytes;
use tou_proto::wire::{
    Checksum, SackBlock, SegmentFlags, SegmentHeader, SegmentOptions, Timestamps,
};
use tou_proto::{
    ConnId, ConnectionInfo, DatagramMachine, Ecn, Endpoint, EndpointConfig, EndpointConfigBuilder,
    EndpointCounters, Instant, ListenerId, Port, ReadError, ReceivedBatch, Remote, SeqNumber,
    TransmitBuf, WriteError,
};

use crate::alloc::live;

/// The port that peers attack, and the one that the honest peer connects to.
pub(crate) const PORT: u16 = 7;
const HONEST_PORT: u16 = 8;

pub(crate) fn port(number: u16) -> Port {
    Port::new(number).unwrap()
}

fn addr(host: u32) -> SocketAddr {
    let [_, a, b, c] = host.to_be_bytes();
    SocketAddr::from(([10, a, b, c], 5_000))
}

/// The endpoint under attack.
pub(crate) struct Victim {
    pub(crate) now: Instant,
    pub(crate) endpoint: Endpoint,
    pub(crate) listener: ListenerId,
    honest_listener: ListenerId,
    /// Segments that came out.
    pub(crate) segments_out: u64,
    /// The last one for an enemy.
    pub(crate) answer: Option<SegmentHeader>,
    to_honest: Vec<Bytes>,
    base: isize,
    most: isize,
}

impl Victim {
    /// With a listener for enemies, of that backlog.
    pub(crate) fn new(config: EndpointConfigBuilder, backlog: usize) -> Self {
        let mut endpoint = Endpoint::new(config.build().unwrap(), [7; 32]);
        let listener = endpoint.listen(port(PORT), backlog).unwrap();
        let honest_listener = endpoint.listen(port(HONEST_PORT), 4).unwrap();
        Self {
            now: Instant::from_secs(1),
            endpoint,
            listener,
            honest_listener,
            segments_out: 0,
            answer: None,
            to_honest: Vec::new(),
            base: 0,
            most: 0,
        }
    }

    /// From now on `grown` counts.
    pub(crate) fn begin_measuring(&mut self) {
        self.base = live();
        self.most = 0;
    }

    /// How many more octets were live after some call than at the beginning.
    pub(crate) fn grown(&self) -> usize {
        usize::try_from(self.most).unwrap()
    }

    /// How many more octets are live than at the beginning, or fewer.
    pub(crate) fn kept(&self) -> isize {
        live() - self.base
    }

    pub(crate) fn counters(&self) -> EndpointCounters {
        *self.endpoint.counters()
    }

    pub(crate) fn info(&self, conn: ConnId) -> ConnectionInfo {
        self.endpoint.info(conn).unwrap()
    }

    /// Lets datagrams arrive as one batch.
    pub(crate) fn arrive(&mut self, peer: SocketAddr, stride: usize, data: Vec<u8>) {
        let batch =
            ReceivedBatch { peer, local_ip: None, ecn: Ecn::NotEct, stride, data: data.into() };
        self.endpoint.handle_batch(self.now, &batch);
        drop(batch);
        self.drain();
    }

    /// Lets time pass.
    pub(crate) fn wait(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(deadline) = self.endpoint.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(deadline);
            self.endpoint.handle_timeout(self.now);
            self.drain();
        }
        self.now = end;
    }

    /// Takes out what there is to send. What is for enemies is counted and lost.
    pub(crate) fn drain(&mut self) {
        let mut buf = TransmitBuf::new(44, TransmitBuf::MAX_BYTES);
        while let Some(transmit) = self.endpoint.poll_transmit(self.now, &mut buf) {
            for datagram in buf.data().chunks(transmit.stride) {
                self.segments_out += 1;
                if transmit.peer == Honest::addr() {
                    self.to_honest.push(Bytes::copy_from_slice(datagram));
                } else {
                    let parsed = SegmentHeader::parse(datagram, Checksum::Carrier).unwrap();
                    self.answer = Some(parsed.header);
                }
            }
        }
        drop(buf);
        self.note();
    }

    /// Notes what is live.
    fn note(&mut self) {
        self.most = self.most.max(self.kept());
    }

    /// The next connection to be accepted from an enemy.
    pub(crate) fn accept(&mut self) -> Option<ConnId> {
        self.endpoint.accept(self.listener)
    }
}

/// A peer that says what it likes.
#[derive(Clone, Debug)]
pub(crate) struct Enemy {
    pub(crate) addr: SocketAddr,
    pub(crate) port: Port,
    /// Its next sequence number.
    pub(crate) seq: u32,
    /// The victim's next.
    pub(crate) ack: u32,
    /// With timestamps: the first that the victim showed, which is all it ever echoes.
    pub(crate) echo: Option<u32>,
}

impl Enemy {
    /// Number `host` of many, which has not said anything.
    pub(crate) fn new(host: u32) -> Self {
        Self { addr: addr(host), port: port(40_000), seq: 100, ack: 0, echo: None }
    }

    /// The same, connected; `None` if it was not let in.
    pub(crate) fn connect(victim: &mut Victim, host: u32, mss: u16) -> Option<(Self, ConnId)> {
        Self::connect_with(victim, host, offer(mss))
    }

    /// The same with other options.
    pub(crate) fn connect_with(
        victim: &mut Victim,
        host: u32,
        options: SegmentOptions,
    ) -> Option<(Self, ConnId)> {
        let mut enemy = Self::new(host);
        enemy.handshake(victim, options).then_some(())?;
        let conn = victim.accept()?;
        Some((enemy, conn))
    }

    /// Sends a SYN with these options and answers what comes; whether something
    /// came.
    pub(crate) fn handshake(&mut self, victim: &mut Victim, options: SegmentOptions) -> bool {
        victim.answer = None;
        let syn = SegmentHeader { flags: SegmentFlags::SYN, options, ..self.header() };
        self.say(victim, syn, &[]);
        let Some(answer) = victim.answer.take() else { return false };
        self.seq += 1;
        self.ack = answer.seq.plus(1).get();
        self.echo = answer.options.timestamps.map(|timestamps| timestamps.tsval);
        self.say(victim, self.header(), &[]);
        true
    }

    /// An acknowledgment of everything, with the largest window.
    pub(crate) fn header(&self) -> SegmentHeader {
        SegmentHeader {
            src_port: self.port,
            dst_port: port(PORT),
            seq: SeqNumber::new(self.seq),
            ack: SeqNumber::new(self.ack),
            flags: SegmentFlags::ACK,
            window: u16::MAX,
            urgent: 0,
            options: SegmentOptions {
                timestamps: self.echo.map(|tsecr| Timestamps { tsval: 1, tsecr }),
                ..SegmentOptions::default()
            },
        }
    }

    /// The same `distance` octets further on.
    pub(crate) fn ahead(&self, distance: u32) -> SegmentHeader {
        SegmentHeader { seq: SeqNumber::new(self.seq.wrapping_add(distance)), ..self.header() }
    }

    /// An acknowledgment `distance` octets further on.
    pub(crate) fn acking(&self, distance: u32) -> SegmentHeader {
        SegmentHeader { ack: SeqNumber::new(self.ack.wrapping_add(distance)), ..self.header() }
    }

    /// SACK blocks at these distances from what is acknowledged.
    pub(crate) fn sacking(&self, blocks: &[(u32, u32)]) -> SegmentHeader {
        let number = |distance| SeqNumber::new(self.ack.wrapping_add(distance));
        let block = |(l, r): &(u32, u32)| SackBlock { left: number(*l), right: number(*r) };
        let mut header = self.header();
        header.options.sack = blocks.iter().map(block).collect();
        header
    }

    /// Sends a segment.
    #[expect(clippy::needless_pass_by_value, reason = "a test reads like a trace")]
    pub(crate) fn say(&self, victim: &mut Victim, header: SegmentHeader, data: &[u8]) {
        let datagram = encode(&header, data);
        let stride = datagram.len();
        victim.arrive(self.addr, stride, datagram);
    }

    /// Sends a segment, after which nothing is taken out.
    #[expect(clippy::needless_pass_by_value, reason = "a test reads like a trace")]
    pub(crate) fn say_undrained(&self, victim: &mut Victim, header: SegmentHeader) {
        let batch = ReceivedBatch::single(self.addr, encode(&header, &[]));
        victim.endpoint.handle_batch(victim.now, &batch);
        drop(batch);
        victim.note();
    }

    /// Lets the victim close the connection, and closes it too: the victim is in
    /// TIME-WAIT.
    pub(crate) fn close_after(&mut self, victim: &mut Victim, conn: ConnId) {
        victim.endpoint.close(victim.now, conn).unwrap();
        victim.drain();
        self.ack = self.ack.wrapping_add(1);
        let flags = SegmentFlags::FIN | SegmentFlags::ACK;
        self.say(victim, SegmentHeader { flags, ..self.header() }, &[]);
    }

    /// Sends segments with equally much data in one batch.
    pub(crate) fn say_all(
        &self,
        victim: &mut Victim,
        headers: impl IntoIterator<Item = SegmentHeader>,
        data: &[u8],
    ) {
        let datagrams: Vec<Vec<u8>> =
            headers.into_iter().map(|header| encode(&header, data)).collect();
        let stride = datagrams.first().map_or(1, Vec::len);
        let all = datagrams.concat();
        drop(datagrams);
        victim.arrive(self.addr, stride, all);
    }

    /// Sends data in order.
    pub(crate) fn send(&mut self, victim: &mut Victim, data: &[u8]) {
        self.say(victim, self.header(), data);
        self.seq = self.seq.wrapping_add(u32::try_from(data.len()).unwrap());
    }
}

/// All options but timestamps.
pub(crate) fn offer(mss: u16) -> SegmentOptions {
    SegmentOptions {
        mss: Some(mss),
        window_scale: Some(8),
        sack_permitted: true,
        ..SegmentOptions::default()
    }
}

pub(crate) fn encode(header: &SegmentHeader, data: &[u8]) -> Vec<u8> {
    let mut datagram = vec![0; header.encoded_len() + data.len()];
    let start = header.emit(Checksum::Carrier, &mut datagram);
    datagram[start..].copy_from_slice(data);
    datagram
}

/// A second connection, which must not suffer: a real endpoint.
pub(crate) struct Honest {
    endpoint: Endpoint,
    conn: ConnId,
    server: ConnId,
    buf: TransmitBuf,
}

impl Honest {
    fn addr() -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], 9_000))
    }

    /// Connects.
    pub(crate) fn connect(victim: &mut Victim) -> Self {
        let config = EndpointConfig::builder().build().unwrap();
        let mut endpoint = Endpoint::new(config, [8; 32]);
        let remote = Remote { addr: addr(0), port: port(HONEST_PORT) };
        let conn = endpoint.connect(victim.now, remote).unwrap();
        let buf = TransmitBuf::new(44, TransmitBuf::MAX_BYTES);
        let mut honest = Self { endpoint, conn, server: conn, buf };
        for _ in 0..100 {
            honest.step(victim);
            if let Some(server) = victim.endpoint.accept(victim.honest_listener) {
                honest.server = server;
                return honest;
            }
        }
        panic!("an honest peer is not let in");
    }

    /// The victim's end of it.
    pub(crate) fn server(&self) -> ConnId {
        self.server
    }

    /// Moves `len` octets in each direction, and compares them.
    pub(crate) fn exchange(&mut self, victim: &mut Victim, len: usize) {
        let data: Vec<u8> = (0..len).map(|index| (index % 251).to_le_bytes()[0]).collect();
        let (mut there, mut back) = (Vec::new(), Vec::new());
        let (mut said, mut answered) = (0, 0);
        let deadline = victim.now + Duration::from_secs(600);
        while there.len() < len || back.len() < len {
            let now = victim.now;
            assert!(now < deadline, "{} and {} of {len} arrived", there.len(), back.len());
            said += written(self.endpoint.write(now, self.conn, &data[said..]));
            answered += written(victim.endpoint.write(now, self.server, &data[answered..]));
            self.step(victim);
            let now = victim.now;
            read(&mut there, |buf| victim.endpoint.read(now, self.server, buf));
            read(&mut back, |buf| self.endpoint.read(now, self.conn, buf));
        }
        assert!(there == data && back == data, "other octets arrived");
    }

    /// Lets datagrams cross, and time pass if there are none.
    fn step(&mut self, victim: &mut Victim) {
        let mut is_quiet = true;
        while let Some(transmit) = self.endpoint.poll_transmit(victim.now, &mut self.buf) {
            is_quiet = false;
            victim.arrive(Self::addr(), transmit.stride, self.buf.data().to_vec());
        }
        victim.drain();
        for datagram in core::mem::take(&mut victim.to_honest) {
            is_quiet = false;
            self.endpoint.handle_batch(victim.now, &ReceivedBatch::single(addr(0), datagram));
        }
        if is_quiet {
            let mine = self.endpoint.poll_timeout();
            let next = [mine, victim.endpoint.poll_timeout()].into_iter().flatten().min();
            victim.now = next.unwrap_or(victim.now).max(victim.now) + Duration::from_micros(1);
            self.endpoint.handle_timeout(victim.now);
            victim.endpoint.handle_timeout(victim.now);
        }
    }
}

fn written(result: Result<usize, WriteError>) -> usize {
    match result {
        Ok(written) => written,
        Err(WriteError::WouldBlock) => 0,
        Err(error) => panic!("{error}"),
    }
}

fn read(to: &mut Vec<u8>, mut read: impl FnMut(&mut [u8]) -> Result<usize, ReadError>) {
    let mut buf = [0; 4_096];
    loop {
        match read(&mut buf) {
            Ok(0) => panic!("the stream has ended"),
            Ok(count) => to.extend_from_slice(&buf[..count]),
            Err(ReadError::WouldBlock) => return,
            Err(error) => panic!("{error}"),
        }
    }
}
