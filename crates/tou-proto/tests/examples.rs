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

type Outcome = Result<(), Box<dyn core::error::Error>>;

#[test]
fn byte_pipe_runs() -> Outcome {
    byte_pipe::main()
}

#[test]
fn game_tick_runs() -> Outcome {
    Ok(game_tick::main()?)
}

#[test]
fn hole_punch_runs() -> Outcome {
    hole_punch::main()
}

#[test]
fn in_memory_runs() -> Outcome {
    in_memory::main()
}

#[test]
fn mio_poll_runs() -> Outcome {
    Ok(mio_poll::main()?)
}

#[test]
fn polling_many_runs() -> Outcome {
    Ok(polling_many::main()?)
}

#[test]
fn udp_loop_runs() -> Outcome {
    Ok(udp_loop::main()?)
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
