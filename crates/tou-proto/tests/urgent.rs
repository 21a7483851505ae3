//! Urgent data (RFC 9293 §3.8.5, RFC 6093).

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use tou_proto::{ConnId, Event};
use tou_sim::presets;
use tou_sim::script::{Script, ack, data, fin, seg, syn};

const MSS: u16 = 1_000;

fn established() -> (Script, ConnId) {
    Script::established(presets::plain(), syn(0).mss(MSS))
}

#[test]
fn urgent_mark_is_told_and_data_stays_in_line() {
    // RFC 6093.
    let (mut script, conn) = established();
    script.inject(data(1, 1, "now!later").urg(4));
    assert!(script.host.take_event(Event::Urgent(conn)));
    assert_eq!(script.host.read_all(conn).0, b"now!later");
    script.host.take_event(Event::Readable(conn));
    script.inject(seg(tou_proto::wire::SegmentFlags::ACK).seq(10).ack(1).urg(3));
    script.expect_event(Event::Urgent(conn));
}

#[test]
fn urgent_mark_behind_the_fin_is_ignored() {
    // RFC 9293 §3.10.7.4, sixth: nothing can come any more.
    let (mut script, conn) = established();
    script.inject(fin(1, 1));
    script.expect(ack(1, 2));
    while script.host.next_event().is_some() {}
    script.inject(ack(2, 1).urg(500));
    script.expect_nothing();
    assert_eq!(script.host.next_event(), None);
    assert_eq!(script.host.endpoint().urgent_ahead(conn), None);
}
