//! The bodies of the fuzz targets: functions that take any octets and panic if
//! a promise of the core does not hold.
//!
//! They are a library of the workspace, so that `cargo test` builds them and
//! runs them over the committed corpus; `cargo-fuzz/` holds the thin wrappers
//! that libFuzzer drives. They must not know more of the core than its public
//! interface.

mod segment;

pub use self::segment::segment;
