//! All connections of one carrier: who gets which segment, who sends next, who
//! is woken when.
//!
//! ```text
//!  handle_batch -> input -> demux -> Connection
//!                    |-----> time_wait        (what remains of one)
//!                    |-----> passive_open     (a port listened on)
//!                    |         half_open, syn_cache, cookie, listener
//!                    '-----> reset            (nobody's)
//!  verbs --------> Connection                 (connect, read, write, close, ...)
//!  handle_timeout -> deadlines -> Connection
//!
//!  any of these -> settle: events, deadline queue, ready queue, the dead
//!  poll_transmit <- egress <- ready queue
//! ```

mod arrivals;
mod cookie;
mod deadlines;
mod demux;
mod egress;
mod events;
mod half_open;
mod input;
mod isn;
mod listener;
mod memory;
mod passive_open;
mod path;
mod path_keepalive;
mod ports;
mod reset;
mod settle;
mod slots;
mod syn_cache;
mod table;
mod time_wait;
mod verbs;

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::config::EndpointConfig;
use crate::id::{ConnId, ListenerId, Port};
use crate::machine::{DatagramMachine, PathError, ReceivedBatch, Transmit, TransmitBuf};
use crate::secret::Secret;
use crate::stats::EndpointCounters;
use crate::time::Instant;

use self::arrivals::Arrivals;
use self::deadlines::Deadlines;
use self::demux::Demux;
use self::events::Events;
use self::listener::Listeners;
use self::memory::Memory;
use self::path::Paths;
use self::path_keepalive::PathKeepalives;
use self::reset::StrayReplies;
use self::slots::Slots;
use self::syn_cache::SynCache;
use self::time_wait::TimeWaits;

/// Whom to connect to: a UDP address, and a TCP port behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Remote {
    /// Where datagrams go.
    pub addr: SocketAddr,
    /// The TCP port in the segments.
    pub port: Port,
}

impl Remote {
    /// The TCP port that is the same as the UDP port, which is where drivers
    /// listen by default; `None` for port zero.
    #[must_use]
    pub fn new(addr: SocketAddr) -> Option<Self> {
        Port::new(addr.port()).map(|port| Self { addr, port })
    }
}

/// All connections of one UDP socket.
///
/// As a [`DatagramMachine`] it takes datagrams and time in and gives datagrams
/// and a deadline out; by its own methods it opens, reads, writes and closes
/// connections. After any call that changes something, drain
/// [`poll_transmit`](DatagramMachine::poll_transmit) and
/// [`poll_event`](Self::poll_event), then read
/// [`poll_timeout`](DatagramMachine::poll_timeout).
#[derive(Debug)]
pub struct Endpoint {
    config: Arc<EndpointConfig>,
    secret: Secret,
    /// The latest time a call has named: time does not go back.
    now: Instant,
    paths: Paths,
    demux: Demux,
    listeners: Listeners,
    slots: Slots,
    memory: Memory,
    arrivals: Arrivals,
    syn_cache: SynCache,
    /// When a cookie was sent last.
    cookie_sent: Option<Instant>,
    time_waits: TimeWaits,
    strays: StrayReplies,
    deadlines: Deadlines,
    path_keepalives: PathKeepalives,
    /// The slot of the connection that was last written to, if its deadline was not
    /// noted since.
    unsettled: Option<u32>,
    /// The slot of the connection that last received something: most segments are
    /// for the same one as those before them.
    last_receiver: u32,
    /// Connections that may have something to send, in turn. It may name some
    /// that are gone.
    ready: VecDeque<ConnId>,
    events: Events,
    counters: EndpointCounters,
}

impl Endpoint {
    /// An endpoint without connections. `seed` is its only source of what
    /// others must not foresee: in production, 32 bytes from the operating
    /// system.
    #[must_use]
    pub fn new(config: impl Into<Arc<EndpointConfig>>, seed: [u8; 32]) -> Self {
        let config = config.into();
        let secret = Secret::new(&seed);
        let fields = &config.fields;
        Self {
            now: Instant::ZERO,
            paths: Paths::new(&secret),
            demux: Demux::new(&secret),
            listeners: Listeners::new(&secret),
            slots: Slots::default(),
            memory: Memory::new(config.shared_memory()),
            arrivals: Arrivals::new(fields.arrival_room),
            syn_cache: SynCache::new(fields.max_syn_cache),
            cookie_sent: None,
            time_waits: TimeWaits::new(fields.time_wait, fields.max_time_wait),
            strays: StrayReplies::new(fields.stray_replies_per_second, &secret),
            deadlines: Deadlines::default(),
            path_keepalives: PathKeepalives::new(fields.path_keepalive),
            unsettled: None,
            last_receiver: 0,
            ready: VecDeque::new(),
            events: Events::default(),
            counters: EndpointCounters::default(),
            config,
            secret,
        }
    }

    /// What was counted.
    #[must_use]
    pub fn counters(&self) -> &EndpointCounters {
        &self.counters
    }

    /// Connections that exist, released ones that are still closing included;
    /// those in TIME-WAIT not, nor handshakes that a listener has not completed.
    #[must_use]
    pub fn connection_count(&self) -> usize {
        self.slots.len()
    }

