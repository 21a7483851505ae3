//! The network loses, copies, delays, reorders and damages: everything arrives
//! all the same.

use core::time::Duration;
use std::io::ErrorKind;
use std::net::Shutdown;
use std::sync::Arc;
use std::thread;

use tou_proto::EndpointConfig;
use tou_proto::wire::Checksum;
use tou_udp::{Damage, Direction, Impairment};

use crate::check::{Failure, Outcome, comes, fails, holds, same_bytes};
use crate::driver::{Driver, Setup, Socket, Stream};
use crate::kit::{
    Pair, configured, exchange, local, meet, mute, noise, nothing, quick, read_all, write_all,
};

topic! { "impairment"
    loss_loses_nothing: "One datagram in twenty is lost each way, and the data is whole.";
    copies_add_nothing: "One datagram in five arrives twice, and the data is whole.";
    reordering_disorders_nothing: "One datagram in five is overtaken, and the data is whole.";
    jitter_disorders_nothing: "Datagrams take their time, and the data is whole.";
    everything_at_once_is_survived: "Loss, copies, reordering and damage at once, both ways.";
    a_flipped_bit_is_caught:
        "With a checksum in the segment, flipped bits are found and the data is whole.";
    an_outage_is_survived:
        "What was written while nothing passed arrives when the network is back.";
    loss_while_connecting_is_survived: "A lossy network is connected through.";
    loss_while_closing_is_survived:
        "What a dropped stream had written arrives through loss, with its end.";
    an_impossible_network_is_refused: "A probability above one is InvalidInput.";
}

const LEN: usize = 200_000;

fn bad(seed: u64) -> Impairment {
    Impairment { seed, ..Impairment::default() }
}

fn through(impairment: Impairment) -> Result<Setup, Failure> {
    Ok(Setup { impairment: Some((Direction::Send, impairment)), ..configured(quick())? })
}

/// Data both ways through the same network. Returns what became of what the
/// client sent.
fn over<D: Driver>(driver: &D, network: &Impairment) -> Result<Pair<D>, Failure> {
    let other = Impairment { seed: network.seed + 1, ..network.clone() };
    let pair = Pair::with(driver, &through(network.clone())?, &through(other)?)?;
    exchange(&pair.client, &pair.server, LEN)?;
    Ok(pair)
}

fn loss_loses_nothing<D: Driver>(driver: &D) -> Outcome {
    let pair = over(driver, &Impairment { drop: 0.05, ..bad(1) })?;
    let stats = pair.client.socket().impairment_stats(Direction::Send);
    holds(stats.is_some_and(|stats| stats.dropped > 0), "something was lost")?;
    holds(pair.client.info()?.counters.segments_retransmitted > 0, "and sent again")?;
    pair.part()
}

fn copies_add_nothing<D: Driver>(driver: &D) -> Outcome {
    let pair = over(driver, &Impairment { duplicate: 0.2, ..bad(3) })?;
    let stats = pair.client.socket().impairment_stats(Direction::Send);
    holds(stats.is_some_and(|stats| stats.duplicated > 0), "something was copied")?;
    holds(pair.server.info()?.counters.duplicate_bytes_received > 0, "and noticed")
}

fn reordering_disorders_nothing<D: Driver>(driver: &D) -> Outcome {
    let pair = over(driver, &Impairment { reorder: 0.2, ..bad(5) })?;
    let stats = pair.client.socket().impairment_stats(Direction::Send);
    holds(stats.is_some_and(|stats| stats.reordered > 0), "something was overtaken")?;
    holds(pair.server.info()?.counters.out_of_order_segments > 0, "and noticed")
}

fn jitter_disorders_nothing<D: Driver>(driver: &D) -> Outcome {
    let (delay, jitter) = (Duration::from_millis(5), Duration::from_millis(5));
    let pair = over(driver, &Impairment { delay, jitter, ..bad(7) })?;
    let rtt = pair.client.info()?.min_rtt;
    holds(rtt.is_some_and(|rtt| rtt >= 2 * delay), format!("round trips take {rtt:?}"))?;
    pair.part()
}

