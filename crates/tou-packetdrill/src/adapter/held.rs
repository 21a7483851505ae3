//! What is remembered of a connection, for as long as a script may ask.

use tou_proto::{ConnId, ConnectionError, ConnectionInfo, Port, Remote};

use crate::run::{Info, Settings, State};
use crate::value::Errno;

/// One connection.
#[derive(Debug)]
pub(super) struct Held {
    /// The endpoint's handle, until the descriptor is closed.
    pub(super) id: Option<ConnId>,
    pub(super) remote: Remote,
    pub(super) local: Port,
    pub(super) settings: Settings,
    /// It is corked now, by option or by `MSG_MORE`.
    pub(super) is_corked: bool,
    /// How it ended, until that was told.
    pub(super) error: Option<Errno>,
}

impl Held {
    pub(super) fn new(id: ConnId, remote: Remote, local: Port, settings: Settings) -> Self {
        let is_corked = settings.cork;
        Self { id: Some(id), remote, local, settings, is_corked, error: None }
    }

    /// The figures that scripts assert.
    pub(super) fn figures(&self, info: &ConnectionInfo) -> Info {
        let size = |octets: u64| u32::try_from(octets).unwrap_or(u32::MAX);
        Info {
            timestamps: info.timestamps,
            sack: info.sack,
            window_scale: (info.snd_wscale, info.rcv_wscale) != (0, 0),
            ecn: false,
            snd_mss: size(info.mss),
            adv_mss: u32::from(self.settings.mss()),
            recv_buffer: size(info.recv_buffer),
            cwnd: Some(info.cwnd),
            ssthresh: Some(info.ssthresh),
            srtt: info.srtt,
            rttvar: info.rttvar,
            rto: Some(info.rto),
            ..Info::default()
        }
    }
}

/// The core's own figures, under the names that the core gives them.
pub(super) fn figure(info: &ConnectionInfo, name: &str) -> Option<i64> {
    let counters = &info.counters;
    let value = match name {
        "in_flight" => info.in_flight,
        "outstanding" => info.outstanding,
        "snd_wnd" => info.snd_wnd,
        "rcv_wnd" => info.rcv_wnd,
        "peer_mss" => u64::from(info.peer_mss),
        "send_queue" => info.send_queue,
        "recv_queue" => info.recv_queue,
        "reassembly_queue" => info.reassembly_queue,
        "recv_buffer" => info.recv_buffer,
        "snd_wscale" => u64::from(info.snd_wscale),
        "rcv_wscale" => u64::from(info.rcv_wscale),
        "min_rtt" => u64::try_from(info.min_rtt?.as_micros()).ok()?,
        "reordering_seen" => u64::from(info.reordering_seen),
        "segments_sent" => counters.segments_sent,
        "segments_received" => counters.segments_received,
        "bytes_sent" => counters.bytes_sent,
        "bytes_acked" => counters.bytes_acked,
        "bytes_received" => counters.bytes_received,
        "segments_retransmitted" => counters.segments_retransmitted,
        "bytes_retransmitted" => counters.bytes_retransmitted,
        "timeouts" => counters.timeouts,
        "tail_probes" => counters.tail_probes,
        "fast_recoveries" => counters.fast_recoveries,
        "spurious_recoveries" => counters.spurious_recoveries,
        "dsacks_received" => counters.dsacks_received,
        "duplicate_bytes_received" => counters.duplicate_bytes_received,
        "out_of_order_segments" => counters.out_of_order_segments,
        "reassembly_bytes_dropped" => counters.reassembly_bytes_dropped,
        "unacceptable_segments" => counters.unacceptable_segments,
        "paws_rejected" => counters.paws_rejected,
        "challenge_acks" => counters.challenge_acks,
        "challenge_acks_suppressed" => counters.challenge_acks_suppressed,
        "window_probes" => counters.window_probes,
        "keepalive_probes" => counters.keepalive_probes,
        "mtu_fallbacks" => counters.mtu_fallbacks,
        "soft_errors" => counters.soft_errors,
        _ => return None,
    };
    i64::try_from(value).ok()
}

/// The core's state in the runner's terms.
pub(super) fn state(state: tou_proto::State) -> State {
    match state {
        tou_proto::State::Closed => State::Closed,
        tou_proto::State::Listen => State::Listen,
        tou_proto::State::SynSent => State::SynSent,
        tou_proto::State::SynReceived => State::SynReceived,
        tou_proto::State::Established => State::Established,
        tou_proto::State::FinWait1 => State::FinWait1,
        tou_proto::State::FinWait2 => State::FinWait2,
        tou_proto::State::CloseWait => State::CloseWait,
        tou_proto::State::Closing => State::Closing,
        tou_proto::State::LastAck => State::LastAck,
        tou_proto::State::TimeWait => State::TimeWait,
    }
}

/// The error of a system call that tells how a connection ended.
pub(super) fn errno(error: ConnectionError) -> Errno {
    match error {
        ConnectionError::Refused => Errno::ECONNREFUSED,
        ConnectionError::Reset => Errno::ECONNRESET,
        ConnectionError::TimedOut => Errno::ETIMEDOUT,
        ConnectionError::Unreachable => Errno::ENETUNREACH,
        _ => Errno::ECONNABORTED,
    }
}
