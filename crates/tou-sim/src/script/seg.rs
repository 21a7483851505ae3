//! A segment as a test writes it: what to inject, or what to expect.
//!
//! Numbers are relative, as in a trace that starts at zero: the SYN has number
//! 0, the first octet of data number 1. Which side's initial number is added is
//! for the [`super::Script`] to say.

use core::fmt;
use core::time::Duration;

use bytes::Bytes;
use tou_proto::wire::{SackBlock, SegmentFlags, SegmentHeader, Timestamps, UserTimeout};

/// A segment to inject, or a pattern for one to expect.
///
/// Injected, what is left open takes a default: window 65,535, no options, no
/// data. Expected, what is left open may be anything, but for the flags (only
/// PSH may differ, unless asked for) and the data (none, unless asked for).
#[derive(Clone, Debug)]
#[must_use]
pub struct Seg {
    pub(super) flags: SegmentFlags,
    pub(super) seq: Option<u32>,
    pub(super) seq_is_absolute: bool,
    pub(super) ack: Option<u32>,
    pub(super) window: Option<u16>,
    pub(super) urgent: u16,
    pub(super) payload: Payload,
    pub(super) mss: Option<u16>,
    pub(super) window_scale: Option<u8>,
    pub(super) sack_permitted: Option<bool>,
    pub(super) timestamps: Option<(Option<u32>, u32)>,
    pub(super) without: Without,
    pub(super) sack: Option<Vec<(u32, u32)>>,
    pub(super) user_timeout: Option<u64>,
}

/// The data of a [`Seg`].
#[derive(Clone, Debug)]
pub(super) enum Payload {
    /// These octets.
    Octets(Bytes),
    /// So many octets, of [`pattern`].
    Pattern(usize),
    /// Any, when expected.
    Any,
}

/// Options that must be absent when expected, and are left out when injected.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Without {
    pub(super) timestamps: bool,
    pub(super) window_scale: bool,
}

/// A segment with these flags.
pub fn seg(flags: SegmentFlags) -> Seg {
    Seg {
        flags,
        seq: None,
        seq_is_absolute: false,
        ack: None,
        window: None,
        urgent: 0,
        payload: Payload::Octets(Bytes::new()),
        mss: None,
        window_scale: None,
        sack_permitted: None,
        timestamps: None,
        without: Without::default(),
        sack: None,
        user_timeout: None,
    }
}

/// A SYN.
pub fn syn(seq: u32) -> Seg {
    seg(SegmentFlags::SYN).seq(seq)
}

/// A SYN-ACK.
pub fn syn_ack(seq: u32, ack: u32) -> Seg {
    seg(SegmentFlags::SYN | SegmentFlags::ACK).seq(seq).ack(ack)
}

/// A segment with ACK alone: an acknowledgment, or with `data` or `len` data.
pub fn ack(seq: u32, ack: u32) -> Seg {
    seg(SegmentFlags::ACK).seq(seq).ack(ack)
}

/// Data.
pub fn data(seq: u32, ack: u32, data: impl Into<Bytes>) -> Seg {
    seg(SegmentFlags::ACK).seq(seq).ack(ack).data(data)
}

/// A FIN, with ACK.
pub fn fin(seq: u32, ack: u32) -> Seg {
    seg(SegmentFlags::FIN | SegmentFlags::ACK).seq(seq).ack(ack)
}

/// A reset without ACK.
pub fn rst(seq: u32) -> Seg {
    seg(SegmentFlags::RST).seq(seq)
}

/// A reset with ACK.
pub fn rst_ack(seq: u32, ack: u32) -> Seg {
    seg(SegmentFlags::RST | SegmentFlags::ACK).seq(seq).ack(ack)
}

/// What the stream's octet number `position` (1 is the first) and those after
/// it are in segments that only have a length.
#[must_use]
pub fn pattern(position: u32, len: usize) -> Vec<u8> {
    let octet = |at: u32| (at.wrapping_mul(0x9E37_79B1) >> 24).to_be_bytes()[3];
    (0..).map(|index: u32| octet(position.wrapping_add(index))).take(len).collect()
}

impl Seg {
    /// Sequence number, relative to its sender's initial one.
    pub fn seq(mut self, seq: u32) -> Self {
        self.seq = Some(seq);
        self
    }

