//! What was sent and what became of it: the scoreboard, the round-trip estimate,
//! loss detection, and the pace of repair.
//!
//! Knows stream positions and time. Knows nothing of segments on the wire,
//! congestion windows, buffers or the state machine: it is told what was sent and
//! what was acknowledged, and answers with values.
//!
//! One file has one algorithm, and [`Recovery`] joins them: `ack` for an
//! acknowledgment, `timers` for the clock.
//!
//! | file         | what                                                | RFC              |
//! |--------------|-----------------------------------------------------|------------------|
//! | `sent`       | the queue of outstanding segments                   |                  |
//! | `scoreboard` | what an acknowledgment delivers, SACK, DSACK        | 2018, 2883       |
//! | `rtt`, `rto` | round trip, retransmission timer                    | 6298, 7323 app. G |
//! | `rack`       | loss by time                                        | 8985 §6          |
//! | `tlp`        | tail loss probe                                     | 8985 §7          |
//! | `newreno`    | loss by duplicates, without SACK                    | 5681, 6582, 3042 |
//! | `prr`        | how much a fast recovery may send                   | 9937             |
//! | `undo`       | whether a reduction was a mistake                   | 3522, 4015, 5682 |

mod ack;
mod newreno;
mod prr;
mod rack;
mod rto;
mod rtt;
mod scoreboard;
mod sent;
mod timers;
mod tlp;
mod undo;

use core::ops::Range;
use core::time::Duration;

use self::newreno::NewReno;
use self::prr::Prr;
use self::rack::{Rack, WindowFacts};
use self::rto::RetransmissionTimer;
use self::rtt::RttEstimator;
use self::scoreboard::Scoreboard;
use self::sent::SentSegment;
use self::tlp::TailLossProbe;
use self::undo::Undo;
use crate::seq::StreamPos;
use crate::time::{Instant, Span};

/// The constants of recovery, from the connection's configuration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecoveryConfig {
    /// RTO before the first sample (RFC 6298 (2.1)).
    pub(crate) rto_initial: Duration,
    /// Lower bound of the RTO (RFC 6298 (2.4); smaller is a documented deviation).
    pub(crate) rto_min: Duration,
    /// Upper bound of the RTO (RFC 6298 (2.5)).
    pub(crate) rto_max: Duration,
    /// Duplicate acknowledgments, or SACKed segments above a hole, that mean loss
    /// while no reordering was seen (RFC 5681 §3.2, RFC 8985 §6.2).
    pub(crate) dupthresh: u32,
    /// The peer's longest delay of an acknowledgment, as a tail loss probe assumes
    /// it (RFC 8985 §7.2 TLP.max_ack_delay).
    pub(crate) max_ack_delay: Duration,
}

/// One transmission of one segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Transmission {
    pub(crate) now: Instant,
    /// First position sent, SYN and FIN counted.
    pub(crate) start: StreamPos,
    /// Position after the last sent.
    pub(crate) end: StreamPos,
    /// The timestamp value it carried, if timestamps are on: Eifel detection
    /// compares echoes with it.
    pub(crate) tsval: Option<u32>,
}

/// An acceptable acknowledgment (SND.UNA <= ack <= SND.NXT), in positions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AckInfo<'a> {
    pub(crate) now: Instant,
    /// Cumulative acknowledgment.
    pub(crate) ack: StreamPos,
    /// SACK blocks in the order received, DSACK not yet told apart (RFC 2883 §4),
    /// not validated.
    pub(crate) sack: &'a [Range<StreamPos>],
    /// Round trip according to the echoed timestamp, for when no segment gives one.
    pub(crate) ts_rtt: Option<Span>,
    /// The echoed timestamp itself.
    pub(crate) tsecr: Option<u32>,
    /// A duplicate as RFC 5681 §2 defines it (ack == SND.UNA, something
    /// outstanding or a probe unresolved, no data, no SYN or FIN, same window).
    /// Decides about loss only when SACK is off; with SACK it tells that a probe
    /// was needless (RFC 8985 §7.4.2).
    pub(crate) duplicate: bool,
}

