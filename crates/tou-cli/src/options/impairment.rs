//! Options that make a good network bad.

use core::time::Duration;
use std::fmt;

use clap::{Args, ValueEnum};
use tou_udp::{Direction, Impairer, Impairment};

use crate::failure::Failure;
use crate::format;
use crate::value;

/// What is done to datagrams on purpose.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Impairment (what a bad network does; for tests)")]
pub(crate) struct ImpairmentOptions {
    /// Probability that a datagram is lost, 0 to 1
    #[arg(long, value_name = "P", value_parser = value::probability, allow_negative_numbers = true)]
    drop: Option<f64>,
    /// Probability that a datagram arrives twice
    #[arg(long, value_name = "P", value_parser = value::probability, allow_negative_numbers = true)]
    dup: Option<f64>,
    /// Probability that a datagram is overtaken by later ones
    #[arg(long, value_name = "P", value_parser = value::probability, allow_negative_numbers = true)]
    reorder: Option<f64>,
    /// Probability that a datagram is damaged, which UDP notices and drops
    #[arg(long, value_name = "P", value_parser = value::probability, allow_negative_numbers = true)]
    corrupt: Option<f64>,
    /// How much later every datagram arrives, such as 20ms
    #[arg(long, value_name = "TIME", value_parser = value::delay)]
    delay: Option<Duration>,
    /// How much later than that at most, at random
    #[arg(long, value_name = "TIME", value_parser = value::delay)]
    jitter: Option<Duration>,
    /// Which datagrams meet all this
    #[arg(long, value_name = "WHICH", default_value = "sent")]
    impair: Which,
    /// What the chances are drawn from: the same seed, the same luck
    #[arg(long, value_name = "NUMBER", default_value_t = 0, allow_negative_numbers = true)]
    pub(crate) seed: u64,
}

/// Which way datagrams go that are impaired.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Which {
    /// Those that this side sends
    #[default]
    Sent,
    /// Those that it receives
    Received,
    /// Both
    Both,
}

/// Probabilities where no option names one.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Chances {
    pub(crate) drop: f64,
    pub(crate) dup: f64,
    pub(crate) reorder: f64,
}

impl Chances {
    /// A good network.
    pub(crate) const NONE: Self = Self { drop: 0.0, dup: 0.0, reorder: 0.0 };
}

/// Which end of a connection a socket is for. Two ends with the same seed do
/// not have the same luck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Listener,
    Connector,
}

impl ImpairmentOptions {
    /// What happens to the datagrams that go one way; `None` for nothing.
    pub(super) fn of(
        &self,
        direction: Direction,
        role: Role,
        defaults: Chances,
    ) -> Result<Option<Impairment>, Failure> {
        let is_meant = match self.impair {
            Which::Sent => direction == Direction::Send,
            Which::Received => direction == Direction::Receive,
            Which::Both => true,
        };
        let impairment = self.impairment(role, defaults);
        if !is_meant || impairment.is_none() {
            return Ok(None);
        }
        // Delay and jitter may be too long together.
        Impairer::new(&impairment, direction).map_err(|error| Failure::usage(error.to_string()))?;
        Ok(Some(impairment))
    }

    /// Whether an option has datagrams lost.
    pub(crate) fn is_lossy(&self) -> bool {
        [self.drop, self.corrupt].into_iter().flatten().any(|chance| chance > 0.0)
    }

    /// How long a datagram that is sent may be held back.
    pub(crate) fn longest_delay(&self) -> Duration {
        let is_sent = self.impair != Which::Received;
        let delays = [self.delay, self.jitter].into_iter().flatten();
        if is_sent { delays.sum() } else { Duration::ZERO }
    }

    /// What happens, in words.
    pub(crate) fn describe(&self, defaults: Chances) -> String {
        Description(&self.impairment(Role::Connector, defaults)).to_string()
    }

    fn impairment(&self, role: Role, defaults: Chances) -> Impairment {
        Impairment {
            drop: self.drop.unwrap_or(defaults.drop),
            duplicate: self.dup.unwrap_or(defaults.dup),
            reorder: self.reorder.unwrap_or(defaults.reorder),
            corrupt: self.corrupt.unwrap_or_default(),
            delay: self.delay.unwrap_or_default(),
            jitter: self.jitter.unwrap_or_default(),
            seed: match role {
                Role::Connector => self.seed,
                Role::Listener => !self.seed,
            },
            ..Impairment::default()
        }
    }
}

struct Description<'a>(&'a Impairment);

impl fmt::Display for Description<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Impairment { drop, duplicate, reorder, corrupt, delay, jitter, .. } = self.0;
        let chances = [
            (drop, "loss"),
            (duplicate, "duplication"),
            (reorder, "reordering"),
            (corrupt, "corruption"),
        ];
        let times = [(delay, "delay"), (jitter, "jitter")];
        let chances = chances
            .into_iter()
            .filter(|(chance, _)| **chance > 0.0)
            .map(|(chance, what)| format!("{} {what}", format::percent(*chance)));
        let times = times
            .into_iter()
            .filter(|(time, _)| !time.is_zero())
            .map(|(time, what)| format!("{} {what}", format::time(*time)));
        let parts: Vec<_> = chances.chain(times).collect();
        f.write_str(if parts.is_empty() { "none" } else { "" })?;
        f.write_str(&parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Chances = Chances::NONE;

    #[test]
    fn only_the_directions_meant_are_impaired() {
        let options =
            |impair| ImpairmentOptions { drop: Some(0.1), impair, ..ImpairmentOptions::default() };
        let impaired = |impair| {
            [Direction::Send, Direction::Receive].map(|direction| {
                options(impair).of(direction, Role::Listener, NONE).unwrap().is_some()
            })
        };
        assert_eq!(impaired(Which::Sent), [true, false]);
        assert_eq!(impaired(Which::Received), [false, true]);
        assert_eq!(impaired(Which::Both), [true, true]);
    }

    #[test]
    fn no_option_is_no_impairment_unless_there_are_defaults() {
        let options = ImpairmentOptions::default();
        assert_eq!(options.of(Direction::Send, Role::Listener, NONE), Ok(None));
        assert_eq!(options.describe(NONE), "none");
        let defaults = Chances { drop: 0.05, dup: 0.01, reorder: 0.01 };
        let impairment = options.of(Direction::Send, Role::Listener, defaults).unwrap().unwrap();
        assert_eq!((impairment.drop, impairment.duplicate), (0.05, 0.01));
        assert_eq!(options.describe(defaults), "5 % loss, 1 % duplication, 1 % reordering");
    }

    #[test]
    fn delay_and_jitter_together_are_bounded() {
        let long = Some(Duration::from_secs(40));
        let options =
            ImpairmentOptions { delay: long, jitter: long, ..ImpairmentOptions::default() };
        assert!(options.of(Direction::Send, Role::Listener, NONE).is_err());
        let options = ImpairmentOptions { jitter: None, ..options };
        assert!(options.of(Direction::Send, Role::Listener, NONE).unwrap().is_some());
        assert_eq!(options.describe(NONE), "40.000 s delay");
    }

    #[test]
    fn the_two_ends_draw_from_different_seeds() {
        let options =
            ImpairmentOptions { delay: Some(Duration::from_secs(1)), ..Default::default() };
        let seed = |role| options.of(Direction::Send, role, NONE).unwrap().unwrap().seed;
        assert_ne!(seed(Role::Listener), seed(Role::Connector));
    }
}
