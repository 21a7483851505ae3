//! What one connection keeps, and how often it answers.

use core::time::Duration;

use bytes::Bytes;
use tou_proto::wire::{SegmentFlags, SegmentHeader};
use tou_proto::{
    ConnId, ConnectionConfig, ConnectionConfigBuilder, EndpointConfig, ReadError, WriteError,
};

use crate::rig::{Enemy, Honest, Victim};

/// A second connection, and one of an enemy, each with this configuration.
fn attacked(config: ConnectionConfigBuilder, mss: u16) -> (Victim, Honest, Enemy, ConnId) {
    let config = EndpointConfig::builder().with_connection(config.build().unwrap());
    let mut victim = Victim::new(config, 4);
    let honest = Honest::connect(&mut victim);
    let (enemy, conn) = Enemy::connect(&mut victim, 1, mss).unwrap();
    victim.begin_measuring();
    (victim, honest, enemy, conn)
}

/// What a buffer of `bytes` may take: a sixteenth more for what leads to its pieces, the
/// unused part of one allocation, and what an empty one takes.
fn with_overhead(bytes: usize) -> usize {
    bytes + bytes / 16 + 16 * 1_024 + 4_096
}

fn fill(victim: &mut Victim, conn: ConnId, piece: &[u8]) -> usize {
    let mut written = 0;
    loop {
        match victim.endpoint.write(victim.now, conn, piece) {
            Ok(count) => written += count,
            Err(WriteError::WouldBlock) => break,
            Err(error) => panic!("{error}"),
        }
        victim.drain();
    }
    written
}

#[test]
fn send_buffer() {
    const LIMIT: usize = 300_000;
    // A peer that acknowledges nothing, and a user who writes on.
    for size in [1, 100, 1_000, 50_000, LIMIT] {
        let config = ConnectionConfig::builder().with_send_buffer(LIMIT as u64, LIMIT as u64);
        let (mut victim, mut honest, _, conn) = attacked(config, 1_460);
        let piece = vec![1; size];
        victim.begin_measuring();
        assert_eq!(fill(&mut victim, conn, &piece), LIMIT);
        let info = victim.info(conn);
        assert_eq!((info.counters.writes_refused, info.send_queue), (1, LIMIT as u64));
        assert!(victim.grown() <= with_overhead(LIMIT), "{size}: {}", victim.grown());
        let mut more = Bytes::from_static(&[2; 5_000]);
        let refused = victim.endpoint.write_bytes(victim.now, conn, &mut more);
        assert_eq!((refused, more.len()), (Err(WriteError::WouldBlock), 5_000));
        honest.exchange(&mut victim, 300_000);
        // All of it goes with the connection.
        let before = victim.kept();
        victim.endpoint.abort(victim.now, conn).unwrap();
        victim.drain();
        assert!(victim.kept() + 300_000 <= before, "{} of {before}", victim.kept());
    }
}

#[test]
fn segments_outstanding() {
    // CVE-2019-11479: the peer announces an MSS of one octet, which counts as 64; or
    // the user writes octet by octet and wants no delay.
    const LIMIT: usize = 1 << 20;
    for (mss, size) in [(1, 30_000), (1_460, 1)] {
        let config = ConnectionConfig::builder()
            .with_send_buffer(LIMIT as u64, LIMIT as u64)
            .with_initial_window(10 * LIMIT as u64)
            .with_nodelay(true);
        let (mut victim, mut honest, enemy, conn) = attacked(config, mss);
        // The window of the handshake was not scaled.
        enemy.say(&mut victim, enemy.header(), &[]);
        let piece = vec![1; size];
        victim.begin_measuring();
        let before = victim.segments_out;
        let written = fill(&mut victim, conn, &piece);
        assert_eq!(written, LIMIT);
        assert_eq!(victim.segments_out - before, LIMIT as u64 / 256);
        let info = victim.info(conn);
        assert!(info.counters.segments_limited > 0);
        assert!(info.outstanding <= LIMIT as u64 / 256 * 64);
        // 120 octets for each segment outstanding.
        let most = with_overhead(LIMIT) + LIMIT / 256 * 120;
        assert!(victim.grown() <= most, "{} > {most}", victim.grown());
        honest.exchange(&mut victim, 300_000);
        // It goes on when the peer acknowledges.
        let enemy = Enemy { ack: enemy.ack + 1_000, ..enemy };
        enemy.say(&mut victim, enemy.header(), &[]);
        assert!(victim.segments_out - before > LIMIT as u64 / 256);
    }
}

