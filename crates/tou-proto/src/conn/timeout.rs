//! What each deadline does when it has come, and which comes next.

use crate::cc::{Controller, RtoEvent};
use crate::recovery::TimerOutcome;
use crate::time::{Instant, Span};

use super::Connection;
use super::close::Owner;
use super::schedule::Decision;
use super::state::State;

impl Connection {
    /// When [`handle_timeout`](Self::handle_timeout) wants to be called next, at
    /// `now` or later; `None` when nothing waits.
    #[must_use]
    pub fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        self.deadline(now).unless_never()
    }

    /// The same, for who waits for many.
    pub(crate) fn deadline(&self, now: Instant) -> Instant {
        if matches!(self.state, State::Closed | State::Listen | State::TimeWait) {
            return Instant::NEVER;
        }
        let is_paced = self.pacer.wait(now).is_some();
        let pacing = if is_paced { self.pacing_deadline(now) } else { Instant::NEVER };
        self.recovery_deadline()
            .min(self.acks.deadline().unwrap_or(Instant::NEVER))
            .min(self.persist.deadline().unwrap_or(Instant::NEVER))
            .min(self.give_up_deadline())
            .min(self.keepalive_deadline())
            .min(pacing)
    }

    /// When pacing lets go of what it holds back.
    #[inline(never)]
    fn pacing_deadline(&self, now: Instant) -> Instant {
        match self.schedule(now) {
            Decision::WaitUntil(at) => at,
            _ => Instant::NEVER,
        }
    }

    /// Lets time pass.
    pub fn handle_timeout(&mut self, now: Instant) {
        if matches!(self.state, State::Closed | State::Listen | State::TimeWait) {
            return;
        }
        if self.give_up_deadline().has_come(now) {
            self.time_out();
            return;
        }
        if self.recovery_deadline().has_come(now) {
            self.on_recovery_timer(now);
            if self.state == State::Closed {
                return;
            }
        }
        if self.keepalive_deadline().has_come(now) {
            self.on_keepalive_timer();
        }
        self.acks.on_timeout(now);
        self.persist.on_timeout(now);
        self.settle(now);
    }

    /// While zero-window probes are out, the persist timer paces them: the peer
    /// answers them, and is not congested.
    fn recovery_deadline(&self) -> Instant {
        if self.persist.probing_since().is_some() {
            return Instant::NEVER;
        }
        self.recovery.deadline()
    }

    fn on_recovery_timer(&mut self, now: Instant) {
        match self.recovery.on_timer(now) {
            TimerOutcome::None => {}
            TimerOutcome::Lost { loss_found, flight_size } => {
                if let (true, Some(congestion)) = (loss_found, &mut self.congestion) {
                    congestion.on_congestion(&crate::cc::CongestionEvent {
                        now,
                        flight_size,
                        ecn: false,
                    });
                    self.recovery.enter_recovery(congestion.ssthresh());
                    self.counters.fast_recoveries += 1;
                }
            }
            TimerOutcome::ProbeDue => self.flags.tail_probe = true,
            TimerOutcome::Rto { first, flight_size, front_len } => {
                self.counters.timeouts += 1;
                let timeouts = self.recovery.consecutive_rtos();
                if timeouts == STALLED_TIMEOUTS {
                    self.interest.on_stalled();
                }
                self.flags.syn_retransmitted |= !self.snd.is_syn_acked();
                if self.snd.is_syn_acked() && self.snd.wnd == 0 {
                    // The peer shrank its window over what is in flight: neither
                    // congestion nor a black hole, and no end while it answers
                    // (RFC 9293 §3.8.6.1, MUST-37).
                    return;
                }
                if self.config.fields.max_retries.is_some_and(|retries| timeouts > retries) {
                    // R2 as a count (RFC 9293 §3.8.3).
                    self.time_out();
                    return;
                }
                if let Some(congestion) = &mut self.congestion {
                    congestion.on_rto(&RtoEvent { now, flight_size, first });
                }
                let options_len = u64::from(self.option_len());
                if self.segment_size.on_timeout(front_len, options_len, timeouts) {
                    self.on_segment_size();
                }
            }
        }
    }

    /// When waiting any longer is pointless: nothing acknowledged for the user
    /// timeout (RFC 9293 §3.8.3), no SYN answered for the connect timeout, no
    /// FIN for an orphan in FIN-WAIT-2. Zero-window probes that are answered go
    /// on for ever (RFC 9293 §3.8.6.1, MUST-37).
    fn give_up_deadline(&self) -> Instant {
        let fields = &self.config.fields;
        let is_held = self.owner == Owner::Held;
        match self.state {
            State::SynSent | State::SynReceived => self.progress_at + fields.connect_timeout,
            State::FinWait2 if !is_held => self.progress_at + fields.fin_wait2_timeout,
            _ => {
                let since = match self.persist.probing_since() {
                    // As long as there is a user who may think otherwise.
                    Some(_) if is_held => match self.persist.unanswered_since() {
                        Some(since) => since,
                        None => return Instant::NEVER,
                    },
                    Some(since) => since.max(self.progress_at),
                    None if self.recovery.outstanding() == 0 => return Instant::NEVER,
                    // The window was closed over what is in flight.
                    None if is_held && self.snd.wnd == 0 => self.progress_at.max(self.heard_at),
                    None => self.progress_at,
                };
                since + Span::from(self.user_timeout()).max(self.patience())
            }
        }
    }

    /// How long an answer from behind a closed window may take: until the next
    /// retransmission has asked for it.
    fn patience(&self) -> Span {
        if self.snd.wnd == 0 { self.recovery.rto().saturating_mul(2) } else { Span::ZERO }
    }

    /// The next keepalive probe (RFC 9293 §3.8.4): only while nothing is in
    /// flight, for what is in flight has timers of its own.
    fn keepalive_deadline(&self) -> Instant {
        let Some(keepalive) = self.config.fields.keepalive else { return Instant::NEVER };
        let is_quiet = self.state.is_synchronized()
            && self.recovery.outstanding() == 0
            && !self.flags.keepalive_probe;
        match self.keepalive_probes {
            _ if !is_quiet => Instant::NEVER,
            0 => self.heard_at + keepalive.idle,
            _ => self.keepalive_at + keepalive.interval,
        }
    }

    fn on_keepalive_timer(&mut self) {
        let probes = self.config.fields.keepalive.map_or(0, |keepalive| keepalive.probes);
        if self.keepalive_probes >= probes {
            self.time_out();
        } else {
            self.keepalive_probes += 1;
            self.flags.keepalive_probe = true;
        }
    }
}

/// R1 (RFC 9293 §3.8.3, SHLD-10): after so many retransmissions of a segment its
/// user is told. Negative advice to the IP layer (MUST-20) has no way to go from
/// here: the carrier is a UDP socket.
pub(super) const STALLED_TIMEOUTS: u32 = 3;
