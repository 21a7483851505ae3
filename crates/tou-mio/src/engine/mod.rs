//! Who waits for the socket: leader and followers.
//!
//! One thread at a time leads: it waits for the socket, with no lock held, and
//! looks after the charge (the endpoint and its streams) when something
//! happened. A thread in a blocking call leads itself if nobody does, so that
//! the datagram it waits for wakes that very thread. Others that are in calls
//! follow: they are parked, and woken when what they wait for has happened or
//! when the lead falls to them. When no thread is in a call the background
//! thread leads.
//!
//! ```text
//!            a caller has to wait                 its wait is over,
//!   Nobody ------------------------> Caller ----- nobody follows ----> Nobody
//!     |                              |  ^   \---- a follower is woken and leads
//!     | nothing was                  |  |
//!     | looked after                 |  | a caller has to wait:
//!     | for 1 to 8 ms                |  | it leads at once, the background
//!     +-------------> Background ----+--+ thread is nudged and steps down
//! ```
//!
//! When many callers wait ([`CROWD`]) the background thread leads them all until
//! none waits: whoever else led would hand the lead on with each datagram.
//!
//! A caller who leads waits in the receive call itself where that can be, and in a
//! poll otherwise (see `post`).
//!
//! Between two calls nobody leads. To wake the background thread each time
//! would cost a request/response loop two context switches a round, so it does
//! not: as long as callers come and go the background thread is on watch. It
//! looks once in [`GRACE`], then ever less often up to [`WATCH`], takes the lead
//! when nothing was looked after for that long, and sleeps when one caller has led
//! for that long. So a busy socket costs a few hundred short wake-ups a second, an
//! idle one none.
//!
//! The background thread also keeps the time. A caller who leads waits without
//! a timeout, unless something is due before the background thread would look:
//! to arm a timer for each wait and disarm it again costs 0.4 us. The alarm is
//! when the background thread looks by itself at the latest. It is only moved
//! forward while it runs: a retransmission timer that is set and cleared with
//! every request costs one wake-up in its period, not one a request.
//!
//! This knows threads, time and readiness. It does not know what the charge is
//! or what one can wait for there.

mod background;
mod poller;
mod post;
mod signals;

use core::time::Duration;
use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Thread};

use tou_proto::Instant;
use tou_udp::driver::{Bell, Readiness, Woken};
use tou_udp::{Clock, Inbound, Inlet, Interrupter};

pub(crate) use self::background::Background;
use self::poller::{Nudge, Poller};
use self::post::Post;
pub use self::signals::Ready;
use self::signals::Wakes;
pub(crate) use self::signals::{Hook, Signals, Ticket};

/// For so long the lead may be vacant before the background thread takes it:
/// long against the time between two calls of a program that makes them.
const GRACE: Duration = Duration::from_millis(1);

/// The longest time between two looks of the background thread on watch, and so
/// the most that an acknowledgment or a timer is late when a program stops making
/// calls. Each look may come in the middle of a round trip of a program that does
/// not stop: with 75,000 round trips a second on one processor, the looks of both
/// sides, some 300 a second, disturb one in 250. One in 100 would be the 99th percentile.
const WATCH: Duration = Duration::from_millis(8);

/// With so many callers waiting, handing the lead from one to the next costs more
/// than one thread that does nothing else.
const CROWD: usize = 4;

/// A caller waits in the receive call, where nobody can help it, if none has followed
/// another for this long: where threads are many the leader may have to wait for the
/// processor, and the others see to the socket meanwhile.
const ALONE: Duration = Duration::from_millis(10);

/// A call that need not wait looks after the socket all the same when nobody has done
/// so for this long, unless a caller leads and nobody follows: a reader of a full buffer
/// should not let acknowledgments pile up, and many readers who have the processor while
/// the leader waits for it should not let the socket's buffer run over.
///
/// In a crowd, so does a caller before it follows: what it waits for may be there, and then
/// no thread has to wait and none has to be woken. The smaller such looks are, the warmer in
/// the cache is what they bring when it is read.
const REFRESH: Duration = Duration::from_micros(20);

/// So many looks bring what arrived before a deadline, whatever of others' arrived with it.
const LAST_LOOKS: usize = 4;

