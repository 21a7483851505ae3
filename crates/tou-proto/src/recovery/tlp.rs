//! The tail loss probe (RFC 8985 §7).
//!
//! Knows when a probe is due and what its acknowledgment means. Must not know
//! segments, nor send anything.
//!
//! Where the RFC arms a probe timer that may then find that no probe is allowed
//! (§7.3), this arms none: the retransmission timer runs on, and is not pushed
//! back by a probe that never was. For the same reason the one-second timeout of
//! a path without a round-trip estimate never comes up.
//!
//! The RFC has one probe at a time, and none during an episode: the rest is the
//! retransmission timer's, which it takes to be a few round trips. On a short path
//! the lower bound of that timer is hundreds of them, and with few segments in
//! flight it takes two or three losses, of acknowledgments too, to wait for it. So
//! there are further probes, each after twice the time of the one before (as in
//! RFC 9002 §6.2); `timers` says when.

use core::ops::Range;

use crate::seq::StreamPos;
use crate::time::{Instant, Span};

/// A peer that was just not scheduled is no reason to probe, however short the
/// path is.
const MIN_TIMEOUT: Span = Span::from_millis(2);

/// RFC 8985's `TLP` variables.
#[derive(Debug, Default)]
pub(super) struct TailLossProbe {
    /// `TLP.end_seq`: SND.NXT when the probe that is unacknowledged was sent.
    end: Option<StreamPos>,
    /// `TLP.is_retrans`: the probe, or several there, were retransmissions, of this
    /// many bytes that are not reported as duplicates.
    retransmitted: u64,
    /// Probes since the last round-trip sample.
    unanswered: u32,
    /// What the probe timeout runs from: the last transmission or delivery, unless a
    /// probe was due since and could not be sent.
    armed_at: Option<Instant>,
}

/// What [`TailLossProbe::on_ack`] needs to know of an acknowledgment.
#[derive(Clone, Debug)]
pub(super) struct ProbeAck {
    /// The cumulative acknowledgment.
    pub(super) ack: StreamPos,
    /// What a DSACK block reported.
    pub(super) dsack: Option<Range<StreamPos>>,
    /// A duplicate acknowledgment without a SACK option.
    pub(super) bare_duplicate: bool,
}

/// TLP_calc_PTO (§7.2), and a floor for it; without its bound by the retransmission
/// timer.
pub(super) fn probe_timeout(srtt: Span, one_segment: bool, max_ack_delay: Span) -> Span {
    let delay = if one_segment { max_ack_delay } else { Span::ZERO };
    srtt.saturating_mul(2).max(MIN_TIMEOUT).saturating_add(delay)
}

impl TailLossProbe {
    /// TLP_init (§7.1): an episode begins. That probes had no answer is not forgotten.
    pub(super) fn reset(&mut self) {
        self.end = None;
        self.retransmitted = 0;
    }

    /// A round-trip sample was taken: the path is as the estimate says.
    pub(super) fn on_sample(&mut self) {
        self.unanswered = 0;
    }

    /// Something was sent or delivered: the timeout starts over (§7.2).
    pub(super) fn arm(&mut self, now: Instant) {
        self.armed_at = Some(now);
    }

    /// A probe is due, whether or not one can be sent: until the next [`arm`]
    /// the retransmission timer takes over (§7.3).
    ///
    /// [`arm`]: Self::arm
    pub(super) fn disarm(&mut self) {
        self.armed_at = None;
    }

    /// When a probe is due, after the `timeout` for the first one: twice as long for
    /// each that gave no sample. The caller bounds it by the retransmission timer.
    pub(super) fn deadline(&self, timeout: Span) -> Option<Instant> {
        let factor = 1_u64.checked_shl(self.unanswered).unwrap_or(u64::MAX);
        Some(self.armed_at? + timeout.saturating_mul(factor))
    }

    /// A probe was sent.
    pub(super) fn on_sent(&mut self, now: Instant) {
        self.unanswered = self.unanswered.saturating_add(1);
        self.arm(now);
    }

    /// It was sent outside an episode, as a retransmission of `retransmitted` bytes or
    /// as new data (0); `end` is SND.NXT (§7.3).
    pub(super) fn await_verdict(&mut self, end: StreamPos, retransmitted: u64) {
        if self.end == Some(end) {
            self.retransmitted += retransmitted;
        } else if retransmitted > 0 || self.retransmitted() == 0 {
            self.end = Some(end);
            self.retransmitted = retransmitted;
        }
    }

    /// The two conditions of §7.3: no probe is in flight, and a round-trip sample was
    /// taken since the last one.
    pub(super) fn is_answered(&self) -> bool {
        self.end.is_none() && self.has_sample()
    }

    /// A round-trip sample was taken since the last probe, or there was none.
    pub(super) fn has_sample(&self) -> bool {
        self.unanswered == 0
    }

    /// Bytes that an unacknowledged probe sent again.
    pub(super) fn retransmitted(&self) -> u64 {
        self.end.map_or(0, |_| self.retransmitted)
    }

