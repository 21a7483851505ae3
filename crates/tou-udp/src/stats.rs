//! Counters of a socket. They only go up; nothing here decides anything.

/// What a socket has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SocketStats {
    /// System calls made to send, refused ones included.
    pub send_calls: u64,
    /// Datagrams that the kernel took.
    pub datagrams_sent: u64,
    /// Octets in them, UDP and IP headers not counted.
    pub bytes_sent: u64,
    /// Sends by how many datagrams they carried.
    pub batches_sent: BatchSizes,
    /// Sends that found the socket's buffer full.
    pub sends_blocked: u64,
    /// Batches sent again as smaller batches, after the kernel refused the size.
    pub fallbacks_smaller: u64,
    /// Batches sent again one datagram at a time, after the kernel refused
    /// segmentation offload.
    pub fallbacks_single: u64,
    /// Sends made again without a source address.
    pub fallbacks_sourceless: u64,
    /// Sends made again without any control message.
    pub fallbacks_plain: u64,
    /// Sends made again because what they returned was a report about an
    /// earlier datagram.
    pub sends_repeated: u64,
    /// Datagrams lost: larger than the path takes.
    pub lost_too_big: u64,
    /// Datagrams lost: no way to the peer, or forbidden.
    pub lost_unreachable: u64,
    /// Datagrams lost: the interface's queue was full.
    pub lost_queue_full: u64,
    /// System calls made to receive.
    pub recv_calls: u64,
    /// Datagrams received.
    pub datagrams_received: u64,
    /// Octets in them.
    pub bytes_received: u64,
    /// Batches received, by how many datagrams they carried.
    pub batches_received: BatchSizes,
    /// Receive buffers allocated, because all others were still in use.
    pub buffers_allocated: u64,
    /// Reports read from the error queue.
    pub error_reports: u64,
    /// Path errors that nobody fetched in time.
    pub path_errors_dropped: u64,
}

/// How many batches had how many datagrams, in classes that double: 1, 2-3,
/// 4-7, 8-15, 16-31, 32-63, 64 and more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchSizes {
    classes: [u64; 7],
}

impl BatchSizes {
    pub(crate) fn count(&mut self, datagrams: usize) {
        let class = datagrams.max(1).ilog2() as usize;
        let class = class.min(self.classes.len() - 1);
        self.classes[class] += 1;
    }

    /// The number of batches in each class.
    #[must_use]
    pub fn classes(&self) -> [u64; 7] {
        self.classes
    }

    /// The number of batches.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.classes.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batch_sizes_fall_into_doubling_classes() {
        let mut sizes = BatchSizes::default();
        for datagrams in [0, 1, 2, 3, 4, 44, 63, 64, 1000] {
            sizes.count(datagrams);
        }
        assert_eq!(sizes.classes(), [2, 2, 1, 0, 0, 2, 2]);
        assert_eq!(sizes.total(), 9);
    }
}
