//! CUBIC against the RFC's formulas in floating point.

use alloc::vec::Vec;

use quickcheck::quickcheck;

use super::*;
use crate::cc::tests::{MSS, Path, acked, at, loss, rto};
use core::time::Duration;

/// The RFC's formulas, in segments and seconds.
mod model {
    pub(super) fn k(w_max: f64, cwnd_epoch: f64) -> f64 {
        ((w_max - cwnd_epoch) / 0.4).cbrt()
    }

    pub(super) fn w_cubic(w_max: f64, k: f64, t: f64) -> f64 {
        0.4 * (t - k).powi(3) + w_max
    }
}

fn segments(bytes: u64) -> f64 {
    bytes as f64 / MSS as f64
}

/// In congestion avoidance, reduced from a window of `before` segments; no epoch yet.
fn reduced(before: u64) -> Cubic {
    let mut cubic = Cubic::new(&PathFacts::new(MSS, before * MSS));
    cubic.on_congestion(&loss(0, before));
    cubic
}

/// The same, with an epoch that has just begun at `ms`.
fn avoiding(before: u64, ms: u64) -> Cubic {
    let mut cubic = reduced(before);
    cubic.on_ack(&acked(ms, 1));
    cubic
}

fn epoch(cubic: &Cubic) -> Epoch {
    match cubic.window.phase {
        Phase::Avoidance(epoch) => epoch,
        other => panic!("not in congestion avoidance: {other:?}"),
    }
}

#[test]
fn curve_follows_the_formula_within_a_segment() {
    for before in [10, 33, 100, 1_000, 7_919, 30_000, 100_000] {
        let mut window = reduced(before).window;
        let cwnd_epoch = segments(window.cwnd);
        let epoch = Epoch::begin(&mut window, MSS);
        let k = model::k(before as f64, cwnd_epoch);
        assert!((epoch.k as f64 / f64::from(1 << TICK_BITS) - k).abs() < 2e-6);
        for step in 0..400 {
            let t = k * f64::from(step) / 200.0;
            let found = segments(w_cubic(window.w_max, epoch.k, (t * 1e9) as u64, MSS));
            let expected = model::w_cubic(before as f64, k, t);
            assert!((found - expected).abs() < 0.1, "{before} at {t}: {found}, not {expected}");
        }
    }
}

#[test]
fn window_follows_the_curve_acknowledgment_by_acknowledgment() {
    let (before, rtt) = (1_000_u64, Duration::from_millis(100));
    let mut path = Path::new(reduced(before), rtt);
    let k = model::k(before as f64, 0.7 * before as f64);
    let start = path.now;
    for _ in 0..150 {
        path.round(&mut |_| false);
        // The window arrives one round trip later where the curve said it would be.
        let t = path.now.saturating_since(start).as_secs_f64();
        let found = segments(path.controller.cwnd());
        let low = model::w_cubic(before as f64, k, t - 0.2);
        let high = model::w_cubic(before as f64, k, t + 0.1);
        assert!(found > low - 2.0 && found < high + 2.0, "{found} at {t}: {low} to {high}");
    }
}

#[test]
fn a_whole_window_arrives_where_the_curve_will_be() {
    let mut cubic = avoiding(1_000, 0);
    let k = model::k(1_000.0, 700.0);
    let srtt = Some(Duration::from_millis(250));
    cubic.on_ack(&AckEvent { srtt, ..acked(2_000, cubic.cwnd()) });
    assert!((segments(cubic.cwnd()) - model::w_cubic(1_000.0, k, 2.25)).abs() < 0.1);
}

#[test]
fn growth_aims_half_as_far_again_at_most() {
    let mut cubic = avoiding(100, 0);
    // Ten minutes on, the curve is far up; but a whole window acknowledged is half a window more.
    let mut ack = acked(600_000, cubic.cwnd());
    let before = cubic.cwnd();
    ack.srtt = Some(Duration::from_millis(100));
    cubic.on_ack(&ack);
    assert_eq!(cubic.cwnd(), before + before / 2);
}

