//! What was sent, when, and what became of it.
//!
//! A [`Trace`] keeps the last datagrams for people to read, and a digest of all
//! of them for machines to compare. It must not know how a fate came about.

use core::fmt;
use core::hash::Hasher;
use std::collections::VecDeque;

use bytes::Bytes;
use siphasher::sip::SipHasher24;
use tou_proto::wire::{Checksum, SegmentHeader};
use tou_proto::{Ecn, Instant};

use crate::link::{Fate, LossCause};

/// One datagram on its way.
#[derive(Clone, Debug)]
pub struct Record {
    /// When it was sent.
    pub time: Instant,
    /// Who sent it.
    pub from: &'static str,
    /// Whom it was for.
    pub to: &'static str,
    /// Its ECN codepoint.
    pub ecn: Ecn,
    /// The UDP payload.
    pub datagram: Bytes,
    /// What became of it.
    pub fate: Fate,
}

impl Record {
    /// The segment's header, if the datagram is a segment.
    #[must_use]
    pub fn header(&self) -> Option<SegmentHeader> {
        SegmentHeader::parse(&self.datagram, Checksum::Carrier).ok().map(|parsed| parsed.header)
    }

    /// The segment's data; empty if the datagram is no segment.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        SegmentHeader::parse(&self.datagram, Checksum::Carrier)
            .ok()
            .and_then(|parsed| self.datagram.get(parsed.data_offset..))
            .unwrap_or_default()
    }

    /// Feeds everything that makes this record into `digest`.
    fn digest(&self, digest: &mut SipHasher24) {
        digest.write(&self.time.as_nanos().to_be_bytes());
        digest.write(self.from.as_bytes());
        digest.write(self.to.as_bytes());
        digest.write(&[self.ecn as u8]);
        digest.write(&self.datagram);
        let (kind, first, second) = match self.fate {
            Fate::Arrives(at) => (0, at, Instant::ZERO),
            Fate::ArrivesTwice(at, again) => (1, at, again),
            Fate::Lost(cause) => (2 + cause as u8, Instant::ZERO, Instant::ZERO),
        };
        digest.write(&[kind]);
        digest.write(&first.as_nanos().to_be_bytes());
        digest.write(&second.as_nanos().to_be_bytes());
    }
}

impl fmt::Display for Record {
    /// `0.020000000 client -> server 50000 > 7: Flags [S], ... (lost)`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} -> {} ", self.time, self.from, self.to)?;
        match SegmentHeader::parse(&self.datagram, Checksum::Carrier) {
            Ok(parsed) => {
                let len = self.datagram.len().saturating_sub(parsed.data_offset);
                write!(f, "{}", parsed.header.display(len))?;
            }
            Err(error) => write!(f, "{} octets, no segment: {error:?}", self.datagram.len())?,
        }
        match self.fate {
            Fate::Arrives(_) => Ok(()),
            Fate::ArrivesTwice(..) => f.write_str(" (twice)"),
            Fate::Lost(cause) => write!(f, " ({cause})"),
        }
    }
}

impl fmt::Display for LossCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Random => "lost",
            Self::Chosen => "lost on purpose",
            Self::Queue => "dropped: queue full",
            Self::Mtu => "dropped: too long",
            Self::Outage => "dropped: outage",
            Self::NoRoute => "dropped: no such address",
        })
    }
}

/// The datagrams of a run.
#[derive(Clone, Debug)]
pub struct Trace {
    records: VecDeque<Record>,
    limit: usize,
    count: u64,
    digest: SipHasher24,
}

impl Trace {
    /// How many records a trace keeps unless told otherwise.
    pub const DEFAULT_LIMIT: usize = 1_000;

    /// An empty trace that keeps the last `limit` records.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            records: VecDeque::new(),
            limit,
            count: 0,
            digest: SipHasher24::new_with_key(&[0; 16]),
        }
    }

    /// Keeps this many records from now on (`usize::MAX`: all).
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
        self.drop_oldest();
    }

    /// Appends a record.
    pub fn push(&mut self, record: Record) {
        record.digest(&mut self.digest);
        self.count += 1;
        self.records.push_back(record);
        self.drop_oldest();
    }

    /// The records kept, oldest first.
    pub fn records(&self) -> impl DoubleEndedIterator<Item = &Record> {
        self.records.iter()
    }

    /// How many records there were, those not kept included.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// A digest of every record there was: equal runs have equal digests.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.digest.finish()
    }

    /// The last `count` records as text, one a line.
    #[must_use]
    pub fn tail(&self, count: usize) -> String {
        let skip = self.records.len().saturating_sub(count);
        self.records.iter().skip(skip).map(|record| format!("{record}\n")).collect()
    }

    fn drop_oldest(&mut self) {
        while self.records.len() > self.limit {
            self.records.pop_front();
        }
    }
}

impl Default for Trace {
    fn default() -> Self {
        Self::new(Self::DEFAULT_LIMIT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(millis: u64, fate: Fate) -> Record {
        Record {
            time: Instant::from_millis(millis),
            from: "a",
            to: "b",
            ecn: Ecn::NotEct,
            datagram: Bytes::from_static(b"x"),
            fate,
        }
    }

    #[test]
    fn old_records_go_but_stay_in_the_digest() {
        let arrives = Fate::Arrives(Instant::from_millis(9));
        let mut short = Trace::new(1);
        let mut long = Trace::new(10);
        for millis in 0..3 {
            short.push(record(millis, arrives));
            long.push(record(millis, arrives));
        }
        assert_eq!((short.records().count(), short.count()), (1, 3));
        assert_eq!(short.digest(), long.digest());
        assert_eq!(short.tail(9), "0.002000000 a -> b 1 octets, no segment: TooShort\n");
    }

    #[test]
    fn everything_counts_in_the_digest() {
        let digest = |record: Record| {
            let mut trace = Trace::default();
            trace.push(record);
            trace.digest()
        };
        let base = record(1, Fate::Lost(LossCause::Random));
        let other_time = Record { time: Instant::ZERO, ..base.clone() };
        let other_data = Record { datagram: Bytes::from_static(b"y"), ..base.clone() };
        let other_fate = Record { fate: Fate::Lost(LossCause::Queue), ..base.clone() };
        for other in [other_time, other_data, other_fate] {
            assert_ne!(digest(base.clone()), digest(other));
        }
    }
}
