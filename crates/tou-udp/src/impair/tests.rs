//! Impairment without sockets: equal seeds give equal runs, rates hold, and no
//! datagram is lost track of.

use quickcheck::{Arbitrary, Gen, quickcheck};
use tou_proto::Ecn;

use super::*;

const PEER: core::net::SocketAddr =
    core::net::SocketAddr::new(core::net::IpAddr::V4(core::net::Ipv4Addr::new(192, 0, 2, 1)), 9);

fn datagram(number: u32) -> Datagram {
    let data = number.to_be_bytes().to_vec().into();
    Datagram { peer: PEER, local_ip: None, ecn: Ecn::NotEct, data }
}

fn number(datagram: &Datagram) -> u32 {
    u32::from_be_bytes(datagram.data[..4].try_into().unwrap())
}

/// Sends `count` datagrams a millisecond apart, then waits for the rest.
/// Returns what came out, with the times.
fn run(impairer: &mut Impairer, count: u32) -> Vec<(u64, Vec<u8>)> {
    let mut arrived = Vec::new();
    let mut out = VecDeque::new();
    let mut now = Instant::ZERO;
    let mut collect = |now: Instant, out: &mut VecDeque<Datagram>| {
        arrived.extend(out.drain(..).map(|datagram| (now.as_millis(), datagram.data.to_vec())));
    };
    for n in 0..count {
        now = Instant::from_millis(n.into());
        impairer.release(now, &mut out);
        impairer.push(now, &datagram(n), &mut out);
        collect(now, &mut out);
    }
    while let Some(due) = impairer.next_due() {
        assert!(due > now, "a deadline that has passed was not served");
        now = due;
        impairer.release(now, &mut out);
        collect(now, &mut out);
    }
    assert_eq!(impairer.under_way(), 0);
    arrived
}

fn impairer(impairment: &Impairment) -> Impairer {
    Impairer::new(impairment, Direction::Send).unwrap()
}

fn everything() -> Impairment {
    Impairment {
        drop: 0.1,
        duplicate: 0.1,
        reorder: 0.1,
        corrupt: 0.1,
        delay: Duration::from_millis(20),
        jitter: Duration::from_millis(10),
        seed: 7,
        ..Impairment::default()
    }
}

#[test]
fn equal_seeds_give_equal_runs_and_other_seeds_and_directions_do_not() {
    let first = run(&mut impairer(&everything()), 2_000);
    assert_eq!(first, run(&mut impairer(&everything()), 2_000));
    let other = Impairment { seed: 8, ..everything() };
    assert_ne!(first, run(&mut impairer(&other), 2_000));
    let mut receive = Impairer::new(&everything(), Direction::Receive).unwrap();
    assert_ne!(first, run(&mut receive, 2_000));
}

#[test]
fn without_impairment_everything_passes_at_once() {
    let impairment = Impairment { seed: 3, damage: Damage::FlipBit, ..Impairment::default() };
    assert!(impairment.is_none());
    let arrived = run(&mut impairer(&impairment), 500);
    let expected = (0..500).map(|n: u32| (n.into(), n.to_be_bytes().to_vec()));
    assert!(arrived.into_iter().eq(expected));
}

#[test]
fn rates_are_what_was_asked_for() {
    let mut impairer = impairer(&everything());
    let count = 50_000;
    let arrived = run(&mut impairer, count);
    let stats = impairer.stats();
    // Five standard deviations of 50,000 draws at 0.1 are 0.0067.
    let near = |what: u64, of: u64| {
        let rate = what as f64 / of as f64;
        assert!((rate - 0.1).abs() < 0.0075, "{what} of {of}");
    };
    near(stats.dropped, stats.came);
    near(stats.discarded, stats.came - stats.dropped);
    let left = stats.came - stats.dropped - stats.discarded;
    near(stats.duplicated, left);
    near(stats.reordered, left);
    assert_eq!(arrived.len() as u64, left + stats.duplicated);
}

#[test]
fn reordered_datagrams_are_late_by_a_few_and_the_others_in_order() {
    let impairment = Impairment { reorder: 0.05, ..Impairment::default() };
    let mut impairer = impairer(&impairment);
    let arrived = run(&mut impairer, 5_000);
    let order: Vec<u32> =
        arrived.iter().map(|(_, data)| u32::from_be_bytes(data[..].try_into().unwrap())).collect();
    let mut highest = 0;
    let mut late = 0;
    for n in order {
        if n < highest {
            late += 1;
            assert!(highest - n <= 2 * Impairer::MAX_OVERTAKING, "{n} after {highest}");
        }
        highest = highest.max(n);
    }
    assert!(late > 150, "{late} late");
}

#[test]
fn a_reordered_datagram_waits_for_a_few_others_only() {
    let impairment = Impairment { reorder: 0.1, ..Impairment::default() };
    let mut impairer = impairer(&impairment);
    let mut out = VecDeque::new();
    for n in 0..1_000 {
        impairer.push(Instant::ZERO, &datagram(n), &mut out);
        let late = impairer.under_way();
        assert!(late <= 2 * Impairer::MAX_OVERTAKING as usize, "{late} wait at a time");
    }
    let order: Vec<u32> = out.iter().map(number).collect();
    assert!(!order.is_sorted());
}