#[test]
fn estimate_grows_by_nine_seventeenths_and_then_by_one() {
    let mut cubic = avoiding(20, 0);
    assert_eq!(cubic.cwnd(), 14 * MSS);
    let mut slow = 0.0;
    let mut fast = 0.0;
    // No time passes: the curve stays below, and Reno's estimate is the window.
    for _ in 0..400 {
        let before = segments(cubic.cwnd());
        cubic.on_ack(&acked(0, MSS));
        let alpha = (segments(cubic.cwnd()) - before) * before;
        if before < 19.9 {
            slow = alpha;
        } else if before > 20.1 {
            fast = alpha;
        }
    }
    assert!(segments(cubic.cwnd()) > 25.0);
    assert!((slow - 9.0 / 17.0).abs() < 0.01, "{slow}");
    assert!((fast - 1.0).abs() < 0.01, "{fast}");
}

#[test]
fn fast_convergence_lowers_the_plateau() {
    let mut cubic = avoiding(100, 0);
    assert_eq!(cubic.window.w_max, 100 * MSS);
    let cwnd = cubic.cwnd();
    cubic.on_congestion(&loss(1, 70));
    assert!(cwnd < 100 * MSS);
    let expected = 0.85 * cwnd as f64;
    assert!((cubic.window.w_max as f64 - expected).abs() < 2.0, "0.85 of the window");
    // A window that passed its plateau keeps it.
    cubic.window.cwnd = 200 * MSS;
    cubic.on_congestion(&loss(2, 200));
    assert_eq!(cubic.window.w_max, 200 * MSS);
}

#[test]
fn reductions_keep_seven_tenths_and_the_floors() {
    let mut cubic = reduced(100);
    assert_eq!((cubic.cwnd(), cubic.ssthresh()), (70 * MSS, 70 * MSS));
    cubic.window.cwnd = 2 * MSS;
    cubic.on_congestion(&loss(0, 2));
    assert_eq!((cubic.cwnd(), cubic.ssthresh()), (2 * MSS, 2 * MSS));
    let mark = CongestionEvent { ecn: true, ..loss(0, 2) };
    cubic.on_congestion(&mark);
    cubic.on_congestion(&mark);
    assert_eq!((cubic.cwnd(), cubic.ssthresh()), (MSS, 2 * MSS));
    cubic.on_spurious(at(1));
    assert_eq!(cubic.cwnd(), MSS, "a mark is never spurious");
}

#[test]
fn timeout_slow_starts_to_the_threshold_and_begins_a_plateau_there() {
    let mut cubic = avoiding(100, 0);
    cubic.on_rto(&rto(10, 70));
    assert_eq!(cubic.cwnd(), MSS);
    let ssthresh = cubic.ssthresh();
    assert!(ssthresh.abs_diff(49 * MSS) < MSS);
    for _ in 0..48 {
        cubic.on_ack(&acked(20, MSS));
    }
    assert_eq!(cubic.cwnd(), ssthresh);
    cubic.on_ack(&acked(30, MSS));
    assert_eq!(epoch(&cubic).k, 0);
    assert_eq!(cubic.window.w_max, ssthresh);
}

#[test]
fn timeout_in_recovery_does_not_reduce_the_same_window_twice() {
    let mut cubic = reduced(100);
    cubic.on_rto(&rto(1, 100));
    assert_eq!((cubic.cwnd(), cubic.ssthresh()), (MSS, 70 * MSS));
    cubic.on_rto(&RtoEvent { first: false, ..rto(2, 1) });
    assert_eq!((cubic.cwnd(), cubic.ssthresh()), (MSS, 70 * MSS));
}

