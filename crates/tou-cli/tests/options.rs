//! What the options for connections and networks do.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::net::UdpSocket;
use std::process::Stdio;

use common::*;

/// The figures of a connection that was opened with these options.
#[track_caller]
fn figures(options: &[&str]) -> serde_json::Value {
    let (_server, addr) = echo(&[]);
    let args = [&["ping", &addr, "-c", "1", "--json", "--stats"], options].concat();
    objects(&run(&args).ok().stderr)[0].clone()
}

#[test]
fn a_connection_is_as_the_options_say() {
    let usual = figures(&[])["connection"].clone();
    assert_eq!(usual["options"], serde_json::json!({ "timestamps": true, "sack": true }));
    assert_eq!(usual["congestion_control"], "cubic");
    assert_eq!(usual["retransmission_timeout"], 0.2);
    let plain = ["--no-timestamps", "--no-sack", "--no-window-scale", "--mss", "1000"];
    let more = ["--cc", "reno", "--rto-min", "1.5s", "--nodelay", "--dupthresh", "5"];
    let other = figures(&[&plain[..], &more].concat())["connection"].clone();
    assert_eq!(other["options"], serde_json::json!({ "timestamps": false, "sack": false }));
    assert_eq!(other["congestion_control"], "reno");
    assert_eq!(other["mss"]["here"], 1_000);
    assert_eq!(
        (&other["own_window"]["shift"], &other["peers_window"]["shift"]),
        (&0.into(), &0.into())
    );
    assert_eq!(other["retransmission_timeout"], 1.5);
    let small =
        figures(&["--recv-buffer", "16KiB", "--send-buffer", "16KiB"])["connection"].clone();
    assert!(small["receive_buffer"].as_u64().unwrap() <= 16 << 10, "{small}");
}

#[test]
fn values_out_of_range_are_refused() {
    for (args, reason) in [
        (&["--recv-buffer", "1KiB"][..], "a buffer is a size from 2KiB to 1GiB"),
        (&["--send-buffer", "2GiB"], "a buffer is a size from 2KiB to 1GiB"),
        (&["--send-buffer", "4 potatoes"], "a buffer is a size from 2KiB to 1GiB"),
        (&["--rto-min", "0ms"], "a time from 1ms to 60s"),
        (&["--rto-initial", "61s"], "a time from 1ms to 60s"),
        (&["--rto-initial", "10ms"], "--rto-initial 10.0 ms is shorter than --rto-min 200.0 ms"),
        (&["--dupthresh", "0"], "from 1 to 255"),
        (&["--max-retries", "256"], "from 1 to 255"),
        (&["--max-retries", "-1"], "from 1 to 255"),
        (&["--user-timeout", "0s"], "longer than nothing"),
        (&["--user-timeout", "25h"], "at most 24h"),
        (&["--user-timeout", "30"], "a duration is a number and a unit"),
        (&["--idle-timeout", "0ms"], "longer than nothing"),
        (&["--keepalive", "sometimes"], "keepalive is a TIME"),
        (&["--keepalive", "1s,1s,0"], "1 to 255 probes"),
        (&["--udp-port", "0"], "from 1 to 65535"),
        (&["--bind", "nowhere"], "an IP address and perhaps a port"),
        (&["-4", "-6"], "cannot be used with"),
        (&["--count", "0"], "a count is a number from 1"),
        (&["--size", "0"], "a probe is a size from 1 to 16MiB"),
        (&["--interval", "-1"], "an interval is a number of seconds or a time"),
        (&["--log", "loud"], "invalid value 'loud'"),
    ] {
        let outcome = run(&[&["ping", "127.0.0.1:9"], args].concat());
        let line = outcome.failed(2);
        assert!(line.contains(reason), "{args:?}: {line}");
    }
}

