//! The background thread: leads when no thread is in a call.
//!
//! It is parked, on watch, or leading; see the drawing in the module above. It
//! knows no more of the charge than any other leader.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use super::poller::{Poller, Readiness};
use super::{Charge, Engine, GRACE, Lead, State, Wait};

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
                    let now = own.clock.now();
                    state.counters.wakeups += 1;
                    if let Some(ready) = ready.take()
                        && state.lead == Lead::Background
                    {
                        state.service(now, ready);
                    }
                    state.background_step(now, &mut last_turn)
                });
                match step {
                    Step::Stop => return,
                    Step::Park => thread::park(),
                    Step::Watch(time) => thread::park_timeout(time),
                    Step::Lead(wait) => ready = Some(lead(&mut poller, wait)),
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
            // It panics only if a hook did, and has said so then.
            let _ = thread.join();
        }
    }
}

/// What the background thread does next.
enum Step {
    Stop,
    /// A caller leads, and whoever comes after it will say when it is done.
    Park,
    /// Callers come and go.
    Watch(core::time::Duration),
    Lead(Wait),
}

fn lead(poller: &mut Poller, wait: Wait) -> Readiness {
    poller.wait(wait.timeout, wait.writes).unwrap_or_else(|_| {
        // Not expected. Better slow than spinning or deaf.
        thread::park_timeout(GRACE);
        Readiness { readable: true, writable: true }
    })
}

impl<C: Charge> State<C> {
    fn background_step(&mut self, now: tou_proto::Instant, last_turn: &mut u64) -> Step {
        if self.stopping {
            return Step::Stop;
        }
        let vacant = now.saturating_since(self.serviced);
        if self.lead == Lead::Nobody && vacant >= GRACE {
            self.lead = Lead::Background;
            self.on_watch = false;
            self.counters.takeovers += 1;
        }
        match self.lead {
            Lead::Background => Step::Lead(self.plan_wait(now, None)),
            Lead::Nobody => Step::Watch(GRACE.saturating_sub(vacant)),
            Lead::Caller if self.turns == *last_turn => {
                self.on_watch = false;
                Step::Park
            }
            Lead::Caller => {
                *last_turn = self.turns;
                Step::Watch(GRACE)
            }
        }
    }
}
