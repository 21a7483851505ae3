//! Windows (RFC 9293 §3.8.6, RFC 7323 §2): silly-window avoidance, shrinking, scaling,
//! auto-tuning. What is done about one that is closed is in `zero_window.rs`.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use core::time::Duration;

use tou_proto::{ConnId, ConnectionConfig, Event, State, WriteError};
use tou_sim::script::{Script, ack, data, fin, rst, rst_ack, syn};
use tou_sim::{Knobs, Manners, Pair, Talk, presets};

const MSS: u16 = 1_000;

fn established() -> (Script, ConnId) {
    Script::established(presets::plain(), syn(0).mss(MSS))
}

/// What the peer's closed window looks like: nothing new is taken.
fn closed(ack_number: u32) -> tou_sim::Seg {
    ack(1, ack_number).win(0)
}

/// A connection with a receive buffer of that size and no auto-tuning.
fn with_buffer(octets: u64) -> (Script, ConnId) {
    let config = presets::plain_builder().with_recv_buffer(octets, octets).build().unwrap();
    Script::established(config, syn(0).mss(MSS))
}

#[test]
fn window_closes_with_unread_data_and_opens_when_it_is_read() {
    let (mut script, conn) = with_buffer(4_000);
    script.inject(data(1, 1, vec![1; 1_000]));
    script.inject(data(1_001, 1, vec![2; 1_000]));
    script.expect(ack(1, 2_001).win(2_000));
    script.inject_batch([data(2_001, 1, vec![3; 1_000]), data(3_001, 1, vec![4; 1_000])]);
    script.expect(ack(1, 4_001).win(0));
    assert_eq!(script.host.info(conn).unwrap().recv_queue, 4_000);
    assert_eq!(script.host.read_all(conn).0.len(), 4_000);
    script.expect(ack(1, 4_001).win(4_000));
}

#[test]
fn a_little_room_is_not_worth_a_window_update() {
    // RFC 9293 §3.8.6.2.2: min(half the buffer, a segment).
    let (mut script, conn) = with_buffer(4_000);
    for start in [1, 1_001, 2_001, 3_001] {
        script.inject_loosely(data(start, 1, vec![0; 1_000]));
    }
    script.take_output();
    script.host.read(conn, &mut [0; 999]).unwrap();
    script.expect_silence(10_000);
    script.host.read(conn, &mut [0; 1]).unwrap();
    script.expect(ack(1, 4_001).win(1_000));
}

#[test]
fn an_open_window_is_told_to_be_larger_once_that_is_half_the_buffer() {
    let (mut script, conn) = with_buffer(8_000);
    for start in [1, 1_001, 2_001, 3_001, 4_001, 5_001] {
        script.inject_loosely(data(start, 1, vec![0; 1_000]));
    }
    script.take_output();
    script.host.read(conn, &mut [0; 3_999]).unwrap();
    script.expect_silence(10_000);
    script.host.read(conn, &mut [0; 1]).unwrap();
    script.expect(ack(1, 6_001).win(6_000));
}

#[test]
fn reader_of_small_segments_announces_no_silly_window() {
    // RFC 9293 §3.8.6.2.2, MUST-39: the step is our segment or half the buffer,
    // however little the peer puts into its segments.
    let (mut script, conn) = with_buffer(2_048);
    for index in 0..256 {
        script.inject_loosely(data(1 + 8 * index, 1, vec![0; 8]));
        script.take_output();
    }
    script.advance(100);
    script.take_output();
    assert_eq!(script.host.info(conn).unwrap().rcv_wnd, 0);
    for _ in 0..124 {
        script.host.read(conn, &mut [0; 8]).unwrap();
        script.expect_nothing();
    }
    script.host.read(conn, &mut [0; 8]).unwrap();
    script.expect(ack(1, 2_049).win(1_000));
}

#[test]
fn window_is_never_taken_back() {
    // RFC 9293 §3.8.6, SHLD-14.
    let (mut script, conn) = with_buffer(4_000);
    script.inject(data(1, 1, vec![0; 100]));
    script.expect_after(40, ack(1, 101).win(3_900));
    script.host.read(conn, &mut [0; 50]).unwrap();
    script.inject(data(101, 1, vec![0; 100]));
    script.expect_after(40, ack(1, 201).win(3_800));
    assert_eq!(script.host.info(conn).unwrap().rcv_wnd, 3_800);
}

