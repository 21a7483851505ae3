//! What can be told of a script before it runs.

use crate::ast::{Action, Direction, Event, Flags, IpField, OptionSpec, Options, Script};

/// Whether an event is a segment that must leave.
pub(super) fn is_outbound(event: &Event) -> bool {
    matches!(&event.action, Action::Packet(p) if p.direction == Direction::Outbound)
}

/// Whether an event can fail by what the stack does.
pub(super) fn expects(event: &Event) -> bool {
    match &event.action {
        Action::Packet(_) => is_outbound(event),
        Action::Code(text) => text.contains("assert"),
        Action::Command(text) => text.contains("grep"),
        Action::Icmp(_) => false,
        Action::Call(call) => {
            call.outcome.errno.is_some()
                || matches!(call.name.as_str(), "getsockopt" | "read" | "recv" | "accept" | "poll")
        }
    }
}

/// Whether an event is a segment that must leave and speaks of ECN.
pub(super) fn wants_ecn(event: &Event) -> bool {
    match &event.action {
        Action::Packet(packet) if packet.direction == Direction::Outbound => {
            packet.flags.has(Flags::ECE | Flags::CWR)
        }
        _ => false,
    }
}

/// What no stack in user space can have: the line, and what it is.
pub(super) fn beyond_us(script: &Script) -> Option<(u32, String)> {
    script.events.iter().find_map(|event| {
        let Action::Packet(packet) = &event.action else { return None };
        let field = packet.ip.iter().find(|field| !matches!(field, IpField::Ecn(_)));
        if let Some(field) = field {
            return Some((event.line, format!("IP header field {field}")));
        }
        let Options::List(options) = &packet.options else { return None };
        let foreign = options.iter().find(|option| {
            matches!(
                option,
                OptionSpec::Md5(_) | OptionSpec::FastOpen(_) | OptionSpec::FastOpenExperiment(_)
            )
        })?;
        let name = foreign.to_string();
        let name = name.split(' ').next().unwrap_or_default();
        Some((event.line, format!("TCP option {name}")))
    })
}

/// Whether the script's connection starts inside UDP: then its MSS leaves room.
pub(super) fn is_encapsulated(script: &Script) -> bool {
    let mut packets = script.events.iter().filter_map(|event| match &event.action {
        Action::Packet(packet) => Some(packet),
        _ => None,
    });
    packets.find(|packet| packet.flags.has(Flags::SYN)).is_some_and(|packet| packet.udp.is_some())
}

/// Where the tail begins: the first `close` behind the last event that looks at
/// anything. What a script does not look at after that is cleaning up.
pub(super) fn tail_of(script: &Script) -> usize {
    let looks = |event: &Event| match &event.action {
        Action::Packet(_) | Action::Icmp(_) | Action::Code(_) => true,
        Action::Command(text) => !text.contains("sysctl"),
        Action::Call(call) => call.name != "close",
    };
    script.events.iter().rposition(looks).map_or(0, |last| last + 1)
}
