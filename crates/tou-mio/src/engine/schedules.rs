//! Thousands of schedules of an engine: callers, background thread, socket and clock are
//! models, and a generator says which of those that can do something does it next. Every
//! order in which threads come to the lock is played sooner or later, and wake-ups take
//! their time; the same seed is the same schedule.
//!
//! When nobody can do anything before time passes, nobody may be waiting for what is there,
//! and whatever has arrived, has to be sent or is due must have somebody who comes soon.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::env;
use std::panic::{catch_unwind, resume_unwind};

use tou_sim::SimRng;
use tou_udp::SocketOptions;

use super::background;
use super::*;

const BOXES: usize = 3;
const CALLERS: usize = 7;

/// Each datagram names the box that it is for; an interruption names none.
type Datagram = Option<usize>;

/// A charge without a system underneath.
#[derive(Debug, Default)]
struct Desk {
    socket: VecDeque<Datagram>,
    /// What a leader has received, on its way here.
    in_hand: Option<Datagram>,
    boxes: [usize; BOXES],
    waiting: [Vec<Ticket>; BOXES],
    due: Option<Instant>,
    /// A call has made this ready to send.
    unsent: bool,
    /// The next to be sent meets a report for this box.
    report: Option<usize>,
    /// This waits for the socket to become writable.
    blocked: bool,
    /// As the socket is.
    writable: bool,
    interruptible: bool,
}

impl Desk {
    fn put(&mut self, datagram: Datagram, signals: &mut Signals) {
        let Some(index) = datagram else { return };
        self.boxes[index] += 1;
        for ticket in self.waiting[index].drain(..) {
            signals.wake(ticket);
        }
    }

    fn take(&mut self, index: usize) -> Option<()> {
        self.boxes[index] = self.boxes[index].checked_sub(1)?;
        Some(())
    }
}

impl Charge for Desk {
    type Interest = usize;

    fn service(&mut self, now: Instant, ready: Readiness, signals: &mut Signals) -> bool {
        let mut taken = 0;
        while ready.readable
            && taken < AT_ONCE
            && let Some(datagram) = self.socket.pop_front()
        {
            self.put(datagram, signals);
            taken += 1;
        }
        self.due = self.due.filter(|due| now < *due);
        self.flush(now, signals);
        taken == AT_ONCE
    }

    fn receive(&mut self, _: Instant, _: Inbound, signals: &mut Signals) {
        let datagram = self.in_hand.take().expect("a leader's datagram");
        self.put(datagram, signals);
    }

    fn is_interruptible(&self) -> bool {
        self.interruptible
    }

    fn flush(&mut self, _: Instant, signals: &mut Signals) {
        self.blocked |= core::mem::take(&mut self.unsent);
        self.blocked &= !self.writable;
        let report = self.report.take();
        self.put(report, signals);
    }

    fn next_deadline(&mut self) -> Option<Instant> {
        self.due
    }

    fn wants_write(&self) -> bool {
        self.blocked
    }

    fn enlist(&mut self, index: usize, ticket: Ticket) {
        self.waiting[index].push(ticket);
    }

    fn delist(&mut self, index: usize, ticket: Ticket) {
        self.waiting[index].retain(|waiting| *waiting != ticket);
    }
}

/// A thread that makes calls.
#[derive(Debug, Default)]
struct Caller {
    /// The box from which it takes.
    index: usize,
    deadline: Option<Instant>,
    place: Place,
    /// It was unparked, and has not noticed yet.
    token: bool,
}

#[derive(Debug, Default)]
enum Place {
    #[default]
    Away,
    /// `at_once`: the bell had been rung before the wait began.
    Leads {
        ticket: Ticket,
        post: Box<Post>,
        wait: Wait,
        until: Option<Instant>,
        at_once: bool,
    },
    Follows {
        ticket: Ticket,
        until: Option<Instant>,
    },
}

