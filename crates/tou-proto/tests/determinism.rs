//! Same seed and same calls, same bytes: in debug and release, on any machine,
//! and whatever unrelated connections do.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use core::time::Duration;

use tou_proto::{Port, Remote};
use tou_sim::{Knobs, Manners, Pair, Script, Talk, presets};

/// A lossy conversation; the digest of every datagram's time, octets and fate.
fn run(seed: u64, batch: bool) -> u64 {
    let path = Knobs {
        loss: 0.03,
        duplicate: 0.02,
        reorder: 0.05,
        jitter: Duration::from_millis(2),
        rate: 2_000_000,
        ..Knobs::default()
    };
    let mut pair = Pair::builder(seed).path(path).batch(batch).build();
    let (client, server) = pair.connect();
    let mut client = Talk::new(client, vec![1; 300_000], Manners::default());
    let mut server = Talk::new(server, vec![2; 200_000], Manners::default());
    pair.converse(&mut client, &mut server);
    pair.client().close(client.conn()).unwrap();
    pair.server().close(server.conn()).unwrap();
    pair.run_for(Duration::from_secs(300));
    pair.world.trace.digest()
}

#[test]
fn same_seed_gives_the_same_run() {
    assert_eq!(run(1, false), run(1, false));
    assert_eq!(run(2, true), run(2, true));
    assert_ne!(run(1, false), run(2, false));
}

/// Debug and release, this machine and that one: all must come to this number.
/// Whoever changes what is sent when, on purpose, writes the new one down.
#[test]
fn run_is_the_one_that_was_written_down() {
    assert_eq!(format!("{:016x}", run(1, true)), "703284c5f6d08cff");
}

/// The first segment of a connection to each of these ports, in this order.
fn syns(ports: [u16; 3], local: impl Fn(u16) -> Option<u16>) -> Vec<(u16, String)> {
    let mut script = Script::with_connection(presets::plain());
    let mut syns = Vec::new();
    for port in ports {
        let remote = Remote { addr: script.peer, port: Port::new(port).unwrap() };
        let local = local(port).map(|local| Port::new(local).unwrap());
        script.host.connect(remote, local).unwrap();
        script.forget_isn();
        script.take_output();
        syns.push((port, script.trace.records().next_back().unwrap().to_string()));
    }
    syns.sort();
    syns
}

#[test]
fn connections_do_not_depend_on_the_order_they_were_made_in() {
    let given = |port| Some(port + 1_000);
    assert_eq!(syns([1, 2, 3], given), syns([3, 1, 2], given));
    let ephemeral = |_| None;
    assert_eq!(syns([1, 2, 3], ephemeral), syns([2, 3, 1], ephemeral));
}

/// The server's part of a short exchange, while another connection is made
/// before, after or not at all.
fn beside(stranger_first: Option<bool>) -> Vec<Vec<u8>> {
    let mut pair = Pair::new(6);
    let listener = pair.listener();
    let (remote, stranger) = (pair.remote(), Port::new(3_333));
    if stranger_first == Some(true) {
        pair.client().connect(remote, stranger).unwrap();
    }
    let conn = pair.client().connect(remote, Port::new(4_444)).unwrap();
    if stranger_first == Some(false) {
        pair.client().connect(remote, stranger).unwrap();
    }
    pair.client().write(conn, b"hello").unwrap();
    pair.run_for(Duration::from_secs(1));
    while let Some(accepted) = pair.server().accept(listener) {
        pair.server().read_all(accepted).1.unwrap_err();
        pair.server().write(accepted, b"hello yourself").unwrap();
        pair.server().close(accepted).unwrap();
    }
    pair.run_for(Duration::from_secs(1));
    let records = pair.world.trace.records().filter(|record| {
        record.header().is_some_and(|header| {
            [header.src_port, header.dst_port].map(Port::get).contains(&4_444)
        })
    });
    records.map(|record| record.datagram.to_vec()).collect()
}

#[test]
fn connections_do_not_depend_on_strangers() {
    let alone = beside(None);
    assert!(alone.len() > 5);
    assert_eq!(alone, beside(Some(true)));
    assert_eq!(alone, beside(Some(false)));
}