fn everything_at_once_is_survived<D: Driver>(driver: &D) -> Outcome {
    let network =
        Impairment { drop: 0.03, duplicate: 0.03, reorder: 0.05, corrupt: 0.02, ..bad(9) };
    over(driver, &network)?.part()
}

fn a_flipped_bit_is_caught<D: Driver>(driver: &D) -> Outcome {
    let endpoint = EndpointConfig::builder().with_checksum(Checksum::Segment).build();
    let endpoint = endpoint.map_err(|error| Failure::new(error.to_string()))?;
    let noisy = Impairment { corrupt: 0.05, damage: Damage::FlipBit, ..bad(11) };
    let setup = Setup { endpoint: Some(endpoint), ..through(noisy)? };
    let pair = Pair::with(driver, &setup, &setup)?;
    exchange(&pair.client, &pair.server, LEN)?;
    holds(pair.server.socket().counters().bad_checksums > 0, "flipped bits were found")?;
    pair.part()
}

fn an_outage_is_survived<D: Driver>(driver: &D) -> Outcome {
    let setup = configured(quick())?;
    let Pair { client, server, .. } = Pair::with(driver, &setup, &setup)?;
    meet(&client, &server)?;
    mute::<D>(&client)?;
    write_all(&client, &noise(50_000, 1))?;
    client.shutdown(Shutdown::Write)?;
    comes("it tries", || Ok(client.info()?.counters.timeouts >= 2))?;
    client.socket().impair(Direction::Send, &Impairment::default())?;
    same_bytes(&read_all(&server)?, &noise(50_000, 1))
}

fn loss_while_connecting_is_survived<D: Driver>(driver: &D) -> Outcome {
    // A handshake takes many attempts, and should not wait long between them.
    let rto = [30, 20, 60].map(Duration::from_millis);
    let impatient = configured(quick().with_rto(rto[0], rto[1], rto[2]))?;
    // A server that gave up would leave a client that believes itself connected.
    let endpoint = EndpointConfig::builder().with_syn_ack_retries(100).build();
    let endpoint = endpoint.map_err(|error| Failure::new(error.to_string()))?;
    for seed in 0..4 {
        let setups = [2 * seed, 2 * seed + 1].map(|seed| Setup {
            impairment: Some((Direction::Send, Impairment { drop: 0.3, ..bad(seed) })),
            endpoint: Some(Arc::clone(&endpoint)),
            ..impatient.clone()
        });
        let pair = Pair::with(driver, &setups[0], &setups[1])?;
        meet(&pair.client, &pair.server)?;
        let calm = Impairment::default();
        pair.client.socket().impair(Direction::Send, &calm)?;
        pair.server.socket().impair(Direction::Send, &calm)?;
        pair.part()?;
    }
    Ok(())
}

fn loss_while_closing_is_survived<D: Driver>(driver: &D) -> Outcome {
    let lossy = Impairment { drop: 0.1, ..bad(21) };
    let Pair { client, server, .. } = Pair::with(driver, &through(lossy)?, &configured(quick())?)?;
    write_all(&client, &noise(LEN, 2))?;
    thread::scope(|scope| {
        scope.spawn(|| drop(client));
        same_bytes(&read_all(&server)?, &noise(LEN, 2))
    })
}

fn an_impossible_network_is_refused<D: Driver>(driver: &D) -> Outcome {
    let socket = driver.bind(local(), &Setup::default())?;
    let twice = Impairment { drop: 2.0, ..Impairment::default() };
    fails(socket.impair(Direction::Receive, &twice), ErrorKind::InvalidInput)?;
    let setup = Setup { impairment: Some((Direction::Send, twice)), ..Setup::default() };
    fails(driver.bind(local(), &setup), ErrorKind::InvalidInput)?;
    socket.impair(Direction::Receive, &nothing())?;
    Ok(())
}
