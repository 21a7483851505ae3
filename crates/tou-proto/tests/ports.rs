//! Many connections one after the other between the same two addresses: ephemeral
//! ports (RFC 6056), and names that come back while TIME-WAIT stands (RFC 6191,
//! RFC 9293 §3.6.1).

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::HashSet;
use std::sync::Arc;

use tou_proto::{
    ConnId, ConnectError, ConnectionConfig, DatagramMachine, Endpoint, EndpointConfig, Event,
    Instant, ListenerId, Port, ReceivedBatch, Remote, State, TransmitBuf,
};
use tou_sim::presets;
use tou_sim::script::{Script, ack, fin, syn_ack};

/// Who closes first, and so keeps TIME-WAIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum First {
    Client,
    Server,
}

/// Two endpoints with nothing between them.
struct Two {
    now: Instant,
    client: Endpoint,
    server: Endpoint,
    listener: ListenerId,
    buf: TransmitBuf,
}

const CLIENT: ([u8; 4], u16) = ([10, 0, 0, 1], 9);
const SERVER: ([u8; 4], u16) = ([10, 0, 0, 2], 7);

impl Two {
    fn new(config: &Arc<EndpointConfig>) -> Self {
        let mut server = Endpoint::new(config.clone(), [2; 32]);
        let listener = server.listen(Port::new(7).unwrap(), 16).unwrap();
        Self {
            now: Instant::from_secs(1),
            client: Endpoint::new(config.clone(), [1; 32]),
            server,
            listener,
            buf: TransmitBuf::new(8, TransmitBuf::MAX_BYTES),
        }
    }

    /// Lets a moment pass.
    fn advance(&mut self, by: Duration) {
        self.now = self.now + by;
        for side in [&mut self.client, &mut self.server] {
            if side.poll_timeout().is_some_and(|at| at <= self.now) {
                side.handle_timeout(self.now);
            }
        }
    }

    /// Lets both talk until neither has anything to say.
    fn talk(&mut self) {
        loop {
            let Self { now, client, server, buf, .. } = self;
            let to_server = carry(*now, buf, (client, CLIENT.into()), server);
            let to_client = carry(*now, buf, (server, SERVER.into()), client);
            if !to_server && !to_client {
                return;
            }
        }
    }

    fn connect(&mut self) -> Result<ConnId, ConnectError> {
        let remote = Remote { addr: SERVER.into(), port: Port::new(7).unwrap() };
        self.client.connect(self.now, remote)
    }

    /// One connection from its SYN to its last ACK; returns the client's port.
    fn cycle(&mut self, first: First) -> Port {
        let conn = self.connect().unwrap();
        let port = self.client.addresses(conn).unwrap().1;
        self.talk();
        let peer = self.server.accept(self.listener).unwrap();
        let now = self.now;
        match first {
            First::Client => {
                self.client.close(now, conn).unwrap();
                self.talk();
                self.server.close(now, peer).unwrap();
            }
            First::Server => {
                self.server.close(now, peer).unwrap();
                self.talk();
                self.client.close(now, conn).unwrap();
            }
        }
        self.talk();
        assert_eq!(self.client.connection_count() + self.server.connection_count(), 0);
        while let Some(event) = self.client.poll_event() {
            assert!(!matches!(event, Event::Closed(_, Some(_))), "{event:?}");
        }
        while self.server.poll_event().is_some() {}
        port
    }
}

fn carry(
    now: Instant,
    buf: &mut TransmitBuf,
    (from, addr): (&mut Endpoint, SocketAddr),
    to: &mut Endpoint,
) -> bool {
    let Some(transmit) = from.poll_transmit(now, buf) else { return false };
    let mut batch = ReceivedBatch::single(addr, buf.data().to_vec());
    batch.stride = transmit.stride;
    to.handle_batch(now, &batch);
    true
}

/// Connections at 10,000 a second, for longer than the 45,056 ports last.
fn connects_go_on(first: First) {
    let config = EndpointConfig::builder().with_max_time_wait(50_000).build().unwrap();
    let mut two = Two::new(&config);
    let connects = if cfg!(debug_assertions) { 50_000 } else { 1_000_000 };
    for _ in 0..connects {
        two.cycle(first);
        two.advance(Duration::from_micros(100));
    }
    let (keeper, other) = match first {
        First::Client => (&two.client, &two.server),
        First::Server => (&two.server, &two.client),
    };
    assert_eq!(other.time_wait_count(), 0);
    // The server's are names drawn at random, some of them twice.
    assert!((30_000..=45_056).contains(&keeper.time_wait_count()), "{}", keeper.time_wait_count());
    assert!(keeper.counters().time_wait_reused > 1_000);
    assert_eq!(keeper.counters().time_wait_evicted, 0);
}

#[test]
fn connects_go_on_where_the_client_closes_first() {
    connects_go_on(First::Client);
}

