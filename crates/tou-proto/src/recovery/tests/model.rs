//! A naive network and a naive receiver against [`Recovery`], then a hostile peer.

extern crate std;

use super::super::*;
use crate::recovery::sent::State;
use quickcheck::{Arbitrary, Gen, TestResult, quickcheck};
use std::vec;
use std::vec::Vec;

/// Octets to carry, and the longest segment.
const TOTAL: usize = 900;
const MSS: u64 = 15;
/// Where the stream starts.
const ORIGIN: u64 = (1 << 32) + 77;
/// One way, in milliseconds.
const DELAY: u64 = 20;

fn at(octet: usize) -> StreamPos {
    StreamPos::from_raw(ORIGIN + octet as u64)
}

fn octet(position: StreamPos) -> usize {
    position.since(at(0)) as usize
}

fn config() -> RecoveryConfig {
    RecoveryConfig {
        rto_initial: Duration::from_millis(300),
        rto_min: Duration::from_millis(100),
        rto_max: Duration::from_millis(2000),
        dupthresh: 3,
        max_ack_delay: Duration::from_millis(10),
    }
}

/// A little generator: the tests are the same on every machine.
#[derive(Clone, Debug)]
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides.max(1)
    }

    fn percent(&mut self, chance: u64) -> bool {
        self.roll(100) < chance
    }
}

/// What a path does to packets. Percentages.
#[derive(Clone, Debug)]
struct Path {
    seed: u64,
    loss: u64,
    ack_loss: u64,
    duplication: u64,
    reordering: u64,
    sack: bool,
    timestamps: bool,
    /// The segment size shrinks on the way.
    shrinks: bool,
}

impl Arbitrary for Path {
    fn arbitrary(g: &mut Gen) -> Self {
        let mut dice = Dice(u64::arbitrary(g));
        let mut rate = |most: u64| if dice.percent(40) { 0 } else { dice.roll(most + 1) };
        Self {
            seed: u64::arbitrary(g),
            loss: rate(30),
            ack_loss: rate(30),
            duplication: rate(20),
            reordering: rate(30),
            sack: bool::arbitrary(g),
            timestamps: bool::arbitrary(g),
            shrinks: bool::arbitrary(g),
        }
    }
}

#[derive(Clone, Debug)]
enum Packet {
    Data { range: Range<usize>, tsval: u32 },
    Ack { ack: usize, sack: Vec<Range<usize>>, tsecr: u32 },
}

/// RFC 2018 and RFC 2883 as plainly as can be.
struct Receiver {
    has: Vec<bool>,
    ts_recent: u32,
}

impl Receiver {
    fn next(&self) -> usize {
        self.has.iter().position(|has| !has).unwrap_or(TOTAL)
    }

    /// The run of octets around `octet`.
    fn run(&self, octet: usize) -> Range<usize> {
        let start = self.has[..octet].iter().rposition(|has| !has).map_or(0, |i| i + 1);
        let end = self.has[octet..].iter().position(|has| !has).map_or(TOTAL, |i| octet + i);
        start..end
    }

    fn receive(&mut self, range: Range<usize>, tsval: u32) -> Packet {
        if range.contains(&self.next()) {
            self.ts_recent = tsval;
        }
        let mut sack = Vec::new();
        if self.has[range.clone()].iter().all(|has| *has) {
            sack.push(range.clone());
        }
        self.has[range.clone()].fill(true);
        let next = self.next();
        // The run just received first, then the others from the highest down.
        let starts = [range.start].into_iter().chain((next..TOTAL).rev());
        for octet in starts.filter(|octet| *octet > next && self.has[*octet]) {
            let run = self.run(octet);
            if !sack.contains(&run) {
                sack.push(run);
            }
        }
        sack.truncate(4);
        Packet::Ack { ack: next, sack, tsecr: self.ts_recent }
    }
}

struct World {
    path: Path,
    dice: Dice,
    now: u64,
    in_transit: Vec<(u64, Packet)>,
    recovery: Recovery,
    receiver: Receiver,
    /// Octets that an acknowledgment which arrived reported held.
    reported: Vec<bool>,
    sent: usize,
    cwnd: u64,
    mss: u64,
    probe_due: bool,
    retransmissions: u64,
    probes: u64,
}