/// The background thread.
#[derive(Debug)]
struct Behind {
    last_turn: u64,
    /// It waits in its poller, and otherwise it is parked.
    leads: bool,
    until: Option<Instant>,
    token: bool,
    nudged: bool,
    /// What its poller is registered for: for readability, and perhaps for writability.
    registered: Option<bool>,
    /// Edges since it looked last.
    edges: Readiness,
}

/// Whom somebody is about to wake.
#[derive(Clone, Copy, Debug)]
enum Wake {
    Caller(Ticket),
    Bell,
    Background,
    Poller,
}

/// Who can do something.
#[derive(Clone, Copy, Debug)]
enum Turn {
    Waker(usize),
    Caller(usize),
    Background,
}

struct Play {
    rng: SimRng,
    /// How often something arrives: where that is seldom, many wait.
    arrivals: f64,
    now: Instant,
    state: State<Desk>,
    callers: Vec<Caller>,
    behind: Behind,
    wakers: Vec<Wake>,
    /// Whose tickets these are, or were.
    tickets: BTreeMap<Ticket, usize>,
    rung: bool,
    background: thread::ThreadId,
    inbound: Option<Inbound>,
}

impl Play {
    fn new(seed: u64) -> Self {
        let any = "127.0.0.1:0".parse().unwrap();
        let mut socket = tou_udp::UdpSocket::bind(any, &SocketOptions::default()).unwrap();
        let mut inlet = socket.open_inlet().unwrap();
        // One that was really received, as none can be made up.
        let inbound = inlet.as_mut().map(|(inlet, _)| inlet.wait().unwrap());
        let (post, _) = Post::new(&socket, inlet).unwrap();
        let mut rng = SimRng::new(seed, 0);
        let arrivals = [0.05, 0.2, 0.4][rng.below(3) as usize];
        let interruptible = inbound.is_some() && rng.chance(0.5);
        let desk = Desk { interruptible, writable: true, ..Desk::default() };
        let now = Instant::from_millis(1_000);
        let mut state = State::new(desk, post, now);
        let background = thread::spawn(|| ()).thread().clone();
        state.background = Some(background.clone());
        Self {
            rng,
            arrivals,
            now,
            state,
            callers: (0..CALLERS).map(|_| Caller::default()).collect(),
            behind: Behind {
                last_turn: 0,
                leads: false,
                until: Some(now),
                token: false,
                nudged: false,
                registered: None,
                edges: Readiness::default(),
            },
            wakers: Vec::new(),
            tickets: BTreeMap::new(),
            rung: false,
            background: background.id(),
            inbound,
        }
    }

    /// Plays until nothing happens any more.
    fn play(&mut self) {
        for _ in 0..STEPS {
            self.check_counts();
            let turns = self.turns();
            if turns.is_empty() {
                self.check();
            }
            if turns.is_empty() || self.rng.chance(0.4) {
                self.happen();
            } else {
                self.take_turn(&turns);
            }
        }
        self.set_writable(true);
        for _ in 0..LAST_STEPS {
            self.check_counts();
            let turns = self.turns();
            if !turns.is_empty() {
                self.take_turn(&turns);
            } else if let Some(next) = self.next_timer() {
                self.check();
                self.now = next;
            } else {
                return self.check_idle();
            }
        }
        panic!("it never rests");
    }

