//! `tou-bench flood`: what spoofed segments cost a listening endpoint, in memory.
//!
//! Each segment comes from another address, as fast as the machine takes them; the
//! endpoint's clock says that they come at the rate asked for. What it answers is
//! taken out and thrown away.

use core::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use core::time::Duration;
use std::process::ExitCode;
use std::time;

use bytes::Bytes;
use tou_bench::alloc;
use tou_proto::wire::{Checksum, SegmentFlags, SegmentHeader, SegmentOptions, Timestamps};
use tou_proto::{
    ConnectionConfig, DatagramMachine, Endpoint, EndpointConfig, Instant, Port, ReceivedBatch,
    SeqNumber, TransmitBuf,
};

use crate::instructions::Profile;

/// What to measure.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Args {
    /// Segments a second, on the endpoint's clock.
    #[arg(long, default_value_t = 100_000)]
    per_second: u32,
    /// Seconds, on the endpoint's clock.
    #[arg(long, default_value_t = 10)]
    seconds: u32,
    /// Send so many segments and print how many were answered: what is counted
    /// under callgrind.
    #[arg(long, hide = true)]
    count_only: Option<u32>,
    /// Which segments.
    #[arg(long, hide = true, default_value = "cookies")]
    kind: Kind,
}

/// What floods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// SYNs to a full cache: each is answered with a cookie.
    Cookies,
    /// SYNs to a full cache, with cookies off: each is dropped.
    Dropped,
    /// SYNs that are all remembered, for half a second each.
    Remembered,
    /// ACKs that hold no cookie, while cookies are out.
    Acks,
}

const KINDS: [(Kind, &str); 4] = [
    (Kind::Cookies, "SYN, cache full, cookie sent"),
    (Kind::Dropped, "SYN, cache full, dropped"),
    (Kind::Remembered, "SYN, remembered for 0.5 s, SYN-ACK and reset sent"),
    (Kind::Acks, "ACK without a cookie, dropped"),
];

pub(crate) fn run(args: &Args) -> ExitCode {
    if let Some(segments) = args.count_only {
        let mut flood = Flood::new(args.kind, args.per_second);
        flood.send(segments);
        println!("{segments}");
        return ExitCode::SUCCESS;
    }
    let mut skipped = None;
    for (kind, name) in KINDS {
        let measured = measure(kind, args);
        let instructions = match instructions(kind) {
            Ok(count) => format!("{count:.0}"),
            Err(error) => {
                skipped = Some(error);
                "-".to_owned()
            }
        };
        println!(
            "{name}: {:.0} ns (worst second {:.0}), {instructions} instructions; {:.2} answers; \
             {} to {} live octets",
            measured.best, measured.worst, measured.answers, measured.least, measured.most,
        );
    }
    if let Some(error) = skipped {
        eprintln!("tou-bench flood: INSTRUCTIONS NOT COUNTED: {error}");
    }
    ExitCode::SUCCESS
}

/// Of one segment, in the best and in the worst second: others may use the machine.
/// Live octets are those at the ends of seconds, after the first.
struct Measured {
    best: f64,
    worst: f64,
    answers: f64,
    least: i64,
    most: i64,
}

#[expect(clippy::disallowed_methods, reason = "measuring is what this is for")]
fn measure(kind: Kind, args: &Args) -> Measured {
    alloc::start();
    let mut flood = Flood::new(kind, args.per_second);
    flood.send(args.per_second);
    let live = alloc::live();
    let mut measured =
        Measured { best: f64::INFINITY, worst: 0.0, answers: 0.0, least: live, most: live };
    let answered = flood.answers;
    for _ in 0..args.seconds {
        let start = time::Instant::now();
        flood.send(args.per_second);
        let nanos = start.elapsed().as_secs_f64() * 1e9 / f64::from(args.per_second);
        measured.best = measured.best.min(nanos);
        measured.worst = measured.worst.max(nanos);
        let live = alloc::live();
        measured.least = measured.least.min(live);
        measured.most = measured.most.max(live);
    }
    alloc::stop();
    let segments = f64::from(args.per_second) * f64::from(args.seconds.max(1));
    measured.answers = (flood.answers - answered) as f64 / segments;
    measured
}