#[test]
fn connects_go_on_where_the_server_closes_first() {
    connects_go_on(First::Server);
}

#[test]
fn time_wait_keeps_to_its_bound_and_connects_go_on() {
    let config = EndpointConfig::builder().with_max_time_wait(100).build().unwrap();
    for first in [First::Client, First::Server] {
        let mut two = Two::new(&config);
        for _ in 0..1_000 {
            two.cycle(first);
            two.advance(Duration::from_micros(100));
            assert!(two.client.time_wait_count() + two.server.time_wait_count() <= 100);
        }
        let evicted = [&two.client, &two.server].map(|side| side.counters().time_wait_evicted);
        assert!(evicted.iter().any(|evicted| *evicted >= 800), "{evicted:?}");
    }
}

#[test]
fn time_wait_ends_after_its_time_and_leaves_no_deadline() {
    let mut two = Two::new(&Arc::default());
    two.cycle(First::Client);
    assert_eq!(two.client.time_wait_count(), 1);
    assert_eq!(two.client.poll_timeout(), Some(two.now + Duration::from_secs(60)));
    two.advance(Duration::from_secs(60));
    assert_eq!((two.client.time_wait_count(), two.client.poll_timeout()), (0, None));
}

#[test]
fn ports_in_time_wait_are_left_alone_for_a_second() {
    let config = EndpointConfig::builder().with_ephemeral_ports(30_000, 30_009).build().unwrap();
    let mut two = Two::new(&config);
    let ports: HashSet<Port> = (0..10).map(|_| two.cycle(First::Client)).collect();
    assert_eq!(ports.len(), 10);
    assert_eq!(two.connect(), Err(ConnectError::NoFreePort));
    two.advance(Duration::from_millis(999));
    assert_eq!(two.connect(), Err(ConnectError::NoFreePort));
    two.advance(Duration::from_millis(1));
    assert!(ports.contains(&two.cycle(First::Client)));
    assert_eq!(two.client.time_wait_count(), 10);
}

#[test]
fn ports_in_time_wait_are_not_used_again_without_timestamps() {
    let connection = ConnectionConfig::builder().with_timestamps(false).build().unwrap();
    let config = EndpointConfig::builder()
        .with_connection(connection)
        .with_ephemeral_ports(30_000, 30_000)
        .build()
        .unwrap();
    let mut two = Two::new(&config);
    two.cycle(First::Client);
    two.advance(Duration::from_secs(59));
    assert_eq!(two.connect(), Err(ConnectError::NoFreePort));
    two.advance(Duration::from_secs(1));
    two.cycle(First::Client);
}

#[test]
fn new_connection_begins_above_the_one_in_time_wait() {
    let connection = presets::plain_builder().with_timestamps(true).build().unwrap();
    let mut script = Script::with_connection(connection);
    let conn = script.connect();
    let (tsval, local) =
        (script.take_output()[0].0.options.timestamps.unwrap().tsval, script.local_port);
    script.inject(syn_ack(0, 1).ts(1_000, tsval));
    script.take_output();
    script.host.close(conn).unwrap();
    script.take_output();
    script.inject(fin(1, 2).ts(1_001, tsval));
    script.take_output();
    let remote = Remote { addr: script.peer, port: script.peer_port };
    assert_eq!(script.host.endpoint().state_of(remote, local), State::TimeWait);
    assert_eq!(script.host.connect(remote, Some(local)), Err(ConnectError::InUse));
    script.advance(1_000);
    let old = script.local_isn().unwrap();
    script.forget_isn();
    let again = script.host.connect(remote, Some(local)).unwrap();
    let (first, _) = script.take_output().remove(0);
    assert!(script.local_isn().unwrap().distance_from(old.plus(2)) >= 0);
    assert!(first.options.timestamps.unwrap().tsval > tsval);
    // An answer to the old connection is none to the new one.
    script.inject(ack(2, 2));
    assert_eq!(script.state(again), State::SynSent);
}

#[test]
fn consecutive_ports_are_not_foreseeable() {
    // RFC 6056 §3: neither the next nor near it, as a counter's would be.
    let mut two = Two::new(&Arc::default());
    let ports: Vec<u16> = (0..1_000)
        .map(|_| {
            two.advance(Duration::from_micros(10));
            two.cycle(First::Server).get()
        })
        .collect();
    assert!(ports.iter().all(|port| *port >= 20_480));
    let near = ports.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) < 64).count();
    assert!(near < 20, "{near}");
    let upper = ports.iter().filter(|port| **port >= 43_008).count();
    assert!((400..600).contains(&upper), "{upper}");
    // And another seed gives others.
    let mut other = Two::new(&Arc::default());
    other.client = Endpoint::new(Arc::default(), [9; 32]);
    other.advance(Duration::from_micros(10));
    assert_ne!(other.cycle(First::Server).get(), ports[0]);
}
