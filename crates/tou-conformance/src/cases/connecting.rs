//! Opening connections: refused, in vain, simultaneously, and in a queue.

use core::net::{Ipv6Addr, SocketAddr, SocketAddrV6};
use core::time::Duration;
use std::io::ErrorKind;
use std::net::{Shutdown, UdpSocket};
use std::thread;

use tou_proto::{ConnectionError, EndpointConfig, Remote};
use tou_udp::{Direction, Impairment};

use super::families::has_ipv6;
use crate::check::{Failure, Outcome, comes, fails, holds, joined, same, same_bytes};
use crate::clock::now;
use crate::driver::{Connect, Driver, Listener, Setup, Socket, Stream};
use crate::kit::{
    LONG, MOMENT, Pair, configured, echo, local, meet, noise, patient, port, quick, read_some,
    remote, round_trip, silence, write_all,
};

topic! { "connecting"
    a_port_without_a_socket_refuses:
        "Connecting to a port that nobody has bound fails with ConnectionRefused, and says why \
         inside.";
    a_socket_without_a_listener_refuses: "A socket that does not listen refuses.";
    silence_times_out:
        "Connecting to a peer that is silent fails with TimedOut, not before its time.";
    silence_ends_the_configured_time: "The configuration's connect timeout ends connecting too.";
    a_connect_timeout_of_zero_is_refused: "Connecting in no time is InvalidInput.";
    port_zero_is_no_destination: "Connecting to port zero is InvalidInput.";
    the_unspecified_address_is_no_destination:
        "Connecting to 0.0.0.0, which is nobody's, is InvalidInput.";
    without_a_route_nobody_waits:
        "Connecting where this host has no way to fails at once with NetworkUnreachable.";
    a_failed_connect_leaves_nothing:
        "After a connect that failed or timed out, the socket has no connection and is as before.";
    connections_form_before_accept:
        "The handshake needs nobody in accept, and what was written before is there.";
    connections_are_accepted_in_order:
        "Connections are accepted in the order in which they were opened.";
    a_full_backlog_makes_clients_wait:
        "Beyond the backlog a client waits, and is connected when there is room.";
    each_acceptor_gets_one: "Of several threads that accept, each gets a connection of its own.";
    a_listener_that_goes_resets_its_queue:
        "Connections that nobody accepted are reset when their listener is dropped.";
    a_port_can_be_listened_on_again:
        "After a listener was dropped, its port refuses, and can have another.";
    accepted_streams_outlive_their_listener:
        "A stream goes on when the listener it came from is dropped.";
    simultaneous_open_makes_one_connection:
        "Two sides that connect to each other's ports at the same time get one connection.";
    a_socket_connects_to_its_own_listener: "Both ends of a connection may belong to one socket.";
    a_stream_connects_to_itself:
        "A connection from a port to the same port, of one socket, has itself as its peer.";
    too_many_connections_are_refused:
        "A socket with as many connections as it may have opens no more, until one goes.";
    a_socket_made_elsewhere_is_taken_over:
        "A UDP socket that was bound before carries connections.";
}

fn a_port_without_a_socket_refuses<D: Driver>(driver: &D) -> Outcome {
    let (socket, addr) = silence()?;
    drop(socket);
    let error = fails(driver.connect(addr), ErrorKind::ConnectionRefused)?;
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<ConnectionError>());
    same(inner, Some(&ConnectionError::Refused))
}

fn a_socket_without_a_listener_refuses<D: Driver>(driver: &D) -> Outcome {
    let socket = driver.bind(local(), &Setup::default())?;
    fails(driver.connect(socket.local_addr()), ErrorKind::ConnectionRefused)?;
    Ok(())
}

fn silence_times_out<D: Driver>(driver: &D) -> Outcome {
    let (_socket, addr) = silence()?;
    let timeout = Duration::from_millis(60);
    let start = now();
    fails(driver.connect_timeout(addr, timeout), ErrorKind::TimedOut)?;
    holds(start.elapsed() >= timeout, "it waited as long as it was told")
}

fn silence_ends_the_configured_time<D: Driver>(driver: &D) -> Outcome {
    let (_socket, addr) = silence()?;
    let timeout = Duration::from_millis(100);
    let socket = driver.bind(local(), &configured(quick().with_connect_timeout(timeout))?)?;
    let start = now();
    fails(socket.connect(addr), ErrorKind::TimedOut)?;
    holds(start.elapsed() >= timeout, "it waited as long as it was told")
}

fn a_connect_timeout_of_zero_is_refused<D: Driver>(driver: &D) -> Outcome {
    let listener = driver.listen(local())?;
    fails(driver.connect_timeout(listener.local_addr()?, Duration::ZERO), ErrorKind::InvalidInput)?;
    Ok(())
}

fn port_zero_is_no_destination<D: Driver>(driver: &D) -> Outcome {
    fails(driver.connect(local()), ErrorKind::InvalidInput)?;
    let socket = driver.bind(local(), &Setup::default())?;
    fails(socket.connect(local()), ErrorKind::InvalidInput)?;
    Ok(())
}

