//! The rooms of the crate and who may import whom: `use crate::` lines that
//! point the wrong way fail here.
//!
//! ```text
//! endpoint > conn > { recovery, cc, buffer, wire } > { seq, time, id, util, ... }
//! ```

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Everybody may use these; among themselves as written.
const GROUND: [&str; 5] = ["id", "secret", "seq", "time", "util"];

/// A room, and what it may import beside itself and the ground.
const ROOMS: [(&str, &[&str]); 17] = [
    ("time", &[]),
    ("id", &[]),
    ("seq", &[]),
    ("secret", &[]),
    ("util", &["seq"]),
    ("wire", &[]),
    ("buffer", &[]),
    ("recovery", &[]),
    ("cc", &[]),
    ("machine", &[]),
    ("config", &["cc", "wire"]),
    ("error", &[]),
    ("event", &["error"]),
    ("io", &["config", "error"]),
    ("stats", &["conn"]),
    ("conn", &["buffer", "cc", "config", "error", "machine", "recovery", "stats", "wire"]),
    ("endpoint", &["buffer", "cc", "config", "conn", "error", "event", "machine", "stats", "wire"]),
];

/// These stand on nothing of the crate, not even on each other.
const BEDROCK: [&str; 3] = ["time", "id", "secret"];

#[test]
fn imports_point_downward() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for file in rust_files(&source) {
        let room = room_of(&source, &file);
        if room == "lib" {
            continue;
        }
        let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| *name == room) else {
            wrong.push(format!("{room} is a room that this test does not know"));
            continue;
        };
        for import in imports(&fs::read_to_string(&file).unwrap()) {
            let on_ground = GROUND.contains(&import.as_str()) && !BEDROCK.contains(&room.as_str());
            if import != room && !on_ground && !allowed.contains(&import.as_str()) {
                wrong.push(format!("{}: crate::{import}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "imports that point the wrong way:\n{}", wrong.join("\n"));
}

#[test]
fn every_room_exists() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (room, _) in ROOMS {
        let exists = source.join(room).is_dir() || source.join(format!("{room}.rs")).is_file();
        assert!(exists, "{room} has moved: say so here");
    }
}

#[test]
fn paths_in_code_are_found() {
    let code = "use crate::seq::SeqNumber;\n    crate::cc::Controller::x();\n// crate::no\n\
                use crate::{wire, time::Instant};\n#[cfg(test)]\nmod tests {\n use crate::endpoint;";
    let found: Vec<String> = imports(code).into_iter().collect();
    assert_eq!(found, ["cc", "seq", "time", "wire"]);
}

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") && !is_test(&path) {
            files.push(path);
        }
    }
    files
}

/// Tests may borrow from everywhere.
fn is_test(path: &Path) -> bool {
    path.components()
        .any(|part| part.as_os_str().to_string_lossy().trim_end_matches(".rs") == "tests")
}

/// The folder or file directly in `src/` that `file` belongs to.
fn room_of(source: &Path, file: &Path) -> String {
    let inside = file.strip_prefix(source).unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

/// First names after `crate::` in code that is not a comment, up to the unit
/// tests at the end.
fn imports(code: &str) -> BTreeSet<String> {
    let code = code.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let mut found = BTreeSet::new();
    for line in lines {
        for rest in line.split("crate::").skip(1) {
            let names = match rest.strip_prefix('{') {
                Some(list) => list.trim_end_matches([';', '}']).split(',').collect(),
                None => vec![rest],
            };
            for name in names {
                let name: String =
                    name.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                found.insert(name);
            }
        }
    }
    found
}
