//! ICMP messages: `< icmp unreachable frag_needed mtu 1300 [1:1001(1000)]`.

use super::cursor::Cursor;
use super::packet;
use crate::ast::{Direction, IcmpSpec, Quote};
use crate::error::ScriptError;
use crate::lex::Tok;

/// From the word `icmp` on.
pub(super) fn icmp(cursor: &mut Cursor, direction: Direction) -> Result<IcmpSpec, ScriptError> {
    cursor.expect_word("icmp")?;
    let kind = word(cursor)?.ok_or_else(|| cursor.expected("an ICMP type"))?;
    if matches!(cursor.tok(), Tok::Word(w) if w == "id") {
        return Err(cursor.unsupported("ICMP echo messages do not exist here"));
    }
    let code = word(cursor)?;
    let mtu = cursor.eat_word("mtu").then(|| cursor.number("an MTU")).transpose()?;
    let quote = cursor.eat('[').then(|| quote(cursor)).transpose()?;
    Ok(IcmpSpec { direction, kind, code, mtu, quote })
}

/// A word that is not the next part's name.
fn word(cursor: &mut Cursor) -> Result<Option<String>, ScriptError> {
    let Tok::Word(word) = cursor.tok().clone() else { return Ok(None) };
    if word == "mtu" {
        return Ok(None);
    }
    if word == "CODE" {
        return Err(cursor.unsupported("CODE needs a value: --define=CODE=..."));
    }
    cursor.next();
    Ok(Some(word))
}

fn quote(cursor: &mut Cursor) -> Result<Quote, ScriptError> {
    if let Tok::Word(word) = cursor.tok() {
        return Err(cursor.unsupported(&format!("ICMP errors that quote {word}")));
    }
    let seq = packet::seq(cursor)?;
    let udp = packet::encapsulation(cursor)?;
    cursor.expect(']')?;
    Ok(Quote { seq, udp })
}
