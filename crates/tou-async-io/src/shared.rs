//! What keeps a socket alive: every handle to it, its listeners and its streams
//! holds one of these, and the last to go sees the data off.
//!
//! It knows when to end; how anything is sent or waited for is not known here.

use core::future::poll_fn;
use core::net::SocketAddr;
use core::time::Duration;
use std::io;
use std::sync::Arc;

use tou_proto::ConnectionConfig;
use tou_udp::driver::{Interest, Patience};

use crate::block;
use crate::engine::Engine;
use crate::hub::Hub;
use crate::wait::Wait;

/// A socket, as its handles share it.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) engine: Arc<Engine>,
    pub(crate) local_addr: SocketAddr,
    /// For connections that name no configuration of their own; `None` leaves
    /// it to the endpoint.
    pub(crate) connection: Option<Arc<ConnectionConfig>>,
    pub(crate) close_timeout: Duration,
}

impl Shared {
    /// Closes all streams and listeners, and waits until everything that was
    /// ever written, and the FINs, have arrived.
    pub(crate) async fn close(&self, timeout: Duration) -> io::Result<()> {
        self.engine.call(Hub::close);
        let mut wait = Wait::new(&self.engine, Interest::Progress);
        let left =
            poll_fn(|cx| wait.poll(cx, Some(timeout), |hub, _| hub.have_all_left().then_some(())));
        if left.await.is_some() || self.engine.look(|hub| hub.has_all_arrived()) {
            Ok(())
        } else {
            Err(io::ErrorKind::TimedOut.into())
        }
    }
}

impl Drop for Shared {
    /// Whoever wants to know how it ended, or must not block, has awaited
    /// [`Shared::close`].
    fn drop(&mut self) {
        let mut patience = Patience::new(self.close_timeout);
        if self.engine.leave_to_drivers(patience) {
            return;
        }
        while !self.engine.look(|hub| hub.have_all_left())
            && let Some(time) = patience.next(self.engine.look(|hub| hub.heard()))
        {
            block::block_until(&self.engine, time, Hub::have_all_left);
        }
        self.engine.rest();
    }
}
