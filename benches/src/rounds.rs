//! `tou-bench rounds`: nanoseconds for one small request and its answer.

use std::process::ExitCode;

use tou_bench::echo::Echo;

use crate::memory::timed;

/// What to measure.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Args {
    /// Requests in each run.
    #[arg(long, default_value_t = 1_000_000)]
    rounds: u64,
    /// How often.
    #[arg(long, default_value_t = 5)]
    runs: u32,
    /// Only play the rounds, and print how many sides did: what `instructions`
    /// counts under callgrind.
    #[arg(long, hide = true)]
    count_only: bool,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    if args.count_only {
        Echo::new().rounds(args.rounds);
        println!("{}", 2 * args.rounds);
        return ExitCode::SUCCESS;
    }
    for _ in 0..args.runs {
        let mut echo = Echo::new();
        let ((), nanos) = timed(|| echo.rounds(args.rounds));
        println!("{:.1} ns a side and round", nanos / (2 * args.rounds) as f64);
    }
    ExitCode::SUCCESS
}
