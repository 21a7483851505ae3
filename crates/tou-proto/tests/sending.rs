//! When data goes (RFC 9293 §3.7.4, §3.8.6.2.1, §3.9.1.2): Nagle, cork, PSH,
//! segmentation.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use core::time::Duration;
use std::sync::Arc;

use tou_proto::cc::{
    AckEvent, CongestionControl, CongestionEvent, Controller, ControllerFactory, PathFacts, Reno,
    RtoEvent,
};
use tou_proto::{ConnId, ConnectionConfigBuilder};
use tou_sim::script::{Script, ack, data, syn, syn_ack};
use tou_sim::{Pair, presets};

fn established() -> (Script, ConnId) {
    with(|config| config)
}

fn with(change: impl Fn(ConnectionConfigBuilder) -> ConnectionConfigBuilder) -> (Script, ConnId) {
    let config = change(presets::plain_builder()).build().unwrap();
    Script::established(config, syn(0).mss(1_000))
}

#[test]
fn small_write_goes_at_once_when_nothing_is_in_flight() {
    let (mut script, conn) = established();
    script.host.write(conn, b"a").unwrap();
    script.expect(data(1, 1, "a").psh());
}

#[test]
fn nagle_gathers_small_writes_until_the_acknowledgment() {
    let (mut script, conn) = established();
    script.host.write(conn, b"a").unwrap();
    script.expect(data(1, 1, "a"));
    for piece in [b"b", b"c", b"d"] {
        script.host.write(conn, piece).unwrap();
        script.expect_nothing();
    }
    script.inject(ack(1, 2));
    script.expect(data(2, 1, "bcd"));
}

#[test]
fn nagle_lets_full_segments_go() {
    let (mut script, conn) = established();
    script.host.write(conn, b"a").unwrap();
    script.expect(data(1, 1, "a"));
    script.host.write(conn, &[7; 1_500]).unwrap();
    script.expect(data(2, 1, vec![7; 1_000]));
    script.expect_nothing();
    script.inject(ack(1, 1_002));
    script.expect(data(1_002, 1, vec![7; 500]));
}

#[test]
fn nodelay_sends_small_writes_at_once() {
    let (mut script, conn) = with(|config| config.with_nodelay(true));
    script.host.write(conn, b"a").unwrap();
    script.expect(data(1, 1, "a"));
    script.host.write(conn, b"b").unwrap();
    script.expect(data(2, 1, "b"));
}

#[test]
fn nodelay_switched_on_lets_what_waits_go() {
    let (mut script, conn) = established();
    script.host.write(conn, b"a").unwrap();
    script.expect(data(1, 1, "a"));
    script.host.write(conn, b"b").unwrap();
    script.expect_nothing();
    let (now, endpoint) = script.host.endpoint_mut();
    endpoint.set_nodelay(now, conn, true).unwrap();
    script.expect(data(2, 1, "b"));
}

#[test]
fn cork_holds_small_segments_and_lets_full_ones_go() {
    let (mut script, conn) = with(|config| config.with_nodelay(true));
    let set_cork = |script: &mut Script, cork| {
        let (now, endpoint) = script.host.endpoint_mut();
        endpoint.set_cork(now, conn, cork).unwrap();
    };
    set_cork(&mut script, true);
    script.host.write(conn, &[1; 600]).unwrap();
    script.expect_nothing();
    script.host.write(conn, &[1; 600]).unwrap();
    script.expect(data(1, 1, vec![1; 1_000]));
    script.expect_nothing();
    set_cork(&mut script, false);
    script.expect(data(1_001, 1, vec![1; 200]));
}

#[test]
fn shutdown_lets_everything_go() {
    let (mut script, conn) = established();
    let (now, endpoint) = script.host.endpoint_mut();
    endpoint.set_cork(now, conn, true).unwrap();
    script.host.write(conn, b"a").unwrap();
    script.expect_nothing();
    script.host.shutdown(conn).unwrap();
    script.expect(tou_sim::script::fin(1, 1).data("a"));
}

#[test]
fn push_marks_the_last_of_what_was_written() {
    // RFC 9293 §3.9.1.2, MUST-61.
    let (mut script, conn) = established();
    script.host.write(conn, &[3; 2_500]).unwrap();
    let push: Vec<bool> = script
        .take_output()
        .iter()
        .map(|(header, _)| header.flags.contains(tou_proto::wire::SegmentFlags::PSH))
        .collect();
    assert_eq!(push, [false, false]);
    script.inject(ack(1, 2_001));
    script.expect(data(2_001, 1, vec![3; 500]).psh());
}

#[test]
fn initial_window_is_that_of_rfc_6928() {
    let (mut script, conn) = established();
    script.host.write(conn, &[3; 50_000]).unwrap();
    let sent: usize = script.take_output().iter().map(|(_, data)| data.len()).sum();
    assert_eq!(sent, 10_000);

    let (mut script, conn) = with(|config| config.with_initial_window(3_000));
    script.host.write(conn, &[3; 50_000]).unwrap();
    assert_eq!(script.take_output().len(), 3);
}

