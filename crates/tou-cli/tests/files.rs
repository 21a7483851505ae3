//! `tou send` and `tou recv`, as people use them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::fs::{self, OpenOptions};
use std::io::{IsTerminal, Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Command, Stdio};

use common::*;

/// Sends files to a receiver of the directory that takes one sender.
fn transfer(inbox: &TempDir, options: &[&str], files: &[&str]) -> (Outcome, Outcome) {
    let (server, addr) = recv(inbox, &[&["--once"], options].concat());
    let args = [&["send"], options, files, &[&addr]].concat();
    let client = run(&args);
    (server.finish(), client)
}

#[test]
fn files_keep_their_names_and_modes() {
    let (outbox, inbox) = (TempDir::new("names-out"), TempDir::new("names-in"));
    let data = noise(3 << 20, 1);
    let big = outbox.write("big file ä.bin", &data);
    let empty = outbox.write("empty", b"");
    let script = outbox.write(".script.sh", b"#!/bin/sh\n");
    for (path, mode) in [(&big, 0o640), (&script, 0o755), (&empty, 0o600)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let (server, client) = transfer(&inbox, &[], &[&big, &empty, &script]);
    let (server, client) = (server.ok(), client.ok());
    assert_eq!(inbox.names(), [".script.sh", "big file ä.bin", "empty"]);
    assert_same(&inbox.read("big file ä.bin"), &data);
    assert_eq!(inbox.read("empty"), b"");
    let mode = |name| fs::metadata(inbox.at(name)).unwrap().permissions().mode() & 0o700;
    let modes = ["big file ä.bin", ".script.sh", "empty"].map(mode);
    assert_eq!(modes, [0o600, 0o700, 0o600]);
    for (text, verb) in [(client.text(), "sent"), (server.text(), "received")] {
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines[0].starts_with(&format!("{verb} big file ä.bin, ")), "{text}");
        assert!(lines[0].contains(": 3,145,728 bytes in "), "{text}");
        // FIPS 180-2, of nothing.
        assert!(lines[1].contains("SHA-256 e3b0c44298fc1c149afbf4c8996fb924"), "{text}");
    }
    // No bars, as nobody looks.
    assert_eq!((server.stderr.as_str(), client.stderr.as_str()), ("", ""));
}

#[test]
fn files_survive_a_bad_network() {
    let (outbox, inbox) = (TempDir::new("bad-out"), TempDir::new("bad-in"));
    let data = noise(2 << 20, 2);
    let file = outbox.write("file", &data);
    let network = ["--drop", "0.05", "--dup", "0.02", "--reorder", "0.05", "--mss", "8000"];
    let (server, client) = transfer(&inbox, &network, &[&file]);
    server.ok();
    client.ok();
    assert_same(&inbox.read("file"), &data);
}

#[test]
fn many_senders_are_served_at_once() {
    let (outbox, inbox) = (TempDir::new("many-out"), TempDir::new("many-in"));
    let (_server, addr) = recv(&inbox, &[]);
    let clients: Vec<_> = (0..12)
        .map(|number| {
            let data = noise(300_000, number);
            let file = outbox.write(&format!("file-{number}"), &data);
            (number, data, start(tou(&["send", &file, &addr])))
        })
        .collect();
    for (number, data, client) in clients {
        client.finish().ok();
        assert_same(&inbox.read(&format!("file-{number}")), &data);
    }
    assert_eq!(inbox.names().len(), 12);
}

#[test]
fn existing_files_stay_unless_forced() {
    let (outbox, inbox) = (TempDir::new("force-out"), TempDir::new("force-in"));
    let (old, new) = (outbox.write("file", b"new"), outbox.write("other", b"other"));
    inbox.write("file", b"old");
    let (server, client) = transfer(&inbox, &[], &[&old, &new]);
    let line = "tou: the receiver refused file: there is such a file already";
    assert_eq!(client.failed(1), line);
    assert!(server.failed(1).starts_with("tou: file, from 127.0.0.1:"), "{}", server.stderr);
    // One that was refused does not hold up the others.
    assert_eq!((inbox.read("file"), inbox.read("other")), (b"old".into(), b"other".into()));
    let (server, addr) = recv(&inbox, &["--once", "--force"]);
    run(&["send", &old, &addr]).ok();
    server.finish().ok();
    assert_eq!(inbox.read("file"), b"new");
    assert_eq!(inbox.names(), ["file", "other"]);
}

