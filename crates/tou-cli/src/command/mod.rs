//! One module for each command.

pub(crate) mod connect;
pub(crate) mod demo;
pub(crate) mod listen;

use tou_mio::TouStream;

use crate::failure::Failure;
use crate::log::Log;
use crate::options::CommonOptions;
use crate::relay::{Input, Output, relay};
use crate::signals::Interruptible;
use crate::stats::Page;

/// What `listen` and `connect` do once there is a connection.
fn serve(
    stream: &TouStream,
    signals: &Interruptible,
    options: &CommonOptions,
    has_input: bool,
) -> Result<(), Failure> {
    let input = if has_input { Some(Input::stdin()?) } else { None };
    let output = Output::stdout()?;
    signals.hold(stream);
    let (traffic, result) = relay(stream, input, output, options.impairment.is_lossy());
    signals.release();
    if options.stats {
        let mut page = Page::default();
        page.traffic(&traffic);
        page.connection(stream, traffic.live);
        page.socket(&stream.socket());
        page.show();
    }
    std::thread::sleep(traffic.stay);
    result
}

/// The result of a command whose log is complete, or not.
fn with_log(log: &Log, result: Result<(), Failure>) -> Result<(), Failure> {
    result.and(log.finish())
}
