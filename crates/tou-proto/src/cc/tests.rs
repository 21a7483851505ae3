//! What holds for every controller, a simulated path, and events for the tests of each.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use quickcheck::quickcheck;

use super::*;

/// Bytes in a segment.
pub(super) const MSS: u64 = 1_448;

/// The instant `ms` milliseconds after the epoch.
pub(super) fn at(ms: u64) -> Instant {
    Instant::from_millis(ms)
}

/// An acknowledgment of `bytes` at `ms`.
pub(super) fn acked(ms: u64, bytes: u64) -> AckEvent {
    AckEvent { acked: bytes, delivered: bytes, ..AckEvent::new(at(ms)) }
}

/// A loss at `ms` with so many `segments` outstanding.
pub(super) fn loss(ms: u64, segments: u64) -> CongestionEvent {
    CongestionEvent::new(at(ms), segments * MSS)
}

/// A timeout at `ms` with so many `segments` outstanding.
pub(super) fn rto(ms: u64, segments: u64) -> RtoEvent {
    RtoEvent::new(at(ms), segments * MSS)
}

/// A sender that always has data, on a path of unlimited rate and a fixed round trip, which
/// acknowledges every segment and loses some.
pub(super) struct Path<C> {
    pub(super) controller: C,
    pub(super) rtt: Duration,
    pub(super) now: Instant,
    sent: u64,
    recovering: bool,
}

impl<C: Controller> Path<C> {
    pub(super) fn new(controller: C, rtt: Duration) -> Self {
        Self { controller, rtt, now: Instant::from_secs(1), sent: 0, recovering: false }
    }

    /// A round trip; `lost` says of each segment by its number whether it is lost. Returns the
    /// number of segments sent.
    pub(super) fn round(&mut self, lost: &mut impl FnMut(u64) -> bool) -> u64 {
        let window = self.controller.cwnd();
        let segments = (window / MSS).max(1);
        let start = self.now;
        let mut recovers = false;
        for n in 1..=segments {
            self.sent += 1;
            self.now =
                start + self.rtt * u32::try_from(n).unwrap() / u32::try_from(segments).unwrap();
            // The repair of one round's losses takes the next round.
            if lost(self.sent) {
                if !self.recovering && !recovers {
                    self.controller.on_congestion(&CongestionEvent::new(self.now, window));
                }
                recovers = true;
                continue;
            }
            self.controller.on_ack(&AckEvent {
                acked: MSS,
                delivered: MSS,
                prior_in_flight: window,
                in_flight: window - MSS.min(window),
                rtt_sample: Some(self.rtt),
                srtt: Some(self.rtt),
                min_rtt: Some(self.rtt),
                in_recovery: recovers || self.recovering,
                ..AckEvent::new(self.now)
            });
        }
        self.recovering = recovers && !self.recovering;
        segments
    }

    /// Segments sent a round trip, on average over at least `total` of them, after as many
    /// segments again to settle.
    fn average_window(&mut self, total: u64, mut lost: impl FnMut(u64) -> bool) -> f64 {
        while self.sent < total {
            self.round(&mut lost);
        }
        let (mut rounds, mut segments) = (0_u64, 0_u64);
        while segments < total {
            segments += self.round(&mut lost);
            rounds += 1;
        }
        segments as f64 / rounds as f64
    }
}

fn facts() -> PathFacts {
    PathFacts::new(MSS, 10 * MSS)
}

fn close(found: f64, expected: f64, tolerance: f64) -> bool {
    (found / expected - 1.0).abs() < tolerance
}

/// Mathis et al.: segments a round trip = sqrt(3 / 2p).
fn reno_law(period: u64) -> f64 {
    (1.5 * period as f64).sqrt()
}

/// A loss with probability 1/`period`, from a fixed seed.
fn random(period: u64) -> impl FnMut(u64) -> bool {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    move |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33).is_multiple_of(period)
    }
}

/// Losses, as one in so many segments, and how far from the law a window may be. The law knows no
/// recovery: the round trip that repairs a loss does not grow, and weighs most in small windows.
const LOSSES: [(u64, f64); 3] = [(100, 0.2), (1_000, 0.1), (10_000, 0.05)];

