//! Peers in processes of their own, so that they can be killed.
//!
//! The test binary starts itself again; what the new process is to do stands in
//! its environment. It goes when its standard input ends, so that none outlives
//! a run that was killed itself.

use core::net::SocketAddr;
use std::env;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;

use crate::check::Failure;
use crate::driver::{Connect, Driver, Listener, Setup, Socket};
use crate::kit::{echo, local, noise, port, remote, write_all};

/// What the process is to do.
const ROLE: &str = "TOU_CONFORMANCE_ROLE";
/// At or to which address.
const ADDR: &str = "TOU_CONFORMANCE_ADDR";
/// From which.
const FROM: &str = "TOU_CONFORMANCE_FROM";

/// What a peer does with its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Listens at the address, and echoes one connection after the other.
    Echo,
    /// Connects to the address from TCP port [`CALLERS_PORT`], says "here", and
    /// waits.
    Caller,
    /// Connects to the address, writes [`LAST_WORDS`] octets, and returns from
    /// `main`.
    Speaker,
}

/// How much a [`Role::Speaker`] has to say.
pub(crate) const LAST_WORDS: usize = 2 << 20;

/// The TCP port of a [`Role::Caller`].
const CALLERS_PORT: u16 = 30_001;

const ROLES: [(Role, &str); 3] =
    [(Role::Echo, "echo"), (Role::Caller, "caller"), (Role::Speaker, "speaker")];

/// A process that lives as long as this.
#[derive(Debug)]
pub(crate) struct Peer {
    child: Child,
    /// Its life line. `Child::wait` would cut it.
    _stdin: Option<ChildStdin>,
    /// Where it is.
    pub(crate) addr: SocketAddr,
}

impl Peer {
    /// Starts a process, and returns once it has its socket.
    pub(crate) fn start(role: Role, addr: SocketAddr) -> Result<Self, Failure> {
        Self::start_from(role, addr, local())
    }

    /// The same, with the address to connect from.
    pub(crate) fn start_from(
        role: Role,
        addr: SocketAddr,
        from: SocketAddr,
    ) -> Result<Self, Failure> {
        let name = ROLES.iter().find(|(other, _)| *other == role).map_or("", |(_, name)| name);
        let mut child = Command::new(env::current_exe()?)
            .env(ROLE, name)
            .env(ADDR, addr.to_string())
            .env(FROM, from.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        match line.trim().parse() {
            Ok(addr) => Ok(Self { _stdin: child.stdin.take(), child, addr }),
            Err(_) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(Failure::new(format!("the {role:?} process said {line:?}, no address")))
            }
        }
    }

    /// Kills it (SIGKILL), and returns when it is gone.
    pub(crate) fn kill(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }

    /// Waits until it has ended by itself.
    pub(crate) fn wait(&mut self) -> io::Result<bool> {
        // Its input ends when this does, not before it: that would end it.
        let input = self.child.stdin.take();
        let status = self.child.wait();
        drop(input);
        status.map(|status| status.success())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// Whether this process is a peer, and then also its life.
pub(crate) fn serve<D: Driver>(driver: &D) -> Option<Result<(), Failure>> {
    let name = env::var(ROLE).ok()?;
    Some(live(driver, &name))
}

fn live<D: Driver>(driver: &D, name: &str) -> Result<(), Failure> {
    let role = ROLES.iter().find(|(_, other)| *other == name);
    let Some((role, _)) = role else {
        return Err(Failure::new(format!("no such role: {name:?}")));
    };
    let address = |name| -> Result<SocketAddr, Failure> {
        let addr = env::var(name).ok().and_then(|addr| addr.parse().ok());
        addr.ok_or_else(|| Failure::new(format!("no address in {name}")))
    };
    let (addr, from) = (address(ADDR)?, address(FROM)?);
    thread::spawn(|| {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(2);
    });
    match role {
        Role::Echo => {
            let listener = driver.bind(addr, &Setup::default())?.listen()?;
            announce(listener.local_addr()?)?;
            loop {
                let (stream, _) = listener.accept()?;
                // It may be reset; the next is served all the same.
                let _ = echo(&stream);
            }
        }
        Role::Caller => {
            let socket = driver.bind(from, &Setup::default())?;
            announce(socket.local_addr())?;
            let how = Connect { local_port: Some(port(CALLERS_PORT)?), ..Connect::default() };
            let stream = socket.connect_with(remote(addr)?, &how)?;
            write_all(&stream, b"here")?;
            loop {
                thread::park();
            }
        }
        Role::Speaker => {
            let socket = driver.bind(from, &Setup::default())?;
            announce(socket.local_addr())?;
            let stream = socket.connect(addr)?;
            Ok(write_all(&stream, &noise(LAST_WORDS, 3))?)
        }
    }
}

fn announce(addr: SocketAddr) -> io::Result<()> {
    let mut stdout = io::stdout();
    writeln!(stdout, "{addr}")?;
    stdout.flush()
}
