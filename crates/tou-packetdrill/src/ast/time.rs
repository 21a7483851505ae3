//! When an event happens, or may happen.

use core::fmt;
use core::time::Duration;

/// A time in a script: microseconds, as packetdrill keeps them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Usecs(pub u64);

impl Usecs {
    /// The time as a duration.
    #[must_use]
    pub const fn duration(self) -> Duration {
        Duration::from_micros(self.0)
    }

    /// Seconds with at most six decimals, `12.5` or `.25`; further decimals are
    /// dropped. `None` if the text is no such number.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(fraction) {
            return None;
        }
        let seconds: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        let micros: u64 = format!("{fraction:0<6}").get(..6)?.parse().ok()?;
        Some(Self(seconds.checked_mul(1_000_000)?.checked_add(micros)?))
    }
}

impl fmt::Display for Usecs {
    /// Seconds with six decimals.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// The time of an event, as its line begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeSpec {
    /// `1.5`: since the script began.
    Absolute(Usecs),
    /// `+0.5`: since the event before this one.
    Relative(Usecs),
    /// `1~2`: at some time between, since the script began.
    AbsoluteRange(Usecs, Usecs),
    /// `+1~+2`: at some time between, since the event before this one.
    RelativeRange(Usecs, Usecs),
    /// `*`: whenever it happens.
    Any,
    /// No time is given (a command that opens or closes the script): at once.
    Unset,
}

impl fmt::Display for TimeSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absolute(at) => write!(f, "{at}"),
            Self::Relative(after) => write!(f, "+{after}"),
            Self::AbsoluteRange(from, to) => write!(f, "{from}~{to}"),
            Self::RelativeRange(from, to) => write!(f, "+{from}~+{to}"),
            Self::Any => f.write_str("*"),
            Self::Unset => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_read_without_rounding() {
        assert_eq!(Usecs::parse("0.1"), Some(Usecs(100_000)));
        assert_eq!(Usecs::parse("12"), Some(Usecs(12_000_000)));
        assert_eq!(Usecs::parse(".008"), Some(Usecs(8_000)));
        assert_eq!(Usecs::parse("1.2345679"), Some(Usecs(1_234_567)));
        assert_eq!(Usecs::parse("1."), Some(Usecs(1_000_000)));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in ["", ".", "1.2.3", "1s", "0x1", "99999999999999999999"] {
            assert_eq!(Usecs::parse(text), None, "{text}");
        }
    }
}
