//! Between a SYN and a connection: the SYN cache, cookies, floods, and what whoever
//! has only claimed an address gets (RFC 4987 §3.4, §3.6; RFC 9293 §3.10.7.4
//! SYN-RECEIVED; RFC 5961).

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use core::net::SocketAddr;
use core::time::Duration;
use std::env;

use quickcheck::{Arbitrary, Gen, QuickCheck};
use tou_proto::wire::{Checksum, SegmentFlags, SegmentHeader, SegmentOptions, Timestamps};
use tou_proto::{
    ConnectionConfig, DatagramMachine, Endpoint, EndpointConfig, EndpointConfigBuilder, Instant,
    ListenerId, Port, ReceivedBatch, SeqNumber, State, TransmitBuf, UserTimeoutLimits,
};
use tou_sim::{Manners, Pair, Talk};

const SYN: SegmentFlags = SegmentFlags::SYN;
const ACK: SegmentFlags = SegmentFlags::ACK;
const RST: SegmentFlags = SegmentFlags::RST;

fn port(number: u16) -> Port {
    Port::new(number).unwrap()
}

/// The peer with this number.
fn peer(number: u32) -> SocketAddr {
    let [_, a, b, c] = number.to_be_bytes();
    SocketAddr::from(([10, a, b, c], 5_000))
}

/// A segment of the peers'.
fn segment(flags: SegmentFlags, seq: u32, ack: u32) -> SegmentHeader {
    SegmentHeader {
        src_port: port(4_000),
        dst_port: port(7),
        seq: SeqNumber::new(seq),
        ack: SeqNumber::new(ack),
        flags,
        window: 60_000,
        urgent: 0,
        options: SegmentOptions::default(),
    }
}

/// A SYN with everything that a modern TCP offers.
fn syn() -> SegmentHeader {
    let timestamps = Some(Timestamps { tsval: 900, tsecr: 0 });
    let options = SegmentOptions {
        mss: Some(1_400),
        window_scale: Some(7),
        sack_permitted: true,
        timestamps,
        ..SegmentOptions::default()
    };
    SegmentHeader { options, ..segment(SYN, 100, 0) }
}

/// The peer's acknowledgment of `syn_ack`, an answer to [`syn`].
fn ack_of(syn_ack: &SegmentHeader) -> SegmentHeader {
    let timestamps =
        syn_ack.options.timestamps.map(|echo| Timestamps { tsval: 901, tsecr: echo.tsval });
    let options = SegmentOptions { timestamps, ..SegmentOptions::default() };
    SegmentHeader { options, ..segment(ACK, 101, syn_ack.seq.get().wrapping_add(1)) }
}

fn encode(header: &SegmentHeader, data: &[u8]) -> Vec<u8> {
    let mut datagram = vec![0; header.encoded_len()];
    datagram.extend_from_slice(data);
    header.emit(Checksum::Carrier, &mut datagram);
    datagram
}

/// An endpoint that listens on port 7, and its clock.
struct Server {
    endpoint: Endpoint,
    listener: ListenerId,
    now: Instant,
    buf: TransmitBuf,
}

/// A segment that came out: for whom, and how long the datagram is.
#[derive(Debug)]
struct Reply {
    to: SocketAddr,
    header: SegmentHeader,
    len: usize,
}

impl Server {
    fn new(backlog: usize, config: EndpointConfigBuilder) -> Self {
        let mut endpoint = Endpoint::new(config.build().unwrap(), [7; 32]);
        let listener = endpoint.listen(port(7), backlog).unwrap();
        let buf = TransmitBuf::new(1, TransmitBuf::MAX_BYTES);
        Self { endpoint, listener, now: Instant::from_secs(1_000), buf }
    }

    fn receive(&mut self, from: SocketAddr, datagram: Vec<u8>) -> Vec<Reply> {
        self.endpoint.handle_batch(self.now, &ReceivedBatch::single(from, datagram));
        self.output()
    }

    fn send(&mut self, from: SocketAddr, header: &SegmentHeader) -> Vec<Reply> {
        self.receive(from, encode(header, &[]))
    }

    /// The one answer to a segment.
    fn answer(&mut self, from: SocketAddr, header: &SegmentHeader) -> SegmentHeader {
        let mut replies = self.send(from, header);
        assert_eq!(replies.len(), 1, "{replies:?}");
        let reply = replies.remove(0);
        assert_eq!(reply.to, from);
        reply.header
    }

