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

/// Duplicates that let a new segment go each before loss is found (RFC 3042 §2).
const LIMITED_TRANSMIT: u32 = 2;

impl NewReno {
    /// A duplicate arrived. `limit` bounds the bytes that can have left: what is
    /// outstanding and not lost. Returns how many bytes more did.
    ///
    /// Outside an episode the first two let new data go (RFC 3042 §2), and no
    /// more: else a peer that repeats itself would draw data without end. What
    /// the others stand for counts when an episode begins.
    pub(super) fn on_duplicate(&mut self, mss: u64, limit: u64, in_episode: bool) -> u64 {
        self.duplicates = self.duplicates.saturating_add(1);
        let before = self.left;
        if in_episode || self.duplicates <= LIMITED_TRANSMIT {
            let all = u64::from(self.duplicates).saturating_mul(mss);
            self.left = self.left.saturating_add(mss).max(all).min(limit.max(before));
        }
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

    /// Whether the next duplicate is the one that means loss (RFC 6582 §3.2 step
    /// 2).
    pub(super) fn is_next_loss(&self, dupthresh: u32, una: StreamPos) -> bool {
        let next = self.duplicates.saturating_add(1);
        next == dupthresh && self.recover.is_none_or(|recover| una > recover)
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
        let mut in_episode = false;
        for verdict in &mut verdicts {
            *verdict = reno.is_next_loss(3, at(0));
            in_episode |= *verdict;
            reno.on_duplicate(100, 1000, in_episode);
        }
        assert_eq!(verdicts, [false, false, true, false, false]);
        assert_eq!(reno.left(), 500);
    }

    #[test]
    fn outside_an_episode_two_duplicates_count_and_the_others_when_one_begins() {
        let mut reno = NewReno::default();
        let left = |reno: &mut NewReno, in_episode| {
            reno.on_duplicate(100, 10_000, in_episode);
            reno.left()
        };
        let outside: Vec<u64> = (0..5).map(|_| left(&mut reno, false)).collect();
        assert_eq!(outside, [100, 200, 200, 200, 200]);
        assert_eq!(left(&mut reno, true), 600);
        assert_eq!(left(&mut reno, true), 700);
    }

    #[test]
    fn an_advance_starts_the_count_over() {
        let mut reno = NewReno::default();
        reno.on_duplicate(100, 1000, false);
        reno.on_duplicate(100, 1000, false);
        assert_eq!(reno.on_advance(300, 100, 1000), 200);
        assert_eq!(reno.left(), 0);
        reno.on_duplicate(100, 1000, false);
        assert!(!reno.is_next_loss(3, at(0)));
    }

    #[test]
    fn more_duplicates_than_segments_count_for_nothing() {
        let mut reno = NewReno::default();
        assert_eq!(reno.on_duplicate(100, 150, true), 100);
        assert_eq!(reno.on_duplicate(100, 150, true), 50);
        assert_eq!(reno.on_duplicate(100, 150, true), 0);
    }

    /// RFC 6582 §3.2 step 2, §4: after a timeout.
    #[test]
    fn duplicates_up_to_recover_mean_nothing() {
        let mut reno = NewReno::default();
        reno.on_episode(at(500));
        for _ in 0..2 {
            reno.on_duplicate(100, 1000, false);
        }
        assert!(!reno.is_next_loss(3, at(500)));
        assert!(reno.is_next_loss(3, at(501)));
    }

    #[test]
    fn a_partial_acknowledgment_leaves_the_other_duplicates() {
        let mut reno = NewReno::default();
        for _ in 0..5 {
            reno.on_duplicate(100, 1000, true);
        }
        assert_eq!(reno.on_advance(300, 100, 700), 200);
        assert_eq!(reno.left(), 300);
    }
}
