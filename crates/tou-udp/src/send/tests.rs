//! The ladder against a kernel that refuses: nothing is lost, nothing goes
//! twice, and what was learnt holds for the next batch.
#![expect(clippy::unwrap_used, reason = "what a test cannot do, it fails of")]

use core::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;

use nix::errno::Errno;
use quickcheck::{Arbitrary, Gen, quickcheck};
use tou_proto::Ecn;

use super::*;
use crate::raw::{ErrorReport, ErrorSource, Incoming};
use crate::socket::UdpSocket;

/// A kernel with faults.
#[derive(Debug)]
struct Kernel {
    /// EMSGSIZE for more octets in one call.
    max_bytes: usize,
    /// EMSGSIZE for a larger datagram.
    mtu: usize,
    /// What a batch of several datagrams is refused with.
    segmentation: Option<Errno>,
    /// What any control message is refused with.
    control: Option<Errno>,
    /// What any source address but ours is refused with.
    foreign: Errno,
    /// What sending to this peer is refused with.
    unreachable: Option<(SocketAddr, Errno)>,
    /// EAGAIN when this many datagrams have gone.
    room: Cell<usize>,
    /// Pending errors: one call each is refused.
    pending: RefCell<VecDeque<Errno>>,
    queue: RefCell<VecDeque<ErrorReport>>,
    sent: RefCell<Vec<Packet>>,
    calls: Cell<usize>,
    forgotten: Cell<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Packet {
    peer: SocketAddr,
    /// `None` for a plain datagram.
    ecn: Option<Ecn>,
    source: Option<IpAddr>,
    data: Vec<u8>,
}

const HOME: IpAddr = IpAddr::V4(core::net::Ipv4Addr::new(192, 0, 2, 9));
const GONE: IpAddr = IpAddr::V4(core::net::Ipv4Addr::new(192, 0, 2, 66));

impl Default for Kernel {
    fn default() -> Self {
        Self {
            max_bytes: 65_507,
            mtu: 65_507,
            segmentation: None,
            control: None,
            foreign: Errno::EINVAL,
            unreachable: None,
            room: Cell::new(usize::MAX),
            pending: RefCell::default(),
            queue: RefCell::default(),
            sent: RefCell::default(),
            calls: Cell::new(0),
            forgotten: Cell::new(0),
        }
    }
}

impl Kernel {
    fn take(&self, packets: Vec<Packet>) -> io::Result<()> {
        self.calls.set(self.calls.get() + 1);
        if let Some(errno) = self.pending.borrow_mut().pop_front() {
            return Err(errno.into());
        }
        if let Some((_, errno)) = self.unreachable.filter(|&(of, _)| of == packets[0].peer) {
            return Err(errno.into());
        }
        let total: usize = packets.iter().map(|packet| packet.data.len()).sum();
        if total > self.max_bytes || packets.iter().any(|packet| packet.data.len() > self.mtu) {
            return Err(Errno::EMSGSIZE.into());
        }
        if self.room.get() < packets.len() {
            return Err(Errno::EAGAIN.into());
        }
        self.room.set(self.room.get() - packets.len());
        self.sent.borrow_mut().extend(packets);
        Ok(())
    }

    fn payloads(&self) -> Vec<Vec<u8>> {
        self.sent.borrow().iter().map(|packet| packet.data.clone()).collect()
    }
}

impl RawSocket for Kernel {
    fn send(&self, outgoing: &Outgoing<'_>) -> io::Result<()> {
        if let Some(errno) = self.control {
            return Err(errno.into());
        }
        if outgoing.source.is_some_and(|source| source != HOME) {
            return Err(self.foreign.into());
        }
        if let (Some(errno), Some(_)) = (self.segmentation, outgoing.segment_size) {
            return Err(errno.into());
        }
        let packet = |data: &[u8]| Packet {
            peer: *outgoing.peer,
            ecn: Some(outgoing.ecn),
            source: outgoing.source,
            data: data.to_vec(),
        };
        let packets = match outgoing.segment_size {
            Some(size) => outgoing.data.chunks(size).map(packet).collect(),
            None => vec![packet(outgoing.data)],
        };
        self.take(packets)
    }

    fn send_plain(&self, peer: &SocketAddr, data: &[u8]) -> io::Result<()> {
        let packet = Packet { peer: *peer, ecn: None, source: None, data: data.to_vec() };
        self.take(vec![packet])
    }

    fn recv(&self, _buffer: &mut [u8]) -> io::Result<Incoming> {
        Err(self.pending.borrow_mut().pop_front().unwrap_or(Errno::EAGAIN).into())
    }

