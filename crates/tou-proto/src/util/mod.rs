//! Data structures and arithmetic without a protocol.

mod mul_div;
mod range_set;

pub(crate) use self::mul_div::mul_div;
pub(crate) use self::range_set::RangeSet;
