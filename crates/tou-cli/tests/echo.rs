//! `tou echo` and `tou ping`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use core::time::Duration;
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::process::Stdio;
use std::thread;

use common::*;
use tou_mio::TouSocket;

#[test]
fn a_few_probes_come_back_and_are_summed_up() {
    let (_server, addr) = echo(&[]);
    let outcome = run(&["ping", &addr, "-c", "3", "-i", "0.01"]).ok();
    let lines: Vec<_> = outcome.text().lines().collect();
    for (index, line) in lines[..3].iter().enumerate() {
        let start = format!("56 bytes from {addr}: seq={} time=", index + 1);
        assert!(line.starts_with(&start) && line.ends_with(" ms"), "{line}");
    }
    assert_eq!(lines[3], format!("--- {addr} ping statistics ---"));
    assert!(lines[4].starts_with("3 sent, 3 received, 0 % loss, time "), "{}", lines[4]);
    let times = lines[5].strip_prefix("rtt min/avg/max/mdev = ").unwrap();
    let times = times.strip_suffix(" ms").unwrap().split('/');
    let [min, avg, max, mdev] =
        times.map(|time| time.parse::<f64>().unwrap()).collect::<Vec<_>>()[..]
    else {
        panic!()
    };
    assert!(0.0 < min && min <= avg && avg <= max && mdev >= 0.0, "{}", lines[5]);
    assert_eq!((lines.len(), outcome.stderr.as_str()), (6, ""));
}

