//! What every driver of tou must do, written once.
//!
//! A driver is tried through [`Driver`] and the traits of its socket, listener
//! and streams. They have the shape of `std::net`: calls that wait and return an
//! [`std::io::Result`]. An asynchronous driver implements them by waiting for its
//! futures. The cases know nothing else of a driver, so that all of them mean the
//! same to each, and what they expect is what `std::net` does, where it has it.
//!
//! A driver's test binary has no harness of its own and is one line:
//!
//! ```no_run
//! # use tou_conformance::Driver;
//! # fn main_of(MyDriver: impl Driver) -> std::process::ExitCode {
//! tou_conformance::run(MyDriver)
//! # }
//! ```
//!
//! It takes the arguments of any other test binary (`--list`, a part of a name,
//! `--test-threads`), and starts itself again where a case needs a process to
//! kill. A case that hangs fails by its name.

mod case;
mod cases;
mod check;
mod clock;
mod driver;
#[cfg(test)]
mod kernel;
mod kit;
mod process;
mod runner;

pub use self::case::Case;
pub use self::cases::cases;
pub use self::check::{Failure, Outcome};
pub use self::driver::{Connect, Driver, Listener, Setup, Socket, Stream};
pub use self::kit::noise;
pub use self::runner::run;
