//! What a case is.

use core::fmt;

use crate::check::Outcome;

/// One thing that a driver must do.
pub struct Case<D> {
    /// `topic::situation_expectation`; no other case has it.
    pub name: &'static str,
    /// The same as a sentence.
    pub what: &'static str,
    /// Tries it.
    pub run: fn(&D) -> Outcome,
}

impl<D> fmt::Debug for Case<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case").field("name", &self.name).finish_non_exhaustive()
    }
}
