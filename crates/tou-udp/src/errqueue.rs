//! The socket's error queue (Linux `IP_RECVERR`): which datagram failed, where
//! it was going, and why.
//!
//! Without it an unconnected UDP socket hears of no ICMP error at all. The
//! queue names the destination of the failed datagram and quotes its start. On
//! other systems the queue is always empty. What a report does to a connection
//! is for the core to decide.

use core::net::SocketAddr;
use std::io;
use std::net::UdpSocket;

use bytes::Bytes;
use tou_proto::PathErrorKind;

/// Who reported an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorSource {
    /// A host or router on the way, by ICMP.
    Network,
    /// This host, while it was asked to send.
    Local,
}

/// An entry of the error queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorReport {
    /// Where the failed datagram was going. A local report has no port.
    pub peer: SocketAddr,
    /// What went wrong; `None` for what is no trouble of the path.
    pub kind: Option<PathErrorKind>,
    /// Who says so.
    pub source: ErrorSource,
    /// The start of the failed UDP payload.
    pub quoted: Bytes,
}

/// How much of a failed payload is kept: more than any TCP header.
pub(crate) const QUOTED_BYTES: usize = 64;

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) use self::linux::recv;

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn recv(_socket: &UdpSocket) -> io::Result<Option<ErrorReport>> {
    Ok(None)
}

/// What an ICMPv4 error says of the path (RFC 792, RFC 1122 §3.2.2.1).
#[cfg(any(target_os = "linux", target_os = "android", test))]
fn icmp_v4(kind: u8, code: u8, info: u32) -> Option<PathErrorKind> {
    match (kind, code) {
        // Protocol or port unreachable, or forbidden by an administrator.
        (3, 2 | 3 | 9 | 10 | 13) => Some(PathErrorKind::Refused),
        (3, 4) => Some(PathErrorKind::TooBig { mtu: mtu(info) }),
        // Other unreachables, time exceeded, parameter problem.
        (3 | 11 | 12, _) => Some(PathErrorKind::Unreachable),
        _ => None,
    }
}

/// What an ICMPv6 error says of the path (RFC 4443 §3).
#[cfg(any(target_os = "linux", target_os = "android", test))]
fn icmp_v6(kind: u8, code: u8, info: u32) -> Option<PathErrorKind> {
    match (kind, code) {
        // Forbidden, port unreachable, source policy, reject route.
        (1, 1 | 4 | 5 | 6) => Some(PathErrorKind::Refused),
        (2, _) => Some(PathErrorKind::TooBig { mtu: mtu(info) }),
        (1 | 3 | 4, _) => Some(PathErrorKind::Unreachable),
        _ => None,
    }
}

/// The MTU of a report: zero means that it does not tell (RFC 1191 §4).
#[cfg(any(target_os = "linux", target_os = "android", test))]
fn mtu(info: u32) -> Option<u16> {
    u16::try_from(info).ok().filter(|&mtu| mtu != 0)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod linux {
    use std::io::IoSliceMut;
    use std::os::fd::AsRawFd;

    use nix::errno::Errno;
    use nix::libc::{SO_EE_ORIGIN_ICMP, SO_EE_ORIGIN_ICMP6, SO_EE_ORIGIN_LOCAL, sock_extended_err};
    use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg};

    use super::*;
    use crate::raw::calls::address;

    /// Room for the error and for what else a socket was told to attach.
    const CONTROL_BYTES: usize = 512;

    pub(crate) fn recv(socket: &UdpSocket) -> io::Result<Option<ErrorReport>> {
        let mut payload = [0; QUOTED_BYTES];
        let mut control = [0; CONTROL_BYTES];
        loop {
            let mut slices = [IoSliceMut::new(&mut payload)];
            let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
            let received = recvmsg::<SockaddrStorage>(
                socket.as_raw_fd(),
                &mut slices,
                Some(&mut control),
                flags,
            );
            let message = match received {
                Ok(message) => message,
                Err(Errno::EAGAIN) => return Ok(None),
                Err(Errno::EINTR) => continue,
                Err(errno) => return Err(errno.into()),
            };
            let error = message.cmsgs()?.find_map(|control| match control {
                ControlMessageOwned::Ipv4RecvErr(error, _)
                | ControlMessageOwned::Ipv6RecvErr(error, _) => Some(error),
                _ => None,
            });
            let peer = message.address.as_ref().and_then(address);
            let len = message.bytes.min(QUOTED_BYTES);
            // An entry without an error or an address (a timestamp, say) tells
            // nothing: on to the next.
            if let (Some(error), Some(peer)) = (error, peer) {
                let quoted = Bytes::copy_from_slice(&payload[..len]);
                return Ok(Some(report(&error, peer, quoted)));
            }
        }
    }

    fn report(error: &sock_extended_err, peer: SocketAddr, quoted: Bytes) -> ErrorReport {
        let kind = match error.ee_origin {
            SO_EE_ORIGIN_ICMP => icmp_v4(error.ee_type, error.ee_code, error.ee_info),
            SO_EE_ORIGIN_ICMP6 => icmp_v6(error.ee_type, error.ee_code, error.ee_info),
            SO_EE_ORIGIN_LOCAL if error.ee_errno == Errno::EMSGSIZE as u32 => {
                Some(PathErrorKind::TooBig { mtu: mtu(error.ee_info) })
            }
            _ => None,
        };
        let source = match error.ee_origin {
            SO_EE_ORIGIN_LOCAL => ErrorSource::Local,
            _ => ErrorSource::Network,
        };
        ErrorReport { peer, kind, source, quoted }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn icmp_errors_are_sorted_into_refused_unreachable_and_too_big() {
        use PathErrorKind::{Refused, TooBig, Unreachable};
        assert_eq!(icmp_v4(3, 3, 0), Some(Refused));
        assert_eq!(icmp_v4(3, 13, 0), Some(Refused));
        assert_eq!(icmp_v4(3, 1, 0), Some(Unreachable));
        assert_eq!(icmp_v4(3, 4, 1400), Some(TooBig { mtu: Some(1400) }));
        assert_eq!(icmp_v4(3, 4, 0), Some(TooBig { mtu: None }));
        assert_eq!(icmp_v4(11, 0, 0), Some(Unreachable));
        // A source quench is no error (RFC 6633).
        assert_eq!(icmp_v4(4, 0, 0), None);
        assert_eq!(icmp_v6(1, 4, 0), Some(Refused));
        assert_eq!(icmp_v6(1, 0, 0), Some(Unreachable));
        assert_eq!(icmp_v6(2, 0, 1280), Some(TooBig { mtu: Some(1280) }));
        assert_eq!(icmp_v6(2, 0, 70_000), Some(TooBig { mtu: None }));
        assert_eq!(icmp_v6(128, 0, 0), None);
    }
}
