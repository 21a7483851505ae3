//! What may be sent now: one pure decision, in order of urgency.
//!
//! Nothing here changes anything. [`Connection::poll_transmit`] carries the
//! decision out, [`Connection::poll_timeout`] waits for its `WaitUntil`.

use core::ops::Range;

use crate::seq::StreamPos;
use crate::time::{Instant, Span};

use super::Connection;
use super::persist::Kind;
use super::state::State;

/// What to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Send this.
    Send(Plan),
    /// There is something to send, but pacing holds it back until then.
    WaitUntil(Instant),
    /// Nothing.
    Idle,
}

/// One segment to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// Part of the stream, SYN and FIN counted as positions, and why.
    Stream(Range<StreamPos>, Reason),
    /// An acknowledgment by itself.
    Ack,
    /// A keepalive probe.
    Keepalive,
    /// A reset.
    Reset,
}

/// Why a part of the stream is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// For the first time.
    New,
    /// Again: it was lost.
    Lost,
    /// As a tail loss probe (RFC 8985 §7.3), for the first time or again.
    TailProbe,
    /// As a zero-window probe (RFC 9293 §3.8.6.1), for the first time or again.
    WindowProbe,
}

/// Whether a segment would begin a batch or ride on one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Batch {
    /// It would be the first.
    New,
    /// There is one before it.
    Begun,
}

/// As much as one system call takes, nearly.
const FULL_BATCH: u64 = 60_000;

/// Where a round trip takes longer nothing waits for a batch to be full: the end of a large
/// message would be late by a whole one.
const SHORT_ROUND_TRIP: Span = Span::from_millis(10);

/// Whether new data may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NewData {
    /// This many positions from SND.NXT on.
    Send(u64),
    /// There is none.
    Nothing,
    /// The congestion window is full, or what is in flight fills the memory for
    /// it.
    CongestionLimited,
    /// The peer's window is full.
    WindowLimited,
    /// It would be a small segment that had better wait (Nagle, cork,
    /// silly-window avoidance).
    Silly,
}

impl Connection {
    /// Decides, for the beginning of a batch.
    pub(super) fn schedule(&self, now: Instant) -> Decision {
        self.schedule_in(now, Batch::New)
    }

    /// Decides.
    #[inline]
    pub(super) fn schedule_in(&self, now: Instant, batch: Batch) -> Decision {
        if self.has_nothing_to_send() {
            debug_assert_eq!(self.schedule_what_there_is(now, batch), Decision::Idle);
            Decision::Idle
        } else {
            self.schedule_what_there_is(now, batch)
        }
    }

    #[inline(never)]
    fn schedule_what_there_is(&self, now: Instant, batch: Batch) -> Decision {
        if self.flags.reset {
            return Decision::Send(Plan::Reset);
        }
        match self.state {
            State::Closed | State::Listen => Decision::Idle,
            State::TimeWait if self.acks.is_due() => Decision::Send(Plan::Ack),
            State::TimeWait => Decision::Idle,
            State::SynSent | State::SynReceived => self.schedule_syn(),
            _ => self.schedule_stream(now, batch),
        }
    }

    /// An acknowledgment is owed now.
    pub(crate) fn is_ack_due(&self) -> bool {
        self.acks.is_due()
    }

    /// Before the connection is established there is only the SYN.
    fn schedule_syn(&self) -> Decision {
        let syn = self.snd.iss..self.snd.iss + 1;
        if self.snd.nxt == self.snd.iss {
            Decision::Send(Plan::Stream(syn, Reason::New))
        } else if self.recovery.next_lost().is_some() {
            Decision::Send(Plan::Stream(syn, Reason::Lost))
        } else if self.state == State::SynReceived && self.acks.is_due() {
            Decision::Send(Plan::Ack)
        } else {
            Decision::Idle
        }
    }

