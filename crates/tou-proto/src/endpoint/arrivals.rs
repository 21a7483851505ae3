//! The room in which datagrams wait until somebody takes them in, such as the receive
//! buffer of a socket: how much of it is whose.
//!
//! All connections of an endpoint receive by the same door. What they may send together
//! between two looks at it is the sum of the windows they were offered, and where that
//! is more than there is room for, datagrams are lost although nothing is wrong with the
//! path. So those who receive share the room, each alike, and those who do not cost them
//! nothing.
//!
//! Who receives is counted in epochs. What a connection makes of its share is the
//! connection's to say (`conn/arrivals.rs`). Must not know of windows or round trips.

use core::time::Duration;

use crate::time::{Instant, nanos};

/// For so long is counted who receives, and for as long again it is remembered: longer
/// than those who do are kept from it by each other.
const EPOCH: Duration = Duration::from_millis(100);

/// Who receives this much in an epoch has a share. Who receives less needs no window
/// worth speaking of.
const SUBSTANTIAL: u32 = 32 * 1_024;

/// The least share, whoever else receives, but for half of the room: with less, the
/// round trips between two programs that take turns become the limit. Not all of those
/// who receive fill their windows at the same moment.
const LEAST: u64 = 256 * 1_024;

/// The account.
#[derive(Debug)]
pub(super) struct Arrivals {
    /// How much there is room for; `None` if for anything.
    room: Option<u64>,
    epoch: u32,
    /// Connections that have received something substantial in the epoch.
    now: u32,
    /// And in the one before.
    before: u32,
    /// What any one connection may fill of the room, as these numbers have it.
    share: u64,
}

/// What one connection has received.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Received {
    epoch: u32,
    /// In this epoch.
    octets: u32,
}

impl Arrivals {
    pub(super) fn new(room: Option<u64>) -> Self {
        let mut arrivals = Self { room, epoch: 0, now: 0, before: 0, share: u64::MAX };
        arrivals.divide();
        arrivals
    }

    /// The connection whose account is `received` received `octets` of data.
    pub(super) fn on_received(&mut self, now: Instant, received: &mut Received, octets: u64) {
        if self.room.is_none() {
            return;
        }
        self.roll(now);
        if received.epoch != self.epoch {
            *received = Received { epoch: self.epoch, octets: 0 };
        }
        let was_substantial = received.octets >= SUBSTANTIAL;
        let octets = u32::try_from(octets).unwrap_or(u32::MAX);
        received.octets = received.octets.saturating_add(octets);
        if !was_substantial && received.octets >= SUBSTANTIAL {
            self.now += 1;
            self.divide();
        }
    }

    /// How much of the room any one connection may fill: `u64::MAX` if there is room
    /// for anything.
    pub(super) fn share(&mut self, now: Instant) -> u64 {
        self.roll(now);
        self.share
    }

    /// Begins a new epoch, if it is time.
    fn roll(&mut self, now: Instant) {
        let epoch = epoch_at(now);
        if epoch != self.epoch {
            let is_next = epoch == self.epoch.wrapping_add(1);
            self.before = if is_next { self.now } else { 0 };
            self.now = 0;
            self.epoch = epoch;
            self.divide();
        }
    }

    /// Divides the room among those who receive.
    #[cold]
    fn divide(&mut self) {
        let Some(room) = self.room else { return };
        let least = LEAST.min(room / 2);
        self.share = if self.before == 0 {
            // Nobody knows yet how many there will be: many may begin at once.
            least
        } else {
            let connections = self.now.max(self.before);
            (room / u64::from(connections)).max(least)
        };
    }
}

