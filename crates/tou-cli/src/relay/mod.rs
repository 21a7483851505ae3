//! Standard input to the peer, the peer to standard output, as netcat does.
//!
//! Two threads: one reads the input and writes to the stream, the other reads
//! the stream and writes the output. Each direction ends for itself; the relay
//! ends when both have, and the peer has everything.

mod bell;
mod ending;
mod idle;
mod stdio;

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use core::time::Duration;
use std::io::{self, ErrorKind, Read};
use std::net::Shutdown;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;

use bytes::BytesMut;
use tou_mio::TouStream;
use tou_proto::{ConnectionInfo, Instant};
use tou_udp::Clock;
use tracing::info;

use self::bell::Bell;
pub(crate) use self::ending::finish;
use self::idle::IdleWatch;
pub(crate) use self::stdio::{Input, Output};
use crate::failure::{Failure, describe};
use crate::format;

/// What is read from the input, and what is read from the peer, at once.
const CHUNK: usize = 256 << 10;

/// The least room that is worth a read: what a pipe holds.
const MIN_READ: usize = 64 << 10;

/// What a relay has to reckon with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The network is known to lose datagrams.
    pub(crate) is_lossy: bool,
    /// How long nothing may move.
    pub(crate) idle: Option<Duration>,
}

/// What went through.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Traffic {
    /// Bytes written to the stream.
    pub(crate) sent: u64,
    /// From the connection's beginning to the acknowledgment of the last.
    pub(crate) sent_in: Duration,
    /// Bytes written to the output.
    pub(crate) received: u64,
    /// From the connection's beginning to the last.
    pub(crate) received_in: Duration,
    /// The connection when the last data moved, while it still lived.
    pub(crate) live: Option<ConnectionInfo>,
    /// How long to stay for the peer's sake after all is done.
    pub(crate) stay: Duration,
}

/// The sending direction, as both threads see it.
#[derive(Debug, Default)]
struct Sending {
    bytes: AtomicU64,
    /// The connection when the last of them was written.
    live: OnceLock<ConnectionInfo>,
    /// How it ended, once it has.
    result: Mutex<Option<Result<(), SendError>>>,
    bell: Bell,
}

#[derive(Debug)]
enum SendError {
    /// The input could not be read.
    Input(io::Error),
    /// The connection has ended.
    Stream(io::Error),
}

impl Sending {
    fn is_over(&self) -> bool {
        self.result.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn take_error(&self) -> Option<SendError> {
        let mut result = self.result.lock().unwrap_or_else(PoisonError::into_inner);
        match result.take() {
            Some(Err(error)) => Some(error),
            other => {
                *result = other;
                None
            }
        }
    }
}

/// Relays until both directions have ended. `input`: `None` has nothing to
/// send.
pub(crate) fn relay(
    stream: &TouStream,
    input: Option<Input>,
    output: Output,
    limits: Limits,
) -> (Traffic, Result<(), Failure>) {
    let clock = Clock::start();
    let sending = Arc::new(Sending::default());
    let mut traffic = Traffic::default();
    let watch = limits.idle.map(IdleWatch::new);
    let is_lossy = limits.is_lossy;
    let mut relay =
        Relay { stream, clock, sending: &sending, traffic: &mut traffic, is_lossy, watch };
    let result = relay.run(input, output);
    traffic.sent = sending.bytes.load(Relaxed);
    traffic.live = traffic.live.or(sending.live.get().copied());
    (traffic, result)
}

struct Relay<'a> {
    stream: &'a TouStream,
    clock: Clock,
    sending: &'a Arc<Sending>,
    traffic: &'a mut Traffic,
    is_lossy: bool,
    watch: Option<IdleWatch>,
}

