//! TLS 1.3 over a [`TouStream`]: rustls takes any stream that reads and writes.
//!
//! tou's plain mode hides and proves nothing; this does: the key exchange is X25519
//! (ECDHE), the keys come from HMAC's key schedule (HKDF, RFC 8446 §7.1), and
//! every record is sealed with AES-256-GCM. The server here echoes what it is sent;
//! its certificate is made at run time, and is the only one the client trusts.

use core::error::Error;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::thread;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use rustls::version::TLS13;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
};
use tou_mio::{TouListener, TouStream};

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
fn serve(listener: &TouListener, config: Arc<ServerConfig>) -> io::Result<()> {
    let (stream, _peer) = listener.accept()?;
    let session = ServerConnection::new(config).map_err(io::Error::other)?;
    let mut tls = StreamOwned::new(session, stream);
    let mut buf = [0; 4096];
    loop {
        // Zero is the end that TLS vouches for. Where the stream merely ends,
        // something may have been cut off, and rustls makes it an error.
        let len = tls.read(&mut buf)?;
        if len == 0 {
            break;
        }
        tls.write_all(&buf[..len])?;
    }
    tls.conn.send_close_notify();
    tls.flush()
}

/// A message there and back.
pub fn main() -> Result<(), Box<dyn Error>> {
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

    let listener = TouListener::bind("127.0.0.1:0")?;
    let addr = listener.local_addr()?;
    let server = thread::spawn(move || serve(&listener, Arc::new(server_config)));

    let session = ClientConnection::new(Arc::new(client_config), ServerName::try_from(NAME)?)?;
    let mut tls = StreamOwned::new(session, TouStream::connect(addr)?);
    let message = vec![b'x'; 100_000];
    // TLS ends a direction by itself; the TCP stream stays open for the answer.
    let mut sent = 0;
    let mut answer = Vec::new();
    while sent < message.len() {
        let piece = &message[sent..message.len().min(sent + 16_384)];
        tls.write_all(piece)?;
        sent += piece.len();
        answer.resize(sent, 0);
        tls.read_exact(&mut answer[sent - piece.len()..])?;
    }
    tls.conn.send_close_notify();
    tls.flush()?;
    tls.read_to_end(&mut answer)?;
    server.join().map_err(|_| "the server panicked")??;
    assert!(answer == message, "something else came back");
    println!(
        "{} octets echoed with {:?}, {:?}, {:?}",
        answer.len(),
        tls.conn.protocol_version().ok_or("no version")?,
        tls.conn.negotiated_cipher_suite().ok_or("no cipher suite")?.suite(),
        tls.conn.negotiated_key_exchange_group().ok_or("no key exchange")?.name(),
    );
    Ok(())
}
