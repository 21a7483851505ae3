//! What can be set, and what it changes.

use core::time::Duration;
use std::io::ErrorKind;

use tou_proto::Keepalive;

use crate::check::{Failure, Outcome, comes, fails, holds, same, same_bytes};
use crate::clock::now;
use crate::driver::{Driver, Listener, Setup, Stream};
use crate::kit::{LONG, Pair, configured, local, meet, patient, quick, read_some, write_all};

topic! { "options"
    timeouts_are_as_they_were_set:
        "Read and write timeouts are none at first, what was set afterwards, and none again.";
    a_timeout_of_zero_is_refused: "A timeout of zero is InvalidInput, and changes nothing.";
    accepted_streams_have_defaults:
        "Neither the accept timeout nor the client's options pass to an accepted stream.";
    options_are_shared_by_clones: "What one handle sets, its clones have.";
    linger_is_as_it_was_set: "Linger is none at first, and then what was set.";
    without_delay_small_writes_leave:
        "With Nagle's algorithm off, a small segment does not wait for an acknowledgment.";
    a_cork_holds_back_until_it_is_pulled:
        "While corked a part of a segment stays; it leaves with the cork.";
    impossible_keepalive_is_refused:
        "Keepalive without a time or probes is InvalidInput; none is no keepalive.";
    an_impossible_user_timeout_is_refused: "A user timeout of zero is InvalidInput.";
    an_aborted_stream_has_no_options:
        "Options of the connection are NotConnected once it was aborted.";
    a_configuration_reaches_its_connections:
        "Segment size, timestamps and SACK are as the socket was configured.";
}

fn timeouts_are_as_they_were_set<D: Driver>(driver: &D) -> Outcome {
    let listener = driver.listen(local())?;
    let stream = driver.connect(listener.local_addr()?)?;
    same((stream.read_timeout()?, stream.write_timeout()?), (None, None))?;
    let times = [Duration::from_millis(20), Duration::from_secs(9)].map(Some);
    stream.set_read_timeout(times[0])?;
    stream.set_write_timeout(times[1])?;
    same([stream.read_timeout()?, stream.write_timeout()?], times)?;
    stream.set_read_timeout(None)?;
    stream.set_write_timeout(None)?;
    same((stream.read_timeout()?, stream.write_timeout()?), (None, None))
}

fn a_timeout_of_zero_is_refused<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, listener, .. } = Pair::new(driver)?;
    fails(client.set_read_timeout(Some(Duration::ZERO)), ErrorKind::InvalidInput)?;
    fails(client.set_write_timeout(Some(Duration::ZERO)), ErrorKind::InvalidInput)?;
    fails(listener.set_accept_timeout(Some(Duration::ZERO)), ErrorKind::InvalidInput)?;
    same((client.read_timeout()?, client.write_timeout()?), (Some(LONG), Some(LONG)))
}

fn accepted_streams_have_defaults<D: Driver>(driver: &D) -> Outcome {
    let listener = driver.listen(local())?;
    listener.set_accept_timeout(Some(LONG))?;
    let client = driver.connect(listener.local_addr()?)?;
    patient(&client)?;
    client.set_linger(Some(LONG));
    let (server, _) = listener.accept()?;
    same((server.read_timeout()?, server.write_timeout()?), (None, None))?;
    same(server.linger(), None)?;
    client.set_linger(None);
    Ok(())
}

fn options_are_shared_by_clones<D: Driver>(driver: &D) -> Outcome {
    let pair = Pair::new(driver)?;
    let client = &pair.client;
    let clone = client.try_clone()?;
    let time = Some(Duration::from_millis(20));
    client.set_read_timeout(time)?;
    same(clone.read_timeout()?, time)?;
    fails(clone.read(&mut [0]), D::OUT_OF_TIME)?;
    clone.set_linger(time);
    same(client.linger(), time)
}