#[test]
fn a_link_in_the_directory_leads_nowhere() {
    let (outbox, inbox) = (TempDir::new("link-out"), TempDir::new("link-in"));
    let victim = outbox.write("victim", b"precious");
    let file = outbox.write("file", b"evil");
    symlink(&victim, inbox.at("file")).unwrap();
    let (_, client) = transfer(&inbox, &[], &[&file]);
    assert!(client.failed(1).ends_with("there is such a file already"), "{}", client.stderr);
    let (server, addr) = recv(&inbox, &["--once", "--force"]);
    run(&["send", &file, &addr]).ok();
    server.finish().ok();
    assert_eq!((outbox.read("victim"), inbox.read("file")), (b"precious".into(), b"evil".into()));
    assert!(fs::symlink_metadata(inbox.at("file")).unwrap().is_file());
}

#[test]
fn json_has_an_object_for_each_file() {
    let (outbox, inbox) = (TempDir::new("json-out"), TempDir::new("json-in"));
    let (abc, taken) = (outbox.write("abc", b"abc"), outbox.write("taken", b""));
    inbox.write("taken", b"");
    let (server, client) = transfer(&inbox, &["--json", "--stats"], &[&abc, &taken]);
    for outcome in [&server, &client] {
        assert_eq!(outcome.code(), Some(1));
        let [stored, failed] = &objects(outcome.text())[..] else { panic!("{}", outcome.text()) };
        assert_eq!((&stored["event"], &stored["name"]), (&"stored".into(), &"abc".into()));
        assert_eq!((&stored["bytes"], &stored["resumed_at"]), (&3.into(), &0.into()));
        // FIPS 180-2, appendix B.1.
        let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(stored["sha256"], hash);
        assert_eq!((&failed["event"], &failed["name"]), (&"failed".into(), &"taken".into()));
        assert!(failed["reason"].as_str().unwrap().ends_with("such a file already"));
        let (stats, last) = outcome.stderr.trim_end().split_once('\n').unwrap();
        assert!(objects(stats)[0]["connection"]["segments_sent"].as_u64().unwrap() > 0);
        assert!(last.starts_with("tou: "), "{last}");
    }
}

#[test]
fn files_that_cannot_be_read_are_named_before_anything_is_sent() {
    let outbox = TempDir::new("unreadable");
    let fine = outbox.write("fine", b"");
    for (path, reason) in [
        ("/no/such/file", "cannot read /no/such/file: no such file or directory"),
        ("/", "cannot send /: the name leads to another directory"),
        (outbox.path(), "is a directory"),
        ("/dev/null", "cannot read /dev/null: not a regular file"),
    ] {
        // Nobody is even asked.
        let outcome = run(&["send", &fine, path, "127.0.0.1:1"]);
        assert!(outcome.failed(1).ends_with(reason), "{}", outcome.stderr);
    }
    let odd = outbox.write("a\n\x1b[2J", b"");
    let outcome = run(&["send", &odd, "127.0.0.1:1"]);
    let line = outcome.failed(1);
    assert!(line.ends_with("/a\u{fffd}\u{fffd}[2J: the name has control characters"), "{line}");
}

#[test]
fn options_may_stand_between_files_and_files_may_look_like_options() {
    let (outbox, inbox) = (TempDir::new("order-out"), TempDir::new("order-in"));
    let files = ["a", "b", "-x", "--json"].map(|name| outbox.write(name, name.as_bytes()));
    let (_server, addr) = recv(&inbox, &[]);
    run(&["send", &files[0], "--json", &files[1], "--cc", "reno", &addr]).ok();
    let mut command = tou(&["send", "--", "-x", "--json", &addr]);
    command.current_dir(outbox.path());
    start(command).finish().ok();
    assert_eq!(inbox.names(), ["--json", "-x", "a", "b"]);
    for args in [&["send"][..], &["send", &files[0]], &["send", "--json", &addr]] {
        assert!(run(args).failed(2).contains("is FILE... HOST:PORT"), "{args:?}");
    }
    let line = run(&["send", &files[0], &files[1]]).failed(2).to_owned();
    assert!(line.contains("for '<HOST:PORT>': a peer is HOST:PORT"), "{line}");
}

