//! A script's settings as the core's configuration.

use core::time::Duration;
use std::sync::Arc;

use tou_proto::cc::CongestionControl;
use tou_proto::{ConfigError, ConnectionConfig, EndpointConfig, Keepalive};

use crate::run::settings::{Congestion, Cookies, EcnUse};
use crate::run::{self, Settings};

/// What all connections of an endpoint share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EndpointFacts {
    mtu: u16,
    time_wait: Duration,
    cookies: Cookies,
}

/// UDP's header, which a script that thinks of plain TCP does not count.
const UDP_HEADER: u16 = 8;

/// The smallest segment the core announces.
const LEAST_MSS: u16 = 64;

/// The smallest MTU the core is told.
const LEAST_MTU: u16 = 576;

/// The largest window that scaling can express (RFC 7323 §2.2).
const LARGEST_BUFFER: u64 = 1 << 30;

impl Default for EndpointFacts {
    fn default() -> Self {
        Self { mtu: 1_500, time_wait: Duration::from_secs(60), cookies: Cookies::WhenFull }
    }
}

impl EndpointFacts {
    /// What `settings` say about the endpoint.
    ///
    /// # Errors
    /// What the core cannot be.
    pub(super) fn of(settings: &Settings) -> Result<Self, String> {
        if settings.mss() < LEAST_MSS {
            return Err(format!("an MSS of {}: the core's least is {LEAST_MSS}", settings.mss()));
        }
        if settings.ecn == EcnUse::Active {
            return Err("ECN (RFC 3168)".to_owned());
        }
        let mtu = settings.mtu.saturating_add(UDP_HEADER.saturating_sub(settings.overhead));
        let Settings { time_wait, cookies, .. } = *settings;
        Ok(Self { mtu: mtu.max(LEAST_MTU), time_wait, cookies })
    }

    pub(super) fn config(self) -> Arc<EndpointConfig> {
        // Scripts are about TCP, which knows of no translators on the path.
        let mut builder = EndpointConfig::builder()
            .with_mtu(self.mtu)
            .with_time_wait(self.time_wait)
            .with_path_keepalive(None)
            .with_syn_cookies(self.cookies != Cookies::Never);
        if self.cookies == Cookies::Always {
            builder = builder.with_max_syn_cache(0);
        }
        // TIME-WAIT of no length is the one value that can be wrong.
        builder.build().unwrap_or_default()
    }
}

/// What `settings` say about one connection.
///
/// # Errors
/// A value that the core refuses.
pub(super) fn connection(settings: &Settings) -> Result<Arc<ConnectionConfig>, ConfigError> {
    let options = !settings.no_options;
    let recv_buffer = u64::from(settings.recv_buffer);
    let send_buffer = u64::from(settings.send_buffer);
    let recv_buffer_max = settings.recv_buffer_max.clamp(recv_buffer, LARGEST_BUFFER);
    let send_buffer_max = u64::from(settings.send_buffer_max.max(settings.send_buffer));
    let mut builder = ConnectionConfig::builder()
        // Scripts say what is sent, not at what pace; the kernels they are written for
        // do not pace by default either.
        .with_pacing(false)
        .with_max_mss(settings.mss())
        .with_recv_buffer(recv_buffer, recv_buffer_max)
        .with_send_buffer(send_buffer, send_buffer_max)
        .with_nodelay(settings.nodelay)
        .with_ack_delay(settings.delayed_ack)
        .with_timestamps(options && settings.timestamps)
        .with_sack(options && settings.sack)
        .with_window_scaling(options && settings.window_scale)
        .with_rto(settings.rto_initial, settings.rto_min, settings.rto_max)
        .with_connect_timeout(settings.handshake_timeout)
        .with_fin_wait2_timeout(settings.fin_wait2)
        .with_dupthresh(settings.dupthresh)
        .with_congestion(match settings.congestion {
            Congestion::Cubic => CongestionControl::Cubic,
            Congestion::Reno => CongestionControl::Reno,
        })
        .with_keepalive(keepalive(settings));
    if let Some(timeout) = settings.user_timeout {
        builder = builder.with_user_timeout(timeout);
    }
    if let Some(octets) = settings.initial_window {
        builder = builder.with_initial_window(octets);
    }
    builder.build()
}

/// What `settings` say about keepalive.
pub(super) fn keepalive(settings: &Settings) -> Option<Keepalive> {
    let run::settings::Keepalive { on, idle, interval, count } = settings.keepalive;
    on.then_some(Keepalive { idle, interval, probes: count })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_script_gets_its_mss_and_an_encapsulated_one_udps_room() {
        let plain = EndpointFacts::of(&Settings::default()).unwrap();
        assert_eq!(plain.mtu, 1_508);
        let inside = Settings { overhead: 8, ..Settings::default() };
        assert_eq!(EndpointFacts::of(&inside).unwrap().mtu, 1_500);
    }

    #[test]
    fn what_the_core_has_not_is_named() {
        let refused = |settings| EndpointFacts::of(&settings).unwrap_err();
        let tiny = Settings { mtu: 72, ..Settings::default() };
        assert_eq!(refused(tiny), "an MSS of 32: the core's least is 64");
        let ecn = Settings { ecn: EcnUse::Active, ..Settings::default() };
        assert_eq!(refused(ecn), "ECN (RFC 3168)");
    }

    #[test]
    fn the_default_settings_are_a_configuration() {
        assert!(connection(&Settings::default()).is_ok());
        let huge = Settings { recv_buffer_max: u64::from(u32::MAX), ..Settings::default() };
        assert!(connection(&huge).is_ok());
    }
}
