//! From the file system to scripts: which files, and which readings of each.
//!
//! A script with conditions has several readings. Each name that its
//! conditions ask for is defined alone once (`#ifdef STANDARD`, `#ifdef
//! FreeBSD`), unless the caller defined one of them: then that is the one
//! reading.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::ScriptError;
use crate::lex::Defines;
use crate::parse::{Parsed, parse};

/// One reading of a script.
#[derive(Clone, Debug)]
pub struct Variant {
    /// The name that was defined for it, if any.
    pub name: Option<String>,
    /// The script as it then reads.
    pub parsed: Parsed,
}

/// All `.pkt` files at or below `paths`, sorted, each once.
///
/// # Errors
/// A path that cannot be read.
pub fn find_scripts(paths: &[PathBuf]) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in paths {
        collect(path, true, &mut found)?;
    }
    found.sort();
    found.dedup();
    Ok(found)
}

fn collect(path: &Path, named: bool, found: &mut Vec<PathBuf>) -> io::Result<()> {
    if fs::metadata(path)?.is_dir() {
        for entry in fs::read_dir(path)? {
            collect(&entry?.path(), false, found)?;
        }
    } else if named || path.extension().is_some_and(|extension| extension == "pkt") {
        found.push(path.to_owned());
    }
    Ok(())
}

/// All readings of `source`; at least one.
///
/// # Errors
/// A reading that is no script.
pub fn variants(source: &str, defines: &Defines) -> Result<Vec<Variant>, ScriptError> {
    let plain = parse(source, defines)?;
    if plain.tested.is_empty() || plain.tested.iter().any(|name| defines.has(name)) {
        return Ok(vec![Variant { name: None, parsed: plain }]);
    }
    let alone = |name: &String| {
        let parsed = parse(source, &defines.clone().with(name, ""))?;
        Ok(Variant { name: Some(name.clone()), parsed })
    };
    plain.tested.iter().map(alone).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = "#ifdef A\n0 `a`\n#endif\n#ifdef B\n0 `b`\n#endif\n";

    #[test]
    fn each_name_is_one_reading() {
        let readings = variants(TWO, &Defines::new()).unwrap();
        let names: Vec<_> = readings.iter().map(|v| v.name.as_deref().unwrap()).collect();
        assert_eq!(names, ["A", "B"]);
        assert!(readings.iter().all(|v| v.parsed.script.events.len() == 1 && !v.parsed.hollow));
    }

    #[test]
    fn a_name_given_is_the_only_reading() {
        let readings = variants(TWO, &Defines::new().with("B", "")).unwrap();
        assert_eq!(readings.len(), 1);
        assert_eq!(readings[0].parsed.script.to_string(), "0.000000 `b`\n");
    }

    #[test]
    fn a_script_without_conditions_has_one_reading() {
        let readings = variants("0 `a`", &Defines::new()).unwrap();
        assert_eq!(readings.len(), 1);
        assert!(!readings[0].parsed.hollow);
    }

    #[test]
    fn a_reading_with_everything_taken_out_is_hollow() {
        assert!(parse(TWO, &Defines::new().with("C", "")).unwrap().hollow);
    }
}
