//! Many endpoints in one `polling` loop: a ring of them, each with a socket of
//! its own, passes a message round. A set of deadlines says whose turn it is.
#![allow(clippy::disallowed_methods, reason = "a driver reads the clock")]

use std::collections::BTreeSet;
use std::io;
use std::net::UdpSocket;
use std::time;

use polling::{Event as Ready, Events, Poller};
use tou_proto::{
    ConnId, DatagramMachine, Endpoint, EndpointConfig, Event, Instant, Port, ReceivedBatch, Remote,
    TransmitBuf, UnknownConnection,
};

const NODES: usize = 32;
/// The same for all: each has a UDP port of its own.
const PORT: Port = Port::new(7).expect("not zero");

/// One endpoint, its socket, and its connections with its neighbours.
struct Node {
    socket: UdpSocket,
    endpoint: Endpoint,
    next: Option<ConnId>,
    previous: Option<ConnId>,
    deadline: Option<Instant>,
}

/// Runs until the message is back where it came from.
pub fn main() -> io::Result<()> {
    let mut nodes = (0..NODES).map(|_| Node::open()).collect::<io::Result<Vec<_>>>()?;
    // After the nodes, so that it is dropped before them.
    let poller = Poller::new()?;
    for index in 0..NODES {
        // SAFETY: the poller does not outlive the socket.
        unsafe { poller.add(&nodes[index].socket, Ready::readable(index))? };
        let addr = nodes[(index + 1) % NODES].socket.local_addr()?;
        let remote = Remote { addr, port: PORT };
        let next = nodes[index].endpoint.connect(Instant::ZERO, remote)?;
        nodes[index].next = Some(next);
    }
    nodes[0].pass_on(Instant::ZERO, b"")?;

    let epoch = time::Instant::now();
    let mut deadlines = BTreeSet::new();
    let mut to_do: Vec<usize> = (0..NODES).collect();
    let (mut events, mut buf) = (Events::new(), TransmitBuf::single());
    loop {
        for index in to_do.drain(..) {
            let node = &mut nodes[index];
            deadlines.remove(&(node.deadline, index));
            let message = node.turn(Instant::ZERO + epoch.elapsed(), &mut buf)?;
            if index == 0
                && let Some(message) = message
            {
                println!("{} were passed", message.len());
                return Ok(());
            }
            if node.deadline.is_some() {
                deadlines.insert((node.deadline, index));
            }
            // Readiness is told once; this asks for it again.
            poller.modify(&node.socket, Ready::readable(index))?;
        }
        let now = Instant::ZERO + epoch.elapsed();
        let first = deadlines.first().and_then(|(at, _)| *at);
        events.clear();
        poller.wait(&mut events, first.map(|at| at.saturating_since(now)))?;
        let now = Instant::ZERO + epoch.elapsed();
        to_do.extend(events.iter().map(|ready| ready.key));
        to_do.extend(deadlines.range(..=(Some(now), NODES)).map(|(_, index)| index));
    }
}

impl Node {
    fn open() -> io::Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.set_nonblocking(true)?;
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(io::Error::other)?;
        let mut endpoint = Endpoint::new(EndpointConfig::default(), seed);
        endpoint.listen(PORT, 1)?;
        Ok(Self { socket, endpoint, next: None, previous: None, deadline: None })
    }

    /// Everything there is to do for one node. Returns a message that came.
    fn turn(&mut self, now: Instant, buf: &mut TransmitBuf) -> io::Result<Option<Vec<u8>>> {
        let mut incoming = [0; 65_535];
        while let Ok((len, peer)) = self.socket.recv_from(&mut incoming) {
            self.endpoint.handle_batch(now, &ReceivedBatch::single(peer, incoming[..len].to_vec()));
        }
        self.endpoint.handle_timeout(now);
        let mut message = None;
        while let Some(event) = self.endpoint.poll_event() {
            if let Event::Incoming(listener) = event {
                self.previous = self.endpoint.accept(listener);
            }
        }
        while let Some(conn) = self.previous
            && let Ok(Some(chunk)) = self.endpoint.read_chunk(now, conn, usize::MAX)
        {
            self.pass_on(now, &chunk)?;
            message = Some(chunk.to_vec());
        }
        while let Some(transmit) = self.endpoint.poll_transmit(now, buf) {
            let _ = self.socket.send_to(buf.data(), transmit.peer);
        }
        self.deadline = self.endpoint.poll_timeout();
        Ok(message)
    }

    /// Writes to the next node, with a mark of its own.
    fn pass_on(&mut self, now: Instant, message: &[u8]) -> io::Result<usize> {
        let next = self.next.ok_or(UnknownConnection)?;
        Ok(self.endpoint.write(now, next, &[message, b"!"].concat())?)
    }
}