    /// Sequence number as on the wire.
    pub fn absolute_seq(mut self, seq: u32) -> Self {
        self.seq = Some(seq);
        self.seq_is_absolute = true;
        self
    }

    /// Acknowledgment number, relative to its receiver's initial number.
    pub fn ack(mut self, ack: u32) -> Self {
        self.ack = Some(ack);
        self
    }

    /// These flags as well.
    pub fn with(mut self, flags: SegmentFlags) -> Self {
        self.flags |= flags;
        self
    }

    /// Whether it has all of these flags.
    #[must_use]
    pub fn has(&self, flags: SegmentFlags) -> bool {
        self.flags.contains(flags)
    }

    /// PSH as well; when expected, PSH is then looked at.
    pub fn psh(self) -> Self {
        self.with(SegmentFlags::PSH)
    }

    /// URG and the urgent pointer.
    pub fn urg(mut self, pointer: u16) -> Self {
        self.urgent = pointer;
        self.with(SegmentFlags::URG)
    }

    /// The window field, unscaled.
    pub fn win(mut self, window: u16) -> Self {
        self.window = Some(window);
        self
    }

    /// These octets of data.
    pub fn data(mut self, data: impl Into<Bytes>) -> Self {
        self.payload = Payload::Octets(data.into());
        self
    }

    /// So many octets of data, which [`pattern`] says.
    pub fn len(mut self, len: usize) -> Self {
        self.payload = Payload::Pattern(len);
        self
    }

    /// Any data.
    pub fn any_data(mut self) -> Self {
        self.payload = Payload::Any;
        self
    }

    /// The maximum segment size option.
    pub fn mss(mut self, mss: u16) -> Self {
        self.mss = Some(mss);
        self
    }

    /// The window scale option.
    pub fn wscale(mut self, shift: u8) -> Self {
        self.window_scale = Some(shift);
        self
    }

    /// The SACK-permitted option.
    pub fn sack_ok(mut self) -> Self {
        self.sack_permitted = Some(true);
        self
    }

    /// No SACK-permitted option.
    pub fn no_sack_ok(mut self) -> Self {
        self.sack_permitted = Some(false);
        self
    }

    /// The timestamps option. The scripted peer's clock starts at zero; the
    /// endpoint's is relative to the first value it showed.
    pub fn ts(mut self, val: u32, ecr: u32) -> Self {
        self.timestamps = Some((Some(val), ecr));
        self
    }

    /// The timestamps option with this echo and any value of its own.
    pub fn ecr(mut self, ecr: u32) -> Self {
        self.timestamps = Some((None, ecr));
        self
    }

    /// No timestamps option.
    pub fn no_ts(mut self) -> Self {
        self.without.timestamps = true;
        self
    }

    /// No window scale option.
    pub fn no_wscale(mut self) -> Self {
        self.without.window_scale = true;
        self
    }

    /// SACK blocks, in this order; relative as acknowledgment numbers are.
    pub fn sack(mut self, blocks: &[(u32, u32)]) -> Self {
        self.sack = Some(blocks.to_vec());
        self
    }

    /// The user timeout option, in seconds.
    pub fn uto(mut self, seconds: u64) -> Self {
        self.user_timeout = Some(seconds);
        self
    }

    /// The octets that an injected segment carries.
    pub(super) fn octets(&self) -> Bytes {
        match &self.payload {
            Payload::Octets(octets) => octets.clone(),
            Payload::Pattern(len) => pattern(self.seq.unwrap_or(0), *len).into(),
            Payload::Any => Bytes::new(),
        }
    }

