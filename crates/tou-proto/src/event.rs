//! What an endpoint has to tell its owner.

use crate::error::ConnectionError;
use crate::id::{ConnId, ListenerId};

/// Something happened that the owner of an endpoint may be waiting for.
///
/// Events are edges, and say "look again": each kind is reported at most once
/// until the owner has looked (read until [`crate::ReadError::WouldBlock`],
/// written until [`crate::WriteError::WouldBlock`], accepted until `None`).
/// One may come late, when the owner has looked already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Event {
    /// A listener has a connection to accept.
    Incoming(ListenerId),
    /// A connection that this side opened is established.
    Connected(ConnId),
    /// There is something to read: data, the end of the stream, or an error.
    Readable(ConnId),
    /// There is room in the send buffer again after a write found none.
    Writable(ConnId),
    /// The peer sent urgent data; the urgent mark has moved (RFC 6093).
    Urgent(ConnId),
    /// A segment of the connection, its SYN too, was sent for the fourth time, and
    /// nothing comes back (RFC 9293 §3.8.3: R1, SHLD-9). The connection goes on
    /// trying until the user timeout, or the connect timeout.
    Stalled(ConnId),
    /// The connection has ended: closed by both sides and all acknowledged
    /// (`None`), or in an untimely way. What had arrived can still be read;
    /// the handle stays valid until its owner closes, releases or aborts it. This is
    /// the connection's last event.
    Closed(ConnId, Option<ConnectionError>),
}
