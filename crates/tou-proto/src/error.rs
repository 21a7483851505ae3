//! What can go wrong, one small enum for each operation.
//!
//! A peer's misbehaviour is never an error here: it is a dropped segment, a
//! challenge acknowledgment and a counter.

use core::error::Error;
use core::fmt;

/// How a connection came to an untimely end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConnectionError {
    /// The peer refused the connection: a reset answered our SYN, or the
    /// peer's host said that nothing listens there.
    Refused,
    /// The peer reset the connection (RFC 9293 §3.10.7.4).
    Reset,
    /// Nothing was acknowledged for the user timeout, or no keepalive was
    /// answered (RFC 9293 §3.8.3, §3.8.4), or connecting took too long.
    TimedOut,
    /// This side aborted it (RFC 9293 §3.10.5).
    Aborted,
    /// This host had no way to the peer when it was to connect.
    Unreachable,
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "connection refused",
            Self::Reset => "connection reset by peer",
            Self::TimedOut => "connection timed out",
            Self::Aborted => "connection aborted",
            Self::Unreachable => "network is unreachable",
        })
    }
}

impl Error for ConnectionError {}

/// Why no connection could be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConnectError {
    /// The endpoint has as many connections as its configuration allows.
    TooManyConnections,
    /// Every ephemeral port towards that peer is taken.
    NoFreePort,
    /// That local port is already connected to that peer and port.
    InUse,
    /// The peer's UDP address has port zero or is unspecified or multicast
    /// (RFC 9293 §3.9.2.3).
    InvalidAddress,
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooManyConnections => "too many connections",
            Self::NoFreePort => "no free local port",
            Self::InUse => "this local port is already connected to that peer",
            Self::InvalidAddress => "not an address to connect to",
        })
    }
}

impl Error for ConnectError {}

/// Why a port could not be listened on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ListenError {
    /// Another listener has the port.
    InUse,
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("port already in use")
    }
}

impl Error for ListenError {}

/// Why nothing was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReadError {
    /// Nothing to read yet; [`crate::Event::Readable`] will follow.
    WouldBlock,
    /// The connection ended, and everything received was read.
    Closed(ConnectionError),
    /// The handle names no connection.
    UnknownConnection,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WouldBlock => f.write_str("nothing to read yet"),
            Self::Closed(error) => error.fmt(f),
            Self::UnknownConnection => f.write_str("no such connection"),
        }
    }
}

impl Error for ReadError {}

/// Why nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WriteError {
    /// The send buffer is full; [`crate::Event::Writable`] will follow.
    WouldBlock,
    /// This side has shut down writing (RFC 9293 §3.10.2: "connection
    /// closing").
    Shutdown,
    /// The connection ended.
    Closed(ConnectionError),
    /// The handle names no connection.
    UnknownConnection,
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WouldBlock => f.write_str("send buffer full"),
            Self::Shutdown => f.write_str("writing was shut down"),
            Self::Closed(error) => error.fmt(f),
            Self::UnknownConnection => f.write_str("no such connection"),
        }
    }
}

impl Error for WriteError {}

/// The handle given to a call names no connection: it was closed, released or
/// aborted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UnknownConnection;

impl fmt::Display for UnknownConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no such connection")
    }
}

impl Error for UnknownConnection {}