#[test]
fn small_files_do_not_wait_for_delayed_acknowledgments() {
    let (outbox, inbox) = (TempDir::new("small-out"), TempDir::new("small-in"));
    let files: Vec<_> = (0..20).map(|n| outbox.write(&format!("file-{n}"), b"content")).collect();
    let files: Vec<_> = files.iter().map(String::as_str).collect();
    let log = TempFile::new("small-segments", b"");
    let (server, addr) = recv(&inbox, &["--once"]);
    let options = ["send", "--segments", "--log-file", log.path()];
    run(&[&options[..], &files, &[&addr]].concat()).ok();
    server.finish().ok();
    // START is the frame of 13 octets. What follows it must not have been held
    // back until an acknowledgment came; by chance one may come first.
    let text = log.text();
    let lines: Vec<_> = text.lines().collect();
    let is = |line: &str, event, len| line.contains(event) && line.ends_with(len);
    let waits = lines
        .windows(2)
        .filter(|two| is(two[0], " sent ", "length 13") && is(two[1], " received ", "length 0"));
    assert!(waits.count() < files.len() / 2, "{text}");
}

#[test]
fn a_directory_that_cannot_be_used_is_named() {
    let dir = TempDir::new("not-a-directory");
    let file = dir.write("file", b"");
    for (dir, reason) in [("/no/such/dir", "no such file or directory"), (&file, "not a directory")]
    {
        let outcome = run(&["recv", "127.0.0.1:0", "--dir", dir]);
        assert_eq!(outcome.failed(1), format!("tou: cannot use directory {dir}: {reason}"));
    }
}

#[test]
fn a_sender_that_is_killed_is_missed_and_may_go_on_later() {
    let (outbox, inbox) = (TempDir::new("killed-out"), TempDir::new("killed-in"));
    let data = noise(4 << 20, 3);
    let file = outbox.write("file", &data);
    let (server, addr) = recv(&inbox, &["--once", "--user-timeout", "1s"]);
    let client = start(slow_sender(&file, &addr));
    let partial = inbox.at(".file.tou-part");
    wait_until("some of it arrives", || fs::metadata(&partial).is_ok_and(|file| file.len() > 0));
    client.signal("-KILL");
    let outcome = server.finish();
    let line = outcome.failed(1);
    assert!(line.starts_with("tou: file, from 127.0.0.1:"), "{line}");
    assert!(line.contains(": connection timed out: the sender does not answer; "), "{line}");
    assert!(line.ends_with(" of 4,194,304 bytes had arrived"), "{line}");
    assert_eq!(inbox.names(), [".file.tou-part"]);

    // The beginning is there, and is not sent again.
    let present = fs::metadata(&partial).unwrap().len();
    let (server, addr) = recv(&inbox, &["--once"]);
    let client = run(&["send", "--resume", "--json", &file, &addr]).ok();
    server.finish().ok();
    let stored = &objects(client.text())[0];
    assert_eq!((&stored["resumed_at"], &stored["bytes"]), (&present.into(), &data.len().into()));
    assert_same(&inbox.read("file"), &data);
    assert_eq!(inbox.names(), ["file"]);
}

/// A sender that needs some seconds for a file of some mebibytes.
fn slow_sender(file: &str, addr: &str) -> Command {
    let slow = ["--send-buffer", "16KiB", "--delay", "20ms", "--user-timeout", "1s"];
    tou(&[&["send"], &slow[..], &[file, addr]].concat())
}

