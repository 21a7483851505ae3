//! What an endpoint may hold, and what all its connections share.

use alloc::sync::Arc;
use core::time::Duration;

use super::{ConfigError, ConnectionConfig, require};
use crate::wire::Checksum;

/// The configuration of an endpoint, checked. Made by
/// [`EndpointConfig::builder`]; the default is the builder's.
#[derive(Clone, Debug, Default)]
pub struct EndpointConfig {
    pub(crate) fields: EndpointConfigBuilder,
}

impl EndpointConfig {
    /// A builder that holds the defaults.
    pub fn builder() -> EndpointConfigBuilder {
        EndpointConfigBuilder::default()
    }

    /// The memory that connections share, beyond what is set aside for each.
    pub(crate) fn shared_memory(&self) -> u64 {
        let fields = &self.fields;
        let each = (fields.max_connections as u64).saturating_mul(DEFAULT_MEMORY);
        let max = fields.max_memory.unwrap_or(each.max(MIN_DEFAULT_MEMORY));
        max.saturating_sub(fields.reserved_memory())
    }

    /// How many bytes can arrive and wait, if that was said
    /// ([`with_arrival_room`](EndpointConfigBuilder::with_arrival_room)).
    #[must_use]
    pub fn arrival_room(&self) -> Option<u64> {
        self.fields.arrival_room
    }

    /// A builder that holds this configuration, to change some of it.
    pub fn to_builder(&self) -> EndpointConfigBuilder {
        self.fields.clone()
    }
}

/// What is set aside for each connection's buffers: what they need to hold the
/// least that they may, in either direction.
pub(crate) const MEMORY_RESERVE: u64 = 16 * 1_024;
/// What is there for each, if nothing else is said: the first receive buffer, and
/// what it costs.
const DEFAULT_MEMORY: u64 = 192 * 1_024;
const MIN_DEFAULT_MEMORY: u64 = 1 << 30;

/// Builds an [`EndpointConfig`].
#[derive(Clone, Debug)]
#[must_use]
pub struct EndpointConfigBuilder {
    pub(crate) connection: Arc<ConnectionConfig>,
    pub(crate) mtu: Option<u16>,
    pub(crate) checksum: Checksum,
    pub(crate) max_connections: usize,
    pub(crate) max_memory: Option<u64>,
    pub(crate) arrival_room: Option<u64>,
    pub(crate) max_time_wait: usize,
    pub(crate) time_wait: Duration,
    pub(crate) ephemeral_ports: (u16, u16),
    pub(crate) stray_replies_per_second: u32,
    pub(crate) path_keepalive: Option<Duration>,
    pub(crate) max_syn_cache: usize,
    pub(crate) syn_cookies: bool,
    pub(crate) syn_ack_retries: u8,
}

impl Default for EndpointConfigBuilder {
    /// Each default is explained at the method that sets it.
    fn default() -> Self {
        Self {
            connection: Arc::new(ConnectionConfig::default()),
            mtu: None,
            checksum: Checksum::Carrier,
            max_connections: 65_536,
            max_memory: None,
            arrival_room: None,
            max_time_wait: 65_536,
            time_wait: Duration::from_secs(60),
            ephemeral_ports: (20_480, 65_535),
            stray_replies_per_second: 1_000,
            path_keepalive: Some(Duration::from_secs(20)),
            max_syn_cache: 4_096,
            syn_cookies: true,
            syn_ack_retries: u8::MAX,
        }
    }
}

impl EndpointConfigBuilder {
    /// The configuration of connections that name none of their own.
    pub fn with_connection(mut self, connection: Arc<ConnectionConfig>) -> Self {
        self.connection = connection;
        self
    }

    /// Largest IP packet the local interface sends, in bytes, 576 to 65,535:
    /// what the announced MSS is derived from (RFC 9293 §3.7.1). Default: 1500,
    /// and 65,535 towards a loopback address.
    pub fn with_mtu(mut self, bytes: u16) -> Self {
        self.mtu = Some(bytes);
        self
    }

    /// Who checks that segments arrive undamaged. Default: the carrier (UDP).
    pub fn with_checksum(mut self, checksum: Checksum) -> Self {
        self.checksum = checksum;
        self
    }

    /// How many connections there may be at once. Default: 65,536.
    pub fn with_max_connections(mut self, connections: usize) -> Self {
        self.max_connections = connections;
        self
    }

    /// How many bytes all send, receive and reassembly buffers may take together,
    /// with what is needed to find one's way in them, and with what the windows
    /// that peers were offered may still bring: at least 16 KiB for each of
    /// [`max_connections`](Self::with_max_connections). Default: 192 KiB for each
    /// of them, so that each has its first window, and at least 1 GiB.
    ///
    /// A buffer may grow as long as it is smaller than what is free, so that the
    /// first to come leave something for others; when nothing is, each connection
    /// still has 2 KiB in each direction, and goes on slowly. Data inside a window
    /// that was offered is always taken.
    pub fn with_max_memory(mut self, bytes: u64) -> Self {
        self.max_memory = Some(bytes);
        self
    }

    /// How many bytes can arrive between two looks of whoever takes datagrams in and
    /// none be lost: what the receive buffer of the UDP socket holds. `None`, which is
    /// the default, is as much as there may be; drivers know their socket, and say so.
    ///
    /// Connections that receive share the room. On short paths the window that each
    /// offers is kept to its share, but for what ends that take turns need: 256 KiB, or
    /// half of the room. On a path of several milliseconds a window arrives over all of
    /// the round trip, and may be as many times larger. Connections that receive less
    /// than 32 KiB in a tenth of a second have no part in it.
    pub fn with_arrival_room(mut self, bytes: Option<u64>) -> Self {
        self.arrival_room = bytes;
        self
    }

