extern crate std;

use super::*;
use crate::recovery::Transmission;
use crate::recovery::sent::SentQueue;
use crate::time::Instant;

fn at(position: u64) -> StreamPos {
    StreamPos::from_raw(position)
}

fn range(start: u64, end: u64) -> Range<StreamPos> {
    at(start)..at(end)
}

/// An acknowledgment that tells nothing.
fn ack(una: u64) -> UndoAck {
    UndoAck {
        una: at(una),
        advanced: false,
        duplicate: false,
        tsecr: None,
        dsack: None,
        fack: at(una),
        original_before_timeout: false,
        recover: Some(at(1000)),
        is_loss_left: true,
    }
}

/// Sends the segment at `start` again.
fn retransmit(undo: &mut Undo, start: u64, tsval: Option<u32>) {
    let mut queue = SentQueue::new();
    queue.push(&Transmission {
        now: Instant::ZERO,
        start: at(start),
        end: at(start + 100),
        tsval: None,
    });
    undo.on_retransmit(queue.front().expect("pushed"), tsval);
}

fn recovery() -> Undo {
    let mut undo = Undo::default();
    undo.begin(at(0), 0);
    undo
}

fn timeout() -> Undo {
    let mut undo = Undo::default();
    undo.on_timeout(at(0), true, false);
    undo
}

#[test]
fn an_echo_older_than_the_retransmission_is_of_the_original() {
    let mut undo = recovery();
    retransmit(&mut undo, 0, Some(50));
    let echo = |tsecr| UndoAck { tsecr: Some(tsecr), advanced: true, ..ack(100) };
    assert_eq!(undo.on_ack(&UndoAck { tsecr: Some(49), ..ack(0) }), None, "not of it");
    assert_eq!(undo.on_ack(&echo(49)), Some(Spurious::Recovery));
    assert_eq!(undo.on_ack(&echo(49)), None, "once");
}

#[test]
fn an_echo_of_the_retransmission_decides_for_good() {
    let mut undo = recovery();
    retransmit(&mut undo, 0, Some(50));
    assert_eq!(undo.on_ack(&UndoAck { tsecr: Some(50), ..ack(100) }), None);
    assert_eq!(undo.on_ack(&UndoAck { tsecr: Some(49), ..ack(200) }), None);
}

#[test]
fn a_repeated_timeout_compares_with_its_first_retransmission() {
    let mut undo = timeout();
    retransmit(&mut undo, 0, Some(50));
    undo.on_timeout(at(0), false, true);
    retransmit(&mut undo, 0, Some(90));
    // The answer to the first retransmission is no proof.
    assert_eq!(undo.on_ack(&UndoAck { tsecr: Some(50), ..ack(100) }), None);
}

#[test]
fn a_spurious_timeout_tells_when_the_delayed_segment_was_sent() {
    let mut undo = timeout();
    retransmit(&mut undo, 0, Some(50));
    let verdict = undo.on_ack(&UndoAck { tsecr: Some(49), ..ack(100) });
    assert_eq!(verdict, Some(Spurious::Timeout));
}

#[test]
fn all_retransmissions_reported_duplicates_are_a_mistake() {
    let mut undo = recovery();
    retransmit(&mut undo, 0, None);
    retransmit(&mut undo, 100, None);
    let dsack = |start| UndoAck { dsack: Some(range(start, start + 100)), ..ack(500) };
    assert_eq!(undo.on_ack(&dsack(0)), None);
    assert_eq!(undo.on_ack(&dsack(100)), Some(Spurious::Recovery));
}

#[test]
fn a_duplicate_from_before_the_episode_proves_nothing() {
    let mut undo = Undo::default();
    undo.begin(at(100), 0);
    retransmit(&mut undo, 100, None);
    assert_eq!(undo.on_ack(&UndoAck { dsack: Some(range(0, 100)), ..ack(500) }), None);
}

#[test]
fn a_duplicate_before_any_retransmission_proves_nothing() {
    let mut undo = recovery();
    assert_eq!(undo.on_ack(&UndoAck { dsack: Some(range(0, 100)), ..ack(500) }), None);
}

#[test]
fn a_probe_before_the_episode_has_to_be_reported_too() {
    let mut undo = Undo::default();
    retransmit(&mut undo, 400, None);
    undo.begin(at(0), 100);
    retransmit(&mut undo, 0, None);
    let dsack = |start| UndoAck { dsack: Some(range(start, start + 100)), ..ack(500) };
    assert_eq!(undo.on_ack(&dsack(400)), None);
    assert_eq!(undo.on_ack(&dsack(0)), Some(Spurious::Recovery));
}

