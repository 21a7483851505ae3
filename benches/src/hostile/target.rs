//! The endpoint that suffers, with one connection of the attacker.

use core::net::SocketAddr;
use core::time::Duration;

use bytes::Bytes;
use tou_proto::wire::{
    Checksum, SackBlock, SegmentFlags, SegmentHeader, SegmentOptions, Timestamps,
};
use tou_proto::{
    ConnId, ConnectionConfig, DatagramMachine, Endpoint, EndpointConfig, Instant, Port,
    ReceivedBatch, SeqNumber, TransmitBuf,
};

/// What a segment of the victim carries, beside timestamps.
pub(super) const MSS: u32 = 1_440;

/// The endpoint, and what the attacker knows.
pub(super) struct Target {
    now: Instant,
    endpoint: Endpoint,
    conn: ConnId,
    buf: TransmitBuf,
    sink: Vec<u8>,
    data: Vec<u8>,
    /// What the user keeps in the send buffer.
    kept: usize,
    pub(super) segments_out: u64,
    /// The attacker's next number, and the endpoint's first.
    seq: u32,
    ack: u32,
    tsecr: u32,
}

impl Target {
    /// With an established connection that may send and receive 16 MiB at once.
    pub(super) fn new() -> Self {
        let connection = ConnectionConfig::builder()
            .with_send_buffer(BUFFER, BUFFER)
            .with_recv_buffer(BUFFER, BUFFER)
            .with_initial_window(BUFFER)
            .with_max_reassembly_ranges(1 << 16)
            .with_nodelay(true)
            .build();
        let config = EndpointConfig::builder().with_connection(connection.expect("valid")).build();
        let mut endpoint = Endpoint::new(config.expect("valid"), [5; 32]);
        let listener = endpoint.listen(port(LOCAL), 4).expect("a free port");
        let now = Instant::from_secs(1);
        let mut buf = TransmitBuf::new(44, TransmitBuf::MAX_BYTES);
        let options = SegmentOptions {
            mss: Some(1_452),
            window_scale: Some(9),
            sack_permitted: true,
            timestamps: Some(Timestamps { tsval: 1, tsecr: 0 }),
            ..SegmentOptions::default()
        };
        let flags = SegmentFlags::SYN;
        let syn = SegmentHeader { flags, options, ..header(SegmentOptions::default()) };
        endpoint.handle_batch(now, &ReceivedBatch::single(peer(), encode(&syn, 0)));
        endpoint.poll_transmit(now, &mut buf).expect("a SYN-ACK");
        let answer = SegmentHeader::parse(buf.data(), Checksum::Carrier).expect("a segment");
        let ack = answer.header.seq.plus(1);
        let tsecr = answer.header.options.timestamps.map_or(0, |timestamps| timestamps.tsval);
        let timestamps = Some(Timestamps { tsval: 1, tsecr });
        let third = SegmentHeader {
            seq: SeqNumber::new(1),
            ack,
            ..header(SegmentOptions { timestamps, ..SegmentOptions::default() })
        };
        let now = now + ROUND_TRIP;
        endpoint.handle_batch(now, &ReceivedBatch::single(peer(), encode(&third, 0)));
        let conn = endpoint.accept(listener).expect("connected");
        Self {
            now,
            endpoint,
            conn,
            buf,
            sink: vec![0; 1 << 16],
            data: Vec::new(),
            kept: 0,
            segments_out: 0,
            seq: 1,
            ack: ack.get(),
            tsecr,
        }
    }

    /// The endpoint has this many full segments outstanding, whatever is acknowledged.
    pub(super) fn talk(&mut self, segments: u32) {
        self.kept = (segments * MSS) as usize;
        self.data = vec![0; self.kept];
        self.refill();
        self.drain();
        self.now = self.now + ROUND_TRIP;
    }

    fn refill(&mut self) {
        let queue = self.endpoint.info(self.conn).map_or(0, |info| info.send_queue);
        let missing = self.kept.saturating_sub(usize::try_from(queue).unwrap_or(usize::MAX));
        if let Some(data) = self.data.get(..missing).filter(|data| !data.is_empty()) {
            self.endpoint.write(self.now, self.conn, data).expect("room");
        }
    }

    /// A datagram arrives, a microsecond after the last, and is answered.
    pub(super) fn suffer(&mut self, datagram: Bytes) {
        self.now = self.now + Duration::from_micros(1);
        self.endpoint.handle_batch(self.now, &ReceivedBatch::single(peer(), datagram));
        if self.endpoint.poll_timeout().is_some_and(|deadline| deadline <= self.now) {
            self.endpoint.handle_timeout(self.now);
        }
        if self.kept > 0 {
            self.refill();
        }
        self.drain();
        // The user reads what there is.
        while self.endpoint.read(self.now, self.conn, &mut self.sink).is_ok_and(|read| read > 0) {}
    }

    fn drain(&mut self) {
        while let Some(transmit) = self.endpoint.poll_transmit(self.now, &mut self.buf) {
            self.segments_out += transmit.segments as u64;
        }
        while self.endpoint.poll_event().is_some() {}
    }

    /// A segment `ahead` octets from the attacker's next number, with `len` octets of
    /// data, which acknowledges `acked` octets and reports these blocks, from the
    /// endpoint's first octet on.
    pub(super) fn segment(&self, ahead: u32, len: u32, acked: u32, sack: &[(u32, u32)]) -> Bytes {
        encode(&self.header(ahead, acked, sack), len)
    }

    /// The same, as a header to change.
    pub(super) fn header(&self, ahead: u32, acked: u32, sack: &[(u32, u32)]) -> SegmentHeader {
        let number = |distance| SeqNumber::new(self.ack).plus(distance);
        let block = |(l, r): &(u32, u32)| SackBlock { left: number(*l), right: number(*r) };
        let options = SegmentOptions {
            timestamps: Some(Timestamps { tsval: 1, tsecr: self.tsecr }),
            sack: sack.iter().map(block).collect(),
            ..SegmentOptions::default()
        };
        SegmentHeader {
            seq: SeqNumber::new(self.seq).plus(ahead),
            ack: number(acked),
            ..header(options)
        }
    }
}

/// Any segment as a datagram.
pub(super) fn encode(header: &SegmentHeader, len: u32) -> Bytes {
    let mut datagram = vec![0; header.encoded_len() + len as usize];
    header.emit(Checksum::Carrier, &mut datagram);
    datagram.into()
}

pub(super) fn port(number: u16) -> Port {
    Port::new(number).expect("not zero")
}

fn header(options: SegmentOptions) -> SegmentHeader {
    SegmentHeader {
        src_port: port(40_000),
        dst_port: port(LOCAL),
        seq: SeqNumber::new(0),
        ack: SeqNumber::new(0),
        flags: SegmentFlags::ACK,
        window: u16::MAX,
        urgent: 0,
        options,
    }
}

fn peer() -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], 5_000))
}

const ROUND_TRIP: Duration = Duration::from_millis(1);
const LOCAL: u16 = 7;
const BUFFER: u64 = 16 << 20;
