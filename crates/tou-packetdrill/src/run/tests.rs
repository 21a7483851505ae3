//! Tests of the runner on a stack that can do just enough: open, acknowledge,
//! retransmit its SYN once a second, and send what is written.

use core::time::Duration;
use std::path::Path;

use tou_proto::{Ecn, Instant, PathError, Port, ReceivedBatch};

use super::compare::Mode;
use super::expected::Expected;
use super::segment::{Segment, WireOption};
use super::suite::Suite;
use super::*;
use crate::ast::Flags;
use crate::lex::Defines;
use crate::parse::parse;
use crate::value::Errno;

/// One connection, and one listener, of a stack for tests.
#[derive(Debug)]
struct Toy {
    isn: u32,
    state: State,
    peer: Option<core::net::SocketAddr>,
    ports: (u16, u16),
    snd_nxt: u32,
    rcv_nxt: u32,
    received: Vec<u8>,
    timer: Option<Instant>,
    error: Option<Errno>,
    accepted: bool,
    out: Vec<Datagram>,
    /// Added to every acknowledgment number: a mistake to be found.
    mistake: u32,
    /// Added to every octet that is sent or read.
    noise: u8,
}

fn toy() -> Toy {
    Toy {
        isn: 0xffff_fff0,
        state: State::Closed,
        peer: None,
        ports: (0, 0),
        snd_nxt: 0,
        rcv_nxt: 0,
        received: Vec::new(),
        timer: None,
        error: None,
        accepted: false,
        out: Vec::new(),
        mistake: 0,
        noise: 0,
    }
}

impl Toy {
    fn emit(&mut self, flags: u16, options: Vec<WireOption>, data: Vec<u8>) {
        let acks = flags & Flags::ACK != 0;
        let segment = Segment {
            src: self.ports.0,
            dst: self.ports.1,
            seq: self.snd_nxt,
            ack: if acks { self.rcv_nxt.wrapping_add(self.mistake) } else { 0 },
            flags: Flags(flags),
            window: 5000,
            options,
            data,
            ..Segment::default()
        };
        let Some(peer) = self.peer else { return };
        let data = segment.emit().unwrap();
        self.out.push(Datagram { peer, ecn: Ecn::NotEct, data });
    }

    fn syn(&mut self, flags: u16) {
        self.snd_nxt = self.isn;
        self.emit(flags, vec![WireOption::Mss(1000)], Vec::new());
        self.snd_nxt = self.isn.wrapping_add(1);
    }
}

impl Stack for Toy {
    const ECN: bool = true;
    type Listener = ();
    type Conn = ();

    fn configure(&mut self, _: &Settings) -> Result<(), String> {
        Ok(())
    }

    fn handle_batch(&mut self, _: Instant, batch: &ReceivedBatch) {
        let segment = Segment::parse(&batch.data).unwrap();
        let len = segment.data.len() as u32;
        self.peer = Some(batch.peer);
        self.ports = (segment.dst, segment.src);
        match (self.state, segment.flags.has(Flags::SYN)) {
            (State::Listen, true) => {
                self.rcv_nxt = segment.seq.wrapping_add(1);
                self.state = State::SynReceived;
                self.syn(Flags::SYN | Flags::ACK);
            }
            (State::SynSent, true) => {
                self.rcv_nxt = segment.seq.wrapping_add(1);
                self.state = State::Established;
                self.timer = None;
                self.emit(Flags::ACK, Vec::new(), Vec::new());
            }
            (State::SynReceived | State::Established, false) => {
                self.state = State::Established;
                if segment.seq == self.rcv_nxt && len > 0 {
                    self.rcv_nxt = self.rcv_nxt.wrapping_add(len);
                    self.received.extend(segment.data);
                    self.emit(Flags::ACK, Vec::new(), Vec::new());
                }
            }
            _ => {}
        }
    }

