//! The calls on Linux. Each is told not to block, whatever mode the socket is
//! in, but for [`recv_waiting`].

use core::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::UdpSocket as StdSocket;
use std::os::fd::AsRawFd;

use nix::libc::{in_addr, in_pktinfo, in6_addr, in6_pktinfo};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn, SockaddrIn6, SockaddrStorage,
    recvmsg, sendmsg, sendto, setsockopt, sockopt,
};
use quinn_udp::UdpSocketState;
use smallvec::SmallVec;
use tou_proto::Ecn;

use super::{Incoming, Outgoing};

/// Room for all that a socket is told to attach: local address and traffic class of
/// either family and stride take 120; a socket that was set up elsewhere may attach more.
const CONTROL_BYTES: usize = 256;

/// The two bits of the traffic class that are ECN's (RFC 3168 §5).
const ECN_BITS: u8 = 0b11;

pub(super) fn send(
    socket: &StdSocket,
    _: &UdpSocketState,
    outgoing: &Outgoing<'_>,
) -> io::Result<()> {
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
    let (socket, flags) = (socket.as_raw_fd(), MsgFlags::MSG_DONTWAIT);
    match *peer {
        SocketAddr::V4(peer) => sendto(socket, data, &SockaddrIn::from(peer), flags)?,
        SocketAddr::V6(peer) => sendto(socket, data, &SockaddrIn6::from(peer), flags)?,
    };
    Ok(())
}

pub(super) fn recv(
    socket: &StdSocket,
    _: &UdpSocketState,
    buffer: &mut [u8],
) -> io::Result<Incoming> {
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

/// Turns off what `quinn-udp` 0.6.3 turned on and nobody needs: receive timestamps,
/// and the local address of each datagram where there is but one.
pub(super) fn without_surplus(socket: &StdSocket) -> io::Result<()> {
    setsockopt(socket, sockopt::ReceiveTimestampns, &false)?;
    match socket.local_addr()?.ip() {
        ip if ip.is_unspecified() => {}
        IpAddr::V4(_) => setsockopt(socket, sockopt::Ipv4PacketInfo, &false)?,
        IpAddr::V6(_) => setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &false)?,
    }
    Ok(())
}

pub(super) fn without_ecn(socket: &StdSocket) -> io::Result<()> {
    let is_v6 = socket.local_addr()?.is_ipv6();
    if is_v6 {
        setsockopt(socket, sockopt::Ipv6RecvTClass, &false)?;
    }
    match setsockopt(socket, sockopt::IpRecvTos, &false) {
        // A socket of IPv6 only may have no such option.
        Err(_) if is_v6 => Ok(()),
        result => Ok(result?),
    }
}

/// Nothing is concluded here.
pub(super) fn forget_refusals(_: &StdSocket, _: &mut UdpSocketState) {}