#[test]
fn initial_window_is_one_segment_after_a_lost_syn() {
    // RFC 5681 §3.1.
    let mut script = Script::with_connection(presets::plain());
    let conn = script.connect();
    script.expect(syn(0));
    script.expect_after(1_000, syn(0));
    script.inject(syn_ack(0, 1).mss(1_000));
    script.expect(ack(1, 1));
    script.host.write(conn, &[3; 5_000]).unwrap();
    script.expect(data(1, 1, vec![3; 1_000]));
    script.expect_nothing();
}

#[test]
fn segments_leave_room_for_options() {
    // RFC 6691: the MSS does not count options, segments do.
    let config = presets::plain_builder().with_timestamps(true).build().unwrap();
    let mut script = Script::with_connection(config);
    let conn = script.establish(syn(0).mss(1_000).ts(1, 0));
    script.host.write(conn, &[3; 2_000]).unwrap();
    let lengths: Vec<usize> = script.take_output().iter().map(|(_, data)| data.len()).collect();
    assert_eq!(lengths, [988, 988]);
}

#[test]
fn bytes_are_sent_as_copies_are() {
    let (mut script, conn) = established();
    let mut piece = bytes::Bytes::from(vec![9; 1_200]);
    assert_eq!(script.host.write_bytes(conn, &mut piece), Ok(1_200));
    assert!(piece.is_empty());
    script.host.write(conn, &[8; 800]).unwrap();
    script.expect(data(1, 1, vec![9; 1_000]));
    script.expect(data(1_001, 1, [vec![9; 200], vec![8; 800]].concat()));
}

#[test]
fn congestion_window_stays_near_what_the_peers_window_lets_use() {
    // RFC 7661 §4.3 and its reason: a window that was never full is no proof that
    // the path takes more.
    let config = presets::plain_builder()
        .with_recv_buffer(16_384, 16_384)
        .with_send_buffer(1 << 20, 1 << 22)
        .build()
        .unwrap();
    let mut pair = Pair::builder(3).connection(config).build();
    let (client, server) = pair.connect();
    for _ in 0..500 {
        let _ = pair.client().write(client, &[1; 60_000]);
        pair.run_for(Duration::from_millis(4));
        pair.server().read_all(server).1.unwrap_err();
    }
    let info = pair.client().info(client).unwrap();
    assert!(info.counters.bytes_acked > 500_000, "{:?}", info.counters);
    assert!(info.cwnd <= 2 * 16_384 + 2_000, "{}", info.cwnd);
    // The send buffer follows the congestion window.
    assert!(info.send_queue <= 1 << 20, "{}", info.send_queue);
}

#[test]
fn no_more_waits_to_be_sent_than_two_of_the_peers_windows() {
    const WINDOW: u64 = 60_000;
    let config = presets::plain_builder()
        .with_recv_buffer(WINDOW, WINDOW)
        .with_send_buffer(8_192, 1 << 22)
        .build()
        .unwrap();
    let mut pair = Pair::builder(3).connection(config).build();
    let (client, server) = pair.connect();
    let mut largest = 0;
    for _ in 0..500 {
        while pair.client().write(client, &[1; 10_000]).is_ok() {}
        largest = largest.max(pair.client().info(client).unwrap().send_queue);
        pair.run_for(Duration::from_millis(4));
        pair.server().read_all(server).1.unwrap_err();
    }
    let cwnd = pair.client().info(client).unwrap().cwnd;
    assert!(cwnd > WINDOW + WINDOW / 4, "{cwnd} is not what limits");
    assert!((WINDOW..=2 * WINDOW).contains(&largest), "{largest}");
}

/// Reno at 100 kB/s.
#[derive(Debug)]
struct Paced(Reno);

impl Controller for Paced {
    fn on_ack(&mut self, event: &AckEvent) {
        self.0.on_ack(event);
    }
    fn on_congestion(&mut self, event: &CongestionEvent) {
        self.0.on_congestion(event);
    }
    fn on_rto(&mut self, event: &RtoEvent) {
        self.0.on_rto(event);
    }
    fn on_mss(&mut self, mss: u64) {
        self.0.on_mss(mss);
    }
    fn cwnd(&self) -> u64 {
        self.0.cwnd()
    }
    fn ssthresh(&self) -> u64 {
        self.0.ssthresh()
    }
    fn name(&self) -> &'static str {
        "paced"
    }
    fn pacing_rate(&self) -> Option<u64> {
        Some(100_000)
    }
}

#[derive(Debug)]
struct PacedFactory;

impl ControllerFactory for PacedFactory {
    fn build(&self, facts: &PathFacts) -> Box<dyn Controller> {
        Box::new(Paced(Reno::new(facts)))
    }
}

