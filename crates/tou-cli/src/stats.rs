//! What was counted, as a page for people or in JSON: `--stats`.
//!
//! Each figure is named once. People see its name, and programs the same name
//! in the form of a key.

use core::fmt::{Display, Write};
use core::time::Duration;
use std::io::{self, Write as _};

use serde_json::{Map, Value, json};
use tou_mio::{TouSocket, TouStream};
use tou_proto::{ConnectionCounters, ConnectionInfo, EndpointCounters};
use tou_udp::{BatchSizes, Direction, ImpairmentStats, SocketStats};

use crate::format;
use crate::relay::Traffic;

/// Collects the page.
#[derive(Debug, Default)]
pub(crate) struct Page {
    sections: Vec<Section>,
    /// Whose figures these are, if there are several.
    side: Option<&'static str>,
}

/// A part of the page.
#[derive(Debug)]
struct Section {
    side: Option<&'static str>,
    key: &'static str,
    title: String,
    entries: Vec<Entry>,
}

/// A figure.
#[derive(Debug)]
struct Entry {
    name: &'static str,
    /// For people; `None` where there is nothing to see.
    words: Option<String>,
    value: Value,
}

impl Page {
    /// What follows is of this side.
    pub(crate) fn side(&mut self, side: &'static str) {
        self.side = Some(side);
    }

    /// Begins a part. The key is its name in JSON.
    fn section(&mut self, key: &'static str, title: impl Into<String>) {
        let title = title.into();
        self.sections.push(Section { side: self.side, key, title, entries: Vec::new() });
    }

    /// Adds to the part that was begun last.
    fn line(&mut self, name: &'static str, words: impl Display, value: impl Into<Value>) {
        let words = Some(words.to_string());
        self.entry(Entry { name, words, value: value.into() });
    }

    /// A counter. People need not see that it has counted nothing.
    fn count(&mut self, name: &'static str, count: u64) {
        let words = (count > 0).then(|| format::grouped(count));
        self.entry(Entry { name, words, value: count.into() });
    }

    fn entry(&mut self, entry: Entry) {
        if let Some(section) = self.sections.last_mut() {
            section.entries.push(entry);
        }
    }

    /// Shows the page on standard error.
    pub(crate) fn show(&self, is_json: bool) {
        let text = if is_json { self.json() } else { self.text() };
        // Nobody could be told of an error.
        let _ = io::stderr().write_all(text.as_bytes());
    }

    fn text(&self) -> String {
        let mut text = String::new();
        let mut side = None;
        for section in &self.sections {
            if section.side != side {
                side = section.side;
                // Writing to a string does not fail.
                let _ = writeln!(text, "{}", side.unwrap_or_default().to_uppercase());
            }
            let _ = writeln!(text, "{}", section.title);
            for Entry { name, words, .. } in &section.entries {
                if let Some(words) = words {
                    let _ = writeln!(text, "  {name:<24} {words}");
                }
            }
        }
        text
    }

    /// One object a line for each side.
    fn json(&self) -> String {
        let mut text = String::new();
        for sections in self.sections.chunk_by(|one, two| one.side == two.side) {
            let mut object = Map::new();
            object.insert("event".into(), "stats".into());
            for Section { side, key, entries, .. } in sections {
                if let Some(side) = side {
                    object.insert("side".into(), (*side).into());
                }
                let entries = entries.iter().map(|entry| (key_of(entry.name), entry.value.clone()));
                object.insert((*key).into(), Value::Object(entries.collect()));
            }
            let _ = writeln!(text, "{}", Value::Object(object));
        }
        text
    }

    /// What went through, and how fast.
    pub(crate) fn traffic(&mut self, traffic: &Traffic) {
        self.section("traffic", "traffic");
        let flow = |bytes, time: Duration| match time {
            Duration::ZERO => format::bytes(bytes),
            time => format!("{} in {}", format::bytes(bytes), format::time(time)),
        };
        let value = |bytes, time: Duration| json!({ "bytes": bytes, "seconds": seconds(time) });
        for (name, bytes, time) in [
            ("sent", traffic.sent, traffic.sent_in),
            ("received", traffic.received, traffic.received_in),
        ] {
            self.line(name, flow(bytes, time), value(bytes, time));
        }
        let rates = [
            ("goodput, sending", traffic.sent, traffic.sent_in),
            ("goodput, receiving", traffic.received, traffic.received_in),
        ];
        for (name, bytes, time) in rates {
            if bytes > 0 && !time.is_zero() {
                let rate = json!({ "bits_per_second": bytes as f64 * 8.0 / seconds(time) });
                self.line(name, format::rate(bytes, time), rate);
            }
        }
    }

