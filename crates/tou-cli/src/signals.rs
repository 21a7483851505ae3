//! Ctrl-C and its like: the peers are told before the program ends.
//!
//! A kernel ends the connections of a program that was killed. Here nobody
//! would, and the peers would wait in vain, or worse: a FIN in the middle of a
//! file looks like its end. So the connections are reset.

use core::sync::atomic::AtomicBool;
use core::time::Duration;
use std::collections::BTreeMap;
use std::process;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::Signals;
use tou_mio::{TouSocket, TouStream};

use crate::failure::Failure;

/// How much longer than it should a held-back datagram may take to leave.
const MARGIN: Duration = Duration::from_millis(50);

/// What is still to be said when a signal comes, and the exit code if it is not
/// that of a signal.
type LastWords = Box<dyn FnOnce() -> Option<u8> + Send>;

/// What a signal resets.
#[derive(Clone, Default)]
pub(crate) struct Interruptible {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    held: BTreeMap<u64, TouStream>,
    next: u64,
    serving: Option<TouSocket>,
    last_words: Option<LastWords>,
}

/// A stream that a signal resets, until this is dropped.
#[must_use]
pub(crate) struct Held {
    state: Arc<Mutex<State>>,
    number: u64,
}

impl Interruptible {
    /// From now on SIGINT and SIGTERM reset what is held, and end the program
    /// with exit code 128 and the signal's number. A second signal does not
    /// wait for that.
    ///
    /// `delay`: how long a datagram is held back before it leaves, resets
    /// included.
    pub(crate) fn start(delay: Duration) -> Result<Self, Failure> {
        let cannot = |error| Failure::cannot("handle signals", &error);
        let is_ending = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            let code = 128 + signal;
            // In this order: the first signal sets what the second looks at.
            flag::register_conditional_shutdown(signal, code, Arc::clone(&is_ending))
                .and_then(|_| flag::register(signal, Arc::clone(&is_ending)))
                .map_err(cannot)?;
        }
        let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(cannot)?;
        let this = Self::default();
        let state = Arc::clone(&this.state);
        let watch = move || {
            if let Some(signal) = signals.forever().next() {
                // Locked to the end: whoever sees a stream fail must not be
                // faster to exit.
                let mut state = locked(&state);
                let code = state.last_words.take().and_then(|words| words()).map(i32::from);
                for stream in state.held.values() {
                    stream.abort();
                }
                // What is left is those that nobody has accepted.
                if let Some(socket) = &state.serving {
                    let _ = socket.close(Duration::ZERO);
                }
                if !delay.is_zero() {
                    thread::sleep(delay + MARGIN);
                }
                process::exit(code.unwrap_or(128 + signal));
            }
        };
        let thread = thread::Builder::new().name("signals".into()).spawn(watch);
        thread.map_err(|error| Failure::cannot("start a thread", &error))?;
        Ok(this)
    }

    /// A stream to reset, as long as what is returned lives. Its drop does not
    /// return if a signal has come.
    pub(crate) fn hold(&self, stream: &TouStream) -> Held {
        let mut state = locked(&self.state);
        let number = state.next;
        state.next += 1;
        if let Ok(stream) = stream.try_clone() {
            state.held.insert(number, stream);
        }
        Held { state: Arc::clone(&self.state), number }
    }

    /// From now on a signal also resets what waits to be accepted.
    pub(crate) fn start_serving(&self, socket: TouSocket) {
        locked(&self.state).serving = Some(socket);
    }

    /// Nobody waits any more. Does not return if a signal has come.
    pub(crate) fn stop_serving(&self) {
        let socket = locked(&self.state).serving.take();
        // Without the lock, as below.
        drop(socket);
    }

    /// What to do first when a signal comes.
    pub(crate) fn set_last_words(&self, words: impl FnOnce() -> Option<u8> + Send + 'static) {
        locked(&self.state).last_words = Some(Box::new(words));
    }

    /// They are not needed any more: whoever calls this says them himself. Does
    /// not return if a signal has come.
    pub(crate) fn clear_last_words(&self) {
        locked(&self.state).last_words = None;
    }

    /// Resets all that is held.
    pub(crate) fn abort_all(&self) {
        for stream in locked(&self.state).held.values() {
            stream.abort();
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let stream = locked(&self.state).held.remove(&self.number);
        // Without the lock: it may be the last handle, which takes its time.
        drop(stream);
    }
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
