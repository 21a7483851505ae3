//! The calls on Linux. Each is told not to block, whatever mode the socket is
//! in, but for [`recv_waiting`].

use core::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::UdpSocket as StdSocket;
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::libc::{in_addr, in_pktinfo, in6_addr, in6_pktinfo};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, getsockopt, recvmsg, sendmsg,
    setsockopt, sockopt,
};
use rustix::net::sockopt::{
    Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, set_ip_mtu_discover, set_ipv6_mtu_discover,
};
use rustix::net::{SendFlags, sendto};
use smallvec::SmallVec;
use socket2::SockRef;
use tou_proto::Ecn;

use super::{Incoming, Outgoing};

/// Room for all that a socket is told to attach: local address and traffic class of
/// either family and stride take 120; a socket that was set up elsewhere may attach more.
const CONTROL_BYTES: usize = 256;

/// The two bits of the traffic class that are ECN's (RFC 3168 §5).
const ECN_BITS: u8 = 0b11;

/// How many datagrams one call may carry with segmentation offload (`UDP_MAX_SEGMENTS` of
/// the first kernels that had it; those that take more take so many too).
const MAX_SEGMENTS: usize = 64;

/// What the kernel can do for a socket.
#[derive(Debug)]
pub(super) struct State {
    max_segments: usize,
}

impl State {
    /// Sets `socket` up: no fragmentation, receive offload, the error queue, ECN marks, and
    /// the local address of each datagram where there is more than one.
    ///
    /// `quinn-udp` would do so too, but also asks for the time of each datagram's arrival:
    /// from then on, whether that is taken back or not, the kernel takes the time of every
    /// datagram on the host as long as the socket lives.
    pub(super) fn set_up(socket: &StdSocket) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let ip = socket.local_addr()?.ip();
        let takes_v4 = ip.is_ipv4() || !SockRef::from(socket).only_v6()?;
        if takes_v4 {
            optional(set_ip_mtu_discover(socket, Ipv4PathMtuDiscovery::PROBE))?;
            setsockopt(socket, sockopt::Ipv4RecvErr, &true)?;
            optional(setsockopt(socket, sockopt::IpRecvTos, &true))?;
        }
        if ip.is_ipv6() {
            optional(set_ipv6_mtu_discover(socket, Ipv6PathMtuDiscovery::PROBE))?;
            // To be larger than the interface takes is an error, not a reason to fragment.
            optional(setsockopt(socket, sockopt::Ipv6DontFrag, &true))?;
            setsockopt(socket, sockopt::Ipv6RecvErr, &true)?;
            setsockopt(socket, sockopt::Ipv6RecvTClass, &true)?;
        }
        match ip {
            ip if !ip.is_unspecified() => {}
            IpAddr::V4(_) => setsockopt(socket, sockopt::Ipv4PacketInfo, &true)?,
            IpAddr::V6(_) => setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &true)?,
        }
        // Older kernels have no offload.
        let _ = setsockopt(socket, sockopt::UdpGroSegment, &true);
        let has_segmentation = getsockopt(socket, sockopt::UdpGsoSegment).is_ok();
        Ok(Self { max_segments: if has_segmentation { MAX_SEGMENTS } else { 1 } })
    }

    pub(super) fn max_segments(&self) -> usize {
        self.max_segments
    }

    /// Nothing is concluded here.
    pub(super) fn forget_refusals(&mut self, _: &StdSocket) {}
}

/// An option that some kernels do not have.
fn optional(result: Result<(), impl Into<io::Error>>) -> io::Result<()> {
    let missing = [Errno::ENOPROTOOPT, Errno::EOPNOTSUPP].map(|errno| Some(errno as i32));
    match result.map_err(Into::into) {
        Err(error) if missing.contains(&error.raw_os_error()) => Ok(()),
        result => result,
    }
}

