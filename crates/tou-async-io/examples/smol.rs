//! A question and its answer over tou, with smol.

use smol::io::{AsyncReadExt, AsyncWriteExt};
use tou_async_io::{TouListener, TouStream};

pub(crate) fn main() -> std::io::Result<()> {
    smol::block_on(async {
        let listener = TouListener::bind(([127, 0, 0, 1], 0))?;
        let addr = listener.local_addr()?;
        let server = smol::spawn(async move {
            let (stream, peer) = listener.accept().await?;
            println!("{peer} is here");
            smol::io::copy(stream.clone(), stream).await
        });

        let mut stream = TouStream::connect(addr).await?;
        stream.write_all(b"Who is there?").await?;
        stream.close().await?;
        server.await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        println!("the echo says: {answer}");
        Ok(())
    })
}