    /// TLP_process_ack (§7.4.2). Returns whether a probe repaired a loss.
    pub(super) fn on_ack(&mut self, ack: &ProbeAck) -> bool {
        let Some(end) = self.end.filter(|end| ack.ack >= *end) else { return false };
        if let Some(dsack) = ack.dsack.as_ref().filter(|dsack| dsack.end == end) {
            // Case 1: the original arrived too, if each of several probes is reported.
            let reported = dsack.end.since(dsack.start);
            self.retransmitted = self.retransmitted.saturating_sub(reported);
        } else if ack.bare_duplicate {
            // Case 2: so does a peer without DSACK say that the original arrived.
            self.retransmitted = 0;
        }
        if self.retransmitted == 0 {
            // Or the probe was new data, and is delivered.
            self.end = None;
        } else if ack.ack > end {
            // Nothing spoke for the original.
            self.end = None;
            return true;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(position: u64) -> StreamPos {
        StreamPos::from_raw(position)
    }

    fn ms(millis: u64) -> Span {
        Span::from_millis(millis)
    }

    fn ack(ack: u64) -> ProbeAck {
        ProbeAck { ack: at(ack), dsack: None, bare_duplicate: false }
    }

    fn duplicate(start: u64, end: u64) -> ProbeAck {
        ProbeAck { dsack: Some(at(start)..at(end)), ..ack(1000) }
    }

    /// A probe that retransmitted the last segment before position 1000.
    fn probed() -> TailLossProbe {
        let mut tlp = TailLossProbe::default();
        tlp.on_sent(Instant::ZERO);
        tlp.await_verdict(at(1000), 100);
        tlp
    }

    #[test]
    fn timeout_is_two_round_trips_and_the_delay_for_one_segment() {
        assert_eq!(probe_timeout(ms(50), false, ms(200)), ms(100));
        assert_eq!(probe_timeout(ms(50), true, ms(200)), ms(300));
        assert_eq!(probe_timeout(Span::ZERO, false, ms(200)), MIN_TIMEOUT);
    }

    #[test]
    fn each_probe_without_a_sample_waits_twice_as_long_as_the_one_before() {
        let mut tlp = TailLossProbe::default();
        tlp.arm(Instant::ZERO);
        for probe in [100, 300, 700, 1500] {
            let probe = Instant::from_millis(probe);
            assert_eq!(tlp.deadline(ms(100)), Some(probe));
            tlp.on_sent(probe);
            assert!(!tlp.has_sample());
        }
        tlp.on_sample();
        tlp.arm(Instant::from_secs(2));
        assert_eq!(tlp.deadline(ms(100)), Some(Instant::from_millis(2100)));
        for _ in 0..100 {
            tlp.on_sent(Instant::ZERO);
        }
        assert!(tlp.deadline(ms(100)) > Some(Instant::from_secs(1_000_000)));
        tlp.disarm();
        assert_eq!(tlp.deadline(ms(100)), None);
    }

    #[test]
    fn a_probe_is_answered_by_a_sample_and_its_acknowledgment() {
        let mut tlp = TailLossProbe::default();
        assert!(tlp.is_answered());
        tlp.on_sent(Instant::ZERO);
        tlp.await_verdict(at(1000), 0);
        tlp.on_sample();
        assert!(tlp.has_sample() && !tlp.is_answered());
        tlp.on_ack(&ack(1000));
        assert!(tlp.is_answered());
        tlp.on_sent(Instant::ZERO);
        assert!(!tlp.is_answered());
    }

    #[test]
    fn acknowledgment_beyond_a_retransmitted_probe_means_it_repaired_a_loss() {
        let mut tlp = probed();
        assert!(!tlp.on_ack(&ack(900)));
        assert!(!tlp.on_ack(&ack(1000)));
        assert!(tlp.on_ack(&ack(1100)));
        assert!(!tlp.on_ack(&ack(1200)), "once");
    }

    /// Case 1.
    #[test]
    fn a_matching_dsack_means_that_nothing_was_lost() {
        let mut tlp = probed();
        assert!(!tlp.on_ack(&duplicate(0, 100)));
        assert_eq!(tlp.retransmitted(), 100);
        assert!(!tlp.on_ack(&duplicate(900, 1000)));
        assert_eq!(tlp.retransmitted(), 0);
        assert!(!tlp.on_ack(&ack(1100)));
    }

    #[test]
    fn of_two_probes_both_must_be_reported_or_one_repaired_a_loss() {
        for (reported, repaired) in [(1, true), (2, false)] {
            let mut tlp = probed();
            tlp.await_verdict(at(1000), 100);
            assert_eq!(tlp.retransmitted(), 200);
            for _ in 0..reported {
                assert!(!tlp.on_ack(&duplicate(900, 1000)));
            }
            assert_eq!(tlp.on_ack(&ack(1100)), repaired);
        }
    }

    /// Case 2.
    #[test]
    fn a_bare_duplicate_means_that_nothing_was_lost() {
        let mut tlp = probed();
        assert!(!tlp.on_ack(&ProbeAck { bare_duplicate: true, ..ack(1000) }));
        assert!(!tlp.on_ack(&ack(1100)));
    }

    #[test]
    fn a_probe_of_new_data_repairs_nothing() {
        let mut tlp = TailLossProbe::default();
        tlp.await_verdict(at(1000), 0);
        assert!(!tlp.on_ack(&ack(1100)));
        assert_eq!(tlp.retransmitted(), 0);
    }

    #[test]
    fn a_probe_of_new_data_leaves_the_one_before_it_to_be_judged() {
        let mut tlp = probed();
        tlp.await_verdict(at(1100), 0);
        assert_eq!(tlp.retransmitted(), 100);
        assert!(tlp.on_ack(&ack(1100)));
    }

    #[test]
    fn an_episode_forgets_what_a_probe_may_have_repaired() {
        let mut tlp = probed();
        tlp.reset();
        assert!(!tlp.on_ack(&ack(1100)));
        assert!(!tlp.has_sample());
    }
}
