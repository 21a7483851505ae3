//! A script's numbers and the wire's: sequence numbers, timestamps, ports.
//!
//! A script counts from zero, a stack from a secret. Packetdrill's rule: in a
//! segment with SYN, the peer's numbers stand as written and ours are shifted
//! so that our SYN has its scripted number; in any other segment both sides
//! count from their SYN. The peer's own numbers go on the wire as scripted, so
//! only ours need learning, from what the stack sends.

use std::collections::BTreeMap;

use super::segment::{Segment, WireOption};
use crate::ast::Flags;

/// The numbers of one connection.
#[derive(Clone, Debug, Default)]
pub struct Mapping {
    /// The peer's initial sequence number.
    remote_isn: Option<u32>,
    /// The stack has answered to `remote_isn`: a later SYN does not change it,
    /// unless the stack takes it up.
    remote_fixed: bool,
    /// Our initial sequence number on the wire.
    local_isn: Option<u32>,
    /// The same in the script.
    local_script_isn: u32,
    /// Script's timestamp to wire's, for every value the script expected.
    stamps: BTreeMap<u32, u32>,
    /// The first pair of them.
    first_stamp: Option<(u32, u32)>,
}

impl Mapping {
    /// What to add to the peer's scripted sequence numbers.
    fn remote(&self, syn: bool) -> u32 {
        if syn { 0 } else { self.remote_isn.unwrap_or_default() }
    }

    /// What to add to our scripted sequence numbers.
    fn local(&self, syn: bool) -> u32 {
        let isn = self.local_isn.unwrap_or_default();
        if syn { isn.wrapping_sub(self.local_script_isn) } else { isn }
    }

