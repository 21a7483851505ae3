//! System calls: `1.0...6.0 connect(3, ..., ...) = -1 ETIMEDOUT (a note)`.

use super::cursor::Cursor;
use crate::ast::{Call, Expr, Outcome};
use crate::error::ScriptError;
use crate::lex::Tok;

/// From `...` or the call's name on.
pub(super) fn call(cursor: &mut Cursor) -> Result<Call, ScriptError> {
    let ends = if *cursor.tok() == Tok::Ellipsis {
        cursor.next();
        Some(super::usecs(cursor)?)
    } else {
        None
    };
    let Tok::Word(name) = cursor.tok().clone() else {
        return Err(cursor.expected("a system call"));
    };
    cursor.next();
    cursor.expect('(')?;
    let args = cursor.list(')', expr)?;
    cursor.expect('=')?;
    Ok(Call { ends, name, args, outcome: outcome(cursor)? })
}

/// `0`, `-1 EINVAL (Invalid argument)`, `0x2 (flags O_RDWR)`, `?`.
fn outcome(cursor: &mut Cursor) -> Result<Outcome, ScriptError> {
    let value = if cursor.eat('?') { None } else { Some(expr(cursor)?) };
    let errno = match cursor.tok().clone() {
        Tok::Word(errno) => {
            cursor.next();
            Some(errno)
        }
        _ => None,
    };
    let note = cursor.eat('(').then(|| note(cursor)).transpose()?;
    Ok(Outcome { value, errno, note })
}

/// Anything up to the closing parenthesis.
fn note(cursor: &mut Cursor) -> Result<String, ScriptError> {
    let mut text = String::new();
    while !cursor.eat(')') {
        if *cursor.tok() == Tok::End {
            return Err(cursor.expected("`)`"));
        }
        if !text.is_empty() && !cursor.glued() {
            text.push(' ');
        }
        text.push_str(&cursor.tok().to_string());
        cursor.next();
    }
    Ok(text)
}

/// One or more terms with `|` between them.
fn expr(cursor: &mut Cursor) -> Result<Expr, ScriptError> {
    let first = term(cursor)?;
    if *cursor.tok() != Tok::Punct('|') {
        return field(cursor, first);
    }
    let mut terms = vec![first];
    while cursor.eat('|') {
        terms.push(term(cursor)?);
    }
    Ok(Expr::Or(terms))
}

/// `name = value`, where the name has been read.
fn field(cursor: &mut Cursor, name: Expr) -> Result<Expr, ScriptError> {
    let named = matches!(name, Expr::Word(_) | Expr::Apply(..));
    if !named || !cursor.eat('=') {
        return Ok(name);
    }
    Ok(Expr::Field(Box::new(name), Box::new(expr(cursor)?)))
}

fn term(cursor: &mut Cursor) -> Result<Expr, ScriptError> {
    match cursor.tok().clone() {
        Tok::Ellipsis => {
            cursor.next();
            Ok(Expr::Ellipsis)
        }
        Tok::Str(text) => {
            cursor.next();
            Ok(Expr::Str(text))
        }
        Tok::Word(word) => {
            cursor.next();
            if cursor.eat('(') {
                return Ok(Expr::Apply(word, cursor.list(')', expr)?));
            }
            Ok(Expr::Word(word))
        }
        Tok::Number(_) => int(cursor, false),
        Tok::Punct('-') => {
            cursor.next();
            int(cursor, true)
        }
        Tok::Punct('[') => {
            cursor.next();
            cursor.list(']', expr).map(Expr::Array)
        }
        Tok::Punct('{') => {
            cursor.next();
            cursor.list('}', expr).map(Expr::Struct)
        }
        _ => Err(cursor.expected("a value")),
    }
}

fn int(cursor: &mut Cursor, negative: bool) -> Result<Expr, ScriptError> {
    let hex = matches!(cursor.tok(), Tok::Number(text) if text.starts_with("0x"));
    let value: i64 = cursor.number("a number")?;
    Ok(Expr::Int { value: if negative { -value } else { value }, hex })
}
