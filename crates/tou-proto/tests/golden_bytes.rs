//! The exact octets of a short exchange. They change only when the wire format
//! or a default does, and then on purpose.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use core::time::Duration;

use tou_proto::Port;
use tou_sim::Pair;

/// Sender, and the datagram as hexadecimal digits: the header's fields, the
/// options, the data.
const EXCHANGE: [(&str, &str); 6] = [
    // SYN
    (
        "client",
        "9c40 0007 a4d63bfd 00000000 a002 ffff 0000 0000  020405ac 0402 080aac2c838b00000000 01 030308",
    ),
    // SYN-ACK
    (
        "server",
        "0007 9c40 66ab9a12 a4d63bfe a012 ffff 0000 0000  020405ac 0402 080ad6275383ac2c838b 01 030308",
    ),
    // request and FIN
    (
        "client",
        "9c40 0007 a4d63bfe 66ab9a13 8019 0200 0000 0000  01 01 080aac2c839fd6275383  474554202f0d0a",
    ),
    // ACK of both
    ("server", "0007 9c40 66ab9a13 a4d63c06 8010 01ff 0000 0000  01 01 080ad6275397ac2c839f"),
    // response and FIN
    (
        "server",
        "0007 9c40 66ab9a13 a4d63c06 8019 01ff 0000 0000  01 01 080ad627556dac2c839f  3430340d0a",
    ),
    // ACK of both
    ("client", "9c40 0007 a4d63c06 66ab9a19 8010 01ff 0000 0000  01 01 080aac2c8589d627556d"),
];

#[test]
fn short_exchange_is_as_it_always_was() {
    let mut pair = Pair::new(1);
    let (remote, listener) = (pair.remote(), pair.listener());
    let client = pair.client().connect(remote, Port::new(40_000)).unwrap();
    pair.client().write(client, b"GET /\r\n").unwrap();
    pair.client().shutdown(client).unwrap();
    pair.run_for(Duration::from_millis(500));
    let server = pair.server().accept(listener).unwrap();
    assert_eq!(pair.server().read_all(server), (b"GET /\r\n".to_vec(), Ok(())));
    pair.server().write(server, b"404\r\n").unwrap();
    pair.server().close(server).unwrap();
    pair.run_for(Duration::from_secs(2));
    let sent: Vec<(&str, String)> = pair
        .world
        .trace
        .records()
        .map(|record| {
            let hex = record.datagram.iter().map(|octet| format!("{octet:02x}")).collect();
            (record.from, hex)
        })
        .collect();
    let expected = EXCHANGE.map(|(from, hex)| (from, hex.replace(' ', "")));
    assert_eq!(sent, expected, "\n{}", pair.world.trace.tail(99));
}
