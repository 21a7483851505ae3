//! `tou-bench loopback`: kernel TCP against tou over the loopback interface.
//!
//! One stream, two processes: this program writes, a copy of itself reads. The
//! transports take turns, since a shared machine drifts by more than what is to
//! be measured; so compare within a run, not between runs.

use core::error::Error;
use core::net::SocketAddr;
use core::time::Duration;
use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Instant;

use tou_mio::{TouSocket, TouStream, default_connection_config};
use tou_proto::EndpointConfig;

/// What to compare.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Args {
    /// Seconds of each transfer.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// How often each transport takes its turn.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// MTU that tou assumes.
    #[arg(long, default_value_t = 1_500)]
    mtu: u16,
}

/// The reading process.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct SinkArgs {
    transport: Transport,
    #[arg(long)]
    mtu: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Transport {
    Tcp,
    Tou,
}

impl Transport {
    fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Tou => "tou",
        }
    }
}

/// What one transfer came to.
#[derive(Clone, Copy, Debug, Default)]
struct Turn {
    gbit_per_second: f64,
    sender_cpu_per_gib: f64,
    receiver_cpu_per_gib: f64,
    /// Datagrams in one system call.
    send_batch: f64,
    receive_batch: f64,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    match compare(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tou-bench loopback: {error}");
            ExitCode::FAILURE
        }
    }
}

fn compare(args: &Args) -> Result<(), Box<dyn Error>> {
    let mut turns: [Vec<Turn>; 2] = Default::default();
    for round in 1..=args.rounds {
        for (transport, turns) in [Transport::Tcp, Transport::Tou].into_iter().zip(&mut turns) {
            let turn = take_turn(transport, args)?;
            println!("{round} {}: {}", transport.name(), describe(&turn));
            turns.push(turn);
        }
    }
    let [tcp, tou] = turns.map(|turns| median(turns.iter().map(|turn| turn.gbit_per_second)));
    println!("medians: tcp {tcp:.1} Gbit/s, tou {tou:.1} Gbit/s, ratio {:.2}", tou / tcp);
    Ok(())
}