pub(super) fn send(socket: &StdSocket, _: &State, outgoing: &Outgoing<'_>) -> io::Result<()> {
    let Outgoing { peer, source, ecn, segment_size, data } = *outgoing;
    let is_v4 = peer.ip().to_canonical().is_ipv4();
    let (v4_class, v6_class) = (ecn as u8, i32::from(ecn as u8));
    let stride = segment_size.map(|size| u16::try_from(size).unwrap_or(u16::MAX));
    let (v4_source, v6_source) = match source {
        Some(IpAddr::V4(ip)) => (Some(from_v4(ip.octets())), None),
        Some(IpAddr::V6(ip)) => (None, Some(from_v6(ip.octets()))),
        None => (None, None),
    };
    let mut control: SmallVec<[ControlMessage<'_>; 3]> = SmallVec::new();
    if ecn != Ecn::NotEct {
        control.push(if is_v4 {
            ControlMessage::Ipv4Tos(&v4_class)
        } else {
            ControlMessage::Ipv6TClass(&v6_class)
        });
    }
    control.extend(stride.as_ref().map(ControlMessage::UdpGsoSegments));
    control.extend(v4_source.as_ref().map(ControlMessage::Ipv4PacketInfo));
    control.extend(v6_source.as_ref().map(ControlMessage::Ipv6PacketInfo));
    let (peer, slices) = (SockaddrStorage::from(*peer), [IoSlice::new(data)]);
    sendmsg(socket.as_raw_fd(), &slices, &control, MsgFlags::MSG_DONTWAIT, Some(&peer))?;
    Ok(())
}

fn from_v4(octets: [u8; 4]) -> in_pktinfo {
    let address = in_addr { s_addr: u32::from_ne_bytes(octets) };
    in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: address, ipi_addr: in_addr { s_addr: 0 } }
}

fn from_v6(octets: [u8; 16]) -> in6_pktinfo {
    in6_pktinfo { ipi6_addr: in6_addr { s6_addr: octets }, ipi6_ifindex: 0 }
}

pub(super) fn send_plain(socket: &StdSocket, peer: &SocketAddr, data: &[u8]) -> io::Result<()> {
    sendto(socket, data, SendFlags::DONTWAIT, peer)?;
    Ok(())
}

pub(super) fn recv(socket: &StdSocket, _: &State, buffer: &mut [u8]) -> io::Result<Incoming> {
    recv_with(socket, buffer, MsgFlags::MSG_DONTWAIT)
}

/// Receives, and waits for something to receive if the socket is in blocking
/// mode.
pub(crate) fn recv_waiting(socket: &StdSocket, buffer: &mut [u8]) -> io::Result<Incoming> {
    recv_with(socket, buffer, MsgFlags::empty())
}

fn recv_with(socket: &StdSocket, buffer: &mut [u8], flags: MsgFlags) -> io::Result<Incoming> {
    let mut control = [0; CONTROL_BYTES];
    let mut slices = [IoSliceMut::new(buffer)];
    let message =
        recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut slices, Some(&mut control), flags)?;
    let peer = message.address.as_ref().and_then(address);
    let peer = peer.ok_or_else(|| io::Error::other("a datagram from nowhere"))?;
    let len = message.bytes;
    let mut incoming = Incoming { peer, local_ip: None, ecn: Ecn::NotEct, len, stride: len };
    // Without all that is attached nobody knows where a datagram ends: it is lost, which
    // is no reason not to receive the next.
    let controls = message.cmsgs().map_err(|_| io::ErrorKind::Interrupted)?;
    for control in controls {
        match control {
            ControlMessageOwned::Ipv4Tos(class) => incoming.ecn = Ecn::from_bits(class & ECN_BITS),
            ControlMessageOwned::Ipv6TClass(class) => {
                incoming.ecn = Ecn::from_bits(class.to_le_bytes()[0] & ECN_BITS);
            }
            ControlMessageOwned::Ipv4PacketInfo(info) => {
                incoming.local_ip = Some(info.ipi_addr.s_addr.to_ne_bytes().into());
            }
            ControlMessageOwned::Ipv6PacketInfo(info) => {
                incoming.local_ip = Some(info.ipi6_addr.s6_addr.into());
            }
            ControlMessageOwned::UdpGroSegments(stride) => {
                incoming.stride = usize::try_from(stride).unwrap_or(len);
            }
            _ => {}
        }
    }
    Ok(incoming)
}

/// The socket's address in std's terms.
pub(crate) fn address(storage: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = storage.as_sockaddr_in().map(|&v4| SocketAddr::V4(SocketAddrV4::from(v4)));
    v4.or_else(|| storage.as_sockaddr_in6().map(|&v6| SocketAddr::V6(SocketAddrV6::from(v6))))
}

pub(super) fn without_ecn(socket: &StdSocket) -> io::Result<()> {
    if socket.local_addr()?.is_ipv6() {
        setsockopt(socket, sockopt::Ipv6RecvTClass, &false)?;
    }
    optional(setsockopt(socket, sockopt::IpRecvTos, &false))
}
