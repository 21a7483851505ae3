//! Scripts with one expectation made wrong: each must fail, or the script that
//! it came from looks at less than it seems to.

use super::compare::Mode;
use crate::ast::{
    Action, Direction, Flags, OptionSpec, Options, PacketSpec, Script, SeqSpec, TimeSpec, Usecs,
};

/// Every script that differs from `script` in one part of one segment that must
/// leave: a flag, the sequence number, the acknowledgment number, the options;
/// and, when it is to be compared strictly, the window and the time.
#[must_use]
pub fn mutations(script: &Script, mode: Mode) -> Vec<Script> {
    let mut mutants = Vec::new();
    for (index, event) in script.events.iter().enumerate() {
        let Action::Packet(packet) = &event.action else { continue };
        if packet.direction == Direction::Inbound {
            continue;
        }
        let mut mutate = |time: TimeSpec, packet: PacketSpec| {
            let mut mutant = script.clone();
            mutant.events[index].time = time;
            mutant.events[index].action = Action::Packet(packet);
            mutants.push(mutant);
        };
        for changed in changes(packet) {
            mutate(event.time, changed);
        }
        if mode == Mode::Strict {
            if let Some(window) = packet.window {
                let window = Some(window ^ 1);
                mutate(event.time, PacketSpec { window, ..packet.clone() });
            }
            if let Some(time) = later(event.time) {
                mutate(time, packet.clone());
            }
        }
    }
    mutants
}

/// A microsecond later.
fn later(time: TimeSpec) -> Option<TimeSpec> {
    match time {
        TimeSpec::Absolute(Usecs(at)) => Some(TimeSpec::Absolute(Usecs(at + 1))),
        TimeSpec::Relative(Usecs(after)) => Some(TimeSpec::Relative(Usecs(after + 1))),
        _ => None,
    }
}

fn changes(packet: &PacketSpec) -> Vec<PacketSpec> {
    let mut changed =
        vec![PacketSpec { flags: Flags(packet.flags.0 ^ Flags::PSH), ..packet.clone() }];
    // The sequence number of our SYN is the zero that the others count from.
    if let SeqSpec::Relative { start, len } = packet.seq
        && !packet.flags.has(Flags::SYN)
    {
        let seq = SeqSpec::Relative { start: start.wrapping_add(1), len };
        changed.push(PacketSpec { seq, ..packet.clone() });
    }
    if let Some((ack, absolute)) = packet.ack.filter(|_| packet.flags.has(Flags::ACK)) {
        let ack = Some((ack.wrapping_add(1), absolute));
        changed.push(PacketSpec { ack, ..packet.clone() });
    }
    if let Options::List(list) = &packet.options {
        let mut list = list.clone();
        list.push(OptionSpec::Mss(1));
        changed.push(PacketSpec { options: Options::List(list), ..packet.clone() });
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lex::Defines;
    use crate::parse::parse;

    #[test]
    fn each_part_is_changed_alone() {
        let source = "0 < S 0:0(0)\n+0 > S. 0:0(0) ack 1 <mss 9>\n+0 > . 5:5(0) ack 2 <...>";
        let script = parse(source, &Defines::new()).unwrap().script;
        let mutants = mutations(&script, Mode::Default);
        let texts: Vec<_> = mutants.iter().map(ToString::to_string).collect();
        assert_eq!(texts.len(), 3 + 3);
        for wanted in [
            "> SP. 0:0(0) ack 1 <mss 9>\n",
            "> S. 0:0(0) ack 2 <mss 9>\n",
            "> S. 0:0(0) ack 1 <mss 9,mss 1>\n",
            "> P. 5:5(0) ack 2 <...>\n",
            "> . 6:6(0) ack 2 <...>\n",
            "> . 5:5(0) ack 3 <...>\n",
        ] {
            assert_eq!(texts.iter().filter(|text| text.contains(wanted)).count(), 1, "{wanted}");
        }
    }

    #[test]
    fn window_and_time_are_changed_for_strict_scripts() {
        let script = parse("0 > . 5:5(0) ack 2 win 8 <...>", &Defines::new()).unwrap().script;
        let texts: Vec<_> =
            mutations(&script, Mode::Strict).iter().map(ToString::to_string).collect();
        assert_eq!(texts.len(), 5);
        assert!(texts[3].starts_with("0.000000 > . 5:5(0) ack 2 win 9"));
        assert!(texts[4].starts_with("0.000001 > . 5:5(0) ack 2 win 8"));
    }
}
