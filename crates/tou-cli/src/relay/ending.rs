//! The end of a connection: waiting until the peer has everything.
//!
//! A kernel keeps a closed connection after its program has ended; here the
//! program is all there is. So it stays until its FIN is acknowledged, and then
//! for as long as the peer may still ask for the last acknowledgment (RFC 9293
//! §3.6, TIME-WAIT; a full one would keep users waiting for a minute).

use core::time::Duration;
use std::io::ErrorKind;
use std::sync::Arc;

use tou_mio::TouStream;
use tou_proto::{ConnectionInfo, State};
use tracing::warn;

use super::bell::Bell;
use super::connection_failure;
use crate::failure::Failure;

/// How long to stay on a network that loses segments: for four retransmissions
/// by a peer with the usual timeout of 200 ms, or for the first of one whose SYN
/// was lost (three seconds, RFC 6298 (5.7)).
const LONG_STAY: Duration = Duration::from_millis(3_500);

/// Waits until both directions have ended and all that this side wrote,
/// `written` bytes and the FIN, is acknowledged. This side has been shut down,
/// and the peer's end was read. Returns how long to stay for the peer's sake, on
/// a network that is known to be lossy or not.
pub(crate) fn finish(
    stream: &TouStream,
    written: u64,
    is_lossy: bool,
) -> Result<Duration, Failure> {
    let bell = Arc::new(Bell::default());
    let hook_bell = Arc::clone(&bell);
    stream.set_ready_hook(Some(move |_| hook_bell.ring()));
    loop {
        let info = stream.info().map_err(|error| connection_failure(&error, stream))?;
        match info.state {
            State::TimeWait => return Ok(stay(&info, is_lossy)),
            State::Closed => break,
            _ => bell.wait(),
        }
    }
    let Ok(Some(error)) = stream.take_error() else { return Ok(Duration::ZERO) };
    let has_all = stream.info().is_ok_and(|info| info.counters.bytes_acked >= written);
    if has_all && error.kind() == ErrorKind::TimedOut {
        // Its data is here and ours is there: only its last word is missing.
        warn!("the peer has all the data, but never confirmed the end");
        return Ok(Duration::ZERO);
    }
    Err(connection_failure(&error, stream))
}

/// How long to stay: usually for two more retransmissions of the peer's FIN. The
/// timeout doubles each time, so the second comes three timeouts from now.
fn stay(info: &ConnectionInfo, is_lossy: bool) -> Duration {
    let counters = &info.counters;
    let has_lost = counters.segments_retransmitted > 0
        || counters.out_of_order_segments > 0
        || counters.duplicate_bytes_received > 0;
    if is_lossy || has_lost { LONG_STAY } else { (info.rto * 7 / 2).min(LONG_STAY) }
}
