//! Proportional rate reduction (RFC 9937): how much a fast recovery may send.
//!
//! Knows bytes. Must not know which, nor what was lost.

/// The state of one episode.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prr {
    /// The flight size that the recovery aims at.
    ssthresh: u64,
    /// `RecoverFS`: bytes that may yet be delivered in the episode.
    recover_fs: u64,
    /// `prr_delivered`.
    delivered: u64,
    /// `prr_out`.
    out: u64,
    /// Without SACK the peer's duplicates are taken at their word only so far.
    bounded: bool,
    cwnd: u64,
}

impl Prr {
    /// RFC 9937 §6.1. `recover_fs` is SND.NXT - SND.UNA, less the bytes SACKed,
    /// and with those that the acknowledgment which starts the episode delivered.
    pub(super) fn new(ssthresh: u64, recover_fs: u64, in_flight: u64, sack: bool) -> Self {
        Self {
            ssthresh,
            recover_fs: recover_fs.max(1),
            delivered: 0,
            out: 0,
            bounded: !sack,
            cwnd: in_flight,
        }
    }

    /// RFC 9937 §6.2, for each acknowledgment that starts or falls into the
    /// episode. `safe` is SafeACK: it advanced SND.UNA and showed no further loss.
    pub(super) fn on_ack(&mut self, delivered: u64, in_flight: u64, safe: bool, mss: u64) {
        let mut delivered = delivered;
        if self.bounded {
            delivered = delivered.min(self.recover_fs.saturating_sub(self.delivered));
        }
        if delivered == 0 {
            return;
        }
        self.delivered += delivered;
        let mut count = if in_flight > self.ssthresh {
            // Proportional rate reduction. In 128 bits the product cannot overflow.
            let product = u128::from(self.delivered) * u128::from(self.ssthresh);
            let out = product.div_ceil(u128::from(self.recover_fs));
            u64::try_from(out).unwrap_or(u64::MAX).saturating_sub(self.out)
        } else {
            // PRR-CRB: what was delivered may be replaced.
            let mut count = self.delivered.saturating_sub(self.out).max(delivered);
            if safe {
                // PRR-SSRB: recovery makes good progress.
                count = count.saturating_add(mss);
            }
            count.min(self.ssthresh - in_flight)
        };
        if self.out == 0 && count == 0 {
            // Force a fast retransmit on entry.
            count = mss;
        }
        self.cwnd = in_flight.saturating_add(count);
    }

    /// RFC 9937 §6.3: `bytes` were sent, new or again.
    pub(super) fn on_sent(&mut self, bytes: u64) {
        self.out = self.out.saturating_add(bytes);
    }

