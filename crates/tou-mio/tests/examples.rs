//! The examples that have both of their ends in them run, and fail when
//! something did not arrive.

#![allow(unreachable_pub, reason = "an example's `main`, seen from here")]

#[path = "../examples/tls.rs"]
mod tls;

#[test]
fn tls_runs() -> Result<(), Box<dyn core::error::Error>> {
    tls::main()
}
