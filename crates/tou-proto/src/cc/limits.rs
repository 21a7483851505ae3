//! What Reno and CUBIC do alike: the bounds of their windows, growth in slow start, the restart
//! after idle, and a pace for their windows.
//!
//! Must not know how a window grows in congestion avoidance or by how much it shrinks.
//!
//! RFC 5681 §3.1 (slow start), RFC 3465 (counting bytes), RFC 5681 §4.1 and RFC 7661 (idle).

use core::time::Duration;

use super::{AckEvent, PathFacts};
use crate::util::mul_div;

/// Segments by which one acknowledgment may open the window in slow start, however large they are.
const SEGMENTS_PER_ACK: u64 = 8;

/// Bytes by which it may where no pacer spreads them, however small the segments are: a full batch.
///
/// RFC 5681 §3.1 says one segment and RFC 3465 §2.3 two, with a peer in mind that acknowledges
/// every second one, and RFC 9406 §4.3 (`L`) recommends eight to a sender without pacing. A peer
/// whose network card hands over whole batches acknowledges up to 64 KiB at once (RFC 9293
/// MUST-58), and eight segments for that make slow start linear: a path that holds 900 segments
/// would be filled after 25 round trips rather than seven. What the limit is against, a burst, is
/// there already: the acknowledgment of a batch lets a batch go, and this one more. It still
/// stands against an acknowledgment of more than a batch, after others were lost.
const BYTES_PER_ACK: u64 = 64 << 10;

/// A pacer's timers come once a millisecond, and what goes in that time is a burst to it. A path
/// that is shorter holds no more than one when it is empty; when it is not, the time is spent in
/// queues, most of them the two programs', and a pace taken from that keeps a program from what it
/// could do, and makes it do so in small portions.
const SHORTEST_PACED: Duration = Duration::from_millis(1);

/// The facts of the path in 16 bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    initial_window: u32,
    mss: u32,
    /// Smoothed round trip in microseconds; zero while unknown, or too short for a pace.
    srtt: u32,
    paced: bool,
}

impl Limits {
    pub(super) fn new(facts: &PathFacts) -> Self {
        let initial_window = u32::try_from(facts.initial_window).unwrap_or(u32::MAX);
        let mut limits = Self { initial_window, mss: 1, srtt: 0, paced: facts.paced };
        limits.set_mss(facts.mss);
        limits
    }

    /// Takes a segment size; at least one byte, whatever the caller says.
    pub(super) fn set_mss(&mut self, mss: u64) {
        self.mss = u32::try_from(mss).unwrap_or(u32::MAX).max(1);
    }

    /// Segment size in bytes, at least 1. Also the least window there is.
    pub(super) fn mss(&self) -> u64 {
        u64::from(self.mss)
    }

    /// The least slow-start threshold: two segments (RFC 5681 §3.1 equation 4).
    pub(super) fn min_ssthresh(&self) -> u64 {
        2 * self.mss()
    }

    /// The initial window in bytes, at least one segment.
    pub(super) fn initial_window(&self) -> u64 {
        u64::from(self.initial_window.max(self.mss))
    }

    /// Bytes by which this acknowledgment may open the window in slow start.
    ///
    /// The limit on one acknowledgment falls away where a pacer keeps the opened window from
    /// leaving as a burst, but only in the initial slow start (`ssthresh` still without a value).
    /// While a timeout is being repaired, an acknowledgment that fills a hole can cover much that
    /// left the network long ago, and counts for one segment (RFC 3465 §2.3).
    pub(super) fn slow_start_credit(&self, event: &AckEvent, ssthresh: u64) -> u64 {
        let initial = ssthresh == u64::MAX;
        let limit = if event.after_timeout {
            self.mss()
        } else if initial && self.paced {
            u64::MAX
        } else {
            BYTES_PER_ACK.max(SEGMENTS_PER_ACK * self.mss())
        };
        credit(event).min(limit)
    }

    /// Notes the round trip, for the pace.
    pub(super) fn note_round_trip(&mut self, event: &AckEvent) {
        if event.min_rtt.is_some_and(|rtt| rtt < SHORTEST_PACED) {
            self.srtt = 0;
        } else if let Some(srtt) = event.srtt {
            self.srtt = u32::try_from(srtt.as_micros()).unwrap_or(u32::MAX).max(1);
        }
    }

    /// Bytes a second at which the window is to be sent; `None` without pacing, before the first
    /// round trip is known, and where it is too short.
    ///
    /// Twice the window a round trip in slow start, which doubles it, and else a fifth more than
    /// the window: the pacer is to prevent bursts, and the window to be the limit.
    pub(super) fn pacing_rate(&self, cwnd: u64, ssthresh: u64) -> Option<u64> {
        if !self.paced || self.srtt == 0 {
            return None;
        }
        let (num, den) = if cwnd < ssthresh { (2, 1) } else { (6, 5) };
        Some(mul_div(cwnd, num * 1_000_000, den * u64::from(self.srtt)))
    }

    /// Window and threshold after an idle period longer than a retransmission timeout, or `None`
    /// if the window is small enough to keep.
    ///
    /// RFC 5681 §4.1: the restart window is the initial window at most. The threshold remembers
    /// three quarters of what the path held (RFC 7661 §4.4.3), so that slow start leads back there.
    pub(super) fn after_idle(&self, cwnd: u64, ssthresh: u64) -> Option<(u64, u64)> {
        let restart = self.initial_window();
        (cwnd > restart).then(|| (restart, ssthresh.max(cwnd - cwnd / 4)))
    }
}

/// Bytes of an acknowledgment that count for growth: those acknowledged cumulatively (RFC 3465
/// §2.1). A duplicate counts for nothing (RFC 5681 §3.1).
///
/// Where segments are only reordered, what the duplicates reported counts when the late one
/// comes. After a loss, what an earlier SACK reported does not count: it left the network while
/// the window was proportional rate reduction's, or in slow start after a timeout, long before
/// this acknowledgment.
pub(super) fn credit(event: &AckEvent) -> u64 {
    if event.after_recovery { event.acked.min(event.delivered) } else { event.acked }
}

/// Opens `cwnd` by `credit` bytes, up to `ssthresh`; returns the credit that is left there for
/// congestion avoidance.
pub(super) fn climb(cwnd: &mut u64, ssthresh: u64, credit: u64) -> u64 {
    let step = credit.min(ssthresh.saturating_sub(*cwnd));
    *cwnd = cwnd.saturating_add(step);
    credit - step
}
