//! Sends every client's data back, with a thread for each.
//!
//! ```text
//! cargo run -p tou-mio --example echo_server -- 127.0.0.1:7777
//! ```

use std::io;
use std::thread;

use tou_mio::{TouListener, TouStream};

fn main() -> io::Result<()> {
    let addr = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7777".into());
    let listener = TouListener::bind(addr)?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        let (stream, peer) = listener.accept()?;
        thread::spawn(move || match echo(&stream) {
            Ok(len) => println!("{peer}: done after {len} bytes"),
            Err(error) => println!("{peer}: {error}"),
        });
    }
}

/// Copies until the client has no more to say.
fn echo(stream: &TouStream) -> io::Result<u64> {
    let (mut from, mut to) = (stream, stream);
    io::copy(&mut from, &mut to)
}
