//! Over a line that carries octets, damages some, and knows no datagrams: SLIP
//! framing (RFC 1055) says where segments end, `Checksum::Segment` which of
//! them are damaged.

use core::error::Error;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::collections::VecDeque;

use bytes::Bytes;
use tou_proto::wire::Checksum;
use tou_proto::{
    DatagramMachine, Endpoint, EndpointConfig, Instant, ReadError, ReceivedBatch, Remote,
    TransmitBuf,
};

const LEN: usize = 100_000;
const END: u8 = 0xC0;
const ESC: u8 = 0xDB;
const ESC_END: u8 = 0xDC;
const ESC_ESC: u8 = 0xDD;
/// The other end of a line has no address, but must have one here.
const PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 5000);

/// An endpoint, and what has arrived of a segment.
struct End {
    endpoint: Endpoint,
    partial: Vec<u8>,
    is_escaped: bool,
}

/// Sends until everything has arrived undamaged.
pub fn main() -> Result<(), Box<dyn Error>> {
    // What there is no UDP for: a checksum, and segments as short as one likes.
    let config = EndpointConfig::builder().with_mtu(1_000).with_checksum(Checksum::Segment);
    let config = config.build()?;
    let end = |seed| End {
        endpoint: Endpoint::new(config.clone(), [seed; 32]),
        partial: Vec::new(),
        is_escaped: false,
    };
    let (mut near, mut far) = (end(1), end(2));
    let remote = Remote::new(PEER).ok_or("port zero")?;
    let listener = far.endpoint.listen(remote.port, 1)?;
    let sender = near.endpoint.connect(Instant::ZERO, remote)?;

    let (mut up, mut down) = (VecDeque::new(), VecDeque::new());
    let mut data = Bytes::from(vec![END; LEN]);
    let (mut now, mut receiver, mut read, mut octets) = (Instant::ZERO, None, 0, 0);
    while read < LEN {
        // What does not fit fits later.
        let _ = near.endpoint.write_bytes(now, sender, &mut data);
        near.send(now, &mut up);
        far.send(now, &mut down);
        if up.is_empty() && down.is_empty() {
            let deadlines = [&mut near, &mut far].map(|end| end.endpoint.poll_timeout());
            now = deadlines.into_iter().flatten().min().ok_or("both ends wait")?;
            near.endpoint.handle_timeout(now);
            far.endpoint.handle_timeout(now);
        }
        for mut octet in up.drain(..) {
            octets += 1;
            octet ^= u8::from(octets % 20_000 == 0);
            far.receive(now, octet);
        }
        down.drain(..).for_each(|octet| near.receive(now, octet));
        receiver = receiver.or_else(|| far.endpoint.accept(listener));
        while let Some(conn) = receiver {
            match far.endpoint.read_chunk(now, conn, usize::MAX) {
                Ok(Some(chunk)) => {
                    assert!(chunk.iter().all(|octet| *octet == END), "damage went unnoticed");
                    read += chunk.len();
                }
                Ok(None) | Err(ReadError::WouldBlock) => break,
                Err(error) => return Err(error.into()),
            }
        }
    }
    let dropped = far.endpoint.counters().bad_checksums;
    println!("{read} octets arrived, {dropped} damaged segments were dropped");
    Ok(())
}

impl End {
    fn send(&mut self, now: Instant, line: &mut VecDeque<u8>) {
        let mut buf = TransmitBuf::single();
        while self.endpoint.poll_transmit(now, &mut buf).is_some() {
            for octet in buf.data() {
                match *octet {
                    END => line.extend([ESC, ESC_END]),
                    ESC => line.extend([ESC, ESC_ESC]),
                    octet => line.push_back(octet),
                }
            }
            line.push_back(END);
        }
    }

    fn receive(&mut self, now: Instant, octet: u8) {
        match octet {
            END => {
                let batch = ReceivedBatch::single(PEER, core::mem::take(&mut self.partial));
                self.endpoint.handle_batch(now, &batch);
            }
            ESC => self.is_escaped = true,
            ESC_END if core::mem::take(&mut self.is_escaped) => self.partial.push(END),
            ESC_ESC if core::mem::take(&mut self.is_escaped) => self.partial.push(ESC),
            octet => self.partial.push(octet),
        }
    }
}
