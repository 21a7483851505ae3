//! `tou send`: files to a `tou recv`.

use std::path::PathBuf;

use clap::Args;
use tou_mio::TouStream;

use super::with_log;
use crate::address::PeerAddress;
use crate::dial::dial;
use crate::failure::{Failure, complain};
use crate::file::failed_json;
use crate::file::progress::Progress;
use crate::file::sender::{Outcome, Sender, Source};
use crate::log::Log;
use crate::options::{CommonOptions, Defaults, DialOptions, IdleOptions};
use crate::output::{Form, say};
use crate::relay::finish;
use crate::signals::Interruptible;
use crate::stats::Page;

/// Send files to a 'tou recv'.
#[derive(Args, Debug)]
pub(crate) struct Send {
    /// What to send
    #[arg(value_name = "FILE", required = true, num_args = 1..)]
    files: Vec<PathBuf>,
    /// Where the receiver is
    #[arg(value_name = "HOST:PORT", required = true)]
    peer: PeerAddress,
    /// Go on where an interrupted transfer has ended, if what the receiver has is the file's
    /// beginning
    #[arg(short, long)]
    resume: bool,
    #[command(flatten)]
    dial: DialOptions,
    #[command(flatten)]
    idle: IdleOptions,
    #[command(flatten)]
    common: CommonOptions,
}

pub(crate) fn run(send: &Send) -> Result<(), Failure> {
    let log = Log::start(&send.common.log)?;
    with_log(&log, send_all(send, &log))
}

fn send_all(send: &Send, log: &Log) -> Result<(), Failure> {
    // Better than after the first gigabyte.
    let sources: Vec<_> =
        send.files.iter().map(|path| Source::new(path)).collect::<Result<_, _>>()?;
    let signals = Interruptible::start(send.common.impairment.longest_delay())?;
    let stream = dial(&send.peer, &send.dial, &send.common, Defaults::default(), log)?;
    let held = signals.hold(&stream);
    let result = transfer(send, &stream, &sources);
    if result.is_err() {
        // Nothing that is said by now could be believed.
        stream.abort();
    }
    drop(held);
    if send.common.stats {
        let mut page = Page::default();
        page.connection(&stream, None);
        page.socket(&stream.socket());
        page.show(send.common.json);
    }
    // The last one is told by whoever ends the program.
    let mut missed = result?;
    let last = missed.pop();
    missed.iter().for_each(|reason| complain(reason));
    last.map_or(Ok(()), |reason| Err(Failure::new(reason)))
}

/// Sends all of the files. Returns why some did not arrive, though the connection
/// lasted.
fn transfer(send: &Send, stream: &TouStream, sources: &[Source]) -> Result<Vec<String>, Failure> {
    let form = Form::new(send.common.json);
    let peer = send.peer.to_string();
    let progress = Progress::new(&send.common);
    let mut sender = Sender::start(stream, send.resume, send.idle.idle_timeout)?;
    let mut missed = Vec::new();
    for source in sources {
        match sender.send(source, &progress) {
            Ok(Outcome::Stored(stored)) => progress.aside(|| {
                let to = format!("to {peer}");
                form.say(|| stored.words("sent", &to), || stored.json(&peer))
            })?,
            Ok(Outcome::Missed(reason)) => {
                tell_missed(form, source, &reason, &peer)?;
                missed.push(reason);
            }
            Err(failure) => {
                tell_missed(form, source, &failure.to_string(), &peer)?;
                return Err(failure);
            }
        }
    }
    let written = sender.finish()?;
    finish(stream, written, send.common.impairment.is_lossy())?;
    Ok(missed)
}

fn tell_missed(form: Form, source: &Source, reason: &str, peer: &str) -> Result<(), Failure> {
    match form {
        Form::Words => Ok(()),
        Form::Json => say(&failed_json(source.name(), reason, peer).to_string()),
    }
}
