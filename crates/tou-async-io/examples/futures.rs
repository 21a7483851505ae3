//! A server for many clients in one thread, with nothing but the `futures` crate.

use std::io;

use futures::executor::block_on;
use futures::{AsyncReadExt, AsyncWriteExt, StreamExt, future};
use tou_async_io::{TouListener, TouSocket, TouStream};

async fn serve(stream: io::Result<TouStream>) {
    let (reader, mut writer) = stream.expect("a connection").into_split();
    let echoed = futures::io::copy(reader, &mut writer).await.expect("an echo");
    println!("{echoed} octets echoed");
}

async fn ask(socket: &TouSocket, server: core::net::SocketAddr, number: usize) -> io::Result<()> {
    let mut stream = socket.connect(server).await?;
    stream.write_all(format!("question {number}").as_bytes()).await?;
    stream.close().await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    assert_eq!(answer, format!("question {number}"));
    Ok(())
}

pub(crate) fn main() -> io::Result<()> {
    const CLIENTS: usize = 10;
    let listener = TouListener::bind(([127, 0, 0, 1], 0))?;
    let server = listener.local_addr()?;
    let socket = TouSocket::bind(([127, 0, 0, 1], 0))?;

    let serving = listener.incoming().take(CLIENTS).for_each_concurrent(None, serve);
    let asking = future::try_join_all((0..CLIENTS).map(|number| ask(&socket, server, number)));
    let (answered, ()) = block_on(future::join(asking, serving));
    answered.map(drop)
}
