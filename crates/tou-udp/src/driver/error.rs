//! The core's errors as the `io::Error`s that std's TCP types return for the
//! same events.
//!
//! The core's error is kept inside, for whoever wants to know more than the
//! kind: `error.get_ref()` and `downcast_ref::<tou_proto::ConnectionError>()`.

use std::io::{self, ErrorKind};

use tou_proto::{
    ConfigError, ConnectError, ConnectionError, ListenError, ReadError, SetOptionError, WriteError,
};

/// Of a connection that has ended, or never came about.
#[must_use]
pub fn connection(error: ConnectionError) -> io::Error {
    let kind = match error {
        ConnectionError::Refused => ErrorKind::ConnectionRefused,
        ConnectionError::Reset => ErrorKind::ConnectionReset,
        ConnectionError::TimedOut => ErrorKind::TimedOut,
        ConnectionError::Aborted => ErrorKind::ConnectionAborted,
        ConnectionError::Unreachable => ErrorKind::NetworkUnreachable,
        _ => ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

/// Of a read.
#[must_use]
pub fn read(error: ReadError) -> io::Error {
    match error {
        ReadError::WouldBlock => ErrorKind::WouldBlock.into(),
        ReadError::Closed(error) => connection(error),
        ReadError::UnknownConnection => io::Error::new(ErrorKind::NotConnected, error),
        _ => io::Error::other(error),
    }
}

/// Of a write.
#[must_use]
pub fn write(error: WriteError) -> io::Error {
    match error {
        WriteError::WouldBlock => ErrorKind::WouldBlock.into(),
        WriteError::Shutdown => io::Error::new(ErrorKind::BrokenPipe, error),
        WriteError::Closed(error) => connection(error),
        WriteError::UnknownConnection => io::Error::new(ErrorKind::NotConnected, error),
        _ => io::Error::other(error),
    }
}

/// Of a connect that fails at once.
#[must_use]
pub fn connect(error: ConnectError) -> io::Error {
    let kind = match error {
        ConnectError::TooManyConnections => ErrorKind::QuotaExceeded,
        ConnectError::NoFreePort => ErrorKind::AddrNotAvailable,
        ConnectError::InUse => ErrorKind::AddrInUse,
        ConnectError::InvalidAddress => ErrorKind::InvalidInput,
        _ => ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

/// Of a port that cannot be listened on.
#[must_use]
pub fn listen(error: ListenError) -> io::Error {
    io::Error::new(ErrorKind::AddrInUse, error)
}

/// Of a value that no configuration takes.
#[must_use]
pub fn config(error: ConfigError) -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, error)
}

/// Of an option that was not changed.
#[must_use]
pub fn option(error: SetOptionError) -> io::Error {
    match error {
        SetOptionError::Config(error) => config(error),
        _ => closed(),
    }
}

/// The socket, or the stream's place in it, is closed.
#[must_use]
pub fn closed() -> io::Error {
    io::Error::new(ErrorKind::NotConnected, "the socket was closed")
}

/// There was nothing to do at once, or within the caller's own timeout: Unix
/// sockets say the same to both.
#[must_use]
pub fn would_block() -> io::Error {
    ErrorKind::WouldBlock.into()
}

/// A name stood for no address at all.
#[must_use]
pub fn no_address() -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, "no address to use")
}
