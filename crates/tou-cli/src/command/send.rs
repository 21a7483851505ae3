//! `tou send`: files to a `tou recv`.

use std::ffi::OsString;
use std::path::Path;

use clap::Args;
use tou_mio::TouStream;

use super::{PROMPT, with_log};
use crate::address::PeerAddress;
use crate::dial::dial;
use crate::failure::{Failure, complain};
use crate::file::failed_json;
use crate::file::progress::Progress;
use crate::file::sender::{Outcome, Sender, Source};
use crate::log::Log;
use crate::options::{CommonOptions, DialOptions, IdleOptions};
use crate::output::{Form, say};
use crate::relay::finish;
use crate::signals::Interruptible;
use crate::stats::Page;

/// Send files to a 'tou recv'.
#[derive(Args, Debug)]
pub(crate) struct Send {
    /// What to send, and in the last place HOST:PORT, where the receiver is
    // One argument for both: between two, the parser takes what stands before an
    // option for the second.
    #[arg(value_name = "FILE", num_args = 0..)]
    files_and_peer: Vec<OsString>,
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
    let (files, peer) = send.files_and_peer()?;
    let log = Log::start(&send.common.log)?;
    with_log(&log, send_all(send, files, &peer, &log))
}

impl Send {
    fn files_and_peer(&self) -> Result<(&[OsString], PeerAddress), Failure> {
        let usage = |wrong: String| Failure::usage(format!("{wrong}; see 'tou help send'"));
        let (peer, files) = match &self.files_and_peer[..] {
            [files @ .., peer] if !files.is_empty() => (peer.to_string_lossy(), files),
            _ => return Err(usage("what to send, and where to, is FILE... HOST:PORT".to_owned())),
        };
        let wrong = |rule| usage(format!("invalid value '{peer}' for '<HOST:PORT>': {rule}"));
        Ok((files, peer.parse().map_err(wrong)?))
    }
}

fn send_all(send: &Send, files: &[OsString], peer: &PeerAddress, log: &Log) -> Result<(), Failure> {
    // Better than after the first gigabyte.
    let sources: Vec<_> =
        files.iter().map(|path| Source::new(Path::new(path))).collect::<Result<_, _>>()?;
    let signals = Interruptible::start(send.common.impairment.longest_delay())?;
    let stream = dial(peer, &send.dial, &send.common, PROMPT, log)?;
    let held = signals.hold(&stream);
    let result = transfer(send, &stream, &sources, &peer.to_string());
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
fn transfer(
    send: &Send,
    stream: &TouStream,
    sources: &[Source],
    peer: &str,
) -> Result<Vec<String>, Failure> {
    let form = Form::new(send.common.json);
    let progress = Progress::new(&send.common);
    let mut sender = Sender::start(stream, send.resume, send.idle.idle_timeout)?;
    let mut missed = Vec::new();
    for source in sources {
        match sender.send(source, &progress) {
            Ok(Outcome::Stored(stored)) => progress.aside(|| {
                let to = format!("to {peer}");
                form.say(|| stored.words("sent", &to), || stored.json(peer))
            })?,
            Ok(Outcome::Missed(reason)) => {
                tell_missed(form, source, &reason, peer)?;
                missed.push(reason);
            }
            Err(failure) => {
                tell_missed(form, source, &failure.to_string(), peer)?;
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
