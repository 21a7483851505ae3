//! The snapshot that users read.

use core::time::Duration;

use crate::cc::Controller;
use crate::stats::ConnectionInfo;

use super::Connection;
use super::timeout::STALLED_TIMEOUTS;

impl Connection {
    /// Octets received in order and not yet read.
    pub(crate) fn unread(&self) -> u64 {
        self.recv.unread()
    }

    /// The connection as it is now.
    #[must_use]
    pub fn info(&self) -> ConnectionInfo {
        let congestion = self.congestion.as_ref();
        ConnectionInfo {
            state: self.state,
            srtt: self.recovery.srtt().map(Duration::from),
            rttvar: self.recovery.rttvar().map(Duration::from),
            min_rtt: self.recovery.min_rtt().map(Duration::from),
            rto: self.recovery.rto().into(),
            timeouts_in_a_row: self.recovery.consecutive_rtos(),
            is_stalled: self.recovery.consecutive_rtos() >= STALLED_TIMEOUTS,
            user_timeout: self.user_timeout(),
            cwnd: congestion.map_or(0, |_| self.cwnd()),
            ssthresh: congestion.map_or(u64::MAX, Controller::ssthresh),
            congestion: congestion.map_or("", Controller::name),
            in_flight: self.recovery.in_flight(),
            outstanding: self.recovery.outstanding(),
            snd_wnd: self.snd.wnd,
            rcv_wnd: self.rcv.wnd(),
            mss: self.mss(),
            announced_mss: self.announced_mss,
            peer_mss: self.peer_mss,
            snd_wscale: self.negotiated.snd_shift,
            rcv_wscale: self.negotiated.rcv_shift,
            timestamps: self.negotiated.timestamps,
            sack: self.negotiated.sack,
            send_queue: self.send.len(),
            recv_queue: self.recv.unread(),
            reassembly_queue: self.recv.out_of_order(),
            recv_buffer: self.autotune.limit(),
            memory: self.send.memory() + self.recv.memory(),
            reordering_window: self.recovery.reordering_window(),
            reordering_seen: self.recovery.reordering_seen(),
            counters: self.counters,
        }
    }
}
