//! `tou recv` and `tou send` with peers that do not keep to the protocol. What
//! goes over the wire is written here once more, octet by octet, from
//! docs/FILE-TRANSFER.md.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use core::time::Duration;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::thread;

use common::*;
use tou_mio::{TouListener, TouStream};

const ABC_SHA256: [u8; 32] = [
    0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23,
    0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad,
];

fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind], &(body.len() as u32).to_be_bytes()[..], body].concat()
}

fn offer(name: &[u8], size: u64) -> Vec<u8> {
    frame(1, &[&[0], &0o644_u32.to_be_bytes()[..], &size.to_be_bytes(), name].concat())
}

fn start_at(position: u64) -> Vec<u8> {
    frame(2, &position.to_be_bytes())
}

/// A sender that was greeted.
fn sender(addr: &str) -> TouStream {
    let mut stream = TouStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(b"tou-send\x01").unwrap();
    let mut greeting = [0; 9];
    stream.read_exact(&mut greeting).unwrap();
    assert_eq!(&greeting, b"tou-recv\x01");
    stream
}

/// The next frame.
fn answer(mut stream: &TouStream) -> (u8, Vec<u8>) {
    let mut header = [0; 5];
    stream.read_exact(&mut header).unwrap();
    let [kind, length @ ..] = header;
    let mut body = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut body).unwrap();
    (kind, body)
}

fn text(body: &[u8]) -> &str {
    core::str::from_utf8(body).unwrap()
}

#[test]
fn the_protocol_is_as_documented() {
    let inbox = TempDir::new("documented");
    let (server, addr) = recv(&inbox, &["--once"]);
    let mut stream = sender(&addr);
    stream.write_all(&offer(b"abc", 3)).unwrap();
    let (kind, body) = answer(&stream);
    assert_eq!((kind, &body[..8]), (0x81, &[0; 8][..]));
    stream.write_all(&[start_at(0), frame(3, b"a"), frame(3, b"bc")].concat()).unwrap();
    assert_eq!(inbox.names(), [".abc.tou-part"]);
    stream.write_all(&frame(4, &ABC_SHA256)).unwrap();
    assert_eq!(answer(&stream), (0x83, Vec::new()));
    assert_eq!(inbox.read("abc"), b"abc");
    stream.write_all(&frame(6, &[])).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    stream.shutdown(Shutdown::Write).unwrap();
    server.finish().ok();
}

#[test]
fn names_that_lead_out_of_the_directory_are_refused() {
    let inbox = TempDir::new("hostile-names");
    let (_server, addr) = recv(&inbox, &["--force"]);
    let mut stream = sender(&addr);
    let long = "x".repeat(241);
    for (name, reason) in [
        (&b""[..], "a file needs a name"),
        (b"/etc/motd", "the name leads to another directory"),
        (b"../file", "the name leads to another directory"),
        (b"..", "the name is that of a directory"),
        (b"dir/file", "the name leads to another directory"),
        (b"dir\\file", "the name leads to another directory"),
        (b"file\0", "the name has control characters"),
        (b"\x1b[2J", "the name has control characters"),
        (b".file.tou-part", "the name is kept for partial files"),
        (long.as_bytes(), "the name is longer than 240 bytes"),
    ] {
        stream.write_all(&offer(name, 3)).unwrap();
        let (kind, body) = answer(&stream);
        assert_eq!((kind, text(&body)), (0x82, reason));
    }
    // The connection is good for an honest file still.
    stream.write_all(&offer(b"honest", 3)).unwrap();
    assert_eq!(answer(&stream).0, 0x81);
    assert_eq!(inbox.names(), [".honest.tou-part"]);
}

#[test]
fn a_name_that_is_being_received_is_refused() {
    let inbox = TempDir::new("busy");
    let (_server, addr) = recv(&inbox, &[]);
    let mut first = sender(&addr);
    first.write_all(&offer(b"file", 3)).unwrap();
    assert_eq!(answer(&first).0, 0x81);
    let mut second = sender(&addr);
    second.write_all(&offer(b"file", 3)).unwrap();
    let (kind, body) = answer(&second);
    let reason = "another sender is sending a file of that name";
    assert_eq!((kind, text(&body)), (0x82, reason));
}

