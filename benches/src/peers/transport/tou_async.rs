//! tou, through its async driver: all connections through one socket, all tasks
//! in one thread.
//!
//! [`InSocket`] waits in the socket's own `block_on`, [`InSmol`] in smol's, as a
//! program does that has other things to wait for.

use core::time::Duration;
use std::io;
use std::sync::Arc;

use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::{Executor, Timer};
use tou_async_io::{TouListener, TouSocket, TouStream};

use super::tou::{open, socket_use};
use super::{Options, Side, SocketUse, Stream, Transport};

/// tou with tasks, waiting for its socket.
pub(crate) type InSocket = TouAsync<false>;
/// tou with tasks, waiting for smol's reactor.
pub(crate) type InSmol = TouAsync<true>;

/// tou with tasks.
#[derive(Clone, Debug)]
pub(crate) struct TouAsync<const SMOL: bool> {
    socket: TouSocket,
    side: Side<TouListener>,
    executor: Arc<Executor<'static>>,
}

impl<const SMOL: bool> TouAsync<SMOL> {
    fn new(socket: TouSocket, side: Side<TouListener>) -> Self {
        Self { socket, side, executor: Arc::default() }
    }
}

impl<const SMOL: bool> Transport for TouAsync<SMOL> {
    type Stream = TouStream;

    fn server(options: &Options) -> io::Result<(Self, String)> {
        let socket: TouSocket = open(options)?;
        let invitation = socket.local_addr().to_string();
        let side = Side::server(socket.listen()?);
        Ok((Self::new(socket, side), invitation))
    }

    fn client(options: &Options, invitation: &str) -> io::Result<Self> {
        Ok(Self::new(open(options)?, Side::client(invitation)?))
    }

    async fn connect(&self) -> io::Result<TouStream> {
        self.socket.connect(self.side.addr()?).await
    }

    async fn accept(&self) -> io::Result<TouStream> {
        Ok(self.side.listener()?.accept().await?.0)
    }

    fn socket_use(&self) -> Option<SocketUse> {
        Some(socket_use(&self.socket.socket_stats()))
    }

    fn run<T>(&self, measure: impl Future<Output = T>) -> T {
        if SMOL { smol::block_on(measure) } else { self.socket.block_on(measure) }
    }

    async fn run_all<T: Send + 'static>(
        &self,
        parts: Vec<impl Future<Output = io::Result<T>> + Send + 'static>,
    ) -> io::Result<Vec<T>> {
        let tasks: Vec<_> = parts.into_iter().map(|part| self.executor.spawn(part)).collect();
        let finish = async {
            let mut results = Vec::with_capacity(tasks.len());
            for task in tasks {
                results.push(task.await?);
            }
            Ok(results)
        };
        self.executor.run(finish).await
    }

    async fn pause(&self, time: Duration) {
        Timer::after(time).await;
    }
}

impl Stream for TouStream {
    async fn write(&mut self, data: &[u8]) -> io::Result<()> {
        self.write_all(data).await
    }

    async fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        AsyncReadExt::read(self, out).await
    }

    async fn finish(&mut self) -> io::Result<()> {
        AsyncWriteExt::close(self).await
    }
}
