//! Sends a file to whoever waits for one.
//!
//! ```text
//! cargo run --release -p tou-mio --example file_transfer -- receive 0.0.0.0:7777 copy.bin
//! cargo run --release -p tou-mio --example file_transfer -- send 192.0.2.1:7777 original.bin
//! ```

use core::time::Duration;
use std::fs::File;
use std::io::{self, Read, Write};

use tou_mio::{TouListener, TouStream};

fn main() -> io::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["send", addr, path] => send(addr, path),
        ["receive", addr, path] => receive(addr, path),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "usage: file_transfer send|receive ADDRESS FILE",
        )),
    }
}

fn send(addr: &str, path: &str) -> io::Result<()> {
    let mut file = File::open(path)?;
    let mut stream = TouStream::connect(addr)?;
    let mut buf = vec![0; 256 << 10];
    let mut sent = 0;
    loop {
        let len = file.read(&mut buf)?;
        if len == 0 {
            break;
        }
        stream.write_all(&buf[..len])?;
        sent += len;
    }
    let info = stream.info()?;
    // Dropping the stream would do the same, but not say whether it worked.
    stream.socket().close(Duration::from_secs(30))?;
    println!("{sent} bytes sent, {} segments twice", info.counters.segments_retransmitted);
    Ok(())
}

fn receive(addr: &str, path: &str) -> io::Result<()> {
    let listener = TouListener::bind(addr)?;
    let (stream, peer) = listener.accept()?;
    let mut file = File::create(path)?;
    let mut received = 0;
    while let Some(chunk) = stream.read_chunk(usize::MAX)? {
        file.write_all(&chunk)?;
        received += chunk.len();
    }
    println!("{received} bytes from {peer}");
    Ok(())
}
