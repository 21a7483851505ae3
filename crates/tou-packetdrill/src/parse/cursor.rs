//! A place in a list of tokens, and the small steps that every rule takes.

use crate::error::{ErrorKind, ScriptError};
use crate::lex::{Tok, Token};

/// A place in a list of tokens. The last token is [`Tok::End`] and is never
/// passed.
#[derive(Debug)]
pub(super) struct Cursor {
    tokens: Vec<Token>,
    at: usize,
}

impl Cursor {
    pub(super) fn new(tokens: Vec<Token>) -> Self {
        debug_assert!(matches!(tokens.last(), Some(t) if t.tok == Tok::End));
        Self { tokens, at: 0 }
    }

    /// The token here.
    pub(super) fn tok(&self) -> &Tok {
        &self.tokens[self.at].tok
    }

    /// The token after this one.
    pub(super) fn ahead(&self) -> &Tok {
        &self.tokens[(self.at + 1).min(self.tokens.len() - 1)].tok
    }

    /// The line of the token here.
    pub(super) fn line(&self) -> u32 {
        self.tokens[self.at].line
    }

    /// Whether no blank stands before the token here.
    pub(super) fn glued(&self) -> bool {
        self.tokens[self.at].glued
    }

    /// One token on.
    pub(super) fn next(&mut self) {
        self.at = (self.at + 1).min(self.tokens.len() - 1);
    }

    /// Passes the character `c`, if it is here.
    pub(super) fn eat(&mut self, c: char) -> bool {
        let here = *self.tok() == Tok::Punct(c);
        if here {
            self.next();
        }
        here
    }

    /// Passes the word `word`, if it is here.
    pub(super) fn eat_word(&mut self, word: &str) -> bool {
        let here = matches!(self.tok(), Tok::Word(w) if w == word);
        if here {
            self.next();
        }
        here
    }

    /// Passes the character `c`, which must be here.
    pub(super) fn expect(&mut self, c: char) -> Result<(), ScriptError> {
        if self.eat(c) { Ok(()) } else { Err(self.expected(&format!("`{c}`"))) }
    }

    /// Passes the word `word`, which must be here.
    pub(super) fn expect_word(&mut self, word: &str) -> Result<(), ScriptError> {
        if self.eat_word(word) { Ok(()) } else { Err(self.expected(&format!("`{word}`"))) }
    }

    /// Passes a number, decimal or `0x`, that fits `T`.
    pub(super) fn number<T: TryFrom<u64>>(&mut self, what: &str) -> Result<T, ScriptError> {
        let Tok::Number(text) = self.tok() else {
            return Err(match self.tok() {
                Tok::Word(word) => self.undefined(word),
                _ => self.expected(what),
            });
        };
        let value = match text.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16).ok(),
            None => text.parse().ok(),
        };
        let Some(value) = value else { return Err(self.expected(what)) };
        let fits = T::try_from(value)
            .map_err(|_| self.error(&format!("{value} is out of range for {what}")))?;
        self.next();
        Ok(fits)
    }

    /// Items with commas between them, up to and with the character `close`.
    pub(super) fn list<T>(
        &mut self,
        close: char,
        mut item: impl FnMut(&mut Self) -> Result<T, ScriptError>,
    ) -> Result<Vec<T>, ScriptError> {
        let mut items = Vec::new();
        if self.eat(close) {
            return Ok(items);
        }
        loop {
            items.push(item(self)?);
            if self.eat(close) {
                return Ok(items);
            }
            if !self.eat(',') {
                return Err(self.expected(&format!("`,` or `{close}`")));
            }
        }
    }

    /// The error of finding something else than `what` here.
    pub(super) fn expected(&self, what: &str) -> ScriptError {
        self.error(&format!("expected {what}, found {}", self.tok()))
    }

    /// The error of a name where a number must be, for `--define` to give.
    fn undefined(&self, word: &str) -> ScriptError {
        self.unsupported(&format!("{word} needs a value: --define={word}=..."))
    }

    /// An error in the text here.
    pub(super) fn error(&self, message: &str) -> ScriptError {
        self.fault(ErrorKind::Syntax, message)
    }

    /// The error of something that exists, but not here.
    pub(super) fn unsupported(&self, message: &str) -> ScriptError {
        self.fault(ErrorKind::Unsupported, message)
    }

    fn fault(&self, kind: ErrorKind, message: &str) -> ScriptError {
        let token = &self.tokens[self.at];
        ScriptError { line: token.line, column: token.column, kind, message: message.to_owned() }
    }
}