#[test]
fn what_is_there_is_not_trusted() {
    let (outbox, inbox) = (TempDir::new("trust-out"), TempDir::new("trust-in"));
    let data = noise(500_000, 4);
    let file = outbox.write("file", &data);
    for (present, options, resumed_at) in [
        (&data[..200_000], &["--resume"][..], 200_000),
        (&data[..], &["--resume"], data.len()),
        // Without being asked for nothing is resumed.
        (&data[..200_000], &[], 0),
        // Another file's, or a damaged beginning.
        (&noise(200_000, 5), &["--resume"], 0),
        // Longer than the file.
        (&[&data[..], b"more"].concat(), &["--resume"], 0),
    ] {
        inbox.write(".file.tou-part", present);
        let (server, addr) = recv(&inbox, &["--once"]);
        let args = [&["send", "--json", &file, &addr], options].concat();
        let client = run(&args).ok();
        server.finish().ok();
        assert_eq!(objects(client.text())[0]["resumed_at"], resumed_at);
        assert_same(&inbox.read("file"), &data);
        assert_eq!(inbox.names(), ["file"]);
        fs::remove_file(inbox.at("file")).unwrap();
    }
}

#[test]
fn a_receiver_that_is_killed_is_missed() {
    let (outbox, inbox) = (TempDir::new("receiver-out"), TempDir::new("receiver-in"));
    let file = outbox.write("file", &noise(4 << 20, 6));
    let (server, addr) = recv(&inbox, &[]);
    let client = start(slow_sender(&file, &addr));
    let partial = inbox.at(".file.tou-part");
    wait_until("some of it arrives", || fs::metadata(&partial).is_ok_and(|file| file.len() > 0));
    server.signal("-KILL");
    let outcome = client.finish();
    let line = outcome.failed(1);
    assert!(line.starts_with("tou: connection timed out: the peer does not answer; "), "{line}");
    assert!(line.ends_with(" were delivered"), "{line}");
}

#[test]
fn an_interrupted_sender_tells_the_receiver() {
    let (outbox, inbox) = (TempDir::new("ctrl-c-out"), TempDir::new("ctrl-c-in"));
    let file = outbox.write("file", &noise(4 << 20, 7));
    let (server, addr) = recv(&inbox, &["--once"]);
    let client = start(slow_sender(&file, &addr));
    let partial = inbox.at(".file.tou-part");
    wait_until("some of it arrives", || fs::metadata(&partial).is_ok_and(|file| file.len() > 0));
    client.signal("-INT");
    assert_eq!(client.finish().code(), Some(130));
    let outcome = server.finish();
    let line = outcome.failed(1);
    assert!(line.contains(": connection reset by peer; "), "{line}");
    assert!(line.ends_with(" of 4,194,304 bytes had arrived"), "{line}");
}

#[test]
fn an_interrupted_receiver_tells_the_sender() {
    let (outbox, inbox) = (TempDir::new("stop-out"), TempDir::new("stop-in"));
    let file = outbox.write("file", &noise(4 << 20, 8));
    let (server, addr) = recv(&inbox, &[]);
    let client = start(slow_sender(&file, &addr));
    let partial = inbox.at(".file.tou-part");
    wait_until("some of it arrives", || fs::metadata(&partial).is_ok_and(|file| file.len() > 0));
    server.signal("-INT");
    assert_eq!(server.finish().code(), Some(130));
    let outcome = client.finish();
    assert!(outcome.failed(1).starts_with("tou: connection reset by peer; "), "{}", outcome.stderr);
    assert_eq!(inbox.names(), [".file.tou-part"], "for --resume");
}

/// Runs a receiver that cannot store what it gets, and asserts that both sides
/// say so.
#[track_caller]
fn fails_to_store(server: Command, inbox: &TempDir, reason: &str) {
    let outbox = TempDir::new(&format!("{}-out", reason.replace(' ', "-")));
    let file = outbox.write("file", &noise(8 << 20, 9));
    let (server, addr) = serve(server);
    let outcome = run(&["send", &file, &addr]);
    let line = format!("tou: the receiver could not store file: {reason}");
    assert_eq!(outcome.failed(1), line);
    let outcome = server.finish();
    let line = outcome.failed(1);
    assert!(line.starts_with("tou: file, from 127.0.0.1:") && line.ends_with(reason), "{line}");
    assert!(inbox.names().is_empty(), "a full disk is not kept full");
}

