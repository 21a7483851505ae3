//! Leader, followers and background thread, with a charge of boxes that
//! datagrams are put into. Every test is run twice: with callers that can wait in the
//! receive call, and with callers that cannot.

use core::net::SocketAddr;
use core::sync::atomic::{AtomicUsize, Ordering};
use std::net::UdpSocket;
use std::sync::{Barrier, mpsc};

use tou_proto::ReceivedBatch;
use tou_udp::SocketOptions;

use super::*;

const BOXES: usize = 8;

/// Each datagram names the box that it is for.
struct Boxes {
    socket: tou_udp::UdpSocket,
    boxes: [usize; BOXES],
    waiting: [Vec<Ticket>; BOXES],
    deadline: Option<Instant>,
    wants_write: bool,
    expired_at: Option<Instant>,
    expired_with: Option<Readiness>,
    flushes: usize,
    /// The next flush finds something in this box.
    found: Option<usize>,
}

impl Charge for Boxes {
    type Interest = usize;

    fn service(&mut self, now: Instant, ready: Readiness, signals: &mut Signals) -> bool {
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            self.expired_at = self.deadline.take().map(|_| now);
            self.expired_with = Some(ready);
        }
        self.wants_write &= !ready.writable;
        if !ready.readable {
            return false;
        }
        let Self { socket, boxes, waiting, .. } = self;
        let mut received = Vec::new();
        let more = socket.recv(|batch| received.push(batch)).unwrap().more;
        for batch in received {
            put(&batch, boxes, waiting, socket, signals);
        }
        more
    }

    fn receive(&mut self, _: Instant, inbound: Inbound, signals: &mut Signals) {
        let Self { socket, boxes, waiting, .. } = self;
        if let Some(batch) = socket.recv_inbound(inbound) {
            put(&batch, boxes, waiting, socket, signals);
        }
    }

    fn is_interruptible(&self) -> bool {
        self.socket.is_interruptible()
    }

    fn flush(&mut self, _: Instant, signals: &mut Signals) {
        self.flushes += 1;
        if let Some(index) = self.found.take() {
            self.boxes[index] += 1;
            self.waiting[index].drain(..).for_each(|ticket| signals.wake(ticket));
        }
    }

    fn next_deadline(&mut self) -> Option<Instant> {
        self.deadline
    }

    fn wants_write(&self) -> bool {
        self.wants_write
    }

    fn enlist(&mut self, index: usize, ticket: Ticket) {
        self.waiting[index].push(ticket);
    }

    fn delist(&mut self, index: usize, ticket: Ticket) {
        self.waiting[index].retain(|waiting| *waiting != ticket);
    }
}

impl Boxes {
    /// Sends a datagram, and returns when it waits to be received.
    fn await_arrival(&self, sender: &UdpSocket, index: u8) {
        sender.send(&[index]).unwrap();
        while self.socket.as_std().peek_from(&mut [0]).is_err() {}
    }
}

/// Puts each datagram of a batch into its box, and acknowledges it.
fn put(
    batch: &ReceivedBatch,
    boxes: &mut [usize; BOXES],
    waiting: &mut [Vec<Ticket>; BOXES],
    socket: &tou_udp::UdpSocket,
    signals: &mut Signals,
) {
    for datagram in batch.datagrams() {
        let index = usize::from(datagram[0]);
        boxes[index] += 1;
        for ticket in waiting[index].drain(..) {
            signals.wake(ticket);
        }
        // Whoever has gone need not know.
        let _ = socket.as_std().send_to(&datagram, batch.peer);
    }
}

struct Rig {
    background: Background<Boxes>,
    addr: SocketAddr,
    /// Dropped when the test is over.
    _watched: mpsc::Sender<()>,
}

/// Ends the tests when one of them hangs: then the returned end still exists.
fn watchdog() -> mpsc::Sender<()> {
    let (watched, over) = mpsc::channel();
    thread::spawn(move || {
        if over.recv_timeout(6 * LONG) == Err(mpsc::RecvTimeoutError::Timeout) {
            eprintln!("a thread waits for ever");
            std::process::abort();
        }
    });
    watched
}

