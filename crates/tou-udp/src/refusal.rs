//! What an error of a send means, and no more: what is done about it is for
//! the ladder in `send` to say.

use std::io::{self, ErrorKind};

use tou_proto::PathErrorKind;

/// Why the kernel did not send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The socket's buffer is full: the same again when it is writable.
    Blocked,
    /// A signal came in between: the same again now.
    Interrupted,
    /// A datagram, or the batch, is too large.
    TooBig,
    /// The interface's queue is full, or memory is short: the network lost it.
    QueueFull,
    /// A trouble of a path, perhaps of another peer's: pending errors of a
    /// socket are returned by whatever call comes next. The kind is that of the
    /// trouble if it is this peer's.
    Path(PathErrorKind),
    /// Something in the call is not supported: a control message, or
    /// segmentation offload.
    Unsupported,
}

impl Refusal {
    pub(crate) fn of(error: &io::Error) -> Self {
        match error.kind() {
            ErrorKind::WouldBlock => Self::Blocked,
            ErrorKind::Interrupted => Self::Interrupted,
            ErrorKind::OutOfMemory => Self::QueueFull,
            ErrorKind::ConnectionRefused => Self::Path(PathErrorKind::Refused),
            ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::AddrNotAvailable => Self::Path(PathErrorKind::NoRoute),
            ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::NetworkDown
            | ErrorKind::PermissionDenied
            | ErrorKind::TimedOut => Self::Path(PathErrorKind::Unreachable),
            _ => of_errno(error),
        }
    }
}

/// Sorts the errors that std has no kind for.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn of_errno(error: &io::Error) -> Refusal {
    use nix::errno::Errno;
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EMSGSIZE) => Refusal::TooBig,
        Some(Errno::ENOBUFS) => Refusal::QueueFull,
        // What ICMP errors turn into (Linux `icmp_err_convert`), and a peer of
        // a family that the socket does not speak.
        Some(
            Errno::EPROTO
            | Errno::ENOPROTOOPT
            | Errno::EOPNOTSUPP
            | Errno::EHOSTDOWN
            | Errno::ENONET
            | Errno::EAFNOSUPPORT,
        ) => Refusal::Path(PathErrorKind::Unreachable),
        _ => Refusal::Unsupported,
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn of_errno(error: &io::Error) -> Refusal {
    if quinn_udp::is_msg_size_err(error) { Refusal::TooBig } else { Refusal::Unsupported }
}
