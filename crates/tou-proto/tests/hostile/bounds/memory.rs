//! The memory of all buffers together (`max_memory`).

use core::time::Duration;

use tou_proto::{
    ConnId, ConnectionConfig, DatagramMachine, EndpointConfig, EndpointConfigBuilder,
    ReceivedBatch, TransmitBuf, WriteError,
};

use crate::alloc::allocations;
use crate::rig::{Enemy, Honest, Victim, encode};

const MAX: usize = 2 << 20;
const CONNECTIONS: u32 = 60;

fn config() -> EndpointConfigBuilder {
    EndpointConfig::builder().with_max_connections(64).with_max_memory(MAX as u64)
}

/// So many enemies, each with a connection.
fn enemies(victim: &mut Victim) -> Vec<(Enemy, ConnId)> {
    (1..=CONNECTIONS).map(|host| Enemy::connect(victim, host, 1_460).unwrap()).collect()
}

fn limited(victim: &Victim, enemies: &[(Enemy, ConnId)]) -> u64 {
    enemies.iter().map(|(_, conn)| victim.info(*conn).counters.memory_limited).sum()
}

#[test]
fn users_who_do_not_read() {
    let mut victim = Victim::new(config(), 4);
    let mut honest = Honest::connect(&mut victim);
    victim.begin_measuring();
    let mut enemies = enemies(&mut victim);
    let payload = [3; 1_000];
    for _ in 0..200 {
        for (enemy, conn) in &mut enemies {
            // All that is within the window that was offered is taken.
            let before = victim.info(*conn);
            let len = before.rcv_wnd.min(1_000);
            enemy.send(&mut victim, &payload[..len as usize]);
            assert_eq!(victim.info(*conn).recv_queue, before.recv_queue + len);
        }
    }
    let held: u64 = enemies.iter().map(|(_, conn)| victim.info(*conn).recv_queue).sum();
    assert!(held > MAX as u64 / 4, "{held}");
    assert!(victim.endpoint.shared_memory_used() <= MAX as u64);
    assert!(victim.grown() <= MAX, "{}", victim.grown());
    assert!(limited(&victim, &enemies) > 0);
    honest.exchange(&mut victim, 300_000);
    // What was taken comes back.
    for (_, conn) in &enemies {
        victim.endpoint.abort(victim.now, *conn).unwrap();
        victim.drain();
    }
    assert!(victim.endpoint.shared_memory_used() < MAX as u64 / 4);
    honest.exchange(&mut victim, 300_000);
}

#[test]
fn what_is_at_hand_goes_with_the_last_connection() {
    let mut victim = Victim::new(EndpointConfig::builder(), 4);
    victim.begin_measuring();
    let mut honest = Honest::connect(&mut victim);
    honest.exchange(&mut victim, 3_000_000);
    let server = honest.server();
    drop(honest);
    assert!(victim.kept() > 100_000, "{}", victim.kept());
    victim.endpoint.abort(victim.now, server).unwrap();
    victim.drain();
    assert!(victim.kept() < 20_000, "{}", victim.kept());
}

#[test]
fn small_requests_and_answers_need_no_allocation() {
    let mut victim = Victim::new(EndpointConfig::builder(), 4);
    let (mut enemy, conn) = Enemy::connect(&mut victim, 1, 1_460).unwrap();
    let mut transmit = TransmitBuf::new(44, TransmitBuf::MAX_BYTES);
    for round in 0..20 {
        victim.now = victim.now + Duration::from_millis(1);
        let request = encode(&enemy.header(), &[1; 64]);
        let batch = ReceivedBatch::single(enemy.addr, request);
        let before = allocations();
        victim.endpoint.handle_batch(victim.now, &batch);
        let mut buf = [0; 100];
        assert_eq!(victim.endpoint.read(victim.now, conn, &mut buf), Ok(64));
        assert_eq!(victim.endpoint.write(victim.now, conn, &buf[..64]), Ok(64));
        while victim.endpoint.poll_transmit(victim.now, &mut transmit).is_some() {}
        // The first are what all others are served from.
        assert!(round < 3 || allocations() == before, "round {round}");
        enemy.seq += 64;
        enemy.ack += 64;
    }
}

#[test]
fn peers_that_leave_a_hole() {
    let mut victim = Victim::new(config(), 4);
    let mut honest = Honest::connect(&mut victim);
    victim.begin_measuring();
    let mut enemies = enemies(&mut victim);
    // Single octets with holes between them, then runs.
    for (len, step) in [(1, 2), (600, 700)] {
        for index in 0..400 {
            for (enemy, conn) in &enemies {
                let distance = 10 + index * step;
                if u64::from(distance) + 1_000 < victim.info(*conn).rcv_wnd {
                    enemy.say(&mut victim, enemy.ahead(distance), &[3; 600][..len]);
                }
            }
        }
        assert!(victim.grown() <= MAX, "{}", victim.grown());
    }
    assert!(victim.endpoint.shared_memory_used() <= MAX as u64);
    let dropped = |conn| victim.info(conn).counters.reassembly_bytes_dropped;
    assert!(enemies.iter().map(|(_, conn)| dropped(*conn)).sum::<u64>() > 0);
    // In order it is taken still.
    for (enemy, conn) in &mut enemies {
        enemy.send(&mut victim, &[1; 10]);
        assert!(victim.info(*conn).recv_queue >= 10);
    }
    honest.exchange(&mut victim, 300_000);
}

