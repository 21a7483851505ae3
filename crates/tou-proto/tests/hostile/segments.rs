//! Numbers, options and sizes that nobody should send.

use tou_proto::wire::{Checksum, SegmentFlags, SegmentHeader, SegmentOptions};
use tou_proto::{ConnId, ConnectionConfig, EndpointConfig, SeqNumber, State};

use crate::rig::{Enemy, Honest, Victim, encode, offer};

fn attacked() -> (Victim, Honest, Enemy, ConnId) {
    let mut victim = Victim::new(EndpointConfig::builder(), 4);
    let honest = Honest::connect(&mut victim);
    let (enemy, conn) = Enemy::connect(&mut victim, 1, 1_460).unwrap();
    victim.begin_measuring();
    (victim, honest, enemy, conn)
}

/// Numbers that look random, the same in each run.
fn scrambled() -> impl FnMut() -> u32 {
    let mut state = 1_u64;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        u32::try_from(state >> 32).unwrap()
    }
}

#[test]
fn tiny_mss_counts_as_64() {
    // CVE-2019-11479, RFC 9293 §3.7.1: a smaller one than 64 would be mostly headers.
    for mss in [0, 1, 8, 48, 63, 64] {
        let config = ConnectionConfig::builder().with_timestamps(false).build().unwrap();
        let mut victim = Victim::new(EndpointConfig::builder().with_connection(config), 4);
        let (enemy, conn) = Enemy::connect(&mut victim, 1, mss).unwrap();
        enemy.say(&mut victim, enemy.header(), &[]);
        assert_eq!((victim.info(conn).peer_mss, victim.info(conn).mss), (mss, 64));
        let out = victim.segments_out;
        victim.endpoint.write(victim.now, conn, &[7; 6_400]).unwrap();
        victim.drain();
        let info = victim.info(conn);
        assert_eq!(info.outstanding, 64 * (victim.segments_out - out));
    }
}

#[test]
fn options_of_every_kind_cost_nothing_that_lasts() {
    let (mut victim, mut honest, mut enemy, conn) = attacked();
    let lists: [&[u8]; 9] = [
        &[1; 40],
        // Unknown ones, empty and long.
        &[253, 2].repeat(20),
        &[[254, 40].as_slice(), &[9; 38]].concat(),
        // A length of zero, of one, and beyond the end.
        &[253, 0, 1, 1],
        &[253, 1, 1, 1],
        &[8, 40, 1, 1],
        // SACK again and again, each time other blocks; and a length that is none.
        &[5, 10, 0, 0, 0, 1, 0, 0, 0, 9].repeat(4),
        &[5, 3, 1, 1],
        // A SYN's, where there is none.
        &[2, 4, 0, 1, 3, 3, 14, 4, 2, 1, 1, 1],
    ];
    for _ in 0..500 {
        for list in lists {
            let plain = encode(&enemy.header(), b"x");
            let words = u8::try_from(5 + list.len() / 4).unwrap();
            let mut datagram = [&plain[..20], list, b"x"].concat();
            datagram[12] = words << 4;
            let stride = datagram.len();
            victim.arrive(enemy.addr, stride, datagram);
            enemy.seq = enemy.seq.wrapping_add(1);
        }
    }
    let info = victim.info(conn);
    assert_eq!(info.recv_queue, 9 * 500, "the data is taken");
    assert_eq!(victim.counters().malformed_options, 4 * 500);
    assert_eq!((info.mss, info.snd_wscale), (1_452, 8), "as the SYN said");
    assert!(victim.grown() <= 20_000, "{}", victim.grown());
    honest.exchange(&mut victim, 300_000);
}

