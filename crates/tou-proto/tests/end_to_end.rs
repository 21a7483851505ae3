//! Whatever the network does and however the ends are set up: what one says the
//! other hears, exactly, and both end clean.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use core::time::Duration;
use std::env;
use std::sync::Arc;

use quickcheck::{Arbitrary, Gen, QuickCheck};
use tou_proto::cc::CongestionControl;
use tou_proto::wire::Checksum;
use tou_proto::{ConnectionConfig, EndpointConfig};
use tou_sim::{Knobs, Manners, Pair, Talk, presets};

/// One conversation.
#[derive(Clone, Debug)]
struct Scenario {
    seed: u64,
    client: Party,
    server: Party,
    to_server: Knobs,
    to_client: Knobs,
    batch: bool,
    ipv6: bool,
    checksum: Checksum,
    before_wrap: Option<u32>,
}

/// One end of it.
#[derive(Clone, Debug)]
struct Party {
    says: usize,
    timestamps: bool,
    sack: bool,
    window_scaling: bool,
    reno: bool,
    nodelay: bool,
    mtu: u16,
    recv_buffer: u64,
    send_buffer: u64,
    manners: Manners,
}

#[test]
fn whatever_the_network_does_both_hear_what_the_other_said() {
    let cases = env::var("QUICKCHECK_TESTS").map_or(1_000, |cases| cases.parse().unwrap());
    QuickCheck::new().tests(cases).max_tests(cases).quickcheck(holds as fn(Scenario));
}

#[expect(clippy::needless_pass_by_value, reason = "what quickcheck wants")]
fn holds(scenario: Scenario) {
    let Scenario { client, server, .. } = &scenario;
    let mut builder = Pair::builder(scenario.seed)
        .client(client.config(scenario.checksum))
        .server(server.config(scenario.checksum))
        .to_server(scenario.to_server.clone())
        .to_client(scenario.to_client.clone())
        .batch(scenario.batch)
        .ipv6(scenario.ipv6);
    if let Some(octets) = scenario.before_wrap {
        builder = builder.isns_before_wrap(octets);
    }
    let mut pair = builder.build();
    pair.patience = DAY;
    let (client_conn, server_conn) = pair.connect();
    let mut from_client = Talk::new(client_conn, words(1, client.says), client.manners);
    let mut from_server = Talk::new(server_conn, words(2, server.says), server.manners);
    pair.converse(&mut from_client, &mut from_server);
    assert_eq!(from_client.write_end(), Some(Ok(())));
    assert_eq!(from_server.write_end(), Some(Ok(())));
    assert_eq!(from_client.read_end(), Some(Ok(())));
    assert_eq!(from_server.read_end(), Some(Ok(())));
    assert!(from_server.received() == words(1, client.says), "the server heard something else");
    assert!(from_client.received() == words(2, server.says), "the client heard something else");
    pair.client().close(client_conn).unwrap();
    pair.server().close(server_conn).unwrap();
    assert!(pair.run_until_idle(DAY), "somebody goes on for ever");
    for id in [pair.client, pair.server] {
        let endpoint = pair.world.host(id).endpoint();
        assert_eq!((endpoint.connection_count(), endpoint.unfinished_count()), (0, 0));
        let counters = endpoint.counters();
        assert_eq!((counters.malformed_segments, counters.bad_checksums), (0, 0));
    }
}

/// Octets that differ from each other wherever a segment might be misplaced.
fn words(who: u32, len: usize) -> Vec<u8> {
    (0..len)
        .map(|at| {
            let at = u32::try_from(at).unwrap() ^ (who << 28);
            (at.wrapping_mul(0x9E37_79B1) >> 24) as u8
        })
        .collect()
}

impl Party {
    fn config(&self, checksum: Checksum) -> Arc<EndpointConfig> {
        let congestion = if self.reno { CongestionControl::Reno } else { CongestionControl::Cubic };
        let connection = ConnectionConfig::builder()
            .with_timestamps(self.timestamps)
            .with_sack(self.sack)
            .with_window_scaling(self.window_scaling)
            .with_congestion(congestion)
            .with_nodelay(self.nodelay)
            .with_recv_buffer(self.recv_buffer, 4 * self.recv_buffer)
            .with_send_buffer(self.send_buffer, 4 * self.send_buffer)
            // A third of all datagrams lost is no reason to give up.
            .with_user_timeout(DAY)
            .with_connect_timeout(DAY)
            .build()
            .unwrap();
        presets::endpoint_builder()
            .with_connection(connection)
            .with_mtu(self.mtu)
            .with_checksum(checksum)
            // Nor is a peer whose first acknowledgments are all lost.
            .with_syn_ack_retries(u8::MAX)
            .build()
            .unwrap()
    }
}