impl Rig {
    /// With and without an inlet, as far as the system has it.
    fn both() -> [Self; 2] {
        [Self::new(true), Self::new(false)]
    }

    fn new(with_inlet: bool) -> Self {
        let any = "127.0.0.1:0".parse().unwrap();
        let mut socket = tou_udp::UdpSocket::bind(any, &SocketOptions::default()).unwrap();
        let inlet = if with_inlet { socket.open_inlet().unwrap() } else { None };
        let has_inlet = inlet.is_some();
        let addr = socket.local_addr();
        let descriptor = socket.as_std().try_clone().unwrap();
        let waiting = Default::default();
        let boxes = Boxes {
            socket,
            boxes: [0; BOXES],
            waiting,
            deadline: None,
            wants_write: false,
            expired_at: None,
            expired_with: None,
            flushes: 0,
            found: None,
        };
        let background = Engine::start(boxes, &descriptor, inlet, Clock::start()).unwrap();
        let rig = Self { background, addr, _watched: watchdog() };
        while has_inlet && !rig.engine().look(|charge| charge.is_interruptible()) {
            thread::yield_now();
        }
        rig
    }

    fn engine(&self) -> &Engine<Boxes> {
        self.background.engine()
    }

    /// Waits for a datagram in a box, and takes it out.
    /// With `LONG` it waits without a deadline, as only then it may do so in the receive
    /// call, and whoever is never woken is the watchdog's.
    fn take(&self, index: usize, timeout: Duration) -> Option<()> {
        let deadline = (timeout < LONG).then(|| self.engine().now() + timeout);
        self.engine().wait_for(index, deadline, |charge, _| {
            charge.boxes[index] = charge.boxes[index].checked_sub(1)?;
            Some(())
        })
    }

    fn sender(&self) -> UdpSocket {
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        sender.connect(self.addr).unwrap();
        sender.set_read_timeout(Some(LONG)).unwrap();
        sender
    }
}

const LONG: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(30);

#[test]
fn a_caller_gets_what_arrives_while_it_waits() {
    for rig in Rig::both() {
        let sender = rig.sender();
        thread::scope(|scope| {
            let taker = scope.spawn(|| rig.take(3, LONG));
            thread::sleep(SHORT);
            sender.send(&[3]).unwrap();
            assert_eq!(taker.join().unwrap(), Some(()));
        });
    }
}

#[test]
fn a_wait_ends_at_its_deadline() {
    for rig in Rig::both() {
        let start = rig.engine().now();
        assert_eq!(rig.take(0, SHORT), None);
        let waited = rig.engine().now().saturating_since(start);
        assert!(waited >= SHORT && waited < LONG / 2, "{waited:?}");
    }
}

#[test]
fn a_wait_that_ends_late_takes_what_has_arrived_in_time() {
    for rig in Rig::both() {
        let sender = rig.sender();
        let mut attempts = 0;
        // As if the thread had stood still for all the time it had. Nobody else looks, as
        // an attempt is made under the lock.
        let taken = rig.engine().wait_for(0, Some(Instant::ZERO), |charge, _| {
            attempts += 1;
            if attempts == 1 {
                charge.await_arrival(&sender, 0);
            }
            charge.boxes[0].checked_sub(1)
        });
        assert_eq!((taken, attempts), (Some(0), 2));
    }
}

#[test]
fn a_followers_wait_ends_at_its_deadline() {
    for rig in Rig::both() {
        thread::scope(|scope| {
            scope.spawn(|| rig.take(0, LONG));
            while rig.engine().counters().caller_waits == 0 {
                thread::yield_now();
            }
            let start = rig.engine().now();
            assert_eq!(rig.take(1, SHORT), None);
            assert!(rig.engine().now().saturating_since(start) < LONG / 2);
            rig.sender().send(&[0]).unwrap();
        });
        assert!(rig.engine().counters().follower_waits >= 1);
    }
}