/// What an acknowledgment told.
///
/// When several of the flags are set, they are to be acted on in the order
/// `spurious`, `recovery_ended`, `loss_found`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AckOutcome {
    /// Positions newly acknowledged cumulatively.
    pub(crate) acked: u64,
    /// Positions newly delivered, cumulatively or selectively, each counted once
    /// in its life.
    pub(crate) delivered: u64,
    /// A round-trip sample was taken (already in the estimator).
    pub(crate) rtt_sample: Option<Duration>,
    pub(crate) prior_in_flight: u64,
    pub(crate) in_flight: u64,
    /// FlightSize before this acknowledgment (outstanding, not cumulatively
    /// acknowledged).
    pub(crate) prior_outstanding: u64,
    /// Loss was found outside a recovery episode: the caller reduces its congestion
    /// window, then calls [`Recovery::enter_recovery`].
    pub(crate) loss_found: bool,
    /// A tail loss probe repaired a loss by itself (RFC 8985 §7.4.2): the caller
    /// reduces its window; no episode. Never together with `loss_found`.
    pub(crate) probe_repaired_loss: bool,
    /// Recovery (fast or after a timeout) ended with this acknowledgment.
    pub(crate) recovery_ended: bool,
    /// The last reduction was spurious (Eifel, DSACK, F-RTO): the caller restores
    /// its window. Any episode has ended; `recovery_ended` says whether there was
    /// one.
    pub(crate) spurious: bool,
    /// A DSACK was seen.
    pub(crate) dsack: bool,
}

/// Which of recovery's timers is armed: there is one deadline at a time, as in
/// RFC 8985 §5.4 and §8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecoveryTimer {
    /// RFC 6298 retransmission timeout.
    Rto,
    /// RFC 8985 §7 probe timeout.
    Tlp,
    /// RFC 8985 §6.2 reordering timeout.
    Reorder,
}

/// What an expired timer asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimerOutcome {
    /// Nothing was due.
    None,
    /// Segments were marked lost; `loss_found` as in [`AckOutcome`]: false when an
    /// episode is already under way.
    Lost { loss_found: bool, flight_size: u64 },
    /// Send a tail loss probe: new data if there is any and the peer's window
    /// allows, else the last segment again ([`Recovery::tail`]); then
    /// [`Recovery::on_probe_sent`].
    ProbeDue,
    /// The retransmission timeout expired: everything that RFC 8985 §6.3
    /// (RACK_mark_losses_on_RTO) says is marked lost, the RTO is backed off, an RTO
    /// episode has begun. `first` for this data (RFC 5681 §3.1); `front_len` is the
    /// length of the segment that timed out.
    Rto { first: bool, flight_size: u64, front_len: u64 },
}

/// Whether an episode is under way. One ends when `recover`, SND.NXT at its start,
/// is acknowledged.
#[derive(Clone, Copy, Debug)]
enum Phase {
    /// None is.
    Open,
    /// Fast recovery (RFC 5681 §3.2, RFC 6675 §5), at the pace of `prr`.
    Fast { recover: StreamPos, prr: Prr },
    /// Recovery after a retransmission timeout.
    Timeout { recover: StreamPos },
}

impl Phase {
    /// Where the episode ends.
    fn recover(&self) -> Option<StreamPos> {
        match *self {
            Self::Open => None,
            Self::Fast { recover, .. } | Self::Timeout { recover } => Some(recover),
        }
    }

    fn is_open(&self) -> bool {
        matches!(self, Self::Open)
    }
}

/// The sender's memory of what is in flight.
#[derive(Debug)]
pub(crate) struct Recovery {
    /// See [`RecoveryConfig`].
    dupthresh: u32,
    max_ack_delay: Span,
    mss: u64,
    sack: bool,
    board: Scoreboard,
    rtt: RttEstimator,
    rto: RetransmissionTimer,
    rack: Rack,
    tlp: TailLossProbe,
    newreno: NewReno,
    undo: Undo,
    phase: Phase,
    /// SND.NXT at the end of the last episode.
    episodes_until: StreamPos,
    /// How many mistakes were believed since what is outstanding was first sent: until
    /// this is acknowledged.
    mistakes: u8,
    mistakes_until: StreamPos,
    /// See [`Self::must_retransmit`].
    must_retransmit: bool,
    /// What the last acknowledgment delivered: part of the episode it may start.
    last_delivered: u64,
    /// The last acknowledgment showed loss: not a SafeACK (RFC 9937 §6.2).
    last_showed_loss: bool,
}