const DAY: Duration = Duration::from_secs(86_400);

fn pick<T: Clone>(g: &mut Gen, choices: &[T]) -> T {
    g.choose(choices).unwrap().clone()
}

fn up_to(g: &mut Gen, most: u32) -> u32 {
    u32::arbitrary(g) % (most + 1)
}

impl Arbitrary for Party {
    fn arbitrary(g: &mut Gen) -> Self {
        let most = pick(g, &[0, 1, 2_000, 20_000, 200_000]);
        Self {
            says: up_to(g, most) as usize,
            timestamps: bool::arbitrary(g),
            sack: bool::arbitrary(g),
            window_scaling: bool::arbitrary(g),
            reno: bool::arbitrary(g),
            nodelay: bool::arbitrary(g),
            mtu: pick(g, &[576, 1_280, 1_500, 9_000]),
            recv_buffer: pick(g, &[2_048, 5_000, 65_536, 131_072]),
            send_buffer: pick(g, &[2_048, 20_000, 131_072]),
            manners: Manners {
                write_size: pick(g, &[100, 1_440, 5_000, 131_072]),
                write_bytes: bool::arbitrary(g),
                read_size: pick(g, &[100, 1_440, 5_000, 131_072]),
                read_chunks: bool::arbitrary(g),
                read_pause: Duration::from_millis(pick(g, &[0, 0, 0, 30])),
            },
        }
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
        let this = self.clone();
        Box::new(self.says.shrink().map(move |says| Self { says, ..this.clone() }))
    }
}

fn arbitrary_knobs(g: &mut Gen) -> Knobs {
    let fraction = |g: &mut Gen, most: u32| f64::from(up_to(g, most)) / 100.0;
    let millis = |g: &mut Gen, most: u32| Duration::from_millis(up_to(g, most).into());
    let mut knobs = Knobs { delay: millis(g, 80), ..Knobs::default() };
    // Most troubles are absent most of the time, so that each is also met alone.
    if bool::arbitrary(g) {
        knobs.loss = fraction(g, 30);
        knobs.loss_burst = pick(g, &[1.0, 1.0, 3.0]);
    }
    if bool::arbitrary(g) {
        knobs.duplicate = fraction(g, 30);
    }
    if bool::arbitrary(g) {
        knobs.reorder = fraction(g, 30);
        knobs.reorder_delay = millis(g, 60);
    }
    if bool::arbitrary(g) {
        knobs.jitter = millis(g, 30);
    }
    if bool::arbitrary(g) {
        knobs.rate = pick(g, &[20_000, 200_000, 2_000_000]);
        // Less than a packet or two would be no queue.
        knobs.queue = pick(g, &[20_000, 50_000, u64::MAX]);
    }
    knobs
}

/// The same path with less trouble.
fn calmer(knobs: &Knobs) -> Vec<Knobs> {
    let calm = Knobs { delay: knobs.delay, ..Knobs::default() };
    [
        calm.clone(),
        Knobs { loss: 0.0, ..knobs.clone() },
        Knobs { duplicate: 0.0, ..knobs.clone() },
        Knobs { reorder: 0.0, ..knobs.clone() },
        Knobs { jitter: Duration::ZERO, ..knobs.clone() },
        Knobs { rate: 0, ..knobs.clone() },
    ]
    .into_iter()
    .filter(|other| other != knobs)
    .collect()
}

impl Arbitrary for Scenario {
    fn arbitrary(g: &mut Gen) -> Self {
        Self {
            seed: u64::arbitrary(g),
            client: Party::arbitrary(g),
            server: Party::arbitrary(g),
            to_server: arbitrary_knobs(g),
            to_client: arbitrary_knobs(g),
            batch: bool::arbitrary(g),
            ipv6: bool::arbitrary(g),
            checksum: pick(g, &[Checksum::Carrier, Checksum::Segment]),
            before_wrap: bool::arbitrary(g).then(|| up_to(g, 100_000)),
        }
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
        let this = self.clone();
        let mut less = Vec::new();
        less.extend(
            calmer(&this.to_server).into_iter().map(|to_server| Self { to_server, ..this.clone() }),
        );
        less.extend(
            calmer(&this.to_client).into_iter().map(|to_client| Self { to_client, ..this.clone() }),
        );
        if this.before_wrap.is_some() {
            less.push(Self { before_wrap: None, ..this.clone() });
        }
        let other = self.clone();
        let clients = self.client.shrink().map(move |client| Self { client, ..this.clone() });
        let servers = self.server.shrink().map(move |server| Self { server, ..other.clone() });
        Box::new(less.into_iter().chain(clients).chain(servers))
    }
}
