//! What was counted, as a page for people: `--stats`.

use core::fmt::Write;
use core::time::Duration;
use std::io::{self, Write as _};

use tou_mio::{TouSocket, TouStream};
use tou_proto::{ConnectionCounters, ConnectionInfo, EndpointCounters};
use tou_udp::{BatchSizes, Direction, ImpairmentStats, SocketStats};

use crate::format;
use crate::relay::Traffic;

/// Collects the page.
#[derive(Debug, Default)]
pub(crate) struct Page {
    text: String,
}

impl Page {
    /// A part of the page.
    pub(crate) fn section(&mut self, title: &str) {
        let _ = writeln!(self.text, "{title}");
    }

    /// A line of a part.
    pub(crate) fn line(&mut self, name: &str, value: impl core::fmt::Display) {
        let _ = writeln!(self.text, "  {name:<24} {value}");
    }

    /// A counter, unless it has counted nothing.
    fn count(&mut self, name: &str, count: u64) {
        if count > 0 {
            self.line(name, format::grouped(count));
        }
    }

    /// Shows the page on standard error.
    pub(crate) fn show(&self) {
        // Nobody could be told of an error.
        let _ = io::stderr().write_all(self.text.as_bytes());
    }

    /// What went through, and how fast.
    pub(crate) fn traffic(&mut self, traffic: &Traffic) {
        self.section("traffic");
        let flow = |bytes, time: Duration| match time {
            Duration::ZERO => format::bytes(bytes),
            time => format!("{} in {}", format::bytes(bytes), format::time(time)),
        };
        self.line("sent", flow(traffic.sent, traffic.sent_in));
        self.line("received", flow(traffic.received, traffic.received_in));
        let rates = [
            ("goodput, sending", traffic.sent, traffic.sent_in),
            ("goodput, receiving", traffic.received, traffic.received_in),
        ];
        for (name, bytes, time) in rates {
            if bytes > 0 && !time.is_zero() {
                self.line(name, format::rate(bytes, time));
            }
        }
    }

    /// A connection as it is now. `live`: as it was while data moved.
    pub(crate) fn connection(&mut self, stream: &TouStream, live: Option<ConnectionInfo>) {
        let Ok(info) = stream.info() else {
            self.section("connection: aborted by this side");
            return;
        };
        let peer = stream.peer_addr().map(|addr| addr.to_string()).unwrap_or_default();
        self.section(&format!("connection with {peer}"));
        self.line(
            "TCP ports",
            format!("{} here, {} there", stream.local_port(), stream.peer_port()),
        );
        self.line("state", info.state);
        let counters = info.counters;
        self.info(&live.unwrap_or(info));
        self.counters(&counters);
    }

    fn info(&mut self, info: &ConnectionInfo) {
        let time = |time: Option<Duration>| time.map_or("unknown".to_owned(), format::time);
        let (srtt, rttvar, min) = (time(info.srtt), time(info.rttvar), time(info.min_rtt));
        self.line("round trip", format!("{srtt} smoothed, {rttvar} variation, {min} smallest"));
        self.line("retransmission timeout", format::time(info.rto));
        let threshold = match info.ssthresh {
            u64::MAX => "none".to_owned(),
            bytes => format::bytes(bytes),
        };
        self.line("congestion control", info.congestion);
        self.line("congestion window", format::bytes(info.cwnd));
        self.line("slow-start threshold", threshold);
        let (in_flight, outstanding) = (info.in_flight, info.outstanding);
        self.line(
            "in flight",
            format!(
                "{}, {} not acknowledged",
                format::bytes(in_flight),
                format::grouped(outstanding)
            ),
        );
        self.line("data per segment", format::bytes(info.mss));
        let [ours, theirs] = [info.announced_mss, info.peer_mss];
        self.line("MSS", format!("{ours} here, {theirs} there"));
        let (theirs, ours) = info.window_shifts;
        self.line("peer's window", format!("{}, shift {theirs}", format::bytes(info.snd_wnd)));
        self.line("own window", format!("{}, shift {ours}", format::bytes(info.rcv_wnd)));
        self.line("receive buffer", format::bytes(info.recv_buffer));
        let [send, recv, holes] =
            [info.send_queue, info.recv_queue, info.reassembly_queue].map(format::grouped);
        self.line("queues", format!("{send} to send, {recv} to read, {holes} out of order"));
        self.line("memory of buffers", format::bytes(info.memory as u64));
        let options = match (info.timestamps, info.sack) {
            (true, true) => "timestamps, SACK",
            (true, false) => "timestamps",
            (false, true) => "SACK",
            (false, false) => "none",
        };
        self.line("options", options);
        if info.reordering_seen {
            self.line("reordering window", format::time(info.reordering_window));
        }
    }

