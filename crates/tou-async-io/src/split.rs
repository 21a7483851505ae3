//! The two directions of a stream, as two things that can be owned by two
//! tasks.

use core::error::Error;
use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::Shutdown;
use std::sync::Arc;

use futures_io::{AsyncRead, AsyncWrite};

use crate::stream::TouStream;

/// The half of a [`TouStream`] that is read; see [`TouStream::into_split`].
///
/// Everything else that a stream can do it does through `as_ref()`.
#[derive(Debug)]
pub struct OwnedReadHalf {
    stream: TouStream,
}

/// The half of a [`TouStream`] that is written; see [`TouStream::into_split`].
///
/// When it is dropped writing is shut down: the peer reads the end of the stream
/// once it has read what was written. Everything else that a stream can do it
/// does through `as_ref()`.
#[derive(Debug)]
pub struct OwnedWriteHalf {
    stream: TouStream,
    reunited: bool,
}

/// Two halves that are not of the same stream.
#[derive(Debug)]
pub struct ReuniteError(pub OwnedReadHalf, pub OwnedWriteHalf);

impl OwnedReadHalf {
    pub(crate) fn new(stream: TouStream) -> Self {
        Self { stream }
    }

    /// Makes one stream of the two halves again.
    ///
    /// # Errors
    /// With both halves, if they are not of the same stream.
    #[expect(clippy::result_large_err, reason = "both halves go back to their owner")]
    pub fn reunite(self, mut other: OwnedWriteHalf) -> Result<TouStream, ReuniteError> {
        if Arc::ptr_eq(&other.stream.inner, &self.stream.inner) {
            other.reunited = true;
            Ok(self.stream)
        } else {
            Err(ReuniteError(self, other))
        }
    }
}

impl OwnedWriteHalf {
    pub(crate) fn new(stream: TouStream) -> Self {
        Self { stream, reunited: false }
    }
}

impl Drop for OwnedWriteHalf {
    fn drop(&mut self) {
        if !self.reunited {
            // It fails if the stream was aborted: then there is nothing to end.
            let _ = self.stream.shutdown(Shutdown::Write);
        }
    }
}

impl AsRef<TouStream> for OwnedReadHalf {
    fn as_ref(&self) -> &TouStream {
        &self.stream
    }
}

impl AsRef<TouStream> for OwnedWriteHalf {
    fn as_ref(&self) -> &TouStream {
        &self.stream
    }
}

impl AsyncRead for OwnedReadHalf {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_read(cx, out)
    }

    fn poll_read_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_read_vectored(cx, bufs)
    }
}

impl AsyncWrite for OwnedWriteHalf {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, data)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(cx)
    }
}

impl fmt::Display for ReuniteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the two halves are not of the same stream")
    }
}

impl Error for ReuniteError {}
