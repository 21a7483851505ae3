//! The Internet checksum (RFC 1071) and the choice whether a segment has one.
//! It must not know what the octets mean.

/// What protects a segment's octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Checksum {
    /// The carrier's own checksum: UDP's. The field is sent as zero and not
    /// looked at: a departure from RFC 9293 MUST-2 and MUST-3, and what
    /// FreeBSD's encapsulation does.
    #[default]
    Carrier,
    /// The Internet checksum over the segment, without a pseudo-header, for
    /// carriers that have no checksum. It is 16 bits: it catches every single
    /// flipped bit, not every damage.
    Segment,
}

/// The checksum of `octets`: what belongs into their checksum field, which
/// must be zero while this is computed.
pub(super) fn internet_checksum(octets: &[u8]) -> u16 {
    !ones_complement_sum(octets)
}

/// Whether `octets`, the checksum field among them, add up.
pub(super) fn is_intact(octets: &[u8]) -> bool {
    ones_complement_sum(octets) == u16::MAX
}

/// The sum of the octets as big-endian 16-bit words with end-around carry, an
/// odd last octet padded with a zero on its right.
///
/// The word size does not change the sum, and the byte order only swaps the
/// result's octets (RFC 1071 §2 B and C). So this adds native 32-bit words
/// into 64 bits, which the compiler turns into vector code, and folds once.
fn ones_complement_sum(octets: &[u8]) -> u16 {
    let (words, rest) = octets.as_chunks::<4>();
    let mut last = [0; 4];
    for (padded, octet) in last.iter_mut().zip(rest) {
        *padded = *octet;
    }
    // 2^32 words, or 16 GiB, pass before this can wrap.
    let sum = words
        .iter()
        .chain([&last])
        .fold(0_u64, |sum, word| sum.wrapping_add(u64::from(u32::from_ne_bytes(*word))));
    u16::from_be(fold(sum))
}

/// Folds the carries in. End-around carry is counting modulo 65535, in which
/// zero has two spellings: only a sum of nothing but zeros gives 0.
const fn fold(sum: u64) -> u16 {
    match (sum % 0xFFFF) as u16 {
        0 if sum != 0 => 0xFFFF,
        remainder => remainder,
    }
}

#[cfg(test)]
#[allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    reason = "a panic is a failed test"
)]
mod tests {
    use alloc::vec::Vec;

    use quickcheck::quickcheck;

    use super::*;

    /// RFC 1071 §4.1, octet by octet.
    fn naive_sum(octets: &[u8]) -> u16 {
        let mut sum = 0_u32;
        for (index, octet) in octets.iter().enumerate() {
            sum += if index % 2 == 0 { u32::from(*octet) << 8 } else { u32::from(*octet) };
            sum = (sum & 0xFFFF) + (sum >> 16);
        }
        sum as u16
    }

    quickcheck! {
        fn sum_agrees_with_the_naive_one(octets: Vec<u8>) -> bool {
            ones_complement_sum(&octets) == naive_sum(&octets)
        }

        fn any_even_slot_makes_the_octets_intact(octets: Vec<u8>, slot: usize) -> bool {
            let mut octets = octets;
            octets.resize(octets.len().max(2), 0);
            let slot = (slot % (octets.len() - 1)) & !1;
            octets[slot..slot + 2].fill(0);
            let sum = internet_checksum(&octets);
            octets[slot..slot + 2].copy_from_slice(&sum.to_be_bytes());
            is_intact(&octets)
        }
    }

    #[test]
    fn sum_of_the_rfc_example_is_as_printed() {
        // RFC 1071 §3.
        let octets = [0x00, 0x01, 0xF2, 0x03, 0xF4, 0xF5, 0xF6, 0xF7];
        assert_eq!(ones_complement_sum(&octets), 0xDDF2);
        assert_eq!(internet_checksum(&octets), !0xDDF2);
    }

    #[test]
    fn every_length_agrees_with_the_naive_sum() {
        let octets: Vec<u8> =
            (0..1500_u32).map(|i| (i.wrapping_mul(0x9E37_79B1) >> 24) as u8).collect();
        for len in 0..=octets.len() {
            assert_eq!(ones_complement_sum(&octets[..len]), naive_sum(&octets[..len]), "{len}");
        }
    }

    #[test]
    fn carries_gather_without_loss() {
        assert_eq!(ones_complement_sum(&[0xFF; 65_535]), naive_sum(&[0xFF; 65_535]));
        assert_eq!(ones_complement_sum(&[0xFF; 65_534]), 0xFFFF);
    }

    #[test]
    fn nothing_but_zeros_is_not_intact() {
        assert_eq!(ones_complement_sum(&[]), 0);
        assert!(!is_intact(&[0; 20]));
    }
}
