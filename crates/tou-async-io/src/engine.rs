//! How a socket is looked after: whoever learns that something has happened
//! does the work, there and then.
//!
//! The reactor of async-io watches the UDP socket and one timer. What it wakes
//! is no task but the engine itself: its waker takes in what has arrived, sends
//! what is due, and wakes the tasks whose turn it is. So no thread or task of
//! this crate's own is needed, and a thread that blocks in `async_io::block_on`
//! (or smol's) gets its datagram without another one being woken: it is the
//! reactor while it waits. Calls of tasks send in their own thread.
//!
//! While somebody polls a [`Drive`](crate::Drive), the waker only wakes that
//! task, which does the work instead.
//!
//! ```text
//!   socket readable, timer due ---> engine's waker ---> turn ---> wakers of tasks
//!                                        \                        ^
//!                                         \--> Drive's task ---> turn
//! ```
//!
//! Readiness is level-triggered in effect: each turn asks the reactor anew, and
//! is told at once when something was left. The timer is only moved forward
//! while it runs: a retransmission timer that is set and cleared with every
//! request costs one wake-up in its period, not one a request.
//!
//! This knows wakers, time and readiness. It does not know streams.

use core::pin::Pin;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::io;
use std::net::UdpSocket;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Wake;

use async_io::{Async, Timer};
use tou_proto::{Endpoint, Instant};
use tou_udp::driver::{Bell, Interest, Patience, Woken};
use tou_udp::{Clock, Inlet, Interrupter, Pump};

use crate::hub::Hub;
use crate::waiters::{Key, Waiters, Wakes};

/// A call looks after the socket all the same when nobody has done so for this
/// long: who always finds something to do never lets the reactor have its turn,
/// and acknowledgments should not pile up meanwhile.
const REFRESH: Duration = Duration::from_micros(50);

/// Longer than any program runs.
const NEVER: Duration = Duration::from_secs(100 * 365 * 24 * 3_600);

/// What the driver itself has done, next to what the endpoint counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DriverCounters {
    /// Times the reactor had something to tell: the socket was ready, or the
    /// timer due. An idle socket has none.
    pub wakeups: u64,
    /// Times the socket was looked after, by whomever.
    pub turns: u64,
}

/// A socket with its endpoint, and what it takes to keep them going.
#[derive(Debug)]
pub(crate) struct Engine {
    state: Mutex<State>,
    /// A descriptor of the UDP socket, known to the reactor.
    socket: Async<UdpSocket>,
    /// Ends a wait in the receive call, where one can wait there.
    interrupter: Option<Arc<Interrupter>>,
    itself: Arc<Itself>,
    clock: Clock,
    last_key: AtomicU64,
}

#[derive(Debug)]
struct State {
    hub: Hub,
    timer: Timer,
    /// When the timer fires, unless it need not.
    alarm: Option<Instant>,
    /// When the socket was last looked after.
    serviced: Instant,
    /// What the reactor wakes.
    waker: Waker,
    /// Tasks that do the work; none: the waker does.
    drivers: Waiters,
    /// Threads that wait for the socket themselves, and need not be told by the
    /// reactor that it is readable.
    blocked: usize,
    /// For one of these threads to wait in.
    inlet: Option<Inlet>,
    /// It waits there, and nobody else may receive.
    receiving: bool,
    /// All handles are gone, and the drivers see the rest off.
    farewell: Option<Farewell>,
    /// All handles are gone, and there is nothing left to do.
    ended: bool,
    counters: DriverCounters,
}

/// How a thread is to wait for the socket.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Planned {
    /// In the inlet, and tell what it was woken by.
    Receive,
    /// In a poll, for writability, too, if so.
    Poll { writes: bool },
}

/// How long what was written to dropped streams is still waited for.
#[derive(Debug)]
struct Farewell {
    patience: Patience,
    until: Instant,
}

/// The waker that the reactor has. The lock is held while the engine is: when
/// it was told to rest, no thread holds the socket open that its owner has
/// closed.
#[derive(Debug)]
struct Itself(Mutex<Weak<Engine>>);

impl Wake for Itself {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let resting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(engine) = resting.upgrade() else { return };
        let wakes = engine.woken();
        drop(engine);
        drop(resting);
        wakes.deliver();
    }
}