#[test]
fn the_lead_passes_from_caller_to_caller() {
    for rig in Rig::both() {
        let sender = rig.sender();
        thread::scope(|scope| {
            let takers: Vec<_> = (0..BOXES)
                .map(|index| {
                    scope.spawn({
                        let rig = &rig;
                        move || rig.take(index, LONG)
                    })
                })
                .collect();
            thread::sleep(SHORT);
            for (index, taker) in takers.into_iter().enumerate() {
                sender.send(&[index as u8]).unwrap();
                assert_eq!(taker.join().unwrap(), Some(()), "box {index}");
            }
        });
        assert!(rig.engine().counters().follower_waits >= BOXES as u64 - 1);
    }
}

#[test]
fn the_background_thread_leads_a_crowd_until_nobody_waits() {
    for rig in Rig::both() {
        let sender = rig.sender();
        let crowd = CROWD + 1;
        thread::scope(|scope| {
            let rig = &rig;
            let mut takers = Vec::new();
            for index in 0..crowd {
                takers.push(scope.spawn(move || rig.take(index, LONG)));
                let waits =
                    |counters: DriverCounters| counters.caller_waits + counters.follower_waits;
                while waits(rig.engine().counters()) <= index as u64 {
                    thread::yield_now();
                }
            }
            let takeovers = rig.engine().counters().takeovers;
            // The first leads, gets its own, and leaves a crowd behind.
            for (index, taker) in takers.into_iter().enumerate() {
                sender.send(&[index as u8]).unwrap();
                assert_eq!(taker.join().unwrap(), Some(()));
            }
            let counters = rig.engine().counters();
            assert!(counters.takeovers > takeovers);
            assert_eq!(counters.caller_waits, 1, "nobody else had to lead");
        });
        // A caller alone leads as before.
        let leads = rig.engine().counters().caller_waits;
        assert_eq!(rig.take(0, SHORT), None);
        assert_eq!(rig.engine().counters().caller_waits, leads + 1);
    }
}

#[test]
fn nothing_is_lost_when_many_threads_wait_and_leave() {
    const ROUNDS: usize = 300;
    for rig in Rig::both() {
        let barrier = Barrier::new(BOXES);
        let done = AtomicUsize::new(0);
        thread::scope(|scope| {
            for index in 0..BOXES {
                let (rig, barrier, done) = (&rig, &barrier, &done);
                scope.spawn(move || {
                    let sender = rig.sender();
                    barrier.wait();
                    for round in 0..ROUNDS {
                        // To the neighbour's box, and from one's own.
                        sender.send(&[((index + 1) % BOXES) as u8]).unwrap();
                        let timeout = if round % 7 == 0 { Duration::from_micros(50) } else { LONG };
                        while rig.take(index, timeout).is_none() {
                            assert!(timeout < LONG, "box {index}, round {round}");
                        }
                    }
                    done.fetch_add(1, Ordering::Relaxed);
                });
            }
        });
        assert_eq!(done.load(Ordering::Relaxed), BOXES);
    }
}

#[test]
fn the_background_thread_answers_when_nobody_is_in_a_call() {
    for rig in Rig::both() {
        let sender = rig.sender();
        for pause in [0, 1, 3, 30] {
            assert_eq!(rig.take(0, Duration::from_millis(2)), None);
            thread::sleep(Duration::from_millis(pause));
            let start = rig.engine().now();
            sender.send(&[1]).unwrap();
            sender.recv(&mut [0]).unwrap();
            let waited = rig.engine().now().saturating_since(start);
            assert!(waited < LONG / 10, "{waited:?} after a pause of {pause} ms");
        }
    }
}

#[test]
fn an_idle_engine_never_wakes() {
    // Settles soon, but on a machine with other work not as soon as one may think.
    let falls_asleep = |rig: &Rig| {
        let start = rig.engine().now();
        let mut before = rig.engine().counters().wakeups;
        loop {
            thread::sleep(SHORT * 5);
            let wakeups = rig.engine().counters().wakeups;
            if wakeups == before {
                return true;
            }
            if rig.engine().now() > start + LONG / 2 {
                return false;
            }
            before = wakeups;
        }
    };
    for rig in Rig::both() {
        assert!(falls_asleep(&rig), "nobody in a call");
        thread::scope(|scope| {
            scope.spawn(|| rig.take(0, LONG));
            while rig.engine().counters().caller_waits == 0 {
                thread::yield_now();
            }
            assert!(falls_asleep(&rig), "a caller waiting");
            rig.sender().send(&[0]).unwrap();
        });
    }
}

