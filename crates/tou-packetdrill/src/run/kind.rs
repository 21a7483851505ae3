//! Kinds of arriving segments, as RFC 9293 §3.10.7 tells them apart.
//!
//! Knows a segment and the sequence variables it is held against, nothing of how
//! those came about.

use super::segment::Segment;
use super::stack::State;
use crate::ast::Flags;

/// The sequence variables of a connection, as they show on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Variables {
    /// Our initial sequence number.
    pub iss: u32,
    /// SND.UNA.
    pub snd_una: u32,
    /// SND.NXT, or what it once was.
    pub snd_nxt: u32,
    /// SND.WND.
    pub snd_wnd: u64,
    /// The largest that SND.WND has been.
    pub max_wnd: u64,
    /// Shift of the windows that the peer sends.
    pub snd_shift: u8,
    /// The peer's initial sequence number.
    pub irs: u32,
    /// RCV.NXT.
    pub rcv_nxt: u32,
    /// RCV.NXT + RCV.WND.
    pub rcv_edge: u32,
    /// TS.Recent, where timestamps are in use.
    pub ts_recent: Option<u32>,
}

macro_rules! kinds {
    ($($kind:ident $name:literal,)*) => {
        /// What a segment is to the state that it arrives in.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind {
            $(#[doc = $name] $kind,)*
        }

        impl Kind {
            /// All, in the order of the tables.
            pub const ALL: &[Self] = &[$(Self::$kind),*];

            /// As the tables call it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$kind => $name),* }
            }
        }
    };
}

kinds! {
    // CLOSED, LISTEN, SYN-SENT: nothing has come from the peer.
    OpeningRst "RST",
    OpeningRstAck "RST, ACK",
    OpeningRstBadAck "RST, unacceptable ACK",
    OpeningSyn "SYN",
    OpeningSynText "SYN with data",
    OpeningSynFin "SYN, FIN",
    OpeningSynAck "SYN, ACK",
    OpeningSynBadAck "SYN, unacceptable ACK",
    OpeningAck "ACK",
    OpeningBadAck "unacceptable ACK",
    OpeningText "data or FIN, ACK",
    OpeningNoAck "none of SYN, RST, ACK",
    // All other states, in the order of the checks.
    OldTimestamp "old timestamp",
    EmptyBefore "empty, before the window",
    EmptyBeyond "empty, beyond the window",
    TextBefore "data, all old",
    TextBeyond "data, all beyond the window",
    TextAtClosedWindow "data at a closed window",
    FinBefore "FIN again, or an old one",
    RstExact "RST at RCV.NXT",
    RstInWindow "RST in the window",
    RstOutside "RST outside",
    SynInWindow "SYN in the window",
    SynOutside "SYN outside",
    SynAck "SYN, ACK of the peer's first number",
    NoAck "no ACK",
    AckUnsent "ACK of what was never sent",
    AckOld "ACK before SND.UNA",
    AckAncient "ACK before the largest window",
    AckNew "ACK of something new",
    AckUpdate "ACK again, another window",
    AckAgain "ACK again, same window",
    Urgent "URG",
    TextInOrder "data in order",
    TextAhead "data behind a hole",
    TextOverlap "data, partly old",
    TextCut "data, partly beyond the window",
    FinInOrder "FIN in order",
    FinWithText "FIN with data in order",
    FinAhead "FIN behind a hole",
}

impl Kind {
    /// It belongs to CLOSED, LISTEN and SYN-SENT.
    #[must_use]
    pub fn is_opening(self) -> bool {
        self < Self::OldTimestamp
    }

    /// The kind called `name`, of the opening ones or of the others.
    #[must_use]
    pub fn named(name: &str, opening: bool) -> Option<Self> {
        let mut all = Self::ALL.iter().copied();
        all.find(|kind| kind.name() == name && kind.is_opening() == opening)
    }

    /// The segment goes no further than the check of its ACK field.
    #[must_use]
    pub fn is_turned_away(self) -> bool {
        self < Self::AckOld || self == Self::AckAncient
    }
}

/// The states of [`Kind::is_opening`].
#[must_use]
pub fn is_opening(state: State) -> bool {
    matches!(state, State::Closed | State::Listen | State::SynSent)
}

/// What `segment` is in `state`: one kind, and beside it [`Kind::AckNew`] and
/// [`Kind::Urgent`] where they are true of text and FIN.
#[must_use]
pub fn kinds_of(state: State, vars: Variables, segment: &Segment) -> Vec<Kind> {
    if is_opening(state) {
        return vec![opening(state, vars, segment)];
    }
    match refused(vars, segment) {
        Some(kind) => vec![kind],
        None => processed(vars, segment),
    }
}

