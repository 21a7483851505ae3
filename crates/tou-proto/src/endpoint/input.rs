//! A batch arrives: parse, find the connection, and what becomes of segments
//! that have none (RFC 9293 §3.10.7.1 CLOSED, TIME-WAIT). Those for listeners go to
//! `passive_open`.

use alloc::boxed::Box;
use core::net::IpAddr;
use core::ops::Range;

use crate::buffer::Payload;
use crate::conn::{Connection, Disposition, OpenParams};
use crate::id::{ConnId, PeerId, Port};
use crate::machine::{PathError, PathErrorKind, ReceivedBatch};
use crate::seq::SeqNumber;
use crate::time::Instant;
use crate::wire::{ParseError, ParsedHeader, SegmentHeader};

use super::Endpoint;
use super::demux::{InnerTuple, Key, Target};
use super::isn::{initial_sequence_number, timestamp_offset};
use super::reset::{StrayReply, reset_for};
use super::slots::Stage;
use super::time_wait::Verdict;
use super::{Remote, carrier_header, default_mss, is_peer_address, is_unicast};

/// A segment on its way to whom it is for.
pub(super) struct Incoming<'a> {
    pub(super) batch: &'a ReceivedBatch,
    pub(super) header: &'a SegmentHeader,
    /// Octets of header and data.
    pub(super) len: usize,
    pub(super) data: Range<usize>,
}

impl Incoming<'_> {
    /// The segment's data, a part of the batch.
    fn payload(&self) -> Payload<'_> {
        Payload::new(&self.batch.data, self.data.start, self.data.end)
    }
}

/// Segments of a batch that follow each other and are for the same connection:
/// one look-up and one decision on acknowledgments for all of them.
#[derive(Clone, Copy, Debug)]
struct Run {
    ports: (Port, Port),
    slot: u32,
    /// Octets of data that the connection has kept in order.
    kept: u64,
}

impl Endpoint {
    pub(super) fn input_batch(&mut self, now: Instant, batch: &ReceivedBatch) {
        if !is_peer_address(batch.peer) || !batch.local_ip.is_none_or(is_unicast) {
            self.counters.invalid_sources += 1;
            return;
        }
        let mut current: Option<Run> = None;
        for range in batch.ranges() {
            self.counters.datagrams_received += 1;
            let Some(datagram) = batch.data.get(range.clone()) else { continue };
            let parsed = SegmentHeader::parse(datagram, self.config.fields.checksum);
            let ParsedHeader { header, data_offset, options_malformed } = match &parsed {
                Ok(parsed) => parsed,
                Err(error) => {
                    self.on_malformed(*error);
                    continue;
                }
            };
            self.counters.malformed_options += u64::from(*options_malformed);
            let data = range.start + data_offset..range.end;
            let seg = Incoming { batch, header, len: datagram.len(), data };
            let ports = (header.src_port, header.dst_port);
            if current.is_none_or(|run| run.ports != ports) {
                if let Some(run) = current {
                    self.end_of_run(now, run.slot, batch, run.kept);
                }
                let slot = self.find_connection(now, &seg);
                current = slot.map(|slot| Run { ports, slot, kept: 0 });
            }
            if let Some(run) = &mut current {
                self.last_receiver = run.slot;
                run.kept += self.input_connection(now, run.slot, &seg);
            }
        }
        if let Some(run) = current {
            self.end_of_run(now, run.slot, batch, run.kept);
        }
    }

    /// The connection that `seg` is for, or makes. What is for none is answered.
    fn find_connection(&mut self, now: Instant, seg: &Incoming<'_>) -> Option<u32> {
        if self.is_for(self.last_receiver, seg) {
            return Some(self.last_receiver);
        }
        let peer = self.paths.find(seg.batch.peer);
        match peer.and_then(|peer| self.demux.find(&key(peer, seg.header))) {
            Some(Target::Connection(slot)) => Some(slot),
            target => self.find_no_connection(now, target, seg),
        }
    }

