//! From text to tokens: comments, quoting, `#ifdef` and `--option` lines.
//!
//! The grammar is line-blind but for two things, which end here: an option or
//! a directive stands at the start of a line. Conditions are decided while
//! lexing, because only the lexer knows that a `#` inside a shell command or a
//! code block is not one.

mod directive;
mod token;

use std::collections::BTreeSet;

use self::directive::Conditions;
pub use self::directive::Defines;
pub use self::token::{Tok, Token};
use crate::error::{ErrorKind, ScriptError};

/// A script as tokens, and what its conditions did to it.
#[derive(Clone, Debug, Default)]
pub struct Lexed {
    /// The tokens, the last one [`Tok::End`].
    pub tokens: Vec<Token>,
    /// Names that `#ifdef`, `#ifndef` and `defined()` asked for.
    pub tested: BTreeSet<String>,
    /// Lines with text on them that a condition took out.
    pub lines_dropped: usize,
    /// Tokens that stand inside a condition and were kept.
    pub tokens_kept: usize,
}

/// Splits `source` into tokens, with `defines` in force.
///
/// # Errors
/// An unterminated quote, comment or condition, an unknown directive, or a
/// character that begins no token.
pub fn lex(source: &str, defines: &Defines) -> Result<Lexed, ScriptError> {
    let mut lexer = Lexer {
        rest: source,
        line: 1,
        column: 1,
        at_line_start: true,
        glued: false,
        conditions: Conditions::new(defines.clone()),
        out: Lexed::default(),
    };
    lexer.run()?;
    Ok(lexer.out)
}

struct Lexer<'a> {
    rest: &'a str,
    line: u32,
    column: u32,
    /// Only blanks so far on this line.
    at_line_start: bool,
    /// No blank between the last token and here.
    glued: bool,
    conditions: Conditions,
    out: Lexed,
}

