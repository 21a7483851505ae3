extern crate std;

use super::super::*;
use std::vec::Vec;

const MSS: u64 = 100;

fn at(segment: u64) -> StreamPos {
    StreamPos::from_raw(1000 + segment * MSS)
}

fn ms(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

const fn dur(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const CONFIG: RecoveryConfig = RecoveryConfig {
    rto_initial: dur(1000),
    rto_min: dur(200),
    rto_max: dur(60_000),
    dupthresh: 3,
    max_ack_delay: dur(40),
};

/// A sender whose segments have numbers, and whose tests read like diagrams.
struct Sender {
    recovery: Recovery,
    /// Timestamps on: the value is the time in milliseconds.
    timestamps: bool,
    next: u64,
}

impl Sender {
    /// An established connection with a round trip of 100 ms.
    fn new(sack: bool) -> Self {
        Self::with_round_trip(sack, dur(100))
    }

    fn with_round_trip(sack: bool, rtt: Duration) -> Self {
        let mut recovery = Recovery::new(CONFIG, MSS);
        recovery.set_sack(sack);
        recovery.add_rtt_sample(ms(0), rtt);
        Self { recovery, timestamps: false, next: 0 }
    }

    /// On a short path: the least timeout is twenty round trips.
    fn near() -> Self {
        Self::with_round_trip(true, dur(10))
    }

    /// Lets the probe timer expire and sends new data, or the last segment again.
    fn probe(&mut self, new: bool) -> u64 {
        let (now, outcome) = self.expire();
        assert_eq!(outcome, TimerOutcome::ProbeDue);
        if new {
            self.send(now, 1);
            self.recovery.on_probe_sent(ms(now), at(self.next), false);
        } else {
            let tail = self.recovery.tail().expect("outstanding");
            let segment = tail.start.since(at(0)) / MSS;
            self.recovery.on_retransmitted(&self.transmission(now, segment));
            self.recovery.on_probe_sent(ms(now), tail.end, true);
        }
        self.recovery.check_invariants();
        now
    }

    fn transmission(&self, now: u64, segment: u64) -> Transmission {
        Transmission {
            now: ms(now),
            start: at(segment),
            end: at(segment + 1),
            tsval: self.timestamps.then_some(now as u32),
        }
    }

    fn send(&mut self, now: u64, segments: u64) {
        for _ in 0..segments {
            self.recovery.on_sent(&self.transmission(now, self.next));
            self.next += 1;
        }
        self.recovery.check_invariants();
    }

    /// Sends the lowest lost segment; returns its number.
    fn retransmit(&mut self, now: u64) -> Option<u64> {
        let segment = self.recovery.next_lost()?.start.since(at(0)) / MSS;
        self.recovery.on_retransmitted(&self.transmission(now, segment));
        self.recovery.check_invariants();
        Some(segment)
    }

    fn ack_with(
        &mut self,
        now: u64,
        ack: u64,
        sack: &[Range<u64>],
        tsecr: Option<u32>,
    ) -> AckOutcome {
        let sack: Vec<_> = sack.iter().map(|r| at(r.start)..at(r.end)).collect();
        let outcome = self.recovery.on_ack(&AckInfo {
            now: ms(now),
            ack: at(ack),
            sack: &sack,
            ts_rtt: None,
            tsecr,
            duplicate: at(ack) == self.recovery.board.queue.start()
                && self.recovery.outstanding() > 0,
        });
        self.recovery.check_invariants();
        outcome
    }

    fn ack(&mut self, now: u64, ack: u64, sack: &[Range<u64>]) -> AckOutcome {
        self.ack_with(now, ack, sack, None)
    }

    /// As a caller with Reno would: half the flight.
    fn enter(&mut self, outcome: &AckOutcome) {
        assert!(outcome.loss_found);
        self.recovery.enter_recovery(outcome.prior_outstanding / 2);
        self.recovery.on_recovery_ack(outcome);
        self.recovery.check_invariants();
    }

    fn expire(&mut self) -> (u64, TimerOutcome) {
        let (deadline, _) = self.recovery.timer().expect("armed");
        let outcome = self.recovery.on_timer(deadline);
        self.recovery.check_invariants();
        (deadline.as_millis(), outcome)
    }
}

#[test]
fn nothing_outstanding_needs_no_timer() {
    let mut sender = Sender::new(true);
    assert_eq!(sender.recovery.timer(), None);
    sender.send(0, 1);
    assert!(sender.recovery.timer().is_some());
    sender.ack(100, 1, &[]);
    assert_eq!(sender.recovery.timer(), None);
    assert_eq!(sender.recovery.on_timer(ms(100_000)), TimerOutcome::None);
}

#[test]
fn a_handshake_segment_has_the_retransmission_timer_only_and_doubles_it() {
    let mut sender = Sender::new(false);
    sender.recovery = Recovery::new(CONFIG, MSS);
    sender.send(0, 1);
    let mut deadlines = Vec::new();
    for i in 0..3 {
        let (deadline, outcome) = sender.expire();
        let first = i == 0;
        assert_eq!(outcome, TimerOutcome::Rto { first, flight_size: MSS, front_len: MSS });
        assert!(sender.recovery.must_retransmit());
        assert_eq!(sender.retransmit(deadline), Some(0));
        deadlines.push(deadline);
    }
    assert_eq!(deadlines, [1000, 3000, 7000]);
    assert_eq!(sender.recovery.consecutive_rtos(), 3);
    // RFC 6298 (5.7), Karn.
    let outcome = sender.ack(7100, 1, &[]);
    assert_eq!((outcome.rtt_sample, outcome.recovery_ended), (None, true));
    sender.recovery.on_established(true);
    assert_eq!(sender.recovery.rto(), dur(3000).into());
}

#[test]
fn three_sacked_segments_start_recovery_and_its_end_is_what_was_sent() {
    let mut sender = Sender::new(true);
    sender.send(0, 10);
    assert!(!sender.ack(100, 0, &[1..2]).loss_found);
    assert!(!sender.ack(101, 0, &[1..3]).loss_found);
    let outcome = sender.ack(102, 0, &[1..4]);
    assert_eq!((outcome.delivered, outcome.prior_outstanding), (MSS, 10 * MSS));
    sender.enter(&outcome);
    assert!(sender.recovery.must_retransmit());
    assert_eq!(sender.retransmit(102), Some(0));
    assert!(!sender.recovery.must_retransmit());
    // RFC 9937 §6.1: what was in flight and what this acknowledgment delivered.
    assert_eq!(sender.recovery.in_flight(), 7 * MSS);
    sender.send(103, 1);
    let outcome = sender.ack(203, 10, &[]);
    assert!(outcome.recovery_ended && !outcome.loss_found);
    assert_eq!(sender.recovery.prr_cwnd(), None);
}

#[test]
fn one_sacked_segment_arms_the_reordering_timer_first() {
    let mut sender = Sender::new(true);
    sender.send(0, 3);
    sender.ack(100, 0, &[1..2]);
    assert_eq!(sender.recovery.timer(), Some((ms(125), RecoveryTimer::Reorder)));
    assert_eq!(sender.recovery.on_timer(ms(124)), TimerOutcome::None);
    let lost = TimerOutcome::Lost { loss_found: true, flight_size: 3 * MSS };
    assert_eq!(sender.expire(), (125, lost));
    sender.recovery.enter_recovery(MSS);
    assert_eq!(sender.retransmit(125), Some(0));
    assert_eq!(sender.retransmit(125), None);
}

/// RFC 8985 §7.2.
#[test]
fn a_probe_is_due_after_two_round_trips_and_the_timeout_after_it() {
    let mut sender = Sender::new(true);
    sender.send(0, 2);
    assert_eq!(sender.recovery.timer(), Some((ms(200), RecoveryTimer::Tlp)));
    sender.send(50, 1);
    // Sending starts the probe's wait over, but never past the timeout's.
    assert_eq!(sender.recovery.timer(), Some((ms(250), RecoveryTimer::Tlp)));
    sender.send(290, 1);
    assert_eq!(sender.recovery.timer(), Some((ms(300), RecoveryTimer::Tlp)));
    let (now, outcome) = sender.expire();
    assert_eq!(outcome, TimerOutcome::ProbeDue);
    // Nothing is sent: the timeout runs all the same.
    assert_eq!(sender.recovery.timer(), Some((ms(now + 300), RecoveryTimer::Rto)));
}

#[test]
fn one_segment_waits_for_the_peers_delay_too() {
    let mut sender = Sender::new(true);
    sender.send(0, 1);
    assert_eq!(sender.recovery.timer(), Some((ms(240), RecoveryTimer::Tlp)));
}

/// Sends `segments`, and the last of them again as a probe.
fn probed(segments: u64) -> Sender {
    let mut sender = Sender::new(true);
    sender.send(0, segments);
    sender.probe(false);
    sender
}

/// RFC 8985 §7.4.1.
#[test]
fn a_probe_reveals_losses_before_the_tail() {
    let mut sender = probed(4);
    let outcome = sender.ack(300, 1, &[3..4]);
    assert!(outcome.loss_found);
    sender.enter(&outcome);
    assert_eq!(sender.retransmit(300), Some(1));
    assert_eq!(sender.retransmit(300), Some(2));
    let outcome = sender.ack(400, 4, &[]);
    assert!(outcome.recovery_ended && !outcome.spurious && !outcome.probe_repaired_loss);
}

/// RFC 8985 §7.4.2.
#[test]
fn a_probe_that_repaired_the_loss_says_so_with_the_next_data() {
    let mut sender = probed(2);
    assert!(!sender.ack(300, 2, &[]).probe_repaired_loss);
    sender.send(310, 1);
    let outcome = sender.ack(410, 3, &[]);
    assert!(outcome.probe_repaired_loss && !outcome.loss_found);
}

#[test]
fn a_needless_probe_is_recognised_by_its_dsack() {
    let mut sender = probed(2);
    sender.ack(210, 2, &[]);
    assert!(sender.ack(300, 2, &[1..2]).dsack);
    sender.send(310, 1);
    assert!(!sender.ack(410, 3, &[]).probe_repaired_loss);
}

#[test]
fn no_second_probe_while_one_is_unacknowledged() {
    let mut sender = probed(3);
    let outcome = sender.ack(300, 1, &[]);
    assert!(outcome.rtt_sample.is_some());
    assert!(matches!(sender.recovery.timer(), Some((_, RecoveryTimer::Rto))));
}

/// Probes at 20 ms and 40 and 80 ms later. The next, at 300 ms, could not be answered
/// before the timeout, which the first started over.
#[test]
fn on_a_short_path_probes_go_on_until_the_timeout_is_near() {
    for new in [true, false] {
        let mut sender = Sender::near();
        sender.send(0, 3);
        assert_eq!([sender.probe(new), sender.probe(new), sender.probe(new)], [20, 60, 140]);
        assert_eq!(sender.recovery.timer(), Some((ms(220), RecoveryTimer::Rto)));
        let (now, outcome) = sender.expire();
        assert!(matches!(outcome, TimerOutcome::Rto { first: true, .. }));
        // They did not avert it, and take no part in what follows.
        assert_eq!(sender.retransmit(now), Some(0));
        assert_eq!(sender.recovery.timer(), Some((ms(620), RecoveryTimer::Rto)));
    }
}

/// The probe is what the timeout watches, and does not start it over either.
#[test]
fn on_a_short_path_one_segment_is_probed_until_the_timeout_is_near() {
    let mut sender = Sender::near();
    sender.send(0, 1);
    assert_eq!([sender.probe(false), sender.probe(false)], [60, 180]);
    assert_eq!(sender.recovery.timer(), Some((ms(260), RecoveryTimer::Rto)));
}

/// RFC 8985 §7.2.
#[test]
fn no_probe_while_a_timeout_is_repaired() {
    let mut sender = Sender::new(true);
    sender.send(0, 4);
    assert_eq!(sender.expire().1, TimerOutcome::ProbeDue);
    let (now, _) = sender.expire();
    assert_eq!(sender.retransmit(now), Some(0));
    sender.ack(now + 100, 1, &[]);
    assert_eq!(sender.retransmit(now + 100), Some(1));
    assert!(sender.recovery.in_rto_recovery());
    assert!(matches!(sender.recovery.timer(), Some((_, RecoveryTimer::Rto))));
}

#[test]
fn a_round_trip_sample_makes_the_wait_for_a_probe_short_again() {
    let mut sender = Sender::near();
    sender.send(0, 3);
    sender.probe(true);
    sender.probe(true);
    assert!(sender.ack(70, 5, &[]).rtt_sample.is_some());
    sender.send(70, 2);
    assert_eq!(sender.probe(true), 90);
}

/// One segment alone repairs the loss. If it is lost, or what answers it, nothing else
/// will tell.
#[test]
fn on_a_short_path_a_silent_recovery_is_probed() {
    let mut sender = Sender::near();
    sender.send(0, 4);
    let outcome = sender.ack(10, 0, &[1..4]);
    sender.enter(&outcome);
    assert_eq!(sender.retransmit(10), Some(0));
    assert_eq!(sender.probe(true), 30);
    // The probe arrived: what was sent again before it did not.
    let outcome = sender.ack(40, 0, &[1..5]);
    assert!(!outcome.loss_found && !outcome.probe_repaired_loss);
    assert_eq!(sender.retransmit(40), Some(0));
    let outcome = sender.ack(50, 5, &[]);
    assert!(outcome.recovery_ended && !outcome.spurious && !outcome.probe_repaired_loss);
}

/// A probe in an episode that sends something again reduces nothing when it is over.
#[test]
fn a_probe_that_helped_a_recovery_is_part_of_it() {
    let mut sender = Sender::near();
    sender.send(0, 4);
    let outcome = sender.ack(10, 0, &[1..4]);
    sender.enter(&outcome);
    assert_eq!(sender.retransmit(10), Some(0));
    assert_eq!(sender.probe(false), 30);
    assert!(!sender.recovery.is_probe_unresolved());
    assert!(sender.ack(40, 4, &[]).recovery_ended);
    sender.send(40, 1);
    assert!(!sender.ack(50, 5, &[]).probe_repaired_loss);
}

/// Each starts the wait over: what is sent again, and what the peer reports.
#[test]
fn in_a_recovery_the_wait_for_a_probe_is_from_the_last_that_went_or_came() {
    let mut sender = Sender::near();
    sender.send(0, 9);
    let outcome = sender.ack(10, 0, &[1..4]);
    sender.enter(&outcome);
    assert_eq!(sender.recovery.timer(), Some((ms(30), RecoveryTimer::Tlp)));
    sender.retransmit(15);
    assert_eq!(sender.recovery.timer(), Some((ms(35), RecoveryTimer::Tlp)));
    sender.ack(17, 0, &[1..9]);
    let due = ms(17) + sender.recovery.srtt().expect("sampled").saturating_mul(2);
    assert_eq!(sender.recovery.timer(), Some((due, RecoveryTimer::Tlp)));
}

#[test]
fn on_a_short_path_what_a_mistake_leaves_held_does_not_stop_probes() {
    let mut sender = Sender::near();
    sender.send(0, 2);
    sender.recovery.on_retransmitted(&sender.transmission(5, 0));
    sender.ack(10, 0, &[1..2]);
    assert_eq!(sender.recovery.rack.deadline(), None, "the other was sent later");
    assert_eq!(sender.probe(false), 30);
}

/// RFC 6298 (5.1) to (5.3).
#[test]
fn the_timeout_runs_from_the_last_progress_not_from_the_last_sending() {
    let mut sender = Sender::new(false);
    sender.send(0, 1);
    for now in [50, 100, 150] {
        sender.send(now, 1);
        assert_eq!(sender.recovery.timer(), Some((ms(300), RecoveryTimer::Rto)));
    }
    sender.ack(160, 0, &[]);
    assert_eq!(sender.recovery.timer(), Some((ms(300), RecoveryTimer::Rto)));
    sender.ack(170, 2, &[]);
    let rto = sender.recovery.rto();
    assert_eq!(sender.recovery.timer(), Some((ms(170) + rto, RecoveryTimer::Rto)));
}

/// Karn (RFC 6298 §3, §5): the backed-off value stays until there is a sample.
#[test]
fn backoff_stays_until_a_segment_sent_once_is_acknowledged() {
    let mut sender = Sender::new(false);
    sender.send(0, 1);
    let before = sender.recovery.rto();
    let (now, _) = sender.expire();
    sender.retransmit(now);
    sender.ack(now + 100, 1, &[]);
    assert_eq!(sender.recovery.rto(), before.saturating_mul(2));
    assert_eq!(sender.recovery.consecutive_rtos(), 0);
    sender.send(now + 200, 1);
    sender.ack(now + 300, 2, &[]);
    assert!(sender.recovery.rto() <= before);
}

#[test]
fn an_echo_gives_the_sample_that_no_segment_does() {
    let mut sender = Sender::new(true);
    sender.send(0, 1);
    let (now, _) = sender.expire();
    sender.recovery.on_retransmitted(&sender.transmission(now, 0));
    let outcome = sender.recovery.on_ack(&AckInfo {
        now: ms(now + 130),
        ack: at(1),
        sack: &[],
        ts_rtt: Some(dur(130).into()),
        tsecr: None,
        duplicate: false,
    });
    assert_eq!(outcome.rtt_sample, Some(dur(130)));
    assert_eq!(sender.recovery.min_rtt(), Some(dur(100).into()));
}

/// RFC 8985 §6.3, RFC 6298 (5.4): what was sent lately is spared.
#[test]
fn a_timeout_marks_the_front_and_what_is_old() {
    let mut sender = Sender::new(true);
    sender.send(0, 2);
    sender.ack(100, 1, &[]);
    sender.send(100, 1);
    let (now, outcome) = sender.expire();
    assert_eq!(outcome, TimerOutcome::ProbeDue);
    sender.send(now, 1);
    sender.recovery.on_probe_sent(ms(now), at(4), false);
    let (later, outcome) = sender.expire();
    assert!(later > now);
    assert!(matches!(outcome, TimerOutcome::Rto { first: true, .. }));
    assert!(sender.recovery.in_rto_recovery());
    let mut sent = Vec::new();
    while let Some(segment) = sender.retransmit(later) {
        sent.push(segment);
    }
    assert_eq!(sent, [1, 2, 3]);
    assert!(sender.ack(later + 100, 4, &[]).recovery_ended);
}

#[test]
fn loss_in_an_episode_is_not_found_again() {
    let mut sender = Sender::new(true);
    sender.send(0, 10);
    let outcome = sender.ack(100, 0, &[1..4]);
    sender.enter(&outcome);
    sender.retransmit(100);
    let outcome = sender.ack(110, 0, &[5..9, 1..4]);
    assert!(!outcome.loss_found);
    assert_eq!(sender.recovery.next_lost(), Some(at(4)..at(5)));
    assert!(!sender.recovery.must_retransmit());
}

#[test]
fn a_timeout_in_fast_recovery_takes_over() {
    let mut sender = Sender::new(true);
    sender.send(0, 10);
    let outcome = sender.ack(100, 0, &[1..4]);
    sender.enter(&outcome);
    sender.retransmit(100);
    let (now, outcome) = sender.expire();
    assert!(matches!(outcome, TimerOutcome::Rto { first: true, .. }));
    assert!(sender.recovery.in_rto_recovery() && !sender.recovery.in_fast_recovery());
    // The scoreboard is kept (RFC 8985 §6.3): what the peer holds is not sent again.
    let mut sent = Vec::new();
    while let Some(segment) = sender.retransmit(now) {
        sent.push(segment);
    }
    assert_eq!(sent, [0, 4, 5, 6, 7, 8, 9]);
}

/// RFC 2018 §8.
#[test]
fn a_peer_that_reneges_gets_the_data_again() {
    let mut sender = Sender::new(true);
    sender.send(0, 6);
    let outcome = sender.ack(100, 0, &[1..6]);
    sender.enter(&outcome);
    sender.retransmit(100);
    let outcome = sender.ack(200, 1, &[]);
    assert!(!outcome.loss_found && !outcome.recovery_ended);
    let mut sent = Vec::new();
    while let Some(segment) = sender.retransmit(200) {
        sent.push(segment);
    }
    assert_eq!(sent, [1, 2, 3, 4, 5]);
    let outcome = sender.ack(300, 6, &[]);
    assert_eq!((outcome.delivered, outcome.acked), (0, 5 * MSS));
}

/// RFC 3522: the original was only late.
#[test]
fn eifel_ends_a_needless_recovery() {
    let mut sender = Sender::new(true);
    sender.timestamps = true;
    sender.send(0, 10);
    let outcome = sender.ack(100, 0, &[1..4]);
    sender.enter(&outcome);
    sender.retransmit(105);
    let outcome = sender.ack_with(110, 4, &[], Some(0));
    assert!(outcome.spurious && outcome.recovery_ended && !outcome.loss_found);
    assert!(!sender.recovery.in_fast_recovery());
    assert!(sender.recovery.reordering_seen());
    assert_eq!(sender.recovery.in_flight(), 6 * MSS);
}

/// Segments that arrive in one batch, out of order: nothing could be sent in between.
#[test]
fn arrival_of_all_that_was_deemed_lost_ends_a_recovery_that_has_sent_nothing() {
    for sack in [true, false] {
        let mut sender = Sender::new(sack);
        sender.send(0, 10);
        for held in [1, 2] {
            assert!(!sender.ack(100, 0, &[1..1 + held]).loss_found);
        }
        let outcome = sender.ack(100, 0, &[1..4]);
        sender.enter(&outcome);
        let outcome = sender.ack(100, 4, &[]);
        assert!(outcome.spurious && outcome.recovery_ended && !outcome.loss_found, "{sack}");
        assert_eq!(sender.recovery.next_lost(), None);
        assert_eq!(sender.recovery.in_flight(), 6 * MSS);
        assert!(sender.recovery.reordering_seen());
    }
}

/// Until all that was outstanding at its end is acknowledged.
#[test]
fn what_was_delivered_in_an_episode_may_be_acknowledged_after_it() {
    let mut sender = Sender::new(true);
    sender.send(0, 10);
    assert!(!sender.recovery.is_after_episode());
    let outcome = sender.ack(100, 0, &[1..4]);
    sender.enter(&outcome);
    sender.retransmit(100);
    sender.send(110, 2);
    assert!(sender.ack(200, 10, &[11..12]).recovery_ended);
    assert!(sender.recovery.is_after_episode());
    sender.send(210, 1);
    sender.ack(300, 12, &[]);
    assert!(!sender.recovery.is_after_episode());
}

#[test]
fn eifel_ends_a_needless_timeout() {
    let mut sender = Sender::new(true);
    sender.timestamps = true;
    sender.send(0, 5);
    sender.expire();
    let (now, outcome) = sender.expire();
    assert!(matches!(outcome, TimerOutcome::Rto { .. }));
    assert_eq!(sender.retransmit(now), Some(0));
    let outcome = sender.ack_with(now + 10, 1, &[], Some(0));
    assert!(outcome.spurious);
    // The four that were marked are in flight again. That the first was long on
    // its way may only mean that its acknowledgment was lost.
    assert_eq!(sender.recovery.in_flight(), 4 * MSS);
    assert_eq!(sender.recovery.next_lost(), None);
    assert_eq!(sender.recovery.srtt(), Some(dur(100).into()));
}

#[test]
fn duplicates_reported_for_all_retransmissions_end_a_needless_recovery() {
    let mut sender = Sender::new(true);
    sender.send(0, 10);
    let outcome = sender.ack(100, 0, &[2..5]);
    sender.enter(&outcome);
    sender.retransmit(100);
    sender.retransmit(100);
    assert!(!sender.ack(110, 5, &[]).spurious);
    assert!(!sender.ack(200, 5, &[0..1]).spurious);
    let outcome = sender.ack(201, 5, &[1..2]);
    assert!(outcome.spurious && outcome.dsack);
}

#[test]
fn duplicates_reported_after_the_end_still_count() {
    let mut sender = Sender::new(true);
    sender.send(0, 4);
    let outcome = sender.ack(100, 0, &[1..4]);
    sender.enter(&outcome);
    sender.retransmit(100);
    assert!(sender.ack(110, 4, &[]).recovery_ended);
    sender.send(120, 1);
    let outcome = sender.ack(200, 4, &[0..1]);
    assert!(outcome.spurious && !outcome.recovery_ended);
}

/// RFC 5681 §3.2, RFC 6582, RFC 3042, RFC 9937 §6.2 without SACK.
#[test]
fn without_sack_the_third_duplicate_retransmits_and_partial_acknowledgments_go_on() {
    let mut sender = Sender::new(false);
    sender.send(0, 10);
    for expected in [9, 8] {
        let outcome = sender.ack(100, 0, &[]);
        assert_eq!((outcome.delivered, outcome.loss_found), (MSS, false));
        assert_eq!(sender.recovery.in_flight(), expected * MSS, "limited transmit");
    }
    let outcome = sender.ack(100, 0, &[]);
    sender.enter(&outcome);
    assert_eq!(sender.retransmit(100), Some(0));
    assert_eq!(sender.retransmit(100), None);
    assert_eq!(sender.recovery.in_flight(), 7 * MSS);
    // Segment 4 is lost too.
    for _ in 0..5 {
        sender.ack(150, 0, &[]);
    }
    assert_eq!(sender.recovery.in_flight(), 2 * MSS);
    let outcome = sender.ack(200, 4, &[]);
    assert_eq!((outcome.acked, outcome.delivered), (4 * MSS, MSS));
    assert!(!outcome.recovery_ended && !outcome.loss_found);
    assert_eq!(sender.retransmit(200), Some(4));
    let outcome = sender.ack(300, 10, &[]);
    assert!(outcome.recovery_ended);
    assert_eq!(sender.recovery.in_flight(), 0);
}

/// RFC 6582 §3.2 step 2.
#[test]
fn without_sack_duplicates_after_a_timeout_do_not_start_recovery() {
    let mut sender = Sender::new(false);
    sender.send(0, 5);
    let (now, _) = sender.expire();
    while sender.retransmit(now).is_some() {}
    assert!(sender.ack(now + 50, 5, &[]).recovery_ended);
    sender.send(now + 60, 5);
    for _ in 0..4 {
        assert!(!sender.ack(now + 100, 5, &[]).loss_found);
    }
}

#[test]
fn everything_is_lost_on_a_timeout_without_sack() {
    let mut sender = Sender::new(false);
    sender.send(0, 5);
    sender.expire();
    assert_eq!((sender.recovery.in_flight(), sender.recovery.outstanding()), (0, 5 * MSS));
}

#[test]
fn a_smaller_segment_size_splits_what_is_outstanding() {
    let mut sender = Sender::new(true);
    sender.send(0, 3);
    sender.recovery.mark_all_lost();
    sender.recovery.set_mss(40);
    sender.recovery.check_invariants();
    assert_eq!(sender.recovery.next_lost(), Some(at(0)..at(0) + 40));
    // A caller that sends less than a segment: the rest remains lost.
    let part = Transmission { end: at(0) + 10, ..sender.transmission(5, 0) };
    sender.recovery.on_retransmitted(&part);
    sender.recovery.check_invariants();
    assert_eq!(sender.recovery.next_lost(), Some(at(0) + 10..at(0) + 40));
}

#[test]
fn the_front_tells_since_when_it_waits() {
    let mut sender = Sender::new(true);
    assert_eq!(sender.recovery.front(), None);
    sender.send(7, 2);
    sender.recovery.on_retransmitted(&sender.transmission(9, 0));
    assert_eq!(sender.recovery.front(), Some(at(0)..at(1)));
}

#[test]
fn an_idle_sender_keeps_little_memory() {
    let mut sender = Sender::new(true);
    sender.send(0, 1000);
    sender.ack(100, 1000, &[]);
    assert!(sender.recovery.board.queue.capacity() <= 16);
}

/// A segment delivered late makes RACK wait long for others; not longer than this.
#[test]
fn the_reordering_timer_is_never_later_than_the_timeout() {
    let mut sender = Sender::new(true);
    sender.send(0, 1);
    sender.send(1000, 19);
    sender.ack(1100, 0, &[19..20]);
    sender.ack(1110, 1, &[19..20]);
    assert!(sender.recovery.rack.deadline() > Some(ms(2000)));
    let rto = ms(1110) + sender.recovery.rto();
    assert_eq!(sender.recovery.timer(), Some((rto, RecoveryTimer::Rto)));
    assert!(matches!(sender.expire().1, TimerOutcome::Rto { .. }));
    assert!(matches!(sender.recovery.timer(), Some((_, RecoveryTimer::Rto))));
}

/// What is reduced for another reason is not given back.
#[test]
fn another_reduction_ends_the_wait_for_signs_of_a_mistake() {
    let mut sender = Sender::new(true);
    sender.send(0, 4);
    let outcome = sender.ack(100, 0, &[1..4]);
    sender.enter(&outcome);
    sender.retransmit(100);
    sender.ack(110, 4, &[]);
    sender.recovery.on_other_reduction();
    sender.send(120, 1);
    assert!(!sender.ack(200, 4, &[0..1]).spurious);
}

#[test]
fn progress_starts_the_probes_wait_over() {
    let mut sender = Sender::new(true);
    sender.send(0, 3);
    sender.ack(100, 1, &[]);
    assert_eq!(sender.recovery.timer(), Some((ms(300), RecoveryTimer::Tlp)));
}

/// RFC 8985 §7.2, where its answer might come after the timeout.
#[test]
fn no_probe_while_the_peer_holds_something() {
    let mut sender = Sender::new(true);
    sender.send(0, 2);
    sender.recovery.on_retransmitted(&sender.transmission(50, 0));
    sender.ack(100, 0, &[1..2]);
    assert_eq!(sender.recovery.rack.deadline(), None, "the other was sent later");
    assert!(matches!(sender.recovery.timer(), Some((_, RecoveryTimer::Rto))));
}

#[test]
fn retransmitting_the_front_starts_the_timeout_over() {
    let mut sender = Sender::new(true);
    sender.send(0, 4);
    let outcome = sender.ack(100, 0, &[1..4]);
    sender.enter(&outcome);
    sender.retransmit(110);
    let rto = sender.recovery.rto();
    assert_eq!(sender.recovery.timer(), Some((ms(110) + rto, RecoveryTimer::Rto)));
}

/// RFC 9937 §6.1: what was SACKed before the episode is no part of RecoverFS, what
/// the acknowledgment that starts it delivers is.
#[test]
fn proportional_reduction_starts_from_what_may_yet_be_delivered() {
    let mut sender = Sender::new(true);
    sender.recovery.rack.on_spurious_recovery();
    sender.send(0, 1);
    sender.send(30, 19);
    let outcome = sender.ack(130, 0, &[1..6]);
    sender.enter(&outcome);
    // 14 in flight, 5 of 20 delivered, aiming at 10.
    assert_eq!(sender.recovery.prr_cwnd(), Some(14 * MSS + 500 * 10 / 20));

    let mut sender = Sender::new(true);
    sender.recovery.rack.on_spurious_recovery();
    sender.send(0, 1);
    sender.send(10, 19);
    assert!(!sender.ack(105, 0, &[1..6]).loss_found);
    assert!(matches!(sender.expire(), (118, TimerOutcome::Lost { loss_found: true, .. })));
    sender.recovery.enter_recovery(10 * MSS);
    let outcome = sender.ack(131, 0, &[1..8]);
    sender.recovery.on_recovery_ack(&outcome);
    // 12 in flight, 2 of 15 delivered: the timer delivers nothing.
    assert_eq!(sender.recovery.prr_cwnd(), Some(12 * MSS + 2000_u64.div_ceil(15)));
}

/// RFC 9937 §6.2: SafeACK.
#[test]
fn an_acknowledgment_that_advances_without_loss_lets_one_segment_more_go() {
    let mut sender = Sender::new(true);
    sender.send(0, 10);
    let outcome = sender.ack(100, 0, &[7..10]);
    sender.enter(&outcome);
    assert_eq!(sender.recovery.prr_cwnd(), Some(3 * MSS));
    for segment in 0..3 {
        assert_eq!(sender.retransmit(100), Some(segment));
    }
    let outcome = sender.ack(200, 1, &[7..10]);
    sender.recovery.on_recovery_ack(&outcome);
    assert_eq!(sender.recovery.prr_cwnd(), Some(4 * MSS));
}

#[test]
fn the_report_of_a_probe_does_not_speak_for_the_retransmissions_after_it() {
    let mut sender = probed(4);
    let outcome = sender.ack(300, 0, &[3..4]);
    sender.enter(&outcome);
    sender.retransmit(300);
    assert!(!sender.ack(310, 4, &[3..4]).spurious);
    assert!(sender.ack(320, 4, &[0..1]).spurious);
}

/// RFC 6582 §3.2 step 2, after an ordinary episode.
#[test]
fn without_sack_duplicates_of_the_end_of_an_episode_do_not_start_another() {
    let mut sender = Sender::new(false);
    sender.send(0, 5);
    sender.ack(100, 0, &[]);
    sender.ack(100, 0, &[]);
    let outcome = sender.ack(100, 0, &[]);
    sender.enter(&outcome);
    sender.retransmit(100);
    assert!(sender.ack(200, 5, &[]).recovery_ended);
    sender.send(210, 5);
    for _ in 0..4 {
        assert!(!sender.ack(310, 5, &[]).loss_found);
    }
    sender.ack(320, 6, &[]);
    sender.ack(330, 6, &[]);
    sender.ack(330, 6, &[]);
    assert!(sender.ack(330, 6, &[]).loss_found);
}