fn linger_is_as_it_was_set<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, .. } = Pair::new(driver)?;
    same(client.linger(), None)?;
    for linger in [Some(LONG), Some(Duration::ZERO), None] {
        client.set_linger(linger);
        same(client.linger(), linger)?;
    }
    Ok(())
}

/// A pair whose server acknowledges late, and is far from impatient about it.
fn late<D: Driver>(driver: &D) -> Result<Pair<D>, Failure> {
    let slow = quick().with_ack_delay(Duration::from_millis(450));
    Pair::with(driver, &Setup::default(), &configured(slow)?)
}

fn without_delay_small_writes_leave<D: Driver>(driver: &D) -> Outcome {
    let pair = late(driver)?;
    let Pair { client, server, .. } = &pair;
    client.set_nodelay(true)?;
    // Each would wait for an acknowledgment of the one before it.
    let start = now();
    for _ in 0..20 {
        write_all(client, b"x")?;
        read_some(server, 1)?;
    }
    holds(start.elapsed() < Duration::from_secs(4), "twenty octets in twenty delays")?;
    client.set_nodelay(false)?;
    meet(client, server)
}

fn a_cork_holds_back_until_it_is_pulled<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, server, .. } = Pair::new(driver)?;
    // What has waited for 200 ms leaves all the same: the look must be in time.
    let (enough, limit) = (Duration::from_millis(50), Duration::from_millis(150));
    let mut judged = false;
    comes("the machine is quick enough to tell", || {
        client.set_cork(true)?;
        let start = now();
        write_all(&client, b"half a ")?;
        server.set_read_timeout(Some(enough))?;
        let early = server.peek(&mut [0; 32]);
        if start.elapsed() < limit {
            fails(early, D::OUT_OF_TIME)?;
            judged = true;
        }
        write_all(&client, b"segment")?;
        client.set_cork(false)?;
        patient(&server)?;
        same_bytes(&read_some(&server, 14)?, b"half a segment")?;
        Ok(judged)
    })
}

fn impossible_keepalive_is_refused<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, server, .. } = Pair::new(driver)?;
    let usual = Keepalive::default();
    for never in [
        Keepalive { probes: 0, ..usual },
        Keepalive { idle: Duration::ZERO, ..usual },
        Keepalive { interval: Duration::ZERO, ..usual },
    ] {
        fails(client.set_keepalive(Some(never)), ErrorKind::InvalidInput)?;
    }
    client.set_keepalive(Some(usual))?;
    client.set_keepalive(None)?;
    meet(&client, &server)
}

fn an_impossible_user_timeout_is_refused<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, server, .. } = Pair::new(driver)?;
    fails(client.set_user_timeout(Duration::ZERO), ErrorKind::InvalidInput)?;
    client.set_user_timeout(LONG)?;
    meet(&client, &server)
}

fn an_aborted_stream_has_no_options<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, .. } = Pair::new(driver)?;
    client.abort();
    fails(client.set_nodelay(true), ErrorKind::NotConnected)?;
    fails(client.set_cork(true), ErrorKind::NotConnected)?;
    fails(client.set_keepalive(None), ErrorKind::NotConnected)?;
    fails(client.set_user_timeout(LONG), ErrorKind::NotConnected)?;
    // What is the handle's own stays.
    client.set_read_timeout(None)?;
    same(client.read_timeout()?, None)
}

fn a_configuration_reaches_its_connections<D: Driver>(driver: &D) -> Outcome {
    let plain = quick().with_max_mss(700).with_timestamps(false).with_sack(false);
    let pair = Pair::with(driver, &configured(plain)?, &Setup::default())?;
    for info in [pair.client.info()?, pair.server.info()?] {
        same((info.timestamps, info.sack), (false, false))?;
        holds(info.mss <= 700, "segments are no larger than asked for")?;
    }
    same(pair.server.info()?.peer_mss, 700)?;
    let other = driver.bind(local(), &Setup::default())?;
    let other = Pair::<D>::between(&other, pair.listener)?;
    let info = other.client.info()?;
    same((info.timestamps, info.sack), (true, true))
}
