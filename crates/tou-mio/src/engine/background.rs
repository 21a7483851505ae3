//! The background thread: keeps the time, and leads when no thread is in a call.
//!
//! It sleeps, is on watch, or leads; see the drawing in the module above. It
//! knows no more of the charge than any other leader.

use core::time::Duration;
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tou_proto::Instant;
use tou_udp::driver::Readiness;

use super::poller::Poller;
use super::{Charge, Engine, GRACE, Lead, State, WATCH};

/// The background thread of an engine; stops when dropped.
#[derive(Debug)]
pub(crate) struct Background<C: Charge> {
    engine: Arc<Engine<C>>,
    /// `None` once it was joined.
    thread: Option<JoinHandle<()>>,
}

impl<C: Charge> Background<C> {
    pub(super) fn start(engine: Arc<Engine<C>>, mut poller: Poller) -> io::Result<Self> {
        let own = Arc::clone(&engine);
        let thread = thread::Builder::new().name("tou".into()).spawn(move || {
            let mut last_turn = 0;
            let mut ready = None;
            loop {
                let step = own.locked(|state| {
                    state.background_step(own.clock.now(), ready.take(), &mut last_turn)
                });
                if !matches!(step, Step::Lead { .. }) {
                    poller.leave();
                }
                match step {
                    Step::Stop => return,
                    Step::Sleep(None) => thread::park(),
                    Step::Sleep(Some(time)) => thread::park_timeout(time),
                    Step::Lead { timeout, writes } => {
                        ready = Some(lead(&mut poller, timeout, writes));
                    }
                }
            }
        })?;
        engine.locked(|state| state.background = Some(thread.thread().clone()));
        Ok(Self { engine, thread: Some(thread) })
    }

    /// The engine that this thread belongs to.
    pub(crate) fn engine(&self) -> &Arc<Engine<C>> {
        &self.engine
    }
}

impl<C: Charge> Drop for Background<C> {
    fn drop(&mut self) {
        self.engine.locked(|state| {
            state.stopping = true;
            state.wakes.nudge_background = true;
            state.wakes.threads.extend(state.background.take());
        });
        if let Some(thread) = self.thread.take()
            // A readiness hook may hold the last handle.
            && thread.thread().id() != thread::current().id()
        {
            // It panics only if an observer did, and has said so then.
            let _ = thread.join();
        }
    }
}

/// What the background thread does next.
#[derive(Debug)]
pub(super) enum Step {
    Stop,
    Sleep(Option<Duration>),
    Lead { timeout: Option<Duration>, writes: bool },
}

fn lead(poller: &mut Poller, timeout: Option<Duration>, writes: bool) -> Readiness {
    poller.wait(timeout, writes).unwrap_or_else(|_| {
        // Not expected. Better slow than spinning or deaf.
        thread::park_timeout(GRACE);
        Readiness { readable: true, writable: true }
    })
}

impl<C: Charge> State<C> {
    /// The background thread comes back from its poller.
    fn background_arrives(&mut self, now: Instant, ready: Readiness) {
        if self.lead == Lead::Caller {
            // It was told to step down, and saw an edge on the way.
            self.unread |= ready.readable;
        } else {
            self.service(now, ready);
        }
    }

    /// The background thread has the lock (again), if it has led with what its wait ended
    /// with. `last_turn` is what it knew of callers' leads.
    pub(super) fn background_step(
        &mut self,
        now: Instant,
        ready: Option<Readiness>,
        last_turn: &mut u64,
    ) -> Step {
        self.counters.wakeups += 1;
        if let Some(ready) = ready {
            self.background_arrives(now, ready);
        }
        if self.stopping {
            return Step::Stop;
        }
        let mut due = self.charge.next_deadline();
        if due.is_some_and(|due| due <= now) {
            self.service(now, Readiness::default());
            due = self.charge.next_deadline();
        }
        let vacant = now.saturating_since(self.serviced);
        if self.lead == Lead::Nobody && (vacant >= GRACE || self.crowded) {
            self.lead = Lead::Background;
            self.counters.takeovers += 1;
        }
        let settled = core::mem::replace(last_turn, self.turns) == self.turns;
        self.watch = if settled { GRACE } else { WATCH.min(2 * self.watch) };
        self.alarm = match self.lead {
            Lead::Nobody => Some(now + self.watch.saturating_sub(vacant)),
            Lead::Caller if !settled => Some(now + self.watch),
            // Whoever comes after this caller will call.
            Lead::Caller | Lead::Background => due,
        };
        if self.lead == Lead::Background {
            // What is unread makes no edge any more.
            let until = if self.unread { Some(now) } else { self.alarm };
            let timeout = until.map(|until| until.saturating_since(now));
            Step::Lead { timeout, writes: self.watch_writes() }
        } else {
            Step::Sleep(self.alarm.map(|alarm| alarm.saturating_since(now)))
        }
    }
}
