//! The simulator's only source of chance: one fixed generator, many streams.
//!
//! Xoshiro256++ (Blackman and Vigna), whose state is filled from the seed by
//! SplitMix64. The algorithm is part of what a seed means: the same seed gives
//! the same run on every machine and with every later version.

use core::time::Duration;

use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub struct SimRng(Xoshiro256PlusPlus);

impl SimRng {
    /// Stream number `stream` of a seed. Streams of one seed are independent:
    /// how much is drawn from one changes nothing in another.
    #[must_use]
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut streams = Xoshiro256PlusPlus::seed_from_u64(seed);
        let key = streams.next_u64();
        Self(Xoshiro256PlusPlus::seed_from_u64(key.wrapping_add(stream.wrapping_mul(GOLDEN))))
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A fraction from 0 up to, not including, 1. Takes one draw.
    ///
    /// The 53 bits that a double holds exactly: the same on every machine.
    pub fn fraction(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// True with this probability (0 to 1). Takes one draw, whatever the
    /// probability is.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.fraction() < probability
    }

    /// A number below `bound`, or zero if that is zero. Takes one draw.
    pub fn below(&mut self, bound: u64) -> u64 {
        let high = (u128::from(self.bits()) * u128::from(bound)) >> 64;
        u64::try_from(high).unwrap_or(u64::MAX)
    }

    /// A time from zero to `longest`. Takes one draw.
    pub fn up_to(&mut self, longest: Duration) -> Duration {
        let nanos = u64::try_from(longest.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(self.below(nanos.saturating_add(1)))
    }

    /// 32 random octets: an endpoint's seed.
    pub fn seed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        for word in seed.chunks_exact_mut(8) {
            word.copy_from_slice(&self.bits().to_le_bytes());
        }
        seed
    }
}

/// 2^64 divided by the golden ratio: spreads stream numbers over all bits.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_the_one_that_seeds_were_made_for() {
        let mut rng = SimRng::new(1, 2);
        // From an implementation of its own of the published algorithms.
        assert_eq!([rng.bits(), rng.bits()], [0x40FE_12F0_ABAA_EB10, 0x6260_816D_D33E_FCFE]);
    }

    #[test]
    fn chance_is_about_as_likely_as_it_says() {
        let mut rng = SimRng::new(7, 0);
        let hits = (0..10_000).filter(|_| rng.chance(0.3)).count();
        assert!((2_850..3_150).contains(&hits), "{hits}");
        assert!(!rng.chance(0.0));
        assert!(rng.chance(1.0));
    }

    #[test]
    fn bounds_hold() {
        let mut rng = SimRng::new(7, 1);
        assert_eq!(rng.below(0), 0);
        assert!((0..1_000).all(|_| rng.below(3) < 3));
        assert_eq!(rng.up_to(Duration::ZERO), Duration::ZERO);
        assert!((0..1_000).any(|_| rng.up_to(Duration::from_nanos(1)) > Duration::ZERO));
    }
}
