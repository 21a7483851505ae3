//! TCP over UDP as a pure state machine.
//!
//! This crate is the whole of TCP (RFC 9293 and what has grown around it) with
//! everything left out that makes TCP hard to embed: it opens no socket, reads
//! no clock, starts no thread, draws no random numbers and knows no operating
//! system. A segment goes in, segments come out; time is an argument.
//!
//! - [`Endpoint`]: all connections of one UDP socket: listening, connecting,
//!   reading, writing, closing. What most embedders want.
//! - [`Connection`]: one control block, for those who find the connection of a
//!   datagram themselves.
//! - [`DatagramMachine`]: what a driver sees of an endpoint, or of whatever
//!   wraps one.
//! - [`wire`]: segments and options; [`cc`]: congestion control, and how to
//!   supply one.
//!
//! # The loop
//!
//! A driver owns the socket and the clock, and turns this crank:
//!
//! 1. Hand in what arrived: [`handle_batch`](DatagramMachine::handle_batch).
//! 2. Let time pass: [`handle_timeout`](DatagramMachine::handle_timeout), when
//!    the deadline has come.
//! 3. Tell the application: [`poll_event`](Endpoint::poll_event) until `None`;
//!    and call what it wants: connect, read, write, close.
//! 4. Send what there is: [`poll_transmit`](DatagramMachine::poll_transmit)
//!    until it returns `None`.
//! 5. Sleep until something arrives, or until
//!    [`poll_timeout`](DatagramMachine::poll_timeout), read after all else.
//!
//! Two endpoints that talk without any network:
//!
//! ```
//! use std::net::SocketAddr;
//! use tou_proto::{
//!     DatagramMachine, Endpoint, EndpointConfig, Instant, Port, ReadError, ReceivedBatch,
//!     Remote, TransmitBuf,
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut client = Endpoint::new(EndpointConfig::default(), [1; 32]);
//! let mut server = Endpoint::new(EndpointConfig::default(), [2; 32]);
//! let client_addr: SocketAddr = "192.0.2.1:40000".parse()?;
//! let server_addr: SocketAddr = "192.0.2.2:5000".parse()?;
//!
//! let now = Instant::ZERO;
//! let listener = server.listen(Port::try_from(5000)?, 16)?;
//! let remote = Remote::new(server_addr).ok_or("port zero")?;
//! let conn = client.connect(now, remote)?;
//! client.write(now, conn, b"hello")?;
//!
//! // The network: whatever one sends, the other receives.
//! let mut buf = TransmitBuf::single();
//! loop {
//!     let mut is_quiet = true;
//!     while let Some(_) = client.poll_transmit(now, &mut buf) {
//!         server.handle_batch(now, &ReceivedBatch::single(client_addr, buf.data().to_vec()));
//!         is_quiet = false;
//!     }
//!     while let Some(_) = server.poll_transmit(now, &mut buf) {
//!         client.handle_batch(now, &ReceivedBatch::single(server_addr, buf.data().to_vec()));
//!         is_quiet = false;
//!     }
//!     if is_quiet {
//!         break;
//!     }
//! }
//!
//! let accepted = server.accept(listener).ok_or("nothing to accept")?;
//! let mut data = [0; 16];
//! let read = server.read(now, accepted, &mut data)?;
//! assert_eq!(&data[..read], b"hello");
//! assert_eq!(server.read(now, accepted, &mut data), Err(ReadError::WouldBlock));
//! # Ok(())
//! # }
//! ```
//!
//! # What holds
//!
//! - Calls that come early, late or twice do no harm. Time that goes back
//!   stands still.
//! - At the deadline that `poll_timeout` names, `handle_timeout` makes progress:
//!   there is something to send, or an event, or a later deadline.
//! - Not sending what `poll_transmit` returned is legal: it is loss.
//! - The same seed and the same calls give the same bytes, events and deadlines,
//!   on every machine; what one connection does depends on no other.
//! - Nothing that arrives can cause a panic, an endless loop, or more memory
//!   than the configuration allows.
//! - There is no floating point, and no `unsafe`.
//!
//! `docs/EMBEDDING.md` in the repository is the guide: the loop over a real
//! socket, the clock, batches, sharing a port, other carriers, hole punching.
//!
//! The crate is `no_std` with `alloc`. The feature `std`, on by default, turns
//! errors into `std::io::Error`s; nothing in the core depends on it.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod buffer;
pub mod cc;
mod config;
mod conn;
mod endpoint;
mod error;
mod event;
mod id;
#[cfg(feature = "std")]
mod io;
mod machine;
mod recovery;
mod secret;
mod seq;
mod stats;
mod time;
mod util;
pub mod wire;

/// The guide's code compiles.
#[cfg(all(doctest, feature = "std"))]
#[doc = include_str!("../../../docs/EMBEDDING.md")]
mod guide {}

pub use self::config::{
    ConfigError, ConnectionConfig, ConnectionConfigBuilder, EndpointConfig, EndpointConfigBuilder,
    Keepalive, SetOptionError, UserTimeoutLimits,
};
pub use self::conn::{Connection, Disposition, Filled, Happenings, OpenParams, State};
pub use self::endpoint::{Endpoint, Remote};
pub use self::error::{
    ConnectError, ConnectionError, ListenError, ReadError, UnknownConnection, WriteError,
};
pub use self::event::Event;
pub use self::id::{ConnId, ListenerId, PeerId, Port};
pub use self::machine::{
    DatagramMachine, Ecn, PathError, PathErrorKind, ReceivedBatch, Transmit, TransmitBuf,
};
pub use self::seq::{SeqNumber, StreamPos};
pub use self::stats::{ConnectionCounters, ConnectionInfo, EndpointCounters};
pub use self::time::Instant;
