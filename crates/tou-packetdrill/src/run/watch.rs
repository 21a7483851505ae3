//! Keeps count beside the stack: which kinds of segments arrived in which states.
//!
//! States are the stack's own. Sequence variables are this crate's reading of
//! what went over the wire, so that a kind is not what the stack takes it for.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::BTreeMap;

use tou_proto::{Instant, Port, ReceivedBatch};

use super::kind::{Kind, Variables, distance, is_opening, kinds_of, len};
use super::segment::{Segment, WireOption};
use super::stack::{Remote, Stack, State};
use crate::ast::Flags;

/// A state, and a kind of segment that arrived in it.
pub type Cell = (State, Kind);

/// What was seen so far.
#[derive(Debug, Default)]
pub struct Watch {
    flows: BTreeMap<Names, Flow>,
    cells: Vec<Cell>,
}

/// The peer's UDP address, its TCP port, and ours.
type Names = (SocketAddr, u16, u16);

/// One connection, seen from the wire.
#[derive(Clone, Copy, Debug, Default)]
struct Flow {
    vars: Variables,
    /// A SYN of ours has been seen, and an acknowledgment of the peer's.
    has_iss: bool,
    has_irs: bool,
    ours: Offer,
    peers: Offer,
    /// The ACK field last sent.
    last_ack_sent: u32,
    /// When a timestamp was last taken.
    stamped_at: Instant,
}

/// After so long a timestamp means nothing (RFC 7323 §5.5).
const STAMP_LIFETIME: Duration = Duration::from_secs(24 * 24 * 3_600);

/// What a SYN offers.
#[derive(Clone, Copy, Debug, Default)]
struct Offer {
    shift: Option<u8>,
    stamp: Option<u32>,
    window: u16,
}

impl Offer {
    fn of(syn: &Segment) -> Self {
        let shift = syn.options.iter().find_map(|option| match option {
            WireOption::WindowScale(shift) => Some((*shift).min(14)),
            _ => None,
        });
        Self { shift, stamp: syn.timestamps().map(|(val, _)| val), window: syn.window }
    }
}

impl Watch {
    /// All that was seen, in order.
    #[must_use]
    pub fn cells(&self) -> &[Cell] {
        &self.cells
    }

    /// The stack has sent `segment` to `peer`.
    pub(super) fn on_sent(&mut self, peer: SocketAddr, segment: &Segment) {
        self.flows.entry((peer, segment.dst, segment.src)).or_default().on_sent(segment);
    }

    /// `batch`, which is one segment, is about to arrive at `stack`.
    pub(super) fn on_arrival<S: Stack>(&mut self, now: Instant, stack: &S, batch: &ReceivedBatch) {
        // What is malformed has no kind.
        let Ok(segment) = Segment::parse(&batch.data) else { return };
        let names = (batch.peer, segment.src, segment.dst);
        let Some(state) = state_at(stack, names) else { return };
        // A live connection's segment from another UDP port is nobody's, but not
        // a stranger's: docs/PROTOCOL.md has its rule.
        let is_elsewhere = |other: &&Names| {
            (other.1, other.2) == (names.1, names.2)
                && other.0 != names.0
                && !matches!(state_at(stack, **other), Some(State::Closed | State::Listen))
        };
        if self.flows.keys().any(|other| is_elsewhere(&other)) {
            return;
        }
        let flow = self.flows.entry(names).or_default();
        let mut vars = flow.vars;
        if now.saturating_since(flow.stamped_at) > STAMP_LIFETIME {
            vars.ts_recent = None;
        }
        let kinds = kinds_of(state, vars, &segment);
        flow.on_arrival(now, state, &kinds, &segment);
        self.cells.extend(kinds.into_iter().map(|kind| (state, kind)));
    }
}

fn state_at<S: Stack>(stack: &S, (udp, port, local): Names) -> Option<State> {
    Some(stack.state_at(Remote { udp, port: Port::new(port)? }, Port::new(local)?))
}