impl Recovery {
    /// A memory of nothing. `mss` is the longest segment, in positions.
    pub(crate) fn new(config: RecoveryConfig, mss: u64) -> Self {
        Self {
            dupthresh: config.dupthresh,
            max_ack_delay: config.max_ack_delay.into(),
            mss: mss.max(1),
            sack: false,
            board: Scoreboard::new(),
            rtt: RttEstimator::default(),
            rto: RetransmissionTimer::new(&config),
            rack: Rack::new(),
            tlp: TailLossProbe::default(),
            newreno: NewReno::default(),
            undo: Undo::default(),
            phase: Phase::Open,
            episodes_until: StreamPos::default(),
            mistakes: 0,
            mistakes_until: StreamPos::default(),
            must_retransmit: false,
            last_delivered: 0,
            last_showed_loss: false,
        }
    }

    /// SACK was negotiated: scoreboard, RACK and TLP instead of counting duplicates
    /// (RFC 6582).
    pub(crate) fn set_sack(&mut self, enabled: bool) {
        self.sack = enabled;
    }

    /// The segment size changed; segments longer than it are split, so that
    /// `next_lost` never returns more. O(n) if it shrank.
    pub(crate) fn set_mss(&mut self, mss: u64) {
        let mss = mss.max(1);
        if mss < self.mss {
            self.board.queue.resegment(|_| mss);
        }
        self.mss = mss;
    }

    /// New positions were sent, in one segment; `start` is where the last new
    /// transmission ended.
    pub(crate) fn on_sent(&mut self, sent: &Transmission) {
        if self.board.queue.is_empty() {
            // RFC 6298 (5.1).
            self.rto.restart(sent.now);
        }
        self.board.queue.push(sent);
        self.undo.on_new_data();
        // RFC 8985 §7.2.
        self.tlp.arm(sent.now);
        self.count_in_prr(sent);
    }

    /// The range that `next_lost`, `tail` or `front` named was sent again.
    pub(crate) fn on_retransmitted(&mut self, sent: &Transmission) {
        let queue = &mut self.board.queue;
        // A caller that sent less than it was told to: the rest is a segment too.
        let inside = |range: &Range<StreamPos>| range.start < sent.end && sent.end < range.end;
        if queue.segment_at(sent.start).is_some_and(|segment| inside(&segment.range())) {
            queue.resegment(|rest| {
                if inside(rest) { sent.end.since(rest.start) } else { rest.end.since(rest.start) }
            });
        }
        if sent.start <= queue.start() && self.tlp.has_sample() {
            // What the timer watches was sent just now.
            self.rto.restart(sent.now);
        }
        let mut number = self.board.find(sent.start);
        while let Some(segment) = self.board.queue.get(number)
            && segment.end <= sent.end
        {
            self.undo.on_retransmit(segment, sent.tsval);
            self.rack.on_retransmit();
            self.board.queue.retransmit(number, sent);
            number += 1;
        }
        self.must_retransmit = false;
        self.tlp.arm(sent.now);
        self.count_in_prr(sent);
    }

    /// RFC 9937 §6.3.
    fn count_in_prr(&mut self, sent: &Transmission) {
        if let Phase::Fast { prr, .. } = &mut self.phase {
            prr.on_sent(sent.end.since(sent.start));
        }
    }

    /// A tail loss probe was sent (call after `on_sent` / `on_retransmitted`). `end`
    /// is SND.NXT. RFC 8985 §7.3.
    ///
    /// In an episode the window has been reduced, and what a probe may have repaired
    /// makes no difference to it.
    pub(crate) fn on_probe_sent(&mut self, now: Instant, end: StreamPos, retransmission: bool) {
        self.tlp.on_sent(now);
        if self.phase.is_open() {
            let tail = self.board.tail().map_or(0, SentSegment::len);
            self.tlp.await_verdict(end, if retransmission { tail } else { 0 });
        }
    }

