//! Batches into datagrams and back: what impairment needs to treat each
//! datagram for itself and still send with segmentation offload.

use core::net::{IpAddr, SocketAddr};
use std::collections::VecDeque;

use bytes::Bytes;
use tou_proto::{Ecn, ReceivedBatch, Transmit};

/// One datagram, on its way in either direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// The other end's UDP address.
    pub peer: SocketAddr,
    /// The local address, where one is known.
    pub local_ip: Option<IpAddr>,
    /// The ECN codepoint.
    pub ecn: Ecn,
    /// The UDP payload.
    pub data: Bytes,
}

/// The datagrams of a received batch, sharing its buffer.
pub(crate) fn of_received(batch: &ReceivedBatch) -> impl Iterator<Item = Datagram> + '_ {
    batch.datagrams().map(|data| Datagram {
        peer: batch.peer,
        local_ip: batch.local_ip,
        ecn: batch.ecn,
        data,
    })
}

/// The datagrams of a batch to send, copied out of `data`.
pub(crate) fn of_transmit<'a>(
    transmit: &'a Transmit,
    data: &'a [u8],
) -> impl Iterator<Item = Datagram> + 'a {
    // An empty batch is one empty datagram.
    let empty = data.is_empty().then_some(data);
    data.chunks(transmit.stride.max(1)).chain(empty).map(|datagram| Datagram {
        peer: transmit.peer,
        local_ip: transmit.local_ip,
        ecn: transmit.ecn,
        data: Bytes::copy_from_slice(datagram),
    })
}

/// Takes from the front of `queue` what can travel as one batch of at most
/// `max_segments` datagrams and `max_bytes` octets, and puts it into `into`.
pub(crate) fn next_batch(
    queue: &mut VecDeque<Datagram>,
    (max_segments, max_bytes): (usize, usize),
    into: &mut Vec<u8>,
) -> Option<Transmit> {
    let first = queue.pop_front()?;
    into.clear();
    into.extend_from_slice(&first.data);
    let stride = first.data.len();
    let mut segments = 1;
    // Only the last may be shorter, and an empty datagram has no stride.
    let mut open = stride > 0;
    while open && segments < max_segments {
        let Some(next) = queue.front().filter(|next| {
            (next.peer, next.local_ip, next.ecn) == (first.peer, first.local_ip, first.ecn)
                && (1..=stride).contains(&next.data.len())
                && into.len() + next.data.len() <= max_bytes
        }) else {
            break;
        };
        open = next.data.len() == stride;
        into.extend_from_slice(&next.data);
        segments += 1;
        queue.pop_front();
    }
    let Datagram { peer, local_ip, ecn, .. } = first;
    Some(Transmit { peer, local_ip, ecn, stride, segments })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(lengths: &[(u16, usize)]) -> VecDeque<Datagram> {
        let datagram = |&(port, len): &(u16, usize)| Datagram {
            peer: SocketAddr::from(([192, 0, 2, 1], port)),
            local_ip: None,
            ecn: Ecn::Ect0,
            data: vec![len as u8; len].into(),
        };
        lengths.iter().map(datagram).collect()
    }

    fn batches(lengths: &[(u16, usize)], limits: (usize, usize)) -> Vec<(u16, usize, usize)> {
        let mut queue = queue(lengths);
        let mut data = Vec::new();
        let mut out = Vec::new();
        while let Some(transmit) = next_batch(&mut queue, limits, &mut data) {
            assert_eq!(of_transmit(&transmit, &data).count(), transmit.segments);
            out.push((transmit.peer.port(), transmit.segments, data.len()));
        }
        out
    }

    #[test]
    fn equal_datagrams_to_one_peer_travel_together() {
        let limits = (64, 65_507);
        assert_eq!(batches(&[(1, 9), (1, 9), (1, 4), (1, 9)], limits), [(1, 3, 22), (1, 1, 9)]);
        assert_eq!(batches(&[(1, 9), (2, 9), (1, 9)], limits), [(1, 1, 9), (2, 1, 9), (1, 1, 9)]);
        assert_eq!(batches(&[(1, 4), (1, 9), (1, 9)], limits), [(1, 1, 4), (1, 2, 18)]);
        assert_eq!(batches(&[(1, 0), (1, 0), (1, 9)], limits), [(1, 1, 0), (1, 1, 0), (1, 1, 9)]);
        assert_eq!(batches(&[(1, 9), (1, 0)], limits), [(1, 1, 9), (1, 1, 0)]);
    }

    #[test]
    fn batches_keep_to_the_limits() {
        assert_eq!(batches(&[(1, 9); 5], (2, 100)), [(1, 2, 18), (1, 2, 18), (1, 1, 9)]);
        assert_eq!(batches(&[(1, 9); 3], (64, 20)), [(1, 2, 18), (1, 1, 9)]);
        assert_eq!(batches(&[(1, 90); 2], (64, 20)), [(1, 1, 90), (1, 1, 90)]);
    }

    #[test]
    fn a_batch_taken_apart_and_put_together_is_the_same() {
        let transmit = Transmit {
            peer: SocketAddr::from(([192, 0, 2, 1], 7)),
            local_ip: Some([192, 0, 2, 9].into()),
            ecn: Ecn::Ce,
            stride: 10,
            segments: 3,
        };
        let data: Vec<u8> = (0..25).collect();
        let mut queue = of_transmit(&transmit, &data).collect();
        let mut again = Vec::new();
        assert_eq!(next_batch(&mut queue, (64, 1000), &mut again), Some(transmit));
        assert_eq!(again, data);
    }
}
