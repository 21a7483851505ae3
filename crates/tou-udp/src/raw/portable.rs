//! The calls on systems other than Linux, through `quinn-udp`.

use core::net::SocketAddr;
use std::io::{self, IoSliceMut};
use std::net::UdpSocket as StdSocket;

use quinn_udp::{EcnCodepoint, RecvMeta, UdpSocketState};
use tou_proto::Ecn;

use super::{Incoming, Outgoing};

/// What `quinn-udp` knows of a socket.
#[derive(Debug)]
pub(super) struct State(UdpSocketState);

impl State {
    pub(super) fn set_up(socket: &StdSocket) -> io::Result<Self> {
        let state = UdpSocketState::new(socket.into())?;
        state.enable_transport_errors(socket.into())?;
        Ok(Self(state))
    }

    pub(super) fn max_segments(&self) -> usize {
        self.0.max_gso_segments()
    }

    /// `quinn-udp` stops marking ECN after any EINVAL, even one that a vanished
    /// source address caused. Its new state sets the socket options again, and
    /// marks again.
    pub(super) fn forget_refusals(&mut self, socket: &StdSocket) {
        if let Ok(fresh) = UdpSocketState::new(socket.into()) {
            self.0 = fresh;
        }
    }
}

pub(super) fn send(
    socket: &StdSocket,
    State(state): &State,
    outgoing: &Outgoing<'_>,
) -> io::Result<()> {
    let Outgoing { peer, source, ecn, segment_size, data } = *outgoing;
    let transmit = quinn_udp::Transmit {
        destination: *peer,
        ecn: EcnCodepoint::from_bits(ecn as u8),
        contents: data,
        segment_size,
        src_ip: source,
    };
    state.try_send(socket.into(), &transmit)
}

pub(super) fn send_plain(socket: &StdSocket, peer: &SocketAddr, data: &[u8]) -> io::Result<()> {
    socket.send_to(data, peer).map(drop)
}

pub(super) fn recv(
    socket: &StdSocket,
    State(state): &State,
    buffer: &mut [u8],
) -> io::Result<Incoming> {
    let mut metas = [RecvMeta::default()];
    state.recv(socket.into(), &mut [IoSliceMut::new(buffer)], &mut metas)?;
    let [meta] = metas;
    Ok(Incoming {
        peer: meta.addr,
        local_ip: meta.dst_ip,
        ecn: meta.ecn.map_or(Ecn::NotEct, |ecn| Ecn::from_bits(ecn as u8)),
        len: meta.len,
        stride: meta.stride,
    })
}

pub(super) fn without_ecn(_: &StdSocket) -> io::Result<()> {
    Ok(())
}
