//! What the clock does: which timer is armed, and what its expiry means.
//!
//! There is one deadline at a time (RFC 8985 §8): the reordering timer while RACK
//! waits, else the probe timer if a probe is allowed, else the retransmission
//! timer; neither of the first two is later than the last. Nothing is armed or
//! cancelled: the deadline follows from the state.

use super::tlp::probe_timeout;
use super::{Phase, Recovery, RecoveryTimer, SentSegment, TimerOutcome};
use crate::time::Instant;

impl Recovery {
    /// The armed timer and its deadline; `None` when nothing is outstanding.
    pub(crate) fn timer(&self) -> Option<(Instant, RecoveryTimer)> {
        if self.board.queue.is_empty() {
            return None;
        }
        let rto = self.rto.deadline();
        if let Some(deadline) = self.rack.deadline() {
            // A round trip measured across a long silence must not put off the
            // last resort.
            return Some(if deadline <= rto {
                (deadline, RecoveryTimer::Reorder)
            } else {
                (rto, RecoveryTimer::Rto)
            });
        }
        match self.probe_deadline(rto) {
            Some(probe) => Some((probe, RecoveryTimer::Tlp)),
            None => Some((rto, RecoveryTimer::Rto)),
        }
    }

    /// When the armed timer expires; never when nothing is outstanding.
    pub(crate) fn deadline(&self) -> Instant {
        self.timer().map_or(Instant::NEVER, |(deadline, _)| deadline)
    }

    /// When a probe is due, given when the retransmission timer is.
    ///
    /// The first is RFC 8985 §7.2's: outside an episode, nothing SACKed, the one before
    /// it answered. Others only help if there is time for an answer: where the lower
    /// bound of the timer is many round trips. There are none while a timeout is repaired,
    /// which they did not avert: F-RTO has its own use for what is sent then.
    fn probe_deadline(&self, rto: Instant) -> Option<Instant> {
        let srtt = self.rtt.srtt().filter(|_| self.sack)?;
        let queue = &self.board.queue;
        let timeout = probe_timeout(srtt, queue.len() == 1, self.max_ack_delay);
        let probe = self.tlp.deadline(timeout)?;
        if self.phase.is_open() && queue.sacked_segments() == 0 && self.tlp.is_answered() {
            // Never later than the retransmission timer.
            return Some(probe.min(rto));
        }
        let after_timeout = matches!(self.phase, Phase::Timeout { .. });
        (!after_timeout && probe + timeout <= rto).then_some(probe)
    }

    /// Call when `timer()` is due; spurious calls do nothing.
    pub(crate) fn on_timer(&mut self, now: Instant) -> TimerOutcome {
        let Some((_, timer)) = self.timer().filter(|(deadline, _)| *deadline <= now) else {
            return TimerOutcome::None;
        };
        self.last_delivered = 0;
        match timer {
            RecoveryTimer::Reorder => {
                let facts = self.window_facts();
                if self.rack.detect_loss(now, &mut self.board.queue, &facts) {
                    self.last_showed_loss = true;
                    let loss_found = self.phase.is_open();
                    TimerOutcome::Lost { loss_found, flight_size: self.outstanding() }
                } else {
                    TimerOutcome::None
                }
            }
            RecoveryTimer::Tlp => {
                // RFC 8985 §7.3: whether a probe goes out or not. Further probes do
                // not put off the last resort.
                self.tlp.disarm();
                if self.tlp.has_sample() {
                    self.rto.restart(now);
                }
                TimerOutcome::ProbeDue
            }
            RecoveryTimer::Rto => self.on_timeout(now),
        }
    }

    /// RFC 6298 (5.4) to (5.6), RFC 8985 §6.3.
    fn on_timeout(&mut self, now: Instant) -> TimerOutcome {
        let queue = &self.board.queue;
        let (una, recover) = (queue.start(), queue.end());
        let outcome = TimerOutcome::Rto {
            first: self.rto.expiries() == 0,
            flight_size: queue.outstanding(),
            front_len: queue.front().map_or(0, SentSegment::len),
        };
        let steady = self.sack && self.phase.is_open() && queue.sacked_segments() == 0;
        let again = matches!(self.phase, Phase::Timeout { .. });
        self.undo.on_timeout(una, steady, again);
        self.rto.on_expiry(now);
        if self.sack {
            self.board.mark_lost_on_timeout(now, self.rack.age_lost_on_timeout());
        } else {
            self.board.mark_all_lost();
        }
        self.phase = Phase::Timeout { recover };
        self.rack.cancel_timer();
        self.newreno.reset();
        // RFC 6582 §4: against needless fast retransmits afterwards.
        self.newreno.on_episode(recover);
        self.tlp.reset();
        self.must_retransmit = true;
        outcome
    }
}
