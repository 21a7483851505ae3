//! Whether a segment is the one the script expects.
//!
//! Strict compares everything as written. By default what a script takes from
//! its home stack is left out: the size of a window that is not zero, and the
//! padding and order of options. Nothing else is.

use tou_proto::Ecn;

use super::segment::{Segment, WireOption};
use crate::ast::{EcnMark, Flags, IpField, OptionSpec, Options, PacketSpec, SeqSpec, TsVal};

/// How closely to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Mode {
    /// What a script says about TCP.
    #[default]
    Default,
    /// All that a script says.
    Strict,
}

/// A segment that left, with what surrounds it.
#[derive(Clone, Copy, Debug)]
pub struct Actual<'a> {
    /// In the script's numbers.
    pub segment: &'a Segment,
    /// The sequence number on the wire.
    pub wire_seq: u32,
    /// The acknowledgment number on the wire.
    pub wire_ack: u32,
    /// The ECN bits of its datagram.
    pub ecn: Ecn,
}

/// Compares a segment with its description, ports and timestamp values apart.
///
/// # Errors
/// The first difference, in words.
pub fn compare(spec: &PacketSpec, actual: Actual<'_>, mode: Mode) -> Result<(), String> {
    let segment = actual.segment;
    if segment.flags != spec.flags {
        return Err(format!("flags are {}, not {}", segment.flags, spec.flags));
    }
    sequence(spec, actual)?;
    if segment.flags.has(Flags::ACK) {
        let (ack, seen) = match spec.ack {
            Some((ack, true)) => (ack, actual.wire_ack),
            Some((ack, false)) => (ack, segment.ack),
            None => return Err("the script names no ack, but the segment has one".to_owned()),
        };
        same("ack", ack, seen)?;
    }
    window(spec, segment, mode)?;
    if segment.flags.has(Flags::URG) || mode == Mode::Strict {
        same("urgent pointer", spec.urgent.unwrap_or_default(), segment.urgent)?;
    }
    options(&spec.options, &segment.options, mode)?;
    spec.ip.iter().try_for_each(|field| ecn(*field, actual.ecn))
}

fn same<T: Copy + PartialEq + core::fmt::Display>(
    what: &str,
    scripted: T,
    seen: T,
) -> Result<(), String> {
    if scripted == seen { Ok(()) } else { Err(format!("{what} is {seen}, not {scripted}")) }
}

fn sequence(spec: &PacketSpec, actual: Actual<'_>) -> Result<(), String> {
    same("length", usize::from(spec.seq.len()), actual.segment.data.len())?;
    match spec.seq {
        SeqSpec::Relative { start, .. } => same("sequence number", start, actual.segment.seq),
        SeqSpec::Absolute { start, .. } => same("sequence number", start, actual.wire_seq),
        SeqSpec::Any { .. } => Ok(()),
    }
}

/// A window that is zero is never a matter of taste, but for a reset, whose
/// window means nothing.
fn window(spec: &PacketSpec, segment: &Segment, mode: Mode) -> Result<(), String> {
    let Some(window) = spec.window else { return Ok(()) };
    let differs = match mode {
        Mode::Strict => window != segment.window,
        Mode::Default if spec.flags.has(Flags::RST) => false,
        Mode::Default => (window == 0) != (segment.window == 0),
    };
    if differs { same("window", window, segment.window) } else { Ok(()) }
}

fn ecn(field: IpField, seen: Ecn) -> Result<(), String> {
    let IpField::Ecn(mark) = field else { return Ok(()) };
    let fits = match mark {
        EcnMark::NotEct => seen == Ecn::NotEct,
        EcnMark::Ect0 => seen == Ecn::Ect0,
        EcnMark::Ect1 => seen == Ecn::Ect1,
        EcnMark::Either => matches!(seen, Ecn::Ect0 | Ecn::Ect1),
        EcnMark::Ce => seen == Ecn::Ce,
    };
    if fits { Ok(()) } else { Err(format!("ECN is {seen:?}, not {mark}")) }
}