    fn handle_path_error(&mut self, _: Instant, error: &PathError) {
        assert_eq!(error.quoted.get(4..8), Some(&self.isn.to_be_bytes()[..]));
        self.error = Some(Errno::ECONNREFUSED);
        self.state = State::Closed;
        self.timer = None;
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.timer.is_some_and(|due| due <= now) {
            self.timer = Some(now + Duration::from_secs(1));
            self.syn(Flags::SYN);
        }
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        self.timer
    }

    fn poll_transmit(&mut self, _: Instant, out: &mut Vec<Datagram>) {
        out.append(&mut self.out);
    }

    fn listen(&mut self, _: Instant, _: Port, _: usize, _: &Settings) -> Result<(), Errno> {
        self.state = State::Listen;
        Ok(())
    }

    fn unlisten(&mut self, _: Instant, (): ()) {}

    fn accept(&mut self, _: Instant, (): ()) -> Option<()> {
        let ready = self.state == State::Established && !self.accepted;
        self.accepted |= ready;
        ready.then_some(())
    }

    fn half_open(&self, (): ()) -> usize {
        usize::from(self.state == State::SynReceived)
    }

    fn connect(
        &mut self,
        now: Instant,
        remote: Remote,
        local: Port,
        _: &Settings,
    ) -> Result<(), Errno> {
        self.peer = Some(remote.udp);
        self.ports = (local.get(), remote.port.get());
        self.state = State::SynSent;
        self.timer = Some(now + Duration::from_secs(1));
        self.syn(Flags::SYN);
        Ok(())
    }

    fn reconfigure(&mut self, _: Instant, (): (), _: &Settings) -> Result<(), String> {
        Ok(())
    }

    fn read(&mut self, _: Instant, (): (), limit: usize, peek: bool) -> Result<Vec<u8>, Errno> {
        if self.received.is_empty() {
            return Err(Errno::EAGAIN);
        }
        let len = limit.min(self.received.len());
        let data = self.received[..len].iter().map(|o| o.wrapping_add(self.noise)).collect();
        self.received.drain(..if peek { 0 } else { len });
        Ok(data)
    }

    fn write(&mut self, _: Instant, (): (), data: &[u8], _: bool) -> Result<usize, Errno> {
        for chunk in data.chunks(1000) {
            let data = chunk.iter().map(|o| o.wrapping_add(self.noise)).collect();
            self.emit(Flags::ACK, Vec::new(), data);
            self.snd_nxt = self.snd_nxt.wrapping_add(chunk.len() as u32);
        }
        Ok(data.len())
    }

    fn mark_urgent(&mut self, _: Instant, (): ()) {}

    fn shutdown_write(&mut self, _: Instant, (): ()) -> Result<(), Errno> {
        Ok(())
    }

    fn close(&mut self, _: Instant, (): ()) {
        self.emit(Flags::FIN | Flags::ACK, Vec::new(), Vec::new());
    }

    fn abort(&mut self, _: Instant, (): ()) {
        self.emit(Flags::RST, Vec::new(), Vec::new());
    }

    fn forget(&mut self, _: Instant, (): ()) {
        self.state = State::Closed;
    }

    fn release(&mut self, (): ()) {}

    fn state_at(&self, _remote: Remote, _local: Port) -> State {
        self.state
    }

    fn state(&self, (): ()) -> State {
        self.state
    }

    fn info(&self, (): ()) -> Info {
        Info { snd_mss: 1000, cwnd: Some(10_000), ..Info::default() }
    }

    fn figure(&self, (): (), name: &str) -> Option<i64> {
        (name == "isn").then_some(i64::from(self.isn))
    }

    fn take_error(&mut self, (): ()) -> Option<Errno> {
        self.error.take()
    }

    fn readable(&self, (): ()) -> bool {
        !self.received.is_empty()
    }

    fn writable(&self, (): ()) -> bool {
        self.state == State::Established
    }

    fn peer_udp_port(&self, (): ()) -> Option<u16> {
        self.peer.map(|peer| peer.port())
    }
}