    /// Handshakes that listeners have not completed, those not counted that are
    /// left to cookies.
    #[must_use]
    pub fn half_open_count(&self) -> usize {
        self.syn_cache.len()
    }

    /// Connections remembered in TIME-WAIT.
    #[must_use]
    pub fn time_wait_count(&self) -> usize {
        self.time_waits.len()
    }

    /// What connections' buffers take of the memory that they share, in bytes, with
    /// what the windows that were offered may still bring
    /// ([`with_max_memory`](crate::EndpointConfigBuilder::with_max_memory)). What is
    /// set aside for each of them is not counted.
    #[must_use]
    pub fn shared_memory_used(&self) -> u64 {
        self.memory.charged()
    }

    /// Connections of which something written, or the FIN, is not acknowledged
    /// yet, released ones included: what a program that wants to exit waits
    /// for. Looks at every connection.
    #[must_use]
    pub fn unfinished_count(&self) -> usize {
        self.slots.iter().filter(|slot| slot.conn.is_unfinished()).count()
    }

    /// Those of the [unfinished](Self::unfinished_count) connections whose peers
    /// may be missing something: not those whose peer has ended its stream and
    /// acknowledged all of ours but the FIN. Looks at every connection.
    #[must_use]
    pub fn undelivered_count(&self) -> usize {
        self.slots.iter().filter(|slot| slot.conn.is_undelivered()).count()
    }

    /// Time does not go back: the later of `now` and what earlier calls said.
    fn advance(&mut self, now: Instant) -> Instant {
        self.now = self.now.max(now);
        self.now
    }

    /// The largest segment to announce to a peer, in bytes of options and data
    /// (RFC 9293 §3.7.1): what the MTU leaves, and one UDP datagram holds.
    fn local_mss(&self, ip: IpAddr) -> u16 {
        let default = if ip.to_canonical().is_loopback() { LOOPBACK_MTU } else { ETHERNET_MTU };
        let mtu = self.config.fields.mtu.unwrap_or(default);
        let datagram = mtu.saturating_sub(carrier_header(ip));
        datagram.min(MAX_DATAGRAM).saturating_sub(TCP_HEADER)
    }
}

/// Whether datagrams may be sent to, and come from, this address (RFC 9293
/// §3.9.2.3, MUST-46, MUST-63).
fn is_peer_address(addr: SocketAddr) -> bool {
    addr.port() != 0 && is_unicast(addr.ip())
}

/// Whether the address is one host's. What was sent to many is nobody's
/// (RFC 9293 §3.9.2.3, MUST-57).
fn is_unicast(ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    let is_broadcast = ip == IpAddr::V4(Ipv4Addr::BROADCAST);
    !ip.is_unspecified() && !ip.is_multicast() && !is_broadcast
}

/// IP and UDP header.
fn carrier_header(ip: IpAddr) -> u16 {
    if is_ipv4(ip) { 28 } else { 48 }
}

/// An IPv4 peer may also appear as an IPv4-mapped IPv6 address.
fn is_ipv4(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(_) => true,
        IpAddr::V6(v6) => v6.to_ipv4_mapped().is_some(),
    }
}

/// What a peer takes that announces no MSS (RFC 9293 §3.7.1, MUST-15).
fn default_mss(ip: IpAddr) -> u16 {
    if is_ipv4(ip) { 536 } else { 1_220 }
}

const ETHERNET_MTU: u16 = 1_500;
/// Loopback interfaces carry any packet there is.
const LOOPBACK_MTU: u16 = u16::MAX;
/// The largest UDP payload over IPv4.
const MAX_DATAGRAM: u16 = 65_507;
const TCP_HEADER: u16 = 20;

impl DatagramMachine for Endpoint {
    fn handle_batch(&mut self, now: Instant, batch: &ReceivedBatch) {
        let now = self.advance(now);
        self.input_batch(now, batch);
    }

    fn handle_path_error(&mut self, now: Instant, error: &PathError) {
        let now = self.advance(now);
        self.input_path_error(now, error);
    }

    #[inline]
    fn poll_transmit(&mut self, now: Instant, buf: &mut TransmitBuf) -> Option<Transmit> {
        let now = self.advance(now);
        if self.may_have_output() { self.next_batch(now, buf) } else { None }
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        self.settle_deadline();
        let connection = self.next_connection_deadline();
        let half_open = self.syn_cache.next_deadline();
        let time_wait = self.time_waits.next_expiry();
        self.next_path_deadline(connection.min(half_open).min(time_wait)).unless_never()
    }

    fn handle_timeout(&mut self, now: Instant) {
        let now = self.advance(now);
        self.settle_deadline();
        while let Some(slot) = self.next_due(now) {
            if let Some(entry) = self.slots.get_mut(slot) {
                entry.conn.handle_timeout(now);
            }
            self.settle(now, slot);
        }
        while let Some(slot) = self.syn_cache.expired(now) {
            self.on_half_open_timeout(now, slot);
        }
        while let Some(slot) = self.time_waits.expired(now) {
            self.forget_time_wait(slot);
        }
        self.keep_paths_open(now);
    }
}

/// What [`ConnId`] and [`ListenerId`] are made of must stay small: drivers keep
/// many.
const _: () = assert!(size_of::<ConnId>() == 8 && size_of::<ListenerId>() == 8);