#[test]
fn data_beyond_the_window_is_cut_off() {
    let (mut script, conn) = with_buffer(2_048);
    script.inject(data(1, 1, vec![7; 3_000]));
    script.expect_after(40, ack(1, 2_049).win(0));
    assert_eq!(script.host.read_all(conn).0.len(), 2_048);
    script.expect(ack(1, 2_049).win(2_048));
}

#[test]
fn fin_behind_data_beyond_the_window_does_not_count() {
    let (mut script, conn) = with_buffer(2_048);
    script.inject(fin(1, 1).len(3_000));
    script.expect_eventually(ack(1, 2_049).win(0));
    assert_eq!(script.state(conn), State::Established);
    assert_eq!(script.host.read_all(conn).0.len(), 2_048);
    script.expect(ack(1, 2_049).win(2_048));
    script.inject(ack(2_049, 1).len(952));
    script.expect_eventually(ack(1, 3_001));
    assert_eq!(script.state(conn), State::Established);
    script.inject(fin(3_001, 1));
    script.expect(ack(1, 3_002));
    assert_eq!(script.state(conn), State::CloseWait);
}

#[test]
fn closed_window_still_takes_acks_and_resets() {
    // RFC 9293 §3.10.7.4, MUST-66.
    let (mut script, conn) = with_buffer(2_048);
    script.inject(data(1, 1, vec![7; 2_048]));
    script.expect_after(40, ack(1, 2_049).win(0));
    script.host.write(conn, b"question").unwrap();
    script.expect(data(1, 2_049, "question"));
    script.inject(ack(2_049, 9));
    script.expect_nothing();
    assert_eq!(script.host.info(conn).unwrap().send_queue, 0);
    // A probe with data is refused, but its ACK counts.
    script.host.write(conn, b"!").unwrap();
    script.expect(data(9, 2_049, "!"));
    script.inject(data(2_049, 10, "x"));
    script.expect(ack(10, 2_049).win(0));
    assert_eq!(script.host.info(conn).unwrap().send_queue, 0);
    script.inject(rst(2_049));
    assert_eq!(script.state(conn), State::Closed);
}

#[test]
fn acknowledgment_at_the_right_edge_counts() {
    // A peer that has filled the window, and whose first segment was lost, can
    // acknowledge with no other number.
    let (mut script, conn) = with_buffer(2_048);
    script.inject(ack(1_001, 1).len(1_048));
    script.expect(ack(1, 1));
    script.host.write(conn, b"x").unwrap();
    script.expect(data(1, 1, "x"));
    script.inject(ack(2_049, 2));
    script.expect_nothing();
    assert_eq!(script.host.info(conn).unwrap().send_queue, 0);
}

#[test]
fn fin_needs_no_window() {
    let (mut script, conn) = with_buffer(2_048);
    script.inject(data(1, 1, vec![7; 2_048]));
    script.expect_after(40, ack(1, 2_049).win(0));
    script.inject(fin(2_049, 1));
    script.expect(ack(1, 2_050));
    assert_eq!(script.host.read_all(conn).0.len(), 2_048);
    assert_eq!(script.state(conn), State::CloseWait);
}

#[test]
fn sender_keeps_to_the_window() {
    let (mut script, conn) = established();
    script.inject(ack(1, 1).win(2_500));
    script.host.write(conn, &[5; 5_000]).unwrap();
    script.expect(ack(1, 1).data(vec![5; 1_000]));
    script.expect(ack(1_001, 1).data(vec![5; 1_000]));
    // Half a segment of room is not worth a segment (RFC 9293 §3.8.6.2.1).
    script.expect_nothing();
    script.inject(ack(1, 1_001).win(2_500));
    script.expect(ack(2_001, 1).data(vec![5; 1_000]));
    script.expect_nothing();
}