    fn output(&mut self) -> Vec<Reply> {
        let mut replies = Vec::new();
        while let Some(transmit) = self.endpoint.poll_transmit(self.now, &mut self.buf) {
            let parsed = SegmentHeader::parse(self.buf.data(), Checksum::Carrier).unwrap();
            let len = self.buf.data().len();
            replies.push(Reply { to: transmit.peer, header: parsed.header, len });
        }
        replies
    }

    /// Lets time pass, and returns what comes out meanwhile, with its time.
    fn advance(&mut self, duration: Duration) -> Vec<(Duration, Reply)> {
        let (start, end) = (self.now, self.now + duration);
        let mut replies = Vec::new();
        while let Some(at) = self.endpoint.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.endpoint.handle_timeout(self.now);
            let after = self.now.saturating_since(start);
            replies.extend(self.output().into_iter().map(|reply| (after, reply)));
        }
        self.now = end;
        replies
    }

    /// A connection of `from`'s, accepted.
    fn connect(&mut self, from: SocketAddr) -> tou_proto::ConnId {
        let syn_ack = self.answer(from, &syn());
        assert!(self.send(from, &ack_of(&syn_ack)).is_empty());
        self.endpoint.accept(self.listener).unwrap()
    }

    /// Data of a new peer arrives on a new connection.
    fn serves(&mut self, from: SocketAddr) {
        let syn_ack = self.answer(from, &syn());
        self.receive(from, encode(&ack_of(&syn_ack), b"still here"));
        let conn = self.endpoint.accept(self.listener).unwrap();
        let mut data = [0; 20];
        assert_eq!(self.endpoint.read(self.now, conn, &mut data), Ok(10));
        self.endpoint.abort(self.now, conn).unwrap();
        self.output();
    }

    fn counters(&self) -> tou_proto::EndpointCounters {
        *self.endpoint.counters()
    }
}

fn config() -> EndpointConfigBuilder {
    EndpointConfig::builder()
}

#[test]
fn honest_client_connects_and_sends_10_mib_through_a_flood_of_spoofed_syns() {
    let server = config().with_max_syn_cache(4).build().unwrap();
    let mut pair = Pair::builder(1).server(server).build();
    let listener = pair.listener();
    let mut spoofed = 0;
    // A thousand a second, each from another address.
    let flood = |pair: &mut Pair, spoofed: &mut u32| {
        *spoofed += 1;
        let batch = ReceivedBatch::single(peer(*spoofed), encode(&syn(), &[]));
        pair.server().handle_batch(&batch);
        pair.run_for(Duration::from_millis(1));
    };
    for _ in 0..100 {
        flood(&mut pair, &mut spoofed);
    }
    assert_eq!(pair.server().endpoint().half_open_count(), 4);
    let client = pair.start_connect();
    let server = loop {
        flood(&mut pair, &mut spoofed);
        if let Some(conn) = pair.server().accept(listener) {
            break conn;
        }
        assert!(spoofed < 1_000, "a handshake takes no second");
    };
    let info = pair.server().info(server).unwrap();
    assert!(info.sack && info.timestamps);
    assert_eq!((info.snd_wscale, info.rcv_wscale), (8, 8));
    assert_eq!(pair.server().endpoint().counters().syn_cookies_accepted, 1);
    let data: Vec<u8> = (0..10_u32 << 20).map(|at| at.to_le_bytes()[1]).collect();
    let mut from = Talk::new(client, data.clone(), Manners::default());
    let mut to = Talk::new(server, Vec::new(), Manners::default());
    while to.received().len() < data.len() {
        flood(&mut pair, &mut spoofed);
        let now = pair.now();
        from.pump(now, pair.client());
        to.pump(now, pair.server());
        assert!(spoofed < 60_000, "{} octets in a minute", to.received().len());
    }
    assert!(to.received() == data);
    assert_eq!(pair.server().endpoint().half_open_count(), 4);
    assert!(pair.server().endpoint().counters().syn_cookies_sent > 100);
}

