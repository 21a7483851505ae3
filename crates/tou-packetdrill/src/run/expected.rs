//! The list of expected differences: scripts that fail, how, and why that is
//! right.
//!
//! ```text
//! # A comment.
//! = RFC 9293 §3.6, figure 13: a FIN is answered with an ACK.
//! ~ > . 2:2(0) ack 2
//! rcv-rst-closing/*
//! ```
//!
//! `=` gives the reason for the scripts below it, `~` how the failure or the
//! segment that is sent instead must begin: another failure of the same script
//! stays one. A script is named by the end of its path; a `*` at the end stands
//! for any rest. An entry that no failure asks for is reported: a list must not
//! outlive its reasons.

use core::cell::Cell;
use std::path::Path;

use super::verdict::Failure;

/// One script, or several with one beginning.
#[derive(Debug)]
struct Entry {
    line: usize,
    pattern: String,
    /// How the failure must begin.
    pin: Option<String>,
    reason: String,
    used: Cell<bool>,
}

/// The list.
#[derive(Debug, Default)]
pub struct Expected(Vec<Entry>);

impl Expected {
    /// Reads a list.
    ///
    /// # Errors
    /// An entry without a reason, or one of several words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut entries = Vec::new();
        let mut reason: Option<String> = None;
        let mut pin: Option<String> = None;
        for (index, line) in text.lines().enumerate() {
            let number = index + 1;
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(text) = line.strip_prefix("= ") {
                reason = Some(text.trim().to_owned());
                pin = None;
            } else if let Some(text) = line.strip_prefix("~ ") {
                pin = Some(text.trim().to_owned());
            } else if line.contains(char::is_whitespace) {
                return Err(format!("line {number}: `{line}` is no path"));
            } else {
                let reason = reason.clone().ok_or(format!("line {number}: no reason is given"))?;
                let (pattern, pin, used) = (line.to_owned(), pin.clone(), Cell::new(false));
                entries.push(Entry { line: number, pattern, pin, reason, used });
            }
        }
        Ok(Self(entries))
    }

    /// Why the script at `path` may fail in this way, if the list says so.
    #[must_use]
    pub fn reason(&self, path: &Path, failure: &Failure) -> Option<&str> {
        let text = path.to_string_lossy().replace('\\', "/");
        let entry =
            self.0.iter().find(|entry| entry.matches(&text) && entry.has_foreseen(failure))?;
        entry.used.set(true);
        Some(&entry.reason)
    }

    /// Entries that were never asked for, as `line: pattern`.
    #[must_use]
    pub fn unused(&self) -> Vec<String> {
        let unused = self.0.iter().filter(|entry| !entry.used.get());
        unused.map(|entry| format!("{}: {}", entry.line, entry.pattern)).collect()
    }
}

impl Entry {
    /// `path` ends with the pattern, at whole names; a `*` at the pattern's end
    /// takes any rest.
    fn matches(&self, path: &str) -> bool {
        let stem = self.pattern.strip_suffix('*');
        let starts = core::iter::once(0).chain(path.match_indices('/').map(|(at, _)| at + 1));
        starts.map(|at| &path[at..]).any(|tail| match stem {
            Some(stem) => tail.starts_with(stem),
            None => tail == self.pattern,
        })
    }

    fn has_foreseen(&self, failure: &Failure) -> bool {
        let Some(pin) = &self.pin else { return true };
        let begins = |text: &String| text.starts_with(pin.as_str());
        begins(&failure.reason) || failure.actual.as_ref().is_some_and(begins)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(reason: &str, actual: Option<&str>) -> Failure {
        Failure {
            line: 1,
            reason: reason.to_owned(),
            scripted: None,
            actual: actual.map(str::to_owned),
            trace: Vec::new(),
        }
    }

    #[test]
    fn paths_match_at_their_end() {
        let list = Expected::parse("# why\n\n= RFC 1 §2: so.\na/b.pkt\n= RFC 3\nc/d-*\n").unwrap();
        let failure = failure("ack is 2, not 1", None);
        let reason = |path: &str| list.reason(Path::new(path), &failure);
        assert_eq!(reason("/x/a/b.pkt"), Some("RFC 1 §2: so."));
        assert_eq!(reason("a/b.pkt"), Some("RFC 1 §2: so."));
        assert_eq!(reason("/x/za/b.pkt"), None);
        assert_eq!(reason("y/c/d-ipv4.pkt"), Some("RFC 3"));
        assert_eq!(reason("y/c/e.pkt"), None);
    }

    #[test]
    fn another_failure_than_foreseen_stays_a_failure() {
        let list = Expected::parse("= RFC 1\n~ > . 2:2(0)\na.pkt\n~ nothing\nb.pkt\n").unwrap();
        let reason =
            |path: &str, failure: &Failure| list.reason(Path::new(path), failure).is_some();
        let sent = |segment| failure("ack is 2, not 1", Some(segment));
        assert!(reason("a.pkt", &sent("> . 2:2(0) ack 2")));
        assert!(!reason("a.pkt", &sent("> . 3:3(0) ack 2")));
        assert!(!reason("b.pkt", &sent("> . 2:2(0) ack 2")));
        assert!(reason("b.pkt", &failure("nothing is sent", None)));
    }

    #[test]
    fn unused_lines_are_told() {
        let list = Expected::parse("= x\na.pkt\nb.pkt").unwrap();
        assert!(list.reason(Path::new("a.pkt"), &failure("", None)).is_some());
        assert_eq!(list.unused(), ["3: b.pkt"]);
    }

    #[test]
    fn a_reason_and_a_path_are_needed() {
        assert_eq!(Expected::parse("a.pkt").unwrap_err(), "line 1: no reason is given");
        assert_eq!(Expected::parse("= x\na b").unwrap_err(), "line 2: `a b` is no path");
    }
}
