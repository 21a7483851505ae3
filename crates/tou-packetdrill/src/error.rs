//! What is wrong with a script, and where.

use core::fmt;

/// Why a script was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// It is no script: the text does not follow the grammar.
    Syntax,
    /// It is one, but uses something that does not exist here, such as SCTP or
    /// a symbol that the command line would have to define.
    Unsupported,
}

/// An error in a script's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptError {
    /// Line, counted from 1.
    pub line: u32,
    /// Column, counted from 1.
    pub column: u32,
    /// Whether the text is wrong or merely beyond us.
    pub kind: ErrorKind,
    /// What is wrong, with the text in question.
    pub message: String,
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)
    }
}

impl core::error::Error for ScriptError {}