fn options(spec: &Options, seen: &[WireOption], mode: Mode) -> Result<(), String> {
    let Options::List(spec) = spec else { return Ok(()) };
    let (wanted, seen) = match mode {
        Mode::Strict => (spec.iter().collect(), seen.iter().collect()),
        Mode::Default => (scripted_content(spec), wire_content(seen)),
    };
    let text = |list: &[&WireOption]| {
        let words: Vec<_> = list.iter().map(ToString::to_string).collect();
        format!("<{}>", words.join(","))
    };
    let fit = wanted.len() == seen.len() && wanted.iter().zip(&seen).all(|(w, s)| option(w, s));
    if fit {
        return Ok(());
    }
    let words: Vec<_> = wanted.iter().map(ToString::to_string).collect();
    Err(format!("options are {}, not <{}>", text(&seen), words.join(",")))
}

/// The options that mean something, in an order of our own.
fn scripted_content(spec: &[OptionSpec]) -> Vec<&OptionSpec> {
    let mut content: Vec<_> =
        spec.iter().filter(|o| !matches!(o, OptionSpec::Nop | OptionSpec::Eol)).collect();
    content.sort_by_key(|option| kind(option));
    content
}

fn wire_content(seen: &[WireOption]) -> Vec<&WireOption> {
    let mut content: Vec<_> =
        seen.iter().filter(|o| !matches!(o, WireOption::Nop | WireOption::Eol)).collect();
    content.sort_by_key(|option| match option {
        WireOption::Eol => 0,
        WireOption::Nop => 1,
        WireOption::Mss(_) => 2,
        WireOption::WindowScale(_) => 3,
        WireOption::SackPermitted => 4,
        WireOption::Sack(_) => 5,
        WireOption::Timestamps(..) => 8,
        WireOption::Other(kind, _) => *kind,
    });
    content
}

fn kind(option: &OptionSpec) -> u8 {
    match option {
        OptionSpec::Eol => 0,
        OptionSpec::Nop => 1,
        OptionSpec::Mss(_) => 2,
        OptionSpec::WindowScale(_) => 3,
        OptionSpec::SackPermitted => 4,
        OptionSpec::Sack(_) => 5,
        OptionSpec::Timestamps { .. } => 8,
        OptionSpec::Md5(_) => 19,
        OptionSpec::FastOpen(_) => 34,
        OptionSpec::FastOpenExperiment(_) => 254,
    }
}

