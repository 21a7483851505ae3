//! The measures: what a client and a server do in each, over any transport.
//!
//! This knows neither which transport it is nor how often it is repeated.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use super::pattern::{PIECE, Pattern};
use super::system::{Stopwatch, Usage};
use super::transport::{Stream, Transport};
use super::warm_up::{Carried, WarmUp};

/// Named results.
pub(crate) type Figures = BTreeMap<String, f64>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Measure {
    /// One stream, one direction, as fast as it goes.
    Bulk,
    /// 64 octets there and back, one after the other.
    Latency,
    /// Connect, one octet there and back, close; one after the other.
    Connect,
    /// As bulk, with many connections at once.
    Streams,
    /// One connection, and nothing to do.
    Idle,
}

/// What is measured, and for how long.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Plan {
    pub(crate) measure: Measure,
    /// Seconds of each turn.
    #[arg(long)]
    pub(crate) seconds: f64,
    /// Connections at once.
    #[arg(long)]
    pub(crate) streams: usize,
}

pub(crate) async fn client<T: Transport>(transport: &T, plan: &Plan) -> io::Result<Figures> {
    match plan.measure {
        Measure::Bulk => send_bulk(transport, 1, plan.seconds).await,
        Measure::Streams => send_bulk(transport, plan.streams, plan.seconds).await,
        Measure::Latency => ask(transport, plan.seconds).await,
        Measure::Connect => come_and_go(transport, plan.seconds).await,
        Measure::Idle => {
            let mut stream = transport.connect().await?;
            stream.write(&[0]).await?;
            stream.read_exact(&mut [0]).await?;
            let figures = idle(transport, plan.seconds, "client").await?;
            // The other side looks at its figures, undisturbed.
            transport.pause(SETTLE).await;
            stream.close().await?;
            Ok(figures)
        }
    }
}

pub(crate) async fn server<T: Transport>(transport: &T, plan: &Plan) -> io::Result<Figures> {
    match plan.measure {
        Measure::Bulk => receive_bulk(transport, 1, plan.seconds).await,
        Measure::Streams => receive_bulk(transport, plan.streams, plan.seconds).await,
        Measure::Latency => {
            let mut stream = transport.accept().await?;
            let before = Usage::now()?;
            let answers = echo(&mut stream).await?;
            let cpu = Usage::since(before)?.cpu;
            stream.close().await?;
            Ok(figures([("server_cpu", cpu * 1e6 / answers)]))
        }
        Measure::Connect => welcome(transport).await,
        Measure::Idle => {
            let mut stream = transport.accept().await?;
            let mut octet = [0];
            stream.read_exact(&mut octet).await?;
            stream.write(&octet).await?;
            let figures = idle(transport, plan.seconds, "server").await?;
            stream.close().await?;
            Ok(figures)
        }
    }
}

/// Octets that these connections have carried: in all, and since the warm-up was over.
fn sum(carried: &[Carried]) -> (f64, f64) {
    let all: u64 = carried.iter().map(Carried::octets).sum();
    let counted: u64 = carried.iter().map(Carried::counted).sum();
    (all as f64, counted as f64)
}

/// Writes to so many connections for so long, then waits until all has arrived.
async fn send_bulk<T: Transport>(
    transport: &T,
    connections: usize,
    seconds: f64,
) -> io::Result<Figures> {
    let mut streams = Vec::with_capacity(connections);
    for _ in 0..connections {
        streams.push(transport.connect().await?);
    }
    let pattern = Arc::new(Pattern::new());
    let warm_up = Arc::new(WarmUp::of(seconds));
    let send = |stream| send(stream, Arc::clone(&pattern), Arc::clone(&warm_up), seconds);
    let sent = transport.run_all(streams.into_iter().map(send).collect()).await?;
    let (_, used) = warm_up.since()?;
    let (octets, counted) = sum(&sent);
    let mut figures = figures([
        ("octets_sent", octets),
        ("tx_cpu", used.cpu / (counted / GIB)),
        ("least_share", share_of_least(&sent)),
    ]);
    if let Some(used) = transport.socket_use() {
        figures.insert("tx_call".into(), used.sent_per_call);
        figures.insert("wire".into(), used.octets_sent / octets);
    }
    Ok(figures)
}

async fn send(
    mut stream: impl Stream,
    pattern: Arc<Pattern>,
    warm_up: Arc<WarmUp>,
    seconds: f64,
) -> io::Result<Carried> {
    let watch = Stopwatch::start();
    let mut sent = Carried::default();
    while watch.seconds() < seconds {
        stream.write(pattern.piece(sent.octets())).await?;
        sent.add(PIECE, &warm_up)?;
    }
    stream.finish().await?;
    if stream.read(&mut [0; 8]).await? != 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "an answer, out of turn"));
    }
    stream.close().await?;
    Ok(sent)
}

/// What the connection that came off worst got, of what is an equal share.
fn share_of_least(sent: &[Carried]) -> f64 {
    let (_, counted) = sum(sent);
    let least = sent.iter().map(Carried::counted).min().unwrap_or(0);
    least as f64 * sent.len() as f64 / counted.max(1.0)
}

