//! The core's errors as the `io::Error`s that std's TCP types return for the
//! same events.
//!
//! The core's error is kept inside, for whoever wants to know more than the
//! kind: `error.get_ref()` and `downcast_ref::<tou_proto::ConnectionError>()`.

use std::io::{self, ErrorKind};

use tou_proto::{
    ConfigError, ConnectError, ConnectionError, ListenError, ReadError, SetOptionError, WriteError,
};

pub(crate) fn connection(error: ConnectionError) -> io::Error {
    let kind = match error {
        ConnectionError::Refused => ErrorKind::ConnectionRefused,
        ConnectionError::Reset => ErrorKind::ConnectionReset,
        ConnectionError::TimedOut => ErrorKind::TimedOut,
        ConnectionError::Aborted => ErrorKind::ConnectionAborted,
        ConnectionError::Unreachable => ErrorKind::HostUnreachable,
        _ => ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

pub(crate) fn read(error: ReadError) -> io::Error {
    match error {
        ReadError::WouldBlock => ErrorKind::WouldBlock.into(),
        ReadError::Closed(error) => connection(error),
        ReadError::UnknownConnection => io::Error::new(ErrorKind::NotConnected, error),
        _ => io::Error::other(error),
    }
}

pub(crate) fn write(error: WriteError) -> io::Error {
    match error {
        WriteError::WouldBlock => ErrorKind::WouldBlock.into(),
        WriteError::Shutdown => io::Error::new(ErrorKind::BrokenPipe, error),
        WriteError::Closed(error) => connection(error),
        WriteError::UnknownConnection => io::Error::new(ErrorKind::NotConnected, error),
        _ => io::Error::other(error),
    }
}

pub(crate) fn connect(error: ConnectError) -> io::Error {
    let kind = match error {
        ConnectError::TooManyConnections => ErrorKind::QuotaExceeded,
        ConnectError::NoFreePort => ErrorKind::AddrNotAvailable,
        ConnectError::InUse => ErrorKind::AddrInUse,
        ConnectError::InvalidAddress => ErrorKind::InvalidInput,
        _ => ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

pub(crate) fn listen(error: ListenError) -> io::Error {
    io::Error::new(ErrorKind::AddrInUse, error)
}

pub(crate) fn config(error: ConfigError) -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, error)
}

pub(crate) fn option(error: SetOptionError) -> io::Error {
    match error {
        SetOptionError::Config(error) => config(error),
        _ => closed(),
    }
}

/// The socket, or the stream's place in it, is closed.
pub(crate) fn closed() -> io::Error {
    io::Error::new(ErrorKind::NotConnected, "the socket was closed")
}

/// There was nothing to do at once, or within the caller's own timeout: Unix
/// sockets say the same to both.
pub(crate) fn would_block() -> io::Error {
    ErrorKind::WouldBlock.into()
}
