//! Ending a stream in one direction or both, without giving it up.

use core::time::Duration;
use std::io::{ErrorKind, IoSlice};
use std::net::Shutdown;
use std::thread;

use bytes::Bytes;
use tou_proto::State;
use tou_udp::{Direction, Impairment};

use crate::check::{Outcome, comes, fails, joined, same, same_bytes, soon};
use crate::clock::now;
use crate::driver::{Driver, Socket, Stream};
use crate::kit::{MOMENT, Pair, noise, quiet, read_all, read_some, write_all, write_much};

topic! { "shutdown"
    a_half_closed_stream_is_answered:
        "After a shutdown of writing, the answer is still read, however long.";
    the_end_stays_the_end: "Reads after the end of the stream return zero again and again.";
    an_end_comes_with_its_data:
        "Data and the end of the stream that were sent at once are read as both.";
    writing_after_a_shutdown_is_a_broken_pipe:
        "Every kind of write after a shutdown of writing is BrokenPipe.";
    a_shutdown_of_reading_ends_it:
        "After a shutdown of reading, reads return zero, and writing goes on.";
    a_shutdown_of_both_ends_both:
        "After a shutdown of both, reads return zero and writes are BrokenPipe.";
    a_second_shutdown_does_nothing: "Shutting down twice is no error.";
    a_shutdown_wakes_who_waits:
        "Threads that wait in reads and writes return when the stream is shut down.";
    a_shutdown_wakes_a_quiet_reader:
        "A read that waits where nothing is sent or due returns when reading is shut down.";
    both_ends_may_close_at_once: "When both shut down at the same time, both read the end.";
}

fn a_half_closed_stream_is_answered<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, server, .. } = Pair::new(driver)?;
    write_all(&client, b"question")?;
    client.shutdown(Shutdown::Write)?;
    same_bytes(&read_all(&server)?, b"question")?;
    let answer = noise(1 << 20, 5);
    thread::scope(|scope| {
        let reader = scope.spawn(|| read_all(&client));
        write_all(&server, &answer)?;
        server.shutdown(Shutdown::Write)?;
        same_bytes(&joined(reader)??, &answer)
    })
}

fn the_end_stays_the_end<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, server, .. } = Pair::new(driver)?;
    client.shutdown(Shutdown::Write)?;
    for _ in 0..3 {
        same(server.read(&mut [0; 8])?, 0)?;
        same(server.peek(&mut [0; 8])?, 0)?;
        same(server.read_chunk(8)?, None)?;
    }
    Ok(())
}

fn an_end_comes_with_its_data<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, server, .. } = Pair::new(driver)?;
    // They leave in one segment.
    client.set_cork(true)?;
    write_all(&client, b"all of it")?;
    client.shutdown(Shutdown::Write)?;
    comes("both have arrived", || Ok(server.info()?.state == State::CloseWait))?;
    same_bytes(&read_some(&server, 9)?, b"all of it")?;
    same(server.read(&mut [0])?, 0)
}

fn writing_after_a_shutdown_is_a_broken_pipe<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, server, .. } = Pair::new(driver)?;
    client.shutdown(Shutdown::Write)?;
    for _ in 0..2 {
        fails(client.write(b"late"), ErrorKind::BrokenPipe)?;
        fails(client.write_vectored(&[IoSlice::new(b"late")]), ErrorKind::BrokenPipe)?;
        let mut data = Bytes::from_static(b"late");
        fails(client.write_bytes(&mut data), ErrorKind::BrokenPipe)?;
        same(data.len(), 4)?;
    }
    same(read_all(&server)?.len(), 0)
}

fn a_shutdown_of_reading_ends_it<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, server, .. } = Pair::new(driver)?;
    write_all(&server, b"unheard")?;
    client.shutdown(Shutdown::Read)?;
    same(client.read(&mut [0; 8])?, 0)?;
    same(client.read_chunk(8)?, None)?;
    write_all(&client, b"heard")?;
    same_bytes(&read_some(&server, 5)?, b"heard")
}

fn a_shutdown_of_both_ends_both<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, server, .. } = Pair::new(driver)?;
    write_all(&client, b"bye")?;
    client.shutdown(Shutdown::Both)?;
    same(client.read(&mut [0])?, 0)?;
    fails(client.write(b"late"), ErrorKind::BrokenPipe)?;
    same_bytes(&read_all(&server)?, b"bye")
}

fn a_second_shutdown_does_nothing<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, server, .. } = Pair::new(driver)?;
    for how in [Shutdown::Write, Shutdown::Write, Shutdown::Read, Shutdown::Both, Shutdown::Both] {
        client.shutdown(how)?;
    }
    same(read_all(&server)?.len(), 0)?;
    // The peer has closed too, and all is over.
    server.shutdown(Shutdown::Both)?;
    comes("both have closed", || {
        Ok(matches!(client.info()?.state, State::TimeWait | State::Closed))
    })?;
    client.shutdown(Shutdown::Write)?;
    Ok(())
}

fn a_shutdown_wakes_who_waits<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, server, .. } = Pair::new(driver)?;
    thread::scope(|scope| {
        let readers = [(); 2].map(|()| scope.spawn(|| client.read(&mut [0])));
        let writer = scope.spawn(|| write_much(&client));
        thread::sleep(MOMENT);
        let start = now();
        client.shutdown(Shutdown::Both)?;
        for reader in readers {
            same(joined(reader)??, 0)?;
        }
        fails(joined(writer)?, ErrorKind::BrokenPipe)?;
        soon(start)
    })?;
    client.abort();
    drop(server);
    Ok(())
}

fn a_shutdown_wakes_a_quiet_reader<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, server, .. } = Pair::new(driver)?;
    quiet::<D>(&client, &server)?;
    thread::scope(|scope| {
        let readers = [(); 2].map(|()| scope.spawn(|| client.read(&mut [0])));
        thread::sleep(MOMENT);
        let start = now();
        client.shutdown(Shutdown::Read)?;
        for reader in readers {
            same(joined(reader)??, 0)?;
        }
        soon(start)
    })?;
    write_all(&client, b"!")?;
    same_bytes(&read_some(&server, 1)?, b"!")
}

fn both_ends_may_close_at_once<D: Driver>(driver: &D) -> Outcome {
    let pair = Pair::new(driver)?;
    // The FINs cross.
    let far = Impairment { delay: Duration::from_millis(40), ..Impairment::default() };
    for stream in [&pair.client, &pair.server] {
        stream.socket().impair(Direction::Send, &far)?;
        stream.shutdown(Shutdown::Write)?;
    }
    same(pair.client.read(&mut [0])?, 0)?;
    same(pair.server.read(&mut [0])?, 0)?;
    for stream in [&pair.client, &pair.server] {
        comes("both have closed", || Ok(stream.info()?.state == State::TimeWait))?;
    }
    pair.part()
}
