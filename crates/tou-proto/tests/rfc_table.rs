//! docs/RFC.md: no requirement of RFC 9293 is missing, and every file, function,
//! test and script that it names is there. So is what docs/SECURITY.md names.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// RFC 9293, appendix B, and what its text numbers beside that.
const NUMBERED: [(&str, u32); 4] = [("MUST", 69), ("SHLD", 31), ("MAY", 18), ("REC", 1)];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn rows() -> Vec<Vec<String>> {
    let text = fs::read_to_string(root().join("docs/RFC.md")).unwrap();
    let is_number = |cell: &str| NUMBERED.iter().any(|(kind, _)| cell.starts_with(kind));
    let rows = text.lines().filter_map(|line| {
        let cells: Vec<_> = line.strip_prefix("| ")?.split('|').map(str::trim).collect();
        is_number(cells[0]).then(|| cells.into_iter().map(str::to_owned).collect())
    });
    rows.collect()
}

#[test]
fn every_requirement_has_one_row() {
    let rows = rows();
    let numbers: Vec<_> = rows.iter().map(|row| row[0].clone()).collect();
    let found: BTreeSet<_> = numbers.iter().cloned().collect();
    assert_eq!(numbers.len(), found.len(), "a number twice");
    let all: BTreeSet<_> = NUMBERED
        .iter()
        .flat_map(|(kind, last)| (1..=*last).map(move |number| format!("{kind}-{number}")))
        .collect();
    let missing: Vec<_> = all.difference(&found).collect();
    assert!(missing.is_empty() && found.is_subset(&all), "missing: {missing:?}");
}

#[test]
fn every_row_says_whether_and_what_is_done_is_shown() {
    for row in rows() {
        let [number, _, status, place, shown] = [0, 1, 2, 3, 4].map(|at| row[at].as_str());
        assert!(["yes", "in part", "no", "carrier"].contains(&status), "{number}: {status}");
        if ["yes", "in part"].contains(&status) {
            assert!(!place.is_empty() && shown.contains('`'), "{number}");
        }
    }
}

#[test]
fn every_name_is_there() {
    let rows = rows();
    let cells = rows.iter().flat_map(|row| row[3..].iter().map(move |cell| (&row[0], cell)));
    let names = cells.flat_map(|(number, cell)| {
        cell.split('`').skip(1).step_by(2).map(move |name| (number, name))
    });
    assert!(names.clone().count() >= 200);
    let problems: Vec<_> = names
        .filter_map(|(number, name)| Some(format!("{number}: {}", check(name).err()?)))
        .collect();
    assert!(problems.is_empty(), "{problems:#?}");
}

#[test]
fn every_defence_is_there() {
    let text = fs::read_to_string(root().join("docs/SECURITY.md")).unwrap().replace('\n', " ");
    let is_place =
        |name: &&str| name.contains(".rs") || (name.contains('/') && !name.contains(' '));
    let places: Vec<_> = text.split('`').skip(1).step_by(2).filter(is_place).collect();
    assert!(places.len() >= 50, "{}", places.len());
    let named =
        |place: &&str| Path::new(place).starts_with("crates") && root().join(place).exists();
    let problems: Vec<_> = places
        .iter()
        .filter(|place| !named(place))
        .filter_map(|place| check(place).err())
        .collect();
    assert!(problems.is_empty(), "{problems:#?}");
}

/// A file with names in it, a script, or a name that was said before.
fn check(text: &str) -> Result<(), String> {
    let (path, names) = text.split_once(": ").unwrap_or((text, ""));
    let is_rust = Path::new(path).extension().is_some_and(|extension| extension == "rs");
    if !is_rust {
        let script = root().join(format!("crates/tou-packetdrill/scripts/{path}.pkt"));
        let is_known = !path.contains('/') || script.is_file();
        return is_known.then_some(()).ok_or(format!("no script {path}"));
    }
    let crates = root().join("crates");
    let places = ["tou-proto/src", "tou-proto", ""].map(|place| crates.join(place).join(path));
    let file = places.iter().find(|file| file.is_file()).ok_or(format!("no {path}"))?;
    // Unit tests may have a file of their own.
    let mut code = fs::read_to_string(file).unwrap();
    code += &fs::read_to_string(file.with_extension("").join("tests.rs")).unwrap_or_default();
    for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let is_there = ["fn ", "struct ", "enum ", "trait "].iter().any(|kind| {
            let item = format!("{kind}{name}");
            let is_end = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
            code.match_indices(&item).any(|(at, _)| is_end(&code[at + item.len()..]))
        });
        if !is_there {
            return Err(format!("no {name} in {path}"));
        }
    }
    Ok(())
}
