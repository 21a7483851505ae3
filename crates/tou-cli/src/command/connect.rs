//! `tou connect`: opens a connection and serves it.

use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use core::time::Duration;
use std::io::{self, ErrorKind};

use clap::Args;
use tou_mio::{ConnectOptions, TouStream};
use tou_proto::{Port, Remote};
use tracing::{debug, info};

use super::{serve, with_log};
use crate::address::PeerAddress;
use crate::failure::{Failure, describe};
use crate::format;
use crate::log::Log;
use crate::options::{CommonOptions, Defaults, Role};
use crate::signals::Interruptible;
use crate::value;

/// Open a connection: standard input to the peer, the peer to standard output.
#[derive(Args, Debug)]
pub(crate) struct Connect {
    /// Whom to connect to
    #[arg(value_name = "HOST:PORT")]
    peer: PeerAddress,
    /// Send nothing, and leave standard input alone
    #[arg(short, long)]
    no_input: bool,
    /// How long to wait for an answer
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = value::timeout)]
    connect_timeout: Duration,
    #[command(flatten)]
    common: CommonOptions,
}

pub(crate) fn run(connect: &Connect) -> Result<(), Failure> {
    let log = Log::start(&connect.common.log)?;
    with_log(&log, serve_one(connect, &log))
}

fn serve_one(connect: &Connect, log: &Log) -> Result<(), Failure> {
    let addrs = connect.peer.resolve()?;
    let signals = Interruptible::start()?;
    let stream = open_any(connect, log, &addrs)?;
    let peer = stream.peer_addr().map(|addr| addr.to_string()).unwrap_or_default();
    info!("connected to {peer}, from TCP port {}", stream.local_port());
    serve(&stream, &signals, &connect.common, !connect.no_input)
}

/// Connects to the first of `addrs` that answers.
fn open_any(connect: &Connect, log: &Log, addrs: &[SocketAddr]) -> Result<TouStream, Failure> {
    let peer = &connect.peer;
    let mut reason = "no address".to_owned();
    for &addr in addrs {
        match open(connect, log, addr)? {
            Ok(stream) => return Ok(stream),
            Err(error) => {
                debug!("{addr}: {error}");
                reason = match error.kind() {
                    ErrorKind::TimedOut => {
                        format!("no answer in {}", format::time(connect.connect_timeout))
                    }
                    _ => describe(&error),
                };
            }
        }
    }
    Err(Failure::new(format!("cannot connect to {peer}: {reason}")))
}

fn open(connect: &Connect, log: &Log, addr: SocketAddr) -> Result<io::Result<TouStream>, Failure> {
    let builder = connect.common.socket(Role::Connector, Defaults::default())?;
    let any = if addr.is_ipv4() {
        SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))
    } else {
        SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))
    };
    let Some(port) = Port::new(addr.port()) else {
        return Err(Failure::usage("port 0 is nobody's"));
    };
    let options = ConnectOptions::new().with_timeout(connect.connect_timeout);
    let socket = connect.common.bind(log, builder, &[any]);
    Ok(socket.and_then(|socket| socket.connect_with(Remote { addr, port }, &options)))
}