    /// A connection as it is now. `live`: as it was while data moved.
    pub(crate) fn connection(&mut self, stream: &TouStream, live: Option<ConnectionInfo>) {
        let peer = stream.peer_addr().map(|addr| addr.to_string()).unwrap_or_default();
        let Ok(info) = stream.info() else {
            self.section("connection", "connection: aborted by this side");
            return;
        };
        self.section("connection", format!("connection with {peer}"));
        self.entry(Entry { name: "peer", words: None, value: peer.into() });
        let (ours, theirs) = (stream.local_port().get(), stream.peer_port().get());
        self.line(
            "TCP ports",
            format!("{ours} here, {theirs} there"),
            here_and_there(ours, theirs),
        );
        self.line("state", info.state, info.state.to_string());
        let counters = info.counters;
        let info = live.unwrap_or(info);
        self.timing(&info);
        self.windows(&info);
        self.options(&info);
        self.counters(&counters);
    }

    /// Times, and how much may be under way.
    fn timing(&mut self, info: &ConnectionInfo) {
        let time = |time: Option<Duration>| time.map_or("unknown".to_owned(), format::time);
        let (srtt, rttvar, min) = (time(info.srtt), time(info.rttvar), time(info.min_rtt));
        self.line(
            "round trip",
            format!("{srtt} smoothed, {rttvar} variation, {min} smallest"),
            json!({
                "smoothed_seconds": info.srtt.map(seconds),
                "variation_seconds": info.rttvar.map(seconds),
                "smallest_seconds": info.min_rtt.map(seconds),
            }),
        );
        self.line("retransmission timeout", format::time(info.rto), seconds(info.rto));
        self.line("congestion control", info.congestion, info.congestion);
        self.line("congestion window", format::bytes(info.cwnd), info.cwnd);
        match info.ssthresh {
            u64::MAX => self.line("slow-start threshold", "none", Value::Null),
            bytes => self.line("slow-start threshold", format::bytes(bytes), bytes),
        }
        let (in_flight, outstanding) = (info.in_flight, info.outstanding);
        self.line(
            "in flight",
            format!(
                "{}, {} not acknowledged",
                format::bytes(in_flight),
                format::grouped(outstanding)
            ),
            json!({ "bytes": in_flight, "not_acknowledged": outstanding }),
        );
    }

    /// Segments, windows, queues.
    fn windows(&mut self, info: &ConnectionInfo) {
        self.line("data per segment", format::bytes(info.mss), info.mss);
        let [ours, theirs] = [info.announced_mss, info.peer_mss];
        self.line("MSS", format!("{ours} here, {theirs} there"), here_and_there(ours, theirs));
        let (theirs, ours) = (info.snd_wscale, info.rcv_wscale);
        for (name, window, shift) in
            [("peer's window", info.snd_wnd, theirs), ("own window", info.rcv_wnd, ours)]
        {
            let words = format!("{}, shift {shift}", format::bytes(window));
            self.line(name, words, json!({ "bytes": window, "shift": shift }));
        }
        self.line("receive buffer", format::bytes(info.recv_buffer), info.recv_buffer);
        let queues = [info.send_queue, info.recv_queue, info.reassembly_queue];
        let [send, recv, holes] = queues.map(format::grouped);
        self.line(
            "queues",
            format!("{send} to send, {recv} to read, {holes} out of order"),
            json!({ "to_send": queues[0], "to_read": queues[1], "out_of_order": queues[2] }),
        );
        self.line("memory of buffers", format::bytes(info.memory as u64), info.memory);
    }

    fn options(&mut self, info: &ConnectionInfo) {
        let options = match (info.timestamps, info.sack) {
            (true, true) => "timestamps, SACK",
            (true, false) => "timestamps",
            (false, true) => "SACK",
            (false, false) => "none",
        };
        self.line("options", options, json!({ "timestamps": info.timestamps, "sack": info.sack }));
        if info.reordering_seen {
            let window = info.reordering_window;
            self.line("reordering window", format::time(window), seconds(window));
        }
    }

    fn counters(&mut self, counters: &ConnectionCounters) {
        for (name, count) in [
            ("segments sent", counters.segments_sent),
            ("segments received", counters.segments_received),
            ("segments retransmitted", counters.segments_retransmitted),
        ] {
            self.line(name, format::grouped(count), count);
        }
        for (name, count) in [
            ("bytes sent", counters.bytes_sent),
            ("bytes acknowledged", counters.bytes_acked),
            ("bytes received", counters.bytes_received),
            ("bytes retransmitted", counters.bytes_retransmitted),
            ("timeouts", counters.timeouts),
            ("tail loss probes", counters.tail_probes),
            ("fast recoveries", counters.fast_recoveries),
            ("spurious recoveries", counters.spurious_recoveries),
            ("DSACKs received", counters.dsacks_received),
            ("duplicate bytes", counters.duplicate_bytes_received),
            ("out of order", counters.out_of_order_segments),
            ("reassembly dropped", counters.reassembly_bytes_dropped),
            ("bytes beyond the window", counters.bytes_beyond_window),
            ("unacceptable segments", counters.unacceptable_segments),
            ("rejected by PAWS", counters.paws_rejected),
            ("challenge ACKs", counters.challenge_acks),
            ("challenge ACKs not sent", counters.challenge_acks_suppressed),
            ("zero-window probes", counters.window_probes),
            ("keepalive probes", counters.keepalive_probes),
            ("segment size fell", counters.mtu_fallbacks),
            ("path errors", counters.soft_errors),
            ("writes refused", counters.writes_refused),
            ("limited by segments", counters.segments_limited),
            ("limited by memory", counters.memory_limited),
        ] {
            self.count(name, count);
        }
    }

