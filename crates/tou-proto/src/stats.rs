//! Figures that users read: counters that only grow, and snapshots.

use core::time::Duration;

use crate::conn::State;

/// What a connection has counted since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionCounters {
    /// Segments sent, retransmissions included.
    pub segments_sent: u64,
    /// Segments that reached the connection.
    pub segments_received: u64,
    /// Bytes of data sent, retransmissions included.
    pub bytes_sent: u64,
    /// Bytes of data the peer has acknowledged.
    pub bytes_acked: u64,
    /// Bytes of data received in order.
    pub bytes_received: u64,
    /// Segments sent again.
    pub segments_retransmitted: u64,
    /// Bytes of data sent again.
    pub bytes_retransmitted: u64,
    /// Retransmission timeouts (RFC 6298).
    pub timeouts: u64,
    /// Tail loss probes sent (RFC 8985).
    pub tail_probes: u64,
    /// Fast recovery episodes begun.
    pub fast_recoveries: u64,
    /// Reductions of the window that were found to be mistakes.
    pub spurious_recoveries: u64,
    /// Acknowledgments that reported a duplicate arrival (RFC 2883).
    pub dsacks_received: u64,
    /// Bytes that arrived and were there already.
    pub duplicate_bytes_received: u64,
    /// Segments that arrived behind a hole.
    pub out_of_order_segments: u64,
    /// Bytes behind a hole that were dropped to keep the bounds.
    pub reassembly_bytes_dropped: u64,
    /// Bytes that did not fit the window, and were cut off.
    pub bytes_beyond_window: u64,
    /// Writes that found the send buffer full.
    pub writes_refused: u64,
    /// Writes that had to wait, and batches that ended, because as many segments
    /// were outstanding as may be.
    pub segments_limited: u64,
    /// Windows offered and writes taken that were smaller than the buffers' own
    /// bounds because the memory of all connections was short.
    pub memory_limited: u64,
    /// Segments outside the window (RFC 9293 §3.10.7.4, first check).
    pub unacceptable_segments: u64,
    /// Segments with an old timestamp (RFC 7323 §5).
    pub paws_rejected: u64,
    /// Challenge acknowledgments sent (RFC 5961).
    pub challenge_acks: u64,
    /// Challenge acknowledgments not sent because of their limit.
    pub challenge_acks_suppressed: u64,
    /// Zero-window probes sent.
    pub window_probes: u64,
    /// Keepalive probes sent.
    pub keepalive_probes: u64,
    /// Times the segment size fell back because full-sized segments vanished.
    pub mtu_fallbacks: u64,
    /// Error reports about the path that were taken as hints.
    pub soft_errors: u64,
}

