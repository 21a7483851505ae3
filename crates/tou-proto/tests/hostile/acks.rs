//! Acknowledgments that lie.

use core::time::Duration;

use tou_proto::cc::CongestionControl;
use tou_proto::wire::{SegmentOptions, Timestamps};
use tou_proto::{ConnId, ConnectionConfig, EndpointConfig, State};

use crate::rig::{Enemy, Honest, Victim, offer};

/// What a datagram of 1,480 octets has room for.
const MSS: u32 = 1_452;

/// An enemy whom the victim has much to say to, and an honest peer.
fn listening_enemy(
    initial_window: u32,
    options: SegmentOptions,
) -> (Victim, Honest, Enemy, ConnId) {
    let config = ConnectionConfig::builder()
        .with_send_buffer(4 << 20, 4 << 20)
        .with_initial_window(u64::from(initial_window))
        .with_nodelay(true)
        .build();
    let mut victim = Victim::new(EndpointConfig::builder().with_connection(config.unwrap()), 4);
    let honest = Honest::connect(&mut victim);
    let (enemy, conn) = Enemy::connect_with(&mut victim, 1, options).unwrap();
    // The window of the handshake was not scaled.
    enemy.say(&mut victim, enemy.header(), &[]);
    victim.wait(Duration::from_millis(100));
    talk(&mut victim, conn);
    victim.wait(Duration::from_millis(1));
    victim.begin_measuring();
    (victim, honest, enemy, conn)
}

/// Fills the victim's send buffer.
fn talk(victim: &mut Victim, conn: ConnId) {
    while victim.endpoint.write(victim.now, conn, &[7; 100_000]).is_ok() {}
    victim.drain();
}

#[test]
fn of_what_was_never_sent_change_nothing() {
    // RFC 5961 §5: optimistic acknowledgments beyond SND.NXT.
    let (mut victim, mut honest, enemy, conn) = listening_enemy(10 * MSS, offer(1_460));
    let (before, out) = (victim.info(conn), victim.segments_out);
    for distance in 1..=1_000 {
        enemy.say(&mut victim, enemy.acking(10 * MSS + distance), &[]);
        enemy.say(&mut victim, enemy.acking(10 * MSS + (1 << (distance % 31))), &[9; 10]);
        assert_eq!(victim.info(conn).outstanding, before.outstanding, "{distance} was believed");
    }
    let after = victim.info(conn);
    assert_eq!((after.cwnd, after.send_queue), (before.cwnd, before.send_queue));
    assert_eq!(victim.segments_out - out, 5, "challenge ACKs");
    assert!(after.counters.challenge_acks_suppressed >= 1_000);
    honest.exchange(&mut victim, 300_000);
}

#[test]
fn of_what_did_not_arrive_let_no_more_out_than_there_is_room_for() {
    // Within SND.NXT a lie cannot be told from the truth. It hurts who tells it: what
    // it acknowledges is never sent again.
    let (mut victim, mut honest, mut enemy, conn) = listening_enemy(10 * MSS, offer(1_460));
    for _ in 0..2_000 {
        let outstanding = u32::try_from(victim.info(conn).outstanding).unwrap();
        assert!(outstanding <= 4 << 20);
        enemy.say(&mut victim, enemy.acking(outstanding), &[]);
        enemy.ack = enemy.ack.wrapping_add(outstanding);
        talk(&mut victim, conn);
        victim.wait(Duration::from_micros(100));
    }
    assert!(victim.grown() <= (4 << 20) / 4, "{}", victim.grown());
    honest.exchange(&mut victim, 300_000);
}

#[test]
fn in_pieces_open_the_window_no_more_than_whole_ones() {
    // Divided acknowledgments (RFC 3465 counts octets).
    for congestion in [CongestionControl::Cubic, CongestionControl::Reno] {
        let cwnd_after = |piece: u32| {
            let config =
                ConnectionConfig::builder().with_congestion(congestion.clone()).build().unwrap();
            let mut victim = Victim::new(EndpointConfig::builder().with_connection(config), 4);
            let (enemy, conn) = Enemy::connect(&mut victim, 1, 1_460).unwrap();
            enemy.say(&mut victim, enemy.header(), &[]);
            talk(&mut victim, conn);
            victim.wait(Duration::from_millis(50));
            for acked in (piece..=10 * MSS).step_by(piece as usize) {
                enemy.say(&mut victim, enemy.acking(acked), &[]);
            }
            victim.info(conn).cwnd
        };
        let whole = cwnd_after(MSS);
        assert!(whole >= u64::from(15 * MSS), "{whole}");
        for piece in [1, 2, 146, 730] {
            assert!(cwnd_after(piece) <= whole, "{piece}: {} > {whole}", cwnd_after(piece));
        }
    }
}

#[test]
fn that_repeat_the_last_without_end_draw_no_more_than_there_is_room_for() {
    // Without SACK each duplicate may stand for a segment that has left the network (RFC
    // 5681 §3.2), so each may let one go; but what is not acknowledged stays in the buffer.
    let options = SegmentOptions { sack_permitted: false, ..offer(1_460) };
    let (mut victim, mut honest, enemy, conn) = listening_enemy(100 * MSS, options);
    let out = victim.segments_out;
    for _ in 0..10_000 {
        enemy.say(&mut victim, enemy.header(), &[]);
    }
    let sent = victim.segments_out - out;
    assert!(sent <= (4 << 20) / u64::from(MSS), "{sent}");
    assert!(victim.info(conn).cwnd <= u64::from(100 * MSS), "{}", victim.info(conn).cwnd);
    assert!(victim.grown() <= (4 << 20) / 8, "{}", victim.grown());
    honest.exchange(&mut victim, 300_000);
}

