//! Which system a script was written for: it decides what numbers mean.

use crate::ast::{Action, Script};

/// The home of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Dialect {
    /// Google's packetdrill on Linux.
    #[default]
    Google,
    /// The FreeBSD suite's.
    FreeBsd,
    /// tou's own scripts: Linux's numbers for constants, octets for windows.
    Tou,
}

impl Dialect {
    /// The dialect of `script`: as it says with `--home`, or told by what only
    /// FreeBSD's scripts have: its names of kernel variables, its tools, and
    /// encapsulation.
    #[must_use]
    pub fn of(script: &Script) -> Self {
        if script.option("home") == Some("tou") {
            return Self::Tou;
        }
        let bsd = script.option("udp_encapsulation").is_some()
            || script.events.iter().any(|event| match &event.action {
                Action::Packet(packet) => packet.udp.is_some(),
                Action::Command(text) => ["net.inet.", "kern.ipc.", "sockstat", "tcpdrop"]
                    .iter()
                    .any(|word| text.contains(word)),
                _ => false,
            });
        if bsd { Self::FreeBsd } else { Self::Google }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lex::Defines;
    use crate::parse::parse;

    fn dialect(source: &str) -> Dialect {
        Dialect::of(&parse(source, &Defines::new()).unwrap().script)
    }

    #[test]
    fn the_home_shows_in_commands_and_encapsulation() {
        assert_eq!(dialect("0 `sysctl -w net.inet.tcp.x=1`"), Dialect::FreeBsd);
        assert_eq!(dialect("0 < S 0:0(0)/udp(1 > 2)"), Dialect::FreeBsd);
        assert_eq!(dialect("0 `sysctl -q net.ipv4.x=1`"), Dialect::Google);
        assert_eq!(dialect("--home=tou\n0 < S 0:0(0)/udp(1 > 2)"), Dialect::Tou);
    }
}
