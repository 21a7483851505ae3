//! Tests of the parser: snippets, what they read as, and round trips.

use super::*;
use crate::ast::{
    Direction, EcnMark, Encapsulation, Expr, Flags, IpField, OptionSpec, Options, PacketSpec,
    SeqSpec, TsVal,
};
use crate::error::ErrorKind;

fn read(source: &str) -> Script {
    parse(source, &Defines::new()).unwrap_or_else(|e| panic!("{e}: {source}")).script
}

fn refused(source: &str) -> ScriptError {
    parse(source, &Defines::new()).map(|p| p.script).unwrap_err()
}

fn segment(source: &str) -> PacketSpec {
    match read(&format!("0 {source}")).events.remove(0).action {
        Action::Packet(packet) => packet,
        other => panic!("no segment: {other}"),
    }
}

/// Reads, prints, reads again: the second reading must say the same.
fn goes_round(source: &str) {
    let first = read(source);
    let printed = first.to_string();
    let second = parse(&printed, &Defines::new()).unwrap_or_else(|e| panic!("{e}\n{printed}"));
    let actions =
        |s: &Script| -> Vec<_> { s.events.iter().map(|e| (e.time, e.action.clone())).collect() };
    assert_eq!(actions(&first), actions(&second.script), "{printed}");
    assert_eq!(printed, second.script.to_string());
}

#[test]
fn times_in_all_forms() {
    let script = read("1.5 `a`\n+.25 `b`\n+ 2 `c`\n1~2 `d`\n+0.5~+0.75 `e`\n* `f`\n`g`");
    let times: Vec<_> = script.events.iter().map(|e| e.time).collect();
    assert_eq!(
        times,
        [
            TimeSpec::Absolute(Usecs(1_500_000)),
            TimeSpec::Relative(Usecs(250_000)),
            TimeSpec::Relative(Usecs(2_000_000)),
            TimeSpec::AbsoluteRange(Usecs(1_000_000), Usecs(2_000_000)),
            TimeSpec::RelativeRange(Usecs(500_000), Usecs(750_000)),
            TimeSpec::Any,
            TimeSpec::Unset,
        ]
    );
}

#[test]
fn options_before_events() {
    let script = read("--mtu=1400\n--ip_version=ipv6\n--mtu=900\n\n0 `true`");
    assert_eq!(script.option("mtu"), Some("900"));
    assert_eq!(script.option("ip_version"), Some("ipv6"));
    assert_eq!(script.option("tolerance_usecs"), None);
    assert_eq!(script.events[0].line, 5);
}

#[test]
fn a_segment_with_everything() {
    let packet = segment(
        "< (ttl 9, ect0) 700 > 800 SEW 5:12(7) ack 3 win 90 urg 4 \
         <mss 900,wscale 3,TS val 7 ecr 0>/udp(44 > 55)",
    );
    let expected = PacketSpec {
        direction: Direction::Inbound,
        ip: vec![IpField::Ttl(9, false), IpField::Ecn(EcnMark::Ect0)],
        ports: Some((700, 800)),
        flags: Flags(Flags::SYN | Flags::ECE | Flags::CWR),
        seq: SeqSpec::Relative { start: 5, len: 7 },
        ack: Some((3, false)),
        window: Some(90),
        urgent: Some(4),
        options: Options::List(vec![
            OptionSpec::Mss(900),
            OptionSpec::WindowScale(3),
            OptionSpec::Timestamps { val: TsVal::Relative(7), ecr: TsVal::Relative(0) },
        ]),
        udp: Some(Encapsulation { src: 44, dst: 55 }),
    };
    assert_eq!(packet, expected);
}

#[test]
fn flags_with_and_without_the_dot() {
    let bits = |text: &str| segment(&format!("> {text} 0:0(0)")).flags.0;
    assert_eq!(bits("."), Flags::ACK);
    assert_eq!(bits("F."), Flags::FIN | Flags::ACK);
    assert_eq!(bits("SE."), Flags::SYN | Flags::ECE | Flags::ACK);
    assert_eq!(bits("F ."), Flags::FIN | Flags::ACK);
    assert_eq!(bits("F.E"), Flags::FIN | Flags::ACK | Flags::ECE);
    assert_eq!(bits("-"), 0);
}

#[test]
fn parts_left_out_stay_absent() {
    let packet = segment("> F. 9:9(0)");
    assert_eq!((packet.ack, packet.window, packet.urgent, packet.udp), (None, None, None, None));
    assert_eq!(packet.options, Options::List(Vec::new()));
    assert!(packet.ip.is_empty());
}