    fn recv_error(&self) -> io::Result<Option<ErrorReport>> {
        Ok(self.queue.borrow_mut().pop_front())
    }

    fn max_segments(&self) -> usize {
        64
    }

    fn forget_refusals(&mut self) {
        self.forgotten.set(self.forgotten.get() + 1);
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok("0.0.0.0:4000".parse().unwrap())
    }
}

fn peer(last: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, last], 9))
}

fn transmit(stride: usize) -> Transmit {
    let local_ip = Some(HOME);
    Transmit { peer: peer(1), local_ip, ecn: Ecn::Ect0, stride, segments: 0 }
}

/// `datagrams` of `stride` octets and a shorter one, all different.
fn batch(datagrams: usize, stride: usize) -> Vec<u8> {
    let mut data: Vec<u8> = (0..datagrams).flat_map(|n| vec![n as u8; stride]).collect();
    data.extend(vec![0xff; stride / 2]);
    data
}

fn pieces(data: &[u8], stride: usize) -> Vec<Vec<u8>> {
    data.chunks(stride).map(<[u8]>::to_vec).collect()
}

/// A socket over a kernel with faults, to look at afterwards.
fn socket(kernel: Kernel) -> UdpSocket<Kernel> {
    UdpSocket::from_raw(kernel).unwrap()
}

fn report(peer: SocketAddr, kind: PathErrorKind) -> ErrorReport {
    ErrorReport { peer, kind: Some(kind), source: ErrorSource::Network, quoted: Bytes::new() }
}

#[test]
fn a_batch_goes_in_one_call_with_its_marks_and_source() {
    let mut socket = socket(Kernel::default());
    let data = batch(43, 1472);
    assert_eq!(socket.send(&transmit(1472), &data), Sent { datagrams: 44, blocked: false });
    assert_eq!(socket.raw().calls.get(), 1);
    assert_eq!(socket.raw().payloads(), pieces(&data, 1472));
    let first = socket.raw().sent.borrow()[0].clone();
    assert_eq!((first.ecn, first.source), (Some(Ecn::Ect0), Some(HOME)));
}

#[test]
fn an_empty_datagram_goes_too() {
    let mut socket = socket(Kernel::default());
    assert_eq!(socket.send(&transmit(0), &[]), Sent { datagrams: 1, blocked: false });
    assert_eq!(socket.raw().payloads(), [vec![]]);
}

#[test]
fn a_batch_over_the_limits_goes_in_several() {
    let mut socket = socket(Kernel::default());
    let data = batch(200, 100);
    let _ = socket.send(&transmit(100), &data);
    assert_eq!(socket.raw().calls.get(), 4);
    let data = batch(60, 1472);
    let _ = socket.send(&transmit(1472), &data);
    assert_eq!(socket.raw().calls.get(), 6);
    assert_eq!(socket.raw().sent.borrow().len(), 201 + 61);
}

#[test]
fn a_batch_too_large_goes_again_smaller_and_the_size_is_remembered() {
    let mut socket = socket(Kernel { max_bytes: 20_000, ..Kernel::default() });
    let data = batch(40, 1000);
    assert_eq!(socket.send(&transmit(1000), &data).datagrams, 41);
    assert_eq!(socket.raw().payloads(), pieces(&data, 1000));
    assert_eq!(socket.max_bytes(), 20_000);
    assert_eq!(socket.max_segments(), 64);
    let calls = socket.raw().calls.get();
    let _ = socket.send(&transmit(1000), &data);
    assert_eq!(socket.raw().calls.get() - calls, 3);
    assert_eq!(socket.stats().lost_too_big, 0);
}

#[test]
fn refused_segmentation_goes_one_by_one_with_marks_and_stays_off() {
    for errno in [Errno::EIO, Errno::EINVAL, Errno::EOVERFLOW, Errno::EMSGSIZE] {
        let mut socket = socket(Kernel { segmentation: Some(errno), ..Kernel::default() });
        let data = batch(10, 1000);
        assert_eq!(socket.send(&transmit(1000), &data).datagrams, 11);
        assert_eq!(socket.raw().payloads(), pieces(&data, 1000));
        let sent = socket.raw().sent.borrow().clone();
        assert!(sent.iter().all(|packet| packet.ecn == Some(Ecn::Ect0)));
        assert!(sent.iter().all(|packet| packet.source == Some(HOME)));
        assert_eq!(socket.max_segments(), 1);
        assert_eq!(socket.max_bytes(), TransmitBuf::MAX_BYTES);
    }
}