#[test]
fn what_does_not_have_its_hash_is_not_stored() {
    let inbox = TempDir::new("wrong-hash");
    let (server, addr) = recv(&inbox, &["--once"]);
    let mut stream = sender(&addr);
    stream.write_all(&offer(b"abc", 3)).unwrap();
    assert_eq!(answer(&stream).0, 0x81);
    stream.write_all(&[start_at(0), frame(3, b"abd"), frame(4, &ABC_SHA256)].concat()).unwrap();
    let (kind, body) = answer(&stream);
    let reason = "what arrived has another SHA-256 than what was sent";
    assert_eq!((kind, text(&body)), (0x84, reason));
    drop(stream);
    assert!(server.finish().failed(1).ends_with(reason));
    assert!(inbox.names().is_empty(), "{:?}", inbox.names());
}

#[test]
fn senders_that_do_not_keep_to_the_protocol_are_sent_away() {
    let inbox = TempDir::new("hostile");
    let (server, addr) = recv(&inbox, &[]);
    let more = [offer(b"more", 3), start_at(0), frame(3, b"abcd")].concat();
    let less = [offer(b"less", 4), start_at(0), frame(3, b"abc"), frame(4, &ABC_SHA256)].concat();
    let late = [offer(b"late", 4), start_at(7)].concat();
    let twice = [offer(b"twice", 4), offer(b"twice", 4)].concat();
    let conversations = [
        frame(3, b"data without an offer"),
        frame(0x83, b""),
        frame(0x77, b"what?"),
        frame(4, &[0; 31]),
        vec![3, 0xff, 0xff, 0xff, 0xff],
        more,
        less,
        late,
        twice,
        noise(100_000, 1),
    ];
    for conversation in &conversations {
        let mut stream = sender(&addr);
        // It may be reset before all is written.
        let _ = stream.write_all(conversation);
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
    }
    for greeting in [&b"tou-send\x02"[..], b"tou-recv\x01", b"GET / HTTP/1.0\r\n\r\n", b"x", b""] {
        let mut stream = TouStream::connect(&*addr).unwrap();
        stream.write_all(greeting).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    }
    // None of that harms an honest sender.
    let outbox = TempDir::new("hostile-out");
    run(&["send", &outbox.write("honest", b"honest"), &addr]).ok();
    assert_eq!(inbox.read("honest"), b"honest");
    assert_eq!(inbox.names(), ["honest"]);
    server.signal("-INT");
    let outcome = server.finish();
    assert_eq!(outcome.code(), Some(130));
    let lines: Vec<_> = outcome.stderr.lines().collect();
    assert!(lines.len() >= conversations.len(), "{}", outcome.stderr);
    for line in lines {
        assert!(line.starts_with("tou: ") && !line.contains("panic"), "{line}");
    }
}

/// What `tou send` says to a receiver that answers the greeting with this.
fn sent_to(answers: Vec<u8>) -> String {
    sent_with(&[], answers)
}

/// The same with options.
fn sent_with(options: &[&str], answers: Vec<u8>) -> String {
    let outbox = TempDir::new(&format!("to-hostile-{}", answers.len()));
    let file = outbox.write("file", b"abc");
    let listener = TouListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    let receiver = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(&answers).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let outcome = run(&[&["send", &file, &addr], options].concat());
    receiver.join().unwrap();
    outcome.failed(1).to_owned()
}

#[test]
fn a_receiver_that_does_not_end_is_left_after_the_idle_timeout() {
    let answers = [&b"tou-recv\x01"[..], &frame(0x82, b"no")].concat();
    let line = sent_with(&["--idle-timeout", "300ms"], answers);
    assert_eq!(line, "tou: the receiver was idle for too long");
}

#[test]
fn receivers_that_do_not_keep_to_the_protocol_are_left() {
    let greeting = b"tou-recv\x01".to_vec();
    let with = |frames: &[u8]| sent_to([&greeting[..], frames].concat());
    assert!(sent_to(b"HTTP/1.0 400 Bad Request".to_vec()).ends_with("file protocol"));
    assert!(sent_to(b"tou-recv\x09".to_vec()).contains("speaks version 9"));
    assert!(with(&frame(0x83, b"")).ends_with("out of turn"));
    assert!(with(&frame(0x11, b"")).contains("unknown frame (0x11)"));
    assert!(with(&[0x82, 0xff, 0xff, 0xff, 0xff]).contains("of 4294967295 bytes"));
    // More than there is.
    let accept = frame(0x81, &[&9_u64.to_be_bytes()[..], &[0; 32]].concat());
    assert!(with(&accept).ends_with("out of turn"));
    let refused = with(&[frame(0x82, b"because \x1b[2J of \xff that"), frame(0x83, b"")].concat());
    assert!(!refused.contains('\x1b'), "{refused:?}");
}
