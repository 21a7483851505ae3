//! How long a new connection takes for so much, where arrivals are taken in by
//! the batch: network cards with receive offload, radios that send many frames at
//! a time. A batch is acknowledged once (RFC 9293 MUST-58 and MUST-59), so slow
//! start hears of many segments at a time.

use core::time::Duration;

use tou_proto::cc::CongestionControl;
use tou_proto::{ConnectionConfig, ConnectionInfo};
use tou_sim::{Knobs, Manners, Pair, Talk};

use super::{Args, line};

/// A path, and how often its far end looks.
struct Path {
    name: &'static str,
    knobs: Knobs,
}

/// Octets whose arrival is timed.
const MARKS: [usize; 3] = [1_000_000, 10_000_000, 100_000_000];

/// Longer than the slowest path needs.
const LIMIT: Duration = Duration::from_secs(200);

pub(super) fn run(args: &Args) {
    println!();
    println!(
        "in batches         congestion  s to 1 MB   10 MB  100 MB  sent again by 1 MB  in all"
    );
    for path in paths().into_iter().filter(|path| path.name.contains(&args.filter)) {
        for congestion in [CongestionControl::Cubic, CongestionControl::Reno] {
            let run = transfer(&path, &congestion);
            let [one, ten, hundred] = run.seconds;
            println!(
                "{:18} {:10} {one:10.3} {ten:7.3} {hundred:7.3} {:19} {:7}",
                path.name,
                run.info.congestion,
                run.again_at_first,
                run.info.counters.segments_retransmitted,
            );
        }
    }
}

struct Outcome {
    /// To each of [`MARKS`].
    seconds: [f64; 3],
    /// Segments sent again when the first of [`MARKS`] was reached.
    again_at_first: u64,
    info: ConnectionInfo,
}

fn transfer(path: &Path, congestion: &CongestionControl) -> Outcome {
    let config = ConnectionConfig::builder().with_congestion(congestion.clone()).build();
    let mut pair = Pair::builder(1)
        .connection(config.expect("all else is default"))
        .path(path.knobs.clone())
        .batch(true)
        .build();
    let (client, server) = pair.connect();
    let start = pair.now();
    let end = start + LIMIT;
    pair.world.set_alarm(end);
    let [first, _, total] = MARKS;
    let mut from = Talk::new(client, vec![0x5A; total], Manners::default());
    let mut to = Talk::new(server, Vec::new(), Manners::default());
    let mut seconds = [f64::INFINITY; 3];
    let mut again_at_first = None;
    let mut info = None;
    pair.run_until(|pair| {
        let now = pair.now();
        from.pump(now, pair.client());
        to.pump(now, pair.server());
        let received = to.received().len();
        for (mark, seconds) in MARKS.iter().zip(&mut seconds) {
            if received >= *mark {
                *seconds = seconds.min(now.saturating_since(start).as_secs_f64());
            }
        }
        let is_over = now >= end || received == total;
        if is_over || (received >= first && again_at_first.is_none()) {
            info = pair.client().info(client);
            let again = info.as_ref().map(|info| info.counters.segments_retransmitted);
            again_at_first = again_at_first.or(again);
        }
        is_over
    });
    let again_at_first = again_at_first.unwrap_or_default();
    Outcome { seconds, again_at_first, info: info.expect("the client holds its connection") }
}

/// What one batch holds: about 44 segments, or the arrivals of some milliseconds.
fn paths() -> Vec<Path> {
    let path = |name, knobs: Knobs, micros| Path {
        name,
        knobs: Knobs { coalesce: Duration::from_micros(micros), ..knobs },
    };
    let segments = |count: u64| count * 1_500;
    vec![
        path("100M-100ms", line(100.0, 50, 100), 5_000),
        path("100M-100ms-shallow", line(100.0, 50, 10), 5_000),
        path("1G-20ms", line(1_000.0, 10, 20), 500),
        path("1G-20ms-shallow", line(1_000.0, 10, 2), 500),
        path("20M-40ms-deep", line(20.0, 20, 500), 10_000),
        path("20M-40ms-bdp", line(20.0, 20, 40), 10_000),
        path("20M-40ms-shallow", Knobs { queue: segments(30), ..line(20.0, 20, 40) }, 10_000),
        path("20M-40ms-each", Knobs { queue: segments(30), ..line(20.0, 20, 40) }, 0),
    ]
}
