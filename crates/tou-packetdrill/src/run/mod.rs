//! Running a script: the clock, the sockets, the comparison, the report.
//!
//! ```text
//!            +---------------- runner ----------------+
//!  events -->| calls --> sockets ----+                |
//!            | packets --> mapping --+--> world ------+--> Stack
//!            | commands --> shell    |   (clock,      |
//!            | code --> value::code  |    captures)   |
//!            +---- compare <---------+----------------+
//!                     |
//!                  verdict --> expected --> report
//! ```

pub mod compare;
pub mod expected;
pub mod kind;
pub mod mapping;
pub mod mutate;
pub mod report;
pub mod runner;
pub mod segment;
pub mod settings;
pub mod shell;
pub mod stack;
pub mod suite;
pub mod sysctl;
pub mod verdict;
pub mod watch;
pub mod world;

mod calls;
mod icmp;
mod options;
mod packets;
mod sockets;
mod study;

pub use self::kind::Kind;
pub use self::runner::{Limits, Runner};
pub use self::settings::Settings;
pub use self::stack::{Datagram, Info, Remote, Stack, State};
pub use self::verdict::{Failure, Verdict};
pub use self::watch::Cell;

#[cfg(test)]
mod tests;
