//! The program with much data, on bad networks, with many peers, and killed.
//!
//! By default all of it is scaled down to some seconds, and stderr says to what.
//! At full scale it takes some minutes:
//!
//! ```text
//! TOU_ENDURANCE=full cargo test --release -p tou-cli --test endurance -- --nocapture --test-threads 1
//! ```

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use core::fmt;
use core::time::Duration;
use std::env;
use std::fs;
use std::io::{self, Write};
use std::process::Stdio;
use std::time::Instant;

use common::*;

/// How long anything may take.
const LONG: Duration = Duration::from_secs(900);

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

/// Sends so many bytes through `tou send` and `tou recv`, and compares.
fn transfer(name: &str, bytes: usize, options: &[&str]) -> serde_json::Value {
    let (outbox, inbox) =
        (TempDir::new(&format!("{name}-out")), TempDir::new(&format!("{name}-in")));
    let data = noise(bytes, bytes as u64);
    let file = outbox.write("file", &data);
    let (server, addr) = recv(&inbox, &[&["--once"], options].concat());
    let start_time = now();
    let args = [&["send", "--json", "--stats"], options, &[&file, &addr]].concat();
    let client = start(tou(&args)).finish_within(LONG).ok();
    let took = start_time.elapsed();
    server.finish_within(LONG).ok();
    assert_same(&inbox.read("file"), &data);
    let stats = objects(&client.stderr).remove(0)["connection"].clone();
    say(&format!(
        "{name}: {bytes} bytes in {took:.1?}, equal; {} of {} segments sent again",
        stats["segments_retransmitted"], stats["segments_sent"]
    ));
    stats
}

#[test]
fn a_large_file_arrives() {
    let mib = scaled("MiB through send and recv", 1_024, 32);
    transfer("large", mib << 20, &[]);
}

#[test]
fn a_file_arrives_through_a_bad_network() {
    let mib = scaled("MiB through send and recv on a bad network", 100, 4);
    let network = ["--drop", "0.05", "--dup", "0.02", "--reorder", "0.05"];
    let stats = transfer("bad", mib << 20, &network);
    assert!(stats["segments_retransmitted"].as_u64().unwrap() > 0);
}

#[test]
fn a_file_arrives_through_a_bad_network_in_datagrams_of_the_usual_size() {
    let mib = scaled("MiB through send and recv on a bad network, in 1472 bytes", 100, 2);
    let network = ["--drop", "0.05", "--dup", "0.02", "--reorder", "0.05", "--mss", "1452"];
    transfer("bad-1472", mib << 20, &network);
}

#[test]
fn many_connect_at_once_and_get_every_byte_back() {
    let (clients, bytes) =
        scaled("(connects at once, bytes each)", (200, 256 << 10), (40, 64 << 10));
    let (_server, addr) = echo(&[]);
    let start_time = now();
    let clients: Vec<_> = (0..clients)
        .map(|seed| {
            let mut command = tou(&["connect", &addr]);
            command.stdin(Stdio::piped());
            (start(command), noise(bytes, seed))
        })
        .collect();
    // All are there before any sends its end.
    let mut clients = clients;
    for (client, data) in &mut clients {
        client.feed(data.clone());
    }
    let count = clients.len();
    for (client, data) in clients {
        assert_same(&client.finish_within(LONG).ok().stdout, &data);
    }
    let took = start_time.elapsed();
    say(&format!("echo: {count} connects at once got {bytes} bytes each back in {took:.1?}"));
}

/// Kills one side in the middle of a transfer; returns what the other says, and
/// after how long.
fn kill(name: &str, kills_sender: bool) -> (String, Duration) {
    let limit = Duration::from_secs(scaled("s of user timeout", 30, 1));
    let limit_text = format!("{}s", limit.as_secs());
    let (outbox, inbox) =
        (TempDir::new(&format!("{name}-out")), TempDir::new(&format!("{name}-in")));
    let file = outbox.write("file", &noise(64 << 20, 1));
    let timeout = ["--user-timeout", &limit_text];
    let (server, addr) = recv(&inbox, &[&["--once"], &timeout[..]].concat());
    // It lasts for some seconds.
    let slow = ["--send-buffer", "64KiB", "--delay", "20ms"];
    let client = start(tou(&[&["send"], &slow[..], &timeout, &[&file, &addr]].concat()));
    let partial = inbox.at(".file.tou-part");
    wait_until("some of it arrives", || fs::metadata(&partial).is_ok_and(|file| file.len() > 0));
    let (killed, other) = if kills_sender { (client, server) } else { (server, client) };
    killed.signal("-KILL");
    let start_time = now();
    let outcome = other.finish_within(LONG);
    let took = start_time.elapsed();
    let line = outcome.failed(1).to_owned();
    say(&format!("{name}: {took:.1?} after the kill: {line}"));
    // Nothing is asserted of the time but its order: a loaded machine is late.
    assert!(took < 2 * limit + Duration::from_secs(5), "{took:?}");
    (line, took)
}

#[test]
fn a_killed_sender_is_missed_within_the_user_timeout() {
    let (line, _) = kill("killed-sender", true);
    assert!(line.contains("connection timed out: the sender does not answer; "), "{line}");
    assert!(line.ends_with(" of 67,108,864 bytes had arrived"), "{line}");
}

#[test]
fn a_killed_receiver_is_missed_within_the_user_timeout() {
    let (line, _) = kill("killed-receiver", false);
    assert!(line.contains("connection timed out: the peer does not answer; "), "{line}");
    assert!(line.ends_with(" were delivered"), "{line}");
}
