//! Watches segments as they are sent, and knows what no TCP may do.
//!
//! An [`Audit`] sees both directions of every connection, but only from outside:
//! it has its own simple idea of a stream (all octets ever sent, kept) and holds
//! each new segment against it. It must not know how a sender or receiver works.
//! What it checks:
//!
//! - the same sequence number always carries the same octet, and nothing follows
//!   a FIN (RFC 9293 §3.4, §3.6);
//! - data stays within the window that the peer has offered, but for one octet
//!   of a zero-window probe (§3.8.6.1), and within the peer's MSS (§3.7.1);
//! - acknowledgment numbers never go back, nor beyond what the peer has sent;
//!   the right edge of the window never goes back (§3.8.6);
//! - SACK blocks and timestamps are there only if both SYNs allow it, and say
//!   only what can be true (RFC 2018, RFC 2883, RFC 7323).
//!
//! Resets are not looked at: they may come from those who know nothing.

use core::net::SocketAddr;
use std::collections::BTreeMap;

use tou_proto::wire::{Checksum, SegmentFlags, SegmentHeader};
use tou_proto::{Port, SeqNumber};

/// Everything that was sent, by direction.
#[derive(Debug, Default)]
pub struct Audit {
    directions: BTreeMap<Name, Direction>,
}

/// Who sends to whom: addresses and ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    from: (SocketAddr, Port),
    to: (SocketAddr, Port),
}

/// One direction of a connection, its sender's SYN seen. Positions count from
/// the SYN, which is at 0.
#[derive(Debug)]
struct Direction {
    isn: SeqNumber,
    /// Position after the last ever sent.
    end: u64,
    /// The octets, from position 1 on.
    octets: Vec<u8>,
    fin: Option<u64>,
    offer: Offer,
    /// What the sender has acknowledged, a position of the other direction.
    acked: u64,
    /// How far its window reaches, likewise.
    edge: u64,
    last_tsval: Option<u32>,
}

/// What a SYN offers.
#[derive(Clone, Copy, Debug)]
struct Offer {
    mss: u16,
    window_shift: Option<u8>,
    sack: bool,
    timestamps: bool,
}

impl Audit {
    /// Looks at a segment that is being sent.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(
        &mut self,
        from: SocketAddr,
        to: SocketAddr,
        datagram: &[u8],
    ) -> Result<(), String> {
        let parsed = SegmentHeader::parse(datagram, Checksum::Carrier)
            .map_err(|error| format!("no segment: {error:?}"))?;
        let (header, payload) = (parsed.header, &datagram[parsed.data_offset..]);
        if parsed.options_malformed {
            return Err("malformed options".to_owned());
        }
        if header.flags.contains(SegmentFlags::RST) {
            return Ok(());
        }
        let name = Name { from: (from, header.src_port), to: (to, header.dst_port) };
        let reverse = Name { from: name.to, to: name.from };
        if header.flags.contains(SegmentFlags::SYN) {
            let is_again = self.directions.get(&name).is_some_and(|known| known.isn == header.seq);
            if !is_again {
                self.directions.insert(name, Direction::new(&header, from.is_ipv4()));
                if !header.flags.contains(SegmentFlags::ACK) {
                    // Another connection with the same names begins.
                    self.directions.remove(&reverse);
                }
            }
        }
        // Without both SYNs nothing can be said.
        let Some(mut mine) = self.directions.remove(&name) else { return Ok(()) };
        let verdict = match self.directions.get(&reverse) {
            Some(theirs) => mine.check(theirs, &header, payload, parsed.data_offset),
            None => Ok(()),
        };
        self.directions.insert(name, mine);
        verdict
    }
}

impl Direction {
    fn new(syn: &SegmentHeader, is_ipv4: bool) -> Self {
        let default_mss = if is_ipv4 { 536 } else { 1_220 };
        Self {
            isn: syn.seq,
            end: 1,
            octets: Vec::new(),
            fin: None,
            offer: Offer {
                mss: syn.options.mss.unwrap_or(default_mss).max(64),
                window_shift: syn.options.window_scale.map(|shift| shift.min(14)),
                sack: syn.options.sack_permitted,
                timestamps: syn.options.timestamps.is_some(),
            },
            acked: 0,
            edge: 0,
            last_tsval: None,
        }
    }

    /// The position of a sequence number; nobody sends 2^32 octets in a test.
    fn position(&self, seq: SeqNumber) -> u64 {
        u64::from(seq.get().wrapping_sub(self.isn.get()))
    }

    fn check(
        &mut self,
        theirs: &Self,
        header: &SegmentHeader,
        payload: &[u8],
        header_len: usize,
    ) -> Result<(), String> {
        self.check_data(theirs, header, payload, header_len)?;
        if header.flags.contains(SegmentFlags::ACK) {
            self.check_ack(theirs, header)?;
        }
        self.check_sack(theirs, header)?;
        self.check_timestamps(theirs, header)
    }

