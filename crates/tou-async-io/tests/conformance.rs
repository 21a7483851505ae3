//! The async driver does what every driver must: the cases are in
//! `tou-conformance`.
//!
//! ```text
//! cargo test -p tou-async-io --test conformance -- --list
//! cargo test -p tou-async-io --test conformance closing
//! ```

use core::future::poll_fn;
use core::net::SocketAddr;
use core::pin::Pin;
use core::time::Duration;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::net::{Shutdown, UdpSocket};
use std::process::ExitCode;

use async_io::block_on;
use bytes::Bytes;
use futures::{AsyncRead as _, AsyncReadExt, AsyncWriteExt};
use tou_async_io::{Builder, ConnectOptions, TouListener, TouSocket, TouStream};
use tou_conformance::{Connect, Driver, Setup};
use tou_proto::{ConnectionInfo, EndpointCounters, Keepalive, Port, Remote};
use tou_udp::{Direction, Impairment, ImpairmentStats};

fn main() -> ExitCode {
    tou_conformance::run(AsyncIo)
}

struct AsyncIo;

#[derive(Clone, Debug)]
struct Socket(TouSocket);

#[derive(Debug)]
struct Listener(TouListener);

#[derive(Debug)]
struct Stream(TouStream);

fn builder(setup: &Setup) -> Builder {
    let mut builder = TouSocket::builder().with_socket_options(setup.options);
    if let Some(config) = setup.endpoint.clone() {
        builder = builder.with_endpoint(config);
    }
    if let Some(config) = setup.connection.clone() {
        builder = builder.with_connection(config);
    }
    if let Some((direction, impairment)) = setup.impairment.clone() {
        builder = builder.with_impairment(direction, impairment);
    }
    if let Some(timeout) = setup.close_timeout {
        builder = builder.with_close_timeout(timeout);
    }
    builder
}

impl Driver for AsyncIo {
    /// An `AsyncRead` must not say `WouldBlock`.
    const OUT_OF_TIME: ErrorKind = ErrorKind::TimedOut;

    type Socket = Socket;
    type Listener = Listener;
    type Stream = Stream;

    fn bind(&self, addr: SocketAddr, setup: &Setup) -> io::Result<Socket> {
        builder(setup).bind(addr).map(Socket)
    }

    fn adopt(&self, udp: UdpSocket, setup: &Setup) -> io::Result<Socket> {
        builder(setup).from_udp(udp).map(Socket)
    }

    fn listen(&self, addr: SocketAddr) -> io::Result<Listener> {
        TouListener::bind(addr).map(Listener)
    }

    fn connect(&self, addr: SocketAddr) -> io::Result<Stream> {
        block_on(TouStream::connect(addr)).map(Stream)
    }

    fn connect_timeout(&self, addr: SocketAddr, timeout: Duration) -> io::Result<Stream> {
        block_on(TouStream::connect_timeout(&addr, timeout)).map(Stream)
    }
}

impl tou_conformance::Socket for Socket {
    type Listener = Listener;
    type Stream = Stream;

    fn local_addr(&self) -> SocketAddr {
        self.0.local_addr()
    }

    fn listen(&self) -> io::Result<Listener> {
        self.0.listen().map(Listener)
    }

    fn listen_on(&self, port: Port, backlog: usize) -> io::Result<Listener> {
        self.0.listen_on(port, backlog, None).map(Listener)
    }

    fn connect(&self, addr: SocketAddr) -> io::Result<Stream> {
        block_on(self.0.connect(addr)).map(Stream)
    }

    fn connect_with(&self, remote: Remote, how: &Connect) -> io::Result<Stream> {
        let mut options = ConnectOptions::new();
        if let Some(port) = how.local_port {
            options = options.with_local_port(port);
        }
        if let Some(config) = how.config.clone() {
            options = options.with_config(config);
        }
        if let Some(timeout) = how.timeout {
            options = options.with_timeout(timeout);
        }
        block_on(self.0.connect_with(remote, &options)).map(Stream)
    }

    fn close(&self, timeout: Duration) -> io::Result<()> {
        block_on(self.0.close(timeout))
    }

    fn impair(&self, direction: Direction, impairment: &Impairment) -> io::Result<()> {
        self.0.impair(direction, impairment)
    }

    fn impairment_stats(&self, direction: Direction) -> Option<ImpairmentStats> {
        self.0.impairment_stats(direction)
    }

    fn counters(&self) -> EndpointCounters {
        self.0.counters()
    }

    fn connection_count(&self) -> usize {
        self.0.connection_count()
    }

    fn time_wait_count(&self) -> usize {
        self.0.time_wait_count()
    }
}

impl tou_conformance::Listener for Listener {
    type Socket = Socket;
    type Stream = Stream;

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    fn local_port(&self) -> Port {
        self.0.local_port()
    }

    fn accept(&self) -> io::Result<(Stream, SocketAddr)> {
        block_on(self.0.accept()).map(|(stream, peer)| (Stream(stream), peer))
    }

    fn set_accept_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.0.set_accept_timeout(timeout)
    }

    fn try_clone(&self) -> io::Result<Self> {
        Ok(Self(self.0.clone()))
    }

    fn socket(&self) -> Socket {
        Socket(self.0.socket())
    }
}

impl tou_conformance::Stream for Stream {
    type Socket = Socket;

    fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        block_on(self.0.clone().read(buf))
    }

    fn read_vectored(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let mut stream = self.0.clone();
        let read = poll_fn(|cx| Pin::new(&mut stream).poll_read_vectored(cx, bufs));
        block_on(read)
    }

    fn read_chunk(&self, max: usize) -> io::Result<Option<Bytes>> {
        block_on(self.0.read_chunk(max))
    }

    fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        block_on(self.0.peek(buf))
    }

    fn write(&self, data: &[u8]) -> io::Result<usize> {
        block_on(self.0.clone().write(data))
    }

    fn write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        block_on(self.0.clone().write_vectored(bufs))
    }

    fn write_bytes(&self, data: &mut Bytes) -> io::Result<usize> {
        block_on(self.0.write_bytes(data))
    }

    fn flush(&self) -> io::Result<()> {
        block_on(self.0.clone().flush())
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.0.shutdown(how)
    }

    fn abort(&self) {
        self.0.abort();
    }

    fn try_clone(&self) -> io::Result<Self> {
        Ok(Self(self.0.clone()))
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.peer_addr()
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    fn peer_port(&self) -> Port {
        self.0.peer_port()
    }

    fn local_port(&self) -> Port {
        self.0.local_port()
    }

    fn socket(&self) -> Socket {
        Socket(self.0.socket())
    }

    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.0.set_read_timeout(timeout)
    }

    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.0.set_write_timeout(timeout)
    }

    fn read_timeout(&self) -> io::Result<Option<Duration>> {
        self.0.read_timeout()
    }

    fn write_timeout(&self) -> io::Result<Option<Duration>> {
        self.0.write_timeout()
    }

    fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.0.set_nodelay(nodelay)
    }

    fn set_cork(&self, cork: bool) -> io::Result<()> {
        self.0.set_cork(cork)
    }

    fn set_keepalive(&self, keepalive: Option<Keepalive>) -> io::Result<()> {
        self.0.set_keepalive(keepalive)
    }

    fn set_user_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.0.set_user_timeout(timeout)
    }

    fn set_linger(&self, linger: Option<Duration>) {
        self.0.set_linger(linger);
    }

    fn linger(&self) -> Option<Duration> {
        self.0.linger()
    }

    fn info(&self) -> io::Result<ConnectionInfo> {
        self.0.info()
    }

    fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.0.take_error()
    }
}
