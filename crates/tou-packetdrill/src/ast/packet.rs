//! A segment as a script writes it.
//!
//! An absent part means one thing for a segment that arrives (zero, or the
//! default) and another for one that leaves (not compared), so it stays absent.

use core::fmt;

use super::join;

/// Which way a packet goes, seen from the stack under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// `<`: it arrives.
    Inbound,
    /// `>`: it leaves.
    Outbound,
}

/// The ECN bits of the IP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EcnMark {
    /// `noecn`
    NotEct,
    /// `ect0`
    Ect0,
    /// `ect1`
    Ect1,
    /// `ect01`: one of the two (outbound only).
    Either,
    /// `ce`
    Ce,
}

/// One field of the IP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpField {
    /// The ECN bits.
    Ecn(EcnMark),
    /// `tos` or `class`: the whole octet; the second says whether it is written
    /// as IPv6's class.
    Tos(u8, bool),
    /// `ttl` or `hlim`; the second says whether it is written as IPv6's.
    Ttl(u8, bool),
    /// `flowlabel`
    FlowLabel(u32),
}

/// Control bits, one bit each as in the header, `AE` as the ninth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Flags(pub u16);

impl Flags {
    /// FIN
    pub const FIN: u16 = 0x001;
    /// SYN
    pub const SYN: u16 = 0x002;
    /// RST
    pub const RST: u16 = 0x004;
    /// PSH
    pub const PSH: u16 = 0x008;
    /// ACK
    pub const ACK: u16 = 0x010;
    /// URG
    pub const URG: u16 = 0x020;
    /// ECE
    pub const ECE: u16 = 0x040;
    /// CWR
    pub const CWR: u16 = 0x080;
    /// AE (RFC 9768 §3.1.1)
    pub const AE: u16 = 0x100;

    /// Letters and bits, in the order they print.
    const LETTERS: [(char, u16); 9] = [
        ('F', Self::FIN),
        ('S', Self::SYN),
        ('R', Self::RST),
        ('P', Self::PSH),
        ('U', Self::URG),
        ('E', Self::ECE),
        ('W', Self::CWR),
        ('A', Self::AE),
        ('.', Self::ACK),
    ];

    /// The bit that `letter` stands for.
    #[must_use]
    pub fn bit(letter: char) -> Option<u16> {
        Self::LETTERS.iter().find(|(l, _)| *l == letter).map(|&(_, bit)| bit)
    }

    /// Whether any of `bits` is set.
    #[must_use]
    pub const fn has(self, bits: u16) -> bool {
        self.0 & bits != 0
    }
}

/// Sequence numbers: `1:101(100)`, `0:0(0)!`, `...(0)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeqSpec {
    /// Relative to the sender's initial sequence number.
    Relative {
        /// Of the first octet.
        start: u32,
        /// Octets of data.
        len: u16,
    },
    /// As on the wire (`!`).
    Absolute {
        /// Of the first octet.
        start: u32,
        /// Octets of data.
        len: u16,
    },
    /// Whatever it is (`...`), with so much data.
    Any {
        /// Octets of data.
        len: u16,
    },
}

impl SeqSpec {
    /// Octets of data.
    #[must_use]
    pub const fn len(self) -> u16 {
        match self {
            Self::Relative { len, .. } | Self::Absolute { len, .. } | Self::Any { len } => len,
        }
    }

    /// No data.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }
}

/// UDP ports around a segment: `/udp(source > destination)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encapsulation {
    /// Source port.
    pub src: u16,
    /// Destination port.
    pub dst: u16,
}

/// A timestamp value of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TsVal {
    /// On the script's clock.
    Relative(u32),
    /// As on the wire (`!`).
    Absolute(u32),
    /// Whatever it is (`...`).
    Any,
}

/// One TCP option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OptionSpec {
    /// `nop`
    Nop,
    /// `eol`
    Eol,
    /// `mss 1460`
    Mss(u16),
    /// `wscale 7`
    WindowScale(u8),
    /// `sackOK`
    SackPermitted,
    /// `sack 1:2 3:4`, sequence numbers relative to their owner's first.
    Sack(Vec<(u32, u32)>),
    /// `TS val 100 ecr 200`
    Timestamps {
        /// The sender's clock.
        val: TsVal,
        /// The receiver's clock.
        ecr: TsVal,
    },
    /// `FO` with or without a cookie (RFC 7413).
    FastOpen(Vec<u8>),
    /// `FOEXP`: the same as the experiment of RFC 6994.
    FastOpenExperiment(Vec<u8>),
    /// `md5` and 16 octets (RFC 2385), `None` for `md5 valid`.
    Md5(Option<Vec<u8>>),
}

