//! `tou recv`: takes files from any number of `tou send`s.

use core::time::Duration;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use clap::Args;
use tou_mio::{TouSocket, TouStream};

use super::echo::show_stats_at_the_end;
use super::{PROMPT, with_log};
use crate::address::ListenAddress;
use crate::failure::Failure;
use crate::file::failed_json;
use crate::file::progress::Progress;
use crate::file::receiver::{Outcome, Policy, Receiver};
use crate::file::store::Directory;
use crate::log::Log;
use crate::options::{CommonOptions, NetworkOptions};
use crate::output::{Form, say};
use crate::relay::finish;
use crate::service::{announce, listen, serve_all};
use crate::signals::Interruptible;
use crate::stats::Page;
use crate::value;

/// Take files from any number of 'tou send's.
#[derive(Args, Debug)]
pub(crate) struct Recv {
    /// Where to listen; without an address, at all of them. Port 0 lets the system choose
    #[arg(value_name = "[ADDR:]PORT")]
    address: ListenAddress,
    /// Where the files go
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// End after one sender, and fail if it has sent anything in vain
    #[arg(long)]
    once: bool,
    /// Replace files that exist
    #[arg(short, long)]
    force: bool,
    /// Give a sender up that was silent for so long
    #[arg(
        long,
        value_name = "TIME",
        default_value = "5m",
        value_parser = value::timeout,
        help_heading = "Connection",
    )]
    idle_timeout: Duration,
    #[command(flatten)]
    network: NetworkOptions,
    #[command(flatten)]
    common: CommonOptions,
}

pub(crate) fn run(recv: &Recv) -> Result<(), Failure> {
    let log = Log::start(&recv.common.log)?;
    with_log(&log, receive_all(recv, &log))
}

fn receive_all(recv: &Recv, log: &Log) -> Result<(), Failure> {
    let Recv { address, dir, network, common, .. } = recv;
    let directory = Directory::open(dir).map_err(|error| {
        Failure::cannot(format_args!("use directory {}", dir.display()), &error)
    })?;
    let signals = Interruptible::start(common.impairment.longest_delay())?;
    let (socket, listener) = listen(address, network, common, PROMPT, log)?;
    announce(address, &socket, true);
    let desk = Desk {
        policy: Policy { directory: &directory, force: recv.force },
        progress: Progress::new(common),
        form: Form::new(common.json),
        signals: signals.clone(),
        socket: &socket,
        failure: Mutex::new(None),
    };
    if recv.once {
        let accepted = listener.accept();
        let (stream, _) = accepted
            .map_err(|error| Failure::cannot(format_args!("listen on {address}"), &error))?;
        // Whoever comes next is refused.
        drop(listener);
        return receive_once(recv, &desk, &stream);
    }
    show_stats_at_the_end(common, &socket, &signals);
    serve_all(&listener, &signals, |stream| match desk.serve(recv, stream) {
        Ok(Served { missed, .. }) => {
            missed.iter().for_each(|reason| desk.progress.complain(reason));
        }
        Err(failure) if !desk.is_closed() => desk.progress.complain(&failure.to_string()),
        Err(_) => {}
    })?;
    desk.take_failure().map_or(Ok(()), Err)
}

fn receive_once(recv: &Recv, desk: &Desk<'_>, stream: &TouStream) -> Result<(), Failure> {
    let result = desk.serve(recv, stream);
    if recv.common.stats {
        let mut page = Page::default();
        page.connection(stream, None);
        page.socket(&stream.socket());
        page.show(recv.common.json);
    }
    if let Some(failure) = desk.take_failure() {
        return Err(failure);
    }
    let Served { mut missed, stay } = result?;
    thread::sleep(stay);
    // The last one is told by whoever ends the program.
    let last = missed.pop();
    missed.iter().for_each(|reason| desk.progress.complain(reason));
    last.map_or(Ok(()), |reason| Err(Failure::new(reason)))
}

/// What all connections share.
struct Desk<'a> {
    policy: Policy<'a>,
    progress: Progress,
    form: Form,
    signals: Interruptible,
    socket: &'a TouSocket,
    /// Why the program has to end. Its connections fail because of that.
    failure: Mutex<Option<Failure>>,
}

/// A connection that has ended well.
struct Served {
    /// Files that did not arrive all the same.
    missed: Vec<String>,
    /// How long to stay for the sender's sake.
    stay: Duration,
}

impl Desk<'_> {
    fn serve(&self, recv: &Recv, stream: &TouStream) -> Result<Served, Failure> {
        let held = self.signals.hold(stream);
        let peer = stream.peer_addr().map(|addr| addr.to_string()).unwrap_or_default();
        let set = stream
            .set_read_timeout(Some(recv.idle_timeout))
            .and_then(|()| stream.set_write_timeout(Some(recv.idle_timeout)));
        set.map_err(|error| Failure::cannot("set a timeout", &error))?;
        let mut missed = Vec::new();
        let mut receiver = Receiver::new(stream, self.policy, &self.progress);
        let result = receiver.run(|outcome| match outcome {
            Outcome::Stored(stored) => self.say(|| {
                let from = format!("from {peer}");
                self.form.say(|| stored.words("received", &from), || stored.json(&peer))
            }),
            Outcome::Missed { name, reason } => {
                self.tell_missed(&name, &reason, &peer);
                missed.push(format!("{name}, from {peer}: {reason}"));
            }
        });
        let written = receiver.written();
        let result = match result {
            Ok(()) => finish(stream, written, recv.common.impairment.is_lossy()),
            Err(broken) => {
                stream.abort();
                self.tell_missed(broken.name.as_deref().unwrap_or_default(), &broken.reason, &peer);
                let name = broken.name.map_or(String::new(), |name| format!("{name}, "));
                Err(Failure::new(format!("{name}from {peer}: {}", broken.reason)))
            }
        };
        drop(held);
        result.map(|stay| Served { missed, stay })
    }

    fn tell_missed(&self, name: &str, reason: &str, peer: &str) {
        if self.form == Form::Json {
            self.say(|| say(&failed_json(name, reason, peer).to_string()));
        }
    }

    /// Writes to standard output. If that fails it is the end: nobody would know
    /// what has arrived.
    fn say(&self, say: impl FnOnce() -> Result<(), Failure>) {
        if let Err(failure) = self.progress.aside(say) {
            self.failure().get_or_insert(failure);
            self.signals.abort_all();
            let _ = self.socket.close(Duration::ZERO);
        }
    }
    fn is_closed(&self) -> bool {
        self.failure().is_some()
    }

    fn take_failure(&self) -> Option<Failure> {
        self.failure().take()
    }

    fn failure(&self) -> MutexGuard<'_, Option<Failure>> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
