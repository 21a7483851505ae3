//! The options of a segment: MSS (RFC 9293 §3.7.1), window scale and
//! timestamps (RFC 7323 §2, §3), SACK-permitted and SACK (RFC 2018 §2, §3),
//! user timeout (RFC 5482).
//!
//! One pass over the option list in, one aligned list out. It must not know
//! which segments an option may appear in, nor what was negotiated.

use core::fmt;
use core::ops::Deref;
use core::time::Duration;

use crate::seq::SeqNumber;

/// Octets that the option list may take: a data offset of 15 words less the
/// 5 of the fixed header.
const MAX_LEN: usize = 40;
/// Octets of a SACK option before its blocks: NOP, NOP, kind, length.
const SACK_HEAD_LEN: usize = 4;
/// Octets of a SACK block.
const SACK_BLOCK_LEN: usize = 8;

/// End of the option list.
const EOL: u8 = 0;
/// Padding between options.
const NOP: u8 = 1;
const MSS: u8 = 2;
const WINDOW_SCALE: u8 = 3;
const SACK_PERMITTED: u8 = 4;
const SACK: u8 = 5;
const TIMESTAMPS: u8 = 8;
const USER_TIMEOUT: u8 = 28;
/// How the timestamps option begins where it stands alone (RFC 7323
/// appendix A).
const ALIGNED_TIMESTAMPS: [u8; 4] = [NOP, NOP, TIMESTAMPS, 10];

/// The timestamps option (RFC 7323 §3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timestamps {
    /// TSval: the sender's clock.
    pub tsval: u32,
    /// TSecr: the echo of the receiver's clock; means something only with ACK.
    pub tsecr: u32,
}

impl Timestamps {
    /// Octets that the option takes in every segment, its two NOPs included.
    pub const ENCODED_LEN: usize = 12;

    const fn from_wire(octets: [u8; 8]) -> Self {
        let [v0, v1, v2, v3, e0, e1, e2, e3] = octets;
        Self {
            tsval: u32::from_be_bytes([v0, v1, v2, v3]),
            tsecr: u32::from_be_bytes([e0, e1, e2, e3]),
        }
    }

    const fn to_wire(self) -> [u8; 8] {
        let [v0, v1, v2, v3] = self.tsval.to_be_bytes();
        let [e0, e1, e2, e3] = self.tsecr.to_be_bytes();
        [v0, v1, v2, v3, e0, e1, e2, e3]
    }
}

/// One block of the SACK option (RFC 2018 §3): the octets from `left` up to,
/// not including, `right`. On the wire nothing keeps `right` after `left`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct SackBlock {
    /// First sequence number of the block.
    pub left: SeqNumber,
    /// The sequence number after the block's last.
    pub right: SeqNumber,
}

impl SackBlock {
    const fn from_wire(octets: [u8; 8]) -> Self {
        let [l0, l1, l2, l3, r0, r1, r2, r3] = octets;
        Self {
            left: SeqNumber::new(u32::from_be_bytes([l0, l1, l2, l3])),
            right: SeqNumber::new(u32::from_be_bytes([r0, r1, r2, r3])),
        }
    }
}

/// Up to four SACK blocks, which is all that any segment has room for, the
/// most important first.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct SackBlocks {
    len: u8,
    /// Those from `len` on stay the default.
    blocks: [SackBlock; Self::CAPACITY],
}

impl SackBlocks {
    /// The most blocks that fit into an option list.
    pub const CAPACITY: usize = 4;

    /// No blocks.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `block` behind the others. A fifth block is left out, as it would
    /// be when the segment is written.
    pub fn push(&mut self, block: SackBlock) {
        if let Some(free) = self.blocks.get_mut(usize::from(self.len)) {
            *free = block;
            self.len = self.len.saturating_add(1);
        }
    }
}

impl Deref for SackBlocks {
    type Target = [SackBlock];

    fn deref(&self) -> &[SackBlock] {
        self.blocks.get(..usize::from(self.len)).unwrap_or(&self.blocks)
    }
}

impl Extend<SackBlock> for SackBlocks {
    /// Takes as many blocks as there is room for.
    fn extend<I: IntoIterator<Item = SackBlock>>(&mut self, blocks: I) {
        blocks.into_iter().take(Self::CAPACITY).for_each(|block| self.push(block));
    }
}

impl FromIterator<SackBlock> for SackBlocks {
    /// Takes the first four blocks.
    fn from_iter<I: IntoIterator<Item = SackBlock>>(blocks: I) -> Self {
        let mut taken = Self::new();
        taken.extend(blocks);
        taken
    }
}

