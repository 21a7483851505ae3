//! Reno (RFC 5681): slow start, additive increase, halving.
//!
//! Must not know how lost data is repaired: fast recovery belongs to the connection (RFC 9937).

use super::limits::{Limits, climb, credit};
use super::{AckEvent, CongestionEvent, Controller, PathFacts, RtoEvent};
use crate::time::Instant;

/// Reno (RFC 5681), counting bytes rather than acknowledgments (RFC 3465).
///
/// One segment a round trip more while all is well, half the window after a loss. An
/// acknowledgment of data that the application or the peer's window limited grows nothing: a
/// window that was not used says nothing about the path (RFC 7661 §4.3).
#[derive(Clone, Debug)]
pub struct Reno {
    limits: Limits,
    cwnd: u64,
    ssthresh: u64,
    /// Bytes acknowledged in congestion avoidance since the window last grew (RFC 3465 §2.1).
    bytes_acked: u64,
    undo: Option<Undo>,
}

/// A window is kept with every connection: 64 bytes hold it.
const _: () = assert!(size_of::<Reno>() <= 64);

/// The window before the last reduction.
#[derive(Clone, Copy, Debug)]
struct Undo {
    cwnd: u64,
    ssthresh: u64,
}

impl Reno {
    /// A controller for a new connection: the initial window, and no threshold yet
    /// (RFC 5681 §3.1: "arbitrarily high").
    #[must_use]
    pub fn new(facts: &PathFacts) -> Self {
        let limits = Limits::new(facts);
        let cwnd = limits.initial_window();
        Self { limits, cwnd, ssthresh: u64::MAX, bytes_acked: 0, undo: None }
    }

    /// Congestion avoidance: one segment for each window of bytes acknowledged (RFC 3465 §2.1),
    /// and no more than that for one acknowledgment.
    fn avoid(&mut self, acked: u64) {
        self.bytes_acked = self.bytes_acked.saturating_add(acked).min(self.cwnd.saturating_mul(2));
        if self.bytes_acked >= self.cwnd {
            self.bytes_acked -= self.cwnd;
            self.cwnd = self.cwnd.saturating_add(self.limits.mss());
        }
    }
}

impl Controller for Reno {
    fn on_ack(&mut self, event: &AckEvent) {
        self.limits.note_round_trip(event);
        if event.in_recovery || event.app_limited {
            return;
        }
        let acked = if self.cwnd < self.ssthresh {
            let credit = self.limits.slow_start_credit(event, self.ssthresh);
            climb(&mut self.cwnd, self.ssthresh, credit)
        } else {
            credit(event)
        };
        if acked > 0 {
            self.avoid(acked);
        }
    }

    fn on_congestion(&mut self, event: &CongestionEvent) {
        let before = Undo { cwnd: self.cwnd, ssthresh: self.ssthresh };
        // An ECN mark is what it is: no later report can take it back.
        self.undo = (!event.ecn).then_some(before);
        // RFC 5681 §3.1 equation (4) takes FlightSize, which a window that was not used does not
        // inflate. After a timeout it is the other way about: what is outstanding was sent under
        // a window long gone.
        let half = event.flight_size.min(self.cwnd) / 2;
        self.ssthresh = half.max(self.limits.min_ssthresh());
        // RFC 3168 §6.1.2: marks can bring the window down to one segment, losses to two.
        self.cwnd = if event.ecn { half.max(self.limits.mss()) } else { self.ssthresh };
        self.bytes_acked = 0;
    }

    fn on_rto(&mut self, event: &RtoEvent) {
        if event.first {
            self.undo = Some(Undo { cwnd: self.cwnd, ssthresh: self.ssthresh });
            self.ssthresh = (event.flight_size / 2).max(self.limits.min_ssthresh());
        }
        // RFC 5681 §3.1: the loss window is one segment.
        self.cwnd = self.limits.mss();
        self.bytes_acked = 0;
    }

    fn on_spurious(&mut self, _now: Instant) {
        // A window that has outgrown the old one meanwhile is better evidence (RFC 9438 §4.9.2
        // says the same of CUBIC).
        if let Some(before) = self.undo.take()
            && self.cwnd < before.cwnd
        {
            self.cwnd = before.cwnd.max(self.limits.mss());
            self.ssthresh = before.ssthresh.max(self.limits.min_ssthresh());
            self.bytes_acked = 0;
        }
    }

