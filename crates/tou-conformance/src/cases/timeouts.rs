//! Calls that wait no longer than they were told, and lose nothing by it.

use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use core::time::Duration;
use std::net::Shutdown;
use std::thread;

use crate::check::{Failure, Outcome, comes, fails, holds, joined, same, same_bytes};
use crate::clock::now;
use crate::driver::{Driver, Listener, Stream};
use crate::kit::{
    LONG, MOMENT, Pair, fill, local, meet, noise, patient, read_all, read_some, write_all,
};

topic! { "timeouts"
    a_read_times_out: "A read with nothing to read fails as one out of time, not before its time.";
    a_peek_times_out: "A peek with nothing to see, or a chunk, is out of time too.";
    a_write_times_out:
        "A write to a peer that does not read fails as one out of time, not before its time.";
    an_accept_times_out:
        "Accepting with no connection fails as one out of time, and a later one is accepted.";
    a_timed_out_read_loses_nothing: "Reads that time out again and again leave out no octet.";
    a_timed_out_write_loses_nothing:
        "What writes said they took before one timed out is all that arrives.";
    what_is_there_is_read_at_once:
        "A read with a timeout returns what there is and does not wait for more.";
    no_timeout_waits: "Without a timeout a read waits until there is something.";
    each_direction_has_its_own_timeout:
        "A read timeout does not hasten writes, nor the other way round.";
    a_very_long_timeout_waits_too: "The longest of all timeouts is one.";
}

const SHORT: Duration = Duration::from_millis(50);

/// The call fails as one that is out of time, after at least [`SHORT`].
fn times_out<D: Driver, T>(call: impl FnOnce() -> std::io::Result<T>) -> Outcome {
    let start = now();
    fails(call(), D::OUT_OF_TIME)?;
    holds(start.elapsed() >= SHORT, "it waited as long as it was told")
}

fn a_read_times_out<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, server, .. } = Pair::new(driver)?;
    client.set_read_timeout(Some(SHORT))?;
    times_out::<D, _>(|| client.read(&mut [0]))?;
    meet(&client, &server)
}

fn a_peek_times_out<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, server, .. } = Pair::new(driver)?;
    client.set_read_timeout(Some(SHORT))?;
    times_out::<D, _>(|| client.peek(&mut [0]))?;
    times_out::<D, _>(|| client.read_chunk(1))?;
    meet(&client, &server)
}

fn a_write_times_out<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, server, .. } = Pair::new(driver)?;
    fill::<D>(&client)?;
    client.set_write_timeout(Some(SHORT))?;
    let last = loop {
        let start = now();
        if let Err(error) = client.write(b"no room") {
            break (error.kind(), start.elapsed() >= SHORT);
        }
    };
    same(last, (D::OUT_OF_TIME, true))?;
    client.abort();
    drop(server);
    Ok(())
}

fn an_accept_times_out<D: Driver>(driver: &D) -> Outcome {
    let listener = driver.listen(local())?;
    listener.set_accept_timeout(Some(SHORT))?;
    times_out::<D, _>(|| listener.accept())?;
    listener.set_accept_timeout(Some(LONG))?;
    let client = driver.connect(listener.local_addr()?)?;
    same(listener.accept()?.1.port(), client.local_addr()?.port())
}

fn a_timed_out_read_loses_nothing<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, server, .. } = Pair::new(driver)?;
    let data = noise(100_000, 6);
    server.set_read_timeout(Some(Duration::from_millis(2)))?;
    let timeouts = AtomicUsize::new(0);
    thread::scope(|scope| {
        let writer = scope.spawn(|| -> Outcome {
            for part in data.chunks(10_000) {
                let before = timeouts.load(Relaxed);
                comes("a read times out", || Ok(timeouts.load(Relaxed) > before))?;
                write_all(&client, part)?;
            }
            Ok(client.shutdown(Shutdown::Write)?)
        });
        let (mut got, mut buf) = (Vec::new(), [0; 3_000]);
        let start = now();
        loop {
            match server.read(&mut buf) {
                Ok(0) => break,
                Ok(len) => got.extend_from_slice(&buf[..len]),
                Err(error) if error.kind() == D::OUT_OF_TIME => {
                    timeouts.fetch_add(1, Relaxed);
                }
                Err(error) => return Err(error.into()),
            }
            holds(start.elapsed() < LONG, "it ends")?;
        }
        joined(writer)??;
        same_bytes(&got, &data)
    })
}

fn a_timed_out_write_loses_nothing<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, server, .. } = Pair::new(driver)?;
    let data = noise(32 << 20, 7);
    client.set_write_timeout(Some(SHORT))?;
    let mut written = 0;
    let error = loop {
        match client.write(&data[written..]) {
            Ok(len) => written += len,
            Err(error) => break error,
        }
    };
    same(error.kind(), D::OUT_OF_TIME)?;
    patient(&client)?;
    thread::scope(|scope| {
        let reader = scope.spawn(|| read_all(&server));
        write_all(&client, b"and on")?;
        client.shutdown(Shutdown::Write)?;
        let got = joined(reader)??;
        same(got.len(), written + 6)?;
        same_bytes(&got[..written], &data[..written])?;
        same_bytes(&got[written..], b"and on")
    })
}

fn what_is_there_is_read_at_once<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, server, .. } = Pair::new(driver)?;
    write_all(&client, b"half")?;
    let mut buf = [0; 100];
    let start = now();
    same(server.read(&mut buf)?, 4)?;
    holds(start.elapsed() < LONG, "it did not wait for the rest")?;
    same_bytes(&buf[..4], b"half")
}

fn no_timeout_waits<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, server, .. } = Pair::new(driver)?;
    server.set_read_timeout(Some(Duration::from_millis(1)))?;
    server.set_read_timeout(None)?;
    thread::scope(|scope| {
        let reader = scope.spawn(|| read_some(&server, 4));
        thread::sleep(MOMENT);
        write_all(&client, b"late")?;
        same_bytes(&joined(reader)??, b"late")
    })
}

fn each_direction_has_its_own_timeout<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, server, .. } = Pair::new(driver)?;
    let taken = fill::<D>(&client)?;
    client.set_read_timeout(Some(SHORT))?;
    client.set_write_timeout(None)?;
    thread::scope(|scope| {
        let writer = scope.spawn(|| write_all(&client, b"patient"));
        times_out::<D, _>(|| client.read(&mut [0]))?;
        times_out::<D, _>(|| client.read(&mut [0]))?;
        read_some(&server, taken)?;
        joined(writer)??;
        same_bytes(&read_some(&server, 7)?, b"patient")
    })
}

fn a_very_long_timeout_waits_too<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, server, listener } = Pair::new(driver)?;
    for stream in [&client, &server] {
        stream.set_read_timeout(Some(Duration::MAX))?;
        stream.set_write_timeout(Some(Duration::MAX))?;
    }
    listener.set_accept_timeout(Some(Duration::MAX))?;
    thread::scope(|scope| {
        let reader = scope.spawn(|| read_some(&server, 4));
        thread::sleep(MOMENT);
        write_all(&client, b"late")?;
        same_bytes(&joined(reader)??, b"late")?;
        let client = driver.connect(listener.local_addr()?)?;
        same(listener.accept()?.0.peer_port(), client.local_port())?;
        Ok::<_, Failure>(())
    })
}
