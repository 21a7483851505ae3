//! What one connection may do, and how it starts.

use alloc::sync::Arc;
use core::time::Duration;

use super::{ConfigError, require};
use crate::cc::CongestionControl;

/// When and how often an idle peer is asked whether it is still there
/// (RFC 9293 §3.8.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// Silence before the first probe.
    pub idle: Duration,
    /// Time between probes.
    pub interval: Duration,
    /// Unanswered probes after which the connection has timed out.
    pub probes: u32,
}

impl Default for Keepalive {
    /// Two hours (RFC 9293 §3.8.4, MUST-28), then nine
    /// probes 75 s apart, as BSD's TCP does.
    fn default() -> Self {
        Self { idle: Duration::from_secs(7_200), interval: Duration::from_secs(75), probes: 9 }
    }
}

/// How far a peer's advice may move the user timeout (RFC 5482).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserTimeoutLimits {
    /// `L_LIMIT`: not below this.
    pub min: Duration,
    /// `U_LIMIT`: not above this. A peer could make a connection last so long that
    /// nobody answers any more.
    pub max: Duration,
}

impl Default for UserTimeoutLimits {
    /// 100 s, the least R2 of RFC 9293 §3.8.3 (SHLD-11), and an hour.
    fn default() -> Self {
        Self { min: Duration::from_secs(100), max: Duration::from_secs(3_600) }
    }
}

/// The configuration of a connection, checked. Made by
/// [`ConnectionConfig::builder`]; the default is the builder's.
#[derive(Clone, Debug, Default)]
pub struct ConnectionConfig {
    pub(crate) fields: ConnectionConfigBuilder,
}

impl ConnectionConfig {
    /// A builder that holds the defaults.
    pub fn builder() -> ConnectionConfigBuilder {
        ConnectionConfigBuilder::default()
    }

    /// A builder that holds this configuration, to change some of it.
    pub fn to_builder(&self) -> ConnectionConfigBuilder {
        self.fields.clone()
    }

    /// How many segments may be outstanding.
    pub(crate) fn max_sent_segments(&self) -> usize {
        let segments = self.fields.send_buffer_max / BYTES_PER_SENT_SEGMENT;
        usize::try_from(segments).unwrap_or(usize::MAX).max(MIN_SENT_SEGMENTS)
    }

    /// The shift count this side announces (RFC 7323 §2.3): the smallest with
    /// which the largest receive buffer fits the 16-bit window field.
    pub(crate) fn window_shift(&self) -> u8 {
        let mut shift = 0;
        while shift < 14 && (self.fields.recv_buffer_max >> shift) > u64::from(u16::MAX) {
            shift += 1;
        }
        shift
    }
}

/// Builds a [`ConnectionConfig`].
#[derive(Clone, Debug)]
#[must_use]
pub struct ConnectionConfigBuilder {
    pub(crate) congestion: CongestionControl,
    pub(crate) max_mss: Option<u16>,
    pub(crate) initial_window: Option<u64>,
    pub(crate) pacing: bool,
    pub(crate) recv_buffer: u64,
    pub(crate) recv_buffer_max: u64,
    pub(crate) send_buffer: u64,
    pub(crate) send_buffer_max: u64,
    pub(crate) max_reassembly_ranges: usize,
    pub(crate) max_reassembly_bytes: u64,
    pub(crate) nodelay: bool,
    pub(crate) ack_delay: Duration,
    pub(crate) challenge_acks_per_second: u32,
    pub(crate) timestamps: bool,
    pub(crate) sack: bool,
    pub(crate) window_scaling: bool,
    pub(crate) rto_initial: Duration,
    pub(crate) rto_min: Duration,
    pub(crate) rto_max: Duration,
    pub(crate) dupthresh: u32,
    pub(crate) max_retries: Option<u32>,
    pub(crate) connect_timeout: Duration,
    pub(crate) user_timeout: Duration,
    pub(crate) fin_wait2_timeout: Duration,
    pub(crate) keepalive: Option<Keepalive>,
    pub(crate) user_timeout_option: Option<UserTimeoutLimits>,
}

