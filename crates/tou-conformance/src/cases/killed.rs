//! Peers that end without a word: their process is killed, or nothing that they
//! send arrives any more.

use std::io::ErrorKind;
use std::thread;

use crate::check::{Outcome, comes, fails_as, holds, joined, same_bytes};
use crate::driver::{Driver, Listener, Setup, Socket, Stream};
use crate::kit::{LONG, echo, local, noise, patient, read_all, read_some, round_trip, write_all};
use crate::process::{LAST_WORDS, Peer, Role};

topic! { "killed"
    a_restarted_server_resets_and_serves: "A server that was killed and is back at its port resets old connections and takes new ones.";
    a_listener_outlives_killed_clients: "A client that is killed leaves the listener serving others.";
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
    let client = driver.connect(&[listener.local_addr()?])?;
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
