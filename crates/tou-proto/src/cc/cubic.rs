//! CUBIC (RFC 9438) in integers: a window that grows with time, not with round trips.
//!
//! Must not know how lost data is repaired (RFC 9937 is the connection's) nor when slow start has
//! gone far enough (`hystart.rs` says so).
//!
//! The RFC's windows are in segments and its time in seconds. Here windows are in bytes, so the
//! cubic term is multiplied by the segment size, and the curve's time is in ticks of 2^-20 s:
//! fine enough that the steepest curve a TCP window can have errs by a fraction of a segment, and
//! a power of two, so that the cube of a time is scaled by a shift.

use super::hystart::HyStart;
use super::limits::{Limits, climb, credit};
use super::{AckEvent, CongestionEvent, Controller, PathFacts, RtoEvent, SentEvent};
use crate::time::{Instant, Span, nanos};

/// CUBIC (RFC 9438), its initial slow start by HyStart++ (RFC 9406).
///
/// After a reduction to 7/10 the window returns to where it was along a cubic curve, lingers
/// there, and then looks for more at a growing pace; it never grows slower than Reno would.
///
/// The reduction starts from `cwnd`, not from FlightSize (RFC 9438 §4.6 allows either): a
/// request-response flow that loses one segment of a short answer keeps the window it has earned.
/// The price that section asks is paid: an acknowledgment of data that the application or the
/// peer's window limited grows nothing, so `cwnd` never exceeds what was once filled. Such time,
/// and idle time, does not count on the curve either (RFC 9438 §5.8).
#[derive(Clone, Debug)]
pub struct Cubic {
    window: Window,
    /// The window before the last reduction for loss (RFC 9438 §4.9).
    undo: Option<Window>,
    /// Growth short of a whole byte, in parts of `cwnd`.
    remainder: u64,
    /// Up to when time has been counted, or left out, in `Epoch::elapsed`.
    accounted: Instant,
    limits: Limits,
}

/// A controller is kept with every connection: 160 bytes hold it.
const _: () = assert!(size_of::<Cubic>() <= 160);

/// All that a reduction changes, and a mistaken one must put back.
#[derive(Clone, Copy, Debug)]
struct Window {
    cwnd: u64,
    ssthresh: u64,
    /// `cwnd` when `ssthresh` was last set (RFC 9438 §4.1.2): Reno is caught up with there.
    cwnd_prior: u64,
    /// `W_max`, the curve's plateau, in bytes; zero while undefined (RFC 9438 §4.8, §4.10): the
    /// next epoch then takes its own beginning for it.
    w_max: u64,
    phase: Phase,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// The initial slow start: `ssthresh` has no value yet.
    SlowStart(HyStart),
    /// Fast recovery, or slow start after a timeout or an idle time: the next acknowledgment in
    /// congestion avoidance begins an epoch.
    Waiting,
    /// Congestion avoidance.
    Avoidance(Epoch),
}

/// One congestion avoidance stage (RFC 9438 §4.2).
#[derive(Clone, Copy, Debug)]
struct Epoch {
    /// `t`, in nanoseconds, without the time in which the window was not the limit.
    elapsed: u64,
    /// `K`, in ticks.
    k: u64,
    /// `W_est`, the window Reno would have, in bytes with `EST_BITS` fractional bits: at a
    /// hundred thousand segments an acknowledgment adds a hundredth of a byte.
    w_est: u64,
}

impl Cubic {
    /// A controller for a new connection: the initial window, and no threshold yet.
    #[must_use]
    pub fn new(facts: &PathFacts) -> Self {
        let limits = Limits::new(facts);
        let cwnd = limits.initial_window();
        let window = Window {
            cwnd,
            ssthresh: u64::MAX,
            cwnd_prior: cwnd,
            w_max: 0,
            phase: Phase::SlowStart(HyStart::new()),
        };
        Self { window, undo: None, remainder: 0, accounted: Instant::ZERO, limits }
    }

