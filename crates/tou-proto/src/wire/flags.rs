//! The control bits of a segment (RFC 9293 §3.1, RFC 3168 §6.1). It must not
//! know which combinations make sense: a peer sends what it likes.

use core::fmt::{self, Write};
use core::ops::{BitOr, BitOrAssign};

/// The control bits of a segment, a set of eight.
///
/// Shown as tcpdump shows them: `S`, `S.`, `P.`, `F.`, `R`, `.` for ACK alone,
/// `none` for the empty set.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SegmentFlags(u8);

impl SegmentFlags {
    /// No control bit at all.
    pub const EMPTY: Self = Self(0);
    /// The sender has no more data. Takes one sequence number.
    pub const FIN: Self = Self(0x01);
    /// Synchronises sequence numbers. Takes one sequence number.
    pub const SYN: Self = Self(0x02);
    /// Resets the connection.
    pub const RST: Self = Self(0x04);
    /// The receiver should not wait for more before it hands the data on.
    pub const PSH: Self = Self(0x08);
    /// The acknowledgment number means something.
    pub const ACK: Self = Self(0x10);
    /// The urgent pointer means something (RFC 6093).
    pub const URG: Self = Self(0x20);
    /// Echo of a congestion mark; in a SYN, part of the offer of ECN
    /// (RFC 3168 §6.1).
    pub const ECE: Self = Self(0x40);
    /// The congestion window was reduced; in a SYN, part of the offer of ECN
    /// (RFC 3168 §6.1).
    pub const CWR: Self = Self(0x80);

    /// The flags of the header's octet 13.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// The header's octet 13.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether all of `other` are set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any of `other` is set.
    #[must_use]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// These flags with none of `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// How many sequence numbers SYN and FIN take: 0 to 2 (RFC 9293 §3.4).
    #[must_use]
    pub const fn sequence_len(self) -> u32 {
        (self.0 & (Self::SYN.0 | Self::FIN.0)).count_ones()
    }
}

impl BitOr for SegmentFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for SegmentFlags {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl fmt::Display for SegmentFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::EMPTY {
            return f.write_str("none");
        }
        LETTERS
            .into_iter()
            .filter(|(flag, _)| self.contains(*flag))
            .try_for_each(|(_, letter)| f.write_char(letter))
    }
}

impl fmt::Debug for SegmentFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// tcpdump's letters, in its order: that of the bits.
const LETTERS: [(SegmentFlags, char); 8] = [
    (SegmentFlags::FIN, 'F'),
    (SegmentFlags::SYN, 'S'),
    (SegmentFlags::RST, 'R'),
    (SegmentFlags::PSH, 'P'),
    (SegmentFlags::ACK, '.'),
    (SegmentFlags::URG, 'U'),
    (SegmentFlags::ECE, 'E'),
    (SegmentFlags::CWR, 'W'),
];

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn flags_read_like_tcpdump() {
        let ack = SegmentFlags::ACK;
        for (flags, shown) in [
            (SegmentFlags::EMPTY, "none"),
            (SegmentFlags::SYN, "S"),
            (SegmentFlags::SYN | ack, "S."),
            (SegmentFlags::PSH | ack, "P."),
            (SegmentFlags::FIN | SegmentFlags::PSH | ack, "FP."),
            (SegmentFlags::RST, "R"),
            (ack, "."),
            (SegmentFlags::SYN | SegmentFlags::ECE | SegmentFlags::CWR, "SEW"),
            (SegmentFlags::from_bits(0xFF), "FSRP.UEW"),
        ] {
            assert_eq!(flags.to_string(), shown);
        }
    }

    #[test]
    fn bits_are_where_the_rfc_puts_them() {
        let rfc_order = [
            SegmentFlags::CWR,
            SegmentFlags::ECE,
            SegmentFlags::URG,
            SegmentFlags::ACK,
            SegmentFlags::PSH,
            SegmentFlags::RST,
            SegmentFlags::SYN,
            SegmentFlags::FIN,
        ];
        for (place, flag) in rfc_order.into_iter().enumerate() {
            assert_eq!(flag.bits(), 0x80 >> place);
        }
    }

    #[test]
    fn sets_behave_like_sets() {
        let syn_ack = SegmentFlags::SYN | SegmentFlags::ACK;
        assert!(syn_ack.contains(SegmentFlags::SYN) && syn_ack.contains(syn_ack));
        assert!(!SegmentFlags::SYN.contains(syn_ack));
        assert!(SegmentFlags::SYN.intersects(syn_ack));
        assert!(!SegmentFlags::FIN.intersects(syn_ack));
        assert_eq!(syn_ack.without(SegmentFlags::ACK), SegmentFlags::SYN);
        let mut flags = SegmentFlags::default();
        flags |= syn_ack;
        assert_eq!(flags, syn_ack);
    }

    #[test]
    fn only_syn_and_fin_take_sequence_numbers() {
        let both = SegmentFlags::SYN | SegmentFlags::FIN;
        assert_eq!(SegmentFlags::SYN.sequence_len(), 1);
        assert_eq!(SegmentFlags::FIN.sequence_len(), 1);
        assert_eq!(both.sequence_len(), 2);
        assert_eq!(SegmentFlags::from_bits(0xFF).without(both).sequence_len(), 0);
    }
}
