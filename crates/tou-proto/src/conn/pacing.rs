//! Spreading transmissions over time: a token bucket that the controller's
//! pacing rate fills.
//!
//! Knows bytes and time; nothing of why a controller wants the rate it wants.

use crate::time::{Instant, Span};
use crate::util::mul_div;

/// Lets bytes through at a rate, in bursts of at most [`BURST_SEGMENTS`] or what
/// the rate allows in two [`TICK`]s, whichever is more.
#[derive(Debug, Default)]
pub(crate) struct Pacer {
    /// When the next batch may begin, or might have begun; zero before the first.
    ready_at: Instant,
}

/// How late a timer may be without loss of rate, and for how long the rate pays in
/// advance for the rest of a batch that has begun: one timer and one system call a
/// millisecond, not one a segment.
const TICK: Span = Span::from_millis(1);

/// An initial window may leave at once (RFC 6928), so the network bears such bursts
/// from other connections too; RFC 9002 §7.7 takes the same limit.
const BURST_SEGMENTS: u64 = 10;

impl Pacer {
    /// When the next batch may begin; `None` if it may begin now.
    pub(crate) fn wait(&self, now: Instant) -> Option<Instant> {
        (self.ready_at > now).then_some(self.ready_at)
    }

    /// When a batch that has begun may go on; `None` if it may now.
    pub(crate) fn wait_within_batch(&self, now: Instant) -> Option<Instant> {
        self.wait(now + TICK)
    }

    /// `bytes` were sent, at `rate` bytes a second, in segments of `mss`.
    pub(crate) fn on_sent(&mut self, now: Instant, bytes: u64, mss: u64, rate: u64) {
        let depth = cost(mss.saturating_mul(BURST_SEGMENTS), rate).max(TICK);
        // When all that was sent is paid for, and the bucket is full again.
        let full_at = match self.ready_at {
            Instant::ZERO => now,
            ready_at => (ready_at + depth).max(now),
        };
        self.ready_at = (full_at + cost(bytes, rate)).back(depth);
    }
}

/// How long `bytes` take at `rate` bytes a second.
fn cost(bytes: u64, rate: u64) -> Span {
    Span::from_nanos(mul_div(bytes, 1_000_000_000, rate.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    #[test]
    fn the_rate_holds_over_time_however_late_timers_are_within_a_tick() {
        for late in [0, 500, 1_000].map(Duration::from_micros) {
            let mut pacer = Pacer::default();
            let rate = 10_000_000;
            let mut now = Instant::from_secs(5);
            let (mut sent, mut batches) = (0, 0);
            while now < Instant::from_secs(6) {
                if let Some(at) = pacer.wait(now) {
                    now = at + late;
                    continue;
                }
                while pacer.wait_within_batch(now).is_none() {
                    pacer.on_sent(now, 1_000, 1_000, rate);
                    sent += 1_000;
                }
                batches += 1;
            }
            assert!((rate..=rate + rate / 100).contains(&sent), "{sent}");
            assert!(batches <= 1_000, "{batches}");
        }
    }

    #[test]
    fn time_not_used_is_saved_up_for_ten_segments_or_a_tick() {
        for (rate, segments) in [(1_000, 11), (1_000_000, 12), (100_000_000, 201)] {
            let mut pacer = Pacer::default();
            let now = Instant::from_secs(100);
            let burst = (0..).take_while(|_| {
                let is_free = pacer.wait_within_batch(now).is_none();
                pacer.on_sent(now, 1_000, 1_000, rate);
                is_free
            });
            assert_eq!(burst.count(), segments, "at {rate}");
        }
    }
}