#[test]
fn full_cache_turns_to_cookies_and_keeps_what_the_syn_offered() {
    let mut server = Server::new(8, config().with_max_syn_cache(1));
    server.answer(peer(1), &syn());
    let conn = server.connect(peer(2));
    let info = server.endpoint.info(conn).unwrap();
    assert_eq!(info.state, State::Established);
    assert!(info.sack && info.timestamps);
    assert_eq!((info.snd_wscale, info.rcv_wscale), (7, 8));
    // Rounded down: 1,400 less timestamps.
    assert_eq!((info.peer_mss, info.mss), (1_332, 1_320));
    let counters = server.counters();
    assert_eq!((counters.syn_cache_overflows, counters.syn_cookies_sent), (1, 1));
    assert_eq!((counters.syn_cookies_accepted, counters.syn_cookies_rejected), (1, 0));
    // The one that was remembered goes on.
    assert_eq!(server.endpoint.backlog(server.listener), Some((1, 0)));
    server.serves(peer(3));
}

#[test]
fn listener_remembers_no_more_handshakes_than_its_backlog() {
    let mut server = Server::new(2, config());
    let other = server.endpoint.listen(port(8), 2).unwrap();
    for number in 1..=5 {
        assert_eq!(server.send(peer(number), &syn()).len(), 1);
    }
    assert_eq!(server.endpoint.backlog(server.listener), Some((2, 0)));
    assert_eq!(server.counters().syn_cookies_sent, 3);
    // Another listener has its own.
    let to_other = SegmentHeader { dst_port: port(8), ..syn() };
    assert_eq!(server.send(peer(9), &to_other).len(), 1);
    assert_eq!(server.endpoint.backlog(other), Some((1, 0)));
    assert_eq!(server.counters().syn_cookies_sent, 3);
    server.serves(peer(10));
}

#[test]
fn cookie_without_timestamps_keeps_the_mss_alone() {
    let mut server = Server::new(8, config().with_max_syn_cache(0));
    let mut plain = syn();
    plain.options.timestamps = None;
    let syn_ack = server.answer(peer(1), &plain);
    let options = &syn_ack.options;
    assert_eq!((options.mss, options.window_scale), (Some(1_452), None));
    assert!(!options.sack_permitted && options.timestamps.is_none());
    server.send(peer(1), &ack_of(&syn_ack));
    let conn = server.endpoint.accept(server.listener).unwrap();
    let info = server.endpoint.info(conn).unwrap();
    assert_eq!(
        (info.sack, (info.snd_wscale, info.rcv_wscale), info.peer_mss),
        (false, (0, 0), 1_332)
    );
    assert_eq!(info.srtt, None, "nobody knows when the answer was sent");
}

#[test]
fn first_segment_that_comes_back_may_carry_data_and_fin() {
    let mut server = Server::new(8, config().with_max_syn_cache(0));
    let syn_ack = server.answer(peer(1), &syn());
    server.now = server.now + Duration::from_millis(300);
    let last = SegmentHeader { flags: ACK | SegmentFlags::FIN, ..ack_of(&syn_ack) };
    let replies = server.receive(peer(1), encode(&last, b"all"));
    assert_eq!(replies[0].header.ack, SeqNumber::new(105));
    let conn = server.endpoint.accept(server.listener).unwrap();
    let mut data = [0; 9];
    assert_eq!(server.endpoint.read(server.now, conn, &mut data), Ok(3));
    let info = server.endpoint.info(conn).unwrap();
    assert_eq!(info.state, State::CloseWait);
    // The clock in a cookie goes in steps of 32 ms.
    let srtt = info.srtt.unwrap();
    assert!((300..=332).contains(&srtt.as_millis()), "{srtt:?}");
    assert!(
        replies[0].header.options.timestamps.unwrap().tsval
            >= syn_ack.options.timestamps.unwrap().tsval
    );
}

#[test]
fn cookie_is_good_for_a_minute_and_no_more_than_two() {
    for (secs, is_good) in [(64, true), (129, false)] {
        let mut server = Server::new(8, config().with_max_syn_cache(0));
        let syn_ack = server.answer(peer(1), &syn());
        server.now = server.now + Duration::from_secs(secs);
        let replies = server.send(peer(1), &ack_of(&syn_ack));
        assert_eq!(server.endpoint.accept(server.listener).is_some(), is_good);
        // By then no cookie is out, and an ACK is what it always was.
        assert_eq!(replies.iter().any(|reply| reply.header.flags.contains(RST)), !is_good);
    }
}

