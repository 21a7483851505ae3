//! README.md's recipes, run as they stand there.
//!
//! A recipe is a block of shell below a comment `<!-- recipe -->`, which may name
//! files that the reader is supposed to have: `<!-- recipe: photo.jpg -->`. A line
//! `# on ...` begins what is typed at another machine; here all are one, called
//! HOST in the text. Whatever but the last of them still runs at the end is
//! interrupted. The port in the text is replaced by a free one.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::fs;
use std::net::UdpSocket;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use common::*;

/// The port that the text uses.
const PORT: &str = "5000";

struct Recipe {
    files: Vec<String>,
    /// What is typed where.
    parts: Vec<String>,
}

fn recipes(text: &str) -> Vec<Recipe> {
    let mut recipes = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(comment) = line.strip_prefix("<!-- recipe") else { continue };
        let files = comment.trim_end_matches("-->").trim_start_matches(':');
        let files = files.split_whitespace().map(str::to_owned).collect();
        assert_eq!(lines.next(), Some("```sh"), "a recipe is a block of shell");
        let mut parts = vec![String::new()];
        for line in lines.by_ref().take_while(|line| *line != "```") {
            if line.starts_with("# on ") && !parts.last().unwrap().is_empty() {
                parts.push(String::new());
            }
            let part = parts.last_mut().unwrap();
            part.push_str(line);
            part.push('\n');
        }
        recipes.push(Recipe { files, parts });
    }
    recipes
}

fn shell(script: &str, dir: &Path, bin: &Path, port: &str) -> Command {
    let script = script.replace("HOST", "127.0.0.1").replace(PORT, port);
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("sh");
    command.args(["-ec", &script]).current_dir(dir).env("PATH", path);
    // A terminal's Ctrl-C reaches the shell and the program.
    command.process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A shell and what it has started; nothing of it outlives the test.
struct Group(u32);

impl Group {
    fn signal(&self, signal: &str) {
        let group = format!("-{}", self.0);
        let _ = Command::new("kill").args([signal, "--", &group]).stderr(Stdio::null()).status();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal("-KILL");
    }
}

/// Whether somebody has bound the UDP port.
fn is_bound(port: u16) -> bool {
    let entry = format!(":{port:04X} ");
    ["/proc/net/udp", "/proc/net/udp6"]
        .iter()
        .any(|table| fs::read_to_string(table).is_ok_and(|table| table.contains(&entry)))
}

fn run_recipe(recipe: &Recipe, number: usize) {
    let dir = TempDir::new(&format!("recipe-{number}"));
    let bin = dir.at(".bin");
    fs::create_dir(&bin).unwrap();
    symlink(env!("CARGO_BIN_EXE_tou"), bin.join("tou")).unwrap();
    for (seed, file) in recipe.files.iter().enumerate() {
        dir.write(file, &noise(200_000, seed as u64));
    }
    let port = UdpSocket::bind("[::]:0").unwrap().local_addr().unwrap().port();
    let (last, others) = recipe.parts.split_last().unwrap();
    let others: Vec<_> = others
        .iter()
        .map(|part| {
            let running = start(shell(part, dir.0.as_path(), &bin, &port.to_string()));
            let group = Group(running.id());
            wait_until(part, || is_bound(port));
            (running, group, part)
        })
        .collect();
    let outcome = start(shell(last, dir.0.as_path(), &bin, &port.to_string())).finish();
    assert_eq!(outcome.code(), Some(0), "{last}{}", outcome.stderr);
    for (running, group, part) in others {
        // What serves for ever is interrupted; the rest ends by itself.
        let serves = !part.contains("--once") && (part.contains("recv") || part.contains("echo"));
        if serves {
            group.signal("-INT");
        }
        let outcome = running.finish();
        // The shell may have died of the signal itself.
        let expected = if serves { [Some(130), None] } else { [Some(0); 2] };
        assert!(expected.contains(&outcome.code()), "{part}{}", outcome.stderr);
    }
    // Whatever was sent under its name is the same where it arrived.
    for file in &recipe.files {
        for place in [format!("inbox/{file}"), "RECEIVED".to_owned()] {
            if dir.at(&place).exists() {
                assert_same(&dir.read(&place), &dir.read(file));
            }
        }
        let arrives =
            recipe.parts.iter().any(|part| part.contains("recv") || part.contains("listen"));
        let arrived = dir.at("inbox").join(file).exists() || dir.at("RECEIVED").exists();
        assert_eq!(arrives, arrived, "{file}: {last}");
    }
}

#[test]
fn recipes_do_what_the_reader_expects() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let recipes = recipes(&fs::read_to_string(readme).unwrap());
    assert!(recipes.len() >= 5, "{} recipes: has the marker changed?", recipes.len());
    let all: String = recipes.iter().flat_map(|recipe| recipe.parts.clone()).collect();
    for command in ["demo", "listen", "connect", "send", "recv", "echo", "ping"] {
        assert!(all.contains(&format!("tou {command} ")), "no recipe for {command}");
    }
    for (number, recipe) in recipes.iter().enumerate() {
        run_recipe(recipe, number);
    }
}
