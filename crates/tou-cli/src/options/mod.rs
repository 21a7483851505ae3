//! Options that commands share, and the socket they make together.

mod connection;
mod impairment;
mod logging;
mod network;

use core::net::SocketAddr;
use core::time::Duration;

use clap::Args;
use tou_mio::{Builder, TouSocket};
use tou_udp::{Direction, SocketOptions};

pub(crate) use self::connection::{ConnectionOptions, Timing, Tuning};
pub(crate) use self::impairment::{Chances, ImpairmentOptions, Role};
pub(crate) use self::logging::LogOptions;
pub(crate) use self::network::{DialOptions, NetworkOptions};
use crate::failure::Failure;
use crate::log::Log;
use crate::value;

/// What a command sets where no option does.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Defaults {
    pub(crate) tuning: Tuning,
    pub(crate) chances: Chances,
}

/// What any command takes.
#[derive(Args, Debug)]
pub(crate) struct CommonOptions {
    #[command(flatten)]
    pub(crate) connection: ConnectionOptions,
    #[command(flatten)]
    pub(crate) impairment: ImpairmentOptions,
    #[command(flatten)]
    pub(crate) log: LogOptions,
    /// At the end, show on standard error what was counted
    ///
    /// listen, connect and demo show round trips, windows and queues as they were when the last
    /// data was written, or had been received: at the end they would tell nothing.
    #[arg(long, help_heading = "Reports")]
    pub(crate) stats: bool,
    /// Report in JSON, one object a line: results on standard output, what --stats shows on standard
    /// error
    #[arg(long, help_heading = "Reports")]
    pub(crate) json: bool,
}

/// How long a connection may rest.
#[derive(Args, Debug)]
pub(crate) struct IdleOptions {
    /// Give up when nothing was sent or received for so long [default: never]
    #[arg(long, value_name = "TIME", value_parser = value::timeout, help_heading = "Connection")]
    pub(crate) idle_timeout: Option<Duration>,
}

impl CommonOptions {
    /// A socket as the options say, to be bound.
    pub(crate) fn socket(&self, role: Role, defaults: Defaults) -> Result<Builder, Failure> {
        let (endpoint, connection) = self.connection.configs(defaults.tuning)?;
        let mut builder = TouSocket::builder().with_endpoint(endpoint).with_connection(connection);
        for direction in [Direction::Send, Direction::Receive] {
            if let Some(impairment) = self.impairment.of(direction, role, defaults.chances)? {
                builder = builder.with_impairment(direction, impairment);
            }
        }
        Ok(builder)
    }

    /// Binds a socket to the first of `addrs` that can be bound, and has its
    /// segments logged if that was asked for.
    pub(crate) fn bind(
        &self,
        log: &Log,
        builder: Builder,
        network: &NetworkOptions,
        addrs: &[SocketAddr],
    ) -> std::io::Result<TouSocket> {
        let options = SocketOptions::default().with_dual_stack(network.is_dual());
        let builder = builder.with_socket_options(options);
        if !self.log.segments {
            return builder.bind(addrs);
        }
        let (observer, local_addr) = log.segments();
        let socket = builder.with_observer(observer).bind(addrs)?;
        // The log was made before the port was known.
        let _ = local_addr.set(socket.local_addr());
        Ok(socket)
    }
}
