//! The ways a connection ends: shutdown, close, release, abort, failure,
//! TIME-WAIT (RFC 9293 §3.6, §3.10.4, §3.10.5).

use crate::error::ConnectionError;
use crate::seq::SeqNumber;
use crate::time::Instant;

use super::Connection;
use super::state::State;
use super::tcb::{Ports, TimestampState};

/// Who holds a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// A user, who reads what arrives.
    Held,
    /// Nobody since RFC 9293's CLOSE: data that still arrives is answered with
    /// a reset (§3.6.1, SHLD-3).
    Closed,
    /// Nobody since a graceful release: data that still arrives is discarded
    /// until our FIN is acknowledged, and answered with a reset from then on.
    Released,
}

/// What must be remembered of a connection in TIME-WAIT: enough to answer a
/// retransmitted FIN, and to tell a new SYN from an old one.
#[derive(Clone, Debug)]
pub(crate) struct Remains {
    pub(crate) ports: Ports,
    /// RCV.NXT, the peer's FIN included.
    pub(crate) rcv_nxt: SeqNumber,
    /// SND.NXT, our FIN included.
    pub(crate) snd_nxt: SeqNumber,
    /// The window field of the last acknowledgment.
    pub(crate) window: u16,
    /// The timestamp option's state, if it was in use.
    pub(crate) timestamps: Option<TimestampState>,
}

impl Connection {
    /// Ends the sending direction: a FIN follows what was written. Receiving
    /// goes on. Calling it again does nothing.
    pub fn shutdown(&mut self, now: Instant) {
        if self.flags.fin_queued {
            return;
        }
        match self.state {
            // Before the connection is established the FIN waits for it (RFC
            // 9293 §3.10.4, SYN-RECEIVED).
            State::SynSent | State::SynReceived => self.flags.fin_queued = true,
            State::Established => {
                self.flags.fin_queued = true;
                self.state = State::FinWait1;
            }
            State::CloseWait => {
                self.flags.fin_queued = true;
                self.state = State::LastAck;
            }
            _ => {}
        }
        self.settle(now);
    }

    /// RFC 9293's CLOSE (§3.10.4): as [`shutdown`](Self::shutdown), and nobody
    /// will read any more. What was received and not read, and what is received
    /// later, is answered with a reset (§3.6.1, SHLD-3).
    pub fn close(&mut self, now: Instant) {
        if self.recv.unread() > 0 && self.state.is_synchronized() {
            self.abort();
            return;
        }
        self.give_up(now, Owner::Closed);
    }

    /// As [`close`](Self::close), but what was written still arrives: unread and
    /// later input is discarded, until our FIN is acknowledged.
    pub fn release(&mut self, now: Instant) {
        let discarded = self.recv.discard();
        self.on_user_read(now, discarded);
        self.give_up(now, Owner::Released);
    }

    fn give_up(&mut self, now: Instant, owner: Owner) {
        self.owner = owner;
        self.interest.ignore();
        // What the user no longer waits for gets the user timeout once more.
        self.progress_at = now;
        if self.state == State::SynSent && self.send.is_empty() {
            // RFC 9293 §3.10.4, SYN-SENT: delete the TCB.
            self.state = State::Closed;
        }
        self.shutdown(now);
    }

    /// RFC 9293's ABORT (§3.10.5): the peer is told with a reset, if there is a
    /// connection it knows of, and everything is dropped.
    pub fn abort(&mut self) {
        self.owner = Owner::Closed;
        self.interest.ignore();
        let is_known_to_peer = matches!(
            self.state,
            State::SynReceived
                | State::Established
                | State::FinWait1
                | State::FinWait2
                | State::CloseWait
                | State::Closing
                | State::LastAck
        );
        if is_known_to_peer {
            self.flags.reset = true;
        }
        if !matches!(self.state, State::Closed | State::TimeWait) {
            self.fail(ConnectionError::Aborted);
        }
    }

    /// Gives up after a timeout (RFC 9293 §3.8.3): the peer, should it still be
    /// there, is told with a reset.
    pub(super) fn time_out(&mut self) {
        self.flags.reset = self.state != State::SynSent;
        self.fail(ConnectionError::TimedOut);
    }

    /// The connection is over before its time.
    pub(super) fn fail(&mut self, error: ConnectionError) {
        self.state = State::Closed;
        self.error = Some(error);
        self.send.clear();
        self.recv.drop_out_of_order();
        self.interest.on_closed(Some(error));
    }

    /// All is closed, and what was written is acknowledged.
    pub(super) fn finish(&mut self) {
        self.state = State::Closed;
        self.interest.on_closed(None);
    }

    /// Both FINs are acknowledged (RFC 9293 §3.10.7.4): the connection is over,
    /// and its [`Remains`] wait out old duplicates.
    pub(super) fn enter_time_wait(&mut self) {
        self.state = State::TimeWait;
        self.interest.on_closed(None);
    }

    /// What is to be remembered; `None` unless the state is TIME-WAIT and the
    /// peer's FIN has been acknowledged.
    pub(crate) fn remains(&self) -> Option<Remains> {
        if self.state != State::TimeWait || self.acks.is_due() {
            return None;
        }
        Some(Remains {
            ports: self.ports,
            rcv_nxt: self.rcv.nxt.seq(),
            snd_nxt: self.snd.nxt.seq(),
            window: self.window_field(false),
            timestamps: self.negotiated.timestamps.then(|| self.timestamps.clone()),
        })
    }

    /// Nothing more comes of the connection, and nobody holds it.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        let is_over = match self.state {
            State::Closed => !self.flags.reset,
            State::TimeWait => !self.acks.is_due(),
            _ => false,
        };
        is_over && self.owner != Owner::Held
    }

    /// Something written is not acknowledged yet, or not even a FIN that the peer
    /// waits for. What may be missing in the end is the acknowledgment of our FIN
    /// by a peer that has sent its own: nothing depends on it.
    #[must_use]
    pub fn is_undelivered(&self) -> bool {
        self.is_unfinished() && !(self.state.is_peer_done() && self.is_only_fin_left())
    }

    /// Something written, or the FIN, is not acknowledged yet.
    #[must_use]
    pub fn is_unfinished(&self) -> bool {
        let is_over = matches!(self.state, State::Closed | State::TimeWait);
        self.flags.reset || (!is_over && (self.unsent() > 0 || self.recovery.outstanding() > 0))
    }
}
