//! What the endpoint itself keeps: connections, listeners, TIME-WAIT, paths, events,
//! and answers to strangers.

use core::time::Duration;

use tou_proto::EndpointConfig;
use tou_proto::wire::{SegmentFlags, SegmentHeader};

use crate::rig::{Enemy, Honest, Victim, offer};

/// What a connection that holds no data takes, in all tables together, at most.
const IDLE_CONNECTION: usize = 4_096;

#[test]
fn connections() {
    let mut victim = Victim::new(EndpointConfig::builder().with_max_connections(11), 100);
    let mut honest = Honest::connect(&mut victim);
    victim.begin_measuring();
    let mut let_in = 0;
    for host in 1..=1_000 {
        let_in += usize::from(Enemy::connect(&mut victim, host, 1_460).is_some());
    }
    assert_eq!((let_in, victim.endpoint.connection_count()), (10, 11));
    assert_eq!(victim.counters().connections_refused, 990);
    assert!(victim.grown() <= 10 * IDLE_CONNECTION, "{}", victim.grown());
    honest.exchange(&mut victim, 300_000);
}

#[test]
fn backlog() {
    let mut victim = Victim::new(EndpointConfig::builder(), 4);
    let mut honest = Honest::connect(&mut victim);
    victim.begin_measuring();
    for host in 1..=1_000 {
        Enemy::new(host).handshake(&mut victim, offer(1_460));
    }
    assert_eq!(victim.endpoint.backlog(victim.listener), Some((0, 4)));
    assert_eq!(victim.counters().syns_dropped, 996);
    assert!(victim.grown() <= 4 * IDLE_CONNECTION, "{}", victim.grown());
    honest.exchange(&mut victim, 300_000);
    // Nobody waits for ever behind those who are not accepted.
    assert!((0..4).all(|_| victim.accept().is_some()));
    assert!(Enemy::connect(&mut victim, 2_000, 1_460).is_some());
}

/// A SYN that is remembered, with everything that leads to it.
const HALF_OPEN: usize = 1_024;

#[test]
fn syn_cache() {
    let config = EndpointConfig::builder().with_max_syn_cache(50);
    let mut victim = Victim::new(config, 100);
    let mut honest = Honest::connect(&mut victim);
    victim.begin_measuring();
    for host in 1..=20_000 {
        let enemy = Enemy::new(host);
        let syn =
            SegmentHeader { flags: SegmentFlags::SYN, options: offer(1_460), ..enemy.header() };
        enemy.say(&mut victim, syn, &[]);
    }
    assert_eq!(victim.endpoint.half_open_count(), 50);
    let counters = victim.counters();
    assert_eq!((counters.syn_cache_overflows, counters.syn_cookies_sent), (19_950, 19_950));
    assert!(victim.grown() <= 50 * HALF_OPEN, "{}", victim.grown());
    honest.exchange(&mut victim, 300_000);
    // Somebody who means it gets in.
    assert!(Enemy::connect(&mut victim, 30_000, 1_460).is_some());
    assert_eq!(victim.counters().syn_cookies_accepted, 1);
}

/// Opens and closes a connection; what remains of it is in TIME-WAIT.
fn come_and_go(victim: &mut Victim, host: u32) {
    let (mut enemy, conn) = Enemy::connect(victim, host, 1_460).unwrap();
    enemy.close_after(victim, conn);
}

#[test]
fn time_wait() {
    let mut victim = Victim::new(EndpointConfig::builder().with_max_time_wait(100), 4);
    let mut honest = Honest::connect(&mut victim);
    victim.begin_measuring();
    for host in 1..=2_000 {
        come_and_go(&mut victim, host);
        assert!(victim.endpoint.time_wait_count() <= 100);
    }
    assert_eq!(victim.endpoint.time_wait_count(), 100);
    assert_eq!(victim.counters().time_wait_evicted, 1_900);
    // With its path, its names, its place in the queue, and one whole connection.
    assert!(victim.grown() <= 100 * 768 + IDLE_CONNECTION, "{}", victim.grown());
    honest.exchange(&mut victim, 300_000);
}

#[test]
fn paths() {
    // Who is not let in leaves no path behind, and who goes takes it along.
    let mut victim = Victim::new(EndpointConfig::builder().with_max_time_wait(1), 1);
    let mut honest = Honest::connect(&mut victim);
    (1..=50).for_each(|host| come_and_go(&mut victim, host));
    victim.begin_measuring();
    for host in 1_000..11_000 {
        let enemy = Enemy::new(host);
        enemy.say(&mut victim, enemy.header(), b"stray");
        if host % 10 == 0 {
            come_and_go(&mut victim, host);
        }
    }
    assert!(victim.grown() <= IDLE_CONNECTION + 256 * 256, "{}", victim.grown());
    assert!(victim.kept() <= 1_024, "{}", victim.kept());
    honest.exchange(&mut victim, 300_000);
}

