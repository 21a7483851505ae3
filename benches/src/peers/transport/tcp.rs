//! The kernel's TCP, through `std::net`.

use core::net::SocketAddr;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;

use super::{ANY_PORT, Options, Stream, Transport, parse_addr, wrong_side};

/// Kernel TCP.
#[derive(Clone, Debug)]
pub(crate) struct Tcp {
    side: Side,
    nodelay: bool,
}

#[derive(Clone, Debug)]
enum Side {
    Client(SocketAddr),
    Server(Arc<TcpListener>),
}

impl Tcp {
    fn prepared(&self, stream: TcpStream) -> io::Result<TcpStream> {
        stream.set_nodelay(self.nodelay)?;
        Ok(stream)
    }
}

impl Transport for Tcp {
    type Stream = TcpStream;

    fn server(options: &Options) -> io::Result<(Self, String)> {
        let listener = TcpListener::bind(ANY_PORT)?;
        let invitation = listener.local_addr()?.to_string();
        let side = Side::Server(Arc::new(listener));
        Ok((Self { side, nodelay: options.nodelay }, invitation))
    }

    fn client(options: &Options, invitation: &str) -> io::Result<Self> {
        Ok(Self { side: Side::Client(parse_addr(invitation)?), nodelay: options.nodelay })
    }

    async fn connect(&self) -> io::Result<TcpStream> {
        let Side::Client(addr) = self.side else { return Err(wrong_side()) };
        self.prepared(TcpStream::connect(addr)?)
    }

    async fn accept(&self) -> io::Result<TcpStream> {
        let Side::Server(listener) = &self.side else { return Err(wrong_side()) };
        self.prepared(listener.accept()?.0)
    }
}

impl Stream for TcpStream {
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
