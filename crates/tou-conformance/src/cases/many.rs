//! Many connections: at once, and one after the other.

use std::thread;

use crate::check::{Failure, Outcome, comes, joined, same, same_bytes, soon};
use crate::clock::now;
use crate::driver::{Driver, Listener, Setup, Socket, Stream};
use crate::kit::{
    LONG, MOMENT, Pair, bound_again, echo, local, meet, noise, patient, read_some, round_trip,
    write_all,
};

topic! { "many"
    clients_are_served_at_once: "Clients of one socket and of many are echoed to at the same time.";
    a_hundred_streams_share_a_socket:
        "A hundred streams between two sockets each have their own data.";
    each_waiting_thread_is_woken:
        "Of many threads that wait on one socket, in reads and in accept, each is woken when its \
         time comes.";
    one_after_the_other_leaves_nothing: "Connections that come and go leave nothing but TIME-WAIT.";
    sockets_come_and_go: "Sockets that come and go free their ports.";
}

fn clients_are_served_at_once<D: Driver>(driver: &D) -> Outcome {
    const CLIENTS: usize = 24;
    let listener = driver.listen(local())?;
    listener.set_accept_timeout(Some(LONG))?;
    let addr = listener.local_addr()?;
    let shared = driver.bind(local(), &Setup::default())?;
    let client = |index: usize| -> Outcome {
        let stream =
            if index.is_multiple_of(2) { shared.connect(addr)? } else { driver.connect(addr)? };
        patient(&stream)?;
        (0..10).try_for_each(|round| round_trip(&stream, &noise(100 + 700 * round, index as u64)))
    };
    thread::scope(|scope| {
        let client = &client;
        let clients: Vec<_> =
            (0..CLIENTS).map(|index| scope.spawn(move || client(index))).collect();
        let mut servers = Vec::new();
        for _ in 0..CLIENTS {
            let (stream, _) = listener.accept()?;
            patient(&stream)?;
            servers.push(scope.spawn(move || echo(&stream)));
        }
        clients.into_iter().try_for_each(|client| joined(client)?)?;
        servers.into_iter().try_for_each(|server| Ok::<_, Failure>(joined(server)??))
    })
}

fn a_hundred_streams_share_a_socket<D: Driver>(driver: &D) -> Outcome {
    let server = driver.bind(local(), &Setup::default())?;
    let listener = server.listen()?;
    listener.set_accept_timeout(Some(LONG))?;
    let socket = driver.bind(local(), &Setup::default())?;
    let mut pairs = Vec::new();
    for _ in 0..100 {
        let client = socket.connect(server.local_addr())?;
        let (accepted, _) = listener.accept()?;
        patient(&client)?;
        patient(&accepted)?;
        pairs.push((client, accepted));
    }
    same((socket.connection_count(), server.connection_count()), (100, 100))?;
    for (index, (client, _)) in pairs.iter().enumerate() {
        write_all(client, &noise(2_000, index as u64))?;
    }
    for (index, (_, accepted)) in pairs.iter().enumerate().rev() {
        let got = read_some(accepted, 2_000)?;
        same_bytes(&got, &noise(2_000, index as u64))?;
    }
    Ok(())
}

fn each_waiting_thread_is_woken<D: Driver>(driver: &D) -> Outcome {
    let socket = driver.bind(local(), &Setup::default())?;
    let own = socket.listen()?;
    own.set_accept_timeout(Some(LONG))?;
    let mut listener = driver.listen(local())?;
    let mut pairs = Vec::new();
    for _ in 0..5 {
        let pair = Pair::<D>::between(&socket, listener)?;
        listener = pair.listener;
        pairs.push((pair.client, pair.server));
    }
    thread::scope(|scope| {
        let mut readers = Vec::new();
        for (client, _) in &pairs {
            readers.push(scope.spawn(|| read_some(client, 1)));
        }
        let acceptor = scope.spawn(|| own.accept());
        thread::sleep(MOMENT);
        // In another order than they came, whoever does the work meanwhile.
        let readers: Vec<_> = readers.into_iter().zip(&pairs).collect();
        let start = now();
        for (reader, (_, server)) in readers.into_iter().rev() {
            write_all(server, b"!")?;
            same_bytes(&joined(reader)??, b"!")?;
        }
        let client = driver.connect(socket.local_addr())?;
        same(joined(acceptor)??.0.peer_port(), client.local_port())?;
        soon(start)
    })
}

fn one_after_the_other_leaves_nothing<D: Driver>(driver: &D) -> Outcome {
    const COUNT: usize = 200;
    let server = driver.bind(local(), &Setup::default())?;
    let listener = server.listen()?;
    listener.set_accept_timeout(Some(LONG))?;
    let socket = driver.bind(local(), &Setup::default())?;
    for _ in 0..COUNT {
        let client = socket.connect(server.local_addr())?;
        let (accepted, _) = listener.accept()?;
        patient(&client)?;
        patient(&accepted)?;
        meet(&client, &accepted)?;
        drop(client);
        same(accepted.read(&mut [0])?, 0)?;
    }
    comes("nothing is left", || {
        Ok(socket.connection_count() == 0 && server.connection_count() == 0)
    })?;
    same((socket.time_wait_count(), server.time_wait_count()), (COUNT, 0))
}

fn sockets_come_and_go<D: Driver>(driver: &D) -> Outcome {
    let mut addr = driver.bind(local(), &Setup::default())?.local_addr();
    for _ in 0..10 {
        let listener = bound_again(driver, addr)?.listen()?;
        addr = listener.local_addr()?;
        let socket = driver.bind(local(), &Setup::default())?;
        let pair = Pair::<D>::between(&socket, listener)?;
        meet(&pair.client, &pair.server)?;
        pair.part()?;
    }
    Ok(())
}
