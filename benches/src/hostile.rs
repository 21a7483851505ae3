//! `tou-bench hostile`: what a hostile segment costs, beside an ordinary one.
//!
//! Each attack is measured twice in each run, the second time against an endpoint that
//! holds twice as much of what the attack makes it hold: a cost that grows with it shows
//! in the last column. Times are processor time.

mod attacks;
mod target;

use std::process::ExitCode;

use nix::time::{ClockId, clock_gettime};

use self::attacks::{ATTACKS, Attack};
use self::target::Target;

/// What to measure.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Only attacks whose names contain this.
    #[arg(default_value = "")]
    filter: String,
    /// Segments or holes that the endpoint holds when an attack begins.
    #[arg(long, default_value_t = 1_000)]
    size: u32,
    /// Segments of each attack in a run.
    #[arg(long, default_value_t = 20_000)]
    segments: u32,
    /// Runs, in which the attacks take turns; the median counts.
    #[arg(long, default_value_t = 5)]
    runs: usize,
}

/// Medians over the runs.
#[derive(Clone, Copy, Debug)]
struct Cost {
    nanos: f64,
    nanos_at_twice: f64,
    answers: f64,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    // The first is the ordinary segment that the others are compared with.
    let wanted =
        |(index, attack): &(usize, &Attack)| *index == 0 || attack.name.contains(&args.filter);
    let attacks: Vec<&Attack> =
        ATTACKS.iter().enumerate().filter(wanted).map(|(_, attack)| attack).collect();
    let mut runs: Vec<Vec<Cost>> = vec![Vec::new(); attacks.len()];
    for _ in 0..args.runs.max(1) {
        for (attack, costs) in attacks.iter().zip(&mut runs) {
            costs.push(measure(attack, args));
        }
    }
    println!(
        "attack                                    ns   x ordinary   answers   at twice the size"
    );
    let costs: Vec<Cost> = runs.into_iter().map(|costs| median(&costs)).collect();
    let ordinary = costs.first().map_or(1.0, |cost| cost.nanos);
    for (attack, cost) in attacks.iter().zip(&costs) {
        println!(
            "{:36} {:7.0} {:12.2} {:9.2} {:12.0} ns, x {:.2}",
            attack.name,
            cost.nanos,
            cost.nanos / ordinary,
            cost.answers,
            cost.nanos_at_twice,
            cost.nanos_at_twice / cost.nanos,
        );
    }
    ExitCode::SUCCESS
}

fn measure(attack: &Attack, args: &Args) -> Cost {
    let (nanos, answers) = play(attack, args.size, args.segments);
    let (nanos_at_twice, _) = play(attack, 2 * args.size, args.segments);
    Cost { nanos, nanos_at_twice, answers }
}

/// Nanoseconds and answers for each hostile segment.
fn play(attack: &Attack, size: u32, segments: u32) -> (f64, f64) {
    let mut target = Target::new();
    (attack.begin)(&mut target, size);
    let datagrams: Vec<_> =
        (0..segments).map(|index| (attack.segment)(&target, size, index)).collect();
    let before = target.segments_out;
    let nanos = timed(|| {
        for datagram in datagrams {
            target.suffer(datagram);
        }
    });
    let each = f64::from(segments.max(1));
    (nanos / each, (target.segments_out - before) as f64 / each)
}

/// Nanoseconds of processor time, which other work on the machine disturbs less than the
/// clock on the wall.
fn timed(work: impl FnOnce()) -> f64 {
    let nanos = || {
        let used = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("every thread has one");
        used.tv_sec() as f64 * 1e9 + used.tv_nsec() as f64
    };
    let start = nanos();
    work();
    nanos() - start
}

fn median(costs: &[Cost]) -> Cost {
    let of = |value: fn(&Cost) -> f64| {
        let mut values: Vec<f64> = costs.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    };
    Cost {
        nanos: of(|cost| cost.nanos),
        nanos_at_twice: of(|cost| cost.nanos_at_twice),
        answers: of(|cost| cost.answers),
    }
}