/// Whether one option is as scripted. A timestamp's value is the clock's matter,
/// its echo is not.
fn option(spec: &OptionSpec, seen: &WireOption) -> bool {
    match (spec, seen) {
        (OptionSpec::Nop, WireOption::Nop)
        | (OptionSpec::Eol, WireOption::Eol)
        | (OptionSpec::SackPermitted, WireOption::SackPermitted) => true,
        (OptionSpec::Mss(wanted), WireOption::Mss(mss)) => wanted == mss,
        (OptionSpec::WindowScale(wanted), WireOption::WindowScale(shift)) => wanted == shift,
        (OptionSpec::Sack(wanted), WireOption::Sack(blocks)) => wanted == blocks,
        (OptionSpec::Timestamps { ecr, .. }, WireOption::Timestamps(_, echo)) => match ecr {
            TsVal::Relative(wanted) | TsVal::Absolute(wanted) => wanted == echo,
            TsVal::Any => true,
        },
        (OptionSpec::FastOpen(wanted), WireOption::Other(34, cookie)) => wanted == cookie,
        (OptionSpec::FastOpenExperiment(wanted), WireOption::Other(254, content)) => {
            content.strip_prefix(&[0xf9, 0x89]) == Some(wanted.as_slice())
        }
        (OptionSpec::Md5(wanted), WireOption::Other(19, digest)) => {
            wanted.as_ref().is_none_or(|wanted| wanted == digest)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ast::Action;
    use crate::lex::Defines;
    use crate::parse::parse;

    fn spec(text: &str) -> PacketSpec {
        let script = parse(&format!("0 > {text}"), &Defines::new()).unwrap().script;
        match script.events.into_iter().next().map(|event| event.action) {
            Some(Action::Packet(packet)) => packet,
            _ => panic!(),
        }
    }

    fn syn_ack() -> Segment {
        Segment {
            seq: 0,
            ack: 1,
            flags: Flags(Flags::SYN | Flags::ACK),
            window: 4000,
            options: vec![
                WireOption::SackPermitted,
                WireOption::Timestamps(777, 5),
                WireOption::Mss(1400),
                WireOption::Nop,
                WireOption::WindowScale(7),
            ],
            ..Segment::default()
        }
    }

    fn check(text: &str, segment: &Segment, mode: Mode) -> Result<(), String> {
        let actual = Actual { segment, wire_seq: 9000, wire_ack: 1, ecn: Ecn::Ect0 };
        compare(&spec(text), actual, mode)
    }

    const SAME: &str = "S. 0:0(0) ack 1 win 4000 <sackOK,TS val 1 ecr 5,mss 1400,nop,wscale 7>";
    const LOOSE: &str = "S. 0:0(0) ack 1 win 65535 <mss 1400,wscale 7,sackOK,TS val 1 ecr 5,eol>";

    #[test]
    fn order_padding_and_window_size_matter_only_when_strict() {
        for (text, strict) in [(SAME, true), (LOOSE, false)] {
            assert_eq!(check(text, &syn_ack(), Mode::Default), Ok(()));
            assert_eq!(check(text, &syn_ack(), Mode::Strict).is_ok(), strict);
        }
    }

    #[test]
    fn everything_else_matters_always() {
        for (from, to) in [
            ("S.", "S"),
            ("0:0(0)", "1:1(0)"),
            ("0:0(0)", "0:4(4)"),
            ("ack 1", "ack 2"),
            ("ack 1 ", ""),
            ("win 4000", "win 0"),
            ("mss 1400", "mss 1401"),
            ("wscale 7", "wscale 6"),
            ("sackOK,", ""),
            ("ecr 5", "ecr 6"),
            ("S. ", "(ce) S. "),
        ] {
            let text = if to.starts_with('(') {
                SAME.replacen("S. ", "", 1)
            } else {
                SAME.replacen(from, to, 1)
            };
            let text = if to.starts_with('(') { format!("(ce) S. {text}") } else { text };
            assert!(check(&text, &syn_ack(), Mode::Default).is_err(), "{text}");
        }
        assert_eq!(check(&format!("(ect0) {SAME}"), &syn_ack(), Mode::Strict), Ok(()));
    }

    #[test]
    fn wildcards_are_not_compared() {
        for text in ["S. ...(0) ack 1 <...>", "S. 9000:9000(0)! ack 1! <...>"] {
            assert_eq!(check(text, &syn_ack(), Mode::Strict), Ok(()), "{text}");
        }
    }

    #[test]
    fn sack_blocks_have_an_order() {
        let sack = |blocks| Segment {
            flags: Flags(Flags::ACK),
            ack: 1,
            options: vec![WireOption::Sack(blocks)],
            ..Segment::default()
        };
        let text = ". 0:0(0) ack 1 <sack 5:9 1:3>";
        assert_eq!(check(text, &sack(vec![(5, 9), (1, 3)]), Mode::Default), Ok(()));
        assert!(check(text, &sack(vec![(1, 3), (5, 9)]), Mode::Default).is_err());
    }

    #[test]
    fn a_resets_window_means_nothing() {
        let reset = Segment { flags: Flags(Flags::RST), window: 9, ..Segment::default() };
        assert_eq!(check("R 0:0(0) win 0", &reset, Mode::Default), Ok(()));
        assert!(check("R 0:0(0) win 0", &reset, Mode::Strict).is_err());
    }
}