    /// A socket, from its endpoint down to the system calls.
    pub(crate) fn socket(&mut self, socket: &TouSocket) {
        let local = socket.local_addr().to_string();
        self.section("endpoint", format!("endpoint at {local}"));
        self.entry(Entry { name: "address", words: None, value: local.into() });
        self.endpoint(&socket.counters());
        self.section("udp_socket", "UDP socket");
        self.udp(&socket.socket_stats());
        for (direction, key, title) in [
            (Direction::Send, "impairment_sending", "impairment, sending"),
            (Direction::Receive, "impairment_receiving", "impairment, receiving"),
        ] {
            if let Some(stats) = socket.impairment_stats(direction) {
                self.section(key, title);
                self.impairment(&stats);
            }
        }
        self.section("driver", "driver");
        let driver = socket.driver_counters();
        for (name, count) in [
            ("wake-ups", driver.wakeups),
            ("waits of callers", driver.caller_waits),
            ("waits of followers", driver.follower_waits),
            ("takeovers", driver.takeovers),
            ("nudges", driver.nudges),
        ] {
            self.count(name, count);
        }
    }

    fn endpoint(&mut self, counters: &EndpointCounters) {
        let datagrams = counters.datagrams_received;
        self.line("datagrams received", format::grouped(datagrams), datagrams);
        for (name, count) in [
            ("invalid sources", counters.invalid_sources),
            ("malformed segments", counters.malformed_segments),
            ("bad checksums", counters.bad_checksums),
            ("malformed options", counters.malformed_options),
            ("stray segments", counters.stray_segments),
            ("resets sent", counters.resets_sent),
            ("stray replies not sent", counters.stray_replies_suppressed),
            ("SYNs dropped", counters.syns_dropped),
            ("SYN cache overflows", counters.syn_cache_overflows),
            ("SYN cookies sent", counters.syn_cookies_sent),
            ("SYN cookies accepted", counters.syn_cookies_accepted),
            ("SYN cookies rejected", counters.syn_cookies_rejected),
            ("SYN-ACKs sent again", counters.syn_acks_retransmitted),
            ("handshakes given up", counters.handshakes_timed_out),
            ("accept queue overflows", counters.accept_queue_overflows),
            ("handshake replies held", counters.handshake_replies_suppressed),
            ("connections refused", counters.connections_refused),
            ("SYN cache overflows", counters.syn_cache_overflows),
            ("SYN cookies sent", counters.syn_cookies_sent),
            ("SYN cookies accepted", counters.syn_cookies_accepted),
            ("SYN cookies rejected", counters.syn_cookies_rejected),
            ("SYN-ACKs sent again", counters.syn_acks_retransmitted),
            ("handshakes timed out", counters.handshakes_timed_out),
            ("accept queue overflows", counters.accept_queue_overflows),
            ("handshake replies not sent", counters.handshake_replies_suppressed),
            ("from a wrong path", counters.wrong_path),
            ("path keepalives", counters.path_keepalives),
            ("TIME-WAITs evicted", counters.time_wait_evicted),
            ("TIME-WAITs taken over", counters.time_wait_reused),
            ("stray path errors", counters.stray_path_errors),
        ] {
            self.count(name, count);
        }
    }

