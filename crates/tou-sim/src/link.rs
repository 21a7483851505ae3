//! One direction of a network path: what becomes of a datagram, and when.
//!
//! A [`Link`] is sans-IO like everything else: a datagram's length and the
//! time go in, its [`Fate`] comes out. It must not know who sends, what the
//! octets mean, or how deliveries are kept until they are due.
//!
//! ```text
//!            outage  MTU      queue        rate         loss     delay, jitter
//!  push --->  o------o-------[ drop tail ]--[ serialise ]--o-------( wait )---> due
//!                                                             copies, late ones
//! ```

use core::time::Duration;
use std::collections::BTreeSet;

use tou_proto::Instant;

use crate::rng::SimRng;

/// What a link does. Plain fields: turn them whenever you like, also while
/// datagrams are under way (those keep the fate they were given).
#[derive(Clone, Debug, PartialEq)]
pub struct Knobs {
    /// Time from the end of transmission to arrival.
    pub delay: Duration,
    /// Up to this much is added to the delay, evenly. Order is kept: a datagram
    /// never overtakes another because of jitter.
    pub jitter: Duration,
    /// Probability that a datagram is lost on the way.
    pub loss: f64,
    /// Mean number of datagrams lost in a row: a two-state Gilbert model whose
    /// long-run rate is `loss`. At most 1 means independent losses.
    pub loss_burst: f64,
    /// Probability that a datagram arrives twice: the copy up to `delay` later.
    pub duplicate: f64,
    /// Probability that a datagram is held back, so that later ones overtake it.
    pub reorder: f64,
    /// For how long at most, evenly.
    pub reorder_delay: Duration,
    /// The far end takes in what has arrived only so often, as a network card that
    /// interrupts seldom does, or a radio that sends many frames at a time: what
    /// arrives between two looks arrives at the second. With a world's `batch`,
    /// what fits is one batch then. Zero is each datagram by itself.
    pub coalesce: Duration,
    /// Octets of IP packets a second; zero is no limit.
    pub rate: u64,
    /// Octets that may wait for the rate; more are dropped at the tail.
    pub queue: u64,
    /// IP packets longer than this vanish without a word.
    pub mtu_drop: Option<usize>,
    /// Nothing gets through.
    pub outage: bool,
}

impl Default for Knobs {
    /// Ten milliseconds of delay and no trouble.
    fn default() -> Self {
        Self {
            delay: Duration::from_millis(10),
            jitter: Duration::ZERO,
            loss: 0.0,
            loss_burst: 1.0,
            duplicate: 0.0,
            reorder: 0.0,
            reorder_delay: Duration::from_millis(5),
            coalesce: Duration::ZERO,
            rate: 0,
            queue: u64::MAX,
            mtu_drop: None,
            outage: false,
        }
    }
}

/// Why a datagram did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossCause {
    /// Chance.
    Random,
    /// The test's choice.
    Chosen,
    /// The queue before the bottleneck was full.
    Queue,
    /// It was longer than the link takes.
    Mtu,
    /// The link was down.
    Outage,
    /// Nobody has that address.
    NoRoute,
}

/// What becomes of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It arrives then.
    Arrives(Instant),
    /// It arrives, and a copy of it as well.
    ArrivesTwice(Instant, Instant),
    /// It does not arrive.
    Lost(LossCause),
}

/// One direction of a path.
#[derive(Clone, Debug)]
pub struct Link {
    /// What it does.
    pub knobs: Knobs,
    /// Datagrams that are lost whatever the knobs say, by their number; the
    /// first is number 0.
    pub doomed: BTreeSet<u64>,
    rng: SimRng,
    /// Datagrams that were sent.
    count: u64,
    /// When the last datagram accepted will have been transmitted.
    free_at: Instant,
    /// The latest arrival promised so far to a datagram that keeps its order.
    last_due: Instant,
    /// The Gilbert model is in its bad state.
    in_burst: bool,
}

impl Link {
    /// A link that draws its chances from `rng`.
    #[must_use]
    pub fn new(knobs: Knobs, rng: SimRng) -> Self {
        Self {
            knobs,
            doomed: BTreeSet::new(),
            rng,
            count: 0,
            free_at: Instant::ZERO,
            last_due: Instant::ZERO,
            in_burst: false,
        }
    }