fn the_unspecified_address_is_no_destination<D: Driver>(driver: &D) -> Outcome {
    let listener = driver.listen(local())?;
    let nobody = SocketAddr::from(([0; 4], listener.local_addr()?.port()));
    fails(driver.connect(nobody), ErrorKind::InvalidInput)?;
    Ok(())
}

fn without_a_route_nobody_waits<D: Driver>(driver: &D) -> Outcome {
    if !has_ipv6() {
        return Ok(());
    }
    // On a link that this host has not.
    let there = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
    let nowhere = SocketAddrV6::new(there, 9, 0, u32::from(u16::MAX));
    fails(driver.connect_timeout(nowhere.into(), LONG), ErrorKind::NetworkUnreachable)?;
    Ok(())
}

fn a_failed_connect_leaves_nothing<D: Driver>(driver: &D) -> Outcome {
    let socket = driver.bind(local(), &Setup::default())?;
    let (_udp, addr) = silence()?;
    let how = Connect { timeout: Some(MOMENT), local_port: Some(port(7)?), config: None };
    fails(socket.connect_with(remote(addr)?, &how), ErrorKind::TimedOut)?;
    // The same names are free again.
    fails(socket.connect_with(remote(addr)?, &how), ErrorKind::TimedOut)?;
    let closed = driver.bind(local(), &Setup::default())?;
    fails(socket.connect(closed.local_addr()), ErrorKind::ConnectionRefused)?;
    comes("no connection is left", || Ok(socket.connection_count() == 0))?;
    Pair::<D>::between(&socket, driver.listen(local())?)?.part()
}

fn connections_form_before_accept<D: Driver>(driver: &D) -> Outcome {
    let listener = driver.listen(local())?;
    listener.set_accept_timeout(Some(LONG))?;
    let client = driver.connect(listener.local_addr()?)?;
    write_all(&client, b"before you look")?;
    comes("it is acknowledged", || Ok(client.info()?.send_queue == 0))?;
    let (server, _) = listener.accept()?;
    patient(&server)?;
    same_bytes(&read_some(&server, 15)?, b"before you look")
}

fn connections_are_accepted_in_order<D: Driver>(driver: &D) -> Outcome {
    let listener = driver.listen(local())?;
    listener.set_accept_timeout(Some(LONG))?;
    let socket = driver.bind(local(), &Setup::default())?;
    let mut clients = Vec::new();
    for _ in 0..8 {
        clients.push(socket.connect(listener.local_addr()?)?);
        // Connected is the client before the last segment is there.
        comes("it is in the queue", || Ok(listener.socket().connection_count() == clients.len()))?;
    }
    for client in &clients {
        same(listener.accept()?.0.peer_port(), client.local_port())?;
    }
    Ok(())
}

fn a_full_backlog_makes_clients_wait<D: Driver>(driver: &D) -> Outcome {
    let setup = configured(quick())?;
    let server = driver.bind(local(), &setup)?;
    let listener = server.listen_on(port(server.local_addr().port())?, 1)?;
    listener.set_accept_timeout(Some(LONG))?;
    let socket = driver.bind(local(), &setup)?;
    let first = socket.connect(server.local_addr())?;
    thread::scope(|scope| {
        let second = scope.spawn(|| socket.connect(server.local_addr()));
        comes("its SYN is dropped", || Ok(server.counters().syns_dropped > 0))?;
        let (one, _) = listener.accept()?;
        let second = joined(second)??;
        let (two, _) = listener.accept()?;
        for (client, server) in [(&first, &one), (&second, &two)] {
            same(client.local_port(), server.peer_port())?;
            patient(client)?;
            patient(server)?;
            meet(client, server)?;
        }
        Ok(())
    })
}

fn each_acceptor_gets_one<D: Driver>(driver: &D) -> Outcome {
    let listener = driver.listen(local())?;
    listener.set_accept_timeout(Some(LONG))?;
    let socket = driver.bind(local(), &Setup::default())?;
    thread::scope(|scope| {
        let mut acceptors = Vec::new();
        for _ in 0..4 {
            let clone = listener.try_clone()?;
            acceptors.push(scope.spawn(move || clone.accept()));
        }
        thread::sleep(MOMENT);
        let mut clients = Vec::new();
        for _ in 0..4 {
            clients.push(socket.connect(listener.local_addr()?)?.local_port());
        }
        let mut accepted = Vec::new();
        for acceptor in acceptors {
            accepted.push(joined(acceptor)??.0.peer_port());
        }
        clients.sort_unstable();
        accepted.sort_unstable();
        same(accepted, clients)
    })
}

fn a_listener_that_goes_resets_its_queue<D: Driver>(driver: &D) -> Outcome {
    let listener = driver.listen(local())?;
    let socket = listener.socket();
    let client = driver.connect(listener.local_addr()?)?;
    patient(&client)?;
    let clone = listener.try_clone()?;
    drop(listener);
    // The last handle counts.
    client.set_read_timeout(Some(MOMENT))?;
    fails(client.read(&mut [0]), D::OUT_OF_TIME)?;
    patient(&client)?;
    drop(clone);
    fails(client.read(&mut [0]), ErrorKind::ConnectionReset)?;
    comes("no connection is left", || Ok(socket.connection_count() == 0))
}