fn run_with(source: &str, mode: Mode, stack: Toy) -> Verdict {
    let script = parse(source, &Defines::new()).unwrap_or_else(|e| panic!("{e}")).script;
    Runner::run(stack, &script, mode, Limits::default())
}

fn run(source: &str) -> Verdict {
    run_with(source, Mode::Default, toy())
}

fn passes(source: &str) {
    match run(source) {
        Verdict::Pass => {}
        Verdict::Fail(failure) => panic!("{failure}"),
        other => panic!("{other:?}"),
    }
}

fn fails(source: &str) -> Failure {
    match run(source) {
        Verdict::Fail(failure) => failure,
        other => panic!("{other:?}"),
    }
}

fn skips(source: &str) -> String {
    match run(source) {
        Verdict::Skip(reason) => reason,
        other => panic!("{other:?}"),
    }
}

const OPEN: &str = "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 bind(3, ..., ...) = 0\n\
    +0 listen(3, 1) = 0\n+.1 < S 9:9(0) win 900\n+0 > S. 0:0(0) ack 10 <mss 1000>\n\
    +.1 < . 1:1(0) ack 1 win 900\n+0 accept(3, ..., ...) = 4\n";

const CALL: &str = "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n\
    +0 fcntl(3, F_SETFL, O_RDWR|O_NONBLOCK) = 0\n\
    +0 connect(3, ..., ...) = -1 EINPROGRESS (under way)\n+0 > S 0:0(0) <mss 1000>\n";

fn opened(rest: &str) -> String {
    format!("{OPEN}{rest}")
}

fn called(rest: &str) -> String {
    format!("{CALL}{rest}")
}

#[test]
fn a_passive_open_and_data_pass() {
    passes(&opened(
        "+.1 < P. 1:8(7) ack 1 win 900\n+0 > . 1:1(0) ack 8\n\
         +0 recv(4, ..., 4, MSG_PEEK) = 4\n+0 read(4, ..., 100) = 7\n",
    ));
}

#[test]
fn a_wrong_segment_shows_both_and_the_way_there() {
    let source = opened("+.1 < . 1:8(7) ack 1 win 900\n+0 > . 1:1(0) ack 7\n");
    let failure = fails(&source);
    assert_eq!(failure.line, 9);
    assert_eq!(failure.reason, "ack is 8, not 7");
    assert_eq!(failure.scripted.as_deref(), Some("> . 1:1(0) ack 7"));
    assert_eq!(failure.actual.as_deref(), Some("> . 1:1(0) ack 8 win 5000"));
    let sent = "0.300000 sent   > . 1:1(0) ack 8 win 5000";
    assert_eq!(failure.trace.last().map(String::as_str), Some(sent));
}

#[test]
fn a_mistake_of_the_stack_is_found() {
    let stack = Toy { mistake: 1, ..toy() };
    assert!(matches!(run_with(OPEN, Mode::Default, stack), Verdict::Fail(_)));
}

#[test]
fn octets_are_compared_both_ways() {
    let reads = "+0 < . 1:5(4) ack 1 win 9\n+0 > . 1:1(0) ack 5\n+0 read(4, ..., 9) = 4\n";
    let writes = "+0 write(4, ..., 7) = 7\n+0 > . 1:8(7) ack 1\n";
    for (rest, reason) in [
        (reads, "octet 0 of the stream is not what arrived"),
        (writes, "octet 0 of the stream is not what was written"),
    ] {
        passes(&opened(rest));
        let noisy = run_with(&opened(rest), Mode::Default, Toy { noise: 1, ..toy() });
        assert!(matches!(noisy, Verdict::Fail(failure) if failure.reason == reason));
    }
}

#[test]
fn time_does_not_go_back() {
    let failure = fails(&opened("0.1 getsockopt(4, SOL_SOCKET, SO_ERROR, [0], [4]) = 0\n"));
    assert_eq!(failure.reason, "it is 0.200000: 0.100000 has passed");
}

