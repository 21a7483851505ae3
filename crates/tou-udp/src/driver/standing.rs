//! How a stream stands, as the endpoint's events have told so far.

use tou_proto::ConnectionError;

/// Whether a stream is connected, and whether it has ended and why.
#[derive(Clone, Copy, Debug, Default)]
pub struct Standing {
    connected: bool,
    ended: bool,
    /// Until somebody has asked.
    error: Option<ConnectionError>,
}

/// How far a connection that this side opens has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// The handshake is under way.
    Pending,
    /// The handshake was done.
    Connected,
    /// It ended before that; `None` where nobody can say why any more.
    Failed(Option<ConnectionError>),
}

impl Standing {
    /// The handshake is done.
    pub fn on_connected(&mut self) {
        self.connected = true;
    }

    /// The connection has ended, in an untimely way if there is an `error`.
    pub fn on_closed(&mut self, error: Option<ConnectionError>) {
        self.ended = true;
        self.error = error;
    }

    /// How far the connection has come, if this side opened it.
    #[must_use]
    pub fn opening(&self) -> Opening {
        match self {
            Self { connected: true, .. } => Opening::Connected,
            Self { ended: true, error, .. } => Opening::Failed(*error),
            _ => Opening::Pending,
        }
    }

    /// Why the connection ended in an untimely way; said once.
    pub fn take_error(&mut self) -> Option<ConnectionError> {
        self.error.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_ends_before_it_is_connected_has_failed() {
        let mut standing = Standing::default();
        assert_eq!(standing.opening(), Opening::Pending);
        standing.on_closed(Some(ConnectionError::Refused));
        assert_eq!(standing.opening(), Opening::Failed(Some(ConnectionError::Refused)));
    }

    #[test]
    fn a_connection_that_was_connected_stays_so_for_whoever_opened_it() {
        let mut standing = Standing::default();
        standing.on_connected();
        assert_eq!(standing.opening(), Opening::Connected);
        standing.on_closed(Some(ConnectionError::Reset));
        assert_eq!(standing.opening(), Opening::Connected);
    }

    #[test]
    fn an_error_is_told_once() {
        let mut standing = Standing::default();
        assert_eq!(standing.take_error(), None);
        standing.on_closed(Some(ConnectionError::TimedOut));
        assert_eq!(standing.take_error(), Some(ConnectionError::TimedOut));
        assert_eq!(standing.take_error(), None);
    }
}
