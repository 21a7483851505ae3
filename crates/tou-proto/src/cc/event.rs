//! What a controller is told.
//!
//! Plain facts, in bytes and time. The structs may grow, so they cannot be written out as
//! literals elsewhere: `new` makes one with every count at zero, and the fields are public.

use core::time::Duration;

use crate::time::Instant;

/// What every controller is told at birth.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct PathFacts {
    /// Sender maximum segment size, in bytes of data.
    pub mss: u64,
    /// Initial window, in bytes (RFC 6928, or less after a lost SYN: RFC 5681 §3.1).
    pub initial_window: u64,
    /// Transmissions shall be spread over the round trip: the controller names a
    /// [`pacing_rate`](super::Controller::pacing_rate). A window that opens by much at once then
    /// makes no burst, so the limit on growth by one acknowledgment falls in the initial slow
    /// start (RFC 9406 §4.3: `L`).
    pub paced: bool,
}

impl PathFacts {
    /// Facts of a path whose segments carry `mss` bytes of data and whose first window is
    /// `initial_window` bytes; not paced.
    #[must_use]
    pub const fn new(mss: u64, initial_window: u64) -> Self {
        Self { mss, initial_window, paced: false }
    }

    /// The same path, with pacing on or off.
    #[must_use]
    pub const fn with_pacing(mut self, paced: bool) -> Self {
        self.paced = paced;
        self
    }
}

/// Data was sent.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SentEvent {
    /// When.
    pub now: Instant,
    /// Bytes of data sent.
    pub bytes: u64,
    /// Bytes in flight after it.
    pub in_flight: u64,
}

impl SentEvent {
    /// An event at `now` with every count at zero.
    #[must_use]
    pub const fn new(now: Instant) -> Self {
        Self { now, bytes: 0, in_flight: 0 }
    }
}

/// An acknowledgment delivered new data.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct AckEvent {
    /// When.
    pub now: Instant,
    /// Bytes newly acknowledged, cumulatively.
    pub acked: u64,
    /// Bytes newly delivered, cumulatively or selectively (each counted once).
    pub delivered: u64,
    /// Bytes in flight before this acknowledgment.
    pub prior_in_flight: u64,
    /// Bytes in flight after it.
    pub in_flight: u64,
    /// A round-trip sample, if the acknowledgment gave one.
    pub rtt_sample: Option<Duration>,
    /// Smoothed round trip, if known.
    pub srtt: Option<Duration>,
    /// Smallest round trip seen lately, if known.
    pub min_rtt: Option<Duration>,
    /// Stream position acknowledged up to, as a bare number: marks rounds.
    pub ack_pos: u64,
    /// Stream position sent up to, as a bare number: marks rounds.
    pub sent_pos: u64,
    /// The window was not the limit of what was sent: the application or the peer's window was
    /// (RFC 7661 §4.1, RFC 9438 §5.8).
    pub app_limited: bool,
    /// A fast recovery is under way: the window is proportional rate reduction's until it ends
    /// (RFC 9937).
    pub in_recovery: bool,
    /// What was outstanding when the retransmission timer last expired was not all acknowledged
    /// before this: an acknowledgment may cover much that left the network long ago, and opens the
    /// window by one segment at most (RFC 5681 §3.1, RFC 3465 §2.3).
    pub after_timeout: bool,
    /// What was outstanding when the last recovery ended, a fast one or a timeout's, was not all
    /// acknowledged before this: part of `acked` may have been delivered while the window was
    /// not the controller's, and opens it by nothing.
    pub after_recovery: bool,
}

impl AckEvent {
    /// An event at `now` with every count at zero, nothing known of the round trip, the window
    /// the limit, and no recovery.
    #[must_use]
    pub const fn new(now: Instant) -> Self {
        Self {
            now,
            acked: 0,
            delivered: 0,
            prior_in_flight: 0,
            in_flight: 0,
            rtt_sample: None,
            srtt: None,
            min_rtt: None,
            ack_pos: 0,
            sent_pos: 0,
            app_limited: false,
            in_recovery: false,
            after_timeout: false,
            after_recovery: false,
        }
    }
}

/// The network said "less": loss that starts a recovery episode, or an ECN mark. At most once a
/// window.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct CongestionEvent {
    /// When.
    pub now: Instant,
    /// FlightSize when it happened, in bytes (RFC 5681 §3.1 equation 4): everything outstanding,
    /// sent and not cumulatively acknowledged.
    pub flight_size: u64,
    /// It was an ECN mark, not a loss.
    pub ecn: bool,
}

impl CongestionEvent {
    /// A loss at `now` with `flight_size` bytes outstanding.
    #[must_use]
    pub const fn new(now: Instant, flight_size: u64) -> Self {
        Self { now, flight_size, ecn: false }
    }
}

/// The retransmission timer expired.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RtoEvent {
    /// When.
    pub now: Instant,
    /// FlightSize when it happened, in bytes.
    pub flight_size: u64,
    /// The first expiry for this data: later ones for the same data leave ssthresh alone
    /// (RFC 5681 §3.1).
    pub first: bool,
}

impl RtoEvent {
    /// The first expiry, at `now` with `flight_size` bytes outstanding.
    #[must_use]
    pub const fn new(now: Instant, flight_size: u64) -> Self {
        Self { now, flight_size, first: true }
    }
}
