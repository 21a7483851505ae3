//! HyStart++ (RFC 9406): leaving the initial slow start when round trips grow, before loss.
//!
//! Watches round-trip samples, round by round, and says at what pace the window may open. Must
//! not know the window. A controller asks it only in the initial slow start (RFC 9406 §4.2)
//! and runs plain slow start later.
//!
//! `L`, the limit on growth by one acknowledgment, is in `limits.rs`: plain slow start has it too.

use core::time::Duration;

use super::AckEvent;

/// Bounds of the rise in delay that counts, in microseconds (RFC 9406 §4.3).
const MIN_RTT_THRESH: u32 = 4_000;
const MAX_RTT_THRESH: u32 = 16_000;
/// The rise that counts, as a fraction of the round trip, between those bounds.
const MIN_RTT_DIVISOR: u32 = 8;
/// Samples a round must have before it is judged. A round acknowledged in fewer, larger strides
/// is not judged: one sample of a large batch says little.
const N_RTT_SAMPLE: u8 = 8;
/// How much slower the window opens in conservative slow start.
const CSS_GROWTH_DIVISOR: u64 = 4;
/// Rounds of conservative slow start before it becomes congestion avoidance.
const CSS_ROUNDS: u8 = 5;
/// No sample yet: the RFC's infinity.
const NONE: u32 = u32::MAX;

/// The state of one slow start. Round trips are in microseconds, at most 71 minutes.
#[derive(Clone, Copy, Debug)]
pub(super) struct HyStart {
    /// The round ends when this position is acknowledged; zero before the first acknowledgment
    /// (no connection sends position zero: they begin above 2^32).
    window_end: u64,
    last_round_min_rtt: u32,
    current_round_min_rtt: u32,
    /// The smallest round trip of the round that ended plain slow start; `NONE` in plain slow
    /// start.
    css_baseline_min_rtt: u32,
    rtt_sample_count: u8,
    css_rounds: u8,
}

impl HyStart {
    pub(super) const fn new() -> Self {
        Self {
            window_end: 0,
            last_round_min_rtt: NONE,
            current_round_min_rtt: NONE,
            css_baseline_min_rtt: NONE,
            rtt_sample_count: 0,
            css_rounds: 0,
        }
    }

    /// By how much growth is divided now: 1, or more in conservative slow start.
    pub(super) fn growth_divisor(&self) -> u64 {
        if self.in_css() { CSS_GROWTH_DIVISOR } else { 1 }
    }

    /// Takes in an acknowledgment. True when slow start is over: the window becomes the threshold.
    pub(super) fn on_ack(&mut self, event: &AckEvent) -> bool {
        if self.window_end == 0 {
            self.window_end = event.sent_pos;
        }
        if let Some(sample) = event.rtt_sample {
            self.add_sample(sample);
        }
        // The sample of the acknowledgment that ends a round is of data sent in that round.
        event.ack_pos >= self.window_end && self.end_round(event.sent_pos)
    }

    fn in_css(&self) -> bool {
        self.css_baseline_min_rtt != NONE
    }

    /// RFC 9406 §4.2: judges the round once it has samples enough.
    fn add_sample(&mut self, sample: Duration) {
        let rtt = u32::try_from(sample.as_micros()).unwrap_or(NONE).min(NONE - 1);
        self.current_round_min_rtt = self.current_round_min_rtt.min(rtt);
        self.rtt_sample_count = self.rtt_sample_count.saturating_add(1);
        if self.rtt_sample_count < N_RTT_SAMPLE {
            return;
        }
        if self.in_css() {
            // Round trips fell again: it was jitter, back to plain slow start.
            if self.current_round_min_rtt < self.css_baseline_min_rtt {
                self.css_baseline_min_rtt = NONE;
                self.css_rounds = 0;
            }
        } else if self.last_round_min_rtt != NONE {
            let last = self.last_round_min_rtt;
            let thresh = (last / MIN_RTT_DIVISOR).clamp(MIN_RTT_THRESH, MAX_RTT_THRESH);
            if self.current_round_min_rtt >= last.saturating_add(thresh) {
                self.css_baseline_min_rtt = self.current_round_min_rtt;
            }
        }
    }

