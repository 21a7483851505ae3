//! Probing a closed window (RFC 9293 §3.8.6.1), and how long.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use core::time::Duration;

use tou_proto::{ConnId, ConnectionError, ReadError, State};
use tou_sim::script::{Script, ack, data, rst_ack, syn};
use tou_sim::{Pair, presets};

const MSS: u16 = 1_000;

fn established() -> (Script, ConnId) {
    Script::established(presets::plain(), syn(0).mss(MSS))
}

/// The data that comes out, in one piece, when all of it is acknowledged at
/// once and with an open window.
fn said_in_answer(script: &mut Script) -> Vec<u8> {
    let mut said = Vec::new();
    loop {
        let out = script.take_output();
        let Some((header, data)) = out.last() else { return said };
        let end = header.seq.get() + u32::try_from(data.len()).unwrap();
        said.extend(out.iter().flat_map(|(_, data)| data));
        script.inject(ack(1, end).win(10_000));
    }
}

/// What the peer's closed window looks like: nothing new is taken.
fn closed(ack_number: u32) -> tou_sim::Seg {
    ack(1, ack_number).win(0)
}

#[test]
fn zero_window_is_probed_with_growing_gaps() {
    let (mut script, conn) = established();
    script.inject(ack(1, 1).win(0));
    script.host.write(conn, &[5; 3_000]).unwrap();
    script.expect_nothing();
    let mut last = Duration::ZERO;
    for _ in 0..6 {
        let gap = script.expect_eventually(ack(1, 1).data(vec![5; 1]));
        assert!(gap >= Duration::from_millis(200), "{gap:?}: a retransmission timeout first");
        assert!(last.is_zero() || gap == 2 * last, "{gap:?} after {last:?}");
        last = gap;
        script.inject(ack(1, 1).win(0));
    }
    // The window opens, and the rest goes at once, the probe's octet with it.
    script.inject(ack(1, 1).win(10_000));
    assert_eq!(said_in_answer(&mut script), [5; 3_000]);
    assert_eq!(script.host.info(conn).unwrap().counters.window_probes, 6);
}

#[test]
fn probe_that_is_taken_leads_on() {
    let (mut script, conn) = established();
    script.inject(ack(1, 1).win(0));
    script.host.write(conn, &[5; 2_500]).unwrap();
    script.expect_eventually(ack(1, 1).data(vec![5; 1]));
    script.inject(ack(1, 2).win(10_000));
    assert_eq!(said_in_answer(&mut script), [5; 2_499]);
}

#[test]
fn answered_probes_go_on_for_ever() {
    // RFC 9293 §3.8.6.1, MUST-37.
    let (mut script, conn) = established();
    script.inject(ack(1, 1).win(0));
    script.host.write(conn, b"patience").unwrap();
    while script.now().as_millis() < 3 * 3_600_000 {
        let gap = script.expect_eventually(ack(1, 1).data("p"));
        assert!(gap <= Duration::from_secs(60), "{gap:?}");
        script.inject(ack(1, 1).win(0));
    }
    assert_eq!(script.state(conn), State::Established);
    script.inject(ack(1, 1).win(100));
    assert_eq!(said_in_answer(&mut script), b"patience");
}

#[test]
fn probe_that_is_all_there_is_goes_on_too() {
    let (mut script, conn) = established();
    script.inject(ack(1, 1).win(0));
    script.host.write(conn, b"p").unwrap();
    for _ in 0..4 {
        script.expect_eventually(ack(1, 1).data("p"));
        script.inject(ack(1, 1).win(0));
    }
}

#[test]
fn answered_probes_go_on_although_the_user_timeout_is_shorter_than_their_gaps() {
    // RFC 9293 §3.8.6.1, MUST-37: what counts is that probes go unanswered.
    let user_timeout = Duration::from_secs(3);
    let config = presets::plain_builder().with_user_timeout(user_timeout).build().unwrap();
    let mut script = Script::with_connection(config);
    let conn = script.establish(syn(0).mss(MSS));
    script.inject(closed(1));
    script.host.write(conn, b"patience").unwrap();
    for _ in 0..10 {
        script.expect_eventually(ack(1, 1).data("p"));
        script.advance(100);
        script.inject(closed(1));
    }
    assert_eq!(script.state(conn), State::Established);
    script.expect_eventually(ack(1, 1).data("p"));
    let asked = script.now();
    while script.state(conn) == State::Established {
        script.advance(100);
        script.take_output();
        let waited = script.now().saturating_since(asked);
        assert!(waited < Duration::from_secs(200), "it should have given up");
    }
    assert!(script.now().saturating_since(asked) >= user_timeout);
}

