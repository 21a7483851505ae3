//! What keeps a socket alive: every handle to it, its listeners and its streams
//! holds one of these, and the last to go sees the data off.
//!
//! It knows when to end; how anything is sent or waited for is not known here.

use core::net::SocketAddr;
use core::time::Duration;
use std::io;
use std::sync::Arc;

use tou_proto::{ConnectionConfig, Port};
use tou_udp::driver::{Interest, Patience, port_of};

use crate::engine::{Background, Engine};
use crate::hub::Hub;

/// A socket, as its handles share it.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) background: Background<Hub>,
    pub(crate) local_addr: SocketAddr,
    /// For connections that name no configuration of their own; `None` leaves
    /// it to the endpoint.
    pub(crate) connection: Option<Arc<ConnectionConfig>>,
    pub(crate) close_timeout: Duration,
}

impl Shared {
    pub(crate) fn engine(&self) -> &Engine<Hub> {
        self.background.engine()
    }

    /// The TCP port that is the same as the UDP port.
    pub(crate) fn udp_port(&self) -> io::Result<Port> {
        port_of(self.local_addr)
    }

    /// Waits until everything that was written, and the FINs of all streams
    /// that were dropped, have arrived. Returns whether they have.
    pub(crate) fn drain(&self, timeout: Duration) -> bool {
        let deadline = self.engine().now() + timeout;
        let drained = self.engine().wait_for(Interest::Progress, Some(deadline), |hub, _| {
            hub.have_all_left().then_some(())
        });
        drained.is_some()
    }

    /// Closes all streams and listeners, and waits as [`Self::drain`] does.
    pub(crate) fn close(&self, timeout: Duration) -> io::Result<()> {
        self.engine().call(Hub::close);
        if self.drain(timeout) || self.engine().look(|hub| hub.has_all_arrived()) {
            Ok(())
        } else {
            Err(io::ErrorKind::TimedOut.into())
        }
    }
}

impl Drop for Shared {
    /// Whoever wants to know how it ended calls [`Shared::close`].
    fn drop(&mut self) {
        // No stream is held any more: who answers now answers a dropped one.
        let heard = || self.engine().look(|hub| hub.endpoint().counters().datagrams_received);
        let mut patience = Patience::new(self.close_timeout);
        while let Some(time) = patience.next(heard()) {
            if self.drain(time) {
                return;
            }
        }
    }
}
