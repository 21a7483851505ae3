//! Loss and its repair (RFC 5681, 6298, 6582, 6675, 8985, 9937), seen from
//! outside.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use core::time::Duration;
use std::sync::Arc;

use tou_proto::cc::CongestionControl;
use tou_proto::wire::SegmentFlags;
use tou_proto::{ConnId, ConnectionConfig, ConnectionInfo, Instant};
use tou_sim::script::{Script, ack, syn};
use tou_sim::{Knobs, Manners, Pair, PairBuilder, Talk, presets};

/// Ten segments of 1,000 octets have just been sent, 100 ms after the SYN-ACK
/// gave the first round-trip sample.
fn ten_in_flight(config: Arc<ConnectionConfig>) -> (Script, ConnId) {
    let mut script = Script::with_connection(config);
    script.listen(1);
    script.inject(syn(0).mss(1_000).sack_ok());
    script.expect(tou_sim::script::syn_ack(0, 1));
    script.advance(100);
    script.inject(ack(1, 1));
    let conn = script.accept();
    script.host.write(conn, &tou_sim::script::pattern(1, 20_000)).unwrap();
    for index in 0..10 {
        script.expect(ack(1 + 1_000 * index, 1).len(1_000));
    }
    script.expect_nothing();
    (script, conn)
}

fn counters(script: &Script, conn: ConnId) -> tou_proto::ConnectionCounters {
    script.host.info(conn).unwrap().counters
}

#[test]
fn third_selective_acknowledgment_above_a_hole_retransmits_it() {
    let (mut script, conn) = ten_in_flight(presets::sack_only());
    script.advance(100);
    script.inject(ack(1, 1).sack(&[(1_001, 2_001)]));
    // Limited transmit (RFC 3042): new data for each.
    script.expect(ack(10_001, 1).len(1_000));
    script.inject(ack(1, 1).sack(&[(1_001, 3_001)]));
    script.expect(ack(11_001, 1).len(1_000));
    script.inject(ack(1, 1).sack(&[(1_001, 4_001)]));
    script.expect(ack(1, 1).len(1_000));
    let counters = counters(&script, conn);
    assert_eq!((counters.fast_recoveries, counters.timeouts), (1, 0));
    // CUBIC's beta: to 70 % of what was in flight (RFC 9438 §4.6).
    let info = script.host.info(conn).unwrap();
    assert!((6_900..=8_400).contains(&info.ssthresh), "{}", info.ssthresh);
}

#[test]
fn several_holes_are_filled_within_one_recovery() {
    let (mut script, conn) = ten_in_flight(presets::sack_only());
    script.advance(100);
    script.inject(ack(1, 1).sack(&[(2_001, 3_001), (4_001, 5_001), (6_001, 10_001)]));
    let mut retransmitted = std::collections::BTreeSet::new();
    for _ in 0..10 {
        for (header, data) in script.take_output() {
            if header.seq.get() < 10_001 && !data.is_empty() {
                retransmitted.insert(header.seq.get());
            }
        }
        script.advance(20);
        script.inject_loosely(ack(1, 1).sack(&[(2_001, 3_001), (4_001, 5_001), (6_001, 11_001)]));
    }
    assert_eq!(Vec::from_iter(retransmitted), [1, 1_001, 3_001, 5_001]);
    assert_eq!(counters(&script, conn).fast_recoveries, 1);
}

#[test]
fn without_sack_the_third_duplicate_retransmits_and_partial_acks_go_on() {
    // RFC 6582.
    let (mut script, conn) = ten_in_flight(presets::plain());
    script.advance(100);
    script.inject(ack(1, 1));
    script.expect(ack(10_001, 1).len(1_000));
    script.inject(ack(1, 1));
    script.expect(ack(11_001, 1).len(1_000));
    script.inject(ack(1, 1));
    script.expect(ack(1, 1).len(1_000));
    for _ in 0..7 {
        script.inject_loosely(ack(1, 1));
    }
    script.take_output();
    // The fifth was lost as well.
    script.inject(ack(1, 4_001));
    let sent = script.take_output();
    assert_eq!(sent[0].0.seq.get(), 4_001, "the partial acknowledgment's hole goes first");
    script.inject(ack(1, 12_001));
    let counters = counters(&script, conn);
    assert_eq!((counters.fast_recoveries, counters.timeouts), (1, 0));
}

