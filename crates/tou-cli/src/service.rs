//! Listening, and serving many connections at once.

use std::io::{self, Write};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;

use tou_mio::{TouListener, TouSocket, TouStream};
use tracing::info;

use crate::address::ListenAddress;
use crate::failure::Failure;
use crate::log::Log;
use crate::options::{CommonOptions, Defaults, NetworkOptions, Role};
use crate::signals::Interruptible;

/// Connections that are served at once. Whoever comes next waits until one has
/// ended.
const MAX_AT_ONCE: usize = 1_024;

/// Connections that wait for that at most.
const BACKLOG: usize = 1_024;

/// Opens a socket and listens on `address`.
pub(crate) fn listen(
    address: &ListenAddress,
    network: &NetworkOptions,
    common: &CommonOptions,
    defaults: Defaults,
    log: &Log,
) -> Result<(TouSocket, TouListener), Failure> {
    let cannot = |error| Failure::cannot(format_args!("listen on {address}"), &error);
    let addrs = address.resolve(network)?;
    let builder = common.socket(Role::Listener, defaults)?;
    let socket = common.bind(log, builder, network, &addrs).map_err(cannot)?;
    let listener = match address.port() {
        Some(port) => socket.listen_on(port, BACKLOG, None),
        None => socket.listen(),
    };
    Ok((socket, listener.map_err(cannot)?))
}

/// Tells where it is listened: loudly if nobody could know it.
pub(crate) fn announce(address: &ListenAddress, socket: &TouSocket, loudly: bool) {
    let addr = socket.local_addr();
    let place = match address.port() {
        Some(port) if port.get() != addr.port() => format!("{addr}, TCP port {port}"),
        _ => addr.to_string(),
    };
    if loudly || address.port().is_none() {
        let _ = writeln!(io::stderr(), "listening on {place}");
    } else {
        info!("listening on {place}");
    }
}

/// Serves every connection in a thread of its own, until the socket is closed
/// or a thread cannot be started.
pub(crate) fn serve_all(
    listener: &TouListener,
    signals: &Interruptible,
    serve: impl Fn(&TouStream) + Sync,
) -> Result<(), Failure> {
    signals.start_serving(listener.socket());
    let result = accept_all(listener, serve);
    signals.stop_serving();
    result
}

fn accept_all(listener: &TouListener, serve: impl Fn(&TouStream) + Sync) -> Result<(), Failure> {
    let seats = Seats::default();
    thread::scope(|scope| {
        loop {
            seats.wait();
            let Ok((stream, peer)) = listener.accept() else {
                return Ok(());
            };
            info!("connection from {peer}, TCP port {}", stream.peer_port());
            let seat = seats.take();
            let serve = &serve;
            let thread =
                thread::Builder::new().name(format!("{peer}")).spawn_scoped(scope, move || {
                    serve(&stream);
                    drop(seat);
                });
            if let Err(error) = thread {
                return Err(Failure::cannot("start a thread", &error));
            }
        }
    })
}

/// Places for connections.
#[derive(Default)]
struct Seats {
    taken: Mutex<usize>,
    freed: Condvar,
}

/// One that is taken.
struct Seat<'a>(&'a Seats);

impl Seats {
    /// Waits until one is free.
    fn wait(&self) {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.freed.wait_while(taken, |taken| *taken >= MAX_AT_ONCE));
    }

    fn take(&self) -> Seat<'_> {
        *self.taken.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Seat(self)
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        *self.0.taken.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.freed.notify_one();
    }
}
