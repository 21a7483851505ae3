//! Code blocks: `%{ assert tcpi_state == TCPI_CLOSED, tcpi_state }%`.
//!
//! Packetdrill hands them to Python. Of Python this reads what scripts use:
//! assertions, assignments to names, comparisons in chains, integer arithmetic
//! and bits. Anything else is an error that names it, and makes the script a
//! skip, not a pass.

use core::fmt;
use std::collections::BTreeMap;

/// Where a code block's names get their values.
pub trait Names {
    /// The value of `name`, if it has one.
    fn value(&self, name: &str) -> Option<i64>;
}

impl<F: Fn(&str) -> Option<i64>> Names for F {
    fn value(&self, name: &str) -> Option<i64> {
        self(name)
    }
}

/// Why a code block did not run to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CodeError {
    /// An assertion that does not hold, with what its names stood for.
    Assertion(String),
    /// Code that is not understood, or a name without a value.
    Unsupported(String),
}

impl fmt::Display for CodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Assertion(text) => write!(f, "assertion failed: {text}"),
            Self::Unsupported(text) => write!(f, "code not understood: {text}"),
        }
    }
}

/// The names that code blocks assigned, kept from one to the next.
pub type Globals = BTreeMap<String, i64>;

/// Runs the code block `text`. Returns how many assertions held.
///
/// # Errors
/// The first assertion that does not hold, or the first thing not understood.
pub fn run(text: &str, names: &dyn Names, globals: &mut Globals) -> Result<usize, CodeError> {
    let mut held = 0;
    let joined = text.replace("\\\n", " ");
    for statement in joined.split(['\n', ';']) {
        let statement = statement.split('#').next().unwrap_or_default().trim();
        if statement.is_empty() || statement.starts_with("print(") {
            continue;
        }
        held += usize::from(self::statement(statement, names, globals)?);
    }
    Ok(held)
}

/// Runs one statement; true for an assertion, which then held.
fn statement(text: &str, names: &dyn Names, globals: &mut Globals) -> Result<bool, CodeError> {
    if let Some(condition) = text.strip_prefix("assert").filter(|r| !r.starts_with(is_name)) {
        let mut eval = Eval::new(condition, names, globals);
        let value = eval.condition()?;
        // Behind a comma stands a message, which is nobody's business here.
        eval.end_or_comma()?;
        if value == 0 {
            let seen: Vec<_> = eval.seen.iter().map(|(n, v)| format!("{n} is {v}")).collect();
            let text = condition.split(',').next().unwrap_or_default().trim();
            return Err(CodeError::Assertion(format!("{text} ({})", seen.join(", "))));
        }
        return Ok(true);
    }
    let len = text.find(|c| !is_name(c)).unwrap_or(text.len());
    let (name, rest) = text.split_at(len);
    let rest = rest.trim_start();
    let unsupported = || CodeError::Unsupported(text.to_owned());
    let (old, right) = if let Some(right) = rest.strip_prefix("+=") {
        (*globals.get(name).ok_or_else(unsupported)?, right)
    } else {
        (0, rest.strip_prefix('=').filter(|r| !r.starts_with('=')).ok_or_else(unsupported)?)
    };
    let mut eval = Eval::new(right, names, globals);
    let value = eval.condition()?;
    if !eval.rest.trim().is_empty() {
        return Err(unsupported());
    }
    globals.insert(name.to_owned(), old.wrapping_add(value));
    Ok(false)
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// An expression being worked out, loosest binding first.
struct Eval<'a> {
    text: &'a str,
    rest: &'a str,
    names: &'a dyn Names,
    globals: &'a Globals,
    seen: BTreeMap<String, i64>,
    depth: u32,
}

/// How deep parentheses may nest.
const MAX_DEPTH: u32 = 32;

impl<'a> Eval<'a> {
    fn new(text: &'a str, names: &'a dyn Names, globals: &'a Globals) -> Self {
        Self { text, rest: text, names, globals, seen: BTreeMap::new(), depth: 0 }
    }

    fn condition(&mut self) -> Result<i64, CodeError> {
        let mut value = self.conjunction()?;
        while self.word("or") {
            let other = self.conjunction()?;
            value = if value == 0 { other } else { value };
        }
        Ok(value)
    }

    fn conjunction(&mut self) -> Result<i64, CodeError> {
        let mut value = self.negation()?;
        while self.word("and") {
            let other = self.negation()?;
            value = if value == 0 { value } else { other };
        }
        Ok(value)
    }

    fn negation(&mut self) -> Result<i64, CodeError> {
        let negated = self.word("not");
        let value = self.comparison()?;
        Ok(if negated { i64::from(value == 0) } else { value })
    }

    /// `a <= b < c` holds when each link does.
    fn comparison(&mut self) -> Result<i64, CodeError> {
        let mut left = self.operators(0)?;
        let mut linked = false;
        let mut holds = true;
        loop {
            let test: fn(&i64, &i64) -> bool =
                match self.symbol(&["==", "!=", "<=", ">=", "<", ">"]) {
                    Some("==") => i64::eq,
                    Some("!=") => i64::ne,
                    Some("<=") => i64::le,
                    Some(">=") => i64::ge,
                    Some("<") => i64::lt,
                    Some(_) => i64::gt,
                    None => return Ok(if linked { i64::from(holds) } else { left }),
                };
            let right = self.operators(0)?;
            holds &= test(&left, &right);
            left = right;
            linked = true;
        }
    }