    fn check_data(
        &mut self,
        theirs: &Self,
        header: &SegmentHeader,
        payload: &[u8],
        header_len: usize,
    ) -> Result<(), String> {
        let is_syn = header.flags.contains(SegmentFlags::SYN);
        let start = self.position(header.seq) + u64::from(is_syn);
        let end = start + payload.len() as u64;
        if start > self.end {
            return Err(format!("a hole before {start}: only {} was sent", self.end));
        }
        if payload.len() + header_len - 20 > usize::from(theirs.offer.mss) {
            return Err(format!("longer than the peer's MSS {}", theirs.offer.mss));
        }
        // A direction that has said nothing but its SYN has offered no window.
        if !payload.is_empty() && end > theirs.edge && payload.len() > 1 {
            return Err(format!("{end} is beyond the window's edge {}", theirs.edge));
        }
        for (position, octet) in (start..).zip(payload) {
            match self.octets.get(usize_of(position).wrapping_sub(1)) {
                Some(known) if known == octet => {}
                Some(_) => return Err(format!("another octet at {position} than before")),
                None => self.octets.push(*octet),
            }
        }
        if !payload.is_empty() && self.fin.is_some_and(|fin| end > fin) {
            return Err("data after the FIN".to_owned());
        }
        let mut end = end;
        if header.flags.contains(SegmentFlags::FIN) {
            if *self.fin.get_or_insert(end) != end || usize_of(end) != self.octets.len() + 1 {
                return Err(format!("a FIN at {end}, which is not the end"));
            }
            end += 1;
        }
        self.end = self.end.max(end);
        Ok(())
    }

    fn check_ack(&mut self, theirs: &Self, header: &SegmentHeader) -> Result<(), String> {
        let ack = theirs.position(header.ack);
        if ack > theirs.end {
            return Err(format!("acknowledges {ack}, but only {} was sent", theirs.end));
        }
        if ack < self.acked {
            return Err(format!("acknowledges {ack} after {}", self.acked));
        }
        self.acked = ack;
        let is_syn = header.flags.contains(SegmentFlags::SYN);
        let shift = match (self.offer.window_shift, theirs.offer.window_shift) {
            (Some(mine), Some(_)) if !is_syn => mine,
            _ => 0,
        };
        let edge = ack + (u64::from(header.window) << shift);
        // The field rounds down to a multiple of 2^shift.
        if edge + (1 << shift) <= self.edge {
            return Err(format!("takes the window back from {} to {edge}", self.edge));
        }
        self.edge = self.edge.max(edge);
        Ok(())
    }

    fn check_sack(&self, theirs: &Self, header: &SegmentHeader) -> Result<(), String> {
        let options = &header.options;
        let is_agreed = self.offer.sack && theirs.offer.sack;
        if options.sack.is_empty() {
            return Ok(());
        }
        if !is_agreed {
            return Err("SACK was not agreed on".to_owned());
        }
        let most = if options.timestamps.is_some() { 3 } else { 4 };
        if options.sack.len() > most {
            return Err(format!("{} SACK blocks", options.sack.len()));
        }
        for (index, block) in options.sack.iter().enumerate() {
            let left = theirs.position(block.left);
            let right = theirs.position(block.right);
            // Only the first may report what arrived twice (RFC 2883 §4).
            let is_plain = left > self.acked || index == 0;
            if left >= right || right > theirs.end || !is_plain {
                return Err(format!("SACK block {left}..{right}: acked {}", self.acked));
            }
        }
        Ok(())
    }

    fn check_timestamps(&mut self, theirs: &Self, header: &SegmentHeader) -> Result<(), String> {
        let is_agreed = self.offer.timestamps && theirs.offer.timestamps;
        let is_syn = header.flags.contains(SegmentFlags::SYN);
        let Some(timestamps) = header.options.timestamps else {
            return if is_agreed { Err("the timestamp is missing".to_owned()) } else { Ok(()) };
        };
        if !is_agreed && !is_syn {
            return Err("timestamps were not agreed on".to_owned());
        }
        let is_back = |last: u32| timestamps.tsval.wrapping_sub(last).cast_signed() < 0;
        if self.last_tsval.is_some_and(is_back) {
            return Err("the timestamp goes back".to_owned());
        }
        self.last_tsval = Some(timestamps.tsval);
        Ok(())
    }
}