/// What the leader looks after.
pub(crate) trait Charge: Send + 'static {
    /// Something a thread can wait for.
    type Interest: Copy;

    /// Takes in what has arrived, lets time pass and sends what is due. Returns
    /// whether more has arrived than was taken in.
    fn service(&mut self, now: Instant, ready: Readiness, signals: &mut Signals) -> bool;
    /// Takes in what the leader has received, and leaves it to `flush` to send what
    /// comes of it.
    fn receive(&mut self, now: Instant, inbound: Inbound, signals: &mut Signals);
    /// Whether a thread that waits in the receive call can be interrupted.
    fn is_interruptible(&self) -> bool;
    /// Sends what a call has made ready to send.
    fn flush(&mut self, now: Instant, signals: &mut Signals);
    /// When `service` has to be called at the latest.
    fn next_deadline(&mut self) -> Option<Instant>;
    /// Whether something is held back until the socket is writable.
    fn wants_write(&self) -> bool;
    /// A thread waits: `signals.wake(ticket)` is due when it should look again.
    fn enlist(&mut self, interest: Self::Interest, ticket: Ticket);
    /// It waits no longer.
    fn delist(&mut self, interest: Self::Interest, ticket: Ticket);
}

/// What the driver itself has done, next to what the endpoint counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DriverCounters {
    /// Times any thread came back from waiting: for the socket, for its turn,
    /// or on watch. An idle socket has none.
    pub wakeups: u64,
    /// Waits of callers who led.
    pub caller_waits: u64,
    /// Waits of callers who followed.
    pub follower_waits: u64,
    /// Times the background thread took the lead.
    pub takeovers: u64,
    /// Times a leader's wait, or the background thread's sleep, had to be
    /// interrupted.
    pub nudges: u64,
}

/// Who waits for the socket now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lead {
    Nobody,
    Caller,
    Background,
}

/// A charge, and the threads that wait for it.
#[derive(Debug)]
pub(crate) struct Engine<C> {
    state: Mutex<State<C>>,
    clock: Clock,
    caller_bell: Arc<Bell>,
    background_nudge: Nudge,
}

#[derive(Debug)]
struct State<C> {
    charge: C,
    lead: Lead,
    /// The ticket of the caller who leads. What it waits for mostly comes from
    /// the socket, and so from itself; but others may do something about it.
    leader: Option<Ticket>,
    /// The callers' post, while no caller waits at it.
    post: Option<Box<Post>>,
    /// When the background thread looks again at the latest.
    alarm: Option<Instant>,
    /// When the charge was last looked after.
    serviced: Instant,
    /// More has arrived than was taken in, or may have: the edge is gone, the data
    /// is not.
    unread: bool,
    /// There may be something to send: an answer to what was taken in, or what a call has
    /// left to the next.
    unanswered: bool,
    /// The leader's wait ends when the socket becomes writable, too.
    watches_writes: bool,
    /// The caller who leads waits in the receive call.
    receiving: bool,
    /// Counts leads of callers, so that the watch sees whether they change.
    turns: u64,
    /// How soon the background thread looks again while callers come and go.
    watch: Duration,
    followers: BTreeMap<Ticket, Thread>,
    /// When a caller last had to follow another.
    followed: Option<Instant>,
    /// Threads that were woken and have not come back yet. Each of them leads,
    /// or passes the lead on, when it does.
    incoming: usize,
    /// So many callers wait that the lead is the background thread's, and stays
    /// with it until none does.
    crowded: bool,
    last_ticket: u64,
    /// Set once it runs.
    background: Option<Thread>,
    stopping: bool,
    signals: Signals,
    wakes: Wakes,
    counters: DriverCounters,
}

impl<C: Charge> Engine<C> {
    /// An engine for `charge`, whose datagrams come through `socket`, and, if there
    /// is one, through an inlet of it. It works as long as its background thread,
    /// which is returned, is held.
    ///
    /// # Errors
    /// The system's, when it has no more descriptors or threads.
    pub(crate) fn start(
        charge: C,
        socket: &impl AsFd,
        inlet: Option<(Inlet, Interrupter)>,
        clock: Clock,
    ) -> io::Result<Background<C>> {
        let (post, caller_bell) = Post::new(socket, inlet)?;
        let (poller, background_nudge) = Poller::new(socket)?;
        let state = Mutex::new(State::new(charge, post, clock.now()));
        let engine = Arc::new(Self { state, clock, caller_bell, background_nudge });
        Background::start(engine, poller)
    }

