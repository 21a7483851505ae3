//! `tou connect`: opens a connection and serves it.

use clap::Args;

use super::{serve, with_log};
use crate::address::PeerAddress;
use crate::dial::dial;
use crate::failure::Failure;
use crate::log::Log;
use crate::options::{CommonOptions, Defaults, DialOptions, IdleOptions};
use crate::signals::Interruptible;

/// Open a connection: standard input to the peer, the peer to standard output.
#[derive(Args, Debug)]
pub(crate) struct Connect {
    /// Whom to connect to
    #[arg(value_name = "HOST:PORT")]
    peer: PeerAddress,
    /// Send nothing, and leave standard input alone
    #[arg(short, long)]
    no_input: bool,
    #[command(flatten)]
    dial: DialOptions,
    #[command(flatten)]
    idle: IdleOptions,
    #[command(flatten)]
    common: CommonOptions,
}

pub(crate) fn run(connect: &Connect) -> Result<(), Failure> {
    let log = Log::start(&connect.common.log)?;
    with_log(&log, serve_one(connect, &log))
}

fn serve_one(connect: &Connect, log: &Log) -> Result<(), Failure> {
    let Connect { peer, no_input, dial: options, idle, common } = connect;
    let signals = Interruptible::start(common.impairment.longest_delay())?;
    let stream = dial(peer, options, common, Defaults::default(), log)?;
    serve(&stream, &signals, common, idle, !no_input)
}
