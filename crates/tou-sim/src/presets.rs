//! Configurations that tests share.

use std::sync::Arc;

use tou_proto::{ConnectionConfig, ConnectionConfigBuilder, EndpointConfig, EndpointConfigBuilder};

/// A builder for endpoints that keep no paths open: there are no address
/// translators here, and a segment now and then would hide that two ends wait for
/// each other.
pub fn endpoint_builder() -> EndpointConfigBuilder {
    EndpointConfig::builder().with_path_keepalive(None)
}

/// Endpoints that keep no paths open, with all else as it is by default.
///
/// # Panics
/// Never: the values are valid.
#[must_use]
pub fn endpoint() -> Arc<EndpointConfig> {
    endpoint_builder().build().expect("valid")
}

/// A builder for connections without options and auto-tuning: what RFC 9293
/// has, and nothing that later documents added to segments.
pub fn plain_builder() -> ConnectionConfigBuilder {
    ConnectionConfig::builder()
        .with_timestamps(false)
        .with_sack(false)
        .with_pacing(false)
        .with_window_scaling(false)
        .with_recv_buffer(65_535, 65_535)
}

/// Connections without options and auto-tuning.
///
/// # Panics
/// Never: the values are valid.
#[must_use]
pub fn plain() -> Arc<ConnectionConfig> {
    plain_builder().build().expect("valid")
}

/// Connections with SACK alone.
///
/// # Panics
/// Never: the values are valid.
#[must_use]
pub fn sack_only() -> Arc<ConnectionConfig> {
    plain_builder().with_sack(true).build().expect("valid")
}
