//! Sends what it reads from standard input, line by line, and prints what comes
//! back.
//!
//! ```text
//! cargo run -p tou-mio --example echo_client -- 127.0.0.1:7777
//! ```

use std::io::{self, BufRead, Write};
use std::net::Shutdown;
use std::thread;

use tou_mio::TouStream;

fn main() -> io::Result<()> {
    let addr = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7777".into());
    let mut stream = TouStream::connect(addr)?;
    stream.set_nodelay(true)?;
    let mut answers = stream.try_clone()?;
    let printer = thread::spawn(move || io::copy(&mut answers, &mut io::stdout()));
    for line in io::stdin().lock().lines() {
        writeln!(stream, "{}", line?)?;
    }
    // The server sees the end of our data, and ends its own.
    stream.shutdown(Shutdown::Write)?;
    printer.join().expect("the printer does not panic")?;
    if let Some(rtt) = stream.info()?.srtt {
        eprintln!("round trip: {rtt:?}");
    }
    Ok(())
}
