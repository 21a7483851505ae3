//! IPv4, IPv6, and sockets that have both.

use core::net::{Ipv6Addr, SocketAddr, SocketAddrV6};
use std::io::ErrorKind;
use std::net::UdpSocket;

use tou_udp::SocketOptions;

use crate::check::{Outcome, fails, holds, same};
use crate::driver::{Driver, Listener, Setup, Socket, Stream};
use crate::kit::{LONG, Pair, local, meet};

topic! { "families"
    ipv6_carries_data: "Streams work over IPv6.";
    a_dual_stack_listener_takes_both:
        "A listener on [::] accepts IPv4 too, and calls such peers by their IPv4 addresses.";
    a_dual_stack_socket_reaches_both: "A socket on [::] connects to IPv4 and IPv6.";
    ipv4_mapped_is_ipv4: "An IPv4-mapped IPv6 address is reached from an IPv4 socket.";
    an_ipv4_socket_cannot_reach_ipv6: "An IPv6 address is NetworkUnreachable from an IPv4 socket.";
    an_ipv6_only_listener_takes_no_ipv4:
        "Without dual stack, a listener on [::] is not there for IPv4.";
    a_scope_means_nothing_but_on_a_link:
        "An IPv6 address that is not link-local is reached whatever scope it is given.";
}

fn any6() -> SocketAddr {
    SocketAddr::from(([0_u16; 8], 0))
}

/// Whether this machine has IPv6 at all. Says so if it has not.
pub(super) fn has_ipv6() -> bool {
    let there = UdpSocket::bind(local6(0)).is_ok();
    if !there {
        eprintln!("NOT RUN: no IPv6 here");
    }
    there
}

fn local6(port: u16) -> SocketAddr {
    SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], port))
}

fn ipv6_carries_data<D: Driver>(driver: &D) -> Outcome {
    if !has_ipv6() {
        return Ok(());
    }
    let listener = driver.listen(local6(0))?;
    let socket = driver.bind(local6(0), &Setup::default())?;
    let Pair { client, server, .. } = Pair::<D>::between(&socket, listener)?;
    holds(server.peer_addr()?.is_ipv6(), "the peer has an IPv6 address")?;
    same(server.peer_addr()?, client.local_addr()?)?;
    meet(&client, &server)
}

fn a_dual_stack_listener_takes_both<D: Driver>(driver: &D) -> Outcome {
    if !has_ipv6() {
        return Ok(());
    }
    let listener = driver.listen(any6())?;
    let port = listener.local_addr()?.port();
    listener.set_accept_timeout(Some(LONG))?;
    let four = driver.bind(local(), &Setup::default())?;
    let _client = four.connect(SocketAddr::new(local().ip(), port))?;
    same(listener.accept()?.1, four.local_addr())?;
    let six = driver.bind(local6(0), &Setup::default())?;
    let _client = six.connect(local6(port))?;
    same(listener.accept()?.1, six.local_addr())
}

fn a_dual_stack_socket_reaches_both<D: Driver>(driver: &D) -> Outcome {
    if !has_ipv6() {
        return Ok(());
    }
    let socket = driver.bind(any6(), &Setup::default())?;
    for addr in [local(), local6(0)] {
        let listener = driver.listen(addr)?;
        let addr = listener.local_addr()?;
        let Pair { client, server, .. } = Pair::<D>::between(&socket, listener)?;
        same(client.peer_addr()?, addr)?;
        same(server.peer_addr()?.ip(), addr.ip())?;
        meet(&client, &server)?;
    }
    Ok(())
}

fn ipv4_mapped_is_ipv4<D: Driver>(driver: &D) -> Outcome {
    let listener = driver.listen(local())?;
    let port = listener.local_addr()?.port();
    let socket = driver.bind(local(), &Setup::default())?;
    let mapped = SocketAddr::from(([0, 0, 0, 0, 0, 0xffff, 0x7f00, 1], port));
    let stream = socket.connect(mapped)?;
    same(stream.peer_addr()?, listener.local_addr()?)
}

fn an_ipv4_socket_cannot_reach_ipv6<D: Driver>(driver: &D) -> Outcome {
    let socket = driver.bind(local(), &Setup::default())?;
    fails(socket.connect(local6(9)), ErrorKind::NetworkUnreachable)?;
    same(socket.connection_count(), 0)
}

fn an_ipv6_only_listener_takes_no_ipv4<D: Driver>(driver: &D) -> Outcome {
    if !has_ipv6() {
        return Ok(());
    }
    let options = SocketOptions::default().with_dual_stack(false);
    let socket = driver.bind(any6(), &Setup { options, ..Setup::default() })?;
    let _listener = socket.listen()?;
    let port = socket.local_addr().port();
    fails(driver.connect(SocketAddr::new(local().ip(), port)), ErrorKind::ConnectionRefused)?;
    let client = driver.connect(local6(port))?;
    same(client.peer_addr()?, local6(port))
}

fn a_scope_means_nothing_but_on_a_link<D: Driver>(driver: &D) -> Outcome {
    if !has_ipv6() {
        return Ok(());
    }
    let listener = driver.listen(local6(0))?;
    listener.set_accept_timeout(Some(LONG))?;
    let port = listener.local_addr()?.port();
    let scoped = SocketAddrV6::new(Ipv6Addr::LOCALHOST, port, 7, 1);
    let client = driver.connect_timeout(scoped.into(), LONG)?;
    let (server, _) = listener.accept()?;
    meet(&client, &server)
}
