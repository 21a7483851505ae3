//! Configurations that tests share.

use std::sync::Arc;

use tou_proto::{ConnectionConfig, ConnectionConfigBuilder};

/// A builder for connections without options and auto-tuning: what RFC 9293
/// has, and nothing that later documents added to segments.
pub fn plain_builder() -> ConnectionConfigBuilder {
    ConnectionConfig::builder()
        .with_timestamps(false)
        .with_sack(false)
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