#[test]
fn a_retransmission_has_its_exact_time() {
    passes(&called("+1 > S 0:0(0) <...>\n2 > S 0:0(0) <...>\n* > S 0:0(0) <...>\n"));
    passes(&called("+.9~+1.1 > S 0:0(0) <...>\n"));
    let early = fails(&called("+1.005 > S 0:0(0) <...>\n"));
    assert_eq!(early.reason, "it is sent at 1.000000, not at 1.005000");
    let past = fails(&opened("+.1 < . 1:5(4) ack 1 win 9\n0.1 > . 1:1(0) ack 5\n"));
    assert_eq!(past.reason, "it is sent at 0.300000, not at 0.100000");
    let never = fails(&called("+.9 > S 0:0(0) <...>\n"));
    assert_eq!(never.reason, "nothing is sent");
    passes(&called("+1.004 > S 0:0(0) <...>\n"));
    passes(&format!("--tolerance_usecs=150000\n{}", called("+.9 > S 0:0(0) <...>\n")));
}

#[test]
fn a_relative_time_counts_from_what_happened() {
    // The second SYN may come 4 ms late; the third counts from when it came.
    passes(&called("+1.004 > S 0:0(0) <...>\n+1 > S 0:0(0) <...>\n"));
}

#[test]
fn a_segment_too_many_fails() {
    let between = called("+1.5 getsockopt(3, SOL_SOCKET, SO_ERROR, [0], [4]) = 0\n");
    let failure = fails(&between);
    assert_eq!(failure.reason, "a segment is sent at 1.000000 that is not scripted");
    assert_eq!(failure.line, 5);
    let later =
        called("+1.5 getsockopt(3, SOL_SOCKET, SO_ERROR, [0], [4]) = 0\n+0 > S 0:0(0) <...>\n");
    assert_eq!(fails(&later), Failure { trace: fails(&later).trace, ..failure });
    let end = opened("+0 < . 1:5(4) ack 1 win 9\n+0 read(4, ..., 9) = 4\n");
    assert_eq!(fails(&end).actual.as_deref(), Some("> . 1:1(0) ack 5 win 5000"));
}

#[test]
fn what_closing_sends_at_the_end_counts_only_when_strict() {
    let source = opened("+.1 close(4) = 0\n+0 close(3) = 0\n");
    passes(&source);
    let strict = run_with(&source, Mode::Strict, toy());
    assert!(
        matches!(strict, Verdict::Fail(f) if f.actual.as_deref() == Some("> F. 1:1(0) ack 1 win 5000"))
    );
    let unread = fails(&opened("+.1 < . 1:5(4) ack 1 win 9\n+0 close(4) = 0\n"));
    assert_eq!(unread.actual.as_deref(), Some("> . 1:1(0) ack 5 win 5000"));
    let before = called("+1.5 close(3) = 0\n");
    assert_eq!(fails(&before).reason, "a segment is sent at 1.000000 that is not scripted");
}

#[test]
fn a_call_that_blocks_returns_at_its_time() {
    let connect = |ends: &str| {
        format!(
            "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n.5...{ends} connect(3, ..., ...) = 0\n\
             +0 > S 0:0(0) <...>\n+.2 < S. 0:0(0) ack 1 win 9\n+0 > . 1:1(0) ack 1\n"
        )
    };
    passes(&connect("0.7"));
    assert_eq!(
        fails(&connect("0.9")).reason,
        "connect of line 2 returns at 0.700000, not at 0.900000"
    );
    let never = "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n.5...9 connect(3, ..., ...) = 0\n\
                 +0 > S 0:0(0) <...>\n";
    assert_eq!(fails(never).reason, "line 2: connect does not return");
}

#[test]
fn a_call_that_must_not_block_does_not() {
    assert_eq!(fails(&opened("+0 read(4, ..., 9) = 9\n")).reason, "read blocks");
    let nonblocking =
        opened("+0 fcntl(4, F_SETFL, O_NONBLOCK) = 0\n+0 read(4, ..., 9) = -1 EAGAIN (none)\n");
    passes(&nonblocking);
}

