//! A program at one end of a connection: says something, and listens to the end.
//!
//! A [`Talk`] looks only where events tell it to look, as a driver does; so a
//! missing event shows as a conversation that never ends. It must not know the
//! other end or the network.

use core::time::Duration;

use bytes::Bytes;
use tou_proto::{ConnId, Event, Instant, ReadError, WriteError};

use crate::host::Host;

/// How a program reads and writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manners {
    /// Octets offered in one write.
    pub write_size: usize,
    /// Written without copying.
    pub write_bytes: bool,
    /// Octets asked for in one read.
    pub read_size: usize,
    /// Read without copying.
    pub read_chunks: bool,
    /// Waits that long after each read.
    pub read_pause: Duration,
}

impl Default for Manners {
    /// Large copies, without a pause.
    fn default() -> Self {
        Self {
            write_size: 128 * 1024,
            write_bytes: false,
            read_size: 128 * 1024,
            read_chunks: false,
            read_pause: Duration::ZERO,
        }
    }
}

/// Writes all of something, shuts down, and reads until the peer has done so.
#[derive(Debug)]
pub struct Talk {
    conn: ConnId,
    manners: Manners,
    outgoing: Bytes,
    received: Vec<u8>,
    buffer: Vec<u8>,
    may_write: bool,
    may_read: bool,
    read_again_at: Option<Instant>,
    write_end: Option<Result<(), WriteError>>,
    read_end: Option<Result<(), ReadError>>,
}

impl Talk {
    /// A program that has `outgoing` to say.
    #[must_use]
    pub fn new(conn: ConnId, outgoing: impl Into<Bytes>, manners: Manners) -> Self {
        Self {
            conn,
            manners,
            outgoing: outgoing.into(),
            received: Vec::new(),
            buffer: vec![0; if manners.read_chunks { 0 } else { manners.read_size }],
            may_write: true,
            may_read: true,
            read_again_at: None,
            write_end: None,
            read_end: None,
        }
    }

    /// The connection.
    #[must_use]
    pub fn conn(&self) -> ConnId {
        self.conn
    }

    /// What was heard.
    #[must_use]
    pub fn received(&self) -> &[u8] {
        &self.received
    }

    /// Octets not yet written.
    #[must_use]
    pub fn unsaid(&self) -> usize {
        self.outgoing.len()
    }

    /// All was written and read to the end, or the connection broke.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.write_end.is_some() && self.read_end.is_some()
    }

    /// How writing ended, if it has.
    #[must_use]
    pub fn write_end(&self) -> Option<Result<(), WriteError>> {
        self.write_end
    }

    /// How reading ended, if it has.
    #[must_use]
    pub fn read_end(&self) -> Option<Result<(), ReadError>> {
        self.read_end
    }

    /// Does what can be done at this moment. Returns when to be called again at
    /// the latest, if the program waits by itself.
    pub fn pump(&mut self, now: Instant, host: &mut Host) -> Option<Instant> {
        host.take_event(Event::Connected(self.conn));
        self.may_write |= host.take_event(Event::Writable(self.conn));
        self.may_read |= host.take_event(Event::Readable(self.conn));
        while self.may_write && self.write_end.is_none() {
            self.write_once(host);
        }
        if self.read_again_at.is_some_and(|at| at <= now) {
            self.read_again_at = None;
        }
        while self.may_read && self.read_end.is_none() && self.read_again_at.is_none() {
            self.read_once(host);
            if !self.manners.read_pause.is_zero() && self.may_read {
                self.read_again_at = Some(now + self.manners.read_pause);
            }
        }
        self.read_again_at
    }

    fn write_once(&mut self, host: &mut Host) {
        if self.outgoing.is_empty() {
            let gone = host.shutdown(self.conn).is_err();
            self.write_end = Some(if gone { Err(WriteError::UnknownConnection) } else { Ok(()) });
            return;
        }
        let mut piece = self.outgoing.slice(..self.outgoing.len().min(self.manners.write_size));
        let written = if self.manners.write_bytes {
            host.write_bytes(self.conn, &mut piece)
        } else {
            host.write(self.conn, &piece)
        };
        match written {
            Ok(written) => {
                assert!(written > 0, "a write says how much fitted, or that it would block");
                drop(self.outgoing.split_to(written));
            }
            Err(WriteError::WouldBlock) => self.may_write = false,
            Err(error) => self.write_end = Some(Err(error)),
        }
    }

    fn read_once(&mut self, host: &mut Host) {
        let read = if self.manners.read_chunks {
            host.read_chunk(self.conn, self.manners.read_size).map(|chunk| {
                let chunk = chunk?;
                assert!((1..=self.manners.read_size).contains(&chunk.len()), "{}", chunk.len());
                self.received.extend_from_slice(&chunk);
                Some(chunk.len())
            })
        } else {
            host.read(self.conn, &mut self.buffer).map(|read| {
                self.received.extend_from_slice(&self.buffer[..read]);
                (read > 0).then_some(read)
            })
        };
        match read {
            Ok(Some(_)) => {}
            Ok(None) => self.read_end = Some(Ok(())),
            Err(ReadError::WouldBlock) => self.may_read = false,
            Err(error) => self.read_end = Some(Err(error)),
        }
    }
}
