//! `tou listen` and `tou connect`: pipes with a network between.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::io::{Read, Write};
use std::process::Stdio;

use common::*;

/// Sends `up` from connect to listen and `down` the other way; returns what
/// arrived at listen and at connect.
fn exchange(options: &[&str], up: &[u8], down: &[u8]) -> (Outcome, Outcome) {
    let (mut server, addr) = listen(options, |command| {
        command.stdin(Stdio::piped());
    });
    server.feed(down.to_vec());
    let mut command = tou(&["connect", &addr]);
    command.args(options).stdin(Stdio::piped());
    let mut client = start(command);
    client.feed(up.to_vec());
    (server.finish().ok(), client.finish().ok())
}

#[test]
fn both_directions_carry_any_bytes() {
    let (up, down) = (noise(4 << 20, 1), noise(3 << 20, 2));
    let (server, client) = exchange(&[], &up, &down);
    assert_same(&server.stdout, &up);
    assert_same(&client.stdout, &down);
    assert_eq!((server.stderr.as_str(), client.stderr.as_str()), ("", ""));
}

#[test]
fn both_directions_survive_a_bad_network() {
    let (up, down) = (noise(2 << 20, 3), noise(2 << 20, 4));
    let network = ["--drop", "0.05", "--dup", "0.02", "--reorder", "0.05", "--mss", "8000"];
    let (server, client) = exchange(&network, &up, &down);
    assert_same(&server.stdout, &up);
    assert_same(&client.stdout, &down);
}

#[test]
fn small_segments_and_reno_and_delay_work_too() {
    let up = noise(60_000, 6);
    let options = ["--mss", "200", "--cc", "reno", "--delay", "2ms", "--jitter", "1ms"];
    let options = [&options[..], &["--impair", "both", "--corrupt", "1%"]].concat();
    let (server, client) = exchange(&options, &up, b"x");
    assert_same(&server.stdout, &up);
    assert_eq!(client.stdout, b"x");
}

#[test]
fn nothing_in_both_directions_is_an_end_too() {
    let (server, client) = exchange(&[], b"", b"");
    assert_eq!((server.stdout.len(), client.stdout.len()), (0, 0));
}

#[test]
fn an_answer_may_follow_the_end_of_the_question() {
    let (mut server, addr) = listen(&[], |command| {
        command.stdin(Stdio::piped());
    });
    let mut command = tou(&["connect", &addr]);
    command.stdin(Stdio::piped());
    let mut client = start(command);
    client.feed(b"question".to_vec());
    // The output ends although the program goes on.
    assert_eq!(server.output(), b"question");
    server.feed(noise(100_000, 7));
    assert_same(&client.finish().ok().stdout, &noise(100_000, 7));
    server.finish().ok();
}

#[test]
fn the_listener_may_end_first() {
    let (server, addr) = listen(&[], |_| {});
    let mut command = tou(&["connect", &addr]);
    command.stdin(Stdio::piped());
    let mut client = start(command);
    // The listener has nothing to say.
    assert_eq!(client.output(), b"");
    client.feed(noise(100_000, 8));
    client.finish().ok();
    assert_same(&server.finish().ok().stdout, &noise(100_000, 8));
}

#[test]
fn bytes_arrive_before_the_input_ends() {
    let (mut server, addr) = listen(&[], |command| {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
    });
    let (mut output, writer) = std::io::pipe().unwrap();
    let mut command = tou(&["connect", &addr]);
    command.stdin(Stdio::piped()).stdout(writer);
    let mut client = start(command);
    let mut buf = [0; 5];
    let mut input = server.stdin();
    input.write_all(b"hello").unwrap();
    output.read_exact(&mut buf).unwrap();
    assert_eq!(&buf, b"hello");
    let mut more = client.stdin();
    more.write_all(b"there").unwrap();
    drop((input, more));
    client.finish().ok();
    assert_eq!(server.finish().ok().stdout, b"there");
}

#[test]
fn no_input_leaves_a_pipe_alone_that_never_ends() {
    let (mut server, addr) = listen(&["--no-input"], |command| {
        command.stdin(Stdio::piped());
    });
    let input = server.stdin();
    let mut command = tou(&["connect", &addr]);
    command.stdin(Stdio::piped());
    let mut client = start(command);
    client.feed(b"data".to_vec());
    client.finish().ok();
    assert_eq!(server.finish().ok().stdout, b"data");
    drop(input);
}

#[test]
fn names_and_ipv6_addresses_are_understood() {
    let (server, addr) = listen(&[], |_| {});
    let port = addr.rsplit_once(':').unwrap().1;
    run(&["connect", &format!("localhost:{port}")]).ok();
    server.finish().ok();
}

#[test]
fn figures_are_shown_on_demand() {
    let data = noise(1 << 20, 9);
    let (server, client) = exchange(&["--stats", "--dup", "0.01"], &data, b"");
    for (outcome, direction) in [(&client, "sending"), (&server, "receiving")] {
        for figure in [
            &format!("goodput, {direction}"),
            "connection with 127.0.0.1:",
            "congestion control       cubic",
            "segments sent ",
            "endpoint at ",
            "datagrams received",
            "GSO batches sent",
            "GRO batches received",
            "impairment, sending",
            "driver",
        ] {
            assert!(outcome.stderr.contains(figure), "no {figure:?} in {}", outcome.stderr);
        }
    }
    assert!(client.stderr.contains("sent                     1,048,576 bytes in "));
    assert!(server.stderr.contains("received                 1,048,576 bytes in "));
}

#[test]
fn verbose_tells_what_happens() {
    let (server, client) = exchange(&["-v"], b"data", b"");
    assert!(server.stderr.contains("INFO connection from 127.0.0.1:"), "{}", server.stderr);
    assert!(server.stderr.contains("INFO the peer has ended, after 4 bytes"));
    assert!(client.stderr.contains("INFO connected to 127.0.0.1:"), "{}", client.stderr);
    assert!(client.stderr.contains("INFO end of input, after 4 bytes"));
}
