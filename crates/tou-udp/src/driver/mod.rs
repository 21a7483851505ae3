//! What the drivers of streams have in common, however they wait: how a socket
//! is made, how a connection is opened, what there is to wait for, options, and errors
//! as std has them.
//!
//! A program that uses a driver needs none of it by this path; a driver of its
//! own kind may be built on it. It knows endpoints and sockets; it does not know
//! whose threads or tasks wait for what.

#[cfg(unix)]
mod bell;
mod builder;
mod connect;
pub mod error;
mod interest;
mod options;
mod patience;
mod standing;
mod vectored;

#[cfg(unix)]
pub use self::bell::{Bell, Readiness, Woken};
pub use self::builder::{Builder, FromSetup, Setup, default_connection_config};
pub use self::connect::{BACKLOG, ConnectOptions, port_of, wildcard_for};
pub use self::interest::Interest;
pub use self::options::{Linger, Timeout};
pub use self::patience::Patience;
pub use self::standing::{Opening, Standing};
pub use self::vectored::{read_vectored, write_vectored};
