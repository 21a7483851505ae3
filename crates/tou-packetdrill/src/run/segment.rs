//! Segments as octets: this crate's own reading of RFC 9293 §3.1.
//!
//! Independent of the core's, so that a mistake there is seen here. Options
//! keep their order and padding, and unknown ones their octets.

use core::fmt;

use crate::ast::Flags;

/// One option on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WireOption {
    /// Kind 1.
    Nop,
    /// Kind 0.
    Eol,
    /// Kind 2.
    Mss(u16),
    /// Kind 3.
    WindowScale(u8),
    /// Kind 4.
    SackPermitted,
    /// Kind 5.
    Sack(Vec<(u32, u32)>),
    /// Kind 8: value, echo.
    Timestamps(u32, u32),
    /// Any other: kind and what follows the length.
    Other(u8, Vec<u8>),
}

/// A segment.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Segment {
    /// Source port.
    pub src: u16,
    /// Destination port.
    pub dst: u16,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgment number field.
    pub ack: u32,
    /// Control bits.
    pub flags: Flags,
    /// Window field.
    pub window: u16,
    /// Checksum field.
    pub checksum: u16,
    /// Urgent pointer field.
    pub urgent: u16,
    /// Options in order.
    pub options: Vec<WireOption>,
    /// Data.
    pub data: Vec<u8>,
}

impl Segment {
    /// The octets of the segment, options padded with zeros to a multiple of
    /// four. `None` when the options do not fit a header.
    #[must_use]
    pub fn emit(&self) -> Option<Vec<u8>> {
        let mut options = Vec::new();
        self.options.iter().for_each(|option| option.emit(&mut options));
        options.resize(options.len().next_multiple_of(4), 0);
        let words = u16::try_from(5 + options.len() / 4).ok().filter(|words| *words <= 15)?;
        let mut octets = Vec::with_capacity(20 + options.len() + self.data.len());
        octets.extend(self.src.to_be_bytes());
        octets.extend(self.dst.to_be_bytes());
        octets.extend(self.seq.to_be_bytes());
        octets.extend(self.ack.to_be_bytes());
        octets.extend((words << 12 | self.flags.0 & 0x1ff).to_be_bytes());
        octets.extend(self.window.to_be_bytes());
        octets.extend(self.checksum.to_be_bytes());
        octets.extend(self.urgent.to_be_bytes());
        octets.extend(options);
        octets.extend(&self.data);
        Some(octets)
    }

    /// Reads a segment.
    ///
    /// # Errors
    /// What is malformed, in words: here a stack's own output is read, so that
    /// nothing is let pass.
    pub fn parse(octets: &[u8]) -> Result<Self, String> {
        let header = octets.get(..20).ok_or("shorter than a header")?;
        let u16_at = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        let u32_at = |at: usize| (u32::from(u16_at(at)) << 16) | u32::from(u16_at(at + 2));
        let offset = usize::from(header[12] >> 4) * 4;
        if header[12] & 0x0e != 0 {
            return Err("reserved bits are set".to_owned());
        }
        let options = octets.get(20..offset).ok_or_else(|| format!("data offset is {offset}"))?;
        Ok(Self {
            src: u16_at(0),
            dst: u16_at(2),
            seq: u32_at(4),
            ack: u32_at(8),
            flags: Flags(u16_at(12) & 0x1ff),
            window: u16_at(14),
            checksum: u16_at(16),
            urgent: u16_at(18),
            options: parse_options(options)?,
            data: octets[offset..].to_vec(),
        })
    }

    /// The timestamps, if there are any.
    #[must_use]
    pub fn timestamps(&self) -> Option<(u32, u32)> {
        self.options.iter().find_map(|option| match option {
            WireOption::Timestamps(val, ecr) => Some((*val, *ecr)),
            _ => None,
        })
    }
}

impl WireOption {
    fn emit(&self, out: &mut Vec<u8>) {
        match self {
            Self::Nop => out.push(1),
            Self::Eol => out.push(0),
            Self::Mss(mss) => put(out, 2, &mss.to_be_bytes()),
            Self::WindowScale(shift) => put(out, 3, &[*shift]),
            Self::SackPermitted => put(out, 4, &[]),
            Self::Sack(blocks) => {
                let octets = blocks.iter().flat_map(|(left, right)| {
                    left.to_be_bytes().into_iter().chain(right.to_be_bytes())
                });
                put(out, 5, &octets.collect::<Vec<_>>());
            }
            Self::Timestamps(val, ecr) => {
                put(out, 8, &[val.to_be_bytes(), ecr.to_be_bytes()].concat());
            }
            Self::Other(kind, octets) => put(out, *kind, octets),
        }
    }
}

/// Kind, length, content. Content beyond what a length octet can say is cut.
fn put(out: &mut Vec<u8>, kind: u8, content: &[u8]) {
    let content = &content[..content.len().min(253)];
    out.push(kind);
    out.push(u8::try_from(content.len() + 2).unwrap_or(u8::MAX));
    out.extend(content);
}

fn parse_options(mut rest: &[u8]) -> Result<Vec<WireOption>, String> {
    let mut options = Vec::new();
    while let Some(&kind) = rest.first() {
        if kind <= 1 {
            options.push(if kind == 0 { WireOption::Eol } else { WireOption::Nop });
            rest = &rest[1..];
            continue;
        }
        let len = usize::from(*rest.get(1).ok_or("an option without a length")?);
        let content = rest.get(2..len).ok_or_else(|| format!("option {kind} has length {len}"))?;
        options.push(parse_option(kind, content)?);
        rest = &rest[len..];
    }
    Ok(options)
}

