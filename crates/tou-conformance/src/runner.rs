//! Runs the cases as tests. Each has a thread of its own and so much time: one
//! that hangs or panics fails by its name, and the others go on.

use core::any::Any;
use core::time::Duration;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;

use libtest_mimic::{Arguments, Failed, Trial};

use crate::case::Case;
use crate::cases::cases;
use crate::driver::Driver;
use crate::process;

/// How long a case may take before it is said to hang. What waits in a case does
/// so for two thirds of this at most, so that it can say what it waited for.
const LIMIT: Duration = Duration::from_secs(30);

/// Cases run at once: they mostly wait.
const THREADS: usize = 8;

/// Tries `driver` as the arguments of the process say, and returns what `main`
/// is to return.
pub fn run<D: Driver>(driver: D) -> ExitCode {
    if let Some(life) = process::serve(&driver) {
        return match life {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                eprintln!("{failure}");
                ExitCode::FAILURE
            }
        };
    }
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(THREADS);
    let driver = Arc::new(driver);
    let trials = cases::<D>().into_iter().map(|case| {
        let driver = Arc::clone(&driver);
        Trial::test(case.name, move || watch(&driver, &case, LIMIT).map_err(Failed::from))
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

/// Runs a case, and says what is wrong.
fn watch<D: Driver>(driver: &Arc<D>, case: &Case<D>, limit: Duration) -> Result<(), String> {
    let (driver, run) = (Arc::clone(driver), case.run);
    let (done, outcome) = mpsc::channel();
    let thread = thread::Builder::new().name(case.name.into()).spawn(move || {
        let _ = done.send(run(&driver));
    });
    let thread = thread.map_err(|error| format!("no thread for it: {error}"))?;
    let wrong = match outcome.recv_timeout(limit) {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(failure)) => failure.to_string(),
        Err(mpsc::RecvTimeoutError::Timeout) => format!("it hangs: {limit:?} have passed"),
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            let panic = thread.join().err();
            format!("it panicked: {}", panic.as_deref().map_or("", message))
        }
    };
    Err(format!("{}\n  {wrong}", case.what))
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("not a text")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::check::{Failure, Outcome};
    use crate::kernel::Kernel;

    /// What the runner says of a case.
    fn verdict(run: fn(&Kernel) -> Outcome, limit: Duration) -> Result<(), String> {
        let case = Case { name: "topic::case", what: "A promise.", run };
        watch(&Arc::new(Kernel), &case, limit)
    }

    #[test]
    fn a_good_case_passes() {
        assert_eq!(verdict(|_| Ok(()), LIMIT), Ok(()));
    }

    #[test]
    fn a_failure_says_the_promise_and_where_it_was_broken() {
        let text = verdict(|_| Err(Failure::new("not so")), LIMIT).unwrap_err();
        assert!(text.starts_with("A promise.\n  not so\n  at "), "{text}");
        assert!(text.contains(file!()), "{text}");
    }

    #[test]
    fn an_unexpected_error_says_where_it_came_from() {
        let run = |_: &Kernel| Err(std::io::Error::from(std::io::ErrorKind::NotFound))?;
        let text = verdict(run, LIMIT).unwrap_err();
        assert!(text.contains("NotFound") && text.contains(file!()), "{text}");
    }

    #[test]
    fn a_case_that_hangs_fails() {
        let forever = |_: &Kernel| loop {
            thread::park();
        };
        let text = verdict(forever, Duration::from_millis(50)).unwrap_err();
        assert!(text.contains("hangs"), "{text}");
    }

    #[test]
    fn a_case_that_panics_fails() {
        let text = verdict(|_| panic!("because"), LIMIT).unwrap_err();
        assert!(text.contains("because"), "{text}");
    }

    #[test]
    fn the_kernel_does_what_it_can_be_asked_for() {
        let kernel = Arc::new(Kernel);
        let cases = cases::<Kernel>();
        let asked: Vec<_> = crate::kernel::ASKED
            .iter()
            .map(|name| cases.iter().find(|case| case.name == *name))
            .collect();
        let wrong: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = asked
                .iter()
                .map(|case| {
                    let (case, kernel) = (case.expect("there is such a case"), &kernel);
                    scope.spawn(move || {
                        watch(kernel, case, LIMIT)
                            .err()
                            .map(|text| format!("{}: {text}", case.name))
                    })
                })
                .collect();
            threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
        });
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn names_are_unique_and_cases_are_many() {
        let cases = cases::<Kernel>();
        let names: HashSet<_> = cases.iter().map(|case| case.name).collect();
        assert_eq!(names.len(), cases.len());
        assert!(cases.len() >= 60, "{}", cases.len());
    }
}
