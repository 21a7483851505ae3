//! tou, through its blocking driver and with its defaults.

use core::net::SocketAddr;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::sync::Arc;

use tou_mio::{TouListener, TouSocket, TouStream, default_connection_config};
use tou_proto::EndpointConfig;

use super::{ANY_PORT, Options, SocketUse, Stream, Transport, parse_addr, wrong_side};

/// tou: all connections through one socket.
#[derive(Clone, Debug)]
pub(crate) struct Tou {
    socket: TouSocket,
    side: Side,
}

#[derive(Clone, Debug)]
enum Side {
    Client(SocketAddr),
    Server(Arc<TouListener>),
}

impl Transport for Tou {
    type Stream = TouStream;

    fn server(options: &Options) -> io::Result<(Self, String)> {
        let socket = open(options)?;
        let listener = socket.listen()?;
        let invitation = listener.local_addr()?.to_string();
        Ok((Self { socket, side: Side::Server(Arc::new(listener)) }, invitation))
    }

    fn client(options: &Options, invitation: &str) -> io::Result<Self> {
        Ok(Self { socket: open(options)?, side: Side::Client(parse_addr(invitation)?) })
    }

    async fn connect(&self) -> io::Result<TouStream> {
        let Side::Client(addr) = self.side else { return Err(wrong_side()) };
        self.socket.connect(addr)
    }

    async fn accept(&self) -> io::Result<TouStream> {
        let Side::Server(listener) = &self.side else { return Err(wrong_side()) };
        Ok(listener.accept()?.0)
    }

    fn socket_use(&self) -> Option<SocketUse> {
        let stats = self.socket.socket_stats();
        let mean = |datagrams: u64, batches: u64| datagrams as f64 / batches.max(1) as f64;
        Some(SocketUse {
            sent_per_call: mean(stats.datagrams_sent, stats.batches_sent.total()),
            received_per_call: mean(stats.datagrams_received, stats.batches_received.total()),
            octets_sent: stats.bytes_sent as f64,
        })
    }
}

fn open(options: &Options) -> io::Result<TouSocket> {
    let connection = default_connection_config()
        .with_nodelay(options.nodelay)
        .build()
        .map_err(io::Error::other)?;
    let mut endpoint = EndpointConfig::builder().with_connection(connection);
    if let Some(mtu) = options.mtu {
        endpoint = endpoint.with_mtu(mtu);
    }
    let endpoint = endpoint.build().map_err(io::Error::other)?;
    TouSocket::builder().with_endpoint(endpoint).bind(ANY_PORT)
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