#[test]
fn sequence_numbers_relative_absolute_and_any() {
    assert_eq!(segment("> R. 0:0(0)! ack 2").seq, SeqSpec::Absolute { start: 0, len: 0 });
    assert_eq!(segment("> S. ...(0) ack 2 <...>").seq, SeqSpec::Any { len: 0 });
    let wraps = segment("< . 4294967290:4(10) ack 1").seq;
    assert_eq!(wraps, SeqSpec::Relative { start: 4_294_967_290, len: 10 });
}

#[test]
fn every_option_has_a_form() {
    let packet = segment(
        "> S 0:0(0) <nop,eol,sackOK,sack 1:9 20:30,TS val ... ecr 5!,FO,FO 0a1b,FOEXP cafe,\
         exp-FO,md5 valid, md5 00112233445566778899aabbccddeeff>",
    );
    let Options::List(options) = packet.options else { panic!() };
    assert_eq!(options[3], OptionSpec::Sack(vec![(1, 9), (20, 30)]));
    assert_eq!(options[4], OptionSpec::Timestamps { val: TsVal::Any, ecr: TsVal::Absolute(5) });
    assert_eq!(options[5], OptionSpec::FastOpen(vec![]));
    assert_eq!(options[6], OptionSpec::FastOpen(vec![0x0a, 0x1b]));
    assert_eq!(options[8], OptionSpec::FastOpenExperiment(vec![]));
    assert_eq!(options[9], OptionSpec::Md5(None));
    assert_eq!(options.len(), 11);
}

#[test]
fn ip_fields_in_both_brackets() {
    assert_eq!(segment(">[ce] . 1:1(0)").ip, [IpField::Ecn(EcnMark::Ce)]);
    let ip = segment("< (class 0x28, hlim 3) . 1:1(0)").ip;
    assert_eq!(ip, [IpField::Tos(0x28, true), IpField::Ttl(3, true)]);
}

#[test]
fn icmp_with_mtu_and_quote() {
    let script = read("0 <icmp unreachable frag_needed mtu 1300 [5:9(4)/udp(1 > 2)]");
    let Action::Icmp(icmp) = &script.events[0].action else { panic!() };
    assert_eq!((icmp.kind.as_str(), icmp.code.as_deref()), ("unreachable", Some("frag_needed")));
    let quote = icmp.quote.unwrap();
    assert_eq!(icmp.mtu, Some(1300));
    assert_eq!(quote.seq, SeqSpec::Relative { start: 5, len: 4 });
    assert_eq!(quote.udp, Some(Encapsulation { src: 1, dst: 2 }));
}

#[test]
fn an_icmp_without_quote_or_code() {
    let script = read("0 < icmp source_quench\n+1 < icmp packet_too_big mtu 1280");
    let Action::Icmp(icmp) = &script.events[1].action else { panic!() };
    assert_eq!((icmp.code.clone(), icmp.mtu, icmp.quote), (None, Some(1280), None));
}

fn call(source: &str) -> crate::ast::Call {
    match read(&format!("0 {source}")).events.remove(0).action {
        Action::Call(call) => call,
        other => panic!("no call: {other}"),
    }
}

#[test]
fn calls_with_results_errors_and_notes() {
    let plain = call("fcntl(3, F_GETFL) = 0x02 (flags O_RDWR|O_NONBLOCK)");
    assert_eq!(plain.outcome.value, Some(Expr::Int { value: 2, hex: true }));
    assert_eq!(plain.outcome.note.as_deref(), Some("flags O_RDWR|O_NONBLOCK"));
    let failed = call("write(4, ..., 10) = -1 EPIPE(Broken pipe)");
    assert_eq!(failed.outcome.value, Some(Expr::int(-1)));
    assert_eq!(failed.outcome.errno.as_deref(), Some("EPIPE"));
    assert_eq!(call("close(3) = ?").outcome.value, None);
}

#[test]
fn a_blocking_call_has_an_end() {
    let script = read("1...6.5 read (3, ..., 9) = 9");
    let Action::Call(call) = &script.events[0].action else { panic!() };
    assert_eq!(call.ends, Some(Usecs(6_500_000)));
    assert_eq!(script.events[0].time, TimeSpec::Absolute(Usecs(1_000_000)));
}

