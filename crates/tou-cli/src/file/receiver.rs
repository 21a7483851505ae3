//! The receiving side of a transfer: one connection, any number of files.

use core::time::Duration;
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;

use indicatif::ProgressBar;
use sha2::{Digest, Sha256};
use tou_mio::TouStream;
use tou_udp::Clock;

use super::frame::{FromReceiver, FromSender, MAX_DATA, Side, greet};
use super::frame::{read_from_sender, read_greeting};
use super::name::FileName;
use super::progress::Progress;
use super::store::{Directory, Partial, StoreError};
use super::{Hash, Stored, finish};
use crate::failure::describe;
use crate::format;
use crate::text::shown;

/// How long a sender is given to notice that its file was not stored.
const PARTING: Duration = Duration::from_secs(10);

/// Where files go, and what may happen to those that are there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy<'a> {
    pub(crate) directory: &'a Directory,
    pub(crate) force: bool,
}

/// What becomes of an offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Stored(Stored),
    /// It was not taken, or not to its end; other files may be.
    Missed {
        name: String,
        reason: String,
    },
}

/// Why a connection ended before its time.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    /// The file that was under way.
    pub(crate) name: Option<String>,
    pub(crate) reason: String,
}

/// Why a file does not get on.
enum Trouble {
    /// This side's: the sender is told.
    Ours(String),
    /// The sender's, which it has told.
    Theirs(String),
    /// Nobody can be told anything any more.
    Lost(String),
}

/// The receiving side of one connection.
pub(crate) struct Receiver<'a> {
    stream: &'a TouStream,
    policy: Policy<'a>,
    progress: &'a Progress,
    clock: Clock,
    buf: Vec<u8>,
    /// Octets written, which the peer has to have before the end.
    written: u64,
}

impl<'a> Receiver<'a> {
    pub(crate) fn new(stream: &'a TouStream, policy: Policy<'a>, progress: &'a Progress) -> Self {
        let buf = Vec::with_capacity(MAX_DATA);
        Self { stream, policy, progress, clock: Clock::start(), buf, written: 0 }
    }

    /// Octets that were written to the stream.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Takes files until the sender has no more, and tells of each.
    pub(crate) fn run(&mut self, mut tell: impl FnMut(Outcome)) -> Result<(), Broken> {
        let broken = |error| Broken { name: None, reason: lost(&error) };
        read_greeting(self.stream, Side::Sender).map_err(broken)?;
        let greeting = Side::Receiver.greeting().len() as u64;
        greet(self.stream, Side::Receiver).map_err(broken)?;
        self.written += greeting;
        loop {
            let frame = read_from_sender(self.stream, &mut self.buf).map_err(broken)?;
            let offer = match frame {
                Some(FromSender::Offer { can_resume, mode, size, name }) => {
                    Offer { can_resume, mode, size, name: name.to_owned() }
                }
                Some(FromSender::Done) => {
                    return self.stream.shutdown(Shutdown::Write).map_err(broken);
                }
                None => return Err(senseless("the sender has ended without a word")),
                Some(_) => {
                    return Err(senseless("the sender sent something that was not asked for"));
                }
            };
            self.take(&offer, &mut tell)?;
        }
    }

    fn take(&mut self, offer: &Offer, tell: &mut impl FnMut(Outcome)) -> Result<(), Broken> {
        // It is shown, whatever it is.
        let name = shown(&offer.name);
        let lost = |error| Broken { name: Some(shown(&offer.name)), reason: lost(&error) };
        let missed = |reason| Outcome::Missed { name: shown(&offer.name), reason };
        let begun =
            FileName::new(&offer.name).map_err(|error| error.to_string()).and_then(|name| {
                let policy = self.policy;
                policy.directory.begin(&name, policy.force).map_err(|error| error.to_string())
            });
        let partial = match begun {
            Ok(partial) => partial,
            Err(reason) => {
                tell(missed(reason.clone()));
                return self.say(&FromReceiver::Refuse { reason }).map_err(lost);
            }
        };
        let bar = self.progress.file(&name, offer.size);
        let result = self.receive(offer, partial, &bar);
        bar.finish_and_clear();
        match result {
            Ok(stored) => {
                // First to those who look at the directory, then to the sender:
                // who hears of it later finds it told already.
                tell(Outcome::Stored(stored));
                self.say(&FromReceiver::Stored).map_err(lost)
            }
            Err(Trouble::Theirs(reason)) => {
                tell(missed(reason));
                Ok(())
            }
            Err(Trouble::Ours(reason)) => {
                self.part(&FromReceiver::Failed { reason: reason.clone() });
                Err(Broken { name: Some(name), reason })
            }
            Err(Trouble::Lost(reason)) => Err(Broken { name: Some(name), reason }),
        }
    }

    /// Receives a file whose place is taken, and gives it its name.
    fn receive(
        &mut self,
        offer: &Offer,
        mut partial: Partial<'a>,
        bar: &ProgressBar,
    ) -> Result<Stored, Trouble> {
        let start = self.clock.now();
        let (sha256, resumed_at) = match self.arrive(offer, &mut partial, bar) {
            Ok(arrived) => arrived,
            Err(trouble) => {
                // What could be taken up again is kept, but not on a full disk.
                let is_ours = matches!(trouble, Trouble::Ours(_));
                if is_ours || partial.len().is_ok_and(|len| len == 0) {
                    let _ = partial.discard();
                }
                return Err(trouble);
            }
        };
        let commit = partial.commit(offer.mode, self.policy.force);
        commit.map_err(|error| Trouble::Ours(error.to_string()))?;
        let time = self.clock.now().saturating_since(start);
        let (name, bytes) = (offer.name.clone(), offer.size);
        Ok(Stored { name, bytes, resumed_at, sha256, time })
    }