impl Default for ConnectionConfigBuilder {
    /// Each default is explained at the method that sets it.
    fn default() -> Self {
        Self {
            congestion: CongestionControl::Cubic,
            max_mss: None,
            initial_window: None,
            pacing: true,
            recv_buffer: 128 * KIB,
            recv_buffer_max: 8 * MIB,
            send_buffer: 128 * KIB,
            send_buffer_max: 4 * MIB,
            max_reassembly_ranges: 1_024,
            max_reassembly_bytes: MAX_BUFFER,
            nodelay: false,
            ack_delay: Duration::from_millis(40),
            challenge_acks_per_second: 5,
            timestamps: true,
            sack: true,
            window_scaling: true,
            rto_initial: Duration::from_secs(1),
            rto_min: Duration::from_millis(200),
            rto_max: Duration::from_secs(60),
            dupthresh: 3,
            max_retries: None,
            connect_timeout: Duration::from_secs(180),
            user_timeout: Duration::from_secs(300),
            fin_wait2_timeout: Duration::from_secs(60),
            keepalive: None,
            user_timeout_option: None,
        }
    }
}

impl ConnectionConfigBuilder {
    /// Whether transmissions are spread over the round trip: twice the congestion
    /// window a round trip in slow start, and a fifth more than it later, in bursts of
    /// ten segments or what goes in some two milliseconds. Without, what one
    /// acknowledgment lets go leaves at once, and a queue must hold it; so it does on
    /// paths of less than a millisecond, which timers are too slow for. Default: true.
    /// A congestion controller of one's own is told, and paces or does not.
    pub fn with_pacing(mut self, pacing: bool) -> Self {
        self.pacing = pacing;
        self
    }

    /// Congestion control. Default: CUBIC (RFC 9438).
    pub fn with_congestion(mut self, congestion: CongestionControl) -> Self {
        self.congestion = congestion;
        self
    }

    /// Largest segment to announce and to send, in bytes of data and options:
    /// at least 64. Default: what the path's MTU allows.
    pub fn with_max_mss(mut self, bytes: u16) -> Self {
        self.max_mss = Some(bytes);
        self
    }

    /// Initial congestion window in bytes. Default: RFC 6928's,
    /// min(10 MSS, max(2 MSS, 14600)).
    pub fn with_initial_window(mut self, bytes: u64) -> Self {
        self.initial_window = Some(bytes);
        self
    }

    /// Receive buffer: what it starts with, and what auto-tuning may let it
    /// grow to, in bytes. The same value twice switches auto-tuning off.
    ///
    /// Default: 128 KiB, which holds an initial window of 10 segments and
    /// slow start's next two rounds, and 8 MiB, which fills 1 Gbit/s at 60 ms.
    pub fn with_recv_buffer(mut self, initial: u64, max: u64) -> Self {
        self.recv_buffer = initial;
        self.recv_buffer_max = max;
        self
    }

    /// Send buffer: what it starts with, and what it may grow to with the
    /// congestion window, in bytes. Default: 128 KiB and 4 MiB.
    ///
    /// The largest size also bounds how many segments may be outstanding: one for
    /// each 256 bytes, and 256 at least. Beyond that data waits, and leaves in
    /// larger segments.
    pub fn with_send_buffer(mut self, initial: u64, max: u64) -> Self {
        self.send_buffer = initial;
        self.send_buffer_max = max;
        self
    }

    /// How many separate ranges may wait out of order. Default: 1,024, which
    /// is one loss in every fourth segment of the largest default window.
    pub fn with_max_reassembly_ranges(mut self, ranges: usize) -> Self {
        self.max_reassembly_ranges = ranges;
        self
    }

    /// How many bytes may wait out of order; the furthest make room. Default: as
    /// many as the window holds.
    pub fn with_max_reassembly_bytes(mut self, bytes: u64) -> Self {
        self.max_reassembly_bytes = bytes;
        self
    }

    /// Switches Nagle's algorithm off (RFC 9293 §3.7.4). Default: on, as in
    /// every TCP.
    pub fn with_nodelay(mut self, nodelay: bool) -> Self {
        self.nodelay = nodelay;
        self
    }

    /// How long an acknowledgment may wait for company: below 500 ms (RFC 9293
    /// §3.8.6.3, MUST-40). Default: 40 ms.
    pub fn with_ack_delay(mut self, delay: Duration) -> Self {
        self.ack_delay = delay;
        self
    }

    /// How many challenge ACKs the connection gives in one second at most (RFC
    /// 5961 §7): at least 1. Default: 5, as FreeBSD; a peer that has rebooted
    /// needs one.
    pub fn with_challenge_acks_per_second(mut self, acks: u32) -> Self {
        self.challenge_acks_per_second = acks;
        self
    }