fn describe(turn: &Turn) -> String {
    let mut text = format!(
        "{:5.1} Gbit/s, CPU s/GiB {:.3} sending {:.3} receiving",
        turn.gbit_per_second, turn.sender_cpu_per_gib, turn.receiver_cpu_per_gib,
    );
    if turn.send_batch > 0.0 {
        text += &format!(", datagrams a call {:.1} / {:.1}", turn.send_batch, turn.receive_batch);
    }
    text
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// One transfer, from this process to a child's.
fn take_turn(transport: Transport, args: &Args) -> Result<Turn, Box<dyn Error>> {
    let mut child = Reaped(
        Command::new(env::current_exe()?)
            .args(["sink", transport.name(), "--mtu", &args.mtu.to_string()])
            .stdout(Stdio::piped())
            .spawn()?,
    );
    let mut lines = BufReader::new(child.0.stdout.take().ok_or("no output")?).lines();
    let addr: SocketAddr = lines.next().ok_or("no address")??.parse()?;
    let cpu_before = cpu_seconds()?;
    let start = now();
    let (sent, send_batch) = match transport {
        Transport::Tcp => (send(&mut TcpStream::connect(addr)?, args.seconds)?, 0.0),
        Transport::Tou => {
            let socket = tou_socket(args.mtu)?;
            let mut stream = socket.connect(addr)?;
            let sent = send(&mut stream, args.seconds)?;
            let stats = socket.socket_stats();
            (sent, stats.datagrams_sent as f64 / stats.batches_sent.total().max(1) as f64)
        }
    };
    let report = lines.next().ok_or("no report")??;
    let seconds = start.elapsed().as_secs_f64();
    let cpu = cpu_seconds()? - cpu_before;
    let [received, receiver_cpu, receive_batch] = parse_report(&report)?;
    if received != sent as f64 {
        return Err(format!("{received} of {sent} octets arrived").into());
    }
    let gib = received / f64::from(1 << 30);
    Ok(Turn {
        gbit_per_second: received * 8e-9 / seconds,
        sender_cpu_per_gib: cpu / gib,
        receiver_cpu_per_gib: receiver_cpu / gib,
        send_batch,
        receive_batch,
    })
}

fn parse_report(line: &str) -> Result<[f64; 3], Box<dyn Error>> {
    let mut report = [0.0; 3];
    for (value, word) in report.iter_mut().zip(line.split_whitespace()) {
        *value = word.parse()?;
    }
    Ok(report)
}

/// A process that does not outlive its handle.
struct Reaped(Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        // It has ended by itself unless something went wrong.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Something that can say that there is no more to come.
trait Sender: Write {
    fn finish(&self) -> io::Result<()>;
}

impl Sender for TcpStream {
    fn finish(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

impl Sender for TouStream {
    fn finish(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

/// Writes for that long; how much it was.
fn send(stream: &mut impl Sender, seconds: f64) -> io::Result<u64> {
    let chunk = vec![0x5A; CHUNK];
    let start = now();
    let mut sent = 0;
    while start.elapsed() < Duration::from_secs_f64(seconds) {
        stream.write_all(&chunk)?;
        sent += chunk.len() as u64;
    }
    stream.finish()?;
    Ok(sent)
}

/// The reading process: says where it listens, reads to the end, reports.
pub(crate) fn sink(args: &SinkArgs) -> ExitCode {
    match receive(args) {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("tou-bench sink: {error}");
            ExitCode::FAILURE
        }
    }
}

fn receive(args: &SinkArgs) -> Result<String, Box<dyn Error>> {
    let (received, cpu, batch) = match args.transport {
        Transport::Tcp => {
            let listener = TcpListener::bind("127.0.0.1:0")?;
            println!("{}", listener.local_addr()?);
            let (mut stream, _) = listener.accept()?;
            let cpu = cpu_seconds()?;
            (read_to_end(&mut stream)?, cpu_seconds()? - cpu, 0.0)
        }
        Transport::Tou => {
            let socket = tou_socket(args.mtu)?;
            let listener = socket.listen()?;
            println!("{}", listener.local_addr()?);
            let (mut stream, _) = listener.accept()?;
            let cpu = cpu_seconds()?;
            let received = read_to_end(&mut stream)?;
            let stats = socket.socket_stats();
            let batch =
                stats.datagrams_received as f64 / stats.batches_received.total().max(1) as f64;
            (received, cpu_seconds()? - cpu, batch)
        }
    };
    Ok(format!("{received} {cpu} {batch}"))
}

fn read_to_end(stream: &mut impl Read) -> io::Result<u64> {
    let mut buffer = vec![0; CHUNK];
    let mut received = 0;
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(received),
            read => received += read as u64,
        }
    }
}

fn tou_socket(mtu: u16) -> Result<TouSocket, Box<dyn Error>> {
    let endpoint = EndpointConfig::builder()
        .with_connection(default_connection_config().build()?)
        .with_mtu(mtu)
        .build()?;
    Ok(TouSocket::builder().with_endpoint(endpoint).bind("127.0.0.1:0")?)
}

/// What all living threads of this process have used, in user and kernel mode
/// (Linux; zero elsewhere).
fn cpu_seconds() -> io::Result<f64> {
    let Ok(tasks) = fs::read_dir("/proc/self/task") else { return Ok(0.0) };
    let mut nanos = 0.0;
    for task in tasks {
        // A thread may end meanwhile.
        let stat = fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
        let used = stat.split_whitespace().next().and_then(|word| word.parse::<f64>().ok());
        nanos += used.unwrap_or(0.0);
    }
    Ok(nanos * 1e-9)
}

#[expect(clippy::disallowed_methods, reason = "measuring is what this is for")]
fn now() -> Instant {
    Instant::now()
}

/// Octets of one write and one read.
const CHUNK: usize = 128 * 1024;