    /// Receives what is missing of a file. Returns its hash, and where it was
    /// taken up again.
    fn arrive(
        &mut self,
        offer: &Offer,
        partial: &mut Partial<'_>,
        bar: &ProgressBar,
    ) -> Result<(Hash, u64), Trouble> {
        let (present, prefix) = prefix(offer, partial).map_err(ours)?;
        let sha256 = finish(prefix.clone());
        self.say(&FromReceiver::Accept { present, sha256 }).map_err(|error| gone(&error))?;
        let position = match read_from_sender(self.stream, &mut self.buf) {
            Ok(Some(FromSender::Start { position })) if position == present || position == 0 => {
                position
            }
            Ok(Some(FromSender::Abandon { reason })) => return Err(Trouble::Theirs(reason)),
            Ok(_) => return Err(Trouble::Ours("the sender does not say where it begins".into())),
            Err(error) => return Err(gone(&error)),
        };
        partial.cut(position).map_err(ours)?;
        bar.set_position(position);
        let hash = if position == 0 { Sha256::new() } else { prefix };
        let sha256 = self.write(offer, partial, hash, (position, bar))?;
        let wrong = || Trouble::Ours("what arrived has another SHA-256 than what was sent".into());
        Ok((sha256.ok_or_else(wrong)?, position))
    }

    /// Writes what comes, to the end of the file. Returns its hash, if that is
    /// the sender's too.
    fn write(
        &mut self,
        offer: &Offer,
        partial: &mut Partial<'_>,
        mut hash: Sha256,
        (mut position, bar): (u64, &ProgressBar),
    ) -> Result<Option<Hash>, Trouble> {
        let arrived = |position| {
            let (there, all) = (format::grouped(position), format::bytes(offer.size));
            format!("{there} of {all} had arrived")
        };
        loop {
            match read_from_sender(self.stream, &mut self.buf) {
                Ok(Some(FromSender::Data(data))) => {
                    if data.len() as u64 > offer.size - position {
                        return Err(Trouble::Ours("the sender sent more than it offered".into()));
                    }
                    partial.write_all(data).map_err(ours)?;
                    hash.update(data);
                    position += data.len() as u64;
                    bar.set_position(position);
                }
                Ok(Some(FromSender::End { sha256 })) if position == offer.size => {
                    let ours = finish(hash);
                    return Ok((ours == sha256).then_some(ours));
                }
                Ok(Some(FromSender::Abandon { reason })) => {
                    return Err(Trouble::Theirs(format!("{reason}; {}", arrived(position))));
                }
                Ok(Some(_)) => {
                    return Err(Trouble::Ours("the sender sent something out of turn".into()));
                }
                Ok(None) => {
                    let reason = "the sender has ended in the middle";
                    return Err(Trouble::Lost(format!("{reason}; {}", arrived(position))));
                }
                Err(error) => {
                    let reason = lost(&error);
                    return Err(Trouble::Lost(format!("{reason}; {}", arrived(position))));
                }
            }
        }
    }

    fn say(&mut self, frame: &FromReceiver) -> io::Result<()> {
        let octets = frame.emit();
        self.written += octets.len() as u64;
        let mut stream = self.stream;
        stream.write_all(&octets)
    }

    /// Tells why this is the end, and takes no notice of what still comes, so
    /// that the sender is not held up before it reads that.
    fn part(&mut self, last: &FromReceiver) {
        let _ = self.say(last).and_then(|()| self.stream.shutdown(Shutdown::Write));
        let deadline = self.clock.now() + PARTING;
        let mut stream = self.stream;
        self.buf.resize(MAX_DATA, 0);
        loop {
            let left = deadline.saturating_since(self.clock.now());
            if left == Duration::ZERO || stream.set_read_timeout(Some(left)).is_err() {
                break;
            }
            match stream.read(&mut self.buf) {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
        }
    }
}

/// A file that a sender would like to send.
struct Offer {
    can_resume: bool,
    mode: u32,
    size: u64,
    name: String,
}

/// How much of the file an earlier transfer has left, and its hash.
fn prefix(offer: &Offer, partial: &mut Partial<'_>) -> io::Result<(u64, Sha256)> {
    let present = partial.len()?;
    let mut hash = Sha256::new();
    if !offer.can_resume || present > offer.size {
        return Ok((0, hash));
    }
    let mut file = partial.read()?.take(present);
    let mut buf = vec![0; MAX_DATA];
    let mut len = 0;
    loop {
        match file.read(&mut buf) {
            Ok(0) => return Ok((len, hash)),
            Ok(read) => {
                hash.update(buf.get(..read).unwrap_or_default());
                len += read as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn ours(error: impl Into<io::Error>) -> Trouble {
    Trouble::Ours(describe(&error.into()))
}

fn gone(error: &io::Error) -> Trouble {
    Trouble::Lost(lost(error))
}

fn senseless(reason: &str) -> Broken {
    Broken { name: None, reason: reason.to_owned() }
}

/// What an error of the stream means.
fn lost(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::TimedOut => "connection timed out: the sender does not answer".to_owned(),
        ErrorKind::WouldBlock => "the sender was idle for too long".to_owned(),
        ErrorKind::UnexpectedEof => "the sender has ended in the middle of a frame".to_owned(),
        _ => describe(error),
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exists => f.write_str("there is such a file already"),
            Self::Busy => f.write_str("another sender is sending a file of that name"),
            Self::Foreign => f.write_str("something else is in the place of its partial file"),
            Self::Io(error) => f.write_str(&describe(error)),
        }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name}: {}", self.reason),
            None => f.write_str(&self.reason),
        }
    }
}