    /// The time now.
    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Looks at the charge.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&mut C) -> T) -> T {
        self.locked(|state| look(&mut state.charge))
    }

    /// Does something with the charge that needs no waiting, and sends what
    /// comes of it.
    pub(crate) fn call<T>(&self, act: impl FnOnce(&mut C, Instant, &mut Signals) -> T) -> T {
        self.locked(|state| {
            let now = self.clock.now();
            let result = act(&mut state.charge, now, &mut state.signals);
            state.settle(now, || self.clock.now());
            result
        })
    }

    /// Attempts something now, and once more after a look at the socket: what a
    /// call that must not wait does. `None` if both attempts returned it.
    pub(crate) fn attempt<T>(
        &self,
        mut attempt: impl FnMut(&mut C, Instant) -> Option<T>,
    ) -> Option<T> {
        self.locked(|state| {
            let now = self.clock.now();
            let mut result = attempt(&mut state.charge, now);
            // A caller who leads has only just looked, or is about to.
            if result.is_none() && state.lead != Lead::Caller {
                state.look(now);
                result = attempt(&mut state.charge, now);
            }
            state.settle(now, || self.clock.now());
            result
        })
    }

    /// Attempts something until it returns `Some` or `deadline` has come
    /// (`None`), and waits for `interest` in between.
    pub(crate) fn wait_for<T>(
        &self,
        interest: C::Interest,
        deadline: Option<Instant>,
        mut attempt: impl FnMut(&mut C, Instant) -> Option<T>,
    ) -> Option<T> {
        let mut arrival = Arrival::Fresh;
        loop {
            let clock = || self.clock.now();
            let step =
                self.locked(|state| state.step(arrival, interest, deadline, clock, &mut attempt));
            arrival = match step {
                Step::Done(result) => return result,
                Step::Lead(ticket, mut post, wait) => {
                    post.wait(wait);
                    Arrival::Led(ticket, post)
                }
                Step::Follow(ticket, timeout) => {
                    match timeout {
                        None => thread::park(),
                        Some(timeout) => thread::park_timeout(timeout),
                    }
                    Arrival::Followed(ticket)
                }
            };
        }
    }

    /// What the driver has done so far.
    pub(crate) fn counters(&self) -> DriverCounters {
        self.locked(|state| state.counters)
    }

    /// Runs `act` under the lock. Whoever is to be woken is woken after the lock
    /// has been released, or he would run straight into it.
    fn locked<T>(&self, act: impl FnOnce(&mut State<C>) -> T) -> T {
        // A panic elsewhere is no reason to leave a peer without a FIN.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let result = act(&mut state);
        if !state.wakes.is_empty() {
            let wakes = core::mem::take(&mut state.wakes);
            drop(state);
            if wakes.ring_caller {
                self.caller_bell.ring();
            }
            if wakes.nudge_background {
                self.background_nudge.send();
            }
            wakes.deliver();
        }
        result
    }
}

/// How a thread comes to the lock.
enum Arrival {
    /// With a new call.
    Fresh,
    /// After it has led.
    Led(Ticket, Box<Post>),
    /// After it has followed.
    Followed(Ticket),
}

/// What a thread does once it has released the lock.
enum Step<T> {
    Done(Option<T>),
    Lead(Ticket, Box<Post>, Wait),
    Follow(Ticket, Option<Duration>),
}

/// For how long, and for what, to wait.
#[derive(Clone, Copy, Debug)]
struct Wait {
    timeout: Option<Duration>,
    writes: bool,
    /// In the receive call: it must need neither a timeout nor writability.
    receiving: bool,
}

impl<C: Charge> State<C> {
    fn new(charge: C, post: Box<Post>, now: Instant) -> Self {
        Self {
            charge,
            lead: Lead::Nobody,
            leader: None,
            post: Some(post),
            alarm: Some(now),
            serviced: now,
            unread: false,
            unanswered: false,
            watches_writes: false,
            receiving: false,
            turns: 0,
            watch: GRACE,
            followers: BTreeMap::new(),
            followed: None,
            incoming: 0,
            crowded: false,
            last_ticket: 0,
            background: None,
            stopping: false,
            signals: Signals::default(),
            wakes: Wakes::default(),
            counters: DriverCounters::default(),
        }
    }

    /// A caller has the lock (again): what it does then, and what it does once it has
    /// released it.
    fn step<T>(
        &mut self,
        arrival: Arrival,
        interest: C::Interest,
        deadline: Option<Instant>,
        clock: impl Fn() -> Instant,
        attempt: &mut impl FnMut(&mut C, Instant) -> Option<T>,
    ) -> Step<T> {
        let now = clock();
        self.arrive(arrival, interest, now);
        let mut result = self.attempt(now, attempt);
        if result.is_none() {
            if deadline.is_none_or(|deadline| now < deadline) {
                return self.wait(interest, now, deadline);
            }
            result = self.attempt_last(now, attempt);
        }
        self.settle(now, clock);
        self.pass_on(now);
        Step::Done(result)
    }