    /// Runs `act` under the lock, for the follower with the ticket `own` if it is one, and
    /// notes whom it wakes.
    fn locked<T>(
        &mut self,
        own: Option<Ticket>,
        act: impl FnOnce(&mut State<Desk>, Instant) -> T,
    ) -> T {
        let followers = |state: &State<Desk>| state.followers.keys().copied().collect();
        let mut before: BTreeSet<Ticket> = followers(&self.state);
        // One who comes by himself takes himself off the list.
        before.retain(|ticket| Some(*ticket) != own);
        let last = self.state.last_ticket;
        let result = act(&mut self.state, self.now);
        // One who came onto the list may have been taken off it at once.
        let new = Ticket(self.state.last_ticket);
        if new != Ticket(last) && self.state.leader != Some(new) {
            before.insert(new);
        }
        let after = followers(&self.state);
        let Wakes { threads, ring_caller, nudge_background, .. } =
            core::mem::take(&mut self.state.wakes);
        let callers = threads.iter().filter(|thread| thread.id() != self.background).count();
        if callers < threads.len() {
            self.wakers.push(Wake::Background);
        }
        let woken: Vec<_> = before.difference(&after).collect();
        assert_eq!(callers, woken.len(), "whoever is taken off the list is woken");
        self.wakers.extend(woken.into_iter().map(|ticket| Wake::Caller(*ticket)));
        self.wakers.extend(ring_caller.then_some(Wake::Bell));
        self.wakers.extend(nudge_background.then_some(Wake::Poller));
        result
    }

    /// Who can do something without time passing.
    fn turns(&self) -> Vec<Turn> {
        let mut turns: Vec<Turn> = (0..self.wakers.len()).map(Turn::Waker).collect();
        let ready = |caller: &usize| self.can_go_on(&self.callers[*caller]);
        turns.extend((0..CALLERS).filter(ready).map(Turn::Caller));
        let Behind { leads, until, token, nudged, edges, .. } = self.behind;
        let woken = if leads { nudged || edges != Readiness::default() } else { token };
        if woken || self.is_over(until) {
            turns.push(Turn::Background);
        }
        turns
    }

    fn can_go_on(&self, caller: &Caller) -> bool {
        let desk = &self.state.charge;
        match &caller.place {
            Place::Away => false,
            Place::Follows { until, .. } => caller.token || self.is_over(*until),
            Place::Leads { wait, until, at_once, .. } => {
                let rung = *at_once || (self.rung && !wait.receiving);
                let writable = wait.writes && desk.writable;
                rung || writable || !desk.socket.is_empty() || self.is_over(*until)
            }
        }
    }

    fn is_over(&self, until: Option<Instant>) -> bool {
        until.is_some_and(|until| until <= self.now)
    }

    fn take_turn(&mut self, turns: &[Turn]) {
        match turns[self.below(turns.len())] {
            Turn::Waker(waker) => {
                let wake = self.wakers.swap_remove(waker);
                self.deliver(wake);
            }
            Turn::Caller(caller) => self.go_on(caller),
            Turn::Background => self.run_background(),
        }
    }

    fn deliver(&mut self, wake: Wake) {
        match wake {
            Wake::Caller(ticket) => self.callers[self.tickets[&ticket]].token = true,
            Wake::Background => self.behind.token = true,
            Wake::Poller => self.behind.nudged = true,
            Wake::Bell if self.rung => {}
            Wake::Bell => {
                self.rung = true;
                let receives = |caller: &Caller| matches!(&caller.place, Place::Leads { wait, .. } if wait.receiving);
                if self.callers.iter().any(receives) {
                    self.arrive(None);
                }
            }
        }
    }

    /// A caller's wait is over, for whatever reason.
    fn go_on(&mut self, caller: usize) {
        let place = core::mem::take(&mut self.callers[caller].place);
        let arrival = match place {
            Place::Away => Arrival::Fresh,
            Place::Follows { ticket, .. } => {
                self.callers[caller].token = false;
                Arrival::Followed(ticket)
            }
            Place::Leads { ticket, mut post, wait, at_once, .. } => {
                self.rung = false;
                post.end_with(self.end_of(&wait, at_once));
                Arrival::Led(ticket, post)
            }
        };
        self.step(caller, arrival);
    }

    /// What a leader's wait ends with.
    fn end_of(&mut self, wait: &Wait, at_once: bool) -> Woken {
        let desk = &mut self.state.charge;
        if at_once {
            return Woken::default();
        }
        if wait.receiving {
            desk.in_hand = desk.socket.pop_front();
            return Woken::Inbound(self.inbound.clone().unwrap());
        }
        let (readable, writable) = (!desk.socket.is_empty(), wait.writes && desk.writable);
        Woken::Ready(Readiness { readable, writable })
    }

