//! The sending side of a transfer.
//!
//! Two threads: one sends, the other reads what the receiver answers, which may
//! come at any time.

use core::time::Duration;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, TryRecvError};
use std::thread;

use bytes::BytesMut;
use indicatif::ProgressBar;
use sha2::{Digest, Sha256};
use tou_mio::TouStream;
use tou_udp::Clock;

use super::frame::{FrameError, data_header, greet, read_from_receiver, read_greeting};
use super::frame::{FromReceiver, FromSender, HEADER_LEN, MAX_DATA, Side};
use super::name::FileName;
use super::progress::Progress;
use super::{Hash, Stored, finish};
use crate::failure::{Failure, describe};
use crate::relay::connection_failure;

/// How long to wait for the receiver's word when the connection has failed: it
/// has arrived before, if it has arrived at all.
const LAST_WORD: Duration = Duration::from_millis(200);

/// A file that can be sent, as far as can be told before.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    path: PathBuf,
    name: FileName,
}

impl Source {
    /// Looks at the file at `path`.
    pub(crate) fn new(path: &Path) -> Result<Self, Failure> {
        let name = path.file_name().unwrap_or(path.as_os_str());
        let name = name.to_str().ok_or_else(|| {
            Failure::new(format!("cannot send {}: its name is no UTF-8", path.display()))
        })?;
        let source = Self {
            path: path.to_owned(),
            name: FileName::new(name).map_err(|error| {
                Failure::new(format!("cannot send {}: {error}", path.display()))
            })?,
        };
        source.open().map_err(|error| cannot_read(path, &error))?;
        Ok(source)
    }

    pub(crate) fn name(&self) -> &str {
        self.name.as_str()
    }

    /// The file, its mode and its size.
    fn open(&self) -> io::Result<(File, u32, u64)> {
        // Opening a pipe would wait for somebody to write.
        let metadata = std::fs::metadata(&self.path)?;
        if metadata.is_dir() {
            return Err(ErrorKind::IsADirectory.into());
        }
        if !metadata.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        let file = File::open(&self.path)?;
        let metadata = file.metadata()?;
        Ok((file, metadata.permissions().mode() & 0o777, metadata.len()))
    }
}

fn cannot_read(path: &Path, error: &io::Error) -> Failure {
    Failure::cannot(format_args!("read {}", path.display()), error)
}

/// What became of a file.
pub(crate) enum Outcome {
    Stored(Stored),
    /// It was refused, or could not be read; others may go.
    Missed(String),
}

/// The sending side of one connection.
pub(crate) struct Sender<'a> {
    stream: &'a TouStream,
    answers: Receiver<io::Result<FromReceiver>>,
    idle: Option<Duration>,
    can_resume: bool,
    clock: Clock,
    written: u64,
}

