//! One module for each command.

pub(crate) mod connect;
pub(crate) mod demo;
pub(crate) mod echo;
pub(crate) mod listen;
pub(crate) mod ping;
pub(crate) mod recv;
pub(crate) mod send;

use tou_mio::TouStream;

use crate::failure::Failure;
use crate::log::Log;
use crate::options::{Chances, CommonOptions, Defaults, IdleOptions, Tuning};
use crate::relay::{Input, Limits, Output, relay};
use crate::signals::Interruptible;
use crate::stats::Page;

/// Where each side waits for what the other says, nothing is to wait for company:
/// Nagle's algorithm on one side and delayed acknowledgments on the other would
/// cost 40 ms a turn.
const PROMPT: Defaults =
    Defaults { tuning: Tuning { mss: None, timing: None, nodelay: true }, chances: Chances::NONE };

/// What `listen` and `connect` do once there is a connection.
fn serve(
    stream: &TouStream,
    signals: &Interruptible,
    options: &CommonOptions,
    idle: &IdleOptions,
    has_input: bool,
) -> Result<(), Failure> {
    let input = if has_input { Some(Input::stdin()?) } else { None };
    let output = Output::stdout()?;
    let held = signals.hold(stream);
    let limits = Limits { is_lossy: options.impairment.is_lossy(), idle: idle.idle_timeout };
    let (traffic, result) = relay(stream, input, output, limits);
    drop(held);
    if options.stats {
        let mut page = Page::default();
        page.traffic(&traffic);
        page.connection(stream, traffic.live);
        page.socket(&stream.socket());
        page.show(options.json);
    }
    std::thread::sleep(traffic.stay);
    result
}

/// The result of a command whose log is complete, or not.
fn with_log(log: &Log, result: Result<(), Failure>) -> Result<(), Failure> {
    result.and(log.finish())
}