#[test]
fn timeout_retransmits_the_first_segment_alone_and_doubles() {
    let (mut script, conn) = ten_in_flight(presets::plain());
    let first = script.expect_eventually(ack(1, 1).len(1_000));
    // RFC 6298: SRTT + 4 RTTVAR = 100 + 200 ms after the first sample.
    assert_eq!(first, Duration::from_millis(300));
    script.expect_nothing();
    let second = script.expect_eventually(ack(1, 1).len(1_000));
    let third = script.expect_eventually(ack(1, 1).len(1_000));
    assert_eq!((second, third), (2 * first, 4 * first));
    let info = script.host.info(conn).unwrap();
    assert_eq!(info.counters.timeouts, 3);
    assert_eq!(info.cwnd, 1_000);
    // Slow start from there.
    script.inject(ack(1, 1_001));
    assert_eq!(script.take_output().len(), 2);
}

#[test]
fn tail_loss_is_probed_before_the_timeout() {
    // RFC 8985 §7.
    let (mut script, conn) = ten_in_flight(presets::sack_only());
    script.advance(100);
    script.inject(ack(1, 10_001));
    let sent = script.take_output();
    assert_eq!(sent.len(), 10, "slow start, and then all was written");
    script.advance(100);
    // All but the last arrives.
    script.inject(ack(1, 19_001));
    let gap = script.expect_eventually(ack(19_001, 1).len(1_000));
    assert!(gap < Duration::from_millis(450), "{gap:?}");
    let counters = counters(&script, conn);
    assert_eq!((counters.tail_probes, counters.timeouts), (1, 0));
}

#[test]
fn tail_is_not_probed_before_the_peer_was_scheduled() {
    // RFC 8985 §7.2 has no floor of its own; this path has a round trip of
    // nothing at all.
    let mut script = Script::with_connection(presets::sack_only());
    let conn = script.establish(syn(0).mss(1_000).sack_ok());
    script.host.write(conn, &[1; 3_000]).unwrap();
    assert_eq!(script.take_output().len(), 3);
    script.expect_after(2, ack(2_001, 1).data(vec![1; 1_000]));
}

#[test]
fn spurious_timeout_is_found_out_by_timestamps() {
    // RFC 3522, RFC 4015.
    let config = presets::plain_builder().with_timestamps(true).build().unwrap();
    let mut script = Script::with_connection(config);
    let conn = script.establish(syn(0).mss(1_012).ts(1_000, 0));
    script.host.write(conn, &[1; 10_000]).unwrap();
    let sent = script.take_output();
    let original = sent[0].0.options.timestamps.unwrap().tsval;
    let before = script.host.info(conn).unwrap().cwnd;
    script.expect_eventually(ack(1, 1).any_data());
    assert!(script.host.info(conn).unwrap().cwnd < before);
    // What comes now answers the first transmission: its timestamp says so.
    let base = original.wrapping_sub(script.first_tsval());
    script.advance(5);
    script.inject(ack(1, 1_001).ts(2_000, base));
    let info = script.host.info(conn).unwrap();
    assert_eq!(info.counters.spurious_recoveries, 1);
    assert!(info.cwnd >= before, "{} of {before}", info.cwnd);
}

/// Client to server, default configuration; what the client counted, and how
/// long it took.
fn transfer(
    seed: u64,
    octets: usize,
    path: Knobs,
    config: Arc<ConnectionConfig>,
) -> (ConnectionInfo, Duration) {
    transfer_between(Pair::builder(seed).connection(config).path(path), octets)
}

fn transfer_between(pair: PairBuilder, octets: usize) -> (ConnectionInfo, Duration) {
    let mut pair = pair.build();
    let (client, server) = pair.connect();
    let said: Vec<u8> = (0..octets).map(|at| (at % 253) as u8).collect();
    let mut from = Talk::new(client, said.clone(), Manners::default());
    let mut to = Talk::new(server, Vec::new(), Manners::default());
    let start = pair.now();
    let mut info = None;
    pair.run_until(|pair| {
        let now = pair.now();
        from.pump(now, pair.client());
        to.pump(now, pair.server());
        info = pair.client().info(client).or(info);
        to.received().len() == octets
    });
    assert!(to.received() == said);
    (info.unwrap(), pair.now().saturating_since(start))
}

#[test]
fn losses_are_repaired_without_timeouts() {
    let path = Knobs { loss: 0.01, rate: 10_000_000, ..Knobs::default() };
    for seed in 0..5 {
        let (info, _) = transfer(seed, 2_000_000, path.clone(), Arc::default());
        let counters = info.counters;
        assert!(counters.fast_recoveries > 0, "{counters:?}");
        assert!(counters.timeouts <= 1, "seed {seed}: {counters:?}");
        // Sent again is what was lost, and little more.
        assert!(counters.segments_retransmitted < 40, "seed {seed}: {counters:?}");
    }
}