#[test]
fn undo_puts_back_window_and_curve() {
    let mut cubic = avoiding(1_000, 0);
    cubic.on_ack(&acked(2_000, MSS));
    let (window, curve) = (cubic.window, epoch(&cubic));
    type Reduction = fn(&mut Cubic);
    let reductions: [Reduction; 3] = [
        |cubic| cubic.on_congestion(&loss(2_050, 700)),
        |cubic| cubic.on_rto(&rto(2_050, 700)),
        |cubic| {
            cubic.on_rto(&rto(2_050, 700));
            cubic.on_rto(&RtoEvent { first: false, ..rto(2_150, 1) });
            cubic.on_ack(&acked(9_900, MSS));
        },
    ];
    for reduction in reductions {
        let mut cubic = cubic.clone();
        reduction(&mut cubic);
        assert!(cubic.cwnd() < window.cwnd);
        cubic.on_spurious(at(10_000));
        assert_eq!((cubic.cwnd(), cubic.ssthresh()), (window.cwnd, window.ssthresh));
        assert_eq!(cubic.window.cwnd_prior, window.cwnd_prior);
        assert_eq!(cubic.window.w_max, window.w_max);
        // The curve goes on where it was left, eight seconds ago.
        cubic.on_ack(&acked(10_100, 1));
        assert_eq!(epoch(&cubic).elapsed, curve.elapsed + 100_000_000);
        assert_eq!(epoch(&cubic).k, curve.k);
    }
}

#[test]
fn undo_of_the_first_loss_resumes_the_initial_slow_start() {
    let mut cubic = Cubic::new(&PathFacts::new(MSS, 10 * MSS));
    cubic.on_congestion(&loss(0, 10));
    cubic.on_spurious(at(1));
    assert_eq!((cubic.cwnd(), cubic.ssthresh()), (10 * MSS, u64::MAX));
    cubic.on_ack(&acked(2, MSS));
    assert_eq!(cubic.cwnd(), 11 * MSS);
    assert!(matches!(cubic.window.phase, Phase::SlowStart(_)));
}

#[test]
fn undo_leaves_a_window_that_has_outgrown_the_old_one() {
    let mut cubic = avoiding(100, 0);
    cubic.on_congestion(&loss(1, 70));
    cubic.window.cwnd = 80 * MSS;
    let ssthresh = cubic.ssthresh();
    cubic.on_spurious(at(2));
    assert_eq!((cubic.cwnd(), cubic.ssthresh()), (80 * MSS, ssthresh));
}

#[test]
fn limited_and_idle_time_does_not_count_on_the_curve() {
    let mut cubic = avoiding(1_000, 0);
    cubic.on_ack(&acked(100, MSS));
    assert_eq!(epoch(&cubic).elapsed, 100_000_000);
    // Duplicates grow nothing, but their time counts.
    let cwnd = cubic.cwnd();
    cubic.on_ack(&AckEvent { acked: 0, ..acked(150, MSS) });
    assert_eq!((cubic.cwnd(), epoch(&cubic).elapsed), (cwnd, 150_000_000));
    // An hour of little to send.
    for n in 1..=36_000 {
        cubic.on_ack(&AckEvent { app_limited: true, ..acked(150 + n * 100, MSS) });
    }
    cubic.on_ack(&acked(3_600_200, MSS));
    assert_eq!(epoch(&cubic).elapsed, 200_000_000);
    // An hour of nothing at all, then one segment, a second one with it, and an answer.
    let sent = SentEvent { bytes: MSS, in_flight: MSS, ..SentEvent::new(at(7_200_200)) };
    cubic.on_sent(&sent);
    cubic.on_sent(&SentEvent { in_flight: 2 * MSS, now: at(7_200_250), ..sent });
    cubic.on_ack(&acked(7_200_300, MSS));
    assert_eq!(epoch(&cubic).elapsed, 300_000_000);
}

#[test]
fn idle_restarts_slowly_and_keeps_the_plateau() {
    let mut cubic = Cubic::new(&PathFacts::new(MSS, 10 * MSS));
    cubic.window.cwnd = 1_000 * MSS;
    cubic.on_congestion(&loss(0, 1_000));
    cubic.on_ack(&acked(1, MSS));
    cubic.on_idle(at(60_000));
    assert_eq!(cubic.cwnd(), 10 * MSS);
    assert_eq!(cubic.ssthresh(), 700 * MSS, "three quarters of 700 are less than what there was");
    for _ in 0..690 {
        cubic.on_ack(&acked(60_100, MSS));
    }
    assert_eq!(cubic.cwnd(), cubic.ssthresh());
    cubic.on_ack(&acked(60_200, MSS));
    assert_eq!((cubic.window.w_max, epoch(&cubic).elapsed), (1_000 * MSS, 0));
}

