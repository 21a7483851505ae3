//! Options for connections: segment size and congestion control.

use core::time::Duration;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use tou_mio::default_connection_config;
use tou_proto::cc::CongestionControl;
use tou_proto::{ConfigError, ConnectionConfig, EndpointConfig};

use crate::failure::Failure;
use crate::value;

/// IPv6, UDP and TCP headers: what a packet has beyond its MSS.
const HEADERS: u16 = 40 + 8 + 20;

/// An Ethernet's MTU, which the core assumes too.
const MTU: u16 = 1_500;

/// Retransmission timeouts as in RFC 6298: before the first sample, and at most.
const INITIAL_RTO: Duration = Duration::from_secs(1);
const MAX_RTO: Duration = Duration::from_secs(60);

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
    /// Congestion control
    #[arg(long, value_name = "NAME", default_value = "cubic")]
    cc: Congestion,
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

/// What a command sets where no option does.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tuning {
    pub(crate) mss: Option<u16>,
    pub(crate) timing: Option<Timing>,
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
        self.build(tuning).map_err(|error| Failure::usage(error.to_string()))
    }

    fn build(
        &self,
        tuning: Tuning,
    ) -> Result<(Arc<EndpointConfig>, Arc<ConnectionConfig>), ConfigError> {
        let mut connection = default_connection_config().with_congestion(match self.cc {
            Congestion::Cubic => CongestionControl::Cubic,
            Congestion::Reno => CongestionControl::Reno,
        });
        if let Some(timing) = tuning.timing {
            connection = connection
                .with_rto(INITIAL_RTO, timing.rto_min, MAX_RTO)
                .with_ack_delay(timing.ack_delay)
                .with_user_timeout(timing.user_timeout);
        }
        let mut endpoint = EndpointConfig::builder();
        if let Some(mss) = self.mss.or(tuning.mss) {
            connection = connection.with_max_mss(mss);
            endpoint = endpoint.with_mtu(mss.saturating_add(HEADERS).max(MTU));
        }
        Ok((endpoint.build()?, connection.build()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_mss_that_parses_can_be_configured() {
        for mss in ["64", "1452", "1453", "65487"] {
            let mss = Some(value::mss(mss).unwrap());
            let options = ConnectionOptions { mss, cc: Congestion::Reno };
            assert!(options.configs(Tuning::default()).is_ok(), "{mss:?}");
        }
    }
}