    /// A caller's thread has the lock (again).
    fn arrive(&mut self, arrival: Arrival, interest: C::Interest, now: Instant) {
        match arrival {
            Arrival::Fresh => {}
            Arrival::Led(ticket, mut post) => {
                self.charge.delist(interest, ticket);
                let woken = post.take_woken();
                self.post = Some(post);
                self.lead = Lead::Nobody;
                self.leader = None;
                self.receiving = false;
                self.counters.wakeups += 1;
                match woken {
                    Woken::Ready(ready) => self.service(now, ready),
                    Woken::Inbound(inbound) => self.receive(now, inbound),
                }
            }
            Arrival::Followed(ticket) => {
                self.counters.wakeups += 1;
                if self.followers.remove(&ticket).is_none() {
                    self.incoming -= 1;
                }
                self.charge.delist(interest, ticket);
            }
        }
    }

    /// Attempts something, in a crowd once more after a look.
    fn attempt<T>(
        &mut self,
        now: Instant,
        attempt: &mut impl FnMut(&mut C, Instant) -> Option<T>,
    ) -> Option<T> {
        let result = attempt(&mut self.charge, now);
        if result.is_some() || !self.crowded || !self.is_stale(now) {
            return result;
        }
        self.look(now);
        attempt(&mut self.charge, now)
    }

    /// Attempts something for the last time: what arrived while this thread did not run
    /// has arrived in time.
    fn attempt_last<T>(
        &mut self,
        now: Instant,
        attempt: &mut impl FnMut(&mut C, Instant) -> Option<T>,
    ) -> Option<T> {
        for _ in 0..LAST_LOOKS {
            self.look(now);
            let result = attempt(&mut self.charge, now);
            if result.is_some() || !self.unread {
                return result;
            }
        }
        None
    }

    /// A caller has to wait: it leads, unless another caller does.
    fn wait<T>(
        &mut self,
        interest: C::Interest,
        now: Instant,
        deadline: Option<Instant>,
    ) -> Step<T> {
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        self.charge.enlist(interest, ticket);
        self.crowded &= !self.followers.is_empty();
        let Some(post) = self.post.take_if(|_| !self.crowded) else {
            self.followers.insert(ticket, thread::current());
            self.followed = Some(now);
            self.counters.follower_waits += 1;
            self.answer(now);
            return Step::Follow(ticket, deadline.map(|deadline| deadline.saturating_since(now)));
        };
        if self.lead == Lead::Background {
            // It steps down, and is on watch from then on.
            self.call_background(now);
        }
        self.lead = Lead::Caller;
        self.leader = Some(ticket);
        self.turns += 1;
        self.counters.caller_waits += 1;
        self.answer(now);
        self.set_alarm(now);
        let sooner = |due: &Instant| self.alarm.is_none_or(|alarm| *due < alarm);
        let due = self.charge.next_deadline().filter(sooner);
        let until = due.into_iter().chain(deadline).min();
        let wait = self.plan_wait(now, until, &post);
        Step::Lead(ticket, post, wait)
    }

    /// A caller's wait is over: if nobody leads now, somebody must, or the
    /// background thread must see to it.
    fn pass_on(&mut self, now: Instant) {
        if self.lead != Lead::Nobody {
            return;
        }
        if self.followers.len() >= CROWD && !self.crowded {
            self.crowded = true;
            self.call_background(now);
        }
        if self.incoming > 0 || self.crowded {
            return;
        }
        if let Some((_, thread)) = self.followers.pop_last() {
            self.incoming += 1;
            self.wakes.threads.push(thread);
        } else {
            self.alarm_by(now + self.watch);
        }
    }

    /// Looks after the charge.
    fn service(&mut self, now: Instant, mut ready: Readiness) {
        // While a caller waits in the receive call nobody else receives: it might be what
        // is to interrupt that caller.
        ready.readable = (ready.readable || self.unread) && !self.receiving;
        self.serviced = now;
        let more = self.charge.service(now, ready, &mut self.signals);
        self.unread = more || self.receiving;
        self.collect();
    }

    /// Looks after the charge, and whether something has arrived.
    fn look(&mut self, now: Instant) {
        self.service(now, Readiness { readable: true, writable: true });
    }

