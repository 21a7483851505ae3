//! The clock, and what the stack sends while it runs.
//!
//! Time passes only here. On the way to a moment every deadline of the stack is
//! kept at its exact time, and each segment that leaves is kept with the time at
//! which the stack let it go.

use std::collections::VecDeque;

use tou_proto::{Ecn, Instant, PathError, ReceivedBatch};

use super::segment::Segment;
use super::stack::{Datagram, Stack};
use super::watch::Watch;

/// A segment that the stack sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Captured {
    /// When.
    pub at: Instant,
    /// The UDP port it goes to.
    pub udp_port: u16,
    /// Its ECN codepoint.
    pub ecn: Ecn,
    /// The segment, in the wire's numbers.
    pub segment: Segment,
}

/// A fault of the stack's that no script speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misbehaviour(pub String);

/// Deadlines that may come due at one instant before it counts as a loop.
const MAX_TIMEOUTS_AT_ONCE: u32 = 1000;

/// A stack, its clock, and what it sent and nobody has looked at yet.
#[derive(Debug)]
pub struct World<S> {
    /// The stack.
    pub stack: S,
    now: Instant,
    captured: VecDeque<Captured>,
    buffer: Vec<Datagram>,
    watch: Watch,
}

impl<S: Stack> World<S> {
    /// A stack at the beginning of time.
    pub fn new(stack: S) -> Self {
        // Not zero: a deadline "before now" must be representable.
        let now = Instant::from_secs(1000);
        Self { stack, now, captured: VecDeque::new(), buffer: Vec::new(), watch: Watch::default() }
    }

    /// The time.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// What kinds of segments arrived in which states.
    pub fn watch(&self) -> &Watch {
        &self.watch
    }

    /// The oldest segment that nobody has taken.
    pub fn front(&self) -> Option<&Captured> {
        self.captured.front()
    }

    /// Takes the oldest segment.
    pub fn take(&mut self) -> Option<Captured> {
        self.captured.pop_front()
    }

    /// Lets time pass until `to`, keeping every deadline on the way.
    ///
    /// # Errors
    /// A stack that does not come to rest, or sends what is no segment.
    pub fn advance(&mut self, to: Instant) -> Result<(), Misbehaviour> {
        while self.step(to)? {}
        self.now = self.now.max(to);
        Ok(())
    }

    /// Lets time pass until a segment leaves, at the latest until `to`. The clock
    /// then stands where the segment left.
    ///
    /// # Errors
    /// As [`World::advance`].
    pub fn advance_to_capture(&mut self, to: Instant) -> Result<(), Misbehaviour> {
        while self.captured.is_empty() {
            if !self.step(to)? {
                self.now = self.now.max(to);
                break;
            }
        }
        Ok(())
    }

    /// Keeps the next instant's deadlines, if there is one until `to`.
    ///
    /// # Errors
    /// As [`World::advance`].
    pub fn step(&mut self, to: Instant) -> Result<bool, Misbehaviour> {
        let Some(due) = self.stack.poll_timeout().filter(|due| *due <= to) else {
            return Ok(false);
        };
        self.now = self.now.max(due);
        for _ in 0..MAX_TIMEOUTS_AT_ONCE {
            self.stack.handle_timeout(self.now);
            self.drain()?;
            if self.stack.poll_timeout().is_none_or(|next| next > self.now) {
                return Ok(true);
            }
        }
        Err(Misbehaviour(format!("the deadline stays at {} whatever is done", self.now)))
    }

    /// Hands a batch to the stack.
    ///
    /// # Errors
    /// As [`World::advance`].
    pub fn inject(&mut self, batch: &ReceivedBatch) -> Result<(), Misbehaviour> {
        self.watch.on_arrival(self.now, &self.stack, batch);
        self.stack.handle_batch(self.now, batch);
        self.drain()
    }

    /// Hands a path error to the stack.
    ///
    /// # Errors
    /// As [`World::advance`].
    pub fn inject_error(&mut self, error: &PathError) -> Result<(), Misbehaviour> {
        self.stack.handle_path_error(self.now, error);
        self.drain()
    }

    /// Collects what the stack has to send now. To be called after every verb.
    ///
    /// # Errors
    /// As [`World::advance`].
    pub fn drain(&mut self) -> Result<(), Misbehaviour> {
        let mut buffer = core::mem::take(&mut self.buffer);
        self.stack.poll_transmit(self.now, &mut buffer);
        for Datagram { peer, ecn, data } in buffer.drain(..) {
            let segment = Segment::parse(&data)
                .map_err(|fault| Misbehaviour(format!("a malformed segment is sent: {fault}")))?;
            self.watch.on_sent(peer, &segment);
            self.captured.push_back(Captured { at: self.now, udp_port: peer.port(), ecn, segment });
        }
        self.buffer = buffer;
        Ok(())
    }
}
