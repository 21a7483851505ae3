//! SYN cookies (RFC 4987 §3.6): what must be known of a SYN, kept by its sender.
//!
//! ```text
//!  our initial sequence number:   MSS index (3 bits) | keyed hash (29 bits)
//!  our first TSval:               clock, in steps of 32 ms | shift (4) | SACK (1)
//! ```
//!
//! The hash covers the peer's IP address, the ports, the SYN's sequence number, a
//! clock of 64 s, the MSS index and the five bits of the timestamp. The peer's
//! acknowledgment brings both back; an endpoint that kept nothing then knows as
//! much as one that remembered the SYN, but for two things: the MSS is rounded
//! down to one of eight, and a SYN without timestamps gets neither window scaling
//! nor SACK.
//!
//! Pure functions of what they are given. They must not know listeners, tables or
//! who is answered.

use core::time::Duration;

use crate::conn::SynFacts;
use crate::secret::{Purpose, Secret};
use crate::seq::SeqNumber;
use crate::time::Instant;
use crate::wire::Timestamps;

use super::isn::NAMES_LEN;

/// A cookie is good in the period in which it was made and in the next.
const PERIOD: Duration = Duration::from_secs(64);

/// For how long a cookie may come back.
pub(super) const LIFETIME: Duration = Duration::from_secs(2 * PERIOD.as_secs());

/// The MSS values there are: the least that a connection uses, what RFC 9293
/// §3.7.1 assumes of all, datagrams of 1200 octets, MTUs of 1280, 1400 and 1500 on
/// IPv6, and of 1500 and 9000 on IPv4.
const MSS: [u16; 8] = [64, 536, 1_180, 1_212, 1_332, 1_432, 1_452, 8_952];

/// Bits of the sequence number below the MSS index.
const HASH_BITS: u32 = 29;

/// Bits of the timestamp that are no clock.
const STAMP_BITS: u32 = 5;
const STAMP_MASK: u32 = (1 << STAMP_BITS) - 1;
const SACK_BIT: u32 = 1;
/// The shift count that means none: over RFC 7323's limit of 14.
const NO_SHIFT: u32 = 15;

/// Says that the SYN carried timestamps; beside the five bits in what is hashed.
const HAS_TIMESTAMPS: u8 = 1 << STAMP_BITS;

/// What of `syn` survives in a cookie.
pub(super) fn keep(syn: &SynFacts) -> SynFacts {
    let mss = MSS.iter().rev().find(|mss| **mss <= syn.mss).unwrap_or(&MSS[0]);
    let has_timestamps = syn.tsval.is_some();
    SynFacts {
        mss: *mss,
        window_scale: syn.window_scale.filter(|_| has_timestamps),
        sack: syn.sack && has_timestamps,
        // It is repeated when the connection is established.
        user_timeout: None,
        ..*syn
    }
}

/// The initial sequence number that remembers `syn`, of which [`keep`] has left
/// what there is room for. `names` are the connection's.
pub(super) fn bake(
    secret: &Secret,
    now: Instant,
    names: &[u8; NAMES_LEN],
    syn: &SynFacts,
) -> SeqNumber {
    let index = MSS.iter().position(|mss| *mss == syn.mss).unwrap_or(0);
    // Three bits.
    let index = u32::try_from(index).unwrap_or(0);
    SeqNumber::new(index << HASH_BITS | hash(secret, period(now), names, syn, index))
}

/// The timestamp that remembers the rest of `syn`: the latest that is not after
/// `tsval`, so that those that follow are never earlier (RFC 7323 §5).
pub(super) fn stamp(tsval: u32, syn: &SynFacts) -> u32 {
    let stamped = tsval & !STAMP_MASK | stamp_bits(syn);
    if stamped & STAMP_MASK > tsval & STAMP_MASK {
        stamped.wrapping_sub(1 << STAMP_BITS)
    } else {
        stamped
    }
}

/// The SYN with the sequence number `irs` that was answered with `cookie`, if it
/// was one. `timestamps` are those of the peer's acknowledgment.
pub(super) fn read(
    secret: &Secret,
    now: Instant,
    names: &[u8; NAMES_LEN],
    (irs, cookie): (SeqNumber, SeqNumber),
    timestamps: Option<Timestamps>,
) -> Option<SynFacts> {
    let index = cookie.get() >> HASH_BITS;
    let bits = timestamps.map_or(NO_SHIFT << 1, |timestamps| timestamps.tsecr & STAMP_MASK);
    let shift = u8::try_from(bits >> 1).ok().filter(|shift| u32::from(*shift) != NO_SHIFT);
    let syn = SynFacts {
        irs,
        mss: *MSS.get(usize::try_from(index).ok()?)?,
        window_scale: shift,
        sack: bits & SACK_BIT != 0,
        tsval: timestamps.map(|timestamps| timestamps.tsval),
        user_timeout: None,
    };
    let latest = period(now);
    let is_baked = |period| {
        cookie.get() & !(u32::MAX << HASH_BITS) == hash(secret, period, names, &syn, index)
    };
    (is_baked(latest) || latest.checked_sub(1).is_some_and(is_baked)).then_some(syn)
}