    /// HyStart++ has seen the queue grow: the window is the threshold (RFC 9406 §4.2), and the
    /// plateau is here (RFC 9438 §4.10).
    fn leave_initial_slow_start(&mut self) {
        let window = &mut self.window;
        window.ssthresh = window.cwnd.max(self.limits.min_ssthresh());
        window.cwnd_prior = window.cwnd;
        window.w_max = 0;
        window.phase = Phase::Waiting;
    }

    /// Slow start; returns the bytes acknowledged beyond the threshold.
    fn slow_start(&mut self, event: &AckEvent) -> u64 {
        let divisor = match &self.window.phase {
            Phase::SlowStart(hystart) => hystart.growth_divisor(),
            _ => 1,
        };
        let credit = self.limits.slow_start_credit(event, self.window.ssthresh) / divisor;
        climb(&mut self.window.cwnd, self.window.ssthresh, credit)
    }

    /// Congestion avoidance (RFC 9438 §4.2 to §4.5) for `acked` bytes.
    #[inline(never)]
    fn avoid(&mut self, event: &AckEvent, acked: u64, waited: Span) {
        let mss = self.limits.mss();
        let window = &mut self.window;
        let mut epoch = match window.phase {
            Phase::Avoidance(epoch) => epoch.after(waited),
            _ => Epoch::begin(window, mss),
        };
        let cwnd = window.cwnd;
        let acked = acked.min(cwnd);
        epoch.grow_estimate(acked, window, mss);
        window.phase = Phase::Avoidance(epoch);

        let w_est = epoch.estimate();
        if w_cubic(window.w_max, epoch.k, epoch.elapsed, mss) < w_est {
            // §4.3, the Reno-friendly region. The window may be ahead, having aimed for a round
            // trip later; it does not fall back.
            if w_est > cwnd {
                window.cwnd = w_est;
                self.remainder = 0;
            }
            return;
        }
        // §4.2, §4.4, §4.5: towards where the curve will be a round trip from now, at a pace that
        // arrives there when this window has been acknowledged, and slower than slow start.
        let ahead = epoch.elapsed.saturating_add(event.srtt.map_or(0, nanos));
        let target =
            w_cubic(window.w_max, epoch.k, ahead, mss).clamp(cwnd, cwnd.saturating_add(cwnd / 2));
        let growth = u128::from(acked) * u128::from(target - cwnd) + u128::from(self.remainder);
        window.cwnd = cwnd.saturating_add(saturate(growth / u128::from(cwnd)));
        self.remainder = saturate(growth % u128::from(cwnd));
    }

    /// Leaves the time since the last event out of the curve.
    fn leave_out_time(&mut self, now: Instant) {
        self.accounted = self.accounted.max(now);
    }

    /// Remembers the window for an undo, and reduces the threshold to 7/10 of `base`.
    fn reduce(&mut self, base: u64) {
        self.undo = Some(self.window);
        let window = &mut self.window;
        window.cwnd_prior = window.cwnd;
        window.ssthresh = times_beta(base).max(self.limits.min_ssthresh());
        window.phase = Phase::Waiting;
        self.remainder = 0;
    }
}

impl Controller for Cubic {
    fn on_sent(&mut self, event: &SentEvent) {
        // The first data after nothing was in flight: the time before it was idle.
        if event.in_flight <= event.bytes {
            self.leave_out_time(event.now);
        }
    }

    fn on_ack(&mut self, event: &AckEvent) {
        self.limits.note_round_trip(event);
        let waited = event.now.span_since(self.accounted);
        self.leave_out_time(event.now);
        if event.in_recovery {
            return;
        }
        // Round trips tell of queues whether or not the window was the limit.
        if let Phase::SlowStart(hystart) = &mut self.window.phase
            && hystart.on_ack(event)
        {
            self.leave_initial_slow_start();
        }
        if event.app_limited {
            return;
        }
        let acked = if self.window.cwnd < self.window.ssthresh {
            self.slow_start(event)
        } else {
            credit(event)
        };
        if acked > 0 {
            self.avoid(event, acked, waited);
        } else if let Phase::Avoidance(epoch) = &mut self.window.phase {
            // A duplicate acknowledgment: nothing grows, and time goes on.
            *epoch = epoch.after(waited);
        }
    }

