//! TCP over UDP for async programs: the async-io driver of tou.
//!
//! [`TouStream`] and [`TouListener`] are used like the TCP types of any runtime,
//! and return the same kinds of errors. What they send is TCP in UDP datagrams,
//! by [`tou_proto`]; no kernel TCP is involved, and no privilege needed.
//!
//! ```
//! use futures::{AsyncReadExt, AsyncWriteExt, future};
//! use tou_async_io::{TouListener, TouStream};
//!
//! # fn main() -> std::io::Result<()> { async_io::block_on(async {
//! let listener = TouListener::bind(([127, 0, 0, 1], 0))?;
//! let addr = listener.local_addr()?;
//! let server = async {
//!     let (mut stream, _peer) = listener.accept().await?;
//!     let mut name = String::new();
//!     stream.read_to_string(&mut name).await?;
//!     stream.write_all(format!("Hello, {name}!").as_bytes()).await
//! };
//! let client = async {
//!     let mut stream = TouStream::connect(addr).await?;
//!     stream.write_all(b"world").await?;
//!     stream.close().await?;
//!     let mut answer = String::new();
//!     stream.read_to_string(&mut answer).await?;
//!     assert_eq!(answer, "Hello, world!");
//!     Ok(())
//! };
//! future::try_join(server, client).await?;
//! # Ok(()) }) }
//! ```
//!
//! [`TouSocket`] is the UDP port underneath. One socket carries any number of
//! connections, listens and connects at the same time, and can be made from a
//! UDP socket that was bound (and punched through a NAT) elsewhere. A program
//! with many connections should open them through one socket: each
//! [`TouStream::connect`] makes one of its own.
//!
//! # Any runtime
//!
//! smol, the executors of `futures`, Tokio, or none: the crate's `examples` have
//! one for each. Nothing has to be started or polled. Addresses are addresses:
//! to look names up is the runtime's business, or the program's.
//!
//! Streams are [`AsyncRead`](futures_io::AsyncRead) and
//! [`AsyncWrite`](futures_io::AsyncWrite) of `futures`; the `compat` module of
//! `tokio-util` makes Tokio's of them.
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
//! use tou_async_io::tou_proto::{EndpointConfig, Keepalive};
//! use tou_async_io::{TouSocket, default_connection_config};
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
//! The reactor of async-io watches the UDP socket, in the thread that blocks in
//! `async_io::block_on` or `smol::block_on`, or else in a thread that async-io
//! keeps for the whole process. Whichever it is, that thread takes in what has
//! arrived, sends what is due, and wakes the tasks concerned; there is no other
//! hidden thread or task. Under smol the thread that waits is so the one that
//! works; under Tokio each datagram goes through async-io's thread.
//!
//! All sockets of a process share one reactor, and with it one thread at a time.
//! A program that wants a core for each socket, or knows better in another way
//! where the work should be done, awaits [`TouSocket::drive`] in a task of its
//! own. The reactor then only wakes that task.
//!
//! An idle socket wakes nobody. [`TouSocket::driver_counters`] counts.
//!
//! # The end
//!
//! A dropped stream still delivers what was written, as long as the program
//! runs. So the last handle to a socket (stream, listener or [`TouSocket`]) waits
//! for that when it is dropped, and **blocks its thread** meanwhile: while the
//! peer answers, a minute at most, and 5 s if it does not. It blocks only if
//! something is still on its way. Whoever drops the last handle in a task and
//! must not block has several ways out:
//!
//! - keeps a [`TouSocket`] until the end of `main`, so that no stream is the last
//!   handle;
//! - awaits [`TouSocket::close`] first, which tells also whether it worked;
//! - awaits [`TouSocket::drive`]: then the drop leaves the rest to that future,
//!   which ends when everything has arrived;
//! - sets [`Builder::with_close_timeout`](tou_udp::driver::Builder::with_close_timeout)
//!   to zero: then what has not arrived is lost.
//!
//! # Differences from TCP in the kernel
//!
//! - Connections have a user timeout of 30 s and keepalive by default
//!   ([`default_connection_config`]): a peer that is gone is noticed.
//! - Errors of a connection are not forgotten once they were returned: every
//!   further read and write returns them too.
//!
//! # Platforms
//!
//! Unix. Linux is where it is fast.
#![forbid(unsafe_code)]

mod block;
mod drive;
mod engine;
mod hub;
mod listener;
mod shared;
mod socket;
mod split;
mod stream;
mod transfer;
mod wait;
mod waiters;

pub use self::drive::Drive;
pub use self::engine::DriverCounters;
pub use self::listener::{Incoming, TouListener};
pub use self::socket::{Builder, TouSocket};
pub use self::split::{OwnedReadHalf, OwnedWriteHalf, ReuniteError};
pub use self::stream::TouStream;
pub use tou_udp::driver::{ConnectOptions, default_connection_config};
pub use {tou_proto, tou_udp};