fn opening(state: State, vars: Variables, segment: &Segment) -> Kind {
    let has = |flag| segment.flags.has(flag);
    let is_good = state != State::SynSent
        || (distance(vars.iss, segment.ack) > 0 && distance(vars.snd_nxt, segment.ack) <= 0);
    match (has(Flags::RST), has(Flags::SYN), has(Flags::ACK)) {
        (true, _, false) => Kind::OpeningRst,
        (true, _, true) if is_good => Kind::OpeningRstAck,
        (true, _, true) => Kind::OpeningRstBadAck,
        (_, true, true) if is_good => Kind::OpeningSynAck,
        (_, true, true) => Kind::OpeningSynBadAck,
        (_, true, false) if has(Flags::FIN) => Kind::OpeningSynFin,
        (_, true, false) if !segment.data.is_empty() => Kind::OpeningSynText,
        (_, true, false) => Kind::OpeningSyn,
        (.., false) => Kind::OpeningNoAck,
        (.., true) if !is_good => Kind::OpeningBadAck,
        (.., true) if has(Flags::FIN) || !segment.data.is_empty() => Kind::OpeningText,
        (.., true) => Kind::OpeningAck,
    }
}

/// From the timestamp to the ACK field: what ends the processing of a segment.
fn refused(vars: Variables, segment: &Segment) -> Option<Kind> {
    let has = |flag| segment.flags.has(flag);
    let start = distance(vars.rcv_nxt, segment.seq);
    let end = start + len(segment);
    let window = distance(vars.rcv_nxt, vars.rcv_edge);
    if has(Flags::RST) {
        return Some(match start {
            0 => Kind::RstExact,
            _ if 0 < start && start < window => Kind::RstInWindow,
            _ => Kind::RstOutside,
        });
    }
    if let (Some(recent), Some((val, _))) = (vars.ts_recent, segment.timestamps())
        && distance(recent, val) < 0
    {
        return Some(Kind::OldTimestamp);
    }
    if has(Flags::SYN) {
        return Some(match (has(Flags::ACK), segment.seq == vars.irs) {
            (true, true) => Kind::SynAck,
            _ if start < window && end > 0 => Kind::SynInWindow,
            _ => Kind::SynOutside,
        });
    }
    let is_empty = end == start;
    if is_empty && start != 0 && !(0 < start && start <= window) {
        return Some(if start < 0 { Kind::EmptyBefore } else { Kind::EmptyBeyond });
    }
    if !is_empty && end <= 0 {
        return Some(if has(Flags::FIN) { Kind::FinBefore } else { Kind::TextBefore });
    }
    if !segment.data.is_empty() && start >= window {
        let is_next = start == 0 && window == 0;
        return Some(if is_next { Kind::TextAtClosedWindow } else { Kind::TextBeyond });
    }
    if !has(Flags::ACK) {
        return Some(Kind::NoAck);
    }
    if distance(vars.snd_nxt, segment.ack) > 0 {
        return Some(Kind::AckUnsent);
    }
    let behind = u64::try_from(distance(segment.ack, vars.snd_una)).unwrap_or(0);
    (behind > vars.max_wnd).then_some(Kind::AckAncient)
}

/// From the ACK field on, for a segment that gets there.
fn processed(vars: Variables, segment: &Segment) -> Vec<Kind> {
    let has = |flag| segment.flags.has(flag);
    let (start, window) =
        (distance(vars.rcv_nxt, segment.seq), distance(vars.rcv_nxt, vars.rcv_edge));
    let text = i64::try_from(segment.data.len()).unwrap_or(i64::MAX);
    let news = distance(vars.snd_una, segment.ack);
    let mut kinds = Vec::new();
    if news > 0 {
        kinds.push(Kind::AckNew);
    }
    if has(Flags::URG) {
        kinds.push(Kind::Urgent);
    }
    match (has(Flags::FIN), text > 0) {
        (true, _) if start > 0 => kinds.push(Kind::FinAhead),
        (true, true) => kinds.push(Kind::FinWithText),
        (true, false) => kinds.push(Kind::FinInOrder),
        (false, true) if start > 0 && start + text <= window => kinds.push(Kind::TextAhead),
        (false, true) if start + text > window => kinds.push(Kind::TextCut),
        (false, true) if start < 0 => kinds.push(Kind::TextOverlap),
        (false, true) => kinds.push(Kind::TextInOrder),
        (false, false) if !kinds.is_empty() => {}
        (false, false) if news < 0 => kinds.push(Kind::AckOld),
        (false, false) if u64::from(segment.window) << vars.snd_shift == vars.snd_wnd => {
            kinds.push(Kind::AckAgain);
        }
        (false, false) => kinds.push(Kind::AckUpdate),
    }
    kinds
}