    /// Offers timestamps and PAWS (RFC 7323). Default: on.
    pub fn with_timestamps(mut self, timestamps: bool) -> Self {
        self.timestamps = timestamps;
        self
    }

    /// Offers selective acknowledgments (RFC 2018). Default: on.
    pub fn with_sack(mut self, sack: bool) -> Self {
        self.sack = sack;
        self
    }

    /// Offers window scaling (RFC 7323 §2). Default: on.
    pub fn with_window_scaling(mut self, window_scaling: bool) -> Self {
        self.window_scaling = window_scaling;
        self
    }

    /// The retransmission timeout before the first sample (RFC 6298 (2.1)), its
    /// lower and its upper bound. Default: 1 s, 200 ms, 60 s. RFC 6298 (2.4)
    /// recommends 1 s as lower bound; 200 ms is what the large TCPs do, and
    /// docs/PROTOCOL.md says why.
    pub fn with_rto(mut self, initial: Duration, min: Duration, max: Duration) -> Self {
        self.rto_initial = initial;
        self.rto_min = min;
        self.rto_max = max;
        self
    }

    /// Duplicate acknowledgments that mean loss before reordering was seen
    /// (RFC 5681 §3.2). Default: 3.
    pub fn with_dupthresh(mut self, dupthresh: u32) -> Self {
        self.dupthresh = dupthresh;
        self
    }

    /// Retransmissions by timeout in a row that may go unanswered: the next
    /// timeout ends the connection, be it open or being opened here. RFC 9293
    /// §3.8.3 has R2 as a time or as such a count; whichever comes first counts.
    /// Behind a window that the peer has closed only time does. At least 1. Default: none, only time.
    pub fn with_max_retries(mut self, retries: Option<u32>) -> Self {
        self.max_retries = retries;
        self
    }

    /// How long a SYN is retransmitted (RFC 9293 §3.8.3, MUST-23: R2 for a SYN
    /// is at least 3 minutes). Default: 3 minutes; a shorter one is this side's
    /// choice.
    pub fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long data may stay unacknowledged (RFC 9293 §3.8.3, R2). Default: 5
    /// minutes (RFC 9293 §3.10.1).
    pub fn with_user_timeout(mut self, timeout: Duration) -> Self {
        self.user_timeout = timeout;
        self
    }

    /// How long a connection that its owner has closed waits in FIN-WAIT-2 for
    /// the peer's FIN. Default: 60 s.
    pub fn with_fin_wait2_timeout(mut self, timeout: Duration) -> Self {
        self.fin_wait2_timeout = timeout;
        self
    }

    /// Keepalive probes. Default: none (RFC 9293 §3.8.4, MUST-25).
    pub fn with_keepalive(mut self, keepalive: Option<Keepalive>) -> Self {
        self.keepalive = keepalive;
        self
    }

    /// The user timeout option (RFC 5482): tells the peer the user timeout, and
    /// follows what the peer tells, within these limits, as long as
    /// `set_user_timeout` was not called. Default: off, as the RFC has it.
    pub fn with_user_timeout_option(mut self, limits: Option<UserTimeoutLimits>) -> Self {
        self.user_timeout_option = limits;
        self
    }

