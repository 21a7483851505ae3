//! A client, a server and the path between them: what most tests need.
//!
//! ```
//! use tou_sim::Pair;
//!
//! let mut pair = Pair::new(7);
//! pair.to_server().loss = 0.2;
//! let (client, server) = pair.connect();
//! pair.client().write(client, b"hello").unwrap();
//! pair.run_until(|pair| pair.server().info(server).unwrap().recv_queue == 5);
//! ```

use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use core::time::Duration;
use std::sync::Arc;

use tou_proto::{
    ConnId, ConnectionConfig, EndpointConfig, Event, Instant, ListenerId, Port, Remote, SeqNumber,
};

use crate::host::Host;
use crate::link::Knobs;
use crate::presets;
use crate::talk::Talk;
use crate::world::{HostId, World};

/// How a [`Pair`] is made.
#[derive(Clone, Debug)]
#[must_use]
pub struct PairBuilder {
    seed: u64,
    client: Arc<EndpointConfig>,
    server: Arc<EndpointConfig>,
    to_server: Knobs,
    to_client: Knobs,
    batch: bool,
    ipv6: bool,
    before_wrap: Option<u32>,
}

impl PairBuilder {
    /// The client's configuration.
    pub fn client(mut self, config: Arc<EndpointConfig>) -> Self {
        self.client = config;
        self
    }

    /// The server's configuration.
    pub fn server(mut self, config: Arc<EndpointConfig>) -> Self {
        self.server = config;
        self
    }

    /// Both sides' configuration.
    pub fn config(self, config: &Arc<EndpointConfig>) -> Self {
        self.client(Arc::clone(config)).server(Arc::clone(config))
    }

    /// The configuration of both sides' connections.
    pub fn connection(self, config: Arc<ConnectionConfig>) -> Self {
        let config = presets::endpoint_builder().with_connection(config).build();
        self.config(&config.expect("all else is default"))
    }

    /// What the path does, both ways.
    pub fn path(mut self, knobs: Knobs) -> Self {
        self.to_server = knobs.clone();
        self.to_client = knobs;
        self
    }

    /// What the path to the server does.
    pub fn to_server(mut self, knobs: Knobs) -> Self {
        self.to_server = knobs;
        self
    }

    /// What the path to the client does.
    pub fn to_client(mut self, knobs: Knobs) -> Self {
        self.to_client = knobs;
        self
    }

    /// Datagrams that arrive together are handed over together.
    pub fn batch(mut self, batch: bool) -> Self {
        self.batch = batch;
        self
    }

    /// Gives the hosts IPv6 addresses.
    pub fn ipv6(mut self, ipv6: bool) -> Self {
        self.ipv6 = ipv6;
        self
    }

    /// Lets both sides' initial sequence numbers be this far from the wrap, if
    /// they connect at once over a path that loses neither SYN.
    ///
    /// RFC 6528's numbers grow by one each 4 us. So a rehearsal tells what they
    /// are, and each host's clock is put forward by what is missing.
    pub fn isns_before_wrap(mut self, octets: u32) -> Self {
        self.before_wrap = Some(octets);
        self
    }

    /// Makes the pair.
    #[must_use]
    pub fn build(self) -> Pair {
        let offsets = self.before_wrap.map(|octets| {
            let rehearsal = Self {
                before_wrap: None,
                to_server: Knobs { delay: self.to_server.delay, ..Knobs::default() },
                to_client: Knobs { delay: self.to_client.delay, ..Knobs::default() },
                ..self.clone()
            };
            let mut pair = rehearsal.build();
            pair.connect();
            let (client, server) = pair.isns();
            [client, server].map(|isn| {
                let missing = octets.wrapping_add(isn.get()).wrapping_neg();
                Duration::from_micros(4 * u64::from(missing))
            })
        });
        let mut world = World::new(self.seed);
        world.batch = self.batch;
        let [client, server] = if self.ipv6 { [CLIENT_V6, SERVER_V6] } else { [CLIENT, SERVER] };
        let client = world.add_host("client", client, self.client);
        let server = world.add_host("server", server, self.server);
        world.link_mut(client, server).knobs = self.to_server;
        world.link_mut(server, client).knobs = self.to_client;
        if let Some([client_offset, server_offset]) = offsets {
            world.host_mut(client).set_clock_offset(client_offset);
            world.host_mut(server).set_clock_offset(server_offset);
        }
        Pair {
            world,
            client,
            server,
            patience: Duration::from_secs(3_600),
            listener: None,
            first_port: Some(port(Pair::CLIENT_PORT)),
        }
    }
}

/// Two hosts and the path between them.
#[derive(Debug)]
pub struct Pair {
    /// The world they live in.
    pub world: World,
    /// The client in it.
    pub client: HostId,
    /// The server in it.
    pub server: HostId,
    /// How much of the world's time `run_until` waits before it gives up: an
    /// hour unless changed.
    pub patience: Duration,
    listener: Option<ListenerId>,
    /// The local port of the first connection: initial sequence numbers depend
    /// on it, and ephemeral ones on the clock. Later ones are ephemeral.
    first_port: Option<Port>,
}

impl Pair {
    /// The TCP port that the server listens on, once asked to.
    pub const PORT: u16 = 7;
    /// The TCP port of the client's first connection.
    pub const CLIENT_PORT: u16 = 40_000;

