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
use tracing::{debug, warn};

use super::bell::Bell;
use super::connection_failure;
use crate::failure::Failure;

/// How often something is looked at that no readiness tells of.
const LOOK: Duration = Duration::from_millis(50);

/// The longest stay after all is done.
const MAX_STAY: Duration = Duration::from_secs(3);

/// Waits until both directions have ended and all that this side wrote,
/// `written` bytes and the FIN, is acknowledged. This side has been shut down,
/// and the peer's end was read. Returns how long to stay for the peer's sake.
pub(crate) fn finish(stream: &TouStream, written: u64) -> Result<Duration, Failure> {
    let bell = Arc::new(Bell::default());
    let hook_bell = Arc::clone(&bell);
    stream.set_ready_hook(Some(move |_| hook_bell.ring()));
    let gone = |error| connection_failure(&error, stream);
    let soft_errors = stream.info().map_err(gone)?.counters.soft_errors;
    loop {
        let info = stream.info().map_err(gone)?;
        let has_all = info.counters.bytes_acked >= written;
        match info.state {
            State::TimeWait => return Ok(stay(&info)),
            State::Closed => {
                let Ok(Some(error)) = stream.take_error() else { return Ok(Duration::ZERO) };
                if has_all && error.kind() == ErrorKind::TimedOut {
                    warn!("the peer has all the data, but never confirmed the end");
                    return Ok(Duration::ZERO);
                }
                return Err(connection_failure(&error, stream));
            }
            // Its data is here, ours is there, and its host says that it has
            // gone: the last acknowledgment was lost.
            _ if has_all && info.counters.soft_errors > soft_errors => {
                debug!("the peer has gone, with all the data");
                return Ok(Duration::ZERO);
            }
            _ => bell.wait_for(LOOK),
        }
    }
}

/// Long enough for the peer's next retransmission of its FIN; for a few of
/// them, if segments were lost before.
fn stay(info: &ConnectionInfo) -> Duration {
    let counters = &info.counters;
    let has_lost = counters.segments_retransmitted > 0
        || counters.out_of_order_segments > 0
        || counters.duplicate_bytes_received > 0;
    let stay = if has_lost { info.rto * 4 } else { info.rto + info.rto / 4 };
    stay.min(MAX_STAY)
}