/// The number of the epoch, of which there are enough for thirteen years.
#[expect(clippy::cast_possible_truncation, reason = "epochs are only compared")]
fn epoch_at(now: Instant) -> u32 {
    (now.as_nanos() / nanos(EPOCH)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: u64 = 6 << 20;

    fn at(millis: u64) -> Instant {
        Instant::from_millis(1_000_000 + millis)
    }

    /// What `connections` make of the room when each receives `octets` at `now`.
    fn receive(arrivals: &mut Arrivals, now: Instant, who: &mut [Received], octets: u64) -> u64 {
        for received in who {
            arrivals.on_received(now, received, octets);
        }
        arrivals.share(now)
    }

    #[test]
    fn without_a_bound_everybody_has_everything() {
        let mut arrivals = Arrivals::new(None);
        let mut who = [Received::default(); 100];
        assert_eq!(receive(&mut arrivals, at(0), &mut who, u64::MAX), u64::MAX);
    }

    /// An account of a room where one connection has received before.
    fn known(who: &mut Received) -> Arrivals {
        let mut arrivals = Arrivals::new(Some(ROOM));
        arrivals.on_received(Instant::from_millis(1_000_000 - 1), who, 1 << 20);
        arrivals
    }

    #[test]
    fn before_anything_is_known_nobody_has_much() {
        let mut arrivals = Arrivals::new(Some(ROOM));
        let mut who = [Received::default(); 2];
        assert_eq!(arrivals.share(at(0)), LEAST);
        assert_eq!(receive(&mut arrivals, at(1), &mut who[..1], 1 << 20), LEAST);
        assert_eq!(receive(&mut arrivals, at(99), &mut who[..1], 1 << 20), LEAST);
        assert_eq!(arrivals.share(at(100)), ROOM);
    }

    #[test]
    fn those_who_receive_share_alike_and_others_cost_nothing() {
        let mut busy = [Received::default(); 10];
        let mut arrivals = known(&mut busy[0]);
        assert_eq!(arrivals.share(at(0)), ROOM);
        let mut idle = [Received::default(); 1_000];
        assert_eq!(receive(&mut arrivals, at(0), &mut idle, 1_000), ROOM);
        assert_eq!(receive(&mut arrivals, at(0), &mut busy[..1], 1 << 20), ROOM);
        assert_eq!(receive(&mut arrivals, at(1), &mut busy, 1 << 20), ROOM / 10);
        // However often they do.
        assert_eq!(receive(&mut arrivals, at(2), &mut busy, 1 << 20), ROOM / 10);
    }

    #[test]
    fn small_pieces_become_substantial_together() {
        let mut who = [Received::default(); 3];
        let mut arrivals = known(&mut who[0]);
        for _ in 0..31 {
            assert_eq!(receive(&mut arrivals, at(5), &mut who, 1_024), ROOM);
        }
        assert_eq!(receive(&mut arrivals, at(6), &mut who, 1_024), ROOM / 3);
    }

    #[test]
    fn who_stops_is_forgotten_after_an_epoch() {
        let mut who = [Received::default(); 4];
        let mut arrivals = known(&mut who[0]);
        assert_eq!(receive(&mut arrivals, at(99), &mut who, 1 << 20), ROOM / 4);
        // The new epoch has hardly begun: those who have not received yet will.
        assert_eq!(receive(&mut arrivals, at(101), &mut who[..1], 1 << 20), ROOM / 4);
        assert_eq!(receive(&mut arrivals, at(150), &mut who[1..2], 1 << 20), ROOM / 4);
        assert_eq!(receive(&mut arrivals, at(200), &mut who[..1], 1 << 20), ROOM / 2);
        assert_eq!(receive(&mut arrivals, at(300), &mut who[..1], 1 << 20), ROOM);
    }

    #[test]
    fn after_a_silence_nobody_is_remembered() {
        let mut who = [Received::default(); 4];
        let mut arrivals = known(&mut who[0]);
        assert_eq!(receive(&mut arrivals, at(0), &mut who, 1 << 20), ROOM / 4);
        assert_eq!(arrivals.share(at(199)), ROOM / 4);
        assert_eq!(arrivals.share(at(200)), LEAST);
        // A share that nobody asked for meanwhile is no other.
        receive(&mut arrivals, at(200), &mut who, 1 << 20);
        assert_eq!(arrivals.share(at(400)), LEAST);
    }

    #[test]
    fn a_share_is_never_less_than_what_turns_need_or_half_of_the_room() {
        for (room, least) in [(ROOM, LEAST), (300_000, 150_000), (1, 0), (0, 0)] {
            let mut arrivals = Arrivals::new(Some(room));
            let mut who = [Received::default(); 10_000];
            assert_eq!(receive(&mut arrivals, at(0), &mut who, 1 << 20), least);
        }
    }
}