impl Lexer<'_> {
    fn run(&mut self) -> Result<(), ScriptError> {
        loop {
            self.skip_blanks()?;
            let Some(first) = self.peek() else { break };
            if self.at_line_start && first == '#' {
                self.directive()?;
                continue;
            }
            if !self.conditions.active() {
                let line = self.take_while(|c| c != '\n');
                self.out.lines_dropped += usize::from(!line.trim_start().starts_with("//"));
                continue;
            }
            let (line, column, glued) = (self.line, self.column, self.glued);
            let tok = self.token(first)?;
            self.out.tokens_kept += usize::from(self.conditions.nested());
            self.at_line_start = false;
            self.glued = true;
            let toks = match tok {
                Tok::Word(word) => self.conditions.defines().replacement(&word),
                tok => tok,
            };
            self.out.tokens.push(Token { tok: toks, line, column, glued });
        }
        if let Some(line) = self.conditions.open_since() {
            return Err(self.error_at(line, 1, "this condition has no #endif"));
        }
        self.out.tested = self.conditions.take_tested();
        let (line, column) = (self.line, self.column);
        self.out.tokens.push(Token { tok: Tok::End, line, column, glued: false });
        Ok(())
    }

    fn token(&mut self, first: char) -> Result<Tok, ScriptError> {
        if self.at_line_start && self.starts_option() {
            return self.option();
        }
        if first.is_ascii_digit() || (first == '.' && self.nth(1).is_some_and(is_digit)) {
            return Ok(Tok::Number(self.number()));
        }
        if first.is_ascii_alphabetic() || first == '_' {
            return Ok(Tok::Word(self.take_while(is_word).to_owned()));
        }
        if self.rest.starts_with("...") {
            self.advance(3);
            return Ok(Tok::Ellipsis);
        }
        if self.rest.starts_with("%{") {
            return Ok(Tok::Code(self.quoted("%{", "}%")?.trim().to_owned()));
        }
        match first {
            '`' => Ok(Tok::Command(self.quoted("`", "`")?.trim().to_owned())),
            '"' => self.string(),
            c if c.is_ascii_punctuation() => {
                self.advance(1);
                Ok(Tok::Punct(c))
            }
            c => Err(self.error(format!("no token begins with {c:?}"))),
        }
    }

    /// Digits, letters, and dots that have a digit behind them: `12`, `0x2f`,
    /// `1.25`, `00abe8`, `192.0.2.1`, but not the dots of `1.00...6.00`.
    fn number(&mut self) -> String {
        let mut len = 0;
        let bytes = self.rest.as_bytes();
        while let Some(&b) = bytes.get(len) {
            let dot = b == b'.' && bytes.get(len + 1).is_some_and(u8::is_ascii_digit);
            if !dot && !b.is_ascii_alphanumeric() && b != b'_' {
                break;
            }
            len += 1;
        }
        self.advance(len).to_owned()
    }

    /// A C string: the escapes that scripts use stay as they are written, since
    /// nothing here looks into strings.
    fn string(&mut self) -> Result<Tok, ScriptError> {
        let mut escaped = false;
        let end = self.rest.char_indices().skip(1).find(|&(_, c)| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        let Some((end, _)) = end else { return Err(self.error("this string has no end")) };
        let text = self.advance(end + 1);
        Ok(Tok::Str(text[1..end].to_owned()))
    }

    fn quoted(&mut self, open: &str, close: &str) -> Result<String, ScriptError> {
        let Some(len) = self.rest[open.len()..].find(close) else {
            return Err(self.error(format!("this {open} has no {close}")));
        };
        let text = self.advance(open.len() + len + close.len());
        Ok(text[open.len()..open.len() + len].to_owned())
    }

    fn starts_option(&self) -> bool {
        self.rest.starts_with("--") && self.nth(2).is_some_and(|c| c.is_ascii_alphabetic())
    }

    /// `--name` or `--name=value`; the value ends at a blank outside quotes.
    fn option(&mut self) -> Result<Tok, ScriptError> {
        self.advance(2);
        let name = self.take_while(|c| is_word(c) || c == '-').to_owned();
        if self.peek() != Some('=') {
            return Ok(Tok::Option(name, None));
        }
        self.advance(1);
        let mut value = String::new();
        while let Some(c) = self.peek().filter(|c| !c.is_whitespace()) {
            if self.rest.starts_with("//") {
                break;
            }
            match c {
                '"' => value.push_str(&self.quoted("\"", "\"")?),
                '`' => value.push_str(&self.quoted("`", "`")?),
                _ => value.push_str(self.advance(c.len_utf8())),
            }
        }
        if value.is_empty() {
            return Err(self.error(format!("--{name}= has no value")));
        }
        Ok(Tok::Option(name, Some(value)))
    }

    fn directive(&mut self) -> Result<(), ScriptError> {
        let (line, column) = (self.line, self.column);
        let text = self.take_while(|c| c != '\n');
        let text = text.split("//").next().unwrap_or_default().trim();
        self.conditions.directive(text, line).map_err(|m| self.error_at(line, column, m))
    }

    fn skip_blanks(&mut self) -> Result<(), ScriptError> {
        loop {
            let Some(c) = self.peek() else { return Ok(()) };
            if c == '\n' {
                self.advance(1);
                self.at_line_start = true;
            } else if c.is_whitespace() {
                self.advance(c.len_utf8());
            } else if !self.conditions.active() {
                return Ok(());
            } else if self.rest.starts_with("//") {
                self.take_while(|c| c != '\n');
            } else if self.rest.starts_with("/*") {
                self.quoted("/*", "*/")?;
            } else {
                return Ok(());
            }
            self.glued = false;
        }
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn nth(&self, n: usize) -> Option<char> {
        self.rest.chars().nth(n)
    }

    fn error(&self, message: impl Into<String>) -> ScriptError {
        self.error_at(self.line, self.column, message)
    }

    fn error_at(&self, line: u32, column: u32, message: impl Into<String>) -> ScriptError {
        ScriptError { line, column, kind: ErrorKind::Syntax, message: message.into() }
    }
}

impl<'a> Lexer<'a> {
    /// Takes `len` octets off the front, which end at a character's end.
    fn advance(&mut self, len: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(len);
        for c in taken.chars() {
            if c == '\n' {
                self.line += 1;
                self.column = 1;
            } else {
                self.column += 1;
            }
        }
        self.rest = rest;
        taken
    }

    fn take_while(&mut self, keep: impl Fn(char) -> bool) -> &'a str {
        let len = self.rest.find(|c| !keep(c)).unwrap_or(self.rest.len());
        self.advance(len)
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn is_digit(c: char) -> bool {
    c.is_ascii_digit()
}

#[cfg(test)]
mod tests;
