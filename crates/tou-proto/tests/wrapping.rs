//! A machine around another one: what a sealing layer or a recorder needs of
//! [`DatagramMachine`] and [`TransmitBuf`] is there.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use core::net::SocketAddr;

use tou_proto::{
    ConnId, DatagramMachine, Endpoint, EndpointConfig, Event, Instant, PathError, PathErrorKind,
    Port, ReadError, ReceivedBatch, Remote, Transmit, TransmitBuf,
};

const MARK: [u8; 3] = *b"box";
const TAIL: usize = 5;
const OVERHEAD: u16 = (MARK.len() + TAIL) as u16;
const MTU: u16 = 1_500;

/// Masks every octet, puts a mark before each datagram and its sum behind it.
struct Masked<M> {
    inner: M,
    mask: u8,
}

impl<M: DatagramMachine> Masked<M> {
    /// The inner datagram, if this is a masked one.
    fn open(&self, datagram: &[u8]) -> Option<Vec<u8>> {
        let (datagram, sum) = datagram
            .strip_prefix(&MARK)?
            .split_at_checked(datagram.len().checked_sub(MARK.len() + TAIL)?)?;
        let is_whole = sum == [checksum(datagram); TAIL];
        is_whole.then(|| datagram.iter().map(|octet| octet ^ self.mask).collect())
    }
}

fn checksum(octets: &[u8]) -> u8 {
    octets.iter().fold(1, |sum: u8, octet| sum.rotate_left(1).wrapping_add(*octet))
}

impl<M: DatagramMachine> DatagramMachine for Masked<M> {
    fn handle_batch(&mut self, now: Instant, batch: &ReceivedBatch) {
        let opened: Option<Vec<_>> = batch.datagrams().map(|sealed| self.open(&sealed)).collect();
        let Some(opened) = opened else { return };
        let stride = batch.stride.saturating_sub(MARK.len() + TAIL);
        let batch = ReceivedBatch { stride, data: opened.concat().into(), ..batch.clone() };
        self.inner.handle_batch(now, &batch);
    }

    fn handle_path_error(&mut self, now: Instant, error: &PathError) {
        // Only the start of the datagram is quoted, and no sum with it.
        let quoted = error.quoted.strip_prefix(&MARK).unwrap_or_default();
        let quoted = quoted.iter().map(|octet| octet ^ self.mask).collect();
        let kind = error.kind.inside(OVERHEAD);
        self.inner.handle_path_error(now, &PathError { kind, quoted, ..error.clone() });
    }

    fn poll_transmit(&mut self, now: Instant, buf: &mut TransmitBuf) -> Option<Transmit> {
        let (head, tail) = (buf.headroom(), buf.tailroom());
        buf.set_room(head + MARK.len(), tail + TAIL);
        let transmit = self.inner.poll_transmit(now, buf);
        buf.set_room(head, tail);
        let transmit = transmit?;
        for datagram in buf.data_mut().chunks_mut(transmit.stride) {
            let end = datagram.len() - tail;
            let (mark, rest) = datagram[head..end].split_at_mut(MARK.len());
            mark.copy_from_slice(&MARK);
            let (inner, sum) = rest.split_at_mut(rest.len() - TAIL);
            inner.iter_mut().for_each(|octet| *octet ^= self.mask);
            sum.fill(checksum(inner));
        }
        Some(transmit)
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        self.inner.poll_timeout()
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.inner.handle_timeout(now);
    }
}

/// A machine inside another: the outer mask's room comes on top.
type Twice = Masked<Masked<Endpoint>>;

fn twice(seed: u8) -> Twice {
    let config = EndpointConfig::builder().with_mtu(MTU - 2 * OVERHEAD).build().unwrap();
    Masked { inner: Masked { inner: Endpoint::new(config, [seed; 32]), mask: 0x5a }, mask: 0xc3 }
}

/// Carries what `from` sends to `to`; returns the longest batch.
fn carry(now: Instant, from: &mut dyn DatagramMachine, to: &mut Twice, peer: SocketAddr) -> usize {
    let mut buf = TransmitBuf::new(44, TransmitBuf::MAX_BYTES);
    let mut longest = 0;
    let mut from: Box<&mut dyn DatagramMachine> = Box::new(from);
    while let Some(transmit) = from.poll_transmit(now, &mut buf) {
        assert_eq!(transmit.datagrams(buf.data()).count(), transmit.segments);
        assert!(transmit.datagrams(buf.data()).all(|sealed| sealed.starts_with(&MARK)));
        assert!(transmit.stride + 28 <= usize::from(MTU), "{}", transmit.stride);
        longest = longest.max(transmit.segments);
        let data = buf.data().to_vec();
        let batch = ReceivedBatch { stride: transmit.stride, ..ReceivedBatch::single(peer, data) };
        to.handle_batch(now, &batch);
    }
    longest
}