    fn step(&mut self, caller: usize, arrival: Arrival) {
        let Caller { index, deadline, .. } = self.callers[caller];
        let own = match arrival {
            Arrival::Followed(ticket) => Some(ticket),
            _ => None,
        };
        let step = self.locked(own, |state, now| {
            state.step(arrival, index, deadline, || now, &mut |desk: &mut Desk, _| desk.take(index))
        });
        let place = match step {
            Step::Done(result) => {
                assert!(result.is_some() || self.is_over(deadline), "nothing, and too soon");
                Place::Away
            }
            Step::Lead(ticket, post, wait) => {
                self.tickets.insert(ticket, caller);
                let until = wait.timeout.map(|timeout| self.now + timeout);
                assert!(!wait.receiving || (until.is_none() && !wait.writes));
                let (due, alarm) = (self.state.charge.due, self.state.alarm);
                let looks = until.into_iter().chain(alarm).min();
                assert!(due.is_none_or(|due| looks.is_some_and(|at| at <= due.max(self.now))));
                Place::Leads { ticket, post, wait, until, at_once: self.rung }
            }
            Step::Follow(ticket, timeout) => {
                self.tickets.insert(ticket, caller);
                Place::Follows { ticket, until: timeout.map(|timeout| self.now + timeout) }
            }
        };
        self.callers[caller].place = place;
    }

    fn run_background(&mut self) {
        let behind = &mut self.behind;
        let ready = behind.leads.then(|| {
            behind.nudged = false;
            core::mem::take(&mut behind.edges)
        });
        if ready.is_none() {
            behind.token = false;
        }
        let mut last_turn = behind.last_turn;
        let step =
            self.locked(None, |state, now| state.background_step(now, ready, &mut last_turn));
        let (leads, time) = match step {
            background::Step::Stop => unreachable!("nobody stops it"),
            background::Step::Sleep(time) => (false, time),
            background::Step::Lead { timeout, .. } => (true, timeout),
        };
        let behind = &mut self.behind;
        behind.last_turn = last_turn;
        behind.leads = leads;
        behind.until = time.map(|time| self.now + time);
        match step {
            background::Step::Lead { writes, .. } if behind.registered != Some(writes) => {
                // Whoever registers is told how things are.
                let desk = &self.state.charge;
                behind.registered = Some(writes);
                behind.edges.readable = !desk.socket.is_empty();
                behind.edges.writable = writes && desk.writable;
            }
            background::Step::Lead { .. } => {}
            _ => (behind.registered, behind.edges) = (None, Readiness::default()),
        }
    }

    /// Something comes from outside.
    fn happen(&mut self) {
        if self.rng.chance(self.arrivals) && self.state.charge.socket.len() < 10 {
            let index = self.below(BOXES);
            return self.arrive(Some(index));
        }
        match self.below(10) {
            0..=3 => {
                let caller = self.below(CALLERS);
                if matches!(self.callers[caller].place, Place::Away) {
                    let time = self.rng.up_to(Duration::from_millis(2));
                    let deadline = self.rng.chance(0.3).then(|| self.now + time);
                    let index = self.below(BOXES);
                    self.callers[caller] = Caller { index, deadline, ..Caller::default() };
                    self.step(caller, Arrival::Fresh);
                } else if matches!(self.callers[caller].place, Place::Follows { .. }) {
                    // Threads may come back from being parked for no reason.
                    self.go_on(caller);
                }
            }
            4 if self.rng.chance(0.3) => self.state.charge.report = Some(self.below(BOXES)),
            4 => self.call(|desk, _, _| desk.unsent = true),
            5 => {
                let index = self.below(BOXES);
                self.call(|desk, _, signals| desk.put(Some(index), signals));
            }
            6 => {
                let time = self.rng.up_to(Duration::from_millis(5));
                self.call(|desk, now, _| desk.due = Some(now + time));
            }
            7 => {
                let writable = !self.state.charge.writable;
                self.set_writable(writable);
            }
            8 => self.now = self.now + self.rng.up_to(Duration::from_millis(3)),
            _ => self.now = self.now + self.rng.up_to(2 * REFRESH),
        }
    }

