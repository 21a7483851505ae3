//! What cases begin with: sockets, pairs of streams, data, and calls made of
//! several.

use core::net::SocketAddr;
use core::time::Duration;
use std::io::{self, ErrorKind};
use std::net::{Shutdown, UdpSocket};
use std::thread;

use tou_proto::{ConnectionConfig, ConnectionConfigBuilder, Port, Remote};
use tou_udp::{Direction, Impairment};

use crate::check::{Failure, Outcome, comes, joined, same_bytes};
use crate::driver::{Driver, Listener, Setup, Socket, Stream};

/// Long enough for anything that is going to happen.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// Any port of the loopback interface.
pub(crate) fn local() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// The TCP port that is the same as the UDP port.
pub(crate) fn remote(addr: SocketAddr) -> Result<Remote, Failure> {
    Ok(Remote { addr, port: port(addr.port())? })
}

pub(crate) fn port(number: u16) -> Result<Port, Failure> {
    Port::new(number).ok_or_else(|| Failure::new("port zero"))
}

/// A socket at an address that has become free. A process that another case
/// starts has all descriptors of this one for a moment, so it may take one.
pub(crate) fn bound_again<D: Driver>(driver: &D, addr: SocketAddr) -> Result<D::Socket, Failure> {
    let mut socket = None;
    comes("the address is free", || match driver.bind(addr, &Setup::default()) {
        Err(error) if error.kind() == ErrorKind::AddrInUse => Ok(false),
        bound => {
            socket = Some(bound?);
            Ok(true)
        }
    })?;
    socket.ok_or_else(|| Failure::new("no socket"))
}

/// A UDP socket that never answers, and its address.
pub(crate) fn silence() -> io::Result<(UdpSocket, SocketAddr)> {
    let socket = UdpSocket::bind(local())?;
    let addr = socket.local_addr()?;
    Ok((socket, addr))
}

/// Two connected streams, each of a socket of its own.
#[derive(Debug)]
pub(crate) struct Pair<D: Driver> {
    pub(crate) client: D::Stream,
    pub(crate) server: D::Stream,
    pub(crate) listener: D::Listener,
}

impl<D: Driver> Pair<D> {
    pub(crate) fn new(driver: &D) -> Result<Self, Failure> {
        Self::with(driver, &Setup::default(), &Setup::default())
    }

    pub(crate) fn with(driver: &D, client: &Setup, server: &Setup) -> Result<Self, Failure> {
        let listener = driver.bind(local(), server)?.listen()?;
        let socket = driver.bind(local(), client)?;
        Self::between(&socket, listener)
    }

    pub(crate) fn between(socket: &D::Socket, listener: D::Listener) -> Result<Self, Failure> {
        listener.set_accept_timeout(Some(LONG))?;
        let client = socket.connect(listener.local_addr()?)?;
        let (server, _) = listener.accept()?;
        patient(&client)?;
        patient(&server)?;
        Ok(Self { client, server, listener })
    }

    /// Drops both streams, each while the other's socket still answers for it.
    pub(crate) fn part(self) -> Outcome {
        let sockets = [self.client.socket(), self.server.socket()];
        drop(self);
        for socket in &sockets {
            socket.close(LONG)?;
        }
        Ok(())
    }
}

/// No call on the stream waits for ever.
pub(crate) fn patient<S: Stream>(stream: &S) -> io::Result<()> {
    stream.set_read_timeout(Some(LONG))?;
    stream.set_write_timeout(Some(LONG))
}

/// A socket whose connections are so configured.
pub(crate) fn configured(connection: ConnectionConfigBuilder) -> Result<Setup, Failure> {
    let connection = connection.build().map_err(|error| Failure::new(error.to_string()))?;
    Ok(Setup { connection: Some(connection), ..Setup::default() })
}

/// Segments as on Ethernet: the loopback interface takes much larger ones, too
/// few for a network to be bad to. And timers as on no real network, or the
/// cases would mostly wait for them.
pub(crate) fn quick() -> ConnectionConfigBuilder {
    let rto = [50, 20, 1_000].map(Duration::from_millis);
    ConnectionConfig::builder().with_max_mss(1_452).with_rto(rto[0], rto[1], rto[2])
}

/// Nothing gets through.
pub(crate) fn nothing() -> Impairment {
    Impairment { drop: 1.0, ..Impairment::default() }
}

/// What the stream's side sends is lost from now on.
pub(crate) fn mute<D: Driver>(stream: &D::Stream) -> io::Result<()> {
    stream.socket().impair(Direction::Send, &nothing())
}

