//! How many answers a connection gives to segments that ask for one and may be
//! forged (RFC 5961 §7).
//!
//! Each connection counts for itself: a limit shared by connections would tell
//! an attacker on one about the others (CVE-2016-5696).

use core::time::Duration;

use crate::time::Instant;

const PERIOD: Duration = Duration::from_secs(1);

/// At most so many in each [`PERIOD`].
#[derive(Debug, Default)]
pub(crate) struct ReplyLimit {
    period: Option<Instant>,
    given: u32,
}

impl ReplyLimit {
    /// Whether one more may be given now, if `most` may in a second.
    pub(crate) fn allow(&mut self, now: Instant, most: u32) -> bool {
        let is_over = |start: Instant| now.saturating_since(start) >= PERIOD;
        if self.period.is_none_or(is_over) {
            self.period = Some(now);
            self.given = 0;
        }
        self.given = self.given.saturating_add(1);
        self.given <= most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_limited_for_each_period() {
        let mut limit = ReplyLimit::default();
        let mut given = |now| (0..10).filter(|_| limit.allow(now, 5)).count();
        assert_eq!(given(Instant::from_millis(500)), 5);
        assert_eq!(given(Instant::from_millis(1_499)), 0);
        assert_eq!(given(Instant::from_millis(1_500)), 5);
    }
}
