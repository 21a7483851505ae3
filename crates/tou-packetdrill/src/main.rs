//! The `tou-packetdrill` program: `check` reads scripts, `run` runs them,
//! `table` tells what they show.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tou_packetdrill::lex::Defines;
use tou_packetdrill::load;

mod check;
mod runs;
mod tabulate;

/// Packetdrill scripts on a virtual clock.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Read scripts without running them, and count what could be read.
    Check {
        /// Scripts, or directories with scripts.
        #[arg(required = true)]
        paths: Vec<PathBuf>,
        /// Symbols for `#ifdef` and for words: NAME or NAME=VALUE.
        #[arg(short = 'D', long = "define")]
        defines: Vec<String>,
        /// Name every script that could not be read.
        #[arg(short, long)]
        verbose: bool,
    },
    /// Run scripts on tou's core. Fails when one of them fails.
    Run {
        /// Scripts, or directories with scripts.
        #[arg(required = true)]
        paths: Vec<PathBuf>,
        /// Symbols for `#ifdef` and for words: NAME or NAME=VALUE.
        #[arg(short = 'D', long = "define")]
        defines: Vec<String>,
        /// Compare everything as written, home values too.
        #[arg(long)]
        strict: bool,
        /// Write all results to FILE as JSON.
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
        /// The list of expected differences: scripts that may fail, and why.
        #[arg(long, value_name = "FILE")]
        expect: Option<PathBuf>,
        /// A line for every script, not only for those that fail.
        #[arg(short, long)]
        verbose: bool,
    },
    /// Print which script shows what becomes of which segment in which state.
    /// Fails when a cell has neither a script nor a reason.
    Table {
        /// Scripts, or directories with scripts.
        #[arg(required = true)]
        paths: Vec<PathBuf>,
    },
}

fn main() -> ExitCode {
    match act(Args::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("tou-packetdrill: {error}");
            ExitCode::from(2)
        }
    }
}

fn act(command: Command) -> Result<ExitCode, String> {
    let find = |paths: &[PathBuf]| load::find_scripts(paths).map_err(|error| error.to_string());
    match command {
        Command::Check { paths, defines, verbose } => {
            Ok(check::check(&find(&paths)?, &symbols(&defines), verbose))
        }
        Command::Run { paths, defines, strict, json, expect, verbose } => {
            let options = runs::Options { strict, verbose, json, expect };
            runs::run(&find(&paths)?, &symbols(&defines), &options)
        }
        Command::Table { paths } => tabulate::tabulate(&find(&paths)?),
    }
}

fn symbols(texts: &[String]) -> Defines {
    texts.iter().fold(Defines::new(), |defines, text| {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        defines.with(name, value)
    })
}
