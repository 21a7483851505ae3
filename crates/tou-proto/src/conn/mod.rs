//! One connection: the control block, and the only place where buffers,
//! recovery, congestion control and the wire meet.
//!
//! ```text
//!  segment -> input ---> verdict            (RFC 9293 §3.10.7, step by step)
//!               |------> handshake          (SYN-SENT, what the SYNs agree on)
//!               |------> ack_in -> recovery, cc, send buffer
//!               |------> data_in -> receive buffer, urgent mark, FIN
//!               '------> ack_out            (is an ACK owed?)
//!  user ----> user, close                   (read, write; the ways to end)
//!  time ----> timeout                       (what each expired deadline does)
//!
//!  schedule (pure) -> output -> segments    (what may be sent now)
//! ```
//!
//! Input never sends, output never judges: input changes variables and raises
//! flags, [`schedule`](self::schedule) reads them and decides, output carries
//! one decision out. Every deadline lives with the part that it belongs to;
//! [`Connection::poll_timeout`] is their minimum.

mod ack_in;
mod ack_out;
mod arrivals;
mod close;
mod data_in;
mod handshake;
mod info;
mod input;
mod memory;
mod output;
mod pacing;
mod path_error;
mod persist;
mod pmtu;
mod reply_limit;
mod schedule;
mod state;
mod tcb;
mod timeout;
mod user;
mod user_timeout;
mod verdict;
mod window;

use alloc::sync::Arc;

use crate::buffer::{RecvAutotune, RecvBuffer, SendBuffer, Spares};
use crate::cc::AnyController;
use crate::config::ConnectionConfig;
use crate::error::ConnectionError;
use crate::recovery::Recovery;
use crate::seq::StreamPos;
use crate::stats::ConnectionCounters;
use crate::time::Instant;
use crate::wire::Checksum;

use self::ack_out::AckPolicy;
use self::close::Owner;
use self::pacing::Pacer;
use self::persist::Persist;
use self::pmtu::SegmentSize;
use self::tcb::{Negotiated, Ports, SendSpace};
use self::user::Interest;
use self::user_timeout::TimeoutAdvice;

pub use self::handshake::OpenParams;
pub use self::input::Disposition;
pub use self::output::Filled;
pub use self::state::State;
pub use self::user::Happenings;

pub(crate) use self::close::Remains;
pub(crate) use self::handshake::{Opening, SynFacts, announced_mss};
pub(crate) use self::memory::first_window;
pub(crate) use self::reply_limit::ReplyLimit;
pub(crate) use self::tcb::{RecvSpace, TimestampState};
pub(crate) use self::verdict::{Extent, ResetVerdict, is_in_window, is_old_timestamp, judge_reset};

/// One connection's control block, for those who find the connection of a
/// datagram themselves. [`crate::Endpoint`] does that, and listening, for
/// everybody else.
///
/// The calls and their order are those of [`crate::DatagramMachine`], with
/// segments instead of datagrams: [`handle_segment`](Self::handle_segment) for
/// each segment that was waiting, then [`end_of_batch`](Self::end_of_batch);
/// [`poll_transmit`](Self::poll_transmit) until it returns `None`;
/// [`handle_timeout`](Self::handle_timeout) at [`poll_timeout`](Self::poll_timeout);
/// [`take_happenings`](Self::take_happenings) whenever anything was called.
#[derive(Debug)]
pub struct Connection {
    config: Arc<ConnectionConfig>,
    checksum: Checksum,
    ports: Ports,
    state: State,
    /// Who holds the connection, and so what becomes of data that arrives.
    owner: Owner,
    /// This side opened passively: it was a listener's.
    is_passive: bool,

    snd: SendSpace,
    rcv: RecvSpace,
    negotiated: Negotiated,
    timestamps: TimestampState,
    segment_size: SegmentSize,
    /// The MSS option of our SYN.
    announced_mss: u16,
    /// The MSS option of the peer's, or the default.
    peer_mss: u16,

    send: SendBuffer,
    recv: RecvBuffer,
    autotune: RecvAutotune,
    recovery: Recovery,
    /// `None` until the connection is established: a SYN needs no window.
    congestion: Option<AnyController>,
    acks: AckPolicy,
    persist: Persist,
    pacer: Pacer,

