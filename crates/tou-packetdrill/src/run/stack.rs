//! What the runner asks of a stack: datagrams and time in, datagrams out, and
//! the socket calls. Small on purpose, and close to the core's endpoint.

use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;

use tou_proto::{Ecn, Instant, PathError, Port, ReceivedBatch};

use super::settings::Settings;
use crate::value::{Dialect, Errno, constant};

/// A datagram that the stack sends: one segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// The UDP address it goes to.
    pub peer: SocketAddr,
    /// Its ECN codepoint.
    pub ecn: Ecn,
    /// The segment, header and data.
    pub data: Vec<u8>,
}

/// Where a connection goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remote {
    /// The UDP address.
    pub udp: SocketAddr,
    /// The TCP port.
    pub port: Port,
}

/// The states of a connection (RFC 9293 §3.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// No connection, or none any more.
    Closed,
    /// Waits for a SYN.
    Listen,
    /// Has sent a SYN.
    SynSent,
    /// Has sent and received one.
    SynReceived,
    /// Open both ways.
    Established,
    /// Has sent a FIN.
    FinWait1,
    /// The FIN has been acknowledged.
    FinWait2,
    /// Has received a FIN.
    CloseWait,
    /// FINs have crossed.
    Closing,
    /// Has received a FIN, and sent one.
    LastAck,
    /// Waits for old duplicates to die.
    TimeWait,
}

impl State {
    /// The state that `sockstat` and `netstat` call `name`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "CLOSED" => Self::Closed,
            "LISTEN" => Self::Listen,
            "SYN_SENT" => Self::SynSent,
            "SYN_RCVD" => Self::SynReceived,
            "ESTABLISHED" => Self::Established,
            "FIN_WAIT_1" => Self::FinWait1,
            "FIN_WAIT_2" => Self::FinWait2,
            "CLOSE_WAIT" => Self::CloseWait,
            "CLOSING" => Self::Closing,
            "LAST_ACK" => Self::LastAck,
            "TIME_WAIT" => Self::TimeWait,
            _ => return None,
        })
    }

    /// Its number in `tcpi_state`.
    #[must_use]
    pub fn number(self, dialect: Dialect) -> i64 {
        let (linux, bsd) = match self {
            Self::Closed => ("TCP_CLOSE", "TCPI_CLOSED"),
            Self::Listen => ("TCP_LISTEN", "TCPI_LISTEN"),
            Self::SynSent => ("TCP_SYN_SENT", "TCPI_SYN_SENT"),
            Self::SynReceived => ("TCP_SYN_RECV", "TCPI_SYN_RECEIVED"),
            Self::Established => ("TCP_ESTABLISHED", "TCPI_ESTABLISHED"),
            Self::FinWait1 => ("TCP_FIN_WAIT1", "TCPI_FIN_WAIT_1"),
            Self::FinWait2 => ("TCP_FIN_WAIT2", "TCPI_FIN_WAIT_2"),
            Self::CloseWait => ("TCP_CLOSE_WAIT", "TCPI_CLOSE_WAIT"),
            Self::Closing => ("TCP_CLOSING", "TCPI_CLOSING"),
            Self::LastAck => ("TCP_LAST_ACK", "TCPI_LAST_ACK"),
            Self::TimeWait => ("TCP_TIME_WAIT", "TCPI_TIME_WAIT"),
        };
        let name = if dialect == Dialect::FreeBsd { bsd } else { linux };
        constant(name, dialect).unwrap_or_default()
    }

    /// The handshake is over, so that data may flow or has flowed.
    #[must_use]
    pub fn is_synchronized(self) -> bool {
        !matches!(self, Self::Closed | Self::Listen | Self::SynSent | Self::SynReceived)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What is known of a connection: the figures that scripts assert.
///
/// Octets for windows, unless said otherwise. A figure that a stack does not
/// keep is `None`, and an assertion about it makes the script a skip.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Info {
    /// Timestamps are in use.
    pub timestamps: bool,
    /// SACK is in use.
    pub sack: bool,
    /// Window scaling is in use.
    pub window_scale: bool,
    /// ECN is in use.
    pub ecn: bool,
    /// Octets a segment may carry to the peer.
    pub snd_mss: u32,
    /// The MSS that was announced to the peer.
    pub adv_mss: u32,
    /// Size of the receive buffer.
    pub recv_buffer: u32,
    /// Congestion window.
    pub cwnd: Option<u64>,
    /// Slow-start threshold; `u64::MAX` before the first loss.
    pub ssthresh: Option<u64>,
    /// Smoothed round-trip time.
    pub srtt: Option<Duration>,
    /// Mean deviation of the round-trip time.
    pub rttvar: Option<Duration>,
    /// Retransmission timeout.
    pub rto: Option<Duration>,
    /// Segments sent and not acknowledged.
    pub unacked: Option<u32>,
    /// Segments that the peer has selectively acknowledged.
    pub sacked: Option<u32>,
    /// Segments taken for lost.
    pub lost: Option<u32>,
    /// Segments retransmitted and not acknowledged.
    pub retrans: Option<u32>,
    /// Timeouts in a row.
    pub backoff: Option<u32>,
    /// Probes in a row that were not answered.
    pub probes: Option<u32>,
}

