//! `tou-bench peers`, each measure for a moment: that the transports work, that
//! nothing is lost, and that all figures come out. How high they are is not
//! looked at.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

/// Runs it, and returns what it printed and the JSON that it wrote.
fn run(name: &str, args: &[&str]) -> (String, Value) {
    let json = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.json"));
    let output = Command::new(env!("CARGO_BIN_EXE_tou-bench"))
        .args(["peers", "--rounds", "1", "--json"])
        .arg(&json)
        .args(args)
        .output()
        .expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    if let Some(line) = text.lines().find(|line| line.starts_with("NOT RUN")) {
        eprintln!("{line}");
    }
    let json = fs::read_to_string(json).expect("it was written");
    (text, serde_json::from_str(&json).expect("JSON"))
}

/// The figure of each transport in its only turn, for the contests of a measure.
fn figures(json: &Value, contest: &str, figure: &str) -> Vec<f64> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    list(json)
        .iter()
        .filter(|entry| entry["title"].as_str().is_some_and(|title| title.starts_with(contest)))
        .flat_map(|entry| list(&entry["entries"]))
        .filter_map(|entry| entry["turns"][0][figure].as_f64())
        .collect()
}

#[test]
fn every_transport_moves_bulk_data() {
    let (text, json) =
        run("bulk", &["--only", "bulk,streams", "--streams", "4", "--seconds", "0.03"]);
    for contest in ["bulk", "streams"] {
        let rates = figures(&json, contest, "gbit");
        assert!(rates.len() >= 2, "{text}");
        assert!(rates.iter().all(|rate| *rate > 0.0), "{text}");
        assert!(figures(&json, contest, "rx_cpu").iter().all(|cpu| *cpu >= 0.0), "{text}");
    }
}

#[test]
fn every_transport_answers() {
    let (text, json) = run("latency", &["--only", "latency,connect", "--seconds", "0.03"]);
    for (contest, figure, peers) in [("latency", "p99", 4), ("connect", "rate", 2)] {
        let values = figures(&json, contest, figure);
        assert!(values.len() >= peers, "{text}");
        assert!(values.iter().all(|value| *value > 0.0), "{text}");
    }
}

#[test]
fn an_idle_connection_hardly_wakes_anybody() {
    let (text, json) = run("idle", &["--only", "idle", "--peers", "tcp,tou", "--seconds", "0.2"]);
    let wakeups = figures(&json, "idle", "client_wakeups");
    assert_eq!(wakeups.len(), 2, "{text}");
    // Twenty a second: somebody else's interrupt may count.
    assert!(wakeups.iter().all(|wakeups| *wakeups < 20.0), "{text}");
}

#[test]
fn a_number_of_seconds_is_more_than_none() {
    let output = Command::new(env!("CARGO_BIN_EXE_tou-bench"))
        .args(["peers", "--seconds", "0"])
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("--seconds"));
}
