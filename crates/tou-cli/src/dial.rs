//! Opening a connection, as all commands do that open one.

use std::io::{self, ErrorKind};

use tou_mio::{ConnectOptions, TouStream};
use tou_proto::Remote;
use tracing::{debug, info};

use crate::address::PeerAddress;
use crate::failure::{Failure, describe};
use crate::format;
use crate::log::Log;
use crate::options::{CommonOptions, Defaults, DialOptions, Role};

/// Connects to the first address of `peer` that answers.
pub(crate) fn dial(
    peer: &PeerAddress,
    options: &DialOptions,
    common: &CommonOptions,
    defaults: Defaults,
    log: &Log,
) -> Result<TouStream, Failure> {
    let mut reason = "no address to connect from and to".to_owned();
    for addr in peer.resolve(&options.network)? {
        let Some(local) = options.local_addr(addr) else {
            continue;
        };
        let builder = common.socket(Role::Connector, defaults)?;
        let socket = common
            .bind(log, builder, &options.network, &[local])
            .map_err(|error| Failure::cannot(format_args!("use address {local}"), &error))?;
        let remote = Remote { addr, port: peer.port() };
        let limits = ConnectOptions::new().with_timeout(options.connect_timeout);
        match socket.connect_with(remote, &limits) {
            Ok(stream) => {
                info!("connected to {addr}, from TCP port {}", stream.local_port());
                return Ok(stream);
            }
            Err(error) => {
                debug!("{addr}: {error}");
                reason = why(&error, options);
            }
        }
    }
    Err(Failure::new(format!("cannot connect to {peer}: {reason}")))
}

fn why(error: &io::Error, options: &DialOptions) -> String {
    match error.kind() {
        ErrorKind::TimedOut => format!("no answer in {}", format::time(options.connect_timeout)),
        _ => describe(error),
    }
}
