//! What only a blocking driver says: calls that are told not to wait, and
//! addresses that are several.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use core::net::SocketAddr;
use core::time::Duration;
use std::io::{ErrorKind, Read, Write};

use tou_mio::{ConnectOptions, TouListener, TouSocket, TouStream};
use tou_proto::{Port, Remote};

use common::*;

#[test]
fn the_first_address_that_answers_is_taken() {
    let closed = TouSocket::bind(LOCAL).unwrap();
    let listener = TouListener::bind(LOCAL).unwrap();
    let addr = listener.local_addr().unwrap();
    let addrs = [closed.local_addr(), addr, closed.local_addr()];
    assert_eq!(TouStream::connect(&addrs[..]).unwrap().peer_addr().unwrap(), addr);
    let socket = TouSocket::bind(LOCAL).unwrap();
    assert_eq!(socket.connect(&addrs[..]).unwrap().peer_addr().unwrap(), addr);
    let error = TouStream::connect(&[addrs[0], addrs[2]][..]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    let bound = TouListener::bind(&[addr, SocketAddr::from(([127, 0, 0, 1], 0))][..]).unwrap();
    assert_ne!(bound.local_addr().unwrap(), addr);
}

#[test]
fn no_address_is_invalid() {
    let none: &[SocketAddr] = &[];
    assert_eq!(TouStream::connect(none).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(TouSocket::bind(none).unwrap_err().kind(), ErrorKind::InvalidInput);
    let socket = TouSocket::bind(LOCAL).unwrap();
    assert_eq!(socket.connect(none).unwrap_err().kind(), ErrorKind::InvalidInput);
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
fn a_connection_that_was_only_begun_has_its_port() {
    let udp = std::net::UdpSocket::bind(LOCAL).unwrap();
    let socket = TouSocket::bind(LOCAL).unwrap();
    let remote = Remote { addr: udp.local_addr().unwrap(), port: Port::new(9).unwrap() };
    let options = ConnectOptions::new().with_local_port(Port::new(77).unwrap());
    let _first = socket.start_connect(remote, &options).unwrap();
    let error = socket.start_connect(remote, &options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
}
