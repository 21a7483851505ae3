//! The pump: two of them, each with a toy machine, over loopback.
#![expect(clippy::unwrap_used, reason = "what a test cannot do, it fails of")]

use core::net::SocketAddr;
use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};

use tou_proto::{
    DatagramMachine, Ecn, Instant, PathError, PathErrorKind, ReceivedBatch, Transmit, TransmitBuf,
};
use tou_udp::{
    Clock, Damage, Direction, DropReason, ErrorReport, Impairment, Incoming, KernelSocket,
    Outgoing, Pump, PumpEvent, RawSocket, SocketOptions, UdpSocket,
};

/// Sends what it is given, keeps what it gets, and echoes if told to.
#[derive(Default)]
struct Toy {
    outgoing: VecDeque<(SocketAddr, Vec<u8>)>,
    received: Vec<Vec<u8>>,
    batches: usize,
    errors: Vec<PathError>,
    echo: bool,
    /// Lets `handle_timeout` be called once, at that time.
    alarm: Option<Instant>,
    alarmed: Option<Instant>,
    last_time: Instant,
}

impl Toy {
    fn time(&mut self, now: Instant) {
        assert!(self.last_time <= now, "time went back");
        self.last_time = now;
    }
}

impl DatagramMachine for Toy {
    fn handle_batch(&mut self, now: Instant, batch: &ReceivedBatch) {
        self.time(now);
        self.batches += 1;
        for datagram in batch.datagrams() {
            if self.echo {
                self.outgoing.push_back((batch.peer, datagram.to_vec()));
            }
            self.received.push(datagram.to_vec());
        }
    }

    fn handle_path_error(&mut self, now: Instant, error: &PathError) {
        self.time(now);
        self.errors.push(error.clone());
    }

    fn poll_transmit(&mut self, now: Instant, buf: &mut TransmitBuf) -> Option<Transmit> {
        self.time(now);
        buf.clear();
        let (peer, first) = self.outgoing.pop_front()?;
        let stride = first.len();
        buf.push(stride).copy_from_slice(&first);
        let mut segments = 1;
        while let Some((to, next)) = self.outgoing.front() {
            if *to != peer || next.len() != stride || !buf.has_room(segments, stride) {
                break;
            }
            buf.push(stride).copy_from_slice(next);
            self.outgoing.pop_front();
            segments += 1;
        }
        Some(Transmit { peer, local_ip: None, ecn: Ecn::Ect0, stride, segments })
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        self.alarm
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.time(now);
        if self.alarm.take_if(|alarm| *alarm <= now).is_some() {
            self.alarmed = Some(now);
        }
    }
}

fn pump(options: &SocketOptions) -> Pump<Toy> {
    let socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap(), options).unwrap();
    Pump::new(socket, Toy::default(), Clock::start())
}

fn pair() -> (Pump<Toy>, Pump<Toy>, SocketAddr) {
    let options = SocketOptions::default();
    let (a, b) = (pump(&options), pump(&options));
    let to = b.socket().local_addr();
    (a, b, to)
}

fn numbered(count: u32, len: usize) -> Vec<Vec<u8>> {
    let datagram = |n: u32| [n.to_be_bytes().to_vec(), vec![n as u8; len - 4]].concat();
    (0..count).map(datagram).collect()
}

/// Services both until `done`, waiting as a driver would.
fn run(a: &mut Pump<Toy>, b: &mut Pump<Toy>, done: impl Fn(&Pump<Toy>, &Pump<Toy>) -> bool) {
    let clock = Clock::start();
    while !done(a, b) {
        assert!(clock.now().as_millis() < 10_000, "not done in ten seconds");
        let progress = [a.service().unwrap(), b.service().unwrap()];
        if progress.iter().all(|p| !p.more && p.received == 0 && p.sent == 0) {
            std::thread::sleep(Duration::from_micros(200));
        }
    }
}

fn give(pump: &mut Pump<Toy>, to: SocketAddr, datagrams: &[Vec<u8>]) {
    pump.machine_mut().outgoing.extend(datagrams.iter().map(|d| (to, d.clone())));
}

