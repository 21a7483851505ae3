//! Sending a batch so that nothing of it gets lost on the way to the kernel.
//!
//! A batch goes out in one system call where that works. What the kernel
//! refuses is offered again, one rung lower each time: in smaller batches, one
//! datagram at a time, without a source address, without control messages. The
//! ladder remembers what turned out to be at fault, so that the next batch
//! starts where this one ended. An error that some earlier datagram caused is
//! put aside as a report, and the send is made again: trouble with one peer
//! never touches another. What waits for writability, or for whom, is not known
//! here.

use core::mem::replace;
use core::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use tou_proto::{PathError, PathErrorKind, Transmit, TransmitBuf};

use crate::addr;
use crate::errqueue::QUOTED_BYTES;
use crate::raw::{Outgoing, RawSocket};
use crate::refusal::Refusal;
use crate::reports::Reports;
use crate::stats::SocketStats;

/// How far a send came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Sent {
    /// Datagrams that are done with: the kernel took them, or they are lost
    /// for good and counted.
    pub datagrams: usize,
    /// The socket's buffer is full: the rest goes when it is writable.
    pub blocked: bool,
}

/// How often one datagram is offered again because of reports about others.
const MAX_REPEATS: u32 = 8;

/// What a send may put into control messages, from most to least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Control {
    Full,
    NoSource,
    Nothing,
}

/// What the kernel turned out to take.
#[derive(Debug)]
pub(crate) struct Limits {
    /// Datagrams a call.
    max_segments: usize,
    /// Octets a call.
    max_bytes: usize,
    /// Control messages are refused altogether.
    plain: bool,
    /// A source address that the host had and has no more.
    stale_source: Option<IpAddr>,
}

impl Limits {
    pub(crate) fn new(max_segments: usize) -> Self {
        Self {
            max_segments: max_segments.max(1),
            max_bytes: TransmitBuf::MAX_BYTES,
            plain: false,
            stale_source: None,
        }
    }

    /// Datagrams a call, as far as is known.
    pub(crate) fn max_segments(&self) -> usize {
        if self.plain { 1 } else { self.max_segments }
    }

    /// Octets a call, as far as is known.
    pub(crate) fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    /// A datagram arrived at `local_ip`: the host has that address.
    pub(crate) fn source_works(&mut self, local_ip: IpAddr) {
        if self.stale_source == Some(local_ip) {
            self.stale_source = None;
        }
    }

    /// Datagrams of `stride` octets that one call takes.
    fn batch(&self, stride: usize) -> usize {
        (self.max_bytes / stride).clamp(1, self.max_segments())
    }
}

/// One batch on its way down the ladder.
pub(crate) struct Ladder<'a, R> {
    pub(crate) raw: &'a mut R,
    pub(crate) limits: &'a mut Limits,
    pub(crate) reports: &'a mut Reports,
    pub(crate) stats: &'a mut SocketStats,
    /// The peer in the socket's family.
    pub(crate) peer: &'a SocketAddr,
    /// The source address to ask for, if any.
    pub(crate) source: Option<IpAddr>,
    pub(crate) transmit: &'a Transmit,
}

/// The rung that a batch stands on.
struct Rung {
    /// Datagrams a call at most, for the rest of this batch.
    cap: usize,
    control: Control,
    /// What was refused last, not yet explained by a success.
    refused: Option<Refused>,
    /// How often a report about another datagram stood in the way.
    repeats: u32,
    /// An error of a path came without any report: if again, it is this one's.
    suspected: bool,
}

impl Rung {
    /// A step down: what is tried next differs from what was refused.
    fn lower(&mut self, refused: Refused) {
        self.refused = Some(refused);
        self.repeats = 0;
        self.suspected = false;
    }
}

/// A refused call.
#[derive(Clone, Copy)]
struct Refused {
    refusal: Refusal,
    datagrams: usize,
    control: Control,
}

