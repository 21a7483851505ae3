//! How long the drop of a socket's last handle waits for what was written.

use core::time::Duration;

/// So many waits in a row without an answer are the silence that is borne. A wait that
/// took longer than it was to, because the process was stopped or had no processor, is
/// one wait all the same: nobody could look meanwhile, nor perhaps answer.
const WAITS: u32 = 8;

/// How many times the close timeout a drop waits at most, should peers answer.
const ROUNDS: u32 = 12;

/// Waits for as long as there are answers, within a bound: a slow peer gets
/// everything, a dead one is not waited for.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    wait: Duration,
    /// Waits that are left, should there be answers.
    left: u32,
    /// Waits that are left, should there be none.
    left_in_silence: u32,
    heard: u64,
}

impl Patience {
    /// `timeout` is how long a silent peer is waited for.
    #[must_use]
    pub fn new(timeout: Duration) -> Self {
        let left = if timeout.is_zero() { 0 } else { WAITS * ROUNDS };
        Self { wait: timeout / WAITS, left, left_in_silence: WAITS, heard: 0 }
    }

    /// How long to wait next before this is asked again: a part of the timeout. `None`
    /// when it was long enough. `heard` is how many datagrams have arrived so far, for
    /// whomever.
    pub fn next(&mut self, heard: u64) -> Option<Duration> {
        if heard != self.heard {
            self.heard = heard;
            self.left_in_silence = WAITS;
        }
        self.left = self.left.checked_sub(1)?;
        self.left_in_silence = self.left_in_silence.checked_sub(1)?;
        Some(self.wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// How long it is waited, and whether until the peer had said its last word, when the
    /// peer answers at these times and this process stands still for a time in one wait.
    /// The peer then does so too, as it does in the same process.
    fn waited(answers: &[Duration], stop: Option<(Duration, Duration)>) -> (Duration, bool) {
        let mut patience = Patience::new(SECOND);
        let (mut clock, mut stood) = (Duration::ZERO, Duration::ZERO);
        loop {
            let lived = clock - stood;
            let heard = answers.iter().filter(|at| **at <= lived).count();
            if heard > 0 && heard == answers.len() {
                return (clock, true);
            }
            let Some(time) = patience.next(heard as u64) else { return (clock, false) };
            let end = clock + time;
            clock = match stop {
                // What is left of the wait is over by then.
                Some((at, length)) if (clock..end).contains(&at) => {
                    stood = length;
                    end.max(at + length)
                }
                _ => end,
            };
        }
    }

    #[test]
    fn a_silent_peer_is_waited_for_once() {
        assert_eq!(waited(&[], None), (SECOND, false));
        let mut patience = Patience::new(SECOND);
        let times: Vec<_> = (0..100).map_while(|_| patience.next(7)).collect();
        assert_eq!(times.iter().sum::<Duration>(), SECOND);
    }

    #[test]
    fn silence_is_counted_from_the_last_answer() {
        let answers = [SECOND / 2, SECOND * 5 / 4, SECOND * 17 / 8];
        assert_eq!(waited(&answers, None), (SECOND * 17 / 8, true));
        let late = [SECOND / 2, SECOND * 13 / 8];
        assert_eq!(waited(&late, None), (SECOND * 3 / 2, false));
    }

    #[test]
    fn time_in_which_nobody_could_look_is_no_silence() {
        let answers = [SECOND / 4, SECOND * 3 / 4, SECOND * 5 / 4, SECOND * 7 / 4];
        for eighth in 0..14 {
            let stop = Some((SECOND * eighth / 8, 10 * SECOND));
            assert!(waited(&answers, stop).1, "stopped at {eighth}/8");
        }
        // Nor is it time enough for a peer that says nothing.
        let (clock, _) = waited(&[], Some((SECOND / 2, 10 * SECOND)));
        assert_eq!(clock, SECOND * 7 / 8 + 10 * SECOND);
    }

    #[test]
    fn a_peer_that_answers_is_waited_for_longer_but_not_for_ever() {
        let mut patience = Patience::new(SECOND);
        let times: Vec<_> = (0..1_000).map_while(|heard| patience.next(heard)).collect();
        assert_eq!(times.iter().sum::<Duration>(), 12 * SECOND);
    }

    #[test]
    fn no_time_is_no_waiting() {
        assert_eq!(Patience::new(Duration::ZERO).next(1), None);
    }
}
