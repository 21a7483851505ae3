//! Congestion control: how much may be in flight.
//!
//! A [`Controller`] knows bytes and time. It must not know segments, sequence numbers, timers or
//! sockets, and it calls nobody: it is told what happened and is asked for its window. All sizes
//! are in bytes of data, TCP headers not counted. Nothing here reads a clock, draws a random
//! number or uses floating point, so a replay computes the same windows.
//!
//! Three controllers may run a connection, as [`CongestionControl`] says: [`Cubic`] (RFC 9438
//! with HyStart++, RFC 9406), [`Reno`] (RFC 5681), or one of the user's.
//!
//! # Who calls what, and when
//!
//! A connection owns one controller and is the only caller.
//!
//! | what happened | call | what it should do |
//! |---|---|---|
//! | data was sent, new or again | [`on_sent`](Controller::on_sent) | note it, if it cares |
//! | new data was acknowledged | [`on_ack`](Controller::on_ack) | grow, unless told not to |
//! | loss starts a fast recovery, or an ECN echo arrived | [`on_congestion`](Controller::on_congestion) | reduce, once |
//! | the retransmission timer expired | [`on_rto`](Controller::on_rto) | fall to one segment |
//! | the last loss was none | [`on_spurious`](Controller::on_spurious) | put back |
//! | data to send after an idle RTO | [`on_idle`](Controller::on_idle) | restart |
//! | the segment size changed | [`on_mss`](Controller::on_mss) | convert units |
//!
//! Within one acknowledgment, `on_spurious` or `on_congestion` comes before `on_ack`, and `on_ack`
//! then says `in_recovery` if an episode runs. While one runs, the connection sends by proportional
//! rate reduction (RFC 9937) towards `ssthresh`, and looks at `cwnd` again when it ends: a
//! controller sets `cwnd` to its final value at once, and leaves it there.
//!
//! `cwnd` and `ssthresh` are read after every call and are cheap. A connection sends while
//! less than `cwnd` is in flight.
//!
//! # A controller of one's own
//!
//! Reno that never exceeds a window its owner knows the path to hold:
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use tou_proto::Instant;
//! use tou_proto::cc::{
//!     AckEvent, CongestionControl, CongestionEvent, Controller, ControllerFactory, PathFacts,
//!     Reno, RtoEvent,
//! };
//!
//! #[derive(Debug)]
//! struct Capped {
//!     inner: Reno,
//!     cap: u64,
//! }
//!
//! impl Controller for Capped {
//!     fn on_ack(&mut self, event: &AckEvent) {
//!         if self.inner.cwnd() < self.cap {
//!             self.inner.on_ack(event);
//!         }
//!     }
//!     fn on_congestion(&mut self, event: &CongestionEvent) {
//!         self.inner.on_congestion(event);
//!     }
//!     fn on_rto(&mut self, event: &RtoEvent) {
//!         self.inner.on_rto(event);
//!     }
//!     fn on_spurious(&mut self, now: Instant) {
//!         self.inner.on_spurious(now);
//!     }
//!     fn on_idle(&mut self, now: Instant) {
//!         self.inner.on_idle(now);
//!     }
//!     fn on_mss(&mut self, mss: u64) {
//!         self.inner.on_mss(mss);
//!     }
//!     fn cwnd(&self) -> u64 {
//!         self.inner.cwnd().min(self.cap)
//!     }
//!     fn ssthresh(&self) -> u64 {
//!         self.inner.ssthresh()
//!     }
//!     fn name(&self) -> &'static str {
//!         "capped reno"
//!     }
//! }
//!
//! /// Makes one for each connection.
//! #[derive(Debug)]
//! struct CappedFactory {
//!     cap: u64,
//! }
//!
//! impl ControllerFactory for CappedFactory {
//!     fn build(&self, facts: &PathFacts) -> Box<dyn Controller> {
//!         Box::new(Capped { inner: Reno::new(facts), cap: self.cap })
//!     }
//! }
//!
//! // For a connection's configuration.
//! let factory = Arc::new(CappedFactory { cap: 30_000 });
//! let _choice = CongestionControl::Custom(factory.clone());
//!
//! // And by hand, as a test of it would.
//! let mut controller = factory.build(&PathFacts::new(1_000, 10_000));
//! let mut ack = AckEvent::new(Instant::ZERO + Duration::from_millis(20));
//! for _ in 0..50 {
//!     (ack.acked, ack.delivered) = (1_000, 1_000);
//!     controller.on_ack(&ack);
//! }
//! assert_eq!(controller.cwnd(), 30_000);
//! ```

mod any;
mod cubic;
mod event;
mod hystart;
mod limits;
mod reno;

use core::fmt::Debug;

use crate::time::Instant;

pub(crate) use self::any::AnyController;
pub use self::any::{CongestionControl, ControllerFactory};
pub use self::cubic::Cubic;
pub use self::event::{AckEvent, CongestionEvent, PathFacts, RtoEvent, SentEvent};
pub use self::reno::Reno;

/// How a user supplies a congestion controller of his own, and how this crate's own are written.
///
/// The contract, for implementers:
///
/// - No call may panic, whatever the numbers in an event: they come from the peer in the end.
/// - `cwnd` is at least one segment. A connection that has less can send nothing, and only its
///   retransmission timer then moves it.
/// - An event with [`app_limited`](AckEvent::app_limited) or
///   [`in_recovery`](AckEvent::in_recovery) set does not grow the window.
/// - Time does not go backwards between calls.
pub trait Controller: Debug + Send + Sync {
    /// Data was sent.
    fn on_sent(&mut self, event: &SentEvent) {
        let _ = event;
    }

    /// New data was acknowledged, cumulatively or selectively.
    fn on_ack(&mut self, event: &AckEvent);

    /// Loss or an ECN mark: reduce, once. Sets `ssthresh` and `cwnd`.
    fn on_congestion(&mut self, event: &CongestionEvent);

    /// The retransmission timer expired: `cwnd` becomes one segment (RFC 5681 §3.1).
    fn on_rto(&mut self, event: &RtoEvent);

    /// The last reduction was a mistake (RFC 4015, RFC 2883): put back what it took away.
    ///
    /// A reduction for an ECN mark is never a mistake.
    fn on_spurious(&mut self, now: Instant) {
        let _ = now;
    }

    /// Nothing was sent for longer than a retransmission timeout (RFC 5681 §4.1): restart from at
    /// most the initial window. Called before the first transmission that ends the silence.
    fn on_idle(&mut self, now: Instant) {
        let _ = now;
    }

    /// The segment size changed to `mss` bytes of data.
    fn on_mss(&mut self, mss: u64);

    /// Congestion window, in bytes.
    fn cwnd(&self) -> u64;

    /// Slow-start threshold, in bytes; `u64::MAX` before the first congestion.
    fn ssthresh(&self) -> u64;

    /// Bytes a second to spread transmissions over, or `None` to send as the window allows.
    fn pacing_rate(&self) -> Option<u64> {
        None
    }

    /// A short name: "cubic".
    fn name(&self) -> &'static str;
}

#[cfg(test)]
mod tests;
