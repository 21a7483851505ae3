//! An ICMP error that arrives, and the segment it quotes.

use core::fmt;

use super::{Direction, Encapsulation, SeqSpec};

/// What an ICMP error quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quote {
    /// The sequence numbers of the segment that was sent.
    pub seq: SeqSpec,
    /// The UDP ports it was sent with.
    pub udp: Option<Encapsulation>,
}

/// An ICMP message. Types and codes stay words: their meaning depends on the
/// version of IP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IcmpSpec {
    /// Only inbound ones have a use.
    pub direction: Direction,
    /// `unreachable`, `time_exceeded`, `packet_too_big`, ...
    pub kind: String,
    /// `port_unreachable`, `frag_needed`, `code_0`, ...
    pub code: Option<String>,
    /// The MTU of the next link.
    pub mtu: Option<u32>,
    /// The segment that caused it.
    pub quote: Option<Quote>,
}

impl fmt::Display for Quote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}", self.seq)?;
        if let Some(udp) = &self.udp {
            write!(f, "{udp}")?;
        }
        f.write_str("]")
    }
}

impl fmt::Display for IcmpSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} icmp {}", self.direction, self.kind)?;
        if let Some(code) = &self.code {
            write!(f, " {code}")?;
        }
        if let Some(mtu) = self.mtu {
            write!(f, " mtu {mtu}")?;
        }
        if let Some(quote) = &self.quote {
            write!(f, " {quote}")?;
        }
        Ok(())
    }
}
