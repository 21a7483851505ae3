//! The table of states and segments: which script shows what becomes of each
//! kind of segment in each state (RFC 9293 §3.10.7).
//!
//! The cells are what the scripts were seen to do when they ran. A cell that no
//! script shows needs a reason, and a reason needs such a cell.

use core::fmt::Write as _;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::ast::Script;
use crate::run::compare::Mode;
use crate::run::kind::is_opening;
use crate::run::{Cell, Kind, Limits, Runner, Stack, State, Verdict};

/// The reasons of cells that no script shows: a reason, and indented below it the
/// cells, as `STATE, STATE: kind; kind`.
pub const REASONS: &str = include_str!("../expected/state-table.txt");

/// Directories whose scripts are about single segments. Their scripts are named
/// first, so that the table does not change with every script.
const FIRST: [&str; 8] =
    ["reset", "listen", "handshake", "close", "time-wait", "states", "urgent", "timestamps"];

const STATES: [(State, &str); 11] = [
    (State::Closed, "CLOSED"),
    (State::Listen, "LISTEN"),
    (State::SynSent, "SYN-SENT"),
    (State::SynReceived, "SYN-RECEIVED"),
    (State::Established, "ESTABLISHED"),
    (State::FinWait1, "FIN-WAIT-1"),
    (State::FinWait2, "FIN-WAIT-2"),
    (State::CloseWait, "CLOSE-WAIT"),
    (State::Closing, "CLOSING"),
    (State::LastAck, "LAST-ACK"),
    (State::TimeWait, "TIME-WAIT"),
];

/// What each script was seen to do.
#[derive(Debug, Default)]
pub struct Table {
    scripts: BTreeMap<String, BTreeSet<(&'static str, Kind)>>,
}

/// Why some cells are empty.
#[derive(Debug, Default)]
pub struct Reasons {
    texts: Vec<String>,
    cells: BTreeMap<(&'static str, Kind), usize>,
}

impl Reasons {
    /// Reads a list such as [`REASONS`].
    ///
    /// # Errors
    /// A line that names no state or kind, or a cell for the second time.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut reasons = Self::default();
        let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
        for line in lines {
            let Some(cells) = line.strip_prefix(' ') else {
                reasons.texts.push(line.to_owned());
                continue;
            };
            let (states, kinds) = cells.split_once(':').ok_or(line)?;
            let index = reasons.texts.len().checked_sub(1).ok_or(line)?;
            for state in states.split(',').map(str::trim) {
                let known = STATES.iter().find(|(_, name)| *name == state);
                let (state, name) = *known.ok_or_else(|| format!("{line}: no state {state}"))?;
                for kind in kinds.split(';').map(str::trim) {
                    let kind = Kind::named(kind, is_opening(state))
                        .ok_or_else(|| format!("{line}: no kind {kind}"))?;
                    if reasons.cells.insert((name, kind), index).is_some() {
                        return Err(format!("{name}, {}: two reasons", kind.name()));
                    }
                }
            }
        }
        Ok(reasons)
    }
}

impl Table {
    /// Runs the script at `path` on `stack` and takes in what it does, if it passes:
    /// what a failing script does is no proof.
    pub fn watch<S: Stack>(&mut self, path: &Path, stack: S, script: &Script) {
        let directory = path.parent().and_then(Path::file_name).unwrap_or_default();
        let name = Path::new(directory).join(path.file_stem().unwrap_or_default());
        let (verdict, cells) = Runner::watch(stack, script, Mode::Default, Limits::default());
        if verdict == Verdict::Pass {
            self.add(&name.display().to_string(), &cells);
        }
    }

    /// Takes in what the script called `name` was seen to do.
    fn add(&mut self, name: &str, cells: &[Cell]) {
        let named = cells.iter().filter_map(|(state, kind)| {
            let (_, state) = STATES.iter().find(|(known, _)| known == state)?;
            Some((*state, *kind))
        });
        self.scripts.entry(name.to_owned()).or_default().extend(named);
    }