#[test]
fn reno_keeps_the_square_root_law() {
    for (period, tolerance) in LOSSES {
        let mut path = Path::new(Reno::new(&facts()), Duration::from_millis(50));
        let found = path.average_window(20 * period, |n| n % period == 0);
        assert!(close(found, reno_law(period), tolerance), "1/{period}: {found}");

        let mut path = Path::new(Reno::new(&facts()), Duration::from_millis(50));
        let found = path.average_window(40 * period, random(period));
        assert!(close(found, reno_law(period), 0.25), "1/{period} at random: {found}");
    }
}

#[test]
fn cubic_is_renos_equal_where_round_trips_are_short() {
    for (period, tolerance) in LOSSES {
        let mut path = Path::new(Cubic::new(&facts()), Duration::from_millis(5));
        let found = path.average_window(20 * period, |n| n % period == 0);
        assert!(close(found, reno_law(period), tolerance), "1/{period}: {found}");
    }
}

/// RFC 9438 §5.1, equation 7 and table 1 (a round trip of 0.1 s).
#[test]
fn cubic_has_the_rfcs_average_window_where_they_are_long() {
    for (period, tolerance) in [(10_000, 0.15), (100_000_u64, 0.08)] {
        let law = 1.054 * (0.1 * period as f64).powf(0.75);
        let mut path = Path::new(Cubic::new(&facts()), Duration::from_millis(100));
        let found = path.average_window(20 * period, |n| n % period == 0);
        assert!(close(found, law, tolerance), "1/{period}: {found}, not {law}");
    }
}

#[test]
fn no_controller_grows_while_limited_elsewhere_or_recovering() {
    for kind in kinds() {
        let mut controller = AnyController::new(&kind, &facts());
        for threshold in [false, true] {
            if threshold {
                controller.on_congestion(&loss(0, 10));
            }
            let before = controller.cwnd();
            for n in 1..1_000 {
                let mut ack = acked(n * 100, MSS);
                (ack.app_limited, ack.in_recovery) = (n % 2 == 0, n % 2 == 1);
                controller.on_ack(&ack);
            }
            assert_eq!(controller.cwnd(), before);
        }
    }
}

#[test]
fn paced_controllers_spread_the_window_over_the_round_trip() {
    for kind in kinds() {
        let mut unpaced = AnyController::new(&kind, &facts());
        let mut paced = AnyController::new(&kind, &facts().with_pacing(true));
        assert_eq!(paced.pacing_rate(), None, "no round trip known");
        let ack = AckEvent { srtt: Some(Duration::from_millis(50)), ..AckEvent::new(at(0)) };
        unpaced.on_ack(&ack);
        paced.on_ack(&ack);
        assert_eq!(unpaced.pacing_rate(), None);
        assert_eq!(paced.pacing_rate(), Some(2 * 20 * 10 * MSS), "twice in slow start");
        paced.on_congestion(&loss(0, 10));
        assert_eq!(paced.pacing_rate(), Some(paced.cwnd() * 20 * 6 / 5));
        // A round trip too short to measure is no division by zero.
        paced.on_ack(&AckEvent { srtt: Some(Duration::ZERO), ..ack });
        assert_eq!(paced.pacing_rate(), Some(paced.cwnd() * 1_000_000 * 6 / 5));
    }
}

#[test]
fn paths_shorter_than_a_pacers_tick_are_not_paced_however_long_their_queues_are() {
    for kind in kinds() {
        let mut paced = AnyController::new(&kind, &facts().with_pacing(true));
        let mut rate = |min_rtt| {
            let min_rtt = Some(Duration::from_micros(min_rtt));
            let srtt = Some(Duration::from_millis(5));
            paced.on_ack(&AckEvent { srtt, min_rtt, ..AckEvent::new(at(0)) });
            paced.pacing_rate()
        };
        assert_eq!(rate(999), None);
        assert_eq!(rate(1_000), Some(2 * 200 * 10 * MSS));
        assert_eq!(rate(999), None);
    }
}

