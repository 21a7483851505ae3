//! `tou ping`: round trips through an echo server, timed.

mod figures;

use core::time::Duration;
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use clap::Args;
use serde_json::json;
use tou_mio::TouStream;
use tou_proto::Instant;
use tou_udp::Clock;

use self::figures::Figures;
use super::{PROMPT, with_log};
use crate::address::PeerAddress;
use crate::dial::dial;
use crate::failure::Failure;
use crate::format;
use crate::log::Log;
use crate::options::{CommonOptions, DialOptions, IdleOptions};
use crate::output::Form;
use crate::relay::connection_failure;
use crate::signals::Interruptible;
use crate::stats::Page;
use crate::value;

/// How long to wait at the end for the peer to end too.
const FAREWELL: Duration = Duration::from_secs(1);

/// What is read at once.
const CHUNK: usize = 64 << 10;

/// Time round trips through a `tou echo`.
#[derive(Args, Debug)]
pub(crate) struct Ping {
    /// Where the echo server is
    #[arg(value_name = "HOST:PORT")]
    peer: PeerAddress,
    /// Stop after so many round trips
    #[arg(short, long, value_name = "N", value_parser = value::count, allow_negative_numbers = true)]
    count: Option<u64>,
    /// How much to send each time
    #[arg(short, long, value_name = "BYTES", default_value = "56", value_parser = value::probe)]
    size: usize,
    /// From one probe to the next, in seconds or with a unit; a later echo puts the next off
    #[arg(short, long, value_name = "TIME", default_value = "1", value_parser = value::interval, allow_negative_numbers = true)]
    interval: Duration,
    #[command(flatten)]
    dial: DialOptions,
    #[command(flatten)]
    idle: IdleOptions,
    #[command(flatten)]
    common: CommonOptions,
}

pub(crate) fn run(ping: &Ping) -> Result<(), Failure> {
    let log = Log::start(&ping.common.log)?;
    with_log(&log, serve(ping, &log))
}

fn serve(ping: &Ping, log: &Log) -> Result<(), Failure> {
    let form = Form::new(ping.common.json);
    let signals = Interruptible::start(ping.common.impairment.longest_delay())?;
    let stream = dial(&ping.peer, &ping.dial, &ping.common, PROMPT, log)?;
    let held = signals.hold(&stream);
    let run = Arc::new(Run { clock: Clock::start(), figures: Mutex::default() });
    let words = {
        let (run, peer) = (Arc::clone(&run), ping.peer.clone());
        move || match run.summarize(&peer, form) {
            // Whoever ends ping has seen enough.
            Ok(()) if run.figures().received() > 0 => Some(0),
            _ => None,
        }
    };
    signals.set_last_words(words);
    let result = probe(ping, &stream, &run, form);
    signals.clear_last_words();
    let summary = run.summarize(&ping.peer, form);
    if result.is_ok() {
        say_farewell(&stream);
    }
    if ping.common.stats {
        let mut page = Page::default();
        page.connection(&stream, None);
        page.socket(&stream.socket());
        page.show(ping.common.json);
    }
    drop(held);
    result.and(summary)
}

/// What the end needs to know.
struct Run {
    clock: Clock,
    figures: Mutex<Figures>,
}

impl Run {
    fn figures(&self) -> MutexGuard<'_, Figures> {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn summarize(&self, peer: &PeerAddress, form: Form) -> Result<(), Failure> {
        let took = self.clock.now().saturating_since(Instant::ZERO);
        let figures = self.figures();
        form.say(|| figures.words(peer, took), || figures.json(peer, took))
    }
}

fn probe(ping: &Ping, stream: &TouStream, run: &Run, form: Form) -> Result<(), Failure> {
    let set = stream
        .set_read_timeout(ping.idle.idle_timeout)
        .and_then(|()| stream.set_write_timeout(ping.idle.idle_timeout));
    set.map_err(|error| connection_failure(&error, stream))?;
    let mut probe = vec![0; ping.size];
    let mut echo = vec![0; ping.size.min(CHUNK)];
    let mut number = 0_u64;
    while ping.count.is_none_or(|count| number < count) {
        let start = run.clock.now();
        number += 1;
        fill(&mut probe, number);
        run.figures().on_sent();
        exchange(stream, &probe, &mut echo).inspect_err(|_| run.figures().on_lost())?;
        let time = run.clock.now().saturating_since(start);
        run.figures().on_echo(time);
        say(ping, number, time, form)?;
        if ping.count != Some(number) {
            let took = run.clock.now().saturating_since(start);
            thread::sleep(ping.interval.saturating_sub(took));
        }
    }
    Ok(())
}

/// Makes each probe differ from all others that may be under way.
fn fill(probe: &mut [u8], number: u64) {
    for (index, (octet, number)) in
        probe.iter_mut().zip(number.to_be_bytes().into_iter().cycle()).enumerate()
    {
        *octet = number.wrapping_add((index / 8) as u8);
    }
}

/// One round trip: all of `probe` there and back. What comes back while there is
/// still something to send is read in between, or both sides might wait for
/// each other with full buffers.
fn exchange(mut stream: &TouStream, probe: &[u8], buf: &mut [u8]) -> Result<(), Failure> {
    let lost = |error| match std::io::Error::kind(&error) {
        ErrorKind::WouldBlock => Failure::new("no echo within the idle timeout"),
        _ => connection_failure(&error, stream),
    };
    let (mut unsent, mut awaited) = (probe, probe);
    while !awaited.is_empty() {
        if !unsent.is_empty() {
            stream.set_nonblocking(true).map_err(lost)?;
            match stream.write(unsent) {
                Ok(len) => unsent = unsent.get(len..).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(lost(error)),
            }
            stream.set_nonblocking(false).map_err(lost)?;
        }
        let room = buf.len().min(awaited.len());
        let len = stream.read(buf.get_mut(..room).unwrap_or_default()).map_err(lost)?;
        if len == 0 {
            return Err(Failure::new("the peer has ended the connection"));
        }
        let (expected, rest) = awaited.split_at(len);
        if buf.get(..len) != Some(expected) {
            return Err(Failure::new("what came back is no echo: is there a 'tou echo'?"));
        }
        awaited = rest;
    }
    Ok(())
}

fn say(ping: &Ping, number: u64, time: Duration, form: Form) -> Result<(), Failure> {
    form.say(
        || {
            let (bytes, millis) = (format::bytes(ping.size as u64), format::millis(time));
            format!("{bytes} from {}: seq={number} time={millis} ms", ping.peer)
        },
        || {
            json!({
                "event": "echo",
                "seq": number,
                "bytes": ping.size,
                "seconds": time.as_secs_f64(),
            })
        },
    )
}

/// Ends the connection; a peer that is slow about it is not waited for.
fn say_farewell(mut stream: &TouStream) {
    let _ = stream.shutdown(Shutdown::Write);
    let _ = stream.set_read_timeout(Some(FAREWELL));
    let _ = stream.read(&mut [0]);
}
