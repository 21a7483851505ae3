//! Two endpoints without sockets or a clock: a network that loses every seventh
//! datagram, and time that jumps from one deadline to the next. The same run,
//! to the octet, every time.

use core::error::Error;
use core::net::SocketAddr;
use core::time::Duration;
use std::collections::BTreeMap;

use tou_proto::{
    DatagramMachine, Endpoint, EndpointConfig, Instant, Port, ReadError, ReceivedBatch, Remote,
    TransmitBuf,
};

const DELAY: Duration = Duration::from_millis(20);
const LEN: usize = 1_000_000;

/// Datagrams on their way: when they arrive, in which order, at whom.
type Network = BTreeMap<(Instant, usize), (usize, ReceivedBatch)>;

/// Runs both ends until everything has arrived.
pub fn main() -> Result<(), Box<dyn Error>> {
    let config = EndpointConfig::builder().build()?;
    let addrs: [SocketAddr; 2] = ["192.0.2.1:40000".parse()?, "192.0.2.2:5000".parse()?];
    let mut ends = [Endpoint::new(config.clone(), [1; 32]), Endpoint::new(config, [2; 32])];
    let listener = ends[1].listen(Port::try_from(5000)?, 1)?;
    let remote = Remote::new(addrs[1]).ok_or("port zero")?;
    let sender = ends[0].connect(Instant::ZERO, remote)?;

    let mut now = Instant::ZERO;
    let mut network = Network::new();
    let mut buf = TransmitBuf::single();
    let (mut receiver, mut written, mut read, mut sent) = (None, 0, 0, 0);
    while read < LEN {
        // The applications: both try, and stop where it would block.
        while written < LEN
            && let Ok(len) = ends[0].write(now, sender, &[b'x'; 4096][..4096.min(LEN - written)])
        {
            written += len;
        }
        receiver = receiver.or_else(|| ends[1].accept(listener));
        while let Some(conn) = receiver {
            match ends[1].read_chunk(now, conn, usize::MAX) {
                Ok(Some(chunk)) => read += chunk.len(),
                Ok(None) | Err(ReadError::WouldBlock) => break,
                Err(error) => return Err(error.into()),
            }
        }
        // The network.
        for (from, end) in ends.iter_mut().enumerate() {
            while end.poll_transmit(now, &mut buf).is_some() {
                sent += 1;
                if sent % 7 != 0 {
                    let batch = ReceivedBatch::single(addrs[from], buf.data().to_vec());
                    network.insert((now + DELAY, sent), (1 - from, batch));
                }
            }
        }
        // The clock.
        let arrival = network.keys().next().map(|(at, _)| *at);
        let deadlines = ends.iter_mut().filter_map(DatagramMachine::poll_timeout);
        now = deadlines.chain(arrival).min().ok_or("both ends wait for each other")?;
        ends.iter_mut().for_each(|end| end.handle_timeout(now));
        while let Some(entry) = network.first_entry().filter(|entry| entry.key().0 <= now) {
            let (to, batch) = entry.remove();
            ends[to].handle_batch(now, &batch);
        }
    }
    let info = ends[0].info(sender).ok_or("the connection is held")?;
    println!(
        "{read} octets after {now} s, {} segments sent twice",
        info.counters.segments_retransmitted
    );
    Ok(())
}
