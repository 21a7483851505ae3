//! Whether a connection has rested for too long.

use core::time::Duration;

use tou_mio::TouStream;
use tou_proto::Instant;

use crate::failure::Failure;
use crate::format;
use crate::relay::connection_failure;

/// Looks from time to time whether anything has moved.
#[derive(Debug)]
pub(super) struct IdleWatch {
    limit: Duration,
    moved: u64,
    since: Instant,
}

impl IdleWatch {
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, moved: 0, since: Instant::ZERO }
    }

    /// How often to look: an eighth of the limit is how late it may be noticed.
    pub(super) fn period(&self) -> Duration {
        (self.limit / 8).max(Duration::from_millis(1))
    }

    /// Looks at the connection; an error if it has rested for too long.
    pub(super) fn check(&mut self, stream: &TouStream, now: Instant) -> Result<(), Failure> {
        let info = stream.info().map_err(|error| connection_failure(&error, stream))?;
        let moved = info.counters.bytes_received + info.counters.bytes_acked;
        if !self.is_over(moved, now) {
            return Ok(());
        }
        let limit = format::time(self.limit);
        let received = format::bytes(info.counters.bytes_received);
        stream.abort();
        Err(Failure::new(format!(
            "nothing was sent or received for {limit}; {received} had arrived"
        )))
    }

    fn is_over(&mut self, moved: u64, now: Instant) -> bool {
        if moved != self.moved {
            self.moved = moved;
            self.since = now;
        }
        now.saturating_since(self.since) >= self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_movement_starts_the_time_again() {
        let at = |seconds: u64| Instant::ZERO + Duration::from_secs(seconds);
        let mut watch = IdleWatch::new(Duration::from_secs(8));
        assert!(!watch.is_over(0, at(7)));
        assert!(!watch.is_over(1, at(8)));
        assert!(!watch.is_over(1, at(15)));
        assert!(watch.is_over(1, at(16)));
    }
}
