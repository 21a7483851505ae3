//! Names of files as they go over the wire: one component of a path, and
//! nothing that could lead anywhere else or fool a terminal.

use std::fmt;

use crate::text::is_invisible;

/// The longest name: with what a partial file adds, file systems take it.
const MAX_LEN: usize = 240;

/// What the name of a partial file begins and ends with.
const PARTIAL: (&str, &str) = (".", ".tou-part");

/// A name that was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileName(String);

/// Why a name is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NameError {
    Empty,
    Long,
    Separator,
    Directory,
    Hidden,
    Reserved,
}

impl FileName {
    /// Checks a name.
    pub(crate) fn new(name: &str) -> Result<Self, NameError> {
        if name.is_empty() {
            return Err(NameError::Empty);
        }
        if name.len() > MAX_LEN {
            return Err(NameError::Long);
        }
        if name.contains(['/', '\\']) {
            return Err(NameError::Separator);
        }
        if name == "." || name == ".." {
            return Err(NameError::Directory);
        }
        if name.contains(is_invisible) {
            return Err(NameError::Hidden);
        }
        if name.starts_with(PARTIAL.0) && name.ends_with(PARTIAL.1) {
            return Err(NameError::Reserved);
        }
        Ok(Self(name.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Under which name the file is kept until it is complete.
    pub(crate) fn partial(&self) -> String {
        format!("{}{}{}", PARTIAL.0, self.0, PARTIAL.1)
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "a file needs a name",
            Self::Long => "the name is longer than 240 bytes",
            Self::Separator => "the name leads to another directory",
            Self::Directory => "the name is that of a directory",
            Self::Hidden => "the name has control characters",
            Self::Reserved => "the name is kept for partial files",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Component, Path};

    use quickcheck::quickcheck;

    use super::*;

    #[test]
    fn usual_names_are_taken() {
        for name in
            ["a", "report.pdf", "..a", "a..", ".profile", "ÄÖ 漢字.txt", "-rf", "a b", "CON"]
        {
            assert_eq!(FileName::new(name).unwrap().as_str(), name);
        }
        assert_eq!(FileName::new("a.b").unwrap().partial(), ".a.b.tou-part");
    }

    #[test]
    fn names_that_lead_elsewhere_are_not() {
        for (name, error) in [
            ("", NameError::Empty),
            (".", NameError::Directory),
            ("..", NameError::Directory),
            ("/etc/passwd", NameError::Separator),
            ("../x", NameError::Separator),
            ("a/", NameError::Separator),
            ("a\\b", NameError::Separator),
            ("a\0", NameError::Hidden),
            ("a\n", NameError::Hidden),
            ("\u{1b}[2J", NameError::Hidden),
            ("a\u{9b}", NameError::Hidden),
            ("a\u{202e}fdp.exe", NameError::Hidden),
            (".x.tou-part", NameError::Reserved),
        ] {
            assert_eq!(FileName::new(name), Err(error), "{name:?}");
        }
        assert_eq!(FileName::new(&"x".repeat(241)), Err(NameError::Long));
        assert!(FileName::new(&"x".repeat(240)).is_ok());
    }

    quickcheck! {
        fn a_taken_name_is_one_ordinary_component(name: String) -> bool {
            FileName::new(&name).is_err()
                || [name.clone(), FileName::new(&name).unwrap().partial()].iter().all(|name| {
                    let mut parts = Path::new(name).components();
                    matches!(parts.next(), Some(Component::Normal(part)) if part == name.as_str())
                        && parts.next().is_none()
                })
        }
    }
}