#[test]
fn shrunken_window_is_borne() {
    // RFC 9293 §3.8.6, MUST-34.
    let (mut script, conn) = established();
    script.host.write(conn, &[5; 4_000]).unwrap();
    assert_eq!(script.take_output().len(), 4);
    script.inject(ack(1, 1_001).win(1_000));
    script.host.write(conn, &[5; 2_000]).unwrap();
    script.expect_nothing();
    script.inject(ack(1, 4_001).win(1_000));
    script.expect(ack(4_001, 1).data(vec![5; 1_000]));
    script.expect_nothing();
}

#[test]
fn window_shrunk_over_what_is_in_flight_is_waited_for() {
    // RFC 9293 §3.8.6, MUST-34, and §3.8.6.1, MUST-37: while the peer answers,
    // the connection stays open, even if the gaps grow longer than the user
    // timeout. Nothing of it is congestion or a black hole.
    for (user_timeout, retries) in [(3, None), (300, None), (300, Some(2))] {
        let config = presets::plain_builder()
            .with_user_timeout(Duration::from_secs(user_timeout))
            .with_max_retries(retries);
        let mut script = Script::with_connection(config.build().unwrap());
        let conn = script.establish(syn(0).mss(MSS));
        script.host.write(conn, &[5; 3_000]).unwrap();
        script.take_output();
        let before = script.host.info(conn).unwrap();
        script.inject(closed(1));
        while script.now().as_millis() < 900_000 {
            let gap = script.expect_eventually(ack(1, 1).data(vec![5; 1_000]));
            assert!(gap <= Duration::from_secs(60), "{gap:?}");
            script.inject(closed(1));
        }
        let info = script.host.info(conn).unwrap();
        assert_eq!((info.state, info.counters.mtu_fallbacks), (State::Established, 0));
        assert_eq!((info.cwnd, info.ssthresh), (before.cwnd, before.ssthresh));
        // It opens, and what it had shut out goes at once.
        script.inject(ack(1, 1).win(10_000));
        script.expect(ack(1_001, 1).data(vec![5; 1_000]));
        script.expect(ack(2_001, 1).data(vec![5; 1_000]));
        script.inject(ack(1, 3_001).win(10_000));
        assert_eq!(script.host.info(conn).unwrap().send_queue, 0);
    }
}

#[test]
fn window_shrunk_over_what_is_in_flight_is_not_waited_for_in_vain() {
    let (mut script, conn) = established();
    script.host.write(conn, &[5; 3_000]).unwrap();
    script.take_output();
    script.inject(closed(1));
    while script.state(conn) == State::Established {
        script.advance(1_000);
        script.take_output();
        assert!(script.now().as_millis() < 500_000, "it should have given up");
    }
}

#[test]
fn timeouts_send_one_segment_into_a_closed_window() {
    // RFC 9293 §3.8.6.1: a closed window is probed, not flooded, however much
    // was in flight when it closed.
    for window in [0, 100] {
        let (mut script, conn) = established();
        script.host.write(conn, &[5; 10_000]).unwrap();
        assert_eq!(script.take_output().len(), 10);
        script.inject(ack(1, 1).win(window));
        for _ in 0..5 {
            script.wait();
            script.expect(ack(1, 1).data(vec![5; 1_000]));
            script.inject(ack(1, 1).win(window));
            script.expect_nothing();
        }
    }
}

#[test]
fn retransmission_that_acknowledges_something_brings_its_window() {
    // RFC 9293 §3.10.7.4, fifth. The last window, counted from an SND.UNA that
    // has moved, would reach further than the peer ever said.
    let (mut script, conn) = established();
    script.inject(ack(1, 1).win(3_000));
    script.host.write(conn, &[5; 1_000]).unwrap();
    script.expect(ack(1, 1).data(vec![5; 1_000]));
    script.inject(data(11, 1, "later").win(3_000));
    script.expect(ack(1_001, 1));
    script.inject(data(1, 1_001, "0123456789").win(2_000));
    script.expect(ack(1_001, 16));
    assert_eq!(script.host.info(conn).unwrap().snd_wnd, 2_000);
    script.host.write(conn, &[5; 4_000]).unwrap();
    script.expect(ack(1_001, 16).data(vec![5; 1_000]));
    script.expect(ack(2_001, 16).data(vec![5; 1_000]));
    script.expect_nothing();
}