#[test]
fn what_one_machine_sends_the_other_echoes() {
    let (mut a, mut b, to) = pair();
    b.machine_mut().echo = true;
    let datagrams = numbered(1_000, 1_000);
    give(&mut a, to, &datagrams);
    run(&mut a, &mut b, |a, _| a.machine().received.len() == 1_000);
    assert!(a.machine().received == datagrams);
    assert!(!a.wants_write() && !b.wants_write());
    let stats = b.socket().stats();
    assert_eq!((stats.datagrams_received, stats.datagrams_sent), (1_000, 1_000));
    assert!(a.machine().batches < 200, "no offload: {} batches", a.machine().batches);
}

/// A socket that takes so many datagrams and then is full. (Over loopback a
/// real one never is.)
#[derive(Debug)]
struct Narrow {
    inner: KernelSocket,
    room: Arc<AtomicUsize>,
    /// Whether it has segmentation offload.
    segmentation: bool,
}

impl RawSocket for Narrow {
    fn send(&self, outgoing: &Outgoing<'_>) -> io::Result<()> {
        let count = outgoing.segment_size.map_or(1, |size| outgoing.data.len().div_ceil(size));
        if count > 1 && !self.segmentation {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let room = self.room.load(Ordering::Relaxed);
        if room < count {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.inner.send(outgoing)?;
        self.room.store(room - count, Ordering::Relaxed);
        Ok(())
    }

    fn send_plain(&self, peer: &SocketAddr, data: &[u8]) -> io::Result<()> {
        self.inner.send_plain(peer, data)
    }

    fn recv(&self, buffer: &mut [u8]) -> io::Result<Incoming> {
        self.inner.recv(buffer)
    }

    fn recv_error(&self) -> io::Result<Option<ErrorReport>> {
        self.inner.recv_error()
    }

    fn max_segments(&self) -> usize {
        self.inner.max_segments()
    }

    fn forget_refusals(&mut self) {
        self.inner.forget_refusals();
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}

/// A pump over a narrow socket, and the room that the socket has.
fn narrow_pump(room: usize, segmentation: bool) -> (Pump<Toy, Narrow>, Arc<AtomicUsize>) {
    let room = Arc::new(AtomicUsize::new(room));
    let inner = KernelSocket::new(std::net::UdpSocket::bind("127.0.0.1:0").unwrap()).unwrap();
    let narrow = Narrow { inner, room: Arc::clone(&room), segmentation };
    let socket = UdpSocket::from_raw(narrow).unwrap();
    (Pump::new(socket, Toy::default(), Clock::start()), room)
}

fn a_batch_that_would_block_is_kept(impairment: &Impairment, segmentation: bool) {
    // With offload the first batch of 64 goes and the second does not; without
    // it the first goes in part.
    let at_first = if segmentation { 70 } else { 30 };
    let (mut a, room) = narrow_pump(at_first, segmentation);
    a.impair(Direction::Send, impairment).unwrap();
    let mut b = pump(&SocketOptions::default());
    let datagrams = numbered(500, 1_000);
    let to = b.socket().local_addr();
    a.machine_mut().outgoing.extend(datagrams.iter().map(|d| (to, d.clone())));

    assert_eq!(a.flush().sent, if segmentation { 64 } else { 30 });
    assert!(a.wants_write());
    assert_eq!(a.flush().sent, 0);
    // What the machine wants to send meanwhile is no reason to call again.
    a.machine_mut().alarm = Some(Instant::ZERO);
    assert_eq!(a.next_deadline(), None);
    a.machine_mut().alarm = None;

    let clock = Clock::start();
    while b.machine().received.len() < 500 {
        assert!(clock.now().as_millis() < 10_000, "not done in ten seconds");
        room.store(64, Ordering::Relaxed);
        a.service().unwrap();
        b.service().unwrap();
    }
    assert!(b.machine().received == datagrams);
    assert!(!a.wants_write());
}

#[test]
fn a_batch_that_would_block_is_kept_and_resumed() {
    a_batch_that_would_block_is_kept(&Impairment::default(), true);
}

#[test]
fn an_impaired_batch_that_would_block_is_kept_and_resumed() {
    // The smallest impairment that there is.
    let impairment = Impairment { drop: f64::MIN_POSITIVE, ..Impairment::default() };
    a_batch_that_would_block_is_kept(&impairment, true);
    a_batch_that_would_block_is_kept(&impairment, false);
}

#[test]
fn a_batch_that_went_in_part_is_resumed_where_it_ended() {
    a_batch_that_would_block_is_kept(&Impairment::default(), false);
}

#[test]
fn what_impairment_delays_waits_for_a_blocked_socket_without_a_deadline() {
    let (mut a, _room) = narrow_pump(0, true);
    let delay = Duration::from_millis(30);
    a.impair(Direction::Send, &Impairment { delay, ..Impairment::default() }).unwrap();
    let to = a.socket().local_addr();
    for _ in 0..2 {
        a.machine_mut().outgoing.push_back((to, vec![1; 100]));
        a.flush();
        assert!(a.next_deadline().is_some() && !a.wants_write());
        std::thread::sleep(delay / 2);
    }
    while !a.wants_write() {
        a.service().unwrap();
    }
    // The second is under way still, or ready too.
    assert_eq!(a.next_deadline(), None);
}

#[test]
fn an_impairment_taken_away_takes_its_datagrams_along() {
    let (mut a, room) = narrow_pump(0, true);
    let impairment = Impairment { duplicate: 1.0, ..Impairment::default() };
    a.impair(Direction::Send, &impairment).unwrap();
    let mut b = pump(&SocketOptions::default());
    let to = b.socket().local_addr();
    a.machine_mut().outgoing.push_back((to, vec![1; 100]));
    a.flush();
    assert!(a.wants_write());
    a.impair(Direction::Send, &Impairment::default()).unwrap();
    assert!(!a.wants_write());
    room.store(100, Ordering::Relaxed);
    a.machine_mut().outgoing.push_back((to, vec![2; 100]));
    assert_eq!(a.flush().sent, 1);
    let clock = Clock::start();
    while b.machine().received.is_empty() {
        assert!(clock.now().as_millis() < 5_000, "nothing came");
        b.service().unwrap();
    }
    assert_eq!(b.machine().received, [vec![2; 100]]);
}

#[test]
fn a_send_that_fails_is_told_of_in_the_same_call() {
    let (mut a, _, _) = pair();
    let v6 = "[2001:db8::1]:9".parse().unwrap();
    give(&mut a, v6, &numbered(1, 60));
    a.flush();
    assert_eq!(a.machine().errors[0].peer, v6);
    assert_eq!(a.machine().errors[0].kind, PathErrorKind::NoRoute);
}

#[test]
fn a_pump_can_move_to_another_thread() {
    fn is_send<T: Send>(_: &T) {}
    is_send(&pair().0);
}

#[test]
fn error_reports_reach_the_machine() {
    if !cfg!(target_os = "linux") {
        eprintln!("NOT RUN: no error queue");
        return;
    }
    let (mut a, mut b, _) = pair();
    let closed = pump(&SocketOptions::default()).socket().local_addr();
    give(&mut a, closed, &numbered(1, 60));
    run(&mut a, &mut b, |a, _| !a.machine().errors.is_empty());
    let error = &a.machine().errors[0];
    assert_eq!((error.peer, error.kind), (closed, PathErrorKind::Refused));
    assert_eq!(error.quoted, numbered(1, 60)[0]);
}

#[test]
fn the_machine_is_told_when_its_time_has_come() {
    let (mut a, mut b, _) = pair();
    let due = a.now() + Duration::from_millis(20);
    a.machine_mut().alarm = Some(due);
    assert_eq!(a.next_deadline(), Some(due));
    run(&mut a, &mut b, |a, _| a.machine().alarmed.is_some());
    assert!(a.machine().alarmed.unwrap() >= due);
    assert_eq!(a.next_deadline(), None);
}

#[test]
fn a_service_ends_for_fairness_and_says_so() {
    let (mut a, mut b, to) = pair();
    // Sizes alternate, so that each datagram is a batch.
    let datagrams: Vec<Vec<u8>> = (0..200).map(|n| vec![1; 100 + n % 2]).collect();
    give(&mut a, to, &datagrams);
    let progress = a.service().unwrap();
    assert!(progress.more && progress.sent < 200);
    run(&mut a, &mut b, |_, b| b.machine().received.len() == 200);
}

#[test]
fn loss_in_either_direction_is_seen_by_the_observer() {
    for direction in [Direction::Send, Direction::Receive] {
        let (mut a, mut b, to) = pair();
        let impaired = if direction == Direction::Send { &mut a } else { &mut b };
        let impairment = Impairment { drop: 0.25, seed: 5, ..Impairment::default() };
        impaired.impair(direction, &impairment).unwrap();
        let seen = Arc::new(Mutex::new((0, 0, 0)));
        let counts = Arc::clone(&seen);
        impaired.set_observer(move |_: Instant, event: PumpEvent<'_>| {
            let mut counts = counts.lock().unwrap();
            match event {
                PumpEvent::Sent { transmit, data } => {
                    assert_eq!(data.len(), transmit.segments * 500);
                    counts.0 += transmit.segments;
                }
                PumpEvent::Received(batch) => counts.0 += batch.datagrams().count(),
                PumpEvent::Dropped { direction: of, reason, datagram } => {
                    assert_eq!((of, reason), (direction, DropReason::Loss));
                    assert_eq!(datagram.data.len(), 500);
                    counts.1 += 1;
                }
                PumpEvent::Emitted { transmit, data } => {
                    assert_eq!((direction, data.len()), (Direction::Send, transmit.segments * 500));
                    counts.2 += transmit.segments;
                }
                event => panic!("{event:?}"),
            }
        });
        let datagrams = numbered(1_000, 500);
        give(&mut a, to, &datagrams);
        run(&mut a, &mut b, |_, _| {
            let (passed, dropped, _) = *seen.lock().unwrap();
            passed + dropped == 1_000
        });
        let (passed, dropped, emitted) = *seen.lock().unwrap();
        assert_eq!(emitted, if direction == Direction::Send { 1_000 } else { 0 });
        run(&mut a, &mut b, |_, b| b.machine().received.len() == passed);
        assert!((200..300).contains(&dropped), "{dropped} of 1000 dropped");
        let impaired = if direction == Direction::Send { &a } else { &b };
        assert_eq!(impaired.impairment_stats(direction).unwrap().dropped, dropped as u64);
        let received = &b.machine().received;
        assert!(received.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(received.iter().all(|datagram| datagrams.contains(datagram)));
        // What is left still travels in batches.
        assert!(a.socket().stats().send_calls < 60, "{} calls", a.socket().stats().send_calls);
        assert!(b.machine().batches < 60, "{} batches", b.machine().batches);
    }
}

#[test]
fn delayed_datagrams_wait_for_their_time_and_all_arrive() {
    for direction in [Direction::Send, Direction::Receive] {
        let (mut a, mut b, to) = pair();
        let delay = Duration::from_millis(30);
        let impairment = Impairment { delay, duplicate: 1.0, ..Impairment::default() };
        let impaired = if direction == Direction::Send { &mut a } else { &mut b };
        impaired.impair(direction, &impairment).unwrap();
        let clock = Clock::start();
        give(&mut a, to, &numbered(50, 500));
        a.flush();
        if direction == Direction::Send {
            assert!(a.next_deadline().is_some());
        }
        run(&mut a, &mut b, |_, b| b.machine().received.len() == 100);
        assert!(clock.now() >= Instant::ZERO + delay);
        assert_eq!((a.next_deadline(), b.next_deadline()), (None, None));
    }
}

#[test]
fn what_impairment_delays_is_released_by_time_alone() {
    let (mut a, mut b, to) = pair();
    let delay = Duration::from_millis(5);
    let impairment = Impairment { delay, ..Impairment::default() };
    b.impair(Direction::Receive, &impairment).unwrap();
    give(&mut a, to, &numbered(1, 500));
    a.flush();
    let clock = Clock::start();
    while b.next_deadline().is_none() {
        assert!(clock.now().as_millis() < 5_000, "nothing came");
        b.recv_ready().unwrap();
    }
    std::thread::sleep(delay);
    b.handle_timeout();
    assert_eq!(b.machine().received.len(), 1);
}

#[test]
fn flipped_bits_arrive_and_impairment_can_be_taken_away() {
    let (mut a, mut b, to) = pair();
    let impairment = Impairment { corrupt: 1.0, damage: Damage::FlipBit, ..Impairment::default() };
    a.impair(Direction::Send, &impairment).unwrap();
    give(&mut a, to, &[vec![0; 100]]);
    run(&mut a, &mut b, |_, b| b.machine().received.len() == 1);
    let ones: u32 = b.machine().received[0].iter().map(|byte| byte.count_ones()).sum();
    assert_eq!(ones, 1);
    a.impair(Direction::Send, &Impairment::default()).unwrap();
    assert_eq!(a.impairment_stats(Direction::Send), None);
    give(&mut a, to, &[vec![0; 100]]);
    run(&mut a, &mut b, |_, b| b.machine().received.len() == 2);
    assert_eq!(b.machine().received[1], vec![0; 100]);
    assert!(a.impair(Direction::Send, &Impairment { drop: 2.0, ..impairment }).is_err());
}
