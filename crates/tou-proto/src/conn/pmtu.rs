//! How large a segment may be on this path.
//!
//! UDP sockets forbid fragmentation, so a path with a smaller MTU than the
//! interface's swallows full-sized segments without a word. After some
//! retransmission timeouts of one in a row, the size falls back to what every
//! path carries (the black-hole detection of RFC 8899 §4.3 in its plainest form;
//! RFC 4821 §7.7). If segments of that size time out as well, it may have been
//! loss and not size: the size gets one more chance. A report from the path
//! lowers it at once.

/// Header of a TCP segment without options.
const TCP_HEADER: u16 = 20;

/// A UDP payload that paths carry: RFC 8899 §5.1.2 BASE_PLPMTU.
const BASE_DATAGRAM: u16 = 1_200;

/// Timeouts of a full-sized segment in a row that mean a black hole: on a path
/// that has never carried one, and on one that has, where they rather mean loss
/// unless the path has changed.
const BLACK_HOLE_TIMEOUTS: u32 = 2;
const PROVEN_BLACK_HOLE_TIMEOUTS: u32 = 4;

/// Timeouts in a row at the fallen size that mean that it was not the size.
const EXONERATING_TIMEOUTS: u32 = 2;

/// The largest segment to send, in bytes of options and data (an MSS).
#[derive(Clone, Copy, Debug)]
pub(crate) struct SegmentSize {
    mss: u16,
    /// How many timeouts in a row it takes to fall.
    patience: u32,
    fallen: Option<Fallen>,
    /// It has fallen and come back, and nothing of that size has arrived since:
    /// the next fall is for good.
    is_on_probation: bool,
}

/// The size fell for timeouts.
#[derive(Clone, Copy, Debug)]
struct Fallen {
    from: u16,
    /// Timeouts in a row since.
    timeouts: u32,
}

impl SegmentSize {
    /// Starts with the smaller of what the peer takes and the path may carry.
    pub(crate) fn new(mss: u16) -> Self {
        Self { mss, patience: BLACK_HOLE_TIMEOUTS, fallen: None, is_on_probation: false }
    }

    /// Bytes of options and data.
    pub(crate) fn mss(self) -> u16 {
        self.mss
    }

    /// New data was acknowledged, a segment with `len` bytes of data and
    /// `options_len` of options among it.
    pub(crate) fn on_delivered(&mut self, len: u64, options_len: u64) {
        if let Some(fallen) = &mut self.fallen {
            fallen.timeouts = 0;
        } else if self.is_full_sized(len, options_len) {
            self.patience = PROVEN_BLACK_HOLE_TIMEOUTS;
            self.is_on_probation = false;
        }
    }

    /// A segment with `len` bytes of data and `options_len` of options timed
    /// out for the `timeouts`th time in a row. Returns whether the size changed.
    pub(crate) fn on_timeout(&mut self, len: u64, options_len: u64, timeouts: u32) -> bool {
        let base = BASE_DATAGRAM - TCP_HEADER;
        if let Some(fallen) = &mut self.fallen {
            fallen.timeouts += 1;
            let is_exonerated = fallen.timeouts >= EXONERATING_TIMEOUTS && !self.is_on_probation;
            if is_exonerated {
                self.mss = fallen.from;
                self.fallen = None;
                self.is_on_probation = true;
            }
            return is_exonerated;
        }
        // What matters is that it is larger than what would be tried next.
        let is_suspect = len + options_len > u64::from(base);
        let patience = if self.is_on_probation { 1 } else { self.patience };
        let falls = is_suspect && timeouts >= patience;
        if falls {
            self.fallen = Some(Fallen { from: self.mss, timeouts: 0 });
            self.mss = base;
        }
        falls
    }

    fn is_full_sized(self, len: u64, options_len: u64) -> bool {
        len + options_len >= u64::from(self.mss)
    }

    /// The path reported that it takes IP packets of `mtu` bytes at most, of
    /// which `ip_udp_header` are not ours. Returns whether the size fell; it
    /// never falls below what every path carries, whatever a forger reports.
    pub(crate) fn on_report(&mut self, mtu: u16, ip_udp_header: u16) -> bool {
        let reported = mtu.saturating_sub(ip_udp_header).saturating_sub(TCP_HEADER);
        let mss = reported.max(BASE_DATAGRAM - TCP_HEADER);
        let falls = mss < self.mss;
        if falls {
            self.mss = mss;
            self.fallen = None;
        }
        falls
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_timeouts_of_a_full_sized_segment_fall_back_to_1200_byte_datagrams() {
        let mut size = SegmentSize::new(1_452);
        assert!(!size.on_timeout(1_440, 12, 1));
        assert!(!size.on_timeout(1_000, 12, 2), "a short segment says nothing about the MTU");
        assert!(size.on_timeout(1_440, 12, 2));
        assert_eq!(size.mss(), 1_180);
        size.on_delivered(1_168, 12);
        assert!(!size.on_timeout(1_168, 12, 1));
        assert_eq!(size.mss(), 1_180);
    }

    #[test]
    fn any_segment_larger_than_the_base_is_suspect() {
        let falls = |len| SegmentSize::new(1_452).on_timeout(len, 12, 2);
        assert!(falls(1_169), "not full-sized, and yet too large");
        assert!(!falls(1_168));
    }

    #[test]
    fn timeouts_of_small_segments_bring_the_size_back() {
        let mut size = SegmentSize::new(1_452);
        assert!(size.on_timeout(1_440, 12, 2));
        assert!(!size.on_timeout(1_168, 12, 3));
        size.on_delivered(1_168, 12);
        assert!(!size.on_timeout(1_168, 12, 1));
        assert!(size.on_timeout(1_168, 12, 2), "twice in a row");
        assert_eq!(size.mss(), 1_452);
        size.on_delivered(1_440, 12);
        assert!(!size.on_timeout(1_440, 12, 3), "and now it is known to fit");
    }

    #[test]
    fn a_size_that_falls_again_without_anything_arrived_stays_down() {
        let mut size = SegmentSize::new(1_452);
        assert!(size.on_timeout(1_440, 12, 2));
        assert!(!size.on_timeout(1_168, 12, 3));
        assert!(size.on_timeout(1_168, 12, 4));
        assert!(size.on_timeout(1_440, 12, 5));
        for timeouts in 6..20 {
            assert!(!size.on_timeout(1_168, 12, timeouts));
        }
        assert_eq!(size.mss(), 1_180);
    }

    #[test]
    fn a_path_that_has_carried_full_sized_segments_is_given_more_time() {
        let mut size = SegmentSize::new(1_452);
        size.on_delivered(1_440, 12);
        assert!(!size.on_timeout(1_440, 12, 3));
        assert!(size.on_timeout(1_440, 12, 4));
    }

    #[test]
    fn a_report_lowers_the_size_but_not_below_the_base() {
        let mut size = SegmentSize::new(1_452);
        assert!(!size.on_report(1_500, 28));
        assert!(size.on_report(1_400, 28));
        assert_eq!(size.mss(), 1_352);
        assert!(size.on_report(68, 28));
        assert_eq!(size.mss(), 1_180);
        assert!(!size.on_report(1_500, 28), "reports never raise it");
    }
}
