//! Symbols that the command line defines, and the conditions that ask for them.
//!
//! Knows `#ifdef`, `#ifndef`, `#if`, `#elif`, `#else`, `#endif`, `#define` and
//! `#undef`. An expression is a number or `defined(NAME)`, with `!`, `&&` and
//! `||` (no parentheses around those: no script needs them).

use std::collections::{BTreeMap, BTreeSet};

use super::token::Tok;

/// Symbols in force: names, and what a script's words of that name become.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Defines(BTreeMap<String, String>);

impl Defines {
    /// No symbols.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with `name` defined, standing for `value` (itself when empty).
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.define(name, value);
        self
    }

    /// Defines `name`.
    pub fn define(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), value.to_owned());
    }

    /// Whether `name` is defined.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// What the word `name` stands for.
    pub(super) fn replacement(&self, name: &str) -> Tok {
        let value = self.0.get(name).map_or("", String::as_str);
        let inside = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
        if let Some(text) = inside('"') {
            Tok::Str(text.to_owned())
        } else if let Some(text) = inside('`') {
            Tok::Command(text.to_owned())
        } else if value.starts_with(|c: char| c.is_ascii_digit()) {
            Tok::Number(value.to_owned())
        } else if value.is_empty() {
            Tok::Word(name.to_owned())
        } else {
            Tok::Word(value.to_owned())
        }
    }
}

/// One `#if ... #endif` that is open.
#[derive(Clone, Copy, Debug)]
struct Open {
    line: u32,
    /// The text around it is kept.
    outer: bool,
    /// A branch has been kept already.
    taken: bool,
    /// The branch in hand is kept.
    active: bool,
    /// `#else` has been seen.
    last: bool,
}

/// The conditions that are open at one place of a script.
#[derive(Clone, Debug)]
pub(super) struct Conditions {
    defines: Defines,
    open: Vec<Open>,
    tested: BTreeSet<String>,
}

impl Conditions {
    pub(super) fn new(defines: Defines) -> Self {
        Self { defines, open: Vec::new(), tested: BTreeSet::new() }
    }

    pub(super) fn defines(&self) -> &Defines {
        &self.defines
    }

    /// Whether text here is kept.
    pub(super) fn active(&self) -> bool {
        self.open.last().is_none_or(|open| open.active)
    }

    /// Whether a condition is open here.
    pub(super) fn nested(&self) -> bool {
        !self.open.is_empty()
    }

    /// The line of the innermost condition that is open.
    pub(super) fn open_since(&self) -> Option<u32> {
        self.open.last().map(|open| open.line)
    }

    pub(super) fn take_tested(&mut self) -> BTreeSet<String> {
        core::mem::take(&mut self.tested)
    }

    /// Obeys the directive `text`, from the `#` on.
    pub(super) fn directive(&mut self, text: &str, line: u32) -> Result<(), String> {
        let body = text.trim_start_matches('#').trim_start();
        let (word, rest) = body.split_once(char::is_whitespace).unwrap_or((body, ""));
        let rest = rest.trim();
        match word {
            "ifdef" | "ifndef" => {
                let defined = self.ask(name(rest)?);
                self.push(line, defined == (word == "ifdef"));
            }
            "if" => {
                let holds = self.expression(rest)?;
                self.push(line, holds);
            }
            "elif" => {
                let holds = self.expression(rest)?;
                self.branch(holds, false)?;
            }
            "else" => self.branch(true, true)?,
            "endif" => {
                self.open.pop().ok_or("#endif without #ifdef")?;
            }
            "define" if self.active() => {
                let (symbol, value) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
                self.defines.define(name(symbol)?, value.trim());
            }
            "undef" if self.active() => {
                self.defines.0.remove(name(rest)?);
            }
            "define" | "undef" => {}
            _ => return Err(format!("unknown directive {text:?}")),
        }
        Ok(())
    }

    fn push(&mut self, line: u32, holds: bool) {
        let outer = self.active();
        let active = outer && holds;
        self.open.push(Open { line, outer, taken: active, active, last: false });
    }

    fn branch(&mut self, holds: bool, last: bool) -> Result<(), String> {
        let open = self.open.last_mut().ok_or("#else or #elif without #ifdef")?;
        if open.last {
            return Err("a branch after #else".to_owned());
        }
        open.active = open.outer && !open.taken && holds;
        open.taken |= open.active;
        open.last = last;
        Ok(())
    }

    fn ask(&mut self, name: &str) -> bool {
        self.tested.insert(name.to_owned());
        self.defines.has(name)
    }

    fn expression(&mut self, text: &str) -> Result<bool, String> {
        let mut any = false;
        for alternative in text.split("||") {
            let mut all = true;
            for term in alternative.split("&&") {
                all &= self.term(term.trim())?;
            }
            any |= all;
        }
        Ok(any)
    }

    fn term(&mut self, text: &str) -> Result<bool, String> {
        if let Some(rest) = text.strip_prefix('!') {
            return Ok(!self.term(rest.trim_start())?);
        }
        if let Some(rest) = text.strip_prefix("defined") {
            let rest = rest.trim();
            let inner = rest.strip_prefix('(').and_then(|r| r.strip_suffix(')')).unwrap_or(rest);
            return Ok(self.ask(name(inner.trim())?));
        }
        text.parse::<i64>().map(|n| n != 0).map_err(|_| format!("no condition: {text:?}"))
    }
}

fn name(text: &str) -> Result<&str, String> {
    let good = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if good { Ok(text) } else { Err(format!("no name: {text:?}")) }
}