    fn schedule_stream(&self, now: Instant, batch: Batch) -> Decision {
        if let Some(plan) = self.schedule_data(batch) {
            // What was lost goes at the pace of what arrives (RFC 9937; RFC 5681 §3.1 after
            // a timeout), and the sooner, the sooner it shows whether it was lost.
            let is_paced = matches!(plan, Plan::Stream(_, Reason::New));
            let pause = match batch {
                Batch::New => self.pacer.wait(now),
                Batch::Begun => self.pacer.wait_within_batch(now),
            };
            match pause.filter(|_| is_paced) {
                None => return Decision::Send(plan),
                Some(_) if self.acks.is_due() => return Decision::Send(Plan::Ack),
                Some(at) => return Decision::WaitUntil(at),
            }
        }
        if self.flags.keepalive_probe {
            Decision::Send(Plan::Keepalive)
        } else if self.acks.is_due() {
            Decision::Send(Plan::Ack)
        } else {
            Decision::Idle
        }
    }

    /// What is usual when there is nothing to send, in whatever state: no need to go
    /// through all that there might be.
    fn has_nothing_to_send(&self) -> bool {
        self.unsent() == 0
            && !self.acks.is_due()
            && !self.flags.reset
            && !self.flags.tail_probe
            && !self.flags.keepalive_probe
            && !self.persist.is_stuck()
            && !self.recovery.has_lost()
    }

    /// The part of the stream to send: what was lost, then probes, then what is
    /// new.
    fn schedule_data(&self, batch: Batch) -> Option<Plan> {
        if let Some(probe) = self.window_probe() {
            return Some(Plan::Stream(probe, Reason::WindowProbe));
        }
        let may_be_silly = self.persist.due() == Some(Kind::Override);
        if self.recovery.prefers_new_data()
            && !self.recovery.must_retransmit()
            && let NewData::Send(len) = self.new_data(may_be_silly)
        {
            return Some(Plan::Stream(self.snd.nxt..self.snd.nxt + len, Reason::New));
        }
        if let Some(lost) = self.recovery.next_lost() {
            let in_flight = self.recovery.in_flight();
            // A window that was closed over what is in flight gets one segment at
            // a time: a retransmission timeout's.
            let is_in_window = lost.start < self.snd.una + self.snd.wnd;
            let is_in_cwnd = in_flight + lost.end.since(lost.start) <= self.cwnd();
            let fits = is_in_window && (is_in_cwnd || in_flight == 0);
            if fits || self.recovery.must_retransmit() {
                return Some(Plan::Stream(lost, Reason::Lost));
            }
            // A probe does more good there than as new data.
            return self.flags.tail_probe.then_some(Plan::Stream(lost, Reason::TailProbe));
        }
        if self.flags.tail_probe {
            // RFC 8985 §7.3: new data if the window has room for it, else the
            // last segment again; the congestion window does not count.
            let len = self.unsent().min(self.mss()).min(self.snd.usable_window());
            let probe =
                if len > 0 { Some(self.snd.nxt..self.snd.nxt + len) } else { self.recovery.tail() };
            return probe.map(|probe| Plan::Stream(probe, Reason::TailProbe));
        }
        match self.new_data(may_be_silly) {
            NewData::Send(len) if batch == Batch::Begun || !self.is_worth_deferring() => {
                Some(Plan::Stream(self.snd.nxt..self.snd.nxt + len, Reason::New))
            }
            _ => None,
        }
    }

    /// Whether new data had better wait for more: handing a batch to the network
    /// costs the same whatever it holds, and while one is on its way an
    /// acknowledgment will soon ask again. Not for a user who wants no delay, not
    /// for the last of a stream, and not where soon is long.
    fn is_worth_deferring(&self) -> bool {
        let in_flight = self.recovery.in_flight();
        if in_flight < FULL_BATCH || self.flags.nodelay || self.flags.fin_queued {
            return false;
        }
        if self.recovery.srtt().is_none_or(|srtt| srtt > SHORT_ROUND_TRIP) {
            return false;
        }
        let window = self.snd.usable_window().min(self.cwnd().saturating_sub(in_flight));
        self.unsent().min(window) < FULL_BATCH
    }

    /// Whether the congestion window is what keeps new data back: it has no room for
    /// a segment, or so little that what fits waits for more, or what there is will
    /// fill it at the pace that follows from it.
    pub(super) fn is_cwnd_limited(&self, now: Instant) -> bool {
        let room = self.cwnd().saturating_sub(self.recovery.in_flight());
        let has_more = || room <= self.unsent().min(self.snd.usable_window());
        room < self.mss()
            || (has_more() && (self.is_worth_deferring() || self.pacer.wait(now).is_some()))
    }