#[test]
fn receive_buffer() {
    // A user who does not read, and a peer that sends on.
    const LIMIT: usize = 200_000;
    for size in [1, 100, 511, 512, 1_000, 1_460] {
        let config = ConnectionConfig::builder().with_recv_buffer(LIMIT as u64, LIMIT as u64);
        let (mut victim, mut honest, mut enemy, conn) = attacked(config, 1_460);
        let payload = vec![1; size];
        for _ in 0..LIMIT / size + 10 {
            enemy.send(&mut victim, &payload);
        }
        let info = victim.info(conn);
        // The last part is smaller than what the scale of windows can say.
        let queue = info.recv_queue as usize;
        assert!((LIMIT - 4..=LIMIT).contains(&queue), "{size}: {queue}");
        assert!(info.counters.bytes_beyond_window > 0, "{size}");
        assert!(victim.grown() <= with_overhead(LIMIT) + 64 * size, "{size}: {}", victim.grown());
        honest.exchange(&mut victim, 300_000);
        let (mut read, mut buf) = (0, [0; 10_000]);
        while let Ok(count) = victim.endpoint.read(victim.now, conn, &mut buf) {
            read += count as u64;
        }
        assert_eq!(read, info.recv_queue);
    }
}

#[test]
fn batches_that_are_mostly_waste() {
    // Of 44 datagrams in one buffer the peer lets a few be worth something.
    const LIMIT: usize = 200_000;
    for good in [1, 4, 9, 20, 38] {
        let config = ConnectionConfig::builder().with_recv_buffer(LIMIT as u64, LIMIT as u64);
        let (mut victim, _, mut enemy, conn) = attacked(config, 1_460);
        let payload = [1; 1_440];
        while victim.info(conn).recv_queue + 60_000 < LIMIT as u64 {
            let old = (good..44).map(|_| enemy.ahead(0));
            let new = (0..good).map(|index| enemy.ahead(1_440 * index));
            let all: Vec<SegmentHeader> = new.chain(old).collect();
            enemy.say_all(&mut victim, all, &payload);
            enemy.seq = enemy.seq.wrapping_add(1_440 * good);
        }
        assert!(victim.kept() as usize <= with_overhead(LIMIT), "{good}: {}", victim.kept());
    }
}

#[test]
fn batches_of_which_most_is_read() {
    // 43 datagrams of 44 are read at once, and one waits behind a hole.
    let config = ConnectionConfig::builder().with_recv_buffer(1 << 20, 1 << 20);
    let (mut victim, _, mut enemy, conn) = attacked(config, 1_460);
    let payload = [1; 1_440];
    let mut buf = vec![0; 70_000];
    victim.begin_measuring();
    for round in 0..100 {
        // Every second segment of what is far ahead.
        let behind = enemy.ahead(400_000 + 2_880 * round - 43 * 1_440 * round);
        let all: Vec<SegmentHeader> =
            (0..43).map(|index| enemy.ahead(1_440 * index)).chain([behind]).collect();
        enemy.say_all(&mut victim, all, &payload);
        enemy.seq = enemy.seq.wrapping_add(43 * 1_440);
        while victim.endpoint.read(victim.now, conn, &mut buf).is_ok() {}
        victim.drain();
        if 43 * 1_440 * (round + 2) > 400_000 {
            break;
        }
    }
    let info = victim.info(conn);
    assert!(info.reassembly_queue >= 5 * 1_440, "{}", info.reassembly_queue);
    let most = 2 * info.reassembly_queue as usize + 4_096;
    assert!(victim.kept() as usize <= most, "{} > {most}", victim.kept());
}