impl<R: RawSocket> Ladder<'_, R> {
    /// Sends all of `data`, or as much as fits into the socket's buffer.
    pub(crate) fn send(&mut self, data: &[u8]) -> Sent {
        let stride = if self.transmit.stride == 0 { data.len() } else { self.transmit.stride };
        // An empty batch is one empty datagram, and most are one datagram.
        let total = if data.len() <= stride { 1 } else { data.len().div_ceil(stride) };
        let mut rung = self.top();
        let mut done = 0;
        while done < total {
            let count = match total - done {
                1 => 1,
                rest => rest.min(self.limits.batch(stride)).min(rung.cap),
            };
            let start = done * stride;
            let chunk = &data[start..data.len().min(start + count * stride)];
            match self.attempt(chunk, stride, rung.control) {
                None => {
                    done += count;
                    self.stats.batches_sent.count(count);
                    self.stats.datagrams_sent += count as u64;
                    self.stats.bytes_sent += chunk.len() as u64;
                    self.learn(&mut rung, count, stride);
                }
                Some(Refusal::Blocked) => {
                    self.stats.sends_blocked += 1;
                    return Sent { datagrams: done, blocked: true };
                }
                Some(refusal) => {
                    if !self.step_down(&mut rung, refusal, count, chunk) {
                        done += count;
                        // The rest likely fares alike: no larger batches again.
                        rung = Rung { cap: rung.cap, ..self.top() };
                    }
                }
            }
        }
        Sent { datagrams: done, blocked: false }
    }

    /// Where a batch starts: with everything that is known to work.
    fn top(&self) -> Rung {
        let control = match self.source {
            _ if self.limits.plain => Control::Nothing,
            source if source.is_none() || source == self.limits.stale_source => Control::NoSource,
            _ => Control::Full,
        };
        Rung { cap: usize::MAX, control, refused: None, repeats: 0, suspected: false }
    }

    /// One system call; `None` when it worked.
    fn attempt(&mut self, chunk: &[u8], stride: usize, control: Control) -> Option<Refusal> {
        self.stats.send_calls += 1;
        let result = match control {
            Control::Nothing => self.raw.send_plain(self.peer, chunk),
            Control::Full | Control::NoSource => self.raw.send(&Outgoing {
                peer: self.peer,
                source: self.source.filter(|_| control == Control::Full),
                ecn: self.transmit.ecn,
                segment_size: (chunk.len() > stride).then_some(stride),
                data: chunk,
            }),
        };
        result.err().map(|error| Refusal::of(&error))
    }

    /// Prepares the next attempt after a refusal. Returns false when there is
    /// none: the chunk is lost, and that is counted and reported.
    #[cold]
    fn step_down(&mut self, rung: &mut Rung, refusal: Refusal, count: usize, chunk: &[u8]) -> bool {
        if refusal == Refusal::Interrupted {
            return true;
        }
        let drained = self.reports.drain(self.raw, self.stats);
        // A pending error may also come without a report, if the queue was full.
        let pending = matches!(refusal, Refusal::Path(_) | Refusal::TooBig);
        let foreign = drained || (pending && !replace(&mut rung.suspected, true));
        if foreign && rung.repeats < MAX_REPEATS {
            rung.repeats += 1;
            self.stats.sends_repeated += 1;
            return true;
        }
        let refused = Refused { refusal, datagrams: count, control: rung.control };
        match refusal {
            Refusal::TooBig if count > 1 => {
                self.stats.fallbacks_smaller += 1;
                rung.lower(refused);
                rung.cap = count / 2;
                true
            }
            Refusal::Unsupported if count > 1 => {
                self.stats.fallbacks_single += 1;
                self.raw.forget_refusals();
                rung.lower(refused);
                rung.cap = 1;
                true
            }
            Refusal::Unsupported if rung.control != Control::Nothing => {
                self.raw.forget_refusals();
                rung.lower(refused);
                rung.control = self.less_control(rung.control);
                true
            }
            // A source address that the host has no more is refused with EINVAL
            // or, by newer kernels over IPv4, with ENETUNREACH.
            Refusal::Path(_) if rung.control == Control::Full => {
                rung.lower(refused);
                rung.control = self.less_control(rung.control);
                true
            }
            refusal => {
                // In a storm of reports about others nobody knows what became of this one.
                let other = matches!(refusal, Refusal::Path(_)) && foreign;
                let unknown = Refusal::Path(PathErrorKind::Unreachable);
                self.lose(if other { unknown } else { refusal }, count, chunk);
                false
            }
        }
    }

    fn less_control(&mut self, control: Control) -> Control {
        if control == Control::Full {
            self.stats.fallbacks_sourceless += 1;
            Control::NoSource
        } else {
            self.stats.fallbacks_plain += 1;
            Control::Nothing
        }
    }

    /// Draws the conclusion from a send that worked right after one that began
    /// with the same datagrams and did not.
    fn learn(&mut self, rung: &mut Rung, count: usize, stride: usize) {
        rung.repeats = 0;
        rung.suspected = false;
        let Some(refused) = rung.refused.take() else { return };
        if refused.control != rung.control {
            // Fewer control messages made the difference.
            match rung.control {
                Control::Nothing => self.limits.plain = true,
                _ => self.limits.stale_source = self.source,
            }
            rung.cap = usize::MAX;
        } else if refused.datagrams > count {
            // Fewer datagrams made the difference.
            match refused.refusal {
                Refusal::TooBig if count > 1 => self.limits.max_bytes = count * stride,
                _ => self.limits.max_segments = count,
            }
        }
    }

    fn lose(&mut self, refusal: Refusal, count: usize, chunk: &[u8]) {
        let (counter, kind) = match refusal {
            Refusal::TooBig => {
                let mtu = self.reports.take_local_mtu(self.transmit.peer.ip());
                (&mut self.stats.lost_too_big, Some(PathErrorKind::TooBig { mtu }))
            }
            Refusal::QueueFull => (&mut self.stats.lost_queue_full, None),
            Refusal::Path(kind) => (&mut self.stats.lost_unreachable, Some(kind)),
            // There is nothing left to leave out: it cannot be sent at all.
            _ => (&mut self.stats.lost_unreachable, Some(PathErrorKind::NoRoute)),
        };
        *counter += count as u64;
        if let Some(kind) = kind {
            let quoted = &chunk[..chunk.len().min(QUOTED_BYTES)];
            let peer = addr::canonical(self.transmit.peer);
            let error = PathError { peer, kind, quoted: Bytes::copy_from_slice(quoted) };
            self.reports.push(error, self.stats);
        }
    }
}

#[cfg(all(test, any(target_os = "linux", target_os = "android")))]
mod tests;
