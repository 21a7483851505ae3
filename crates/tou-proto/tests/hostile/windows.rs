//! Peers that stand still, or hurry slowly.

use core::time::Duration;

use tou_proto::wire::SegmentHeader;
use tou_proto::{ConnId, ConnectionConfig, ConnectionError, EndpointConfig, Event, State};

use crate::rig::{Enemy, Honest, Victim};

const LIMIT: usize = 100_000;

fn config() -> tou_proto::EndpointConfigBuilder {
    let connection = ConnectionConfig::builder()
        .with_send_buffer(LIMIT as u64, LIMIT as u64)
        .with_user_timeout(Duration::from_secs(30))
        .build();
    EndpointConfig::builder().with_connection(connection.unwrap())
}

fn talk(victim: &mut Victim, conn: ConnId) {
    while victim.endpoint.write(victim.now, conn, &[7; 10_000]).is_ok() {}
    victim.drain();
}

fn with_window(header: SegmentHeader, window: u16) -> SegmentHeader {
    SegmentHeader { window, ..header }
}

#[test]
fn window_that_shrinks_and_grows_with_each_ack_is_borne() {
    // RFC 9293 §3.8.6, MUST-34.
    let mut victim = Victim::new(config(), 4);
    let mut honest = Honest::connect(&mut victim);
    let (mut enemy, conn) = Enemy::connect(&mut victim, 1, 1_460).unwrap();
    talk(&mut victim, conn);
    victim.begin_measuring();
    let out = victim.segments_out;
    for round in 0..10_000_u32 {
        // Scaled by 256: nothing, a little, much.
        let window = [0, 1, 3, 200, 0, 65_535, 2][round as usize % 7];
        let outstanding = u32::try_from(victim.info(conn).outstanding).unwrap();
        let acked = if round % 5 == 0 { outstanding / 2 } else { 0 };
        enemy.ack = enemy.ack.wrapping_add(acked);
        enemy.say(&mut victim, with_window(enemy.header(), window), &[]);
        victim.wait(Duration::from_millis(10));
        talk(&mut victim, conn);
    }
    let info = victim.info(conn);
    assert_eq!(info.state, State::Established);
    // What was acknowledged, and no more for each round than a segment on the average.
    let needed = info.counters.bytes_acked / 1_460;
    let sent = victim.segments_out - out;
    assert!(sent <= needed + 10_000, "{sent} segments, {needed} needed");
    assert!(victim.grown() <= 64 * 1_024, "{}", victim.grown());
    honest.exchange(&mut victim, 300_000);
}

#[test]
fn closed_window_holds_one_buffer_and_costs_a_probe_a_minute() {
    let mut victim = Victim::new(config(), 4);
    let mut honest = Honest::connect(&mut victim);
    let (enemy, conn) = Enemy::connect(&mut victim, 1, 1_460).unwrap();
    enemy.say(&mut victim, with_window(enemy.header(), 0), &[]);
    talk(&mut victim, conn);
    victim.begin_measuring();
    let out = victim.segments_out;
    // A day, in which every probe is answered (MUST-37).
    for _ in 0..24 * 3_600 {
        let before = victim.segments_out;
        victim.wait(Duration::from_secs(1));
        if victim.segments_out > before {
            enemy.say(&mut victim, with_window(enemy.header(), 0), &[]);
        }
    }
    assert_eq!(victim.info(conn).state, State::Established);
    let probes = victim.segments_out - out;
    assert!((1_000..=1_500).contains(&probes), "{probes}");
    assert!(victim.grown() <= 1_024, "{}", victim.grown());
    // Who has given the connection up does not wait for ever.
    victim.endpoint.release(victim.now, conn).unwrap();
    for _ in 0..300 {
        let before = victim.segments_out;
        victim.wait(Duration::from_secs(1));
        if victim.segments_out > before {
            enemy.say(&mut victim, with_window(enemy.header(), 0), &[]);
        }
    }
    assert_eq!(victim.endpoint.connection_count(), 1, "the honest one");
    assert!(victim.kept() < -(LIMIT as isize) * 9 / 10, "{}", victim.kept());
    honest.exchange(&mut victim, 300_000);
}

#[test]
fn closed_window_of_a_peer_that_is_gone_ends_at_the_user_timeout() {
    let mut victim = Victim::new(config(), 4);
    let (enemy, conn) = Enemy::connect(&mut victim, 1, 1_460).unwrap();
    enemy.say(&mut victim, with_window(enemy.header(), 0), &[]);
    talk(&mut victim, conn);
    victim.wait(Duration::from_secs(60));
    let mut events = core::iter::from_fn(|| victim.endpoint.poll_event());
    let timed_out = Event::Closed(conn, Some(ConnectionError::TimedOut));
    assert!(events.any(|event| event == timed_out));
}

#[test]
fn readers_of_an_octet_at_a_time_hold_one_buffer_each() {
    // A hundred peers that open their window a little every ten seconds, for an hour.
    let mut victim = Victim::new(config(), 4);
    let mut honest = Honest::connect(&mut victim);
    let mut enemies: Vec<(Enemy, ConnId)> =
        (1..=100).map(|host| Enemy::connect(&mut victim, host, 1_460).unwrap()).collect();
    victim.begin_measuring();
    for (_, conn) in &enemies {
        talk(&mut victim, *conn);
    }
    let out = victim.segments_out;
    for _ in 0..360 {
        for (enemy, conn) in &mut enemies {
            if victim.info(*conn).outstanding > 0 {
                enemy.ack = enemy.ack.wrapping_add(1);
            }
            enemy.say(&mut victim, with_window(enemy.header(), 1), &[]);
        }
        victim.wait(Duration::from_secs(10));
    }
    assert!(victim.grown() <= 100 * (LIMIT + LIMIT / 16 + 20_000), "{}", victim.grown());
    let sent = victim.segments_out - out;
    assert!(sent <= 100 * 360 * 4, "{sent} segments in an hour");
    honest.exchange(&mut victim, 300_000);
}

#[test]
fn writers_of_an_octet_at_a_time_cost_what_they_sent() {
    // A hundred peers that send an octet every ten seconds, for an hour, to a user who
    // waits for the end of the request.
    let mut victim = Victim::new(config(), 4);
    let mut honest = Honest::connect(&mut victim);
    let mut enemies: Vec<(Enemy, ConnId)> =
        (1..=100).map(|host| Enemy::connect(&mut victim, host, 1_460).unwrap()).collect();
    victim.begin_measuring();
    let out = victim.segments_out;
    for _ in 0..360 {
        for (enemy, _) in &mut enemies {
            enemy.send(&mut victim, b"x");
        }
        victim.wait(Duration::from_secs(10));
    }
    assert!(enemies.iter().all(|(_, conn)| victim.info(*conn).recv_queue == 360));
    assert!(victim.grown() <= 100 * 2_048, "{}", victim.grown());
    assert_eq!(victim.segments_out - out, 36_000, "one acknowledgment for each");
    honest.exchange(&mut victim, 300_000);
}