fn a_port_can_be_listened_on_again<D: Driver>(driver: &D) -> Outcome {
    let socket = driver.bind(local(), &Setup::default())?;
    let client = driver.bind(local(), &Setup::default())?;
    drop(socket.listen()?);
    fails(client.connect(socket.local_addr()), ErrorKind::ConnectionRefused)?;
    Pair::<D>::between(&client, socket.listen()?)?.part()
}

fn accepted_streams_outlive_their_listener<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, server, listener } = Pair::new(driver)?;
    let addr = listener.local_addr()?;
    drop(listener);
    meet(&client, &server)?;
    fails(driver.connect(addr), ErrorKind::ConnectionRefused)?;
    meet(&client, &server)
}

fn simultaneous_open_makes_one_connection<D: Driver>(driver: &D) -> Outcome {
    let [one, two] = [UdpSocket::bind(local())?, UdpSocket::bind(local())?];
    let addrs = [one.local_addr()?, two.local_addr()?];
    // Each has sent its SYN before the other's arrives, as a rule; whoever is late
    // does not refuse what comes early.
    let far = Impairment { delay: Duration::from_millis(60), ..Impairment::default() };
    let silent = EndpointConfig::builder().with_stray_replies_per_second(0).build();
    let silent = silent.map_err(|error| Failure::new(error.to_string()))?;
    let setup = Setup {
        impairment: Some((Direction::Send, far)),
        endpoint: Some(silent),
        ..configured(quick())?
    };
    let sockets = [driver.adopt(one, &setup)?, driver.adopt(two, &setup)?];
    let ports = [port(1_001)?, port(1_002)?];
    let open = |side: usize| {
        let remote = Remote { addr: addrs[1 - side], port: ports[1 - side] };
        let how = Connect { local_port: Some(ports[side]), timeout: Some(LONG), config: None };
        sockets[side].connect_with(remote, &how)
    };
    let (one, two) = thread::scope(|scope| {
        let other = scope.spawn(|| open(1));
        let one = open(0);
        Ok::<_, Failure>((one?, joined(other)??))
    })?;
    same((one.local_port(), one.peer_port()), (ports[0], ports[1]))?;
    same((two.local_port(), two.peer_port()), (ports[1], ports[0]))?;
    patient(&one)?;
    patient(&two)?;
    meet(&one, &two)?;
    same(sockets.each_ref().map(Socket::connection_count), [1, 1])
}

fn a_socket_connects_to_its_own_listener<D: Driver>(driver: &D) -> Outcome {
    let socket = driver.bind(local(), &Setup::default())?;
    let Pair { client, server, listener } = Pair::<D>::between(&socket, socket.listen()?)?;
    same(client.peer_addr()?, server.peer_addr()?)?;
    same(client.local_port(), server.peer_port())?;
    thread::scope(|scope| {
        let serving = scope.spawn(|| echo(&server));
        let outcome = round_trip(&client, &noise(100_000, 1));
        drop(client);
        joined(serving)??;
        outcome
    })?;
    drop((server, listener));
    Ok(socket.close(LONG)?)
}

fn a_stream_connects_to_itself<D: Driver>(driver: &D) -> Outcome {
    // Its own SYN is the peer's: simultaneous open (RFC 9293 §3.5).
    let socket = driver.bind(local(), &Setup::default())?;
    let own = port(1_000)?;
    let how = Connect { local_port: Some(own), timeout: Some(LONG), config: None };
    let remote = Remote { addr: socket.local_addr(), port: own };
    let stream = socket.connect_with(remote, &how)?;
    patient(&stream)?;
    same((stream.local_port(), stream.peer_port()), (own, own))?;
    round_trip(&stream, b"hello, me")?;
    stream.shutdown(Shutdown::Write)?;
    same(stream.read(&mut [0])?, 0)?;
    drop(stream);
    Ok(socket.close(LONG)?)
}

fn too_many_connections_are_refused<D: Driver>(driver: &D) -> Outcome {
    let listener = driver.listen(local())?;
    let endpoint = EndpointConfig::builder().with_max_connections(2).build();
    let endpoint = endpoint.map_err(|error| Failure::new(error.to_string()))?;
    let setup = Setup { endpoint: Some(endpoint), ..Setup::default() };
    let socket = driver.bind(local(), &setup)?;
    let first = socket.connect(listener.local_addr()?)?;
    let _second = socket.connect(listener.local_addr()?)?;
    fails(socket.connect(listener.local_addr()?), ErrorKind::QuotaExceeded)?;
    first.abort();
    socket.connect(listener.local_addr()?)?;
    Ok(())
}

fn a_socket_made_elsewhere_is_taken_over<D: Driver>(driver: &D) -> Outcome {
    let (udp, addr) = silence()?;
    let socket = driver.adopt(udp, &Setup::default())?;
    same(socket.local_addr(), addr)?;
    let client = driver.bind(local(), &Setup::default())?;
    let pair = Pair::<D>::between(&client, socket.listen()?)?;
    same(pair.client.peer_addr()?, addr)?;
    meet(&pair.client, &pair.server)
}