#[test]
fn what_holds_no_cookie_is_dropped_while_cookies_are_out() {
    let mut server = Server::new(8, config().with_max_syn_cache(1));
    server.answer(peer(1), &syn());
    // None is out yet: RFC 9293 §3.10.7.2, second.
    let stray = server.answer(peer(2), &segment(ACK, 101, 77));
    assert_eq!(stray.flags, RST);
    let syn_ack = server.answer(peer(2), &syn());
    let good = ack_of(&syn_ack);
    let mut changes = Vec::new();
    for bit in 0..32 {
        changes
            .push(SegmentHeader { ack: SeqNumber::new(good.ack.get() ^ 1 << bit), ..good.clone() });
        changes
            .push(SegmentHeader { seq: SeqNumber::new(good.seq.get() ^ 1 << bit), ..good.clone() });
    }
    for bit in 0..5 {
        let mut change = good.clone();
        let timestamps = change.options.timestamps.unwrap();
        change.options.timestamps =
            Some(Timestamps { tsecr: timestamps.tsecr ^ 1 << bit, ..timestamps });
        changes.push(change);
    }
    changes.push(SegmentHeader { options: SegmentOptions::default(), ..good.clone() });
    changes.push(SegmentHeader { src_port: port(4_001), ..good.clone() });
    for change in &changes {
        assert!(server.send(peer(2), change).is_empty(), "{change:?}");
    }
    assert!(server.send(peer(3), &good).is_empty(), "another address");
    assert_eq!(server.counters().syn_cookies_rejected, changes.len() as u64 + 1);
    assert_eq!(server.endpoint.accept(server.listener), None);
    // The peer may come back through another port of its address translator.
    let mut moved = peer(2);
    moved.set_port(6_000);
    assert!(server.send(moved, &good).is_empty());
    let conn = server.endpoint.accept(server.listener).unwrap();
    assert_eq!(server.endpoint.addresses(conn).unwrap().0.addr, moved);
}

#[test]
fn syn_that_came_twice_is_good_by_its_cookie_too() {
    // The cache is full when the SYN comes first, and has room when it comes again. The
    // peer takes the first answer.
    let mut server = Server::new(8, config().with_max_syn_cache(1));
    let other = server.answer(peer(1), &syn());
    let cookie = server.answer(peer(2), &syn());
    server.send(peer(1), &ack_of(&other));
    let second = server.answer(peer(2), &syn());
    assert_eq!(server.endpoint.half_open_count(), 1);
    assert_ne!(second.seq, cookie.seq);
    // A later segment came first: it is no reason to end anything.
    let ahead = SegmentHeader { seq: SeqNumber::new(105), ..ack_of(&cookie) };
    assert!(server.receive(peer(2), encode(&ahead, b" here")).is_empty());
    assert!(server.receive(peer(2), encode(&ack_of(&cookie), b"still")).is_empty());
    assert_eq!(server.endpoint.half_open_count(), 0);
    server.endpoint.accept(server.listener).unwrap();
    let conn = server.endpoint.accept(server.listener).unwrap();
    let mut data = [0; 20];
    assert_eq!(server.endpoint.read(server.now, conn, &mut data), Ok(5));
    assert_eq!(server.endpoint.backlog(server.listener), Some((0, 0)));
}

#[test]
fn who_shares_the_socket_is_told_what_belongs_to_a_handshake() {
    let mut server = Server::new(8, config().with_max_syn_cache(1));
    let accepts = |server: &Server, from, header: &SegmentHeader| {
        server.endpoint.accepts(from, &encode(header, &[]))
    };
    let elsewhere = |header: SegmentHeader| SegmentHeader { dst_port: port(8), ..header };
    assert!(accepts(&server, peer(1), &syn()));
    assert!(!accepts(&server, peer(1), &elsewhere(syn())));
    let kept = ack_of(&server.answer(peer(1), &syn()));
    assert!(accepts(&server, peer(1), &kept));
    assert!(!accepts(&server, peer(2), &kept), "no cookie is out yet");
    let cookie = ack_of(&server.answer(peer(2), &syn()));
    assert!(accepts(&server, peer(2), &cookie));
    assert!(!accepts(&server, peer(2), &elsewhere(cookie.clone())));
    let reset = SegmentHeader { flags: RST | ACK, ..cookie };
    assert!(!accepts(&server, peer(2), &reset));
}

