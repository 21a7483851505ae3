//! The socket against the real kernel, over loopback.
#![expect(clippy::unwrap_used, reason = "what a test cannot do, it fails of")]

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::io::ErrorKind;

use tou_proto::{Ecn, PathError, PathErrorKind, ReceivedBatch, Transmit};
use tou_udp::{Clock, Received, SocketOptions, UdpSocket};

/// Opens a socket, or says loudly that this machine has no such addresses.
fn bind(addr: &str) -> Option<UdpSocket> {
    bind_with(addr, &SocketOptions::default())
}

fn bind_with(addr: &str, options: &SocketOptions) -> Option<UdpSocket> {
    match UdpSocket::bind(addr.parse().unwrap(), options) {
        Ok(socket) => Some(socket),
        Err(error) if addr.starts_with('[') => {
            eprintln!("NOT RUN: no socket on {addr}: {error}");
            None
        }
        Err(error) => panic!("no socket on {addr}: {error}"),
    }
}

/// Receives for up to five seconds, until `enough`.
fn receive(
    socket: &mut UdpSocket,
    mut enough: impl FnMut(&[ReceivedBatch], &UdpSocket) -> bool,
) -> Vec<ReceivedBatch> {
    let clock = Clock::start();
    let mut batches = Vec::new();
    while !enough(&batches, socket) {
        assert!(clock.now().as_millis() < 5_000, "got {} batches only", batches.len());
        if socket.recv(|batch| batches.push(batch)).unwrap().batches == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    batches
}

fn receive_bytes(socket: &mut UdpSocket, bytes: usize) -> Vec<ReceivedBatch> {
    receive(socket, |batches, _| batches.iter().map(|b| b.data.len()).sum::<usize>() >= bytes)
}

fn receive_error(socket: &mut UdpSocket) -> PathError {
    let clock = Clock::start();
    loop {
        assert!(clock.now().as_millis() < 5_000, "no error report");
        assert_eq!(socket.recv(|_| ()).unwrap().batches, 0);
        if let Some(error) = socket.poll_error() {
            return error;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn to(peer: SocketAddr, stride: usize) -> Transmit {
    Transmit { peer, local_ip: None, ecn: Ecn::NotEct, stride, segments: 1 }
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n / 7) as u8).collect()
}

fn a_full_batch_arrives_whole(addr: &str) {
    let (Some(mut sender), Some(mut receiver)) = (bind(addr), bind(addr)) else { return };
    let data = pattern(43 * 1472 + 1000);
    let transmit = Transmit { segments: 44, ..to(receiver.local_addr(), 1472) };
    let sent = sender.send(&transmit, &data);
    assert_eq!((sent.datagrams, sent.blocked), (44, false));
    let batches = receive_bytes(&mut receiver, data.len());
    let all: Vec<u8> = batches.iter().flat_map(|batch| batch.data.to_vec()).collect();
    assert!(all == data);
    let datagrams: Vec<usize> =
        batches.iter().flat_map(|batch| batch.datagrams().map(|d| d.len())).collect();
    assert_eq!(datagrams, [vec![1472; 43], vec![1000]].concat());
    assert!(batches.iter().all(|batch| batch.peer == sender.local_addr()));
    let stats = receiver.stats();
    assert_eq!((stats.datagrams_received, stats.bytes_received), (44, data.len() as u64));
    if sender.max_segments() < 44 || batches.len() > 1 {
        eprintln!(
            "NOT RUN: no offload: {} calls, {} batches",
            sender.stats().send_calls,
            batches.len()
        );
        return;
    }
    assert_eq!(sender.stats().send_calls, 1);
    assert_eq!(batches[0].stride, 1472);
    assert_eq!(stats.batches_received.classes()[5], 1);
}

#[test]
fn a_full_batch_arrives_whole_over_ipv4() {
    a_full_batch_arrives_whole("127.0.0.1:0");
}

#[test]
fn a_full_batch_arrives_whole_over_ipv6() {
    a_full_batch_arrives_whole("[::1]:0");
}

fn marks_and_local_addresses_pass(addr: &str, local_ip: IpAddr) {
    let (Some(mut sender), Some(mut receiver)) = (bind(addr), bind(addr)) else { return };
    for ecn in [Ecn::NotEct, Ecn::Ect0, Ecn::Ect1, Ecn::Ce] {
        let transmit = Transmit { ecn, ..to(receiver.local_addr(), 100) };
        let _ = sender.send(&transmit, &[1; 250]);
        for batch in receive_bytes(&mut receiver, 250) {
            assert_eq!(batch.ecn, ecn);
            assert_eq!(batch.local_ip, Some(local_ip));
        }
    }
}

#[test]
fn marks_and_local_addresses_pass_over_ipv4() {
    marks_and_local_addresses_pass("127.0.0.1:0", "127.0.0.1".parse().unwrap());
}

#[test]
fn marks_and_local_addresses_pass_over_ipv6() {
    marks_and_local_addresses_pass("[::1]:0", "::1".parse().unwrap());
}

#[test]
fn a_reply_leaves_from_the_address_that_was_asked() {
    // Loopback has all of 127.0.0.0/8: a host with many addresses.
    let (mut client, mut server) = (bind("127.0.0.1:0").unwrap(), bind("0.0.0.0:0").unwrap());
    let asked: SocketAddr = ([127, 0, 0, 77], server.local_addr().port()).into();
    let _ = client.send(&to(asked, 4), b"ping");
    let request = receive_bytes(&mut server, 4).remove(0);
    assert_eq!(request.local_ip, Some(asked.ip()));
    let reply = Transmit { local_ip: request.local_ip, ..to(request.peer, 4) };
    let _ = server.send(&reply, b"pong");
    assert_eq!(receive_bytes(&mut client, 4).remove(0).peer, asked);
}

#[test]
fn a_source_address_that_is_gone_does_not_stop_the_datagram_or_its_marks() {
    let (mut sender, mut receiver) = (bind("0.0.0.0:0").unwrap(), bind("127.0.0.1:0").unwrap());
    let local_ip = Some("192.0.2.66".parse().unwrap());
    let transmit = Transmit { local_ip, ecn: Ecn::Ect0, ..to(receiver.local_addr(), 1000) };
    for _ in 0..2 {
        assert_eq!(sender.send(&transmit, &[1; 10_000]).datagrams, 10);
        for batch in receive_bytes(&mut receiver, 10_000) {
            assert_eq!(batch.ecn, Ecn::Ect0);
        }
    }
    assert_eq!(sender.stats().fallbacks_sourceless, 1);
    assert_eq!(sender.max_segments(), 64);
}

#[test]
fn a_dual_stack_socket_knows_ipv4_peers_by_their_ipv4_addresses() {
    let Some(mut dual) = bind("[::]:0") else { return };
    let mut v4 = bind("127.0.0.1:0").unwrap();
    let port = dual.local_addr().port();
    let transmit = Transmit { ecn: Ecn::Ect0, ..to(([127, 0, 0, 1], port).into(), 100) };
    let _ = v4.send(&transmit, &[1; 300]);
    let request = receive_bytes(&mut dual, 300).remove(0);
    assert_eq!(request.peer, v4.local_addr());
    assert_eq!(request.local_ip, Some("127.0.0.1".parse().unwrap()));
    assert_eq!(request.ecn, Ecn::Ect0);
    let reply = Transmit { local_ip: request.local_ip, ecn: Ecn::Ce, ..to(request.peer, 100) };
    let _ = dual.send(&reply, &[2; 300]);
    let reply = receive_bytes(&mut v4, 300).remove(0);
    assert_eq!((reply.peer.port(), reply.ecn), (port, Ecn::Ce));

    let Some(mut v6) = bind("[::1]:0") else { return };
    let _ = v6.send(&to(format!("[::1]:{port}").parse().unwrap(), 100), &[3; 300]);
    assert_eq!(receive_bytes(&mut dual, 300).remove(0).peer, v6.local_addr());
}

#[test]
fn a_vanished_ipv6_source_does_not_cost_ipv4_peers_their_marks() {
    let (Some(mut dual), Some(v6)) = (bind("[::]:0"), bind("[::1]:0")) else { return };
    let mut v4 = bind("127.0.0.1:0").unwrap();
    let local_ip = Some("2001:db8::66".parse().unwrap());
    let transmit = Transmit { local_ip, ..to(v6.local_addr(), 100) };
    assert_eq!(dual.send(&transmit, &[0; 300]).datagrams, 3);
    assert_eq!(dual.stats().fallbacks_sourceless, 1);
    let transmit = Transmit { ecn: Ecn::Ect0, ..to(v4.local_addr(), 100) };
    let _ = dual.send(&transmit, &[1; 300]);
    for batch in receive_bytes(&mut v4, 300) {
        assert_eq!(batch.ecn, Ecn::Ect0);
    }
    // Nor those that come.
    let port = dual.local_addr().port();
    let transmit = Transmit { ecn: Ecn::Ce, ..to(([127, 0, 0, 1], port).into(), 100) };
    let _ = v4.send(&transmit, &[1; 300]);
    for batch in receive_bytes(&mut dual, 300) {
        assert_eq!(batch.ecn, Ecn::Ce);
    }
}

#[test]
fn a_socket_without_dual_stack_leaves_the_port_to_ipv4() {
    let options = SocketOptions::default().with_dual_stack(false);
    let Ok(v6) = UdpSocket::bind("[::]:0".parse().unwrap(), &options) else {
        eprintln!("NOT RUN: no IPv6");
        return;
    };
    let v4 = format!("0.0.0.0:{}", v6.local_addr().port());
    assert!(UdpSocket::bind(v4.parse().unwrap(), &options).is_ok());
}

/// An address where nobody listens.
fn closed_port(addr: &str) -> Option<SocketAddr> {
    bind(addr).map(|socket| socket.local_addr())
}

fn a_closed_port_is_reported_at_once(from: &str, addr: &str) {
    if !cfg!(target_os = "linux") {
        eprintln!("NOT RUN: no error queue");
        return;
    }
    let (Some(mut socket), Some(closed)) = (bind(from), closed_port(addr)) else { return };
    let data = pattern(60);
    let _ = socket.send(&to(closed, 60), &data);
    let error = receive_error(&mut socket);
    assert_eq!((error.peer, error.kind), (closed, PathErrorKind::Refused));
    assert_eq!(error.quoted, data);
    assert_eq!(socket.poll_error(), None);
}

#[test]
fn a_closed_port_is_reported_over_ipv4() {
    a_closed_port_is_reported_at_once("127.0.0.1:0", "127.0.0.1:0");
}

#[test]
fn a_closed_port_is_reported_over_ipv6() {
    a_closed_port_is_reported_at_once("[::1]:0", "[::1]:0");
}

#[test]
fn a_closed_port_is_reported_over_ipv4_on_a_dual_stack_socket() {
    a_closed_port_is_reported_at_once("[::]:0", "127.0.0.1:0");
}

#[test]
fn a_closed_port_of_one_peer_does_not_disturb_another() {
    let (mut sender, mut receiver) = (bind("127.0.0.1:0").unwrap(), bind("127.0.0.1:0").unwrap());
    let closed = closed_port("127.0.0.1:0").unwrap();
    for round in 0..100 {
        // The refusal is pending when the next call is made.
        let _ = sender.send(&to(closed, 10), &[0; 10]);
        let sent = sender.send(&to(receiver.local_addr(), 1000), &[round; 5000]);
        assert_eq!((sent.datagrams, sent.blocked), (5, false));
    }
    let batches = receive_bytes(&mut receiver, 100 * 5000);
    let all: Vec<u8> = batches.iter().flat_map(|batch| batch.data.to_vec()).collect();
    let expected: Vec<u8> = (0..100).flat_map(|round| [round; 5000]).collect();
    assert!(all == expected);
    while let Some(error) = sender.poll_error() {
        assert_eq!((error.peer, error.kind), (closed, PathErrorKind::Refused));
    }
    assert_eq!(sender.stats().lost_unreachable, 0);
    assert_eq!(sender.max_segments(), 64);
}

#[test]
fn a_datagram_over_the_limit_of_ip_is_lost_and_reported() {
    let mut sender = bind("127.0.0.1:0").unwrap();
    let receiver = bind("127.0.0.1:0").unwrap();
    let sent = sender.send(&to(receiver.local_addr(), 65_508), &vec![0; 65_508]);
    assert_eq!((sent.datagrams, sent.blocked), (1, false));
    assert!(matches!(sender.poll_error().unwrap().kind, PathErrorKind::TooBig { .. }));
    assert_eq!(sender.stats().lost_too_big, 1);
    assert_eq!(sender.max_segments(), 64);
}

#[cfg(any(target_os = "linux", target_os = "android"))]
#[test]
fn marks_come_if_they_are_asked_for_and_not_otherwise() {
    // The last is of both families.
    let both: &[_] = &["127.0.0.1:0", "[::1]:0"];
    for (addr, senders) in [(both[0], &both[..1]), (both[1], &both[1..]), ("[::]:0", both)] {
        for asked_for in [true, false] {
            let options = SocketOptions::default().with_ecn(asked_for);
            let Some(mut receiver) = bind_with(addr, &options) else { continue };
            for from in senders {
                let Some(mut sender) = bind(from) else { continue };
                let target = (sender.local_addr().ip(), receiver.local_addr().port());
                let transmit = Transmit { ecn: Ecn::Ce, ..to(target.into(), 100) };
                let sent = sender.send(&transmit, &[7; 100]);
                assert_eq!((sent.datagrams, sent.blocked), (1, false));
                let batch = receive_bytes(&mut receiver, 100).remove(0);
                let mark = if asked_for { Ecn::Ce } else { Ecn::NotEct };
                assert_eq!((batch.peer, batch.ecn), (sender.local_addr(), mark), "at {addr}");
            }
        }
    }
}

#[test]
fn one_look_brings_many_datagrams_and_empty_ones_too() {
    let (mut sender, mut receiver) = (bind("127.0.0.1:0").unwrap(), bind("127.0.0.1:0").unwrap());
    for len in 0..10 {
        sender.as_std().send_to(&vec![9; len], receiver.local_addr()).unwrap();
    }
    let mut lengths = Vec::new();
    let mut look = || receiver.recv(|batch| lengths.push(batch.data.len())).unwrap();
    assert_eq!(look(), received(8, true));
    assert_eq!(look(), received(2, false));
    assert_eq!(look(), received(0, false));
    assert_eq!(lengths, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert_eq!(sender.recv(|_| ()).unwrap(), received(0, false));
}

fn received(batches: usize, more: bool) -> Received {
    Received { batches, more }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
#[test]
fn an_inlet_brings_batches_until_it_is_interrupted() {
    for addr in ["127.0.0.1:0", "0.0.0.0:0", "[::]:0", "[::1]:0"] {
        let Some(mut receiver) = bind(addr) else { continue };
        let (mut inlet, interrupter) = receiver.open_inlet().unwrap().unwrap();
        let home = if addr.starts_with('[') { "[::1]:0" } else { "127.0.0.1:0" };
        let sender = std::net::UdpSocket::bind(home).unwrap();
        let port = receiver.local_addr().port();
        let target = SocketAddr::new(sender.local_addr().unwrap().ip(), port);
        // What was sent when it was opened.
        assert!(!receiver.is_interruptible());
        assert!(receiver.recv_inbound(inlet.wait().unwrap()).is_none());
        assert!(receiver.is_interruptible());
        // Empty datagrams of others are none.
        for len in [3, 0, 40_000] {
            sender.send_to(&vec![7; len], target).unwrap();
            let batch = receiver.recv_inbound(inlet.wait().unwrap()).unwrap();
            assert_eq!(
                (batch.peer, batch.data),
                (sender.local_addr().unwrap(), vec![7; len].into())
            );
        }
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| inlet.wait().unwrap());
            interrupter.interrupt();
            assert!(receiver.recv_inbound(waiting.join().unwrap()).is_none());
        });
        // No other call waits.
        assert_eq!(receiver.recv(|_| ()).unwrap(), received(0, false));
        assert_eq!(receiver.stats().datagrams_received, 3);
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
#[test]
fn sockets_that_share_a_port_have_no_inlet() {
    let options = SocketOptions::default().with_reuse_port(true);
    let with_port = UdpSocket::bind("127.0.0.1:0".parse().unwrap(), &options).unwrap();
    // Another one may bind a part of its addresses, and get what goes to them.
    let own = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    socket2::SockRef::from(&own).set_reuse_address(true).unwrap();
    let with_address = UdpSocket::from_std(own, &SocketOptions::default()).unwrap();
    for mut socket in [with_port, with_address] {
        assert!(socket.open_inlet().unwrap().is_none());
        assert_eq!(socket.recv(|_| ()).unwrap(), received(0, false));
    }
}

#[test]
fn a_socket_that_may_lose_its_address_has_no_inlet() {
    let probe = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    // Connecting sends nothing, but chooses an address.
    let _ = probe.connect("192.0.2.1:9");
    let ip = probe.local_addr().unwrap().ip();
    if ip.is_unspecified() || ip.is_loopback() {
        return eprintln!("NOT RUN: no network");
    }
    let socket = UdpSocket::bind(SocketAddr::new(ip, 0), &SocketOptions::default());
    assert!(socket.unwrap().open_inlet().unwrap().is_none());
}

#[cfg(any(target_os = "linux", target_os = "android"))]
#[test]
fn what_a_callers_own_socket_attaches_to_datagrams_does_not_cost_them() {
    use nix::sys::socket::{setsockopt, sockopt};
    let Ok(own) = std::net::UdpSocket::bind("[::]:0") else {
        return eprintln!("NOT RUN: no IPv6");
    };
    setsockopt(&own, sockopt::Ipv6OrigDstAddr, &true).unwrap();
    socket2::SockRef::from(&own).set_recv_hoplimit_v6(true).unwrap();
    let mut receiver = UdpSocket::from_std(own, &SocketOptions::default()).unwrap();
    let sender = std::net::UdpSocket::bind("[::1]:0").unwrap();
    let target = SocketAddr::new("::1".parse().unwrap(), receiver.local_addr().port());
    sender.send_to(&[1, 2, 3], target).unwrap();
    let mut data = Vec::new();
    let result = receiver.recv(|batch| data.extend_from_slice(&batch.data));
    assert_eq!((result.unwrap(), data), (received(1, false), vec![1, 2, 3]));
}

#[cfg(any(target_os = "linux", target_os = "android"))]
#[test]
fn the_report_of_an_error_that_an_inlet_met_is_not_left_behind_what_arrives() {
    let mut receiver = bind("127.0.0.1:0").unwrap();
    let (mut inlet, _interrupter) = receiver.open_inlet().unwrap().unwrap();
    assert!(receiver.recv_inbound(inlet.wait().unwrap()).is_none());
    let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let nobody = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    receiver.as_std().send_to(&[1], nobody).unwrap();
    assert_eq!(inlet.wait().unwrap_err().kind(), ErrorKind::ConnectionRefused);
    sender.send_to(&[2], receiver.local_addr()).unwrap();
    assert_eq!(receiver.recv(|_| ()).unwrap(), received(1, false));
    assert_eq!(receiver.poll_error().map(|error| error.peer), Some(nobody));
}

#[test]
fn buffers_are_as_large_as_the_system_grants() {
    let small = SocketOptions::default().with_recv_buffer(64 << 10).with_send_buffer(64 << 10);
    let socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap(), &small).unwrap();
    let small = socket.buffer_sizes().unwrap();
    let large = bind("127.0.0.1:0").unwrap().buffer_sizes().unwrap();
    assert!(small.recv >= 64 << 10 && small.send >= 64 << 10, "{small:?}");
    assert!(large.recv > small.recv && large.send > small.send, "{large:?}");
}

#[test]
fn buffers_are_no_smaller_than_anybody_gets_who_asks() {
    // A process with the right to passes the system's limits, others get as much as is.
    let sizes = bind("127.0.0.1:0").unwrap().buffer_sizes().unwrap();
    let asked = SocketOptions::default();
    let plain = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let plain = socket2::SockRef::from(&plain);
    plain.set_recv_buffer_size(asked.recv_buffer).unwrap();
    plain.set_send_buffer_size(asked.send_buffer).unwrap();
    assert!(sizes.recv >= plain.recv_buffer_size().unwrap(), "{sizes:?}");
    assert!(sizes.send >= plain.send_buffer_size().unwrap(), "{sizes:?}");
}

#[test]
fn a_callers_own_socket_keeps_its_port_and_ports_can_be_shared() {
    let own = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let addr = own.local_addr().unwrap();
    let socket = UdpSocket::from_std(own, &SocketOptions::default()).unwrap();
    assert_eq!(socket.local_addr(), addr);
    assert_eq!(
        UdpSocket::bind(addr, &SocketOptions::default()).unwrap_err().kind(),
        ErrorKind::AddrInUse
    );
    let shared = SocketOptions::default().with_reuse_port(true);
    match UdpSocket::bind("127.0.0.1:0".parse().unwrap(), &shared) {
        Ok(first) => assert!(UdpSocket::bind(first.local_addr(), &shared).is_ok()),
        Err(error) => eprintln!("NOT RUN: no shared ports: {error}"),
    }
}