    /// The script for a cell: of those about single segments, else of all, the one
    /// that shows the fewest cells, and of these the first by name.
    fn script(&self, cell: (&'static str, Kind)) -> Option<&str> {
        let showing = self.scripts.iter().filter(|(_, cells)| cells.contains(&cell));
        let rank = |name: &str, cells: &BTreeSet<_>| {
            let directory = name.split('/').next().unwrap_or_default();
            (!FIRST.contains(&directory), cells.len())
        };
        let best = showing.min_by_key(|(name, cells)| rank(name, cells));
        best.map(|(name, _)| name.as_str())
    }

    fn cells() -> impl Iterator<Item = (&'static str, Kind)> {
        STATES.iter().flat_map(|(state, name)| {
            let mine = |kind: &&Kind| kind.is_opening() == is_opening(*state);
            Kind::ALL.iter().filter(mine).map(|kind| (*name, *kind))
        })
    }

    /// Cells without a script and a reason, and cells with both.
    #[must_use]
    pub fn faults(&self, reasons: &Reasons) -> Vec<String> {
        let fault = |cell: (&'static str, Kind)| {
            let (state, kind) = (cell.0, cell.1.name());
            match (self.script(cell), reasons.cells.get(&cell)) {
                (None, None) => Some(format!("{state}, {kind}: no script and no reason")),
                (Some(script), Some(_)) => {
                    Some(format!("{state}, {kind}: has a reason, but {script} shows it"))
                }
                _ => None,
            }
        };
        Self::cells().filter_map(fault).collect()
    }

    /// The tables as Markdown, and the reasons below them.
    #[must_use]
    pub fn markdown(&self, reasons: &Reasons) -> String {
        let mut text = String::from(HEAD);
        for (title, opening) in
            [("Nothing has come from the peer", true), ("All other states", false)]
        {
            let _ = write!(text, "\n## {title}\n\n| |");
            let states: Vec<_> =
                STATES.iter().filter(|(state, _)| is_opening(*state) == opening).collect();
            states.iter().for_each(|(_, name)| {
                let _ = write!(text, " {name} |");
            });
            let _ = writeln!(text, "\n|---|{}", "---|".repeat(states.len()));
            for kind in Kind::ALL.iter().filter(|kind| kind.is_opening() == opening) {
                let _ = write!(text, "| {} |", kind.name());
                for (_, state) in &states {
                    let cell = (*state, *kind);
                    let _ = match (self.script(cell), reasons.cells.get(&cell)) {
                        (Some(script), _) => write!(text, " {script} |"),
                        (None, Some(reason)) => write!(text, " ({}) |", reason + 1),
                        (None, None) => write!(text, " **missing** |"),
                    };
                }
                text.push('\n');
            }
        }
        text.push_str("\n## Cells without a script\n\n");
        for (index, reason) in reasons.texts.iter().enumerate() {
            let _ = writeln!(text, "{}. {reason}", index + 1);
        }
        text
    }
}

const HEAD: &str = "# States and segments

Which script of `crates/tou-packetdrill/scripts` shows what becomes of which kind of segment in which state (RFC 9293 §3.10.7). The table is made, not written: while the
scripts run, the runner asks the core for its state before each segment that arrives, and tells the segment's kind by what went over the wire before. Where several scripts show a
cell, it names the one that shows the least else. Data and FIN that also acknowledge something new, or are urgent, stand in these rows too.

    cargo run --release -p tou-packetdrill -- table crates/tou-packetdrill/scripts > docs/STATE-TABLE.md

A cell that no script shows has the number of its reason (`crates/tou-packetdrill/expected/state-table.txt`). `cargo test -p tou-packetdrill --test state_table` compares.
";

#[cfg(test)]
mod tests {
    use super::*;

    fn table(scripts: &[(&str, &[Cell])]) -> Table {
        let mut table = Table::default();
        scripts.iter().for_each(|(name, cells)| table.add(name, cells));
        table
    }

    const RST: Cell = (State::Closed, Kind::OpeningRst);
    const SYN: Cell = (State::Closed, Kind::OpeningSyn);

    #[test]
    fn the_script_that_shows_least_is_named() {
        let table = table(&[("reset/a", &[RST, SYN]), ("reset/b", &[RST]), ("reset/c", &[RST])]);
        assert_eq!(table.script(("CLOSED", Kind::OpeningRst)), Some("reset/b"));
        assert_eq!(table.script(("CLOSED", Kind::OpeningSyn)), Some("reset/a"));
    }

    #[test]
    fn scripts_about_segments_come_first() {
        let table = table(&[("acks/a", &[RST]), ("reset/b", &[RST, SYN])]);
        assert_eq!(table.script(("CLOSED", Kind::OpeningRst)), Some("reset/b"));
    }

    #[test]
    fn cells_and_reasons_exclude_each_other() {
        let table = table(&[("a/a", &[RST])]);
        let reasons = Reasons::parse("because\n CLOSED, LISTEN: RST; SYN\n").unwrap();
        let faults = table.faults(&reasons);
        assert!(faults.contains(&"CLOSED, RST: has a reason, but a/a shows it".to_owned()));
        assert!(faults.contains(&"CLOSED, ACK: no script and no reason".to_owned()));
        assert!(!faults.iter().any(|fault| fault.starts_with("CLOSED, SYN:")));
        assert!(!faults.iter().any(|fault| fault.starts_with("LISTEN, RST:")));
    }

    #[test]
    fn lists_of_reasons_that_mean_nothing_are_refused() {
        for text in [" CLOSED: RST", "x\n CLOSED", "x\n SHUT: RST", "x\n CLOSED: RST at RCV.NXT"] {
            assert!(Reasons::parse(text).is_err(), "{text}");
        }
        assert!(Reasons::parse("x\n CLOSED: RST\ny\n CLOSED: RST").is_err());
    }
}
