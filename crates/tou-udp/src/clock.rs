//! The clock: the one place of this crate, and of the drivers above it, where
//! real time is read.
//!
//! It knows nothing of sockets, machines or deadlines; it only maps the
//! monotonic clock of the system to the core's [`Instant`] and back.

use core::time::Duration;
use std::time;

use tou_proto::Instant;

/// Real time as the core counts it: nanoseconds since the clock was made.
///
/// Copies show the same time, so a driver and its pump each keep one.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: time::Instant,
    /// What [`nanos`] said then.
    zero: u64,
}

impl Clock {
    /// A clock that shows zero now.
    #[must_use]
    pub fn start() -> Self {
        Self { start: read(), zero: nanos() }
    }

    /// The time now. Never goes back.
    #[must_use]
    #[inline]
    pub fn now(&self) -> Instant {
        Instant::from_nanos(nanos().saturating_sub(self.zero))
    }

    /// How long to wait from now until `deadline`; zero if it has passed.
    #[must_use]
    pub fn until(&self, deadline: Instant) -> Duration {
        deadline.saturating_since(self.now())
    }

    /// `instant` on the system's clock, for timers that want it so; `None`
    /// where the system cannot express a time that far away.
    #[must_use]
    pub fn to_std(&self, instant: Instant) -> Option<time::Instant> {
        self.start.checked_add(instant.saturating_since(Instant::ZERO))
    }
}

/// Nanoseconds on the clock that [`time::Instant`] shows too. Asked directly: an `Instant`
/// keeps seconds and the rest apart, and a driver asks three times a round trip.
#[cfg(any(target_os = "linux", target_os = "android"))]
#[inline]
fn nanos() -> u64 {
    use nix::time::{ClockId, clock_gettime};
    // Every system has this clock. It counts from the start of the system, so that it is
    // positive and has room.
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |time| {
        (time.tv_sec() as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec() as u64)
    })
}

/// Nanoseconds since somebody asked first.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn nanos() -> u64 {
    use std::sync::LazyLock;
    static FIRST: LazyLock<time::Instant> = LazyLock::new(read);
    u64::try_from(read().saturating_duration_since(*FIRST).as_nanos()).unwrap_or(u64::MAX)
}

#[expect(clippy::disallowed_methods, reason = "this is the clock that all others ask")]
fn read() -> time::Instant {
    time::Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_starts_at_zero_and_runs_forward() {
        let clock = Clock::start();
        let first = clock.now();
        let copy = clock;
        let second = copy.now();
        assert!(first <= second);
        assert!(second < Instant::from_secs(60));
        assert_eq!(clock.until(Instant::ZERO), Duration::ZERO);
    }

    #[test]
    fn instants_map_to_the_system_clock_where_it_reaches() {
        let clock = Clock::start();
        let one = clock.to_std(Instant::from_secs(1)).unwrap();
        let two = clock.to_std(Instant::from_secs(2)).unwrap();
        assert_eq!(two - one, Duration::from_secs(1));
    }
}
