//! From tokens to a script: recursive descent, one function a rule.
//!
//! Decides form, not meaning: a call may be unknown and a constant undefined.
//! Protocols that cannot be carried here are refused by name.

mod call;
mod cursor;
mod icmp;
mod option;
mod packet;

use self::cursor::Cursor;
use crate::ast::{Action, Event, Script, ScriptOption, TimeSpec, Usecs};
use crate::error::ScriptError;
use crate::lex::{Defines, Tok, lex};

/// A script, and what its conditions did to it.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// The script.
    pub script: Script,
    /// Names that its conditions asked for.
    pub tested: Vec<String>,
    /// It has conditions, and everything inside them was taken out.
    pub hollow: bool,
}

/// Reads a script with `defines` in force.
///
/// # Errors
/// The first thing that does not follow the grammar, or that exists but not
/// here.
pub fn parse(source: &str, defines: &Defines) -> Result<Parsed, ScriptError> {
    let lexed = lex(source, defines)?;
    let hollow = lexed.lines_dropped > 0 && lexed.tokens_kept == 0;
    let tested = lexed.tested.into_iter().collect();
    let mut cursor = Cursor::new(lexed.tokens);
    let script = script(&mut cursor)?;
    Ok(Parsed { script, tested, hollow })
}

fn script(cursor: &mut Cursor) -> Result<Script, ScriptError> {
    let mut script = Script::default();
    while let Tok::Option(name, value) = cursor.tok().clone() {
        script.options.push(ScriptOption { line: cursor.line(), name, value });
        cursor.next();
    }
    while *cursor.tok() != Tok::End {
        script.events.push(event(cursor)?);
    }
    Ok(script)
}

fn event(cursor: &mut Cursor) -> Result<Event, ScriptError> {
    let line = cursor.line();
    let time = event_time(cursor)?;
    let action = match cursor.tok().clone() {
        Tok::Command(text) => {
            cursor.next();
            Action::Command(text)
        }
        _ if time == TimeSpec::Unset => return Err(cursor.expected("a time")),
        Tok::Code(text) => {
            cursor.next();
            Action::Code(text)
        }
        Tok::Punct('<' | '>') => packet::packet(cursor)?,
        Tok::Word(_) | Tok::Ellipsis => Action::Call(call::call(cursor)?),
        _ => return Err(cursor.expected("a packet, a call, a command or code")),
    };
    Ok(Event { line, time, action })
}

/// `1.5`, `+0.5`, `1~2`, `+1~+2`, `*`, or nothing before a command.
fn event_time(cursor: &mut Cursor) -> Result<TimeSpec, ScriptError> {
    if cursor.eat('*') {
        return Ok(TimeSpec::Any);
    }
    if cursor.eat('+') {
        let from = usecs(cursor)?;
        if !cursor.eat('~') {
            return Ok(TimeSpec::Relative(from));
        }
        cursor.expect('+')?;
        return Ok(TimeSpec::RelativeRange(from, range_end(cursor, from)?));
    }
    if !matches!(cursor.tok(), Tok::Number(_)) {
        return Ok(TimeSpec::Unset);
    }
    let from = usecs(cursor)?;
    if !cursor.eat('~') {
        return Ok(TimeSpec::Absolute(from));
    }
    Ok(TimeSpec::AbsoluteRange(from, range_end(cursor, from)?))
}

fn range_end(cursor: &mut Cursor, from: Usecs) -> Result<Usecs, ScriptError> {
    let to = usecs(cursor)?;
    if to < from { Err(cursor.error("this range ends before it begins")) } else { Ok(to) }
}

/// Seconds.
fn usecs(cursor: &mut Cursor) -> Result<Usecs, ScriptError> {
    let Tok::Number(text) = cursor.tok() else { return Err(cursor.expected("seconds")) };
    let time = Usecs::parse(text).ok_or_else(|| cursor.expected("seconds"))?;
    cursor.next();
    Ok(time)
}

#[cfg(test)]
mod tests;
