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
use tou_proto::{ConnectionCounters, ConnectionInfo, Instant, Port, Remote};
use tou_udp::Clock;

use super::data::Source;
use crate::failure::Failure;
use crate::relay::{connection_failure, finish};

/// How long the handshake may take on a network that may be very bad.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// What is sent and received at once.
const CHUNK: usize = 256 << 10;

/// The two ends of a connection.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) sender: TouStream,
    pub(super) receiver: TouStream,
}

/// One side's bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) bytes: u64,
    pub(super) sha256: [u8; 32],
}

/// What became of the data.
#[derive(Clone, Copy, Debug)]
pub(super) struct Transfer {
    pub(super) sent: Seen,
    pub(super) received: Seen,
    /// From the first byte sent to the end received.
    pub(super) time: Duration,
    /// The sender's.
    pub(super) counters: ConnectionCounters,
    /// The sender's connection when it had written the last byte.
    pub(super) live: Option<ConnectionInfo>,
}

impl Transfer {
    /// Whether what arrived is what was sent.
    pub(super) fn is_equal(&self) -> bool {
        self.sent == self.received
    }
}

impl Pair {
    /// Connects `client` to `server`.
    pub(super) fn connect(server: &TouSocket, client: &TouSocket) -> Result<Self, Failure> {
        let cannot = |error| Failure::cannot("connect", &error);
        let listener = server.listen().map_err(cannot)?;
        let addr = server.local_addr();
        let Some(port) = Port::new(addr.port()) else {
            return Err(Failure::new("the system gave no port"));
        };
        let options = ConnectOptions::new().with_timeout(CONNECT_TIMEOUT);
        let sender = client.connect_with(Remote { addr, port }, &options).map_err(cannot)?;
        // The handshake's last segment may be lost and come later.
        listener.set_accept_timeout(Some(CONNECT_TIMEOUT)).map_err(cannot)?;
        let (receiver, _) = listener.accept().map_err(cannot)?;
        Ok(Self { sender, receiver })
    }

    /// Sends all of `source` from one end to the other.
    pub(super) fn transfer(&self, source: Source, bar: &ProgressBar) -> Result<Transfer, Failure> {
        let Self { sender, receiver } = self;
        let clock = Clock::start();
        thread::scope(|scope| {
            let receiving = scope.spawn(move || {
                let seen = receive(receiver, bar).inspect_err(|_| receiver.abort())?;
                Ok((seen, clock.now().saturating_since(Instant::ZERO)))
            });
            let sending = send(sender, source).inspect_err(|_| sender.abort());
            let receiving = receiving
                .join()
                .unwrap_or_else(|_| Err(Failure::new("the receiving thread has failed")));
            let (sent, live) = sending?;
            let (received, time) = receiving?;
            finish(sender, sent.bytes)?;
            let info = sender.info().map_err(|error| connection_failure(&error, sender))?;
            Ok(Transfer { sent, received, time, counters: info.counters, live })
        })
    }
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