#[test]
fn an_interrupt_resets_those_who_wait_to_be_served() {
    // As many as are served at once, and one more.
    const SEATS: usize = 1_024;
    let (server, addr) = echo(&[]);
    let socket = TouSocket::bind("127.0.0.1:0").unwrap();
    let served: Vec<_> = (0..SEATS).map(|_| socket.connect(&*addr).unwrap()).collect();
    let mut last = &served[SEATS - 1];
    last.write_all(b"x").unwrap();
    last.read_exact(&mut [0]).unwrap();
    let mut waiting = socket.connect(&*addr).unwrap();
    server.signal("-INT");
    assert_eq!(server.finish().code(), Some(130));
    waiting.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    assert_eq!(waiting.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn probes_may_be_larger_than_all_buffers() {
    let small = ["--recv-buffer", "4KiB", "--send-buffer", "4KiB"];
    let (_server, addr) = echo(&small);
    for size in ["1", "3MB"] {
        let args = [&["ping", &addr, "-c", "2", "-i", "0", "-s", size], &small[..]].concat();
        let outcome = run(&args).ok();
        assert!(outcome.text().contains("2 sent, 2 received"), "{}", outcome.text());
    }
}

#[test]
fn nothing_is_lost_on_a_bad_network() {
    let network = ["--drop", "0.1", "--dup", "0.05", "--rto-min", "20ms"];
    let (_server, addr) = echo(&network);
    let args = [&["ping", &addr, "-c", "40", "-i", "0.001"], &network[..]].concat();
    assert!(run(&args).ok().text().contains("40 sent, 40 received, 0 % loss"));
}

#[test]
fn json_has_an_object_for_each_echo_and_one_at_the_end() {
    let (_server, addr) = echo(&[]);
    let outcome = run(&["ping", &addr, "-c", "2", "-i", "1ms", "--json", "--stats"]).ok();
    let [one, two, summary] = &objects(outcome.text())[..] else { panic!("{}", outcome.text()) };
    assert_eq!(
        (&one["event"], &one["seq"], &one["bytes"]),
        (&"echo".into(), &1.into(), &56.into())
    );
    assert!(two["seconds"].as_f64().unwrap() > 0.0);
    assert_eq!((&summary["event"], &summary["received"]), (&"summary".into(), &2.into()));
    assert!(summary["rtt_seconds"]["avg"].as_f64().unwrap() > 0.0);
    let [stats] = &objects(&outcome.stderr)[..] else { panic!("{}", outcome.stderr) };
    assert_eq!(stats["connection"]["bytes_received"], 112);
    assert_eq!(stats["connection"]["timeouts"], 0, "a counter of nothing is there too");
    assert!(stats["udp_socket"]["sent"]["datagrams"].as_u64().unwrap() >= 4);
}

#[test]
fn ctrl_c_shows_the_summary_and_is_no_failure() {
    let (server, addr) = echo(&["--stats"]);
    let (output, writer) = std::io::pipe().unwrap();
    let mut command = tou(&["ping", &addr, "-i", "60"]);
    command.stdout(writer);
    let client = start(command);
    let mut lines = BufReader::new(output).lines();
    assert!(lines.next().unwrap().unwrap().contains("seq=1"));
    client.signal("-INT");
    assert_eq!(client.finish().code(), Some(0));
    let rest: Vec<_> = lines.map(Result::unwrap).collect();
    assert!(rest[1].starts_with("1 sent, 1 received, 0 % loss"), "{rest:?}");
    // The server has no other end.
    server.signal("-INT");
    let server = server.finish();
    assert_eq!(server.code(), Some(130));
    assert!(server.stderr.contains("datagrams received"), "{}", server.stderr);
}

#[test]
fn a_second_ctrl_c_leaves_at_once() {
    let (_server, addr) = echo(&[]);
    // Nobody reads: ping gets stuck, and so does its summary.
    let (_reader, writer) = std::io::pipe().unwrap();
    let mut command = tou(&["ping", &addr, "-i", "0"]);
    command.stdout(writer);
    let client = start(command);
    thread::sleep(Duration::from_millis(500));
    client.signal("-INT");
    thread::sleep(Duration::from_millis(100));
    client.signal("-INT");
    assert_eq!(client.finish().code(), Some(130));
}

#[test]
fn many_are_served_at_once() {
    let (_server, addr) = echo(&[]);
    let clients: Vec<_> = (0..20)
        .map(|seed| {
            let mut command = tou(&["connect", &addr]);
            command.stdin(Stdio::piped());
            let mut client = start(command);
            let data = noise(200_000, seed);
            client.feed(data.clone());
            (client, data)
        })
        .collect();
    for (client, data) in clients {
        assert_same(&client.finish().ok().stdout, &data);
    }
}

#[test]
fn who_sends_something_else_back_is_no_echo_server() {
    let (mut server, addr) = listen(&[], |command| {
        command.stdin(Stdio::piped());
    });
    server.stdin().write_all(&[7; 56]).unwrap();
    let outcome = run(&["ping", &addr, "-c", "1"]);
    let line = "tou: what came back is no echo: is there a 'tou echo'?";
    assert_eq!(outcome.failed(1), line);
    assert!(outcome.text().contains("1 sent, 0 received, 100 % loss"), "{}", outcome.text());
}

#[test]
fn a_killed_server_is_missed_within_the_user_timeout() {
    let (server, addr) = echo(&[]);
    let (output, writer) = std::io::pipe().unwrap();
    let mut command = tou(&["ping", &addr, "-i", "0.05", "--user-timeout", "1s"]);
    command.stdout(writer);
    let client = start(command);
    let mut lines = BufReader::new(output).lines();
    lines.next().unwrap().unwrap();
    server.signal("-KILL");
    drop(server);
    let rest: Vec<_> = lines.map(Result::unwrap).collect();
    assert!(rest.iter().any(|line| line.starts_with("rtt min/avg/max/mdev")), "{rest:?}");
    let outcome = client.finish();
    let line = outcome.failed(1);
    assert!(line.starts_with("tou: connection timed out: the peer does not answer; "), "{line}");
}

#[test]
fn a_client_that_says_nothing_is_given_up() {
    let (_server, addr) = echo(&["--idle-timeout", "200ms"]);
    let mut command = tou(&["connect", &addr]);
    command.stdin(Stdio::piped());
    let mut client = start(command);
    let input = client.stdin();
    let outcome = client.finish();
    assert!(outcome.failed(1).starts_with("tou: connection reset by peer"), "{}", outcome.stderr);
    drop(input);
}

#[test]
fn output_that_cannot_be_written_is_a_failure() {
    let (_server, addr) = echo(&[]);
    let mut command = tou(&["ping", &addr, "-c", "1"]);
    command.stdout(OpenOptions::new().write(true).open("/dev/full").unwrap());
    let line = "tou: cannot write to standard output: no space left on device";
    assert_eq!(start(command).finish().failed(1), line);

    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = tou(&["ping", &addr, "-i", "0.01"]);
    command.stdout(writer);
    let outcome = start(command).finish();
    assert_eq!((outcome.code(), outcome.stderr.as_str()), (Some(1), ""));
}
