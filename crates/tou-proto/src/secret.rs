//! Keyed pseudo-random functions from the endpoint's one seed.
//!
//! Everything unpredictable (initial sequence numbers, timestamp offsets,
//! ephemeral ports, cookies, table keys) is SipHash-2-4 of explicit bytes under
//! a key derived from the seed for that purpose alone. There is no stream of
//! random numbers to draw from: what one connection gets does not depend on
//! which others were made before it.

use core::fmt;
use core::hash::Hasher;

use siphasher::sip::SipHasher24;

/// What a value is for. Each purpose has a key of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// RFC 6528 initial sequence numbers.
    InitialSequenceNumber = 1,
    /// RFC 7323 §5.4 timestamp offsets.
    TimestampOffset = 2,
    /// RFC 6056 ephemeral ports.
    EphemeralPort = 3,
    /// Keys of look-up tables.
    Table = 4,
    /// Limits of answers to strays.
    StrayLimit = 5,
    /// SYN cookies.
    SynCookie = 6,
}

/// How many purposes there are.
const PURPOSES: usize = 6;
const _: () = assert!(Purpose::SynCookie as usize == PURPOSES);

/// The keys of an endpoint, one for each purpose: the first has number one.
#[derive(Clone)]
pub(crate) struct Secret {
    keys: [[u8; 16]; PURPOSES],
}

impl Secret {
    pub(crate) fn new(seed: &[u8; 32]) -> Self {
        Self { keys: core::array::from_fn(|index| derive(seed, index + 1)) }
    }

    /// The 16-byte key for `purpose`.
    pub(crate) fn key(&self, purpose: Purpose) -> [u8; 16] {
        self.keys[purpose as usize - 1]
    }

    /// 64 bits that only a holder of the seed can foretell from `input`.
    pub(crate) fn prf(&self, purpose: Purpose, input: &[u8]) -> u64 {
        let mut hasher = SipHasher24::new_with_key(&self.key(purpose));
        hasher.write(input);
        hasher.finish()
    }
}

/// The key for the purpose with this number. Each half of the seed keys half of
/// it.
#[expect(clippy::cast_possible_truncation, reason = "there are few purposes")]
fn derive(seed: &[u8; 32], purpose: usize) -> [u8; 16] {
    let mut key = [0; 16];
    let (seeds, _) = seed.as_chunks::<16>();
    for (half, seed) in key.chunks_exact_mut(8).zip(seeds) {
        let mut hasher = SipHasher24::new_with_key(seed);
        hasher.write(&[purpose as u8]);
        half.copy_from_slice(&hasher.finish().to_be_bytes());
    }
    key
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purposes_inputs_and_seeds_all_matter() {
        let a = Secret::new(&[1; 32]);
        let b = Secret::new(&[2; 32]);
        let isn = a.prf(Purpose::InitialSequenceNumber, b"x");
        assert_eq!(isn, a.clone().prf(Purpose::InitialSequenceNumber, b"x"));
        assert_ne!(isn, a.prf(Purpose::InitialSequenceNumber, b"y"));
        assert_ne!(isn, a.prf(Purpose::EphemeralPort, b"x"));
        assert_ne!(isn, b.prf(Purpose::InitialSequenceNumber, b"x"));
    }
}
