//! Whom to wake, collected while the lock is held and carried out after it was
//! released.
//!
//! Waking under the lock would send the woken thread straight into it. This
//! knows threads and hooks; it does not know what they wait for.

use core::panic::AssertUnwindSafe;
use std::fmt;
use std::panic::catch_unwind;
use std::sync::Arc;
use std::thread::Thread;

use smallvec::SmallVec;

/// A waiting thread's number. Numbers are never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(pub(super) u64);

/// What a stream or listener may have become ready for, as told to a readiness
/// hook. Like any readiness, it means "try again".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Ready {
    /// Reading or accepting may succeed, or return the end of the stream or an
    /// error.
    pub readable: bool,
    /// Writing may succeed, or return an error; the connection may be
    /// established.
    pub writable: bool,
}

impl Ready {
    pub(crate) const READABLE: Self = Self { readable: true, writable: false };
    pub(crate) const WRITABLE: Self = Self { readable: false, writable: true };
    pub(crate) const BOTH: Self = Self { readable: true, writable: true };
}

/// A user's callback that is told of readiness.
#[derive(Clone)]
pub(crate) struct Hook(Arc<dyn Fn(Ready) + Send + Sync>);

impl Hook {
    pub(crate) fn new(hook: impl Fn(Ready) + Send + Sync + 'static) -> Self {
        Self(Arc::new(hook))
    }
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hook")
    }
}

/// What came up while the charge was being looked after.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    /// Threads that wait for something that has happened.
    pub(super) tickets: SmallVec<[Ticket; 4]>,
    pub(super) hooks: SmallVec<[(Hook, Ready); 2]>,
}

impl Signals {
    /// Wakes a thread that waits.
    pub(crate) fn wake(&mut self, ticket: Ticket) {
        self.tickets.push(ticket);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tickets.is_empty() && self.hooks.is_empty()
    }

    /// Calls a hook.
    pub(crate) fn call(&mut self, hook: &Hook, ready: Ready) {
        self.hooks.push((hook.clone(), ready));
    }
}

/// What is to be done once the lock is released.
#[derive(Debug, Default)]
pub(super) struct Wakes {
    pub(super) threads: SmallVec<[Thread; 4]>,
    pub(super) hooks: SmallVec<[(Hook, Ready); 2]>,
    /// End the wait of the caller who leads.
    pub(super) ring_caller: bool,
    /// End the wait of the background thread in its poller.
    pub(super) nudge_background: bool,
}

impl Wakes {
    pub(super) fn is_empty(&self) -> bool {
        self.threads.is_empty()
            && self.hooks.is_empty()
            && !self.ring_caller
            && !self.nudge_background
    }

    /// Unparks threads and calls hooks; nudging is up to who has the pollers.
    ///
    /// A hook's panic goes no further: this thread may be in a call on another stream, and
    /// has to lead, or to see that somebody does, once that is over.
    pub(super) fn deliver(self) {
        for thread in self.threads {
            thread.unpark();
        }
        for (Hook(hook), ready) in self.hooks {
            let _ = catch_unwind(AssertUnwindSafe(|| hook(ready)));
        }
    }
}