/// Instructions a segment: the difference of a long and a short flood.
fn instructions(kind: Kind) -> Result<f64, Box<dyn core::error::Error>> {
    let kind = clap::ValueEnum::to_possible_value(&kind).ok_or("no name")?;
    let count = |segments: &str| {
        Profile::take(&["flood", "--count-only", segments, "--kind", kind.get_name()])
    };
    let (short, long) = (count("20000")?, count("60000")?);
    let instructions = long.total() as f64 - short.total() as f64;
    Ok(instructions / (long.count - short.count) as f64)
}

/// An endpoint that is flooded.
struct Flood {
    endpoint: Endpoint,
    now: Instant,
    /// Between two segments.
    gap: Duration,
    batch: ReceivedBatch,
    /// A SYN now and then, where the flood is none: it keeps cookies out.
    syn: Option<Bytes>,
    buf: TransmitBuf,
    sent: u32,
    answers: u64,
}

impl Flood {
    fn new(kind: Kind, per_second: u32) -> Self {
        let cache = if kind == Kind::Remembered { 1 << 20 } else { 1_024 };
        let mut connection = ConnectionConfig::builder();
        if kind == Kind::Remembered {
            connection = connection.with_connect_timeout(Duration::from_millis(500));
        }
        let config = EndpointConfig::builder()
            .with_connection(connection.build().expect("all else is default"))
            .with_max_syn_cache(cache)
            .with_syn_cookies(kind != Kind::Dropped)
            .build()
            .expect("all else is default");
        let mut endpoint = Endpoint::new(config, [1; 32]);
        endpoint.listen(port(7), cache).expect("a free port");
        let (syn, ack) = (segment(SegmentFlags::SYN), segment(SegmentFlags::ACK));
        let (data, syn) = if kind == Kind::Acks { (ack, Some(syn)) } else { (syn, None) };
        let mut flood = Self {
            endpoint,
            now: Instant::from_secs(1),
            gap: Duration::from_secs(1) / per_second.max(1),
            batch: ReceivedBatch::single(SocketAddr::from(([10, 0, 0, 0], 4_000)), data),
            syn,
            buf: TransmitBuf::new(64, TransmitBuf::MAX_BYTES),
            sent: 0,
            answers: 0,
        };
        if kind != Kind::Remembered {
            flood.fill(cache);
        }
        flood
    }

    /// Fills the cache.
    fn fill(&mut self, cache: usize) {
        let flooding = self.syn.clone().map(|syn| core::mem::replace(&mut self.batch.data, syn));
        for _ in 0..=cache {
            self.one();
        }
        if let Some(data) = flooding {
            self.batch.data = data;
        }
    }

    fn send(&mut self, segments: u32) {
        for _ in 0..segments {
            if self.sent.is_multiple_of(1_000)
                && let Some(syn) = self.syn.clone()
            {
                let data = core::mem::replace(&mut self.batch.data, syn);
                self.one();
                self.batch.data = data;
            } else {
                self.one();
            }
        }
    }

    /// One segment from the next address, and what comes of it.
    fn one(&mut self) {
        self.sent += 1;
        let host = Ipv4Addr::from_bits(0x0a00_0000 + self.sent % 0x0100_0000);
        self.batch.peer = SocketAddr::V4(SocketAddrV4::new(host, 4_000));
        self.now = self.now + self.gap;
        self.endpoint.handle_batch(self.now, &self.batch);
        while self.endpoint.poll_transmit(self.now, &mut self.buf).is_some() {
            self.answers += 1;
        }
        if self.endpoint.poll_timeout().is_some_and(|at| at <= self.now) {
            self.endpoint.handle_timeout(self.now);
        }
    }
}

fn port(number: u16) -> Port {
    Port::new(number).expect("not zero")
}

/// What Linux sends.
fn segment(flags: SegmentFlags) -> Bytes {
    let is_syn = flags == SegmentFlags::SYN;
    let options = SegmentOptions {
        mss: is_syn.then_some(1_452),
        window_scale: is_syn.then_some(7),
        sack_permitted: is_syn,
        timestamps: Some(Timestamps { tsval: 1, tsecr: 2 }),
        ..SegmentOptions::default()
    };
    let header = SegmentHeader {
        src_port: port(4_000),
        dst_port: port(7),
        seq: SeqNumber::new(1),
        ack: SeqNumber::new(1),
        flags,
        window: 65_535,
        urgent: 0,
        options,
    };
    let mut octets = vec![0; header.encoded_len()];
    header.emit(Checksum::Carrier, &mut octets);
    octets.into()
}
