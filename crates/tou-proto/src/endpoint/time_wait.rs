//! TIME-WAIT (RFC 9293 §3.10.7.4, RFC 1337, RFC 6191): what remains of closed
//! connections, in a form that costs little.

use alloc::collections::BTreeSet;
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
    /// When each slot expires: one place for each, whatever becomes of it.
    queue: BTreeSet<(Instant, u32)>,
    duration: Duration,
    max: usize,
}

#[derive(Debug)]
struct Entry {
    key: Key,
    remains: Remains,
    expires: Instant,
    answers: ReplyLimit,
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
        Self { slab: Slab::new(), queue: BTreeSet::new(), duration, max }
    }

    pub(super) fn len(&self) -> usize {
        self.slab.len()
    }

    /// Enters a connection. Returns its slot and, if the store was full, the
    /// slot of the oldest, which is to be removed: its own, if the store takes
    /// none.
    pub(super) fn insert(
        &mut self,
        now: Instant,
        key: Key,
        remains: Remains,
    ) -> (u32, Option<u32>) {
        let is_full = self.slab.len() >= self.max;
        let oldest = self.queue.first().map(|(_, slot)| *slot);
        let expires = now + self.duration;
        let answers = ReplyLimit::default();
        let slot = self.slab.insert(Entry { key, remains, expires, answers });
        let slot = u32::try_from(slot).unwrap_or(u32::MAX);
        self.queue.insert((expires, slot));
        (slot, is_full.then(|| oldest.unwrap_or(slot)))
    }

    /// Removes an entry.
    pub(super) fn remove(&mut self, slot: u32) -> Option<Key> {
        let entry = self.slab.try_remove(slot as usize)?;
        self.queue.remove(&(entry.expires, slot));
        Some(entry.key)
    }

    /// When the next entry expires.
    pub(super) fn next_expiry(&self) -> Instant {
        self.queue.first().map_or(Instant::NEVER, |(at, _)| *at)
    }

    /// An entry whose time is over at `now`.
    pub(super) fn expired(&self, now: Instant) -> Option<u32> {
        self.queue.first().filter(|(at, _)| *at <= now).map(|(_, slot)| *slot)
    }

    /// Whether this side may open a new connection with the names of the one in
    /// `slot`, and if so, above which number its own must begin.
    ///
    /// RFC 6191 says when a SYN that arrives may do so; what makes that safe holds
    /// for one that is sent: a second after the last word of the old connection
    /// every timestamp of the new one is later, so that PAWS tells their segments
    /// apart at both ends.
    pub(super) fn may_reuse(&self, now: Instant, slot: u32) -> Option<SeqNumber> {
        let entry = self.slab.get(slot as usize)?;
        let is_told_apart =
            entry.remains.timestamps.is_some() && entry.expires + QUARANTINE <= now + self.duration;
        is_told_apart.then_some(entry.remains.snd_nxt)
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
        match verdict {
            Judged::Nothing => Verdict::Ignore,
            Judged::New => Verdict::Reopen(entry.remains.snd_nxt),
            Judged::FinAgain => {
                // "Acknowledge it, and restart the 2 MSL timeout."
                self.queue.remove(&(entry.expires, slot));
                entry.expires = now + self.duration;
                self.queue.insert((entry.expires, slot));
                Verdict::Answer(ack_of(now, &entry.remains))
            }
            Judged::Old => self.answer(now, slot).map_or(Verdict::Ignore, Verdict::Answer),
        }
    }

    /// The acknowledgment that the entry in `slot` gives, within its limit, to what it
    /// does not take.
    pub(super) fn answer(&mut self, now: Instant, slot: u32) -> Option<SegmentHeader> {
        let entry = self.slab.get_mut(slot as usize)?;
        let is_allowed = entry.answers.allow(now, ANSWERS_PER_SECOND);
        is_allowed.then(|| ack_of(now, &entry.remains))
    }
}

/// How long this side leaves the names of a connection alone in any case: many
/// ticks of any timestamp clock (RFC 7323 §5.4: one is a second at most).
const QUARANTINE: Duration = Duration::from_secs(1);

