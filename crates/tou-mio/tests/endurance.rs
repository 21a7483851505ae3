//! Much data, many peers, long pauses and killed processes, on real sockets and
//! over a network that loses, copies and reorders.
//!
//! By default all of it is scaled down to a few seconds, and stderr says to
//! what. At full scale it takes some minutes:
//!
//! ```text
//! TOU_ENDURANCE=full cargo test --release -p tou-mio --test endurance -- --nocapture
//! ```

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use core::fmt;
use core::net::SocketAddr;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Instant;

use tou_mio::{Builder, ConnectOptions, TouListener, TouSocket, TouStream};
use tou_proto::{ConnectionConfig, EndpointConfig, Keepalive, Port, Remote, State};
use tou_udp::{Direction, Impairment};

use common::*;

/// Names the role of a process that a test has started.
const ROLE: &str = "TOU_ENDURANCE_ROLE";

const BLOCK: usize = 64 << 10;

#[expect(clippy::disallowed_methods, reason = "a test measures real time")]
fn now() -> Instant {
    Instant::now()
}

/// What a test does at full scale, or less than that and loudly.
fn scaled<T: fmt::Debug>(what: &str, full: T, small: T) -> T {
    if env::var_os("TOU_ENDURANCE").is_some_and(|scale| scale == "full") {
        return full;
    }
    say(&format!("SCALED DOWN: {what}: {small:?}, not {full:?} (TOU_ENDURANCE=full for all)"));
    small
}

/// Prints past the test harness, which keeps to itself what tests print.
fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// A socket on a network that is bad to everything it sends.
fn builder(seed: u64) -> Builder {
    builder_with(seed, small_segments())
}

fn builder_with(seed: u64, config: std::sync::Arc<ConnectionConfig>) -> Builder {
    let impairment = Impairment {
        drop: 0.002,
        duplicate: 0.002,
        reorder: 0.005,
        corrupt: 0.001,
        seed,
        ..Impairment::default()
    };
    TouSocket::builder().with_connection(config).with_impairment(Direction::Send, impairment)
}

