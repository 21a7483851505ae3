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
mod closing;
mod connecting;
mod data;
mod errors;
mod families;
mod handles;
mod impairment;
mod info;
mod killed;
mod many;
mod names;
mod options;
mod shutdown;
mod timeouts;

/// All cases, by topic.
#[must_use]
pub fn cases<D: Driver>() -> Vec<Case<D>> {
    [
        names::cases,
        families::cases,
        connecting::cases,
        options::cases,
        timeouts::cases,
        data::cases,
        handles::cases,
        backpressure::cases,
        shutdown::cases,
        closing::cases,
        errors::cases,
        impairment::cases,
        killed::cases,
        many::cases,
        info::cases,
    ]
    .iter()
    .flat_map(|topic| topic())
    .collect()
}
