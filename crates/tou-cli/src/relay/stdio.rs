//! Standard input and output as they are: no buffers, no lines, any bytes.

use core::time::Duration;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, IsTerminal, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::thread;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{getpgrp, tcgetpgrp};

use crate::failure::Failure;

/// How often a background job looks whether it has come to the foreground.
const BACKGROUND_NAP: Duration = Duration::from_millis(200);

/// Standard input.
#[derive(Debug)]
pub(crate) struct Input {
    file: File,
    is_terminal: bool,
}

impl Input {
    /// The process's.
    pub(crate) fn stdin() -> Result<Self, Failure> {
        let stdin = io::stdin();
        let fd = stdin.as_fd().try_clone_to_owned();
        let file = File::from(fd.map_err(|error| Failure::cannot("use standard input", &error))?);
        Ok(Self { file, is_terminal: stdin.is_terminal() })
    }

    /// Whether somebody types it, and so may never come to an end.
    pub(crate) fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Reads what there is, at least one byte; zero is the end.
    pub(crate) fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.is_terminal {
            self.await_turn()?;
        }
        loop {
            match self.file.read(buf) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Whoever shares the descriptor may have made it so.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    wait(&self.file, PollFlags::POLLIN)?;
                }
                result => return result,
            }
        }
    }
}

impl Input {
    /// Waits until there is something to read at the terminal, and it is for
    /// this job: a background job that reads is stopped, and its connection
    /// with it.
    fn await_turn(&self) -> io::Result<()> {
        loop {
            wait(&self.file, PollFlags::POLLIN)?;
            // A terminal that does not control the session asks nobody.
            if tcgetpgrp(&self.file).is_ok_and(|foreground| foreground != getpgrp()) {
                thread::sleep(BACKGROUND_NAP);
            } else {
                return Ok(());
            }
        }
    }
}

/// Standard output.
#[derive(Debug)]
pub(crate) struct Output {
    file: File,
}

impl Output {
    /// The process's.
    pub(crate) fn stdout() -> Result<Self, Failure> {
        let fd = io::stdout().as_fd().try_clone_to_owned();
        let file = File::from(fd.map_err(|error| Failure::cannot("use standard output", &error))?);
        Ok(Self { file })
    }

    /// Writes all of `data`.
    pub(crate) fn write_all(&mut self, mut data: &[u8]) -> io::Result<()> {
        while !data.is_empty() {
            match self.file.write(data) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(len) => data = data.get(len..).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    wait(&self.file, PollFlags::POLLOUT)?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Ends the output: a reader of the pipe sees its end now, whatever else
    /// this process still does. Some file systems say only here that something
    /// was not written.
    pub(crate) fn finish(self) -> io::Result<()> {
        let nothing = OpenOptions::new().write(true).open("/dev/null")?;
        nix::unistd::dup2_stdout(&nothing)?;
        nix::unistd::close(OwnedFd::from(self.file))?;
        Ok(())
    }
}

fn wait(file: &File, events: PollFlags) -> io::Result<()> {
    match poll(&mut [PollFd::new(file.as_fd(), events)], PollTimeout::NONE) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