    /// A pair with default configurations and a path of 10 ms each way.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::builder(seed).build()
    }

    /// A builder.
    pub fn builder(seed: u64) -> PairBuilder {
        PairBuilder {
            seed,
            client: presets::endpoint(),
            server: presets::endpoint(),
            to_server: Knobs::default(),
            to_client: Knobs::default(),
            batch: false,
            ipv6: false,
            before_wrap: None,
        }
    }

    /// The client.
    pub fn client(&mut self) -> &mut Host {
        self.world.host_mut(self.client)
    }

    /// The server.
    pub fn server(&mut self) -> &mut Host {
        self.world.host_mut(self.server)
    }

    /// What the path to the server does.
    pub fn to_server(&mut self) -> &mut Knobs {
        &mut self.world.link_mut(self.client, self.server).knobs
    }

    /// What the path to the client does.
    pub fn to_client(&mut self) -> &mut Knobs {
        &mut self.world.link_mut(self.server, self.client).knobs
    }

    /// Changes the path both ways.
    pub fn both(&mut self, change: impl Fn(&mut Knobs)) {
        change(self.to_server());
        change(self.to_client());
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.world.now()
    }

    /// The listener, which is made at the first call.
    ///
    /// # Panics
    /// If the server listens on [`Self::PORT`] already by other means.
    pub fn listener(&mut self) -> ListenerId {
        if let Some(listener) = self.listener {
            return listener;
        }
        let listener = self.server().listen(port(Self::PORT), 128).expect("a free port");
        self.listener = Some(listener);
        listener
    }

    /// The server as clients name it.
    #[must_use]
    pub fn remote(&self) -> Remote {
        Remote { addr: self.world.host(self.server).addr(), port: port(Self::PORT) }
    }

    /// Begins to connect to the server, and does not wait.
    ///
    /// # Panics
    /// If the client cannot.
    pub fn start_connect(&mut self) -> ConnId {
        self.listener();
        let (remote, local_port) = (self.remote(), self.first_port.take());
        self.client().connect(remote, local_port).expect("the client may connect")
    }

    /// A connection established on both sides, and its events taken.
    ///
    /// # Panics
    /// If it does not come about.
    pub fn connect(&mut self) -> (ConnId, ConnId) {
        let client = self.start_connect();
        let listener = self.listener();
        let mut server = None;
        self.run_until(|pair| {
            server = server.or_else(|| pair.server().accept(listener));
            server.is_some() && pair.client().take_event(Event::Connected(client))
        });
        self.server().take_event(Event::Incoming(listener));
        (client, server.expect("accepted above"))
    }

    /// Lets the next thing happen; false if nothing will.
    pub fn step(&mut self) -> bool {
        self.world.step()
    }

    /// Lets that much time pass.
    pub fn run_for(&mut self, duration: Duration) {
        self.world.run_for(duration);
    }

    /// Runs until `done`, which is asked before the first step and after each.
    ///
    /// # Panics
    /// If that does not come within `patience`, or nothing happens any more.
    pub fn run_until(&mut self, mut done: impl FnMut(&mut Self) -> bool) {
        let end = self.now() + self.patience;
        self.world.flush();
        while !done(self) {
            assert!(self.step(), "nothing happens any more");
            assert!(self.now() <= end, "no patience left");
        }
    }

    /// Runs until nothing will happen by itself, but not longer than `limit`.
    /// True if all is quiet.
    pub fn run_until_idle(&mut self, limit: Duration) -> bool {
        let end = self.now() + limit;
        while self.now() <= end {
            if !self.step() {
                return true;
            }
        }
        false
    }

    /// Runs until both programs are done.
    ///
    /// # Panics
    /// As [`Self::run_until`].
    pub fn converse(&mut self, client: &mut Talk, server: &mut Talk) {
        self.run_until(|pair| {
            let now = pair.now();
            let wakes = [client.pump(now, pair.client()), server.pump(now, pair.server())];
            for at in wakes.into_iter().flatten() {
                pair.world.set_alarm(at);
            }
            // What the programs did may be all that happens now.
            pair.world.flush();
            client.is_done() && server.is_done()
        });
    }

    /// The initial sequence numbers of the last connection in the trace: the
    /// client's and the server's.
    ///
    /// # Panics
    /// If the trace holds no SYN of theirs.
    #[must_use]
    pub fn isns(&self) -> (SeqNumber, SeqNumber) {
        let isn = |name: &str| {
            let mut syns = self.world.trace.records().rev().filter(|record| record.from == name);
            syns.find_map(|record| {
                record
                    .header()
                    .filter(|header| header.flags.contains(tou_proto::wire::SegmentFlags::SYN))
            })
            .expect("a SYN in the trace")
            .seq
        };
        (isn("client"), isn("server"))
    }
}

/// The client's UDP address.
pub const CLIENT: SocketAddr = v4(1, 50_000);

/// The server's UDP address.
pub const SERVER: SocketAddr = v4(2, 9_000);

/// The client's UDP address with IPv6.
pub const CLIENT_V6: SocketAddr = v6(1, 50_000);

/// The server's UDP address with IPv6.
pub const SERVER_V6: SocketAddr = v6(2, 9_000);

const fn v4(host: u8, port: u16) -> SocketAddr {
    SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, host), port))
}

const fn v6(host: u16, port: u16) -> SocketAddr {
    SocketAddr::V6(SocketAddrV6::new(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, host), port, 0, 0))
}

fn port(number: u16) -> Port {
    Port::new(number).expect("not zero")
}
