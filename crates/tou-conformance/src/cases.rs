//! The cases, a module for each topic. A case is a function of a driver; it
//! asks for what `std::net` promises, and where that is silent for what
//! `docs/PROTOCOL.md` says.

use crate::case::Case;
use crate::driver::Driver;

/// The cases of a topic: each is a function of the module, and a sentence.
macro_rules! topic {
    ($topic:literal $($case:ident: $what:literal;)+) => {
        pub(super) fn cases<D: Driver>() -> Vec<crate::case::Case<D>> {
            vec![$(crate::case::Case {
                name: concat!($topic, "::", stringify!($case)),
                what: $what,
                run: $case,
            }),+]
        }
    };
}

mod backpressure;
mod impairment;
mod killed;
mod names;
mod options;

/// All cases, by topic.
#[must_use]
pub fn cases<D: Driver>() -> Vec<Case<D>> {
    [names::cases, options::cases, backpressure::cases, impairment::cases, killed::cases]
        .iter()
        .flat_map(|topic| topic())
        .collect()
}
