//! Carries decisions out: builds segments, fills batches, and notes what was
//! sent. It judges nothing; `schedule` did.

use core::ops::Range;

use smallvec::SmallVec;

use crate::cc::{Controller, SentEvent};
use crate::machine::TransmitBuf;
use crate::recovery::Transmission;
use crate::seq::{SeqNumber, StreamPos};
use crate::time::Instant;
use crate::wire::{SackBlock, SackBlocks, SegmentFlags, SegmentHeader, SegmentOptions, Timestamps};

use super::Connection;
use super::persist::Kind;
use super::schedule::{Batch, Decision, Plan, Reason};
use super::state::State;

/// What is in the buffer after [`Connection::poll_transmit`], or
/// [`Connection::join_transmit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filled {
    /// How many segments, those of others that were joined included.
    pub segments: usize,
    /// Octets from the start of one to the next, head- and tailroom included.
    pub stride: usize,
    /// All are equally long: others may follow in the batch.
    pub is_open: bool,
    /// There may be more to send now. If not, asking again at once is needless.
    pub may_have_more: bool,
}

/// A segment about to be emitted.
struct Built {
    header: SegmentHeader,
    header_len: usize,
    data: Range<StreamPos>,
    /// It says everything that an acknowledgment owes.
    acks_all: bool,
    /// It reports so many SACK blocks ahead of an acknowledgment that says the rest.
    blocks_ahead: usize,
}

/// What a segment carries, and the flags that go with it.
struct Part {
    flags: SegmentFlags,
    data: Range<StreamPos>,
    urgent: u16,
}

impl Built {
    fn len(&self) -> usize {
        self.header_len + usize::try_from(self.data_len()).unwrap_or(usize::MAX)
    }

    fn data_len(&self) -> u64 {
        self.data.end.since(self.data.start)
    }
}

impl Connection {
    /// Fills `buf` with the segments that may be sent now, as many as fit: all
    /// of one size, only the last may be shorter. `None` when there is nothing
    /// to send now.
    pub fn poll_transmit(&mut self, now: Instant, buf: &mut TransmitBuf) -> Option<Filled> {
        buf.clear();
        self.fill(now, buf, 0, 0)
    }

    /// Adds to the batch in `buf`, which `begun` is what others have put into and is open,
    /// segments that may be sent now. `None` when there is none, or it is too long; `begun`
    /// is then what it was.
    pub fn join_transmit(
        &mut self,
        now: Instant,
        buf: &mut TransmitBuf,
        begun: Filled,
    ) -> Option<Filled> {
        if self.travels_alone() {
            return None;
        }
        let size = begun.stride.saturating_sub(buf.headroom() + buf.tailroom());
        self.fill(now, buf, begun.segments, size)
    }

    /// Adds segments to the `begun` ones of `size` octets that are in `buf`.
    fn fill(
        &mut self,
        now: Instant,
        buf: &mut TransmitBuf,
        begun: usize,
        mut size: usize,
    ) -> Option<Filled> {
        let mut segments = begun;
        let mut is_open = !self.travels_alone();
        let mut batch = Batch::New;
        let may_have_more = loop {
            let plan = match self.schedule_in(now, batch) {
                Decision::Send(plan) => plan,
                Decision::WaitUntil(_) => break true,
                Decision::Idle => break false,
            };
            let mut built = self.build(now, &plan);
            self.complete(now, &plan, &mut built);
            let len = built.len();
            if segments > 0 && (len > size || !buf.has_room(segments, len)) {
                break true;
            }
            self.emit(&built, buf.push(len));
            self.on_emitted(now, &plan, &built);
            segments += 1;
            batch = Batch::Begun;
            if segments == 1 {
                size = len;
            } else if len < size {
                is_open = false;
                break true;
            }
        };
        if segments == begun {
            return None;
        }
        if self.is_cwnd_limited(now) {
            self.cwnd_limited_to = self.snd.nxt;
        }
        self.counters.segments_limited += u64::from(self.unsent() > 0 && self.has_sent_enough());
        self.settle(now);
        let stride = buf.headroom() + size + buf.tailroom();
        Some(Filled { segments, stride, is_open, may_have_more })
    }

