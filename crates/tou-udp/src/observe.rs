//! What a pump tells whoever watches it: a log of segments, a capture, a test.

use tou_proto::{Instant, PathError, ReceivedBatch, Transmit};

use crate::datagram::Datagram;
use crate::impair::{Direction, DropReason};

/// Something that happened between a machine and its socket.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum PumpEvent<'a> {
    /// Datagrams went to the socket, after any impairment.
    Sent {
        /// What they are.
        transmit: &'a Transmit,
        /// The datagrams, `transmit.stride` octets apart.
        data: &'a [u8],
    },
    /// The machine has put these datagrams out, before impairment. Told only
    /// while sending is impaired; else they are what was sent.
    Emitted {
        /// Where to, and how many.
        transmit: &'a Transmit,
        /// The datagrams, `transmit.stride` octets apart.
        data: &'a [u8],
    },
    /// Datagrams went to the machine, after any impairment.
    Received(&'a ReceivedBatch),
    /// Impairment dropped a datagram.
    Dropped {
        /// Which way it was going.
        direction: Direction,
        /// Why.
        reason: DropReason,
        /// The datagram.
        datagram: &'a Datagram,
    },
    /// An error report went to the machine.
    PathError(&'a PathError),
}

/// Watches a pump.
pub trait Observer {
    /// Called for each event, as it happens.
    fn observe(&mut self, now: Instant, event: PumpEvent<'_>);
}

impl<F: FnMut(Instant, PumpEvent<'_>)> Observer for F {
    fn observe(&mut self, now: Instant, event: PumpEvent<'_>) {
        self(now, event);
    }
}
