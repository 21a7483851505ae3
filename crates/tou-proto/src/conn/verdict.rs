//! Is this segment acceptable? The tests of RFC 9293 §3.10.7.4 and RFC 5961 as
//! pure functions of the control block's variables: they decide, and change
//! nothing.

use crate::seq::StreamPos;

use super::tcb::{RecvSpace, SendSpace};

/// A segment's place in the peer's sequence space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    /// SEG.SEQ.
    pub(crate) seq: StreamPos,
    /// SEG.LEN: data plus SYN and FIN.
    pub(crate) len: u64,
}

/// The first check of RFC 9293 §3.10.7.4: does any of the segment fall into
/// the receive window? Unlike the RFC's table, which looks at the segment's
/// two ends, this also takes a segment that reaches over both edges of a small
/// window, and one without data exactly at the right edge: that is where a peer
/// stands whose last window full of data was lost, and its acknowledgments count.
pub(crate) fn is_in_window(rcv: &RecvSpace, segment: Extent) -> bool {
    let Extent { seq, len } = segment;
    if len == 0 {
        return rcv.nxt <= seq && seq <= rcv.edge;
    }
    rcv.wnd() > 0 && seq < rcv.edge && seq + len > rcv.nxt
}

/// What a RST segment deserves (RFC 9293 §3.10.7.4, second check; RFC 5961
/// §3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResetVerdict {
    /// Outside the window: drop it silently.
    Drop,
    /// Exactly at RCV.NXT: the connection is reset.
    Reset,
    /// In the window but not at its start: ask the peer with a challenge ACK.
    Challenge,
}

/// Judges a RST at `seq`. With a closed window only RCV.NXT itself counts.
pub(crate) fn judge_reset(rcv: &RecvSpace, seq: StreamPos) -> ResetVerdict {
    if seq == rcv.nxt {
        ResetVerdict::Reset
    } else if rcv.nxt < seq && seq < rcv.edge {
        ResetVerdict::Challenge
    } else {
        ResetVerdict::Drop
    }
}

/// What an ACK field is worth in a synchronized state (RFC 9293 §3.10.7.4,
/// fifth check; RFC 5961 §5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AckVerdict {
    /// SND.UNA <= SEG.ACK <= SND.NXT, or what it once was.
    Acceptable,
    /// Older than SND.UNA, but no older than the largest window: a late
    /// arrival. Its ACK field is ignored, its data is not.
    Old,
    /// Never sent, or impossibly old: a challenge ACK, and the segment goes.
    Challenge,
}

/// Judges an ACK field in a synchronized state.
pub(crate) fn judge_ack(snd: &SendSpace, ack: StreamPos) -> AckVerdict {
    if ack > snd.max || ack < snd.una.back(snd.max_wnd) {
        AckVerdict::Challenge
    } else if ack < snd.una {
        AckVerdict::Old
    } else {
        AckVerdict::Acceptable
    }
}

/// Whether `tsval` is older than the timestamp last taken from the peer (RFC
/// 7323 §5.3, R1).
pub(crate) fn is_old_timestamp(tsval: u32, recent: u32) -> bool {
    tsval.wrapping_sub(recent).cast_signed() < 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seq::SeqNumber;
    use quickcheck::quickcheck;

    fn recv(nxt: u32, wnd: u32) -> RecvSpace {
        let nxt = StreamPos::first(SeqNumber::new(nxt));
        RecvSpace { nxt, edge: nxt + u64::from(wnd), ..RecvSpace::unknown() }
    }

    quickcheck! {
        /// The definition, tried position by position on a small window.
        fn window_test_agrees_with_its_definition(nxt: u32, wnd: u8, offset: i16, len: u8) -> bool {
            let rcv = recv(nxt, u32::from(wnd));
            let seq = rcv.nxt.nearest(SeqNumber::new(nxt.wrapping_add_signed(i32::from(offset))));
            let inside = |pos: StreamPos| (0..u64::from(wnd)).any(|i| rcv.nxt + i == pos);
            let len = u64::from(len);
            let expected = match len {
                0 => inside(seq) || seq == rcv.edge,
                _ => (0..len).any(|i| inside(seq + i)),
            };
            is_in_window(&rcv, Extent { seq, len }) == expected
        }
    }

    #[test]
    fn resets_count_only_at_the_next_position() {
        let rcv = recv(1_000, 100);
        let judge = |seq| judge_reset(&rcv, rcv.nxt.nearest(SeqNumber::new(seq)));
        assert_eq!(judge(999), ResetVerdict::Drop);
        assert_eq!(judge(1_000), ResetVerdict::Reset);
        assert_eq!(judge(1_001), ResetVerdict::Challenge);
        assert_eq!(judge(1_099), ResetVerdict::Challenge);
        assert_eq!(judge(1_100), ResetVerdict::Drop);
        assert_eq!(judge_reset(&recv(1_000, 0), rcv.nxt), ResetVerdict::Reset);
    }

    #[test]
    fn acks_are_acceptable_old_or_impossible() {
        let mut snd = SendSpace::new(StreamPos::first(SeqNumber::new(10_000)));
        snd.nxt = snd.una + 500;
        snd.max = snd.nxt;
        snd.max_wnd = 1_000;
        assert_eq!(judge_ack(&snd, snd.una), AckVerdict::Acceptable);
        assert_eq!(judge_ack(&snd, snd.nxt), AckVerdict::Acceptable);
        assert_eq!(judge_ack(&snd, snd.nxt + 1), AckVerdict::Challenge);
        assert_eq!(judge_ack(&snd, snd.una.back(1)), AckVerdict::Old);
        assert_eq!(judge_ack(&snd, snd.una.back(1_000)), AckVerdict::Old);
        assert_eq!(judge_ack(&snd, snd.una.back(1_001)), AckVerdict::Challenge);
    }

    #[test]
    fn timestamps_compare_around_the_wrap() {
        assert!(is_old_timestamp(u32::MAX, 0));
        assert!(!is_old_timestamp(0, u32::MAX));
        assert!(!is_old_timestamp(5, 5));
    }
}