/// How far `to` lies ahead of `from`.
pub(super) fn distance(from: u32, to: u32) -> i64 {
    i64::from(to.wrapping_sub(from).cast_signed())
}

/// SEG.LEN.
pub(super) fn len(segment: &Segment) -> i64 {
    let controls = [Flags::SYN, Flags::FIN].map(|flag| i64::from(segment.flags.has(flag)));
    i64::try_from(segment.data.len()).unwrap_or(i64::MAX) + controls[0] + controls[1]
}

#[cfg(test)]
mod tests {
    use super::*;

    const VARS: Variables = Variables {
        iss: u32::MAX - 9,
        snd_una: 0,
        snd_nxt: 20,
        snd_wnd: 500,
        max_wnd: 1_000,
        snd_shift: 0,
        irs: 999,
        rcv_nxt: 1_100,
        rcv_edge: 1_200,
        ts_recent: None,
    };

    fn kinds(flags: u16, seq: u32, text: usize, ack: u32) -> Vec<Kind> {
        let data = vec![0; text];
        let segment =
            Segment { flags: Flags(flags), seq, ack, window: 500, data, ..Segment::default() };
        kinds_of(State::Established, VARS, &segment)
    }

    #[test]
    fn segments_are_told_apart_in_the_order_of_the_checks() {
        const A: u16 = Flags::ACK;
        for (flags, seq, text, ack, wanted) in [
            (A, 1_099, 0, 0, Kind::EmptyBefore),
            (A, 1_200, 0, 0, Kind::AckAgain),
            (A, 1_201, 0, 0, Kind::EmptyBeyond),
            (A, 1_000, 100, 0, Kind::TextBefore),
            (A, 1_000, 101, 0, Kind::TextOverlap),
            (A, 1_100, 100, 0, Kind::TextInOrder),
            (A, 1_100, 101, 0, Kind::TextCut),
            (A, 1_101, 99, 0, Kind::TextAhead),
            (A, 1_200, 1, 0, Kind::TextBeyond),
            (A | Flags::FIN, 1_099, 0, 0, Kind::FinBefore),
            (A | Flags::FIN, 1_099, 1, 0, Kind::FinWithText),
            (A | Flags::FIN, 1_100, 0, 0, Kind::FinInOrder),
            (A | Flags::FIN, 1_101, 0, 0, Kind::FinAhead),
            (Flags::RST, 1_100, 0, 0, Kind::RstExact),
            (Flags::RST, 1_199, 0, 0, Kind::RstInWindow),
            (Flags::RST, 1_200, 0, 0, Kind::RstOutside),
            (Flags::SYN, 1_100, 0, 0, Kind::SynInWindow),
            (Flags::SYN, 999, 0, 0, Kind::SynOutside),
            (Flags::SYN | A, 999, 0, 0, Kind::SynAck),
            (0, 1_100, 5, 0, Kind::NoAck),
            (A, 1_100, 0, 21, Kind::AckUnsent),
            (A, 1_100, 0, 20, Kind::AckNew),
            (A, 1_100, 0, u32::MAX, Kind::AckOld),
            (A, 1_100, 0, 0u32.wrapping_sub(1_000), Kind::AckOld),
            (A, 1_100, 0, 0u32.wrapping_sub(1_001), Kind::AckAncient),
        ] {
            assert_eq!(kinds(flags, seq, text, ack), [wanted], "{flags:#x} {seq} {text} {ack}");
        }
    }

    #[test]
    fn news_and_urgency_stand_beside_text() {
        let flags = Flags::ACK | Flags::URG | Flags::FIN;
        let wanted = [Kind::AckNew, Kind::Urgent, Kind::FinWithText];
        assert_eq!(kinds(flags, 1_100, 1, 20), wanted);
    }

    #[test]
    fn names_lead_back_to_kinds() {
        for kind in Kind::ALL {
            assert_eq!(Kind::named(kind.name(), kind.is_opening()), Some(*kind));
        }
    }
}