impl Relay<'_> {
    fn run(&mut self, input: Option<Input>, output: Output) -> Result<(), Failure> {
        // A user at a terminal has nothing to say to a peer that has left.
        let ends_with_peer = input.as_ref().is_none_or(Input::is_terminal);
        self.start_sending(input)?;
        self.receive(output)?;
        if ends_with_peer {
            let _ = self.stream.shutdown(Shutdown::Write);
        } else {
            self.await_sender()?;
        }
        let sent = self.sending.bytes.load(Relaxed);
        self.traffic.stay = finish(self.stream, sent, self.is_lossy)?;
        self.traffic.sent_in = self.elapsed();
        Ok(())
    }

    fn start_sending(&self, input: Option<Input>) -> Result<(), Failure> {
        let Some(input) = input else {
            let _ = self.stream.shutdown(Shutdown::Write);
            return Ok(());
        };
        let sending = Arc::clone(self.sending);
        let stream = self.stream.try_clone().map_err(|error| self.failure(&error))?;
        let send = move || {
            let result = send(&stream, input, &sending);
            let is_input_error = matches!(result, Err(SendError::Input(_)));
            *sending.result.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
            if is_input_error {
                // The other thread looks why its stream has gone.
                stream.abort();
            }
            sending.bell.ring();
        };
        let thread = thread::Builder::new().name("input".into()).spawn(send);
        thread.map(drop).map_err(|error| Failure::cannot("start a thread", &error))
    }

    /// Writes to the output what the peer sends, until its end.
    fn receive(&mut self, mut output: Output) -> Result<(), Failure> {
        let mut buf = vec![0; CHUNK];
        let mut stream = self.stream;
        let period = self.watch.as_ref().map(IdleWatch::period);
        stream.set_read_timeout(period).map_err(|error| self.failure(&error))?;
        loop {
            let len = match stream.read(&mut buf) {
                Ok(0) => break,
                Ok(len) => len,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.check_idle()?;
                    continue;
                }
                Err(error) => return Err(self.failure(&error)),
            };
            self.write(&mut output, buf.get(..len).unwrap_or_default())?;
        }
        self.traffic.received_in = self.elapsed();
        // A connection that this side ended first has no congestion window now.
        self.traffic.live = self.stream.info().ok().filter(|info| !info.congestion.is_empty());
        info!("the peer has ended, after {}", format::bytes(self.traffic.received));
        output.finish().map_err(|error| self.output_failure(&error))
    }

    fn check_idle(&mut self) -> Result<(), Failure> {
        let now = self.clock.now();
        self.watch.as_mut().map_or(Ok(()), |watch| watch.check(self.stream, now))
    }

    fn write(&mut self, output: &mut Output, data: &[u8]) -> Result<(), Failure> {
        output.write_all(data).map_err(|error| self.output_failure(&error))?;
        self.traffic.received += data.len() as u64;
        Ok(())
    }

    /// The peer has ended; waits until the input has too, or the connection is
    /// broken.
    fn await_sender(&mut self) -> Result<(), Failure> {
        let sending = Arc::clone(self.sending);
        self.stream.set_ready_hook(Some(move |_| sending.bell.ring()));
        while !self.sending.is_over() {
            if let Ok(Some(error)) = self.stream.take_error() {
                return Err(self.failure(&error));
            }
            self.sending.bell.wait_for(self.watch.as_ref().map(IdleWatch::period));
            self.check_idle()?;
        }
        match self.sending.take_error() {
            None => Ok(()),
            Some(SendError::Input(error)) => Err(self.input_failure(&error)),
            Some(SendError::Stream(error)) => Err(connection_failure(&error, self.stream)),
        }
    }

    /// What is wrong, if `error` is what a call to the stream returned.
    fn failure(&self, error: &io::Error) -> Failure {
        if let Some(SendError::Input(error)) = self.sending.take_error() {
            return self.input_failure(&error);
        }
        connection_failure(error, self.stream)
    }

    fn input_failure(&self, error: &io::Error) -> Failure {
        // The peer must not take what it got for all there was.
        self.stream.abort();
        Failure::cannot("read standard input", error)
    }

    fn output_failure(&self, error: &io::Error) -> Failure {
        // The peer must not think that all has arrived.
        self.stream.abort();
        Failure::output(error)
    }

    fn elapsed(&self) -> Duration {
        self.clock.now().saturating_since(Instant::ZERO)
    }
}

/// Sends the input until its end.
fn send(stream: &TouStream, mut input: Input, sending: &Sending) -> Result<(), SendError> {
    let mut buf = BytesMut::new();
    loop {
        if buf.len() < MIN_READ {
            buf = BytesMut::zeroed(CHUNK);
        }
        let len = input.read(&mut buf).map_err(SendError::Input)?;
        if len == 0 {
            break;
        }
        // What is left of the buffer is for the next read: a pipe fills little
        // of it at a time.
        let mut data = buf.split_to(len).freeze();
        while !data.is_empty() {
            let taken = stream.write_bytes(&mut data).map_err(SendError::Stream)?;
            sending.bytes.fetch_add(taken as u64, Relaxed);
        }
    }
    info!("end of input, after {}", format::bytes(sending.bytes.load(Relaxed)));
    if let Ok(info) = stream.info() {
        let _ = sending.live.set(info);
    }
    stream.shutdown(Shutdown::Write).map_err(SendError::Stream)
}

/// How a connection failed, and how far it had come.
pub(crate) fn connection_failure(error: &io::Error, stream: &TouStream) -> Failure {
    let progress = stream.info().map_or_else(
        |_| String::new(),
        |info| {
            let received = format::bytes(info.counters.bytes_received);
            let acked = format::bytes(info.counters.bytes_acked);
            format!("; {received} had arrived, {acked} were delivered")
        },
    );
    let what = match error.kind() {
        ErrorKind::TimedOut => "connection timed out: the peer does not answer".to_owned(),
        _ => describe(error),
    };
    Failure::new(format!("{what}{progress}"))
}