    fn on_idle(&mut self, _now: Instant) {
        if let Some((cwnd, ssthresh)) = self.limits.after_idle(self.cwnd, self.ssthresh) {
            (self.cwnd, self.ssthresh) = (cwnd, ssthresh);
            self.bytes_acked = 0;
            self.undo = None;
        }
    }

    fn on_mss(&mut self, mss: u64) {
        self.limits.set_mss(mss);
        self.cwnd = self.cwnd.max(self.limits.mss());
        self.ssthresh = self.ssthresh.max(self.limits.min_ssthresh());
    }

    fn cwnd(&self) -> u64 {
        self.cwnd
    }

    fn ssthresh(&self) -> u64 {
        self.ssthresh
    }

    fn pacing_rate(&self) -> Option<u64> {
        self.limits.pacing_rate(self.cwnd, self.ssthresh)
    }

    fn name(&self) -> &'static str {
        "reno"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cc::tests::{MSS, acked, at, loss, rto};

    fn reno(segments: u64) -> Reno {
        Reno::new(&PathFacts::new(MSS, segments * MSS))
    }

    /// Out of slow start, with a window of `segments`.
    fn avoiding(segments: u64) -> Reno {
        let mut reno = reno(2 * segments);
        reno.on_congestion(&loss(0, 2 * segments));
        assert_eq!((reno.cwnd, reno.ssthresh), (segments * MSS, segments * MSS));
        reno
    }

    #[test]
    fn slow_start_doubles_the_window_each_round() {
        let mut reno = reno(10);
        for _ in 0..10 {
            reno.on_ack(&acked(0, MSS));
        }
        assert_eq!(reno.cwnd, 20 * MSS);
    }

    #[test]
    fn one_ack_opens_by_a_batch_at_most_unless_paced() {
        let mut unpaced = reno(10);
        unpaced.on_ack(&acked(0, 44 * MSS));
        assert_eq!(unpaced.cwnd, 54 * MSS, "all of a batch");
        let ack = acked(0, 100 * MSS);
        unpaced.on_ack(&ack);
        assert_eq!(unpaced.cwnd, 54 * MSS + 65_536);
        // Of segments that are large themselves, eight.
        let mut large = Reno::new(&PathFacts::new(20_000, 200_000));
        large.on_ack(&acked(0, 200_000));
        assert_eq!(large.cwnd, 360_000);

        let mut paced = Reno::new(&PathFacts::new(MSS, 10 * MSS).with_pacing(true));
        paced.on_ack(&ack);
        assert_eq!(paced.cwnd, 110 * MSS);
        // Pacing or not, after a timeout one acknowledgment can cover what left long ago.
        paced.on_rto(&rto(0, 110));
        paced.on_ack(&ack);
        assert_eq!(paced.cwnd, MSS + 65_536);
        let repair = AckEvent { after_timeout: true, ..ack };
        paced.on_rto(&rto(0, 110));
        paced.on_ack(&repair);
        assert_eq!(paced.cwnd, 2 * MSS);
    }

    #[test]
    fn what_duplicates_reported_counts_once_acknowledged_but_not_after_a_recovery() {
        let duplicate = AckEvent { acked: 0, ..acked(0, 9 * MSS) };
        let late = AckEvent { delivered: MSS, ..acked(0, 10 * MSS) };
        for (after_recovery, cwnd) in [(false, 20), (true, 11)] {
            let mut reno = reno(10);
            reno.on_ack(&AckEvent { after_recovery, ..duplicate });
            assert_eq!(reno.cwnd, 10 * MSS);
            reno.on_ack(&AckEvent { after_recovery, ..late });
            assert_eq!(reno.cwnd, cwnd * MSS);
        }
    }