fn listener(seed: u64) -> (TouListener, SocketAddr) {
    let listener = builder(seed).bind(LOCAL).unwrap().listen().unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

/// Blocks of data, each different from those near it.
struct Blocks(Vec<u8>);

impl Blocks {
    fn new(seed: u64) -> Self {
        Self(noise(2 * BLOCK, seed))
    }

    fn get(&self, index: usize) -> &[u8] {
        &self.0[index * 4_099 % BLOCK..][..BLOCK]
    }

    fn write(&self, mut stream: &TouStream, count: usize) {
        for index in 0..count {
            stream.write_all(self.get(index)).unwrap();
        }
        stream.shutdown(Shutdown::Write).unwrap();
    }

    fn read(&self, mut stream: &TouStream, count: usize) {
        let mut buf = vec![0; BLOCK];
        for index in 0..count {
            stream.read_exact(&mut buf).unwrap();
            assert!(buf == self.get(index), "block {index} is damaged");
        }
        assert_eq!(stream.read(&mut buf).unwrap(), 0);
    }
}

/// Sends `count` blocks each way at once, and checks them.
fn exchange(one: &TouStream, two: &TouStream, count: usize) {
    let (there, back) = (Blocks::new(1), Blocks::new(2));
    thread::scope(|scope| {
        scope.spawn(|| there.write(one, count));
        scope.spawn(|| back.write(two, count));
        scope.spawn(|| there.read(two, count));
        scope.spawn(|| back.read(one, count));
    });
}

#[test]
fn bulk_goes_both_ways_at_once() {
    let mib = scaled("MiB each way", 1_024, 24);
    let Pair { client, server, .. } = pair_of(builder(1), builder(2));
    let start = now();
    exchange(&client, &server, (mib << 20) / BLOCK);
    let counters = client.info().unwrap().counters;
    say(&format!(
        "bulk: {mib} MiB each way in {:.1?}, {} of {} segments sent again by one side",
        start.elapsed(),
        counters.segments_retransmitted,
        counters.segments_sent
    ));
    assert!(counters.segments_retransmitted > 0);
    part(client, server);
}

#[test]
fn many_clients_are_there_at_once() {
    const PROCESSES: usize = 4;
    let (clients, blocks) = scaled("(clients, 64 KiB blocks each)", (200, 16), (24, 2));
    let (listener, addr) = listener(3);
    let start = now();
    let roles: Vec<_> = (0..PROCESSES)
        .map(|_| Process::start(&["clients", &addr.to_string(), &part_of(clients), &text(blocks)]))
        .collect();
    // All are connected before any is answered.
    let streams: Vec<_> = listener.incoming().take(clients).map(Result::unwrap).collect();
    say(&format!("clients: {clients} connected after {:.1?}", start.elapsed()));
    thread::scope(|scope| {
        for stream in &streams {
            scope.spawn(move || echo_and_end(stream));
        }
    });
    for mut role in roles {
        assert!(role.child.wait().unwrap().success());
    }
    let took = start.elapsed();
    say(&format!("clients: {clients} sent and got back {blocks} blocks each in {took:.1?}"));

    fn part_of(clients: usize) -> String {
        text(clients / PROCESSES)
    }
}

/// Echoes, and ends when the peer does.
fn echo_and_end(stream: &TouStream) {
    echo(stream);
    stream.shutdown(Shutdown::Write).unwrap();
}

/// The role `clients`: so many at once, each from a socket of its own.
fn be_clients(addr: SocketAddr, clients: usize, blocks: usize) {
    thread::scope(|scope| {
        for client in 0..clients {
            scope.spawn(move || {
                let stream = builder(client as u64).bind(LOCAL).unwrap().connect(addr).unwrap();
                let data = Blocks::new(client as u64);
                thread::scope(|scope| {
                    scope.spawn(|| data.write(&stream, blocks));
                    data.read(&stream, blocks);
                });
            });
        }
    });
}

#[test]
fn a_stalled_reader_does_not_hold_up_others() {
    const OTHERS: usize = 4;
    let stall = Duration::from_millis(scaled("ms that a reader stalls", 30_000, 1_500));
    let (listener, addr) = listener(4);
    let socket = builder(5).bind(LOCAL).unwrap();
    // All streams share both sockets.
    let streams: Vec<_> = (0..=OTHERS).map(|_| socket.connect(addr).unwrap()).collect();
    let mut peers: Vec<_> = (0..=OTHERS).map(|_| listener.accept().unwrap().0).collect();
    let stalled = peers.iter().position(|peer| peer.peer_port() == streams[0].local_port());
    let reader = peers.swap_remove(stalled.unwrap());
    let over = AtomicBool::new(false);
    let data = Blocks::new(6);
    let count = (16 << 20) / BLOCK;
    thread::scope(|scope| {
        scope.spawn(|| data.write(&streams[0], count));
        for peer in &peers {
            scope.spawn(move || echo_and_end(peer));
        }
        let others: Vec<_> = streams[1..]
            .iter()
            .map(|stream| {
                scope.spawn(|| {
                    let (mut rounds, mut slowest) = (0, Duration::ZERO);
                    while !over.load(Ordering::Relaxed) {
                        let start = now();
                        round_trip(stream, &noise(20_000, rounds));
                        slowest = slowest.max(start.elapsed());
                        rounds += 1;
                    }
                    stream.shutdown(Shutdown::Write).unwrap();
                    (rounds, slowest)
                })
            })
            .collect();
        thread::sleep(stall);
        let written = streams[0].info().unwrap();
        assert!(written.send_queue > 0, "the writer should be held up");
        over.store(true, Ordering::Relaxed);
        for other in others {
            let (rounds, slowest) = other.join().unwrap();
            say(&format!("stall: {rounds} round trips beside it, the slowest in {slowest:.1?}"));
            assert!(rounds > 20 && slowest < Duration::from_secs(5));
        }
        // It was asked all the time, and nothing is lost.
        data.read(&reader, count);
    });
    assert!(streams[0].info().unwrap().counters.window_probes > 0);
}

#[test]
fn everything_goes_on_with_no_thread_in_a_call() {
    let pause = Duration::from_millis(scaled("ms without a call", 10_000, 1_200));
    let interval = pause / 6;
    let keepalive = Keepalive { idle: interval, interval, probes: 5 };
    let config = small_segments().to_builder().with_keepalive(Some(keepalive)).build().unwrap();
    let Pair { mut client, mut server, listener } = pair_of(builder_with(7, config), builder(8));
    let addr = listener.local_addr().unwrap();
    let data = noise(100_000, 9);
    let worse = Impairment { drop: 0.1, seed: 9, ..Impairment::default() };
    client.socket().impair(Direction::Send, &worse).unwrap();
    client.write_all(&data).unwrap();
    let late = client.socket();
    let remote = Remote { addr, port: Port::new(addr.port()).unwrap() };
    let opening = late.start_connect(remote, &ConnectOptions::new()).unwrap();

    thread::sleep(pause);

    // Acknowledged and asked about, and opened and queued for accepting.
    let info = client.info().unwrap();
    assert_eq!((info.state, info.send_queue), (State::Established, 0));
    assert!(info.counters.keepalive_probes >= 2, "{}", info.counters.keepalive_probes);
    assert!(info.counters.segments_retransmitted > 0);
    assert_eq!(opening.info().unwrap().state, State::Established);
    listener.set_nonblocking(true).unwrap();
    listener.accept().unwrap();
    let mut got = vec![0; 100_000];
    server.read_exact(&mut got).unwrap();
    assert_same(&got, &data);
    drop(opening);
    part(client, server);
}

#[test]
fn connections_one_after_the_other_leave_nothing_behind() {
    let count = scaled("connections one after the other", 10_000, 400);
    let mut role = Process::start(&["sequence", &text(count)]);
    say(&format!("sequence: {}", role.line()));
    assert!(role.child.wait().unwrap().success());
}

/// The role `sequence`, in a process of its own for what it measures: makes
/// connections through a tenth as many ports, each side closing first in turn,
/// and every tenth connection from a socket of its own.
fn be_a_sequence(count: u16) {
    let endpoint = || {
        let first = 30_000;
        let builder = EndpointConfig::builder().with_time_wait(Duration::from_millis(5));
        builder.with_ephemeral_ports(first, first + count / 10).build().unwrap()
    };
    let server = builder(10).with_endpoint(endpoint()).bind(LOCAL).unwrap();
    let listener = server.listen().unwrap();
    let addr = listener.local_addr().unwrap();
    let closers = usize::from(count) + 1;
    let accepting = thread::spawn(move || {
        for stream in listener.incoming().take(closers) {
            let mut stream = stream.unwrap();
            let mut first = [0];
            stream.read_exact(&mut first).unwrap();
            stream.write_all(&first).unwrap();
            if first == [1] {
                assert_eq!(read_all(&stream), []);
            }
        }
    });
    let client = builder(11).with_endpoint(endpoint()).bind(LOCAL).unwrap();
    let once = |index: u16| {
        let own = (index.is_multiple_of(10)).then(|| builder(12).bind(LOCAL).unwrap());
        let mut stream = own.as_ref().unwrap_or(&client).connect(addr).unwrap();
        stream.write_all(&[(index % 2) as u8]).unwrap();
        let mut answer = [0];
        stream.read_exact(&mut answer).unwrap();
        if answer == [0] {
            assert_eq!(read_all(&stream), []);
        }
    };
    once(1);
    let start = now();
    let (descriptors, threads) = (entries("/proc/self/fd"), entries("/proc/self/task"));
    let mut early = 0;
    for index in 0..count {
        once(index);
        if index == count / 4 {
            early = resident_kib();
        }
    }
    let (took, late) = (start.elapsed(), resident_kib());
    println!(
        "tou: {count} in {took:.1?}, {early} KiB after a quarter of them, {late} KiB at the end"
    );
    assert!(late < early + 2_048, "{early} KiB became {late} KiB");
    accepting.join().unwrap();
    // A thread that was joined may still be there for a moment.
    while entries("/proc/self/fd") > descriptors || entries("/proc/self/task") > threads {
        assert!(start.elapsed() < took + LONG, "descriptors or threads are left");
        thread::sleep(Duration::from_millis(1));
    }
    for socket in [client, server] {
        socket.close(LONG).unwrap();
        while socket.connection_count() + socket.time_wait_count() > 0 {
            assert!(start.elapsed() < took + LONG, "connections are left");
            thread::sleep(Duration::from_millis(1));
        }
    }
}

fn entries(folder: &str) -> usize {
    fs::read_dir(folder).map_or(0, Iterator::count)
}

fn resident_kib() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

#[test]
fn a_killed_server_that_comes_back_resets_and_serves_again() {
    let mut server = Process::start(&["echo", LOCAL]);
    let addr: SocketAddr = server.line().parse().unwrap();
    let (witness, witness_addr) = listener(13);
    let socket = builder(14).bind(LOCAL).unwrap();
    let mut stream = socket.connect(addr).unwrap();
    let other = socket.connect(witness_addr).unwrap();
    let (other_peer, _) = witness.accept().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| echo_and_end(&other_peer));
        round_trip(&stream, &noise(100_000, 1));
        server.kill();
        // Its port is closed now, which is no reason to give up, nor for the
        // other stream of this socket to suffer.
        stream.write_all(b"anybody there?").unwrap();
        for round in 0..50 {
            round_trip(&other, &noise(1_000, round));
        }
        stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
        let _server = Process::start(&["echo", &addr.to_string()]);
        stream.set_read_timeout(Some(LONG)).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
        drop(stream);
        let again = connect_until(LONG, || socket.connect(addr));
        round_trip(&again, &noise(100_000, 2));
        round_trip(&other, b"all the while");
        again.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_all(&again), []);
        other.shutdown(Shutdown::Write).unwrap();
    });
}

