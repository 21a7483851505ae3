//! TIME-WAIT (RFC 9293 §3.10.7.4, RFC 1337, RFC 6191): what remains of closed
//! connections, in a form that costs little.

use alloc::collections::VecDeque;
use core::time::Duration;

use slab::Slab;

use crate::conn::{Remains, ReplyLimit};
use crate::seq::SeqNumber;
use crate::time::Instant;
use crate::wire::{SegmentFlags, SegmentHeader, SegmentOptions, Timestamps};

use super::demux::Key;

/// The store.
#[derive(Debug)]
pub(super) struct TimeWaits {
    slab: Slab<Entry>,
    /// Slots in the order in which they were entered or renewed.
    queue: VecDeque<(Instant, u32, u64)>,
    duration: Duration,
    max: usize,
    serial: u64,
}

#[derive(Debug)]
struct Entry {
    key: Key,
    remains: Remains,
    expires: Instant,
    answers: ReplyLimit,
    serial: u64,
}

/// What a segment for a connection in TIME-WAIT deserves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing.
    Ignore,
    /// This acknowledgment.
    Answer(SegmentHeader),
    /// A SYN of a new connection with the same names (RFC 6191): ours must
    /// begin above this number.
    Reopen(SeqNumber),
}

impl TimeWaits {
    pub(super) fn new(duration: Duration, max: usize) -> Self {
        Self { slab: Slab::new(), queue: VecDeque::new(), duration, max, serial: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.slab.len()
    }

    /// Enters a connection. Returns its slot and, if the store was full, the
    /// slot of the oldest, which is to be removed.
    pub(super) fn insert(
        &mut self,
        now: Instant,
        key: Key,
        remains: Remains,
    ) -> (u32, Option<u32>) {
        let oldest = if self.slab.len() >= self.max { self.oldest() } else { None };
        self.serial += 1;
        let expires = now + self.duration;
        let serial = self.serial;
        let slot = self.slab.insert(Entry {
            key,
            remains,
            expires,
            answers: ReplyLimit::default(),
            serial,
        });
        let slot = u32::try_from(slot).unwrap_or(u32::MAX);
        self.queue.push_back((expires, slot, serial));
        (slot, oldest)
    }

    /// Removes an entry.
    pub(super) fn remove(&mut self, slot: u32) -> Option<Key> {
        self.slab.try_remove(slot as usize).map(|entry| entry.key)
    }

    fn oldest(&mut self) -> Option<u32> {
        self.next_expiry()?;
        self.queue.front().map(|(_, slot, _)| *slot)
    }

    /// When the next entry expires.
    pub(super) fn next_expiry(&mut self) -> Option<Instant> {
        // The queue may name entries that are gone or have been renewed.
        while let Some((at, slot, serial)) = self.queue.front().copied() {
            match self.slab.get(slot as usize).filter(|entry| entry.serial == serial) {
                Some(entry) if entry.expires == at => return Some(at),
                Some(entry) => {
                    let renewed = (entry.expires, slot, serial);
                    self.queue.pop_front();
                    self.queue.push_back(renewed);
                }
                None => {
                    self.queue.pop_front();
                }
            }
        }
        None
    }

    /// An entry whose time is over at `now`.
    pub(super) fn expired(&mut self, now: Instant) -> Option<u32> {
        let at = self.next_expiry()?;
        (at <= now).then(|| self.queue.front().map(|(_, slot, _)| *slot)).flatten()
    }

    /// Judges a segment with `payload_len` bytes of data.
    pub(super) fn judge(
        &mut self,
        now: Instant,
        slot: u32,
        segment: &SegmentHeader,
        payload_len: usize,
    ) -> Verdict {
        let Some(entry) = self.slab.get_mut(slot as usize) else { return Verdict::Ignore };
        let verdict = entry.judge(segment, payload_len);
        if verdict == Judged::FinAgain {
            // "Acknowledge it, and restart the 2 MSL timeout."
            entry.expires = now + self.duration;
        }
        match verdict {
            Judged::Nothing => Verdict::Ignore,
            Judged::New => Verdict::Reopen(entry.remains.snd_nxt),
            Judged::Old | Judged::FinAgain => {
                if entry.answers.allow(now) {
                    Verdict::Answer(ack_of(now, &entry.remains))
                } else {
                    Verdict::Ignore
                }
            }
        }
    }

    /// The acknowledgment that the entry in `slot` gives.
    pub(super) fn answer(&self, now: Instant, slot: u32) -> Option<SegmentHeader> {
        self.slab.get(slot as usize).map(|entry| ack_of(now, &entry.remains))
    }
}

/// What a segment is to what remains of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Judged {
    /// Nothing to answer.
    Nothing,
    /// A SYN of a new connection.
    New,
    /// The peer's FIN again: our acknowledgment was lost.
    FinAgain,
    /// Something old, or forged.
    Old,
}

impl Entry {
    fn judge(&self, segment: &SegmentHeader, payload_len: usize) -> Judged {
        let remains = &self.remains;
        let flags = segment.flags;
        // RFC 1337: a reset must not end TIME-WAIT.
        if flags.contains(SegmentFlags::RST) {
            return Judged::Nothing;
        }
        if flags.contains(SegmentFlags::SYN) {
            let is_new = !flags.contains(SegmentFlags::ACK) && is_new(remains, segment);
            // RFC 5961 §4.2.
            return if is_new { Judged::New } else { Judged::Old };
        }
        if !flags.contains(SegmentFlags::ACK) {
            return Judged::Nothing;
        }
        let data = u32::try_from(payload_len).unwrap_or(u32::MAX);
        if flags.contains(SegmentFlags::FIN) {
            let end = segment.seq.plus(data).plus(1);
            return if end == remains.rcv_nxt { Judged::FinAgain } else { Judged::Old };
        }
        if data == 0 && segment.seq == remains.rcv_nxt { Judged::Nothing } else { Judged::Old }
    }
}

/// RFC 6191 §2: a SYN with a later timestamp, or, where timestamps do not tell,
/// with a later sequence number, opens a new connection.
fn is_new(remains: &Remains, syn: &SegmentHeader) -> bool {
    let is_later_seq = syn.seq.distance_from(remains.rcv_nxt) > 0;
    match (&remains.timestamps, syn.options.timestamps) {
        (Some(state), Some(timestamps)) => {
            let age = timestamps.tsval.wrapping_sub(state.tsecr()).cast_signed();
            age > 0 || (age == 0 && is_later_seq)
        }
        _ => is_later_seq,
    }
}

fn ack_of(now: Instant, remains: &Remains) -> SegmentHeader {
    let timestamps = remains
        .timestamps
        .as_ref()
        .map(|state| Timestamps { tsval: state.tsval(now), tsecr: state.tsecr() });
    SegmentHeader {
        src_port: remains.ports.local,
        dst_port: remains.ports.peer,
        seq: remains.snd_nxt,
        ack: remains.rcv_nxt,
        flags: SegmentFlags::ACK,
        window: remains.window,
        urgent: 0,
        options: SegmentOptions { timestamps, ..SegmentOptions::default() },
    }
}