    /// An error report may be all the answer that there is to a SYN, and quotes the first
    /// segment only of a batch that the system did not send, or delivered as a whole.
    fn travels_alone(&self) -> bool {
        self.state == State::SynSent
    }

    /// Whether [`poll_transmit`](Self::poll_transmit) has something to send.
    #[must_use]
    pub fn wants_transmit(&self, now: Instant) -> bool {
        matches!(self.schedule(now), Decision::Send(_))
    }

    fn emit(&mut self, built: &Built, segment: &mut [u8]) {
        if let Some(data) = segment.get_mut(built.header_len..) {
            let copied = self.send.copy_to(built.data.start, data);
            debug_assert_eq!(copied, data.len(), "scheduled data is in the send buffer");
        }
        let written = built.header.emit(self.checksum, segment);
        debug_assert_eq!(written, built.header_len);
    }

    /// The segment of the plan, to be [completed](Self::complete).
    fn build(&self, now: Instant, plan: &Plan) -> Built {
        let (seq, part) = match plan {
            Plan::Stream(range, _) => (range.start, self.stream_part(range)),
            Plan::Ack => self.without_data(SegmentFlags::ACK),
            Plan::Keepalive => {
                let (_, part) = self.without_data(SegmentFlags::ACK);
                // RFC 9293 §3.8.4: SND.NXT - 1, so that the peer must answer.
                (self.snd.nxt.back(1), part)
            }
            Plan::Reset => self.without_data(SegmentFlags::RST | SegmentFlags::ACK),
        };
        let is_syn = part.flags.contains(SegmentFlags::SYN);
        let has_ack = part.flags.contains(SegmentFlags::ACK);
        Built {
            header: SegmentHeader {
                src_port: self.ports.local,
                dst_port: self.ports.peer,
                seq: seq.seq(),
                ack: if has_ack { self.rcv.nxt.seq() } else { SeqNumber::default() },
                flags: part.flags,
                window: self.window_field(is_syn),
                urgent: part.urgent,
                options: SegmentOptions {
                    timestamps: self.negotiated.timestamps.then(|| self.timestamp_option(now)),
                    ..SegmentOptions::default()
                },
            },
            header_len: 0,
            data: part.data,
            acks_all: true,
            blocks_ahead: 0,
        }
    }

    /// Adds the options beside timestamps: only then is the header's length known.
    fn complete(&self, now: Instant, plan: &Plan, built: &mut Built) {
        if built.header.flags.contains(SegmentFlags::SYN) {
            built.header.options = self.syn_options(now);
        } else if self.has_more_options() {
            self.add_options(built);
        }
        if *plan == Plan::Reset {
            // Timestamps SHOULD be on a reset too (RFC 7323 §3.2); nothing else
            // matters on the last word.
            built.header.options.sack = SackBlocks::default();
        }
        built.header_len = built.header.encoded_len();
    }

    /// Where a segment without data is, and what it says. It must lie within the
    /// peer's window to count there, even if a probe, or data that a shrunk window has
    /// left outside, went further.
    fn without_data(&self, flags: SegmentFlags) -> (StreamPos, Part) {
        let next =
            if self.snd.is_syn_acked() { self.snd.nxt.min(self.snd.edge) } else { self.snd.nxt };
        (next, Part { flags, data: next..next, urgent: 0 })
    }

