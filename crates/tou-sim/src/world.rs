//! Any number of hosts and the links between them, on one virtual clock.
//!
//! A [`World`] moves time from one thing to the next: a datagram arrives, a
//! deadline comes, an alarm rings. Nothing happens in between, so hours pass in
//! microseconds, and the same seed gives the same run. It must not know what
//! segments mean or what the programs on the hosts do.

use core::cmp::Reverse;
use core::net::SocketAddr;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;
use std::thread;

use bytes::{Bytes, BytesMut};
use tou_proto::{Ecn, EndpointConfig, Instant, ReceivedBatch};

use crate::audit::Audit;
use crate::host::{Host, Outgoing};
use crate::link::{Fate, Knobs, Link, LossCause};
use crate::rng::SimRng;
use crate::trace::{Record, Trace};

/// A host of a [`World`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostId(usize);

/// Hosts, links and a clock.
///
/// When a test panics while it holds a world, the world prints its seed and the
/// last lines of its trace.
#[derive(Debug)]
pub struct World {
    /// What links start with that nobody has touched yet.
    pub default_knobs: Knobs,
    /// Datagrams of one sender that arrive at the same instant are handed over
    /// together where the kernel's receive offload would do so.
    pub batch: bool,
    /// Every datagram.
    pub trace: Trace,
    audit: Audit,
    seed: u64,
    now: Instant,
    hosts: Vec<Host>,
    links: BTreeMap<(HostId, HostId), Link>,
    under_way: BinaryHeap<Reverse<Arrival>>,
    arrivals: u64,
    alarms: BTreeSet<Instant>,
}

/// A datagram that will arrive. The number keeps apart what is due together.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Arrival {
    due: Instant,
    number: u64,
    to: HostId,
    from: SocketAddr,
    ecn: u8,
    datagram: Bytes,
}

