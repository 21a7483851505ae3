//! What the measures ask of the operating system: time, what a process has
//! used, and where it may run.

use core::time::Duration;
use std::io;
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

/// What this process has used so far, threads that have ended included.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// Seconds, in user and kernel mode.
    pub(crate) cpu: f64,
    /// Times a thread stopped running: to wait, or to let another run.
    pub(crate) switches: f64,
}

impl Usage {
    pub(crate) fn now() -> io::Result<Self> {
        let usage = getrusage(UsageWho::RUSAGE_SELF)?;
        let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
        let switches = usage.voluntary_context_switches() + usage.involuntary_context_switches();
        Ok(Self { cpu: micros as f64 * 1e-6, switches: switches as f64 })
    }

    /// What was used since.
    pub(crate) fn since(earlier: Self) -> io::Result<Self> {
        let now = Self::now()?;
        Ok(Self { cpu: now.cpu - earlier.cpu, switches: now.switches - earlier.switches })
    }
}

/// Octets of memory that this process has in use.
#[cfg(target_os = "linux")]
pub(crate) fn resident() -> io::Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    Ok(kib.ok_or(io::ErrorKind::InvalidData)? * 1_024.0)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn resident() -> io::Result<f64> {
    Err(io::ErrorKind::Unsupported.into())
}

/// A clock that was started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "measuring is what this is for")]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }

    pub(crate) fn seconds(self) -> f64 {
        self.elapsed().as_secs_f64()
    }
}

/// The processors that this process may run on.
#[cfg(target_os = "linux")]
pub(crate) fn processors() -> io::Result<Vec<usize>> {
    use nix::sched::{CpuSet, sched_getaffinity};
    let set = sched_getaffinity(nix::unistd::Pid::from_raw(0))?;
    Ok((0..CpuSet::count()).filter(|index| set.is_set(*index).unwrap_or(false)).collect())
}

/// Has this thread, and those that it starts, run on these processors only.
#[cfg(target_os = "linux")]
pub(crate) fn pin(processors: &[usize]) -> io::Result<()> {
    use nix::sched::{CpuSet, sched_setaffinity};
    let mut set = CpuSet::new();
    for processor in processors {
        set.set(*processor)?;
    }
    Ok(sched_setaffinity(nix::unistd::Pid::from_raw(0), &set)?)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn processors() -> io::Result<Vec<usize>> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn pin(_: &[usize]) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
