//! docs/DEEP_DIVE.md: every command works as printed and shows what the text
//! promises, and every place in the code that it names is there.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::fs;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use common::*;

/// A command that the text shows.
#[derive(Debug)]
struct Block {
    /// Where it begins.
    line: usize,
    /// What its output must contain.
    shows: Vec<String>,
    code: String,
}

/// The port that the text uses, and its octets as `printf` writes them.
const PORT: &str = "5000";
const PORT_OCTETS: &str = r"\x13\x88";
const PORT_HEX: &str = "13 88";

/// What the network does depends on how many datagrams are sent, and so, if the
/// machine stalls, on time.
const ATTEMPTS: usize = 3;

/// As many commands at once: they mostly sleep.
const AT_ONCE: usize = 4;

fn document() -> (PathBuf, String) {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let text = fs::read_to_string(docs.join("DEEP_DIVE.md")).unwrap();
    (docs, text)
}

/// The blocks of commands that are marked to be run.
fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let Some(mark) = line.strip_prefix("<!-- run; shows ") else { continue };
        // What stands between quotes.
        let shows = mark.split('"').skip(1).step_by(2).map(str::to_owned).collect();
        assert_eq!(lines.next().map(|(_, line)| line), Some("```bash"), "line {}", number + 1);
        let code = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```");
        let code = code.flat_map(|line| [line, "\n"]).collect();
        blocks.push(Block { line: number + 1, shows, code });
    }
    blocks
}

/// Runs a block; what is wrong, if something is.
fn run_block(block: &Block) -> Result<(), String> {
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let [high, low] = port.to_be_bytes();
    let code = block
        .code
        .replace(PORT, &port.to_string())
        .replace(PORT_OCTETS, &format!(r"\x{high:02x}\x{low:02x}"));
    let dir =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("deep-dive-{}-{port}", block.line));
    fs::create_dir_all(&dir).unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_tou")).parent().unwrap().to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths([program].into_iter().chain(std::env::split_paths(&path)));
    let mut command = Command::new("bash");
    command.args(["-c", &format!("{{ {code}}} 2>&1")]).current_dir(&dir);
    command.env("PATH", path.unwrap());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let outcome = start(command).finish();
    fs::remove_dir_all(&dir).unwrap();
    let output = outcome.text().replace(&format!("{high:02x} {low:02x}"), PORT_HEX);
    if std::env::var_os("DEEP_DIVE_SHOW").is_some() {
        println!("line {}\n{output}", block.line);
    }
    match block.shows.iter().find(|shown| !output.contains(*shown)) {
        Some(shown) => Err(format!("line {}: no {shown:?} in\n{output}", block.line)),
        None => Ok(()),
    }
}

#[test]
fn every_command_shows_what_the_text_promises() {
    let (_, text) = document();
    let blocks = blocks(&text);
    assert!(blocks.len() >= 14, "{} blocks", blocks.len());
    assert!(blocks.iter().all(|block| !block.shows.is_empty()));
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        let work = || {
            while let Some(block) = blocks.get(next.fetch_add(1, Relaxed)) {
                let mut failures = Vec::new();
                while let Err(failure) = run_block(block) {
                    failures.push(failure);
                    assert!(failures.len() < ATTEMPTS, "{}", failures.join("\n"));
                }
            }
        };
        let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            worker.join().unwrap();
        }
    });
}

#[test]
fn no_command_goes_unchecked() {
    let (docs, text) = document();
    let lines: Vec<_> = text.lines().collect();
    for (index, line) in lines.iter().enumerate() {
        if *line == "```bash" {
            assert!(lines[index - 1].starts_with("<!-- run; shows \""), "line {}", index + 1);
        }
        // What tou-packetdrill's own tests run.
        if *line == "<!-- script -->" {
            let script = lines[index + 2].split_whitespace().last().unwrap();
            assert!(docs.join("..").join(script).is_file(), "no {script}");
        }
    }
}

#[test]
fn every_place_in_the_code_is_there() {
    let (docs, text) = document();
    let text = text.replace('\n', " ");
    let mut places = 0;
    for (before, after) in text.match_indices("](").map(|(at, _)| text.split_at(at)) {
        let target = after[2..].split(')').next().unwrap();
        if target.starts_with('#') {
            continue;
        }
        let file = docs.join(target);
        assert!(file.is_file(), "no {target}");
        let label = before.rsplit('[').next().unwrap();
        let Some((_, names)) = label.split_once(": ") else { continue };
        let code = fs::read_to_string(&file).unwrap();
        for name in names.split(',').map(str::trim) {
            let is_there = ["fn ", "enum ", "struct ", "trait "].iter().any(|kind| {
                let item = format!("{kind}{name}");
                let ends =
                    |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
                code.match_indices(&item).any(|(at, _)| ends(&code[at + item.len()..]))
            });
            assert!(is_there, "no {name} in {target}");
            places += 1;
        }
    }
    assert!(places >= 30, "{places} places");
}
