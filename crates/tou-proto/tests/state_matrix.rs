//! Every state against every kind of segment (RFC 9293 §3.10.7): what is
//! answered at once, and which state follows.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::sync::Arc;

use tou_proto::wire::SegmentFlags;
use tou_proto::{ConnId, Remote, State};
use tou_sim::script::{Script, ack, data, fin, rst, rst_ack, seg, syn, syn_ack};
use tou_sim::{Seg, presets};

/// A cell says `answer` or `answer>NEXT-STATE`. Answers: `-` none at once, `ack`
/// an acknowledgment, `sa` a SYN-ACK, `rst` a reset, `*` any of these.
///
/// In the rows' names, "next" is RCV.NXT and all are acknowledged that the
/// endpoint has sent, FIN included, unless said otherwise:
///
/// - `syn`, `syn-ack`: with the peer's initial number; `syn-ahead`: in the window
/// - `ack`: at next; `ack-unsent`: of what was never sent
/// - `data`: one octet at next; `data-old`: before it; `data-far`: beyond the window
/// - `fin`: at next; `fin-old`: the number before it, where a FIN that was
///   received is repeated
/// - `rst`: at next; `rst-ahead`: in the window; `rst-far`: outside; `rst-ack`: at
///   next with ACK
/// - `none`: no flags; `syn-fin`: both, at next; `xmas`: FIN, PSH, URG, ECE, CWR
///   and ACK
///
/// SYN-RECEIVED is that of a simultaneous open; handshake.rs and reset.rs have
/// the listener's.
const TABLE: &str = "
segment    CLOSED LISTEN          SYN-SENT        SYN-RECEIVED   ESTABLISHED    FIN-WAIT-1    FIN-WAIT-2    CLOSE-WAIT CLOSING     LAST-ACK TIME-WAIT
syn        rst    sa>SYN-RECEIVED sa>SYN-RECEIVED sa             ack            ack           ack           ack        ack         ack      ack
syn-ahead  rst    sa>SYN-RECEIVED sa>SYN-RECEIVED ack            ack            ack           ack           ack        ack         ack      *
syn-ack    rst    rst             ack>ESTABLISHED *>ESTABLISHED  ack            ack           ack           ack        ack         ack      ack
ack        rst    rst             -               ->ESTABLISHED  -              ->FIN-WAIT-2  -             -          ->TIME-WAIT ->CLOSED -
ack-unsent rst    rst             rst             rst            ack            ack           ack           ack        ack         ack      *
data       rst    rst             -               ->ESTABLISHED  -              ->FIN-WAIT-2  -             -          ->TIME-WAIT ->CLOSED *
data-old   rst    rst             -               ack            ack            ack           ack           ack        ack         ack      ack
data-far   rst    rst             -               ack            ack            ack           ack           ack        ack         ack      ack
fin        rst    rst             -               ack>CLOSE-WAIT ack>CLOSE-WAIT ack>TIME-WAIT ack>TIME-WAIT *          *>TIME-WAIT *>CLOSED ack
fin-old    rst    rst             -               ack            ack            ack           ack           ack        ack         ack      ack
rst        -      -               -               ->CLOSED       ->CLOSED       ->CLOSED      ->CLOSED      ->CLOSED   ->CLOSED    ->CLOSED -
rst-ahead  -      -               -               ack            ack            ack           ack           ack        ack         ack      -
rst-far    -      -               -               -              -              -             -             -          -           -        -
rst-ack    -      -               ->CLOSED        ->CLOSED       ->CLOSED       ->CLOSED      ->CLOSED      ->CLOSED   ->CLOSED    ->CLOSED -
none       rst    -               -               -              -              -             -             -          -           -        -
syn-fin    rst    sa>SYN-RECEIVED sa>SYN-RECEIVED ack            ack            ack           ack           ack        ack         ack      *
xmas       rst    rst             -               ack>CLOSE-WAIT ack>CLOSE-WAIT ack>TIME-WAIT ack>TIME-WAIT *          *>TIME-WAIT *>CLOSED ack
";