#[test]
fn older_segment_does_not_change_the_window() {
    // SND.WL1 and SND.WL2 (RFC 9293 §3.10.7.4, fifth).
    let (mut script, conn) = established();
    script.inject(data(11, 1, "later").win(3_000));
    script.expect(ack(1, 1));
    assert_eq!(script.host.info(conn).unwrap().snd_wnd, 3_000);
    script.inject(data(1, 1, "0123456789").win(1));
    script.take_output();
    assert_eq!(script.host.info(conn).unwrap().snd_wnd, 3_000);
}

#[test]
fn what_is_sent_without_data_is_within_a_window_that_shrank() {
    // RFC 9293 §3.8.6, MUST-34: the peer takes nothing beyond its new edge, and
    // no acknowledgment or reset either.
    let (mut script, conn) = established();
    script.host.write(conn, &[5; 4_000]).unwrap();
    assert_eq!(script.take_output().len(), 4);
    script.inject(ack(1, 1_001).win(1_000));
    script.inject(data(1, 1_001, "hello").win(1_000));
    script.expect_eventually(ack(2_001, 6));
    script.host.abort(conn).unwrap();
    script.expect(rst_ack(2_001, 6));
}

#[test]
fn windows_are_scaled_both_ways_but_not_in_syns() {
    let config = presets::plain_builder()
        .with_window_scaling(true)
        .with_recv_buffer(1 << 20, 1 << 20)
        .build()
        .unwrap();
    let mut script = Script::with_connection(config);
    script.listen(1);
    script.inject(syn(0).mss(MSS).wscale(3).win(800));
    script.expect(tou_sim::script::syn_ack(0, 1).wscale(5).win(65_535));
    script.inject(ack(1, 1).win(1_000));
    let conn = script.accept();
    assert_eq!(script.host.info(conn).unwrap().snd_wnd, 8_000);
    script.inject_batch([data(1, 1, vec![0; 1_000]), data(1_001, 1, vec![0; 1_000])]);
    let (header, _) = script.take_output().pop().unwrap();
    let window = u64::from(header.window) << 5;
    assert!((1_046_000..=1_046_576).contains(&window), "{window}");
}

#[test]
fn receive_buffer_grows_with_what_is_read() {
    let mut pair = Pair::builder(23).path(Knobs { rate: 12_500_000, ..lfn() }).build();
    let (client, server) = pair.connect();
    assert_eq!(pair.server().info(server).unwrap().recv_buffer, 128 * 1_024);
    let mut from = Talk::new(client, vec![1; 8 << 20], Manners::default());
    let mut to = Talk::new(server, vec![], Manners::default());
    pair.converse(&mut from, &mut to);
    let info = pair.server().info(server).unwrap();
    assert!(info.recv_buffer >= 1_250_000, "{} is less than the path holds", info.recv_buffer);
}

#[test]
fn receive_buffer_grows_although_nothing_is_known_of_the_round_trip() {
    // A side that only receives has the handshake's sample at most, and none if
    // its SYN was lost and there are no timestamps (RFC 6298 §3, Karn).
    let config = ConnectionConfig::builder().with_timestamps(false).build().unwrap();
    let mut pair = Pair::builder(23).connection(config).path(lfn()).build();
    let (client, server) = (pair.client, pair.server);
    pair.world.link_mut(client, server).doomed.insert(0);
    let (client, server) = pair.connect();
    let mut from = Talk::new(server, vec![1; 2 << 20], Manners::default());
    let mut read = 0;
    while read < 2 << 20 {
        from.pump(pair.now(), pair.server());
        read += pair.client().read_all(client).0.len();
        pair.run_for(Duration::from_millis(10));
    }
    let info = pair.client().info(client).unwrap();
    assert_eq!(info.srtt, None);
    assert!(info.recv_buffer >= 512 * 1_024, "{}", info.recv_buffer);
}

