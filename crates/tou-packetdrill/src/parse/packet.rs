//! Segments: `< (ttl 3) S. 0:0(0) ack 1 win 100 <mss 1460>/udp(1 > 9811)`.

use super::cursor::Cursor;
use super::{icmp, option};
use crate::ast::{
    Action, Direction, EcnMark, Encapsulation, Flags, IpField, Options, PacketSpec, SeqSpec,
};
use crate::error::ScriptError;
use crate::lex::Tok;

/// Words that open a packet of another protocol.
const OTHER_PROTOCOLS: [&str; 8] =
    ["udp", "udplite", "sctp", "gre", "mpls", "encap", "ipv4", "ipv6"];

/// A segment or an ICMP message.
pub(super) fn packet(cursor: &mut Cursor) -> Result<Action, ScriptError> {
    let direction = direction(cursor)?;
    let ip = ip_info(cursor)?;
    if let Tok::Word(word) = cursor.tok() {
        if OTHER_PROTOCOLS.contains(&word.as_str()) {
            return Err(cursor.unsupported(&format!("{word} packets do not exist here")));
        }
        if word == "icmp" {
            return icmp::icmp(cursor, direction).map(Action::Icmp);
        }
    }
    segment(cursor, direction, ip).map(Action::Packet)
}

fn segment(
    cursor: &mut Cursor,
    direction: Direction,
    ip: Vec<IpField>,
) -> Result<PacketSpec, ScriptError> {
    let ports = ports(cursor)?;
    let flags = flags(cursor)?;
    let seq = seq(cursor)?;
    let ack = match cursor.eat_word("ack") {
        true => Some((cursor.number("an acknowledgment number")?, cursor.eat('!'))),
        false => None,
    };
    let window = cursor.eat_word("win").then(|| cursor.number("a window")).transpose()?;
    let urgent = cursor.eat_word("urg").then(|| cursor.number("an urgent pointer")).transpose()?;
    let options = option::options(cursor)?;
    if direction == Direction::Inbound {
        if options == Options::Any {
            return Err(cursor.error("<...> says nothing about a segment that arrives"));
        }
        if matches!(seq, SeqSpec::Any { .. }) {
            return Err(cursor.error("...() says nothing about a segment that arrives"));
        }
    }
    let udp = encapsulation(cursor)?;
    Ok(PacketSpec { direction, ip, ports, flags, seq, ack, window, urgent, options, udp })
}

fn direction(cursor: &mut Cursor) -> Result<Direction, ScriptError> {
    if cursor.eat('<') {
        Ok(Direction::Inbound)
    } else {
        cursor.expect('>').map(|()| Direction::Outbound)
    }
}

/// `(ttl 4)`, `[ect0]`, `(tos 0x20, ttl 3)`, or nothing.
fn ip_info(cursor: &mut Cursor) -> Result<Vec<IpField>, ScriptError> {
    if cursor.eat('(') {
        cursor.list(')', ip_field)
    } else if cursor.eat('[') {
        cursor.list(']', ip_field)
    } else {
        Ok(Vec::new())
    }
}

fn ip_field(cursor: &mut Cursor) -> Result<IpField, ScriptError> {
    let Tok::Word(word) = cursor.tok().clone() else {
        return Err(cursor.expected("a field of the IP header"));
    };
    let mark = match word.as_str() {
        "noecn" => Some(EcnMark::NotEct),
        "ect0" => Some(EcnMark::Ect0),
        "ect1" => Some(EcnMark::Ect1),
        "ect01" => Some(EcnMark::Either),
        "ce" => Some(EcnMark::Ce),
        "tos" | "class" | "ttl" | "hlim" | "flowlabel" => None,
        _ => return Err(cursor.unsupported(&format!("IP header field {word}"))),
    };
    cursor.next();
    if let Some(mark) = mark {
        return Ok(IpField::Ecn(mark));
    }
    Ok(match word.as_str() {
        "tos" => IpField::Tos(cursor.number("an octet")?, false),
        "class" => IpField::Tos(cursor.number("an octet")?, true),
        "ttl" => IpField::Ttl(cursor.number("an octet")?, false),
        "hlim" => IpField::Ttl(cursor.number("an octet")?, true),
        _ => IpField::FlowLabel(cursor.number("a flow label")?),
    })
}

/// `8080 > 1234`, or nothing.
fn ports(cursor: &mut Cursor) -> Result<Option<(u16, u16)>, ScriptError> {
    if !matches!(cursor.tok(), Tok::Number(_)) {
        return Ok(None);
    }
    let src = cursor.number("a port")?;
    cursor.expect('>')?;
    Ok(Some((src, cursor.number("a port")?)))
}

/// `S`, `S.`, `F .`, `.`, `SEW`, `-`.
fn flags(cursor: &mut Cursor) -> Result<Flags, ScriptError> {
    if cursor.eat('-') {
        return Ok(Flags::default());
    }
    let mut flags = Flags::default();
    let mut first = true;
    loop {
        let letters = match cursor.tok() {
            Tok::Word(word) => word.clone(),
            Tok::Punct('.') => ".".to_owned(),
            _ => break,
        };
        for letter in letters.chars() {
            let bit = Flags::bit(letter).ok_or_else(|| cursor.expected("TCP flags"))?;
            flags.0 |= bit;
        }
        cursor.next();
        first = false;
    }
    if first { Err(cursor.expected("TCP flags")) } else { Ok(flags) }
}

/// `1:101(100)`, `0:0(0)!`, `...(0)`.
pub(super) fn seq(cursor: &mut Cursor) -> Result<SeqSpec, ScriptError> {
    if *cursor.tok() == Tok::Ellipsis {
        cursor.next();
        return Ok(SeqSpec::Any { len: len(cursor)? });
    }
    let start: u32 = cursor.number("a sequence number")?;
    cursor.expect(':')?;
    let end: u32 = cursor.number("a sequence number")?;
    let len = len(cursor)?;
    if end != start.wrapping_add(u32::from(len)) {
        return Err(cursor.error(&format!("{start}:{end} are not {len} octets")));
    }
    Ok(match cursor.eat('!') {
        true => SeqSpec::Absolute { start, len },
        false => SeqSpec::Relative { start, len },
    })
}

fn len(cursor: &mut Cursor) -> Result<u16, ScriptError> {
    cursor.expect('(')?;
    let len = cursor.number("a length")?;
    cursor.expect(')')?;
    Ok(len)
}

/// `/udp(1 > 9811)`, or nothing.
pub(super) fn encapsulation(cursor: &mut Cursor) -> Result<Option<Encapsulation>, ScriptError> {
    if !cursor.eat('/') {
        return Ok(None);
    }
    cursor.expect_word("udp")?;
    cursor.expect('(')?;
    let src = cursor.number("a UDP port")?;
    cursor.expect('>')?;
    let dst = cursor.number("a UDP port")?;
    cursor.expect(')')?;
    Ok(Some(Encapsulation { src, dst }))
}
