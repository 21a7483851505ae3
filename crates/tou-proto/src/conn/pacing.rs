//! Spreading transmissions over time: a token bucket that the controller's
//! pacing rate fills.
//!
//! Knows bytes and time; nothing of why a controller wants the rate it wants.

use core::time::Duration;

use crate::time::{Instant, nanos};

/// Lets bytes through at a rate, in bursts of at most [`BURST`].
#[derive(Debug, Default)]
pub(crate) struct Pacer {
    /// When the bucket will be, or was, exactly empty of debt.
    free_at: Instant,
}

/// How far ahead of the rate a burst may run: the granularity of timers.
const BURST: Duration = Duration::from_millis(1);

impl Pacer {
    /// When the next transmission may go; `None` if it may go now.
    pub(crate) fn wait(&self, now: Instant) -> Option<Instant> {
        (self.free_at > now + BURST).then(|| self.free_at.saturating_sub(BURST))
    }

    /// `bytes` were sent, at `rate` bytes a second.
    pub(crate) fn on_sent(&mut self, now: Instant, bytes: u64, rate: u64) {
        let cost = u128::from(bytes) * 1_000_000_000 / u128::from(rate.max(1));
        let cost = Duration::from_nanos(u64::try_from(cost).unwrap_or(u64::MAX));
        let start = self.free_at.max(now);
        debug_assert!(nanos(cost) > 0 || rate > 1_000_000_000 || bytes == 0);
        self.free_at = start + cost;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_holds_over_time_and_bursts_are_bounded() {
        let mut pacer = Pacer::default();
        let rate = 10_000_000;
        let mut now = Instant::from_secs(5);
        let mut sent = 0;
        while now < Instant::from_secs(6) {
            match pacer.wait(now) {
                Some(at) => now = at,
                None => {
                    pacer.on_sent(now, 1_000, rate);
                    sent += 1_000;
                }
            }
        }
        assert!((rate..=rate + rate / 100).contains(&sent), "{sent}");
    }

    #[test]
    fn time_not_used_is_not_saved_up() {
        let mut pacer = Pacer::default();
        let now = Instant::from_secs(100);
        let burst = (0..).take_while(|_| {
            let free = pacer.wait(now).is_none();
            pacer.on_sent(now, 1_000, 1_000_000);
            free
        });
        assert_eq!(burst.count(), 2);
    }
}