fn parse_option(kind: u8, content: &[u8]) -> Result<WireOption, String> {
    let word = |octets: &[u8]| octets.iter().fold(0, |word, octet| word << 8 | u32::from(*octet));
    Ok(match (kind, content) {
        (2, &[high, low]) => WireOption::Mss(u16::from_be_bytes([high, low])),
        (3, &[shift]) => WireOption::WindowScale(shift),
        (4, []) => WireOption::SackPermitted,
        (5, blocks) if !blocks.is_empty() && blocks.len() % 8 == 0 => {
            let block = |block: &[u8]| (word(&block[..4]), word(&block[4..]));
            WireOption::Sack(blocks.chunks(8).map(block).collect())
        }
        (8, content) if content.len() == 8 => {
            WireOption::Timestamps(word(&content[..4]), word(&content[4..]))
        }
        (2..=5 | 8, _) => return Err(format!("option {kind} has {} octets", content.len())),
        _ => WireOption::Other(kind, content.to_vec()),
    })
}

impl fmt::Display for WireOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nop => f.write_str("nop"),
            Self::Eol => f.write_str("eol"),
            Self::Mss(mss) => write!(f, "mss {mss}"),
            Self::WindowScale(shift) => write!(f, "wscale {shift}"),
            Self::SackPermitted => f.write_str("sackOK"),
            Self::Sack(blocks) => {
                f.write_str("sack")?;
                blocks.iter().try_for_each(|(left, right)| write!(f, " {left}:{right}"))
            }
            Self::Timestamps(val, ecr) => write!(f, "TS val {val} ecr {ecr}"),
            Self::Other(34, cookie) => {
                f.write_str(if cookie.is_empty() { "FO" } else { "FO " })?;
                cookie.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
            }
            Self::Other(kind, content) => {
                write!(f, "kind {kind} ")?;
                content.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
            }
        }
    }
}

impl fmt::Display for Segment {
    /// As a script writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let len = self.data.len();
        let end = self.seq.wrapping_add(u32::try_from(len).unwrap_or(u32::MAX));
        write!(f, "{} {}:{end}({len})", self.flags, self.seq)?;
        if self.flags.has(Flags::ACK) {
            write!(f, " ack {}", self.ack)?;
        }
        write!(f, " win {}", self.window)?;
        if self.flags.has(Flags::URG) {
            write!(f, " urg {}", self.urgent)?;
        }
        for (i, option) in self.options.iter().enumerate() {
            write!(f, "{}{option}", if i == 0 { " <" } else { "," })?;
        }
        f.write_str(if self.options.is_empty() { "" } else { ">" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Segment {
        Segment {
            src: 700,
            dst: 800,
            seq: 0xfedc_ba98,
            ack: 5,
            flags: Flags(Flags::SYN | Flags::ACK | Flags::AE),
            window: 9,
            checksum: 0,
            urgent: 3,
            options: vec![
                WireOption::Mss(1452),
                WireOption::Nop,
                WireOption::WindowScale(6),
                WireOption::SackPermitted,
                WireOption::Timestamps(7, 8),
                WireOption::Other(34, vec![0xab]),
                WireOption::Eol,
            ],
            data: vec![1, 2, 3],
        }
    }

    #[test]
    fn segments_go_round() {
        let segment = sample();
        assert_eq!(Segment::parse(&segment.emit().unwrap()), Ok(segment));
    }

    #[test]
    fn sack_blocks_keep_their_order() {
        let sack = WireOption::Sack(vec![(9, 12), (1, 4)]);
        let options = vec![WireOption::Nop, WireOption::Nop, sack];
        let segment = Segment { options, ..sample() };
        assert_eq!(Segment::parse(&segment.emit().unwrap()), Ok(segment));
    }

    #[test]
    fn padding_shows_as_end_of_options() {
        let segment = Segment { options: vec![WireOption::SackPermitted], ..sample() };
        let parsed = Segment::parse(&segment.emit().unwrap()).unwrap();
        assert_eq!(parsed.options, [WireOption::SackPermitted, WireOption::Eol, WireOption::Eol]);
    }

    #[test]
    fn malformed_segments_are_refused() {
        let octets = sample().emit().unwrap();
        assert!(Segment::parse(&octets[..19]).is_err());
        for (at, value) in [(12, 0x40), (12, 0xf0), (12, 0xb2), (21, 0), (21, 3), (21, 200)] {
            let mut bad = octets.clone();
            bad[at] = value;
            assert!(Segment::parse(&bad).is_err(), "{at} {value:#x}");
        }
    }

    #[test]
    fn options_that_do_not_fit_are_not_sent() {
        let options = vec![WireOption::Other(99, vec![0; 39])];
        assert_eq!(Segment { options, ..sample() }.emit(), None);
    }

    #[test]
    fn it_prints_as_a_script_has_it() {
        let options = vec![WireOption::Mss(536), WireOption::Timestamps(1, 2)];
        let flags = Flags(Flags::FIN | Flags::ACK);
        let segment = Segment { seq: 1, flags, options, ..sample() };
        assert_eq!(segment.to_string(), "F. 1:4(3) ack 5 win 9 <mss 536,TS val 1 ecr 2>");
    }
}
