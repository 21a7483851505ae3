//! `check`: which scripts can be read, by directory, and why not the others.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use tou_packetdrill::ErrorKind;
use tou_packetdrill::lex::Defines;
use tou_packetdrill::load;

/// How the scripts of one directory fared.
#[derive(Debug, Default)]
struct Tally {
    read: usize,
    unsupported: usize,
    wrong: usize,
}

/// Reads `scripts` and prints a table. Fails when one of them is no script;
/// one that is merely unsupported is no failure.
pub(crate) fn check(scripts: &[PathBuf], defines: &Defines, verbose: bool) -> ExitCode {
    let mut table: BTreeMap<PathBuf, Tally> = BTreeMap::new();
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    for path in scripts {
        let directory = path.parent().unwrap_or(Path::new("")).to_owned();
        let tally = table.entry(directory).or_default();
        let Some((kind, reason)) = fault(path, defines) else {
            tally.read += 1;
            continue;
        };
        match kind {
            ErrorKind::Syntax => tally.wrong += 1,
            ErrorKind::Unsupported => tally.unsupported += 1,
        }
        if verbose || kind == ErrorKind::Syntax {
            println!("{}:{reason}", path.display());
        }
        let place_free = reason.splitn(3, ':').nth(2).unwrap_or(&reason).trim().to_owned();
        *reasons.entry(place_free).or_default() += 1;
    }
    print(&table, &reasons)
}

/// What is wrong with the script at `path`, if anything.
fn fault(path: &Path, defines: &Defines) -> Option<(ErrorKind, String)> {
    let text = match fs::read(path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => return Some((ErrorKind::Syntax, error.to_string())),
    };
    load::variants(&text, defines).err().map(|error| (error.kind, error.to_string()))
}

fn print(table: &BTreeMap<PathBuf, Tally>, reasons: &BTreeMap<String, usize>) -> ExitCode {
    let mut all = Tally::default();
    println!("{:>6} {:>11} {:>6}  directory", "read", "unsupported", "wrong");
    for (directory, tally) in table {
        let Tally { read, unsupported, wrong } = tally;
        println!("{read:>6} {unsupported:>11} {wrong:>6}  {}", directory.display());
        all.read += read;
        all.unsupported += unsupported;
        all.wrong += wrong;
    }
    println!("{:>6} {:>11} {:>6}  in all", all.read, all.unsupported, all.wrong);
    for (reason, count) in reasons {
        println!("{count:>6}  {reason}");
    }
    ExitCode::from(u8::from(all.wrong > 0))
}
