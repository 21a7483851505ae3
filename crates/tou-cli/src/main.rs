//! `tou`: TCP over UDP from the command line.
//!
//! This file parses the arguments and turns results into exit codes; each
//! command has a module of its own in `command`.
#![forbid(unsafe_code)]

mod address;
mod cli;
mod command;
mod dial;
mod failure;
mod file;
mod format;
mod log;
mod options;
mod output;
mod relay;
mod segments;
mod service;
mod signals;
mod stats;
mod text;
mod value;

use std::process::ExitCode;

fn main() -> ExitCode {
    let command = match cli::parse() {
        Ok(command) => command,
        Err(code) => return code,
    };
    let result = match &command {
        cli::Command::Send(send) => command::send::run(send),
        cli::Command::Recv(recv) => command::recv::run(recv),
        cli::Command::Echo(echo) => command::echo::run(echo),
        cli::Command::Ping(ping) => command::ping::run(ping),
        cli::Command::Demo(demo) => command::demo::run(demo),
        cli::Command::Listen(listen) => command::listen::run(listen),
        cli::Command::Connect(connect) => command::connect::run(connect),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
