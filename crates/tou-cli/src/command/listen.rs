//! `tou listen`: accepts one connection and serves it.

use std::io::{self, Write};

use clap::Args;
use tracing::info;

use super::{serve, with_log};
use crate::address::ListenAddress;
use crate::failure::Failure;
use crate::log::Log;
use crate::options::{CommonOptions, Defaults, Role};
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
    common: CommonOptions,
}

pub(crate) fn run(listen: &Listen) -> Result<(), Failure> {
    let log = Log::start(&listen.common.log)?;
    with_log(&log, serve_one(listen, &log))
}

fn serve_one(listen: &Listen, log: &Log) -> Result<(), Failure> {
    let Listen { address, no_input, common } = listen;
    let cannot = |error| Failure::cannot(format_args!("listen on {address}"), &error);
    let addrs = address.resolve()?;
    let builder = common.socket(Role::Listener, Defaults::default())?;
    let signals = Interruptible::start()?;
    let socket = common.bind(log, builder, &addrs).map_err(cannot)?;
    let listener = socket.listen().map_err(cannot)?;
    if address.is_port_open() {
        // Nobody could connect without it.
        let _ = writeln!(io::stderr(), "listening on {}", socket.local_addr());
    } else {
        info!("listening on {}", socket.local_addr());
    }
    let (stream, peer) = listener.accept().map_err(cannot)?;
    info!("connection from {peer}, TCP port {}", stream.peer_port());
    // Whoever comes next is refused.
    drop(listener);
    serve(&stream, &signals, common, !no_input)
}