impl<'a> Sender<'a> {
    /// Greets, and is greeted.
    pub(crate) fn start(
        stream: &'a TouStream,
        can_resume: bool,
        idle: Option<Duration>,
    ) -> Result<Self, Failure> {
        let lost = |error: io::Error| match error.kind() {
            ErrorKind::WouldBlock => idle_failure(),
            ErrorKind::InvalidData => Failure::new(error.to_string()),
            _ => connection_failure(&error, stream),
        };
        stream.set_write_timeout(idle).map_err(lost)?;
        stream.set_read_timeout(idle).map_err(lost)?;
        greet(stream, Side::Sender).map_err(lost)?;
        read_greeting(stream, Side::Receiver).map_err(lost)?;
        // From here on the answers have a thread, which may wait for ever.
        stream.set_read_timeout(None).map_err(lost)?;
        let (to, answers) = mpsc::channel();
        let listening = stream.try_clone().map_err(lost)?;
        let listen = move || {
            loop {
                let answer = match read_from_receiver(&listening) {
                    Ok(None) => return,
                    Ok(Some(answer)) => Ok(answer),
                    Err(error) => Err(error),
                };
                let is_over = answer.is_err();
                if to.send(answer).is_err() || is_over {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name("answers".into()).spawn(listen);
        thread.map_err(|error| Failure::cannot("start a thread", &error))?;
        let written = Side::Sender.greeting().len() as u64;
        Ok(Self { stream, answers, idle, can_resume, clock: Clock::start(), written })
    }

    /// Sends a file.
    pub(crate) fn send(
        &mut self,
        source: &Source,
        progress: &Progress,
    ) -> Result<Outcome, Failure> {
        let (mut file, mode, size) = match source.open() {
            Ok(opened) => opened,
            Err(error) => {
                return Ok(Outcome::Missed(cannot_read(&source.path, &error).to_string()));
            }
        };
        let start = self.clock.now();
        let name = source.name();
        self.say(&FromSender::Offer { can_resume: self.can_resume, mode, size, name })?;
        let (present, theirs) = match self.answer()? {
            FromReceiver::Accept { present, sha256 } if present <= size => (present, sha256),
            FromReceiver::Refuse { reason } => {
                return Ok(Outcome::Missed(format!("the receiver refused {name}: {reason}")));
            }
            FromReceiver::Failed { reason } => return Err(failed(name, &reason)),
            _ => return Err(out_of_turn()),
        };
        let bar = progress.file(name, size);
        let result = self.send_accepted(source, &mut file, size, (present, theirs), &bar);
        bar.finish_and_clear();
        let (sha256, resumed_at) = match result? {
            Ok(sent) => sent,
            Err(error) => {
                let failure = cannot_read(&source.path, &error);
                self.say(&FromSender::Abandon { reason: failure.to_string() })?;
                return Ok(Outcome::Missed(failure.to_string()));
            }
        };
        match self.answer()? {
            FromReceiver::Stored => {}
            FromReceiver::Failed { reason } => return Err(failed(name, &reason)),
            _ => return Err(out_of_turn()),
        }
        let time = self.clock.now().saturating_since(start);
        let name = name.to_owned();
        Ok(Outcome::Stored(Stored { name, bytes: size, resumed_at, sha256, time }))
    }

    /// Sends what the receiver does not have. The inner error is one of reading
    /// the file.
    fn send_accepted(
        &mut self,
        source: &Source,
        file: &mut File,
        size: u64,
        (present, theirs): (u64, Hash),
        bar: &ProgressBar,
    ) -> Result<io::Result<(Hash, u64)>, Failure> {
        let (position, mut hash) = match resume_at(file, present, theirs) {
            Ok(resumed) => resumed,
            Err(error) => return Ok(Err(error)),
        };
        self.say(&FromSender::Start { position })?;
        bar.set_position(position);
        let mut left = size - position;
        let mut buf = BytesMut::new();
        while left > 0 {
            self.look(source.name())?;
            let room = usize::try_from(left).unwrap_or(usize::MAX).min(MAX_DATA);
            // What is left of the buffer is for the next frame.
            buf.resize(HEADER_LEN + room, 0);
            let len = match read(file, buf.get_mut(HEADER_LEN..).unwrap_or_default()) {
                Ok(0) => return Ok(Err(io::Error::other("it was cut while it was sent"))),
                Ok(len) => len,
                Err(error) => return Ok(Err(error)),
            };
            if let Some(header) = buf.first_chunk_mut() {
                *header = data_header(len);
            }
            let frame = buf.split_to(HEADER_LEN + len).freeze();
            hash.update(frame.get(HEADER_LEN..).unwrap_or_default());
            let mut unsent = frame;
            while !unsent.is_empty() {
                match self.stream.write_bytes(&mut unsent) {
                    Ok(taken) => self.written += taken as u64,
                    Err(error) => return Err(self.lost(&error)),
                }
            }
            left -= len as u64;
            bar.set_position(size - left);
        }
        match read(file, &mut [0]) {
            Ok(0) => {}
            Ok(_) => return Ok(Err(io::Error::other("it grew while it was sent"))),
            Err(error) => return Ok(Err(error)),
        }
        let sha256 = finish(hash);
        self.say(&FromSender::End { sha256 })?;
        Ok(Ok((sha256, position)))
    }

    /// There are no more files: waits until the receiver has ended too. Returns
    /// how much was written.
    pub(crate) fn finish(mut self) -> Result<u64, Failure> {
        self.say(&FromSender::Done)?;
        match self.await_answer() {
            // Its end.
            Err(RecvTimeoutError::Disconnected) => {}
            Err(RecvTimeoutError::Timeout) => return Err(idle_failure()),
            Ok(Ok(_)) => return Err(out_of_turn()),
            Ok(Err(error)) => return Err(self.explain(&error)),
        }
        self.stream
            .shutdown(Shutdown::Write)
            .map_err(|error| connection_failure(&error, self.stream))?;
        Ok(self.written)
    }

    fn say(&mut self, frame: &FromSender<'_>) -> Result<(), Failure> {
        let octets = frame.emit();
        self.written += octets.len() as u64;
        let mut stream = self.stream;
        stream.write_all(&octets).map_err(|error| self.lost(&error))
    }

    fn await_answer(&self) -> Result<io::Result<FromReceiver>, RecvTimeoutError> {
        match self.idle {
            None => self.answers.recv().map_err(|mpsc::RecvError| RecvTimeoutError::Disconnected),
            Some(idle) => self.answers.recv_timeout(idle),
        }
    }

    /// What the receiver answers.
    fn answer(&self) -> Result<FromReceiver, Failure> {
        match self.await_answer() {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.explain(&error)),
            Err(RecvTimeoutError::Timeout) => Err(idle_failure()),
            Err(RecvTimeoutError::Disconnected) => Err(Failure::new("the receiver has ended")),
        }
    }

    /// Whether the receiver has given up meanwhile.
    fn look(&self, name: &str) -> Result<(), Failure> {
        match self.answers.try_recv() {
            Err(TryRecvError::Empty) => Ok(()),
            Ok(Ok(FromReceiver::Failed { reason })) => Err(failed(name, &reason)),
            Ok(Ok(_)) => Err(out_of_turn()),
            Ok(Err(error)) => Err(self.explain(&error)),
            Err(TryRecvError::Disconnected) => Err(Failure::new("the receiver has ended")),
        }
    }

    /// Writing has failed. The receiver may have said why.
    fn lost(&self, error: &io::Error) -> Failure {
        match self.answers.recv_timeout(LAST_WORD) {
            Ok(Ok(FromReceiver::Failed { reason })) => {
                Failure::new(format!("the receiver failed: {reason}"))
            }
            _ if error.kind() == ErrorKind::WouldBlock => idle_failure(),
            _ => connection_failure(error, self.stream),
        }
    }

    /// Reading an answer has failed.
    fn explain(&self, error: &io::Error) -> Failure {
        match error.get_ref().and_then(|error| error.downcast_ref::<FrameError>()) {
            Some(error) => Failure::new(error.to_string()),
            None => connection_failure(error, self.stream),
        }
    }
}

/// Where to begin, and the hash of what is before that: behind what the receiver
/// has, if that is the beginning of this file. The file is then read from there.
fn resume_at(file: &mut File, present: u64, theirs: Hash) -> io::Result<(u64, Sha256)> {
    let mut hash = Sha256::new();
    if present == 0 {
        return Ok((0, hash));
    }
    let mut left = present;
    let mut buf = vec![0; MAX_DATA];
    while left > 0 {
        let room = usize::try_from(left).unwrap_or(usize::MAX).min(MAX_DATA);
        let len = match read(file, buf.get_mut(..room).unwrap_or_default())? {
            0 => break,
            len => len,
        };
        hash.update(buf.get(..len).unwrap_or_default());
        left -= len as u64;
    }
    if left == 0 && finish(hash.clone()) == theirs {
        return Ok((present, hash));
    }
    file.seek(SeekFrom::Start(0))?;
    Ok((0, Sha256::new()))
}

fn read(file: &mut File, buf: &mut [u8]) -> io::Result<usize> {
    loop {
        match file.read(buf) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

fn failed(name: &str, reason: &str) -> Failure {
    Failure::new(format!("the receiver could not store {name}: {reason}"))
}

fn out_of_turn() -> Failure {
    Failure::new("the receiver said something out of turn")
}

fn idle_failure() -> Failure {
    Failure::new(describe(&io::Error::other("the receiver was idle for too long")))
}
