//! `tou-bench memory`: nanoseconds for one data segment.

use std::process::ExitCode;
use std::time::Instant;

use tou_bench::bulk::{Bulk, Read};

/// What to measure.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Args {
    /// MiB to move in each run.
    #[arg(long, default_value_t = 256)]
    pub(crate) mib: u64,
    /// How often.
    #[arg(long, default_value_t = 5)]
    pub(crate) runs: u32,
    /// Read by copying.
    #[arg(long)]
    pub(crate) copy: bool,
    /// Move the data and print only how many data segments that took: what
    /// `instructions` counts under callgrind.
    #[arg(long, hide = true)]
    pub(crate) count_only: bool,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    let read = if args.copy { Read::Copy } else { Read::Chunk };
    let bytes = args.mib << 20;
    if args.count_only {
        println!("{}", Bulk::new().transfer(bytes, read).data_segments);
        return ExitCode::SUCCESS;
    }
    for _ in 0..args.runs {
        let mut bulk = Bulk::new();
        let (report, nanos) = timed(|| bulk.transfer(bytes, read));
        println!(
            "{:.1} ns a data segment, {:.1} segments a batch, {:.1} data segments an acknowledgment, {:.1} Gbit/s",
            nanos / report.data_segments as f64,
            report.data_segments as f64 / report.batches as f64,
            report.data_segments as f64 / report.acks as f64,
            report.bytes as f64 * 8.0 / nanos,
        );
    }
    ExitCode::SUCCESS
}

/// The result, and how many nanoseconds it took.
#[expect(clippy::disallowed_methods, reason = "measuring is what this is for")]
pub(crate) fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let result = work();
    (result, start.elapsed().as_secs_f64() * 1e9)
}
