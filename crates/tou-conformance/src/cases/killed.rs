//! Peers that end without a word: their process is killed, or nothing that they
//! send arrives any more.

use core::time::Duration;
use std::io::ErrorKind;
use std::thread;

use tou_proto::Keepalive;

use crate::check::{Failure, Outcome, comes, fails, fails_as, holds, joined, same, same_bytes};
use crate::clock::now;
use crate::driver::{Driver, Listener, Setup, Socket, Stream};
use crate::kit::{
    LONG, Pair, configured, echo, local, meet, mute, noise, patient, quick, read_all, read_some,
    round_trip, write_all,
};
use crate::process::{LAST_WORDS, Peer, Role};

topic! { "killed"
    a_restarted_server_resets_and_serves:
        "A server that was killed and is back at its port resets old connections and takes new \
         ones.";
    a_listener_outlives_killed_clients:
        "A client that is killed leaves the listener serving others.";
    a_killed_client_comes_back_from_its_ports:
        "A client that was killed connects again from the same ports, and its old stream is reset.";
    a_killed_reader_is_noticed:
        "What a killed peer never acknowledges ends in TimedOut after the user timeout.";
    a_killed_idle_peer_is_noticed:
        "With keepalive a killed peer is noticed though nothing was written.";
    a_waiting_writer_notices: "A writer that waits for a killed reader gets TimedOut.";
    a_silent_peer_is_noticed:
        "A peer that lives, and of which nothing arrives any more, ends in TimedOut.";
    other_streams_do_not_suffer:
        "Streams of the same socket to living peers go on while one is found dead.";
    leaving_main_loses_nothing: "A process that writes, drops and ends has everything delivered.";
}

fn a_restarted_server_resets_and_serves<D: Driver>(driver: &D) -> Outcome {
    let mut server = Peer::start(Role::Echo, local())?;
    let socket = driver.bind(local(), &Setup::default())?;
    let old = socket.connect(server.addr)?;
    patient(&old)?;
    round_trip(&old, b"before")?;
    server.kill()?;
    let _server = Peer::start(Role::Echo, server.addr)?;
    let new = socket.connect(server.addr)?;
    patient(&new)?;
    round_trip(&new, b"after")?;
    let mut byte = [0];
    let error = write_all(&old, b"anybody?").and_then(|()| old.read(&mut byte));
    fails_as(error, &[ErrorKind::ConnectionReset, ErrorKind::BrokenPipe])?;
    round_trip(&new, b"still")?;
    new.abort();
    Ok(())
}

fn a_listener_outlives_killed_clients<D: Driver>(driver: &D) -> Outcome {
    let listener = driver.listen(local())?;
    listener.set_accept_timeout(Some(LONG))?;
    let mut caller = Peer::start(Role::Caller, listener.local_addr()?)?;
    let (orphan, _) = listener.accept()?;
    patient(&orphan)?;
    same_bytes(&read_some(&orphan, 4)?, b"here")?;
    caller.kill()?;
    let client = driver.connect(listener.local_addr()?)?;
    let (server, _) = listener.accept()?;
    thread::scope(|scope| {
        let serving = scope.spawn(|| echo(&server));
        let outcome = round_trip(&client, b"the next");
        drop(client);
        joined(serving)??;
        outcome
    })?;
    orphan.abort();
    comes("only the dead are forgotten", || Ok(listener.socket().connection_count() <= 1))
}

fn leaving_main_loses_nothing<D: Driver>(driver: &D) -> Outcome {
    let listener = driver.listen(local())?;
    listener.set_accept_timeout(Some(LONG))?;
    let mut speaker = Peer::start(Role::Speaker, listener.local_addr()?)?;
    let (stream, _) = listener.accept()?;
    patient(&stream)?;
    same_bytes(&read_all(&stream)?, &noise(LAST_WORDS, 3))?;
    drop(stream);
    holds(speaker.wait()?, "the process ends well")
}