#[test]
fn rising_round_trips_end_the_initial_slow_start_without_loss() {
    let mut cubic = Cubic::new(&PathFacts::new(MSS, 10 * MSS));
    let (mut now, mut pos, mut growths) = (0, 1_u64 << 32, Vec::new());
    // A round trip of 20 ms, until a queue builds up at 320 segments.
    for _ in 0..20 {
        if cubic.ssthresh() != u64::MAX {
            break;
        }
        let window = cubic.cwnd();
        let queue_ms = (window / MSS).saturating_sub(320) / 10;
        now += 20 + queue_ms;
        let end = pos + window;
        for n in 1..=window / MSS {
            cubic.on_ack(&AckEvent {
                rtt_sample: Some(Duration::from_millis(20 + queue_ms)),
                ack_pos: pos + n * MSS,
                sent_pos: end + n * MSS,
                ..acked(now, MSS)
            });
        }
        pos = end;
        growths.push(cubic.cwnd() as f64 / window as f64);
    }
    assert!(growths.iter().take(5).all(|&growth| growth == 2.0), "{growths:?}");
    let last = growths.len() - 1;
    assert!(growths[last - 4..last].iter().all(|&growth| growth < 1.3), "{growths:?}");
    // Congestion avoidance from here, with Reno's pace and the plateau at the exit.
    assert!(segments(cubic.ssthresh()) > 320.0);
    assert_eq!(epoch(&cubic).k, 0);
    assert_eq!(cubic.window.cwnd_prior, cubic.ssthresh());
}

#[test]
fn a_new_segment_size_leads_to_the_same_plateau() {
    let mut cubic = avoiding(1_000, 0);
    cubic.on_ack(&acked(1_000, MSS));
    let (cwnd, w_max) = (cubic.cwnd(), cubic.window.w_max);
    cubic.on_mss(1_172);
    assert_eq!(cubic.cwnd(), cwnd);
    cubic.on_ack(&acked(1_100, 1));
    let k = model::k(w_max as f64 / 1_172.0, cwnd as f64 / 1_172.0);
    assert!((epoch(&cubic).k as f64 / f64::from(1 << TICK_BITS) - k).abs() < 1e-3);
    assert_eq!(cubic.window.w_max, w_max);
    // The floors follow the segment size.
    cubic.on_mss(9_000_000);
    assert_eq!((cubic.cwnd(), cubic.ssthresh()), (9_000_000, 18_000_000));
}

quickcheck! {
    fn cube_root_is_exact(high: u64, low: u64, shift: u8) -> bool {
        let n = (u128::from(high) << 64 | u128::from(low)) >> (shift % 128);
        let root = u128::from(cube_root(n));
        // The next cube may be beyond 128 bits, and so beyond n.
        let next = (root + 1).pow(2).checked_mul(root + 1);
        root.pow(3) <= n && next.is_none_or(|next| next > n)
    }

    fn k_inverts_the_cubic_term(distance: u64, mss: u16) -> bool {
        // Up to 10^12 bytes, in segments of at least 64.
        let (distance, mss) = (distance % 1_000_000_000_000, u64::from(mss).max(64));
        let k = time_to_cover(distance, mss);
        let (below, above) = (cubic_term(k, mss), cubic_term(k + 1, mss));
        below <= distance && distance <= above.saturating_add(1)
    }

    fn curve_never_falls(distance: u64, mss: u16, times: Vec<u64>) -> bool {
        let mss = u64::from(mss).max(1);
        let k = time_to_cover(distance, mss);
        let mut times = times;
        times.sort_unstable();
        times.windows(2).all(|t| {
            w_cubic(distance, k, t[0], mss) <= w_cubic(distance, k, t[1], mss)
        })
    }

    fn ticks_are_seconds(nanos: u64) -> bool {
        let nanos = nanos % 60_000_000_000_000;
        let expected = nanos as f64 / 1e9 * f64::from(1 << TICK_BITS);
        (ticks(nanos) as f64 - expected).abs() <= 1.001
    }
}
