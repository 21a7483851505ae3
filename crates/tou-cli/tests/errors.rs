//! What goes wrong is said in one line, and in the exit code.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use core::time::Duration;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::net::UdpSocket;
use std::process::{Command, Stdio};
use std::thread;

use common::*;

/// A UDP socket that never answers.
fn silent() -> (UdpSocket, String) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let addr = socket.local_addr().unwrap().to_string();
    (socket, addr)
}

#[test]
fn arguments_that_make_no_sense_are_refused() {
    for (args, reason) in [
        (&["listen", "--drop", "1.5", "0"][..], "a probability is a number from 0 to 1"),
        (&["listen", "--mss", "63", "0"], "an MSS is a number from 64 to 65487"),
        (&["listen", "--delay", "20", "0"], "a duration is a number and a unit"),
        (&["listen", "--delay", "61s", "0"], "a delay is at most 60s"),
        (&["listen", "--delay", "40s", "--jitter", "40s", "0"], "must be at most 60s"),
        (&["listen", "--cc", "vegas", "0"], "invalid value 'vegas'"),
        (&["listen", "--drop", "-1", "0"], "a probability is a number from 0 to 1"),
        (&["listen", "--seed", "-1", "0"], "invalid value '-1'"),
        (&["listen", "70000"], "a place to listen is PORT or ADDRESS:PORT"),
        (&["listen"], "required arguments were not provided: <[ADDR:]PORT>"),
        (&["connect", "5000"], "a peer is HOST:PORT"),
        (&["connect", "::1:5000"], "stands in brackets"),
        (&["connect", "host:0"], "a port from 1 to 65535"),
        (&["connect", "h:1", "--connect-timeout", "0s"], "longer than nothing"),
        (&["demo", "--size", "8 monkeys"], "a size is a number and a unit"),
        (&["demo", "file", "--size", "8MiB"], "cannot be used with"),
        (&["demo", "-v", "--log", "info"], "cannot be used with"),
        (&["frob"], "unrecognized subcommand 'frob'"),
        (&[], "requires a subcommand"),
    ] {
        let outcome = run(args);
        let line = outcome.failed(2);
        assert!(line.contains(reason), "{args:?}: {line}");
        assert_eq!(outcome.text(), "");
    }
}

#[test]
fn help_and_version_are_output() {
    let version = run(&["--version"]).ok();
    assert_eq!(version.text(), format!("tou {}\n", env!("CARGO_PKG_VERSION")));
    for args in [
        &["--help"][..],
        &["demo", "--help"],
        &["listen", "-h"],
        &["connect", "--help"],
        &["send", "--help"],
        &["recv", "--help"],
        &["echo", "-h"],
        &["ping", "--help"],
    ] {
        let help = run(args).ok();
        assert!(help.text().contains("Exit codes:"), "{args:?}");
        assert!(help.text().contains("Examples:"), "{args:?}");
        let longest = help.text().lines().map(|line| line.chars().count()).max();
        assert!(longest <= Some(105), "{args:?}: {longest:?}");
    }
}

#[test]
fn an_unknown_host_is_named() {
    let outcome = run(&["connect", "no-such-host.invalid:5000"]);
    let line = outcome.failed(1);
    assert!(line.starts_with("tou: cannot resolve no-such-host.invalid: "), "{line}");
}

#[test]
fn a_port_in_use_cannot_be_listened_on() {
    let (_socket, addr) = silent();
    let line = format!("tou: cannot listen on {addr}: address already in use");
    assert_eq!(run(&["listen", &addr]).failed(1), line);
}

#[test]
fn nobody_listening_refuses() {
    let (socket, addr) = silent();
    drop(socket);
    let line = format!("tou: cannot connect to {addr}: connection refused");
    assert_eq!(run(&["connect", &addr]).failed(1), line);
}

#[test]
fn no_answer_is_not_waited_for_for_ever() {
    let (_socket, addr) = silent();
    let outcome = run(&["connect", &addr, "--connect-timeout", "200ms"]);
    let line = format!("tou: cannot connect to {addr}: no answer in 200.0 ms");
    assert_eq!(outcome.failed(1), line);
}

