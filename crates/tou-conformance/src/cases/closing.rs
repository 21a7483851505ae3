//! Giving up streams and sockets: drops, lingering, aborts, in every order.

use core::time::Duration;
use std::io::ErrorKind;
use std::net::Shutdown;
use std::thread;

use tou_udp::{Direction, Impairment};

use crate::check::{Failure, Outcome, comes, fails, holds, joined, same, same_bytes, soon};
use crate::clock::now;
use crate::driver::{Driver, Listener, Setup, Socket, Stream};
use crate::kit::{
    LONG, MOMENT, Pair, configured, fill, local, meet, mute, noise, nothing, patient, quick,
    read_all, read_some, write_all,
};

topic! { "closing"
    a_dropped_stream_delivers_everything:
        "Megabytes that were written before the drop arrive, with the end.";
    a_dropped_stream_with_unread_data_ends_well:
        "A drop with unread data still delivers what was written.";
    a_drop_does_not_wait_while_its_socket_lives:
        "Dropping a stream with unsent data returns at once if its socket has other handles.";
    the_last_drop_is_bounded:
        "The drop of the last handle waits for a silent peer as long as it was told.";
    a_slow_reader_gets_everything_from_the_last_drop:
        "While the peer takes data, the drop of the last handle waits longer than for a silent \
         one.";
    a_lost_last_acknowledgment_is_no_failure:
        "Closing a socket is no failure when all arrived, though the peer went before it had \
         acknowledged the last FIN.";
    a_last_fin_into_the_void_is_no_failure:
        "Closing a socket is no failure when the last FIN went into a void and all data arrived.";
    a_clone_keeps_the_stream_open: "The stream ends with its last handle and not before.";
    lingering_waits_for_the_data: "A drop that lingers returns when the data has arrived.";
    lingering_is_bounded: "A drop that lingers returns after that time though nothing has arrived.";
    lingering_for_no_time_resets: "A drop with a linger time of zero resets.";
    every_order_leaves_nothing:
        "Shutdowns, drops and aborts of both ends, in every order: data written before arrives \
         unless it was aborted, and nothing is left.";
    who_closes_first_waits: "TIME-WAIT is at the side that closed first, and only there.";
    closing_a_socket_delivers_everything:
        "Closing the socket delivers what was written, and the end, to all.";
    closing_a_socket_ends_every_call:
        "When a socket is closed, calls that wait return NotConnected, and so do later ones.";
    closing_a_quiet_socket_ends_accept:
        "When a socket without connections is closed, a thread that accepts returns.";
    closing_a_socket_says_what_is_missing:
        "Closing a socket in limited time is TimedOut when something has not arrived, and can be \
         done again.";
}

fn a_dropped_stream_delivers_everything<D: Driver>(driver: &D) -> Outcome {
    const LEN: usize = 3 << 20;
    let Pair { client, server, .. } = Pair::new(driver)?;
    thread::scope(|scope| {
        let writer = scope.spawn(move || {
            let outcome = write_all(&client, &noise(LEN, 1));
            drop(client);
            outcome
        });
        same_bytes(&read_all(&server)?, &noise(LEN, 1))?;
        Ok(joined(writer)??)
    })
}

fn a_dropped_stream_with_unread_data_ends_well<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, server, listener } = Pair::new(driver)?;
    write_all(&server, b"nobody reads this")?;
    comes("it has arrived", || Ok(server.info()?.send_queue == 0))?;
    write_all(&client, b"goodbye")?;
    let socket = client.socket();
    drop(client);
    same_bytes(&read_all(&server)?, b"goodbye")?;
    drop((server, listener));
    Ok(socket.close(LONG)?)
}

fn a_drop_does_not_wait_while_its_socket_lives<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, server, .. } = Pair::new(driver)?;
    let _socket = client.socket();
    let taken = fill::<D>(&client)?;
    let start = now();
    drop(client);
    soon(start)?;
    same(read_all(&server)?.len(), taken)
}

fn the_last_drop_is_bounded<D: Driver>(driver: &D) -> Outcome {
    let wait = Duration::from_millis(100);
    let setup = Setup { close_timeout: Some(wait), ..Setup::default() };
    let Pair { client, server, .. } = Pair::with(driver, &setup, &Setup::default())?;
    mute::<D>(&client)?;
    write_all(&client, b"into the void")?;
    let start = now();
    drop(client);
    holds(start.elapsed() >= wait, "it waits as long as it was told")?;
    server.abort();
    soon(start)
}

