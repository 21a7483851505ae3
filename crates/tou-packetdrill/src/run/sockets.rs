//! The script's file descriptors.

use std::collections::BTreeMap;

use super::settings::Settings;
use super::stack::Stack;

/// What a descriptor stands for.
#[derive(Debug)]
pub(super) enum Kind<S: Stack> {
    /// A socket that is neither listening nor connected.
    Fresh,
    /// A listener.
    Listening(S::Listener),
    /// A connection.
    Conn(S::Conn),
}

/// One socket.
#[derive(Debug)]
pub(super) struct Socket<S: Stack> {
    pub(super) kind: Kind<S>,
    /// Its own copy of the settings.
    pub(super) settings: Settings,
    /// The port it is bound to.
    pub(super) port: Option<u16>,
    /// `O_NONBLOCK`
    pub(super) nonblocking: bool,
    /// `TCP_REMOTE_UDP_ENCAPS_PORT`
    pub(super) udp_port: u16,
    /// `connect` has been called and has not reported success.
    pub(super) connecting: bool,
    /// Octets that the script has read, without the peeked ones.
    pub(super) read: u64,
    /// Octets that the stack has taken.
    pub(super) written: u64,
}

impl<S: Stack> Socket<S> {
    pub(super) fn new(kind: Kind<S>, settings: Settings) -> Self {
        Self {
            kind,
            settings,
            port: None,
            nonblocking: false,
            udp_port: 0,
            connecting: false,
            read: 0,
            written: 0,
        }
    }

    /// The connection, if it is one.
    pub(super) fn conn(&self) -> Option<S::Conn> {
        match self.kind {
            Kind::Conn(conn) => Some(conn),
            _ => None,
        }
    }
}

/// Sockets by the number that the script calls them.
#[derive(Debug)]
pub(super) struct Sockets<S: Stack> {
    table: BTreeMap<i64, Socket<S>>,
    /// The connection that the script last opened, accepted or named.
    pub(super) last: Option<i64>,
}

impl<S: Stack> Default for Sockets<S> {
    fn default() -> Self {
        Self { table: BTreeMap::new(), last: None }
    }
}

impl<S: Stack> Sockets<S> {
    /// Puts a socket under the number that the script expects of it.
    pub(super) fn insert(&mut self, fd: i64, socket: Socket<S>) -> Result<(), String> {
        self.last = Some(fd);
        match self.table.insert(fd, socket) {
            None => Ok(()),
            Some(_) => Err(format!("descriptor {fd} is still open")),
        }
    }

    pub(super) fn get(&self, fd: i64) -> Option<&Socket<S>> {
        self.table.get(&fd)
    }

    pub(super) fn get_mut(&mut self, fd: i64) -> Option<&mut Socket<S>> {
        self.table.get_mut(&fd)
    }

    pub(super) fn remove(&mut self, fd: i64) -> Option<Socket<S>> {
        self.table.remove(&fd)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Socket<S>> {
        self.table.values()
    }
}
