//! Sequence numbers (RFC 9293 §3.4): 32 bits on the wire, 64 bits inside.
//!
//! A [`SeqNumber`] is what a segment carries. It wraps, so it has no order:
//! comparing two of them needs a third as reference. A [`StreamPos`] is the
//! same number with 32 more bits on top that count the wraps; it is ordered,
//! and is what every buffer, window and scoreboard compares. A segment's
//! numbers become positions once, when it enters a connection, and numbers
//! again when one leaves.

use core::fmt;
use core::ops::Add;

/// A sequence number as a segment carries it: modulo 2^32, without an order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SeqNumber(u32);

impl SeqNumber {
    /// The sequence number `value`.
    #[must_use]
    pub const fn new(value: u32) -> Self {
        Self(value)
    }

    /// The number on the wire.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The number `count` octets later.
    #[must_use]
    pub const fn plus(self, count: u32) -> Self {
        Self(self.0.wrapping_add(count))
    }

    /// The signed distance from `reference` to this number, taking the shorter
    /// way around: positive if this number comes after `reference`.
    #[must_use]
    pub const fn distance_from(self, reference: Self) -> i32 {
        self.0.wrapping_sub(reference.0).cast_signed()
    }
}

impl fmt::Debug for SeqNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Display for SeqNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A place in one direction's sequence space, counted without wrapping.
///
/// The low 32 bits are the sequence number on the wire, so going from position
/// to number is a truncation and needs no initial sequence number. The initial
/// sequence number itself sits at 2^32 + ISN: 2^31 numbers before it are still
/// positions, so an old duplicate needs no special case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct StreamPos(u64);

impl StreamPos {
    /// The position of the initial sequence number, which the SYN occupies.
    #[must_use]
    pub const fn first(isn: SeqNumber) -> Self {
        Self((1 << 32) | isn.0 as u64)
    }

    /// The position with this number, for tests and tools that make their own.
    #[must_use]
    pub const fn from_raw(position: u64) -> Self {
        Self(position)
    }

    /// The position as a bare number.
    #[must_use]
    pub const fn raw(self) -> u64 {
        self.0
    }

    /// The sequence number on the wire.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the low half is the number on the wire")]
    pub const fn seq(self) -> SeqNumber {
        SeqNumber(self.0 as u32)
    }

    /// The position nearest to this one whose number on the wire is `seq`:
    /// within 2^31 octets on either side.
    #[must_use]
    pub const fn nearest(self, seq: SeqNumber) -> Self {
        Self(self.0.wrapping_add_signed(seq.distance_from(self.seq()) as i64))
    }

    /// Octets from `earlier` to this position; zero if `earlier` is not earlier.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The position `count` octets before this one, or the lowest there is.
    #[must_use]
    pub const fn back(self, count: u64) -> Self {
        Self(self.0.saturating_sub(count))
    }
}

impl Add<u64> for StreamPos {
    type Output = Self;

    /// The position `count` octets later. 2^64 octets do not pass through a
    /// connection; saturates rather than wraps all the same.
    fn add(self, count: u64) -> Self {
        Self(self.0.saturating_add(count))
    }
}

impl fmt::Debug for StreamPos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for StreamPos {
    /// `wraps:number`, the wraps counted from the initial sequence number's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", (self.0 >> 32).wrapping_sub(1).cast_signed(), self.seq())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quickcheck::quickcheck;

    quickcheck! {
        fn distance_undoes_plus(a: u32, d: i32) -> bool {
            let base = SeqNumber::new(a);
            base.plus(d.cast_unsigned()).distance_from(base) == d
        }

        /// The model: 128-bit integers that never wrap.
        fn nearest_finds_the_position_a_segment_meant(isn: u32, gone: u64, offset: i32) -> bool {
            let gone = gone % (1 << 40);
            let reference = StreamPos::first(SeqNumber::new(isn)) + gone;
            let meant = i128::from(reference.raw()) + i128::from(offset);
            let wire = SeqNumber::new((meant & 0xFFFF_FFFF) as u32);
            i128::from(reference.nearest(wire).raw()) == meant
        }

        fn positions_keep_their_number(isn: u32, gone: u64) -> bool {
            let gone = gone % (1 << 48);
            let isn = SeqNumber::new(isn);
            (StreamPos::first(isn) + gone).seq() == isn.plus(gone as u32)
        }
    }

    #[test]
    fn old_duplicates_before_the_syn_have_positions() {
        let first = StreamPos::first(SeqNumber::new(0));
        let old = first.nearest(SeqNumber::new(u32::MAX));
        assert!(old < first);
        assert_eq!(first.since(old), 1);
        assert_eq!(old.since(first), 0);
    }
}
