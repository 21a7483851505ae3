//! What the benches share: transfers without sockets, an allocator that counts.
//!
//! `cargo bench -p tou-bench` runs the criterion benches, `cargo run --release
//! -p tou-bench -- --help` lists the programs. docs/PERFORMANCE.md has results.

pub mod alloc;
pub mod bulk;
pub mod echo;