#[test]
fn numbers_all_over_are_answered_five_times_a_second() {
    let (mut victim, mut honest, mut enemy, conn) = attacked();
    let mut number = scrambled();
    let out = victim.segments_out;
    for _ in 0..100_000 {
        // A blind attacker hits what may be the peer's once in 30,000 times: not here.
        let (seq, ack) = ((1 << 20) + number() % (u32::MAX - (2 << 20)), number());
        let mut header = enemy.ahead(seq);
        header.ack = SeqNumber::new(ack);
        header.flags =
            SegmentFlags::from_bits(header.ack.get().to_le_bytes()[0]).without(SegmentFlags::RST);
        enemy.say(&mut victim, header, &[5; 40][..number() as usize % 40]);
    }
    let info = victim.info(conn);
    assert_eq!(victim.segments_out - out, 5);
    assert_eq!((info.state, info.recv_queue), (State::Established, 0));
    assert!(victim.grown() <= 4_096, "{}", victim.grown());
    enemy.send(&mut victim, b"still here");
    assert_eq!(victim.info(conn).recv_queue, 10);
    honest.exchange(&mut victim, 300_000);
}

#[test]
fn what_the_peer_may_have_lost_our_acknowledgment_of_is_answered_each_time() {
    let (mut victim, _, mut enemy, conn) = attacked();
    enemy.send(&mut victim, &[1; 1_000]);
    let out = victim.segments_out;
    let again = enemy.ahead(0_u32.wrapping_sub(1_000));
    (0..100).for_each(|_| enemy.say(&mut victim, again.clone(), &[1; 1_000]));
    assert_eq!(victim.segments_out - out, 100);
    assert_eq!(victim.info(conn).counters.duplicate_bytes_received, 100_000);
}

#[test]
fn octets_of_every_kind_are_no_more_than_counted() {
    let (mut victim, mut honest, enemy, conn) = attacked();
    let mut number = scrambled();
    for len in (0..60_000).map(|index| index % 60) {
        let octets: Vec<u8> = (0..len).map(|_| number().to_le_bytes()[3]).collect();
        victim.arrive(enemy.addr, len.max(1), octets);
    }
    assert!(victim.counters().malformed_segments > 10_000);
    assert!(victim.grown() <= 1 << 16, "{}", victim.grown());
    assert_eq!(victim.info(conn).state, State::Established);
    honest.exchange(&mut victim, 300_000);
}

#[test]
fn blind_segments_do_not_say_whether_there_is_a_connection() {
    // CVE-2016-5696: what an attacker provokes on somebody else's connection does not
    // show on a connection of its own.
    let own_challenges = |is_provoked: bool| {
        let (mut victim, _, other, _) = attacked();
        let (own, _) = Enemy::connect(&mut victim, 2, 1_460).unwrap();
        if is_provoked {
            let reset = SegmentHeader { flags: SegmentFlags::RST, ..other.ahead(50) };
            (0..500).for_each(|_| other.say(&mut victim, reset.clone(), &[]));
        }
        let out = victim.segments_out;
        let reset = SegmentHeader { flags: SegmentFlags::RST, ..own.ahead(50) };
        (0..500).for_each(|_| own.say(&mut victim, reset.clone(), &[]));
        victim.segments_out - out
    };
    assert_eq!(own_challenges(false), 5);
    assert_eq!(own_challenges(true), 5);
}

#[test]
fn answers_are_no_larger_than_what_asks_for_them() {
    // From a source that is not proven: strangers, and SYNs for ports without listener.
    let mut victim = Victim::new(EndpointConfig::builder(), 4);
    for (flags, options, data) in [
        (SegmentFlags::SYN, offer(1_460), 0),
        (SegmentFlags::SYN, SegmentOptions::default(), 0),
        (SegmentFlags::ACK, SegmentOptions::default(), 0),
        (SegmentFlags::ACK, SegmentOptions::default(), 1_000),
        (SegmentFlags::FIN | SegmentFlags::ACK, SegmentOptions::default(), 0),
    ] {
        let mut enemy = Enemy::new(1);
        enemy.port = crate::rig::port(41_000);
        let header =
            SegmentHeader { flags, options, dst_port: crate::rig::port(999), ..enemy.header() };
        let asked = encode(&header, &vec![0; data]).len();
        let out = victim.segments_out;
        victim.answer = None;
        enemy.say(&mut victim, header, &vec![0; data]);
        assert_eq!(victim.segments_out - out, 1);
        let answer = victim.answer.take().unwrap();
        let mut octets = [0; 60];
        assert!(answer.emit(Checksum::Carrier, &mut octets) <= asked);
    }
}