/// A connection as it is now: what Linux calls `tcp_info`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionInfo {
    /// The state of RFC 9293 §3.3.2.
    pub state: State,
    /// Smoothed round trip; `None` before the first sample.
    pub srtt: Option<Duration>,
    /// Its variation.
    pub rttvar: Option<Duration>,
    /// Smallest round trip seen lately.
    pub min_rtt: Option<Duration>,
    /// Retransmission timeout, backoff included.
    pub rto: Duration,
    /// Retransmission timeouts since something new was last acknowledged.
    pub timeouts_in_a_row: u32,
    /// The same segment was sent for the fourth time or more, and nothing comes
    /// back (RFC 9293 §3.8.3: R1).
    pub is_stalled: bool,
    /// How long data may stay unacknowledged: the configured time, or what the
    /// peer's advice has made of it (RFC 5482).
    pub user_timeout: Duration,
    /// Congestion window in bytes.
    pub cwnd: u64,
    /// Slow-start threshold in bytes; `u64::MAX` before the first loss.
    pub ssthresh: u64,
    /// Name of the congestion controller.
    pub congestion: &'static str,
    /// Bytes believed to be in the network (RFC 6675 pipe).
    pub in_flight: u64,
    /// Bytes sent and not acknowledged.
    pub outstanding: u64,
    /// The window the peer offers, in bytes.
    pub snd_wnd: u64,
    /// The window this side last offered, in bytes.
    pub rcv_wnd: u64,
    /// Bytes of data a segment carries at most, options already taken off.
    pub mss: u64,
    /// The MSS this side announced.
    pub announced_mss: u16,
    /// The MSS the peer announced, or the default of RFC 9293 §3.7.1.
    pub peer_mss: u16,
    /// Shift of the windows the peer offers; zero without scaling (RFC 7323 §2).
    pub snd_wscale: u8,
    /// Shift of the windows this side offers; zero without scaling.
    pub rcv_wscale: u8,
    /// Timestamps are in use.
    pub timestamps: bool,
    /// SACK is in use.
    pub sack: bool,
    /// Bytes written and not yet acknowledged.
    pub send_queue: u64,
    /// Bytes received in order and not yet read.
    pub recv_queue: u64,
    /// Bytes received out of order.
    pub reassembly_queue: u64,
    /// Receive buffer that auto-tuning has arrived at, in bytes.
    pub recv_buffer: u64,
    /// Bytes of memory that the send and receive buffers hold.
    pub memory: usize,
    /// How long RACK waits for a segment that others have overtaken (RFC 8985).
    pub reordering_window: Duration,
    /// Reordering was seen on the path (RFC 8985).
    pub reordering_seen: bool,
    /// What was counted.
    pub counters: ConnectionCounters,
}

/// What an endpoint has counted since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EndpointCounters {
    /// Datagrams handed in.
    pub datagrams_received: u64,
    /// Batches from addresses that nobody can have, and to all or many hosts.
    pub invalid_sources: u64,
    /// Datagrams that were no segments.
    pub malformed_segments: u64,
    /// Segments whose checksum was wrong (with [`crate::wire::Checksum::Segment`]).
    pub bad_checksums: u64,
    /// Segments whose option list was cut short by a malformed option.
    pub malformed_options: u64,
    /// Segments for no connection and no listener.
    pub stray_segments: u64,
    /// Resets sent in answer to them.
    pub resets_sent: u64,
    /// Answers to stray segments not sent because of their limit.
    pub stray_replies_suppressed: u64,
    /// SYNs dropped because their listener had a full queue of connections to
    /// accept, or because they could not be remembered and cookies are off.
    pub syns_dropped: u64,
    /// SYNs, and acknowledgments that would have made a connection, dropped because
    /// the endpoint had no room for one.
    pub connections_refused: u64,
    /// SYNs that could not be remembered: the SYN cache, or their listener's part
    /// of it, was full.
    pub syn_cache_overflows: u64,
    /// SYNs answered with a cookie.
    pub syn_cookies_sent: u64,
    /// Connections made from a cookie that came back.
    pub syn_cookies_accepted: u64,
    /// Acknowledgments that came to a listener while cookies were out, and held
    /// none.
    pub syn_cookies_rejected: u64,
    /// Answers to SYNs sent again after a timeout.
    pub syn_acks_retransmitted: u64,
    /// Handshakes given up because their acknowledgment did not come.
    pub handshakes_timed_out: u64,
    /// Acknowledgments that would have made a connection, dropped because the queue
    /// of connections to accept was full.
    pub accept_queue_overflows: u64,
    /// Answers to segments for an incomplete handshake not sent because of their
    /// limit.
    pub handshake_replies_suppressed: u64,
    /// Segments for a live connection that came from another UDP address or
    /// port, and were dropped.
    pub wrong_path: u64,
    /// Acknowledgments sent only to keep a path open.
    pub path_keepalives: u64,
    /// Connections remembered in TIME-WAIT that made room before their time.
    pub time_wait_evicted: u64,
    /// Connections in TIME-WAIT, of either side, whose names a new one took over
    /// (RFC 6191).
    pub time_wait_reused: u64,
    /// Error reports that matched no connection.
    pub stray_path_errors: u64,
}
