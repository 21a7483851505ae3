//! A line for each segment that passes a socket.
//!
//! What a line says of a segment is tou-proto's business; this adds when, where
//! and what became of it, and counts its numbers from where the flow began. What
//! is sent is shown as the endpoint sends it, before impairment: a segment that
//! impairment drops has a second line that says so.

mod flows;

use core::fmt::Write;
use core::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};

use tou_proto::wire::{Checksum, SegmentHeader};
use tou_proto::{Instant, PathError, Transmit};
use tou_udp::{Direction, Observer, PumpEvent};

use self::flows::{Flows, From};
use crate::log::Log;

/// Logs segments.
#[derive(Debug)]
pub(crate) struct SegmentLog {
    log: Log,
    local_addr: Arc<OnceLock<SocketAddr>>,
    flows: Flows,
    /// Sending is impaired, and what is sent is told of before that.
    is_impaired: bool,
    /// Lines not written yet.
    lines: String,
}

/// What became of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Sent,
    Received,
    Dropped(Direction),
}

impl SegmentLog {
    pub(crate) fn new(log: Log, local_addr: Arc<OnceLock<SocketAddr>>) -> Self {
        Self { log, local_addr, flows: Flows::default(), is_impaired: false, lines: String::new() }
    }

    /// Adds lines for a batch.
    fn sent(&mut self, now: Instant, transmit: &Transmit, data: &[u8]) {
        for datagram in data.chunks(transmit.stride.max(1)) {
            self.line(now, Fate::Sent, (transmit.local_ip, transmit.peer), datagram);
        }
    }

    /// Adds a line for one datagram.
    fn line(&mut self, now: Instant, fate: Fate, path: (Option<IpAddr>, SocketAddr), data: &[u8]) {
        let (local_ip, peer) = path;
        let segment = SegmentHeader::parse(data, Checksum::Carrier);
        let from = match fate {
            Fate::Sent | Fate::Dropped(Direction::Send) => From::Us,
            Fate::Received | Fate::Dropped(Direction::Receive) => From::Peer,
        };
        let is_again = match &segment {
            Ok(parsed) if fate == Fate::Sent => {
                self.flows.was_sent(peer, &parsed.header, data.len() - parsed.data_offset)
            }
            _ => false,
        };
        let fate = match (fate, is_again) {
            (Fate::Sent, false) => "sent",
            (Fate::Sent, true) => "retransmitted",
            (Fate::Received, _) => "received",
            (Fate::Dropped(_), _) => "dropped",
        };
        self.begin_line(now, fate);
        if self.log.name().is_none() {
            let local = self.local(local_ip);
            let (from, to) = if from == From::Us { (local, peer) } else { (peer, local) };
            // Writing to a string does not fail.
            let _ = write!(self.lines, "{from} > {to} ");
        }
        let _ = match segment {
            Ok(parsed) => {
                let header = self.flows.relative(from, peer, &parsed.header);
                let shown = header.display(data.len() - parsed.data_offset);
                writeln!(self.lines, "{shown}")
            }
            Err(error) => writeln!(self.lines, "no segment: {error}, length {}", data.len()),
        };
    }

    /// When, who, what: as far as all lines are alike. An end that has a name
    /// needs no addresses.
    fn begin_line(&mut self, now: Instant, fate: &str) {
        let micros = now.as_micros();
        let (seconds, micros) = (micros / 1_000_000, micros % 1_000_000);
        let _ = write!(self.lines, "{seconds}.{micros:06} ");
        if let Some(name) = self.log.name() {
            let _ = write!(self.lines, "{name:<8} ");
        }
        let _ = write!(self.lines, "{fate:<13} ");
    }

    fn path_error(&mut self, now: Instant, error: &PathError) {
        let PathError { peer, kind, .. } = error;
        self.begin_line(now, "path-error");
        let _ = writeln!(self.lines, "{peer} {kind:?}");
    }

    fn local(&self, ip: Option<IpAddr>) -> SocketAddr {
        let unknown = SocketAddr::from(([0; 4], 0));
        let bound = self.local_addr.get().copied().unwrap_or(unknown);
        SocketAddr::new(ip.unwrap_or(bound.ip()), bound.port())
    }
}

impl Observer for SegmentLog {
    fn observe(&mut self, now: Instant, event: PumpEvent<'_>) {
        match event {
            PumpEvent::Emitted { transmit, data } => {
                self.is_impaired = true;
                self.sent(now, transmit, data);
            }
            PumpEvent::Sent { transmit, data } if !self.is_impaired => {
                self.sent(now, transmit, data);
            }
            PumpEvent::Received(batch) => {
                for range in batch.ranges() {
                    let datagram = batch.data.get(range).unwrap_or_default();
                    self.line(now, Fate::Received, (batch.local_ip, batch.peer), datagram);
                }
            }
            PumpEvent::Dropped { direction, datagram, .. } => {
                let path = (datagram.local_ip, datagram.peer);
                self.line(now, Fate::Dropped(direction), path, &datagram.data);
            }
            PumpEvent::PathError(error) => self.path_error(now, error),
            _ => {}
        }
        // Whole batches at once, and never a part of a line.
        self.log.write(self.lines.as_bytes());
        self.lines.clear();
    }
}
