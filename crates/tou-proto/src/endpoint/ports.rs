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

/// A port of `first..=last` for which `is_free` holds.
pub(super) fn choose(
    secret: &Secret,
    now: Instant,
    remote: (SocketAddr, Port),
    (first, last): (u16, u16),
    is_free: impl Fn(Port) -> bool,
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
        u16::try_from(number).ok().and_then(Port::new).filter(|port| is_free(*port))
    };
    let start = draw(RANDOM_ATTEMPTS);
    (0..RANDOM_ATTEMPTS)
        .find_map(|attempt| port(draw(attempt)))
        .or_else(|| (0..count).find_map(|offset| port(start + offset)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_free_port_of_a_range_is_found() {
        let secret = Secret::new(&[5; 32]);
        let remote = (SocketAddr::from(([10, 0, 0, 1], 9)), Port::new(9).unwrap());
        let free = Port::new(21_234);
        let choose = |is_free: &dyn Fn(Port) -> bool| {
            choose(&secret, Instant::ZERO, remote, (20_480, 65_535), is_free)
        };
        assert_eq!(choose(&|port| Some(port) == free), free);
        assert_eq!(choose(&|_| false), None);
        let any = choose(&|_| true).unwrap();
        assert!(any.get() >= 20_480);
        assert_ne!(choose(&|port| port != any), Some(any));
    }
}