#[test]
fn without_cookies_a_syn_too_many_is_dropped_and_counted() {
    let mut server = Server::new(8, config().with_max_syn_cache(1).with_syn_cookies(false));
    server.answer(peer(1), &syn());
    assert!(server.send(peer(2), &syn()).is_empty());
    let counters = server.counters();
    assert_eq!((counters.syn_cache_overflows, counters.syns_dropped), (1, 1));
    assert_eq!(counters.syn_cookies_sent, 0);
    // A reset makes room.
    let reset = SegmentHeader { options: SegmentOptions::default(), ..segment(RST, 101, 0) };
    assert!(server.send(peer(1), &reset).is_empty());
    assert_eq!(server.endpoint.half_open_count(), 0);
    server.serves(peer(2));
}

#[test]
fn full_accept_queue_drops_syns_without_cookie_or_reset() {
    for cache in [0, 8] {
        let mut server = Server::new(1, config().with_max_syn_cache(cache));
        let syn_ack = server.answer(peer(1), &syn());
        server.send(peer(1), &ack_of(&syn_ack));
        assert_eq!(server.endpoint.backlog(server.listener), Some((0, 1)));
        let sent = server.counters().syn_cookies_sent;
        assert!(server.send(peer(2), &syn()).is_empty());
        let counters = server.counters();
        assert_eq!((counters.syns_dropped, counters.syn_cookies_sent), (1, sent));
        assert!(server.endpoint.accept(server.listener).is_some());
        server.serves(peer(2));
    }
}

#[test]
fn acknowledgment_that_finds_the_accept_queue_full_is_asked_for_again() {
    let mut server = Server::new(1, config());
    let first = server.answer(peer(1), &syn());
    let second = server.answer(peer(2), &syn());
    // One is remembered, the other a cookie.
    assert_eq!(server.endpoint.half_open_count(), 1);
    assert!(server.send(peer(2), &ack_of(&second)).is_empty());
    assert!(server.send(peer(1), &ack_of(&first)).is_empty());
    assert_eq!(server.counters().accept_queue_overflows, 1);
    assert_eq!(server.endpoint.backlog(server.listener), Some((1, 1)));
    let replies = server.advance(Duration::from_secs(1));
    assert_eq!(replies.len(), 1);
    assert_eq!((replies[0].1.to, replies[0].1.header.seq), (peer(1), first.seq));
    assert!(server.endpoint.accept(server.listener).is_some());
    assert!(server.send(peer(1), &ack_of(&replies[0].1.header)).is_empty());
    let conn = server.endpoint.accept(server.listener).unwrap();
    assert_eq!(server.endpoint.addresses(conn).unwrap().0.addr, peer(1));
}

#[test]
fn acknowledgment_that_finds_the_endpoint_full_is_asked_for_again() {
    let mut server = Server::new(4, config().with_max_connections(1));
    let waiting = server.answer(peer(1), &syn());
    let conn = server.connect(peer(2));
    assert!(server.send(peer(1), &ack_of(&waiting)).is_empty());
    assert_eq!(server.counters().connections_refused, 1);
    server.endpoint.abort(server.now, conn).unwrap();
    server.output();
    let replies = server.advance(Duration::from_secs(1));
    assert_eq!(replies[0].1.header.seq, waiting.seq);
    server.send(peer(1), &ack_of(&replies[0].1.header));
    assert!(server.endpoint.accept(server.listener).is_some());
}

#[test]
fn unanswered_syn_ack_goes_out_a_bounded_number_of_times() {
    let mut server = Server::new(4, config().with_syn_ack_retries(2));
    server.answer(peer(1), &syn());
    let replies = server.advance(Duration::from_secs(600));
    let times: Vec<(u64, bool)> = replies
        .iter()
        .map(|(at, reply)| (at.as_secs(), reply.header.flags.contains(RST)))
        .collect();
    assert_eq!(times, [(1, false), (3, false), (7, true)]);
    let counters = server.counters();
    assert_eq!((counters.syn_acks_retransmitted, counters.handshakes_timed_out), (2, 1));
    assert_eq!(server.endpoint.half_open_count(), 0);
    assert_eq!(server.endpoint.poll_timeout(), None, "nothing waits");
    server.serves(peer(1));
}