#[test]
fn stray_resets() {
    let config = EndpointConfig::builder().with_stray_replies_per_second(100);
    let mut victim = Victim::new(config, 4);
    let mut honest = Honest::connect(&mut victim);
    victim.begin_measuring();
    let before = victim.segments_out;
    for host in 1..=10_000 {
        let enemy = Enemy::new(host);
        enemy.say(&mut victim, enemy.header(), b"stray");
    }
    let counters = victim.counters();
    assert!((50..=100).contains(&counters.resets_sent), "{}", counters.resets_sent);
    assert_eq!(counters.stray_replies_suppressed, 10_000 - counters.resets_sent);
    assert_eq!(victim.segments_out - before, counters.resets_sent);
    assert!(victim.grown() <= 1 << 16, "{}", victim.grown());
    honest.exchange(&mut victim, 300_000);
    // One source alone gets a part of it.
    victim.wait(Duration::from_secs(1));
    let enemy = Enemy::new(77);
    (0..1_000).for_each(|_| enemy.say(&mut victim, enemy.header(), b"stray"));
    let one = victim.counters().resets_sent - counters.resets_sent;
    assert!((1..=10).contains(&one), "{one}");
}

#[test]
fn events() {
    // An owner who never looks, while connections come and are reset.
    let mut victim = Victim::new(EndpointConfig::builder(), 4);
    let mut honest = Honest::connect(&mut victim);
    let mut kept = Vec::with_capacity(100);
    for host in 0..100 {
        kept.push(Enemy::connect(&mut victim, 1 + host, 1_460).unwrap());
    }
    victim.begin_measuring();
    for round in 0..200 {
        for (enemy, _) in &mut kept {
            enemy.send(&mut victim, &[1]);
        }
        let (mut enemy, conn) = Enemy::connect(&mut victim, 1_000 + round, 1_460).unwrap();
        enemy.send(&mut victim, b"hello");
        let flags = SegmentFlags::RST;
        enemy.say(&mut victim, SegmentHeader { flags, ..enemy.header() }, &[]);
        victim.endpoint.close(victim.now, conn).unwrap();
    }
    // Some 200 octets of data each, and one event.
    assert!(victim.grown() <= 100 * 1_600 + 2 * IDLE_CONNECTION, "{}", victim.grown());
    let mut events = 0;
    while victim.endpoint.poll_event().is_some() {
        events += 1;
    }
    assert!((100..=120).contains(&events), "{events}");
    honest.exchange(&mut victim, 300_000);
}

#[test]
fn those_who_wait_to_send() {
    // Connections come and are reset while the socket takes nothing.
    let mut victim = Victim::new(EndpointConfig::builder(), 4);
    let mut honest = Honest::connect(&mut victim);
    victim.begin_measuring();
    for host in 1..=10_000 {
        let enemy = Enemy::new(host);
        let syn = SegmentHeader { flags: SegmentFlags::SYN, ..enemy.header() };
        enemy.say_undrained(&mut victim, syn);
        let reset = SegmentHeader { flags: SegmentFlags::RST, ..enemy.ahead(1) };
        enemy.say_undrained(&mut victim, reset);
    }
    assert_eq!(victim.endpoint.connection_count(), 1);
    assert!(victim.grown() <= 2 * IDLE_CONNECTION, "{}", victim.grown());
    victim.drain();
    honest.exchange(&mut victim, 300_000);
}

#[test]
fn names_used_again_in_time_wait() {
    // A peer that opens and closes the same connection again and again, beside
    // one that stays in TIME-WAIT.
    let mut victim = Victim::new(EndpointConfig::builder(), 4);
    come_and_go(&mut victim, 1);
    let mut enemy = Enemy::new(2);
    victim.begin_measuring();
    for _ in 0..5_000 {
        assert!(enemy.handshake(&mut victim, offer(1_460)));
        let conn = victim.accept().unwrap();
        enemy.close_after(&mut victim, conn);
        enemy.seq = enemy.seq.wrapping_add(100_000);
    }
    assert_eq!(victim.endpoint.time_wait_count(), 2);
    assert!(victim.grown() <= 2 * IDLE_CONNECTION, "{}", victim.grown());
}