#[test]
fn ranges_out_of_order() {
    // A million segments of one octet with holes between them, from the far end.
    const WINDOW: u32 = 4 << 20;
    let config = ConnectionConfig::builder()
        .with_recv_buffer(u64::from(WINDOW), u64::from(WINDOW))
        .with_max_reassembly_ranges(100);
    let (mut victim, mut honest, mut enemy, conn) = attacked(config, 1_460);
    // The window of the SYN-ACK was not scaled.
    enemy.send(&mut victim, b"a");
    victim.endpoint.read(victim.now, conn, &mut [0; 9]).unwrap();
    victim.drain();
    let before = victim.segments_out;
    victim.begin_measuring();
    for batch in 0..25_000 {
        let at = |index: u32| 2_000_100 - 2 * (40 * batch + index);
        let all: Vec<SegmentHeader> = (0..40).map(|index| enemy.ahead(at(index))).collect();
        enemy.say_all(&mut victim, all, &[9]);
    }
    let info = victim.info(conn);
    assert_eq!(info.counters.out_of_order_segments, 1_000_000);
    assert_eq!(info.counters.reassembly_bytes_dropped, 1_000_000 - info.reassembly_queue);
    assert_eq!(info.reassembly_queue, 100);
    // As many answers as it takes to report some of the blocks, for 40 segments.
    let answers = victim.segments_out - before;
    assert!(answers <= 4 * 25_000, "{answers}");
    assert!(victim.grown() <= 50_000, "{}", victim.grown());
    // What is in order is taken all the same.
    enemy.send(&mut victim, &[1; 1_000]);
    assert_eq!(victim.info(conn).recv_queue, 1_000);
    honest.exchange(&mut victim, 300_000);
}

#[test]
fn bytes_out_of_order() {
    const LIMIT: usize = 50_000;
    let config = ConnectionConfig::builder()
        .with_recv_buffer(1 << 20, 1 << 20)
        .with_max_reassembly_bytes(LIMIT as u64);
    let (mut victim, mut honest, mut enemy, conn) = attacked(config, 1_460);
    // One block that grows from the far end, and one from the near end.
    for index in (0..400).chain((400..600).rev()) {
        enemy.say(&mut victim, enemy.ahead(1_000 + 100 * index), &[7; 100]);
        assert!(victim.info(conn).reassembly_queue <= LIMIT as u64);
    }
    let dropped = victim.info(conn).counters.reassembly_bytes_dropped;
    assert!((10_000..=20_000).contains(&dropped), "{dropped}");
    assert!(victim.grown() <= 2 * LIMIT, "{}", victim.grown());
    // The nearest were kept.
    enemy.send(&mut victim, &[7; 1_000]);
    assert!(victim.info(conn).recv_queue >= 41_000, "{}", victim.info(conn).recv_queue);
    honest.exchange(&mut victim, 300_000);
}

#[test]
fn challenge_acks() {
    let config = ConnectionConfig::builder().with_challenge_acks_per_second(3);
    let (mut victim, mut honest, enemy, conn) = attacked(config, 1_460);
    let (other, other_conn) = Enemy::connect(&mut victim, 2, 1_460).unwrap();
    let reset = |enemy: &Enemy| SegmentHeader { flags: SegmentFlags::RST, ..enemy.ahead(9) };
    let before = victim.segments_out;
    (0..10_000).for_each(|_| enemy.say(&mut victim, reset(&enemy), &[]));
    let counters = victim.info(conn).counters;
    assert_eq!((counters.challenge_acks, counters.challenge_acks_suppressed), (3, 9_997));
    assert_eq!(victim.segments_out - before, 3);
    assert_eq!(victim.grown() / 4_096, 0);
    // CVE-2016-5696: another connection's challenges are its own.
    (0..10).for_each(|_| other.say(&mut victim, reset(&other), &[]));
    assert_eq!(victim.info(other_conn).counters.challenge_acks, 3);
    honest.exchange(&mut victim, 300_000);
    victim.wait(Duration::from_secs(1));
    (0..10).for_each(|_| enemy.say(&mut victim, reset(&enemy), &[]));
    assert_eq!(victim.info(conn).counters.challenge_acks, 6);
    let nothing = victim.endpoint.read(victim.now, conn, &mut [0; 1]);
    assert_eq!(nothing, Err(ReadError::WouldBlock), "the connection is alive");
}