impl Engine {
    /// Sets a socket going.
    ///
    /// # Errors
    /// The system's, when it has no more descriptors.
    pub(crate) fn start(mut pump: Pump<Endpoint>) -> io::Result<Arc<Self>> {
        let socket = Async::new(pump.socket().as_std().try_clone()?)?;
        let (inlet, interrupter) = pump.socket_mut().open_inlet()?.unzip();
        let interrupter = interrupter.map(Arc::new);
        let clock = pump.clock();
        let engine = Arc::new_cyclic(|engine| {
            let itself = Arc::new(Itself(Mutex::new(Weak::clone(engine))));
            // A timer keeps the waker that it was polled with.
            let mut timer = Timer::after(NEVER);
            let _ =
                Pin::new(&mut timer).poll(&mut Context::from_waker(&Arc::clone(&itself).into()));
            let state = State {
                hub: Hub::new(pump),
                timer,
                alarm: None,
                serviced: clock.now(),
                waker: Arc::clone(&itself).into(),
                drivers: Waiters::default(),
                blocked: 0,
                inlet,
                receiving: false,
                farewell: None,
                ended: false,
                counters: DriverCounters::default(),
            };
            let (state, last_key) = (Mutex::new(state), AtomicU64::new(0));
            Self { state, socket, interrupter, itself, clock, last_key }
        });
        engine.locked(|state| {
            engine.turn(state);
        });
        Ok(engine)
    }

    /// The time now.
    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// The UDP socket, to wait for.
    pub(crate) fn socket(&self) -> &UdpSocket {
        self.socket.get_ref()
    }

    /// A key for one waiting operation.
    pub(crate) fn new_key(&self) -> Key {
        Key(self.last_key.fetch_add(1, Relaxed))
    }

    /// What the driver has done so far.
    pub(crate) fn counters(&self) -> DriverCounters {
        self.locked(|state| state.counters)
    }