    /// A segment for what is no connection, or not yet.
    #[cold]
    #[inline(never)]
    fn find_no_connection(
        &mut self,
        now: Instant,
        target: Option<Target>,
        seg: &Incoming<'_>,
    ) -> Option<u32> {
        match target {
            Some(Target::Connection(slot)) => Some(slot),
            Some(Target::HalfOpen(slot)) => self.input_half_open(now, slot, seg),
            Some(Target::TimeWait(slot)) => {
                self.input_time_wait(now, slot, seg);
                None
            }
            None => match self.listeners.find(seg.header.dst_port) {
                Some(listener) => self.input_listen(now, listener, seg),
                None => {
                    self.input_closed(now, seg);
                    None
                }
            },
        }
    }

    /// What looking for the connection would find: it is the one in `slot`.
    fn is_for(&self, slot: u32, seg: &Incoming<'_>) -> bool {
        let Some(entry) = self.slots.get(slot) else { return false };
        entry.is_keyed
            && entry.peer_port == seg.header.src_port
            && entry.local_port == seg.header.dst_port
            && self.paths.get(entry.peer).is_some_and(|path| path.addr == seg.batch.peer)
    }

    /// A datagram that is no segment is counted.
    #[cold]
    fn on_malformed(&mut self, error: ParseError) {
        match error {
            ParseError::BadChecksum => self.counters.bad_checksums += 1,
            _ => self.counters.malformed_segments += 1,
        }
    }

    /// Returns how many octets of data the connection has kept in order: others are
    /// copied anyway.
    fn input_connection(&mut self, now: Instant, slot: u32, seg: &Incoming<'_>) -> u64 {
        let Some(entry) = self.slots.get_mut(slot) else { return 0 };
        entry.conn.set_arrival_share(self.arrivals.share(now));
        let before = entry.conn.unread();
        let take_in = |conn: &mut Connection| conn.handle_part(now, seg.header, seg.payload());
        match self.memory.lend(&mut entry.conn, take_in) {
            Disposition::Done => entry.conn.unread().saturating_sub(before),
            Disposition::Reset => {
                self.reply_reset(now, seg);
                0
            }
        }
    }

    /// What was for the connection in `slot` has been taken in, and `kept` octets of
    /// the batch were kept. If that is little, they get memory of their own, lest a
    /// peer make each octet it sends cost a hundred.
    fn end_of_run(&mut self, now: Instant, slot: u32, batch: &ReceivedBatch, kept: u64) {
        if let Some(entry) = self.slots.get_mut(slot) {
            if kept > 0 && kept < batch.data.len() as u64 / 8 * 7 {
                entry.conn.unshare(kept);
            }
            self.arrivals.on_received(now, &mut entry.received, kept);
            entry.conn.end_of_batch(now);
            if entry.conn.take_heard() {
                // It was the peer, and not somebody who uses its address.
                self.paths.on_heard(entry.peer, batch.local_ip);
            }
        }
        self.settle(now, slot);
    }

    fn input_time_wait(&mut self, now: Instant, slot: u32, seg: &Incoming<'_>) {
        match self.time_waits.judge(now, slot, seg.header, seg.data.len()) {
            Verdict::Ignore => {}
            Verdict::Answer(header) => self.strays.push_owed(stray_reply(seg, header)),
            Verdict::Reopen(above) => self.reopen(now, slot, seg, above),
        }
    }

    /// A SYN that may open a new connection with the names of the one whose
    /// remains are in `slot` (RFC 6191), if somebody listens and has room. If
    /// not, it is answered as any other SYN in TIME-WAIT (RFC 5961 §4.2).
    fn reopen(&mut self, now: Instant, slot: u32, seg: &Incoming<'_>, above: SeqNumber) {
        let listener = self.listeners.find(seg.header.dst_port);
        if let Some(listener) = listener.filter(|id| self.may_remember(*id)) {
            self.forget_time_wait(slot);
            self.counters.time_wait_reused += 1;
            self.remember(now, listener, seg, Some(above));
        } else if let Some(header) = self.time_waits.answer(now, slot) {
            self.strays.push_owed(stray_reply(seg, header));
        }
    }

    /// RFC 9293 §3.10.7.1: nobody's. A segment of a live connection that comes
    /// from another UDP port is not answered: the connection must not die of it.
    pub(super) fn input_closed(&mut self, now: Instant, seg: &Incoming<'_>) {
        let inner = InnerTuple {
            ip: seg.batch.peer.ip(),
            peer_port: seg.header.src_port,
            local_port: seg.header.dst_port,
        };
        if self.demux.has_inner(&inner) {
            self.counters.wrong_path += 1;
            return;
        }
        self.counters.stray_segments += 1;
        self.reply_reset(now, seg);
    }