#[test]
fn the_udp_port_may_differ_from_the_tcp_port() {
    // Both ports of a listener that was told.
    let free = UdpSocket::bind("127.0.0.1:0").unwrap();
    let udp = free.local_addr().unwrap().port().to_string();
    drop(free);
    let mut command = tou(&["echo", "127.0.0.1:7", "--udp-port", &udp]);
    command.stderr(Stdio::piped());
    let (_server, addr) = serve(command);
    let udp_addr = format!("127.0.0.1:{udp}");
    assert_eq!(addr, format!("{udp_addr}, TCP port 7"));
    let args = ["ping", "127.0.0.1:7", "--udp-port", &udp, "-c", "1", "--json", "--stats"];
    let outcome = run(&args).ok();
    assert_eq!(objects(&outcome.stderr)[0]["connection"]["tcp_ports"]["there"], 7);
    // Nobody listens on the TCP port that is the same.
    let refused = run(&["ping", &udp_addr, "-c", "1"]);
    assert!(refused.failed(1).ends_with("connection refused"));
}

#[test]
fn a_connection_may_be_opened_from_a_given_address() {
    let (server, addr) = echo(&["-v"]);
    let free = UdpSocket::bind("127.0.0.1:0").unwrap();
    let from = free.local_addr().unwrap().to_string();
    drop(free);
    run(&["ping", &addr, "-c", "1", "--bind", &from]).ok();
    server.signal("-INT");
    let log = server.finish().stderr;
    assert!(log.contains(&format!("connection from {from}")), "{log}");
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let from = taken.local_addr().unwrap().to_string();
    let outcome = run(&["ping", &addr, "--bind", &from]);
    let line = format!("tou: cannot use address {from}: address already in use");
    assert_eq!(outcome.failed(1), line);
    let outcome = run(&["ping", &addr, "--bind", "192.0.2.1"]);
    assert!(outcome.failed(1).contains("cannot use address 192.0.2.1:0: "), "{}", outcome.stderr);
}

#[test]
fn one_family_may_be_asked_for() {
    let (_server, addr) = echo(&[]);
    let outcome = run(&["ping", &addr, "-6"]);
    assert_eq!(outcome.failed(1), "tou: no IPv6 address: there is only 127.0.0.1");
    let port = addr.rsplit_once(':').unwrap().1;
    run(&["ping", &format!("localhost:{port}"), "-4", "-c", "1"]).ok();
    // Where there is no IPv6 there is nothing more to see.
    if UdpSocket::bind("[::1]:0").is_err() {
        eprintln!("NOT RUN: IPv6 (no such loopback address)");
        return;
    }
    let (_server, addr) = serve(tou(&["echo", "0", "--6"]));
    let port = addr.strip_prefix("[::]:").unwrap();
    run(&["ping", &format!("[::1]:{port}"), "-c", "1"]).ok();
    let outcome = run(&["ping", &format!("127.0.0.1:{port}"), "-c", "1"]);
    assert!(outcome.failed(1).ends_with("connection refused"), "{}", outcome.stderr);
}

#[test]
fn retransmissions_may_be_counted() {
    let (server, addr) = echo(&[]);
    let options = ["--max-retries", "3", "--rto-min", "10ms", "--user-timeout", "10m"];
    let mut command = tou(&["connect", &addr]);
    let (mut output, writer) = std::io::pipe().unwrap();
    command.args(options).stdin(Stdio::piped()).stdout(writer);
    let mut client = start(command);
    let mut input = client.stdin();
    std::io::Write::write_all(&mut input, b"there?").unwrap();
    std::io::Read::read_exact(&mut output, &mut [0; 6]).unwrap();
    server.signal("-STOP");
    std::io::Write::write_all(&mut input, b"still there?").unwrap();
    let outcome = client.finish();
    assert!(outcome.failed(1).starts_with("tou: connection timed out"), "{}", outcome.stderr);
    server.signal("-CONT");
}

#[test]
fn a_connection_that_rests_for_too_long_is_ended() {
    let (server, addr) = listen(&["--idle-timeout", "300ms"], |_| {});
    let mut command = tou(&["connect", &addr]);
    command.stdin(Stdio::piped());
    let mut client = start(command);
    let mut input = client.stdin();
    std::io::Write::write_all(&mut input, b"hello").unwrap();
    let outcome = server.finish();
    let line = "tou: nothing was sent or received for 300.0 ms; 5 bytes had arrived";
    assert_eq!(outcome.failed(1), line);
    assert!(client.finish().failed(1).starts_with("tou: connection reset by peer"));
}
