//! tou, through its blocking driver and with its defaults.

use std::io::{self, Read, Write};
use std::net::Shutdown;

use tou_mio::{TouListener, TouSocket, TouStream};
use tou_proto::EndpointConfig;
use tou_udp::SocketStats;
use tou_udp::driver::{Builder, FromSetup, default_connection_config};

use super::{ANY_PORT, Options, Side, SocketUse, Stream, Transport};

/// tou: all connections through one socket.
#[derive(Clone, Debug)]
pub(crate) struct Tou {
    socket: TouSocket,
    side: Side<TouListener>,
}

impl Transport for Tou {
    type Stream = TouStream;

    fn server(options: &Options) -> io::Result<(Self, String)> {
        let socket: TouSocket = open(options)?;
        let invitation = socket.local_addr().to_string();
        Ok((Self { side: Side::server(socket.listen()?), socket }, invitation))
    }

    fn client(options: &Options, invitation: &str) -> io::Result<Self> {
        Ok(Self { socket: open(options)?, side: Side::client(invitation)? })
    }

    async fn connect(&self) -> io::Result<TouStream> {
        self.socket.connect(self.side.addr()?)
    }

    async fn accept(&self) -> io::Result<TouStream> {
        Ok(self.side.listener()?.accept()?.0)
    }

    fn socket_use(&self) -> Option<SocketUse> {
        Some(socket_use(&self.socket.socket_stats()))
    }
}

/// How either driver's socket was used.
pub(super) fn socket_use(stats: &SocketStats) -> SocketUse {
    let mean = |datagrams: u64, batches: u64| datagrams as f64 / batches.max(1) as f64;
    SocketUse {
        sent_per_call: mean(stats.datagrams_sent, stats.batches_sent.total()),
        received_per_call: mean(stats.datagrams_received, stats.batches_received.total()),
        octets_sent: stats.bytes_sent as f64,
    }
}

/// A socket of either driver.
pub(super) fn open<S: FromSetup>(options: &Options) -> io::Result<S> {
    let connection = default_connection_config()
        .with_nodelay(options.nodelay)
        .build()
        .map_err(io::Error::other)?;
    let mut endpoint = EndpointConfig::builder().with_connection(connection);
    if let Some(mtu) = options.mtu {
        endpoint = endpoint.with_mtu(mtu);
    }
    let endpoint = endpoint.build().map_err(io::Error::other)?;
    Builder::default().with_endpoint(endpoint).bind(ANY_PORT)
}

impl Stream for TouStream {
    async fn write(&mut self, data: &[u8]) -> io::Result<()> {
        self.write_all(data)
    }

    async fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        Read::read(self, out)
    }

    async fn finish(&mut self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}
