//! One token and where it stands.

use core::fmt;

/// What a token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tok {
    /// A name: letter or underscore first.
    Word(String),
    /// Whatever begins with a digit: integers, decimals, hexadecimal cookies,
    /// addresses. Its user says which it must be.
    Number(String),
    /// The inside of `"..."`, escapes untouched.
    Str(String),
    /// The inside of `` `...` ``: a shell command.
    Command(String),
    /// The inside of `%{ ... }%`: code.
    Code(String),
    /// `--name=value` at the start of a line.
    Option(String, Option<String>),
    /// `...`
    Ellipsis,
    /// Any other single character.
    Punct(char),
    /// The end of the script.
    End,
}

/// A token with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// The token.
    pub tok: Tok,
    /// Line, counted from 1.
    pub line: u32,
    /// Column, counted from 1.
    pub column: u32,
    /// It follows the token before it without a blank.
    pub glued: bool,
}

impl fmt::Display for Tok {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(text) | Self::Number(text) => f.write_str(text),
            Self::Str(text) => write!(f, "\"{text}\""),
            Self::Command(text) => write!(f, "`{text}`"),
            Self::Code(text) => write!(f, "%{{ {text} }}%"),
            Self::Option(name, None) => write!(f, "--{name}"),
            Self::Option(name, Some(value)) => write!(f, "--{name}={value}"),
            Self::Ellipsis => f.write_str("..."),
            Self::Punct(c) => write!(f, "{c}"),
            Self::End => f.write_str("the end of the script"),
        }
    }
}
