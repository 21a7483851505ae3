//! Ephemeral ports (RFC 6056): unpredictable to others, and not in use.
//!
//! The choice is a keyed hash of the peer, the time and the attempt: RFC 6056's
//! random selection (§3.3.1, §3.3.2) without a stream of random numbers, so
//! that a connection's port does not depend on which others were opened before.

use core::net::SocketAddr;

use crate::id::Port;
use crate::secret::{Purpose, Secret};
use crate::time::Instant;

use super::path::addr_bytes;

/// Attempts before the range is searched port by port.
const RANDOM_ATTEMPTS: u32 = 32;

/// Attempts after which a port in TIME-WAIT is as good as a free one: if none of
/// so many is free, few are.
const CHOOSY_ATTEMPTS: u32 = 8;

/// What becomes of a port that is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// Nobody has it.
    Free,
    /// A connection in TIME-WAIT has it, and can safely be followed by another.
    Reusable,
    /// It is in use.
    Taken,
}

/// A port of `first..=last` that is free, or else one that may be used again.
pub(super) fn choose(
    secret: &Secret,
    now: Instant,
    remote: (SocketAddr, Port),
    (first, last): (u16, u16),
    usage: impl Fn(Port) -> Use,
) -> Option<Port> {
    let count = u32::from(last.saturating_sub(first)) + 1;
    let draw = |attempt: u32| {
        let mut input = [0; 32];
        input[..16].copy_from_slice(&addr_bytes(remote.0.ip()));
        input[16..18].copy_from_slice(&remote.0.port().to_be_bytes());
        input[18..20].copy_from_slice(&remote.1.get().to_be_bytes());
        input[20..28].copy_from_slice(&now.as_nanos().to_be_bytes());
        input[28..].copy_from_slice(&attempt.to_be_bytes());
        let hash = secret.prf(Purpose::EphemeralPort, &input);
        u32::try_from(hash % u64::from(count)).unwrap_or(0)
    };
    let port = |offset: u32| {
        let number = u32::from(first) + offset % count;
        u16::try_from(number).ok().and_then(Port::new)
    };
    let mut reusable = None;
    for attempt in 0..RANDOM_ATTEMPTS {
        let Some(port) = port(draw(attempt)) else { continue };
        match usage(port) {
            Use::Free => return Some(port),
            Use::Reusable => reusable = reusable.or(Some(port)),
            Use::Taken => {}
        }
        if attempt + 1 >= CHOOSY_ATTEMPTS && reusable.is_some() {
            return reusable;
        }
    }
    let start = draw(RANDOM_ATTEMPTS);
    (0..count).filter_map(|offset| port(start + offset)).find(|port| usage(*port) != Use::Taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose_by(usage: impl Fn(Port) -> Use) -> Option<Port> {
        let secret = Secret::new(&[5; 32]);
        let remote = (SocketAddr::from(([10, 0, 0, 1], 9)), Port::new(9).unwrap());
        choose(&secret, Instant::ZERO, remote, (20_480, 65_535), usage)
    }

    fn free_if(is_free: bool) -> Use {
        if is_free { Use::Free } else { Use::Taken }
    }

    #[test]
    fn the_last_free_port_of_a_range_is_found() {
        let free = Port::new(21_234);
        assert_eq!(choose_by(|port| free_if(Some(port) == free)), free);
        assert_eq!(choose_by(|_| Use::Taken), None);
        let any = choose_by(|_| Use::Free).unwrap();
        assert!(any.get() >= 20_480);
        assert_ne!(choose_by(|port| free_if(port != any)), Some(any));
    }

    #[test]
    fn a_free_port_is_better_than_one_in_time_wait_where_many_are_free() {
        let usage =
            |port: Port| if port.get().is_multiple_of(2) { Use::Free } else { Use::Reusable };
        assert_eq!(choose_by(usage).map(|port| port.get() % 2), Some(0));
    }

    #[test]
    fn a_port_in_time_wait_is_found_in_a_few_attempts_where_none_is_free() {
        let attempts = core::cell::Cell::new(0);
        let usage = |_| {
            attempts.set(attempts.get() + 1);
            Use::Reusable
        };
        assert!(choose_by(usage).is_some());
        assert_eq!(attempts.get(), CHOOSY_ATTEMPTS);
        let last = Port::new(30_000);
        let usage = |port| if Some(port) == last { Use::Reusable } else { Use::Taken };
        assert_eq!(choose_by(usage), last);
    }
}
