//! A peer that sends anything whatever, and a user who does anything: no panic,
//! no answer without end, nothing left that nobody will wake (the harness checks
//! the last two after every step).

use std::env;
use std::sync::Arc;

use quickcheck::{Arbitrary, Gen, QuickCheck};
use tou_proto::wire::SegmentFlags;
use tou_proto::{ConnId, ConnectionConfig, PathError, PathErrorKind, SeqNumber};
use tou_sim::script::{Script, Seg, ack, seg, syn, syn_ack};

/// What happens next.
#[derive(Clone, Debug)]
enum Op {
    /// Segments arrive in one batch.
    Inject(Vec<Blow>),
    /// Octets arrive that are hardly a segment.
    Octets(Vec<u8>),
    /// The carrier reports an error about what was sent at this distance.
    PathError(u8, u16, i32),
    Write(u16),
    Read(u16),
    Shutdown,
    Close,
    Release,
    Abort,
    Nodelay(bool),
    Cork(bool),
    Connect,
    Wait(u32),
}

/// A segment: where it lies relative to what the endpoint expects, and what it
/// claims.
#[derive(Clone, Debug)]
struct Blow {
    flags: u8,
    seq: i32,
    ack: i32,
    len: u16,
    window: u16,
    urgent: u16,
    timestamps: Option<(i32, i32)>,
    sack: Vec<(i32, i32)>,
    syn_options: bool,
}

#[test]
fn nothing_that_arrives_does_harm() {
    let cases = env::var("QUICKCHECK_TESTS").map_or(1_000, |cases| cases.parse().unwrap());
    let property = survives as fn(bool, bool, Vec<Op>);
    QuickCheck::new().rng(Gen::new(60)).tests(cases).max_tests(cases).quickcheck(property);
}

fn survives(active: bool, options: bool, ops: Vec<Op>) {
    let config = ConnectionConfig::builder()
        .with_timestamps(options)
        .with_sack(options)
        .with_window_scaling(options)
        .with_recv_buffer(20_000, 100_000)
        .build()
        .unwrap();
    let mut victim = Victim::new(config, active, options);
    for op in ops {
        victim.suffer(op);
    }
    // What is left ends by itself, or rests.
    for _ in 0..40 {
        victim.script.advance(20_000);
        victim.count();
    }
}

/// The endpoint under attack.
struct Victim {
    script: Script,
    conn: ConnId,
    /// About what it expects and has sent.
    peer_next: u32,
    our_next: u32,
}

impl Victim {
    fn new(config: Arc<ConnectionConfig>, active: bool, options: bool) -> Self {
        let mut script = Script::with_connection(config);
        let offer = |seg: Seg| {
            if options { seg.mss(1_460).wscale(4).sack_ok().ts(1_000, 0) } else { seg.mss(536) }
        };
        let conn = if active {
            let conn = script.connect();
            script.expect(syn(0));
            script.inject(offer(syn_ack(0, 1)));
            script.expect(ack(1, 1));
            conn
        } else {
            script.establish(offer(syn(0)))
        };
        Self { script, conn, peer_next: 1, our_next: 1 }
    }

    fn suffer(&mut self, op: Op) {
        let (host, conn) = (&mut self.script.host, self.conn);
        match op {
            Op::Inject(blows) => {
                let segs: Vec<Seg> = blows.iter().map(|blow| self.seg(blow)).collect();
                self.script.inject_batch(segs);
            }
            Op::Octets(octets) => self.script.inject_octets(octets),
            Op::PathError(kind, mtu, distance) => self.path_error(kind, mtu, distance),
            Op::Write(len) => drop(host.write(conn, &vec![7; usize::from(len)])),
            Op::Read(len) => drop(host.read(conn, &mut vec![0; usize::from(len)])),
            Op::Shutdown => drop(host.shutdown(conn)),
            Op::Close => drop(host.close(conn)),
            Op::Release => drop(host.release(conn)),
            Op::Abort => drop(host.abort(conn)),
            Op::Nodelay(on) => {
                let (now, endpoint) = host.endpoint_mut();
                let _ = endpoint.set_nodelay(now, conn, on);
            }
            Op::Cork(on) => {
                let (now, endpoint) = host.endpoint_mut();
                let _ = endpoint.set_cork(now, conn, on);
            }
            Op::Connect => {
                if host.info(conn).is_none() {
                    self.script.forget_isn();
                    self.conn = self.script.try_connect().unwrap_or(conn);
                    (self.peer_next, self.our_next) = (0, 1);
                }
            }
            Op::Wait(millis) => self.script.advance(u64::from(millis)),
        }
        self.count();
        while self.script.host.next_event().is_some() {}
    }

    /// Takes what came out: not too much of it, and what it says is where the
    /// next blows land.
    fn count(&mut self) {
        let out = self.script.take_output();
        assert!(out.len() <= 500, "{} segments at once", out.len());
        for (header, data) in out {
            if header.flags.contains(SegmentFlags::ACK) {
                self.peer_next = header.ack.get();
            }
            self.our_next = header.seq.get().wrapping_add(data.len() as u32);
        }
    }

