//! QUIC by quinn, with its defaults, on tokio's current-thread runtime.

use core::net::SocketAddr;
use core::time::Duration;
use std::io;
use std::sync::Arc;

use quinn::rustls::RootCertStore;
use quinn::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use quinn::{
    ClientConfig, Connection, ConnectionError, Endpoint, ReadError, RecvStream, SendStream,
    ServerConfig,
};
use tokio::runtime::Runtime;

use super::{ANY_PORT, Options, Stream, Transport, parse_addr, wrong_side};

/// quinn: all connections through one endpoint, one stream in each.
#[derive(Clone, Debug)]
pub(crate) struct Quic {
    runtime: Arc<Runtime>,
    endpoint: Endpoint,
    side: Side,
}

#[derive(Clone, Debug)]
enum Side {
    Client(SocketAddr, ClientConfig),
    Server,
}

impl Transport for Quic {
    type Stream = QuicStream;

    fn server(_: &Options) -> io::Result<(Self, String)> {
        let runtime = runtime()?;
        let own = rcgen::generate_simple_self_signed([NAME.into()]).map_err(io::Error::other)?;
        let certificate = CertificateDer::from(own.cert);
        let key = PrivatePkcs8KeyDer::from(own.signing_key.serialize_der());
        let config = ServerConfig::with_single_cert(vec![certificate.clone()], key.into());
        let entered = runtime.enter();
        let endpoint = Endpoint::server(config.map_err(io::Error::other)?, any_port())?;
        drop(entered);
        let invitation = format!("{}/{}", endpoint.local_addr()?, to_hex(&certificate));
        Ok((Self { runtime, endpoint, side: Side::Server }, invitation))
    }

    fn client(_: &Options, invitation: &str) -> io::Result<Self> {
        let (addr, certificate) = invitation.split_once('/').ok_or(io::ErrorKind::InvalidInput)?;
        let mut roots = RootCertStore::empty();
        roots.add(from_hex(certificate)?.into()).map_err(io::Error::other)?;
        let config = ClientConfig::with_root_certificates(Arc::new(roots));
        let side = Side::Client(parse_addr(addr)?, config.map_err(io::Error::other)?);
        let runtime = runtime()?;
        let entered = runtime.enter();
        let endpoint = Endpoint::client(any_port())?;
        drop(entered);
        Ok(Self { runtime, endpoint, side })
    }

    async fn connect(&self) -> io::Result<QuicStream> {
        let Side::Client(addr, config) = &self.side else { return Err(wrong_side()) };
        let connecting = self.endpoint.connect_with(config.clone(), *addr, NAME);
        let connection = connecting.map_err(io::Error::other)?.await?;
        let (mut send, receive) = connection.open_bi().await?;
        // The peer learns of a stream by its first octet.
        send.write_all(HELLO).await?;
        Ok(QuicStream { connection, send, receive, accepted: false })
    }

    async fn accept(&self) -> io::Result<QuicStream> {
        let incoming = self.endpoint.accept().await.ok_or(io::ErrorKind::NotConnected)?;
        let connection = incoming.await?;
        let (send, mut receive) = connection.accept_bi().await?;
        receive.read_exact(&mut [0]).await.map_err(io::Error::other)?;
        Ok(QuicStream { connection, send, receive, accepted: true })
    }

    fn run<T>(&self, measure: impl Future<Output = T>) -> T {
        self.runtime.block_on(measure)
    }

    async fn run_all<T: Send + 'static>(
        &self,
        parts: Vec<impl Future<Output = io::Result<T>> + Send + 'static>,
    ) -> io::Result<Vec<T>> {
        let tasks: Vec<_> = parts.into_iter().map(|part| self.runtime.spawn(part)).collect();
        let mut results = Vec::with_capacity(tasks.len());
        for task in tasks {
            results.push(task.await.map_err(io::Error::other)??);
        }
        Ok(results)
    }

    async fn leave(&self) {
        self.endpoint.wait_idle().await;
    }

    async fn pause(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

/// A connection with one stream.
#[derive(Debug)]
pub(crate) struct QuicStream {
    connection: Connection,
    send: SendStream,
    receive: RecvStream,
    accepted: bool,
}

impl Stream for QuicStream {
    async fn write(&mut self, data: &[u8]) -> io::Result<()> {
        Ok(self.send.write_all(data).await?)
    }

    async fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self.receive.read(out).await {
            Ok(read) => Ok(read.unwrap_or(0)),
            // How a client says that it has all it wanted.
            Err(ReadError::ConnectionLost(ConnectionError::ApplicationClosed(_))) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    async fn finish(&mut self) -> io::Result<()> {
        self.send.finish().map_err(io::Error::other)
    }

    async fn close(self) -> io::Result<()> {
        if !self.accepted {
            self.connection.close(0_u32.into(), b"");
            return Ok(());
        }
        // What has not arrived when a connection is dropped never will: the last
        // word is the client's. It may be lost, so nobody waits for it.
        tokio::spawn(async move {
            self.connection.closed().await;
            drop(self);
        });
        Ok(())
    }
}

fn runtime() -> io::Result<Arc<Runtime>> {
    Ok(Arc::new(tokio::runtime::Builder::new_current_thread().enable_all().build()?))
}

fn any_port() -> SocketAddr {
    ANY_PORT.parse().expect("an address")
}

fn to_hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn from_hex(text: &str) -> io::Result<Vec<u8>> {
    let invalid = |error| io::Error::new(io::ErrorKind::InvalidInput, error);
    (0..text.len() / 2)
        .map(|at| u8::from_str_radix(text.get(2 * at..2 * at + 2).unwrap_or(""), 16))
        .collect::<Result<_, _>>()
        .map_err(invalid)
}

/// Whom the certificate is for.
const NAME: &str = "localhost";
const HELLO: &[u8] = &[0];
