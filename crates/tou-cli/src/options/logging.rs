//! Options for what is told while the program runs.

use std::path::PathBuf;

use clap::{ArgAction, Args, ValueEnum};
use tracing::level_filters::LevelFilter;

/// What is logged, and where to.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Reports")]
pub(crate) struct LogOptions {
    /// Tell more: -v what happens, -vv how, -vvv everything
    #[arg(short, long, action = ArgAction::Count)]
    verbose: u8,
    /// The same by name
    #[arg(long, value_name = "LEVEL", conflicts_with = "verbose")]
    log: Option<Level>,
    /// Write the log, and the segments, to FILE instead of standard error
    #[arg(long, value_name = "FILE")]
    pub(crate) log_file: Option<PathBuf>,
    /// Log each segment: time, what became of it (sent, retransmitted, received, dropped),
    /// addresses, and the segment as tcpdump shows it, its numbers counted from the SYN
    #[arg(long)]
    pub(crate) segments: bool,
}

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Level {
    Off,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl LogOptions {
    /// The least important level that is logged.
    pub(crate) fn level(&self) -> LevelFilter {
        match (self.log, self.verbose) {
            (Some(Level::Off), _) => LevelFilter::OFF,
            (Some(Level::Error), _) => LevelFilter::ERROR,
            (Some(Level::Warn), _) | (None, 0) => LevelFilter::WARN,
            (Some(Level::Info), _) | (None, 1) => LevelFilter::INFO,
            (Some(Level::Debug), _) | (None, 2) => LevelFilter::DEBUG,
            (Some(Level::Trace), _) | (None, 3..) => LevelFilter::TRACE,
        }
    }

    /// Whether standard error is for more than errors.
    pub(crate) fn is_talkative(&self) -> bool {
        self.log_file.is_none() && (self.segments || self.level() > LevelFilter::WARN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_v_is_one_level_more() {
        let level = |verbose| LogOptions { verbose, ..LogOptions::default() }.level();
        assert_eq!(level(0), LevelFilter::WARN);
        assert_eq!(level(1), LevelFilter::INFO);
        assert_eq!(level(2), LevelFilter::DEBUG);
        assert_eq!(level(200), LevelFilter::TRACE);
        let named = LogOptions { log: Some(Level::Off), ..LogOptions::default() };
        assert_eq!(named.level(), LevelFilter::OFF);
    }

    #[test]
    fn a_log_file_leaves_standard_error_quiet() {
        let mut options = LogOptions { segments: true, ..LogOptions::default() };
        assert!(options.is_talkative());
        options.log_file = Some("x".into());
        assert!(!options.is_talkative());
    }
}
