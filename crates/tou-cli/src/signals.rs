//! Ctrl-C and its like: the peer is told before the program ends.
//!
//! A kernel ends the connections of a program that was killed. Here nobody
//! would, and the peer would wait in vain, or worse: a FIN in the middle of a
//! file looks like its end. So the connection is reset.

use std::process;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tou_mio::TouStream;

use crate::failure::Failure;

/// What a signal resets.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interruptible {
    stream: Arc<Mutex<Option<TouStream>>>,
}

impl Interruptible {
    /// From now on SIGINT and SIGTERM end the program with exit code 128 and
    /// the signal's number.
    pub(crate) fn start() -> Result<Self, Failure> {
        let this = Self::default();
        let mut signals = Signals::new([SIGINT, SIGTERM])
            .map_err(|error| Failure::cannot("handle signals", &error))?;
        let stream = Arc::clone(&this.stream);
        let watch = move || {
            if let Some(signal) = signals.forever().next() {
                // Held to the end: whoever sees the stream fail must not be
                // faster to exit.
                let held = stream.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(stream) = &*held {
                    stream.abort();
                }
                process::exit(128 + signal);
            }
        };
        let thread = thread::Builder::new().name("signals".into()).spawn(watch);
        thread.map_err(|error| Failure::cannot("start a thread", &error))?;
        Ok(this)
    }

    /// The stream to reset.
    pub(crate) fn hold(&self, stream: &TouStream) {
        let mut held = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        *held = stream.try_clone().ok();
    }

    /// All is done, or has failed: there is nothing to reset any more. Does not
    /// return if a signal is why.
    pub(crate) fn release(&self) {
        *self.stream.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
