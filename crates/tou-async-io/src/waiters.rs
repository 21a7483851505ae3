//! Who waits for the same thing, and whom to wake.
//!
//! A waker is foreign code, and so is its drop: either may come back into this
//! crate. So wakers leave the lock before they are woken or dropped.

use core::task::Waker;
use std::panic::catch_unwind;

use smallvec::SmallVec;

/// The name of one waiting operation. Keys are never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key(pub(crate) u64);

/// Operations that wait for the same thing; hardly ever more than one.
#[derive(Debug, Default)]
pub(crate) struct Waiters(SmallVec<[(Key, Waker); 1]>);

impl Waiters {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Enters an operation, or its new waker.
    pub(crate) fn set(&mut self, key: Key, waker: &Waker, wakes: &mut Wakes) {
        match self.0.iter_mut().find(|(waiting, _)| *waiting == key) {
            Some((_, known)) if known.will_wake(waker) => {}
            Some((_, known)) => wakes.discard(core::mem::replace(known, waker.clone())),
            None => self.0.push((key, waker.clone())),
        }
    }

    /// An operation waits no longer.
    pub(crate) fn remove(&mut self, key: Key, wakes: &mut Wakes) {
        if let Some(index) = self.0.iter().position(|(waiting, _)| *waiting == key) {
            wakes.discard(self.0.swap_remove(index).1);
        }
    }

    /// Has all of them look again; they enter again if they must.
    pub(crate) fn wake(&mut self, wakes: &mut Wakes) {
        wakes.woken.extend(self.0.drain(..).map(|(_, waker)| waker));
    }

    /// The same, but they stay.
    pub(crate) fn wake_and_keep(&self, wakes: &mut Wakes) {
        wakes.woken.extend(self.0.iter().map(|(_, waker)| waker.clone()));
    }
}

/// What is to be done with wakers once the lock is released.
#[derive(Debug, Default)]
pub(crate) struct Wakes {
    woken: SmallVec<[Waker; 4]>,
    discarded: SmallVec<[Waker; 1]>,
}

impl Wakes {
    pub(crate) fn is_empty(&self) -> bool {
        self.woken.is_empty() && self.discarded.is_empty()
    }

    fn discard(&mut self, waker: Waker) {
        self.discarded.push(waker);
    }

    /// A waker's panic goes no further: this thread may be in a call on another stream, and
    /// the wakers that follow are of other tasks.
    pub(crate) fn deliver(self) {
        for waker in self.woken {
            let _ = catch_unwind(|| waker.wake());
        }
        for waker in self.discarded {
            let _ = catch_unwind(|| drop(waker));
        }
    }
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    use std::sync::Arc;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    #[test]
    fn an_operation_is_woken_by_its_last_waker_and_only_once() {
        let counts: [Arc<Count>; 3] = Default::default();
        let wakers = counts.clone().map(Waker::from);
        let (mut waiters, mut wakes) = (Waiters::default(), Wakes::default());
        waiters.set(Key(1), &wakers[0], &mut wakes);
        waiters.set(Key(1), &wakers[1], &mut wakes);
        waiters.set(Key(2), &wakers[2], &mut wakes);
        waiters.set(Key(2), &wakers[2], &mut wakes);
        waiters.wake(&mut wakes);
        waiters.wake(&mut wakes);
        assert!(waiters.is_empty());
        wakes.deliver();
        assert_eq!(counts.map(|count| count.0.load(Relaxed)), [0, 1, 1]);
    }

    #[test]
    fn an_operation_that_was_given_up_is_not_woken() {
        let count = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&count));
        let (mut waiters, mut wakes) = (Waiters::default(), Wakes::default());
        waiters.set(Key(1), &waker, &mut wakes);
        waiters.remove(Key(1), &mut wakes);
        waiters.wake(&mut wakes);
        wakes.deliver();
        assert_eq!(count.0.load(Relaxed), 0);
    }
}
