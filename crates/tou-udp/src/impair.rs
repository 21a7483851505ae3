//! Impairment: what a bad network does to datagrams, from one seed.
//!
//! Each direction draws from its own generator, so that what happens to the
//! datagrams of one does not depend on the other. Time is an argument and
//! nothing is sent from here: the same datagrams at the same times meet the
//! same fates. It models networks: a damaged datagram is dropped, as UDP's
//! checksum would have it, unless the segments carry a checksum of their own
//! that is to be tried.

use core::time::Duration;
use std::collections::VecDeque;

use bytes::BytesMut;
use rand::distr::{Bernoulli, Distribution};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use thiserror::Error;
use tou_proto::Instant;

use crate::datagram::Datagram;

/// What is done to the datagrams of one direction. The default is nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Impairment {
    /// Probability that a datagram is dropped, 0 to 1.
    pub drop: f64,
    /// Probability that a datagram arrives twice.
    pub duplicate: f64,
    /// Probability that a datagram is held back until a few later ones have
    /// passed, or a few milliseconds.
    pub reorder: f64,
    /// Probability that a datagram is damaged.
    pub corrupt: f64,
    /// What becomes of a damaged datagram.
    pub damage: Damage,
    /// How much later every datagram arrives.
    pub delay: Duration,
    /// How much later than that at most; the order is kept.
    pub jitter: Duration,
    /// What the chances are drawn from.
    pub seed: u64,
}

impl Default for Impairment {
    fn default() -> Self {
        Self {
            drop: 0.0,
            duplicate: 0.0,
            reorder: 0.0,
            corrupt: 0.0,
            damage: Damage::Discard,
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            seed: 0,
        }
    }
}

impl Impairment {
    /// Whether datagrams pass untouched and at once.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self { damage: self.damage, seed: self.seed, ..Self::default() }
    }
}

/// What becomes of a damaged datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Damage {
    /// The receiver's UDP checksum finds it, and the datagram is gone.
    #[default]
    Discard,
    /// One bit is flipped and the datagram delivered, for segments that carry
    /// a checksum of their own.
    FlipBit,
}

/// Which way datagrams go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the machine to the network.
    Send,
    /// From the network to the machine.
    Receive,
}

/// Why an [`Impairment`] cannot be.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum ImpairmentError {
    /// A probability is not between 0 and 1.
    #[error("the probability of {what} must be between 0 and 1, not {value}")]
    Probability {
        /// Of what.
        what: &'static str,
        /// What it was.
        value: f64,
    },
    /// Delay and jitter together are longer than [`Impairer::MAX_DELAY`].
    #[error("delay and jitter together must be at most {max:?}, not {0:?}", max = Impairer::MAX_DELAY)]
    Delay(Duration),
}

/// Why impairment dropped a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// By chance.
    Loss,
    /// It was damaged.
    Damage,
    /// Too much was under way already.
    Overflow,
}

/// What an [`Impairer`] has done so far. At any time, what came and what was
/// duplicated is what passed, was dropped, or is still under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImpairmentStats {
    /// Datagrams that came.
    pub came: u64,
    /// Datagrams that passed, copies included.
    pub passed: u64,
    /// Copies made.
    pub duplicated: u64,
    /// Datagrams held back.
    pub reordered: u64,
    /// Datagrams dropped by chance.
    pub dropped: u64,
    /// Datagrams damaged, and therefore dropped.
    pub discarded: u64,
    /// Datagrams with one bit flipped.
    pub flipped: u64,
    /// Datagrams dropped because too much was under way.
    pub overflowed: u64,
}

/// One direction's impairment at work.
#[derive(Debug)]
pub struct Impairer {
    chances: Chances,
    rng: Xoshiro256PlusPlus,
    damage: Damage,
    delay: Duration,
    jitter: Duration,
    /// Held back, to be overtaken.
    held: Vec<Held>,
    /// Under way, in order. Each leaves at its time, or when the one before it
    /// does if that is later.
    line: VecDeque<(Instant, Datagram)>,
    line_bytes: usize,
    stats: ImpairmentStats,
}

#[derive(Debug)]
struct Chances {
    drop: Bernoulli,
    duplicate: Bernoulli,
    reorder: Bernoulli,
    corrupt: Bernoulli,
}

#[derive(Debug)]
struct Held {
    /// Goes on after so many others have passed ...
    others: u32,
    /// ... or at this time.
    due: Instant,
    datagram: Datagram,
}

impl Impairer {
    /// The longest delay, jitter included.
    pub const MAX_DELAY: Duration = Duration::from_secs(60);

    /// The most later datagrams that a reordered one waits for.
    pub const MAX_OVERTAKING: u32 = 6;

    /// The longest time that it waits for them.
    pub const MAX_HOLD: Duration = Duration::from_millis(5);

    /// How many datagrams are held back at once; further ones stay in order.
    const MAX_HELD: usize = 64;

    /// Octets under way at most, as in any network.
    const MAX_LINE_BYTES: usize = 64 << 20;

    /// What a datagram under way counts beyond its payload.
    const OVERHEAD: usize = 128;