    flags: Flags,
    interest: Interest,
    /// Since when the oldest unacknowledged data has been waiting, or since
    /// when the connection is being opened: what the user timeout counts from.
    progress_at: Instant,
    timeout_advice: TimeoutAdvice,
    /// When the peer was last heard from.
    heard_at: Instant,
    /// When the last segment with data was sent (RFC 5681 §4.1).
    sent_at: Instant,
    /// Keepalive probes sent since the peer was last heard from.
    keepalive_probes: u32,
    /// When the last of them was sent.
    keepalive_at: Instant,
    /// Up to here the congestion window was the limit of what was sent.
    cwnd_limited_to: StreamPos,
    /// Memory that is free for all connections of the endpoint together.
    free_memory: u64,
    /// What released memory it keeps for the next to need some: lent for a call.
    spares: Spares,
    /// The part of the room for arrivals that is this connection's.
    arrival_share: u64,
    error: Option<ConnectionError>,
    counters: ConnectionCounters,
}

/// What the connection has been told or has found out, and output has yet to
/// act on.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each with its own end")]
struct Flags {
    /// The user has ended the sending direction: a FIN follows the data.
    fin_queued: bool,
    /// A reset is to be sent; the connection is closed.
    reset: bool,
    /// A tail loss probe is to be sent (RFC 8985 §7.3).
    tail_probe: bool,
    /// A keepalive probe is to be sent (RFC 9293 §3.8.4).
    keepalive_probe: bool,
    /// Nagle's algorithm is off.
    nodelay: bool,
    /// Only full segments are sent.
    cork: bool,
    /// The SYN had to be sent more than once.
    syn_retransmitted: bool,
    /// An acceptable segment has arrived since this was last asked.
    heard: bool,
    /// The peer's SYN offered window scaling, so that our SYN-ACK may.
    peer_scales: bool,
}

impl Connection {
    /// The state of RFC 9293 §3.3.2. In [`State::TimeWait`] all that is left to do
    /// is to acknowledge the peer's FIN again, should it come again; whoever holds
    /// the connection decides how long.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// How the connection came to an untimely end, if it did.
    #[must_use]
    pub fn error(&self) -> Option<ConnectionError> {
        self.error
    }

    /// Whether an acceptable segment of the peer has arrived since this was last
    /// asked.
    pub(crate) fn take_heard(&mut self) -> bool {
        core::mem::take(&mut self.flags.heard)
    }

    /// What was counted.
    #[must_use]
    pub fn counters(&self) -> &ConnectionCounters {
        &self.counters
    }

    /// Position after the last the user has written, a queued FIN included.
    fn stream_end(&self) -> StreamPos {
        self.send.end() + u64::from(self.flags.fin_queued)
    }

    /// Bytes, and a FIN, that were written and never sent.
    fn unsent(&self) -> u64 {
        self.stream_end().since(self.snd.nxt)
    }

    /// Our FIN has been sent and acknowledged.
    fn is_fin_acked(&self) -> bool {
        self.flags.fin_queued && self.snd.una == self.stream_end()
    }

    /// All that was written is acknowledged, and the FIN is sent.
    fn is_only_fin_left(&self) -> bool {
        self.flags.fin_queued && self.snd.una == self.send.end() && self.unsent() == 0
    }

    /// What may be in flight: proportional rate reduction's say during fast
    /// recovery (RFC 9937), else the controller's.
    fn cwnd(&self) -> u64 {
        let controller = || self.congestion.as_ref().map_or(u64::MAX, crate::cc::Controller::cwnd);
        self.recovery.prr_cwnd().unwrap_or_else(controller)
    }

    /// Bytes of options in a segment without SACK blocks.
    fn option_len(&self) -> u16 {
        if self.negotiated.timestamps { 12 } else { 0 }
    }

    /// Bytes of data in a full-sized segment.
    fn mss(&self) -> u64 {
        u64::from(self.segment_size.mss().saturating_sub(self.option_len()).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An idle connection costs this, and little on the heap. Room for a million
    /// of them is won or lost here.
    #[test]
    fn a_connection_is_small() {
        assert!(size_of::<Connection>() <= 1_728, "{}", size_of::<Connection>());
    }
}
