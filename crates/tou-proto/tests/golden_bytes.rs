//! The exact octets of a short exchange. They change only when the wire format
//! or a default does, and then on purpose.

use core::time::Duration;

use tou_proto::Port;
use tou_sim::Pair;

/// Sender, and the datagram as hexadecimal digits.
const EXCHANGE: [(&str, &str); 1] = [("client", "")];

#[test]
fn short_exchange_is_as_it_always_was() {
    let mut pair = Pair::new(1);
    let (remote, listener) = (pair.remote(), pair.listener());
    let client = pair.client().connect(remote, Port::new(40_000)).unwrap();
    pair.client().write(client, b"GET /\r\n").unwrap();
    pair.client().shutdown(client).unwrap();
    pair.run_for(Duration::from_millis(500));
    let server = pair.server().accept(listener).unwrap();
    pair.server().write(server, b"404\r\n").unwrap();
    pair.server().close(server).unwrap_err();
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
