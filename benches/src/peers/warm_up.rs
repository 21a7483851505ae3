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