impl World {
    /// An empty world. Everything that chance decides follows from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            default_knobs: Knobs::default(),
            batch: false,
            trace: Trace::default(),
            audit: Audit::default(),
            seed,
            now: Instant::ZERO,
            hosts: Vec::new(),
            links: BTreeMap::new(),
            under_way: BinaryHeap::new(),
            arrivals: 0,
            alarms: BTreeSet::new(),
        }
    }

    /// Adds a host with a new endpoint.
    pub fn add_host(
        &mut self,
        name: &'static str,
        addr: SocketAddr,
        config: Arc<EndpointConfig>,
    ) -> HostId {
        let id = HostId(self.hosts.len());
        let seed = SimRng::new(self.seed, HOST_STREAMS + id.stream()).seed();
        let mut host = Host::new(name, addr, config, seed);
        host.set_now(self.now);
        self.hosts.push(host);
        id
    }

    /// The seed.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.now
    }

    /// A host.
    ///
    /// # Panics
    /// If it is a host of another world.
    #[must_use]
    pub fn host(&self, id: HostId) -> &Host {
        &self.hosts[id.0]
    }

    /// A host.
    ///
    /// # Panics
    /// If it is a host of another world.
    pub fn host_mut(&mut self, id: HostId) -> &mut Host {
        &mut self.hosts[id.0]
    }

    /// The link from one host to another.
    pub fn link_mut(&mut self, from: HostId, to: HostId) -> &mut Link {
        self.links.entry((from, to)).or_insert_with(|| {
            let stream = LINK_STREAMS + (from.stream() << 16) + to.stream();
            Link::new(self.default_knobs.clone(), SimRng::new(self.seed, stream))
        })
    }

    /// Datagrams that are under way.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.under_way.len()
    }

    /// Makes sure that a step ends at that time, for a program that waits.
    pub fn set_alarm(&mut self, at: Instant) {
        self.alarms.insert(at.max(self.now));
    }

    /// Sends what the hosts have to send, then lets the next thing happen:
    /// arrivals come before deadlines, deadlines before alarms. False if
    /// nothing will ever happen by itself.
    pub fn step(&mut self) -> bool {
        self.flush();
        let Some(next) = self.next_time() else { return false };
        self.set_now(next);
        if self.under_way.peek().is_some_and(|arrival| arrival.0.due <= next) {
            self.deliver();
        } else if let Some(id) = self.due_host(next) {
            self.expire(id);
        } else {
            self.alarms.remove(&next);
        }
        self.flush();
        true
    }

    /// Lets that much time pass.
    pub fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        self.flush();
        while self.next_time().is_some_and(|next| next <= end) {
            self.step();
        }
        self.set_now(end);
    }

    /// Sends what the hosts have to send.
    pub fn flush(&mut self) {
        for index in 0..self.hosts.len() {
            for outgoing in self.hosts[index].flush() {
                self.send(HostId(index), outgoing);
            }
        }
    }

    /// When the next thing happens, if nobody does anything until then.
    fn next_time(&self) -> Option<Instant> {
        let arrival = self.under_way.peek().map(|arrival| arrival.0.due);
        let deadline = self.hosts.iter().filter_map(Host::deadline).min();
        let alarm = self.alarms.first().copied();
        let next = [arrival, deadline, alarm].into_iter().flatten().min();
        next.map(|next| next.max(self.now))
    }

    fn set_now(&mut self, now: Instant) {
        self.now = now;
        for host in &mut self.hosts {
            host.set_now(now);
        }
    }

    fn due_host(&self, now: Instant) -> Option<HostId> {
        let is_due = |host: &Host| host.deadline().is_some_and(|deadline| deadline <= now);
        self.hosts.iter().position(is_due).map(HostId)
    }

    /// Puts a datagram on its link.
    ///
    /// # Panics
    /// If the audit has something to say about it.
    fn send(&mut self, from: HostId, outgoing: Outgoing) {
        let Outgoing { to: addr, ecn, datagram } = outgoing;
        let sender = &self.hosts[from.0];
        let (sender_name, sender_addr) = (sender.name(), sender.addr());
        let to = self.hosts.iter().position(|host| host.addr() == addr).map(HostId);
        let now = self.now;
        let (name, fate) = match to {
            Some(to) => {
                let len = datagram.len() + overhead(addr);
                (self.hosts[to.0].name(), self.link_mut(from, to).push(now, len))
            }
            None => ("?", Fate::Lost(LossCause::NoRoute)),
        };
        if let Some(to) = to {
            let dues = match fate {
                Fate::Arrives(due) => [Some(due), None],
                Fate::ArrivesTwice(due, again) => [Some(due), Some(again)],
                Fate::Lost(_) => [None, None],
            };
            for due in dues.into_iter().flatten() {
                self.arrivals += 1;
                self.under_way.push(Reverse(Arrival {
                    due,
                    number: self.arrivals,
                    to,
                    from: sender_addr,
                    ecn: ecn as u8,
                    datagram: datagram.clone(),
                }));
            }
        }
        let verdict = self.audit.check(sender_addr, addr, &datagram);
        self.trace.push(Record { time: now, from: sender_name, to: name, ecn, datagram, fate });
        if let Err(fault) = verdict {
            panic!("{sender_name} sent what it may not: {fault}");
        }
    }

    /// Hands the next datagram over, and with batching those that follow it at
    /// the same instant as far as one batch may hold them.
    fn deliver(&mut self) {
        let Some(Reverse(first)) = self.under_way.pop() else { return };
        let mut batch = ReceivedBatch::single(first.from, first.datagram.clone());
        batch.ecn = Ecn::from_bits(first.ecn);
        if self.batch {
            let mut data = BytesMut::from(&first.datagram[..]);
            let mut last_len = first.datagram.len();
            for _ in 1..MAX_GRO_SEGMENTS {
                let Some(next) = self.under_way.peek_mut() else { break };
                let len = next.0.datagram.len();
                if !belongs(&first, &next.0)
                    || last_len != first.datagram.len()
                    || data.len() + len > MAX_GRO_BYTES
                {
                    break;
                }
                data.extend_from_slice(&next.0.datagram);
                last_len = len;
                batch.stride = first.datagram.len();
                std::collections::binary_heap::PeekMut::pop(next);
            }
            batch.data = data.freeze();
        }
        let host = &mut self.hosts[first.to.0];
        batch.local_ip = Some(host.addr().ip());
        host.handle_batch(&batch);
    }

    /// Lets a host's deadline pass.
    ///
    /// # Panics
    /// If the host has nothing to show for it: a deadline that stays where it
    /// is would keep a driver spinning.
    fn expire(&mut self, id: HostId) {
        let host = &mut self.hosts[id.0];
        host.handle_timeout();
        let outgoing = host.flush();
        assert!(
            !outgoing.is_empty() || host.deadline().is_none_or(|deadline| deadline > self.now),
            "{}: the deadline passed, nothing was sent, and the deadline stays",
            host.name(),
        );
        for outgoing in outgoing {
            self.send(id, outgoing);
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if thread::panicking() {
            let Self { seed, now, trace, .. } = self;
            eprintln!("-- the world was at {now}, seed {seed}; the last datagrams:");
            eprint!("{}", trace.tail(TAIL));
        }
    }
}

impl HostId {
    fn stream(self) -> u64 {
        u64::try_from(self.0).unwrap_or(u64::MAX)
    }
}

/// May `next` share a batch with `first`, all between them being as long as
/// `first`?
fn belongs(first: &Arrival, next: &Arrival) -> bool {
    next.due == first.due
        && next.to == first.to
        && next.from == first.from
        && next.ecn == first.ecn
        && next.datagram.len() <= first.datagram.len()
        && !next.datagram.is_empty()
}

/// Octets of IP and UDP headers before a datagram's payload.
const fn overhead(addr: SocketAddr) -> usize {
    if addr.is_ipv4() { 20 + 8 } else { 40 + 8 }
}

/// Linux's limits for one UDP batch.
const MAX_GRO_SEGMENTS: usize = 64;
const MAX_GRO_BYTES: usize = 65_507;

/// Lines of the trace that a failure shows.
const TAIL: usize = 60;

/// Streams of the seed: one for each host, one for each link.
const HOST_STREAMS: u64 = 1 << 40;
const LINK_STREAMS: u64 = 2 << 40;
