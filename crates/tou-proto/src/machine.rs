//! The datagram machine: what a driver, a recorder or a sealing layer sees of
//! an endpoint.
//!
//! Batches in, batches out, one deadline. [`crate::Endpoint`] is one; whatever
//! wraps an endpoint and changes or records its datagrams is another. Data
//! calls (`connect`, `read`, `write`) are not part of it.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::ops::Range;

use bytes::Bytes;

use crate::time::Instant;

/// The two ECN bits of the IP header (RFC 3168 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Ecn {
    /// Not ECN-capable.
    #[default]
    NotEct = 0b00,
    /// ECN-capable, codepoint 1.
    Ect1 = 0b01,
    /// ECN-capable, codepoint 0: what TCP sends.
    Ect0 = 0b10,
    /// Congestion experienced.
    Ce = 0b11,
}

impl Ecn {
    /// The codepoint in the low two bits of a traffic class octet.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Self {
        match bits & 0b11 {
            0b01 => Self::Ect1,
            0b10 => Self::Ect0,
            0b11 => Self::Ce,
            _ => Self::NotEct,
        }
    }
}

/// Datagrams that arrived together, as the kernel's receive offload hands
/// them over: from one peer, equally long but for the last, back to back in
/// one buffer.
#[derive(Clone, Debug)]
pub struct ReceivedBatch {
    /// The UDP address the datagrams came from, as `connect` was told it: an IPv4
    /// address and the IPv6 address that it is mapped to are two peers.
    pub peer: SocketAddr,
    /// The local address they were sent to, where the carrier tells.
    pub local_ip: Option<IpAddr>,
    /// The ECN codepoint of all of them.
    pub ecn: Ecn,
    /// Octets from the start of one datagram to the next; zero means one
    /// datagram.
    pub stride: usize,
    /// The datagrams.
    pub data: Bytes,
}

impl ReceivedBatch {
    /// One datagram that came from `peer`.
    #[must_use]
    pub fn single(peer: SocketAddr, data: impl Into<Bytes>) -> Self {
        Self { peer, local_ip: None, ecn: Ecn::NotEct, stride: 0, data: data.into() }
    }

    /// Where in `data` each datagram is.
    pub fn ranges(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let len = self.data.len();
        let is_single = self.stride == 0 || self.stride >= len;
        let (stride, count) =
            if is_single { (len, 1) } else { (self.stride, len.div_ceil(self.stride)) };
        (0..count).map(move |index| {
            let start = (index * stride).min(len);
            start..(start + stride).min(len)
        })
    }

    /// The datagrams, one by one, sharing the batch's buffer.
    pub fn datagrams(&self) -> impl Iterator<Item = Bytes> + '_ {
        self.ranges().map(|range| self.data.slice(range))
    }
}

/// What a [`TransmitBuf`] was filled with: datagrams for one peer, equally long
/// but for the last, to be sent in order and at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// The UDP address to send to.
    pub peer: SocketAddr,
    /// The local address to send from, where one is known.
    pub local_ip: Option<IpAddr>,
    /// The ECN codepoint for all of them.
    pub ecn: Ecn,
    /// Octets from the start of one datagram to the next, head- and tailroom
    /// included.
    pub stride: usize,
    /// How many datagrams there are.
    pub segments: usize,
}

impl Transmit {
    /// The datagrams, one by one, for carriers that take no batches; `data` is
    /// [`TransmitBuf::data`].
    pub fn datagrams<'a>(&self, data: &'a [u8]) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        data.chunks(self.stride.max(1))
    }
}

/// Where `poll_transmit` puts a batch, and how large it may be.
///
/// The buffer is the caller's and is used again for the next batch. A layer
/// below that adds bytes to each datagram asks for head- and tailroom.
#[derive(Debug)]
pub struct TransmitBuf {
    /// Grows to the largest batch seen and stays: only `len` moves, so that
    /// nothing is zeroed for each batch.
    data: Vec<u8>,
    len: usize,
    max_segments: usize,
    max_bytes: usize,
    headroom: usize,
    tailroom: usize,
}

impl TransmitBuf {
    /// The largest UDP payload over IPv4, and so the largest batch that one
    /// system call takes.
    pub const MAX_BYTES: usize = 65_507;

    /// A buffer for batches of at most `max_segments` datagrams and
    /// `max_bytes` octets in all (at least one datagram always fits).
    #[must_use]
    pub fn new(max_segments: usize, max_bytes: usize) -> Self {
        Self {
            data: Vec::new(),
            len: 0,
            max_segments: max_segments.max(1),
            max_bytes,
            headroom: 0,
            tailroom: 0,
        }
    }

    /// A buffer for one datagram at a time, of any size: for carriers that take
    /// no batches.
    #[must_use]
    pub fn single() -> Self {
        Self::new(1, Self::MAX_BYTES)
    }

    /// The same, with room before and after each segment for a layer below.
    #[must_use]
    pub fn with_room(mut self, headroom: usize, tailroom: usize) -> Self {
        self.headroom = headroom;
        self.tailroom = tailroom;
        self
    }

    /// Changes the room before and after each segment. A machine that wraps
    /// another one adds its own to what there is before it asks the other to
    /// fill the buffer, and takes it off again afterwards.
    pub fn set_room(&mut self, headroom: usize, tailroom: usize) {
        self.headroom = headroom;
        self.tailroom = tailroom;
    }

    /// Changes how many datagrams a batch may have (one, after the kernel
    /// refused segmentation offload).
    pub fn set_max_segments(&mut self, max_segments: usize) {
        self.max_segments = max_segments.max(1);
    }

    /// How many datagrams a batch may have.
    #[must_use]
    pub fn max_segments(&self) -> usize {
        self.max_segments
    }