/// A process that was just started may not have bound its port yet.
fn connect_until(limit: Duration, connect: impl Fn() -> io::Result<TouStream>) -> TouStream {
    let start = now();
    loop {
        match connect() {
            Ok(stream) => return stream,
            Err(error) if start.elapsed() > limit => panic!("not connected: {error}"),
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    }
}

#[test]
fn a_killed_client_may_connect_again_from_the_same_ports() {
    let (listener, addr) = listener(15);
    let port = std::net::UdpSocket::bind(LOCAL).unwrap().local_addr().unwrap();
    let role = ["caller", &addr.to_string(), &port.to_string()];
    let mut client = Process::start(&role);
    let (mut first, from) = listener.accept().unwrap();
    assert_eq!(from, port);
    first.read_exact(&mut [0; 5]).unwrap();
    client.kill();
    // The same addresses and ports, while this side believes itself connected
    // (RFC 9293 §3.5.1).
    let _client = Process::start(&role);
    listener.set_accept_timeout(Some(LONG)).unwrap();
    let (mut second, from) = listener.accept().unwrap();
    assert_eq!((from, second.peer_port()), (port, first.peer_port()));
    second.set_read_timeout(Some(LONG)).unwrap();
    second.read_exact(&mut [0; 5]).unwrap();
    first.set_read_timeout(Some(LONG)).unwrap();
    assert_eq!(first.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    second.abort();
}

/// The role `caller`: connects from given ports, says hello, and waits.
fn be_a_caller(addr: SocketAddr, from: SocketAddr) {
    let remote = Remote { addr, port: Port::new(addr.port()).unwrap() };
    let options = ConnectOptions::new().with_local_port(Port::new(30_001).unwrap());
    let socket = builder(16).bind(from).unwrap();
    let mut stream = socket.connect_with(remote, &options).unwrap();
    stream.write_all(b"hello").unwrap();
    thread::sleep(Duration::from_secs(600));
}

#[test]
fn a_killed_peer_is_noticed_within_the_user_timeout() {
    let mut server = Process::start(&["echo", LOCAL]);
    let addr: SocketAddr = server.line().parse().unwrap();
    // At full scale as it is by default.
    let limit = Duration::from_millis(scaled("ms of user timeout", 30_000, 1_000));
    let mut stream = TouStream::connect(addr).unwrap();
    if limit < Duration::from_secs(30) {
        stream.set_user_timeout(limit).unwrap();
    }
    round_trip(&stream, b"there");
    server.kill();
    let start = now();
    stream.write_all(b"gone").unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::TimedOut);
    let took = start.elapsed();
    say(&format!("killed peer: noticed after {took:.1?}"));
    assert!(took >= limit / 2 && took < limit * 2, "{took:?}");
}

#[test]
fn the_end_of_a_process_loses_nothing() {
    let (listener, addr) = listener(17);
    let mut role = Process::start(&["speaker", &addr.to_string(), &text(1 << 20)]);
    let (stream, _) = listener.accept().unwrap();
    // More than was sent at once: the process waits for a slow reader.
    thread::sleep(Duration::from_millis(500));
    assert_same(&read_all(&stream), &noise(1 << 20, 18));
    drop(stream);
    assert!(role.child.wait().unwrap().success());
}

/// The role `speaker`: writes and ends.
fn be_a_speaker(addr: SocketAddr, len: usize) {
    let mut stream = builder(18).bind(LOCAL).unwrap().connect(addr).unwrap();
    stream.write_all(&noise(len, 18)).unwrap();
}

/// The role `echo`: tells its address, and echoes what any client sends.
fn be_an_echo(addr: SocketAddr) {
    let listener = builder(19).bind(addr).unwrap().listen().unwrap();
    println!("tou: {}", listener.local_addr().unwrap());
    for stream in listener.incoming() {
        thread::spawn(move || echo(&stream.unwrap()));
    }
}

/// Another process of this program; killed when dropped.
struct Process {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Process {
    fn start(role: &[&str]) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "role", "--ignored", "--nocapture", "--quiet"])
            .env(ROLE, role.join(" "))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output }
    }

    /// What it says next; the harness says things too.
    fn line(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert!(self.output.read_line(&mut line).unwrap() > 0, "the process has ended");
            if let Some((_, said)) = line.split_once("tou: ") {
                return said.trim_end().into();
            }
        }
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(number: impl fmt::Display) -> String {
    number.to_string()
}

#[test]
#[ignore = "what the processes run that other tests start"]
fn role() {
    let Ok(role) = env::var(ROLE) else { return };
    match role.split(' ').collect::<Vec<_>>()[..] {
        ["clients", addr, clients, blocks] => {
            be_clients(addr.parse().unwrap(), clients.parse().unwrap(), blocks.parse().unwrap());
        }
        ["sequence", count] => be_a_sequence(count.parse().unwrap()),
        ["caller", addr, from] => be_a_caller(addr.parse().unwrap(), from.parse().unwrap()),
        ["speaker", addr, len] => be_a_speaker(addr.parse().unwrap(), len.parse().unwrap()),
        ["echo", addr] => be_an_echo(addr.parse().unwrap()),
        _ => panic!("no such role: {role}"),
    }
}
