//! Everything a script can set, by option line, `sysctl` or `setsockopt`.
//!
//! One flat structure: a socket starts with a copy of the system's and changes
//! its own. The defaults are FreeBSD's as its suite states them, because those
//! scripts set them explicitly, and Linux's where only Google's scripts look.

use core::time::Duration;

/// The version of IP that a script runs over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum IpVersion {
    /// IPv4
    #[default]
    V4,
    /// IPv6
    V6,
}

/// When ECN is negotiated (RFC 3168).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum EcnUse {
    /// Never.
    Off,
    /// When the peer asks for it.
    #[default]
    Passive,
    /// Asked for in our SYN too.
    Active,
}

/// Congestion control.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Congestion {
    /// RFC 9438
    #[default]
    Cubic,
    /// RFC 5681
    Reno,
}

/// When SYN cookies are sent (RFC 4987).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Cookies {
    /// Never.
    Never,
    /// When the SYN cache is full.
    #[default]
    WhenFull,
    /// Always: no SYN is remembered.
    Always,
}

/// Keepalive (RFC 9293 §3.8.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// On for this connection.
    pub on: bool,
    /// Idle time before the first probe.
    pub idle: Duration,
    /// Time between probes.
    pub interval: Duration,
    /// Probes without an answer before the connection is dropped.
    pub count: u32,
}

/// All that can be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The version of IP.
    pub ip: IpVersion,
    /// The interface's MTU: the largest IP packet.
    pub mtu: u16,
    /// Octets around a segment beside the IP header: 8 for UDP, 0 for a script
    /// that thinks of plain TCP.
    pub overhead: u16,
    /// At most so much data in a segment, whatever the MTU (`TCP_MAXSEG`).
    pub mss_limit: Option<u16>,
    /// No options at all on our SYN or SYN-ACK (`TCP_NOOPT`).
    pub no_options: bool,
    /// Timestamps are offered and accepted.
    pub timestamps: bool,
    /// Window scaling is offered and accepted.
    pub window_scale: bool,
    /// SACK is offered and accepted.
    pub sack: bool,
    /// ECN.
    pub ecn: EcnUse,
    /// Retransmissions of a SYN that still ask for ECN.
    pub ecn_syn_retries: u8,
    /// Receive buffer at first.
    pub recv_buffer: u32,
    /// Receive buffer at most: decides the window scale.
    pub recv_buffer_max: u64,
    /// Send buffer at first.
    pub send_buffer: u32,
    /// Send buffer at most.
    pub send_buffer_max: u32,
    /// Retransmission timeout before there is a measurement.
    pub rto_initial: Duration,
    /// Least retransmission timeout.
    pub rto_min: Duration,
    /// Largest retransmission timeout.
    pub rto_max: Duration,
    /// Retransmissions of a SYN.
    pub syn_retries: u8,
    /// Time that a handshake may take.
    pub handshake_timeout: Duration,
    /// Time that an ACK may be held back.
    pub delayed_ack: Duration,
    /// Length of TIME-WAIT.
    pub time_wait: Duration,
    /// Time in FIN-WAIT-2 once nobody holds the connection.
    pub fin_wait2: Duration,
    /// Keepalive.
    pub keepalive: Keepalive,
    /// Nagle's algorithm is off.
    pub nodelay: bool,
    /// Short segments wait for more (`TCP_CORK`).
    pub cork: bool,
    /// Time that sent data may go unacknowledged (RFC 5482).
    pub user_timeout: Option<Duration>,
    /// `SO_LINGER`: `Some(0)` makes close a reset.
    pub linger: Option<Duration>,
    /// SYN cookies.
    pub cookies: Cookies,
    /// Initial congestion window in octets; `None` for RFC 6928's.
    pub initial_window: Option<u64>,
    /// Congestion control.
    pub congestion: Congestion,
    /// Duplicate acknowledgments that mean loss.
    pub dupthresh: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ip: IpVersion::V4,
            mtu: 1500,
            overhead: 0,
            mss_limit: None,
            no_options: false,
            timestamps: true,
            window_scale: true,
            sack: true,
            ecn: EcnUse::Passive,
            ecn_syn_retries: 1,
            recv_buffer: 65_536,
            recv_buffer_max: 2_097_152,
            send_buffer: 32_768,
            send_buffer_max: 32_768,
            rto_initial: Duration::from_secs(1),
            rto_min: Duration::from_millis(200),
            rto_max: Duration::from_secs(64),
            syn_retries: 12,
            handshake_timeout: Duration::from_secs(75),
            delayed_ack: Duration::from_millis(40),
            time_wait: Duration::from_secs(60),
            fin_wait2: Duration::from_secs(60),
            keepalive: Keepalive {
                on: false,
                idle: Duration::from_secs(7200),
                interval: Duration::from_secs(75),
                count: 8,
            },
            nodelay: false,
            cork: false,
            user_timeout: None,
            linger: None,
            cookies: Cookies::WhenFull,
            initial_window: None,
            congestion: Congestion::Cubic,
            dupthresh: 3,
        }
    }
}

impl Settings {
    /// These with what can change while a connection lives taken from `other`.
    #[must_use]
    pub fn with_live_options_of(self, other: &Self) -> Self {
        Self {
            nodelay: other.nodelay,
            cork: other.cork,
            linger: other.linger,
            keepalive: other.keepalive,
            user_timeout: other.user_timeout,
            ..self
        }
    }

    /// What Google's scripts begin with (`common/defaults.sh`): large buffers, and
    /// no ECN.
    #[must_use]
    pub fn with_linux_defaults(self) -> Self {
        Self {
            recv_buffer: 540_000,
            recv_buffer_max: 15 << 20,
            send_buffer: 256 << 10,
            send_buffer_max: 4 << 20,
            ecn: EcnUse::Off,
            ..self
        }
    }

    /// The core's own defaults, for scripts that were written for it.
    #[must_use]
    pub fn tou() -> Self {
        Self {
            recv_buffer: 128 << 10,
            recv_buffer_max: 8 << 20,
            send_buffer: 128 << 10,
            send_buffer_max: 4 << 20,
            rto_max: Duration::from_secs(60),
            handshake_timeout: Duration::from_secs(180),
            ..Self::default()
        }
    }

    /// The MSS that the MTU gives: less the IP header, what is around the
    /// segment, and the TCP header (RFC 9293 §3.7.1).
    #[must_use]
    pub fn mss(&self) -> u16 {
        let ip_header = match self.ip {
            IpVersion::V4 => 20,
            IpVersion::V6 => 40,
        };
        let mss = self.mtu.saturating_sub(ip_header + self.overhead + 20);
        self.mss_limit.map_or(mss, |limit| mss.min(limit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mss_follows_from_the_mtu() {
        let plain = Settings::default();
        assert_eq!(plain.mss(), 1460);
        assert_eq!(Settings { overhead: 8, ..plain }.mss(), 1452);
        assert_eq!(Settings { overhead: 8, ip: IpVersion::V6, ..plain }.mss(), 1432);
        assert_eq!(Settings { mtu: 72, ..plain }.mss(), 32);
        assert_eq!(Settings { mss_limit: Some(500), ..plain }.mss(), 500);
    }
}