    fn on_congestion(&mut self, event: &CongestionEvent) {
        let cwnd = self.window.cwnd;
        // §4.7, fast convergence: a window that did not regain its plateau has a new neighbour,
        // and makes room for it.
        let w_max =
            if cwnd < self.window.w_max { cwnd - (cwnd - times_beta(cwnd)) / 2 } else { cwnd };
        self.reduce(cwnd);
        self.window.w_max = w_max;
        if event.ecn {
            // §4.6: marks can bring the window down to one segment. They are never spurious.
            self.window.cwnd = times_beta(cwnd).max(self.limits.mss());
            self.undo = None;
        } else {
            self.window.cwnd = self.window.ssthresh;
        }
    }

    fn on_rto(&mut self, event: &RtoEvent) {
        if event.first {
            // §4.8. Where an earlier reduction has already made `cwnd` smaller than what is
            // outstanding, FlightSize tells the window that was lost: it is not reduced twice.
            self.reduce(event.flight_size.max(self.window.cwnd));
            self.window.w_max = 0;
        }
        // RFC 5681 §3.1: the loss window is one segment.
        self.window.cwnd = self.limits.mss();
        self.window.phase = Phase::Waiting;
        self.remainder = 0;
    }

    /// RFC 9438 §4.9. The curve goes on from where it was left: the time since is not counted.
    fn on_spurious(&mut self, now: Instant) {
        if let Some(before) = self.undo.take()
            && self.window.cwnd < before.cwnd
        {
            self.window = before;
            self.window.cwnd = before.cwnd.max(self.limits.mss());
            self.window.ssthresh = before.ssthresh.max(self.limits.min_ssthresh());
            self.remainder = 0;
            self.leave_out_time(now);
        }
    }

    fn on_idle(&mut self, _now: Instant) {
        let window = &mut self.window;
        if let Some((cwnd, ssthresh)) = self.limits.after_idle(window.cwnd, window.ssthresh) {
            (window.cwnd, window.ssthresh) = (cwnd, ssthresh);
            window.phase = match window.phase {
                Phase::SlowStart(_) => Phase::SlowStart(HyStart::new()),
                _ => Phase::Waiting,
            };
            self.remainder = 0;
            self.undo = None;
        }
    }

    fn on_mss(&mut self, mss: u64) {
        self.limits.set_mss(mss);
        let window = &mut self.window;
        window.cwnd = window.cwnd.max(self.limits.mss());
        window.ssthresh = window.ssthresh.max(self.limits.min_ssthresh());
        // K was reckoned in the old segments. Below the plateau a new epoch leads from here to
        // the same plateau in the new ones; above it the curve only becomes a little steeper or
        // flatter.
        if matches!(window.phase, Phase::Avoidance(_)) && window.cwnd < window.w_max {
            window.phase = Phase::Waiting;
        }
    }

    fn cwnd(&self) -> u64 {
        self.window.cwnd
    }

    fn ssthresh(&self) -> u64 {
        self.window.ssthresh
    }

    fn pacing_rate(&self) -> Option<u64> {
        self.limits.pacing_rate(self.window.cwnd, self.window.ssthresh)
    }

    fn name(&self) -> &'static str {
        "cubic"
    }
}

impl Epoch {
    /// Begins congestion avoidance at the present window (RFC 9438 §4.2).
    ///
    /// Where the plateau is undefined or already passed, it is here, and `K` is zero (§4.8, §4.10).
    fn begin(window: &mut Window, mss: u64) -> Self {
        window.w_max = window.w_max.max(window.cwnd);
        let k = time_to_cover(window.w_max - window.cwnd, mss);
        Self { elapsed: 0, k, w_est: window.cwnd.min(u64::MAX >> EST_BITS) << EST_BITS }
    }

