//! What a run came to: tables, and the same as JSON.

use serde::Serialize;

use super::measure::{Figures, Measure};

/// All turns of one transport in one contest.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Entry {
    pub(crate) transport: String,
    /// One for each round; `None` where the turn failed.
    pub(crate) turns: Vec<Option<Figures>>,
}

/// Transports that took turns at the same thing.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Contest {
    pub(crate) title: String,
    #[serde(skip)]
    pub(crate) measure: Measure,
    pub(crate) entries: Vec<Entry>,
}

/// A figure in a table.
#[derive(Clone, Copy, Debug)]
struct Column {
    figure: &'static str,
    title: &'static str,
    decimals: usize,
}

const fn column(figure: &'static str, title: &'static str, decimals: usize) -> Column {
    Column { figure, title, decimals }
}

/// CPU seconds of the sending and the receiving process, their datagrams in one
/// system call, and what was sent for each octet delivered.
const BULK: &[Column] = &[
    column("gbit", "Gbit/s", 2),
    column("tx_cpu", "tx s/GiB", 3),
    column("rx_cpu", "rx s/GiB", 3),
    column("tx_call", "tx/call", 1),
    column("rx_call", "rx/call", 1),
    column("wire", "sent/octet", 3),
];

/// The figures of a measure. The first is what transports are compared by.
fn columns(measure: Measure) -> Vec<Column> {
    match measure {
        Measure::Bulk => BULK.to_vec(),
        Measure::Streams => {
            let share = column("least_share", "min share", 2);
            BULK.iter().copied().chain([share]).collect()
        }
        Measure::Latency => vec![
            column("p50", "p50 us", 1),
            column("p99", "p99 us", 1),
            column("client_cpu", "client us", 1),
            column("server_cpu", "server us", 1),
        ],
        Measure::Connect => vec![column("rate", "conn/s", 0)],
        Measure::Idle => vec![
            column("client_wakeups", "wakeups/s", 1),
            column("client_cpu", "cpu us/s", 0),
            column("server_wakeups", "the other", 1),
            column("server_cpu", "cpu us/s", 0),
        ],
    }
}

/// What the first figure is divided by.
fn yardsticks(measure: Measure) -> &'static [&'static str] {
    match measure {
        Measure::Latency => &["tcp", "udp"],
        Measure::Bulk | Measure::Streams | Measure::Connect => &["tcp"],
        Measure::Idle => &[],
    }
}

impl Contest {
    /// The medians, one line for each transport.
    pub(crate) fn table(&self) -> String {
        let columns = columns(self.measure);
        let yardsticks = yardsticks(self.measure);
        let mut text = format!("{}\n  {:10}", self.title, "");
        for column in &columns {
            text += &format!(" {:>10}", column.title);
            if column.figure == columns[0].figure {
                yardsticks.iter().for_each(|name| text += &format!(" {:>7}", format!("x {name}")));
            }
        }
        for entry in &self.entries {
            text += &format!("\n  {:10}", entry.transport);
            for column in &columns {
                text += &cell(entry.median(column.figure), 10, column.decimals);
                if column.figure == columns[0].figure {
                    for name in yardsticks {
                        text += &cell(self.ratio(entry, name, column.figure), 7, 2);
                    }
                }
            }
            let failures = entry.turns.iter().filter(|turn| turn.is_none()).count();
            if failures > 0 {
                text += &format!("  FAILED {failures} of {}", entry.turns.len());
            }
        }
        text + "\n"
    }

    /// The median of what an entry's figure is to another's of the same round.
    fn ratio(&self, entry: &Entry, yardstick: &str, figure: &str) -> Option<f64> {
        let yardstick = self.entries.iter().find(|entry| entry.transport == yardstick)?;
        let turns = entry.turns.iter().zip(&yardstick.turns);
        median(turns.filter_map(|(turn, other)| {
            Some(turn.as_ref()?.get(figure)? / other.as_ref()?.get(figure)?)
        }))
    }
}

impl Entry {
    pub(crate) fn median(&self, figure: &str) -> Option<f64> {
        median(self.turns.iter().flatten().filter_map(|turn| turn.get(figure).copied()))
    }
}

fn cell(value: Option<f64>, width: usize, decimals: usize) -> String {
    value.map_or_else(|| format!(" {:>width$}", "-"), |value| format!(" {value:width$.decimals$}"))
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = *values.get((values.len() - 1) / 2)?;
    Some((lower + upper) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(transport: &str, rates: &[Option<f64>]) -> Entry {
        let turn = |rate: &Option<f64>| rate.map(|rate| Figures::from([("rate".into(), rate)]));
        Entry { transport: transport.into(), turns: rates.iter().map(turn).collect() }
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        // The machine became four times as fast after the first round.
        let contest = Contest {
            title: "t".into(),
            measure: Measure::Connect,
            entries: vec![
                entry("tcp", &[Some(10.0), Some(40.0), None]),
                entry("tou", &[Some(5.0), Some(20.0), Some(7.0)]),
            ],
        };
        assert_eq!(contest.ratio(&contest.entries[1], "tcp", "rate"), Some(0.5));
        assert_eq!(contest.entries[1].median("rate"), Some(7.0));
        assert_eq!(contest.ratio(&contest.entries[1], "udp", "rate"), None);
        assert!(contest.table().contains("FAILED 1 of 3"), "{}", contest.table());
    }
}