#[test]
fn cookie_is_sent_once() {
    let mut server = Server::new(4, config().with_max_syn_cache(0));
    server.answer(peer(1), &syn());
    assert_eq!(server.endpoint.poll_timeout(), None);
    assert!(server.advance(Duration::from_secs(600)).is_empty());
}

#[test]
fn each_handshake_has_a_limit_of_answers_of_its_own() {
    let mut server = Server::new(4, config());
    for number in [1, 2] {
        server.answer(peer(number), &syn());
    }
    let old = SegmentHeader { options: ack_of(&syn()).options, ..segment(ACK, 50, 1) };
    let challenges = |server: &mut Server, number| {
        (0..100).filter(|_| !server.send(peer(number), &old).is_empty()).count()
    };
    assert_eq!(challenges(&mut server, 1), 5);
    assert_eq!(server.counters().handshake_replies_suppressed, 95);
    assert_eq!(challenges(&mut server, 2), 5, "what one gets says nothing of another");
    server.serves(peer(3));
}

#[test]
fn repeated_syn_is_answered_again_and_the_timer_starts_anew() {
    let mut server = Server::new(4, config());
    let first = server.answer(peer(1), &syn());
    server.advance(Duration::from_millis(600));
    let second = server.answer(peer(1), &syn());
    assert_eq!((second.seq, second.ack), (first.seq, first.ack));
    assert!(server.advance(Duration::from_millis(999)).is_empty());
    assert_eq!(server.advance(Duration::from_millis(1)).len(), 1);
    // A SYN that comes again with its data is no other SYN.
    let replies = server.receive(peer(1), encode(&syn(), b"data"));
    assert_eq!(replies[0].header.flags, SYN | ACK);
    assert_eq!(server.endpoint.half_open_count(), 1);
}

#[test]
fn repeated_syns_in_one_batch_get_one_answer() {
    let mut server = Server::new(4, config());
    let one = encode(&syn(), &[]);
    let mut batch = ReceivedBatch::single(peer(1), one.repeat(20));
    batch.stride = one.len();
    server.endpoint.handle_batch(server.now, &batch);
    assert_eq!(server.output().len(), 1);
}

#[test]
fn flood_that_has_ended_leaves_nothing() {
    let connection = ConnectionConfig::builder().with_connect_timeout(Duration::from_secs(5));
    let config = config().with_connection(connection.build().unwrap());
    let mut server = Server::new(50, config.with_max_syn_cache(20));
    for number in 0..1_000 {
        server.send(peer(number), &syn());
    }
    assert_eq!(server.endpoint.half_open_count(), 20);
    server.advance(Duration::from_secs(6));
    assert_eq!(server.endpoint.half_open_count(), 0);
    assert_eq!(server.endpoint.backlog(server.listener), Some((0, 0)));
    assert_eq!(
        server.endpoint.state_of(tou_proto::Remote { addr: peer(1), port: port(4_000) }, port(7)),
        State::Listen
    );
    server.serves(peer(1));
}

#[test]
fn closing_the_listener_ends_its_handshakes_and_nobody_elses() {
    let mut server = Server::new(4, config());
    let other = server.endpoint.listen(port(8), 2).unwrap();
    server.answer(peer(1), &syn());
    server.answer(peer(1), &SegmentHeader { dst_port: port(8), ..syn() });
    server.endpoint.close_listener(server.now, server.listener);
    let replies = server.output();
    assert_eq!((replies.len(), replies[0].header.flags), (1, RST | ACK));
    assert_eq!(server.endpoint.half_open_count(), 1);
    assert_eq!(server.endpoint.backlog(other), Some((1, 0)));
    assert!(server.advance(Duration::from_millis(900)).is_empty());
}