    /// A tail loss probe sent something again, and whether that was needless is
    /// not known yet (RFC 8985 §7.4.1).
    pub(crate) fn is_probe_unresolved(&self) -> bool {
        self.tlp.retransmitted() > 0
    }

    /// Starts a fast recovery episode (RFC 5681 §3.2, RFC 6675 §5, RFC 9937 §6.1)
    /// after `loss_found`. No effect during an episode.
    ///
    /// What the acknowledgment that found the loss delivered is part of the first
    /// round: hand its outcome to `on_recovery_ack` next.
    pub(crate) fn enter_recovery(&mut self, ssthresh: u64) {
        if !self.phase.is_open() {
            return;
        }
        let queue = &self.board.queue;
        let recover = queue.end();
        // What the last acknowledgment delivered is among what is held; without
        // SACK nothing is.
        let just_held = if self.sack { self.last_delivered } else { 0 };
        let recover_fs = queue.outstanding() - queue.sacked() + just_held;
        let prr = Prr::new(ssthresh, recover_fs, self.in_flight(), self.sack);
        self.undo.begin(queue.start(), self.tlp.retransmitted());
        self.phase = Phase::Fast { recover, prr };
        self.newreno.on_episode(recover);
        self.tlp.reset();
        self.must_retransmit = true;
    }

    /// Proportional rate reduction's share for one acknowledgment (RFC 9937 §6.2),
    /// also for the one that started the episode. No effect outside fast recovery.
    pub(crate) fn on_recovery_ack(&mut self, outcome: &AckOutcome) {
        let safe = outcome.acked > 0 && !self.last_showed_loss;
        if let Phase::Fast { prr, .. } = &mut self.phase {
            prr.on_ack(outcome.delivered, outcome.in_flight, safe, self.mss);
        }
    }

    /// The window was reduced for a reason of its own (an ECN mark): a later sign
    /// that the last episode was a mistake must not undo that.
    pub(crate) fn on_other_reduction(&mut self) {
        self.undo.forget();
    }

    /// The window that PRR allows while fast recovery lasts; `None` outside: the
    /// controller's own then.
    pub(crate) fn prr_cwnd(&self) -> Option<u64> {
        match &self.phase {
            Phase::Fast { prr, .. } => Some(prr.cwnd()),
            _ => None,
        }
    }

    /// Something is lost and not yet sent again.
    pub(crate) fn has_lost(&self) -> bool {
        self.board.queue.has_lost()
    }

    /// The lowest range that is lost and not yet sent again, at most one segment.
    pub(crate) fn next_lost(&self) -> Option<Range<StreamPos>> {
        let number = self.board.queue.first_lost()?;
        self.board.queue.get(number).map(SentSegment::range)
    }

    /// True once after an RTO (RFC 6298 (5.4)) and at the start of fast recovery
    /// (RFC 9937 §6.2): one lost segment goes out whatever the window says. Cleared
    /// by the next `on_retransmitted`.
    pub(crate) fn must_retransmit(&self) -> bool {
        self.must_retransmit && self.has_lost()
    }

    /// New data, if any may be sent, should go before what is lost, two segments of
    /// it: it tells whether the last timeout was spurious (RFC 5682 §3.1 step 2b). To follow it is
    /// optional, and `must_retransmit` goes first.
    pub(crate) fn prefers_new_data(&self) -> bool {
        self.undo.prefers_new_data()
    }

    /// The last segment sent that the peer does not hold, for a tail loss probe:
    /// `None` when nothing is outstanding.
    pub(crate) fn tail(&self) -> Option<Range<StreamPos>> {
        self.board.tail().map(SentSegment::range)
    }

    /// The first outstanding segment (SYN retransmission, zero-window probe).
    pub(crate) fn front(&self) -> Option<Range<StreamPos>> {
        self.board.queue.front().map(SentSegment::range)
    }

