//! How the program ends when it does not end well: one line, and an exit code.

use core::fmt::{self, Display};
use std::io::{self, Write};
use std::process::ExitCode;

use crate::text::shown;

/// Why the program did not do what it was asked to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// `None` where other programs die of SIGPIPE: whoever read the output
    /// knows that he stopped.
    message: Option<String>,
    code: u8,
}

impl Failure {
    /// The exit code of a failure.
    pub(crate) const FAILED: u8 = 1;
    /// The exit code of arguments that make no sense.
    pub(crate) const USAGE: u8 = 2;

    /// Something went wrong.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: Some(message.into()), code: Self::FAILED }
    }

    /// An operation failed: `cannot WHAT: WHY`.
    pub(crate) fn cannot(what: impl Display, why: &io::Error) -> Self {
        Self::new(format!("cannot {what}: {}", describe(why)))
    }

    /// The arguments make no sense.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { message: Some(message.into()), code: Self::USAGE }
    }

    /// The reader of our output has gone away.
    pub(crate) fn quiet() -> Self {
        Self { message: None, code: Self::FAILED }
    }

    /// Writing to standard output failed.
    pub(crate) fn output(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::quiet()
        } else {
            Self::cannot("write to standard output", error)
        }
    }

    /// Tells the user, and returns the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        if let Some(message) = &self.message {
            complain(message);
        }
        ExitCode::from(self.code)
    }
}

/// Tells the user of a failure, in one line, whatever names it has in it.
pub(crate) fn complain(message: &str) {
    // There is nobody left to tell of an error here.
    let _ = writeln!(io::stderr(), "tou: {}", shown(message));
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message.as_deref().unwrap_or("output closed"))
    }
}

/// An error's text in the middle of a sentence: without the system's number,
/// and in lower case.
pub(crate) fn describe(error: &io::Error) -> String {
    let text = error.to_string();
    let text = match (error.raw_os_error(), text.rfind(" (os error ")) {
        (Some(_), Some(end)) => &text[..end],
        _ => &text,
    };
    // The resolver's errors say this first, which the caller says better.
    let text = text.strip_prefix("failed to lookup address information: ").unwrap_or(text);
    let mut chars = text.chars();
    match (chars.next(), chars.clone().next()) {
        // "Connection refused", but not "I/O error".
        (Some(first), Some(second)) if first.is_uppercase() && second.is_lowercase() => {
            first.to_lowercase().chain(chars).collect()
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_errors_lose_their_number_and_their_capital() {
        let refused = io::Error::from_raw_os_error(111);
        assert_eq!(describe(&refused), "connection refused");
        assert_eq!(describe(&io::Error::other("I/O error")), "I/O error");
        assert_eq!(describe(&io::Error::other("")), "");
        let lookup = "failed to lookup address information: Name or service not known";
        assert_eq!(describe(&io::Error::other(lookup)), "name or service not known");
    }

    #[test]
    fn a_broken_pipe_is_a_failure_without_words() {
        let broken = Failure::output(&io::ErrorKind::BrokenPipe.into());
        assert_eq!(broken, Failure { message: None, code: 1 });
        let full = Failure::output(&io::Error::from_raw_os_error(28));
        assert_eq!(full.to_string(), "cannot write to standard output: no space left on device");
    }
}