    /// A call that does not wait.
    fn call(&mut self, act: impl FnOnce(&mut Desk, Instant, &mut Signals)) {
        self.locked(None, |state, now| {
            act(&mut state.charge, now, &mut state.signals);
            state.settle(now, || now);
        });
    }

    fn arrive(&mut self, datagram: Datagram) {
        self.state.charge.socket.push_back(datagram);
        self.behind.edges.readable |= self.behind.registered.is_some();
    }

    fn set_writable(&mut self, writable: bool) {
        let desk = &mut self.state.charge;
        self.behind.edges.writable |=
            writable && !desk.writable && self.behind.registered == Some(true);
        desk.writable = writable;
    }

    /// When somebody can do something at the latest.
    fn next_timer(&self) -> Option<Instant> {
        let callers = self.callers.iter().filter_map(|caller| match &caller.place {
            Place::Away => None,
            Place::Leads { until, .. } | Place::Follows { until, .. } => *until,
        });
        callers.chain(self.behind.until).min()
    }

    /// Whoever follows is on the list, or has been woken and has not come yet.
    fn check_counts(&self) {
        let follows = |caller: &&Caller| matches!(caller.place, Place::Follows { .. });
        let following = self.callers.iter().filter(follows).count();
        assert_eq!(self.state.followers.len() + self.state.incoming, following);
    }

    /// Nobody can do anything before time passes: is that as it should be?
    fn check(&self) {
        let State { charge: desk, followers, lead, .. } = &self.state;
        let waiting = self.callers.iter().filter(|caller| !matches!(caller.place, Place::Away));
        for caller in waiting.clone() {
            assert_eq!(desk.boxes[caller.index], 0, "it is there, and nobody is told");
        }
        assert_eq!(desk.waiting.iter().map(Vec::len).sum::<usize>(), waiting.count());
        assert!(followers.is_empty() || *lead != Lead::Nobody, "they follow nobody");
        let next = self.next_timer();
        let is_soon = |by: Instant| next.is_some_and(|next| next <= by);
        assert!(desk.socket.is_empty() || is_soon(self.now + WATCH), "nobody comes to receive");
        assert!(!desk.unsent || is_soon(self.now + WATCH), "nobody comes to send");
        if let Some(due) = desk.due {
            assert!(is_soon(due.max(self.now) + WATCH), "nobody comes when it is due");
        }
        if desk.blocked && desk.writable {
            assert!(is_soon(self.now + WATCH), "nobody comes to send what was blocked");
        }
    }

    /// Nobody will do anything any more.
    fn check_idle(&self) {
        self.check();
        let Desk { socket, unsent, blocked, due, .. } = &self.state.charge;
        assert!(socket.is_empty() && !unsent && !blocked && due.is_none());
    }

    fn below(&mut self, bound: usize) -> usize {
        self.rng.below(bound as u64) as usize
    }
}

/// Datagrams taken in at one look.
const AT_ONCE: usize = 2;
/// What happens, or is done, in one schedule before nothing comes from outside any more.
const STEPS: usize = 300;
/// After so many more it has come to rest.
const LAST_STEPS: usize = 10_000;

#[test]
fn nobody_waits_for_what_is_there_and_somebody_comes_for_the_rest() {
    let schedules = env::var("QUICKCHECK_TESTS").map_or(3_000, |cases| cases.parse().unwrap());
    for seed in 0..schedules {
        if let Err(panic) = catch_unwind(|| Play::new(seed).play()) {
            eprintln!("the schedule of seed {seed}");
            resume_unwind(panic);
        }
    }
}
