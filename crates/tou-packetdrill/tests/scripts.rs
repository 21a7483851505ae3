//! Every script of tou's own passes, says what it shows, and fails as soon as
//! one of its expectations is made wrong.

use std::fs;
use std::path::{Path, PathBuf};

use tou_packetdrill::adapter::Core;
use tou_packetdrill::ast::Script;
use tou_packetdrill::lex::Defines;
use tou_packetdrill::load;
use tou_packetdrill::run::compare::Mode;
use tou_packetdrill::run::{Limits, Runner, Verdict, mutate, report};

fn scripts() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
    load::find_scripts(&[directory]).expect("the scripts are beside this test")
}

fn read(path: &Path) -> Script {
    let text = fs::read_to_string(path).expect("it was just found");
    let readings = load::variants(&text, &Defines::new());
    let mut readings = readings.unwrap_or_else(|error| panic!("{}:{error}", path.display()));
    assert_eq!(readings.len(), 1, "{}: has conditions", path.display());
    readings.remove(0).parsed.script
}

fn run(script: &Script) -> Verdict {
    Runner::run(Core::default(), script, Mode::Default, Limits::default())
}

#[test]
fn all_scripts_pass() {
    let failures: Vec<_> = scripts()
        .into_iter()
        .map(|path| report::Entry { verdict: run(&read(&path)), path, variant: None })
        .filter(|entry| entry.verdict != Verdict::Pass)
        .map(|entry| report::line(&entry))
        .collect();
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

#[test]
fn every_script_fails_when_an_expectation_is_made_wrong() {
    for path in scripts() {
        let mutants = mutate::mutations(&read(&path), Mode::Strict);
        assert!(!mutants.is_empty(), "{}: nothing must leave", path.display());
        for mutant in mutants {
            let verdict = run(&mutant);
            let shown = path.display();
            assert!(matches!(verdict, Verdict::Fail(_)), "{shown}: {verdict:?}\n{mutant}");
        }
    }
}

#[test]
fn every_script_begins_as_the_readme_says() {
    for path in scripts() {
        let text = fs::read_to_string(&path).unwrap();
        let shown = path.display();
        let head: Vec<_> = text.lines().take_while(|line| line.starts_with("// ")).collect();
        let cites =
            head.first().is_some_and(|l| l.starts_with("// RFC ") || l.starts_with("// tou"));
        assert!(cites, "{shown}: does not begin with an RFC and what it shows");
        let first = text.lines().nth(head.len());
        assert_eq!(first, Some("--home=tou"), "{shown}: the line below the comment");
        assert!(text.lines().all(|line| line.len() <= 120), "{shown}: a line is too long");
    }
}
