//! The core's errors as the `std::io::Error`s that std's TCP types return for
//! the same events. Only with the feature `std`; nothing in the core uses it.
//!
//! The core's error is kept inside, for whoever wants to know more than the
//! kind: `error.get_ref()` and `downcast_ref`.

use std::io::{Error, ErrorKind};

use crate::config::{ConfigError, SetOptionError};
use crate::error::{
    ConnectError, ConnectionError, ListenError, ReadError, UnknownConnection, WriteError,
};

impl From<ConnectionError> for Error {
    fn from(error: ConnectionError) -> Self {
        let kind = match error {
            ConnectionError::Refused => ErrorKind::ConnectionRefused,
            ConnectionError::Reset => ErrorKind::ConnectionReset,
            ConnectionError::TimedOut => ErrorKind::TimedOut,
            ConnectionError::Aborted => ErrorKind::ConnectionAborted,
            ConnectionError::Unreachable => ErrorKind::NetworkUnreachable,
        };
        Self::new(kind, error)
    }
}

impl From<ConnectError> for Error {
    fn from(error: ConnectError) -> Self {
        let kind = match error {
            ConnectError::TooManyConnections => ErrorKind::QuotaExceeded,
            ConnectError::NoFreePort => ErrorKind::AddrNotAvailable,
            ConnectError::InUse => ErrorKind::AddrInUse,
            ConnectError::InvalidAddress => ErrorKind::InvalidInput,
        };
        Self::new(kind, error)
    }
}

impl From<ListenError> for Error {
    fn from(error: ListenError) -> Self {
        match error {
            ListenError::InUse => Self::new(ErrorKind::AddrInUse, error),
        }
    }
}

impl From<ReadError> for Error {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::WouldBlock => ErrorKind::WouldBlock.into(),
            ReadError::Closed(error) => error.into(),
            ReadError::UnknownConnection => UnknownConnection.into(),
        }
    }
}

impl From<WriteError> for Error {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::WouldBlock => ErrorKind::WouldBlock.into(),
            WriteError::Shutdown => Self::new(ErrorKind::BrokenPipe, error),
            WriteError::Closed(error) => error.into(),
            WriteError::UnknownConnection => UnknownConnection.into(),
        }
    }
}

impl From<UnknownConnection> for Error {
    fn from(error: UnknownConnection) -> Self {
        Self::new(ErrorKind::NotConnected, error)
    }
}

impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Self {
        Self::new(ErrorKind::InvalidInput, error)
    }
}

impl From<SetOptionError> for Error {
    fn from(error: SetOptionError) -> Self {
        match error {
            SetOptionError::UnknownConnection => UnknownConnection.into(),
            SetOptionError::Config(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_is_std_s_and_the_cause_is_kept() {
        let error = Error::from(ReadError::Closed(ConnectionError::Reset));
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<ConnectionError>());
        assert_eq!(cause, Some(&ConnectionError::Reset));
        assert_eq!(Error::from(WriteError::WouldBlock).kind(), ErrorKind::WouldBlock);
        assert_eq!(Error::from(WriteError::Shutdown).kind(), ErrorKind::BrokenPipe);
    }
}
