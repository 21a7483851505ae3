//! Protocols over streams: the examples with HTTP and TLS run, and fail when
//! something did not arrive.

#![allow(unreachable_pub, reason = "an example's `main`, seen from here")]

#[path = "../examples/http.rs"]
mod http;
#[path = "../examples/tls.rs"]
mod tls;

use core::error::Error;
use core::time::Duration;
use std::sync::mpsc;
use std::thread;

/// Runs an example. One that waits for ever fails too.
fn run<E>(main: impl FnOnce() -> Result<(), E> + Send + 'static)
where
    Box<dyn Error>: From<E>,
{
    let (end, outcome) = mpsc::channel();
    let example = thread::spawn(move || {
        let outcome = main().map_err(|error| Box::<dyn Error>::from(error).to_string());
        // Nobody waits any more if it took too long.
        let _ = end.send(outcome);
    });
    match outcome.recv_timeout(Duration::from_secs(120)) {
        Ok(outcome) => assert_eq!(outcome, Ok(())),
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it does not end"),
        Err(mpsc::RecvTimeoutError::Disconnected) => panic!("{:?}", example.join()),
    }
}

#[test]
fn http_runs() {
    run(http::main);
}

#[test]
fn tls_runs() {
    run(tls::main);
}