impl<'a> IntoIterator for &'a SackBlocks {
    type Item = &'a SackBlock;
    type IntoIter = core::slice::Iter<'a, SackBlock>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Debug for SackBlocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

/// The user timeout option (RFC 5482 §3): for how long its sender lets data stay
/// unacknowledged, in seconds or in minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserTimeout(pub(super) u16);

impl UserTimeout {
    /// The granularity bit: the value counts minutes.
    const MINUTES: u16 = 1 << 15;
    /// The largest value.
    const MAX: u16 = Self::MINUTES - 1;

    /// The option that says `timeout`, or as much more as it takes to express
    /// it: seconds up to nine hours, minutes up to 22 days, and no more than that.
    /// Never zero.
    #[must_use]
    pub fn new(timeout: Duration) -> Self {
        let nanos = u64::from(timeout.subsec_nanos() > 0);
        let seconds = timeout.as_secs().saturating_add(nanos).max(1);
        match u16::try_from(seconds) {
            Ok(seconds) if seconds <= Self::MAX => Self(seconds),
            _ => {
                let minutes = u16::try_from(seconds.div_ceil(60)).unwrap_or(Self::MAX);
                Self(minutes.min(Self::MAX) | Self::MINUTES)
            }
        }
    }

    /// The timeout; `None` if it says zero, which means nothing.
    #[must_use]
    pub fn timeout(self) -> Option<Duration> {
        let value = u64::from(self.0 & Self::MAX);
        let unit = if self.0 & Self::MINUTES == 0 { 1 } else { 60 };
        (value > 0).then(|| Duration::from_secs(value.saturating_mul(unit)))
    }
}

/// All options this implementation knows, as one segment carries them.
///
/// Values are kept as they stand on the wire, whatever the segment's flags:
/// an MSS of zero, a window scale over 14 and a SACK-permitted without SYN are
/// the connection's to judge. If an option comes twice the last one holds, as
/// in common kernels.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct SegmentOptions {
    /// Maximum segment size in octets (RFC 9293 §3.7.1); SYN only.
    pub mss: Option<u16>,
    /// Window scale shift as on the wire, not yet limited to 14
    /// (RFC 7323 §2.2); SYN only.
    pub window_scale: Option<u8>,
    /// SACK permitted (RFC 2018 §2); SYN only.
    pub sack_permitted: bool,
    /// Timestamps (RFC 7323 §3.2).
    pub timestamps: Option<Timestamps>,
    /// User timeout (RFC 5482).
    pub user_timeout: Option<UserTimeout>,
    /// SACK blocks (RFC 2018 §3); empty if the option is absent.
    pub sack: SackBlocks,
}