impl World {
    fn new(path: Path) -> Self {
        let mut recovery = Recovery::new(config(), MSS);
        recovery.set_sack(path.sack);
        Self {
            dice: Dice(path.seed),
            path,
            now: 0,
            in_transit: Vec::new(),
            recovery,
            receiver: Receiver { has: vec![false; TOTAL], ts_recent: 0 },
            reported: vec![false; TOTAL],
            sent: 0,
            cwnd: 8 * MSS,
            mss: MSS,
            probe_due: false,
            retransmissions: 0,
            probes: 0,
        }
    }

    fn put(&mut self, packet: &Packet) {
        let loss =
            if matches!(packet, Packet::Data { .. }) { self.path.loss } else { self.path.ack_loss };
        let copies = 1 + u64::from(self.dice.percent(self.path.duplication));
        for _ in 0..copies {
            if self.dice.percent(loss) {
                continue;
            }
            let late = if self.dice.percent(self.path.reordering) { self.dice.roll(60) } else { 0 };
            self.in_transit.push((self.now + DELAY + late, packet.clone()));
        }
    }

    fn transmit(&mut self, range: Range<usize>) {
        let tsval = self.now as u32;
        let sent = Transmission {
            now: Instant::from_millis(self.now),
            start: at(range.start),
            end: at(range.end),
            tsval: self.path.timestamps.then_some(tsval),
        };
        if range.start == self.sent {
            self.sent = range.end;
            self.recovery.on_sent(&sent);
        } else {
            assert!(!self.reported[range.clone()].iter().all(|held| *held), "the peer holds it");
            self.retransmissions += 1;
            self.recovery.on_retransmitted(&sent);
        }
        self.recovery.check_invariants();
        self.put(&Packet::Data { range, tsval });
    }

    /// The next new segment.
    fn new_data(&self) -> Option<Range<usize>> {
        (self.sent < TOTAL).then(|| self.sent..(self.sent + self.mss as usize).min(TOTAL))
    }

    fn send(&mut self) {
        if core::mem::take(&mut self.probe_due) {
            let tail = self.recovery.tail().map(|r| octet(r.start)..octet(r.end));
            let new = self.new_data();
            let range = new.clone().or(tail).expect("outstanding");
            self.probes += 1;
            self.transmit(range);
            self.retransmissions -= u64::from(new.is_none());
            self.recovery.on_probe_sent(
                Instant::from_millis(self.now),
                at(self.sent),
                new.is_none(),
            );
            self.recovery.check_invariants();
        }
        loop {
            let lost = self.recovery.next_lost().map(|r| octet(r.start)..octet(r.end));
            let must = self.recovery.must_retransmit();
            let new =
                self.new_data().filter(|_| lost.is_none() || self.recovery.prefers_new_data());
            let Some(range) = new.filter(|_| !must).or(lost) else { return };
            assert!(range.len() as u64 <= self.mss);
            let cwnd = self.recovery.prr_cwnd().unwrap_or(self.cwnd);
            if !must && self.recovery.in_flight() + range.len() as u64 > cwnd {
                return;
            }
            self.transmit(range);
        }
    }

