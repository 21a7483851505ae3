//! Error reports about the path (RFC 9293 §3.9.2.2, RFC 5927): hints, but for a
//! refusal while connecting, and for a way that was never there.

use crate::error::ConnectionError;
use crate::seq::SeqNumber;

use super::Connection;
use super::state::State;

impl Connection {
    /// The peer's host says that nobody is there. While connecting that is as
    /// good as a reset. When the peer has said its last word and has all of
    /// ours but the FIN, it is as good as the FIN's acknowledgment: the program
    /// at the other end is gone, and nothing is lost. Otherwise it is a hint.
    pub fn handle_refused(&mut self, quoted: SeqNumber) {
        if !self.is_in_flight(quoted) {
            self.counters.soft_errors += 1;
        } else if self.state == State::SynSent {
            self.fail(ConnectionError::Refused);
        } else if self.state.is_peer_done() && self.is_only_fin_left() {
            self.finish();
        } else {
            self.counters.soft_errors += 1;
        }
    }

    /// This host has no way to the peer. Nobody on the network says so, and nobody can
    /// forge it, so a connection that has sent nothing yet need not wait for the end of its
    /// time: its user may have another address to try. A way that there was may come back.
    pub fn handle_no_route(&mut self, quoted: SeqNumber) {
        let is_first = self.state == State::SynSent && !self.flags.syn_retransmitted;
        if is_first && self.is_in_flight(quoted) {
            self.fail(ConnectionError::Unreachable);
        } else {
            self.counters.soft_errors += 1;
        }
    }

    /// There is no way to the peer now: a hint (RFC 9293 MUST-56).
    pub fn handle_soft_error(&mut self, _quoted: SeqNumber) {
        self.counters.soft_errors += 1;
    }

    /// A segment was too large for the path, which takes IP packets of `mtu`
    /// bytes, `carrier_header` of them IP's and UDP's.
    pub fn handle_too_big(&mut self, quoted: SeqNumber, mtu: u16, carrier_header: u16) {
        self.counters.soft_errors += 1;
        if !self.is_in_flight(quoted) {
            return;
        }
        if self.segment_size.on_report(mtu, carrier_header) {
            self.on_segment_size();
            // What was sent in that size will not arrive.
            self.recovery.mark_all_lost();
        }
    }

    /// RFC 5927 §4.1: a report quotes a sequence number that is in flight, or is
    /// forged.
    fn is_in_flight(&self, quoted: SeqNumber) -> bool {
        let pos = self.snd.nxt.nearest(quoted);
        self.snd.una <= pos && pos < self.snd.nxt
    }
}
