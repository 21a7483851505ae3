//! What came out, for people and for programs.

use core::fmt::Write as _;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::verdict::{Failure, Verdict};

/// One script's outcome.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its file.
    pub path: PathBuf,
    /// The reading that decided, where there are several.
    pub variant: Option<String>,
    /// How it ended.
    pub verdict: Verdict,
}

/// Counts of one directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Scripts that passed.
    pub pass: usize,
    /// Scripts that differ as expected.
    pub differ: usize,
    /// Scripts that failed.
    pub fail: usize,
    /// Scripts that could not be judged.
    pub skip: usize,
}

impl Counts {
    fn add(&mut self, verdict: &Verdict) {
        *match verdict {
            Verdict::Pass => &mut self.pass,
            Verdict::Differ(..) => &mut self.differ,
            Verdict::Fail(_) => &mut self.fail,
            Verdict::Skip(_) => &mut self.skip,
        } += 1;
    }
}

/// Counts of all entries.
#[must_use]
pub fn total(entries: &[Entry]) -> Counts {
    let mut counts = Counts::default();
    entries.iter().for_each(|entry| counts.add(&entry.verdict));
    counts
}

/// A table by directory with its sum, and the reasons of differences and skips.
#[must_use]
pub fn table(entries: &[Entry]) -> String {
    let mut directories: BTreeMap<&Path, Counts> = BTreeMap::new();
    let mut skips: BTreeMap<&str, usize> = BTreeMap::new();
    let mut differences: BTreeMap<&str, usize> = BTreeMap::new();
    for entry in entries {
        let directory = entry.path.parent().unwrap_or(Path::new(""));
        directories.entry(directory).or_default().add(&entry.verdict);
        match &entry.verdict {
            Verdict::Skip(reason) => *skips.entry(reason).or_default() += 1,
            Verdict::Differ(_, reason) => *differences.entry(reason).or_default() += 1,
            Verdict::Pass | Verdict::Fail(_) => {}
        }
    }
    let mut text =
        format!("{:>6} {:>6} {:>6} {:>6}  directory\n", "PASS", "DIFFER", "FAIL", "SKIP");
    let mut row = |counts: &Counts, name: &str| {
        let Counts { pass, differ, fail, skip } = counts;
        let _ = writeln!(text, "{pass:>6} {differ:>6} {fail:>6} {skip:>6}  {name}");
    };
    for (directory, counts) in &directories {
        row(counts, &directory.display().to_string());
    }
    row(&total(entries), "in all");
    for (reason, count) in differences {
        let _ = writeln!(text, "{count:>6} differ: {reason}");
    }
    for (reason, count) in skips {
        let _ = writeln!(text, "{count:>6} skipped: {reason}");
    }
    text
}

/// One line for an entry, and a failure in full below it.
#[must_use]
pub fn line(entry: &Entry) -> String {
    let path = entry.path.display();
    let variant = entry.variant.as_ref().map(|name| format!(" [{name}]")).unwrap_or_default();
    let word = entry.verdict.word();
    match &entry.verdict {
        Verdict::Pass => format!("{word:<6} {path}{variant}"),
        Verdict::Skip(reason) => format!("{word:<6} {path}{variant}: {reason}"),
        Verdict::Differ(_, reason) => format!("{word:<6} {path}{variant}: {reason}"),
        Verdict::Fail(failure) => format!("{word:<6} {path}{variant}\n{failure}"),
    }
}

/// All entries as one JSON array.
#[must_use]
pub fn json(entries: &[Entry]) -> String {
    let objects: Vec<_> = entries.iter().map(object).collect();
    format!("[\n{}\n]\n", objects.join(",\n"))
}

fn object(entry: &Entry) -> String {
    let mut fields =
        vec![field("path", &entry.path.to_string_lossy()), field("verdict", entry.verdict.word())];
    fields.extend(entry.variant.as_ref().map(|name| field("variant", name)));
    match &entry.verdict {
        Verdict::Pass => {}
        Verdict::Skip(reason) => fields.push(field("reason", reason)),
        Verdict::Fail(failure) => fields.extend(failure_fields(failure)),
        Verdict::Differ(failure, reason) => {
            fields.push(field("expected", reason));
            fields.extend(failure_fields(failure));
        }
    }
    format!("  {{{}}}", fields.join(", "))
}

fn failure_fields(failure: &Failure) -> Vec<String> {
    let mut fields = vec![format!("\"line\": {}", failure.line), field("reason", &failure.reason)];
    fields.extend(failure.scripted.as_ref().map(|text| field("scripted", text)));
    fields.extend(failure.actual.as_ref().map(|text| field("actual", text)));
    fields
}

fn field(name: &str, value: &str) -> String {
    format!("\"{name}\": \"{}\"", escaped(value))
}

fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c if u32::from(c) < 0x20 => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str, verdict: Verdict) -> Entry {
        Entry { path: PathBuf::from(path), variant: None, verdict }
    }

    fn failure() -> Failure {
        Failure {
            line: 7,
            reason: "ack is 2, not 1".to_owned(),
            scripted: Some("> . 1:1(0) ack 1".to_owned()),
            actual: Some("> . 1:1(0) ack 2".to_owned()),
            trace: vec!["0.000000 close(3) = 0".to_owned()],
        }
    }

    #[test]
    fn the_table_counts_by_directory() {
        let entries = [
            entry("a/x.pkt", Verdict::Pass),
            entry("a/y.pkt", Verdict::Fail(failure())),
            entry("b/z.pkt", Verdict::Skip("why".to_owned())),
            entry("b/w.pkt", Verdict::Differ(failure(), "RFC".to_owned())),
        ];
        let table = table(&entries);
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(lines[1], "     1      0      1      0  a");
        assert_eq!(lines[2], "     0      1      0      1  b");
        assert_eq!(lines[3], "     1      1      1      1  in all");
        assert_eq!(lines[4], "     1 differ: RFC");
        assert_eq!(lines[5], "     1 skipped: why");
    }

    #[test]
    fn a_failure_shows_both_segments_one_above_the_other() {
        assert_eq!(
            line(&entry("a.pkt", Verdict::Fail(failure()))),
            "FAIL   a.pkt\nline 7: ack is 2, not 1\n  script: > . 1:1(0) ack 1\n  \
             actual: > . 1:1(0) ack 2\n    0.000000 close(3) = 0\n"
        );
    }

    #[test]
    fn json_escapes_what_it_must() {
        let text = json(&[entry("a\"\\.pkt", Verdict::Skip("tab\tnew\nline".to_owned()))]);
        assert_eq!(
            text,
            "[\n  {\"path\": \"a\\\"\\\\.pkt\", \"verdict\": \"SKIP\", \
             \"reason\": \"tab\\u0009new\\nline\"}\n]\n"
        );
    }
}
