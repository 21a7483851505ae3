//! What the benches share: transfers without sockets.
//!
//! `cargo bench -p tou-bench` runs the criterion benches, `cargo run --release
//! -p tou-bench -- --help` lists the programs. docs/PERFORMANCE.md has results.

pub mod bulk;
