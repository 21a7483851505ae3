//! The beginning of a measure, which does not count: threads start, memory is
//! touched for the first time, windows open.

use std::io;
use std::sync::OnceLock;

use super::system::{Stopwatch, Usage};

/// The first part of a measure. Whoever takes part asks whether it is over; the answer
/// is the same for all.
#[derive(Debug)]
pub(crate) struct WarmUp {
    watch: Stopwatch,
    seconds: f64,
    /// What follows it.
    counted: OnceLock<(Usage, Stopwatch)>,
}

impl WarmUp {
    /// A warm-up that begins now: a tenth of a measure of so many seconds.
    pub(crate) fn of(seconds: f64) -> Self {
        Self { watch: Stopwatch::start(), seconds: seconds / 10.0, counted: OnceLock::new() }
    }

    /// Whether it is over. What counts begins when this is first found so.
    ///
    /// # Errors
    /// When the system does not tell what the process has used.
    pub(crate) fn is_over(&self) -> io::Result<bool> {
        if self.counted.get().is_none() {
            if self.watch.seconds() < self.seconds {
                return Ok(false);
            }
            // Another thread may have been sooner.
            let _ = self.counted.set((Usage::now()?, Stopwatch::start()));
        }
        Ok(true)
    }

    /// Seconds since it was over, and what the process has used in them.
    ///
    /// # Errors
    /// When it never was, or the system does not tell.
    pub(crate) fn since(&self) -> io::Result<(f64, Usage)> {
        let ended_early = || io::Error::other("the measure ended before its warm-up");
        let (before, watch) = self.counted.get().ok_or_else(ended_early)?;
        Ok((watch.seconds(), Usage::since(*before)?))
    }
}

/// What one connection has carried.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Carried {
    octets: u64,
    /// Those before the warm-up was over.
    uncounted: Option<u64>,
}

impl Carried {
    /// So many more octets were carried.
    ///
    /// # Errors
    /// As [`WarmUp::is_over`].
    pub(crate) fn add(&mut self, octets: usize, warm_up: &WarmUp) -> io::Result<()> {
        self.octets += octets as u64;
        if self.uncounted.is_none() && warm_up.is_over()? {
            self.uncounted = Some(self.octets);
        }
        Ok(())
    }

    /// Octets in all.
    pub(crate) fn octets(&self) -> u64 {
        self.octets
    }

    /// Octets since the warm-up was over.
    pub(crate) fn counted(&self) -> u64 {
        self.uncounted.map_or(0, |uncounted| self.octets - uncounted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_follows_the_warm_up_counts() {
        let (long, over) = (WarmUp::of(1e6), WarmUp::of(0.0));
        let mut carried = Carried::default();
        carried.add(5, &long).unwrap();
        assert_eq!((carried.octets(), carried.counted()), (5, 0));
        // This is what shows that it is over.
        carried.add(7, &over).unwrap();
        assert_eq!((carried.octets(), carried.counted()), (12, 0));
        carried.add(11, &over).unwrap();
        assert_eq!((carried.octets(), carried.counted()), (23, 11));
    }

    #[test]
    fn a_measure_that_ends_in_its_warm_up_has_no_figures() {
        let warm_up = WarmUp::of(1e6);
        assert!(!warm_up.is_over().unwrap());
        assert!(warm_up.since().is_err());
        let warm_up = WarmUp::of(0.0);
        assert!(warm_up.is_over().unwrap());
        assert!(warm_up.since().is_ok());
    }
}