    /// How many octets a batch may have.
    #[must_use]
    pub fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    /// Octets left free before each segment.
    #[must_use]
    pub fn headroom(&self) -> usize {
        self.headroom
    }

    /// Octets left free after each segment.
    #[must_use]
    pub fn tailroom(&self) -> usize {
        self.tailroom
    }

    /// The batch, head- and tailrooms included.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        self.data.get(..self.len).unwrap_or_default()
    }

    /// The batch, for a layer that seals it in place.
    pub fn data_mut(&mut self) -> &mut [u8] {
        self.data.get_mut(..self.len).unwrap_or_default()
    }

    /// Empties the buffer; `poll_transmit` does so itself before it fills it.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Whether another datagram of `len` octets may follow the `count` there are.
    #[must_use]
    pub fn has_room(&self, count: usize, len: usize) -> bool {
        count == 0
            || (count < self.max_segments
                && self.len + self.headroom + len + self.tailroom <= self.max_bytes)
    }

    /// Appends room for a datagram of `len` octets and returns it, holding
    /// whatever an earlier batch left there: the caller writes all of it.
    pub fn push(&mut self, len: usize) -> &mut [u8] {
        let start = self.len + self.headroom;
        self.len = start + len + self.tailroom;
        if self.data.len() < self.len {
            self.data.resize(self.len, 0);
        }
        self.data.get_mut(start..start + len).unwrap_or_default()
    }
}

/// Trouble that the carrier reports about datagrams sent to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PathErrorKind {
    /// Nothing listens on the peer's UDP port (ICMP port unreachable), or the
    /// host refuses: hard while connecting, soft later (RFC 9293 §3.9.2.2).
    Refused,
    /// No way there now (ICMP net or host unreachable): soft.
    Unreachable,
    /// This host has no way there, and did not send: hard for a connection's first
    /// SYN, soft later.
    NoRoute,
    /// The datagram was larger than the path takes; the path's MTU, if known.
    TooBig {
        /// Largest IP packet that fits.
        mtu: Option<u16>,
    },
}

impl PathErrorKind {
    /// What a machine is told of it that is inside a layer which adds `octets` to
    /// each datagram: a path MTU that is smaller by as much.
    #[must_use]
    pub fn inside(self, octets: u16) -> Self {
        match self {
            Self::TooBig { mtu: Some(mtu) } => {
                Self::TooBig { mtu: Some(mtu.saturating_sub(octets)) }
            }
            kind => kind,
        }
    }
}

/// An error report about the path to a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathError {
    /// The UDP address that the failed datagram was sent to.
    pub peer: SocketAddr,
    /// What went wrong.
    pub kind: PathErrorKind,
    /// The start of the failed UDP payload, as far as the report quotes it:
    /// the TCP ports in it say whose it was. Empty when the carrier does not
    /// tell.
    pub quoted: Bytes,
}

/// Batches in, batches out, one deadline.
///
/// The contract, for callers:
///
/// - After any call but `poll_timeout`, and after any call of the machine's own
///   that changes something, call `poll_transmit` until it returns `None`, then
///   read `poll_timeout`.
/// - Call `handle_timeout` when that instant has come. Early, late or twice does
///   no harm; nor does time that goes back: it stands still.
/// - Not sending what `poll_transmit` returned is legal: it is loss.
///
/// And for machines that wrap another one: every call is passed on, in order,
/// with the same `now`. What is added to each datagram goes into
/// [room](TransmitBuf::set_room) that the inner machine leaves; the inner one is
/// told of an MTU that is smaller by as much, when it is made and when the path
/// reports one ([`PathErrorKind::inside`]).
pub trait DatagramMachine {
    /// Takes in what arrived.
    fn handle_batch(&mut self, now: Instant, batch: &ReceivedBatch);
    /// Takes in an error report.
    fn handle_path_error(&mut self, now: Instant, error: &PathError);
    /// Fills `buf` with the next batch to send, or returns `None` when there is
    /// nothing to send now.
    fn poll_transmit(&mut self, now: Instant, buf: &mut TransmitBuf) -> Option<Transmit>;
    /// When `handle_timeout` wants to be called; `None` when nothing waits.
    fn poll_timeout(&mut self) -> Option<Instant>;
    /// Lets time pass.
    fn handle_timeout(&mut self, now: Instant);
}

/// The same machine behind a pointer.
macro_rules! pass_on {
    ($pointer:ty) => {
        impl<M: DatagramMachine + ?Sized> DatagramMachine for $pointer {
            fn handle_batch(&mut self, now: Instant, batch: &ReceivedBatch) {
                (**self).handle_batch(now, batch);
            }
            fn handle_path_error(&mut self, now: Instant, error: &PathError) {
                (**self).handle_path_error(now, error);
            }
            fn poll_transmit(&mut self, now: Instant, buf: &mut TransmitBuf) -> Option<Transmit> {
                (**self).poll_transmit(now, buf)
            }
            fn poll_timeout(&mut self) -> Option<Instant> {
                (**self).poll_timeout()
            }
            fn handle_timeout(&mut self, now: Instant) {
                (**self).handle_timeout(now);
            }
        }
    };
}

pass_on!(&mut M);
pass_on!(Box<M>);

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(stride: usize, len: usize) -> Vec<usize> {
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        let mut batch = ReceivedBatch::single(peer, alloc::vec![0; len]);
        batch.stride = stride;
        batch.datagrams().map(|datagram| datagram.len()).collect()
    }

    #[test]
    fn a_batch_falls_apart_into_its_datagrams() {
        assert_eq!(lengths(10, 25), [10, 10, 5]);
        assert_eq!(lengths(10, 20), [10, 10]);
        assert_eq!(lengths(0, 7), [7]);
        assert_eq!(lengths(0, 0), [0]);
    }
}