    /// Sends a datagram that makes an IP packet of `len` octets.
    pub fn push(&mut self, now: Instant, len: usize) -> Fate {
        // Every datagram takes the same draws in the same order, so that the
        // n-th datagram's luck depends on no knob and on no other's fate.
        let chances = Chances::draw(&mut self.rng, &self.knobs);
        let lost = self.is_lost(&chances);
        let is_doomed = self.doomed.contains(&self.count);
        self.count += 1;
        if is_doomed {
            return Fate::Lost(LossCause::Chosen);
        }
        if self.knobs.outage {
            return Fate::Lost(LossCause::Outage);
        }
        if self.knobs.mtu_drop.is_some_and(|mtu| len > mtu) {
            return Fate::Lost(LossCause::Mtu);
        }
        let Some(sent_at) = self.transmit(now, len) else {
            return Fate::Lost(LossCause::Queue);
        };
        if lost {
            return Fate::Lost(LossCause::Random);
        }
        let in_order = (sent_at + self.knobs.delay + chances.jitter).max(self.last_due);
        let due = if chances.reorder {
            in_order + chances.held_back
        } else {
            self.last_due = in_order;
            in_order
        };
        if chances.duplicate {
            Fate::ArrivesTwice(self.taken_in(due), self.taken_in(due + chances.copy_delay))
        } else {
            Fate::Arrives(self.taken_in(due))
        }
    }

    /// When the far end takes in what arrives at `due`: at its next look.
    fn taken_in(&self, due: Instant) -> Instant {
        let since = due.saturating_since(Instant::ZERO);
        let nanos = since.as_nanos().checked_rem(self.knobs.coalesce.as_nanos()).unwrap_or(0);
        match u64::try_from(nanos) {
            Ok(late) if late > 0 => due + (self.knobs.coalesce - Duration::from_nanos(late)),
            _ => due,
        }
    }

    /// Datagrams that were sent so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Octets that wait for the rate at this moment.
    #[must_use]
    pub fn backlog(&self, now: Instant) -> u64 {
        let waiting = self.free_at.saturating_since(now).as_nanos();
        u64::try_from(waiting * u128::from(self.knobs.rate) / NANOS_PER_SEC).unwrap_or(u64::MAX)
    }

    /// Queues a datagram at the bottleneck: when it has left, or `None` if the
    /// queue is full. An idle link takes a datagram of any length.
    fn transmit(&mut self, now: Instant, len: usize) -> Option<Instant> {
        if self.knobs.rate == 0 {
            return Some(now);
        }
        let len = u64::try_from(len).unwrap_or(u64::MAX);
        let backlog = self.backlog(now);
        if backlog > 0 && backlog.saturating_add(len) > self.knobs.queue {
            return None;
        }
        let nanos = u128::from(len) * NANOS_PER_SEC / u128::from(self.knobs.rate);
        let takes = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        self.free_at = self.free_at.max(now) + takes;
        Some(self.free_at)
    }

    /// Independent losses, or the next step of the Gilbert model: from good to
    /// bad with p / (b (1 - p)), back with 1 / b, lost while bad.
    fn is_lost(&mut self, chances: &Chances) -> bool {
        let Knobs { loss, loss_burst, .. } = self.knobs;
        if loss_burst <= 1.0 {
            return chances.loss < loss;
        }
        self.in_burst = if self.in_burst {
            chances.loss >= 1.0 / loss_burst
        } else {
            chances.loss * loss_burst * (1.0 - loss) < loss
        };
        self.in_burst
    }
}

/// One datagram's luck.
struct Chances {
    /// 0 to 1, evenly.
    loss: f64,
    duplicate: bool,
    reorder: bool,
    jitter: Duration,
    held_back: Duration,
    copy_delay: Duration,
}

impl Chances {
    fn draw(rng: &mut SimRng, knobs: &Knobs) -> Self {
        Self {
            loss: rng.fraction(),
            duplicate: rng.chance(knobs.duplicate),
            reorder: rng.chance(knobs.reorder),
            jitter: rng.up_to(knobs.jitter),
            held_back: rng.up_to(knobs.reorder_delay),
            copy_delay: rng.up_to(knobs.delay),
        }
    }
}

