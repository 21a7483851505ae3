//! The tail loss probe (RFC 8985 §7).
//!
//! Knows when a probe is due and what its acknowledgment means. Must not know
//! segments, nor send anything.
//!
//! Where the RFC arms a probe timer that may then find that no probe is allowed
//! (§7.3), this arms none: the retransmission timer runs on, and is not pushed
//! back by a probe that never was. For the same reason the one-second timeout of
//! a path without a round-trip estimate never comes up.

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
    /// `TLP.is_retrans`: the probe was a retransmission, of this many bytes.
    retransmitted: u64,
    /// A round-trip sample was taken since the last probe, or since the start.
    sampled: bool,
    /// What the probe timeout runs from: the last transmission of new data or
    /// acknowledgment of it, unless a probe was due since.
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

impl TailLossProbe {
    /// TLP_init (§7.1): an episode begins.
    pub(super) fn reset(&mut self) {
        self.end = None;
        self.retransmitted = 0;
    }

    /// A round-trip sample was taken.
    pub(super) fn on_sample(&mut self) {
        self.sampled = true;
    }

    /// New data was sent or acknowledged: the timeout starts over (§7.2).
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

    /// When a probe is due, if one is allowed: TLP_calc_PTO (§7.2, and a floor for
    /// it) and the two conditions of §7.3. The caller bounds it by the retransmission timer.
    pub(super) fn deadline(
        &self,
        srtt: Option<Span>,
        one_segment: bool,
        max_ack_delay: Span,
    ) -> Option<Instant> {
        if self.end.is_some() || !self.sampled {
            return None;
        }
        let delay = if one_segment { max_ack_delay } else { Span::ZERO };
        let timeout = srtt?.saturating_mul(2).max(MIN_TIMEOUT).saturating_add(delay);
        Some(self.armed_at? + timeout)
    }

    /// A probe was sent, as a retransmission of `retransmitted` bytes or as new
    /// data (0); `end` is SND.NXT (§7.3).
    pub(super) fn on_sent(&mut self, end: StreamPos, retransmitted: u64) {
        self.end = Some(end);
        self.retransmitted = retransmitted;
        self.sampled = false;
        self.disarm();
    }

    /// Bytes that an unacknowledged probe sent again.
    pub(super) fn retransmitted(&self) -> u64 {
        self.end.map_or(0, |_| self.retransmitted)
    }

    /// TLP_process_ack (§7.4.2). Returns whether the probe repaired a loss.
    pub(super) fn on_ack(&mut self, ack: &ProbeAck) -> bool {
        let Some(end) = self.end.filter(|end| ack.ack >= *end) else { return false };
        if self.retransmitted == 0 {
            // The probe was new data, and is delivered.
            self.end = None;
        } else if ack.dsack.as_ref().is_some_and(|dsack| dsack.end == end) {
            // Case 1: the original arrived too.
            self.end = None;
        } else if ack.ack > end {
            // Nothing spoke for the original.
            self.end = None;
            return true;
        } else if ack.bare_duplicate {
            // Case 2: so does a peer without DSACK say that the original arrived.
            self.end = None;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Span = Span::from_millis(200);

    fn at(position: u64) -> StreamPos {
        StreamPos::from_raw(position)
    }

    fn ms(millis: u64) -> Span {
        Span::from_millis(millis)
    }

    fn ack(ack: u64) -> ProbeAck {
        ProbeAck { ack: at(ack), dsack: None, bare_duplicate: false }
    }

    /// A probe that retransmitted the last segment before position 1000.
    fn probed() -> TailLossProbe {
        let mut tlp = TailLossProbe::default();
        tlp.on_sample();
        tlp.on_sent(at(1000), 100);
        tlp
    }

    #[test]
    fn timeout_is_two_round_trips_and_the_delay_for_one_segment() {
        let mut tlp = TailLossProbe::default();
        tlp.on_sample();
        tlp.arm(Instant::from_secs(1));
        let due = |one| tlp.deadline(Some(ms(50)), one, DELAY);
        assert_eq!(due(false), Some(Instant::from_millis(1100)));
        assert_eq!(due(true), Some(Instant::from_millis(1300)));
    }

    #[test]
    fn no_probe_without_a_sample_since_the_last_one() {
        let mut tlp = TailLossProbe::default();
        tlp.arm(Instant::ZERO);
        assert_eq!(tlp.deadline(Some(ms(50)), false, DELAY), None);
        tlp = probed();
        assert!(!tlp.on_ack(&ProbeAck { bare_duplicate: true, ..ack(1000) }));
        tlp.arm(Instant::ZERO);
        assert_eq!(tlp.deadline(Some(ms(50)), false, DELAY), None);
        tlp.on_sample();
        assert!(tlp.deadline(Some(ms(50)), false, DELAY).is_some());
    }

    #[test]
    fn one_probe_at_a_time() {
        let mut tlp = probed();
        tlp.on_sample();
        tlp.arm(Instant::ZERO);
        assert_eq!(tlp.deadline(Some(ms(50)), false, DELAY), None);
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
        let other = ProbeAck { dsack: Some(at(0)..at(100)), ..ack(1000) };
        assert!(!tlp.on_ack(&other));
        assert_eq!(tlp.retransmitted(), 100);
        assert!(!tlp.on_ack(&ProbeAck { dsack: Some(at(900)..at(1000)), ..ack(1000) }));
        assert_eq!(tlp.retransmitted(), 0);
        assert!(!tlp.on_ack(&ack(1100)));
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
        tlp.on_sent(at(1000), 0);
        assert!(!tlp.on_ack(&ack(1100)));
        assert_eq!(tlp.retransmitted(), 0);
    }

    #[test]
    fn an_episode_forgets_the_probe() {
        let mut tlp = probed();
        tlp.reset();
        assert!(!tlp.on_ack(&ack(1100)));
    }
}