    /// Impairment for one direction.
    ///
    /// # Errors
    /// [`ImpairmentError`] when a probability or a delay is out of range.
    pub fn new(impairment: &Impairment, direction: Direction) -> Result<Self, ImpairmentError> {
        let chance = |what, value| {
            Bernoulli::new(value).map_err(|_| ImpairmentError::Probability { what, value })
        };
        let chances = Chances {
            drop: chance("a drop", impairment.drop)?,
            duplicate: chance("a duplicate", impairment.duplicate)?,
            reorder: chance("a reordering", impairment.reorder)?,
            corrupt: chance("a corruption", impairment.corrupt)?,
        };
        let longest = impairment.delay.saturating_add(impairment.jitter);
        if longest > Self::MAX_DELAY {
            return Err(ImpairmentError::Delay(longest));
        }
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(impairment.seed);
        if direction == Direction::Receive {
            // A part of the sequence that the other direction never reaches.
            rng.jump();
        }
        Ok(Self {
            chances,
            rng,
            damage: impairment.damage,
            delay: impairment.delay,
            jitter: impairment.jitter,
            held: Vec::new(),
            line: VecDeque::new(),
            line_bytes: 0,
            stats: ImpairmentStats::default(),
        })
    }

    /// What has been done so far.
    #[must_use]
    pub fn stats(&self) -> ImpairmentStats {
        self.stats
    }

    /// Datagrams held back or under way.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.held.len() + self.line.len()
    }

    /// When [`Impairer::release`] has something to release.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        let held = self.held.iter().map(|held| held.due).min();
        let line = self.line.front().map(|&(due, _)| due);
        [held, line].into_iter().flatten().min()
    }

    /// Takes in a datagram, and appends to `out` what passes now: perhaps
    /// nothing, perhaps it, perhaps others too. Returns why it was dropped, if
    /// it was.
    pub fn push(
        &mut self,
        now: Instant,
        datagram: &Datagram,
        out: &mut VecDeque<Datagram>,
    ) -> Option<DropReason> {
        self.stats.came += 1;
        // Every chance is drawn, whatever the others say: more loss does not
        // change which of the surviving datagrams are reordered.
        let drop = self.chances.drop.sample(&mut self.rng);
        let corrupt = self.chances.corrupt.sample(&mut self.rng);
        let duplicate = self.chances.duplicate.sample(&mut self.rng);
        let reorder = self.chances.reorder.sample(&mut self.rng);
        if drop {
            self.stats.dropped += 1;
            return Some(DropReason::Loss);
        }
        let datagram = if corrupt { self.flip_bit(datagram) } else { Some(datagram.clone()) };
        let Some(datagram) = datagram else {
            self.stats.discarded += 1;
            return Some(DropReason::Damage);
        };
        if reorder && self.held.len() < Self::MAX_HELD {
            self.stats.reordered += 1;
            let others = self.rng.random_range(1..=Self::MAX_OVERTAKING);
            let due = now + Self::MAX_HOLD;
            self.held.push(Held { others, due, datagram: datagram.clone() });
        } else {
            let dropped = self.pass(now, datagram.clone(), out);
            self.let_overtake(now, out);
            if dropped.is_some() {
                return dropped;
            }
        }
        if duplicate {
            self.stats.duplicated += 1;
            let _ = self.pass(now, datagram, out);
        }
        None
    }

    /// Appends to `out` what is due at `now`, in order.
    pub fn release(&mut self, now: Instant, out: &mut VecDeque<Datagram>) {
        for held in self.held.extract_if(.., |held| held.due <= now).collect::<Vec<_>>() {
            let _ = self.pass(now, held.datagram, out);
        }
        while self.line.front().is_some_and(|&(due, _)| due <= now) {
            let Some((_, datagram)) = self.line.pop_front() else { break };
            self.line_bytes -= datagram.data.len() + Self::OVERHEAD;
            self.stats.passed += 1;
            out.push_back(datagram);
        }
    }

    /// Another datagram went past those held back.
    fn let_overtake(&mut self, now: Instant, out: &mut VecDeque<Datagram>) {
        for held in &mut self.held {
            held.others = held.others.saturating_sub(1);
        }
        for held in self.held.extract_if(.., |held| held.others == 0).collect::<Vec<_>>() {
            let _ = self.pass(now, held.datagram, out);
        }
    }

    /// Sends a datagram down the line, or out if the line has no length.
    fn pass(
        &mut self,
        now: Instant,
        datagram: Datagram,
        out: &mut VecDeque<Datagram>,
    ) -> Option<DropReason> {
        if self.delay.is_zero() && self.jitter.is_zero() {
            self.stats.passed += 1;
            out.push_back(datagram);
            return None;
        }
        let size = datagram.data.len() + Self::OVERHEAD;
        if self.line_bytes + size > Self::MAX_LINE_BYTES {
            self.stats.overflowed += 1;
            return Some(DropReason::Overflow);
        }
        let jitter = self.rng.random_range(Duration::ZERO..=self.jitter);
        self.line_bytes += size;
        self.line.push_back((now + self.delay + jitter, datagram));
        None
    }

    /// The damaged datagram, if it is delivered.
    fn flip_bit(&mut self, datagram: &Datagram) -> Option<Datagram> {
        if self.damage == Damage::Discard || datagram.data.is_empty() {
            return None;
        }
        let mut data = BytesMut::from(&datagram.data[..]);
        let bit = self.rng.random_range(0..data.len() * 8);
        data[bit / 8] ^= 1 << (bit % 8);
        self.stats.flipped += 1;
        Some(Datagram { data: data.freeze(), ..datagram.clone() })
    }
}

#[cfg(test)]
mod tests;
