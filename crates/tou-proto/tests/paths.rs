//! The addresses below TCP: whom segments may come from, and what answers go out
//! from (RFC 9293 §3.9.2.3; RFC 1122 §4.1.3.5 for UDP on a host with several
//! addresses).

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use core::net::IpAddr;
use std::sync::Arc;

use tou_proto::wire::{Checksum, SegmentFlags, SegmentHeader, SegmentOptions};
use tou_proto::{ConnId, DatagramMachine, ReceivedBatch, SeqNumber, TransmitBuf};
use tou_sim::script::{Script, syn};
use tou_sim::{Seg, presets};

const OTHER: &str = "203.0.113.9";

fn established() -> (Script, ConnId) {
    let mut script = Script::with_connection(presets::plain());
    script.set_peer_isn(0);
    let conn = script.establish(syn(0).mss(1_000));
    (script, conn)
}

/// A segment of the peer, as on the wire.
fn segment(script: &Script, flags: SegmentFlags, seq: u32, ack: u32) -> Vec<u8> {
    let header = SegmentHeader {
        src_port: script.peer_port,
        dst_port: script.local_port,
        seq: SeqNumber::new(seq),
        ack: script.local_isn().unwrap_or_default().plus(ack),
        flags,
        window: 1_000,
        urgent: 0,
        options: SegmentOptions::default(),
    };
    let mut segment = vec![0; header.encoded_len()];
    header.emit(Checksum::Carrier, &mut segment);
    segment
}

/// The datagram arrives, sent to [`OTHER`].
fn arrive_elsewhere(script: &mut Script, datagram: Vec<u8>) {
    let mut batch = ReceivedBatch::single(script.peer, datagram);
    batch.local_ip = Some(OTHER.parse().unwrap());
    script.host.handle_batch(&batch);
}

/// Where the connection's next segment is sent from.
fn source(script: &mut Script, conn: ConnId) -> Option<IpAddr> {
    script.take_output();
    let (now, endpoint) = script.host.endpoint_mut();
    endpoint.write(now, conn, b"x").unwrap();
    let mut buf = TransmitBuf::new(1, TransmitBuf::MAX_BYTES);
    endpoint.poll_transmit(now, &mut buf).unwrap().local_ip
}

#[test]
fn answers_go_out_from_where_the_peer_sends_to() {
    let (mut script, conn) = established();
    let home = script.host.addr().ip();
    assert_eq!(source(&mut script, conn), Some(home));
    script.advance(10);
    let datagram = segment(&script, SegmentFlags::ACK, 1, 2);
    arrive_elsewhere(&mut script, datagram);
    assert_eq!(source(&mut script, conn), Some(OTHER.parse().unwrap()));
}

#[test]
fn forged_datagrams_do_not_change_where_answers_go_out_from() {
    let (mut script, conn) = established();
    let home = script.host.addr().ip();
    script.advance(10);
    for datagram in [
        vec![0; 3],
        segment(&script, SegmentFlags::ACK, 1 << 30, 1),
        segment(&script, SegmentFlags::ACK, 1, 1 << 30),
        segment(&script, SegmentFlags::RST, 2, 0),
        segment(&script, SegmentFlags::SYN, 1, 0),
    ] {
        arrive_elsewhere(&mut script, datagram);
    }
    assert_eq!(source(&mut script, conn), Some(home));
}

#[test]
fn forged_datagram_that_comes_with_a_genuine_one_changes_nothing_either() {
    // A driver gives all that it finds the same time.
    let (mut script, conn) = established();
    let home = script.host.addr().ip();
    script.advance(10);
    script.inject(tou_sim::script::data(1, 1, "genuine"));
    arrive_elsewhere(&mut script, vec![0; 3]);
    let datagram = segment(&script, SegmentFlags::ACK, 1 << 30, 1);
    arrive_elsewhere(&mut script, datagram);
    assert_eq!(source(&mut script, conn), Some(home));
}

#[test]
fn syn_of_another_connection_does_not_change_where_answers_go_out_from() {
    // Anybody can send one in the peer's name.
    let (mut script, conn) = established();
    let home = script.host.addr().ip();
    script.advance(10);
    let (genuine, forged) = (script.peer_port, tou_proto::Port::new(1).unwrap());
    script.peer_port = forged;
    let datagram = segment(&script, SegmentFlags::SYN, 1, 0);
    script.peer_port = genuine;
    arrive_elsewhere(&mut script, datagram);
    assert_eq!(source(&mut script, conn), Some(home));
}

#[test]
fn segments_sent_to_many_at_once_are_dropped() {
    // RFC 9293 §3.9.2.3, MUST-57: no connection, no reset.
    let mut script = Script::listening(Arc::default());
    let all = ["255.255.255.255", "224.0.0.1", "ff02::1", "::ffff:224.0.0.1"];
    for local_ip in all {
        let mut batch =
            ReceivedBatch::single(script.peer, segment(&script, SegmentFlags::SYN, 0, 0));
        batch.local_ip = Some(local_ip.parse().unwrap());
        script.host.handle_batch(&batch);
        script.expect_nothing();
    }
    assert_eq!(script.host.endpoint().connection_count(), 0);
    assert_eq!(script.host.endpoint().counters().invalid_sources, all.len() as u64);
    let syn = ReceivedBatch::single(script.peer, segment(&script, SegmentFlags::SYN, 0, 0));
    script.host.handle_batch(&syn);
    assert_eq!(script.take_output().len(), 1, "to one host it would have been answered");
}

#[test]
fn segments_from_addresses_that_nobody_can_have_are_dropped() {
    // RFC 9293 §3.9.2.3, MUST-63: no connection, no reset.
    let mut script = Script::listening(Arc::default());
    let sources = [
        "10.0.0.1:0",
        "0.0.0.0:5",
        "224.0.0.1:5",
        "255.255.255.255:5",
        "[::]:5",
        "[ff02::1]:5",
        "[::ffff:224.0.0.1]:5",
        "[fd00::1]:0",
    ];
    let segments: [Seg; 2] = [syn(0), tou_sim::script::ack(1, 1)];
    for source in sources {
        script.peer = source.parse().unwrap();
        for segment in segments.clone() {
            script.inject(segment);
            script.expect_nothing();
        }
    }
    assert_eq!(script.host.endpoint().connection_count(), 0);
    let counted = script.host.endpoint().counters().invalid_sources;
    assert_eq!(counted, 2 * sources.len() as u64);
}