#[test]
fn a_file_beyond_the_limit_fails_on_both_sides() {
    let inbox = TempDir::new("limit-in");
    // The shell's units are 512 or 1024 bytes.
    let script = r#"trap "" XFSZ; ulimit -f 1000; exec "$0" "$@""#;
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_tou")]);
    command.args(["recv", "--once", "127.0.0.1:0", "--dir", inbox.path()]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    fails_to_store(command, &inbox, "file too large");
}

#[test]
fn a_full_disk_fails_on_both_sides() {
    let disk = TempDir::new("disk-in");
    let mount = ["-t", "tmpfs", "-o", "size=1m", "tou-test", disk.path()];
    let mounted = Command::new("mount").args(mount).stderr(Stdio::null()).status();
    if !mounted.is_ok_and(|status| status.success()) {
        // Past the harness, which keeps to itself what tests print.
        let _ = writeln!(std::io::stderr(), "NOT RUN: a full disk (no tmpfs can be mounted here)");
        return;
    }
    let result = std::panic::catch_unwind(|| {
        let command = tou(&["recv", "--once", "127.0.0.1:0", "--dir", disk.path()]);
        fails_to_store(command, &disk, "no space left on device");
    });
    let unmounted = Command::new("umount").arg(disk.path()).status().unwrap();
    assert!(unmounted.success());
    result.unwrap();
}

#[test]
fn a_closed_output_ends_the_receiver_quietly() {
    let (outbox, inbox) = (TempDir::new("epipe-out"), TempDir::new("epipe-in"));
    let file = outbox.write("file", b"content");
    for once in [&[][..], &["--once"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = tou(&["recv", "127.0.0.1:0", "--force", "--dir", inbox.path()]);
        command.args(once).stdout(writer);
        let (server, addr) = serve(command);
        run(&["send", &file, &addr]).failed(1);
        let outcome = server.finish();
        assert_eq!((outcome.code(), outcome.stderr.as_str()), (Some(1), ""), "{once:?}");
    }
}

#[test]
fn an_output_that_is_full_is_what_the_receiver_complains_of() {
    let (outbox, inbox) = (TempDir::new("full-out"), TempDir::new("full-in"));
    let file = outbox.write("file", b"content");
    for once in [&[][..], &["--once"]] {
        let mut command = tou(&["recv", "127.0.0.1:0", "--force", "--dir", inbox.path()]);
        command.args(once).stdout(OpenOptions::new().write(true).open("/dev/full").unwrap());
        let (server, addr) = serve(command);
        run(&["send", &file, &addr]).failed(1);
        let line = "tou: cannot write to standard output: no space left on device";
        assert_eq!(server.finish().failed(1), line, "{once:?}");
    }
}

#[test]
fn a_closed_output_ends_the_sender_quietly() {
    let (outbox, inbox) = (TempDir::new("quiet-out"), TempDir::new("quiet-in"));
    let file = outbox.write("file", b"content");
    let (_server, addr) = recv(&inbox, &[]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = tou(&["send", &file, &addr]);
    command.stdout(writer);
    let outcome = start(command).finish();
    assert_eq!((outcome.code(), outcome.stderr.as_str()), (Some(1), ""));
}

#[test]
fn who_is_no_receiver_is_found_out() {
    let outbox = TempDir::new("stranger-out");
    let file = outbox.write("file", b"content");
    let (_server, addr) = echo(&[]);
    let line = "tou: the peer does not speak tou's file protocol";
    assert_eq!(run(&["send", &file, &addr]).failed(1), line);
}

#[test]
fn bars_are_for_terminals() {
    let (outbox, inbox) = (TempDir::new("bar-out"), TempDir::new("bar-in"));
    let file = outbox.write("file", &noise(256 << 10, 10));
    let terminal = nix::pty::openpty(None, None).unwrap();
    let mut screen = fs::File::from(terminal.master);
    let (server, addr) = recv(&inbox, &["--once"]);
    let mut command = slow_sender(&file, &addr);
    assert!(terminal.slave.is_terminal());
    command.stderr(fs::File::from(terminal.slave));
    let mut client = command.spawn().unwrap();
    drop(command);
    let mut shown = Vec::new();
    // A terminal without a program is an error to Linux, and an end to others.
    let _ = screen.read_to_end(&mut shown);
    assert!(client.wait().unwrap().success());
    server.finish().ok();
    let shown = String::from_utf8_lossy(&shown);
    assert!(shown.contains("file ") && shown.contains(" of 256.00 KiB"), "{shown:?}");
}
