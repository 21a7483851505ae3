//! `tou demo`: both ends in one process.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::fs::OpenOptions;
use std::process::Stdio;

use common::*;

/// The value of a line of the summary.
#[track_caller]
fn value<'a>(summary: &'a str, name: &str) -> &'a str {
    let line = summary.lines().find(|line| line.starts_with(name));
    line.unwrap_or_else(|| panic!("no {name} in {summary}")).trim_start_matches(name).trim()
}

#[test]
fn random_bytes_survive_the_usual_bad_network() {
    let outcome = run(&["demo", "--size", "1MiB"]).ok();
    let summary = outcome.text();
    assert_eq!(value(summary, "sent"), "1,048,576 bytes");
    assert_eq!(value(summary, "received"), "1,048,576 bytes");
    assert_eq!(value(summary, "SHA-256, sent"), value(summary, "SHA-256, received"));
    assert_eq!(value(summary, "result"), "equal");
    assert!(summary.contains("5 % loss, 1 % duplication, 1 % reordering"));
    assert!(!value(summary, "retransmitted").starts_with("0 "), "{summary}");
    assert!(value(summary, "goodput").contains("bit/s"));
    assert_eq!(outcome.stderr, "", "no bar where there is no terminal");
}

#[test]
fn a_file_is_sent_as_it_is() {
    let file = TempFile::new("abc", b"abc");
    let outcome = run(&["demo", file.path()]).ok();
    // FIPS 180-2, appendix B.1.
    let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(value(outcome.text(), "SHA-256, sent"), hash);
    assert_eq!(value(outcome.text(), "SHA-256, received"), hash);
}

#[test]
fn nothing_at_all_arrives_too() {
    let outcome = run(&["demo", "--size", "0"]).ok();
    assert_eq!(value(outcome.text(), "received"), "0 bytes");
    let outcome = run(&["demo", "/dev/null", "--cc", "reno"]).ok();
    assert_eq!(value(outcome.text(), "received"), "0 bytes");
}

#[test]
fn the_seed_chooses_the_bytes() {
    let hash = |seed| {
        let args = ["demo", "--size", "10kB", "--drop", "0", "--seed", seed];
        value(run(&args).ok().text(), "SHA-256, sent").to_owned()
    };
    assert_eq!(hash("7"), hash("7"));
    assert_ne!(hash("7"), hash("8"));
}

#[test]
fn a_worse_network_takes_longer_and_loses_nothing() {
    let network = ["--drop", "0.2", "--reorder", "0.1", "--corrupt", "0.02", "--delay", "1ms"];
    let args = [&["demo", "--size", "100KiB"], &network[..]].concat();
    let outcome = run(&args).ok();
    let network = "20 % loss, 1 % duplication, 10 % reordering, 2 % corruption, 1.0 ms delay";
    assert!(outcome.text().contains(network), "{}", outcome.text());
    assert_eq!(value(outcome.text(), "result"), "equal");
}

#[test]
fn no_datagram_is_longer_than_an_ethernet_packet_holds() {
    let log = TempFile::new("full", b"");
    let args = ["demo", "--size", "300KiB", "--segments", "--log-file", log.path()];
    run(&args).ok();
    let text = log.text();
    let longest = text.lines().filter_map(|line| line.rsplit_once(", length ")).map(|(_, len)| {
        // Data; the header has 20 bytes, and 12 of timestamps.
        len.parse::<usize>().unwrap() + 32
    });
    assert_eq!(longest.max(), Some(1_472));
}

#[test]
fn figures_of_both_sides_are_shown_on_demand() {
    let outcome = run(&["demo", "--size", "200KiB", "--stats"]).ok();
    for figure in [
        "SENDER",
        "RECEIVER",
        "state                    TIME-WAIT",
        "round trip ",
        "congestion control       cubic",
        "segments retransmitted",
        "GSO batches sent         by datagrams: ",
        "impairment, sending",
        "endpoint at 127.0.0.1:",
    ] {
        assert!(outcome.stderr.contains(figure), "no {figure:?} in {}", outcome.stderr);
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let outcome = run(&["demo", "/no/such/file"]);
    let line = outcome.failed(1);
    assert_eq!(line, "tou: cannot read /no/such/file: no such file or directory");
    assert_eq!(outcome.text(), "");
    assert_eq!(run(&["demo", "/"]).failed(1), "tou: cannot read /: is a directory");
}

#[test]
fn output_that_cannot_be_written_is_a_failure() {
    let mut command = tou(&["demo", "--size", "1KiB"]);
    command.stdout(OpenOptions::new().write(true).open("/dev/full").unwrap());
    let line = "tou: cannot write to standard output: no space left on device";
    assert_eq!(start(command).finish().failed(1), line);

    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = tou(&["demo", "--size", "1KiB"]);
    command.stdout(Stdio::from(writer));
    let outcome = start(command).finish();
    assert_eq!((outcome.code(), outcome.stderr.as_str()), (Some(1), ""));
}