impl Flow {
    fn on_sent(&mut self, segment: &Segment) {
        let Segment { seq, ack, .. } = *segment;
        if segment.flags.has(Flags::RST) {
            return;
        }
        let has_syn = segment.flags.has(Flags::SYN);
        if has_syn && (!self.has_iss || self.vars.iss != seq) {
            // A new connection; the peer's SYN may have come already.
            let vars = Variables { iss: seq, snd_una: seq, snd_nxt: seq, ..Variables::default() };
            let Self { peers, stamped_at, .. } = *self;
            *self = Self { vars, has_iss: true, peers, stamped_at, ..Self::default() };
        }
        if has_syn {
            self.ours = Offer::of(segment);
        }
        let end = seq.wrapping_add(u32::try_from(len(segment)).unwrap_or(0));
        self.vars.snd_nxt = later(self.vars.snd_nxt, end);
        if !segment.flags.has(Flags::ACK) {
            return;
        }
        if !self.has_irs {
            self.begin(ack);
        }
        self.last_ack_sent = ack;
        let (ours, peers) = (self.ours.shift, self.peers.shift);
        let shift = if has_syn { 0 } else { ours.and(peers).and(ours).unwrap_or(0) };
        let edge = ack.wrapping_add(u32::from(segment.window) << shift);
        self.vars.rcv_nxt = later(self.vars.rcv_nxt, ack);
        self.vars.rcv_edge = later(later(self.vars.rcv_edge, edge), self.vars.rcv_nxt);
    }

    /// The peer's SYN counts: `ack` acknowledges it.
    fn begin(&mut self, ack: u32) {
        self.has_irs = true;
        let wnd = u64::from(self.peers.window);
        self.vars = Variables {
            irs: ack.wrapping_sub(1),
            rcv_nxt: ack,
            rcv_edge: ack,
            snd_wnd: wnd,
            max_wnd: wnd,
            snd_shift: self.ours.shift.and(self.peers.shift).unwrap_or(0),
            ts_recent: self.ours.stamp.and(self.peers.stamp),
            ..self.vars
        };
    }

    fn on_arrival(&mut self, now: Instant, state: State, kinds: &[Kind], segment: &Segment) {
        let opens =
            [Kind::OpeningSyn, Kind::OpeningSynText, Kind::OpeningSynFin, Kind::OpeningSynAck];
        let may_reopen = state == State::TimeWait && segment.flags.has(Flags::SYN);
        if may_reopen || kinds.iter().any(|kind| opens.contains(kind)) {
            self.peers = Offer::of(segment);
            self.stamped_at = now;
        }
        if kinds.contains(&Kind::OpeningSynAck) {
            self.vars.snd_una = later(self.vars.snd_una, segment.ack);
        }
        if is_opening(state) || kinds.iter().any(|kind| kind.is_turned_away()) {
            return;
        }
        let vars = &mut self.vars;
        if distance(vars.snd_una, segment.ack) >= 0 {
            vars.snd_una = segment.ack;
            vars.snd_wnd = u64::from(segment.window) << vars.snd_shift;
            vars.max_wnd = vars.max_wnd.max(vars.snd_wnd);
        }
        if let (Some(_), Some((val, _))) = (vars.ts_recent, segment.timestamps())
            && distance(self.last_ack_sent, segment.seq) <= 0
        {
            vars.ts_recent = Some(val);
            self.stamped_at = now;
        }
        let receives = matches!(
            state,
            State::SynReceived | State::Established | State::FinWait1 | State::FinWait2
        );
        // What fills a hole is acknowledged at once: then the ACK tells.
        if receives && distance(vars.rcv_nxt, segment.seq) <= 0 {
            let end = segment.seq.wrapping_add(u32::try_from(len(segment)).unwrap_or(0));
            let has_fin = segment.flags.has(Flags::FIN);
            let limit = vars.rcv_edge.wrapping_add(u32::from(has_fin));
            let end = if distance(limit, end) > 0 { limit } else { end };
            vars.rcv_nxt = later(vars.rcv_nxt, end);
            vars.rcv_edge = later(vars.rcv_edge, vars.rcv_nxt);
        }
    }
}

fn later(a: u32, b: u32) -> u32 {
    if distance(a, b) > 0 { b } else { a }
}
