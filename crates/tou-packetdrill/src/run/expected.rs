//! The list of expected differences: scripts that fail, and why that is right.
//!
//! One script a line: the end of its path, a blank, the reason with its RFC.
//! `#` begins a comment. A path that ends in `*` stands for every script whose
//! path goes on from there. An entry that matches no failure is a mistake and
//! reported: a list must not outlive its reasons.

use core::cell::Cell;
use std::path::Path;

/// One line of the list.
#[derive(Debug)]
struct Entry {
    line: usize,
    pattern: String,
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
    /// A line without a reason.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut entries = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line_number = index + 1;
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (pattern, reason) = line
                .split_once(char::is_whitespace)
                .ok_or_else(|| format!("line {line_number}: no reason is given"))?;
            entries.push(Entry {
                line: line_number,
                pattern: pattern.to_owned(),
                reason: reason.trim().to_owned(),
                used: Cell::new(false),
            });
        }
        Ok(Self(entries))
    }

    /// Why the script at `path` may fail, if the list says so.
    pub fn reason(&self, path: &Path) -> Option<&str> {
        let text = path.to_string_lossy().replace('\\', "/");
        let entry = self.0.iter().find(|entry| matches(&entry.pattern, &text))?;
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

/// `path` ends with `pattern`, at whole names; a `*` at the pattern's end takes
/// any rest.
fn matches(pattern: &str, path: &str) -> bool {
    let (stem, open) = pattern.strip_suffix('*').map_or((pattern, false), |stem| (stem, true));
    let starts = core::iter::once(0).chain(path.match_indices('/').map(|(at, _)| at + 1));
    starts
        .map(|at| &path[at..])
        .any(|tail| if open { tail.starts_with(stem) } else { tail == stem })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_match_at_their_end() {
        let list = Expected::parse("# why\n\na/b.pkt RFC 1 §2: so.\nc/d-*   RFC 3\n").unwrap();
        assert_eq!(list.reason(Path::new("/x/a/b.pkt")), Some("RFC 1 §2: so."));
        assert_eq!(list.reason(Path::new("a/b.pkt")), Some("RFC 1 §2: so."));
        assert_eq!(list.reason(Path::new("/x/za/b.pkt")), None);
        assert_eq!(list.reason(Path::new("y/c/d-ipv4.pkt")), Some("RFC 3"));
        assert_eq!(list.reason(Path::new("y/c/e.pkt")), None);
    }

    #[test]
    fn unused_lines_are_told() {
        let list = Expected::parse("a.pkt x\nb.pkt y").unwrap();
        list.reason(Path::new("a.pkt"));
        assert_eq!(list.unused(), ["2: b.pkt"]);
    }

    #[test]
    fn a_reason_is_needed() {
        assert_eq!(Expected::parse("a.pkt").unwrap_err(), "line 1: no reason is given");
    }
}
