//! The driver works in any runtime, and in several at once.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::thread;

use futures::{AsyncReadExt, AsyncWriteExt};
use tokio_util::compat::FuturesAsyncReadCompatExt;
use tou_async_io::{TouListener, TouStream};

use common::*;

#[path = "../examples/futures.rs"]
mod with_futures;
#[path = "../examples/smol.rs"]
mod with_smol;
#[path = "../examples/tokio.rs"]
mod with_tokio;

#[test]
fn the_examples_run() {
    with_smol::main().unwrap();
    with_futures::main().unwrap();
    with_tokio::main().unwrap();
}

/// Writes in pieces, and reads what comes back.
async fn question(addr: core::net::SocketAddr, seed: u64) {
    let data = noise(200_000, seed);
    let stream = TouStream::connect(addr).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    let mut got = Vec::new();
    let writing = async {
        for piece in data.chunks(7_777) {
            writer.write_all(piece).await.unwrap();
        }
        writer.close().await.unwrap();
    };
    let (_, read) = futures::future::join(writing, reader.read_to_end(&mut got)).await;
    read.unwrap();
    assert_same(&got, &data);
}

#[test]
fn clients_of_four_runtimes_talk_to_one_server() {
    const CLIENTS: usize = 4;
    let listener = TouListener::bind(LOCAL).unwrap();
    let addr = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let executor = smol::LocalExecutor::new();
        smol::block_on(executor.run(async {
            let mut tasks = Vec::new();
            for _ in 0..CLIENTS {
                let (stream, _) = listener.accept().await.unwrap();
                tasks.push(executor.spawn(echo(stream)));
            }
            futures::future::join_all(tasks).await;
        }));
    });
    thread::scope(|scope| {
        scope.spawn(|| smol::block_on(question(addr, 1)));
        scope.spawn(|| futures::executor::block_on(question(addr, 2)));
        scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(question(addr, 3));
        });
        scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build();
            let runtime = runtime.unwrap();
            runtime.block_on(async { tokio::spawn(question(addr, 4)).await.unwrap() });
        });
    });
    server.join().unwrap();
}

#[test]
fn tokios_own_traits_work_through_compat() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let Pair { client, server, .. } = pair().await;
        let (mut client, mut server) = (client.compat(), server.compat());
        let data = noise(300_000, 4);
        let write = async {
            tokio::io::AsyncWriteExt::write_all(&mut client, &data).await.unwrap();
            tokio::io::AsyncWriteExt::shutdown(&mut client).await.unwrap();
        };
        let read = async {
            let mut got = Vec::new();
            tokio::io::AsyncReadExt::read_to_end(&mut server, &mut got).await.unwrap();
            got
        };
        let ((), got) = tokio::join!(write, read);
        assert_same(&got, &data);
    });
}
