//! Ends that are not graceful, and what every call says then.

use std::io::ErrorKind;
use std::net::Shutdown;
use std::thread;

use tou_proto::ConnectionError;

use crate::check::{
    Failure, Outcome, comes, fails, fails_as, holds, joined, same, same_bytes, soon,
};
use crate::clock::now;
use crate::driver::{Driver, Stream};
use crate::kit::{LONG, MOMENT, Pair, meet, quiet, read_some, write_all, write_much};

topic! { "errors"
    an_abort_resets_the_peer:
        "The peer of an aborted stream reads ConnectionReset, and finds the reason inside.";
    an_aborted_stream_is_not_connected: "Every call on an aborted stream is NotConnected.";
    an_error_is_taken_once: "take_error tells of a reset once, and then of nothing.";
    a_healthy_stream_has_no_error:
        "take_error tells of nothing while all is well, nor after a graceful end.";
    an_error_stays: "Every read and write after a reset fails, not only the first.";
    data_before_a_reset_is_read_first:
        "What had arrived before a reset is read, then comes the error.";
    a_reset_wakes_a_reader: "A thread that waits in a read gets the reset.";
    a_reset_wakes_a_writer: "A thread that waits in a write gets the reset.";
    an_abort_wakes_other_handles: "Threads that wait on other handles of an aborted stream return.";
    an_abort_wakes_a_quiet_reader:
        "A thread that waits where nothing else happens returns when the stream is aborted.";
    writing_to_a_gone_peer_fails: "Who goes on writing to a peer that has closed is told so.";
    options_of_a_reset_stream_can_be_asked:
        "A stream that was reset still knows its addresses and its figures.";
}

/// A pair whose server has been reset, and knows.
fn reset<D: Driver>(driver: &D) -> Result<Pair<D>, Failure> {
    let pair = Pair::new(driver)?;
    meet(&pair.client, &pair.server)?;
    pair.client.abort();
    fails(pair.server.read(&mut [0]), ErrorKind::ConnectionReset)?;
    Ok(pair)
}

fn an_abort_resets_the_peer<D: Driver>(driver: &D) -> Outcome {
    let pair = reset(driver)?;
    let error = fails(pair.server.read(&mut [0]), ErrorKind::ConnectionReset)?;
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<ConnectionError>());
    same(inner, Some(&ConnectionError::Reset))
}

fn an_aborted_stream_is_not_connected<D: Driver>(driver: &D) -> Outcome {
    let pair = reset(driver)?;
    let client = &pair.client;
    fails(client.read(&mut [0]), ErrorKind::NotConnected)?;
    fails(client.peek(&mut [0]), ErrorKind::NotConnected)?;
    fails(client.read_chunk(1), ErrorKind::NotConnected)?;
    fails(client.write(&[0]), ErrorKind::NotConnected)?;
    fails(client.write_bytes(&mut bytes::Bytes::from_static(b"x")), ErrorKind::NotConnected)?;
    fails(client.shutdown(Shutdown::Write), ErrorKind::NotConnected)?;
    fails(client.info(), ErrorKind::NotConnected)?;
    // A second time does nothing.
    client.abort();
    same(client.peer_addr()?, pair.server.local_addr()?)
}

fn an_error_is_taken_once<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, server, .. } = Pair::new(driver)?;
    meet(&client, &server)?;
    client.abort();
    let mut taken = None;
    comes("it is told", || {
        taken = server.take_error()?;
        Ok(taken.is_some())
    })?;
    same(taken.map(|error| error.kind()), Some(ErrorKind::ConnectionReset))?;
    holds(server.take_error()?.is_none(), "it is told once")
}

fn a_healthy_stream_has_no_error<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, server, .. } = Pair::new(driver)?;
    meet(&client, &server)?;
    for stream in [&client, &server] {
        holds(stream.take_error()?.is_none(), "all is well")?;
        stream.shutdown(Shutdown::Write)?;
    }
    for stream in [&client, &server] {
        same(stream.read(&mut [0])?, 0)?;
        holds(stream.take_error()?.is_none(), "all went well")?;
    }
    Ok(())
}

