//! `tou-bench instructions`: instructions for one data segment, or for one small
//! request and its answer.
//!
//! Counted by callgrind as the difference of a large and a small run, so
//! that starting up cancels out. Unlike time, the number is the same on a busy
//! machine and on an idle one.

use core::error::Error;
use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

/// What to count.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Args {
    /// MiB of the large transfer.
    #[arg(long, default_value_t = 16)]
    large: u64,
    /// MiB of the small one.
    #[arg(long, default_value_t = 4)]
    small: u64,
    /// Read by copying.
    #[arg(long)]
    copy: bool,
    /// Count requests of 64 octets, each answered with as many, instead of bulk
    /// data.
    #[arg(long, conflicts_with_all = ["large", "small", "copy"])]
    rounds: bool,
    /// How many functions to list.
    #[arg(long, default_value_t = 25)]
    top: usize,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    match count(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tou-bench instructions: {error}");
            ExitCode::FAILURE
        }
    }
}

fn count(args: &Args) -> Result<(), Box<dyn Error>> {
    let (large, small, unit) = if args.rounds {
        let play = |rounds| Profile::take(&["rounds", "--count-only", "--rounds", rounds]);
        (play("12000")?, play("2000")?, "a side and round")
    } else {
        let transfer = |mib: u64| {
            let mib = mib.to_string();
            let mut command = vec!["memory", "--count-only", "--mib", &mib];
            command.extend(args.copy.then_some("--copy"));
            Profile::take(&command)
        };
        (transfer(args.large)?, transfer(args.small)?, "a data segment, both ends")
    };
    let count = large.count - small.count;
    if count == 0 {
        return Err("the large run is no larger than the small one".into());
    }
    let each = |instructions: i64| instructions as f64 / count as f64;
    let mut functions: Vec<(String, i64)> = large
        .functions
        .iter()
        .map(|(name, count)| {
            let before = small.functions.get(name).copied().unwrap_or(0);
            (name.clone(), count.cast_signed() - before.cast_signed())
        })
        .collect();
    functions.sort_by_key(|(_, count)| -count);
    let total: i64 = functions.iter().map(|(_, count)| count).sum();
    let sum = |kind| -> i64 {
        functions.iter().filter(|(name, _)| Kind::of(name) == kind).map(|(_, count)| count).sum()
    };
    println!("{:.0} instructions {unit} ({count} of them)", each(total));
    for (kind, name) in
        [(Kind::Copy, "memcpy"), (Kind::Allocation, "malloc"), (Kind::Protocol, "protocol")]
    {
        println!("{:10.1} {name}", each(sum(kind)));
    }
    println!("of which, without what they call:");
    for (name, count) in functions.iter().take(args.top) {
        println!("{:10.1} {name}", each(*count));
    }
    Ok(())
}

/// What something took: instructions by function, for so many segments or rounds.
#[derive(Debug)]
pub(crate) struct Profile {
    pub(crate) count: u64,
    functions: BTreeMap<String, u64>,
}

impl Profile {
    /// Runs this program with these arguments, with which it prints the count.
    pub(crate) fn take(args: &[&str]) -> Result<Self, Box<dyn Error>> {
        if Command::new("valgrind").arg("--version").output().is_err() {
            return Err("VALGRIND IS MISSING: nothing was counted (apt install valgrind)".into());
        }
        let name = format!("tou-bench.{}.callgrind", std::process::id());
        let file = env::temp_dir().join(name);
        let mut command = Command::new("valgrind");
        command
            .arg("--tool=callgrind")
            .arg(format!("--callgrind-out-file={}", file.display()))
            .arg(env::current_exe()?)
            .args(args)
            // A `rep movsb` would be counted once for each octet.
            .env("GLIBC_TUNABLES", NO_REP_MOVSB);
        let output = command.output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
        }
        let count = String::from_utf8(output.stdout)?.trim().parse()?;
        let functions = parse(&fs::read_to_string(&file)?);
        remove(&file);
        Ok(Self { count, functions })
    }

    /// Instructions in all.
    pub(crate) fn total(&self) -> u64 {
        self.functions.values().sum()
    }
}

/// Instructions by function, from callgrind's own format: `fn=(id) name` names
/// the function that the following cost lines belong to; the cost line after
/// `calls=` is what the callee took, and not counted here.
fn parse(profile: &str) -> BTreeMap<String, u64> {
    let mut names: BTreeMap<&str, &str> = BTreeMap::new();
    let mut functions: BTreeMap<String, u64> = BTreeMap::new();
    let mut function = "";
    let mut is_callee = false;
    for line in profile.lines() {
        if let Some(named) = line.strip_prefix("fn=").or_else(|| line.strip_prefix("cfn=")) {
            let (id, name) = named.split_once(' ').unwrap_or((named, ""));
            if !name.is_empty() {
                names.insert(id, name);
            }
            if line.starts_with("fn=") {
                function = names.get(id).copied().unwrap_or("?");
            }
        } else if line.starts_with("calls=") {
            is_callee = true;
        } else if line.starts_with(|first: char| first.is_ascii_digit() || "+-*".contains(first)) {
            let cost = line.split_whitespace().nth(1).and_then(|cost| cost.parse::<u64>().ok());
            if let (Some(cost), false) = (cost, is_callee) {
                *functions.entry(function.to_owned()).or_default() += cost;
            }
            is_callee = false;
        }
    }
    functions
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Copy,
    Allocation,
    Protocol,
}

impl Kind {
    fn of(function: &str) -> Self {
        let has = |parts: &[&str]| parts.iter().any(|part| function.contains(part));
        if has(&["memcpy", "memmove"]) {
            Self::Copy
        } else if has(&["malloc", "calloc", "realloc", "free", "_int_", "unlink_chunk"]) {
            Self::Allocation
        } else {
            Self::Protocol
        }
    }
}

fn remove(file: &Path) {
    // It is in the directory for temporary files; leaving it there is no harm.
    let _ = fs::remove_file(file);
}

const NO_REP_MOVSB: &str = "glibc.cpu.hwcaps=-ERMS,-FSRM";
