//! What must be unpredictable to others, and yet ordered for one peer: initial
//! sequence numbers (RFC 6528 §3) and timestamp offsets (RFC 7323 §5.4).
//!
//! Both hash the inner ports and the peer's IP address, not UDP ports: a peer
//! that comes back through another port of its address translator still finds
//! them going forward.

use core::net::IpAddr;

use crate::id::Port;
use crate::secret::{Purpose, Secret};
use crate::seq::SeqNumber;
use crate::time::Instant;

use super::path::addr_bytes;

/// The initial sequence number for a connection opened `now`: a clock of 4 us
/// plus a keyed hash of the connection's names.
#[expect(clippy::cast_possible_truncation, reason = "sequence numbers wrap by design")]
pub(super) fn initial_sequence_number(
    secret: &Secret,
    now: Instant,
    ip: IpAddr,
    peer_port: Port,
    local_port: Port,
) -> SeqNumber {
    let clock = (now.as_nanos() / 4_000) as u32;
    let names = names(ip, peer_port, local_port);
    let hash = secret.prf(Purpose::InitialSequenceNumber, &names) as u32;
    SeqNumber::new(hash.wrapping_add(clock))
}

/// The number to begin with instead of `isn`, so that it is above those of an
/// earlier connection with the same names (RFC 6191 §2), if there was one.
pub(super) fn begin_above(isn: SeqNumber, above: Option<SeqNumber>) -> SeqNumber {
    match above {
        Some(above) if isn.distance_from(above) <= 0 => above.plus(1 << 16),
        _ => isn,
    }
}

/// The offset of the timestamp clock towards a peer. It leaves the ports out,
/// so that a SYN that reuses a pair of ports has a later timestamp than the
/// connection before it (RFC 6191 §2), and two connections of one peer tell it
/// no more than one.
#[expect(clippy::cast_possible_truncation, reason = "any 32 bits will do")]
pub(super) fn timestamp_offset(secret: &Secret, ip: IpAddr) -> u32 {
    secret.prf(Purpose::TimestampOffset, &addr_bytes(ip)) as u32
}

/// Octets of a connection's names.
pub(super) const NAMES_LEN: usize = 20;

/// A connection's names in explicit octets.
pub(super) fn names(ip: IpAddr, peer_port: Port, local_port: Port) -> [u8; NAMES_LEN] {
    let mut names = [0; NAMES_LEN];
    names[..16].copy_from_slice(&addr_bytes(ip));
    names[16..18].copy_from_slice(&peer_port.get().to_be_bytes());
    names[18..].copy_from_slice(&local_port.get().to_be_bytes());
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_move_forward_with_time_and_differ_by_name_and_seed() {
        let port = |number| Port::new(number).unwrap();
        let ip = IpAddr::from([10, 0, 0, 1]);
        let secret = Secret::new(&[3; 32]);
        let isn = |secret: &Secret, micros, peer| {
            let now = Instant::from_micros(micros);
            initial_sequence_number(secret, now, ip, port(peer), port(2)).get()
        };
        let first = isn(&secret, 0, 1);
        assert_eq!(isn(&secret, 400, 1), first.wrapping_add(100));
        assert_ne!(isn(&secret, 0, 2), first);
        assert_ne!(isn(&Secret::new(&[4; 32]), 0, 1), first);
    }
}
