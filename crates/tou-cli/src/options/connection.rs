//! Options for connections: what RFC 9293 and its relatives leave to the user.

use core::time::Duration;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use tou_mio::default_connection_config;
use tou_proto::cc::CongestionControl;
use tou_proto::{ConnectionConfig, ConnectionConfigBuilder, EndpointConfig, Keepalive};

use crate::failure::Failure;
use crate::format;
use crate::value;

/// IPv6, UDP and TCP headers: what a packet has beyond its MSS.
const HEADERS: u16 = 40 + 8 + 20;

/// An Ethernet's MTU, which the core assumes too.
const MTU: u16 = 1_500;

/// What a buffer starts with at most: the core's own default.
const FIRST_BUFFER: u64 = 128 << 10;

/// The core's own retransmission timeouts: before the first sample, at least and
/// at most.
const INITIAL_RTO: Duration = Duration::from_secs(1);
const MIN_RTO: Duration = Duration::from_millis(200);
const MAX_RTO: Duration = value::MAX_RTO;

/// The driver's own.
const USER_TIMEOUT: Duration = Duration::from_secs(30);

/// How connections behave.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Connection")]
pub(crate) struct ConnectionOptions {
    /// Largest segment to send and to ask for, in bytes of options and data
    ///
    /// 64 to 65487. The default fills an Ethernet's packets: 1452 on IPv4 and 1432 on IPv6. Between
    /// programs on one host it is the largest there is (but 1452 in the demo). Larger ones need a
    /// path that takes them.
    #[arg(long, value_name = "BYTES", value_parser = value::mss, allow_negative_numbers = true)]
    mss: Option<u16>,
    /// Most that waits to be read, and so the largest window [default: 8MiB]
    ///
    /// 2KiB to 1GiB. A connection starts with 128KiB, and grows as the path asks for it.
    #[arg(long, value_name = "SIZE", value_parser = value::buffer)]
    recv_buffer: Option<u64>,
    /// Most that waits to be sent and acknowledged [default: 4MiB]
    #[arg(long, value_name = "SIZE", value_parser = value::buffer)]
    send_buffer: Option<u64>,
    /// Congestion control
    #[arg(long, value_name = "NAME", default_value = "cubic")]
    cc: Congestion,
    /// Send small segments at once, rather than wait for company (no Nagle)
    #[arg(long)]
    nodelay: bool,
    /// Shortest retransmission timeout [default: 200ms; the demo: 10ms]
    ///
    /// 1ms to 60s. It has to outlast the peer's delayed acknowledgments, which wait for 40ms in
    /// tou. On a short path that loses much, 50ms make recovery faster.
    #[arg(long, value_name = "TIME", value_parser = value::rto)]
    rto_min: Option<Duration>,
    /// Retransmission timeout before a round trip was measured [default: 1s]
    #[arg(long, value_name = "TIME", value_parser = value::rto)]
    rto_initial: Option<Duration>,
    /// Duplicate acknowledgments that mean loss, 1 to 255 [default: 3]
    #[arg(long, value_name = "NUMBER", value_parser = value::dupthresh, allow_negative_numbers = true)]
    dupthresh: Option<u32>,
    /// Give up after so many retransmissions in a row, 1 to 255 [default: only time counts]
    #[arg(long, value_name = "NUMBER", value_parser = value::retries, allow_negative_numbers = true)]
    max_retries: Option<u32>,
    /// Give up when nothing was acknowledged for so long [default: 30s; the demo: 2m]
    #[arg(long, value_name = "TIME", value_parser = value::timeout)]
    user_timeout: Option<Duration>,
    /// When a silent peer is asked whether it is there: IDLE or IDLE,INTERVAL,PROBES or off
    ///
    /// After IDLE of silence, and then every INTERVAL; after PROBES without an answer the
    /// connection has timed out. By default a third and a twelfth of the user timeout and 6, so that
    /// a silent peer is missed within the user timeout too: 10s,2500ms,6.
    #[arg(long, value_name = "WHEN")]
    keepalive: Option<KeepaliveChoice>,
    /// Do without timestamps (RFC 7323)
    #[arg(long)]
    no_timestamps: bool,
    /// Do without selective acknowledgments (RFC 2018)
    #[arg(long)]
    no_sack: bool,
    /// Do without window scaling (RFC 7323): no window above 64KiB
    #[arg(long)]
    no_window_scale: bool,
}

