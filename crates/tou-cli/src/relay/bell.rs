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
        let is_rung = self.is_rung.lock().unwrap_or_else(PoisonError::into_inner);
        let rung = self.rings.wait_while(is_rung, |is_rung| !*is_rung);
        *rung.unwrap_or_else(PoisonError::into_inner) = false;
    }

    /// Waits until it rings, or the time has passed.
    pub(crate) fn wait_for(&self, time: Duration) {
        let is_rung = self.is_rung.lock().unwrap_or_else(PoisonError::into_inner);
        let rung = self.rings.wait_timeout_while(is_rung, time, |is_rung| !*is_rung);
        *rung.unwrap_or_else(PoisonError::into_inner).0 = false;
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
        bell.wait_for(Duration::from_millis(1));
        thread::scope(|scope| {
            scope.spawn(|| bell.wait());
            bell.ring();
        });
    }
}
