//! `--segments`: a line for each.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::process::Stdio;

use common::*;

/// The fields of a line: time, fate, from, to, and the segment.
#[track_caller]
fn fields(line: &str) -> (f64, &str, &str, &str, &str) {
    let mut words = line.split_whitespace();
    let mut next = || words.next().unwrap_or_else(|| panic!("short line {line:?}"));
    let (time, fate, from, arrow, to) = (next(), next(), next(), next(), next());
    assert_eq!(arrow, ">", "{line}");
    let (_, segment) = line.split_once(&format!("> {to} ")).unwrap();
    (time.parse().unwrap(), fate, from, to, segment)
}

#[test]
fn each_segment_is_a_line() {
    let (server, addr) = listen(&["--segments"], |_| {});
    let client = run(&["connect", &addr, "--segments"]).ok();
    let server = server.finish().ok();
    let lines: Vec<_> = client.stderr.lines().collect();
    let (_, fate, _, to, syn) = fields(lines[0]);
    assert_eq!((fate, to), ("sent", addr.as_str()));
    assert!(syn.contains(": Flags [S], seq ") && syn.contains(", win "), "{syn}");
    assert!(syn.contains("options [mss ") && syn.ends_with(", length 0"), "{syn}");
    let (_, fate, from, _, syn_ack) = fields(lines[1]);
    assert_eq!((fate, from), ("received", addr.as_str()));
    assert!(syn_ack.contains(": Flags [S.], seq ") && syn_ack.contains(", ack "), "{syn_ack}");
    // What one has sent the other has received.
    let count = |text: &str, fate| text.lines().filter(|line| fields(line).1 == fate).count();
    assert_eq!(count(&client.stderr, "sent"), count(&server.stderr, "received"));
    assert!(count(&client.stderr, "sent") >= 3);
    assert_eq!(count(&client.stderr, "retransmitted"), 0, "{}", client.stderr);
}

#[test]
fn lost_segments_are_dropped_and_sent_again() {
    let log = TempFile::new("lossy", b"what was here before");
    let args = ["demo", "--size", "200KiB", "--dup", "0.1", "--segments"];
    let args = [&args[..], &["--log-file", log.path()]].concat();
    let outcome = run(&args).ok();
    assert_eq!(outcome.stderr, "");
    let text = log.text();
    let count = |end, fate| text.lines().filter(|line| told(line) == (end, fate)).count();
    for fate in ["sent", "received", "dropped", "retransmitted"] {
        assert!(count("sender", fate) > 0, "nothing {fate}");
    }
    // A line for each that the sender itself counts, and none for
    // impairment's copies.
    let (_, figures) = outcome.text().split_once("\nretransmitted ").unwrap();
    let counted: usize = figures.split_whitespace().next().unwrap().parse().unwrap();
    assert_eq!(count("sender", "retransmitted"), counted);
    assert!(count("receiver", "received") > 0);
    let time = |line: &str| line.split_once(' ').unwrap().0.parse::<f64>().unwrap();
    assert!(text.lines().map(time).all(|time| (0.0..60.0).contains(&time)));
}

/// The fields of a demo's line that tell whose it is, and what became of the
/// segment.
#[track_caller]
fn told(line: &str) -> (&str, &str) {
    let mut words = line.split_whitespace().skip(1);
    (words.next().unwrap(), words.next().unwrap())
}

#[test]
fn numbers_begin_at_zero_after_the_syn() {
    let (server, addr) = listen(&[], |_| {});
    let mut command = tou(&["connect", &addr, "--segments"]);
    command.stdin(Stdio::piped());
    let mut client = start(command);
    client.feed(b"hello".to_vec());
    let client = client.finish().ok();
    server.finish().ok();
    let lines = |part: &str| client.stderr.lines().filter(|line| line.contains(part)).count();
    assert_eq!(lines(" seq 1:6, ack "), 1, "{}", client.stderr);
    // Of data and FIN.
    assert!(lines(", ack 7, ") >= 1, "{}", client.stderr);
}

#[test]
fn a_log_file_that_cannot_be_written_is_a_failure() {
    let outcome = run(&["demo", "--size", "1", "--log-file", "/no/such/dir/log"]);
    let line = "tou: cannot create log file /no/such/dir/log: no such file or directory";
    assert_eq!(outcome.failed(1), line);
    let outcome = run(&["demo", "--size", "1", "--segments", "--log-file", "/dev/full"]);
    let line = "tou: cannot write log file /dev/full: no space left on device";
    assert_eq!(outcome.failed(1), line);
}