#[test]
fn a_busy_caller_does_not_wake_the_background_thread_each_time() {
    const ROUNDS: u64 = 2_000;
    for rig in Rig::both() {
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        let addr = peer.local_addr().unwrap();
        let answering = thread::spawn(move || {
            let mut datagram = [0];
            for _ in 0..ROUNDS {
                let (_, from) = peer.recv_from(&mut datagram).unwrap();
                peer.send_to(&datagram, from).unwrap();
                // The boxes acknowledge.
                peer.recv_from(&mut datagram).unwrap();
            }
        });
        let before = rig.engine().counters();
        for _ in 0..ROUNDS {
            rig.engine().call(|charge, _, _| charge.socket.as_std().send_to(&[5], addr).unwrap());
            assert_eq!(rig.take(5, LONG), Some(()));
        }
        let after = rig.engine().counters();
        answering.join().unwrap();
        // On a machine with other work some rounds take longer than the grace.
        let background =
            (after.wakeups - before.wakeups) - (after.caller_waits - before.caller_waits);
        assert!(background < ROUNDS / 4, "{background} wake-ups in {ROUNDS} rounds");
    }
}

#[test]
fn the_watch_goes_on_as_long_as_a_program_makes_calls() {
    const BUSY: Duration = Duration::from_millis(600);
    for rig in Rig::both() {
        let sender = rig.sender();
        let (start, before) = (rig.engine().now(), rig.engine().counters());
        while rig.engine().now() < start + BUSY {
            sender.send(&[0]).unwrap();
            assert_eq!(rig.take(0, LONG), Some(()));
        }
        let after = rig.engine().counters();
        let background =
            (after.wakeups - before.wakeups) - (after.caller_waits - before.caller_waits);
        // A few of the 75 come late on a machine with other work, but not most of them.
        assert!(background >= 25, "{background} looks in {BUSY:?}");
    }
}

#[test]
fn a_deadline_made_earlier_interrupts_whoever_leads() {
    for rig in Rig::both() {
        let check = |rig: &Rig, who: &str| {
            let due = rig.engine().call(|charge, now, _| *charge.deadline.insert(now + SHORT));
            let expired = loop {
                thread::sleep(SHORT / 10);
                if let Some(at) = rig.engine().look(|charge| charge.expired_at.take()) {
                    break at;
                }
                assert!(rig.engine().now() < due + LONG, "{who} leading: never");
            };
            let late = expired.saturating_since(due);
            assert!(expired >= due && late < LONG / 10, "{who} leading: {late:?} late");
        };
        thread::sleep(SHORT);
        check(&rig, "background thread");
        thread::scope(|scope| {
            scope.spawn(|| rig.take(0, LONG));
            thread::sleep(SHORT);
            check(&rig, "caller");
            rig.sender().send(&[0]).unwrap();
        });
    }
}

#[test]
fn whoever_leads_waits_for_writability_when_that_is_wanted() {
    for rig in Rig::both() {
        let check = |who: &str| {
            rig.engine().call(|charge, _, _| charge.wants_write = true);
            let start = rig.engine().now();
            while rig.engine().look(|charge| charge.wants_write) {
                assert!(rig.engine().now() < start + LONG, "{who} leading");
                thread::sleep(SHORT / 10);
            }
        };
        thread::sleep(SHORT);
        check("background thread");
        thread::scope(|scope| {
            scope.spawn(|| rig.take(0, LONG));
            thread::sleep(SHORT);
            check("caller");
            rig.sender().send(&[0]).unwrap();
        });
    }
}

#[test]
fn what_others_do_reaches_a_caller_who_leads() {
    for rig in Rig::both() {
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(SHORT);
                rig.engine().call(|charge, _, signals| {
                    charge.boxes[2] = 1;
                    charge.waiting[2].iter().for_each(|ticket| signals.wake(*ticket));
                });
            });
            assert_eq!(rig.take(2, LONG), Some(()));
            assert!(rig.engine().now() < Instant::ZERO + LONG);
        });
    }
}

