//! Two peers behind address translators that let nobody in whom they have not
//! written to. Both connect at once, to each other: a simultaneous open (RFC
//! 9293 §3.5) makes one connection of it. In memory, on a clock that jumps.

use core::error::Error;
use core::net::SocketAddr;
use core::time::Duration;
use std::collections::BTreeMap;

use tou_proto::{
    ConnId, ConnectionConfig, DatagramMachine, Endpoint, EndpointConfig, Event, Instant, Port,
    ReceivedBatch, Remote, TransmitBuf,
};

/// What both have agreed on, with the addresses, by way of somebody they know.
const PORT: Port = Port::new(40_000).expect("not zero");
const DELAY: Duration = Duration::from_millis(30);

/// A peer and its translator.
struct Peer {
    /// As the world sees it.
    addr: SocketAddr,
    endpoint: Endpoint,
    /// The translator lets in what comes from there.
    is_open: bool,
    conn: Option<ConnId>,
}

/// Runs until both are connected.
pub fn main() -> Result<(), Box<dyn Error>> {
    // The first SYN is often lost to the other's translator: try again soon.
    let soon = Duration::from_millis(250);
    let connection = ConnectionConfig::builder()
        .with_rto(soon, Duration::from_millis(200), Duration::from_secs(60))
        .with_connect_timeout(Duration::from_secs(10))
        .build()?;
    let config = EndpointConfig::builder().with_connection(connection).build()?;
    let peer = |addr: &str, seed| -> Result<Peer, Box<dyn Error>> {
        let endpoint = Endpoint::new(config.clone(), [seed; 32]);
        Ok(Peer { addr: addr.parse()?, endpoint, is_open: false, conn: None })
    };
    let mut peers = [peer("192.0.2.1:1024", 1)?, peer("198.51.100.2:2048", 2)?];

    let mut network = BTreeMap::new();
    let mut buf = TransmitBuf::single();
    let (mut now, mut sent, mut stopped, mut connected) = (Instant::ZERO, 0, 0, 0);
    while connected < 2 {
        for from in 0..2 {
            let other = peers[1 - from].addr;
            let peer = &mut peers[from];
            // They never begin at the same instant.
            if peer.conn.is_none() && now >= Instant::from_millis(100 * from as u64) {
                let remote = Remote { addr: other, port: PORT };
                peer.conn = Some(peer.endpoint.connect_with(now, remote, Some(PORT), None)?);
            }
            peer.endpoint.handle_timeout(now);
            while peer.endpoint.poll_transmit(now, &mut buf).is_some() {
                peer.is_open = true;
                sent += 1;
                let batch = ReceivedBatch::single(peer.addr, buf.data().to_vec());
                network.insert((now + DELAY, sent), (1 - from, batch));
            }
            while let Some(event) = peer.endpoint.poll_event() {
                match event {
                    Event::Connected(_) => connected += 1,
                    event => return Err(format!("{event:?}").into()),
                }
            }
        }
        now = now + Duration::from_millis(10);
        while let Some(entry) = network.first_entry().filter(|entry| entry.key().0 <= now) {
            let (to, batch) = entry.remove();
            let peer = &mut peers[to];
            // A SYN that is let in before this side has begun must not be
            // answered with a reset: who asks `accepts` first never does.
            if peer.is_open && peer.endpoint.accepts(batch.peer, &batch.data) {
                peer.endpoint.handle_batch(now, &batch);
            } else {
                stopped += 1;
            }
        }
    }
    println!("connected after {now} s; {stopped} datagrams found no way in");
    Ok(())
}