#[test]
fn a_second_connection_is_refused() {
    let (mut server, addr) = listen(&[], |command| {
        command.stdin(Stdio::piped());
    });
    let mut command = tou(&["connect", &addr]);
    command.stdin(Stdio::piped());
    let mut first = start(command);
    server.stdin().write_all(b"x").unwrap();
    assert_eq!(first.output(), b"x");
    let second = run(&["connect", &addr]);
    assert!(second.failed(1).ends_with("connection refused"));
    drop(first.stdin());
    first.finish().ok();
    server.finish().ok();
}

#[test]
fn an_interrupted_peer_resets_the_connection() {
    let (mut output, writer) = std::io::pipe().unwrap();
    let (mut server, addr) = listen(&[], |command| {
        command.stdin(Stdio::piped());
    });
    let mut command = tou(&["connect", &addr]);
    command.stdin(Stdio::piped()).stdout(writer);
    let mut client = start(command);
    let mut input = server.stdin();
    input.write_all(b"half a fi").unwrap();
    let mut got = [0; 9];
    output.read_exact(&mut got).unwrap();
    let killed = Command::new("kill").args(["-TERM", &server.id().to_string()]).status().unwrap();
    assert!(killed.success());
    assert_eq!(server.finish().code(), Some(128 + 15));
    let _input = client.stdin();
    let outcome = client.finish();
    let line = outcome.failed(1);
    assert!(line.starts_with("tou: connection reset by peer; 9 bytes had arrived"), "{line}");
}

#[test]
fn a_full_disk_fails_on_both_sides() {
    let (server, addr) = listen(&[], |command| {
        command.stdout(OpenOptions::new().write(true).open("/dev/full").unwrap());
    });
    let mut command = tou(&["connect", &addr]);
    command.stdin(Stdio::piped());
    let mut client = start(command);
    client.feed(noise(8 << 20, 1));
    let server = server.finish();
    let line = "tou: cannot write to standard output: no space left on device";
    assert_eq!(server.failed(1), line);
    let client = client.finish();
    assert!(client.failed(1).starts_with("tou: connection reset by peer; "), "{}", client.stderr);
}

#[test]
fn a_reader_who_leaves_ends_the_program_quietly() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let (server, addr) = listen(&[], |command| {
        command.stdout(writer);
    });
    let mut command = tou(&["connect", &addr]);
    command.stdin(Stdio::piped());
    let mut client = start(command);
    client.feed(noise(8 << 20, 1));
    let server = server.finish();
    assert_eq!((server.code(), server.stderr.as_str()), (Some(1), ""));
    client.finish().failed(1);
}

#[test]
fn input_that_cannot_be_read_does_not_look_complete() {
    let (server, addr) = listen(&[], |_| {});
    let mut command = tou(&["connect", &addr]);
    command.stdin(File::open("/").unwrap());
    let client = start(command).finish();
    assert_eq!(client.failed(1), "tou: cannot read standard input: is a directory");
    let server = server.finish();
    assert!(server.failed(1).starts_with("tou: connection reset by peer"), "{}", server.stderr);
}

#[test]
fn a_stranger_who_sends_nonsense_is_ignored() {
    let (server, addr) = listen(&["--stats"], |_| {});
    let (stranger, _) = silent();
    for len in [0, 1, 19, 20, 21, 60, 1_400] {
        stranger.send_to(&noise(len, 3), &addr).unwrap();
    }
    thread::sleep(Duration::from_millis(20));
    let mut command = tou(&["connect", &addr]);
    command.stdin(Stdio::piped());
    let mut client = start(command);
    client.feed(b"sense".to_vec());
    client.finish().ok();
    let server = server.finish().ok();
    assert_eq!(server.stdout, b"sense");
    assert!(server.stderr.contains("malformed segments"), "{}", server.stderr);
}
