//! How long data may stay unacknowledged (RFC 9293 §3.8.3: R2), and the option
//! by which two ends tell each other (RFC 5482).
//!
//! Knows durations; when they are over is `timeout.rs`'s to say.

use core::time::Duration;

use crate::config::UserTimeoutLimits;
use crate::wire::UserTimeout;

use super::Connection;

/// What the option has brought about. All of it stays as it is while the option
/// is switched off.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TimeoutAdvice {
    /// `REMOTE_UTO`: what the peer has told.
    remote: Option<UserTimeout>,
    /// Not `CHANGEABLE`: the user has said what the timeout is to be.
    is_fixed: bool,
    /// The next segment is to tell the peer.
    is_due: bool,
}

impl TimeoutAdvice {
    /// `USER_TIMEOUT` (RFC 5482 §3.1), `own` being `ADV_UTO`. Without the peer's
    /// advice it is our own as it is.
    fn timeout(self, own: Duration, limits: Option<UserTimeoutLimits>) -> Duration {
        let remote = self.remote.filter(|_| !self.is_fixed).and_then(UserTimeout::timeout);
        match (limits, remote) {
            (Some(limits), Some(remote)) => own.max(remote).max(limits.min).min(limits.max),
            _ => own,
        }
    }
}

impl Connection {
    /// How long data may stay unacknowledged now.
    pub(super) fn user_timeout(&self) -> Duration {
        let fields = &self.config.fields;
        self.timeout_advice.timeout(fields.user_timeout, fields.user_timeout_option)
    }

    /// What our SYN, and whatever else advertises it, says.
    pub(super) fn user_timeout_option(&self) -> Option<UserTimeout> {
        let fields = &self.config.fields;
        fields.user_timeout_option.map(|_| UserTimeout::new(fields.user_timeout))
    }

    /// The same, if a segment that is no SYN is to carry it.
    pub(super) fn due_user_timeout_option(&self) -> Option<UserTimeout> {
        if self.timeout_advice.is_due { self.user_timeout_option() } else { None }
    }

    /// Whether one does.
    pub(super) fn is_user_timeout_due(&self) -> bool {
        self.timeout_advice.is_due
    }

    /// The connection is established: the first segment from now on repeats what
    /// the SYN said, of which some middleboxes take unknown options away.
    pub(super) fn repeat_user_timeout(&mut self) {
        self.timeout_advice.is_due = self.config.fields.user_timeout_option.is_some();
    }

    /// A segment has told the peer.
    pub(super) fn on_user_timeout_sent(&mut self) {
        self.timeout_advice.is_due = false;
    }

    /// The user has changed the timeout: it no longer follows the peer's, which is
    /// told at once.
    pub(super) fn on_user_timeout_set(&mut self) {
        self.timeout_advice.is_fixed = true;
        if self.config.fields.user_timeout_option.is_some() && self.state.is_synchronized() {
            self.timeout_advice.is_due = true;
            self.acks.require();
        }
    }

    /// Takes the peer's advice, from a segment that is the peer's.
    pub(super) fn take_user_timeout(&mut self, advice: Option<UserTimeout>) {
        if let Some(remote) = advice
            && remote.timeout().is_some()
            && self.config.fields.user_timeout_option.is_some()
        {
            self.timeout_advice.remote = Some(remote);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longer_of_the_two_holds_within_the_limits() {
        let secs = Duration::from_secs;
        let limits = Some(UserTimeoutLimits { min: secs(100), max: secs(1_000) });
        let with = |remote| TimeoutAdvice {
            remote: Some(UserTimeout::new(secs(remote))),
            ..TimeoutAdvice::default()
        };
        assert_eq!(with(500).timeout(secs(300), limits), secs(500));
        assert_eq!(with(200).timeout(secs(300), limits), secs(300));
        assert_eq!(with(9).timeout(secs(20), limits), secs(100));
        assert_eq!(with(5_000).timeout(secs(300), limits), secs(1_000));
        // What the user has said, and what nobody has advised on, holds as it is.
        let fixed = TimeoutAdvice { is_fixed: true, ..with(500) };
        assert_eq!(fixed.timeout(secs(20), limits), secs(20));
        assert_eq!(TimeoutAdvice::default().timeout(secs(20), limits), secs(20));
        assert_eq!(with(500).timeout(secs(300), None), secs(300));
    }
}
