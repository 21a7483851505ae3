//! Reading and writing a stream.

use core::future::poll_fn;
use core::pin::Pin;
use core::sync::atomic::Ordering::Relaxed;
use core::task::{Context, Poll};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::Shutdown;

use bytes::Bytes;
use futures_io::{AsyncRead, AsyncWrite};
use tou_proto::{ConnId, Endpoint, Instant, ReadError, WriteError};
use tou_udp::driver::{error, read_vectored, write_vectored};

use crate::stream::{Inner, TouStream};
use crate::wait::Wait;

impl TouStream {
    /// The next run of received data, at most `max` bytes, without copying it;
    /// `None` is the end of the stream. For a `max` of zero there is always an empty one.
    ///
    /// # Errors
    /// As reading.
    ///
    /// # Cancel safety
    /// When it is dropped nothing was taken.
    pub async fn read_chunk(&self, max: usize) -> io::Result<Option<Bytes>> {
        let mut wait = self.inner.wait_to_read();
        let read = |endpoint: &mut Endpoint, now, conn| endpoint.read_chunk(now, conn, max);
        poll_fn(|cx| self.inner.poll_receive(&mut wait, cx, None, read)).await
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
    ///
    /// # Cancel safety
    /// When it is dropped nothing was taken, and `data` is as it was.
    pub async fn write_bytes(&self, data: &mut Bytes) -> io::Result<usize> {
        if data.is_empty() {
            return Ok(0);
        }
        let mut wait = self.inner.wait_to_write();
        poll_fn(|cx| {
            self.inner.poll_send(&mut wait, cx, |endpoint, now, conn| {
                endpoint.write_bytes(now, conn, data)
            })
        })
        .await
    }

    /// Reads without taking: the next read returns the same again.
    ///
    /// # Errors
    /// As reading.
    ///
    /// # Cancel safety
    /// When it is dropped nothing has happened.
    pub async fn peek(&self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        let mut wait = self.inner.wait_to_read();
        poll_fn(|cx| {
            self.inner.poll_receive(&mut wait, cx, 0, |endpoint, _, conn| endpoint.peek(conn, out))
        })
        .await
    }
}

impl Inner {
    /// Attempts a read, and waits as the options say. `end` is what the end of
    /// the stream looks like.
    fn poll_receive<T>(
        &self,
        wait: &mut Wait,
        cx: &mut Context<'_>,
        end: T,
        mut read: impl FnMut(&mut Endpoint, Instant, ConnId) -> Result<T, ReadError>,
    ) -> Poll<io::Result<T>> {
        let mut end = Some(end);
        let result = wait.poll(cx, self.read_timeout.get(), |hub, now| {
            if self.deaf.load(Relaxed) {
                return end.take().map(Ok);
            }
            match read(hub.endpoint(), now, self.conn) {
                Err(ReadError::WouldBlock) => None,
                result => Some(result.map_err(error::read)),
            }
        });
        result.map(in_time)
    }

    /// Attempts a write, and waits as the options say.
    fn poll_send<T>(
        &self,
        wait: &mut Wait,
        cx: &mut Context<'_>,
        mut write: impl FnMut(&mut Endpoint, Instant, ConnId) -> Result<T, WriteError>,
    ) -> Poll<io::Result<T>> {
        let result = wait.poll(cx, self.write_timeout.get(), |hub, now| {
            match write(hub.endpoint(), now, self.conn) {
                Err(WriteError::WouldBlock) => None,
                result => Some(result.map_err(error::write)),
            }
        });
        result.map(in_time)
    }
}

/// `None` is what waited for too long.
fn in_time<T>(result: Option<io::Result<T>>) -> io::Result<T> {
    result.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()))
}

impl AsyncRead for TouStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if out.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let Self { inner, reading, .. } = &mut *self;
        inner.poll_receive(reading, cx, 0, |endpoint, now, conn| endpoint.read(now, conn, out))
    }

    fn poll_read_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        if bufs.iter().all(|buf| buf.is_empty()) {
            return Poll::Ready(Ok(0));
        }
        let Self { inner, reading, .. } = &mut *self;
        inner.poll_receive(reading, cx, 0, |endpoint, now, conn| {
            read_vectored(endpoint, now, conn, bufs)
        })
    }
}

impl AsyncWrite for TouStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        if data.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let Self { inner, writing, .. } = &mut *self;
        inner.poll_send(writing, cx, |endpoint, now, conn| endpoint.write(now, conn, data))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if bufs.iter().all(|buf| buf.is_empty()) {
            return Poll::Ready(Ok(0));
        }
        let Self { inner, writing, .. } = &mut *self;
        inner
            .poll_send(writing, cx, |endpoint, now, conn| write_vectored(endpoint, now, conn, bufs))
    }

    /// Does nothing: what was written is sent as soon as TCP allows.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Shuts writing down, and does not wait for what was written to arrive.
    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.shutdown(Shutdown::Write))
    }
}
