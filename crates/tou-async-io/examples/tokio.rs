//! A question and its answer over tou, with Tokio: `compat` makes Tokio's traits
//! of those of `futures`.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::compat::FuturesAsyncReadCompatExt;
use tou_async_io::{TouListener, TouStream};

async fn converse() -> io::Result<()> {
    let listener = TouListener::bind(([127, 0, 0, 1], 0))?;
    let addr = listener.local_addr()?;
    let server = tokio::spawn(async move {
        let (stream, peer) = listener.accept().await?;
        println!("{peer} is here");
        let (mut reader, mut writer) = tokio::io::split(stream.compat());
        tokio::io::copy(&mut reader, &mut writer).await?;
        writer.shutdown().await
    });

    let mut stream = TouStream::connect(addr).await?.compat();
    stream.write_all(b"Who is there?").await?;
    stream.shutdown().await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    println!("the echo says: {answer}");
    server.await?
}

pub(crate) fn main() -> io::Result<()> {
    tokio::runtime::Builder::new_multi_thread().build()?.block_on(converse())
}
