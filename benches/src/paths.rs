//! `tou-bench paths`: goodput over simulated paths, in virtual time.
//!
//! Twice: paths that deliver each datagram by itself, and in `batched` paths
//! that deliver many at a time.
//!
//! The same table on every machine: what changes in it was changed by the code.
//! The paths are those that the kernel's TCP was measured on, over an emulated
//! link between two network namespaces.

use core::time::Duration;
use std::process::ExitCode;

use tou_proto::cc::CongestionControl;
use tou_proto::{ConnectionConfig, ConnectionInfo};
use tou_sim::{Knobs, Manners, Pair, Talk};

mod batched;

/// What to run.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Only paths whose names contain this.
    #[arg(default_value = "")]
    filter: String,
    /// Seeds for each.
    #[arg(long, default_value_t = 3)]
    seeds: u64,
    /// Octets to transfer.
    #[arg(long, default_value_t = 20_000_000)]
    bytes: usize,
    /// Seconds of virtual time after which a transfer is cut off.
    #[arg(long, default_value_t = 20)]
    limit: u64,
}

/// A path, and Mbit/s of the kernel's CUBIC on it: 20 MB or 20 seconds, the mean of three
/// seeds. (`blackhole-mtu`: with `tcp_mtu_probing`. Without, nothing arrives.)
struct Path {
    name: &'static str,
    knobs: Knobs,
    kernel: f64,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    steady(args);
    batched::run(args);
    ExitCode::SUCCESS
}

/// Paths that deliver each datagram by itself: the goodput of a transfer.
fn steady(args: &Args) {
    println!("path            congestion  Mbit/s  (kernel)  sent again  timeouts  spurious");
    for path in paths().into_iter().filter(|path| path.name.contains(&args.filter)) {
        for congestion in [CongestionControl::Cubic, CongestionControl::Reno] {
            let runs: Vec<Outcome> =
                (1..=args.seeds).map(|seed| transfer(seed, &path, &congestion, args)).collect();
            let mean = |value: fn(&Outcome) -> f64| {
                runs.iter().map(value).sum::<f64>() / runs.len().max(1) as f64
            };
            println!(
                "{:15} {:10} {:7.2} {:9.2} {:10.2} % {:9.1} {:9.1}",
                path.name,
                runs.first().map_or("", |run| run.info.congestion),
                mean(|run| run.mbit_per_second),
                path.kernel,
                mean(Outcome::sent_again),
                mean(|run| run.info.counters.timeouts as f64),
                mean(|run| run.info.counters.spurious_recoveries as f64),
            );
        }
    }
}

struct Outcome {
    mbit_per_second: f64,
    info: ConnectionInfo,
}

impl Outcome {
    /// Retransmitted octets, in percent of those sent.
    fn sent_again(&self) -> f64 {
        let counters = &self.info.counters;
        100.0 * counters.bytes_retransmitted as f64 / counters.bytes_sent.max(1) as f64
    }
}

fn transfer(seed: u64, path: &Path, congestion: &CongestionControl, args: &Args) -> Outcome {
    let config = ConnectionConfig::builder().with_congestion(congestion.clone()).build();
    let mut pair = Pair::builder(seed)
        .connection(config.expect("all else is default"))
        .path(path.knobs.clone())
        .build();
    let (client, server) = pair.connect();
    let start = pair.now();
    let end = start + Duration::from_secs(args.limit);
    pair.world.set_alarm(end);
    let mut from = Talk::new(client, vec![0x5A; args.bytes], Manners::default());
    let mut to = Talk::new(server, Vec::new(), Manners::default());
    let mut info = None;
    pair.run_until(|pair| {
        let now = pair.now();
        from.pump(now, pair.client());
        to.pump(now, pair.server());
        let is_over = now >= end || to.received().len() == args.bytes;
        if is_over {
            info = pair.client().info(client);
        }
        is_over
    });
    let seconds = pair.now().saturating_since(start).as_secs_f64();
    Outcome {
        mbit_per_second: to.received().len() as f64 * 8e-6 / seconds,
        info: info.expect("the client holds its connection"),
    }
}

fn paths() -> Vec<Path> {
    let path = |name, kernel, knobs| Path { name, knobs, kernel };
    let wan = wan();
    vec![
        path("wan", 83.2, wan.clone()),
        path("wan-loss01", 24.0, Knobs { loss: 0.001, ..wan.clone() }),
        path("wan-loss1", 3.2, Knobs { loss: 0.01, ..wan.clone() }),
        path("wan-loss3", 1.3, Knobs { loss: 0.03, ..wan.clone() }),
        path("burst", 10.3, Knobs { loss: 0.01, loss_burst: 8.0, ..wan.clone() }),
        path(
            "reorder",
            79.7,
            Knobs { reorder: 0.02, reorder_delay: Duration::from_millis(10), ..wan.clone() },
        ),
        path("bufferbloat", 19.0, line(20.0, 15, 500)),
        path("sat", 1.6, Knobs { loss: 0.005, ..line(20.0, 300, 600) }),
        path(
            "mobile",
            1.4,
            Knobs { loss: 0.01, jitter: Duration::from_millis(30), ..line(10.0, 35, 150) },
        ),
        path("dsl-up", 0.96, line(1.0, 10, 200)),
        path("blackhole-mtu", 18.9, Knobs { mtu_drop: Some(1_280), ..wan }),
    ]
}

/// 100 Mbit/s, 40 ms of round trip, and a queue of as much.
fn wan() -> Knobs {
    line(100.0, 20, 40)
}

/// A line of this rate and one-way delay, with a queue of so many milliseconds.
fn line(mbit: f64, delay_ms: u64, queue_ms: u64) -> Knobs {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole and small")]
    let rate = (mbit * 125_000.0) as u64;
    Knobs {
        rate,
        delay: Duration::from_millis(delay_ms),
        queue: rate * queue_ms / 1_000,
        ..Knobs::default()
    }
}
