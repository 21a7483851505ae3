//! Packetdrill scripts, run against tou's core on a virtual clock.
//!
//! A `.pkt` script is a list of timed events: segments that arrive, segments
//! that must leave, socket calls with their results, and looks at the stack
//! from outside. Two dialects are read: Google's, and the one of FreeBSD's
//! tcp-testsuite, where `/udp(a > b)` behind a segment names the UDP ports it
//! travels in. Here that is the real thing, and the ports are compared.
//!
//! The way of a script through this crate:
//!
//! ```text
//! load --> lex --> parse --> ast::Script --> run::Runner <--> run::Stack
//!          #ifdef            printable        clock, fds       the core
//! ```
//!
//! Nothing is ignored: what is not understood ends in an error that quotes it,
//! and what a user-space stack cannot have makes the script a skip with that
//! reason.
#![forbid(unsafe_code)]

pub mod adapter;
pub mod ast;
pub mod lex;
pub mod load;
pub mod parse;
pub mod run;
pub mod table;
pub mod value;

mod error;

pub use self::error::{ErrorKind, ScriptError};