    fn stream_part(&self, range: &Range<StreamPos>) -> Part {
        let mut flags = SegmentFlags::EMPTY;
        let mut data = range.start.max(self.send.start())..range.end.min(self.send.end());
        if range.start == self.snd.iss {
            flags |= SegmentFlags::SYN;
            data = self.snd.iss + 1..self.snd.iss + 1;
        }
        if self.state != State::SynSent {
            flags |= SegmentFlags::ACK;
        }
        data.end = data.end.max(data.start);
        if data.end == self.send.end() && data.end > data.start {
            // Nothing more is there to be waited for (RFC 9293 MUST-61).
            flags |= SegmentFlags::PSH;
        }
        if self.flags.fin_queued && range.end == self.stream_end() {
            flags |= SegmentFlags::FIN;
        }
        // RFC 6093 §3: the pointer says "after the last urgent byte".
        let urgent = self.snd.up.map_or(0, |up| up.since(range.start));
        if urgent > 0 {
            flags |= SegmentFlags::URG;
        }
        Part { flags, data, urgent: u16::try_from(urgent).unwrap_or(u16::MAX) }
    }

    /// Whether a segment that is no SYN may have options beside timestamps.
    fn has_more_options(&self) -> bool {
        !self.recv.is_contiguous() || self.acks.has_more_to_tell() || self.is_user_timeout_due()
    }

    /// Adds these.
    #[inline(never)]
    fn add_options(&self, built: &mut Built) {
        let data_len = built.data_len();
        let options = &mut built.header.options;
        built.acks_all = self.add_user_timeout(options, data_len);
        if data_len == 0 {
            built.blocks_ahead = self.add_blocks_ahead(options);
        }
        if built.blocks_ahead > 0 {
            built.acks_all = false;
        } else {
            built.acks_all &= self.add_sack(options, data_len);
        }
    }

    pub(super) fn timestamp_option(&self, now: Instant) -> Timestamps {
        Timestamps { tsval: self.timestamps.tsval(now), tsecr: self.timestamps.tsecr() }
    }

    /// Adds the user timeout option (RFC 5482), if it is to be told and fits; if
    /// not, an acknowledgment by itself will carry it. Returns whether nothing was
    /// left out.
    fn add_user_timeout(&self, options: &mut SegmentOptions, data_len: u64) -> bool {
        let Some(option) = self.due_user_timeout_option() else { return true };
        let with_it = data_len + options.encoded_len() as u64 + 4;
        let fits = data_len == 0 || with_it <= u64::from(self.segment_size.mss());
        options.user_timeout = fits.then_some(option);
        fits
    }

    /// Adds SACK blocks to an acknowledgment if there are more to tell of than one
    /// has room for; returns how many are then told of.
    fn add_blocks_ahead(&self, options: &mut SegmentOptions) -> usize {
        let room = options.max_sack_blocks();
        let mut told = 0;
        for position in self.acks.blocks_ahead(room) {
            told += 1;
            if let Some(range) = self.recv.block_around(position) {
                let block = self.sack_block(&range);
                if !options.sack.contains(&block) {
                    options.sack.push(block);
                }
            }
        }
        told
    }

    /// Adds the SACK blocks that are owed (RFC 2018 §4, RFC 2883 §4), if they
    /// fit beside `data_len` bytes of data; if not, an acknowledgment by itself
    /// will carry them. Returns whether nothing was left out.
    fn add_sack(&self, options: &mut SegmentOptions, data_len: u64) -> bool {
        if !self.negotiated.sack || (self.recv.is_contiguous() && self.acks.dsack().is_none()) {
            return true;
        }
        let max = if self.negotiated.timestamps { 3 } else { 4 };
        let mut blocks: SmallVec<[Range<StreamPos>; 4]> = SmallVec::new();
        if let Some(duplicate) = self.acks.dsack() {
            // RFC 2883 §4, (4): the block around the duplicate comes second,
            // even if it is no larger.
            let around = self.recv.block_around(duplicate.start);
            blocks.push(duplicate);
            blocks.extend(around);
        }
        let reported = blocks.clone();
        for range in self.recv.sack_ranges(max) {
            if blocks.len() < max && !reported.contains(&range) {
                blocks.push(range);
            }
        }
        let option_len = options.encoded_len() as u64 + 4 + 8 * blocks.len() as u64;
        if data_len > 0 && data_len + option_len > u64::from(self.segment_size.mss()) {
            return false;
        }
        options.sack = blocks.iter().map(|range| self.sack_block(range)).collect::<SackBlocks>();
        true
    }

