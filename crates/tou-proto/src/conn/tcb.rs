//! The transmission control block's variables (RFC 9293 §3.3.1), and what the
//! handshake settled. Values only; the rules that change them live in the
//! rooms named after the rules.

use core::time::Duration;

use crate::id::Port;
use crate::seq::StreamPos;
use crate::time::{Instant, Span};

/// The two TCP ports of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ports {
    pub(crate) local: Port,
    pub(crate) peer: Port,
}

/// Send sequence variables (RFC 9293 §3.3.1).
#[derive(Clone, Debug)]
pub(crate) struct SendSpace {
    /// ISS: where our SYN is.
    pub(crate) iss: StreamPos,
    /// SND.UNA: oldest position not acknowledged.
    pub(crate) una: StreamPos,
    /// SND.NXT: next position to send. What is sent again is recovery's
    /// business; it goes back only when a zero-window probe was refused.
    pub(crate) nxt: StreamPos,
    /// The highest SND.NXT there was: what the peer may acknowledge.
    pub(crate) max: StreamPos,
    /// SND.WND: the peer's window, in bytes.
    pub(crate) wnd: u64,
    /// The right edge of the peer's window as it offered it: what the scale cuts off
    /// from one window to the next does not take it back.
    pub(crate) edge: StreamPos,
    /// SND.WL1: the peer's position at the last window update.
    pub(crate) wl1: StreamPos,
    /// SND.WL2: our position acknowledged at the last window update.
    pub(crate) wl2: StreamPos,
    /// The largest window the peer has offered (RFC 9293 §3.8.6.2.1, RFC 5961
    /// §5.2 MAX.SND.WND).
    pub(crate) max_wnd: u64,
    /// SND.UP: position after the last urgent byte written, while ahead of
    /// SND.UNA.
    pub(crate) up: Option<StreamPos>,
}

impl SendSpace {
    pub(crate) fn new(iss: StreamPos) -> Self {
        let zero = StreamPos::default();
        Self {
            iss,
            una: iss,
            nxt: iss,
            max: iss,
            wnd: 0,
            edge: zero,
            wl1: zero,
            wl2: zero,
            max_wnd: 0,
            up: None,
        }
    }

    /// Our SYN has been acknowledged.
    pub(crate) fn is_syn_acked(&self) -> bool {
        self.una > self.iss
    }

    /// Takes the window of the peer's segment at `seq` that acknowledges `ack`. Its
    /// field counted in units of `1 << shift`: an edge that seems to move left by less
    /// than one of them has not moved (RFC 7323 §2.4).
    pub(crate) fn take_window(&mut self, seq: StreamPos, ack: StreamPos, window: u64, shift: u8) {
        let edge = ack + window;
        if edge > self.edge || self.edge.since(edge) >> shift > 0 {
            self.edge = edge;
        }
        self.wnd = window;
        self.max_wnd = self.max_wnd.max(window);
        self.wl1 = seq;
        self.wl2 = ack;
    }

    /// Bytes that the peer's window still allows beyond SND.NXT.
    pub(crate) fn usable_window(&self) -> u64 {
        (self.una + self.wnd).since(self.nxt)
    }
}

/// Receive sequence variables (RFC 9293 §3.3.1).
#[derive(Clone, Debug)]
pub(crate) struct RecvSpace {
    /// IRS: where the peer's SYN is.
    pub(crate) irs: StreamPos,
    /// RCV.NXT: next position expected.
    pub(crate) nxt: StreamPos,
    /// RCV.NXT + RCV.WND: the right edge of the window as offered. It never
    /// moves left (RFC 9293 §3.8.6, SHLD-14).
    pub(crate) edge: StreamPos,
    /// RCV.UP: position after the last urgent byte (RFC 6093 §3), if any came.
    pub(crate) up: Option<StreamPos>,
    /// Where the peer's FIN is, once a segment has shown it.
    pub(crate) fin: Option<StreamPos>,
    /// The ACK field of the last segment sent (RFC 7323 §4.3 Last.ACK.sent).
    pub(crate) last_ack_sent: StreamPos,
}

impl RecvSpace {
    /// Before a SYN has come.
    pub(crate) fn unknown() -> Self {
        let zero = StreamPos::default();
        Self { irs: zero, nxt: zero, edge: zero, up: None, fin: None, last_ack_sent: zero }
    }

    /// RCV.WND.
    pub(crate) fn wnd(&self) -> u64 {
        self.edge.since(self.nxt)
    }
}