/// The congestion controllers there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Congestion {
    /// CUBIC with HyStart++ (RFC 9438, RFC 9406)
    #[default]
    Cubic,
    /// Reno (RFC 5681)
    Reno,
}

/// Whether and when a silent peer is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct KeepaliveChoice(Option<Keepalive>);

impl core::str::FromStr for KeepaliveChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self(None));
        }
        let rule =
            |_| "keepalive is a TIME, or TIME,TIME,PROBES such as 10s,2s,6, or off".to_owned();
        let parts: Vec<_> = text.split(',').collect();
        let (idle, interval, probes) = match parts[..] {
            [idle] => {
                let idle = value::timeout(idle).map_err(rule)?;
                (idle, (idle / 4).max(Duration::from_millis(1)), 6)
            }
            [idle, interval, probes] => {
                let probes = probes.parse().map_err(|_| rule(String::new()))?;
                let time = |text| value::timeout(text).map_err(rule);
                (time(idle)?, time(interval)?, probes)
            }
            _ => return Err(rule(String::new())),
        };
        if !(1..=255).contains(&probes) {
            return Err("keepalive takes 1 to 255 probes".to_owned());
        }
        Ok(Self(Some(Keepalive { idle, interval, probes })))
    }
}

/// What a command sets where no option does.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tuning {
    pub(crate) mss: Option<u16>,
    pub(crate) timing: Option<Timing>,
    pub(crate) nodelay: bool,
}

/// How patient a connection is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    /// Shortest retransmission timeout.
    pub(crate) rto_min: Duration,
    /// Longest delay of acknowledgments.
    pub(crate) ack_delay: Duration,
    /// How long data may stay unacknowledged.
    pub(crate) user_timeout: Duration,
}

impl ConnectionOptions {
    /// The configurations of an endpoint and its connections.
    pub(super) fn configs(
        &self,
        tuning: Tuning,
    ) -> Result<(Arc<EndpointConfig>, Arc<ConnectionConfig>), Failure> {
        let mut endpoint = EndpointConfig::builder();
        let mut connection = self.features(tuning);
        if let Some(mss) = self.mss.or(tuning.mss) {
            connection = connection.with_max_mss(mss);
            endpoint = endpoint.with_mtu(mss.saturating_add(HEADERS).max(MTU));
        }
        let connection = self.timing(connection, tuning)?;
        let usage = |error: tou_proto::ConfigError| Failure::usage(error.to_string());
        Ok((endpoint.build().map_err(usage)?, connection.build().map_err(usage)?))
    }

    /// What the connection does and how much it holds.
    fn features(&self, tuning: Tuning) -> ConnectionConfigBuilder {
        let mut connection = default_connection_config()
            .with_congestion(match self.cc {
                Congestion::Cubic => CongestionControl::Cubic,
                Congestion::Reno => CongestionControl::Reno,
            })
            .with_nodelay(self.nodelay || tuning.nodelay)
            .with_timestamps(!self.no_timestamps)
            .with_sack(!self.no_sack)
            .with_window_scaling(!self.no_window_scale);
        if let Some(max) = self.recv_buffer {
            connection = connection.with_recv_buffer(max.min(FIRST_BUFFER), max);
        }
        if let Some(max) = self.send_buffer {
            connection = connection.with_send_buffer(max.min(FIRST_BUFFER), max);
        }
        if let Some(dupthresh) = self.dupthresh {
            connection = connection.with_dupthresh(dupthresh);
        }
        connection.with_max_retries(self.max_retries)
    }