    /// One octet into a closed window (RFC 9293 §3.8.6.1, MUST-36), the same
    /// again until it is taken.
    fn window_probe(&self) -> Option<Range<StreamPos>> {
        if self.persist.due() != Some(Kind::ZeroWindow) {
            return None;
        }
        let next = self.snd.nxt..self.snd.nxt + 1;
        self.recovery.front().or_else(|| (self.unsent() > 0).then_some(next))
    }

    /// Whether, and how much, new data may go (RFC 9293 §3.8.6.2.1's rules, RFC
    /// 5681's window). `may_be_silly`: a small segment has waited long enough.
    fn new_data(&self, may_be_silly: bool) -> NewData {
        match self.new_data_by_peer(may_be_silly) {
            NewData::Send(len) if !self.has_room_for(len) => NewData::CongestionLimited,
            decided => decided,
        }
    }

    /// The same, as far as the peer's window decides.
    fn new_data_by_peer(&self, may_be_silly: bool) -> NewData {
        let unsent = self.unsent();
        if unsent == 0 {
            return NewData::Nothing;
        }
        let mss = self.mss();
        let window = self.snd.usable_window();
        if window == 0 {
            return NewData::WindowLimited;
        }
        // A FIN that rides on the last data does not count against the MSS.
        let fin = u64::from(self.flags.fin_queued);
        let data = unsent.saturating_sub(fin);
        let is_last = data <= mss && unsent <= window;
        let len = if is_last { unsent } else { data.min(mss).min(window) };
        let is_worth_sending = len >= mss
            || (is_last && fin > 0)
            || (is_last && self.may_send_small())
            || (len >= self.snd.max_wnd.div_ceil(2) && !self.flags.cork)
            || self.snd.up.is_some_and(|up| up > self.snd.nxt)
            || may_be_silly;
        if is_worth_sending { NewData::Send(len) } else { NewData::Silly }
    }

    /// Whether so much new data may be in flight as well.
    fn has_room_for(&self, len: u64) -> bool {
        let in_flight = self.recovery.in_flight();
        (in_flight == 0 || in_flight + len <= self.cwnd()) && !self.has_sent_enough()
    }

    /// As many segments are outstanding as may be: a peer that announces a tiny MSS,
    /// or a user who writes octet by octet, does not make what is remembered of them
    /// larger than the data (CVE-2019-11478, CVE-2019-11479).
    pub(super) fn has_sent_enough(&self) -> bool {
        self.recovery.segments() >= self.config.max_sent_segments()
    }

    /// Nagle's algorithm (RFC 9293 §3.7.4): a small segment waits while
    /// anything is unacknowledged, and always while corked.
    fn may_send_small(&self) -> bool {
        !self.flags.cork && (self.flags.nodelay || self.snd.nxt == self.snd.una)
    }

    /// Keeps the persist timer in step with whether the connection is stuck.
    /// Every verb that may change that ends with it.
    pub(super) fn settle(&mut self, now: Instant) {
        let may_be_stuck = self.recovery.outstanding() == 0 && self.unsent() > 0;
        if !may_be_stuck && !self.persist.is_stuck() {
            return;
        }
        let has_probe = self.persist.probing_since().is_some() && self.recovery.outstanding() > 0;
        if has_probe && self.snd.wnd > 0 {
            // The window is open again. What the probe carried was refused, and
            // goes with what follows it.
            self.recovery.take_back();
            self.snd.nxt = self.snd.una;
            self.persist.leave();
        }
        match self.stuck() {
            Some(kind) => self.persist.enter(now, kind, self.recovery.rto().into()),
            None => self.persist.leave(),
        }
    }

    /// Whether there is something to send that cannot go, and nothing in flight
    /// whose acknowledgment could change that.
    fn stuck(&self) -> Option<Kind> {
        if !self.state.is_synchronized() || self.state == State::TimeWait {
            return None;
        }
        if self.recovery.outstanding() > 0 {
            // A zero-window probe in flight does not count.
            return self.persist.probing_since().map(|_| Kind::ZeroWindow);
        }
        match self.new_data_by_peer(false) {
            NewData::WindowLimited => Some(Kind::ZeroWindow),
            NewData::Silly => Some(Kind::Override),
            _ => None,
        }
    }
}