async fn receive_bulk<T: Transport>(
    transport: &T,
    connections: usize,
    seconds: f64,
) -> io::Result<Figures> {
    let mut streams = Vec::with_capacity(connections);
    for _ in 0..connections {
        streams.push(transport.accept().await?);
    }
    let pattern = Arc::new(Pattern::new());
    let warm_up = Arc::new(WarmUp::of(seconds));
    let receive = |stream| receive(stream, Arc::clone(&pattern), Arc::clone(&warm_up));
    let received = transport.run_all(streams.into_iter().map(receive).collect()).await?;
    let (elapsed, used) = warm_up.since()?;
    let (octets, counted) = sum(&received);
    let mut figures = figures([
        ("octets_received", octets),
        ("gbit", counted * 8e-9 / elapsed),
        ("rx_cpu", used.cpu / (counted / GIB)),
    ]);
    if let Some(used) = transport.socket_use() {
        figures.insert("rx_call".into(), used.received_per_call);
    }
    Ok(figures)
}

async fn receive(
    mut stream: impl Stream,
    pattern: Arc<Pattern>,
    warm_up: Arc<WarmUp>,
) -> io::Result<Carried> {
    let mut buffer = vec![0; PIECE];
    let mut received = Carried::default();
    loop {
        let read = stream.read(&mut buffer).await?;
        if read == 0 {
            break;
        }
        pattern.check(received.octets(), &buffer[..read])?;
        received.add(read, &warm_up)?;
    }
    stream.finish().await?;
    stream.close().await?;
    Ok(received)
}

/// Sends requests and waits for the answer to each.
async fn ask<T: Transport>(transport: &T, seconds: f64) -> io::Result<Figures> {
    let mut stream = transport.connect().await?;
    let mut nanos: Vec<u64> = Vec::with_capacity(1 << 20);
    let (warm_up, watch) = (WarmUp::of(seconds), Stopwatch::start());
    let mut request = [0x5A; REQUEST];
    let mut answer = [0; REQUEST];
    for number in 0_u64.. {
        let is_counted = warm_up.is_over()?;
        request[..8].copy_from_slice(&number.to_be_bytes());
        let round_trip = Stopwatch::start();
        stream.write(&request).await?;
        stream.read_exact(&mut answer).await?;
        if is_counted {
            nanos.push(u64::try_from(round_trip.elapsed().as_nanos()).unwrap_or(u64::MAX));
        }
        if request != answer {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not the answer to that"));
        }
        if watch.seconds() >= seconds {
            break;
        }
    }
    let (_, used) = warm_up.since()?;
    stream.finish().await?;
    stream.close().await?;
    nanos.sort_unstable();
    let micros = |share: f64| percentile(&nanos, share) as f64 * 1e-3;
    Ok(figures([
        ("p50", micros(0.5)),
        ("p99", micros(0.99)),
        ("client_cpu", used.cpu * 1e6 / nanos.len().max(1) as f64),
    ]))
}

fn percentile(sorted: &[u64], share: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of one")]
    let index = ((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1));
    sorted.get(index).copied().unwrap_or(0)
}

/// Sends back what arrives, to the end. How often that was.
async fn echo(stream: &mut impl Stream) -> io::Result<f64> {
    let mut buffer = [0; REQUEST];
    let mut answers = 0.0;
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(answers),
            read => stream.write(&buffer[..read]).await?,
        }
        answers += 1.0;
    }
}

/// Opens connections, has an octet echoed, and closes them.
async fn come_and_go<T: Transport>(transport: &T, seconds: f64) -> io::Result<Figures> {
    let watch = Stopwatch::start();
    let mut connections = 0.0;
    loop {
        let is_last = watch.seconds() >= seconds;
        let mut stream = transport.connect().await?;
        stream.write(&[u8::from(is_last)]).await?;
        stream.read_exact(&mut [0]).await?;
        stream.close().await?;
        connections += 1.0;
        if is_last {
            return Ok(figures([("rate", connections / watch.seconds())]));
        }
    }
}

/// Accepts connections until one says that it is the last.
async fn welcome<T: Transport>(transport: &T) -> io::Result<Figures> {
    loop {
        let mut stream = transport.accept().await?;
        let mut is_last = [0];
        stream.read_exact(&mut is_last).await?;
        stream.write(&is_last).await?;
        stream.read(&mut [0]).await?;
        stream.close().await?;
        if is_last == [1] {
            return Ok(Figures::new());
        }
    }
}

/// Does nothing, and counts how often this process ran all the same.
async fn idle<T: Transport>(transport: &T, seconds: f64, side: &str) -> io::Result<Figures> {
    transport.pause(SETTLE).await;
    let before = Usage::now()?;
    transport.pause(core::time::Duration::from_secs_f64(seconds)).await;
    let used = Usage::since(before)?;
    // The pause itself was one.
    let wakeups = (used.switches - 1.0).max(0.0) / seconds;
    Ok([(format!("{side}_wakeups"), wakeups), (format!("{side}_cpu"), used.cpu * 1e6 / seconds)]
        .into())
}

fn figures<const N: usize>(named: [(&str, f64); N]) -> Figures {
    named.map(|(name, value)| (name.to_owned(), value)).into()
}

/// Octets of a request, and of the answer.
const REQUEST: usize = 64;
/// What ends soon after a connection has fallen silent is not idleness.
const SETTLE: core::time::Duration = core::time::Duration::from_millis(300);
const GIB: f64 = (1_u64 << 30) as f64;
