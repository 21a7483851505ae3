//! What a script's words and expressions mean: numbers, errors, assertions.

pub mod code;
mod dialect;
mod errno;
mod symbol;

pub use self::dialect::Dialect;
pub use self::errno::Errno;
pub use self::symbol::constant;

use crate::ast::Expr;

/// The number that `expr` stands for: an integer, a constant, a list of one of
/// these (`[1]`), an error's name, or several with `|` between them.
///
/// # Errors
/// The text that has no value here.
pub fn number(expr: &Expr, dialect: Dialect) -> Result<i64, String> {
    match expr {
        Expr::Int { value, .. } => Ok(*value),
        Expr::Word(word) => constant(word, dialect)
            .or_else(|| Errno::named(word).map(|errno| errno.number(dialect)))
            .ok_or_else(|| format!("constant {word}")),
        Expr::Or(terms) => terms.iter().try_fold(0, |bits, term| Ok(bits | number(term, dialect)?)),
        Expr::Array(items) if items.len() == 1 => number(&items[0], dialect),
        other => Err(format!("value {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Expr {
        Expr::Or(words.iter().map(|word| Expr::Word((*word).to_owned())).collect())
    }

    #[test]
    fn flags_have_the_number_of_their_system() {
        let flags = words(&["O_RDWR", "O_NONBLOCK"]);
        assert_eq!(number(&flags, Dialect::Google), Ok(0x802));
        assert_eq!(number(&flags, Dialect::FreeBsd), Ok(0x6));
    }

    #[test]
    fn errors_are_numbers_inside_a_list() {
        let list = Expr::Array(vec![Expr::Word("ECONNRESET".to_owned())]);
        assert_eq!(number(&list, Dialect::Google), Ok(104));
        assert_eq!(number(&list, Dialect::FreeBsd), Ok(54));
    }

    #[test]
    fn unknown_words_are_named() {
        assert_eq!(number(&words(&["SO_WHAT"]), Dialect::Google), Err("constant SO_WHAT".into()));
        assert_eq!(number(&Expr::Ellipsis, Dialect::Google), Err("value ...".into()));
    }
}
