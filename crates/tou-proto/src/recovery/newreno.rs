//! Loss by duplicate acknowledgments, for peers without SACK (RFC 5681 §3.2,
//! RFC 6582).
//!
//! Knows counts and positions. Must not know segments: what follows from a count
//! is done elsewhere.

use crate::seq::StreamPos;

/// The count of duplicates and what follows from it.
#[derive(Debug, Default)]
pub(super) struct NewReno {
    /// Duplicates in a row.
    duplicates: u32,
    /// Bytes believed to have left the network because of duplicates: one
    /// segment for each, as RFC 9937 §6.2 estimates. The two before a fast
    /// retransmit make room for limited transmit (RFC 3042).
    left: u64,
    /// RFC 6582's `recover`: duplicates do not start an episode before more than
    /// this is acknowledged. They may answer needless retransmissions.
    recover: Option<StreamPos>,
}

impl NewReno {
    /// A duplicate arrived. `limit` bounds the bytes that can have left: what is
    /// outstanding and not lost. Returns how many bytes more did.
    pub(super) fn on_duplicate(&mut self, mss: u64, limit: u64) -> u64 {
        self.duplicates = self.duplicates.saturating_add(1);
        let before = self.left;
        self.left = self.left.saturating_add(mss).min(limit.max(before));
        self.left - before
    }

    /// `acked` bytes more were acknowledged. Returns how many of them duplicates
    /// had counted before: the first segment filled the hole, the rest are theirs.
    pub(super) fn on_advance(&mut self, acked: u64, mss: u64, limit: u64) -> u64 {
        self.duplicates = 0;
        let counted = self.left.min(acked.saturating_sub(mss));
        self.left = (self.left - counted).min(limit);
        counted
    }

    /// Whether this duplicate is the one that means loss (RFC 6582 §3.2 step 2).
    pub(super) fn means_loss(&self, dupthresh: u32, una: StreamPos) -> bool {
        self.duplicates == dupthresh && self.recover.is_none_or(|recover| una > recover)
    }

    /// An episode begins, which ends at `recover`.
    pub(super) fn on_episode(&mut self, recover: StreamPos) {
        self.recover = Some(recover);
    }

    /// Nothing is in the network that duplicates could speak of: a timeout, or
    /// the end of an episode.
    pub(super) fn reset(&mut self) {
        self.duplicates = 0;
        self.left = 0;
    }

    /// Bytes believed to have left the network.
    pub(super) fn left(&self) -> u64 {
        self.left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(position: u64) -> StreamPos {
        StreamPos::from_raw(position)
    }

    #[test]
    fn the_third_duplicate_means_loss_once() {
        let mut reno = NewReno::default();
        let mut verdicts = [false; 5];
        for verdict in &mut verdicts {
            reno.on_duplicate(100, 1000);
            *verdict = reno.means_loss(3, at(0));
        }
        assert_eq!(verdicts, [false, false, true, false, false]);
        assert_eq!(reno.left(), 500);
    }

    #[test]
    fn an_advance_starts_the_count_over() {
        let mut reno = NewReno::default();
        reno.on_duplicate(100, 1000);
        reno.on_duplicate(100, 1000);
        assert_eq!(reno.on_advance(300, 100, 1000), 200);
        assert_eq!(reno.left(), 0);
        reno.on_duplicate(100, 1000);
        assert!(!reno.means_loss(3, at(0)));
    }

    #[test]
    fn more_duplicates_than_segments_count_for_nothing() {
        let mut reno = NewReno::default();
        assert_eq!(reno.on_duplicate(100, 150), 100);
        assert_eq!(reno.on_duplicate(100, 150), 50);
        assert_eq!(reno.on_duplicate(100, 150), 0);
    }

    /// RFC 6582 §3.2 step 2, §4: after a timeout.
    #[test]
    fn duplicates_up_to_recover_mean_nothing() {
        let mut reno = NewReno::default();
        reno.on_episode(at(500));
        for _ in 0..3 {
            reno.on_duplicate(100, 1000);
        }
        assert!(!reno.means_loss(3, at(500)));
        assert!(reno.means_loss(3, at(501)));
    }

    #[test]
    fn a_partial_acknowledgment_leaves_the_other_duplicates() {
        let mut reno = NewReno::default();
        for _ in 0..5 {
            reno.on_duplicate(100, 1000);
        }
        assert_eq!(reno.on_advance(300, 100, 700), 200);
        assert_eq!(reno.left(), 300);
    }
}
