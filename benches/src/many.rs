//! `tou-bench many`: very many connections at once, from one process to another.
//!
//! One UDP socket and one thread of tasks a side. All connections are open before
//! the first message is sent; then each sends its messages one after the other
//! and checks each echo. Both sides print what they used.

use core::net::SocketAddr;
use std::io::{self, BufRead, BufReader};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;

use smol::LocalExecutor;
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::lock::Semaphore;
use tou_async_io::{TouListener, TouSocket, TouStream};

use crate::peers::system::{Stopwatch, Usage, resident};

/// How many, and how often.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Connections at once.
    #[arg(long, default_value_t = 10_000)]
    connections: usize,
    /// Messages that each has echoed.
    #[arg(long, default_value_t = 100)]
    messages: usize,
    /// Octets of a message.
    #[arg(long, default_value_t = 64)]
    octets: usize,
    /// What the server has printed: makes this the client's process.
    #[arg(long, hide = true)]
    server: Option<SocketAddr>,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    let result = match args.server {
        None => serve(args),
        Some(server) => ask(args, server),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tou-bench many: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The server's process, which starts the client's.
fn serve(args: &Args) -> io::Result<()> {
    let socket = TouSocket::bind(LOCAL)?;
    let port = tou_udp::driver::port_of(socket.local_addr())?;
    let listener = socket.listen_on(port, args.connections, None)?;
    let before = (resident()?, Usage::now()?);
    let client = start_client(args, socket.local_addr())?;
    let executor = LocalExecutor::new();
    let octets = smol::block_on(executor.run(answer_all(&executor, &listener, args)))?;
    report("server", args, before)?;
    finish(client)?;
    let expected = (args.connections * args.messages * args.octets) as u64;
    if octets == expected {
        return Ok(());
    }
    let message = format!("{octets} octets were echoed, not {expected}");
    Err(io::Error::new(io::ErrorKind::InvalidData, message))
}

/// Accepts them all, and echoes until each has ended.
async fn answer_all(
    executor: &LocalExecutor<'_>,
    listener: &TouListener,
    args: &Args,
) -> io::Result<u64> {
    let mut tasks = Vec::with_capacity(args.connections);
    for _ in 0..args.connections {
        let (stream, _) = listener.accept().await?;
        let octets = args.octets;
        tasks.push(executor.spawn(answer(stream, octets)));
    }
    let mut echoed = 0;
    for task in tasks {
        echoed += task.await?;
    }
    Ok(echoed)
}

async fn answer(mut stream: TouStream, octets: usize) -> io::Result<u64> {
    let mut message = vec![0; octets];
    let mut echoed = 0;
    loop {
        match stream.read(&mut message).await? {
            0 => return Ok(echoed),
            read => {
                stream.write_all(&message[..read]).await?;
                echoed += read as u64;
            }
        }
    }
}

fn start_client(args: &Args, server: SocketAddr) -> io::Result<Child> {
    Command::new(std::env::current_exe()?)
        .arg("many")
        .args(["--connections", &args.connections.to_string()])
        .args(["--messages", &args.messages.to_string()])
        .args(["--octets", &args.octets.to_string()])
        .args(["--server", &server.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
}

/// Passes on what the client has to say.
fn finish(mut client: Child) -> io::Result<()> {
    if let Some(output) = client.stdout.take() {
        for line in BufReader::new(output).lines() {
            println!("{}", line?);
        }
    }
    if client.wait()?.success() {
        return Ok(());
    }
    Err(io::Error::other("the client has failed"))
}

/// The client's process.
fn ask(args: &Args, server: SocketAddr) -> io::Result<()> {
    let socket = TouSocket::bind(LOCAL)?;
    let before = (resident()?, Usage::now()?);
    let watch = Stopwatch::start();
    let executor = LocalExecutor::new();
    smol::block_on(executor.run(async {
        let streams = open_all(&executor, &socket, server, args.connections).await?;
        println!("client: all {} are open after {:.2} s", args.connections, watch.seconds());
        let count = args.messages;
        let tasks: Vec<_> = (0_u64..)
            .zip(streams)
            .map(|(number, stream)| executor.spawn(converse(stream, number, count, args.octets)))
            .collect();
        for task in tasks {
            task.await?;
        }
        io::Result::Ok(())
    }))?;
    println!("client: all messages were echoed after {:.2} s", watch.seconds());
    report("client", args, before)?;
    smol::block_on(socket.close(CLOSING))
}

async fn open_all<'a>(
    executor: &LocalExecutor<'a>,
    socket: &TouSocket,
    server: SocketAddr,
    count: usize,
) -> io::Result<Vec<TouStream>> {
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    let tasks: Vec<_> = (0..count)
        .map(|_| {
            let (socket, turns) = (socket.clone(), Arc::clone(&turns));
            executor.spawn(async move {
                let _turn = turns.acquire().await;
                socket.connect(server).await
            })
        })
        .collect();
    let mut streams = Vec::with_capacity(count);
    for task in tasks {
        streams.push(task.await?);
    }
    Ok(streams)
}

/// Messages that differ from connection to connection, and from one to the next.
async fn converse(
    mut stream: TouStream,
    number: u64,
    messages: usize,
    octets: usize,
) -> io::Result<()> {
    let (mut message, mut answer) = (vec![0; octets], vec![0; octets]);
    let mut state = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    for _ in 0..messages {
        for octet in &mut message {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            *octet = state.to_le_bytes()[0];
        }
        stream.write_all(&message).await?;
        stream.read_exact(&mut answer).await?;
        if answer != message {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not the echo of that"));
        }
    }
    stream.close().await
}

/// What a side has used, connections still open.
fn report(side: &str, args: &Args, (memory, used): (f64, Usage)) -> io::Result<()> {
    let used = Usage::since(used)?;
    let (connections, messages) = (args.connections as f64, args.messages as f64);
    println!(
        "{side}: {:.0} octets of memory a connection, {:.2} s of CPU, {:.1} us a message",
        (resident()? - memory) / connections,
        used.cpu,
        used.cpu * 1e6 / (connections * messages).max(1.0),
    );
    Ok(())
}

const LOCAL: ([u8; 4], u16) = ([127, 0, 0, 1], 0);
/// Handshakes under way at once: more would only overflow the socket's buffer.
const AT_ONCE: usize = 256;
const CLOSING: core::time::Duration = core::time::Duration::from_secs(30);