/// A TCP stack over UDP, on somebody else's clock.
///
/// A connection's handle stays good until [`Stack::release`], whatever becomes
/// of the connection: the runner asks for the state and the error of a
/// connection that is gone. `now` never runs backwards.
pub trait Stack {
    /// The stack negotiates ECN (RFC 3168).
    const ECN: bool;
    /// A listener's handle.
    type Listener: Copy + fmt::Debug;
    /// A connection's handle.
    type Conn: Copy + fmt::Debug;

    /// Takes over what concerns the whole stack (cookies, dropping SYN+FIN, MTU).
    /// Called before the first socket exists and again when it changes.
    ///
    /// # Errors
    /// What cannot be set, in words.
    fn configure(&mut self, settings: &Settings) -> Result<(), String>;

    /// Datagrams arrive.
    fn handle_batch(&mut self, now: Instant, batch: &ReceivedBatch);
    /// An ICMP error arrives.
    fn handle_path_error(&mut self, now: Instant, error: &PathError);
    /// Time has come to the deadline that `poll_timeout` gave.
    fn handle_timeout(&mut self, now: Instant);
    /// The next deadline.
    fn poll_timeout(&mut self) -> Option<Instant>;
    /// Appends all that is to be sent now, in order.
    fn poll_transmit(&mut self, now: Instant, out: &mut Vec<Datagram>);

    /// Listens on `port`.
    ///
    /// # Errors
    /// As the system call.
    fn listen(
        &mut self,
        now: Instant,
        port: Port,
        backlog: usize,
        settings: &Settings,
    ) -> Result<Self::Listener, Errno>;
    /// Ends a listener and what it has not handed over.
    fn unlisten(&mut self, now: Instant, listener: Self::Listener);
    /// The next connection that is complete.
    fn accept(&mut self, now: Instant, listener: Self::Listener) -> Option<Self::Conn>;
    /// How many connections a listener has in SYN-RECEIVED.
    fn half_open(&self, listener: Self::Listener) -> usize;

    /// Opens a connection from `local`; it is in SYN-SENT afterwards.
    ///
    /// # Errors
    /// As the system call.
    fn connect(
        &mut self,
        now: Instant,
        remote: Remote,
        local: Port,
        settings: &Settings,
    ) -> Result<Self::Conn, Errno>;
    /// Takes over what can change while a connection lives (Nagle, keepalive,
    /// timeouts, the largest segment).
    ///
    /// # Errors
    /// What cannot be changed, in words.
    fn reconfigure(
        &mut self,
        now: Instant,
        conn: Self::Conn,
        settings: &Settings,
    ) -> Result<(), String>;

    /// Up to `limit` octets that have arrived in order; none at the end of the
    /// stream. With `peek` they stay.
    ///
    /// # Errors
    /// `EAGAIN` when nothing is there yet; how the connection died, once.
    fn read(
        &mut self,
        now: Instant,
        conn: Self::Conn,
        limit: usize,
        peek: bool,
    ) -> Result<Vec<u8>, Errno>;
    /// Takes as much of `data` as there is room for; `more` holds back a last
    /// short segment (`MSG_MORE`).
    ///
    /// # Errors
    /// `EAGAIN` when there is no room; `EPIPE`; how the connection died, once.
    fn write(
        &mut self,
        now: Instant,
        conn: Self::Conn,
        data: &[u8],
        more: bool,
    ) -> Result<usize, Errno>;
    /// Marks what is written so far as urgent (RFC 9293 §3.8.5).
    fn mark_urgent(&mut self, now: Instant, conn: Self::Conn);
    /// Sends a FIN behind what is written.
    ///
    /// # Errors
    /// `ENOTCONN`.
    fn shutdown_write(&mut self, now: Instant, conn: Self::Conn) -> Result<(), Errno>;
    /// Closes gracefully; the connection goes on without an owner.
    fn close(&mut self, now: Instant, conn: Self::Conn);
    /// Sends a reset and forgets the connection.
    fn abort(&mut self, now: Instant, conn: Self::Conn);
    /// Forgets the connection without a word, as `tcpdrop` does in TIME-WAIT.
    fn forget(&mut self, now: Instant, conn: Self::Conn);
    /// The handle will not be used again.
    fn release(&mut self, conn: Self::Conn);

    /// The state of whatever has this name now: a connection, whoever holds it, or
    /// a listener.
    fn state_at(&self, remote: Remote, local: Port) -> State;
    /// The connection's state; `Closed` when it is gone.
    fn state(&self, conn: Self::Conn) -> State;
    /// The connection's figures, as last known.
    fn info(&self, conn: Self::Conn) -> Info;
    /// A figure of the stack's own, beyond those of [`Info`].
    fn figure(&self, conn: Self::Conn, name: &str) -> Option<i64>;
    /// How the connection died or was hindered, once (`SO_ERROR`).
    fn take_error(&mut self, conn: Self::Conn) -> Option<Errno>;
    /// Whether a read would give something or the end.
    fn readable(&self, conn: Self::Conn) -> bool;
    /// Whether a write would be taken or fail at once.
    fn writable(&self, conn: Self::Conn) -> bool;
    /// The UDP port of the peer, as the connection now has it.
    fn peer_udp_port(&self, conn: Self::Conn) -> Option<u16>;
}
