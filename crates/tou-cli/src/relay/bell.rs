//! A bell: one thread waits, any other rings.

use core::time::Duration;
use std::sync::{Condvar, Mutex, PoisonError};

/// Remembers that it was rung until somebody has waited for it.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    is_rung: Mutex<bool>,
    rings: Condvar,
}

impl Bell {
    /// Wakes whoever waits, or the next who will.
    pub(crate) fn ring(&self) {
        *self.is_rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.rings.notify_all();
    }

    /// Waits until it rings.
    pub(crate) fn wait(&self) {
        self.wait_for(None);
    }

    /// The same for a limited time.
    pub(crate) fn wait_for(&self, time: Option<Duration>) {
        let is_rung = self.is_rung.lock().unwrap_or_else(PoisonError::into_inner);
        let is_silent = |is_rung: &mut bool| !*is_rung;
        let mut is_rung = match time {
            None => {
                self.rings.wait_while(is_rung, is_silent).unwrap_or_else(PoisonError::into_inner)
            }
            Some(time) => {
                let rung = self.rings.wait_timeout_while(is_rung, time, is_silent);
                rung.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        *is_rung = false;
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_ring_is_kept_for_one_wait() {
        let bell = Bell::default();
        bell.ring();
        bell.ring();
        bell.wait();
        thread::scope(|scope| {
            scope.spawn(|| bell.wait());
            bell.ring();
        });
        bell.wait_for(Some(Duration::from_millis(1)));
    }
}
