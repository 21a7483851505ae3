//! docs/STATE-TABLE.md says what the scripts really show: which kinds of segments
//! arrive in which states.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::Path;

use tou_packetdrill::adapter::Core;
use tou_packetdrill::lex::Defines;
use tou_packetdrill::load;
use tou_packetdrill::table::{REASONS, Reasons, Table};

fn table() -> Table {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
    let mut table = Table::default();
    for path in load::find_scripts(&[scripts]).unwrap() {
        let text = fs::read_to_string(&path).unwrap();
        for reading in load::variants(&text, &Defines::new()).unwrap() {
            table.watch(&path, Core::default(), &reading.parsed.script);
        }
    }
    table
}

#[test]
fn every_cell_has_a_script_or_a_reason() {
    let faults = table().faults(&Reasons::parse(REASONS).unwrap());
    assert!(
        faults.is_empty(),
        "write the scripts, or mend expected/state-table.txt:\n{}",
        faults.join("\n")
    );
}

#[test]
fn the_table_in_docs_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/STATE-TABLE.md");
    let made = table().markdown(&Reasons::parse(REASONS).unwrap());
    let kept = fs::read_to_string(&path).unwrap_or_default();
    let differs = kept.lines().zip(made.lines()).position(|(kept, made)| kept != made);
    assert!(
        kept == made,
        "docs/STATE-TABLE.md differs from line {} on. To make it again:\n\
         cargo run --release -p tou-packetdrill -- table crates/tou-packetdrill/scripts > docs/STATE-TABLE.md",
        differs.unwrap_or_else(|| kept.lines().count().min(made.lines().count())) + 1
    );
}
