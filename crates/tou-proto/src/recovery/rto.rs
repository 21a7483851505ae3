//! The retransmission timer (RFC 6298 §2.4, §5): its value, its backoff, and
//! when it runs from.
//!
//! Knows time and the round-trip estimate's two numbers. Must not know segments:
//! it is told when the timer starts, stops mattering, or expired.

use super::RecoveryConfig;
use crate::time::{Instant, Span};

/// RFC 6298's clock granularity G.
const GRANULARITY: Span = Span::from_millis(1);

/// RFC 6298 (5.7): the RTO after a handshake that had to repeat its SYN.
const RTO_AFTER_SYN_LOSS: Span = Span::from_millis(3_000);

/// The timer and its backoff. One that is not running is one whose owner has
/// nothing outstanding.
#[derive(Debug)]
pub(super) struct RetransmissionTimer {
    /// The value before the first round-trip sample (2.1).
    initial: Span,
    min: Span,
    max: Span,
    /// The value that the last sample has led to, without bound above or backoff.
    measured: Option<Span>,
    /// What it runs from: the last acknowledgment of new data, or the first
    /// transmission after there was nothing outstanding.
    started_at: Instant,
    /// Doublings (5.5). Cleared by a round-trip sample only (Karn).
    backoff: u32,
    /// Expiries since the last acknowledgment of new data.
    expiries: u32,
}

impl RetransmissionTimer {
    pub(super) fn new(config: &RecoveryConfig) -> Self {
        Self {
            initial: config.rto_initial.into(),
            min: config.rto_min.into(),
            max: config.rto_max.into(),
            measured: None,
            started_at: Instant::ZERO,
            backoff: 0,
            expiries: 0,
        }
    }

    /// A round-trip sample has led to this SRTT and RTTVAR (2.2), (2.3), and ends the
    /// backoff.
    ///
    /// The lower bound is on the whole value, as (2.4) has it.
    pub(super) fn on_sample(&mut self, srtt: Span, rttvar: Span) {
        let value = srtt.saturating_add(rttvar.saturating_mul(4).max(GRANULARITY));
        self.measured = Some(value.max(self.min));
        self.clear_backoff();
    }

    /// The timer's present value, backoff included.
    pub(super) fn value(&self) -> Span {
        let value = self.measured.unwrap_or(self.initial);
        // (5.5), (2.5)
        value.saturating_mul(1 << self.backoff).min(self.max)
    }

    /// When it expires, if it runs.
    pub(super) fn deadline(&self) -> Instant {
        self.started_at + self.value()
    }

    /// (5.1), (5.3), (5.6): it runs from `now`.
    pub(super) fn restart(&mut self, now: Instant) {
        self.started_at = now;
    }

    /// New data was acknowledged.
    pub(super) fn on_progress(&mut self, now: Instant) {
        self.expiries = 0;
        self.restart(now);
    }

    /// Proof that the backoff was a mistake, as a round-trip sample, ends it.
    pub(super) fn clear_backoff(&mut self) {
        self.backoff = 0;
    }

    /// It expired (5.5), (5.6).
    pub(super) fn on_expiry(&mut self, now: Instant) {
        // 31 doublings of a millisecond are more than three weeks.
        self.backoff = (self.backoff + 1).min(31);
        self.expiries = self.expiries.saturating_add(1);
        self.restart(now);
    }

    /// The handshake is complete (5.7). After a repeated SYN the round trip is
    /// unknown, and may well be longer than the initial RTO.
    pub(super) fn on_established(&mut self, syn_was_retransmitted: bool) {
        if syn_was_retransmitted {
            self.initial = self.initial.max(RTO_AFTER_SYN_LOSS);
        }
        self.backoff = 0;
        self.expiries = 0;
    }

    /// Expiries in a row without an acknowledgment of new data.
    pub(super) fn expiries(&self) -> u32 {
        self.expiries
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    const fn ms(millis: u64) -> Span {
        Span::from_millis(millis)
    }

    fn timer() -> RetransmissionTimer {
        RetransmissionTimer::new(&RecoveryConfig {
            rto_initial: Duration::from_millis(1_000),
            rto_min: Duration::from_millis(200),
            rto_max: Duration::from_millis(60_000),
            dupthresh: 3,
            max_ack_delay: Duration::from_millis(200),
        })
    }

    #[test]
    fn value_is_the_mean_and_four_deviations() {
        let mut timer = timer();
        timer.on_sample(ms(300), ms(50));
        assert_eq!(timer.value(), ms(500));
    }

    #[test]
    fn granularity_bounds_the_deviation_and_the_minimum_the_whole() {
        let mut timer = timer();
        timer.on_sample(ms(400), Span::ZERO);
        assert_eq!(timer.value(), ms(401));
        timer.on_sample(ms(10), ms(1));
        assert_eq!(timer.value(), ms(200));
    }

    #[test]
    fn backoff_doubles_up_to_the_maximum() {
        let mut timer = timer();
        for expected in [2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000] {
            timer.on_expiry(Instant::ZERO);
            assert_eq!(timer.value(), ms(expected));
        }
        let longest = Span::from_nanos(u64::MAX);
        timer.on_sample(longest, longest);
        for _ in 0..100 {
            timer.on_expiry(Instant::ZERO);
        }
        assert_eq!(timer.value(), ms(60_000));
        assert_eq!(timer.expiries(), 107);
    }

    /// Karn: the backed-off value stays until there is a new sample.
    #[test]
    fn progress_does_not_end_the_backoff() {
        let mut timer = timer();
        timer.on_expiry(Instant::ZERO);
        timer.on_progress(Instant::from_secs(5));
        assert_eq!(timer.expiries(), 0);
        assert_eq!(timer.deadline(), Instant::from_secs(7));
        timer.clear_backoff();
        assert_eq!(timer.deadline(), Instant::from_secs(6));
    }

    #[test]
    fn a_repeated_syn_makes_it_three_seconds() {
        let mut timer = timer();
        timer.on_expiry(Instant::ZERO);
        timer.on_established(true);
        assert_eq!(timer.value(), ms(3000));
        timer.on_sample(ms(300), ms(50));
        assert_eq!(timer.value(), ms(500));
    }

    #[test]
    fn a_clean_handshake_leaves_it_alone() {
        let mut timer = timer();
        timer.on_established(false);
        assert_eq!(timer.value(), ms(1000));
    }
}