#[test]
fn the_last_datagram_is_not_held_back_for_ever() {
    let impairment = Impairment { reorder: 1.0, ..Impairment::default() };
    let mut impairer = impairer(&impairment);
    let mut out = VecDeque::new();
    impairer.push(Instant::ZERO, &datagram(1), &mut out);
    assert!(out.is_empty());
    assert_eq!(impairer.next_due(), Some(Instant::ZERO + Impairer::MAX_HOLD));
    impairer.release(Instant::ZERO + Impairer::MAX_HOLD, &mut out);
    assert_eq!(out.len(), 1);
}

#[test]
fn delay_is_kept_and_jitter_does_not_reorder() {
    let impairment = Impairment {
        delay: Duration::from_millis(30),
        jitter: Duration::from_millis(20),
        ..Impairment::default()
    };
    let arrived = run(&mut impairer(&impairment), 1_000);
    let mut spread = [false; 21];
    for (n, (at, data)) in arrived.iter().enumerate() {
        assert_eq!(u32::from_be_bytes(data[..].try_into().unwrap()), n as u32);
        let late = at - n as u64;
        assert!((30..=50).contains(&late), "late by {late} ms");
        spread[late as usize - 30] = true;
    }
    assert!(spread.iter().filter(|seen| **seen).count() > 10);
}

#[test]
fn damage_flips_one_bit_when_the_segments_can_tell() {
    let impairment = Impairment { corrupt: 1.0, damage: Damage::FlipBit, ..Impairment::default() };
    let mut impairer = impairer(&impairment);
    let mut out = VecDeque::new();
    for n in 0..200 {
        let original = datagram(n);
        assert_eq!(impairer.push(Instant::ZERO, &original, &mut out), None);
        let flipped = number(&out.pop_front().unwrap()) ^ number(&original);
        assert_eq!(flipped.count_ones(), 1);
    }
    let empty = Datagram { data: bytes::Bytes::new(), ..datagram(0) };
    assert_eq!(impairer.push(Instant::ZERO, &empty, &mut out), Some(DropReason::Damage));
    assert_eq!(impairer.stats().flipped, 200);
}

#[test]
fn a_line_that_is_full_drops_and_says_so() {
    let impairment = Impairment { delay: Duration::from_secs(1), ..Impairment::default() };
    let mut impairer = impairer(&impairment);
    let large = Datagram { data: vec![0; 65_507].into(), ..datagram(0) };
    let mut out = VecDeque::new();
    let dropped = (0..2_000)
        .filter(|_| impairer.push(Instant::ZERO, &large, &mut out) == Some(DropReason::Overflow))
        .count();
    let room = Impairer::MAX_LINE_BYTES / (65_507 + Impairer::OVERHEAD);
    assert_eq!(dropped, 2_000 - room);
    assert_eq!(impairer.stats().overflowed as usize, dropped);
    impairer.release(Instant::from_secs(1), &mut out);
    assert_eq!(out.len(), room);
    assert_eq!(impairer.line_bytes, 0);
}

#[test]
fn impairments_out_of_range_are_refused() {
    let refused = |impairment| Impairer::new(&impairment, Direction::Send).is_err();
    assert!(refused(Impairment { drop: 1.1, ..Impairment::default() }));
    assert!(refused(Impairment { duplicate: -0.1, ..Impairment::default() }));
    assert!(refused(Impairment { reorder: f64::NAN, ..Impairment::default() }));
    assert!(refused(Impairment { corrupt: f64::INFINITY, ..Impairment::default() }));
    assert!(refused(Impairment { delay: Duration::MAX, ..Impairment::default() }));
    assert!(!refused(Impairment { drop: 1.0, ..everything() }));
    let error =
        Impairer::new(&Impairment { drop: 2.0, ..everything() }, Direction::Send).unwrap_err();
    assert_eq!(error.to_string(), "the probability of a drop must be between 0 and 1, not 2");
}

#[derive(Clone, Debug)]
struct Any(Impairment);

impl Arbitrary for Any {
    fn arbitrary(g: &mut Gen) -> Self {
        let mut chance = || f64::from(u8::arbitrary(g) % 5) / 4.0;
        let (drop, duplicate, reorder, corrupt) = (chance(), chance(), chance(), chance());
        Self(Impairment {
            drop,
            duplicate,
            reorder,
            corrupt,
            damage: *g.choose(&[Damage::Discard, Damage::FlipBit]).unwrap(),
            delay: Duration::from_millis(u64::arbitrary(g) % 50),
            jitter: Duration::from_millis(u64::arbitrary(g) % 50),
            seed: u64::arbitrary(g),
        })
    }
}

quickcheck! {
    fn what_came_passed_or_was_dropped(impairment: Any, count: u8) -> bool {
        let mut impairer = impairer(&impairment.0);
        let arrived = run(&mut impairer, count.into());
        let stats = impairer.stats();
        stats.came == u64::from(count)
            && stats.passed == arrived.len() as u64
            && stats.came + stats.duplicated
                == stats.passed + stats.dropped + stats.discarded + stats.overflowed
    }
}
