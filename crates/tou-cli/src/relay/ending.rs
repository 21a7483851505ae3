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

/// The longest stay after all is done.
const MAX_STAY: Duration = Duration::from_secs(3);

/// Waits until both directions have ended and all that this side wrote,
/// `written` bytes and the FIN, is acknowledged. This side has been shut down,
/// and the peer's end was read. Returns how long to stay for the peer's sake.
pub(crate) fn finish(stream: &TouStream, written: u64) -> Result<Duration, Failure> {
    let bell = Arc::new(Bell::default());
    let hook_bell = Arc::clone(&bell);
    stream.set_ready_hook(Some(move |_| hook_bell.ring()));
    loop {
        let info = stream.info().map_err(|error| connection_failure(&error, stream))?;
        match info.state {
            State::TimeWait => return Ok(stay(&info)),
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

/// Long enough for two more retransmissions of the peer's FIN, or three if the
/// network is known to lose segments. The timeout doubles each time, so the
/// second comes three timeouts from now, the third seven.
fn stay(info: &ConnectionInfo) -> Duration {
    let counters = &info.counters;
    let has_lost = counters.segments_retransmitted > 0
        || counters.out_of_order_segments > 0
        || counters.duplicate_bytes_received > 0;
    let timeouts = if has_lost { 7 } else { 3 };
    (info.rto * timeouts + info.rto / 2).min(MAX_STAY)
}