    pub(super) fn reply_reset(&mut self, now: Instant, seg: &Incoming<'_>) {
        if let Some(header) = reset_for(seg.header, seg.data.len())
            && self.reply(now, seg, header)
        {
            self.counters.resets_sent += 1;
        }
    }

    fn reply(&mut self, now: Instant, seg: &Incoming<'_>, header: SegmentHeader) -> bool {
        let is_sent = self.strays.push(now, stray_reply(seg, header));
        self.counters.stray_replies_suppressed += u64::from(!is_sent);
        is_sent
    }

    /// What a connection must be told to begin.
    pub(super) fn open_params(
        &self,
        now: Instant,
        remote: Remote,
        local_port: Port,
        config: alloc::sync::Arc<crate::config::ConnectionConfig>,
    ) -> OpenParams {
        let ip = remote.addr.ip();
        OpenParams {
            config,
            checksum: self.config.fields.checksum,
            local_port,
            peer_port: remote.port,
            isn: initial_sequence_number(&self.secret, now, ip, remote.port, local_port),
            timestamp_offset: timestamp_offset(&self.secret, ip),
            mss: self.local_mss(ip),
            default_mss: default_mss(ip),
        }
    }

    /// Enters a connection under `key`, whose path it has joined.
    pub(super) fn enter(&mut self, conn: Connection, key: Key, ip: IpAddr, stage: Stage) -> ConnId {
        let keeps_path = self.paths.begin_connection(key.peer, stage == Stage::User);
        let id = self.slots.insert(Box::new(conn), key, stage, keeps_path);
        self.demux.insert(key, ip, Target::Connection(id.slot));
        id
    }

    /// An error report. It counts for the connection whose ports, and a sequence
    /// number in flight, it quotes (RFC 5927 §4).
    pub(super) fn input_path_error(&mut self, now: Instant, error: &PathError) {
        let slot = quoted_names(&error.quoted).and_then(|(local_port, peer_port, seq)| {
            let peer = self.paths.find(error.peer)?;
            match self.demux.find(&Key { peer, peer_port, local_port })? {
                Target::Connection(slot) => Some((slot, seq)),
                Target::HalfOpen(_) | Target::TimeWait(_) => None,
            }
        });
        let Some((slot, seq)) = slot else {
            self.counters.stray_path_errors += 1;
            return;
        };
        let header = carrier_header(error.peer.ip());
        if let Some(entry) = self.slots.get_mut(slot) {
            match error.kind {
                PathErrorKind::TooBig { mtu: Some(mtu) } => {
                    entry.conn.handle_too_big(seq, mtu, header);
                }
                PathErrorKind::TooBig { mtu: None } | PathErrorKind::Unreachable => {
                    entry.conn.handle_soft_error(seq);
                }
                PathErrorKind::Refused => entry.conn.handle_refused(seq),
                PathErrorKind::NoRoute => entry.conn.handle_no_route(seq),
            }
        }
        self.settle(now, slot);
    }
}

pub(super) fn stray_reply(seg: &Incoming<'_>, header: SegmentHeader) -> StrayReply {
    StrayReply { peer: seg.batch.peer, local_ip: seg.batch.local_ip, header }
}

pub(super) fn key(peer: PeerId, header: &SegmentHeader) -> Key {
    Key { peer, peer_port: header.src_port, local_port: header.dst_port }
}

/// Our port, the peer's port and the sequence number of a segment of ours that
/// an error report quotes: the first eight octets.
fn quoted_names(quoted: &[u8]) -> Option<(Port, Port, SeqNumber)> {
    let &[s0, s1, d0, d1, q0, q1, q2, q3] = quoted.first_chunk::<8>()?;
    Some((
        Port::new(u16::from_be_bytes([s0, s1]))?,
        Port::new(u16::from_be_bytes([d0, d1]))?,
        SeqNumber::new(u32::from_be_bytes([q0, q1, q2, q3])),
    ))
}