    /// The same, `waited` later.
    fn after(self, waited: Span) -> Self {
        Self { elapsed: self.elapsed.saturating_add(waited.as_nanos()), ..self }
    }

    /// RFC 9438 §4.3: the window of a Reno flow that reduces as little as CUBIC does, and so must
    /// grow more slowly, by alpha = 3 (1 - beta) / (1 + beta) = 9/17 of a segment a round trip, until
    /// it is back where both were; then by one segment, as Reno.
    fn grow_estimate(&mut self, acked: u64, window: &Window, mss: u64) {
        let (num, den) = if self.estimate() >= window.cwnd_prior { (1, 1) } else { (9, 17) };
        let bytes = (u128::from(acked) * u128::from(mss) * num) << EST_BITS;
        let growth = bytes / (u128::from(window.cwnd) * den);
        self.w_est = self.w_est.saturating_add(saturate(growth));
    }

    /// `W_est` in whole bytes.
    fn estimate(&self) -> u64 {
        self.w_est >> EST_BITS
    }
}

const EST_BITS: u32 = 16;

/// Curve time is in ticks of 2^-20 s, about a microsecond.
const TICK_BITS: u32 = 20;

/// The longest time on a curve, some 18 hours: its cube times any segment size fits 128 bits. A
/// curve of that length covers 10^14 segments.
const MAX_TICKS: u64 = 1 << 36;

/// Nanoseconds in ticks.
fn ticks(nanos: u64) -> u64 {
    const NANOS: u64 = 1_000_000_000;
    let whole = (nanos / NANOS) << TICK_BITS;
    let part = ((nanos % NANOS) << TICK_BITS) / NANOS;
    (whole + part).min(MAX_TICKS)
}

/// `C * (time)^3` in bytes, C = 0.4 segments a cubic second (RFC 9438 §4.1.1), for `time` in ticks.
fn cubic_term(time: u64, mss: u64) -> u64 {
    let time = u128::from(time.min(MAX_TICKS));
    let cube = (time * time * time).saturating_mul(u128::from(mss) * 2);
    saturate((cube >> (3 * TICK_BITS)) / 5)
}

/// `K` for `distance` bytes below the plateau, in ticks: the inverse of `cubic_term`
/// (RFC 9438 §4.2 equation 2).
fn time_to_cover(distance: u64, mss: u64) -> u64 {
    let cube = ((u128::from(distance) * 5) << (3 * TICK_BITS)) / (u128::from(mss) * 2);
    cube_root(cube).min(MAX_TICKS)
}

/// `W_cubic(elapsed)` in bytes, for nanoseconds since the epoch (RFC 9438 §4.2 equation 1).
fn w_cubic(w_max: u64, k: u64, elapsed: u64, mss: u64) -> u64 {
    let t = ticks(elapsed);
    if t >= k {
        w_max.saturating_add(cubic_term(t - k, mss))
    } else {
        w_max.saturating_sub(cubic_term(k - t, mss))
    }
}

/// The largest integer whose cube is at most `n`, bit by bit. Once an epoch.
fn cube_root(n: u128) -> u64 {
    let mut root = 0_u128;
    for bit in (0..=42).rev() {
        let larger = root | 1 << bit;
        // A cube too large for 128 bits is larger than n.
        if (larger * larger).checked_mul(larger).is_some_and(|cube| cube <= n) {
            root = larger;
        }
    }
    saturate(root)
}

/// `beta_cubic * window`, beta = 0.7 (RFC 9438 §4.6).
fn times_beta(window: u64) -> u64 {
    window / 10 * 7 + window % 10 * 7 / 10
}

fn saturate(value: u128) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
