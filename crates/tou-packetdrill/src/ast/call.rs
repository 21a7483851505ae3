//! A system call: its name, arguments, and what it is to give.

use core::fmt;

use super::{Usecs, join};

/// An argument or a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expr {
    /// `...`: whatever.
    Ellipsis,
    /// A number, and whether it is written in hexadecimal.
    Int {
        /// Its value.
        value: i64,
        /// Written as `0x...`.
        hex: bool,
    },
    /// A name: a constant, or `NULL`.
    Word(String),
    /// A string, escapes untouched.
    Str(String),
    /// `a | b | c`
    Or(Vec<Self>),
    /// `[a, b]`
    Array(Vec<Self>),
    /// `{a, b}`
    Struct(Vec<Self>),
    /// `name = value` inside a structure.
    Field(Box<Self>, Box<Self>),
    /// `htons(8080)`, `msg_iov(2)`
    Apply(String, Vec<Self>),
}

impl Expr {
    /// A number as scripts mostly write it.
    #[must_use]
    pub const fn int(value: i64) -> Self {
        Self::Int { value, hex: false }
    }
}

/// What a call is to return.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The value; `None` for `?`, which says that it does not matter.
    pub value: Option<Expr>,
    /// The name of the error.
    pub errno: Option<String>,
    /// What stands in parentheses behind it, for the reader.
    pub note: Option<String>,
}

/// A system call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// When a call that blocks returns: `1.0...6.0 connect(...)`. Counted like
    /// the event's own time.
    pub ends: Option<Usecs>,
    /// Its name.
    pub name: String,
    /// Its arguments.
    pub args: Vec<Expr>,
    /// Its result.
    pub outcome: Outcome,
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, open: &str, items: &[Self], close: &str| {
            f.write_str(open)?;
            join(f, items, ", ")?;
            f.write_str(close)
        };
        match self {
            Self::Ellipsis => f.write_str("..."),
            Self::Int { value, hex: true } => write!(f, "{value:#x}"),
            Self::Int { value, hex: false } => write!(f, "{value}"),
            Self::Word(word) => f.write_str(word),
            Self::Str(text) => write!(f, "\"{text}\""),
            Self::Or(terms) => join(f, terms, "|"),
            Self::Array(items) => list(f, "[", items, "]"),
            Self::Struct(items) => list(f, "{", items, "}"),
            Self::Field(name, value) => write!(f, "{name}={value}"),
            Self::Apply(name, args) => {
                f.write_str(name)?;
                list(f, "(", args, ")")
            }
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{value}")?,
            None => f.write_str("?")?,
        }
        if let Some(errno) = &self.errno {
            write!(f, " {errno}")?;
        }
        if let Some(note) = &self.note {
            write!(f, " ({note})")?;
        }
        Ok(())
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.name)?;
        join(f, &self.args, ", ")?;
        write!(f, ") = {}", self.outcome)
    }
}