#[test]
fn refused_control_messages_are_left_out_for_good() {
    for errno in [Errno::EIO, Errno::EINVAL] {
        let mut socket = socket(Kernel { control: Some(errno), ..Kernel::default() });
        let data = batch(10, 1000);
        assert_eq!(socket.send(&transmit(1000), &data).datagrams, 11);
        assert_eq!(socket.raw().payloads(), pieces(&data, 1000));
        assert_eq!(socket.max_segments(), 1);
        let fallbacks = socket.stats().fallbacks_plain;
        let _ = socket.send(&transmit(1000), &data);
        assert_eq!(socket.stats().fallbacks_plain, fallbacks);
        assert_eq!(fallbacks, 1);
    }
}

#[test]
fn a_vanished_source_is_left_out_and_neither_offload_nor_marks_suffer() {
    for foreign in [Errno::EINVAL, Errno::ENETUNREACH] {
        let mut socket = socket(Kernel { foreign, ..Kernel::default() });
        let data = batch(10, 1000);
        let stale = Transmit { local_ip: Some(GONE), ..transmit(1000) };
        assert_eq!(socket.send(&stale, &data).datagrams, 11);
        let calls = socket.raw().calls.get();
        assert!(calls <= 2, "{calls} calls were not refused");
        assert_eq!(socket.send(&stale, &data).datagrams, 11);
        assert_eq!(socket.raw().calls.get() - calls, 1);
        assert_eq!(socket.max_segments(), 64);
        let sent = socket.raw().sent.borrow().clone();
        assert!(sent.iter().all(|packet| packet.ecn == Some(Ecn::Ect0) && packet.source.is_none()));
        assert_eq!(socket.stats().fallbacks_sourceless, 1);
        assert_eq!(socket.raw().forgotten.get() > 0, foreign == Errno::EINVAL);
        // Another source is not touched.
        let _ = socket.send(&transmit(1000), &data);
        assert_eq!(socket.raw().sent.borrow().last().unwrap().source, Some(HOME));
    }
}

#[test]
fn a_datagram_larger_than_the_path_is_lost_reported_and_blames_no_offload() {
    let mut socket = socket(Kernel { mtu: 1400, ..Kernel::default() });
    socket.raw().queue.borrow_mut().push_back(ErrorReport {
        peer: "192.0.2.1:0".parse().unwrap(),
        kind: Some(PathErrorKind::TooBig { mtu: Some(1428) }),
        source: ErrorSource::Local,
        quoted: Bytes::new(),
    });
    let data = batch(3, 1472);
    assert_eq!(socket.send(&transmit(1472), &data), Sent { datagrams: 4, blocked: false });
    // The short one at the end fits.
    assert_eq!(socket.raw().payloads(), [vec![0xff; 736]]);
    assert_eq!(socket.stats().lost_too_big, 3);
    assert_eq!(socket.max_segments(), 64);
    assert_eq!(socket.max_bytes(), TransmitBuf::MAX_BYTES);
    let error = socket.poll_error().unwrap();
    assert_eq!(error.peer, peer(1));
    assert_eq!(error.kind, PathErrorKind::TooBig { mtu: Some(1428) });
    assert_eq!(error.quoted, vec![0; QUOTED_BYTES]);
}

#[test]
fn a_batch_too_large_for_the_path_takes_a_bounded_number_of_calls() {
    let mut socket = socket(Kernel { mtu: 1400, ..Kernel::default() });
    socket.raw().queue.borrow_mut().push_back(ErrorReport {
        peer: "192.0.2.200:0".parse().unwrap(),
        kind: Some(PathErrorKind::TooBig { mtu: Some(9) }),
        source: ErrorSource::Local,
        quoted: Bytes::new(),
    });
    assert_eq!(socket.send(&transmit(1472), &batch(43, 1472)).datagrams, 44);
    // Each twice, as the first error might be another peer's.
    assert!(socket.raw().calls.get() <= 2 * (44 + 6), "{} calls", socket.raw().calls.get());
    // The MTU towards another host says nothing.
    assert_eq!(socket.poll_error().unwrap().kind, PathErrorKind::TooBig { mtu: None });
}

#[test]
fn a_full_socket_says_how_far_it_came_and_the_rest_follows() {
    let mut socket = socket(Kernel { room: Cell::new(12), ..Kernel::default() });
    let data = batch(24, 8000);
    let sent = socket.send(&transmit(8000), &data);
    assert_eq!(sent, Sent { datagrams: 8, blocked: true });
    socket.raw().room.set(usize::MAX);
    let rest = &data[sent.datagrams * 8000..];
    assert_eq!(socket.send(&transmit(8000), rest), Sent { datagrams: 17, blocked: false });
    assert_eq!(socket.raw().payloads(), pieces(&data, 8000));
}