impl SegmentOptions {
    /// Octets that the options take in a segment: 0 to 40, a multiple of 4.
    /// SACK blocks that do not fit are not counted, since they are not sent.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        let before = self.len_before_sack();
        if self.sack.is_empty() {
            return before;
        }
        match self.sack.len().min(self.max_sack_blocks()) {
            0 => before,
            blocks => blocks
                .saturating_mul(SACK_BLOCK_LEN)
                .saturating_add(SACK_HEAD_LEN)
                .saturating_add(before),
        }
    }

    /// How many SACK blocks have room beside the other options: 4, or 3 with
    /// timestamps (RFC 2018 §3), or one beside all that a SYN may carry.
    #[must_use]
    pub fn max_sack_blocks(&self) -> usize {
        let taken = self.len_before_sack().saturating_add(SACK_HEAD_LEN);
        MAX_LEN.saturating_sub(taken) / SACK_BLOCK_LEN
    }

    /// Octets before the SACK option: 0 to 24.
    fn len_before_sack(&self) -> usize {
        let mss = if self.mss.is_some() { 4 } else { 0 };
        let timestamps_and_permission = match (self.timestamps, self.sack_permitted) {
            (Some(_), _) => Timestamps::ENCODED_LEN,
            (None, true) => 4,
            (None, false) => 0,
        };
        let window_scale = if self.window_scale.is_some() { 4 } else { 0 };
        let user_timeout = if self.user_timeout.is_some() { 4 } else { 0 };
        [mss, timestamps_and_permission, window_scale, user_timeout].into_iter().sum()
    }

    /// The options of what nearly every segment of a connection with timestamps
    /// carries: these, aligned, and nothing else.
    #[inline]
    pub(super) fn read_timestamps(list: &[u8]) -> Option<Self> {
        let &[n0, n1, kind, len, ref stamps @ ..] = <&[u8; 12]>::try_from(list).ok()?;
        ([n0, n1, kind, len] == ALIGNED_TIMESTAMPS)
            .then(|| Self { timestamps: Some(Timestamps::from_wire(*stamps)), ..Self::default() })
    }

    /// Reads the option list `list`, the octets between the fixed header and
    /// the data, into these options, which are the default ones: one option after the
    /// other, on whatever octet each begins (RFC 9293 §3.2 MUST-64). An illegal length
    /// ends the list (MUST-7): where the next option would begin is not known. True if a
    /// malformed option cut the list short.
    pub(super) fn read(&mut self, mut list: &[u8]) -> bool {
        while let [kind, after @ ..] = list {
            match *kind {
                EOL => break,
                NOP => list = after,
                kind => {
                    let Some((body, next)) = split_body(after) else { return true };
                    if self.set(kind, body).is_none() {
                        return true;
                    }
                    list = next;
                }
            }
        }
        false
    }

    /// Takes in one option; `None` if its length is wrong for its kind. A SACK
    /// option without a block counts as that.
    fn set(&mut self, kind: u8, body: &[u8]) -> Option<()> {
        match kind {
            MSS => self.mss = Some(u16::from_be_bytes(body.try_into().ok()?)),
            WINDOW_SCALE => self.window_scale = Some(u8::from_be_bytes(body.try_into().ok()?)),
            SACK_PERMITTED => self.sack_permitted = body.is_empty().then_some(true)?,
            SACK => {
                let (blocks @ [_, ..], []) = body.as_chunks() else { return None };
                self.sack = SackBlocks::new();
                self.sack.extend(blocks.iter().copied().map(SackBlock::from_wire));
            }
            USER_TIMEOUT => {
                self.user_timeout = Some(UserTimeout(u16::from_be_bytes(body.try_into().ok()?)));
            }
            TIMESTAMPS => self.timestamps = Some(Timestamps::from_wire(body.try_into().ok()?)),
            // RFC 9293 §3.1 MUST-6: unknown options are skipped.
            _ => {}
        }
        Some(())
    }

    /// Writes the options to the front of `list`, which has `encoded_len`
    /// octets. Every option, or pair of them, is aligned to four octets.
    ///
    /// SYN: MSS, SACK-permitted and timestamps in one, NOP and window scale, user
    /// timeout. Others: NOP NOP timestamps, user timeout, NOP NOP SACK.
    #[inline]
    pub(super) fn emit(&self, list: &mut [u8]) {
        // The same list that `read_timestamps` knows.
        if let (Some(timestamps), false) = (self.timestamps, self.sack_permitted)
            && let Ok([n0, n1, kind, len, stamps @ ..]) = <&mut [u8; 12]>::try_from(&mut *list)
        {
            [*n0, *n1, *kind, *len] = ALIGNED_TIMESTAMPS;
            *stamps = timestamps.to_wire();
        } else {
            self.emit_each(list);
        }
    }

    fn emit_each(&self, mut list: &mut [u8]) {
        let out = &mut list;
        if let Some(mss) = self.mss {
            let [m0, m1] = mss.to_be_bytes();
            put(out, [MSS, 4, m0, m1]);
        }
        if let Some(timestamps) = self.timestamps {
            let [n0, n1, kind, len] = ALIGNED_TIMESTAMPS;
            let [p0, p1] = if self.sack_permitted { [SACK_PERMITTED, 2] } else { [n0, n1] };
            put(out, [p0, p1, kind, len]);
            put(out, timestamps.to_wire());
        } else if self.sack_permitted {
            put(out, [NOP, NOP, SACK_PERMITTED, 2]);
        }
        if let Some(shift) = self.window_scale {
            put(out, [NOP, WINDOW_SCALE, 3, shift]);
        }
        if let Some(UserTimeout(value)) = self.user_timeout {
            let [v0, v1] = value.to_be_bytes();
            put(out, [USER_TIMEOUT, 4, v0, v1]);
        }
        if !self.sack.is_empty() {
            self.emit_sack(out);
        }
        debug_assert!(out.is_empty(), "encoded_len agrees with emit");
    }

    fn emit_sack(&self, out: &mut &mut [u8]) {
        let blocks = self.sack.iter().take(self.max_sack_blocks());
        // 2 + 8n for n blocks, of which there are at most four.
        #[expect(clippy::cast_possible_truncation, reason = "at most 34")]
        let len = (blocks.len() << 3 | 2) as u8;
        put(out, [NOP, NOP, SACK, len]);
        for block in blocks {
            put(out, block.left.get().to_be_bytes());
            put(out, block.right.get().to_be_bytes());
        }
    }
}

/// Splits what follows an option's kind into the option's body and the rest
/// of the list; `None` if the length is absent, under 2, or past the end.
fn split_body(after_kind: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, after_len) = after_kind.split_first()?;
    after_len.split_at_checked(usize::from(*len).checked_sub(2)?)
}

/// Writes `octets` to the front of `out` and moves `out` behind them.
fn put<const N: usize>(out: &mut &mut [u8], octets: [u8; N]) {
    if let Some((front, rest)) = core::mem::take(out).split_first_chunk_mut() {
        *front = octets;
        *out = rest;
    } else {
        debug_assert!(false, "encoded_len agrees with emit");
    }
}