#[test]
fn with_blocks_in_any_order_cost_little_and_repair_each_hole_once() {
    // CVE-2019-11477 and -11478: every second segment of two thousand, in blocks that
    // come in no order and again and again.
    let (mut victim, mut honest, enemy, conn) = listening_enemy(2_000 * MSS, offer(1_460));
    assert_eq!(victim.info(conn).outstanding, u64::from(2_000 * MSS));
    let out = victim.segments_out;
    let block = |index: u32| {
        // 997 is prime to 1,000: each comes once in a round.
        let start = (2 * (index * 997 % 1_000) + 1) * MSS;
        (start, start + MSS)
    };
    for index in 0..10_000 {
        let blocks = [block(index), block(index + 1), block(index + 2), block(index + 3)];
        enemy.say(&mut victim, enemy.sacking(&blocks), &[]);
    }
    let sent = victim.segments_out - out;
    assert!(sent <= 1_100, "{sent} segments were drawn out");
    assert!(victim.grown() <= 2_000 * 100, "{}", victim.grown());
    // Parts of segments are no reason to cut them up.
    for index in 0..2_000 {
        enemy.say(&mut victim, enemy.sacking(&[(index * MSS + 1, index * MSS + 2)]), &[]);
    }
    assert!(victim.grown() <= 2_000 * 100, "{}", victim.grown());
    honest.exchange(&mut victim, 300_000);
}

#[test]
fn that_take_back_what_they_said_are_survived() {
    // Reneging (RFC 2018 §8), again and again: all was held, and then it is not.
    let (mut victim, mut honest, mut enemy, conn) = listening_enemy(500 * MSS, offer(1_460));
    for _ in 0..100 {
        let outstanding = u32::try_from(victim.info(conn).outstanding).unwrap();
        enemy.say(&mut victim, enemy.sacking(&[(MSS, outstanding)]), &[]);
        enemy.ack = enemy.ack.wrapping_add(MSS);
        enemy.say(&mut victim, enemy.header(), &[]);
        victim.wait(Duration::from_millis(1));
    }
    assert!(victim.grown() <= 500 * 256, "{}", victim.grown());
    // What it takes no more can still be delivered.
    for _ in 0..100 {
        let outstanding = u32::try_from(victim.info(conn).outstanding).unwrap();
        enemy.say(&mut victim, enemy.acking(outstanding), &[]);
        enemy.ack = enemy.ack.wrapping_add(outstanding);
        victim.wait(Duration::from_millis(1));
    }
    assert_eq!((victim.info(conn).send_queue, victim.info(conn).state), (0, State::Established));
    honest.exchange(&mut victim, 300_000);
}

#[test]
fn with_impossible_blocks_are_ignored() {
    let (mut victim, mut honest, enemy, conn) = listening_enemy(100 * MSS, offer(1_460));
    let (before, out) = (victim.info(conn), victim.segments_out);
    let end = 100 * MSS;
    for blocks in [
        [(end, end + 1), (end + MSS, end + 9 * MSS)],
        [(5 * MSS, 5 * MSS), (7 * MSS, 6 * MSS)],
        [(0_u32.wrapping_sub(9 * MSS), 9 * MSS), (1 << 31, (1 << 31) + MSS)],
        [(0, MSS), (0, end)],
    ] {
        (0..100).for_each(|_| enemy.say(&mut victim, enemy.sacking(&blocks), &[]));
    }
    let after = victim.info(conn);
    assert_eq!((after.in_flight, after.cwnd), (before.in_flight, before.cwnd));
    assert_eq!(victim.segments_out, out);
    honest.exchange(&mut victim, 300_000);
}

#[test]
fn that_claim_duplicates_widen_nothing() {
    // DSACK (RFC 2883) for what was never sent twice.
    let (mut victim, mut honest, enemy, conn) = listening_enemy(100 * MSS, offer(1_460));
    let before = victim.info(conn);
    for index in 0..10_000_u32 {
        let start = 0_u32.wrapping_sub(1 + index % 5 * MSS);
        enemy.say(&mut victim, enemy.sacking(&[(start.wrapping_sub(MSS), start)]), &[]);
    }
    let after = victim.info(conn);
    assert!(after.counters.dsacks_received > 0);
    assert_eq!((after.cwnd, after.in_flight), (before.cwnd, before.in_flight));
    assert!(after.reordering_window <= after.srtt.unwrap_or_default());
    honest.exchange(&mut victim, 300_000);
}

#[test]
fn that_call_each_loss_a_mistake_are_believed_a_few_times() {
    // The last three segments are held, so that all others are lost; and the timestamp
    // that is echoed is older than what was sent again, so that they are not (Eifel): each
    // time a look at all of them.
    let timestamps = Some(Timestamps { tsval: 1, tsecr: 0 });
    let options = SegmentOptions { timestamps, ..offer(1_460) };
    let (mut victim, mut honest, mut enemy, conn) = listening_enemy(500 * MSS, options);
    for _ in 0..200 {
        let info = victim.info(conn);
        let (end, mss) = (info.outstanding as u32, info.mss as u32);
        enemy.say(&mut victim, enemy.sacking(&[(end - 3 * mss, end)]), &[]);
        victim.wait(Duration::from_micros(10));
        enemy.ack = enemy.ack.wrapping_add(mss);
        enemy.say(&mut victim, enemy.header(), &[]);
        victim.wait(Duration::from_micros(10));
    }
    let mistakes = victim.info(conn).counters.spurious_recoveries;
    assert!((2..=16).contains(&mistakes), "{mistakes}");
    honest.exchange(&mut victim, 300_000);
}
