//! Many scripts: each in all its readings, each on a fresh stack.

use std::fs;
use std::path::Path;

use super::compare::Mode;
use super::expected::Expected;
use super::report::Entry;
use super::runner::{Limits, Runner};
use super::stack::Stack;
use super::verdict::Verdict;
use crate::lex::Defines;
use crate::load::{self, Variant};

/// How scripts are run.
#[derive(Debug)]
pub struct Suite<'a> {
    /// Symbols in force.
    pub defines: &'a Defines,
    /// Differences that are no failures.
    pub expected: &'a Expected,
    /// How closely segments are compared.
    pub mode: Mode,
}

impl Suite<'_> {
    /// Runs the script at `path`, each reading on a stack of `make`'s.
    pub fn run<S: Stack>(&self, path: &Path, make: impl Fn() -> S) -> Entry {
        let (variant, verdict) = match fs::read(path) {
            Ok(bytes) => self.judge(&String::from_utf8_lossy(&bytes), make),
            Err(error) => (None, Verdict::Skip(error.to_string())),
        };
        let verdict = match verdict {
            Verdict::Fail(failure) => match self.expected.reason(path, &failure) {
                Some(reason) => Verdict::Differ(failure, reason.to_owned()),
                None => Verdict::Fail(failure),
            },
            other => other,
        };
        Entry { path: path.to_owned(), variant, verdict }
    }

    /// Runs a script's text in all its readings. It passes when one of them does:
    /// readings are what different systems may rightly do. Otherwise the first
    /// that fails is told, and only when none can be judged the script is a skip.
    fn judge<S: Stack>(&self, text: &str, make: impl Fn() -> S) -> (Option<String>, Verdict) {
        let variants = match load::variants(text, self.defines) {
            Ok(variants) => variants,
            Err(error) => return (None, Verdict::Skip(error.to_string())),
        };
        let mut best: Option<(Option<String>, Verdict)> = None;
        for Variant { name, parsed } in variants {
            let verdict = if parsed.hollow {
                Verdict::Skip("all its conditional expectations are taken out".to_owned())
            } else {
                Runner::run(make(), &parsed.script, self.mode, Limits::default())
            };
            if best.as_ref().is_none_or(|(_, old)| rank(&verdict) > rank(old)) {
                best = Some((name, verdict));
            }
        }
        best.unwrap_or_else(|| (None, Verdict::Skip("no reading".to_owned())))
    }
}

fn rank(verdict: &Verdict) -> u8 {
    match verdict {
        Verdict::Skip(_) => 0,
        Verdict::Fail(_) | Verdict::Differ(..) => 1,
        Verdict::Pass => 2,
    }
}
