//! `tou-bench connects`: nanoseconds for one short connection, from its SYN to
//! the ACK of its last FIN, while TIME-WAIT holds all it can.
//!
//! Two endpoints in memory, one client and one listener. Time goes on by 100 us
//! a connection: 10,000 a second, as many as use up the ephemeral ports within
//! five seconds, so that nearly every one begins with a port in TIME-WAIT.

use core::net::SocketAddr;
use core::time::Duration;
use std::process::ExitCode;
use std::sync::Arc;

use bytes::BytesMut;
use tou_proto::{
    DatagramMachine, Ecn, Endpoint, EndpointConfig, Instant, ListenerId, Port, ReceivedBatch,
    Remote, TransmitBuf,
};

/// What to measure.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Args {
    /// Connections in each run.
    #[arg(long, default_value_t = 200_000)]
    connects: u64,
    /// Runs for each side that closes first.
    #[arg(long, default_value_t = 3)]
    runs: u32,
}

/// Who closes first, and so keeps TIME-WAIT.
#[derive(Clone, Copy, Debug)]
enum First {
    Client,
    Server,
}

/// As many as there are ephemeral ports, and more.
const WARM_UP: u64 = 100_000;

pub(crate) fn run(args: &Args) -> ExitCode {
    for first in [First::Client, First::Server] {
        let mut pair = Pair::new();
        for _ in 0..WARM_UP {
            pair.cycle(first);
        }
        for _ in 0..args.runs {
            let nanos = timed(|| (0..args.connects).for_each(|_| pair.cycle(first)));
            let standing = pair.client.time_wait_count() + pair.server.time_wait_count();
            println!(
                "{first:?} closes first: {:.0} ns a connection, {standing} in TIME-WAIT",
                nanos / args.connects as f64,
            );
        }
    }
    ExitCode::SUCCESS
}

/// How many nanoseconds `work` took.
#[expect(clippy::disallowed_methods, reason = "measuring is what this is for")]
fn timed(work: impl FnOnce()) -> f64 {
    let start = std::time::Instant::now();
    work();
    start.elapsed().as_secs_f64() * 1e9
}

struct Pair {
    now: Instant,
    client: Endpoint,
    server: Endpoint,
    listener: ListenerId,
    buf: TransmitBuf,
    wire: BytesMut,
}

impl Pair {
    fn new() -> Self {
        let config = Arc::new(EndpointConfig::default());
        let mut server = Endpoint::new(config.clone(), [2; 32]);
        let listener = server.listen(port(), 16).expect("a free port");
        Self {
            now: Instant::ZERO,
            client: Endpoint::new(config, [1; 32]),
            server,
            listener,
            buf: TransmitBuf::new(8, TransmitBuf::MAX_BYTES),
            wire: BytesMut::new(),
        }
    }

    /// One connection, and time for the next.
    fn cycle(&mut self, first: First) {
        let remote = Remote { addr: SERVER.into(), port: port() };
        let conn = self.client.connect(self.now, remote).expect("a port");
        self.talk();
        let peer = self.server.accept(self.listener).expect("connected");
        match first {
            First::Client => {
                self.client.close(self.now, conn).expect("open");
                self.talk();
                self.server.close(self.now, peer).expect("open");
            }
            First::Server => {
                self.server.close(self.now, peer).expect("open");
                self.talk();
                self.client.close(self.now, conn).expect("open");
            }
        }
        self.talk();
        self.now = self.now + Duration::from_micros(100);
        for side in [&mut self.client, &mut self.server] {
            while side.poll_event().is_some() {}
            if side.poll_timeout().is_some_and(|at| at <= self.now) {
                side.handle_timeout(self.now);
            }
        }
    }

    /// Lets both talk until neither has anything to say.
    fn talk(&mut self) {
        let Self { now, client, server, buf, wire, .. } = self;
        let mut carry = |from: &mut Endpoint, addr: SocketAddr, to: &mut Endpoint| {
            let Some(transmit) = from.poll_transmit(*now, buf) else { return false };
            wire.extend_from_slice(buf.data());
            let batch = ReceivedBatch {
                peer: addr,
                local_ip: None,
                ecn: Ecn::NotEct,
                stride: transmit.stride,
                data: wire.split().freeze(),
            };
            to.handle_batch(*now, &batch);
            true
        };
        while carry(client, CLIENT.into(), server) | carry(server, SERVER.into(), client) {}
    }
}

fn port() -> Port {
    Port::new(SERVER.1).expect("not zero")
}

const CLIENT: ([u8; 4], u16) = ([10, 0, 0, 1], 9);
const SERVER: ([u8; 4], u16) = ([10, 0, 0, 2], 7);