/// Windows are of a few segments then, and the least timeout is 200 round trips: one
/// for a hundred segments would take most of the time.
#[test]
fn losses_on_short_paths_are_repaired_without_timeouts() {
    for (loss, limit) in [(0.02, 300), (0.05, 700), (0.1, 1_500)] {
        let path = Knobs { loss, delay: Duration::from_micros(500), ..Knobs::default() };
        for seed in 0..5 {
            let (info, took) = transfer(seed, 2_000_000, path.clone(), Arc::default());
            let counters = info.counters;
            assert!(counters.fast_recoveries > 0, "{counters:?}");
            // One may be the SYN's.
            assert!(counters.timeouts <= 1, "{loss}, seed {seed}: {counters:?}");
            assert!(took < Duration::from_millis(limit), "{loss}, seed {seed}: {took:?}");
        }
    }
}

#[test]
fn reordering_is_not_taken_for_loss_for_long() {
    let calm = Knobs { rate: 10_000_000, ..Knobs::default() };
    let wild = Knobs { reorder: 0.05, reorder_delay: Duration::from_millis(4), ..calm.clone() };
    let (_, calm) = transfer(1, 4_000_000, calm, Arc::default());
    let (info, wild) = transfer(1, 4_000_000, wild, Arc::default());
    assert!(info.reordering_seen);
    assert!(wild < 2 * calm, "{wild:?} against {calm:?}");
    assert_eq!(info.counters.timeouts, 0);
}

#[test]
fn duplicates_are_no_sign_of_loss() {
    let path = Knobs { duplicate: 0.2, rate: 10_000_000, ..Knobs::default() };
    let (info, _) = transfer(1, 1_000_000, path, Arc::default());
    assert_eq!((info.counters.segments_retransmitted, info.counters.timeouts), (0, 0));
}

#[test]
fn bursts_of_loss_are_survived_by_every_kind_of_sender() {
    let path = Knobs { loss: 0.02, loss_burst: 6.0, rate: 5_000_000, ..Knobs::default() };
    for (seed, sack) in [(1, true), (2, false)] {
        for congestion in [CongestionControl::Cubic, CongestionControl::Reno] {
            let config = ConnectionConfig::builder().with_sack(sack).with_congestion(congestion);
            let (_, took) = transfer(seed, 500_000, path.clone(), config.build().unwrap());
            assert!(took < Duration::from_secs(60), "{took:?}");
        }
    }
}

#[test]
fn each_segment_of_a_batch_out_of_order_is_a_duplicate_to_a_peer_without_sack() {
    // RFC 5681 §3.2: with fewer than three, the timer has to find each loss.
    let path = Knobs { loss: 0.06, delay: Duration::from_millis(20), ..Knobs::default() };
    let (mut fast_recoveries, mut timeouts) = (0, 0);
    for seed in 0..20 {
        let config = ConnectionConfig::builder().with_sack(false).build().unwrap();
        let pair = Pair::builder(seed).connection(config).path(path.clone()).batch(true);
        let (info, _) = transfer_between(pair, 400_000);
        fast_recoveries += info.counters.fast_recoveries;
        timeouts += info.counters.timeouts;
    }
    // The other timeouts are of retransmissions and of windows too small for three.
    assert!(fast_recoveries > timeouts, "{fast_recoveries} and {timeouts}");
}

#[test]
fn window_grows_where_whole_batches_are_acknowledged() {
    // 100 Mbit/s and 100 ms, which hold 1.25 MB, and a receiver that takes in 5 ms'
    // worth at a time: an acknowledgment leaves room for a batch, and for some more
    // that waits for the next. Ten megabytes take 0.8 s at full rate.
    let path = Knobs {
        rate: 12_500_000,
        delay: Duration::from_millis(50),
        coalesce: Duration::from_millis(5),
        ..Knobs::default()
    };
    for congestion in [CongestionControl::Cubic, CongestionControl::Reno] {
        let config = ConnectionConfig::builder().with_congestion(congestion).build().unwrap();
        let pair = Pair::builder(1).connection(config).path(path.clone()).batch(true);
        let (info, took) = transfer_between(pair, 10_000_000);
        assert!(info.cwnd > 900_000, "{} octets with {}", info.cwnd, info.congestion);
        assert!(took < Duration::from_millis(2_100), "{took:?} with {}", info.congestion);
    }
}

#[test]
fn bottleneck_queue_is_shared_with_its_link() {
    // A path of 8 Mbit/s and 40 ms with a queue of one round trip: nearly full,
    // whatever is lost in it.
    let path = Knobs {
        rate: 1_000_000,
        delay: Duration::from_millis(20),
        queue: 40_000,
        ..Knobs::default()
    };
    for congestion in [CongestionControl::Cubic, CongestionControl::Reno] {
        let config = ConnectionConfig::builder().with_congestion(congestion).build().unwrap();
        let (info, took) = transfer(3, 8_000_000, path.clone(), config);
        let goodput = 8_000_000.0 / took.as_secs_f64();
        assert!(goodput > 800_000.0, "{goodput:.0} bytes/s with {}", info.congestion);
        assert!(info.counters.timeouts <= 1, "{:?}", info.counters);
    }
}