#[test]
fn opening_again_out_of_time_wait_needs_room_to_be_remembered() {
    for (cache, is_opened) in [(2, true), (1, false)] {
        let mut server = Server::new(8, config().with_max_syn_cache(cache));
        let conn = server.connect(peer(1));
        server.answer(peer(2), &syn());
        server.endpoint.close(server.now, conn).unwrap();
        let fin = server.output().remove(0).header;
        let last =
            SegmentHeader { flags: ACK | SegmentFlags::FIN, ack: fin.seq.plus(1), ..ack_of(&fin) };
        server.send(peer(1), &last);
        assert_eq!(server.endpoint.time_wait_count(), 1);
        let mut again = SegmentHeader { seq: SeqNumber::new(90_000), ..syn() };
        again.options.timestamps = Some(Timestamps { tsval: 2_000, tsecr: 0 });
        let answer = server.answer(peer(1), &again);
        assert_eq!(answer.flags.contains(SYN), is_opened);
        assert_eq!(server.endpoint.time_wait_count(), usize::from(!is_opened));
        assert!(!is_opened || answer.seq.distance_from(fin.seq) > 0);
        if !is_opened {
            let answers: usize = (0..100).map(|_| server.send(peer(1), &again).len()).sum();
            assert!((1..10).contains(&answers), "{answers}");
        }
    }
}

/// Any SYN, and whatever else its sender has put into it.
#[derive(Clone, Debug)]
struct AnySyn {
    options: Vec<u8>,
    data: u8,
    flags: u8,
    cache: u8,
}

impl Arbitrary for AnySyn {
    fn arbitrary(g: &mut Gen) -> Self {
        let known: [&[u8]; 7] = [
            &[2, 4, 5, 180],
            &[3, 3, 7],
            &[4, 2],
            &[8, 10, 0, 0, 1, 0, 0, 0, 0, 0],
            &[28, 4, 0, 100],
            &[1],
            &[5, 10, 0, 0, 0, 1, 0, 0, 0, 2],
        ];
        let mut options: Vec<u8> = Vec::new();
        for _ in 0..u8::arbitrary(g) % 6 {
            options.extend(*g.choose(&known).unwrap());
        }
        if u8::arbitrary(g) % 8 == 0 {
            options.extend(Vec::<u8>::arbitrary(g));
        }
        options.truncate(40);
        let data = if bool::arbitrary(g) { 0 } else { u8::arbitrary(g) % 8 };
        Self { options, data, flags: u8::arbitrary(g), cache: u8::arbitrary(g) % 2 }
    }
}

#[test]
fn no_answer_is_longer_than_what_it_answers() {
    let cases = env::var("QUICKCHECK_TESTS").map_or(1_000, |cases| cases.parse().unwrap());
    let property = gets_no_more_than_it_sent as fn(AnySyn) -> bool;
    QuickCheck::new().tests(cases).max_tests(cases).quickcheck(property);
}

#[expect(clippy::needless_pass_by_value, reason = "quickcheck wants it so")]
fn gets_no_more_than_it_sent(any: AnySyn) -> bool {
    let connection = ConnectionConfig::builder()
        .with_user_timeout_option(Some(UserTimeoutLimits::default()))
        .build()
        .unwrap();
    let config = config().with_connection(connection).with_max_syn_cache(any.cache.into());
    let mut server = Server::new(4, config);
    let mut datagram = encode(&segment(SYN, 100, 0), &[]);
    datagram.extend_from_slice(&any.options);
    datagram.resize(20 + any.options.len().next_multiple_of(4), 0);
    datagram[12] = u8::try_from(datagram.len() / 4).unwrap() << 4;
    if any.flags.is_multiple_of(4) {
        // Not only SYNs.
        datagram[13] = any.flags >> 2;
    }
    datagram.resize(datagram.len() + usize::from(any.data), 1);
    let len = datagram.len();
    // The second time it may be for a handshake in SYN-RECEIVED.
    for _ in 0..2 {
        let replies = server.receive(peer(1), datagram.clone());
        if replies.len() > 1 || replies.iter().any(|reply| reply.len > len) {
            return false;
        }
    }
    let later = server.advance(Duration::from_secs(400));
    later.len() <= 8 && later.iter().all(|(_, reply)| reply.len <= len)
}

#[test]
fn small_answers_to_small_segments_in_a_handshake_with_timestamps() {
    let mut server = Server::new(4, config());
    server.answer(peer(1), &syn());
    let bare = segment(ACK, 50, 1);
    let replies = server.send(peer(1), &bare);
    assert_eq!((replies.len(), replies[0].len), (1, 20));
}