#[test]
fn results_and_errors_are_compared() {
    let wrong = fails(&opened("+0 fcntl(4, F_GETFL) = 0x802\n"));
    assert_eq!(wrong.reason, "fcntl gives 2, not 0x802");
    assert_eq!(fails(&opened("+0 close(7) = 0\n")).reason, "close gives -1 EBADF, not 0");
    passes(&opened("+0 close(7) = -1 EBADF (no)\n"));
}

#[test]
fn udp_ports_are_the_real_thing() {
    let open = |source: u16, answer: &str| {
        format!(
            "0 `sysctl -w net.inet.tcp.udp_tunneling_port=9811`\n{}\
             +.1 < S 9:9(0) win 900/udp({source} > 9811)\n+0 > S. 0:0(0) ack 10 <...>{answer}\n",
            "+0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 listen(3, 1) = 0\n"
        )
    };
    passes(&open(77, "/udp(9811 > 77)"));
    assert_eq!(fails(&open(77, "/udp(9811 > 78)")).reason, "it goes to UDP port 77, not 78");
    assert_eq!(fails(&open(77, "/udp(9812 > 77)")).reason, "it comes from UDP port 9811, not 9812");
    assert_eq!(fails(&open(77, "")).reason, "it goes to UDP port 77, not 20000");
}

#[test]
fn a_datagram_to_another_udp_port_does_not_arrive() {
    let source = "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 listen(3, 1) = 0\n\
        +0 `sysctl -w net.inet.tcp.udp_tunneling_port=5`\n\
        +.1 < S 0:0(0) win 9/udp(1 > 6)\n+0 > S. 0:0(0) ack 1 <...>/udp(5 > 1)\n";
    assert_eq!(fails(source).reason, "nothing is sent");
}

#[test]
fn the_socket_table_and_figures_can_be_looked_at() {
    let half = "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 listen(3, 1) = 0\n\
        +.1 < S 9:9(0) win 900\n+0 > S. 0:0(0) ack 10 <...>\n";
    let count = |state: &str, wanted: u8| {
        format!("{half}+0 `sockstat -4 -P tcp -s | grep -c {state} | grep {wanted}`\n")
    };
    passes(&count("SYN_RCVD", 1));
    assert_eq!(fails(&count("SYN_RCVD", 0)).reason, "1 sockets are in SynReceived, not 0");
    passes(&opened("+0 %{ assert tcpi_state == TCP_ESTABLISHED, tcpi_state }%\n"));
    passes(&opened("+0 %{ assert tcpi_snd_cwnd == 10 }%\n"));
    assert!(
        fails(&opened("+0 %{ assert tcpi_snd_cwnd == 11 }%\n")).reason.starts_with("assertion")
    );
}

#[test]
fn an_icmp_error_quotes_what_was_sent() {
    passes(&called(
        "+.1 < icmp unreachable port_unreachable [0:0(0)]\n\
         +0 getsockopt(3, SOL_SOCKET, SO_ERROR, [ECONNREFUSED], [4]) = 0\n\
         +0 getsockopt(3, SOL_SOCKET, SO_ERROR, [0], [4]) = 0\n",
    ));
}

#[test]
fn a_burst_may_be_scripted_as_one_segment() {
    let burst = "+0 write(4, ..., 2500) = 2500\n+0 > . 1:2501(2500) ack 1\n";
    passes(&opened(burst));
    assert!(matches!(run_with(&opened(burst), Mode::Strict, toy()), Verdict::Fail(_)));
    let apart = "+0 write(4, ..., 1500) = 1500\n+0 > . 1:1001(1000) ack 1\n\
                 +0 > . 1001:1501(500) ack 1\n";
    passes(&opened(apart));
}

