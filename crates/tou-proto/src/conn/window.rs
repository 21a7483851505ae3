//! Windows: the one the peer offers, the one this side offers, and silly-window
//! avoidance on the receiving side (RFC 9293 §3.8.6).

use crate::seq::StreamPos;
use crate::time::{Instant, Span};

use super::Connection;
use super::close::Owner;
use super::input::Arrival;

/// On the shortest paths it is not the path that takes the time of a round trip
/// but the two programs.
const MIN_TUNING_INTERVAL: Span = Span::from_millis(2);

impl Connection {
    /// Takes the window of an acceptable segment, unless a newer segment's
    /// window was taken already (RFC 9293 §3.10.7.4, fifth check: SND.WL1,
    /// SND.WL2). One that acknowledges something new is newer whatever its
    /// sequence number: a retransmission carries the peer's present window, and
    /// the last one, counted from an SND.UNA that has moved, would promise more
    /// than the peer did. The peer may shrink it (§3.8.6, MUST-34).
    pub(super) fn update_send_window(&mut self, now: Instant, seg: &Arrival<'_>, acks_new: bool) {
        let (seq, ack) = (seg.seq, seg.ack);
        let is_newer =
            acks_new || self.snd.wl1 < seq || (self.snd.wl1 == seq && self.snd.wl2 <= ack);
        if is_newer {
            if self.snd.wnd == 0 && seg.window > 0 && self.owner == Owner::Held {
                // The user timeout did not run, and begins anew.
                self.progress_at = now;
            }
            self.snd.take_window(seq, ack, seg.window, self.negotiated.snd_shift);
        }
    }

    /// Where the right edge of our window may go now. It moves by at least a
    /// segment or half the buffer, or stays (RFC 9293 §3.8.6.2.2), and never
    /// goes back.
    pub(super) fn recv_edge(&self) -> StreamPos {
        let limit = self.recv_limit();
        let expressible = u64::from(u16::MAX) << self.negotiated.rcv_shift;
        let wanted = (self.recv.read_pos() + limit).min(self.rcv.nxt + expressible);
        let step = self.recv_step(limit);
        if wanted.since(self.rcv.edge) >= step { wanted } else { self.rcv.edge }
    }

    /// The least by which the right edge moves: what the peer sees of it, after
    /// the scale has cut it off, must hold a full segment.
    fn recv_step(&self, limit: u64) -> u64 {
        let cut_off = (1 << self.negotiated.rcv_shift) - 1;
        (limit / 2).min(self.peer_segment_estimate() + cut_off)
    }

    /// The peer's full-sized segment: ours, or a larger one that was seen.
    fn peer_segment_estimate(&self) -> u64 {
        self.acks.peer_segment().max(self.mss())
    }

    /// The user has read: the receive buffer may grow, and the peer may have to
    /// hear of it although there is nothing else to tell, when the window it
    /// sees was (nearly) shut and reopens, or grows by half the buffer.
    pub(super) fn on_user_read(&mut self, now: Instant, bytes: u64) {
        // A side that only receives has the handshake's sample, taken while
        // nothing was busy, or none. A round trip taken for too long only makes
        // the buffer grow sooner.
        let rtt = self.recovery.srtt().unwrap_or_else(|| self.config.fields.rto_initial.into());
        self.autotune.on_read(now, bytes, Some(rtt.max(MIN_TUNING_INTERVAL)));
        let growth = self.recv_edge().since(self.rcv.edge);
        if growth == 0 || !self.state.may_receive() {
            return;
        }
        let limit = self.recv_limit();
        let was_shut = self.visible_window() < self.recv_step(limit);
        if was_shut || growth >= limit / 2 {
            self.acks.require();
        }
    }

    /// Our window as the peer reads it: rounded down by the scale.
    fn visible_window(&self) -> u64 {
        let shift = self.negotiated.rcv_shift;
        let field = (self.rcv.wnd() >> shift).min(u64::from(u16::MAX));
        field << shift
    }

    /// The window field for a segment sent now. In a SYN the field is not
    /// scaled (RFC 7323 §2.2).
    #[inline]
    pub(super) fn window_field(&self, is_syn: bool) -> u16 {
        let shift = if is_syn { 0 } else { self.negotiated.rcv_shift };
        let window = self.recv_edge().since(self.rcv.nxt) >> shift;
        u16::try_from(window).unwrap_or(u16::MAX)
    }

    /// A segment with this window field was sent. What the field does not say
    /// was not promised; what was promised before stays so.
    pub(super) fn on_window_sent(&mut self, field: u16, is_syn: bool) {
        let shift = if is_syn { 0 } else { self.negotiated.rcv_shift };
        self.rcv.edge = self.rcv.edge.max(self.rcv.nxt + (u64::from(field) << shift));
        self.rcv.last_ack_sent = self.rcv.nxt;
    }
}