#[test]
fn orphan_behind_a_closed_window_is_given_up() {
    // RFC 9293 §3.8.6.1 keeps a connection for a user who may abort it; this one
    // has none, and a peer that answers could keep any number of them.
    for written_first in [false, true] {
        let (mut script, conn) = established();
        if written_first {
            script.host.write(conn, &[5; 100]).unwrap();
            script.take_output();
            script.inject(closed(1));
        } else {
            script.inject(closed(1));
            script.host.write(conn, &[5; 100]).unwrap();
        }
        script.host.release(conn).unwrap();
        let released = script.now();
        while script.host.endpoint().connection_count() > 0 {
            script.advance(1_000);
            if !script.take_output().is_empty() {
                script.inject_loosely(closed(1));
                script.take_output();
            }
            let waited = script.now().saturating_since(released);
            assert!(waited < Duration::from_secs(302), "it lives for ever");
        }
        let waited = script.now().saturating_since(released);
        assert!(waited >= Duration::from_secs(300), "{waited:?}");
        assert_eq!(script.host.endpoint().unfinished_count(), 0);
    }
}

#[test]
fn orphan_behind_a_window_that_opens_and_closes_is_given_up() {
    // Nothing is taken: a window is no progress.
    let (mut script, conn) = established();
    script.inject(closed(1));
    script.host.write(conn, &[5; 100]).unwrap();
    script.host.release(conn).unwrap();
    let mut window = 0;
    while script.host.endpoint().connection_count() > 0 {
        script.advance(1_000);
        if !script.take_output().is_empty() {
            window = 1 - window;
            script.inject_loosely(ack(1, 1).win(window));
            script.take_output();
        }
        assert!(script.now().as_millis() < 1_000_000, "it lives for ever");
    }
}

#[test]
fn orphan_whose_probes_are_taken_goes_on() {
    // Each octet is progress (RFC 9293 §3.8.3), however slow.
    let (mut script, conn) = established();
    script.inject(closed(1));
    script.host.write(conn, &[5; 100]).unwrap();
    script.host.release(conn).unwrap();
    let mut taken = 1;
    while script.now().as_millis() < 900_000 {
        script.wait();
        script.expect(ack(taken, 1).data(vec![5; 1]));
        taken += 1;
        script.inject(closed(taken));
    }
    assert_eq!(script.host.endpoint().unfinished_count(), 1);
}

#[test]
fn acknowledgment_while_probing_is_within_the_closed_window() {
    // RFC 9293 §3.10.7.4, first: at SND.NXT, beyond a probe that was refused, the
    // peer would drop it.
    let (mut script, conn) = established();
    script.inject(closed(1));
    script.host.write(conn, &[5; 100]).unwrap();
    script.expect_eventually(ack(1, 1).data(vec![5; 1]));
    script.inject(closed(1));
    script.inject(data(1, 1, "hello").win(0));
    script.expect_after(40, ack(1, 6));
}

#[test]
fn reset_while_probing_is_within_the_closed_window() {
    // At SND.NXT the peer would drop it (RFC 5961 §3.2) and never know.
    let (mut script, conn) = established();
    script.inject(closed(1));
    script.host.write(conn, &[5; 100]).unwrap();
    script.expect_eventually(ack(1, 1).data(vec![5; 1]));
    script.inject(closed(1));
    script.host.abort(conn).unwrap();
    script.expect(rst_ack(1, 1));

    let config = presets::plain_builder().with_recv_buffer(4_096, 4_096).build().unwrap();
    let mut pair = Pair::builder(3).connection(config).build();
    let (client, server) = pair.connect();
    pair.client().write(client, &[1; 15_000]).unwrap();
    pair.run_for(Duration::from_secs(30));
    pair.client().abort(client).unwrap();
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.server().state(server), State::Closed);
}

