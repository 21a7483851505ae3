//! The kernel's TCP, through `std::net`.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};

use super::{ANY_PORT, Options, Side, Stream, Transport};

/// Kernel TCP.
#[derive(Clone, Debug)]
pub(crate) struct Tcp {
    side: Side<TcpListener>,
    nodelay: bool,
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
        Ok((Self { side: Side::server(listener), nodelay: options.nodelay }, invitation))
    }

    fn client(options: &Options, invitation: &str) -> io::Result<Self> {
        Ok(Self { side: Side::client(invitation)?, nodelay: options.nodelay })
    }

    async fn connect(&self) -> io::Result<TcpStream> {
        self.prepared(TcpStream::connect(self.side.addr()?)?)
    }

    async fn accept(&self) -> io::Result<TcpStream> {
        self.prepared(self.side.listener()?.accept()?.0)
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
