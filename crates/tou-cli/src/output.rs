//! What commands say on standard output, in words or in JSON.

use std::io::{self, Write};

use serde_json::Value;

use crate::failure::Failure;

/// Writes a line to standard output.
pub(crate) fn say(line: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).map_err(|error| Failure::output(&error))
}

/// How results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Words,
    /// One object a line.
    Json,
}

impl Form {
    pub(crate) fn new(is_json: bool) -> Self {
        if is_json { Self::Json } else { Self::Words }
    }

    /// Writes a result to standard output.
    pub(crate) fn say(
        self,
        words: impl FnOnce() -> String,
        json: impl FnOnce() -> Value,
    ) -> Result<(), Failure> {
        match self {
            Self::Words => say(&words()),
            Self::Json => say(&json().to_string()),
        }
    }
}
