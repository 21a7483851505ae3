//! `run`: scripts on the core, one line for each that deserves one, a table,
//! and what the list of expected differences says.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use tou_packetdrill::adapter::Core;
use tou_packetdrill::lex::Defines;
use tou_packetdrill::run::Verdict;
use tou_packetdrill::run::compare::Mode;
use tou_packetdrill::run::expected::Expected;
use tou_packetdrill::run::report::{self, Entry};
use tou_packetdrill::run::suite::Suite;

/// How scripts are run and where results go.
#[derive(Debug)]
pub(crate) struct Options {
    /// Everything as written.
    pub(crate) strict: bool,
    /// A line for every script.
    pub(crate) verbose: bool,
    /// All results, for programs.
    pub(crate) json: Option<PathBuf>,
    /// The list of expected differences.
    pub(crate) expect: Option<PathBuf>,
}

/// Runs `scripts` and prints what came of them. Fails when one of them does.
///
/// # Errors
/// A list that cannot be read, or a result that cannot be written.
pub(crate) fn run(
    scripts: &[PathBuf],
    defines: &Defines,
    options: &Options,
) -> Result<ExitCode, String> {
    let expected = match &options.expect {
        Some(path) => {
            let text = fs::read_to_string(path).map_err(|error| at(path, &error))?;
            Expected::parse(&text).map_err(|error| at(path, &error))?
        }
        None => Expected::default(),
    };
    let mode = if options.strict { Mode::Strict } else { Mode::Default };
    let suite = Suite { defines, expected: &expected, mode };
    let entries: Vec<_> = scripts.iter().map(|path| suite.run(path, Core::default)).collect();
    for entry in &entries {
        if options.verbose || matches!(entry.verdict, Verdict::Fail(_)) {
            println!("{}", report::line(entry));
        }
    }
    print!("{}", report::table(&entries));
    for entry in expected.unused() {
        println!("not needed by these scripts: {entry}");
    }
    if let Some(path) = &options.json {
        fs::write(path, report::json(&entries)).map_err(|error| at(path, &error))?;
    }
    Ok(ExitCode::from(u8::from(failed(&entries))))
}

fn failed(entries: &[Entry]) -> bool {
    report::total(entries).fail > 0
}

fn at(path: &Path, error: &dyn core::fmt::Display) -> String {
    format!("{}: {error}", path.display())
}
