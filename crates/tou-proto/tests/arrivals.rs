//! The room for what arrives at once (`with_arrival_room`): connections that receive
//! share it, and their windows keep to it.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use core::time::Duration;

use tou_proto::{ConnId, ConnectionInfo};
use tou_sim::script::{Script, ack, data, syn};
use tou_sim::{Knobs, Pair, presets};

const ROOM: u64 = 4 << 20;
/// What a window that is not known to the octet may differ by: the scale cuts it off.
const SLACK: u64 = 1_024;

/// Many connections, over which the client sends to the server without end.
struct Flows {
    pair: Pair,
    flows: Vec<(ConnId, ConnId)>,
    /// How many of them, from the first on, are in use.
    busy: usize,
}

impl Flows {
    fn new(connections: usize, delay: Duration, room: Option<u64>) -> Self {
        let config = presets::endpoint_builder().with_mtu(16_000).with_arrival_room(room);
        let path = Knobs { delay, rate: 1_000_000_000, queue: 32 << 20, ..Knobs::default() };
        let builder = Pair::builder(41).config(&config.build().unwrap());
        let mut pair = builder.path(path).batch(true).build();
        pair.world.trace.set_limit(0);
        let flows = (0..connections).map(|_| pair.connect()).collect();
        Self { pair, flows, busy: connections }
    }

    /// Lets that many connections send for a while.
    fn run(&mut self, busy: usize, millis: u64) {
        self.busy = busy;
        let end = self.pair.now() + Duration::from_millis(millis);
        while self.pair.now() < end {
            self.serve();
            assert!(self.pair.step());
        }
    }

    /// The programs do what they can; what is under way to the others is read too.
    fn serve(&mut self) {
        for (index, (client, server)) in self.flows.iter().enumerate() {
            while index < self.busy && self.pair.client().write(*client, &[7; 65_536]).is_ok() {}
            while self.pair.server().read_chunk(*server, usize::MAX).is_ok() {}
        }
        self.pair.world.flush();
    }

    fn server(&self, index: usize) -> ConnectionInfo {
        let (_, conn) = self.flows[index];
        self.pair.world.host(self.pair.server).info(conn).unwrap()
    }

    /// The largest window that the first connection offers in that time.
    fn largest_window(&mut self, busy: usize, millis: u64) -> u64 {
        let mut largest = 0;
        for _ in 0..millis {
            self.run(busy, 1);
            largest = largest.max(self.server(0).rcv_wnd);
        }
        largest
    }
}

#[test]
fn connections_that_receive_share_the_room() {
    let mut flows = Flows::new(8, Duration::from_micros(50), Some(ROOM));
    flows.run(8, 60);
    for index in 0..8 {
        let info = flows.server(index);
        assert!(info.recv_buffer > ROOM / 8, "{} would be used", info.recv_buffer);
        assert!(info.rcv_wnd <= ROOM / 8 + SLACK, "{}", info.rcv_wnd);
        assert!(info.counters.bytes_received > 1 << 20, "{}", info.counters.bytes_received);
    }
}

#[test]
fn connection_among_idle_ones_has_all_of_the_room() {
    let mut flows = Flows::new(50, Duration::from_micros(50), Some(ROOM));
    flows.run(1, 120);
    let window = flows.largest_window(1, 20);
    assert!((ROOM / 2..=ROOM + SLACK).contains(&window), "{window}");
}

#[test]
fn room_passes_to_those_who_begin_and_back_from_those_who_stop() {
    let mut flows = Flows::new(8, Duration::from_micros(50), Some(ROOM));
    flows.run(1, 120);
    let alone = flows.largest_window(1, 20);
    assert!(alone > ROOM / 2, "{alone}");
    // A few round trips until the window that was offered is used up.
    flows.run(8, 20);
    let together = flows.largest_window(8, 20);
    assert!(together <= ROOM / 8 + SLACK, "{together}");
    // An epoch that nobody else receives in, and what is left of the one before.
    flows.run(1, 250);
    let alone = flows.largest_window(1, 10);
    assert!(alone > ROOM / 2, "{alone}");
}

#[test]
fn on_a_longer_path_the_windows_are_larger() {
    let mut flows = Flows::new(8, Duration::from_millis(2), Some(ROOM));
    flows.run(8, 60);
    let window = flows.largest_window(8, 20);
    assert!(window > ROOM / 8, "{window}");
    assert!(window <= ROOM / 8 * 5, "{window}");
}

#[test]
fn on_a_long_path_windows_are_no_larger_than_buffers() {
    const SMALL: u64 = 1 << 18;
    let mut flows = Flows::new(2, Duration::from_millis(10), Some(SMALL));
    let mut buffers = Vec::new();
    for _ in 0..20 {
        flows.run(2, 20);
        let info = flows.server(0);
        assert!(info.rcv_wnd <= info.recv_buffer, "{} of {}", info.rcv_wnd, info.recv_buffer);
        buffers.push(info.recv_buffer);
    }
    // Beyond what arrives at once, and far below what the path may hold.
    assert!(buffers.iter().any(|len| (SMALL..SMALL * 4).contains(len)), "{buffers:?}");
}

#[test]
fn clock_that_stood_still_in_the_handshake_makes_no_long_path() {
    let config = presets::endpoint_builder().with_connection(presets::plain());
    // Half of the room, while it is not known how many will receive.
    let mut script = Script::new(config.with_arrival_room(Some(65_536)).build().unwrap());
    let conn = script.establish(syn(0).mss(1_000));
    assert_eq!(script.host.info(conn).unwrap().srtt, Some(Duration::ZERO));
    for start in (1..60_000).step_by(2_000) {
        script.inject_batch([0, 1_000].map(|at| data(start + at, 1, vec![0; 1_000])));
        script.take_output();
        assert_eq!(script.host.read_all(conn).0.len(), 2_000);
    }
    script.inject_batch([60_001, 61_001].map(|at| data(at, 1, vec![0; 1_000])));
    script.expect(ack(1, 62_001).win(30_768));
}

#[test]
fn without_a_room_windows_are_as_large_as_buffers() {
    let mut flows = Flows::new(8, Duration::from_micros(50), None);
    flows.run(8, 60);
    let window = flows.largest_window(8, 10);
    assert!(window > ROOM / 8 * 2, "{window}");
}