    /// Begins the next round, which ends when what is sent by now is acknowledged. True after the
    /// last round of conservative slow start; a round in whose midst it began counts.
    fn end_round(&mut self, sent_pos: u64) -> bool {
        self.window_end = sent_pos;
        self.last_round_min_rtt = self.current_round_min_rtt;
        self.current_round_min_rtt = NONE;
        self.rtt_sample_count = 0;
        if self.in_css() {
            self.css_rounds = self.css_rounds.saturating_add(1);
        }
        self.css_rounds >= CSS_ROUNDS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cc::tests::acked;

    /// A path of rounds of `SEGMENTS` acknowledgments each.
    struct Path {
        hystart: HyStart,
        pos: u64,
    }

    const SEGMENTS: u64 = 10;

    impl Path {
        fn new() -> Self {
            Self { hystart: HyStart::new(), pos: 1 << 32 }
        }

        /// One round in which the n-th acknowledgment took `rtt_us(n)`; true if slow start ended.
        fn round(&mut self, rtt_us: impl Fn(u64) -> u64) -> bool {
            let end = self.pos + SEGMENTS;
            let mut over = false;
            for n in 1..=SEGMENTS {
                self.pos += 1;
                let mut ack = acked(0, 1);
                ack.rtt_sample = Some(Duration::from_micros(rtt_us(n)));
                ack.ack_pos = self.pos;
                // Each acknowledgment lets one more segment out.
                ack.sent_pos = end + n - 1 + u64::from(n == SEGMENTS);
                over |= self.hystart.on_ack(&ack);
            }
            over
        }
    }

    #[test]
    fn rising_round_trips_end_slow_start_after_five_rounds() {
        for (base, rise) in [(10_000, 4_000), (80_000, 10_000), (400_000, 16_000)] {
            let mut path = Path::new();
            assert!(!path.round(|_| base));
            assert!(!path.round(|_| base + rise - 1), "below the threshold");
            assert!(!path.hystart.in_css());
            assert!(!path.round(|_| base));
            assert!(!path.round(|_| base + rise), "at it");
            assert_eq!(path.hystart.growth_divisor(), 4);
            for _ in 0..3 {
                assert!(!path.round(|_| base + rise));
            }
            assert!(path.round(|_| base + rise), "the fifth round, the first counted");
        }
    }

    #[test]
    fn jitter_above_a_steady_minimum_is_ignored() {
        let mut path = Path::new();
        for _ in 0..50 {
            // One acknowledgment a round is as fast as ever.
            assert!(!path.round(|n| if n == 3 { 20_000 } else { 20_000 + n * 5_000 }));
            assert_eq!(path.hystart.growth_divisor(), 1);
        }
    }

    #[test]
    fn falling_round_trips_resume_slow_start() {
        let mut path = Path::new();
        path.round(|_| 20_000);
        path.round(|_| 40_000);
        assert_eq!(path.hystart.growth_divisor(), 4);
        path.round(|_| 40_000);
        path.round(|_| 39_999);
        assert_eq!(path.hystart.growth_divisor(), 1);
        // And the count of rounds begins anew.
        path.round(|_| 60_000);
        assert_eq!((path.hystart.growth_divisor(), path.hystart.css_rounds), (4, 1));
    }

    #[test]
    fn fewer_than_eight_samples_judge_nothing() {
        let mut path = Path::new();
        path.round(|_| 20_000);
        let mut ack = acked(0, 1);
        (ack.ack_pos, ack.sent_pos) = (path.pos + 1, path.pos + 100);
        ack.rtt_sample = Some(Duration::from_millis(90));
        for _ in 0..7 {
            path.hystart.on_ack(&ack);
        }
        assert!(!path.hystart.in_css());
        // An acknowledgment without a sample is not the eighth.
        path.hystart.on_ack(&AckEvent { rtt_sample: None, ..ack });
        assert!(!path.hystart.in_css());
        path.hystart.on_ack(&ack);
        assert!(path.hystart.in_css());
    }

    #[test]
    fn first_round_is_the_first_window() {
        let mut path = Path::new();
        let mut ack = acked(0, 1);
        (ack.ack_pos, ack.sent_pos) = (path.pos + 1, path.pos + 10);
        ack.rtt_sample = Some(Duration::from_millis(20));
        path.hystart.on_ack(&ack);
        assert_eq!(path.hystart.last_round_min_rtt, NONE);
        (ack.ack_pos, ack.sent_pos) = (path.pos + 10, path.pos + 20);
        path.hystart.on_ack(&ack);
        assert_eq!(path.hystart.last_round_min_rtt, 20_000);
        assert_eq!(path.hystart.window_end, path.pos + 20);
    }

    #[test]
    fn samples_beyond_the_clock_are_not_infinity() {
        let mut path = Path::new();
        for _ in 0..20 {
            assert!(!path.round(|_| u64::MAX));
        }
        assert!(!path.hystart.in_css());
    }
}