fn a_slow_reader_gets_everything_from_the_last_drop<D: Driver>(driver: &D) -> Outcome {
    const LEN: usize = 1 << 19;
    const ROOM: u64 = 1 << 16;
    // Far less than the reader takes, and far more than it is silent: for a window.
    let wait = Duration::from_millis(200);
    let sends = configured(quick().with_send_buffer(LEN as u64, LEN as u64))?;
    let setup = Setup { close_timeout: Some(wait), ..sends };
    let reads = configured(quick().with_recv_buffer(ROOM, ROOM))?;
    let Pair { client, server, .. } = Pair::with(driver, &setup, &reads)?;
    thread::scope(|scope| {
        let sender = scope.spawn(move || -> Result<_, Failure> {
            write_all(&client, &noise(LEN, 7))?;
            let start = now();
            drop(client);
            Ok(start.elapsed())
        });
        let mut got = Vec::new();
        while let Some(chunk) = server.read_chunk(4_000)? {
            got.extend_from_slice(&chunk);
            thread::sleep(Duration::from_millis(2));
        }
        same_bytes(&got, &noise(LEN, 7))?;
        holds(joined(sender)?? > wait, "it waits for a reader that is slow")
    })
}

/// A pair of which the client has closed and the server has said its last word,
/// which has arrived. The FIN is all that is left to do.
fn nearly_over<D: Driver>(driver: &D) -> Result<Pair<D>, Failure> {
    let pair = Pair::new(driver)?;
    pair.client.shutdown(Shutdown::Write)?;
    same(read_all(&pair.server)?.len(), 0)?;
    write_all(&pair.server, b"the end")?;
    same_bytes(&read_some(&pair.client, 7)?, b"the end")?;
    comes("it is acknowledged", || Ok(pair.server.info()?.send_queue == 0))?;
    Ok(pair)
}

fn a_lost_last_acknowledgment_is_no_failure<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, server, .. } = nearly_over(driver)?;
    let (socket, peer) = (server.socket(), client.socket());
    // The peer gets the FIN and is gone, and its acknowledgment is lost.
    peer.impair(Direction::Send, &nothing())?;
    drop(server);
    same(client.read(&mut [0])?, 0)?;
    drop((client, peer));
    Ok(socket.close(Duration::from_secs(1))?)
}

fn a_last_fin_into_the_void_is_no_failure<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, server, .. } = nearly_over(driver)?;
    let socket = server.socket();
    socket.impair(Direction::Send, &nothing())?;
    drop(server);
    let outcome = socket.close(Duration::from_millis(200));
    socket.impair(Direction::Send, &Impairment::default())?;
    drop(client);
    Ok(outcome?)
}

fn a_clone_keeps_the_stream_open<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, server, .. } = Pair::new(driver)?;
    let clone = client.try_clone()?;
    drop(client);
    meet(&clone, &server)?;
    let last = clone.try_clone()?;
    drop(clone);
    meet(&last, &server)?;
    drop(last);
    same(server.read(&mut [0])?, 0)
}

fn lingering_waits_for_the_data<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, server, .. } = Pair::new(driver)?;
    let socket = client.socket();
    client.set_linger(Some(LONG));
    let delay = Duration::from_millis(50);
    socket.impair(Direction::Send, &Impairment { delay, ..Impairment::default() })?;
    write_all(&client, b"take your time")?;
    let start = now();
    drop(client);
    holds(start.elapsed() >= delay, "it waits for the data")?;
    holds(start.elapsed() < LONG, "and no longer")?;
    same_bytes(&read_all(&server)?, b"take your time")
}

fn lingering_is_bounded<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, server, .. } = Pair::new(driver)?;
    let socket = client.socket();
    let time = Duration::from_millis(80);
    client.set_linger(Some(time));
    mute::<D>(&client)?;
    write_all(&client, b"into the void")?;
    let start = now();
    drop(client);
    holds(start.elapsed() >= time, "it waits so long")?;
    // It was not given up for that.
    socket.impair(Direction::Send, &Impairment::default())?;
    same_bytes(&read_all(&server)?, b"into the void")
}

fn lingering_for_no_time_resets<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, server, .. } = Pair::new(driver)?;
    // Somebody has to answer for it, should the reset get lost.
    let _socket = client.socket();
    client.set_linger(Some(Duration::ZERO));
    fill::<D>(&client)?;
    read_some(&server, 1)?;
    drop(client);
    fails(read_all(&server), ErrorKind::ConnectionReset)?;
    Ok(())
}

/// What can be done to one end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Shutdown,
    Drop,
    Abort,
}

/// All interleavings of two sequences.
fn interleaved(one: &[Step], two: &[Step]) -> Vec<Vec<(usize, Step)>> {
    let (Some((first, rest)), Some((second, others))) = (one.split_first(), two.split_first())
    else {
        let rest = one.iter().map(|&step| (0, step)).chain(two.iter().map(|&step| (1, step)));
        return vec![rest.collect()];
    };
    let begun = |side, step, rest: Vec<Vec<_>>| {
        rest.into_iter().map(move |order| [vec![(side, step)], order].concat())
    };
    let with_one = begun(0, *first, interleaved(rest, two));
    with_one.chain(begun(1, *second, interleaved(one, others))).collect()
}