    /// Whether a segment, its numbers made relative, is as this one says.
    pub(super) fn matches(&self, actual: &Relative<'_>) -> bool {
        let Relative { header, payload, seq, ack, sack, timestamps } = actual;
        let ignored = SegmentFlags::PSH.without(self.flags);
        let options = &header.options;
        header.flags.without(ignored) == self.flags
            && self.seq.is_none_or(|wanted| {
                wanted == if self.seq_is_absolute { header.seq.get() } else { *seq }
            })
            && self.ack.is_none_or(|wanted| wanted == *ack)
            && self.window.is_none_or(|wanted| wanted == header.window)
            && (!self.flags.contains(SegmentFlags::URG) || self.urgent == header.urgent)
            && self.matches_data(payload, *seq)
            && self.mss.is_none_or(|wanted| options.mss == Some(wanted))
            && self.user_timeout.is_none_or(|wanted| {
                options.user_timeout == Some(UserTimeout::new(Duration::from_secs(wanted)))
            })
            && self.window_scale.is_none_or(|wanted| options.window_scale == Some(wanted))
            && self.sack_permitted.is_none_or(|wanted| options.sack_permitted == wanted)
            && self.sack.as_ref().is_none_or(|wanted| wanted == sack)
            && !(self.without.timestamps && options.timestamps.is_some())
            && !(self.without.window_scale && options.window_scale.is_some())
            && self.timestamps.is_none_or(|(val, ecr)| {
                timestamps.is_some_and(|actual| {
                    actual.tsecr == ecr && val.is_none_or(|val| val == actual.tsval)
                })
            })
    }

    fn matches_data(&self, payload: &[u8], seq: u32) -> bool {
        match &self.payload {
            Payload::Octets(octets) => octets == payload,
            Payload::Pattern(len) => payload == pattern(seq, *len),
            Payload::Any => true,
        }
    }
}

/// A segment that came out, with numbers made relative.
#[derive(Debug)]
pub(super) struct Relative<'a> {
    pub(super) header: &'a SegmentHeader,
    pub(super) payload: &'a [u8],
    pub(super) seq: u32,
    pub(super) ack: u32,
    pub(super) sack: Vec<(u32, u32)>,
    pub(super) timestamps: Option<Timestamps>,
}

impl fmt::Display for Relative<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut header = self.header.clone();
        header.seq = tou_proto::SeqNumber::new(self.seq);
        header.ack = tou_proto::SeqNumber::new(self.ack);
        header.options.timestamps = self.timestamps;
        header.options.sack = self
            .sack
            .iter()
            .map(|(left, right)| SackBlock {
                left: tou_proto::SeqNumber::new(*left),
                right: tou_proto::SeqNumber::new(*right),
            })
            .collect();
        write!(f, "{}", header.display(self.payload.len()))
    }
}

impl fmt::Display for Seg {
    /// Flags as tcpdump has them, then what was asked for.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Flags [")?;
        for (flag, letter) in FLAG_LETTERS {
            if self.flags.contains(flag) {
                f.write_str(letter)?;
            }
        }
        f.write_str("]")?;
        if let Some(seq) = self.seq {
            write!(f, ", {}seq {seq}", if self.seq_is_absolute { "absolute " } else { "" })?;
        }
        if let Some(ack) = self.ack {
            write!(f, ", ack {ack}")?;
        }
        if let Some(window) = self.window {
            write!(f, ", win {window}")?;
        }
        if let Some(mss) = self.mss {
            write!(f, ", mss {mss}")?;
        }
        if let Some(shift) = self.window_scale {
            write!(f, ", wscale {shift}")?;
        }
        if let Some(permitted) = self.sack_permitted {
            write!(f, ", sackOK {permitted}")?;
        }
        if let Some((val, ecr)) = self.timestamps {
            match val {
                Some(val) => write!(f, ", TS val {val} ecr {ecr}")?,
                None => write!(f, ", TS ecr {ecr}")?,
            }
        }
        if self.without.timestamps {
            f.write_str(", no TS")?;
        }
        if self.without.window_scale {
            f.write_str(", no wscale")?;
        }
        if let Some(seconds) = self.user_timeout {
            write!(f, ", uto {seconds}s")?;
        }
        if let Some(blocks) = &self.sack {
            write!(f, ", sack {blocks:?}")?;
        }
        match &self.payload {
            Payload::Octets(octets) => write!(f, ", length {}", octets.len()),
            Payload::Pattern(len) => write!(f, ", length {len} of the pattern"),
            Payload::Any => f.write_str(", any data"),
        }
    }
}

const FLAG_LETTERS: [(SegmentFlags, &str); 8] = [
    (SegmentFlags::SYN, "S"),
    (SegmentFlags::FIN, "F"),
    (SegmentFlags::RST, "R"),
    (SegmentFlags::PSH, "P"),
    (SegmentFlags::ACK, "."),
    (SegmentFlags::URG, "U"),
    (SegmentFlags::ECE, "E"),
    (SegmentFlags::CWR, "W"),
];
