//! The round-trip estimate: smoothed mean, deviation (RFC 6298 §2) and windowed
//! minimum (RFC 8985 §6.2 step 1).
//!
//! Knows durations. Must not know which segment a sample came from, nor what is
//! done with the result: the timer is in `rto`.

use crate::time::{Instant, Span};

/// Binary places kept below the nanosecond, so that a gain as small as one
/// sample's share of a long flight still moves the estimate.
const FRACTION: u32 = 12;

/// Samples above this (26 days) are taken as this.
const MAX_SAMPLE: Span = Span::from_nanos((1 << (63 - FRACTION)) - 1);

/// How long a minimum is remembered: between one and two of these.
const MIN_RTT_HALF_WINDOW: Span = Span::from_millis(150_000);

/// RFC 6298's SRTT and RTTVAR.
#[derive(Debug, Default)]
pub(super) struct RttEstimator {
    /// Nanoseconds times 2^[`FRACTION`]; `None` before the first sample.
    smoothed: Option<Smoothed>,
    min: WindowedMin,
}

#[derive(Clone, Copy, Debug)]
struct Smoothed {
    srtt: u64,
    rttvar: u64,
}

impl RttEstimator {
    /// Takes a sample. `expected_samples` is how many a round trip will give:
    /// RFC 7323 appendix G divides the gains of RFC 6298 by it, so that the
    /// estimate's memory is counted in round trips, not in acknowledgments.
    ///
    /// A sample of zero says that whoever tells the time told the same one twice. As a
    /// minimum it would stay for minutes, and RACK would wait for nothing.
    #[inline]
    pub(super) fn add_sample(&mut self, now: Instant, rtt: Span, expected_samples: u64) {
        self.add_coarse_sample(rtt, expected_samples);
        if rtt > Span::ZERO {
            self.min.add(now, rtt.min(MAX_SAMPLE));
        }
    }

    /// As [`add_sample`](Self::add_sample), but too coarse for the minimum: a
    /// timestamp clock of milliseconds measured it.
    #[inline]
    pub(super) fn add_coarse_sample(&mut self, rtt: Span, expected_samples: u64) {
        let sample = rtt.min(MAX_SAMPLE).as_nanos() << FRACTION;
        self.smoothed = Some(match self.smoothed {
            // RFC 6298 (2.2).
            None => Smoothed { srtt: sample, rttvar: sample / 2 },
            // RFC 6298 (2.3): RTTVAR first, from the old SRTT.
            Some(Smoothed { srtt, rttvar }) => {
                let samples = expected_samples.max(1);
                Smoothed {
                    rttvar: towards(rttvar, srtt.abs_diff(sample), samples.saturating_mul(4)),
                    srtt: towards(srtt, sample, samples.saturating_mul(8)),
                }
            }
        });
    }

    /// SRTT.
    pub(super) fn srtt(&self) -> Option<Span> {
        self.smoothed.map(|s| Span::from_nanos(s.srtt >> FRACTION))
    }

    /// RTTVAR.
    pub(super) fn rttvar(&self) -> Option<Span> {
        self.smoothed.map(|s| Span::from_nanos(s.rttvar >> FRACTION))
    }

    /// SRTT and RTTVAR, which come together.
    pub(super) fn estimate(&self) -> Option<(Span, Span)> {
        self.srtt().zip(self.rttvar())
    }

    /// The least sample of the last minutes.
    pub(super) fn min_rtt(&self) -> Option<Span> {
        self.min.get()
    }
}

/// `value` moved towards `target` by one `parts`-th of the distance.
fn towards(value: u64, target: u64, parts: u64) -> u64 {
    if target >= value {
        value + (target - value) / parts
    } else {
        value - (value - target) / parts
    }
}

/// A minimum that forgets: the least of the present half window and of the one
/// before it. It follows a path that became longer, as RFC 8985 §6.2 asks.
#[derive(Clone, Copy, Debug)]
struct WindowedMin {
    /// [`Span::MAX`] while there was no sample.
    previous: Span,
    /// As `previous`.
    current: Span,
    /// When the present half window began.
    since: Instant,
}

impl Default for WindowedMin {
    fn default() -> Self {
        Self { previous: Span::MAX, current: Span::MAX, since: Instant::ZERO }
    }
}

impl WindowedMin {
    fn add(&mut self, now: Instant, sample: Span) {
        let age = now.span_since(self.since);
        if age >= MIN_RTT_HALF_WINDOW {
            // After a silence of two halves or more nothing old is left.
            let is_next = age < MIN_RTT_HALF_WINDOW.saturating_mul(2);
            self.previous = if is_next { self.current } else { Span::MAX };
            self.current = Span::MAX;
            self.since = now;
        }
        self.current = self.current.min(sample);
    }

