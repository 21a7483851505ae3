//! How long the drop of a socket's last handle waits for what was written.

use core::time::Duration;

/// How many times the close timeout a drop waits at most, should peers answer.
const ROUNDS: u32 = 12;

/// Waits for as long as there are answers, within a bound: a slow peer gets
/// everything, a dead one is not waited for.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    timeout: Duration,
    rounds: u32,
    heard: u64,
}

impl Patience {
    /// `timeout` is how long a silent peer is waited for.
    #[must_use]
    pub fn new(timeout: Duration) -> Self {
        Self { timeout, rounds: 0, heard: 0 }
    }

    /// How long to wait next; `None` when it was long enough. `heard` is how
    /// many datagrams have arrived so far, for whomever.
    pub fn next(&mut self, heard: u64) -> Option<Duration> {
        let silent = self.rounds > 0 && heard == self.heard;
        if silent || self.rounds == ROUNDS || self.timeout.is_zero() {
            return None;
        }
        self.heard = heard;
        self.rounds += 1;
        Some(self.timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_silent_peer_is_waited_for_once() {
        let mut patience = Patience::new(SECOND);
        assert_eq!(patience.next(7), Some(SECOND));
        assert_eq!(patience.next(7), None);
    }

    #[test]
    fn a_peer_that_answers_is_waited_for_longer_but_not_for_ever() {
        let mut patience = Patience::new(SECOND);
        assert_eq!((0..100).map_while(|heard| patience.next(heard)).count(), 12);
    }

    #[test]
    fn no_time_is_no_waiting() {
        assert_eq!(Patience::new(Duration::ZERO).next(1), None);
    }
}
