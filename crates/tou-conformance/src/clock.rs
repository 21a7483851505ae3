//! The only place that reads the time, to bound what a case waits for.

use std::time::Instant;

#[expect(clippy::disallowed_methods, reason = "what happens on real sockets takes real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
