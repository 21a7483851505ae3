//! The fixed part of a segment (RFC 9293 §3.1): parse and emit. It must not
//! know what any field means to a connection.

use core::fmt;

use crate::id::Port;
use crate::seq::SeqNumber;

use super::checksum;
use super::{Checksum, SegmentFlags, SegmentOptions};

/// Octets of the header before the options.
const FIXED_LEN: usize = 20;

/// Everything of a segment but its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Source port.
    pub src_port: Port,
    /// Destination port.
    pub dst_port: Port,
    /// Sequence number of the first octet, or of the SYN.
    pub seq: SeqNumber,
    /// Acknowledgment number; means something only with ACK.
    pub ack: SeqNumber,
    /// Control bits.
    pub flags: SegmentFlags,
    /// Window field as on the wire, unscaled.
    pub window: u16,
    /// Urgent pointer field; means something only with URG.
    pub urgent: u16,
    /// Options.
    pub options: SegmentOptions,
}

/// What [`SegmentHeader::parse`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParsedHeader {
    /// The header.
    pub header: SegmentHeader,
    /// Where the data starts, in octets from the datagram's front: 20 to 60,
    /// and not past the datagram's end.
    pub data_offset: usize,
    /// A malformed option cut the option list short.
    pub options_malformed: bool,
}

/// Why a datagram is no segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParseError {
    /// Shorter than 20 octets.
    TooShort,
    /// Data offset below 5 words or beyond the datagram.
    BadDataOffset,
    /// A port is zero.
    PortZero,
    /// The checksum that [`Checksum::Segment`] asks for is wrong.
    BadChecksum,
}

impl SegmentHeader {
    /// Parses the header at the front of `datagram`. The data runs from
    /// [`ParsedHeader::data_offset`] to the datagram's end.
    ///
    /// # Errors
    ///
    /// The first in this order that applies: [`ParseError::TooShort`];
    /// [`ParseError::BadChecksum`], since no field of a damaged segment tells
    /// anything; [`ParseError::BadDataOffset`]; [`ParseError::PortZero`].
    pub fn parse(datagram: &[u8], checksum: Checksum) -> Result<ParsedHeader, ParseError> {
        let (fixed, rest) =
            datagram.split_first_chunk::<FIXED_LEN>().ok_or(ParseError::TooShort)?;
        if checksum == Checksum::Segment && !checksum::is_intact(datagram) {
            return Err(ParseError::BadChecksum);
        }
        #[rustfmt::skip]
        let [
            sp0, sp1, dp0, dp1,
            s0, s1, s2, s3,
            a0, a1, a2, a3,
            offset, flags, w0, w1,
            _, _, u0, u1,
        ] = *fixed;

        // The upper four bits, in words of four octets. The lower four are
        // reserved.
        let data_offset = usize::from(offset >> 4) << 2;
        let options = data_offset
            .checked_sub(FIXED_LEN)
            .and_then(|options_len| rest.get(..options_len))
            .ok_or(ParseError::BadDataOffset)?;
        let port = |octets| Port::new(u16::from_be_bytes(octets)).ok_or(ParseError::PortZero);
        let (src_port, dst_port) = (port([sp0, sp1])?, port([dp0, dp1])?);

        let header = |options| Self {
            src_port,
            dst_port,
            seq: SeqNumber::new(u32::from_be_bytes([s0, s1, s2, s3])),
            ack: SeqNumber::new(u32::from_be_bytes([a0, a1, a2, a3])),
            flags: SegmentFlags::from_bits(flags),
            window: u16::from_be_bytes([w0, w1]),
            urgent: u16::from_be_bytes([u0, u1]),
            options,
        };
        if let Some(timestamps) = SegmentOptions::read_timestamps(options) {
            let header = header(timestamps);
            return Ok(ParsedHeader { header, data_offset, options_malformed: false });
        }
        let mut header = header(SegmentOptions::default());
        let options_malformed = header.options.read(options);
        Ok(ParsedHeader { header, data_offset, options_malformed })
    }

    /// Octets that [`emit`](Self::emit) writes: 20 to 60, a multiple of 4.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        FIXED_LEN.saturating_add(self.options.encoded_len())
    }

    /// Writes the header to the front of `segment`, whose remaining octets are
    /// the data, already in place, and the checksum over all of it if
    /// `checksum` asks for one. Returns the octets written, which are
    /// [`encoded_len`](Self::encoded_len).
    ///
    /// `segment` being at least that long is the caller's duty. A shorter one
    /// is left untouched and 0 returned.
    #[inline]
    pub fn emit(&self, checksum: Checksum, segment: &mut [u8]) -> usize {
        let len = self.encoded_len();
        let Some((fixed, options)) =
            segment.get_mut(..len).and_then(|header| header.split_first_chunk_mut::<FIXED_LEN>())
        else {
            return 0;
        };
        *fixed = self.fixed_part(len);
        self.options.emit(options);
        if checksum == Checksum::Segment {
            let sum = checksum::internet_checksum(segment);
            if let Some([.., c0, c1]) = segment.first_chunk_mut::<18>() {
                [*c0, *c1] = sum.to_be_bytes();
            }
        }
        len
    }

    /// The fixed part of a header of `len` octets, its checksum field zero.
    fn fixed_part(&self, len: usize) -> [u8; FIXED_LEN] {
        let [sp0, sp1] = self.src_port.get().to_be_bytes();
        let [dp0, dp1] = self.dst_port.get().to_be_bytes();
        let [s0, s1, s2, s3] = self.seq.get().to_be_bytes();
        let [a0, a1, a2, a3] = self.ack.get().to_be_bytes();
        // `len` is words times four: shifted by two more, its words stand in
        // the upper four bits and zeros in the reserved ones.
        #[expect(clippy::cast_possible_truncation, reason = "at most 60 << 2")]
        let offset = (len << 2) as u8;
        let flags = self.flags.bits();
        let [w0, w1] = self.window.to_be_bytes();
        let [u0, u1] = self.urgent.to_be_bytes();
        #[rustfmt::skip]
        let fixed = [
            sp0, sp1, dp0, dp1,
            s0, s1, s2, s3,
            a0, a1, a2, a3,
            offset, flags, w0, w1,
            0, 0, u0, u1,
        ];
        fixed
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooShort => "shorter than a segment's header",
            Self::BadDataOffset => "data offset inside the header or past the datagram",
            Self::PortZero => "port zero",
            Self::BadChecksum => "wrong checksum",
        })
    }
}

impl core::error::Error for ParseError {}
