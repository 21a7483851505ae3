//! What a stream and a socket tell of themselves.

use core::time::Duration;
use std::net::Shutdown;

use tou_proto::State;
use tou_udp::{Direction, Impairment};

use crate::check::{Outcome, comes, holds, same, same_bytes};
use crate::driver::{Driver, Setup, Socket, Stream};
use crate::kit::{Pair, configured, exchange, local, meet, mute, quick, read_some, write_all};

topic! { "info"
    states_follow_the_connection:
        "The states of both ends are RFC 9293's while the connection opens and ends.";
    octets_are_counted: "Sent, acknowledged and received octets are those that were written.";
    queues_are_told: "Unread and unacknowledged octets are counted while they wait.";
    round_trips_are_measured:
        "The round trip is known after an exchange, and is not less than the network's.";
    retransmissions_are_counted: "What was lost and sent again is counted.";
    a_stall_is_told: "A connection whose segments are not acknowledged is stalled, until one is.";
    connections_are_counted: "A socket knows how many connections it has.";
    strays_are_counted: "A segment for nobody is counted, and answered with a reset.";
}

fn states_follow_the_connection<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, server, .. } = Pair::new(driver)?;
    meet(&client, &server)?;
    same((client.info()?.state, server.info()?.state), (State::Established, State::Established))?;
    client.shutdown(Shutdown::Write)?;
    comes("one side has closed", || {
        Ok((client.info()?.state, server.info()?.state) == (State::FinWait2, State::CloseWait))
    })?;
    server.shutdown(Shutdown::Write)?;
    comes("both have closed", || {
        Ok((client.info()?.state, server.info()?.state) == (State::TimeWait, State::Closed))
    })
}

fn octets_are_counted<D: Driver>(driver: &D) -> Outcome {
    const LEN: u64 = 300_000;
    let Pair { client, server, .. } = Pair::new(driver)?;
    exchange(&client, &server, 300_000)?;
    for stream in [&client, &server] {
        comes("all is acknowledged", || Ok(stream.info()?.counters.bytes_acked == LEN))?;
        let counters = stream.info()?.counters;
        same(counters.bytes_received, LEN)?;
        same(counters.bytes_sent - counters.bytes_retransmitted, LEN)?;
        holds(counters.segments_sent > 0 && counters.segments_received > 0, "segments too")?;
    }
    Ok(())
}

fn queues_are_told<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, server, .. } = Pair::new(driver)?;
    write_all(&client, &[7; 5_000])?;
    comes("it waits to be read", || Ok(server.info()?.recv_queue == 5_000))?;
    comes("it is acknowledged", || Ok(client.info()?.send_queue == 0))?;
    read_some(&server, 2_000)?;
    same(server.info()?.recv_queue, 3_000)?;
    mute::<D>(&client)?;
    write_all(&client, &[7; 400])?;
    same(client.info()?.send_queue, 400)?;
    client.abort();
    server.abort();
    Ok(())
}

fn round_trips_are_measured<D: Driver>(driver: &D) -> Outcome {
    let delay = Duration::from_millis(10);
    let far = Impairment { delay, ..Impairment::default() };
    let setup = Setup { impairment: Some((Direction::Send, far)), ..Setup::default() };
    let pair = Pair::with(driver, &setup, &setup)?;
    meet(&pair.client, &pair.server)?;
    let info = pair.client.info()?;
    holds(info.srtt >= Some(2 * delay), format!("smoothed round trip: {:?}", info.srtt))?;
    holds(info.min_rtt >= Some(2 * delay), format!("least round trip: {:?}", info.min_rtt))?;
    holds(info.rto >= 2 * delay, format!("retransmission timeout: {:?}", info.rto))?;
    pair.part()
}

fn retransmissions_are_counted<D: Driver>(driver: &D) -> Outcome {
    let setup = configured(quick())?;
    let Pair { client, server, .. } = Pair::with(driver, &setup, &setup)?;
    meet(&client, &server)?;
    let before = client.info()?.counters.bytes_retransmitted;
    mute::<D>(&client)?;
    write_all(&client, b"lost")?;
    comes("it is sent again", || {
        let counters = client.info()?.counters;
        Ok(counters.timeouts >= 1 && counters.bytes_retransmitted >= before + 4)
    })?;
    client.socket().impair(Direction::Send, &Impairment::default())?;
    read_some(&server, 4)?;
    comes("the timeouts are over", || Ok(client.info()?.timeouts_in_a_row == 0))
}

fn a_stall_is_told<D: Driver>(driver: &D) -> Outcome {
    let setup = configured(quick())?;
    let Pair { client, server, .. } = Pair::with(driver, &setup, &setup)?;
    meet(&client, &server)?;
    holds(!client.info()?.is_stalled, "all is well")?;
    mute::<D>(&client)?;
    write_all(&client, b"lost")?;
    comes("it is stalled", || Ok(client.info()?.is_stalled))?;
    client.socket().impair(Direction::Send, &Impairment::default())?;
    comes("it is stalled no longer", || Ok(!client.info()?.is_stalled))?;
    same_bytes(&read_some(&server, 4)?, b"lost")
}

fn connections_are_counted<D: Driver>(driver: &D) -> Outcome {
    let socket = driver.bind(local(), &Setup::default())?;
    same((socket.connection_count(), socket.time_wait_count()), (0, 0))?;
    let Pair { client, server, listener } = Pair::<D>::between(&socket, driver.listen(local())?)?;
    let other = Pair::<D>::between(&socket, listener)?;
    same(socket.connection_count(), 2)?;
    client.abort();
    comes("one is gone", || Ok(socket.connection_count() == 1))?;
    drop((server, other.server));
    drop(other.client);
    comes("both are gone", || Ok(socket.connection_count() == 0))
}

fn strays_are_counted<D: Driver>(driver: &D) -> Outcome {
    let socket = driver.bind(local(), &Setup::default())?;
    let before = socket.counters();
    same((before.stray_segments, before.resets_sent), (0, 0))?;
    holds(driver.connect(socket.local_addr()).is_err(), "nobody listens")?;
    let after = socket.counters();
    same((after.stray_segments, after.resets_sent), (1, 1))
}