fn a_killed_client_comes_back_from_its_ports<D: Driver>(driver: &D) -> Outcome {
    let listener = driver.listen(local())?;
    listener.set_accept_timeout(Some(LONG))?;
    let mut caller = Peer::start(Role::Caller, listener.local_addr()?)?;
    let (first, from) = listener.accept()?;
    patient(&first)?;
    same_bytes(&read_some(&first, 4)?, b"here")?;
    caller.kill()?;
    // The same addresses and ports, while this side believes itself connected
    // (RFC 9293 §3.5.1).
    let _caller = Peer::start_from(Role::Caller, listener.local_addr()?, from)?;
    let (second, again) = listener.accept()?;
    same((again, second.peer_port()), (from, first.peer_port()))?;
    patient(&second)?;
    same_bytes(&read_some(&second, 4)?, b"here")?;
    fails(first.read(&mut [0]), ErrorKind::ConnectionReset)?;
    second.abort();
    Ok(())
}

/// How long a dead peer is tolerated here.
const PATIENCE: Duration = Duration::from_millis(400);

/// A stream to a process that echoes. Its user timeout is long as yet: a busy
/// machine is not a dead peer.
fn to_process<D: Driver>(driver: &D) -> Result<(D::Stream, Peer), Failure> {
    let server = Peer::start(Role::Echo, local())?;
    let socket = driver.bind(local(), &configured(quick())?)?;
    let stream = socket.connect(server.addr)?;
    patient(&stream)?;
    round_trip(&stream, b"there")?;
    Ok((stream, server))
}

fn a_killed_reader_is_noticed<D: Driver>(driver: &D) -> Outcome {
    let (stream, mut server) = to_process(driver)?;
    server.kill()?;
    stream.set_user_timeout(PATIENCE)?;
    let start = now();
    write_all(&stream, b"gone")?;
    fails(stream.read(&mut [0]), ErrorKind::TimedOut)?;
    // A port that is closed now is no reason to give up before its time.
    holds(start.elapsed() >= PATIENCE / 2, "it is tolerated for a while")?;
    fails(stream.write(b"gone"), ErrorKind::TimedOut)?;
    Ok(())
}

fn a_killed_idle_peer_is_noticed<D: Driver>(driver: &D) -> Outcome {
    let (stream, mut server) = to_process(driver)?;
    let interval = Duration::from_millis(60);
    stream.set_keepalive(Some(Keepalive { idle: interval, interval, probes: 3 }))?;
    thread::sleep(4 * interval);
    holds(stream.info()?.counters.keepalive_probes > 0, "it is asked while it lives")?;
    server.kill()?;
    fails(stream.read(&mut [0]), ErrorKind::TimedOut)?;
    Ok(())
}

fn a_waiting_writer_notices<D: Driver>(driver: &D) -> Outcome {
    let (stream, mut server) = to_process(driver)?;
    thread::scope(|scope| {
        // Nobody reads the echo: it would never be done.
        let writer = scope.spawn(|| write_all(&stream, &noise(64 << 20, 1)));
        comes("it is under way", || Ok(stream.info()?.counters.bytes_acked > 1 << 16))?;
        server.kill()?;
        stream.set_user_timeout(PATIENCE)?;
        fails(joined(writer)?, ErrorKind::TimedOut)?;
        Ok(())
    })
}

fn a_silent_peer_is_noticed<D: Driver>(driver: &D) -> Outcome {
    let setup = configured(quick())?;
    let Pair { client, server, .. } = Pair::with(driver, &setup, &Setup::default())?;
    meet(&client, &server)?;
    mute::<D>(&server)?;
    client.set_user_timeout(PATIENCE)?;
    write_all(&client, b"anybody there?")?;
    fails(client.read(&mut [0]), ErrorKind::TimedOut)?;
    let error = client.take_error()?;
    same(error.map(|error| error.kind()), Some(ErrorKind::TimedOut))?;
    server.abort();
    Ok(())
}

fn other_streams_do_not_suffer<D: Driver>(driver: &D) -> Outcome {
    let (stream, mut server) = to_process(driver)?;
    let other = Pair::<D>::between(&stream.socket(), driver.listen(local())?)?;
    server.kill()?;
    stream.set_user_timeout(PATIENCE)?;
    write_all(&stream, b"gone")?;
    let mut rounds = 0;
    comes("it is found dead", || {
        meet(&other.client, &other.server)?;
        rounds += 1;
        Ok(stream.take_error()?.is_some())
    })?;
    holds(rounds > 1, format!("{rounds} rounds meanwhile"))?;
    meet(&other.client, &other.server)
}