    /// How many connections are remembered in TIME-WAIT; the oldest make room.
    /// Default: 65,536.
    pub fn with_max_time_wait(mut self, connections: usize) -> Self {
        self.max_time_wait = connections;
        self
    }

    /// How long TIME-WAIT lasts. Default: 60 s, twice a segment lifetime of 30 s
    /// instead of RFC 9293 §3.4.2's two minutes, as deployed TCPs do.
    pub fn with_time_wait(mut self, duration: Duration) -> Self {
        self.time_wait = duration;
        self
    }

    /// First and last port for connections that name no local port (RFC 6056).
    /// Default: 20480 to 65535, so that the first octet of a datagram is none
    /// of STUN's, TURN's or DTLS's (RFC 7983).
    pub fn with_ephemeral_ports(mut self, first: u16, last: u16) -> Self {
        self.ephemeral_ports = (first, last);
        self
    }

    /// How many resets in answer to segments without a connection are sent in
    /// one second at most, a tenth of it to one source. Default: 1,000.
    pub fn with_stray_replies_per_second(mut self, replies: u32) -> Self {
        self.stray_replies_per_second = replies;
        self
    }

    /// After how much silence of this side a datagram goes out to keep a path
    /// through address translators open: at least a second, `None` never. Only
    /// over paths that this side opened, and only while they have connections.
    /// Default: 20 s. Translators are to remember UDP for two minutes (RFC 4787
    /// REQ-5), but many forget after 30 s.
    pub fn with_path_keepalive(mut self, silence: Option<Duration>) -> Self {
        self.path_keepalive = silence;
        self
    }

    /// How many SYNs that came to listeners are remembered until their handshakes
    /// are complete (RFC 4987 §3.4). A listener remembers no more than its
    /// backlog. None at all leaves everything to [cookies](Self::with_syn_cookies).
    /// Default: 4,096, which is some 2 MB.
    pub fn with_max_syn_cache(mut self, syns: usize) -> Self {
        self.max_syn_cache = syns;
        self
    }

    /// Whether a SYN that cannot be remembered is answered with a cookie (RFC
    /// 4987 §3.6): everything that is needed of it comes back in the peer's
    /// acknowledgment. If not, the SYN is dropped. Default: yes.
    pub fn with_syn_cookies(mut self, syn_cookies: bool) -> Self {
        self.syn_cookies = syn_cookies;
        self
    }

    /// How often the answer to a SYN is sent again by its timer before the
    /// handshake is given up, if the connect timeout of the connection's
    /// configuration does not end it earlier. Whoever asks for it may have lied
    /// about who they are. Default: 255, so that the connect timeout decides: with
    /// its default of three minutes (RFC 9293 §3.8.3, MUST-23), after seven.
    pub fn with_syn_ack_retries(mut self, retries: u8) -> Self {
        self.syn_ack_retries = retries;
        self
    }

    fn reserved_memory(&self) -> u64 {
        (self.max_connections as u64).saturating_mul(MEMORY_RESERVE)
    }

    /// Checks the values.
    ///
    /// # Errors
    /// The first value that breaks its rule.
    pub fn build(self) -> Result<Arc<EndpointConfig>, ConfigError> {
        require(self.mtu.is_none_or(|mtu| mtu >= 576), "mtu", "at least 576")?;
        require(self.max_connections >= 1, "max_connections", "at least 1")?;
        require(u32::try_from(self.max_connections).is_ok(), "max_connections", "below 2^32")?;
        require(
            self.max_memory.is_none_or(|bytes| bytes >= self.reserved_memory()),
            "max_memory",
            "at least 16 KiB for each of max_connections",
        )?;
        require(u32::try_from(self.max_syn_cache).is_ok(), "max_syn_cache", "below 2^32")?;
        require(!self.time_wait.is_zero(), "time_wait", "longer than nothing")?;
        let (first, last) = self.ephemeral_ports;
        require(1 <= first && first <= last, "ephemeral_ports", "1 <= first <= last")?;
        let is_sparing = |silence: Duration| silence >= Duration::from_secs(1);
        require(self.path_keepalive.is_none_or(is_sparing), "path_keepalive", "at least 1 s")?;
        Ok(Arc::new(EndpointConfig { fields: self }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid_and_wrong_values_are_named() {
        assert!(EndpointConfig::builder().build().is_ok());
        let field = |builder: EndpointConfigBuilder| builder.build().unwrap_err().field();
        let builder = EndpointConfig::builder;
        assert_eq!(field(builder().with_mtu(575)), "mtu");
        assert_eq!(field(builder().with_max_connections(0)), "max_connections");
        assert_eq!(field(builder().with_time_wait(Duration::ZERO)), "time_wait");
        assert_eq!(field(builder().with_max_connections(2).with_max_memory(32_767)), "max_memory");
        assert_eq!(field(builder().with_ephemeral_ports(0, 9)), "ephemeral_ports");
        assert_eq!(field(builder().with_ephemeral_ports(9, 8)), "ephemeral_ports");
        let hasty = Some(Duration::from_millis(999));
        assert_eq!(field(builder().with_path_keepalive(hasty)), "path_keepalive");
    }
}
