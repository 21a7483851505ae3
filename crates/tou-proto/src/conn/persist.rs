//! The persist timer: what to do when there is data to send, nothing in
//! flight that an acknowledgment could answer, and the window does not let it
//! go (RFC 9293 §3.8.6.1 zero-window probes, §3.8.6.2.1 the override timeout of
//! silly-window avoidance).
//!
//! Knows times only; the connection says when it is stuck and when not.

use core::time::Duration;

use crate::time::Instant;

/// How long a transmission that would be silly is held back (RFC 9293
/// §3.8.6.2.1: 0.1 to 1 s).
const OVERRIDE: Duration = Duration::from_millis(200);

/// The longest time between zero-window probes.
const MAX_INTERVAL: Duration = Duration::from_secs(60);

/// Whether the connection is stuck, since when, and what is due.
#[derive(Debug, Default)]
pub(crate) struct Persist {
    stuck: Option<Stuck>,
}

#[derive(Debug)]
struct Stuck {
    since: Instant,
    deadline: Instant,
    /// Probes sent so far: the interval doubles with each.
    probes: u32,
    is_due: bool,
    /// When the first probe was sent that nothing has answered yet.
    unanswered_since: Option<Instant>,
    kind: Kind,
}

/// Why the connection is stuck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The window is closed.
    ZeroWindow,
    /// The window is open, but sending what fits would be silly.
    Override,
}

impl Persist {
    /// The connection is stuck. `rto` is the first interval between probes
    /// (RFC 9293 SHLD-29: the first probe after a retransmission timeout).
    pub(crate) fn enter(&mut self, now: Instant, kind: Kind, rto: Duration) {
        if self.stuck.as_ref().is_some_and(|stuck| stuck.kind == kind) {
            return;
        }
        let delay = match kind {
            Kind::ZeroWindow => rto.min(MAX_INTERVAL),
            Kind::Override => OVERRIDE,
        };
        let deadline = now + delay;
        self.stuck = Some(Stuck {
            since: now,
            deadline,
            probes: 0,
            is_due: false,
            unanswered_since: None,
            kind,
        });
    }

    /// Whether it is.
    pub(crate) fn is_stuck(&self) -> bool {
        self.stuck.is_some()
    }

    /// Data flows again.
    pub(crate) fn leave(&mut self) {
        self.stuck = None;
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.stuck.as_ref().filter(|stuck| !stuck.is_due).map(|stuck| stuck.deadline)
    }

    /// Time has passed.
    pub(crate) fn on_timeout(&mut self, now: Instant) {
        if let Some(stuck) = &mut self.stuck {
            stuck.is_due |= stuck.deadline <= now;
        }
    }

    /// A probe, or a segment that would be silly, is to be sent now.
    pub(crate) fn due(&self) -> Option<Kind> {
        self.stuck.as_ref().filter(|stuck| stuck.is_due).map(|stuck| stuck.kind)
    }

    /// A zero-window probe was sent: the next waits twice as long (RFC 9293
    /// SHLD-30).
    pub(crate) fn on_probe(&mut self, now: Instant, rto: Duration) {
        if let Some(stuck) = &mut self.stuck {
            stuck.probes = stuck.probes.saturating_add(1);
            let factor = 1_u32.checked_shl(stuck.probes).unwrap_or(u32::MAX);
            stuck.deadline = now + rto.saturating_mul(factor).min(MAX_INTERVAL);
            stuck.is_due = false;
            stuck.unanswered_since.get_or_insert(now);
        }
    }

    /// The peer was heard from.
    pub(crate) fn on_heard(&mut self) {
        if let Some(stuck) = &mut self.stuck {
            stuck.unanswered_since = None;
        }
    }

    /// Since when probes have gone unanswered.
    pub(crate) fn unanswered_since(&self) -> Option<Instant> {
        self.stuck.as_ref()?.unanswered_since
    }

    /// Since when zero-window probes are being sent; `None` before the first.
    pub(crate) fn probing_since(&self) -> Option<Instant> {
        self.stuck
            .as_ref()
            .filter(|stuck| stuck.kind == Kind::ZeroWindow && stuck.probes > 0)
            .map(|stuck| stuck.since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTO: Duration = Duration::from_millis(300);

    #[test]
    fn probes_back_off_and_go_on() {
        let mut persist = Persist::default();
        let mut now = Instant::from_secs(1);
        persist.enter(now, Kind::ZeroWindow, RTO);
        let mut gaps = Vec::new();
        for _ in 0..10 {
            let deadline = persist.deadline().unwrap();
            gaps.push(deadline.saturating_since(now).as_millis());
            now = deadline;
            persist.on_timeout(now);
            assert_eq!(persist.due(), Some(Kind::ZeroWindow));
            assert_eq!(persist.deadline(), None, "due is due once");
            persist.on_probe(now, RTO);
        }
        assert_eq!(gaps[..5], [300, 600, 1_200, 2_400, 4_800]);
        assert_eq!(gaps[8..], [60_000, 60_000]);
        assert_eq!(persist.probing_since(), Some(Instant::from_secs(1)));
        assert_eq!(persist.unanswered_since(), Some(Instant::from_millis(1_300)));
        persist.on_heard();
        assert_eq!(persist.unanswered_since(), None);
    }

    #[test]
    fn being_stuck_longer_does_not_push_the_deadline() {
        let mut persist = Persist::default();
        persist.enter(Instant::ZERO, Kind::Override, RTO);
        persist.enter(Instant::from_millis(150), Kind::Override, RTO);
        assert_eq!(persist.deadline(), Some(Instant::from_millis(200)));
        persist.leave();
        assert_eq!(persist.deadline(), None);
    }
}
