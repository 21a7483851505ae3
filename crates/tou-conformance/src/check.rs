//! What becomes of a case, and the questions it asks. Each says where it was
//! asked.

use core::error::Error;
use core::fmt;
use core::panic::Location;
use core::time::Duration;
use std::io;
use std::thread::{self, ScopedJoinHandle};
use std::time::Instant;

use crate::clock::now;
use crate::kit::LONG;

/// Nothing, when the driver does what it must.
pub type Outcome = Result<(), Failure>;

/// What a driver did wrong, and where a case noticed.
#[derive(Debug)]
pub struct Failure {
    what: String,
    at: &'static Location<'static>,
}

impl Failure {
    #[track_caller]
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), at: Location::caller() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n  at {}", self.what, self.at)
    }
}

impl Error for Failure {}

impl From<io::Error> for Failure {
    #[track_caller]
    fn from(error: io::Error) -> Self {
        Self::new(format!("unexpected error {:?}: {error}", error.kind()))
    }
}

#[track_caller]
pub(crate) fn holds(holds: bool, what: impl fmt::Display) -> Outcome {
    if holds { Ok(()) } else { Err(Failure::new(format!("does not hold: {what}"))) }
}

#[track_caller]
#[expect(clippy::needless_pass_by_value, reason = "both are made for the question")]
pub(crate) fn same<T: PartialEq + fmt::Debug>(got: T, expected: T) -> Outcome {
    let matches = got == expected;
    if matches { Ok(()) } else { Err(Failure::new(format!("expected {expected:?}, got {got:?}"))) }
}

/// Without printing megabytes.
#[track_caller]
pub(crate) fn same_bytes(got: &[u8], expected: &[u8]) -> Outcome {
    if let Some(at) = got.iter().zip(expected).position(|(got, expected)| got != expected) {
        return Err(Failure::new(format!("octet {at} of {} is another", expected.len())));
    }
    if got.len() == expected.len() {
        Ok(())
    } else {
        Err(Failure::new(format!("expected {} octets, got {}", expected.len(), got.len())))
    }
}

/// The call fails with an error of this kind.
#[track_caller]
pub(crate) fn fails<T>(result: io::Result<T>, kind: io::ErrorKind) -> Result<io::Error, Failure> {
    fails_as(result, &[kind])
}

/// The same where several are right.
#[track_caller]
pub(crate) fn fails_as<T>(
    result: io::Result<T>,
    kinds: &[io::ErrorKind],
) -> Result<io::Error, Failure> {
    match result {
        Err(error) if kinds.contains(&error.kind()) => Ok(error),
        Err(error) => Err(Failure::new(format!(
            "expected an error of {kinds:?}, got {:?}: {error}",
            error.kind()
        ))),
        Ok(_) => Err(Failure::new(format!("expected an error of {kinds:?}, got none"))),
    }
}

/// It becomes true in time.
#[track_caller]
pub(crate) fn comes(what: &str, mut test: impl FnMut() -> Result<bool, Failure>) -> Outcome {
    let start = now();
    while !test()? {
        if start.elapsed() > LONG {
            return Err(Failure::new(format!("did not come in {LONG:?}: {what}")));
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// What was to wake somebody has done so, and not his own timeout.
#[track_caller]
pub(crate) fn soon(start: Instant) -> Outcome {
    holds(start.elapsed() < LONG / 2, "it is woken before its own timeout")
}

/// What a thread has come to.
#[track_caller]
pub(crate) fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> Result<T, Failure> {
    let caller = Location::caller();
    thread.join().map_err(|_| Failure { what: "a thread of the case panicked".into(), at: caller })
}