fn stamp_bits(syn: &SynFacts) -> u32 {
    let shift = syn.window_scale.map_or(NO_SHIFT, u32::from);
    shift << 1 | if syn.sack { SACK_BIT } else { 0 }
}

fn period(now: Instant) -> u64 {
    now.as_nanos() / (PERIOD.as_secs() * 1_000_000_000)
}

fn hash(secret: &Secret, period: u64, names: &[u8; NAMES_LEN], syn: &SynFacts, index: u32) -> u32 {
    let has_timestamps = if syn.tsval.is_some() { HAS_TIMESTAMPS } else { 0 };
    let [.., index] = index.to_be_bytes();
    let [.., bits] = stamp_bits(syn).to_be_bytes();
    let mut input = [0; NAMES_LEN + 14];
    let (front, rest) = input.split_at_mut(NAMES_LEN);
    front.copy_from_slice(names);
    rest[..4].copy_from_slice(&syn.irs.get().to_be_bytes());
    rest[4..12].copy_from_slice(&period.to_be_bytes());
    rest[12..].copy_from_slice(&[index, bits | has_timestamps]);
    let hash = (secret.prf(Purpose::SynCookie, &input) >> 32) as u32;
    hash >> (u32::BITS - HASH_BITS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use quickcheck::quickcheck;

    const NAMES: [u8; NAMES_LEN] = [9; NAMES_LEN];

    fn syn(irs: u32, mss: u16, shift: u8, sack: bool, tsval: Option<u32>) -> SynFacts {
        SynFacts {
            irs: SeqNumber::new(irs),
            mss,
            window_scale: (shift < 15).then_some(shift),
            sack,
            tsval,
            user_timeout: None,
        }
    }

    /// What comes back of a SYN, whose answer was stamped with `ours`.
    fn back(secret: &Secret, secs: (u64, u64), syn: &SynFacts, ours: u32) -> Option<SynFacts> {
        let [baked, read_at] = [secs.0, secs.1].map(Instant::from_secs);
        let cookie = bake(secret, baked, &NAMES, syn);
        let echo = |tsval| Timestamps { tsval, tsecr: stamp(ours, syn) };
        read(secret, read_at, &NAMES, (syn.irs, cookie), syn.tsval.map(echo))
    }

    quickcheck! {
        fn what_was_kept_comes_back(
            seed: u8, said: (u32, u16, u8, bool), tsval: Option<u32>, ours: u32
        ) -> bool {
            let (irs, mss, shift, sack) = said;
            let secret = Secret::new(&[seed; 32]);
            let kept = keep(&syn(irs, mss, shift % 16, sack, tsval));
            let is_kept = tsval.is_some() || (kept.window_scale.is_none() && !kept.sack);
            is_kept && kept.mss <= mss.max(64) && back(&secret, (700, 705), &kept, ours) == Some(kept)
        }

        fn stamps_are_never_late_and_hardly_early(ours: u32, shift: u8, sack: bool) -> bool {
            let stamp = stamp(ours, &syn(1, 1_452, shift % 16, sack, Some(1)));
            ours.wrapping_sub(stamp) < 32
        }
    }

    #[test]
    fn the_mss_is_rounded_down_to_what_there_is() {
        let kept = |mss| keep(&syn(1, mss, 15, false, None)).mss;
        for (mss, expected) in
            [(0, 64), (536, 536), (1_220, 1_212), (1_452, 1_452), (1_460, 1_452), (u16::MAX, 8_952)]
        {
            assert_eq!(kept(mss), expected);
        }
    }

    #[test]
    fn cookies_are_good_for_this_period_and_the_next_and_nobody_elses() {
        let (ours, theirs) = (Secret::new(&[1; 32]), Secret::new(&[2; 32]));
        let syn = keep(&syn(1, 1_452, 7, true, Some(5)));
        assert_eq!(back(&ours, (640, 767), &syn, 99), Some(syn));
        assert_eq!(back(&ours, (640, 768), &syn, 99), None);
        let cookie = bake(&theirs, Instant::from_secs(640), &NAMES, &syn);
        let echo = Timestamps { tsval: 5, tsecr: stamp(99, &syn) };
        let at = Instant::from_secs(640);
        assert_eq!(read(&ours, at, &NAMES, (syn.irs, cookie), Some(echo)), None);
        assert_eq!(read(&theirs, at, &[8; NAMES_LEN], (syn.irs, cookie), Some(echo)), None);
        // A stripped option must not make a connection without what was granted.
        assert_eq!(read(&theirs, at, &NAMES, (syn.irs, cookie), None), None);
        assert!(read(&theirs, at, &NAMES, (syn.irs, cookie), Some(echo)).is_some());
    }

    /// One guess in 2^28 is good: eight MSS indices, each with one hash for each of
    /// two periods, among 2^32.
    #[test]
    fn guesses_are_good_as_rarely_as_the_hash_is_long() {
        let secret = Secret::new(&[3; 32]);
        let at = Instant::from_secs(640);
        let good = (0..200_000_u32)
            .map(|guess| SeqNumber::new(guess.wrapping_mul(0x9E37_79B1)))
            .filter(|guess| read(&secret, at, &NAMES, (SeqNumber::new(1), *guess), None).is_some());
        assert_eq!(good.count(), 0);
    }
}
