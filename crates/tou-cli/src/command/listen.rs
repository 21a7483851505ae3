//! `tou listen`: accepts one connection and serves it.

use clap::Args;
use tracing::info;

use super::{serve, with_log};
use crate::address::ListenAddress;
use crate::failure::Failure;
use crate::log::Log;
use crate::options::{CommonOptions, Defaults, IdleOptions, NetworkOptions};
use crate::service::{self, announce};
use crate::signals::Interruptible;

/// Accept one connection: standard input to the peer, the peer to standard
/// output.
#[derive(Args, Debug)]
pub(crate) struct Listen {
    /// Where to listen; without an address, at all of them. Port 0 lets the system choose, and
    /// tells on standard error what it chose
    #[arg(value_name = "[ADDR:]PORT")]
    address: ListenAddress,
    /// Send nothing, and leave standard input alone
    #[arg(short, long)]
    no_input: bool,
    #[command(flatten)]
    network: NetworkOptions,
    #[command(flatten)]
    idle: IdleOptions,
    #[command(flatten)]
    common: CommonOptions,
}

pub(crate) fn run(listen: &Listen) -> Result<(), Failure> {
    let log = Log::start(&listen.common.log)?;
    with_log(&log, serve_one(listen, &log))
}

fn serve_one(listen: &Listen, log: &Log) -> Result<(), Failure> {
    let Listen { address, no_input, network, idle, common } = listen;
    let signals = Interruptible::start(common.impairment.longest_delay())?;
    let (socket, listener) = service::listen(address, network, common, Defaults::default(), log)?;
    announce(address, &socket, false);
    let accepted = listener.accept();
    let (stream, peer) =
        accepted.map_err(|error| Failure::cannot(format_args!("listen on {address}"), &error))?;
    info!("connection from {peer}, TCP port {}", stream.peer_port());
    // Whoever comes next is refused.
    drop(listener);
    serve(&stream, &signals, common, idle, !no_input)
}
