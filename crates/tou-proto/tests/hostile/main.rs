//! Hostile peers, and unlucky ones.
//!
//! | module | what it tries |
//! |---|---|
//! | `anything` | a peer that sends anything whatever, and a user who does anything |
//! | `bounds` | to fill every queue and buffer there is |
//! | `acks` | acknowledgments that lie |
//! | `segments` | numbers, options and sizes that nobody should send |
//! | `windows` | to stand still, or to hurry slowly |
//! | `rig`, `alloc` | an endpoint, its enemies, an honest peer, and what is allocated |
//!
//! What each costs is measured by `tou-bench hostile`.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod acks;
mod alloc;
mod anything;
mod bounds;
mod rig;
mod segments;
mod windows;

#[global_allocator]
static ALLOCATOR: alloc::Counting = alloc::Counting;
