//! Was a reduction a mistake? Eifel detection (RFC 3522), DSACK (RFC 2883,
//! RFC 3708), and F-RTO with SACK (RFC 5682 §3).
//!
//! Knows the retransmissions of the last episode. Must not know the window that
//! was reduced, nor put anything back.

use core::ops::Range;

use super::scoreboard::is_before;
use super::sent::SentSegment;
use crate::seq::StreamPos;
use crate::util::RangeSet;

/// The last episode, as long as it can prove a mistake.
#[derive(Debug, Default)]
pub(super) struct Undo {
    episode: Option<Episode>,
    /// What was sent again in it, and by a probe before it.
    sent_again: RangeSet,
}

#[derive(Clone, Copy, Debug)]
struct Episode {
    /// SND.UNA when it began: DSACKs below speak of earlier times.
    since: StreamPos,
    /// A timeout began it.
    timeout: bool,
    /// Bytes retransmitted that no DSACK has reported.
    unreported: u64,
    /// Something was retransmitted.
    retransmitted: bool,
    /// Something was reported that was not: the path makes copies, and a report may be of
    /// one of these.
    is_path_copying: bool,
    /// The end and the timestamp value of the first retransmission, until an
    /// acknowledgment of it decides.
    eifel: Option<(StreamPos, u32)>,
    frto: Frto,
    /// The episode is over; this much acknowledged, so is the wait for DSACKs.
    over_at: Option<StreamPos>,
}

/// Where F-RTO stands (RFC 5682 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Frto {
    /// Not applied, or decided.
    Off,
    /// Step 2: waits for an acknowledgment of the retransmission.
    Retransmitted,
    /// Step 3: waits for what the next one acknowledges. So many segments of new
    /// data may go meanwhile: they tell more than retransmissions.
    Probing { segments: u8 },
}

/// Segments of new data in step 2b. If the timeout was right, they are more load
/// on a path that has too much.
const NEW_SEGMENTS: u8 = 2;

/// What [`Undo::on_ack`] needs to know of an acknowledgment.
#[derive(Clone, Debug)]
pub(super) struct UndoAck {
    /// SND.UNA after it.
    pub(super) una: StreamPos,
    /// It advanced SND.UNA.
    pub(super) advanced: bool,
    /// It is a duplicate, or reports holdings.
    pub(super) duplicate: bool,
    /// The echoed timestamp.
    pub(super) tsecr: Option<u32>,
    /// What a DSACK block reported.
    pub(super) dsack: Option<Range<StreamPos>>,
    /// The highest position delivered so far.
    pub(super) fack: StreamPos,
    /// It delivered data sent before the timeout and never again.
    pub(super) original_before_timeout: bool,
    /// Where the episode ends: SND.NXT at its start.
    pub(super) recover: Option<StreamPos>,
    /// Something is deemed lost still, and not sent again.
    pub(super) is_loss_left: bool,
}

/// The last reduction was a mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spurious {
    /// A fast recovery: segments were reordered.
    Recovery,
    /// A retransmission timeout.
    Timeout,
}

impl Undo {
    /// An episode begins. `outstanding` bytes were retransmitted before it, by
    /// probes that are unacknowledged: their DSACK must not speak for others.
    pub(super) fn begin(&mut self, una: StreamPos, outstanding: u64) {
        self.episode = Some(Episode::new(una, false, self.carried_over() + outstanding));
        self.sent_again.remove_below(una);
    }

    /// The retransmission timer expired. `steady`: outside any episode, nothing
    /// SACKed, so that F-RTO may be applied (RFC 5682 §3.1 step 1). `again`: for
    /// the second time in one episode, whose first retransmission stays the one
    /// that counts.
    pub(super) fn on_timeout(&mut self, una: StreamPos, steady: bool, again: bool) {
        if again && let Some(episode) = &mut self.episode {
            if matches!(episode.frto, Frto::Probing { .. }) {
                episode.frto = Frto::Off;
            }
            return;
        }
        let mut episode = Episode::new(una, true, self.carried_over());
        if steady {
            episode.frto = Frto::Retransmitted;
        }
        self.episode = Some(episode);
        self.sent_again.remove_below(una);
    }

    /// Retransmissions of an episode that another one interrupts.
    fn carried_over(&self) -> u64 {
        let interrupted = self.episode.filter(|episode| episode.over_at.is_none());
        interrupted.map_or(0, |episode| episode.unreported)
    }

    /// The episode ended in the ordinary way: DSACKs may yet come, until `nxt` is
    /// acknowledged.
    pub(super) fn on_end(&mut self, nxt: StreamPos) {
        if let Some(episode) = &mut self.episode {
            episode.over_at = Some(nxt);
            episode.eifel = None;
            episode.frto = Frto::Off;
        }
    }

