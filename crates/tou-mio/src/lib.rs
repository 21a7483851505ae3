//! TCP over UDP with the interface of [`std::net`]: the blocking driver of tou.
//!
//! [`TouStream`] and [`TouListener`] are used like std's `TcpStream` and
//! `TcpListener`, and return the same kinds of errors. What they send is TCP in
//! UDP datagrams, by [`tou_proto`]; no kernel TCP is involved, and no privilege
//! needed.
//!
//! ```
//! use std::io::{Read, Write};
//! use std::thread;
//! use tou_mio::{TouListener, TouStream};
//!
//! # fn main() -> std::io::Result<()> {
//! let listener = TouListener::bind("127.0.0.1:0")?;
//! let addr = listener.local_addr()?;
//! let server = thread::spawn(move || -> std::io::Result<()> {
//!     let (mut stream, _peer) = listener.accept()?;
//!     let mut name = String::new();
//!     stream.read_to_string(&mut name)?;
//!     write!(stream, "Hello, {name}!")
//! });
//!
//! let mut stream = TouStream::connect(addr)?;
//! stream.write_all(b"world")?;
//! stream.shutdown(std::net::Shutdown::Write)?;
//! let mut answer = String::new();
//! stream.read_to_string(&mut answer)?;
//! assert_eq!(answer, "Hello, world!");
//! # server.join().unwrap()
//! # }
//! ```
//!
//! [`TouSocket`] is the UDP port underneath. One socket carries any number of
//! connections, listens and connects at the same time, and can be made from a
//! UDP socket that was bound (and punched through a NAT) elsewhere. A program
//! with many connections should open them through one socket: each
//! [`TouStream::connect`] makes one of its own, with a thread and a few
//! descriptors.
//!
//! # Settings
//!
//! [`TouSocket::builder`] has what is decided once for a socket, [`ConnectOptions`] what is
//! for one connection, [`TouStream`] what may change while it lives. The types they take
//! are of [`tou_proto`] and [`tou_udp`]; both are re-exported, so that a program need not
//! name them among its dependencies:
//!
//! ```no_run
//! use std::time::Duration;
//! use tou_mio::tou_proto::{EndpointConfig, Keepalive};
//! use tou_mio::{TouSocket, default_connection_config};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let second = Duration::from_secs(1);
//! let connection = default_connection_config()
//!     .with_connect_timeout(20 * second)
//!     .with_keepalive(Some(Keepalive { idle: 15 * second, interval: 3 * second, probes: 5 }))
//!     .build()?;
//! let endpoint = EndpointConfig::builder().with_mtu(1400).build()?;
//! let socket = TouSocket::builder()
//!     .with_endpoint(endpoint)
//!     .with_connection(connection)
//!     .bind("0.0.0.0:4000")?;
//! let listener = socket.listen()?;
//! # Ok(())
//! # }
//! ```
//!
//! # Threads
//!
//! A thread that waits in a call does the socket's work itself: the datagram it
//! waits for wakes that thread and no other. Each socket also has a background
//! thread that takes over when no thread is in a call, so that acknowledgments,
//! retransmissions, keepalive and accepting go on whatever the program does. It
//! takes over after one to eight milliseconds without a call, and an idle socket
//! wakes no thread at all. [`TouSocket::driver_counters`] counts.
//!
//! # Differences from TCP in the kernel
//!
//! - Connections have a user timeout of 30 s and keepalive by default
//!   ([`default_connection_config`]): a peer that is gone is noticed. The
//!   kernel waits for a quarter of an hour, or for ever.
//! - A dropped stream still delivers what was written, as usual, but only as
//!   long as the program runs. So the last handle to a socket waits for that
//!   when it is dropped: while the peer answers, a minute at most, and 5 s if it
//!   does not ([`Builder::with_close_timeout`]). To know whether it worked, call
//!   [`TouSocket::close`]. Streams that are still held by other threads when
//!   `main` returns are lost with the process.
//! - Errors of a connection are not forgotten once they were returned: every
//!   further read and write returns them too.
//!
//! # Platforms
//!
//! Unix. Linux is where it is fast.
#![forbid(unsafe_code)]

mod engine;
mod hub;
mod listener;
mod shared;
mod socket;
mod stream;
mod transfer;

/// What README.md shows compiles.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
mod readme {}

pub use self::engine::{DriverCounters, Ready};
pub use self::listener::{Incoming, TouListener};
pub use self::socket::{Builder, TouSocket};
pub use self::stream::TouStream;
pub use tou_udp::driver::{ConnectOptions, default_connection_config};
pub use {tou_proto, tou_udp};