    /// Nobody has looked for a while.
    fn is_stale(&self, now: Instant) -> bool {
        now.saturating_since(self.serviced) >= REFRESH
    }

    /// Takes in what the leader has received.
    fn receive(&mut self, now: Instant, inbound: Inbound) {
        self.serviced = now;
        self.unread = true;
        self.unanswered = true;
        self.charge.receive(now, inbound, &mut self.signals);
        self.collect();
    }

    /// Sends what was left to whoever comes next. Whoever is about to wait does so when it
    /// can be woken: to send may bring what it waits for, an error report.
    fn answer(&mut self, now: Instant) {
        if self.unanswered {
            self.flush(now);
            self.set_alarm(now);
        }
    }

    /// Sends what is there to send.
    fn flush(&mut self, now: Instant) {
        self.unanswered = false;
        self.charge.flush(now, &mut self.signals);
        self.collect();
    }

    /// What follows a call that may have changed something.
    fn settle(&mut self, mut now: Instant, clock: impl Fn() -> Instant) {
        if self.crowded && self.incoming > 0 {
            // Others will be here in no time: what they have to send goes in the same
            // batches.
            self.unanswered = true;
            if !self.is_stale(now) {
                return;
            }
            self.look(now);
        } else {
            self.flush(now);
            // A caller alone wakes at once when something arrives.
            let is_attended = self.lead == Lead::Caller && self.followers.is_empty();
            if !is_attended && self.is_stale(now) {
                // An answer to what was just sent may be there. By the time before it was
                // sent, it would have taken no time at all.
                now = clock();
                self.look(now);
            }
        }
        self.set_alarm(now);
    }

    /// Sees to signals, and to what the socket does not take.
    fn collect(&mut self) {
        if !self.signals.is_empty() || self.charge.wants_write() {
            self.turn_into_wakes();
        }
    }

    /// Turns signals into threads to be woken and hooks to be called.
    fn turn_into_wakes(&mut self) {
        let mut nudge_caller = false;
        while let Some(ticket) = self.signals.tickets.pop() {
            if let Some(thread) = self.followers.remove(&ticket) {
                self.incoming += 1;
                self.wakes.threads.push(thread);
            } else {
                nudge_caller |= self.leader == Some(ticket);
            }
        }
        if !self.signals.hooks.is_empty() {
            self.wakes.hooks.append(&mut self.signals.hooks);
        }
        let blocked = self.charge.wants_write() && !self.watches_writes;
        match self.lead {
            Lead::Caller if nudge_caller || blocked => self.wakes.ring_caller = true,
            Lead::Background if blocked => self.wakes.nudge_background = true,
            _ => return,
        }
        self.counters.nudges += 1;
    }

    /// For what, and in which call, a caller waits at `post` until then.
    fn plan_wait(&mut self, now: Instant, until: Option<Instant>, post: &Post) -> Wait {
        let writes = self.watch_writes();
        let alone = self.followed.is_none_or(|at| now.saturating_since(at) >= ALONE);
        let receiving = alone
            && until.is_none()
            && !writes
            && post.has_inlet()
            && self.charge.is_interruptible();
        self.receiving = receiving;
        Wait { timeout: until.map(|until| until.saturating_since(now)), writes, receiving }
    }

    /// Whether a wait that begins now is for writability, too.
    fn watch_writes(&mut self) -> bool {
        self.watches_writes = self.charge.wants_write();
        self.watches_writes
    }

    /// Makes sure that the background thread looks when the charge is due, or
    /// as soon after that as it ever looks.
    fn set_alarm(&mut self, now: Instant) {
        let soon = now + self.watch;
        if self.alarm.is_some_and(|alarm| alarm <= soon) {
            return;
        }
        if let Some(due) = self.charge.next_deadline() {
            self.alarm_by(due.max(soon));
        }
    }

    /// Makes sure that the background thread looks by `at`.
    fn alarm_by(&mut self, at: Instant) {
        if self.alarm.is_none_or(|alarm| at < alarm) {
            self.call_background(at);
        }
    }

    /// Interrupts the background thread: it is to look by `at`.
    fn call_background(&mut self, at: Instant) {
        self.alarm = Some(at);
        self.counters.nudges += 1;
        if self.lead == Lead::Background {
            self.wakes.nudge_background = true;
        } else {
            self.wakes.threads.extend(self.background.clone());
        }
    }
}

#[cfg(test)]
mod schedules;
#[cfg(test)]
mod tests;
