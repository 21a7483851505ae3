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
