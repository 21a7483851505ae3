//! Options that the handles of one stream or listener share.
//!
//! They are read at each call and changed at any time, by any thread; no lock
//! is worth it.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use core::time::Duration;
use std::io;

/// A timeout that can be changed while it is in use.
#[derive(Debug, Default)]
pub struct Timeout {
    /// Nanoseconds; zero stands for none.
    nanos: AtomicU64,
}

impl Timeout {
    /// Changes it; `None` for no limit.
    ///
    /// # Errors
    /// `InvalidInput` for a timeout of zero, as std has it.
    pub fn set(&self, timeout: Option<Duration>) -> io::Result<()> {
        let nanos = match timeout {
            None => 0,
            Some(Duration::ZERO) => {
                let message = "cannot set a timeout of zero";
                return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
            }
            Some(timeout) => u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX),
        };
        self.nanos.store(nanos, Relaxed);
        Ok(())
    }

    /// What was set last.
    #[must_use]
    pub fn get(&self) -> Option<Duration> {
        match self.nanos.load(Relaxed) {
            0 => None,
            nanos => Some(Duration::from_nanos(nanos)),
        }
    }
}

/// What happens to unsent data when the last handle is dropped.
#[derive(Debug)]
pub struct Linger {
    /// Nanoseconds to wait; all ones: not to wait.
    nanos: AtomicU64,
}

impl Linger {
    /// Changes it: `None` not to wait, zero for a reset.
    pub fn set(&self, linger: Option<Duration>) {
        let nanos = linger.map_or(u64::MAX, |linger| {
            u64::try_from(linger.as_nanos()).unwrap_or(u64::MAX).min(u64::MAX - 1)
        });
        self.nanos.store(nanos, Relaxed);
    }

    /// What was set last.
    #[must_use]
    pub fn get(&self) -> Option<Duration> {
        match self.nanos.load(Relaxed) {
            u64::MAX => None,
            nanos => Some(Duration::from_nanos(nanos)),
        }
    }
}

impl Default for Linger {
    fn default() -> Self {
        Self { nanos: AtomicU64::new(u64::MAX) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lingering_for_no_time_is_not_the_same_as_not_lingering() {
        let linger = Linger::default();
        assert_eq!(linger.get(), None);
        linger.set(Some(Duration::ZERO));
        assert_eq!(linger.get(), Some(Duration::ZERO));
        linger.set(Some(Duration::MAX));
        assert!(linger.get() > Some(Duration::from_secs(1 << 30)));
        linger.set(None);
        assert_eq!(linger.get(), None);
    }

    #[test]
    fn a_timeout_is_kept_and_zero_is_refused() {
        let timeout = Timeout::default();
        assert_eq!(timeout.get(), None);
        timeout.set(Some(Duration::from_millis(3))).unwrap();
        assert_eq!(timeout.get(), Some(Duration::from_millis(3)));
        assert!(timeout.set(Some(Duration::ZERO)).is_err());
        assert_eq!(timeout.get(), Some(Duration::from_millis(3)));
        timeout.set(None).unwrap();
        assert_eq!(timeout.get(), None);
    }
}