#[test]
fn paced_segments_go_when_their_time_has_come() {
    // RFC 9002 §7.7's idea, and nobody's RFC for TCP: ten segments at once, then 1,020
    // octets each 10.2 ms.
    let congestion = CongestionControl::Custom(Arc::new(PacedFactory));
    let (mut script, conn) =
        with(|config| config.with_congestion(congestion.clone()).with_initial_window(20_000));
    script.advance(1_000);
    script.host.write(conn, &[1; 15_000]).unwrap();
    let start = script.now();
    for index in 0..10 {
        script.expect(ack(1 + 1_000 * index, 1).data(vec![1; 1_000]));
    }
    for index in 10..15 {
        script.expect_nothing();
        script.expect_eventually(ack(1 + 1_000 * index, 1).data(vec![1; 1_000]));
        let due = Duration::from_micros(10_200) * index - Duration::from_millis(100);
        assert_eq!(script.now().saturating_since(start), due, "{index}");
    }
    assert_eq!(script.host.info(conn).unwrap().counters.timeouts, 0);
}

#[test]
fn window_that_one_acknowledgment_opens_is_spread_over_the_round_trip() {
    // RFC 9406 §4.3: no limit on one acknowledgment, but a pace. Twenty segments are
    // acknowledged at once: forty may go, ten of them now and the rest within half a
    // round trip.
    let config = presets::plain_builder().with_pacing(true).with_initial_window(20_000);
    let mut script = Script::with_connection(config.build().unwrap());
    script.listen(1);
    script.inject(syn(0).mss(1_000));
    script.expect(syn_ack(0, 1));
    script.advance(100);
    script.inject(ack(1, 1));
    let conn = script.accept();
    // Until the round trip is known well.
    for index in 0..40 {
        script.host.write(conn, &[1; 1_000]).unwrap();
        assert_eq!(octets(&mut script), 1_000);
        script.advance(100);
        script.inject(ack(1, 1_001 + 1_000 * index));
    }
    script.host.write(conn, &[1; 60_000]).unwrap();
    let over = |script: &mut Script, most_at_once: u32| {
        let mut sent = octets(script);
        assert!((10_000..=most_at_once).contains(&sent), "{sent}");
        for _ in 0..60 {
            script.advance(1);
            let millisecond = octets(script);
            assert!(millisecond <= 3_000, "{millisecond}");
            sent += millisecond;
        }
        sent
    };
    assert_eq!(over(&mut script, 11_000), 20_000);
    script.advance(40);
    script.inject(ack(1, 60_001));
    assert_eq!(over(&mut script, 12_000), 40_000);
}

/// A path of that round trip, a large window both ways, and so much written at once: what
/// of it is sent before anything is acknowledged.
fn written_into_a_large_window(len: usize, rtt: u64, nodelay: bool) -> (Script, ConnId, u32) {
    let config = presets::plain_builder()
        .with_window_scaling(true)
        .with_initial_window(1_000_000)
        .with_send_buffer(1_000_000, 1_000_000)
        .with_nodelay(nodelay)
        .build()
        .unwrap();
    let mut script = Script::with_connection(config);
    script.listen(1);
    script.inject(syn(0).mss(1_000).wscale(8));
    script.expect(syn_ack(0, 1));
    script.advance(rtt);
    script.inject(ack(1, 1).win(10_000));
    let conn = script.accept();
    script.host.write(conn, &vec![7; len]).unwrap();
    let before = octets(&mut script);
    (script, conn, before)
}

fn octets(script: &mut Script) -> u32 {
    script.take_output().iter().map(|(_, data)| u32::try_from(data.len()).unwrap()).sum()
}

#[test]
fn what_does_not_fill_a_batch_waits_while_one_is_in_flight() {
    let (mut script, conn, before) = written_into_a_large_window(100_000, 10, false);
    assert!((60_000..100_000).contains(&before), "{before}");
    // An acknowledgment asks again, and there is no longer that much in flight.
    script.inject(ack(1, 40_001).win(10_000));
    assert_eq!(before + octets(&mut script), 100_000);
    assert_eq!(script.host.info(conn).unwrap().counters.segments_retransmitted, 0);
}

#[test]
fn what_does_not_fill_a_batch_goes_when_delay_is_unwanted_or_the_stream_ends() {
    let (.., before) = written_into_a_large_window(100_000, 10, true);
    assert_eq!(before, 100_000);
    let (mut script, conn, before) = written_into_a_large_window(100_000, 10, false);
    script.host.shutdown(conn).unwrap();
    assert_eq!(before + octets(&mut script), 100_000);
}

#[test]
fn what_does_not_fill_a_batch_does_not_wait_for_a_round_trip_that_is_long() {
    let (.., before) = written_into_a_large_window(100_000, 11, false);
    assert_eq!(before, 100_000);
}
