//! The `tou-packetdrill` program: `check` reads scripts, `run` runs them.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tou_packetdrill::lex::Defines;
use tou_packetdrill::load;

mod check;

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
}

fn main() -> ExitCode {
    match Args::parse().command {
        Command::Check { paths, defines, verbose } => {
            let defines = symbols(&defines);
            match load::find_scripts(&paths) {
                Ok(scripts) => check::check(&scripts, &defines, verbose),
                Err(error) => {
                    eprintln!("tou-packetdrill: {error}");
                    ExitCode::from(2)
                }
            }
        }
    }
}

fn symbols(texts: &[String]) -> Defines {
    texts.iter().fold(Defines::new(), |defines, text| {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        defines.with(name, value)
    })
}