    /// Checks the values.
    ///
    /// # Errors
    /// The first value that breaks its rule.
    pub fn build(self) -> Result<Arc<ConnectionConfig>, ConfigError> {
        require(self.max_mss.is_none_or(|mss| mss >= MIN_MSS), "max_mss", "at least 64")?;
        require(
            (MIN_BUFFER..=self.recv_buffer_max).contains(&self.recv_buffer)
                && self.recv_buffer_max <= MAX_BUFFER,
            "recv_buffer",
            "at least 2048, initial <= max, and at most 1 GiB",
        )?;
        require(
            (MIN_BUFFER..=self.send_buffer_max).contains(&self.send_buffer)
                && self.send_buffer_max <= MAX_BUFFER,
            "send_buffer",
            "at least 2048, initial <= max, and at most 1 GiB",
        )?;
        require(self.max_reassembly_ranges >= 1, "max_reassembly_ranges", "at least 1")?;
        require(self.challenge_acks_per_second >= 1, "challenge_acks_per_second", "at least 1")?;
        require(self.initial_window.is_none_or(|iw| iw >= 1), "initial_window", "at least 1")?;
        require(
            self.ack_delay < Duration::from_millis(500),
            "ack_delay",
            "below 500 ms (RFC 9293, MUST-40)",
        )?;
        require(
            Duration::from_millis(1) <= self.rto_min
                && self.rto_min <= self.rto_max
                && (self.rto_min..=self.rto_max).contains(&self.rto_initial)
                && self.rto_max <= Duration::from_secs(3_600),
            "rto",
            "1 ms <= min <= initial <= max <= 1 h",
        )?;
        require((1..=255).contains(&self.dupthresh), "dupthresh", "1 to 255")?;
        require(self.max_retries.is_none_or(|retries| retries >= 1), "max_retries", "at least 1")?;
        for (timeout, field) in [
            (self.connect_timeout, "connect_timeout"),
            (self.user_timeout, "user_timeout"),
            (self.fin_wait2_timeout, "fin_wait2_timeout"),
        ] {
            require(!timeout.is_zero(), field, "longer than nothing")?;
        }
        require(
            self.keepalive.is_none_or(|keepalive| {
                !keepalive.idle.is_zero() && !keepalive.interval.is_zero() && keepalive.probes >= 1
            }),
            "keepalive",
            "of an idle time and an interval above zero and at least one probe",
        )?;
        require(
            self.user_timeout_option
                .is_none_or(|limits| !limits.min.is_zero() && limits.min <= limits.max),
            "user_timeout_option",
            "limits above zero, min <= max",
        )?;
        Ok(Arc::new(ConnectionConfig { fields: self }))
    }
}

const KIB: u64 = 1_024;
const MIB: u64 = 1_024 * KIB;
/// Smallest segment that is worth its header; peers that announce less are
/// treated as if they had said this (CVE-2019-11479).
pub(crate) const MIN_MSS: u16 = 64;
pub(crate) const MIN_BUFFER: u64 = 2 * KIB;
/// What is remembered of an outstanding segment takes about half as much.
const BYTES_PER_SENT_SEGMENT: u64 = 256;
const MIN_SENT_SEGMENTS: usize = 256;
/// The largest window that scaling can express (RFC 7323 §2.2).
const MAX_BUFFER: u64 = 1 << 30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid() {
        assert!(ConnectionConfig::builder().build().is_ok());
    }

    #[test]
    fn wrong_values_are_named() {
        let field = |builder: ConnectionConfigBuilder| builder.build().unwrap_err().field();
        let builder = ConnectionConfig::builder;
        assert_eq!(field(builder().with_max_mss(63)), "max_mss");
        assert_eq!(field(builder().with_recv_buffer(4096, 2048)), "recv_buffer");
        assert_eq!(field(builder().with_recv_buffer(4096, (1 << 30) + 1)), "recv_buffer");
        assert_eq!(field(builder().with_send_buffer(1, 4096)), "send_buffer");
        assert_eq!(field(builder().with_ack_delay(Duration::from_millis(500))), "ack_delay");
        let second = Duration::from_secs(1);
        assert_eq!(field(builder().with_rto(second, second * 2, second * 3)), "rto");
        assert_eq!(field(builder().with_dupthresh(0)), "dupthresh");
        let acks = builder().with_challenge_acks_per_second(0);
        assert_eq!(field(acks), "challenge_acks_per_second");
        assert_eq!(field(builder().with_max_retries(Some(0))), "max_retries");
        assert_eq!(field(builder().with_user_timeout(Duration::ZERO)), "user_timeout");
        let keepalive = Keepalive { probes: 0, ..Keepalive::default() };
        assert_eq!(field(builder().with_keepalive(Some(keepalive))), "keepalive");
        let limits = UserTimeoutLimits { min: second * 2, max: second };
        let upside_down = builder().with_user_timeout_option(Some(limits));
        assert_eq!(field(upside_down), "user_timeout_option");
    }

    #[test]
    fn the_window_shift_is_the_smallest_that_fits() {
        let shift = |max| {
            let config = ConnectionConfig::builder().with_recv_buffer(2048, max).build();
            config.unwrap().window_shift()
        };
        assert_eq!(shift(65_535), 0);
        assert_eq!(shift(65_536), 1);
        assert_eq!(shift(8 << 20), 8);
        assert_eq!(shift(1 << 30), 14);
    }
}