#[test]
fn an_error_about_another_peer_is_reported_and_the_send_goes_on() {
    for errno in [Errno::ECONNREFUSED, Errno::EHOSTUNREACH, Errno::EPROTO, Errno::EMSGSIZE] {
        let mut socket = socket(Kernel::default());
        socket.raw().pending.borrow_mut().push_back(errno);
        socket.raw().queue.borrow_mut().push_back(report(peer(7), PathErrorKind::Refused));
        let data = batch(10, 1000);
        assert_eq!(socket.send(&transmit(1000), &data), Sent { datagrams: 11, blocked: false });
        assert_eq!(socket.raw().payloads(), pieces(&data, 1000));
        assert_eq!(socket.raw().calls.get(), 2);
        assert_eq!(socket.poll_error().unwrap().peer, peer(7));
        assert_eq!(socket.poll_error(), None);
    }
}

#[test]
fn a_pending_error_whose_report_was_lost_does_no_harm() {
    for errno in [Errno::ECONNREFUSED, Errno::EMSGSIZE] {
        let mut socket = socket(Kernel::default());
        socket.raw().pending.borrow_mut().push_back(errno);
        assert_eq!(socket.send(&transmit(1000), &batch(1, 1000)).datagrams, 2);
        assert_eq!(socket.raw().sent.borrow().len(), 2);
        assert_eq!(socket.poll_error(), None);
        assert_eq!(socket.max_bytes(), TransmitBuf::MAX_BYTES);
        assert_eq!(socket.max_segments(), 64);
    }
}

#[test]
fn a_peer_that_cannot_be_reached_is_told_of_and_others_are_not_disturbed() {
    let unreachable = Some((peer(1), Errno::ENETUNREACH));
    let mut socket = socket(Kernel { unreachable, ..Kernel::default() });
    assert_eq!(socket.send(&transmit(1000), &batch(10, 1000)).datagrams, 11);
    assert_eq!(socket.stats().lost_unreachable, 11);
    let error = socket.poll_error().unwrap();
    assert_eq!((error.peer, error.kind), (peer(1), PathErrorKind::NoRoute));
    let other = Transmit { peer: peer(2), ..transmit(1000) };
    assert_eq!(socket.send(&other, &batch(10, 1000)).datagrams, 11);
    assert_eq!(socket.raw().sent.borrow().len(), 11);
}

#[test]
fn a_storm_of_reports_about_others_is_held_against_nobody() {
    for errno in [Errno::ECONNREFUSED, Errno::ENETUNREACH] {
        let mut socket = socket(Kernel::default());
        socket.raw().pending.borrow_mut().extend([errno; 20]);
        // They say nothing worth putting aside.
        let foreign = ErrorReport { kind: None, ..report(peer(7), PathErrorKind::Refused) };
        socket.raw().queue.borrow_mut().extend(vec![foreign; 64 * 20]);
        assert_eq!(socket.send(&transmit(1000), &batch(0, 1000)).datagrams, 1);
        assert_eq!(socket.stats().lost_unreachable, 1);
        let error = socket.poll_error().unwrap();
        assert_eq!((error.peer, error.kind), (peer(1), PathErrorKind::Unreachable));
    }
}

#[test]
fn a_full_interface_queue_is_loss_and_ends() {
    let unreachable = Some((peer(1), Errno::ENOBUFS));
    let mut socket = socket(Kernel { unreachable, ..Kernel::default() });
    assert_eq!(socket.send(&transmit(1000), &batch(10, 1000)).datagrams, 11);
    assert_eq!(socket.stats().lost_queue_full, 11);
    assert_eq!(socket.raw().calls.get(), 1);
    assert_eq!(socket.poll_error(), None);
}

#[test]
fn interruptions_are_tried_again() {
    let mut socket = socket(Kernel::default());
    socket.raw().pending.borrow_mut().extend([Errno::EINTR; 20]);
    assert_eq!(socket.send(&transmit(1000), &batch(1, 1000)).datagrams, 2);
    assert_eq!(socket.raw().sent.borrow().len(), 2);
}

