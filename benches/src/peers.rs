//! `tou-bench peers`: tou beside other transports, over loopback.
//!
//! Rounds go on the outside, and in each round every transport takes its turn at
//! everything, in another order each time: a shared machine drifts by more than
//! what is to be measured. So figures are medians, ratios are taken within a
//! round, and neither should be compared between runs.

mod measure;
mod pattern;
mod process;
mod report;
pub(crate) mod system;
mod transport;
mod warm_up;

use core::error::Error;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;

use self::measure::{Measure, Plan};
pub(crate) use self::process::Side;
use self::process::{Peer, name, take_turn};
use self::report::{Contest, Entry};

/// What to compare.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Only these measures.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Measure>,
    /// Only these transports.
    #[arg(long, value_delimiter = ',')]
    peers: Vec<Peer>,
    /// How often each transport takes its turn.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of each turn.
    #[arg(long, default_value_t = 1.0, value_parser = positive)]
    seconds: f64,
    /// Connections in `streams`.
    #[arg(long, default_value_t = 100)]
    streams: usize,
    /// Three rounds of a quarter of a second.
    #[arg(long, conflicts_with_all = ["rounds", "seconds"])]
    quick: bool,
    /// Writes all figures of all turns to this file, too.
    #[arg(long)]
    json: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    match compare(args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("tou-bench peers: some turns have failed");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("tou-bench peers: {error}");
            ExitCode::FAILURE
        }
    }
}

/// One side of one turn.
pub(crate) fn play(side: &Side) -> ExitCode {
    match process::play(side) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tou-bench peer: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns whether all turns went well.
fn compare(args: &Args) -> Result<bool, Box<dyn Error>> {
    let (rounds, seconds) = if args.quick { (3, 0.25) } else { (args.rounds, args.seconds) };
    let mut events = program(args);
    for round in 0..rounds {
        for event in &mut events {
            let plan = Plan { measure: event.contest.measure, seconds, streams: args.streams };
            for turn in 0..event.peers.len() {
                let index = (turn + round) % event.peers.len();
                let peer = event.peers[index];
                let result = take_turn(peer, plan, &event.processors);
                if let Err(error) = &result {
                    let (title, peer) = (&event.contest.title, name(&peer));
                    eprintln!("FAILED in round {}: {peer} at {title}: {error}", round + 1);
                }
                event.contest.entries[index].turns.push(result.ok());
            }
        }
        eprintln!("round {} of {rounds} is over", round + 1);
    }
    let contests: Vec<Contest> = events.into_iter().map(|event| event.contest).collect();
    for contest in &contests {
        println!("{}", contest.table());
    }
    if let Some(path) = &args.json {
        fs::write(path, serde_json::to_string_pretty(&contests)?)?;
    }
    let turns = contests.iter().flat_map(|contest| &contest.entries).flat_map(|entry| &entry.turns);
    Ok(turns.into_iter().all(Option::is_some))
}

/// A contest, and who takes part.
struct Event {
    contest: Contest,
    peers: Vec<Peer>,
    /// To run on; empty: all there are.
    processors: Vec<usize>,
}

/// What is to be run.
fn program(args: &Args) -> Vec<Event> {
    // Setting what is set already shows whether it is permitted.
    let processors =
        system::processors().and_then(|all| system::pin(&all).map(|()| all)).unwrap_or_else(|e| {
            println!("NOT RUN: both processes on one core ({e})\n");
            Vec::new()
        });
    let one: Vec<usize> = processors.iter().copied().take(1).collect();
    let two: Vec<usize> = processors.iter().copied().take(2).collect();
    let mut events = Vec::new();
    for measure in Measure::value_variants() {
        if !args.only.is_empty() && !args.only.contains(measure) {
            continue;
        }
        let mut add = |title: String, processors: &[usize]| {
            let chosen = |peer: &Peer| args.peers.is_empty() || args.peers.contains(peer);
            let peers: Vec<Peer> = peers(*measure).into_iter().filter(chosen).collect();
            let entries = peers
                .iter()
                .map(|peer| Entry { transport: name(peer), turns: Vec::new() })
                .collect();
            let contest = Contest { title, measure: *measure, entries };
            events.push(Event { contest, peers, processors: processors.to_vec() });
        };
        let title = title(*measure, args.streams);
        if matches!(measure, Measure::Latency | Measure::Connect) && !one.is_empty() {
            add(format!("{title}, both processes on one core"), &one);
        }
        add(format!("{title}, two cores"), &two);
    }
    events
}

/// Who takes part in a measure.
fn peers(measure: Measure) -> Vec<Peer> {
    let peers: &[Peer] = match measure {
        Measure::Bulk => &[
            Peer::Tcp,
            Peer::UdpGso,
            Peer::Tou,
            Peer::TouAsync,
            Peer::TouSmol,
            Peer::TouLo,
            Peer::TouAsyncLo,
        ],
        Measure::Latency => {
            &[Peer::Udp, Peer::UdpPoll, Peer::Tcp, Peer::Tou, Peer::TouAsync, Peer::TouSmol]
        }
        Measure::Connect | Measure::Streams | Measure::Idle => {
            &[Peer::Tcp, Peer::Tou, Peer::TouAsync, Peer::TouSmol]
        }
    };
    let quic: &[Peer] = &[
        #[cfg(feature = "quinn")]
        Peer::Quinn,
    ];
    [peers, quic].concat()
}

fn title(measure: Measure, streams: usize) -> String {
    match measure {
        Measure::Bulk => "bulk: one stream, one direction".to_owned(),
        Measure::Latency => "latency: 64 octets there and back".to_owned(),
        Measure::Connect => "connect: connect, echo one octet, close".to_owned(),
        Measure::Streams => format!("streams: {streams} connections at once, one direction"),
        Measure::Idle => "idle: one connection".to_owned(),
    }
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if seconds > 0.0 && seconds < 3_600.0 => Ok(seconds),
        _ => Err("more than no seconds, and less than an hour".to_owned()),
    }
}
