//! TLS 1.3 over a [`TouStream`] with futures-rustls: X25519 (ECDHE), HMAC's key
//! schedule (HKDF, RFC 8446 §7.1), AES-256-GCM. The server echoes what it is sent;
//! its certificate is made at run time, and is the only one the client trusts.

use core::error::Error;
use core::net::Ipv4Addr;
use std::io;
use std::sync::Arc;

use futures::{AsyncReadExt, AsyncWriteExt};
use futures_rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use futures_rustls::rustls::crypto::{CryptoProvider, ring};
use futures_rustls::rustls::version::TLS13;
use futures_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use futures_rustls::{TlsAcceptor, TlsConnector};
use tou_async_io::{TouListener, TouStream};

const NAME: &str = "tou.example";

/// One primitive for each purpose, and no other.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        cipher_suites: vec![ring::cipher_suite::TLS13_AES_256_GCM_SHA384],
        kx_groups: vec![ring::kx_group::X25519],
        ..ring::default_provider()
    })
}

/// A server for one connection: sends back what it receives, sealed both ways.
async fn serve(listener: TouListener, acceptor: TlsAcceptor) -> io::Result<u64> {
    let (stream, _peer) = listener.accept().await?;
    let (reader, mut writer) = acceptor.accept(stream).await?.split();
    let copied = futures::io::copy(reader, &mut writer).await?;
    writer.close().await?;
    Ok(copied)
}

async fn run() -> Result<(), Box<dyn Error>> {
    let own = rcgen::generate_simple_self_signed([NAME.into()])?;
    let certificate = CertificateDer::from(own.cert);
    let key = PrivatePkcs8KeyDer::from(own.signing_key.serialize_der());
    let server_config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key.into())?;
    let mut roots = RootCertStore::empty();
    roots.add(certificate)?;
    let client_config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();

    let listener = TouListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let addr = listener.local_addr()?;
    let server = smol::spawn(serve(listener, TlsAcceptor::from(Arc::new(server_config))));

    let stream = TouStream::connect(addr).await?;
    let connector = TlsConnector::from(Arc::new(client_config));
    let tls = connector.connect(ServerName::try_from(NAME)?, stream).await?;
    let session = tls.get_ref().1;
    let suite = session.negotiated_cipher_suite().ok_or("no cipher suite")?.suite();
    let version = session.protocol_version().ok_or("no version")?;

    let message = vec![b'x'; 1_000_000];
    let (mut reader, mut writer) = tls.split();
    let write = async {
        writer.write_all(&message).await?;
        // The end that TLS vouches for, and then TCP's.
        writer.close().await
    };
    let mut answer = Vec::new();
    futures::try_join!(write, reader.read_to_end(&mut answer))?;
    assert!(answer == message, "something else came back");
    println!("{} octets echoed with {version:?}, {suite:?}", server.await?);
    Ok(())
}

/// A message there and back.
pub fn main() -> Result<(), Box<dyn Error>> {
    smol::block_on(run())
}