fn an_error_stays<D: Driver>(driver: &D) -> Outcome {
    let Pair { server, .. } = reset(driver)?;
    for _ in 0..3 {
        fails(server.read(&mut [0]), ErrorKind::ConnectionReset)?;
        fails(server.peek(&mut [0]), ErrorKind::ConnectionReset)?;
        fails(server.read_chunk(1), ErrorKind::ConnectionReset)?;
        fails_as(server.write(b"x"), &[ErrorKind::ConnectionReset, ErrorKind::BrokenPipe])?;
    }
    Ok(())
}

fn data_before_a_reset_is_read_first<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, server, .. } = Pair::new(driver)?;
    write_all(&client, b"last words")?;
    comes("they have arrived", || Ok(client.info()?.send_queue == 0))?;
    client.abort();
    // The reset is there when writing fails.
    comes("the reset arrives", || Ok(server.write(b"x").is_err()))?;
    same_bytes(&read_some(&server, 10)?, b"last words")?;
    fails(server.read(&mut [0]), ErrorKind::ConnectionReset)?;
    Ok(())
}

fn a_reset_wakes_a_reader<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, server, .. } = Pair::new(driver)?;
    thread::scope(|scope| {
        let reader = scope.spawn(|| server.read(&mut [0]));
        thread::sleep(MOMENT);
        let start = now();
        client.abort();
        fails(joined(reader)?, ErrorKind::ConnectionReset)?;
        soon(start)
    })
}

fn a_reset_wakes_a_writer<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, server, .. } = Pair::new(driver)?;
    thread::scope(|scope| {
        let writer = scope.spawn(|| write_much(&client));
        thread::sleep(MOMENT);
        let start = now();
        server.abort();
        fails(joined(writer)?, ErrorKind::ConnectionReset)?;
        soon(start)
    })
}

fn an_abort_wakes_other_handles<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, server, .. } = Pair::new(driver)?;
    let clone = client.try_clone()?;
    thread::scope(|scope| {
        let reader = scope.spawn(|| client.read(&mut [0]));
        let writer = scope.spawn(|| write_much(&client));
        thread::sleep(MOMENT);
        let start = now();
        clone.abort();
        fails(joined(reader)?, ErrorKind::NotConnected)?;
        fails(joined(writer)?, ErrorKind::NotConnected)?;
        soon(start)
    })?;
    drop(server);
    Ok(())
}

fn an_abort_wakes_a_quiet_reader<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, server, .. } = Pair::new(driver)?;
    quiet::<D>(&client, &server)?;
    let clone = client.try_clone()?;
    thread::scope(|scope| {
        let reader = scope.spawn(|| client.read(&mut [0]));
        thread::sleep(MOMENT);
        let start = now();
        clone.abort();
        fails(joined(reader)?, ErrorKind::NotConnected)?;
        soon(start)
    })
}

fn writing_to_a_gone_peer_fails<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, server, .. } = Pair::new(driver)?;
    // Somebody has to answer for it.
    let _socket = client.socket();
    drop(client);
    same(server.read(&mut [0])?, 0)?;
    let mut error = None;
    comes("writing fails", || {
        error = server.write(&[0; 1_000]).err();
        Ok(error.is_some())
    })?;
    fails_as(error.map_or(Ok(()), Err), &[ErrorKind::ConnectionReset, ErrorKind::BrokenPipe])?;
    Ok(())
}

fn options_of_a_reset_stream_can_be_asked<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, server, .. } = reset(driver)?;
    same(server.peer_addr()?, client.local_addr()?)?;
    same(server.read_timeout()?, Some(LONG))?;
    same(server.info()?.state, tou_proto::State::Closed)
}
