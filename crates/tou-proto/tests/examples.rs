//! The examples run: each has both of its ends in it, ends by itself, and fails
//! when something did not arrive.

#![allow(unreachable_pub, reason = "an example's `main`, seen from here")]

#[path = "../examples/byte_pipe.rs"]
mod byte_pipe;
#[path = "../examples/game_tick.rs"]
mod game_tick;
#[path = "../examples/hole_punch.rs"]
mod hole_punch;
#[path = "../examples/in_memory.rs"]
mod in_memory;
#[path = "../examples/mio_poll.rs"]
mod mio_poll;
#[path = "../examples/polling_many.rs"]
mod polling_many;
#[path = "../examples/udp_loop.rs"]
mod udp_loop;

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
fn byte_pipe_runs() {
    run(byte_pipe::main);
}

#[test]
fn game_tick_runs() {
    run(game_tick::main);
}

#[test]
fn hole_punch_runs() {
    run(hole_punch::main);
}

#[test]
fn in_memory_runs() {
    run(in_memory::main);
}

#[test]
fn mio_poll_runs() {
    run(mio_poll::main);
}

#[test]
fn polling_many_runs() {
    run(polling_many::main);
}

#[test]
fn udp_loop_runs() {
    run(udp_loop::main);
}

/// What the guide shows is what runs.
#[test]
fn the_loop_in_the_guide_is_that_of_the_example() {
    let guide = include_str!("../../../docs/EMBEDDING.md");
    let example = include_str!("../examples/udp_loop.rs");
    let start = example.find("/// Turns the crank").expect("the loop begins");
    let end = example.find("/// An echo server").expect("the loop ends");
    assert!(guide.contains(example[start..end].trim_end()), "copy `drive` into the guide");
}