    /// Binary operators, by Python's precedence.
    fn operators(&mut self, level: usize) -> Result<i64, CodeError> {
        const LEVELS: [&[&str]; 5] = [&["|"], &["^"], &["&"], &["+", "-"], &["//", "*", "/", "%"]];
        let Some(symbols) = LEVELS.get(level) else { return self.unary() };
        let mut left = self.operators(level + 1)?;
        while let Some(symbol) = self.symbol(symbols) {
            let right = self.operators(level + 1)?;
            left = match symbol {
                "|" => left | right,
                "^" => left ^ right,
                "&" => left & right,
                "+" => left.wrapping_add(right),
                "-" => left.wrapping_sub(right),
                "*" => left.wrapping_mul(right),
                "%" if right != 0 => left.wrapping_rem_euclid(right),
                "//" | "/" if right != 0 => left.wrapping_div_euclid(right),
                _ => return Err(self.unsupported()),
            };
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<i64, CodeError> {
        if self.symbol(&["-"]).is_some() {
            return Ok(self.atom()?.wrapping_neg());
        }
        self.atom()
    }

    fn atom(&mut self) -> Result<i64, CodeError> {
        if self.symbol(&["("]).is_some() {
            self.depth += 1;
            if self.depth > MAX_DEPTH {
                return Err(self.unsupported());
            }
            let value = self.condition()?;
            self.depth -= 1;
            return match self.symbol(&[")"]) {
                Some(_) => Ok(value),
                None => Err(self.unsupported()),
            };
        }
        let text = self.rest.trim_start();
        let len = text.find(|c| !is_name(c)).unwrap_or(text.len());
        let (word, rest) = text.split_at(len);
        self.rest = rest;
        if word.starts_with(|c: char| c.is_ascii_digit()) {
            let value = match word.strip_prefix("0x") {
                Some(hex) => i64::from_str_radix(hex, 16),
                None => word.parse(),
            };
            return value.map_err(|_| self.unsupported());
        }
        let value = self.globals.get(word).copied().or_else(|| self.names.value(word));
        let value = value.ok_or_else(|| {
            let what = if word.is_empty() { self.text.trim() } else { word };
            CodeError::Unsupported(what.to_owned())
        })?;
        self.seen.insert(word.to_owned(), value);
        Ok(value)
    }

    fn end_or_comma(&self) -> Result<(), CodeError> {
        let rest = self.rest.trim_start();
        if rest.is_empty() || rest.starts_with(',') { Ok(()) } else { Err(self.unsupported()) }
    }

    /// Passes the first of `symbols` that stands here.
    fn symbol(&mut self, symbols: &[&'static str]) -> Option<&'static str> {
        let text = self.rest.trim_start();
        let symbol = symbols.iter().copied().find(|symbol| text.starts_with(symbol))?;
        self.rest = &text[symbol.len()..];
        Some(symbol)
    }

    /// Passes `word`, if it stands here as a whole.
    fn word(&mut self, word: &str) -> bool {
        let rest = self.rest.trim_start().strip_prefix(word);
        let Some(rest) = rest.filter(|rest| !rest.starts_with(is_name)) else { return false };
        self.rest = rest;
        true
    }

    fn unsupported(&self) -> CodeError {
        CodeError::Unsupported(self.text.trim().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(name: &str) -> Option<i64> {
        match name {
            "tcpi_a" => Some(7),
            "SEVEN" => Some(7),
            "tcpi_bits" => Some(0b1010),
            _ => None,
        }
    }

    fn outcome(text: &str) -> Result<usize, CodeError> {
        run(text, &names, &mut Globals::new())
    }

    #[test]
    fn assertions_hold_or_tell_why_not() {
        assert_eq!(outcome("assert tcpi_a == SEVEN, tcpi_a"), Ok(1));
        assert_eq!(
            outcome("assert tcpi_a == 8, 'a=%d' % tcpi_a"),
            Err(CodeError::Assertion("tcpi_a == 8 (tcpi_a is 7)".to_owned()))
        );
    }

    #[test]
    fn chains_and_precedence_are_pythons() {
        for text in [
            "assert 5 <= tcpi_a <= 9",
            "assert (tcpi_bits & 2) != 0",
            "assert 2 + 3 * 4 == 14 and not 0",
            "assert tcpi_bits == 8 | 2",
            "assert 0 or 7 // 2 == 3",
            "assert 1 < 2 > 1",
            "assert -1 < 0x10 - 15",
        ] {
            assert_eq!(outcome(text), Ok(1), "{text}");
        }
        assert!(matches!(outcome("assert 5 <= tcpi_a <= 6"), Err(CodeError::Assertion(_))));
    }

    #[test]
    fn names_are_kept_between_blocks() {
        let mut globals = Globals::new();
        assert_eq!(run("cwnd = tcpi_a; print(cwnd)", &names, &mut globals), Ok(0));
        assert_eq!(run("cwnd += 2\nassert cwnd == 9 # nine", &names, &mut globals), Ok(1));
    }

    #[test]
    fn what_is_not_understood_is_no_success() {
        for text in [
            "import os",
            "assert tcpi_unknown == 1",
            "assert f(1)",
            "assert 1 2",
            "x",
            "x += 1",
            "assert 1 / 0",
            "assert",
            "assert ((1)",
        ] {
            assert!(matches!(outcome(text), Err(CodeError::Unsupported(_))), "{text}");
        }
        let deep = format!("assert {}1{}", "(".repeat(99), ")".repeat(99));
        assert!(matches!(outcome(&deep), Err(CodeError::Unsupported(_))));
    }
}
