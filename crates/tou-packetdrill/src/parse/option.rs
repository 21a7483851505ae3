//! TCP options: `<mss 1460,nop,wscale 6,sackOK,TS val 100 ecr 0>`.

use super::cursor::Cursor;
use crate::ast::{OptionSpec, Options, TsVal};
use crate::error::ScriptError;
use crate::lex::Tok;

/// The list in its brackets, `<...>`, or nothing.
pub(super) fn options(cursor: &mut Cursor) -> Result<Options, ScriptError> {
    if !cursor.eat('<') {
        return Ok(Options::List(Vec::new()));
    }
    if *cursor.tok() == Tok::Ellipsis && *cursor.ahead() == Tok::Punct('>') {
        cursor.next();
        cursor.next();
        return Ok(Options::Any);
    }
    cursor.list('>', option).map(Options::List)
}

fn option(cursor: &mut Cursor) -> Result<OptionSpec, ScriptError> {
    let name = name(cursor)?;
    match name.as_str() {
        "nop" => Ok(OptionSpec::Nop),
        "eol" => Ok(OptionSpec::Eol),
        "mss" => cursor.number("an MSS").map(OptionSpec::Mss),
        "wscale" => cursor.number("a window scale").map(OptionSpec::WindowScale),
        "sackOK" => Ok(OptionSpec::SackPermitted),
        "sack" => sack(cursor),
        "TS" => timestamps(cursor),
        "FO" => blob(cursor).map(OptionSpec::FastOpen),
        "FOEXP" | "EXP-FO" | "exp-FO" => blob(cursor).map(OptionSpec::FastOpenExperiment),
        "md5" if cursor.eat_word("valid") => Ok(OptionSpec::Md5(None)),
        "md5" => blob(cursor).map(|digest| OptionSpec::Md5(Some(digest))),
        _ => Err(cursor.unsupported(&format!("TCP option {name}"))),
    }
}

/// An option's name, which may have hyphens.
fn name(cursor: &mut Cursor) -> Result<String, ScriptError> {
    let Tok::Word(word) = cursor.tok().clone() else {
        return Err(cursor.expected("a TCP option"));
    };
    cursor.next();
    let mut name = word;
    while *cursor.tok() == Tok::Punct('-') {
        let Tok::Word(rest) = cursor.ahead().clone() else { break };
        cursor.next();
        cursor.next();
        name = format!("{name}-{rest}");
    }
    Ok(name)
}

fn sack(cursor: &mut Cursor) -> Result<OptionSpec, ScriptError> {
    let mut blocks = Vec::new();
    while matches!(cursor.tok(), Tok::Number(_)) {
        let left = cursor.number("a sequence number")?;
        cursor.expect(':')?;
        blocks.push((left, cursor.number("a sequence number")?));
    }
    if blocks.is_empty() {
        Err(cursor.expected("a SACK block"))
    } else {
        Ok(OptionSpec::Sack(blocks))
    }
}

fn timestamps(cursor: &mut Cursor) -> Result<OptionSpec, ScriptError> {
    cursor.expect_word("val")?;
    let val = timestamp(cursor)?;
    cursor.expect_word("ecr")?;
    Ok(OptionSpec::Timestamps { val, ecr: timestamp(cursor)? })
}

fn timestamp(cursor: &mut Cursor) -> Result<TsVal, ScriptError> {
    if *cursor.tok() == Tok::Ellipsis {
        cursor.next();
        return Ok(TsVal::Any);
    }
    let value = cursor.number("a timestamp")?;
    Ok(if cursor.eat('!') { TsVal::Absolute(value) } else { TsVal::Relative(value) })
}

/// Octets in hexadecimal; none is legal.
fn blob(cursor: &mut Cursor) -> Result<Vec<u8>, ScriptError> {
    let (Tok::Word(text) | Tok::Number(text)) = cursor.tok().clone() else {
        return Ok(Vec::new());
    };
    let digits = text.strip_prefix("0x").unwrap_or(&text);
    if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(cursor.unsupported(&format!("{text} needs a value: --define={text}=...")));
    }
    if digits.len() % 2 != 0 {
        return Err(cursor.error(&format!("{text} is half an octet too long")));
    }
    cursor.next();
    let octet = |pair: &[u8]| {
        let pair = core::str::from_utf8(pair).unwrap_or_default();
        u8::from_str_radix(pair, 16).unwrap_or_default()
    };
    Ok(digits.as_bytes().chunks(2).map(octet).collect())
}
