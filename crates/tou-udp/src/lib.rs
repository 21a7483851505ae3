//! One UDP socket done well, and the pump that ties it to a datagram machine.
//!
//! [`UdpSocket`] sends and receives in batches: segmentation and receive
//! offload where the kernel has them, single datagrams where it has not, and
//! nothing lost in between. It keeps the local address on multi-homed hosts,
//! passes ECN marks through, and reads the socket's error queue, so that a
//! connect to a closed port fails at once and trouble with one peer never
//! touches another. [`Pump`] moves batches between it and anything that
//! implements [`tou_proto::DatagramMachine`], and says when it wants to be
//! called again; how to wait is its caller's affair. [`Impairment`] makes a
//! good network bad, from a seed, for tests. [`driver`] has what drivers of
//! streams have in common.
//!
//! A whole driver, that waits by sleeping:
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use tou_proto::DatagramMachine;
//! use tou_udp::{Clock, Pump, SocketOptions, UdpSocket};
//!
//! fn drive(machine: impl DatagramMachine) -> std::io::Result<()> {
//!     let any = "[::]:0".parse().unwrap();
//!     let socket = UdpSocket::bind(any, &SocketOptions::default())?;
//!     let mut pump = Pump::new(socket, machine, Clock::start());
//!     loop {
//!         if pump.service()?.more {
//!             continue;
//!         }
//!         // A real driver waits here until the socket is readable, or writable
//!         // if `pump.wants_write()`, or the deadline has come.
//!         let deadline = pump.next_deadline().map(|at| pump.clock().until(at));
//!         let nap = Duration::from_millis(1);
//!         std::thread::sleep(deadline.unwrap_or(nap).min(nap));
//!     }
//! }
//! ```
//!
//! What a UDP checksum of zero would tell cannot be seen from user space.
//! Offloads, error reports and ECN are at their best on Linux; elsewhere what
//! the system lacks is done without.
#![forbid(unsafe_code)]

mod addr;
mod buffers;
mod clock;
mod datagram;
pub mod driver;
mod errqueue;
mod impair;
mod inlet;
mod observe;
mod pump;
mod raw;
mod refusal;
mod reports;
mod send;
mod socket;
mod stats;

pub use self::clock::Clock;
pub use self::datagram::Datagram;
pub use self::impair::{
    Damage, Direction, DropReason, Impairer, Impairment, ImpairmentError, ImpairmentStats,
};
pub use self::inlet::{Inbound, Inlet, Interrupter};
pub use self::observe::{Observer, PumpEvent};
pub use self::pump::{Progress, Pump};
pub use self::raw::{ErrorReport, ErrorSource, Incoming, KernelSocket, Outgoing, RawSocket};
pub use self::send::Sent;
pub use self::socket::{BufferSizes, Received, SocketOptions, UdpSocket};
pub use self::stats::{BatchSizes, SocketStats};
