//! `tou-bench`: measurements that are programs of their own.

mod instructions;
mod loopback;
mod memory;
mod paths;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// How fast tou is.
#[derive(Debug, Parser)]
#[command(name = "tou-bench", version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Time for one data segment through both ends, in memory.
    Memory(memory::Args),
    /// Instructions for one data segment through both ends, in memory
    /// (needs valgrind).
    Instructions(instructions::Args),
    /// Goodput over simulated paths, in virtual time.
    Paths(paths::Args),
    /// Kernel TCP against tou over loopback, in turns.
    Loopback(loopback::Args),
    /// The reading side of `loopback`.
    #[command(hide = true)]
    Sink(loopback::SinkArgs),
}

fn main() -> ExitCode {
    match Args::parse().command {
        Command::Memory(args) => memory::run(&args),
        Command::Instructions(args) => instructions::run(&args),
        Command::Paths(args) => paths::run(&args),
        Command::Loopback(args) => loopback::run(&args),
        Command::Sink(args) => loopback::sink(&args),
    }
}
