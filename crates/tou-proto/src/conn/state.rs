//! The states of a connection (RFC 9293 §3.3.2) and what may be done in each.

use core::fmt;

/// The state of a connection (RFC 9293 §3.3.2).
///
/// ```text
///                             +---------+
///             active OPEN     |  CLOSED |     passive OPEN
///        +--------------------+---------+---------------------+
///        | snd SYN                                            v
///        |                    rcv SYN, snd SYN,ACK       +---------+
///        |                +------------------------------+  LISTEN |
///        v                v                              +---------+
///   +----------+ rcv SYN  +----------+
///   | SYN-SENT |--------->| SYN-RCVD |
///   +----------+ snd SYN, +----------+
///        |       ACK      | rcv ACK of SYN    | shutdown, snd FIN
///        | rcv SYN,ACK    v                   |
///        | snd ACK    +-------------+         |
///        +----------->| ESTABLISHED |         |
///                     +-------------+         |
///      shutdown, snd FIN |       | rcv FIN    |
///            +-----------+       | snd ACK    |
///            v                   v            |
///     +------------+       +------------+     |
///     | FIN-WAIT-1 |<------+ CLOSE-WAIT |-----+ (only FIN-WAIT-1)
///     +------------+       +------------+
///   rcv FIN |  | rcv ACK         | shutdown, snd FIN
///   snd ACK |  | of FIN          v
///           v  v           +----------+
///  +---------+ +---------+ | LAST-ACK |
///  | CLOSING | |FIN-WAIT2| +----------+
///  +---------+ +---------+       | rcv ACK of FIN
///      | rcv ACK   | rcv FIN     v
///      v of FIN    v snd ACK  CLOSED
///   +-----------------+
///   |    TIME-WAIT    |--> CLOSED after 2 MSL
///   +-----------------+
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// There is no connection, or there is no longer one.
    Closed,
    /// Waiting for a SYN: the state of a listener.
    Listen,
    /// A SYN was sent.
    SynSent,
    /// A SYN was sent and one received.
    SynReceived,
    /// Data flows.
    Established,
    /// This side has sent its FIN, and waits for its acknowledgment.
    FinWait1,
    /// This side's FIN is acknowledged; the peer may still send.
    FinWait2,
    /// The peer has sent its FIN; this side may still send.
    CloseWait,
    /// Both have sent FINs at the same time; ours is not acknowledged yet.
    Closing,
    /// The peer has sent its FIN, then this side; ours is not acknowledged yet.
    LastAck,
    /// All is done; old duplicates are waited out.
    TimeWait,
}

impl State {
    /// Both sides' SYNs are acknowledged ("synchronized" but for SYN-RECEIVED,
    /// RFC 9293 §3.5.2, third group).
    #[must_use]
    pub const fn is_synchronized(self) -> bool {
        !matches!(self, Self::Closed | Self::Listen | Self::SynSent | Self::SynReceived)
    }

    /// Data that arrives now is taken (RFC 9293 §3.10.7.4, seventh).
    #[must_use]
    pub const fn may_receive(self) -> bool {
        matches!(self, Self::Established | Self::FinWait1 | Self::FinWait2)
    }

    /// The peer's FIN has been received.
    #[must_use]
    pub const fn is_peer_done(self) -> bool {
        matches!(self, Self::CloseWait | Self::Closing | Self::LastAck | Self::TimeWait)
    }
}

impl fmt::Display for State {
    /// The name as RFC 9293 spells it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Closed => "CLOSED",
            Self::Listen => "LISTEN",
            Self::SynSent => "SYN-SENT",
            Self::SynReceived => "SYN-RECEIVED",
            Self::Established => "ESTABLISHED",
            Self::FinWait1 => "FIN-WAIT-1",
            Self::FinWait2 => "FIN-WAIT-2",
            Self::CloseWait => "CLOSE-WAIT",
            Self::Closing => "CLOSING",
            Self::LastAck => "LAST-ACK",
            Self::TimeWait => "TIME-WAIT",
        })
    }
}