    /// Looks at the hub.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&mut Hub) -> T) -> T {
        self.locked(|state| look(&mut state.hub))
    }

    /// Does something that needs no waiting, and sends what comes of it.
    pub(crate) fn call<T>(&self, act: impl FnOnce(&mut Hub, Instant) -> T) -> T {
        self.locked(|state| {
            let now = self.clock.now();
            let result = act(&mut state.hub, now);
            self.settle(state, now);
            result
        })
    }

    /// Attempts something now; enters `key` among those who wait for `interest`
    /// when it returns `None`.
    pub(crate) fn attempt<T>(
        &self,
        (interest, key, waker): (Interest, Key, &Waker),
        attempt: impl FnOnce(&mut Hub, Instant) -> Option<T>,
    ) -> Option<T> {
        self.locked(|state| {
            let now = self.clock.now();
            let result = attempt(&mut state.hub, now);
            if result.is_none() {
                state.hub.enlist(interest, key, waker);
            } else {
                self.settle(state, now);
            }
            result
        })
    }

    /// Looks after the socket, whoever else does so.
    pub(crate) fn look_after<T>(&self, look: impl FnOnce(&mut Hub, Instant) -> T) -> T {
        self.locked(|state| {
            self.turn(state);
            look(&mut state.hub, self.clock.now())
        })
    }

    /// A driver's task is polled. Ready when the last handle has been dropped
    /// and there is nothing more to see off.
    pub(crate) fn poll_drive(&self, key: Key, waker: &Waker) -> Poll<()> {
        self.locked(|state| {
            if state.ended {
                return Poll::Ready(());
            }
            state.drivers.set(key, waker, state.hub.wakes());
            let now = self.turn(state);
            let Some(farewell) = &mut state.farewell else { return Poll::Pending };
            if state.hub.have_all_left() {
                return Poll::Ready(());
            }
            if now >= farewell.until {
                let Some(time) = farewell.patience.next(state.hub.heard()) else {
                    return Poll::Ready(());
                };
                farewell.until = now + time;
                self.set_alarm(state);
            }
            Poll::Pending
        })
    }

    /// A driver's task is polled no more: somebody else has to go on. If all handles are
    /// gone too, nobody does.
    pub(crate) fn stop_driving(&self, key: Key) {
        let was_last = self.locked(|state| {
            state.drivers.remove(key, state.hub.wakes());
            self.turn(state);
            state.farewell.is_some() && state.drivers.is_empty()
        });
        if was_last {
            self.rest();
        }
    }

    /// A thread that may have the inlet is about to wait. It waits there if no other
    /// thread waits for the socket: that one would be told of what it must not take.
    pub(crate) fn plan_wait(&self, has_inlet: bool) -> Planned {
        self.locked(|state| {
            let pump = state.hub.pump();
            let writes = pump.wants_write();
            let alone = state.blocked == 1 && !writes;
            if alone && has_inlet && pump.socket().is_interruptible() {
                state.receiving = true;
                return Planned::Receive;
            }
            Planned::Poll { writes }
        })
    }

    /// A thread has waited in the inlet. Looks after what it received.
    pub(crate) fn received(&self, woken: Woken) {
        self.locked(|state| {
            state.receiving = false;
            let Woken::Inbound(inbound) = woken else {
                self.turn(state);
                return;
            };
            let now = self.clock.now();
            state.counters.turns += 1;
            state.serviced = now;
            state.hub.receive(now, inbound);
            self.arm(state);
        });
    }

    /// A bell that ends a thread's wait for the socket.
    pub(crate) fn bell(&self) -> Arc<Bell> {
        Arc::new(Bell::new(self.interrupter.clone()))
    }

    /// A thread begins to wait for the socket in a way that others are not told of what
    /// arrives.
    pub(crate) fn start_waiting(&self) {
        let receiving = self.locked(|state| {
            state.blocked += 1;
            state.receiving
        });
        if receiving && let Some(interrupter) = &self.interrupter {
            // It has to wait in another way now.
            interrupter.interrupt();
        }
    }

    /// The thread waits no longer.
    pub(crate) fn stop_waiting(&self) {
        self.locked(|state| {
            state.blocked -= 1;
            self.turn(state);
        });
    }

    /// A thread begins to drive the socket. It drives like a task, but hears
    /// from the reactor only of time and of room to send. It gets the inlet, unless
    /// another thread has it.
    pub(crate) fn start_blocking(&self, key: Key, waker: &Waker) -> Option<Inlet> {
        self.start_waiting();
        self.locked(|state| {
            state.drivers.set(key, waker, state.hub.wakes());
            state.inlet.take()
        })
    }

    /// The thread drives no longer, and its inlet is free again.
    pub(crate) fn stop_blocking(&self, key: Key, inlet: Option<Inlet>) {
        self.locked(|state| {
            state.blocked -= 1;
            if inlet.is_some() {
                state.inlet = inlet;
            }
        });
        self.stop_driving(key);
    }

    /// The last handle is dropped. Leaves the rest to the tasks that drive, if
    /// there are any; returns whether there are.
    pub(crate) fn leave_to_drivers(&self, patience: Patience) -> bool {
        self.locked(|state| {
            if state.drivers.is_empty() {
                return false;
            }
            state.farewell = Some(Farewell { patience, until: self.clock.now() });
            state.drivers.wake_and_keep(state.hub.wakes());
            true
        })
    }

    /// The reactor has something to tell. Returns who is to be woken.
    fn woken(&self) -> Wakes {
        let mut state = self.lock();
        state.counters.wakeups += 1;
        if state.drivers.is_empty() {
            self.turn(&mut state);
        } else {
            let State { drivers, hub, .. } = &mut *state;
            drivers.wake_and_keep(hub.wakes());
        }
        core::mem::take(state.hub.wakes())
    }

    /// Nobody holds the socket any more: when this returns the reactor neither
    /// looks after it nor keeps it open.
    pub(crate) fn rest(&self) {
        *self.itself.0.lock().unwrap_or_else(PoisonError::into_inner) = Weak::new();
        self.locked(|state| {
            state.ended = true;
            state.drivers.wake_and_keep(state.hub.wakes());
        });
    }

    /// Looks after the socket, and asks the reactor to tell when it needs that
    /// again. Returns the time.
    fn turn(&self, state: &mut State) -> Instant {
        let now = self.clock.now();
        state.counters.turns += 1;
        state.serviced = now;
        state.alarm.take_if(|alarm| *alarm <= now);
        if state.receiving {
            // What that thread takes no part in.
            state.hub.pass_time(now);
        } else {
            state.hub.service(now);
        }
        if state.blocked == 0
            && let Err(error) = ask(|cx| self.socket.poll_readable(cx), &state.waker)
        {
            state.hub.note_socket_error(error);
        }
        self.arm(state);
        now
    }

    /// What follows a call that may have changed something.
    fn settle(&self, state: &mut State, now: Instant) {
        state.hub.flush(now);
        if now.saturating_since(state.serviced) >= REFRESH {
            self.turn(state);
        } else {
            self.arm(state);
        }
    }

    /// Asks the reactor to tell when what is held back can go, or is due.
    fn arm(&self, state: &mut State) {
        if state.hub.pump().wants_write()
            && let Err(error) = ask(|cx| self.socket.poll_writable(cx), &state.waker)
        {
            state.hub.note_socket_error(error);
        }
        self.set_alarm(state);
    }

    fn set_alarm(&self, state: &mut State) {
        let due = state.hub.pump().next_deadline();
        let farewell = state.farewell.as_ref().map(|farewell| farewell.until);
        let Some(due) = due.into_iter().chain(farewell).min() else { return };
        if state.alarm.is_none_or(|alarm| due < alarm)
            && let Some(at) = self.clock.to_std(due)
        {
            state.alarm = Some(due);
            state.timer.set_at(at);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere is no reason to leave a peer without a FIN.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `act` under the lock. Whoever is to be woken is woken after the lock
    /// has been released: a waker may do anything.
    fn locked<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let result = act(&mut state);
        let wakes = state.hub.wakes();
        if !wakes.is_empty() {
            let wakes = core::mem::take(wakes);
            drop(state);
            wakes.deliver();
        }
        result
    }
}

/// Has the reactor wake `waker` at the next readiness. It may first tell of one
/// that was made use of already.
fn ask(poll: impl Fn(&mut Context<'_>) -> Poll<io::Result<()>>, waker: &Waker) -> io::Result<()> {
    let cx = &mut Context::from_waker(waker);
    for _ in 0..2 {
        match poll(cx) {
            Poll::Ready(result) => result?,
            Poll::Pending => break,
        }
    }
    Ok(())
}