    fn get(&self) -> Option<Span> {
        let least = self.previous.min(self.current);
        (least < Span::MAX).then_some(least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quickcheck::quickcheck;

    const fn ms(millis: u64) -> Span {
        Span::from_millis(millis)
    }

    #[test]
    fn first_sample_sets_both() {
        let mut rtt = RttEstimator::default();
        assert_eq!(rtt.srtt(), None);
        rtt.add_sample(Instant::ZERO, ms(100), 1);
        assert_eq!(rtt.srtt(), Some(ms(100)));
        assert_eq!(rtt.rttvar(), Some(ms(50)));
    }

    #[test]
    fn rttvar_is_updated_before_srtt() {
        let mut rtt = RttEstimator::default();
        rtt.add_sample(Instant::ZERO, ms(100), 1);
        rtt.add_sample(Instant::ZERO, ms(180), 1);
        // 3/4 * 50 + 1/4 * |100 - 180|, not |110 - 180|.
        assert_eq!(rtt.rttvar(), Some(Span::from_nanos(57_500_000)));
        assert_eq!(rtt.srtt(), Some(ms(110)));
    }

    /// RFC 7323 appendix G: a flight's worth of samples weighs about as much as one.
    #[test]
    fn many_samples_a_round_trip_weigh_as_one() {
        let mut one = RttEstimator::default();
        let mut many = RttEstimator::default();
        for rtt in [&mut one, &mut many] {
            rtt.add_sample(Instant::ZERO, ms(100), 1);
        }
        one.add_sample(Instant::ZERO, ms(200), 1);
        for _ in 0..1000 {
            many.add_sample(Instant::ZERO, ms(200), 1000);
        }
        let (one, many) = (one.srtt().unwrap_or_default(), many.srtt().unwrap_or_default());
        assert!(many.saturating_add(ms(1)) > one && many < one, "{one:?} {many:?}");
    }

    #[test]
    fn a_tiny_gain_still_moves_the_estimate() {
        let mut rtt = RttEstimator::default();
        rtt.add_sample(Instant::ZERO, Span::from_nanos(100_000), 1);
        for _ in 0..1_000_000 {
            rtt.add_sample(Instant::ZERO, Span::from_nanos(101_000), 50_000);
        }
        assert!(rtt.srtt().unwrap_or_default() > Span::from_nanos(100_800));
    }

    #[test]
    fn the_minimum_is_forgotten_between_one_and_two_half_windows_later() {
        let mut rtt = RttEstimator::default();
        let at = |secs| Instant::from_secs(secs);
        rtt.add_sample(at(0), ms(10), 1);
        rtt.add_sample(at(149), ms(30), 1);
        assert_eq!(rtt.min_rtt(), Some(ms(10)));
        rtt.add_sample(at(150), ms(30), 1);
        assert_eq!(rtt.min_rtt(), Some(ms(10)));
        rtt.add_sample(at(300), ms(40), 1);
        assert_eq!(rtt.min_rtt(), Some(ms(30)));
        rtt.add_sample(at(900), ms(50), 1);
        assert_eq!(rtt.min_rtt(), Some(ms(50)));
    }

    #[test]
    fn coarse_samples_leave_the_minimum_alone() {
        let mut rtt = RttEstimator::default();
        rtt.add_sample(Instant::ZERO, ms(10), 1);
        rtt.add_coarse_sample(Span::ZERO, 1);
        assert_eq!(rtt.min_rtt(), Some(ms(10)));
        assert!(rtt.srtt() < Some(ms(10)));
    }

    #[test]
    fn a_clock_that_stood_still_measures_no_minimum() {
        let mut rtt = RttEstimator::default();
        rtt.add_sample(Instant::ZERO, Span::ZERO, 1);
        assert_eq!((rtt.srtt(), rtt.min_rtt()), (Some(Span::ZERO), None));
        rtt.add_sample(Instant::ZERO, ms(10), 1);
        rtt.add_sample(Instant::ZERO, Span::ZERO, 1);
        assert_eq!(rtt.min_rtt(), Some(ms(10)));
    }

    quickcheck! {
        fn estimate_stays_within_the_samples(samples: Vec<(u64, u64)>) -> bool {
            let mut rtt = RttEstimator::default();
            for (now, (sample, expected)) in samples.iter().enumerate() {
                let now = Instant::from_secs(now as u64 * 60);
                rtt.add_sample(now, Span::from_nanos(*sample), *expected);
            }
            let all = samples.iter().map(|(sample, _)| (*sample).min(MAX_SAMPLE.as_nanos()));
            match (all.clone().min(), all.max(), rtt.srtt()) {
                (Some(min), Some(max), Some(srtt)) => {
                    (min..=max).contains(&srtt.as_nanos())
                        && rtt.min_rtt().is_some() == (max > 0)
                }
                _ => samples.is_empty(),
            }
        }
    }
}
