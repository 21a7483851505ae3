//! `table`: states and segments, from what scripts do.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use tou_packetdrill::adapter::Core;
use tou_packetdrill::lex::Defines;
use tou_packetdrill::load;
use tou_packetdrill::table::{REASONS, Reasons, Table};

/// Prints the table, and to the error stream what it lacks. Fails when it lacks
/// something.
///
/// # Errors
/// A script or a list of reasons that cannot be read.
pub(crate) fn tabulate(scripts: &[PathBuf]) -> Result<ExitCode, String> {
    let reasons = Reasons::parse(REASONS)?;
    let mut table = Table::default();
    for path in scripts {
        let at = |error: &dyn core::fmt::Display| format!("{}: {error}", path.display());
        let text = fs::read_to_string(path).map_err(|error| at(&error))?;
        let readings = load::variants(&text, &Defines::new()).map_err(|error| at(&error))?;
        for reading in readings {
            table.watch(path, Core::default(), &reading.parsed.script);
        }
    }
    print!("{}", table.markdown(&reasons));
    let faults = table.faults(&reasons);
    faults.iter().for_each(|fault| eprintln!("{fault}"));
    Ok(ExitCode::from(u8::from(!faults.is_empty())))
}