/// RFC 3708 §3: a report of what was sent once is of a copy that the path made, and so may be one
/// of what was sent again.
#[test]
fn copies_made_on_the_way_prove_nothing() {
    let dsack = |start| UndoAck { dsack: Some(range(start, start + 100)), ..ack(500) };
    let mut undo = recovery();
    retransmit(&mut undo, 0, None);
    assert_eq!(undo.on_ack(&dsack(200)), None);
    assert_eq!(undo.on_ack(&dsack(0)), None);
    undo.on_end(at(1000));
    assert_eq!(undo.on_ack(&ack(1001)), None);
    assert!(undo.is_settled());
    // The next episode is judged by its own reports.
    undo.begin(at(1100), 0);
    retransmit(&mut undo, 1100, None);
    assert_eq!(undo.on_ack(&dsack(1100)), Some(Spurious::Recovery));
}

#[test]
fn what_was_sent_again_is_forgotten_with_the_episode() {
    let mut undo = recovery();
    for start in [0, 200, 400] {
        retransmit(&mut undo, start, None);
    }
    assert_eq!(undo.sent_again.iter().count(), 3);
    undo.on_end(at(1000));
    undo.on_ack(&ack(1001));
    assert_eq!(undo.sent_again.iter().count(), 0);
    // Probes without an episode do not gather.
    for start in [2000, 2200, 2400] {
        retransmit(&mut undo, start, None);
    }
    assert_eq!(undo.sent_again.iter().count(), 1);
}

#[test]
fn a_late_report_still_counts_until_the_next_round_is_acknowledged() {
    for (una, verdict) in [(2000, Some(Spurious::Recovery)), (2001, None)] {
        let mut undo = recovery();
        retransmit(&mut undo, 0, None);
        undo.on_end(at(2000));
        assert_eq!(undo.on_ack(&ack(una)), None);
        assert_eq!(undo.on_ack(&UndoAck { dsack: Some(range(0, 100)), ..ack(una) }), verdict);
    }
}

/// RFC 5682 §3.1: the retransmission is acknowledged, then originals are.
#[test]
fn originals_acknowledged_after_a_timeout_make_it_spurious() {
    let mut undo = timeout();
    retransmit(&mut undo, 0, None);
    assert!(!undo.prefers_new_data());
    assert_eq!(undo.on_ack(&UndoAck { advanced: true, ..ack(100) }), None);
    assert!(undo.prefers_new_data());
    let original = UndoAck { advanced: true, original_before_timeout: true, ..ack(200) };
    assert_eq!(undo.on_ack(&original), Some(Spurious::Timeout));
    assert!(!undo.prefers_new_data());
}

#[test]
fn f_rto_gives_up_on_the_first_contrary_sign() {
    let contrary = [
        // 2a: everything is acknowledged at once.
        [UndoAck { advanced: true, ..ack(1000) }, ack(1000)],
        // 3a: a duplicate that delivers nothing old.
        [UndoAck { advanced: true, ..ack(100) }, UndoAck { duplicate: true, ..ack(100) }],
        // 3a: new data is delivered.
        [
            UndoAck { advanced: true, ..ack(100) },
            UndoAck { duplicate: true, fack: at(1100), ..ack(100) },
        ],
    ];
    for [first, second] in contrary {
        let mut undo = timeout();
        retransmit(&mut undo, 0, None);
        assert_eq!(undo.on_ack(&first), None);
        assert_eq!(undo.on_ack(&second), None);
        let original = UndoAck { advanced: true, original_before_timeout: true, ..ack(300) };
        assert_eq!(undo.on_ack(&original), None);
    }
}

#[test]
fn f_rto_is_not_for_a_timeout_inside_an_episode() {
    let mut undo = Undo::default();
    undo.on_timeout(at(0), false, false);
    retransmit(&mut undo, 0, None);
    assert_eq!(undo.on_ack(&UndoAck { advanced: true, ..ack(100) }), None);
    let original = UndoAck { advanced: true, original_before_timeout: true, ..ack(200) };
    assert_eq!(undo.on_ack(&original), None);
}

#[test]
fn what_arrives_before_it_is_sent_again_was_not_lost() {
    let arrived = UndoAck { is_loss_left: false, ..ack(100) };
    let mut undo = recovery();
    assert_eq!(undo.on_ack(&ack(100)), None, "some is missing");
    assert_eq!(undo.on_ack(&arrived), Some(Spurious::Recovery));
    assert_eq!(undo.on_ack(&arrived), None, "once");

    let mut undo = recovery();
    retransmit(&mut undo, 0, None);
    assert_eq!(undo.on_ack(&arrived), None, "it may have been the retransmission");
    let mut undo = Undo::default();
    undo.begin(at(0), 100);
    assert_eq!(undo.on_ack(&arrived), None, "it may have been the probe");
    assert_eq!(timeout().on_ack(&arrived), None);
    let mut undo = recovery();
    undo.on_end(at(200));
    assert_eq!(undo.on_ack(&arrived), None, "over");
}
