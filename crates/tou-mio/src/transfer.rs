//! Reading and writing a stream.

use core::sync::atomic::Ordering::Relaxed;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};

use bytes::Bytes;
use tou_proto::{ConnId, Endpoint, Instant, ReadError, WriteError};
use tou_udp::driver::{Interest, Timeout, error, read_vectored, write_vectored};

use crate::hub::Hub;
use crate::stream::TouStream;

impl TouStream {
    /// The next run of received data, at most `max` bytes, without copying it;
    /// `None` is the end of the stream. For a `max` of zero there is always an empty one.
    ///
    /// # Errors
    /// As reading.
    pub fn read_chunk(&self, max: usize) -> io::Result<Option<Bytes>> {
        self.receive(None, |endpoint, now, conn| endpoint.read_chunk(now, conn, max))
    }

    /// Writes from the front of `data`, which is left with what did not fit,
    /// without copying it. Returns how much was taken.
    ///
    /// What is behind `data` is let go of once it has arrived, in whichever thread notices
    /// and with the socket's lock held: an owner of its own ([`Bytes::from_owner`]) must not
    /// use the socket when it is dropped, nor hold the last handle to a stream of it.
    ///
    /// # Errors
    /// As writing.
    pub fn write_bytes(&self, data: &mut Bytes) -> io::Result<usize> {
        if data.is_empty() {
            return Ok(0);
        }
        self.send(|endpoint, now, conn| endpoint.write_bytes(now, conn, data))
    }

    /// Reads without taking: the next read returns the same again.
    ///
    /// # Errors
    /// As reading.
    pub fn peek(&self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        self.receive(0, |endpoint, _, conn| endpoint.peek(conn, out))
    }

    /// Attempts a read, and waits as the options say. `end` is what the end of
    /// the stream looks like.
    fn receive<T>(
        &self,
        end: T,
        mut read: impl FnMut(&mut Endpoint, Instant, ConnId) -> Result<T, ReadError>,
    ) -> io::Result<T> {
        let conn = self.inner.conn;
        let mut end = Some(end);
        let read = |hub: &mut Hub, now: Instant| {
            if self.inner.deaf.load(Relaxed) {
                return end.take().map(Ok);
            }
            match read(hub.endpoint(), now, conn) {
                Err(ReadError::WouldBlock) => None,
                result => Some(result.map_err(error::read)),
            }
        };
        self.transfer(Interest::Read(conn), &self.inner.read_timeout, read)
    }

    /// Attempts a write, and waits as the options say.
    fn send<T>(
        &self,
        mut write: impl FnMut(&mut Endpoint, Instant, ConnId) -> Result<T, WriteError>,
    ) -> io::Result<T> {
        let conn = self.inner.conn;
        let write = |hub: &mut Hub, now: Instant| match write(hub.endpoint(), now, conn) {
            Err(WriteError::WouldBlock) => None,
            result => Some(result.map_err(error::write)),
        };
        self.transfer(Interest::Write(conn), &self.inner.write_timeout, write)
    }

    fn transfer<T>(
        &self,
        interest: Interest,
        timeout: &Timeout,
        attempt: impl FnMut(&mut Hub, Instant) -> Option<io::Result<T>>,
    ) -> io::Result<T> {
        let engine = self.engine();
        let result = if self.inner.nonblocking.load(Relaxed) {
            engine.attempt(attempt)
        } else {
            let deadline = timeout.get().map(|timeout| engine.now() + timeout);
            engine.wait_for(interest, deadline, attempt)
        };
        result.unwrap_or_else(|| Err(error::would_block()))
    }
}

impl Read for &TouStream {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        self.receive(0, |endpoint, now, conn| endpoint.read(now, conn, out))
    }

    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        if bufs.iter().all(|buf| buf.is_empty()) {
            return Ok(0);
        }
        self.receive(0, |endpoint, now, conn| read_vectored(endpoint, now, conn, bufs))
    }
}

impl Write for &TouStream {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if data.is_empty() {
            return Ok(0);
        }
        self.send(|endpoint, now, conn| endpoint.write(now, conn, data))
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        if bufs.iter().all(|buf| buf.is_empty()) {
            return Ok(0);
        }
        self.send(|endpoint, now, conn| write_vectored(endpoint, now, conn, bufs))
    }

    /// Does nothing: what was written is sent as soon as TCP allows.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for TouStream {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        (&*self).read(out)
    }

    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        (&*self).read_vectored(bufs)
    }
}

impl Write for TouStream {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        (&*self).write(data)
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        (&*self).write_vectored(bufs)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