    /// The congestion window until the next acknowledgment.
    pub(super) fn cwnd(&self) -> u64 {
        self.cwnd
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use quickcheck::quickcheck;
    use std::vec::Vec;

    /// A sender of one-byte segments: one segment more whenever the window allows.
    struct Sender {
        prr: Prr,
        in_flight: u64,
        out: u64,
    }

    impl Sender {
        /// Delivers one segment; returns the window, what was in flight before
        /// sending, and how much was then sent.
        fn ack(&mut self, safe: bool) -> (u64, u64, u64) {
            self.prr.on_ack(1, self.in_flight, safe, 1);
            let row = (self.prr.cwnd(), self.in_flight);
            let sent = row.0.saturating_sub(row.1);
            self.prr.on_sent(sent);
            self.out += sent;
            self.in_flight += sent;
            (row.0, row.1, sent)
        }
    }

    /// RFC 9937 §8 figure 1: segment 0 of 20 lost, two limited transmits.
    ///
    /// The third acknowledgment starts the episode with 22 segments outstanding,
    /// of which the peer holds three. The figure draws proportional reduction to
    /// the end; by §6.2 the bound takes over as soon as the flight has come down to
    /// ssthresh, at acknowledgment 19, which changes which one sends, not how many.
    #[test]
    fn one_loss_spreads_the_reduction_over_the_round_trip() {
        let mut sender = Sender { prr: Prr::new(10, 22 - 3 + 1, 18, true), in_flight: 18, out: 0 };
        let mut rows = Vec::new();
        for ack in 3..=21 {
            if ack > 3 {
                sender.in_flight -= 1;
            }
            rows.push(sender.ack(false));
        }
        let cwnd: Vec<_> = rows.iter().map(|row| row.0).take(16).collect();
        let in_flight: Vec<_> = rows.iter().map(|row| row.1).take(16).collect();
        let sent: Vec<_> = rows.iter().map(|row| row.2).take(16).collect();
        assert_eq!(cwnd, [19, 18, 18, 17, 17, 16, 16, 15, 15, 14, 14, 13, 13, 12, 12, 11]);
        assert_eq!(in_flight, [18, 18, 17, 17, 16, 16, 15, 15, 14, 14, 13, 13, 12, 12, 11, 11]);
        assert_eq!(sent, [1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0]);
        assert_eq!((sender.in_flight, sender.out), (10, 10), "at the target");
    }

    /// RFC 9937 §8 figure 2: segments 0 to 14 of 20 lost. Packet conservation.
    #[test]
    fn a_burst_of_losses_sends_what_is_delivered() {
        let mut sender = Sender { prr: Prr::new(10, 22 - 3 + 1, 4, true), in_flight: 4, out: 0 };
        for _ in 17..=19 {
            assert_eq!(sender.ack(false), (5, 4, 1));
            sender.in_flight -= 1;
        }
        // The retransmissions' acknowledgments advance SND.UNA: one more each.
        sender.in_flight = 4;
        assert_eq!(sender.ack(true), (6, 4, 2));
    }

    #[test]
    fn nothing_delivered_changes_nothing() {
        let mut prr = Prr::new(10, 20, 7, true);
        prr.on_ack(0, 3, true, 1);
        assert_eq!(prr.cwnd(), 7);
    }

    #[test]
    fn the_first_acknowledgment_always_lets_one_segment_go() {
        let mut prr = Prr::new(10, 20, 10, true);
        prr.on_ack(1, 10, false, 1);
        assert_eq!(prr.cwnd(), 11);
        prr.on_sent(1);
        prr.on_ack(1, 10, false, 1);
        assert_eq!(prr.cwnd(), 10, "once");
    }

    #[test]
    fn without_sack_duplicates_deliver_no_more_than_was_outstanding() {
        let mut prr = Prr::new(1000, 20, 0, false);
        for _ in 0..100 {
            prr.on_ack(1, 0, false, 1);
        }
        assert_eq!(prr.cwnd(), 20);
    }

    quickcheck! {
        /// RFC 9937 §7: what is sent is bounded by what was delivered and one
        /// segment for each safe acknowledgment and for the entry; and never takes
        /// the flight above the target by growing it.
        fn sends_no_more_than_was_delivered(
            ssthresh: u16, flight: u16, steps: Vec<(u8, bool, u8)>
        ) -> bool {
            let flight = u64::from(flight);
            let mut prr = Prr::new(u64::from(ssthresh), flight, flight, true);
            let (mut in_flight, mut delivered, mut out, mut extra) = (flight, 0, 0, 1);
            for (bytes, safe, lost) in steps {
                let bytes = u64::from(bytes).min(in_flight).min(flight - delivered.min(flight));
                in_flight -= bytes;
                in_flight -= u64::from(lost).min(in_flight);
                delivered += bytes;
                extra += u64::from(safe);
                prr.on_ack(bytes, in_flight, safe, 1);
                if bytes > 0 {
                    let sent = prr.cwnd().saturating_sub(in_flight);
                    if sent > 1 && in_flight + sent > u64::from(ssthresh).max(in_flight + bytes) {
                        return false;
                    }
                    prr.on_sent(sent);
                    in_flight += sent;
                    out += sent;
                }
                if u64::from(ssthresh) <= flight && out > delivered + extra {
                    return false;
                }
            }
            true
        }

        fn extremes_do_not_panic(a: (u64, u64, u64), b: (u64, u64, u64), safe: bool) -> bool {
            let mut prr = Prr::new(a.0, a.1, a.2, safe);
            prr.on_ack(b.0 >> 1, b.1, safe, b.2);
            prr.on_sent(b.2);
            prr.on_ack(b.0 >> 1, b.1, !safe, b.2);
            prr.cwnd() >= b.1.min(prr.cwnd())
        }
    }
}