    /// A block as the wire has it. A FIN that waits behind a hole right after
    /// the block's data belongs to it.
    fn sack_block(&self, range: &Range<StreamPos>) -> SackBlock {
        let has_fin = self.rcv.fin == Some(range.end) && range.end > self.rcv.nxt;
        let right = range.end + u64::from(has_fin);
        SackBlock { left: range.start.seq(), right: right.seq() }
    }

    /// Notes what was sent.
    fn on_emitted(&mut self, now: Instant, plan: &Plan, built: &Built) {
        self.counters.segments_sent += 1;
        if built.header.flags.contains(SegmentFlags::ACK) {
            self.counters.memory_limited += u64::from(self.is_recv_memory_short());
            self.on_window_sent(
                built.header.window,
                built.header.flags.contains(SegmentFlags::SYN),
            );
            if built.acks_all {
                self.acks.on_sent(*plan == Plan::Ack);
            } else {
                self.acks.on_blocks_told(built.blocks_ahead);
            }
            if built.header.options.user_timeout.is_some() {
                self.on_user_timeout_sent();
            }
        }
        match plan {
            Plan::Stream(range, reason) => self.on_stream_sent(now, range, *reason, built),
            Plan::Ack => {}
            Plan::Keepalive => {
                self.flags.keepalive_probe = false;
                self.keepalive_at = now;
                self.counters.keepalive_probes += 1;
            }
            Plan::Reset => self.flags.reset = false,
        }
    }

    fn on_stream_sent(
        &mut self,
        now: Instant,
        range: &Range<StreamPos>,
        reason: Reason,
        built: &Built,
    ) {
        let is_new = range.start == self.snd.nxt;
        if is_new && self.recovery.outstanding() == 0 {
            self.on_first_outstanding(now);
        }
        self.snd.nxt = self.snd.nxt.max(range.end);
        self.snd.max = self.snd.max.max(self.snd.nxt);
        let sent = Transmission {
            now,
            start: range.start,
            end: range.end,
            tsval: built.header.options.timestamps.map(|timestamps| timestamps.tsval),
        };
        if is_new {
            self.recovery.on_sent(&sent);
        } else {
            self.recovery.on_retransmitted(&sent);
            self.counters.segments_retransmitted += 1;
            self.counters.bytes_retransmitted += built.data_len();
        }
        self.counters.bytes_sent += built.data_len();
        match reason {
            Reason::New | Reason::Lost => {}
            Reason::TailProbe => {
                self.flags.tail_probe = false;
                self.recovery.on_probe_sent(now, range.end, !is_new);
                self.counters.tail_probes += 1;
            }
            Reason::WindowProbe => {
                self.persist.on_probe(now, self.recovery.rto().into());
                self.counters.window_probes += 1;
            }
        }
        if self.persist.due() == Some(Kind::Override) {
            self.persist.leave();
        }
        self.sent_at = now;
        let mss = self.mss();
        let Some(congestion) = &mut self.congestion else { return };
        let bytes = built.data_len();
        congestion.on_sent(&SentEvent { now, bytes, in_flight: self.recovery.in_flight() });
        if let Some(rate) = congestion.pacing_rate() {
            self.pacer.on_sent(now, built.len() as u64, mss, rate);
        }
    }

    /// Something is outstanding again: the user timeout counts from now, and a
    /// window not used for long is not to be trusted (RFC 5681 §4.1).
    fn on_first_outstanding(&mut self, now: Instant) {
        if self.snd.is_syn_acked() {
            self.progress_at = now;
        }
        let is_idle = now.span_since(self.sent_at) > self.recovery.rto();
        if let (true, Some(congestion)) = (is_idle, &mut self.congestion) {
            congestion.on_idle(now);
        }
    }
}
