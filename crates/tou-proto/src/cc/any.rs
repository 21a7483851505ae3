//! Which controller a connection uses, and the one it has.
//!
//! Must not know what any of them does.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt::Debug;

use super::{AckEvent, CongestionEvent, Controller, Cubic, PathFacts, Reno, RtoEvent, SentEvent};
use crate::time::Instant;

/// Makes the controllers of a configuration.
pub trait ControllerFactory: Debug + Send + Sync {
    /// A controller for one new connection.
    fn build(&self, facts: &PathFacts) -> Box<dyn Controller>;
}

/// Which congestion control a connection uses.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum CongestionControl {
    /// CUBIC (RFC 9438) with HyStart++ (RFC 9406).
    #[default]
    Cubic,
    /// Reno (RFC 5681).
    Reno,
    /// The user's own.
    Custom(Arc<dyn ControllerFactory>),
}

/// The controller of a connection, without a box for those we know.
#[derive(Debug)]
pub(crate) enum AnyController {
    Cubic(Cubic),
    Reno(Reno),
    Custom(Box<dyn Controller>),
}

impl AnyController {
    /// A controller of the chosen kind for a new connection.
    pub(crate) fn new(kind: &CongestionControl, facts: &PathFacts) -> Self {
        match kind {
            CongestionControl::Cubic => Self::Cubic(Cubic::new(facts)),
            CongestionControl::Reno => Self::Reno(Reno::new(facts)),
            CongestionControl::Custom(factory) => Self::Custom(factory.build(facts)),
        }
    }
}

/// The same call to whichever it is.
macro_rules! delegate {
    ($self:ident, $controller:ident => $call:expr) => {
        match $self {
            AnyController::Cubic($controller) => $call,
            AnyController::Reno($controller) => $call,
            AnyController::Custom($controller) => $call,
        }
    };
}

impl Controller for AnyController {
    #[inline]
    fn on_sent(&mut self, event: &SentEvent) {
        delegate!(self, controller => controller.on_sent(event));
    }

    #[inline]
    fn on_ack(&mut self, event: &AckEvent) {
        delegate!(self, controller => controller.on_ack(event));
    }

    fn on_congestion(&mut self, event: &CongestionEvent) {
        delegate!(self, controller => controller.on_congestion(event));
    }

    fn on_rto(&mut self, event: &RtoEvent) {
        delegate!(self, controller => controller.on_rto(event));
    }

    fn on_spurious(&mut self, now: Instant) {
        delegate!(self, controller => controller.on_spurious(now));
    }

    fn on_idle(&mut self, now: Instant) {
        delegate!(self, controller => controller.on_idle(now));
    }

    fn on_mss(&mut self, mss: u64) {
        delegate!(self, controller => controller.on_mss(mss));
    }

    #[inline]
    fn cwnd(&self) -> u64 {
        delegate!(self, controller => controller.cwnd())
    }

    #[inline]
    fn ssthresh(&self) -> u64 {
        delegate!(self, controller => controller.ssthresh())
    }

    #[inline]
    fn pacing_rate(&self) -> Option<u64> {
        delegate!(self, controller => controller.pacing_rate())
    }

    fn name(&self) -> &'static str {
        delegate!(self, controller => controller.name())
    }
}