/// The option list of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Options {
    /// `<...>`: not compared.
    Any,
    /// Exactly these; empty when none are written.
    List(Vec<OptionSpec>),
}

/// A segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PacketSpec {
    /// Which way it goes.
    pub direction: Direction,
    /// IP header fields.
    pub ip: Vec<IpField>,
    /// TCP ports, source first, where given.
    pub ports: Option<(u16, u16)>,
    /// Control bits.
    pub flags: Flags,
    /// Sequence numbers.
    pub seq: SeqSpec,
    /// Acknowledgment number, and whether it is absolute (`!`).
    pub ack: Option<(u32, bool)>,
    /// Window field, unscaled.
    pub window: Option<u16>,
    /// Urgent pointer.
    pub urgent: Option<u16>,
    /// Options.
    pub options: Options,
    /// UDP ports around it.
    pub udp: Option<Encapsulation>,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inbound => "<",
            Self::Outbound => ">",
        })
    }
}

impl fmt::Display for EcnMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotEct => "noecn",
            Self::Ect0 => "ect0",
            Self::Ect1 => "ect1",
            Self::Either => "ect01",
            Self::Ce => "ce",
        })
    }
}

impl fmt::Display for IpField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ecn(mark) => mark.fmt(f),
            Self::Tos(tos, false) => write!(f, "tos {tos:#x}"),
            Self::Tos(class, true) => write!(f, "class {class:#x}"),
            Self::Ttl(ttl, false) => write!(f, "ttl {ttl}"),
            Self::Ttl(hops, true) => write!(f, "hlim {hops}"),
            Self::FlowLabel(label) => write!(f, "flowlabel {label:#x}"),
        }
    }
}

impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("-");
        }
        let set = Self::LETTERS.iter().filter(|(_, bit)| self.has(*bit));
        f.write_str(&set.map(|(letter, _)| letter).collect::<String>())
    }
}

impl fmt::Display for SeqSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let range = |f: &mut fmt::Formatter<'_>, start: u32, len: u16| {
            write!(f, "{start}:{}({len})", start.wrapping_add(u32::from(len)))
        };
        match *self {
            Self::Relative { start, len } => range(f, start, len),
            Self::Absolute { start, len } => {
                range(f, start, len)?;
                f.write_str("!")
            }
            Self::Any { len } => write!(f, "...({len})"),
        }
    }
}

impl fmt::Display for Encapsulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/udp({} > {})", self.src, self.dst)
    }
}

impl fmt::Display for TsVal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Relative(value) => write!(f, "{value}"),
            Self::Absolute(value) => write!(f, "{value}!"),
            Self::Any => f.write_str("..."),
        }
    }
}

impl fmt::Display for OptionSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let blob = |f: &mut fmt::Formatter<'_>, name: &str, octets: &[u8]| {
            f.write_str(name)?;
            if !octets.is_empty() {
                f.write_str(" ")?;
            }
            octets.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
        };
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
            Self::Timestamps { val, ecr } => write!(f, "TS val {val} ecr {ecr}"),
            Self::FastOpen(cookie) => blob(f, "FO", cookie),
            Self::FastOpenExperiment(cookie) => blob(f, "FOEXP", cookie),
            Self::Md5(Some(digest)) => blob(f, "md5", digest),
            Self::Md5(None) => f.write_str("md5 valid"),
        }
    }
}

impl fmt::Display for Options {
    /// Nothing at all for an empty list, as scripts have it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("<...>"),
            Self::List(options) if options.is_empty() => Ok(()),
            Self::List(options) => {
                f.write_str("<")?;
                join(f, options, ",")?;
                f.write_str(">")
            }
        }
    }
}

impl fmt::Display for PacketSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.direction)?;
        if !self.ip.is_empty() {
            f.write_str("(")?;
            join(f, &self.ip, ", ")?;
            f.write_str(") ")?;
        }
        if let Some((src, dst)) = self.ports {
            write!(f, "{src} > {dst} ")?;
        }
        write!(f, "{} {}", self.flags, self.seq)?;
        if let Some((ack, absolute)) = self.ack {
            write!(f, " ack {ack}{}", if absolute { "!" } else { "" })?;
        }
        if let Some(window) = self.window {
            write!(f, " win {window}")?;
        }
        if let Some(urgent) = self.urgent {
            write!(f, " urg {urgent}")?;
        }
        if self.options != Options::List(Vec::new()) {
            write!(f, " {}", self.options)?;
        }
        if let Some(udp) = &self.udp {
            write!(f, "{udp}")?;
        }
        Ok(())
    }
}
