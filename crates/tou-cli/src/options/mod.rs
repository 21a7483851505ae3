//! Options that all commands share, and the socket they make together.

mod connection;
mod impairment;
mod logging;

use std::sync::Arc;

use clap::Args;
use tou_mio::{Builder, TouSocket};
use tou_udp::Direction;

pub(crate) use self::connection::ConnectionOptions;
pub(crate) use self::impairment::{Chances, ImpairmentOptions, Role};
pub(crate) use self::logging::LogOptions;
use crate::failure::Failure;
use crate::log::Log;

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
    #[arg(long, help_heading = "Reports")]
    pub(crate) stats: bool,
}

impl CommonOptions {
    /// A socket as the options say, to be bound. `defaults` are the chances of
    /// impairment where no option names one.
    pub(crate) fn socket(&self, role: Role, defaults: Chances) -> Result<Builder, Failure> {
        let (endpoint, connection) = self.connection.configs()?;
        let mut builder = TouSocket::builder()
            .with_endpoint(Arc::clone(&endpoint))
            .with_connection(Arc::clone(&connection));
        for direction in [Direction::Send, Direction::Receive] {
            if let Some(impairment) = self.impairment.of(direction, role, defaults)? {
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
        addrs: &[core::net::SocketAddr],
    ) -> std::io::Result<TouSocket> {
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
