//! Data structures without a protocol.

mod range_set;

pub(crate) use self::range_set::RangeSet;