    /// How patient it is.
    fn timing(
        &self,
        mut connection: ConnectionConfigBuilder,
        tuning: Tuning,
    ) -> Result<ConnectionConfigBuilder, Failure> {
        let usual = tuning
            .timing
            .map_or((MIN_RTO, USER_TIMEOUT), |timing| (timing.rto_min, timing.user_timeout));
        let rto_min = self.rto_min.unwrap_or(usual.0);
        let rto_initial = self.rto_initial.unwrap_or(INITIAL_RTO.max(rto_min));
        if rto_initial < rto_min {
            let [initial, min] = [rto_initial, rto_min].map(format::time);
            return Err(Failure::usage(format!(
                "--rto-initial {initial} is shorter than --rto-min {min}"
            )));
        }
        let user_timeout = self.user_timeout.unwrap_or(usual.1);
        let keepalive = match self.keepalive {
            Some(KeepaliveChoice(keepalive)) => keepalive,
            None => Some(keepalive_within(user_timeout)),
        };
        if let Some(timing) = tuning.timing {
            connection = connection.with_ack_delay(timing.ack_delay);
        }
        Ok(connection
            .with_rto(rto_initial, rto_min, MAX_RTO)
            .with_user_timeout(user_timeout)
            .with_keepalive(keepalive))
    }
}

/// Probes that miss a silent peer after five sixths of the user timeout. There
/// are six, because a bad network may lose some.
fn keepalive_within(user_timeout: Duration) -> Keepalive {
    let at_least = |time: Duration| time.max(Duration::from_millis(1));
    Keepalive { idle: at_least(user_timeout / 3), interval: at_least(user_timeout / 12), probes: 6 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> ConnectionOptions {
        ConnectionOptions::default()
    }

    #[test]
    fn any_values_that_parse_can_be_configured() {
        for mss in ["64", "1452", "1453", "65487"] {
            let options = ConnectionOptions {
                mss: Some(value::mss(mss).unwrap()),
                cc: Congestion::Reno,
                ..options()
            };
            assert!(options.configs(Tuning::default()).is_ok(), "{mss:?}");
        }
        for (buffer, rto, number, timeout) in
            [("2KiB", "1ms", "1", "1ms"), ("1GiB", "60s", "255", "24h")]
        {
            let options = ConnectionOptions {
                recv_buffer: Some(value::buffer(buffer).unwrap()),
                send_buffer: Some(value::buffer(buffer).unwrap()),
                rto_min: Some(value::rto(rto).unwrap()),
                dupthresh: Some(value::dupthresh(number).unwrap()),
                max_retries: Some(value::retries(number).unwrap()),
                user_timeout: Some(value::timeout(timeout).unwrap()),
                ..options()
            };
            assert!(options.configs(Tuning::default()).is_ok(), "{buffer} {rto}");
        }
    }

    #[test]
    fn the_first_timeout_is_not_below_the_shortest() {
        let time = |ms| Some(Duration::from_millis(ms));
        let wrong = ConnectionOptions { rto_min: time(500), rto_initial: time(400), ..options() };
        let failure = wrong.configs(Tuning::default()).unwrap_err().to_string();
        assert_eq!(failure, "--rto-initial 400.0 ms is shorter than --rto-min 500.0 ms");
        let long = ConnectionOptions { rto_min: time(3_000), ..options() };
        assert!(long.configs(Tuning::default()).is_ok());
    }

    #[test]
    fn keepalive_is_times_and_a_number() {
        let parse = |text: &str| text.parse::<KeepaliveChoice>();
        let seconds = Duration::from_secs;
        let all = Keepalive { idle: seconds(10), interval: seconds(2), probes: 5 };
        assert_eq!(parse("10s,2s,5"), Ok(KeepaliveChoice(Some(all))));
        let short = Keepalive { idle: seconds(8), interval: seconds(2), probes: 6 };
        assert_eq!(parse("8s"), Ok(KeepaliveChoice(Some(short))));
        assert_eq!(parse("off"), Ok(KeepaliveChoice(None)));
        for wrong in ["", "10", "0s", "1s,1s", "1s,1s,0", "1s,1s,256", "1s,1s,x", "1s,1s,1,1"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_silent_peer_is_missed_within_the_user_timeout() {
        for millis in [1, 2_000, 30_000, 86_400_000] {
            let limit = Duration::from_millis(millis);
            let Keepalive { idle, interval, probes } = keepalive_within(limit);
            assert!(millis < 100 || idle + interval * probes < limit, "{millis}");
            assert!(!idle.is_zero() && !interval.is_zero());
        }
    }
}