    fn seg(&self, blow: &Blow) -> Seg {
        let near = |base: u32, distance: i32| base.wrapping_add_signed(distance);
        let mut segment = seg(SegmentFlags::from_bits(blow.flags))
            .seq(near(self.peer_next, blow.seq))
            .ack(near(self.our_next, blow.ack))
            .len(usize::from(blow.len))
            .win(blow.window);
        if segment.has(SegmentFlags::URG) {
            segment = segment.urg(blow.urgent);
        }
        if let Some((val, ecr)) = blow.timestamps {
            segment = segment.ts(near(1_000, val), near(0, ecr));
        }
        let sack: Vec<(u32, u32)> = blow
            .sack
            .iter()
            .map(|(left, right)| (near(self.our_next, *left), near(self.our_next, *right)))
            .collect();
        segment = segment.sack(&sack);
        if blow.syn_options { segment.mss(blow.window).wscale(blow.flags) } else { segment }
    }

    fn path_error(&mut self, kind: u8, mtu: u16, distance: i32) {
        let kind = match kind % 5 {
            0 => PathErrorKind::Refused,
            1 => PathErrorKind::Unreachable,
            2 => PathErrorKind::NoRoute,
            3 => PathErrorKind::TooBig { mtu: None },
            _ => PathErrorKind::TooBig { mtu: Some(mtu) },
        };
        let isn = self.script.local_isn().map_or(0, SeqNumber::get);
        let seq = isn.wrapping_add(self.our_next).wrapping_add_signed(distance);
        let (local, peer) = (self.script.local_port.get(), self.script.peer_port.get());
        let quoted = [&local.to_be_bytes()[..], &peer.to_be_bytes(), &seq.to_be_bytes()].concat();
        let peer = self.script.peer;
        self.script.host.handle_path_error(&PathError { peer, kind, quoted: quoted.into() });
    }
}

fn pick<T: Clone>(g: &mut Gen, choices: &[T]) -> T {
    g.choose(choices).unwrap().clone()
}

/// Mostly near, sometimes anywhere.
fn distance(g: &mut Gen) -> i32 {
    match u8::arbitrary(g) % 8 {
        0..=3 => 0,
        4 => i32::from(i8::arbitrary(g)),
        5 | 6 => i32::from(i16::arbitrary(g)),
        _ => i32::arbitrary(g),
    }
}

impl Arbitrary for Blow {
    fn arbitrary(g: &mut Gen) -> Self {
        let ack = SegmentFlags::ACK.bits();
        Self {
            flags: match u8::arbitrary(g) % 8 {
                0..=3 => ack,
                4 => ack | SegmentFlags::FIN.bits(),
                5 => ack | SegmentFlags::SYN.bits(),
                _ => u8::arbitrary(g),
            },
            seq: distance(g),
            ack: distance(g),
            len: pick(g, &[0, 0, 1, 536, 1_440, 30_000]),
            window: pick(g, &[0, 1, 500, 4_096, u16::MAX]),
            urgent: u16::arbitrary(g),
            timestamps: bool::arbitrary(g).then(|| (distance(g), distance(g))),
            sack: (0..u8::arbitrary(g) % 5).map(|_| (distance(g), distance(g))).collect(),
            syn_options: bool::arbitrary(g),
        }
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
        let this = self.clone();
        let plain = [
            Self { sack: Vec::new(), ..this.clone() },
            Self { timestamps: None, ..this.clone() },
            Self { syn_options: false, ..this.clone() },
            Self { seq: 0, ..this.clone() },
            Self { ack: 0, ..this.clone() },
            Self { len: 0, ..this.clone() },
            Self { flags: SegmentFlags::ACK.bits(), ..this.clone() },
        ];
        Box::new(plain.into_iter().filter(move |other| other.weight() < this.weight()))
    }
}

impl Blow {
    /// How far it is from a plain ACK.
    fn weight(&self) -> usize {
        self.sack.len()
            + usize::from(self.timestamps.is_some())
            + usize::from(self.syn_options)
            + usize::from(self.seq != 0)
            + usize::from(self.ack != 0)
            + usize::from(self.len != 0)
            + usize::from(self.flags != SegmentFlags::ACK.bits())
    }
}

impl Arbitrary for Op {
    fn arbitrary(g: &mut Gen) -> Self {
        match u8::arbitrary(g) % 32 {
            0..=13 => {
                Self::Inject((0..=u8::arbitrary(g) % 3).map(|_| Blow::arbitrary(g)).collect())
            }
            14 => Self::Octets((0..u8::arbitrary(g)).map(|_| u8::arbitrary(g)).collect()),
            15 => Self::PathError(u8::arbitrary(g), u16::arbitrary(g), distance(g)),
            16..=20 => Self::Write(pick(g, &[1, 100, 1_460, 50_000])),
            21..=23 => Self::Read(pick(g, &[1, 100, 60_000])),
            24 => pick(g, &[Self::Shutdown, Self::Close, Self::Release, Self::Abort]),
            25 => Self::Nodelay(bool::arbitrary(g)),
            26 => Self::Cork(bool::arbitrary(g)),
            27 => Self::Connect,
            _ => Self::Wait(pick(g, &[1, 40, 200, 1_000, 70_000])),
        }
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
        match self {
            Self::Inject(blows) => Box::new(blows.shrink().map(Self::Inject)),
            Self::Octets(octets) => Box::new(octets.shrink().map(Self::Octets)),
            _ => Box::new(core::iter::empty()),
        }
    }
}