    fn on_ack(&mut self, ack: usize, sack: &[Range<usize>], tsecr: u32) {
        let una = octet(self.recovery.board.queue.start());
        if self.sent == 0 || ack < una {
            return;
        }
        let blocks: Vec<_> = sack.iter().map(|r| at(r.start)..at(r.end)).collect();
        let before = self.recovery.in_flight();
        let outcome = self.recovery.on_ack(&AckInfo {
            now: Instant::from_millis(self.now),
            ack: at(ack),
            sack: if self.path.sack { &blocks } else { &[] },
            ts_rtt: None,
            tsecr: self.path.timestamps.then_some(tsecr),
            duplicate: ack == una && self.recovery.outstanding() > 0,
        });
        assert_eq!((outcome.prior_in_flight, outcome.acked), (before, (ack - una) as u64));
        assert!(outcome.delivered <= outcome.prior_outstanding);
        for range in [0..ack].iter().chain(if self.path.sack { sack } else { &[] }) {
            self.reported[range.clone()].fill(true);
        }
        self.compare_scoreboard();
        if outcome.loss_found {
            self.cwnd = (outcome.prior_outstanding / 2).max(2 * MSS);
            self.recovery.enter_recovery(self.cwnd);
        } else if !self.recovery.in_fast_recovery() && outcome.acked > 0 {
            self.cwnd = (self.cwnd + MSS / 2).min(20 * MSS);
        }
        self.recovery.on_recovery_ack(&outcome);
        self.recovery.check_invariants();
        assert_eq!(outcome.in_flight, self.recovery.in_flight());
        if self.path.shrinks && self.dice.percent(5) {
            self.mss = (self.mss - 1).max(5);
            self.recovery.set_mss(self.mss);
            self.recovery.check_invariants();
        }
    }

    /// A segment is marked exactly if all its octets were reported.
    fn compare_scoreboard(&self) {
        let queue = &self.recovery.board.queue;
        let mut number = queue.front_number();
        while let Some(segment) = queue.get(number) {
            let held = self.path.sack
                && self.reported[octet(segment.start)..octet(segment.end)].iter().all(|held| *held);
            assert_eq!(segment.state == State::Sacked, held);
            number += 1;
        }
    }

    fn on_timer(&mut self) {
        let (deadline, _) = self.recovery.timer().expect("armed");
        let outcome = self.recovery.on_timer(Instant::from_millis(self.now));
        match outcome {
            TimerOutcome::None => {
                let next = self.recovery.timer().expect("armed").0;
                assert!(next > deadline, "an expiry that does nothing waits for another");
            }
            TimerOutcome::Lost { loss_found: true, flight_size } => {
                self.cwnd = (flight_size / 2).max(2 * MSS);
                self.recovery.enter_recovery(self.cwnd);
            }
            TimerOutcome::Lost { .. } => {}
            TimerOutcome::ProbeDue => self.probe_due = true,
            TimerOutcome::Rto { .. } => self.cwnd = MSS,
        }
        self.recovery.check_invariants();
    }

    /// Runs until everything is acknowledged; returns whether that took no longer
    /// than it may.
    fn run(&mut self) -> bool {
        for _ in 0..30_000 {
            self.send();
            if self.receiver.next() == TOTAL && self.recovery.outstanding() == 0 {
                return self.recovery.timer().is_none() && self.recovery.in_flight() == 0;
            }
            let arrival = self.in_transit.iter().map(|(when, _)| *when).min();
            let deadline =
                self.recovery.timer().map(|(deadline, _)| deadline.as_nanos().div_ceil(1_000_000));
            self.now = arrival.into_iter().chain(deadline).min().expect("alive").max(self.now);
            if arrival.is_some_and(|arrival| arrival <= self.now) {
                let next = self.in_transit.iter().position(|(when, _)| *when <= self.now);
                match self.in_transit.remove(next.expect("found")).1 {
                    Packet::Data { range, tsval } => {
                        let ack = self.receiver.receive(range, tsval);
                        self.put(&ack);
                    }
                    Packet::Ack { ack, sack, tsecr } => self.on_ack(ack, &sack, tsecr),
                }
            } else {
                self.on_timer();
            }
        }
        false
    }
}