#[test]
fn two_closed_windows_do_not_shut_acknowledgments_out() {
    // Both sides have sent a probe that was refused. Now one begins to read.
    let config = presets::plain_builder()
        .with_recv_buffer(4_096, 4_096)
        .with_send_buffer(20_000, 20_000)
        .build()
        .unwrap();
    let mut pair = Pair::builder(3).connection(config).build();
    let (client, server) = pair.connect();
    pair.client().write(client, &[1; 15_000]).unwrap();
    pair.server().write(server, &[2; 15_000]).unwrap();
    pair.run_for(Duration::from_secs(30));
    let probes = |info: Option<tou_proto::ConnectionInfo>| info.unwrap().counters.window_probes;
    assert!(probes(pair.client().info(client)) > 1);
    assert!(probes(pair.server().info(server)) > 1);
    let start = pair.now();
    let mut read = 0;
    while read < 15_000 {
        read += pair.client().read_all(client).0.len();
        pair.run_for(Duration::from_millis(5));
        let waited = pair.now().saturating_since(start);
        assert!(waited < Duration::from_secs(2), "{read} octets after {waited:?}");
    }
}

#[test]
fn acknowledgment_of_a_probe_that_was_thought_refused_counts() {
    // The window update and the probe have crossed, and there was room for the
    // octet when it came.
    let (mut script, conn) = established();
    script.inject(closed(1));
    script.host.write(conn, &[5; 3_000]).unwrap();
    script.expect_eventually(ack(1, 1).data(vec![5; 1]));
    // Too little to be worth a segment: what was in the probe waits as well.
    script.inject(ack(1, 1).win(500));
    script.expect_nothing();
    script.inject(ack(1, 2).win(10_000));
    assert_eq!(said_in_answer(&mut script), [5; 2_999]);
    assert_eq!(script.host.info(conn).unwrap().counters.challenge_acks, 0);
}

#[test]
fn unanswered_probes_end_at_the_user_timeout() {
    let (mut script, conn) = established();
    script.inject(ack(1, 1).win(0));
    script.host.write(conn, b"anybody?").unwrap();
    while script.state(conn) == State::Established {
        script.advance(1_000);
        script.take_output();
        assert!(script.now().as_millis() < 500_000, "it should have given up");
    }
    assert!(script.now().as_millis() >= 300_000, "{}", script.now());
    assert_eq!(script.host.read(conn, &mut [0]), Err(ReadError::Closed(ConnectionError::TimedOut)),);
}

#[test]
fn window_that_opens_while_a_probe_is_in_flight_is_used() {
    for window in [1, 500, 999, 1_000, 5_000] {
        let (mut script, conn) = established();
        script.inject(ack(1, 1).win(0));
        script.host.write(conn, &[5; 3_000]).unwrap();
        script.expect_eventually(ack(1, 1).data(vec![5; 1]));
        script.inject(ack(1, 1).win(window));
        // At once, or when silly-window avoidance has had its time.
        assert!(script.wait() <= Duration::from_millis(200));
        assert_eq!(said_in_answer(&mut script), [5; 3_000], "{window}");
    }
}

#[test]
fn two_probes_that_are_both_taken_do_not_shut_acknowledgments_out() {
    // Both windows were closed, both have opened, and both sides' news of it was lost. Each
    // side takes the other's probe, and acknowledges it from before its own.
    let (mut script, conn) = established();
    script.inject(closed(1));
    script.host.write(conn, &[5; 100]).unwrap();
    script.expect_eventually(ack(1, 1).data(vec![5; 1]));
    script.inject(data(1, 1, "x").win(0));
    script.expect_after(40, ack(1, 2));
    script.inject(ack(1, 2).win(10_000));
    script.expect_eventually(ack(2, 2).data(vec![5; 99]));
    script.inject(ack(1, 101));
    assert_eq!(script.host.info(conn).unwrap().outstanding, 0);
    script.expect(ack(101, 2));
    // What was never sent cannot be acknowledged from there either.
    script.host.write(conn, &[6; 10]).unwrap();
    script.expect(ack(101, 2).data(vec![6; 10]));
    script.inject(ack(1, 112));
    assert_eq!(script.host.info(conn).unwrap().outstanding, 10);
}
