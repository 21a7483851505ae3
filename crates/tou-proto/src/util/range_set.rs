//! A set of stream positions, kept as disjoint half-open ranges.
//!
//! Knows positions only: not whether they were received, acknowledged or lost.
//! A selective acknowledgment repeats what earlier ones said (RFC 2018 §4), so
//! [`RangeSet::insert`] tells its caller which positions are new: each position
//! is looked at once, however often it is reported.

use alloc::collections::BTreeMap;
use core::ops::Range;

use crate::seq::StreamPos;

/// Disjoint, non-adjacent, half-open ranges. Every operation is O(log n) plus
/// the ranges it touches.
#[derive(Clone, Debug, Default)]
pub(crate) struct RangeSet {
    /// Start to end.
    ranges: BTreeMap<StreamPos, StreamPos>,
}

impl RangeSet {
    /// The empty set. Allocates nothing.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds `range`; calls `new` with each sub-range that was not there before,
    /// in ascending order. An empty or inverted range adds nothing.
    pub(crate) fn insert(
        &mut self,
        range: Range<StreamPos>,
        mut new: impl FnMut(Range<StreamPos>),
    ) {
        if range.start >= range.end {
            return;
        }
        // What `range` grows from: an existing range that it overlaps or
        // touches on the left, or itself.
        let mut start = range.start;
        let mut covered = range.start;
        if let Some((&left, &end)) = self.ranges.range(..=range.start).next_back()
            && end >= range.start
        {
            if end >= range.end {
                return;
            }
            start = left;
            covered = end;
        }
        // What it swallows or touches on the right. `covered` is the end of
        // what has been accounted for.
        while let Some((&next, &end)) = self.successor(start, range.end) {
            if covered < next {
                new(covered..next);
            }
            covered = end;
            self.ranges.remove(&next);
        }
        if covered < range.end {
            new(covered..range.end);
            covered = range.end;
        }
        self.ranges.insert(start, covered);
    }

    /// The first range that starts after `start` and not after `end`.
    fn successor(&self, start: StreamPos, end: StreamPos) -> Option<(&StreamPos, &StreamPos)> {
        // `start` itself may be in the map: it is the range that grows.
        self.ranges.range(start + 1..).next().filter(|(next, _)| **next <= end)
    }

    /// Whether every position of `range` is in the set. True if it is empty.
    pub(crate) fn covers(&self, range: &Range<StreamPos>) -> bool {
        range.start >= range.end
            || self
                .ranges
                .range(..=range.start)
                .next_back()
                .is_some_and(|(_, &end)| end >= range.end)
    }

    /// Forgets everything below `position`.
    #[inline]
    pub(crate) fn remove_below(&mut self, position: StreamPos) {
        // Most acknowledgments have nothing to forget.
        if !self.ranges.is_empty() {
            self.remove_ranges_below(position);
        }
    }

    fn remove_ranges_below(&mut self, position: StreamPos) {
        while let Some(first) = self.ranges.first_entry()
            && *first.key() < position
        {
            let end = first.remove();
            if end > position {
                self.ranges.insert(position, end);
            }
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        // To clear an empty map costs more than to see that it is.
        if !self.ranges.is_empty() {
            self.ranges.clear();
        }
    }

    /// The ranges in ascending order.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = Range<StreamPos>> + '_ {
        self.ranges.iter().map(|(&start, &end)| start..end)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use quickcheck::quickcheck;
    use std::vec::Vec;

    fn at(position: u64) -> StreamPos {
        StreamPos::from_raw(position)
    }

    fn insert(set: &mut RangeSet, start: u64, end: u64) -> Vec<(u64, u64)> {
        let mut new = Vec::new();
        set.insert(at(start)..at(end), |r| new.push((r.start.raw(), r.end.raw())));
        new
    }

    fn ranges(set: &RangeSet) -> Vec<(u64, u64)> {
        set.iter().map(|r| (r.start.raw(), r.end.raw())).collect()
    }

    #[test]
    fn a_range_over_several_reports_only_the_gaps() {
        let mut set = RangeSet::new();
        assert_eq!(insert(&mut set, 10, 20), [(10, 20)]);
        assert_eq!(insert(&mut set, 30, 40), [(30, 40)]);
        assert_eq!(insert(&mut set, 5, 45), [(5, 10), (20, 30), (40, 45)]);
        assert_eq!(ranges(&set), [(5, 45)]);
    }

    #[test]
    fn adjacent_ranges_become_one() {
        let mut set = RangeSet::new();
        insert(&mut set, 10, 20);
        insert(&mut set, 30, 40);
        assert_eq!(insert(&mut set, 20, 30), [(20, 30)]);
        assert_eq!(ranges(&set), [(10, 40)]);
        assert!(set.covers(&(at(10)..at(40))));
    }

    #[test]
    fn the_end_of_the_position_space_is_no_special_case() {
        let mut set = RangeSet::new();
        assert_eq!(insert(&mut set, u64::MAX - 1, u64::MAX), [(u64::MAX - 1, u64::MAX)]);
        assert_eq!(insert(&mut set, 0, u64::MAX), [(0, u64::MAX - 1)]);
        assert_eq!(insert(&mut set, u64::MAX, u64::MAX), []);
        assert_eq!(ranges(&set), [(0, u64::MAX)]);
    }

    quickcheck! {
        /// The model: one flag a position.
        fn agrees_with_flags(steps: Vec<(u8, u8, u8)>) -> bool {
            let mut set = RangeSet::new();
            let mut flags = [false; 256];
            for (kind, a, b) in steps {
                let (a, b) = (usize::from(a), usize::from(b));
                if kind % 4 == 0 {
                    set.remove_below(at(a as u64));
                    flags[..a].fill(false);
                } else {
                    let new = insert(&mut set, a as u64, b as u64);
                    let mut told = [false; 256];
                    for (start, end) in &new {
                        told[*start as usize..*end as usize].fill(true);
                    }
                    if !new.is_sorted() {
                        return false;
                    }
                    for i in a..b.max(a) {
                        if told[i] == flags[i] {
                            return false;
                        }
                        flags[i] = true;
                    }
                    if !set.covers(&(at(a as u64)..at(b as u64))) {
                        return false;
                    }
                }
                let mut seen = [false; 256];
                for range in set.iter() {
                    seen[range.start.raw() as usize..range.end.raw() as usize].fill(true);
                }
                let separate = ranges(&set).windows(2).all(|w| w[0].1 < w[1].0);
                if seen != flags || !separate {
                    return false;
                }
            }
            true
        }
    }
}