    /// Marks every outstanding segment not SACKed as lost (a window that reopened
    /// after probes; a changed path).
    pub(crate) fn mark_all_lost(&mut self) {
        self.board.mark_all_lost();
        self.rack.cancel_timer();
        self.newreno.reset();
    }

    /// The peer refused everything outstanding, a zero-window probe: it was never
    /// sent.
    pub(crate) fn take_back(&mut self) {
        self.board.take_back();
        self.rack.cancel_timer();
        self.newreno.reset();
        self.tlp.reset();
    }

    /// RFC 6675's pipe: bytes believed to be in the network.
    pub(crate) fn in_flight(&self) -> u64 {
        self.board.queue.in_flight().saturating_sub(self.newreno.left())
    }

    /// FlightSize: bytes sent and not cumulatively acknowledged.
    pub(crate) fn outstanding(&self) -> u64 {
        self.board.queue.outstanding()
    }

    /// Segments outstanding.
    pub(crate) fn segments(&self) -> usize {
        self.board.queue.len()
    }

    pub(crate) fn in_fast_recovery(&self) -> bool {
        matches!(self.phase, Phase::Fast { .. })
    }

    /// What was outstanding when the retransmission timer expired is not all
    /// acknowledged yet.
    pub(crate) fn in_rto_recovery(&self) -> bool {
        matches!(self.phase, Phase::Timeout { .. })
    }

    /// What is acknowledged next may have been delivered in an episode: one is under way, or
    /// not all that was outstanding at the end of the last is acknowledged.
    pub(crate) fn is_after_episode(&self) -> bool {
        !self.phase.is_open() || self.board.queue.start() < self.episodes_until
    }

    /// Retransmission timeouts in a row without an acknowledgment of new data.
    pub(crate) fn consecutive_rtos(&self) -> u32 {
        self.rto.expiries()
    }

    pub(crate) fn srtt(&self) -> Option<Span> {
        self.rtt.srtt()
    }

    pub(crate) fn rttvar(&self) -> Option<Span> {
        self.rtt.rttvar()
    }

    /// The least round trip of the last minutes (RFC 8985 §6.2 step 1).
    pub(crate) fn min_rtt(&self) -> Option<Span> {
        self.rtt.min_rtt()
    }

    /// The present RTO, backoff included.
    pub(crate) fn rto(&self) -> Span {
        self.rto.value()
    }

    /// The handshake is complete. If a SYN had to be sent again and gave no
    /// round-trip sample, the RTO restarts at 3 s if it is below (RFC 6298 (5.7)).
    pub(crate) fn on_established(&mut self, syn_was_retransmitted: bool) {
        self.rto.on_established(syn_was_retransmitted);
    }

    #[cfg(test)]
    fn add_rtt_sample(&mut self, now: Instant, rtt: Duration) {
        self.rtt.add_sample(now, rtt.into(), 1);
        self.on_sample();
    }

    /// Present reordering window, for `info()`.
    pub(crate) fn reordering_window(&self) -> Duration {
        self.rack.window().into()
    }

    /// Whether reordering has been seen on this connection.
    pub(crate) fn reordering_seen(&self) -> bool {
        self.rack.reordering_seen()
    }

    /// What RACK's reordering window depends on.
    fn window_facts(&self) -> WindowFacts {
        WindowFacts {
            in_recovery: !self.phase.is_open(),
            dupthresh: self.dupthresh,
            min_rtt: self.rtt.min_rtt(),
            srtt: self.rtt.srtt(),
        }
    }

    /// Checks what must always hold; tests and fuzzers call it.
    #[cfg(test)]
    pub(crate) fn check_invariants(&self) {
        self.board.check_invariants();
        let queue = &self.board.queue;
        assert_eq!(
            self.timer().is_some(),
            !queue.is_empty(),
            "a timer while anything is outstanding"
        );
        assert!(self.in_flight() <= self.outstanding());
        assert!(self.newreno.left() <= queue.outstanding() - queue.lost());
        assert_eq!(self.prr_cwnd().is_some(), self.in_fast_recovery());
        if let Some(recover) = self.phase.recover() {
            assert!(queue.start() < recover && recover <= queue.end(), "the episode is not over");
        }
    }
}

#[cfg(test)]
mod tests;