#[test]
fn what_is_unknown_is_a_skip_with_its_text() {
    assert_eq!(skips(&opened("+0 epoll_create(1) = 5\n")), "call epoll_create");
    assert_eq!(skips(&opened("+0 `reboot`\n")), "shell line `reboot`");
    assert_eq!(skips(&opened("+0 `sysctl a=1`\n")), "sysctl a=1");
    assert_eq!(
        skips(&opened("+0 setsockopt(4, SOL_TCP, TCP_NEW, [1], 4) = 0\n")),
        "socket option SOL_TCP TCP_NEW"
    );
    assert_eq!(skips(&opened("+0 recv(4, ..., 9, MSG_OOB) = 1\n")), "recv with flags MSG_OOB");
    assert_eq!(skips(&format!("--speed=10\n{OPEN}")), "option --speed=10");
    assert_eq!(skips(&opened("+0 < (ttl 3) . 1:1(0) ack 1\n")), "IP header field ttl 3");
    assert_eq!(skips(&opened("+0 < . 1:1(0) ack 1 <md5 valid>\n")), "TCP option md5");
    assert_eq!(skips(&opened("+0 %{ assert tcpi_gone == 1 }%\n")), "code: tcpi_gone");
}

#[test]
fn a_script_that_expects_nothing_is_no_pass() {
    assert_eq!(
        skips("0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 close(3) = 0\n"),
        "nothing is expected"
    );
}

#[test]
fn every_mutation_of_a_script_that_passes_fails() {
    let source = opened(
        "+.1 < P. 1:8(7) ack 1 win 900\n+0 > . 1:1(0) ack 8\n\
         +0 write(4, ..., 1500) = 1500\n+0 > . 1:1501(1500) ack 8\n",
    );
    passes(&source);
    let script = parse(&source, &Defines::new()).unwrap().script;
    let mutants = mutate::mutations(&script, Mode::Default);
    assert_eq!(mutants.len(), 3 + 4 + 4);
    for mutant in mutants {
        let verdict = Runner::run(toy(), &mutant, Mode::Default, Limits::default());
        assert!(matches!(verdict, Verdict::Fail(_)), "{mutant}");
    }
}

#[test]
fn a_script_that_only_asks_the_runner_is_no_pass() {
    let reason = "nothing that it expects is the stack's to answer";
    let source = "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n\
        +0 getsockopt(3, SOL_TCP, TCP_KEEPCNT, [8], [4]) = 0\n";
    assert_eq!(skips(source), reason);
    let listen = "+0 listen(3, 1) = 0\n+0 %{ assert tcpi_state == TCP_LISTEN }%\n";
    assert_eq!(skips(&format!("{source}{listen}")), reason);
}

fn suite(text: &str, expected: &str) -> (Option<String>, &'static str) {
    let directory = std::env::temp_dir().join(format!("tou-pd-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let unique = text.len() * 1000 + expected.len();
    let path = directory.join(format!("{unique}.pkt"));
    std::fs::write(&path, text).unwrap();
    let expected = Expected::parse(&expected.replace("SELF", &format!("{unique}.pkt"))).unwrap();
    let suite = Suite { defines: &Defines::new(), expected: &expected, mode: Mode::Default };
    let entry = suite.run(Path::new(&path), toy);
    std::fs::remove_file(&path).unwrap();
    (entry.variant, entry.verdict.word())
}

#[test]
fn one_reading_that_passes_is_enough() {
    let text = format!(
        "{OPEN}+0 < . 1:5(4) ack 1 win 9\n#ifdef OTHER\n+0 > . 1:1(0) ack 9\n#endif\n\
         #ifdef OURS\n+0 > . 1:1(0) ack 5\n#endif\n"
    );
    assert_eq!(suite(&text, ""), (Some("OURS".to_owned()), "PASS"));
}

#[test]
fn a_failure_on_the_list_is_a_difference() {
    let text = opened("+0 < . 1:5(4) ack 1 win 9\n+0 > . 1:1(0) ack 9\n");
    assert_eq!(suite(&text, "").1, "FAIL");
    assert_eq!(suite(&text, "= RFC 1: because\nSELF").1, "DIFFER");
}
