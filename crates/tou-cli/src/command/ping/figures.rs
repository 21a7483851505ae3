//! The figures of a series of round trips, as ping has shown them for forty
//! years.

use core::time::Duration;

use serde_json::{Value, json};

use crate::address::PeerAddress;
use crate::format;

/// What was counted and measured.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures {
    sent: u64,
    received: u64,
    lost: u64,
    min: Duration,
    max: Duration,
    /// Sums of the times in seconds and of their squares.
    sum: f64,
    squares: f64,
}

impl Figures {
    pub(super) fn on_sent(&mut self) {
        self.sent += 1;
    }

    pub(super) fn on_echo(&mut self, time: Duration) {
        self.min = if self.received == 0 { time } else { self.min.min(time) };
        self.max = self.max.max(time);
        self.received += 1;
        let seconds = time.as_secs_f64();
        self.sum += seconds;
        self.squares += seconds * seconds;
    }

    /// The connection has failed with a probe under way.
    pub(super) fn on_lost(&mut self) {
        self.lost += 1;
    }

    pub(super) fn received(&self) -> u64 {
        self.received
    }

    fn avg(&self) -> Duration {
        Duration::from_secs_f64(self.sum / self.received.max(1) as f64)
    }

    /// The standard deviation.
    fn mdev(&self) -> Duration {
        let count = self.received.max(1) as f64;
        let mean = self.sum / count;
        // Rounding may leave less than nothing of equal times.
        Duration::from_secs_f64((self.squares / count - mean * mean).max(0.0).sqrt())
    }

    /// Probes that may still come back: who interrupts ping does not wait for
    /// them.
    fn under_way(&self) -> u64 {
        self.sent.saturating_sub(self.received + self.lost)
    }

    /// The share of probes that never came back. TCP loses nothing but what is
    /// under way when a connection fails.
    fn loss(&self) -> f64 {
        self.lost as f64 / self.sent.max(1) as f64
    }

    pub(super) fn words(&self, peer: &PeerAddress, took: Duration) -> String {
        let Self { sent, received, min, max, .. } = self;
        let loss = format::percent(self.loss());
        let took = format::time(took);
        let under_way = match self.under_way() {
            0 => String::new(),
            number => format!("{number} under way, "),
        };
        let mut words = format!(
            "--- {peer} ping statistics ---\n\
             {sent} sent, {received} received, {under_way}{loss} loss, time {took}"
        );
        if *received > 0 {
            let [min, avg, max, mdev] = [*min, self.avg(), *max, self.mdev()].map(format::millis);
            words.push_str(&format!("\nrtt min/avg/max/mdev = {min}/{avg}/{max}/{mdev} ms"));
        }
        words
    }

    pub(super) fn json(&self, peer: &PeerAddress, took: Duration) -> Value {
        let times = (self.received > 0).then(|| {
            json!({
                "min": self.min.as_secs_f64(),
                "avg": self.avg().as_secs_f64(),
                "max": self.max.as_secs_f64(),
                "mdev": self.mdev().as_secs_f64(),
            })
        });
        json!({
            "event": "summary",
            "peer": peer.to_string(),
            "sent": self.sent,
            "received": self.received,
            "under_way": self.under_way(),
            "loss": self.loss(),
            "seconds": took.as_secs_f64(),
            "rtt_seconds": times,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(millis: &[u64]) -> Figures {
        let mut figures = Figures::default();
        for &millis in millis {
            figures.on_sent();
            figures.on_echo(Duration::from_millis(millis));
        }
        figures
    }

    #[test]
    fn the_usual_line_is_shown() {
        let peer: PeerAddress = "host:7".parse().unwrap();
        let words = of(&[2, 4, 4, 4, 5, 5, 7, 9]).words(&peer, Duration::from_secs(8));
        let expected = "--- host:7 ping statistics ---\n\
                        8 sent, 8 received, 0 % loss, time 8.000 s\n\
                        rtt min/avg/max/mdev = 2.000/5.000/9.000/2.000 ms";
        assert_eq!(words, expected);
    }

    #[test]
    fn nothing_received_has_no_times() {
        let peer: PeerAddress = "host:7".parse().unwrap();
        let mut figures = Figures::default();
        assert!(
            figures
                .words(&peer, Duration::ZERO)
                .ends_with("0 sent, 0 received, 0 % loss, time 0 s")
        );
        figures.on_sent();
        figures.on_lost();
        assert!(figures.words(&peer, Duration::ZERO).contains("1 sent, 0 received, 100 % loss"));
        assert_eq!(figures.json(&peer, Duration::ZERO)["rtt_seconds"], Value::Null);
    }

    #[test]
    fn a_probe_that_may_still_come_back_is_not_lost() {
        let peer: PeerAddress = "host:7".parse().unwrap();
        let mut figures = of(&[1]);
        figures.on_sent();
        let words = figures.words(&peer, Duration::ZERO);
        assert!(words.contains("2 sent, 1 received, 1 under way, 0 % loss"), "{words}");
        assert_eq!(figures.json(&peer, Duration::ZERO)["under_way"], 1);
        figures.on_lost();
        let words = figures.words(&peer, Duration::ZERO);
        assert!(words.contains("2 sent, 1 received, 50 % loss"), "{words}");
    }

    #[test]
    fn equal_times_do_not_deviate() {
        assert_eq!(of(&[3; 1_000]).mdev().as_millis(), 0);
        assert_eq!(of(&[7]).mdev().as_millis(), 0);
    }
}