/// `len` octets that do not repeat soon: data to send in tests of streams.
#[must_use]
pub fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut data: Vec<u8> = (0..len.div_ceil(8)).flat_map(|_| next()).collect();
    data.truncate(len);
    data
}

/// Writes all of it.
pub(crate) fn write_all<S: Stream>(stream: &S, mut data: &[u8]) -> io::Result<()> {
    while !data.is_empty() {
        let len = stream.write(data)?;
        if len == 0 {
            return Err(ErrorKind::WriteZero.into());
        }
        data = &data[len..];
    }
    Ok(())
}

/// Reads `len` octets.
pub(crate) fn read_some<S: Stream>(stream: &S, len: usize) -> io::Result<Vec<u8>> {
    let mut data = vec![0; len];
    let mut filled = 0;
    while filled < len {
        match stream.read(&mut data[filled..])? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            more => filled += more,
        }
    }
    Ok(data)
}

/// Reads to the end.
pub(crate) fn read_all<S: Stream>(stream: &S) -> io::Result<Vec<u8>> {
    let mut data = Vec::new();
    let mut buf = vec![0; 1 << 16];
    loop {
        match stream.read(&mut buf)? {
            0 => return Ok(data),
            len => data.extend_from_slice(&buf[..len]),
        }
    }
}

/// Sends back what comes, until no more does.
pub(crate) fn echo<S: Stream>(stream: &S) -> io::Result<()> {
    let mut buf = vec![0; 1 << 16];
    loop {
        match stream.read(&mut buf)? {
            0 => return Ok(()),
            len => write_all(stream, &buf[..len])?,
        }
    }
}

/// One octet each way: whatever was on its way has arrived.
pub(crate) fn meet<S: Stream>(one: &S, two: &S) -> Outcome {
    for (from, to) in [(one, two), (two, one)] {
        write_all(from, b"!")?;
        same_bytes(&read_some(to, 1)?, b"!")?;
    }
    Ok(())
}

/// Uses a pair, and waits until nothing is due any more: whoever is woken from
/// then on, is woken by somebody.
pub(crate) fn quiet<D: Driver>(one: &D::Stream, two: &D::Stream) -> Outcome {
    meet(one, two)?;
    let sent = |stream: &D::Stream| stream.info().map(|info| info.counters.segments_sent);
    loop {
        let before = (sent(one)?, sent(two)?);
        // Longer than any acknowledgment is delayed, or a probe waits.
        thread::sleep(Duration::from_millis(250));
        if (sent(one)?, sent(two)?) == before {
            return Ok(());
        }
    }
}

/// A question and its answer, by a peer that echoes.
pub(crate) fn round_trip<S: Stream>(stream: &S, question: &[u8]) -> Outcome {
    write_all(stream, question)?;
    same_bytes(&read_some(stream, question.len())?, question)
}

/// `len` octets each way at once, and the end of the stream.
pub(crate) fn exchange<S: Stream>(one: &S, two: &S, len: usize) -> Outcome {
    let say = |stream: &S, seed| -> Outcome {
        write_all(stream, &noise(len, seed))?;
        Ok(stream.shutdown(Shutdown::Write)?)
    };
    let hear = |stream: &S, seed| same_bytes(&read_all(stream)?, &noise(len, seed));
    thread::scope(|scope| {
        let threads = [
            scope.spawn(|| say(one, 1)),
            scope.spawn(|| say(two, 2)),
            scope.spawn(|| hear(two, 1)),
            scope.spawn(|| hear(one, 2)),
        ];
        threads.into_iter().try_for_each(|thread| joined(thread)?)
    })
}

/// More than the buffers of both ends ever take: who writes it has to wait.
pub(crate) fn write_much<S: Stream>(stream: &S) -> io::Result<()> {
    write_all(stream, &vec![7; 32 << 20])
}

/// Writes until the stream has taken nothing for a while, and returns how much
/// it took.
pub(crate) fn fill<D: Driver>(stream: &D::Stream) -> Result<usize, Failure> {
    let block = noise(1 << 16, 9);
    let mut total = 0;
    stream.set_write_timeout(Some(Duration::from_millis(100)))?;
    let mut before = None;
    // Once more after the first that was out of time: a slow machine is not a
    // full stream.
    while before.replace(total) != Some(total) {
        let error = loop {
            match stream.write(&block) {
                Ok(len) => total += len,
                Err(error) => break error,
            }
        };
        if error.kind() != D::OUT_OF_TIME {
            return Err(error.into());
        }
    }
    stream.set_write_timeout(Some(LONG))?;
    Ok(total)
}
/// Long enough for another thread to have begun to wait, as a rule. Nothing may
/// depend on it but that a case tries what it means to try.
pub(crate) const MOMENT: Duration = Duration::from_millis(30);