#[test]
fn a_peer_of_a_family_that_the_socket_has_not_is_unreachable() {
    let mut socket = socket(Kernel::default());
    let v6 = "[2001:db8::1]:9".parse().unwrap();
    let there = Transmit { peer: v6, ..transmit(1000) };
    assert_eq!(socket.send(&there, &batch(1, 1000)), Sent { datagrams: 2, blocked: false });
    assert_eq!(socket.raw().calls.get(), 0);
    assert_eq!(socket.poll_error().unwrap().peer, v6);
}

#[test]
fn receiving_passes_pending_errors_and_ends_when_the_socket_is_broken() {
    let mut socket = socket(Kernel::default());
    socket.raw().pending.borrow_mut().extend([Errno::ECONNREFUSED, Errno::EHOSTUNREACH]);
    socket.raw().queue.borrow_mut().push_back(report(peer(7), PathErrorKind::Refused));
    assert_eq!(socket.recv(|_| ()).unwrap().batches, 0);
    assert_eq!(socket.poll_error().unwrap().peer, peer(7));
    socket.raw().pending.borrow_mut().push_back(Errno::EBADF);
    assert!(socket.recv(|_| ()).is_err());
    // An error that does not end neither hangs the caller nor ends it.
    socket.raw().pending.borrow_mut().extend([Errno::EHOSTUNREACH; 1000]);
    let received = socket.recv(|_| ()).unwrap();
    assert_eq!((received.batches, received.more), (0, true));
}

#[test]
fn reports_that_nobody_fetches_are_bounded() {
    let mut socket = socket(Kernel::default());
    for _ in 0..40 {
        let reports = (0..10).map(|n| report(peer(n), PathErrorKind::Refused));
        socket.raw().queue.borrow_mut().extend(reports);
        socket.drain_errors();
    }
    assert_eq!(core::iter::from_fn(|| socket.poll_error()).count(), 256);
    assert_eq!(socket.stats().path_errors_dropped, 144);
}

/// Any mixture of faults.
#[derive(Clone, Debug)]
struct Faults {
    max_bytes: usize,
    segmentation: Option<Errno>,
    control: Option<Errno>,
    source: IpAddr,
    foreign: Errno,
    room: usize,
    pending: Vec<Errno>,
}

impl Arbitrary for Faults {
    fn arbitrary(g: &mut Gen) -> Self {
        let refusals = [None, Some(Errno::EIO), Some(Errno::EINVAL), Some(Errno::EMSGSIZE)];
        let passing =
            [Errno::ECONNREFUSED, Errno::EINTR, Errno::EHOSTUNREACH, Errno::EPROTO, Errno::EAGAIN];
        Self {
            max_bytes: 100 + usize::arbitrary(g) % 3_000,
            segmentation: *g.choose(&refusals).unwrap(),
            control: *g.choose(&[None, None, Some(Errno::EIO), Some(Errno::EINVAL)]).unwrap(),
            source: *g.choose(&[HOME, GONE]).unwrap(),
            foreign: *g.choose(&[Errno::EINVAL, Errno::ENETUNREACH]).unwrap(),
            // An empty socket takes any batch.
            room: 64 + usize::arbitrary(g) % 100,
            pending: (0..usize::arbitrary(g) % 8).map(|_| *g.choose(&passing).unwrap()).collect(),
        }
    }
}

quickcheck! {
    fn every_datagram_goes_exactly_once_and_in_order(faults: Faults, count: u8, short: u8) -> bool {
        let stride = 100;
        let mut data = batch(usize::from(count), stride);
        data.truncate(data.len() - usize::from(short) % 50);
        let kernel = Kernel {
            max_bytes: faults.max_bytes,
            segmentation: faults.segmentation,
            control: faults.control,
            foreign: faults.foreign,
            room: Cell::new(faults.room),
            ..Kernel::default()
        };
        let mut socket = socket(kernel);
        let transmit = Transmit { local_ip: Some(faults.source), ..transmit(stride) };
        let mut pending = faults.pending.into_iter();
        let mut done = 0;
        let total = data.len().div_ceil(stride);
        for _ in 0..1_000 {
            if done == total {
                break;
            }
            // A report comes with each, as it does from a kernel.
            if let Some(errno) = pending.next() {
                socket.raw().pending.borrow_mut().push_back(errno);
                let foreign = report(peer(7), PathErrorKind::Unreachable);
                socket.raw().queue.borrow_mut().push_back(foreign);
            }
            let sent = socket.send(&transmit, &data[done * stride..]);
            done += sent.datagrams;
            if sent.blocked {
                socket.raw().room.set(faults.room);
            }
        }
        socket.raw().payloads() == pieces(&data, stride)
    }
}