quickcheck! {
    fn everything_is_acknowledged_at_last(path: Path) -> bool {
        World::new(path).run()
    }

    fn a_perfect_path_sees_no_retransmission(seed: u64, sack: bool, timestamps: bool) -> bool {
        let path = Path {
            seed,
            loss: 0,
            ack_loss: 0,
            duplication: 0,
            reordering: 0,
            sack,
            timestamps,
            shrinks: false,
        };
        let mut world = World::new(path);
        world.run() && world.retransmissions == 0 && world.probes == 0
    }

    /// Copies alone are no reason to send anything again.
    fn duplication_with_sack_sees_no_retransmission(seed: u64, duplication: u8) -> bool {
        let path = Path {
            seed,
            loss: 0,
            ack_loss: 0,
            duplication: u64::from(duplication % 100),
            reordering: 0,
            sack: true,
            timestamps: false,
            shrinks: false,
        };
        let mut world = World::new(path);
        world.run() && world.retransmissions == 0
    }

    /// Whatever a peer says, nothing panics and the counts stay right.
    fn a_hostile_peer_breaks_nothing(steps: Vec<Step>, sack: bool) -> TestResult {
        let mut recovery = Recovery::new(config(), MSS);
        recovery.set_sack(sack);
        let mut now = 0;
        for step in steps {
            now += u64::from(step.wait);
            step.perform(&mut recovery, Instant::from_millis(now));
            recovery.check_invariants();
        }
        TestResult::passed()
    }
}

#[derive(Clone, Debug)]
struct Step {
    wait: u8,
    kind: u8,
    numbers: [u8; 8],
    wild: u64,
}

impl Arbitrary for Step {
    fn arbitrary(g: &mut Gen) -> Self {
        let numbers = core::array::from_fn(|_| u8::arbitrary(g) % 32);
        Self {
            wait: u8::arbitrary(g) / 8,
            kind: u8::arbitrary(g),
            numbers,
            wild: u64::arbitrary(g),
        }
    }
}

impl Step {
    fn perform(&self, recovery: &mut Recovery, now: Instant) {
        let end = recovery.board.queue.end().max(StreamPos::from_raw(ORIGIN));
        let transmission = |range: Range<StreamPos>| Transmission {
            now,
            start: range.start,
            end: range.end,
            tsval: self.wild.is_multiple_of(2).then_some(now.as_millis() as u32),
        };
        match self.kind % 12 {
            0..=2 => {
                for n in &self.numbers {
                    let start = recovery.board.queue.end().max(end);
                    recovery.on_sent(&transmission(start..start + 1 + u64::from(*n) % MSS));
                }
            }
            3 | 4 => {
                while let Some(range) =
                    recovery.next_lost().filter(|_| !self.wild.is_multiple_of(5))
                {
                    recovery.on_retransmitted(&transmission(range));
                }
            }
            5 => {
                if let Some((deadline, _)) = recovery.timer() {
                    let outcome = recovery.on_timer(deadline.max(now));
                    if outcome == TimerOutcome::ProbeDue
                        && let Some(tail) = recovery.tail()
                    {
                        recovery.on_retransmitted(&transmission(tail.clone()));
                        recovery.on_probe_sent(now, tail.end, true);
                    } else if matches!(outcome, TimerOutcome::Lost { loss_found: true, .. }) {
                        recovery.enter_recovery(self.wild >> (self.wild % 64));
                    }
                }
            }
            6 if self.wild.is_multiple_of(4) => recovery.set_mss(u64::from(self.numbers[0])),
            6 => recovery.mark_all_lost(),
            _ => self.acknowledge(recovery, now),
        }
    }

    fn acknowledge(&self, recovery: &mut Recovery, now: Instant) {
        let una = recovery.board.queue.start();
        let [a, b, c, d, e, f, g, h] = self.numbers.map(|n| u64::from(n) * 8);
        let wild = StreamPos::from_raw(self.wild);
        let mut sack =
            [una + a..una + b, una + c..una + d, una.back(e)..una + f, una + g..una + g + h];
        if self.wild.is_multiple_of(3) {
            sack[self.wild as usize % 4].end = wild;
        }
        let outcome = recovery.on_ack(&AckInfo {
            now,
            ack: if self.wild.is_multiple_of(7) { wild } else { una + a / 8 % 40 },
            sack: &sack[..self.wild as usize % 5],
            ts_rtt: self.wild.is_multiple_of(5).then_some(Span::from_nanos(self.wild)),
            tsecr: self.wild.is_multiple_of(2).then_some(self.wild as u32),
            duplicate: self.wild.is_multiple_of(9) && recovery.outstanding() > 0,
        });
        if outcome.loss_found {
            recovery.enter_recovery(self.wild >> (self.wild % 64));
        }
        recovery.on_recovery_ack(&outcome);
    }
}
