//! `tou-bench`: measurements that are programs of their own.

mod connects;
mod flood;
mod hostile;
mod instructions;
mod many;
mod memory;
mod paths;
mod peers;
mod rounds;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: tou_bench::alloc::Counting = tou_bench::alloc::Counting;

/// How fast tou is.
#[derive(Debug, Parser)]
#[command(name = "tou-bench", version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// What floods of spoofed segments cost a listener, in memory.
    Flood(flood::Args),
    /// Time for one data segment through both ends, in memory.
    Memory(memory::Args),
    /// Time for a small request and its answer, for each side, in memory.
    Rounds(rounds::Args),
    /// Instructions for what `memory` or `rounds` times (needs valgrind).
    Instructions(instructions::Args),
    /// Time for one short connection, in memory, with TIME-WAIT full.
    Connects(connects::Args),
    /// What a hostile segment costs, beside an ordinary one, in memory.
    Hostile(hostile::Args),
    /// Goodput over simulated paths, in virtual time.
    Paths(paths::Args),
    /// Very many connections at once, through the async driver: what they use.
    Many(many::Args),
    /// tou beside kernel TCP, raw UDP and QUIC over loopback, in turns.
    Peers(peers::Args),
    /// One side of one turn of `peers`.
    #[command(hide = true)]
    Peer(peers::Side),
}

fn main() -> ExitCode {
    match Args::parse().command {
        Command::Flood(args) => flood::run(&args),
        Command::Memory(args) => memory::run(&args),
        Command::Rounds(args) => rounds::run(&args),
        Command::Instructions(args) => instructions::run(&args),
        Command::Connects(args) => connects::run(&args),
        Command::Hostile(args) => hostile::run(&args),
        Command::Paths(args) => paths::run(&args),
        Command::Many(args) => many::run(&args),
        Command::Peers(args) => peers::run(&args),
        Command::Peer(side) => peers::play(&side),
    }
}