#[test]
fn a_caller_gets_what_its_own_answer_brings() {
    let rig = Rig::new(true);
    if !rig.engine().look(|charge| charge.is_interruptible()) {
        eprintln!("NOT RUN: no caller can wait in the receive call on this system");
        return;
    }
    thread::scope(|scope| {
        let taker = scope.spawn(|| rig.take(0, LONG));
        while !rig.engine().locked(|state| state.receiving) {
            thread::yield_now();
        }
        rig.engine().look(|charge| charge.found = Some(0));
        // For nobody, but it is answered before the taker waits again.
        rig.sender().send(&[1]).unwrap();
        assert_eq!(taker.join().unwrap(), Some(()));
    });
}

#[test]
fn a_hook_is_called_with_no_lock_held() {
    for rig in Rig::both() {
        let called = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&called);
        let weak = Arc::downgrade(rig.background.engine());
        let hook = Hook::new(move |ready| {
            assert_eq!(ready, Ready::READABLE);
            weak.upgrade().unwrap().look(|_| ());
            counter.fetch_add(1, Ordering::Relaxed);
        });
        rig.engine().call(|_, _, signals| signals.call(&hook, Ready::READABLE));
        assert_eq!(called.load(Ordering::Relaxed), 1);
    }
}

#[test]
fn nobody_takes_what_is_to_interrupt_a_caller() {
    let rig = Rig::new(true);
    if !rig.engine().look(|charge| charge.is_interruptible()) {
        eprintln!("NOT RUN: no caller can wait in the receive call on this system");
        return;
    }
    let sender = rig.sender();
    let waits = || rig.engine().counters().caller_waits;
    thread::scope(|scope| {
        let taker = scope.spawn(|| rig.take(0, LONG));
        while waits() < 1 {
            thread::yield_now();
        }
        // Something for nobody: there may be more, as far as is known.
        sender.send(&[1]).unwrap();
        while waits() < 2 {
            thread::yield_now();
        }
        rig.engine().call(|charge, now, _| charge.deadline = Some(now));
        let looked = loop {
            if let Some(ready) = rig.engine().look(|charge| charge.expired_with.take()) {
                break ready;
            }
            thread::yield_now();
        };
        assert!(!looked.readable, "the background thread received beside the caller");
        sender.send(&[0]).unwrap();
        assert_eq!(taker.join().unwrap(), Some(()));
    });
}

#[test]
fn a_leader_who_was_followed_lately_waits_where_others_can_help() {
    let rig = Rig::new(true);
    if !rig.engine().look(|charge| charge.is_interruptible()) {
        eprintln!("NOT RUN: no caller can wait in the receive call on this system");
        return;
    }
    thread::scope(|scope| {
        scope.spawn(|| rig.take(0, LONG));
        while !rig.engine().locked(|state| state.receiving) {
            thread::yield_now();
        }
        let waited = rig.take(1, SHORT);
        rig.sender().send(&[0]).unwrap();
        assert_eq!(waited, None);
    });
    rig.engine().locked(|state| {
        let post = state.post.take().unwrap();
        let at = state.followed.unwrap();
        for (since, receives) in
            [(Duration::ZERO, false), (ALONE - Duration::from_nanos(1), false), (ALONE, true)]
        {
            assert_eq!(state.plan_wait(at + since, None, &post).receiving, receives, "{since:?}");
        }
        state.receiving = false;
        state.post = Some(post);
    });
}

