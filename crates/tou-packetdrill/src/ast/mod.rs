//! A script as a tree, and the tree as text again.
//!
//! Holds what is written, not what it means: symbols stay words, sequence
//! numbers stay relative. Every type prints itself in the grammar it was read
//! from, so that a report can show an event and a test can go round.

mod call;
mod icmp;
mod packet;
mod script;
mod time;

pub use self::call::{Call, Expr, Outcome};
pub use self::icmp::{IcmpSpec, Quote};
pub use self::packet::{
    Direction, EcnMark, Encapsulation, Flags, IpField, OptionSpec, Options, PacketSpec, SeqSpec,
    TsVal,
};
pub use self::script::{Action, Event, Script, ScriptOption};
pub use self::time::{TimeSpec, Usecs};

/// Writes `items` with `separator` between them.
fn join<T: core::fmt::Display>(
    f: &mut core::fmt::Formatter<'_>,
    items: &[T],
    separator: &str,
) -> core::fmt::Result {
    for (i, item) in items.iter().enumerate() {
        write!(f, "{}{item}", if i == 0 { "" } else { separator })?;
    }
    Ok(())
}