#[test]
fn arguments_nest() {
    let call = call(
        "sendmsg(4, {msg_name(...)=..., msg_iov(2)=[{..., 9}, {...,1}], msg_flags=A|B}, 0) = 10",
    );
    let Expr::Struct(fields) = &call.args[1] else { panic!() };
    let Expr::Field(name, value) = &fields[1] else { panic!() };
    assert_eq!(**name, Expr::Apply("msg_iov".to_owned(), vec![Expr::int(2)]));
    assert_eq!(value.to_string(), "[{..., 9}, {..., 1}]");
    let Expr::Field(_, flags) = &fields[2] else { panic!() };
    assert!(matches!(&**flags, Expr::Or(terms) if terms.len() == 2));
}

#[test]
fn scripts_go_round() {
    goes_round(
        "--mtu=1400\n--strict_segments\n`first`\n0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n\
         +0 fcntl(3, F_SETFL, O_RDWR|O_NONBLOCK) = 0\n\
         0.5...1.25 connect(3, {sa_family=AF_INET, sin_port=htons(7)}, ...) = -1 EINTR (oh no)\n\
         +.1 > SEW 0:0(0) win 9 <mss 536,nop,wscale 1,sackOK,TS val 9 ecr 0>/udp(5 > 6)\n\
         +.1~+.2 < [ect1] S. 7:7(0) ack 1 win 3 <FO 0102,nop,nop>\n\
         * > . 1:1(0) ack 8 <...>\n\
         3 > R. 0:0(0)! ack 2! <nop,nop,md5 valid>\n\
         +0 > S. ...(0) ack 2\n\
         +0 < - 1:1(0)\n\
         +1 < icmp unreachable frag_needed mtu 900 [1:9(8)/udp(5 > 6)]\n\
         +1 setsockopt(3, SOL_TCP, X, \"a\\\"b\", -4) = ?\n\
         +1 poll([{fd=3, events=POLLIN|POLLOUT}], 1, 0) = 0x1\n\
         +1 `second`\n+1 %{ assert a == 1, a }%\n`last`",
    );
}

#[test]
fn refusals_say_what_and_where() {
    let message = |source: &str| refused(source).to_string();
    assert_eq!(message("0 < S 0:5(4)"), "1:13: 0:5 are not 4 octets");
    assert_eq!(message("0 < Q 0:0(0)"), "1:5: expected TCP flags, found Q");
    assert_eq!(message("0 < S 0:0(0) win 70000"), "1:18: 70000 is out of range for a window");
    assert_eq!(message("0 < S 0:0(0) <mss>"), "1:18: expected an MSS, found >");
    assert_eq!(message("0 <..."), "1:4: expected TCP flags, found ...");
    assert_eq!(message("S 0:0(0)"), "1:1: expected a time, found S");
    assert_eq!(message("2~1 `x`"), "1:5: this range ends before it begins");
    assert_eq!(message("0 f(1, ) = 2"), "1:8: expected a value, found )");
    assert_eq!(message("0 f(1 2) = 2"), "1:7: expected `,` or `)`, found 2");
    assert_eq!(message("0 < S 0:0(0) <FO abc>"), "1:18: abc is half an octet too long");
}

#[test]
fn what_is_beyond_us_is_told_from_what_is_wrong() {
    let kind = |source: &str| refused(source).kind;
    for source in [
        "0 < sctp: INIT[]",
        "0 < encap psp spi 1 . 1:1(0)",
        "0 > udp (100)",
        "0 < S 0:0(0) <mss MSS>",
        "0 < S 0:0(0) <FO COOKIE>",
        "0 < S 0:0(0) <AccECN0 ee0b 1>",
        "0 < icmp unreachable CODE [1:2(1)]",
        "0 < icmp echo_request id 5",
        "0 < icmp unreachable port_unreachable [udp(8)]",
    ] {
        assert_eq!(kind(source), ErrorKind::Unsupported, "{source}");
    }
    assert_eq!(kind("0 < S 0:0(0) <...>"), ErrorKind::Syntax);
    assert_eq!(kind("0 < S ...(0)"), ErrorKind::Syntax);
}

#[test]
fn symbols_of_the_command_line_are_values() {
    let defines = Defines::new().with("MSS", "700").with("COOKIE", "0a0b");
    let source = "0 < S 0:0(0) <mss MSS,FO COOKIE>";
    let script = parse(source, &defines).unwrap().script;
    assert_eq!(script.to_string(), "0.000000 < S 0:0(0) <mss 700,FO 0a0b>\n");
}
