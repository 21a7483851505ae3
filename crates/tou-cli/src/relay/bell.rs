//! A bell: one thread waits, any other rings.

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
    }
}