    #[test]
    fn avoidance_adds_one_segment_a_window() {
        let mut reno = avoiding(10);
        for _ in 0..9 {
            reno.on_ack(&acked(0, MSS));
        }
        assert_eq!(reno.cwnd, 10 * MSS);
        reno.on_ack(&acked(0, MSS));
        assert_eq!(reno.cwnd, 11 * MSS);
        // What is acknowledged beyond a window counts for the next.
        reno.on_ack(&acked(0, 6 * MSS));
        reno.on_ack(&acked(0, 6 * MSS));
        assert_eq!((reno.cwnd, reno.bytes_acked), (12 * MSS, MSS));
        reno.on_ack(&acked(0, u64::MAX));
        assert_eq!(reno.cwnd, 13 * MSS, "one segment, however much is acknowledged");
    }

    #[test]
    fn crossing_the_threshold_leaves_the_rest_to_avoidance() {
        let mut reno = avoiding(4);
        reno.on_rto(&rto(0, 8));
        reno.on_ack(&acked(0, 7 * MSS));
        assert_eq!((reno.cwnd, reno.bytes_acked), (5 * MSS, 0), "3 to the threshold, then 4 in it");
    }

    #[test]
    fn reduction_takes_flight_size_and_keeps_two_segments() {
        let mut reno = reno(20);
        reno.on_congestion(&loss(0, 12));
        assert_eq!((reno.cwnd, reno.ssthresh), (6 * MSS, 6 * MSS));
        reno.on_congestion(&loss(0, 100));
        assert_eq!(reno.cwnd, 3 * MSS, "outstanding from a larger window");
        reno.on_congestion(&loss(0, 1));
        assert_eq!((reno.cwnd, reno.ssthresh), (2 * MSS, 2 * MSS));
    }

    #[test]
    fn ecn_marks_go_down_to_one_segment() {
        let mut reno = reno(2);
        let mut mark = loss(0, 2);
        mark.ecn = true;
        reno.on_congestion(&mark);
        assert_eq!((reno.cwnd, reno.ssthresh), (MSS, 2 * MSS));
        reno.on_congestion(&mark);
        assert_eq!((reno.cwnd, reno.ssthresh), (MSS, 2 * MSS));
        reno.on_spurious(at(1));
        assert_eq!(reno.cwnd, MSS, "a mark is never spurious");
    }

    #[test]
    fn later_timeouts_leave_the_threshold_alone() {
        let mut reno = reno(20);
        reno.on_rto(&rto(0, 20));
        assert_eq!((reno.cwnd, reno.ssthresh), (MSS, 10 * MSS));
        let mut again = rto(1, 1);
        again.first = false;
        reno.on_rto(&again);
        assert_eq!((reno.cwnd, reno.ssthresh), (MSS, 10 * MSS));
        reno.on_spurious(at(2));
        assert_eq!((reno.cwnd, reno.ssthresh), (20 * MSS, u64::MAX));
    }

    #[test]
    fn undo_restores_once_and_not_below_what_has_grown() {
        let mut reno = avoiding(10);
        reno.on_congestion(&loss(0, 10));
        reno.on_spurious(at(1));
        assert_eq!((reno.cwnd, reno.ssthresh), (10 * MSS, 10 * MSS));
        reno.on_congestion(&loss(0, 10));
        reno.cwnd = 11 * MSS;
        reno.on_spurious(at(1));
        assert_eq!((reno.cwnd, reno.ssthresh), (11 * MSS, 5 * MSS));
        reno.cwnd = 3 * MSS;
        reno.on_spurious(at(1));
        assert_eq!(reno.cwnd, 3 * MSS, "nothing left to undo");
    }

    #[test]
    fn idle_restarts_from_the_initial_window_towards_the_old_one() {
        let mut reno = reno(10);
        reno.on_idle(at(0));
        assert_eq!((reno.cwnd, reno.ssthresh), (10 * MSS, u64::MAX));
        reno.cwnd = 100 * MSS;
        reno.ssthresh = 50 * MSS;
        reno.on_idle(at(0));
        assert_eq!((reno.cwnd, reno.ssthresh), (10 * MSS, 75 * MSS));
        reno.cwnd = 4 * MSS;
        reno.on_idle(at(0));
        assert_eq!((reno.cwnd, reno.ssthresh), (4 * MSS, 75 * MSS));
    }
}