#[test]
fn every_state_takes_every_segment_as_the_table_says() {
    let mut lines = TABLE.trim().lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let states = lines.next().unwrap();
    let mut wrong = Vec::new();
    let mut cells = 0;
    for row in lines {
        assert_eq!(row.len(), states.len(), "{row:?}");
        for (state, cell) in states.iter().zip(&row).skip(1) {
            let (answer, next) = cell.split_once('>').unwrap_or((cell, state));
            let mut here = Here::enter(state);
            here.script.inject(here.segment(row[0]));
            let found = (here.answer(), here.state());
            if (answer != "*" && found.0 != answer) || found.1 != next {
                wrong.push(format!(
                    "{state}, {}: expected {cell}, but {}>{}",
                    row[0], found.0, found.1
                ));
            }
            // Whatever happened, life goes on.
            for _ in 0..20 {
                here.script.advance(1_000);
                here.script.take_output();
            }
            cells += 1;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(cells, 17 * 11);
}

/// An endpoint in a state.
struct Here {
    script: Script,
    /// `None` for CLOSED and LISTEN.
    conn: Option<ConnId>,
    name: &'static str,
    /// The peer's next number, and ours.
    peer_next: u32,
    our_next: u32,
}

impl Here {
    /// Follows the shortest way.
    fn enter(state: &str) -> Self {
        let name = NAMES.iter().find(|name| **name == state).unwrap();
        match state {
            "CLOSED" => return Self::without(Script::new(Arc::default()), name),
            "LISTEN" => return Self::without(Script::listening(Arc::default()), name),
            _ => {}
        }
        let mut script = Script::with_connection(presets::plain());
        if state == "SYN-SENT" || state == "SYN-RECEIVED" {
            let conn = script.connect();
            script.expect(syn(0));
            if state == "SYN-RECEIVED" {
                script.inject(syn(0));
                script.expect(syn_ack(0, 1));
            }
            let peer_next = u32::from(state == "SYN-RECEIVED");
            return Self { script, conn: Some(conn), name, peer_next, our_next: 1 }.checked();
        }
        let conn = script.establish(syn(0));
        let (mut peer_next, mut our_next) = (1, 1);
        if ["CLOSE-WAIT", "LAST-ACK"].contains(&state) {
            script.inject(fin(1, 1));
            script.expect(ack(1, 2));
            peer_next = 2;
        }
        if !["ESTABLISHED", "CLOSE-WAIT"].contains(&state) {
            script.host.shutdown(conn).unwrap();
            script.expect(fin(1, peer_next));
            our_next = 2;
        }
        if ["FIN-WAIT-2", "TIME-WAIT"].contains(&state) {
            script.inject(ack(1, 2));
            script.expect_nothing();
        }
        if ["CLOSING", "TIME-WAIT"].contains(&state) {
            script.inject(fin(1, if state == "CLOSING" { 1 } else { 2 }));
            script.expect(ack(2, 2));
            peer_next = 2;
        }
        Self { script, conn: Some(conn), name, peer_next, our_next }.checked()
    }

    fn without(script: Script, name: &'static str) -> Self {
        Self { script, conn: None, name, peer_next: 1, our_next: 1 }.checked()
    }

    fn checked(self) -> Self {
        assert_eq!(self.state(), self.name);
        self
    }

    fn segment(&self, kind: &str) -> Seg {
        let Self { peer_next: next, our_next: all, .. } = *self;
        let xmas = SegmentFlags::PSH | SegmentFlags::ECE | SegmentFlags::CWR;
        match kind {
            "syn" => syn(0),
            "syn-ahead" => syn(next + 10),
            "syn-ack" => syn_ack(0, 1),
            "ack" => ack(next, all),
            "ack-unsent" => ack(next, all + 1),
            "data" => data(next, all, "x"),
            "data-old" => data(next.wrapping_sub(1), all, "x"),
            "data-far" => data(next + 100_000, all, "x"),
            "fin" => fin(next, all),
            "fin-old" => fin(next.wrapping_sub(1), all),
            "rst" => rst(next),
            "rst-ahead" => rst(next + 1),
            "rst-far" => rst(next + 100_000),
            "rst-ack" => rst_ack(next, all),
            "none" => seg(SegmentFlags::EMPTY).seq(next),
            "syn-fin" => syn(next).with(SegmentFlags::FIN),
            "xmas" => fin(next, all).with(xmas).urg(1),
            other => panic!("what is {other}?"),
        }
    }

    /// What came out at once.
    fn answer(&mut self) -> String {
        let names: BTreeMap<u8, &str> = [
            (SegmentFlags::ACK, "ack"),
            (SegmentFlags::SYN | SegmentFlags::ACK, "sa"),
            (SegmentFlags::RST, "rst"),
            (SegmentFlags::RST | SegmentFlags::ACK, "rst"),
        ]
        .map(|(flags, name)| (flags.bits(), name))
        .into();
        let out = self.script.take_output();
        let answers: Vec<String> = out
            .iter()
            .map(|(header, _)| match names.get(&header.flags.bits()) {
                Some(name) => (*name).to_owned(),
                None => header.display(0).to_string(),
            })
            .collect();
        if answers.is_empty() { "-".to_owned() } else { answers.join("+") }
    }

    fn state(&self) -> String {
        match self.conn {
            Some(conn) => self.script.state(conn).to_string(),
            None => {
                let remote = Remote { addr: self.script.peer, port: self.script.peer_port };
                let endpoint = self.script.host.endpoint();
                endpoint.state_of(remote, self.script.local_port).to_string()
            }
        }
    }
}

const NAMES: [&str; 11] = [
    "CLOSED",
    "LISTEN",
    "SYN-SENT",
    "SYN-RECEIVED",
    "ESTABLISHED",
    "FIN-WAIT-1",
    "FIN-WAIT-2",
    "CLOSE-WAIT",
    "CLOSING",
    "LAST-ACK",
    "TIME-WAIT",
];

#[test]
fn states_have_their_names() {
    let states = [
        State::Closed,
        State::Listen,
        State::SynSent,
        State::SynReceived,
        State::Established,
        State::FinWait1,
        State::FinWait2,
        State::CloseWait,
        State::Closing,
        State::LastAck,
        State::TimeWait,
    ];
    assert_eq!(states.map(|state| state.to_string()), NAMES);
}
