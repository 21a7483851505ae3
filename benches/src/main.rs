//! `tou-bench`: measurements that are programs of their own.

mod instructions;
mod memory;

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
}

fn main() -> ExitCode {
    match Args::parse().command {
        Command::Memory(args) => memory::run(&args),
        Command::Instructions(args) => instructions::run(&args),
    }
}
