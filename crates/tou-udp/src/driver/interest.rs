//! What a program can wait for at a driver's socket.

use tou_proto::{ConnId, ListenerId};

/// What somebody waits for. Whoever does is woken at the right time or too often, never
/// too late, and has to look again.
#[derive(Clone, Copy, Debug)]
pub enum Interest {
    /// A stream has something to read.
    Read(ConnId),
    /// A stream takes data, or is connected.
    Write(ConnId),
    /// A listener has a connection.
    Accept(ListenerId),
    /// Anything has happened.
    Progress,
}
