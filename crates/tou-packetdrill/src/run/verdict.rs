//! How a script ended.

use core::fmt;

use tou_proto::Instant;

/// What went wrong, where, and what led there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The line of the event that failed.
    pub line: u32,
    /// What is wrong, in a few words.
    pub reason: String,
    /// The segment that the script expects.
    pub scripted: Option<String>,
    /// The segment that the stack sent.
    pub actual: Option<String>,
    /// What happened before, oldest first.
    pub trace: Vec<String>,
}

/// How a script ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All it expects came.
    Pass,
    /// It failed, and the list of expected differences says why that is right.
    Differ(Failure, String),
    /// It failed.
    Fail(Failure),
    /// It cannot be judged here, for this reason.
    Skip(String),
}

impl Verdict {
    /// One word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Differ(..) => "DIFFER",
            Self::Fail(_) => "FAIL",
            Self::Skip(_) => "SKIP",
        }
    }
}

impl fmt::Display for Failure {
    /// The scripted and the actual segment one above the other, then the trace.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "line {}: {}", self.line, self.reason)?;
        if let Some(scripted) = &self.scripted {
            writeln!(f, "  script: {scripted}")?;
        }
        if let Some(actual) = &self.actual {
            writeln!(f, "  actual: {actual}")?;
        }
        self.trace.iter().try_for_each(|line| writeln!(f, "    {line}"))
    }
}

/// What happened, line by line, bounded.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    lines: std::collections::VecDeque<String>,
}

/// Lines of a trace that are kept: enough to see what led to a failure.
const TRACE_LINES: usize = 64;

impl Trace {
    /// Adds a line, and lets the oldest go when there are many.
    pub fn push(&mut self, at: Instant, text: &str) {
        if self.lines.len() == TRACE_LINES {
            self.lines.pop_front();
        }
        let micros = at.as_micros();
        let time = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
        self.lines.push_back(format!("{time} {text}"));
    }

    /// The lines kept, oldest first.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.lines.iter().cloned().collect()
    }
}