    fn udp(&mut self, stats: &SocketStats) {
        let flows = [
            ("sent", stats.datagrams_sent, stats.bytes_sent, stats.send_calls),
            ("received", stats.datagrams_received, stats.bytes_received, stats.recv_calls),
        ];
        let sizes = [
            ("GSO batches sent", &stats.batches_sent),
            ("GRO batches received", &stats.batches_received),
        ];
        for ((name, datagrams, bytes, calls), (batch_name, sizes)) in flows.into_iter().zip(sizes) {
            let [many, octets, often] = [datagrams, bytes, calls].map(format::grouped);
            self.line(
                name,
                format!("{many} datagrams, {octets} bytes, {often} system calls"),
                json!({ "datagrams": datagrams, "bytes": bytes, "system_calls": calls }),
            );
            let classes: Map<_, _> =
                by_size(sizes).map(|(class, n)| (class.into(), n.into())).collect();
            self.line(batch_name, batches(sizes), classes);
        }
        for (name, count) in [
            ("sends blocked", stats.sends_blocked),
            ("fallbacks, smaller", stats.fallbacks_smaller),
            ("fallbacks, single", stats.fallbacks_single),
            ("fallbacks, no source", stats.fallbacks_sourceless),
            ("fallbacks, plain", stats.fallbacks_plain),
            ("sends repeated", stats.sends_repeated),
            ("lost, too big", stats.lost_too_big),
            ("lost, unreachable", stats.lost_unreachable),
            ("lost, queue full", stats.lost_queue_full),
            ("buffers allocated", stats.buffers_allocated),
            ("error reports", stats.error_reports),
            ("path errors dropped", stats.path_errors_dropped),
        ] {
            self.count(name, count);
        }
    }

    fn impairment(&mut self, stats: &ImpairmentStats) {
        self.line("datagrams that came", format::grouped(stats.came), stats.came);
        self.line("passed", format::grouped(stats.passed), stats.passed);
        for (name, count) in [
            ("dropped", stats.dropped),
            ("duplicated", stats.duplicated),
            ("reordered", stats.reordered),
            ("damaged and dropped", stats.discarded),
            ("damaged", stats.flipped),
            ("overflowed", stats.overflowed),
        ] {
            self.count(name, count);
        }
    }
}

/// How many batches had how many datagrams, where there were any.
fn by_size(sizes: &BatchSizes) -> impl Iterator<Item = (&'static str, u64)> {
    const CLASSES: [&str; 7] = ["1", "2-3", "4-7", "8-15", "16-31", "32-63", "64+"];
    CLASSES.into_iter().zip(sizes.classes()).filter(|(_, count)| *count > 0)
}

/// `1: 12, 4-7: 3, 64+: 9`.
fn batches(sizes: &BatchSizes) -> String {
    let classes =
        by_size(sizes).map(|(class, count)| format!("{class}: {}", format::grouped(count)));
    let text = classes.collect::<Vec<_>>().join(", ");
    if text.is_empty() { "none".to_owned() } else { format!("by datagrams: {text}") }
}

fn here_and_there(here: u16, there: u16) -> Value {
    json!({ "here": here, "there": there })
}

fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}

/// A figure's name in JSON: `peer's window` is `peers_window`.
fn key_of(name: &str) -> String {
    let words = name.split(|c: char| !c.is_alphanumeric() && c != '\'');
    let words = words.filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("_").replace('\'', "").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_of_nothing_is_not_shown() {
        let mut page = Page::default();
        page.section("part", "a part");
        page.count("nothing", 0);
        page.count("something, here", 1_234);
        assert_eq!(page.text(), "a part\n  something, here          1,234\n");
    }

    #[test]
    fn json_has_an_object_for_each_side_and_every_counter() {
        let mut page = Page::default();
        for side in ["sender", "receiver"] {
            page.side(side);
            page.section("part", "a part");
            page.count("nothing", 0);
            page.count("peer's share, here", 1_234);
        }
        let part = r#""part":{"nothing":0,"peers_share_here":1234}"#;
        let line = |side: &str| format!("{{\"event\":\"stats\",{part},\"side\":\"{side}\"}}\n");
        assert_eq!(page.json(), line("sender") + &line("receiver"));
        assert!(page.text().starts_with("SENDER\na part\n  peer's share, here "));
        assert!(page.text().contains("\nRECEIVER\na part\n"));
    }

    #[test]
    fn every_counter_of_the_core_is_there() {
        let core = include_str!("../../tou-proto/src/stats.rs");
        let this = include_str!("stats.rs");
        let structs = core.split("pub struct ").filter(|text| {
            text.starts_with("ConnectionCounters") || text.starts_with("EndpointCounters")
        });
        let mut counters = structs
            .flat_map(|text| text.split("\n}").next().unwrap().lines())
            .filter_map(|line| line.trim().strip_prefix("pub ")?.strip_suffix(": u64,"));
        let missing = counters.find(|name| !this.contains(&format!("counters.{name}")));
        assert_eq!(missing, None);
    }

    #[test]
    fn no_batches_are_none() {
        assert_eq!(batches(&BatchSizes::default()), "none");
    }

    #[test]
    fn goodput_is_shown_for_what_moved() {
        let mut page = Page::default();
        let second = Duration::from_secs(1);
        let traffic = Traffic { sent: 1 << 20, sent_in: second, ..Traffic::default() };
        page.traffic(&traffic);
        assert!(page.text().contains("  goodput, sending         8.4 Mbit/s (1.0 MiB/s)\n"));
        assert!(page.text().contains("  received                 0 bytes\n"));
        assert!(!page.text().contains("goodput, receiving"));
    }
}