    fn counters(&mut self, counters: &ConnectionCounters) {
        self.line("segments sent", format::grouped(counters.segments_sent));
        self.line("segments received", format::grouped(counters.segments_received));
        self.line("segments retransmitted", format::grouped(counters.segments_retransmitted));
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
            ("unacceptable segments", counters.unacceptable_segments),
            ("rejected by PAWS", counters.paws_rejected),
            ("challenge ACKs", counters.challenge_acks),
            ("challenge ACKs not sent", counters.challenge_acks_suppressed),
            ("zero-window probes", counters.window_probes),
            ("keepalive probes", counters.keepalive_probes),
            ("segment size fell", counters.mtu_fallbacks),
            ("path errors", counters.soft_errors),
        ] {
            self.count(name, count);
        }
    }

    /// A socket, from its endpoint down to the system calls.
    pub(crate) fn socket(&mut self, socket: &TouSocket) {
        self.section(&format!("endpoint at {}", socket.local_addr()));
        self.endpoint(&socket.counters());
        self.section("UDP socket");
        self.udp(&socket.socket_stats());
        for (direction, title) in [
            (Direction::Send, "impairment, sending"),
            (Direction::Receive, "impairment, receiving"),
        ] {
            if let Some(stats) = socket.impairment_stats(direction) {
                self.section(title);
                self.impairment(&stats);
            }
        }
        self.section("driver");
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
        self.line("datagrams received", format::grouped(counters.datagrams_received));
        for (name, count) in [
            ("invalid sources", counters.invalid_sources),
            ("malformed segments", counters.malformed_segments),
            ("bad checksums", counters.bad_checksums),
            ("malformed options", counters.malformed_options),
            ("stray segments", counters.stray_segments),
            ("resets sent", counters.resets_sent),
            ("stray replies not sent", counters.stray_replies_suppressed),
            ("SYNs dropped", counters.syns_dropped),
            ("connections refused", counters.connections_refused),
            ("from a wrong path", counters.wrong_path),
            ("TIME-WAITs evicted", counters.time_wait_evicted),
            ("stray path errors", counters.stray_path_errors),
        ] {
            self.count(name, count);
        }
    }

    fn udp(&mut self, stats: &SocketStats) {
        let flow = |datagrams, bytes, calls| {
            let [datagrams, bytes, calls] = [datagrams, bytes, calls].map(format::grouped);
            format!("{datagrams} datagrams, {bytes} bytes, {calls} system calls")
        };
        self.line("sent", flow(stats.datagrams_sent, stats.bytes_sent, stats.send_calls));
        self.line("GSO batches sent", batches(&stats.batches_sent));
        self.line(
            "received",
            flow(stats.datagrams_received, stats.bytes_received, stats.recv_calls),
        );
        self.line("GRO batches received", batches(&stats.batches_received));
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
        self.line("datagrams that came", format::grouped(stats.came));
        self.line("passed", format::grouped(stats.passed));
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

/// How many batches had how many datagrams: `1: 12, 4-7: 3, 64+: 9`.
fn batches(sizes: &BatchSizes) -> String {
    const CLASSES: [&str; 7] = ["1", "2-3", "4-7", "8-15", "16-31", "32-63", "64+"];
    let classes = CLASSES.iter().zip(sizes.classes()).filter(|(_, count)| *count > 0);
    let classes = classes.map(|(class, count)| format!("{class}: {}", format::grouped(count)));
    let text = classes.collect::<Vec<_>>().join(", ");
    if text.is_empty() { "none".to_owned() } else { format!("by datagrams: {text}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_of_nothing_is_not_shown() {
        let mut page = Page::default();
        page.section("part");
        page.count("nothing", 0);
        page.count("something", 1_234);
        assert_eq!(page.text, "part\n  something                1,234\n");
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
        assert!(page.text.contains("  goodput, sending         8.4 Mbit/s (1.0 MiB/s)\n"));
        assert!(page.text.contains("  received                 0 bytes\n"));
        assert!(!page.text.contains("goodput, receiving"));
    }
}
