//! What goes wrong is reported as std's TCP reports it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use core::net::SocketAddr;
use core::time::Duration;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, UdpSocket};
use std::thread;

use tou_mio::{ConnectOptions, TouListener, TouSocket, TouStream};
use tou_proto::{ConnectionError, Keepalive, Port, Remote};

use common::*;

const SHORT: Duration = Duration::from_millis(50);

/// An address with a UDP socket that never answers, while the socket lives.
fn silence() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind(LOCAL).unwrap();
    let addr = socket.local_addr().unwrap();
    (socket, addr)
}

#[test]
fn a_port_without_a_socket_refuses() {
    let (socket, addr) = silence();
    drop(socket);
    let error = TouStream::connect(addr).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<ConnectionError>());
    assert_eq!(inner, Some(&ConnectionError::Refused));
}

#[test]
fn a_socket_without_a_listener_refuses() {
    let socket = TouSocket::bind(LOCAL).unwrap();
    let error = TouStream::connect(socket.local_addr()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn connecting_to_silence_times_out() {
    let (_socket, addr) = silence();
    let error = TouStream::connect_timeout(&addr, SHORT).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    let error = TouStream::connect_timeout(&addr, Duration::ZERO).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[test]
fn an_address_of_another_family_is_unreachable() {
    let socket = TouSocket::bind(LOCAL).unwrap();
    let error = socket.connect("[::1]:9").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NetworkUnreachable);
    let error = socket.connect("[::ffff:127.0.0.1]:9").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn port_zero_cannot_be_connected_to() {
    let error = TouStream::connect("127.0.0.1:0").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[test]
fn reads_writes_and_accepts_time_out() {
    let Pair { mut client, mut server, listener } = pair();
    client.set_read_timeout(Some(SHORT)).unwrap();
    assert_eq!(client.read_timeout().unwrap(), Some(SHORT));
    assert_eq!(client.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    client.set_write_timeout(Some(SHORT)).unwrap();
    // Nobody reads at the other end.
    let error = client.write_all(&vec![1; 64 << 20]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    listener.set_accept_timeout(Some(SHORT)).unwrap();
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    // The stream is as it was.
    let mut byte = [0];
    server.read_exact(&mut byte).unwrap();
    server.write_all(&byte).unwrap();
    client.set_read_timeout(None).unwrap();
    client.read_exact(&mut byte).unwrap();
    assert_eq!(byte, [1]);
    client.set_linger(Some(Duration::ZERO));
}

#[test]
fn without_waiting_calls_would_block() {
    let Pair { mut client, mut server, listener } = pair();
    listener.set_nonblocking(true).unwrap();
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    client.set_nonblocking(true).unwrap();
    assert_eq!(client.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(client.peek(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    let chunk = vec![7; 1 << 20];
    let error = loop {
        if let Err(error) = client.write(&chunk) {
            break error;
        }
    };
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    server.write_all(b"x").unwrap();
    let mut byte = [0];
    while let Err(error) = client.read_exact(&mut byte) {
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
    }
    assert_eq!(&byte, b"x");
    client.set_linger(Some(Duration::ZERO));
}

#[test]
fn after_shutdown_writing_is_a_broken_pipe_and_reading_ends() {
    let Pair { mut client, mut server, .. } = pair();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.write(b"late").unwrap_err().kind(), ErrorKind::BrokenPipe);
    server.write_all(b"unheard").unwrap();
    client.shutdown(Shutdown::Read).unwrap();
    assert_eq!(client.read(&mut [0; 8]).unwrap(), 0);
}

#[test]
fn shutdown_ends_calls_that_wait_in_other_threads() {
    let Pair { client, server, .. } = pair();
    let data = vec![1; 64 << 20];
    thread::scope(|scope| {
        // Of the readers one leads and one follows.
        let readers: Vec<_> = (0..2).map(|_| scope.spawn(|| (&client).read(&mut [0]))).collect();
        let writer = scope.spawn(|| (&client).write_all(&data));
        thread::sleep(SHORT);
        client.shutdown(Shutdown::Both).unwrap();
        for reader in readers {
            assert_eq!(reader.join().unwrap().unwrap(), 0);
        }
        assert_eq!(writer.join().unwrap().unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
    // Half of the data is still under way.
    client.abort();
    drop(server);
}

#[test]
fn an_abort_resets_the_peer() {
    let Pair { mut client, mut server, .. } = pair();
    client.write_all(b"x").unwrap();
    server.read_exact(&mut [0]).unwrap();
    client.abort();
    assert_eq!(server.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    let error = server.take_error().unwrap().unwrap();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert!(server.take_error().unwrap().is_none());
    assert_eq!(client.read(&mut [0]).unwrap_err().kind(), ErrorKind::NotConnected);
    assert_eq!(client.write(&[0]).unwrap_err().kind(), ErrorKind::NotConnected);
    assert_eq!(client.info().unwrap_err().kind(), ErrorKind::NotConnected);
}

#[test]
fn a_reset_wakes_whoever_waits() {
    let Pair { client, server, .. } = pair();
    thread::scope(|scope| {
        let reader = scope.spawn(|| (&server).read(&mut [0]));
        thread::sleep(SHORT);
        client.set_linger(Some(Duration::ZERO));
        drop(client);
        assert_eq!(reader.join().unwrap().unwrap_err().kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_vanished_peer_is_noticed() {
    // Its socket is gone without a word: only time can tell.
    let config = tou_mio::default_connection_config()
        .with_user_timeout(Duration::from_millis(600))
        .build()
        .unwrap();
    let quiet = tou_udp::Impairment { drop: 1.0, ..tou_udp::Impairment::default() };
    let listener = TouListener::bind(LOCAL).unwrap();
    let addr = listener.local_addr().unwrap();
    let accepted = thread::spawn(move || listener.accept().unwrap().0);
    let mut client =
        TouSocket::builder().with_connection(config).bind(LOCAL).unwrap().connect(addr).unwrap();
    let server = accepted.join().unwrap();
    server.socket().impair(tou_udp::Direction::Send, &quiet).unwrap();
    client.write_all(b"anybody there?").unwrap();
    assert_eq!(client.read(&mut [0]).unwrap_err().kind(), ErrorKind::TimedOut);
    server.abort();
}

#[test]
fn an_idle_connection_to_a_vanished_peer_is_noticed() {
    // Nothing was written: only keepalive can tell.
    let Pair { mut client, server, .. } = pair();
    let interval = Duration::from_millis(100);
    client.set_user_timeout(LONG).unwrap();
    client.set_keepalive(Some(Keepalive { idle: interval, interval, probes: 3 })).unwrap();
    let quiet = tou_udp::Impairment { drop: 1.0, ..tou_udp::Impairment::default() };
    server.socket().impair(tou_udp::Direction::Send, &quiet).unwrap();
    assert_eq!(client.read(&mut [0]).unwrap_err().kind(), ErrorKind::TimedOut);
    server.abort();
}

#[test]
fn options_that_cannot_be_are_refused() {
    let Pair { client, server, .. } = pair();
    let never = Keepalive { probes: 0, ..Keepalive::default() };
    assert_eq!(client.set_keepalive(Some(never)).unwrap_err().kind(), ErrorKind::InvalidInput);
    client.set_keepalive(None).unwrap();
    let error = client.set_user_timeout(Duration::ZERO).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    client.abort();
    assert_eq!(client.set_nodelay(true).unwrap_err().kind(), ErrorKind::NotConnected);
    assert_eq!(client.set_keepalive(None).unwrap_err().kind(), ErrorKind::NotConnected);
    drop(server);
}

#[test]
fn addresses_in_use_are_refused() {
    let socket = TouSocket::bind(LOCAL).unwrap();
    let _listener = socket.listen().unwrap();
    assert_eq!(socket.listen().unwrap_err().kind(), ErrorKind::AddrInUse);
    let error = TouSocket::bind(socket.local_addr()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    let (_silent, addr) = silence();
    let remote = Remote { addr, port: Port::new(9).unwrap() };
    let options = ConnectOptions::new().with_local_port(Port::new(77).unwrap());
    let _first = socket.start_connect(remote, &options).unwrap();
    let error = socket.start_connect(remote, &options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
}

#[test]
fn a_closed_socket_does_nothing_more() {
    let Pair { client, mut server, listener } = pair();
    let socket = server.socket();
    thread::scope(|scope| {
        let reader = scope.spawn(|| (&server).read(&mut [0]));
        let acceptor = scope.spawn(|| listener.accept());
        thread::sleep(SHORT);
        socket.close(LONG).unwrap();
        assert_eq!(reader.join().unwrap().unwrap_err().kind(), ErrorKind::NotConnected);
        assert_eq!(acceptor.join().unwrap().unwrap_err().kind(), ErrorKind::NotConnected);
    });
    assert_eq!(server.write(b"x").unwrap_err().kind(), ErrorKind::NotConnected);
    assert_eq!(socket.listen().unwrap_err().kind(), ErrorKind::NotConnected);
    let error = socket.connect(client.local_addr().unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotConnected);
    assert_eq!(read_all(&client), []);
}