#[test]
fn outage_is_waited_out() {
    let mut pair = Pair::new(9);
    let (client, server) = pair.connect();
    let mut from = Talk::new(client, vec![7; 1_000_000], Manners::default());
    let mut to = Talk::new(server, Vec::new(), Manners::default());
    pair.to_server().rate = 1_000_000;
    let mut outage = 0;
    pair.run_until(|pair| {
        let now = pair.now();
        from.pump(now, pair.client());
        to.pump(now, pair.server());
        if outage == 0 && to.received().len() > 300_000 {
            outage = now.as_millis();
            pair.both(|knobs| knobs.outage = true);
            pair.world.set_alarm(now + Duration::from_secs(20));
        }
        if outage > 0 && now.as_millis() >= outage + 20_000 {
            pair.both(|knobs| knobs.outage = false);
        }
        to.received().len() == 1_000_000
    });
    // The timer has backed off, but not for longer than the outage lasted.
    let took = pair.now().as_millis() - outage;
    assert!((20_000..45_000).contains(&took), "{took} ms");
}

#[test]
fn black_hole_for_full_segments_is_found_and_left() {
    let path = Knobs { mtu_drop: Some(1_280), ..Knobs::default() };
    let (info, took) = transfer(1, 100_000, path, Arc::default());
    assert_eq!(info.counters.mtu_fallbacks, 1);
    assert_eq!(info.mss, 1_200 - 32);
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn black_hole_is_found_by_a_segment_that_is_not_quite_full() {
    // RFC 8899 §4.3: what counts is that it is larger than what every path
    // carries. The last segment of a response seldom is full.
    let mut script = Script::with_connection(presets::plain());
    let conn = script.establish(syn(0).mss(1_452));
    script.host.write(conn, &[1; 1_400]).unwrap();
    script.expect(ack(1, 1).data(vec![1; 1_400]));
    script.expect_eventually(ack(1, 1).data(vec![1; 1_400]));
    script.expect_eventually(ack(1, 1).data(vec![1; 1_180]));
    assert_eq!(counters(&script, conn).mtu_fallbacks, 1);
}

#[test]
fn outage_on_a_path_with_a_black_hole_is_waited_out() {
    // Timeouts of small segments may mean that it was not the size. If it was,
    // this is found out again while there is time (RFC 4821 §7.7).
    for outage in [3, 15, 60] {
        let mut pair = Pair::new(9);
        pair.both(|knobs| knobs.mtu_drop = Some(1_280));
        pair.to_server().rate = 1_000_000;
        let (client, server) = pair.connect();
        let mut from = Talk::new(client, vec![7; 600_000], Manners::default());
        let mut to = Talk::new(server, Vec::new(), Manners::default());
        let mut began = None;
        pair.run_until(|pair| {
            let now = pair.now();
            from.pump(now, pair.client());
            to.pump(now, pair.server());
            let end = began.map(|began: Instant| began + Duration::from_secs(outage));
            if began.is_none() && to.received().len() > 300_000 {
                began = Some(now);
                pair.both(|knobs| knobs.outage = true);
                pair.world.set_alarm(now + Duration::from_secs(outage));
            } else if end.is_some_and(|end| end <= now) {
                pair.both(|knobs| knobs.outage = false);
            }
            to.received().len() == 600_000
        });
        let took = pair.now().saturating_since(began.unwrap());
        assert!(took < Duration::from_secs(3 * outage + 5), "{outage}: {took:?}");
    }
}

#[test]
fn nothing_is_sent_twice_without_a_reason() {
    let path = Knobs { rate: 1_000_000, jitter: Duration::from_millis(8), ..Knobs::default() };
    let mut pair = Pair::builder(4).path(path).build();
    pair.world.trace.set_limit(usize::MAX);
    let (client, server) = pair.connect();
    let mut from = Talk::new(client, vec![7; 200_000], Manners::default());
    let mut to = Talk::new(server, Vec::new(), Manners::default());
    pair.converse(&mut from, &mut to);
    let mut seen = std::collections::BTreeSet::new();
    for record in pair.world.trace.records().filter(|record| !record.payload().is_empty()) {
        let header = record.header().unwrap();
        assert!(seen.insert((record.from, header.seq.get())), "{record}");
    }
    let fins = pair.world.trace.records().filter(|record| {
        record.header().is_some_and(|header| header.flags.contains(SegmentFlags::FIN))
    });
    assert_eq!(fins.count(), 2);
}