fn read_all(now: Instant, endpoint: &mut Endpoint, conn: ConnId, into: &mut Vec<u8>) {
    loop {
        match endpoint.read_chunk(now, conn, usize::MAX) {
            Ok(Some(chunk)) => into.extend_from_slice(&chunk),
            Ok(None) => return,
            Err(error) => return assert_eq!(error, ReadError::WouldBlock),
        }
    }
}

#[test]
fn two_machines_around_an_endpoint_carry_its_batches() {
    let (near, far) = ("192.0.2.1:50000".parse().unwrap(), "192.0.2.2:5000".parse().unwrap());
    let (mut client, mut server) = (twice(1), twice(2));
    server.inner.inner.listen(Port::try_from(5000).unwrap(), 1).unwrap();
    let mut now = Instant::ZERO;
    let conn = client.inner.inner.connect(now, Remote::new(far).unwrap()).unwrap();

    let data: Vec<u8> = (0..400_000_u32).map(|i| (i >> 3) as u8).collect();
    let (mut written, mut arrived, mut accepted, mut longest) = (0, Vec::new(), None, 0);
    while arrived.len() < data.len() {
        now = now + core::time::Duration::from_millis(1);
        assert!(now < Instant::from_secs(60), "{} octets arrived", arrived.len());
        client.handle_timeout(now);
        server.handle_timeout(now);
        let endpoint = &mut client.inner.inner;
        written += endpoint.write(now, conn, &data[written..]).unwrap_or(0);
        longest = longest.max(carry(now, &mut client, &mut server, near));
        let endpoint = &mut server.inner.inner;
        while let Some(event) = endpoint.poll_event() {
            if let Event::Incoming(listener) = event {
                accepted = endpoint.accept(listener);
            }
        }
        if let Some(conn) = accepted {
            read_all(now, endpoint, conn, &mut arrived);
        }
        carry(now, &mut server, &mut client, far);
    }
    assert_eq!(arrived, data);
    assert!(longest > 10, "batches stay whole: {longest}");
    assert_eq!(server.inner.inner.counters().malformed_segments, 0);
}

#[test]
fn reported_mtu_leaves_room_for_what_is_added() {
    let (near, far) = ("192.0.2.1:50000".parse().unwrap(), "192.0.2.2:5000".parse().unwrap());
    let (mut client, mut server) = (twice(1), twice(2));
    server.inner.inner.listen(Port::try_from(5000).unwrap(), 1).unwrap();
    let now = Instant::ZERO;
    let conn = client.inner.inner.connect(now, Remote::new(far).unwrap()).unwrap();
    for _ in 0..2 {
        carry(now, &mut client, &mut server, near);
        carry(now, &mut server, &mut client, far);
    }
    client.inner.inner.write(now, conn, &[7; 5_000]).unwrap();

    // Nothing longer than this gets through, and a router quotes the first octets of what
    // does not.
    const PATH: u16 = 1_400;
    let longest = usize::from(PATH - 28);
    let sent = lengths(now, &mut client);
    assert!(sent.iter().any(|(len, _)| *len > longest), "{sent:?}");
    let quoted = sent[0].1.clone().into();
    let kind = PathErrorKind::TooBig { mtu: Some(PATH) };
    client.handle_path_error(now, &PathError { peer: far, kind, quoted });
    let again = lengths(now, &mut client);
    assert_eq!(again.iter().map(|(len, _)| *len).max(), Some(longest));
}

/// How long the datagrams are that a machine sends now, and how they begin.
fn lengths(now: Instant, machine: &mut Twice) -> Vec<(usize, Vec<u8>)> {
    let mut buf = TransmitBuf::single();
    let mut lengths = Vec::new();
    while machine.poll_transmit(now, &mut buf).is_some() {
        lengths.push((buf.data().len(), buf.data()[..2 * MARK.len() + 8].to_vec()));
    }
    lengths
}
