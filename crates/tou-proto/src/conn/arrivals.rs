//! A connection's part of the room in which datagrams wait until they are taken in.
//!
//! The endpoint says how large that part is before each call. Must not know of other
//! connections, nor who takes datagrams in.
//!
//! What may be on its way is the window, and where the path is short, all of it may
//! arrive between two looks at what has come. On a longer path it cannot: it arrives
//! over the round trip, and what has to wait together is only what comes in the time
//! in which nobody looks.

use core::time::Duration;

use crate::config::MIN_BUFFER;
use crate::time::nanos;

use super::Connection;

/// For so long, at most, nobody looks at what has arrived: a busy machine's program may
/// have to wait for its turn.
const TICK: Duration = Duration::from_millis(1);

impl Connection {
    /// As much as `octets` of this connection's may arrive at once.
    pub(crate) fn set_arrival_share(&mut self, octets: u64) {
        self.arrival_share = octets;
    }

    /// What of `octets` the receive buffer may hold so that no more arrives at once
    /// than there is room for.
    pub(super) fn limit_to_arrivals(&self, octets: u64) -> u64 {
        if octets <= self.arrival_share {
            // The shortest path lets so much through.
            return octets;
        }
        // A side that only receives has the handshake's sample, or none: the path may
        // then be of any length. One that is too short to be a minimum is a sample.
        let rtt = self.recovery.min_rtt().or(self.recovery.srtt());
        let rtt = rtt.map_or(self.config.fields.rto_initial, Duration::from);
        octets.min(spread(self.arrival_share, rtt))
    }
}

/// How much may be on its way over a path with that round trip, so that no more than
/// `share` of it arrives within a [`TICK`].
fn spread(share: u64, rtt: Duration) -> u64 {
    let (rtt, tick) = (nanos(rtt.max(TICK)) / 1_000, nanos(TICK) / 1_000);
    (share.saturating_mul(rtt) / tick).max(share).max(MIN_BUFFER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_longer_path_holds_more_of_what_arrives_at_the_same_rate() {
        let share = 256_000;
        for (micros, limit) in [(0, 256_000), (1_000, 256_000), (1_500, 384_000)] {
            assert_eq!(spread(share, Duration::from_micros(micros)), limit);
        }
        assert_eq!(spread(share, Duration::from_millis(100)), 25_600_000);
    }

    #[test]
    fn no_bound_stays_none_and_no_room_still_lets_something_through() {
        assert_eq!(spread(u64::MAX, Duration::ZERO), u64::MAX);
        assert_eq!(spread(u64::MAX, Duration::MAX), u64::MAX);
        assert_eq!(spread(0, Duration::ZERO), MIN_BUFFER);
        assert_eq!(spread(0, Duration::MAX), MIN_BUFFER);
    }
}