/// What happens next to a listener.
#[derive(Clone, Debug)]
enum Op {
    /// A segment from one of a few peers: flags; where it lies relative to what the
    /// peer's handshake is at; whether it echoes the peer's timestamp; octets.
    Segment {
        peer: u8,
        flags: u8,
        seq: i8,
        ack: i8,
        echoes: bool,
        len: u8,
    },
    Syn {
        peer: u8,
        timestamps: bool,
    },
    /// The ACK that completes the peer's handshake.
    Complete {
        peer: u8,
    },
    Accept,
    Wait(u16),
    Relisten,
}

impl Arbitrary for Op {
    fn arbitrary(g: &mut Gen) -> Self {
        let peer = u8::arbitrary(g) % 8;
        match u8::arbitrary(g) % 10 {
            0..=2 => Self::Syn { peer, timestamps: bool::arbitrary(g) },
            3 | 4 => Self::Complete { peer },
            5 => Self::Accept,
            6 => Self::Wait(u16::arbitrary(g) >> (u8::arbitrary(g) % 16)),
            7 if u8::arbitrary(g) % 8 == 0 => Self::Relisten,
            _ => Self::Segment {
                peer,
                flags: u8::arbitrary(g),
                seq: i8::arbitrary(g) >> (u8::arbitrary(g) % 8),
                ack: i8::arbitrary(g) >> (u8::arbitrary(g) % 8),
                echoes: bool::arbitrary(g),
                len: u8::arbitrary(g) % 20,
            },
        }
    }
}

#[test]
fn nothing_that_arrives_at_a_listener_does_harm() {
    let cases = env::var("QUICKCHECK_TESTS").map_or(1_000, |cases| cases.parse().unwrap());
    let property = survives as fn(u8, u8, bool, Vec<Op>);
    QuickCheck::new().rng(Gen::new(80)).tests(cases).max_tests(cases).quickcheck(property);
}

fn survives(cache: u8, backlog: u8, cookies: bool, ops: Vec<Op>) {
    let (cache, backlog) = (usize::from(cache % 4), usize::from(backlog % 4));
    let config = config().with_max_syn_cache(cache).with_syn_cookies(cookies);
    let mut server = Server::new(backlog, config.with_max_connections(6));
    // The last SYN-ACK that each peer got.
    let mut answers: [Option<SegmentHeader>; 8] = Default::default();
    for op in ops {
        let (from, header, len) = match op {
            Op::Syn { peer, timestamps } => {
                let mut header = syn();
                if !timestamps {
                    header.options.timestamps = None;
                }
                (peer, header, 0)
            }
            Op::Complete { peer } => match &answers[usize::from(peer)] {
                Some(answer) => (peer, ack_of(answer), 0),
                None => continue,
            },
            Op::Segment { peer, flags, seq, ack, echoes, len } => {
                let Some(answer) = &answers[usize::from(peer)] else { continue };
                let mut header = ack_of(answer);
                header.flags = SegmentFlags::from_bits(flags);
                header.seq = SeqNumber::new(header.seq.get().wrapping_add_signed(seq.into()));
                header.ack = SeqNumber::new(header.ack.get().wrapping_add_signed(ack.into()));
                if !echoes {
                    header.options = SegmentOptions::default();
                }
                (peer, header, len)
            }
            Op::Accept => {
                if let Some(conn) = server.endpoint.accept(server.listener) {
                    server.endpoint.release(server.now, conn).unwrap();
                    server.output();
                }
                continue;
            }
            Op::Wait(millis) => {
                server.advance(Duration::from_millis(u64::from(millis) * 8));
                continue;
            }
            Op::Relisten => {
                server.endpoint.close_listener(server.now, server.listener);
                server.listener = server.endpoint.listen(port(7), backlog).unwrap();
                server.output();
                continue;
            }
        };
        let replies = server.receive(peer(from.into()), encode(&header, &vec![0; len.into()]));
        for reply in replies {
            if reply.header.flags.contains(SYN) {
                answers[usize::from(from)] = Some(reply.header);
            }
        }
        let (half_open, ready) = server.endpoint.backlog(server.listener).unwrap();
        assert_eq!(half_open, server.endpoint.half_open_count());
        assert!(half_open <= cache.min(backlog.max(1)) && ready <= backlog.max(1));
        assert!(server.endpoint.connection_count() <= 6);
    }
    server.advance(Duration::from_secs(600));
    assert_eq!(server.endpoint.half_open_count(), 0);
}