#[test]
fn whoever_makes_a_call_looks_at_the_socket_unless_a_leader_is_alone_or_has_just_looked() {
    let rig = Rig::new(false);
    let sender = rig.sender();
    let engine = rig.engine();
    engine.locked(|state| {
        let lead = state.lead;
        let fresh = REFRESH - Duration::from_nanos(1);
        for (lead, follows, since, looks) in [
            (Lead::Nobody, false, fresh, false),
            (Lead::Nobody, false, REFRESH, true),
            (Lead::Background, false, REFRESH, true),
            (Lead::Caller, false, REFRESH, false),
            (Lead::Caller, true, fresh, false),
            (Lead::Caller, true, REFRESH, true),
        ] {
            state.lead = lead;
            if follows {
                state.followers.insert(Ticket(0), thread::current());
            }
            state.charge.await_arrival(&sender, 0);
            state.settle(state.serviced + since, || engine.now());
            let case = format!("{lead:?} leads, followed: {follows}, {since:?} after a look");
            assert_eq!(core::mem::take(&mut state.charge.boxes[0]) > 0, looks, "{case}");
            state.service(engine.clock.now(), Readiness { readable: true, writable: false });
            state.charge.boxes[0] = 0;
            state.followers.clear();
        }
        state.lead = lead;
    });
}

#[test]
fn whoever_would_follow_in_a_crowd_looks_before_unless_somebody_has_just_looked() {
    let rig = Rig::new(false);
    let sender = rig.sender();
    let engine = rig.engine();
    engine.locked(|state| {
        let fresh = REFRESH - Duration::from_nanos(1);
        for (crowded, since, looks) in
            [(true, fresh, false), (true, REFRESH, true), (false, REFRESH, false)]
        {
            state.crowded = crowded;
            state.charge.await_arrival(&sender, 0);
            let mut take = |charge: &mut Boxes, _| {
                charge.boxes[0] = charge.boxes[0].checked_sub(1)?;
                Some(())
            };
            let taken = state.attempt(state.serviced + since, &mut take);
            assert_eq!(taken.is_some(), looks, "crowded: {crowded}, {since:?} after a look");
            state.look(engine.clock.now());
            state.charge.boxes[0] = 0;
        }
        state.crowded = false;
    });
}

#[test]
fn what_others_have_sent_before_does_not_keep_a_late_wait_from_its_own() {
    let rig = Rig::new(false);
    // Each comes as a batch of its own: it is of another size.
    let sender = rig.sender();
    for size in 1..=20 {
        sender.send(&vec![1; 100 * size]).unwrap();
    }
    let engine = rig.engine();
    engine.locked(|state| {
        state.charge.await_arrival(&sender, 0);
        let mut take = |charge: &mut Boxes, _| charge.boxes[0].checked_sub(1);
        assert!(state.attempt_last(engine.clock.now(), &mut take).is_some());
    });
}

#[test]
fn in_a_crowd_what_is_to_be_sent_is_left_to_whoever_comes_next() {
    let rig = Rig::new(false);
    let engine = rig.engine();
    engine.locked(|state| {
        let (lead, fresh) = (state.lead, REFRESH - Duration::from_nanos(1));
        // As a caller would who leads and is followed.
        state.lead = Lead::Caller;
        state.followers.insert(Ticket(0), thread::current());
        for (crowded, incoming, flushes) in
            [(true, 1, false), (true, 0, true), (false, 1, true), (false, 0, true)]
        {
            (state.crowded, state.incoming) = (crowded, incoming);
            let before = state.charge.flushes;
            state.settle(state.serviced + fresh, || engine.now());
            let case = format!("crowded: {crowded}, {incoming} incoming");
            assert_eq!(state.charge.flushes > before, flushes, "{case}");
        }
        (state.crowded, state.incoming) = (true, 1);
        state.charge.deadline = Some(engine.clock.now() + SHORT);
        let now = state.serviced + fresh;
        state.settle(now, || engine.now());
        // The next may have to wait, and sees to it before.
        let before = state.charge.flushes;
        state.alarm = None;
        assert!(matches!(state.wait::<()>(1, now, None), Step::Follow(..)));
        assert_eq!(state.charge.flushes, before + 1);
        assert!(state.alarm.is_some(), "what was sent may have to be sent again");
        // Or nobody has looked for long.
        let looked = state.serviced;
        state.settle(looked + REFRESH, || engine.now());
        assert!(state.serviced > looked);
        (state.lead, state.crowded, state.incoming) = (lead, false, 0);
        state.followers.clear();
    });
}
