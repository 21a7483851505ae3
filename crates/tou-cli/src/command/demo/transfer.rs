//! The transfer of a demo: one thread sends, another receives, both take the
//! hash of what they see.

use core::time::Duration;
use std::io::Read;
use std::net::Shutdown;
use std::thread;

use bytes::BytesMut;
use indicatif::ProgressBar;
use sha2::{Digest, Sha256};
use tou_mio::{ConnectOptions, TouSocket, TouStream};
use tou_proto::{ConnectionInfo, Instant, Port, Remote};
use tou_udp::Clock;

use super::data::Source;
use crate::failure::Failure;
use crate::relay::{connection_failure, finish};

/// How long the handshake may take on a network that may be very bad.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(60);

/// What is sent and received at once.
const CHUNK: usize = 256 << 10;

/// One side's bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) bytes: u64,
    pub(super) sha256: [u8; 32],
}

/// What became of the data.
#[derive(Debug)]
pub(super) struct Transfer {
    pub(super) sender: TouStream,
    pub(super) receiver: TouStream,
    pub(super) sent: Seen,
    pub(super) received: Seen,
    /// From the first byte sent to the end received.
    pub(super) time: Duration,
    /// The sender's connection when it had written the last byte.
    pub(super) live: Option<ConnectionInfo>,
}

impl Transfer {
    /// Whether what arrived is what was sent.
    pub(super) fn is_equal(&self) -> bool {
        self.sent == self.received
    }
}

/// Sends all of `source` from `client` to `server`.
pub(super) fn transfer(
    client: &TouSocket,
    server: &TouSocket,
    source: Source,
    bar: &ProgressBar,
) -> Result<Transfer, Failure> {
    let cannot = |error| Failure::cannot("connect", &error);
    let listener = server.listen().map_err(cannot)?;
    let addr = server.local_addr();
    let port = Port::new(addr.port()).ok_or_else(|| Failure::new("the system gave no port"))?;
    let options = ConnectOptions::new().with_timeout(CONNECT_TIMEOUT);
    let sender = client.connect_with(Remote { addr, port }, &options).map_err(cannot)?;
    let clock = Clock::start();
    thread::scope(|scope| {
        let receiving = scope.spawn(|| {
            let (receiver, _) = listener.accept().map_err(cannot)?;
            let seen = receive(&receiver, bar).inspect_err(|_| receiver.abort())?;
            Ok((receiver, seen, clock.now().saturating_since(Instant::ZERO)))
        });
        let sending = send(&sender, source).inspect_err(|_| {
            sender.abort();
            // Perhaps nothing was accepted yet.
            let _ = server.close(Duration::ZERO);
        });
        let received = receiving.join();
        let received =
            received.unwrap_or_else(|_| Err(Failure::new("the receiving thread has failed")));
        let (sent, live) = sending?;
        let (receiver, received, time) = received?;
        // Both ends stay until this returns.
        finish(&sender, sent.bytes, false)?;
        Ok(Transfer { sender, receiver, sent, received, time, live })
    })
}

fn send(stream: &TouStream, mut source: Source) -> Result<(Seen, Option<ConnectionInfo>), Failure> {
    let lost = |error| connection_failure(&error, stream);
    let mut hash = Sha256::new();
    let mut bytes = 0;
    loop {
        let mut buf = BytesMut::zeroed(CHUNK);
        let len = source.read(&mut buf)?;
        if len == 0 {
            break;
        }
        buf.truncate(len);
        hash.update(&buf);
        bytes += len as u64;
        let mut data = buf.freeze();
        while !data.is_empty() {
            stream.write_bytes(&mut data).map_err(lost)?;
        }
    }
    let live = stream.info().ok();
    stream.shutdown(Shutdown::Write).map_err(lost)?;
    Ok((Seen { bytes, sha256: hash.finalize().into() }, live))
}

fn receive(mut stream: &TouStream, bar: &ProgressBar) -> Result<Seen, Failure> {
    let mut hash = Sha256::new();
    let mut bytes = 0;
    let mut buf = vec![0; CHUNK];
    loop {
        let len = stream.read(&mut buf).map_err(|error| connection_failure(&error, stream))?;
        if len == 0 {
            break;
        }
        hash.update(buf.get(..len).unwrap_or_default());
        bytes += len as u64;
        bar.set_position(bytes);
    }
    stream.shutdown(Shutdown::Write).map_err(|error| connection_failure(&error, stream))?;
    Ok(Seen { bytes, sha256: hash.finalize().into() })
}
