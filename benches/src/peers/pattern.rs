//! The octets that bulk transfers move: each position has its own.
//!
//! They repeat, but with a period that is no multiple of any datagram: what is
//! lost, doubled or out of order is noticed at the next look.

use std::io;

/// An endless run of octets.
#[derive(Debug)]
pub(crate) struct Pattern {
    /// One period and one piece, so that no piece wraps.
    octets: Vec<u8>,
}

impl Pattern {
    pub(crate) fn new() -> Self {
        let mut state = 0_u64;
        let period: Vec<u8> = (0..PERIOD)
            .map(|_| {
                // Knuth's MMIX generator; its upper bits are the good ones.
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                (state >> 56) as u8
            })
            .collect();
        Self { octets: period.iter().copied().cycle().take(PERIOD + PIECE).collect() }
    }

    /// The [`PIECE`] octets at a position.
    pub(crate) fn piece(&self, position: u64) -> &[u8] {
        let start = offset(position);
        &self.octets[start..start + PIECE]
    }

    /// Looks at a word in each [`STRIDE`] octets, which is in every datagram.
    /// `read` is at most a piece. More would show in the CPU time.
    ///
    /// # Errors
    /// `InvalidData` if it is not what was written there.
    pub(crate) fn check(&self, position: u64, read: &[u8]) -> io::Result<()> {
        let expected = self.piece(position);
        for (read, expected) in read.chunks(STRIDE).zip(expected.chunks(STRIDE)) {
            let length = read.len().min(8);
            if read[..length] != expected[..length] {
                let message = format!("other octets than written, near position {position}");
                return Err(io::Error::new(io::ErrorKind::InvalidData, message));
            }
        }
        Ok(())
    }
}

fn offset(position: u64) -> usize {
    usize::try_from(position % PERIOD as u64).unwrap_or(0)
}

/// Octets of one write and one read.
pub(crate) const PIECE: usize = 128 * 1024;
const STRIDE: usize = 512;
/// A prime number.
const PERIOD: usize = 131_071;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shift_by_a_datagram_is_noticed() {
        let pattern = Pattern::new();
        let position = 1_000_000_007;
        for read in [1_usize, 8, 1_440, PIECE] {
            pattern.check(position, &pattern.piece(position)[..read]).unwrap();
        }
        for shift in [1_440, 1_452, 63_360, 65_475] {
            let shifted = pattern.piece(position + shift);
            assert!(pattern.check(position, shifted).is_err(), "{shift}");
        }
    }
}