/// What the two SYNs agreed on.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Negotiated {
    /// Both sent SACK-permitted (RFC 2018 §2).
    pub(crate) sack: bool,
    /// Both sent timestamps (RFC 7323 §3.2).
    pub(crate) timestamps: bool,
    /// Shift of the windows the peer sends us; zero without scaling.
    pub(crate) snd_shift: u8,
    /// Shift of the windows we send.
    pub(crate) rcv_shift: u8,
}

/// The timestamp option's state (RFC 7323 §4 and §5).
#[derive(Clone, Debug)]
pub(crate) struct TimestampState {
    /// Added to our clock, so that it tells nothing about other connections
    /// (RFC 7323 §5.4).
    offset: u32,
    /// What is echoed: TS.Recent, or what has come since and leaves that alone.
    echo: u32,
    /// TS.Recent, and when it was set.
    recent: Option<(u32, Instant)>,
}

/// One tick of the timestamp clock (RFC 7323 §5.4: between 1 ms and 1 s).
const TICK_NANOS: u64 = 1_000_000;

/// After so long without a segment TS.Recent means nothing (RFC 7323 §5.5: 24
/// days, the time in which a millisecond clock may have wrapped its sign bit).
const RECENT_OUTDATED: Duration = Duration::from_secs(24 * 24 * 3_600);

impl TimestampState {
    pub(crate) fn new(offset: u32) -> Self {
        Self { offset, echo: 0, recent: None }
    }

    /// TSval for a segment sent `now`.
    #[expect(clippy::cast_possible_truncation, reason = "the timestamp clock wraps by design")]
    pub(crate) fn tsval(&self, now: Instant) -> u32 {
        self.offset.wrapping_add((now.as_nanos() / TICK_NANOS) as u32)
    }

    /// TSecr for a segment with ACK.
    pub(crate) fn tsecr(&self) -> u32 {
        self.echo
    }

    /// TS.Recent, unless it is none or outdated.
    pub(crate) fn recent(&self, now: Instant) -> Option<u32> {
        self.recent
            .filter(|(_, at)| now.saturating_since(*at) < RECENT_OUTDATED)
            .map(|(tsval, _)| tsval)
    }

    /// Sets TS.Recent.
    pub(crate) fn set_recent(&mut self, now: Instant, tsval: u32) {
        self.recent = Some((tsval, now));
        self.echo = tsval;
    }

    /// Echoes this until TS.Recent is set again, which stays: what the peer sent before may
    /// still come.
    pub(crate) fn set_echo(&mut self, tsval: u32) {
        self.echo = tsval;
    }

    /// The round trip that an echo of our clock measures; `None` if the echo
    /// is from the future or older than a connection can be.
    pub(crate) fn round_trip(&self, now: Instant, tsecr: u32) -> Option<Span> {
        let ticks = self.tsval(now).wrapping_sub(tsecr);
        (ticks < MAX_ROUND_TRIP_TICKS).then(|| Span::from_nanos(u64::from(ticks) * TICK_NANOS))
    }
}

/// Ten minutes: an echo that claims more is not ours.
const MAX_ROUND_TRIP_TICKS: u32 = 600_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_timestamp_clock_ticks_in_milliseconds_from_its_offset() {
        let ts = TimestampState::new(u32::MAX);
        assert_eq!(ts.tsval(Instant::from_millis(1)), 0);
        let sent = ts.tsval(Instant::from_millis(5));
        let rtt = ts.round_trip(Instant::from_millis(25), sent);
        assert_eq!(rtt, Some(Span::from_millis(20)));
        assert_eq!(ts.round_trip(Instant::from_millis(4), sent), None);
    }

    #[test]
    fn the_recent_timestamp_is_outdated_after_24_days() {
        let mut ts = TimestampState::new(0);
        ts.set_recent(Instant::ZERO, 7);
        let day = Duration::from_secs(86_400);
        assert_eq!(ts.recent(Instant::ZERO + day * 23), Some(7));
        assert_eq!(ts.recent(Instant::ZERO + day * 24), None);
        assert_eq!(ts.tsecr(), 7);
    }

    #[test]
    fn what_is_only_echoed_makes_nothing_old() {
        let mut ts = TimestampState::new(0);
        let now = Instant::ZERO;
        ts.set_recent(now, 7);
        ts.set_echo(9);
        assert_eq!((ts.recent(now), ts.tsecr()), (Some(7), 9));
        ts.set_recent(now, 8);
        assert_eq!((ts.recent(now), ts.tsecr()), (Some(8), 8));
    }
}
