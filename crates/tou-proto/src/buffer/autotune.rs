//! How large the receive buffer may be: dynamic right-sizing of the receive window
//! (RFC 9293 §3.8.6 leaves its size to the receiver, RFC 7323 §2 lets it be large).
//!
//! It must not know the buffer, the window on the wire, or who measures the round trip.
//!
//! # The rule
//!
//! A window of W bytes lets W bytes through a round trip at best, so it must lead what the
//! path and the user could make use of, and need not be larger. What they make use of is
//! seen at the one place where both show: in what the user reads within a round trip.
//!
//! ```text
//! limit = max(limit, 4 * bytes read in the present round trip)
//! ```
//!
//! Why four. A sender in slow start doubles its rate every round trip (RFC 5681 §3.1). Let
//! the rate at which bytes arrive and are read be 2^t, with t in round trips. A limit that
//! is announced at t bounds what arrives from t to t + 1, in proportion 2^t. Round trips are
//! counted one after the other; the present one began at a, so what is known at t is the
//! larger of what was read since a, 2^t - 2^a, and of what was read in the one before,
//! 2^(a-1). Their maximum is least, compared with 2^t, where they are equal: a third of it.
//! A factor of three is thus never in a sender's way, as long as the user reads at once;
//! four leaves a third more for one that does not. In a steady flow it leaves room for three
//! more round trips of data behind a hole, while it is being filled.
//!
//! The limit grows on a part of a round trip already, because what is read later can only
//! add to it. A user who reads slowly reads little in a round trip, and the limit stays. It
//! never falls: a window must not shrink (RFC 9293 SHLD-14), and a limit that is not used
//! costs nothing.

use crate::time::{Instant, Span};

/// How many times the bytes read in a round trip may be buffered; see above.
const LEAD: u64 = 4;

/// Grows the limit of a receive buffer as long as the user reads a good part of it within
/// a round trip.
#[derive(Debug, Clone)]
pub(crate) struct RecvAutotune {
    limit: u64,
    max: u64,
    /// When the present round trip began, and the bytes read since; `None` until the first
    /// read after a round-trip time is known.
    round: Option<(Instant, u64)>,
}

impl RecvAutotune {
    /// Starts at `initial` bytes and never exceeds `max`. (`initial == max` switches it off.)
    /// `initial` should hold what comes before anything is known: two initial windows
    /// (RFC 6928) at least.
    pub(crate) fn new(initial: u64, max: u64) -> Self {
        Self { limit: initial.min(max), max, round: None }
    }

    /// The receive buffer's present limit in bytes: what may be held unread. Never falls,
    /// never exceeds the maximum.
    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    /// Notes that the user read `bytes`. `rtt`: the best estimate of the path's round trip as
    /// seen by the receiver. While it is `None` nothing is measured and the limit stays, so
    /// the handshake's is better than none.
    pub(crate) fn on_read(&mut self, now: Instant, bytes: u64, rtt: Option<Span>) {
        let Some(rtt) = rtt else { return };
        let (start, before) = match self.round {
            Some((start, read)) if now.span_since(start) < rtt => (start, read),
            _ => (now, 0),
        };
        let read = before.saturating_add(bytes);
        self.round = Some((start, read));
        self.limit = read.saturating_mul(LEAD).min(self.max).max(self.limit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    const RTT: Span = Span::from_millis(40);
    const INITIAL: u64 = 64 * 1024;
    const MAX: u64 = 64 * 1024 * 1024;

    fn at(round: u64, part: u64) -> Instant {
        Instant::from_micros(40_000 * round + 40 * part)
    }

    #[test]
    fn slow_start_is_never_limited_by_the_window() {
        // A thousand arrivals a round trip, growing by a thousandth of a doubling each, and
        // rounds that begin anywhere.
        for phase in [0, 1, 250, 415, 585, 999] {
            let mut tune = RecvAutotune::new(INITIAL, MAX);
            let mut flight = 14_400.0_f64;
            let mut now = Instant::from_secs(1);
            // One lone read shifts the counted rounds against the sender's.
            tune.on_read(now, 1, Some(RTT));
            now = now + Duration::from_micros(40 * phase);
            while flight < MAX as f64 {
                let needed = flight;
                assert!(tune.limit() as f64 >= needed, "{} < {needed}", tune.limit());
                // What arrives in a thousandth of a round trip, when `flight` does in one.
                let arrival = flight / 1000.0 * core::f64::consts::LN_2;
                tune.on_read(now, arrival as u64, Some(RTT));
                flight *= 2.0_f64.powf(0.001);
                now = now + Duration::from_micros(40);
            }
        }
    }

    #[test]
    fn slow_reader_keeps_its_limit() {
        let mut tune = RecvAutotune::new(INITIAL, MAX);
        for round in 0..1000 {
            for part in 0..4 {
                tune.on_read(at(round, part), INITIAL / 16, Some(RTT));
            }
        }
        assert_eq!(tune.limit(), INITIAL);
    }

    #[test]
    fn steady_reader_gets_four_round_trips() {
        let mut tune = RecvAutotune::new(INITIAL, MAX);
        for round in 0..100 {
            for part in 0..100 {
                tune.on_read(at(round, 10 * part), 1_000, Some(RTT));
            }
        }
        assert_eq!(tune.limit(), 400_000);
    }

    #[test]
    fn reading_less_later_changes_nothing() {
        let mut tune = RecvAutotune::new(INITIAL, MAX);
        tune.on_read(at(0, 0), 100_000, Some(RTT));
        tune.on_read(at(5, 0), 10, Some(RTT));
        tune.on_read(at(9, 0), 99_999, Some(RTT));
        assert_eq!(tune.limit(), 400_000);
    }

    #[test]
    fn a_pause_begins_a_new_round() {
        let mut tune = RecvAutotune::new(INITIAL, MAX);
        tune.on_read(at(0, 0), 50_000, Some(RTT));
        tune.on_read(at(100, 0), 50_000, Some(RTT));
        assert_eq!(tune.limit(), 200_000);
    }

    #[test]
    fn unknown_round_trip_measures_nothing() {
        let mut tune = RecvAutotune::new(INITIAL, MAX);
        tune.on_read(at(0, 0), MAX, None);
        assert_eq!(tune.limit(), INITIAL);
        tune.on_read(at(0, 1), INITIAL, Some(RTT));
        assert_eq!(tune.limit(), 4 * INITIAL);
    }

    #[test]
    fn limit_stays_within_the_maximum() {
        let mut tune = RecvAutotune::new(INITIAL, MAX);
        tune.on_read(at(0, 0), u64::MAX, Some(RTT));
        tune.on_read(at(0, 1), u64::MAX, Some(RTT));
        assert_eq!(tune.limit(), MAX);
        assert_eq!(RecvAutotune::new(10, 5).limit(), 5);
    }

    #[test]
    fn clock_that_stands_still_or_goes_back_is_harmless() {
        let mut tune = RecvAutotune::new(INITIAL, MAX);
        tune.on_read(at(5, 0), 20_000, Some(RTT));
        tune.on_read(at(4, 0), 20_000, Some(RTT));
        assert_eq!(tune.limit(), 160_000);
        tune.on_read(at(4, 0), 20_000, Some(Span::ZERO));
        assert_eq!(tune.limit(), 160_000);
    }
}