/// 100 ms of round trip, and one round trip of queue at 100 Mbit/s.
fn lfn() -> Knobs {
    Knobs { delay: Duration::from_millis(50), queue: 1_250_000, ..Knobs::default() }
}

#[test]
fn auto_tuning_fills_a_long_fat_path() {
    let rate = 12_500_000;
    let mut pair = Pair::builder(29).to_server(Knobs { rate, ..lfn() }).to_client(lfn()).build();
    let (client, server) = pair.connect();
    let mut client = Talk::new(client, vec![1; 60 << 20], Manners::default());
    let mut server = Talk::new(server, vec![], Manners::default());
    let mut marks = Vec::new();
    pair.run_until(|pair| {
        let now = pair.now();
        client.pump(now, pair.client());
        server.pump(now, pair.server());
        if marks.len() < server.received().len() >> 20 {
            marks.push(now);
        }
        client.is_done() && server.read_end().is_some()
    });
    // Once slow start has filled the path it stays full.
    let seconds = marks[50].saturating_since(marks[20]).as_secs_f64();
    let goodput = 30.0 * f64::from(1 << 20) / seconds;
    assert!(goodput > 0.9 * rate as f64, "{:.1} Mbit/s", goodput * 8e-6);
}

#[test]
fn slow_reader_slows_the_sender_and_loses_nothing() {
    let manners =
        Manners { read_size: 10_000, read_pause: Duration::from_millis(50), ..Manners::default() };
    let config = ConnectionConfig::builder().with_recv_buffer(16_384, 16_384).build().unwrap();
    let mut pair = Pair::builder(31).connection(config).build();
    let (client, server) = pair.connect();
    let said: Vec<u8> = (0..500_000_u32).map(|at| (at % 251) as u8).collect();
    let mut from = Talk::new(client, said.clone(), Manners::default());
    let mut to = Talk::new(server, vec![], manners);
    pair.converse(&mut from, &mut to);
    assert!(to.received() == said);
    // 50 reads of 10,000 octets, 50 ms apart.
    assert!((2_400..4_000).contains(&pair.now().as_millis()), "{}", pair.now());
}

#[test]
fn full_send_buffer_blocks_until_there_is_room() {
    let config = presets::plain_builder().with_send_buffer(10_000, 10_000).build().unwrap();
    let mut script = Script::with_connection(config);
    let conn = script.establish(syn(0).mss(MSS));
    assert_eq!(script.host.write(conn, &[0; 12_000]), Ok(10_000));
    assert_eq!(script.host.write(conn, &[0; 1]), Err(WriteError::WouldBlock));
    assert_eq!(script.take_output().len(), 10);
    script.inject(ack(1, 1_001));
    script.expect_nothing();
    assert_eq!(script.host.next_event(), None, "a little room is not worth waking anybody");
    script.inject(ack(1, 10_001));
    script.expect_event(Event::Writable(conn));
    assert_eq!(script.host.write(conn, &[0; 12_000]), Ok(10_000));
}

#[test]
fn acknowledgments_are_not_before_what_was_sent_into_a_window_that_the_scale_has_cut() {
    // RFC 7323 §2.4: with 128 octets to the unit, 1,024 octets of window less 500 that
    // were taken look like 512, and the edge seems to have moved left by 12. What
    // was sent up to it is there already: an acknowledgment before its end is an old
    // one to the peer, and two sides that send such take nothing from each other any more.
    let config = presets::plain_builder().with_window_scaling(true).with_nodelay(true);
    let mut script = Script::with_connection(config.build().unwrap());
    script.listen(1);
    script.inject(syn(0).mss(MSS).wscale(7).win(1_024));
    script.take_output();
    script.inject(ack(1, 1).win(8));
    let conn = script.accept();
    script.host.write(conn, &[5; 1_024]).unwrap();
    assert_eq!(script.take_output().iter().map(|(_, data)| data.len()).sum::<usize>(), 1_024);
    script.inject(ack(1, 501).win(4));
    script.inject(data(1, 501, "hello").win(4));
    script.expect_eventually(ack(1_025, 6));
    // An edge that has really moved left counts.
    script.inject(data(6, 501, "world").win(3));
    script.expect_eventually(ack(885, 11));
}