#[test]
fn peers_that_acknowledge_nothing() {
    let connection = ConnectionConfig::builder()
        .with_send_buffer(1 << 20, 1 << 20)
        .with_recv_buffer(2_048, 2_048)
        .build();
    let mut victim = Victim::new(config().with_connection(connection.unwrap()), 4);
    let mut honest = Honest::connect(&mut victim);
    victim.begin_measuring();
    let enemies = enemies(&mut victim);
    for size in [10, 1_000, 30_000] {
        let piece = vec![1; size];
        for (_, conn) in &enemies {
            while victim.endpoint.write(victim.now, *conn, &piece).is_ok() {
                victim.drain();
            }
        }
    }
    let held: u64 = enemies.iter().map(|(_, conn)| victim.info(*conn).send_queue).sum();
    assert!(held > MAX as u64 / 4, "{held}");
    assert!(victim.endpoint.shared_memory_used() <= MAX as u64);
    assert!(victim.grown() <= MAX, "{}", victim.grown());
    assert!(limited(&victim, &enemies) > 0);
    honest.exchange(&mut victim, 300_000);
    // Each has its two kilobytes, and goes on when they are acknowledged.
    for (enemy, conn) in &enemies {
        let info = victim.info(*conn);
        assert!(info.send_queue >= 2_048, "{}", info.send_queue);
        let outstanding = u32::try_from(info.outstanding).unwrap();
        let enemy = Enemy { ack: enemy.ack.wrapping_add(outstanding), ..enemy.clone() };
        enemy.say(&mut victim, enemy.header(), &[]);
    }
    assert!(enemies.iter().all(|(_, conn)| {
        victim.endpoint.write(victim.now, *conn, &[1]) != Err(WriteError::WouldBlock)
            || victim.info(*conn).outstanding > 0
    }));
}

#[test]
fn nothing_that_was_sent_is_kept_for_the_next_write_where_memory_is_short() {
    let connection = ConnectionConfig::builder().with_send_buffer(1 << 20, 1 << 20).build();
    let mut victim = Victim::new(config().with_connection(connection.unwrap()), 4);
    victim.begin_measuring();
    let mut enemies: Vec<_> =
        (1..=8).map(|host| Enemy::connect(&mut victim, host, 1_460).unwrap()).collect();
    for _ in 0..40 {
        for (enemy, conn) in &mut enemies {
            while victim.endpoint.write(victim.now, *conn, &[1; 50_000]).is_ok() {
                victim.drain();
            }
            let outstanding = u32::try_from(victim.info(*conn).outstanding).unwrap();
            enemy.ack = enemy.ack.wrapping_add(outstanding);
            enemy.say(&mut victim, enemy.header(), &[]);
            let info = victim.info(*conn);
            let beside = info.memory as u64 - info.send_queue;
            assert!(beside <= info.send_queue / 4 + 32 * 1_024, "{beside} for {}", info.send_queue);
        }
        assert!(victim.endpoint.shared_memory_used() <= MAX as u64);
    }
    assert!(victim.grown() <= MAX, "{}", victim.grown());
    assert!(limited(&victim, &enemies) > 0);
    let sent = enemies.iter().map(|(_, conn)| victim.info(*conn).counters.bytes_sent).min();
    assert!(sent > Some(1 << 20), "{sent:?}");
}

#[test]
fn nobody_is_short_of_memory_without_need() {
    // One connection alone may use a third of what is there, and nearly a half.
    let connection = ConnectionConfig::builder().with_send_buffer(4 << 20, 4 << 20).build();
    let mut victim = Victim::new(config().with_connection(connection.unwrap()), 4);
    let (_, conn) = Enemy::connect(&mut victim, 1, 1_460).unwrap();
    while victim.endpoint.write(victim.now, conn, &[1; 10_000]).is_ok() {
        victim.drain();
    }
    let held = victim.info(conn).send_queue;
    let shared = MAX as u64 - 64 * 16 * 1_024;
    assert!((shared / 3..=shared / 2).contains(&held), "{held}");
}

#[test]
fn what_was_read_is_free_for_others_at_once() {
    let mut victim = Victim::new(config(), 4);
    let (mut enemy, conn) = Enemy::connect(&mut victim, 1, 1_460).unwrap();
    for _ in 0..10 {
        enemy.send(&mut victim, &[1; 1_000]);
    }
    let used = victim.endpoint.shared_memory_used();
    // It is not worth telling the peer of.
    let sent = victim.segments_out;
    assert_eq!(victim.endpoint.read(victim.now, conn, &mut [0; 20_000]), Ok(10_000));
    victim.drain();
    assert_eq!(victim.segments_out, sent);
    assert!(victim.endpoint.shared_memory_used() + 10_000 <= used);
}