fn every_order_leaves_nothing<D: Driver>(driver: &D) -> Outcome {
    let lives: [&[Step]; 4] = [
        &[Step::Drop],
        &[Step::Shutdown, Step::Drop],
        &[Step::Abort, Step::Drop],
        &[Step::Shutdown, Step::Abort, Step::Drop],
    ];
    let socket = driver.bind(local(), &Setup::default())?;
    let server = driver.bind(local(), &Setup::default())?;
    let listener = server.listen()?;
    listener.set_accept_timeout(Some(LONG))?;
    for one in lives {
        for two in lives {
            for order in interleaved(one, two) {
                let client = socket.connect(server.local_addr())?;
                let (accepted, _) = listener.accept()?;
                end::<D>([client, accepted], &order)
                    .map_err(|failure| Failure::new(format!("{order:?}: {failure}")))?;
            }
        }
    }
    comes(
        "nothing is left",
        || Ok(socket.connection_count() == 0 && server.connection_count() == 0),
    )
}

/// Does the steps to a pair, both of which have written something. Whoever is
/// there when the other ends has all of it, or the reset.
fn end<D: Driver>(streams: [D::Stream; 2], order: &[(usize, Step)]) -> Outcome {
    for stream in &streams {
        patient(stream)?;
        write_all(stream, b"written")?;
    }
    let mut streams = streams.map(Some);
    let mut ended = [false; 2];
    let mut aborted = false;
    for &(side, step) in order {
        match (step, &streams[side]) {
            (Step::Shutdown, Some(stream)) if !aborted => stream.shutdown(Shutdown::Write)?,
            // The peer's reset may have come, or not yet.
            (Step::Shutdown, Some(stream)) => drop(stream.shutdown(Shutdown::Write)),
            (Step::Abort, Some(stream)) => stream.abort(),
            (_, _) => streams[side] = None,
        }
        if let (Some(other), false) = (&streams[1 - side], aborted || ended[side]) {
            if step == Step::Abort {
                fails(read_all(other), ErrorKind::ConnectionReset)?;
            } else {
                same_bytes(&read_all(other)?, b"written")?;
            }
        }
        ended[side] = true;
        aborted |= step == Step::Abort;
    }
    Ok(())
}

fn who_closes_first_waits<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, server, listener } = Pair::new(driver)?;
    let (first, second) = (client.socket(), server.socket());
    drop(client);
    same(server.read(&mut [0])?, 0)?;
    drop(server);
    comes("all is over", || Ok(first.connection_count() == 0 && second.connection_count() == 0))?;
    drop(listener);
    same((first.time_wait_count(), second.time_wait_count()), (1, 0))
}

fn closing_a_socket_delivers_everything<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, server, listener } = Pair::new(driver)?;
    let socket = client.socket();
    let other = Pair::<D>::between(&socket, listener)?;
    write_all(&client, &noise(100_000, 1))?;
    write_all(&other.client, &noise(100_000, 2))?;
    socket.close(LONG)?;
    same_bytes(&read_all(&server)?, &noise(100_000, 1))?;
    same_bytes(&read_all(&other.server)?, &noise(100_000, 2))?;
    same(socket.connection_count(), 0).or_else(|_| {
        // The peers have not closed yet: FIN-WAIT-2.
        same(socket.connection_count(), 2)
    })
}

fn closing_a_socket_ends_every_call<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, server, listener } = Pair::new(driver)?;
    let socket = server.socket();
    thread::scope(|scope| {
        let reader = scope.spawn(|| server.read(&mut [0]));
        let acceptor = scope.spawn(|| listener.accept());
        thread::sleep(MOMENT);
        let start = now();
        socket.close(LONG)?;
        fails(joined(reader)?, ErrorKind::NotConnected)?;
        fails(joined(acceptor)?, ErrorKind::NotConnected)?;
        soon(start)
    })?;
    fails(server.write(b"x"), ErrorKind::NotConnected)?;
    fails(server.read(&mut [0]), ErrorKind::NotConnected)?;
    fails(listener.accept(), ErrorKind::NotConnected)?;
    fails(socket.listen(), ErrorKind::NotConnected)?;
    fails(socket.connect(client.local_addr()?), ErrorKind::NotConnected)?;
    same(read_all(&client)?.len(), 0)
}

fn closing_a_quiet_socket_ends_accept<D: Driver>(driver: &D) -> Outcome {
    let listener = driver.listen(local())?;
    listener.set_accept_timeout(Some(LONG))?;
    thread::scope(|scope| {
        let acceptor = scope.spawn(|| listener.accept());
        thread::sleep(MOMENT);
        let start = now();
        listener.socket().close(LONG)?;
        fails(joined(acceptor)?, ErrorKind::NotConnected)?;
        soon(start)
    })
}

fn closing_a_socket_says_what_is_missing<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, server, .. } = Pair::new(driver)?;
    let socket = client.socket();
    socket.impair(Direction::Send, &nothing())?;
    write_all(&client, b"late")?;
    fails(socket.close(Duration::from_millis(50)), ErrorKind::TimedOut)?;
    // It goes on trying.
    socket.impair(Direction::Send, &Impairment::default())?;
    same_bytes(&read_all(&server)?, b"late")?;
    Ok(socket.close(LONG)?)
}
