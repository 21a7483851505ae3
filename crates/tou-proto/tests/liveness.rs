//! Nobody waits for what never comes. The harness checks after every step that
//! whoever has something unfinished has a deadline, and that a deadline that
//! has come changes something; here are the occasions.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use core::time::Duration;
use std::sync::Arc;

use tou_proto::ConnectionConfig;
use tou_sim::{Knobs, Manners, Pair, Talk, presets};

/// Both sides say something longer than a window, and close.
fn converse(pair: &mut Pair) {
    let (client, server) = pair.connect();
    let [question, answer] = [4_000, 7_000].map(|len| vec![len as u8; len]);
    let mut client = Talk::new(client, question.clone(), Manners::default());
    let mut server = Talk::new(server, answer.clone(), Manners::default());
    pair.converse(&mut client, &mut server);
    assert_eq!(client.received(), answer);
    assert_eq!(server.received(), question);
    pair.client().close(client.conn()).unwrap();
    pair.server().close(server.conn()).unwrap();
    assert!(pair.run_until_idle(Duration::from_secs(400)), "somebody goes on for ever");
    for id in [pair.client, pair.server] {
        assert_eq!(pair.world.host(id).endpoint().connection_count(), 0);
    }
}

fn small_windows() -> Arc<ConnectionConfig> {
    presets::plain_builder().with_recv_buffer(3_000, 3_000).with_sack(true).build().unwrap()
}

/// A pair whose path loses the datagrams with these numbers.
fn losing(to_server: &[u64], to_client: &[u64], config: &Arc<ConnectionConfig>) -> Pair {
    let mut pair = Pair::builder(1).connection(Arc::clone(config)).build();
    let (client, server) = (pair.client, pair.server);
    pair.world.link_mut(client, server).doomed.extend(to_server);
    pair.world.link_mut(server, client).doomed.extend(to_client);
    pair
}

#[test]
fn any_one_datagram_may_be_lost() {
    for config in [small_windows(), Arc::default()] {
        let mut pair = losing(&[], &[], &config);
        converse(&mut pair);
        let (client, server) = (pair.client, pair.server);
        let to_server = pair.world.link_mut(client, server).count();
        let to_client = pair.world.link_mut(server, client).count();
        for number in 0..to_server {
            converse(&mut losing(&[number], &[], &config));
        }
        for number in 0..to_client {
            converse(&mut losing(&[], &[number], &config));
        }
    }
}

#[test]
fn any_two_datagrams_may_be_lost() {
    let config = small_windows();
    for first in 0..14 {
        for second in 0..14 {
            converse(&mut losing(&[first], &[second], &config));
            converse(&mut losing(&[first, second], &[], &config));
            converse(&mut losing(&[], &[first, second], &config));
        }
    }
}

#[test]
fn network_may_die_at_any_moment() {
    let path = Knobs { loss: 0.1, ..Knobs::default() };
    for moment in 0..60 {
        let mut pair = Pair::builder(moment).connection(small_windows()).path(path.clone()).build();
        let (client, server) = pair.connect();
        let mut client = Talk::new(client, vec![1; 20_000], Manners::default());
        let mut server = Talk::new(server, vec![2; 20_000], Manners::default());
        for _ in 0..moment {
            let now = pair.now();
            client.pump(now, pair.client());
            server.pump(now, pair.server());
            pair.step();
        }
        pair.both(|knobs| knobs.outage = true);
        let _ = pair.client().close(client.conn());
        let _ = pair.server().release(server.conn());
        assert!(pair.run_until_idle(Duration::from_secs(2_000)));
        for id in [pair.client, pair.server] {
            let endpoint = pair.world.host(id).endpoint();
            assert_eq!((endpoint.unfinished_count(), endpoint.connection_count()), (0, 0));
        }
    }
}

#[test]
fn lost_window_update_does_not_stall() {
    let config = presets::plain_builder().with_recv_buffer(3_000, 3_000).build().unwrap();
    for number in 0..12 {
        let mut pair = losing(&[], &[number], &config);
        let (client, server) = pair.connect();
        let manners = Manners { read_pause: Duration::from_millis(700), ..Manners::default() };
        let mut client = Talk::new(client, vec![1; 20_000], Manners::default());
        let mut server = Talk::new(server, Vec::new(), manners);
        pair.converse(&mut client, &mut server);
        assert_eq!(server.received().len(), 20_000);
    }
}

#[test]
fn clocks_may_have_any_epoch() {
    for offset in [1, 4_294_967, 9_000_000_000] {
        let mut pair = Pair::new(1);
        pair.client().set_clock_offset(Duration::from_secs(offset));
        converse(&mut pair);
    }
}

#[test]
fn a_layer_below_may_want_room_around_each_segment() {
    let mut pair = Pair::builder(1).config(&presets::endpoint()).build();
    let buf = || tou_proto::TransmitBuf::new(5, 9_000).with_room(3, 16);
    pair.client().set_transmit_buf(buf());
    pair.server().set_transmit_buf(buf());
    converse(&mut pair);
}
