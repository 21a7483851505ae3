//! Configuration: builders that check, and validated values that cannot be
//! wrong.

mod connection;
mod endpoint;

use core::error::Error;
use core::fmt;

pub use self::connection::{
    ConnectionConfig, ConnectionConfigBuilder, Keepalive, UserTimeoutLimits,
};
pub(crate) use self::connection::{MIN_BUFFER, MIN_MSS};
pub(crate) use self::endpoint::MEMORY_RESERVE;
pub use self::endpoint::{EndpointConfig, EndpointConfigBuilder};

/// A value that a configuration does not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfigError {
    field: &'static str,
    rule: &'static str,
}

impl ConfigError {
    pub(crate) const fn new(field: &'static str, rule: &'static str) -> Self {
        Self { field, rule }
    }

    /// The name of the builder's method.
    #[must_use]
    pub const fn field(&self) -> &'static str {
        self.field
    }

    /// What the value must be.
    #[must_use]
    pub const fn rule(&self) -> &'static str {
        self.rule
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} must be {}", self.field, self.rule)
    }
}

impl Error for ConfigError {}

/// Why an option of a connection was not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SetOptionError {
    /// The handle names no connection.
    UnknownConnection,
    /// The value is none that a configuration takes.
    Config(ConfigError),
}

impl fmt::Display for SetOptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownConnection => f.write_str("no such connection"),
            Self::Config(error) => error.fmt(f),
        }
    }
}

impl Error for SetOptionError {}

/// Returns the error for `field` unless `holds`.
fn require(holds: bool, field: &'static str, rule: &'static str) -> Result<(), ConfigError> {
    if holds { Ok(()) } else { Err(ConfigError::new(field, rule)) }
}
