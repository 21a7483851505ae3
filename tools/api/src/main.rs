//! Lists the public API of the crates and compares with the lists in docs/api.
//!
//! ```text
//! cargo run --manifest-path tools/api/Cargo.toml            compare
//! cargo run --manifest-path tools/api/Cargo.toml -- renew   write them again
//! ```
//!
//! The lists come from rustdoc's JSON, which stable compilers give when told that
//! they may, and which changes its format now and then. With a compiler whose
//! format this program does not read nothing is compared, and it says so.

use std::env;
use std::error::Error;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const CRATES: [&str; 4] = ["tou-proto", "tou-udp", "tou-mio", "tou-async-io"];
/// Set when cargo calls this program as rustdoc: the real one.
const REAL_RUSTDOC: &str = "TOU_API_RUSTDOC";

fn main() -> Result<ExitCode> {
    if let Some(rustdoc) = env::var_os(REAL_RUSTDOC) {
        // Only rustdoc is told. If all of cargo were, half of the dependencies
        // would be built again.
        let arguments = env::args_os().skip(1);
        return Err(Command::new(rustdoc)
            .args(arguments)
            .env("RUSTC_BOOTSTRAP", "1")
            .exec()
            .into());
    }
    let renews = match env::args().nth(1).as_deref() {
        None => false,
        Some("renew") => true,
        Some(_) => return Err("usage: tou-api [renew]".into()),
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut is_same = true;
    for name in CRATES {
        let json = document(&root, name)?;
        let format = format_of(&json)?;
        if format != u64::from(rustdoc_types::FORMAT_VERSION) {
            println!(
                "\n!! NOT RUN: the lists of public APIs (this compiler's rustdoc writes format \
                 {format}, tools/api reads {}: change its `public-api` to one that reads it)",
                rustdoc_types::FORMAT_VERSION
            );
            return Ok(ExitCode::SUCCESS);
        }
        let listed = list(&json)?;
        let path = root.join("docs/api").join(name).with_extension("txt");
        if renews {
            fs::write(path, listed)?;
        } else {
            is_same &= compare(name, &fs::read_to_string(path).unwrap_or_default(), &listed);
        }
    }
    if is_same {
        return Ok(ExitCode::SUCCESS);
    }
    println!("If that is meant: cargo run --manifest-path tools/api/Cargo.toml -- renew");
    Ok(ExitCode::FAILURE)
}

/// Has rustdoc describe a crate; returns the file that it wrote.
fn document(root: &Path, name: &str) -> Result<PathBuf> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let rustdoc = env::var_os("RUSTDOC").unwrap_or_else(|| "rustdoc".into());
    let metadata = Command::new(&cargo)
        .args(["metadata", "--format-version=1", "--no-deps", "--locked"])
        .current_dir(root)
        .output()?;
    let metadata: serde_json::Value = serde_json::from_slice(&metadata.stdout)?;
    let target = metadata["target_directory"].as_str().ok_or("no target directory")?;
    let status = Command::new(&cargo)
        .args(["rustdoc", "--quiet", "--locked", "--lib", "--package", name])
        .args(["--", "-Zunstable-options", "--output-format=json", "--cap-lints=allow"])
        .current_dir(root)
        .env("RUSTDOC", env::current_exe()?)
        .env(REAL_RUSTDOC, rustdoc)
        .status()?;
    if !status.success() {
        return Err(format!("rustdoc of {name}: {status}").into());
    }
    let file = Path::new(target).join("doc").join(name.replace('-', "_"));
    Ok(file.with_extension("json"))
}

fn format_of(json: &Path) -> Result<u64> {
    let json: serde_json::Value = serde_json::from_slice(&fs::read(json)?)?;
    json["format_version"].as_u64().ok_or_else(|| "no format version".into())
}

/// One line for each public item. What the compiler derives is left out.
fn list(json: &Path) -> Result<String> {
    let api = public_api::Builder::from_rustdoc_json(json)
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .omit_auto_derived_impls(true)
        .build()?;
    Ok(api.items().map(|item| format!("{item}\n")).collect())
}

/// Prints what differs; returns whether nothing does.
fn compare(name: &str, old: &str, new: &str) -> bool {
    let missing = |from: &str, what: &str, sign: char| {
        let from: Vec<&str> = from.lines().collect();
        let missing = what.lines().filter(|line| !from.contains(line));
        missing.map(|line| println!("{sign} {line}")).count()
    };
    if old == new {
        return true;
    }
    println!("\nThe public API of {name} is not what docs/api/{name}.txt says:");
    let differing = missing(new, old, '-') + missing(old, new, '+');
    if differing == 0 {
        println!("the same lines in another order");
    }
    false
}