const NANOS_PER_SEC: u128 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use quickcheck::quickcheck;

    fn link(knobs: Knobs) -> Link {
        Link::new(knobs, SimRng::new(1, 0))
    }

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    #[test]
    fn rate_serialises_and_delay_follows() {
        let mut link = link(Knobs { rate: 1_000_000, ..Knobs::default() });
        assert_eq!(link.push(at(0), 1_000), Fate::Arrives(at(11)));
        assert_eq!(link.push(at(0), 2_000), Fate::Arrives(at(13)));
        assert_eq!(link.backlog(at(1)), 2_000);
        assert_eq!(link.push(at(50), 1_000), Fate::Arrives(at(61)));
    }

    #[test]
    fn what_arrives_between_two_looks_arrives_at_the_second() {
        let knobs = Knobs { rate: 1_000_000, coalesce: ms(4), ..Knobs::default() };
        let mut link = link(knobs);
        let dues: Vec<Fate> = (0..6).map(|_| link.push(at(0), 1_000)).collect();
        // They would arrive at 11, 12, 13 ms and so on.
        let taken = [12, 12, 16, 16, 16, 16].map(|millis| Fate::Arrives(at(millis)));
        assert_eq!(dues, taken);
    }

    #[test]
    fn full_queue_drops_the_tail() {
        let mut link = link(Knobs { rate: 1_000, queue: 2_500, ..Knobs::default() });
        assert_eq!(link.push(at(0), 5_000), Fate::Arrives(at(5_010)), "an idle link takes any");
        assert_eq!(link.push(at(0), 1_000), Fate::Lost(LossCause::Queue));
        assert_eq!(link.push(at(3_500), 1_000), Fate::Arrives(at(6_010)));
        assert_eq!(link.push(at(3_500), 1), Fate::Lost(LossCause::Queue));
    }

    #[test]
    fn outage_and_mtu_drop_only_what_they_should() {
        let mut link = link(Knobs { mtu_drop: Some(1_280), ..Knobs::default() });
        assert_eq!(link.push(at(0), 1_281), Fate::Lost(LossCause::Mtu));
        assert_eq!(link.push(at(0), 1_280), Fate::Arrives(at(10)));
        link.knobs.outage = true;
        assert_eq!(link.push(at(0), 1), Fate::Lost(LossCause::Outage));
        link.knobs.outage = false;
        assert_eq!(link.push(at(0), 1), Fate::Arrives(at(10)));
    }

    #[test]
    fn doomed_datagrams_are_lost_and_no_others() {
        let mut link = link(Knobs::default());
        link.doomed = [0, 2].into();
        let lost: Vec<bool> =
            (0..4).map(|_| link.push(at(0), 1) == Fate::Lost(LossCause::Chosen)).collect();
        assert_eq!(lost, [true, false, true, false]);
    }

    #[test]
    fn bursts_keep_the_loss_rate_and_have_the_length() {
        let mut link = link(Knobs { loss: 0.05, loss_burst: 8.0, ..Knobs::default() });
        let lost: Vec<bool> =
            (0..200_000).map(|_| matches!(link.push(at(0), 1), Fate::Lost(_))).collect();
        let losses = lost.iter().filter(|lost| **lost).count();
        let bursts = lost.windows(2).filter(|pair| !pair[0] && pair[1]).count();
        assert!((9_000..11_000).contains(&losses), "{losses}");
        assert!((7 * bursts..9 * bursts).contains(&losses), "{losses} in {bursts} bursts");
    }

    #[test]
    fn one_knob_leaves_the_luck_of_the_others_alone() {
        let fates = |knobs: Knobs| {
            let mut link = link(knobs);
            (0..500).map(|_| link.push(at(0), 1)).collect::<Vec<_>>()
        };
        let lossy = Knobs { loss: 0.2, ..Knobs::default() };
        let messy = Knobs { duplicate: 0.3, reorder: 0.3, jitter: ms(3), ..lossy.clone() };
        for (lossy, messy) in fates(lossy).iter().zip(fates(messy)) {
            assert_eq!(matches!(lossy, Fate::Lost(_)), matches!(messy, Fate::Lost(_)));
        }
    }

    quickcheck! {
        fn jitter_and_rate_keep_order(seed: u64, jitter: u8, gaps: Vec<u8>) -> bool {
            let knobs = Knobs { jitter: ms(jitter.into()), rate: 100_000, ..Knobs::default() };
            let mut link = Link::new(knobs, SimRng::new(seed, 0));
            let mut now = Instant::ZERO;
            let mut last = Instant::ZERO;
            gaps.into_iter().all(|gap| {
                now = now + ms(gap.into());
                let Fate::Arrives(due) = link.push(now, 100) else { return false };
                let kept = due >= last && due >= now + ms(11);
                last = due;
                kept
            })
        }
    }
}