fn usize_of(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BytesMut;
    use tou_proto::wire::{SackBlock, SegmentOptions, Timestamps};

    /// A connection with the handshake done; each side's window is 1,000.
    struct Witness(Audit);

    impl Witness {
        fn new() -> Self {
            let mut witness = Self(Audit::default());
            witness.see(0, SegmentFlags::SYN, (0, 0), b"").expect("a SYN");
            let flags = SegmentFlags::SYN | SegmentFlags::ACK;
            witness.see(1, flags, (0, 1), b"").expect("a SYN-ACK");
            witness.see(0, SegmentFlags::ACK, (1, 1), b"").expect("an ACK");
            witness
        }

        fn see(
            &mut self,
            sender: u16,
            flags: SegmentFlags,
            (seq, ack): (u32, u32),
            data: &[u8],
        ) -> Result<(), String> {
            self.see_with(sender, flags, (seq, ack), data, |_| {})
        }

        fn see_with(
            &mut self,
            sender: u16,
            flags: SegmentFlags,
            (seq, ack): (u32, u32),
            data: &[u8],
            change: impl Fn(&mut SegmentHeader),
        ) -> Result<(), String> {
            let port = |number| Port::new(number).expect("not zero");
            let is_syn = flags.contains(SegmentFlags::SYN);
            let mut header = SegmentHeader {
                src_port: port(1 + sender),
                dst_port: port(2 - sender),
                seq: SeqNumber::new(seq.wrapping_sub(5)),
                ack: SeqNumber::new(ack.wrapping_sub(5)),
                flags,
                window: 1_000,
                urgent: 0,
                options: SegmentOptions {
                    mss: is_syn.then_some(500),
                    sack_permitted: is_syn,
                    ..SegmentOptions::default()
                },
            };
            change(&mut header);
            let mut datagram = BytesMut::zeroed(header.encoded_len());
            datagram.extend_from_slice(data);
            header.emit(Checksum::Carrier, &mut datagram);
            let addr = |host| SocketAddr::from(([10, 0, 0, 1], 100 + host));
            self.0.check(addr(sender), addr(1 - sender), &datagram)
        }
    }

    const ACK: SegmentFlags = SegmentFlags::ACK;

    #[test]
    fn ordinary_talk_is_fine() {
        let mut witness = Witness::new();
        assert_eq!(witness.see(0, ACK, (1, 1), &[7; 500]), Ok(()));
        assert_eq!(witness.see(0, ACK, (501, 1), &[8; 500]), Ok(()));
        assert_eq!(witness.see(0, ACK, (401, 1), &[[7; 100], [8; 100]].concat()), Ok(()));
        assert_eq!(witness.see(1, ACK, (1, 1_001), b""), Ok(()));
        assert_eq!(witness.see(0, ACK | SegmentFlags::FIN, (1_001, 1), b"end"), Ok(()));
        assert_eq!(witness.see(0, ACK | SegmentFlags::FIN, (1_004, 1), b""), Ok(()));
        assert_eq!(witness.see(0, ACK, (1_005, 1), b""), Ok(()), "an ACK after the FIN");
        let late = witness.see(0, ACK, (1_004, 1), b"!");
        assert_eq!(late, Err("data after the FIN".to_owned()));
        assert_eq!(witness.see(1, ACK, (1, 1_005), b""), Ok(()));
    }

    #[test]
    fn what_no_sender_may_do_is_noticed() {
        let fault = |flags, seq, data: &[u8]| {
            let mut witness = Witness::new();
            witness.see(0, ACK, (1, 1), &[7; 500]).expect("fine");
            witness.see(0, flags, (seq, 1), data).expect_err("a fault")
        };
        assert_eq!(fault(ACK, 1, b"x"), "another octet at 1 than before");
        assert_eq!(fault(ACK, 502, b"x"), "a hole before 502: only 501 was sent");
        assert_eq!(fault(ACK, 501, &[0; 501]), "longer than the peer's MSS 500");
        assert_eq!(fault(ACK | SegmentFlags::FIN, 400, b""), "a FIN at 400, which is not the end");
        let mut witness = Witness::new();
        witness.see(0, ACK, (1, 1), &[7; 500]).expect("fine");
        witness.see(0, ACK, (501, 1), &[7; 500]).expect("fine");
        assert_eq!(witness.see(0, ACK, (1_001, 1), b"x"), Ok(()), "a window probe");
        let beyond = witness.see(0, ACK, (1_001, 1), b"xy");
        assert_eq!(beyond, Err("1003 is beyond the window's edge 1001".to_owned()));
    }

    #[test]
    fn what_no_receiver_may_do_is_noticed() {
        let mut witness = Witness::new();
        witness.see(0, ACK, (1, 1), &[7; 500]).expect("fine");
        let ahead = witness.see(1, ACK, (1, 502), b"");
        assert_eq!(ahead, Err("acknowledges 502, but only 501 was sent".to_owned()));
        witness.see(1, ACK, (1, 501), b"").expect("fine");
        let back = witness.see(1, ACK, (1, 500), b"");
        assert_eq!(back, Err("acknowledges 500 after 501".to_owned()));
        let shrunk = witness.see_with(1, ACK, (1, 501), b"", |header| header.window = 999);
        assert_eq!(shrunk, Err("takes the window back from 1501 to 1500".to_owned()));
    }

    #[test]
    fn options_that_were_not_agreed_on_are_noticed() {
        let mut witness = Witness::new();
        let stamped = witness.see_with(0, ACK, (1, 1), b"", |header| {
            header.options.timestamps = Some(Timestamps { tsval: 1, tsecr: 1 });
        });
        assert_eq!(stamped, Err("timestamps were not agreed on".to_owned()));
        let block = |left: u32, right: u32| SackBlock {
            left: SeqNumber::new(left.wrapping_sub(5)),
            right: SeqNumber::new(right.wrapping_sub(5)),
        };
        let invented = witness.see_with(0, ACK, (1, 1), b"", |header| {
            header.options.sack.push(block(2, 3));
        });
        assert_eq!(invented, Err("SACK block 2..3: acked 1".to_owned()));
    }
}