    /// The last reduction is another one now, or there was none.
    pub(super) fn forget(&mut self) {
        self.episode = None;
        self.sent_again.clear();
    }

    /// `segment` is sent again, with `tsval` as its timestamp.
    pub(super) fn on_retransmit(&mut self, segment: &SentSegment, tsval: Option<u32>) {
        if self.episode.is_none() {
            // A probe; the ones before it are answered, or repeated by it.
            self.sent_again.clear();
        }
        self.sent_again.insert(segment.range(), |_| {});
        let Some(episode) = self.episode.as_mut().filter(|episode| episode.over_at.is_none())
        else {
            return;
        };
        episode.unreported = episode.unreported.saturating_add(segment.len());
        if !episode.retransmitted {
            episode.retransmitted = true;
            episode.eifel = tsval.map(|tsval| (segment.end, tsval));
        }
    }

    /// There is nothing to judge.
    pub(super) fn is_settled(&self) -> bool {
        self.episode.is_none()
    }

    /// Judges by an acknowledgment. A mistake is reported once.
    pub(super) fn on_ack(&mut self, ack: &UndoAck) -> Option<Spurious> {
        let episode = self.episode.as_mut()?;
        let is_reported = episode.dsack(ack.dsack.as_ref(), &self.sent_again);
        let is_told = episode.eifel(ack) | is_reported | episode.frto(ack);
        if is_told || episode.came_to_nothing(ack) {
            let timeout = episode.timeout;
            self.forget();
            return Some(if timeout { Spurious::Timeout } else { Spurious::Recovery });
        }
        if episode.over_at.is_some_and(|over_at| ack.una > over_at) {
            self.forget();
        }
        None
    }

    /// RFC 5682 §3.1 step 2b: new data, if any may be sent, goes before what is
    /// marked lost.
    pub(super) fn prefers_new_data(&self) -> bool {
        let frto = self.episode.map(|episode| episode.frto);
        matches!(frto, Some(Frto::Probing { segments: 1.. }))
    }

    /// A segment of new data was sent.
    pub(super) fn on_new_data(&mut self) {
        if let Some(Episode { frto: Frto::Probing { segments }, .. }) = &mut self.episode {
            *segments = segments.saturating_sub(1);
        }
    }
}

impl Episode {
    fn new(since: StreamPos, timeout: bool, unreported: u64) -> Self {
        Self {
            since,
            timeout,
            unreported,
            retransmitted: false,
            is_path_copying: false,
            eifel: None,
            frto: Frto::Off,
            over_at: None,
        }
    }

    /// RFC 3522 §3.2: the first acknowledgment that covers the retransmission
    /// echoes a timestamp older than the retransmission's.
    fn eifel(&mut self, ack: &UndoAck) -> bool {
        let Some((_, tsval)) = self.eifel.filter(|(end, _)| ack.una >= *end) else { return false };
        self.eifel = None;
        ack.tsecr.is_some_and(|tsecr| is_before(tsecr, tsval))
    }

    /// Every retransmission was reported a duplicate, and nothing else was (RFC 3708 §3).
    fn dsack(&mut self, reported: Option<&Range<StreamPos>>, sent_again: &RangeSet) -> bool {
        let Some(reported) = reported.filter(|reported| reported.start >= self.since) else {
            return false;
        };
        if sent_again.covers(reported) {
            self.unreported = self.unreported.saturating_sub(reported.end.since(reported.start));
        } else {
            self.is_path_copying = true;
        }
        self.retransmitted && self.unreported == 0 && !self.is_path_copying
    }

    /// All that a fast recovery deemed lost arrived before any of it was sent again.
    fn came_to_nothing(&self, ack: &UndoAck) -> bool {
        let has_sent_nothing = !self.retransmitted && self.unreported == 0;
        has_sent_nothing && !self.timeout && self.over_at.is_none() && !ack.is_loss_left
    }

    /// RFC 5682 §3.1 steps 2 and 3.
    fn frto(&mut self, ack: &UndoAck) -> bool {
        let beyond = ack.recover.is_none_or(|recover| ack.fack > recover);
        match self.frto {
            Frto::Off => false,
            Frto::Retransmitted => {
                if ack.advanced {
                    // 2a: no evidence if it covers everything. 2b.
                    let all = ack.recover.is_none_or(|recover| ack.una >= recover);
                    self.frto =
                        if all { Frto::Off } else { Frto::Probing { segments: NEW_SEGMENTS } };
                }
                false
            }
            Frto::Probing { .. } if ack.advanced || ack.duplicate => {
                self.frto = Frto::Off;
                // 3b, else 3a.
                ack.original_before_timeout && !beyond
            }
            Frto::Probing { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests;
