//! One turn: a server and a client of one transport, a process each.
//!
//! Both are copies of this program. The server prints its invitation, then both
//! print their figures when they are done.

use core::time::Duration;
use std::env;
use std::io::{self, BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;

use clap::ValueEnum;

use super::measure::{Figures, Measure, Plan, client, server};
use super::system;
#[cfg(feature = "quinn")]
use super::transport::quic::Quic;
use super::transport::tcp::Tcp;
use super::transport::tou::Tou;
use super::transport::tou_async::{InSmol, InSocket};
use super::transport::udp::{Blocking, Polling};
use super::transport::udp_bulk::UdpBulk;
use super::transport::{Options, Transport};

/// A transport, and how it is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Peer {
    /// The kernel's TCP.
    Tcp,
    /// Raw UDP, waiting in the socket call.
    Udp,
    /// Raw UDP, waiting in mio's poll.
    UdpPoll,
    /// Raw UDP, 45 datagrams of 1452 octets a call, with credits.
    UdpGso,
    /// tou, with an MTU of 1500.
    Tou,
    /// tou, with the MTU of the loopback interface.
    TouLo,
    /// tou through its async driver, with an MTU of 1500, in the socket's own
    /// `block_on`.
    TouAsync,
    /// The same, with the MTU of the loopback interface.
    TouAsyncLo,
    /// tou through its async driver, with an MTU of 1500, in smol's `block_on`.
    TouSmol,
    /// quinn.
    #[cfg(feature = "quinn")]
    Quinn,
}

impl Peer {
    fn options(self, measure: Measure) -> Options {
        Options {
            mtu: matches!(self, Self::Tou | Self::TouAsync | Self::TouSmol).then_some(1_500),
            nodelay: matches!(measure, Measure::Latency | Measure::Connect),
        }
    }
}

/// One side of one turn.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Side {
    peer: Peer,
    #[command(flatten)]
    plan: Plan,
    /// The processors to run on.
    #[arg(long, value_delimiter = ',')]
    processors: Vec<usize>,
    /// What the server has printed, for the client.
    #[arg(long)]
    invitation: Option<String>,
}

/// What a side's process does: prints its figures in the end.
///
/// # Errors
/// Whatever goes wrong: this turn does not count.
pub(crate) fn play(side: &Side) -> io::Result<()> {
    // None are named where pinning is not permitted.
    if !side.processors.is_empty() {
        system::pin(&side.processors)?;
    }
    match side.peer {
        Peer::Tcp => side.play::<Tcp>(),
        Peer::Udp => side.play::<Blocking>(),
        Peer::UdpPoll => side.play::<Polling>(),
        Peer::UdpGso => side.play::<UdpBulk>(),
        Peer::Tou | Peer::TouLo => side.play::<Tou>(),
        Peer::TouAsync | Peer::TouAsyncLo => side.play::<InSocket>(),
        Peer::TouSmol => side.play::<InSmol>(),
        #[cfg(feature = "quinn")]
        Peer::Quinn => side.play::<Quic>(),
    }
}

impl Side {
    fn play<T: Transport>(&self) -> io::Result<()> {
        let options = self.peer.options(self.plan.measure);
        let (transport, figures) = if let Some(invitation) = &self.invitation {
            let transport = T::client(&options, invitation)?;
            let figures = transport.run(client(&transport, &self.plan))?;
            (transport, figures)
        } else {
            let (transport, invitation) = T::server(&options)?;
            println!("{invitation}");
            let figures = transport.run(server(&transport, &self.plan))?;
            (transport, figures)
        };
        println!("{}", serde_json::to_string(&figures)?);
        transport.run(transport.leave());
        Ok(())
    }
}

/// Has `peer` take its turn, on these processors.
///
/// # Errors
/// A side's; or `TimedOut` if it takes too long.
pub(crate) fn take_turn(peer: Peer, plan: Plan, processors: &[usize]) -> io::Result<Figures> {
    let side = |invitation| Side { peer, plan, processors: processors.to_vec(), invitation };
    let limit = Duration::from_secs_f64(plan.seconds * 2.0) + OVERTIME;
    let server = Process::start(&side(None))?;
    let invitation = server.line("server", limit)?;
    let client = Process::start(&side(Some(invitation)))?;
    let mut figures: Figures = serde_json::from_str(&client.line("client", limit)?)?;
    figures.extend(serde_json::from_str::<Figures>(&server.line("server", limit)?)?);
    if figures.get("octets_sent") != figures.get("octets_received") {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "not all octets arrived"));
    }
    Ok(figures)
}

/// What a value is called on the command line.
pub(crate) fn name(value: &impl ValueEnum) -> String {
    value.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

/// A process that does not outlive its handle.
struct Process {
    child: Child,
    lines: Receiver<String>,
}

impl Process {
    fn start(side: &Side) -> io::Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        command
            .arg("peer")
            .args([name(&side.peer), name(&side.plan.measure)])
            .args(["--seconds", &side.plan.seconds.to_string()])
            .args(["--streams", &side.plan.streams.to_string()]);
        if !side.processors.is_empty() {
            let processors: Vec<_> = side.processors.iter().map(usize::to_string).collect();
            command.args(["--processors", &processors.join(",")]);
        }
        if let Some(invitation) = &side.invitation {
            command.args(["--invitation", invitation]);
        }
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let (sender, lines) = channel();
        if let Some(output) = child.stdout.take() {
            thread::spawn(move || {
                BufReader::new(output).lines().map_while(Result::ok).try_for_each(|line| {
                    // Nobody listens any more after a failure.
                    sender.send(line).ok()
                })
            });
        }
        Ok(Self { child, lines })
    }

    /// The next line of its output.
    fn line(&self, who: &str, limit: Duration) -> io::Result<String> {
        self.lines.recv_timeout(limit).map_err(|error| match error {
            RecvTimeoutError::Timeout => {
                let message = format!("the {who} took too long, and was stopped");
                io::Error::new(io::ErrorKind::TimedOut, message)
            }
            RecvTimeoutError::Disconnected => {
                io::Error::other(format!("the {who} ended with an error"))
            }
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has ended by itself unless something went wrong.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// For connecting, for what is still on its way, and for a busy machine.
const OVERTIME: Duration = Duration::from_secs(15);
