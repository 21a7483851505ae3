//! A line for each segment that passes a socket.
//!
//! What a line says of a segment is tou-proto's business; this adds when, where
//! and what became of it. What is sent is shown as the endpoint sends it, before
//! impairment: a segment that impairment drops has a second line that says so.

mod history;

use core::fmt::Write;
use core::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};

use tou_proto::wire::{Checksum, SegmentHeader};
use tou_proto::{Instant, PathError, Transmit};
use tou_udp::{Direction, Observer, PumpEvent};

use self::history::History;
use crate::log::Log;

/// Logs segments.
#[derive(Debug)]
pub(crate) struct SegmentLog {
    log: Log,
    local_addr: Arc<OnceLock<SocketAddr>>,
    history: History,
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
        Self {
            log,
            local_addr,
            history: History::default(),
            is_impaired: false,
            lines: String::new(),
        }
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
        let local = self.local(local_ip);
        let segment = SegmentHeader::parse(data, Checksum::Carrier);
        let is_out = matches!(fate, Fate::Sent | Fate::Dropped(Direction::Send));
        let is_again = match &segment {
            Ok(parsed) if fate == Fate::Sent => {
                self.history.was_sent(peer, &parsed.header, data.len() - parsed.data_offset)
            }
            _ => false,
        };
        let fate = match (fate, is_again) {
            (Fate::Sent, false) => "sent",
            (Fate::Sent, true) => "retransmitted",
            (Fate::Received, _) => "received",
            (Fate::Dropped(_), _) => "dropped",
        };
        let (from, to) = if is_out { (local, peer) } else { (peer, local) };
        let micros = now.as_micros();
        let (seconds, micros) = (micros / 1_000_000, micros % 1_000_000);
        let lines = &mut self.lines;
        // Writing to a string does not fail.
        let _ = write!(lines, "{seconds}.{micros:06} {fate:<13} {from} > {to} ");
        let _ = match segment {
            Ok(parsed) => {
                let shown = parsed.header.display(data.len() - parsed.data_offset);
                writeln!(lines, "{shown}")
            }
            Err(error) => writeln!(lines, "no segment: {error}, length {}", data.len()),
        };
    }

    fn path_error(&mut self, now: Instant, error: &PathError) {
        let micros = now.as_micros();
        let (seconds, micros) = (micros / 1_000_000, micros % 1_000_000);
        let PathError { peer, kind, .. } = error;
        let _ = writeln!(self.lines, "{seconds}.{micros:06} path-error    {peer} {kind:?}");
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