    /// Turns a scripted segment into the wire's, on its way in. With
    /// `absolute_ack` the acknowledgment number stays.
    ///
    /// # Errors
    /// A timestamp echo that the script never expected.
    pub fn inbound(&mut self, segment: &mut Segment, absolute_ack: bool) -> Result<(), String> {
        let syn = segment.flags.has(Flags::SYN);
        if syn && !self.remote_fixed {
            self.remote_isn = Some(segment.seq);
        }
        segment.seq = segment.seq.wrapping_add(self.remote(syn));
        let local = self.local(syn);
        let has_ack = segment.flags.has(Flags::ACK);
        if has_ack && !absolute_ack {
            segment.ack = segment.ack.wrapping_add(local);
        }
        for option in &mut segment.options {
            match option {
                WireOption::Sack(blocks) => {
                    for (left, right) in blocks {
                        *left = left.wrapping_add(local);
                        *right = right.wrapping_add(local);
                    }
                }
                WireOption::Timestamps(_, ecr) if has_ack => *ecr = self.stamp_to_wire(*ecr)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// The wire's value of a timestamp that the stack sent, given as the script
    /// has it. Between two known ones time has passed on both clocks alike, a
    /// tick being a millisecond.
    fn stamp_to_wire(&self, script: u32) -> Result<u32, String> {
        if let Some(wire) = self.stamps.get(&script) {
            return Ok(*wire);
        }
        match self.first_stamp {
            Some((first, wire)) => Ok(wire.wrapping_add(script.wrapping_sub(first))),
            None if script == 0 => Ok(0),
            None => Err(format!("no segment was sent whose timestamp {script} could be echoed")),
        }
    }

    /// Learns from a segment of the stack's. `scripted` is the sequence number
    /// that the script expects of it, if it says.
    pub fn learn(&mut self, wire: &Segment, scripted: Option<u32>) {
        let (syn, ack) = (wire.flags.has(Flags::SYN), wire.flags.has(Flags::ACK));
        if syn {
            self.local_isn = Some(wire.seq);
            self.local_script_isn = scripted.unwrap_or_default();
            if ack {
                self.remote_isn = Some(wire.ack.wrapping_sub(1));
            }
        }
        self.remote_fixed |= ack && !wire.flags.has(Flags::RST);
    }

    /// Remembers that the script calls `wire` by the name `script`.
    pub fn learn_stamp(&mut self, script: u32, wire: u32) {
        self.first_stamp.get_or_insert((script, wire));
        self.stamps.insert(script, wire);
    }

    /// How many ticks later than `script` a timestamp is, counted from the first
    /// one; `None` before there is a first.
    #[must_use]
    pub fn stamp_drift(&self, script: u32, wire: u32) -> Option<i32> {
        let (first_script, first_wire) = self.first_stamp?;
        let on_wire = wire.wrapping_sub(first_wire);
        Some(on_wire.wrapping_sub(script.wrapping_sub(first_script)).cast_signed())
    }

    /// The stack's segment in the script's numbers. Timestamps stay.
    #[must_use]
    pub fn outbound(&self, wire: &Segment) -> Segment {
        let mut segment = wire.clone();
        let syn = segment.flags.has(Flags::SYN);
        let remote = self.remote(syn);
        segment.seq = segment.seq.wrapping_sub(self.local(syn));
        if segment.flags.has(Flags::ACK) {
            segment.ack = segment.ack.wrapping_sub(remote);
        }
        for option in &mut segment.options {
            if let WireOption::Sack(blocks) = option {
                for (left, right) in blocks {
                    *left = left.wrapping_sub(remote);
                    *right = right.wrapping_sub(remote);
                }
            }
        }
        segment
    }

    /// The number on the wire of our octet `script`, as an ICMP error quotes it.
    #[must_use]
    pub fn quoted(&self, script: u32) -> u32 {
        script.wrapping_add(self.local_isn.unwrap_or_default())
    }

    /// Place in the peer's stream, from 0, of a sequence number on the wire.
    #[must_use]
    pub fn remote_offset(&self, wire_seq: u32, syn: bool) -> u32 {
        let first = self.remote_isn.unwrap_or_default().wrapping_add(1);
        wire_seq.wrapping_add(u32::from(syn)).wrapping_sub(first)
    }

    /// Place in our stream, from 0, of a sequence number on the wire.
    #[must_use]
    pub fn local_offset(&self, wire_seq: u32, syn: bool) -> u32 {
        let first = self.local_isn.unwrap_or_default().wrapping_add(1);
        wire_seq.wrapping_add(u32::from(syn)).wrapping_sub(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(flags: u16, seq: u32, ack: u32) -> Segment {
        Segment { flags: Flags(flags), seq, ack, ..Segment::default() }
    }

    fn inbound(mapping: &mut Mapping, flags: u16, seq: u32, ack: u32) -> (u32, u32) {
        let mut segment = segment(flags, seq, ack);
        mapping.inbound(&mut segment, false).unwrap();
        (segment.seq, segment.ack)
    }

    fn outbound(mapping: &Mapping, flags: u16, seq: u32, ack: u32) -> (u32, u32) {
        let segment = mapping.outbound(&segment(flags, seq, ack));
        (segment.seq, segment.ack)
    }

    const SYN: u16 = Flags::SYN;
    const ACK: u16 = Flags::ACK;
    const RST: u16 = Flags::RST;

    /// A passive open with a peer that starts at 17.
    fn passive() -> Mapping {
        let mut mapping = Mapping::default();
        inbound(&mut mapping, SYN, 17, 0);
        mapping.learn(&segment(SYN | ACK, 5000, 18), Some(0));
        mapping
    }

    #[test]
    fn segments_with_syn_stand_as_written() {
        let mapping = passive();
        assert_eq!(outbound(&mapping, SYN | ACK, 5000, 18), (0, 18));
    }

    #[test]
    fn other_segments_count_from_the_syn() {
        let mut mapping = passive();
        assert_eq!(inbound(&mut mapping, ACK, 1, 1), (18, 5001));
        assert_eq!(outbound(&mapping, ACK, 5001, 18), (1, 1));
    }

    #[test]
    fn a_syn_that_is_not_taken_up_changes_nothing() {
        let mut mapping = passive();
        inbound(&mut mapping, SYN, 900, 0);
        assert_eq!(inbound(&mut mapping, ACK, 1, 1), (18, 5001));
    }

    #[test]
    fn a_syn_that_is_answered_starts_a_new_connection() {
        let mut mapping = passive();
        inbound(&mut mapping, SYN, 900, 0);
        mapping.learn(&segment(SYN | ACK, 7000, 901), None);
        assert_eq!(inbound(&mut mapping, ACK, 1, 1), (901, 7001));
    }

    #[test]
    fn a_refused_syn_ack_does_not_fix_the_peers_number() {
        let mut mapping = Mapping::default();
        mapping.learn(&segment(SYN, 100, 0), Some(0));
        assert_eq!(inbound(&mut mapping, SYN | ACK, 3, 9), (3, 109));
        mapping.learn(&segment(RST, 109, 0), None);
        inbound(&mut mapping, SYN | ACK, 4, 1);
        mapping.learn(&segment(ACK, 101, 5), None);
        assert_eq!(outbound(&mapping, ACK, 101, 5), (1, 1));
    }

    #[test]
    fn without_a_connection_numbers_are_absolute() {
        let mut mapping = Mapping::default();
        assert_eq!(inbound(&mut mapping, ACK, 17, 34), (17, 34));
        assert_eq!(outbound(&mapping, RST, 34, 0), (34, 0));
    }

    #[test]
    fn sack_blocks_belong_to_the_other_side() {
        let mut mapping = passive();
        let sack = |left, right| vec![WireOption::Sack(vec![(left, right)])];
        let mut arriving = Segment { options: sack(1, 9), ..segment(ACK, 1, 1) };
        mapping.inbound(&mut arriving, false).unwrap();
        assert_eq!(arriving.options, sack(5001, 5009));
        let leaving = Segment { options: sack(18, 28), ..segment(ACK, 5001, 18) };
        assert_eq!(mapping.outbound(&leaving).options, sack(1, 11));
    }

    #[test]
    fn timestamps_are_echoed_as_they_were_sent() {
        let mut mapping = Mapping::default();
        let stamp = |ecr| vec![WireOption::Timestamps(1, ecr)];
        let mut early = Segment { options: stamp(100), ..segment(ACK, 1, 1) };
        assert!(mapping.inbound(&mut early, false).is_err());
        mapping.learn_stamp(100, 77_000);
        mapping.learn_stamp(150, 77_051);
        for (script, wire) in [(100, 77_000), (150, 77_051), (160, 77_060)] {
            let mut echo = Segment { options: stamp(script), ..segment(ACK, 1, 1) };
            mapping.inbound(&mut echo, false).unwrap();
            assert_eq!(echo.options, stamp(wire));
        }
        assert_eq!(mapping.stamp_drift(150, 77_051), Some(1));
        assert_eq!(mapping.stamp_drift(150, 77_048), Some(-2));
    }

    #[test]
    fn stream_places_count_from_the_first_octet() {
        let mapping = passive();
        assert_eq!(mapping.remote_offset(18, false), 0);
        assert_eq!(mapping.remote_offset(17, true), 0);
        assert_eq!(mapping.local_offset(5011, false), 10);
    }
}