/// How many answers to old or forged segments an entry gives in one second.
const ANSWERS_PER_SECOND: u32 = 5;

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

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::config::ConnectionConfig;
    use crate::conn::{Connection, OpenParams};
    use crate::id::{PeerId, Port};
    use crate::machine::TransmitBuf;
    use crate::wire::Checksum;

    /// What the peer's numbers begin at, and ours.
    const PEER: u32 = 1_000;
    const OURS: u32 = 5_000;

    const FIN: SegmentFlags =
        SegmentFlags::from_bits(SegmentFlags::FIN.bits() | SegmentFlags::ACK.bits());

    fn port(number: u16) -> Port {
        Port::new(number).unwrap()
    }

    fn segment(flags: SegmentFlags, seq: u32) -> SegmentHeader {
        SegmentHeader {
            src_port: port(1),
            dst_port: port(2),
            seq: SeqNumber::new(seq),
            ack: SeqNumber::new(OURS + 2),
            flags,
            window: 9_000,
            urgent: 0,
            options: SegmentOptions::default(),
        }
    }

    /// What remains of a connection that said nothing and was closed here first.
    fn remains() -> Remains {
        remains_with(None)
    }

    fn remains_with(timestamps: Option<Timestamps>) -> Remains {
        let options = SegmentOptions { timestamps, ..SegmentOptions::default() };
        let segment =
            |flags, seq| SegmentHeader { options: options.clone(), ..segment(flags, seq) };
        let now = Instant::ZERO;
        let params = OpenParams {
            config: ConnectionConfig::builder().build().unwrap(),
            checksum: Checksum::Carrier,
            local_port: port(2),
            peer_port: port(1),
            isn: SeqNumber::new(OURS),
            timestamp_offset: 0,
            mss: 1_000,
            default_mss: 536,
        };
        let mut conn =
            Connection::accept(now, params, &segment(SegmentFlags::SYN, PEER), Bytes::new());
        let mut buf = TransmitBuf::new(1, TransmitBuf::MAX_BYTES);
        conn.poll_transmit(now, &mut buf).unwrap();
        conn.shutdown(now);
        let ack =
            SegmentHeader { ack: SeqNumber::new(OURS + 1), ..segment(SegmentFlags::ACK, PEER + 1) };
        let _ = conn.handle_segment(now, &ack, Bytes::new());
        conn.poll_transmit(now, &mut buf).unwrap();
        let _ = conn.handle_segment(now, &segment(FIN, PEER + 1), Bytes::new());
        assert!(conn.remains().is_none(), "the FIN is not acknowledged yet");
        conn.poll_transmit(now, &mut buf).unwrap();
        conn.remains().unwrap()
    }

    fn key(number: u16) -> Key {
        let peer = PeerId { slot: 0, generation: 0 };
        Key { peer, peer_port: port(1), local_port: port(number) }
    }

    #[test]
    fn segments_are_told_apart() {
        let mut store = TimeWaits::new(Duration::from_secs(60), 9);
        let (slot, _) = store.insert(Instant::ZERO, key(2), remains());
        let entry = store.slab.get(slot as usize).unwrap();
        let judge = |flags, seq, len| entry.judge(&segment(flags, seq), len);
        let next = PEER + 2;
        // The peer's FIN by itself, and with the data before it.
        assert_eq!(judge(FIN, next - 1, 0), Judged::FinAgain);
        assert_eq!(judge(FIN, next - 11, 10), Judged::FinAgain);
        // Any other.
        assert_eq!(judge(FIN, next, 0), Judged::Old);
        assert_eq!(judge(FIN, next - 1, 10), Judged::Old);
        assert_eq!(judge(SegmentFlags::ACK, next, 0), Judged::Nothing);
        assert_eq!(judge(SegmentFlags::ACK, next - 1, 0), Judged::Old);
        assert_eq!(judge(SegmentFlags::ACK, next, 1), Judged::Old);
        assert_eq!(judge(SegmentFlags::EMPTY, next, 1), Judged::Nothing);
        assert_eq!(judge(SegmentFlags::RST, next, 0), Judged::Nothing);
        assert_eq!(judge(FIN | SegmentFlags::RST, next - 1, 0), Judged::Nothing);
        assert_eq!(judge(SegmentFlags::SYN, next + 1, 0), Judged::New);
        assert_eq!(judge(SegmentFlags::SYN, next, 0), Judged::Old);
        assert_eq!(judge(SegmentFlags::SYN | SegmentFlags::ACK, next + 1, 0), Judged::Old);
    }

    #[test]
    fn answers_to_old_segments_are_limited() {
        let mut store = TimeWaits::new(Duration::from_secs(60), 9);
        let (slot, _) = store.insert(Instant::ZERO, key(2), remains());
        let mut answers = |now| {
            let old = segment(SegmentFlags::ACK, PEER);
            let verdicts = (0..100).map(|_| store.judge(now, slot, &old, 1));
            verdicts.filter(|verdict| matches!(verdict, Verdict::Answer(_))).count()
        };
        let first = answers(Instant::from_secs(1));
        assert!((1..=10).contains(&first), "{first}");
        assert_eq!(answers(Instant::from_secs(3)), first);
    }

    #[test]
    fn each_entry_has_its_time_and_the_oldest_makes_room() {
        let at = Instant::from_secs;
        let mut store = TimeWaits::new(Duration::from_secs(60), 2);
        let (first, evicted) = store.insert(at(0), key(2), remains());
        assert_eq!(evicted, None);
        let (second, evicted) = store.insert(at(10), key(3), remains());
        assert_eq!(evicted, None);
        assert_eq!(store.next_expiry(), at(60));
        let (third, evicted) = store.insert(at(20), key(4), remains());
        assert_eq!(evicted, Some(first));
        assert_eq!(store.remove(first), Some(key(2)));
        assert_eq!(store.expired(at(69)), None);
        assert_eq!(store.expired(at(70)), Some(second));
        store.remove(second);
        assert_eq!(store.expired(at(70)), None);
        assert_eq!(store.expired(at(80)), Some(third));
        store.remove(third);
        assert_eq!((store.len(), store.next_expiry()), (0, Instant::NEVER));
    }

    #[test]
    fn store_of_no_size_keeps_nothing() {
        let mut store = TimeWaits::new(Duration::from_secs(60), 0);
        let (slot, evicted) = store.insert(Instant::ZERO, key(2), remains());
        assert_eq!(evicted, Some(slot));
        store.remove(slot);
        assert_eq!((store.len(), store.next_expiry()), (0, Instant::NEVER));
    }

    #[test]
    fn names_are_left_alone_for_a_second_and_for_good_without_timestamps() {
        let at = Instant::from_millis;
        let mut store = TimeWaits::new(Duration::from_secs(60), 9);
        let stamped = remains_with(Some(Timestamps { tsval: 1, tsecr: 0 }));
        let (slot, _) = store.insert(at(0), key(2), stamped);
        assert_eq!(store.may_reuse(at(999), slot), None);
        assert_eq!(store.may_reuse(at(1_000), slot), Some(SeqNumber::new(OURS + 2)));
        // The peer is still there.
        store.judge(at(1_500), slot, &segment(FIN, PEER + 1), 0);
        assert_eq!(store.may_reuse(at(2_499), slot), None);
        assert!(store.may_reuse(at(2_500), slot).is_some());
        let (bare, _) = store.insert(at(0), key(3), remains());
        assert_eq!(store.may_reuse(at(59_000), bare), None);
    }

    #[test]
    fn peers_fin_restarts_the_time() {
        let at = Instant::from_secs;
        let mut store = TimeWaits::new(Duration::from_secs(60), 9);
        let (slot, _) = store.insert(at(0), key(2), remains());
        let verdict = store.judge(at(10), slot, &segment(FIN, PEER + 1), 0);
        assert!(matches!(verdict, Verdict::Answer(_)));
        assert_eq!(store.next_expiry(), at(70));
        store.judge(at(20), slot, &segment(FIN, PEER + 9), 0);
        assert_eq!(store.next_expiry(), at(70));
        assert_eq!(store.expired(at(70)), Some(slot));
    }

    #[test]
    fn entry_that_was_renewed_ends_before_a_later_one() {
        let at = Instant::from_secs;
        let mut store = TimeWaits::new(Duration::from_secs(60), 9);
        let (first, _) = store.insert(at(0), key(2), remains());
        store.judge(at(10), first, &segment(FIN, PEER + 1), 0);
        store.insert(at(50), key(3), remains());
        assert_eq!(store.expired(at(60)), None);
        assert_eq!(store.expired(at(70)), Some(first));
    }

    #[test]
    fn repeated_fins_do_not_make_the_queue_grow() {
        let mut store = TimeWaits::new(Duration::from_secs(60), 9);
        store.insert(Instant::ZERO, key(2), remains());
        let (slot, _) = store.insert(Instant::ZERO, key(3), remains());
        for micros in 0..10_000 {
            store.judge(Instant::from_micros(micros), slot, &segment(FIN, PEER + 1), 0);
            store.next_expiry();
        }
        assert_eq!(store.queue.len(), 2);
    }
}