#[test]
fn names_tell_the_controllers_apart() {
    let names: Vec<_> = kinds().iter().map(|k| AnyController::new(k, &facts()).name()).collect();
    assert_eq!(names, ["cubic", "reno", "reno"]);
}

/// Stands for a user's.
#[derive(Debug)]
struct Factory;

impl ControllerFactory for Factory {
    fn build(&self, facts: &PathFacts) -> Box<dyn Controller> {
        Box::new(Reno::new(facts))
    }
}

fn kinds() -> [CongestionControl; 3] {
    [
        CongestionControl::Cubic,
        CongestionControl::Reno,
        CongestionControl::Custom(Arc::new(Factory)),
    ]
}

/// A number of any magnitude, from two arbitrary ones.
fn scaled(value: u64, magnitude: u8) -> u64 {
    value >> (magnitude % 64)
}

type Step = (u8, u8, u64, u64);

/// Does to `controller` what `step` says.
fn apply(controller: &mut AnyController, now: Instant, step: Step) {
    let (what, magnitude, a, b) = step;
    let bytes = scaled(a, magnitude);
    match what % 12 {
        0 => controller.on_congestion(&CongestionEvent {
            ecn: b & 1 == 1,
            ..CongestionEvent::new(now, bytes)
        }),
        1 => controller.on_rto(&RtoEvent { first: b & 1 == 1, ..RtoEvent::new(now, bytes) }),
        2 => controller.on_spurious(now),
        3 => controller.on_idle(now),
        4 => controller.on_mss(bytes),
        5 => controller.on_sent(&SentEvent { bytes, in_flight: b, ..SentEvent::new(now) }),
        _ => controller.on_ack(&AckEvent {
            acked: bytes,
            delivered: scaled(b, magnitude / 2),
            rtt_sample: (b & 1 == 1).then_some(Duration::from_nanos(scaled(b, magnitude))),
            srtt: (b & 2 == 2).then_some(Duration::from_nanos(b)),
            ack_pos: a,
            sent_pos: b,
            app_limited: b & 12 == 12,
            in_recovery: b & 48 == 48,
            after_recovery: b & 64 == 64,
            ..AckEvent::new(now)
        }),
    }
}

quickcheck! {
    fn any_events_keep_the_bounds(steps: Vec<Step>, mss: u64, window: u64, m: u8, paced: bool) -> bool {
        kinds().iter().all(|kind| {
            let path = PathFacts::new(scaled(mss, m), scaled(window, m / 2)).with_pacing(paced);
            let mut controller = AnyController::new(kind, &path);
            let mut now = Instant::ZERO;
            let mut mss = scaled(mss, m).clamp(1, u64::from(u32::MAX));
            steps.iter().all(|&step| {
                now = now + Duration::from_nanos(scaled(step.3, step.1 / 2));
                if step.0 % 12 == 4 {
                    mss = scaled(step.2, step.1).clamp(1, u64::from(u32::MAX));
                }
                apply(&mut controller, now, step);
                let _ = controller.pacing_rate();
                controller.cwnd() >= mss && controller.ssthresh() >= 2 * mss
            })
        })
    }

    /// Realistic numbers go deeper into the states.
    fn growth_is_bounded_by_what_was_acknowledged(steps: Vec<(u8, u16, u8)>) -> bool {
        kinds().iter().all(|kind| {
            let mut controller = AnyController::new(kind, &facts());
            let mut now = Instant::from_secs(1);
            steps.iter().all(|&(what, ms, segments)| {
                now = now + Duration::from_millis(u64::from(ms % 512));
                let before = controller.cwnd();
                let bytes = u64::from(segments) * MSS;
                match what % 16 {
                    0 => controller.on_congestion(&CongestionEvent::new(now, before)),
                    1 => controller.on_rto(&RtoEvent::new(now, before)),
                    2 => controller.on_idle(now),
                    _ => {
                        let srtt = Some(Duration::from_millis(50));
                        controller.on_ack(&AckEvent {
                            acked: bytes, delivered: bytes, srtt, ..AckEvent::new(now)
                        });
                        return controller.cwnd() - before <= bytes.max(MSS);
                    }
                }
                controller.cwnd() <= before.max(2 * MSS)
            })
        })
    }
}
