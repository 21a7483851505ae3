//! Reading and writing with several buffers at once, as one call.

use std::io::{IoSlice, IoSliceMut};

use tou_proto::{ConnId, Endpoint, Instant, ReadError, WriteError};

/// Reads into one buffer after the other until there is no more. An error that
/// is met after the first octet is left for the next call.
///
/// # Errors
/// As [`Endpoint::read`].
pub fn read_vectored(
    endpoint: &mut Endpoint,
    now: Instant,
    conn: ConnId,
    bufs: &mut [IoSliceMut<'_>],
) -> Result<usize, ReadError> {
    let mut total = 0;
    for buf in bufs.iter_mut().filter(|buf| !buf.is_empty()) {
        match endpoint.read(now, conn, buf) {
            Ok(0) => break,
            Ok(len) => total += len,
            Err(_) if total > 0 => break,
            Err(error) => return Err(error),
        }
    }
    Ok(total)
}

/// Writes one buffer after the other until no more fits. An error that is met
/// after the first octet is left for the next call.
///
/// # Errors
/// As [`Endpoint::write`].
pub fn write_vectored(
    endpoint: &mut Endpoint,
    now: Instant,
    conn: ConnId,
    bufs: &[IoSlice<'_>],
) -> Result<usize, WriteError> {
    let mut total = 0;
    for buf in bufs.iter().filter(|buf| !buf.is_empty()) {
        match endpoint.write(now, conn, buf) {
            Ok(len) => {
                total += len;
                if len < buf.len() {
                    break;
                }
            }
            Err(_) if total > 0 => break,
            Err(error) => return Err(error),
        }
    }
    Ok(total)
}
