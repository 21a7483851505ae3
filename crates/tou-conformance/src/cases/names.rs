//! Who is who: addresses and ports, of sockets, listeners and streams.

use std::io::ErrorKind;

use crate::check::{Outcome, fails, holds, same};
use crate::driver::{Connect, Driver, Listener, Setup, Socket, Stream};
use crate::kit::{LONG, Pair, local, meet, port, remote, silence};

topic! { "names"
    the_ends_know_each_other: "Each end's peer is the other end, in address and port.";
    a_bound_port_is_told: "Port zero becomes a real one, and the address stays.";
    an_accepted_peer_is_named: "Accepting returns the address that the stream has too.";
    one_port_listens_and_connects: "A socket accepts and connects at the same time.";
    the_tcp_port_may_differ: "One UDP port has listeners on several TCP ports.";
    a_local_port_can_be_chosen: "A connection comes from the TCP port that was asked for.";
    a_taken_port_is_in_use:
        "A second connection or listener of the same names fails with AddrInUse.";
    a_taken_udp_port_is_in_use: "Binding a UDP port twice fails with AddrInUse.";
}

fn the_ends_know_each_other<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, server, listener } = Pair::new(driver)?;
    same(client.peer_addr()?, listener.local_addr()?)?;
    same(client.peer_addr()?, server.local_addr()?)?;
    same(server.peer_addr()?, client.local_addr()?)?;
    same(client.peer_port(), server.local_port())?;
    same(server.peer_port(), client.local_port())?;
    same(server.local_port(), listener.local_port())
}

fn a_bound_port_is_told<D: Driver>(driver: &D) -> Outcome {
    let listener = driver.listen(local())?;
    let addr = listener.local_addr()?;
    holds(addr.port() != 0, "the port is real")?;
    same(addr.ip(), local().ip())?;
    same(listener.local_port(), port(addr.port())?)?;
    same(listener.socket().local_addr(), addr)
}

fn an_accepted_peer_is_named<D: Driver>(driver: &D) -> Outcome {
    let listener = driver.listen(local())?;
    listener.set_accept_timeout(Some(LONG))?;
    let client = driver.bind(local(), &Setup::default())?.connect(listener.local_addr()?)?;
    let (server, peer) = listener.accept()?;
    same(peer, client.local_addr()?)?;
    same(server.peer_addr()?, peer)
}

fn one_port_listens_and_connects<D: Driver>(driver: &D) -> Outcome {
    let one = driver.bind(local(), &Setup::default())?;
    let two = driver.bind(local(), &Setup::default())?;
    let (listen_one, listen_two) = (one.listen()?, two.listen()?);
    let there = Pair::<D>::between(&one, listen_two)?;
    let back = Pair::<D>::between(&two, listen_one)?;
    same(there.server.peer_addr()?, one.local_addr())?;
    same(back.server.peer_addr()?, two.local_addr())?;
    meet(&there.client, &there.server)?;
    meet(&back.client, &back.server)
}

fn the_tcp_port_may_differ<D: Driver>(driver: &D) -> Outcome {
    let socket = driver.bind(local(), &Setup::default())?;
    let client = driver.bind(local(), &Setup::default())?;
    let ports = [port(80)?, port(443)?];
    let listeners = [socket.listen_on(ports[0], 4)?, socket.listen_on(ports[1], 4)?];
    for (listener, port) in listeners.iter().zip(ports) {
        listener.set_accept_timeout(Some(LONG))?;
        same(listener.local_port(), port)?;
        let remote = tou_proto::Remote { addr: socket.local_addr(), port };
        let stream = client.connect_with(remote, &Connect::default())?;
        let (accepted, _) = listener.accept()?;
        same((stream.peer_port(), accepted.local_port()), (port, port))?;
        same(accepted.peer_port(), stream.local_port())?;
    }
    Ok(())
}

fn a_local_port_can_be_chosen<D: Driver>(driver: &D) -> Outcome {
    let listener = driver.listen(local())?;
    listener.set_accept_timeout(Some(LONG))?;
    let socket = driver.bind(local(), &Setup::default())?;
    let how = Connect { local_port: Some(port(77)?), ..Connect::default() };
    let client = socket.connect_with(remote(listener.local_addr()?)?, &how)?;
    let (server, _) = listener.accept()?;
    same((client.local_port(), server.peer_port()), (port(77)?, port(77)?))
}

fn a_taken_port_is_in_use<D: Driver>(driver: &D) -> Outcome {
    let listener = driver.listen(local())?;
    let socket = driver.bind(local(), &Setup::default())?;
    let how = Connect { local_port: Some(port(77)?), ..Connect::default() };
    let remote = remote(listener.local_addr()?)?;
    let _first = socket.connect_with(remote, &how)?;
    fails(socket.connect_with(remote, &how), ErrorKind::AddrInUse)?;
    fails(listener.socket().listen(), ErrorKind::AddrInUse)?;
    Ok(())
}

fn a_taken_udp_port_is_in_use<D: Driver>(driver: &D) -> Outcome {
    let (_udp, addr) = silence()?;
    fails(driver.bind(addr, &Setup::default()), ErrorKind::AddrInUse)?;
    fails(driver.listen(addr), ErrorKind::AddrInUse)?;
    Ok(())
}
