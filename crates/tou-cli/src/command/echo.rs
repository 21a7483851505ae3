//! `tou echo`: sends back what anybody sends, many at once.

use core::time::Duration;
use std::io::{self, ErrorKind};
use std::net::Shutdown;

use clap::Args;
use tou_mio::{TouSocket, TouStream};
use tracing::{info, warn};

use super::{PROMPT, with_log};
use crate::address::ListenAddress;
use crate::failure::{Failure, describe};
use crate::format;
use crate::log::Log;
use crate::options::{CommonOptions, IdleOptions, NetworkOptions};
use crate::service::{announce, listen, serve_all};
use crate::signals::Interruptible;
use crate::stats::Page;

/// What is taken from a stream at once.
const CHUNK: usize = 64 << 10;

/// Send back what anybody sends, many at once, until interrupted.
#[derive(Args, Debug)]
pub(crate) struct Echo {
    /// Where to listen; without an address, at all of them. Port 0 lets the system choose
    #[arg(value_name = "[ADDR:]PORT")]
    address: ListenAddress,
    #[command(flatten)]
    network: NetworkOptions,
    #[command(flatten)]
    idle: IdleOptions,
    #[command(flatten)]
    common: CommonOptions,
}

pub(crate) fn run(echo: &Echo) -> Result<(), Failure> {
    let log = Log::start(&echo.common.log)?;
    with_log(&log, serve(echo, &log))
}

fn serve(echo: &Echo, log: &Log) -> Result<(), Failure> {
    let signals = Interruptible::start(echo.common.impairment.longest_delay())?;
    let (socket, listener) = listen(&echo.address, &echo.network, &echo.common, PROMPT, log)?;
    announce(&echo.address, &socket, true);
    show_stats_at_the_end(&echo.common, &socket, &signals);
    serve_all(&listener, &signals, |stream| {
        let held = signals.hold(stream);
        let peer = stream.peer_addr().map(|addr| addr.to_string()).unwrap_or_default();
        let result = send_back(stream, echo.idle.idle_timeout);
        // Not to complain of what a signal has reset.
        drop(held);
        match result {
            Ok(bytes) => info!("{peer} has ended, after {}", format::bytes(bytes)),
            Err(error) => {
                warn!("{peer}: {}", describe(&error));
                stream.abort();
            }
        }
    })
}

/// What `--stats` shows of a program that only a signal ends.
pub(super) fn show_stats_at_the_end(
    common: &CommonOptions,
    socket: &TouSocket,
    signals: &Interruptible,
) {
    if common.stats {
        let (socket, is_json) = (socket.clone(), common.json);
        signals.set_last_words(move || {
            let mut page = Page::default();
            page.socket(&socket);
            page.show(is_json);
            None
        });
    }
}

fn send_back(stream: &TouStream, idle_timeout: Option<Duration>) -> io::Result<u64> {
    stream.set_read_timeout(idle_timeout)?;
    stream.set_write_timeout(idle_timeout)?;
    let mut bytes = 0;
    let idle = |error: io::Error| match error.kind() {
        ErrorKind::WouldBlock => io::Error::new(ErrorKind::TimedOut, "idle for too long"),
        _ => error,
    };
    while let Some(mut data) = stream.read_chunk(CHUNK).map_err(idle)? {
        bytes += data.len() as u64;
        while !data.is_empty() {
            stream.write_bytes(&mut data).map_err(idle)?;
        }
    }
    stream.shutdown(Shutdown::Write)?;
    Ok(bytes)
}
