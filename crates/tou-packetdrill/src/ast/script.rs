//! The whole: options, then events.

use core::fmt;

use super::{Call, IcmpSpec, PacketSpec, TimeSpec};

/// `--name=value` at a script's head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptOption {
    /// Where it stands.
    pub line: u32,
    /// The name, without the dashes.
    pub name: String,
    /// The value, if there is one.
    pub value: Option<String>,
}

/// One thing that happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A segment, arriving or leaving.
    Packet(PacketSpec),
    /// An ICMP error, arriving.
    Icmp(IcmpSpec),
    /// A system call with its result.
    Call(Call),
    /// A shell command, without the backquotes.
    Command(String),
    /// A code block, without its brackets.
    Code(String),
}

/// One thing that happens, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Where it stands.
    pub line: u32,
    /// When.
    pub time: TimeSpec,
    /// What.
    pub action: Action,
}

/// A script. Two are equal when they say the same on the same lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// Options, in order.
    pub options: Vec<ScriptOption>,
    /// Events, in order, the opening and closing commands among them.
    pub events: Vec<Event>,
}

impl Script {
    /// The value of the last option called `name`.
    #[must_use]
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().rev().find(|o| o.name == name).and_then(|o| o.value.as_deref())
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Packet(packet) => packet.fmt(f),
            Self::Icmp(icmp) => icmp.fmt(f),
            Self::Call(call) => call.fmt(f),
            Self::Command(text) => write!(f, "`{text}`"),
            Self::Code(text) => write!(f, "%{{ {text} }}%"),
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.time, &self.action) {
            (TimeSpec::Unset, action) => write!(f, "{action}"),
            (time, Action::Call(call)) => match call.ends {
                Some(ends) => write!(f, "{time}...{ends} {call}"),
                None => write!(f, "{time} {call}"),
            },
            (time, action) => write!(f, "{time} {action}"),
        }
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for option in &self.options {
            match &option.value {
                Some(value) => writeln!(f, "--{}={value}", option.name)?,
                None => writeln!(f, "--{}", option.name)?,
            }
        }
        self.events.iter().try_for_each(|event| writeln!(f, "{event}"))
    }
}
