//! Bars, one for each file that is under way, on a terminal only.

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::failure::complain;
use crate::options::CommonOptions;

/// The bars of this run.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    bars: MultiProgress,
}

impl Progress {
    /// None if something else is written to the terminal.
    pub(crate) fn new(common: &CommonOptions) -> Self {
        // Not on a terminal they hide by themselves.
        let target = match common.log.is_talkative() {
            true => ProgressDrawTarget::hidden(),
            false => ProgressDrawTarget::stderr(),
        };
        Self { bars: MultiProgress::with_draw_target(target) }
    }

    /// A bar for a file.
    pub(crate) fn file(&self, name: &str, size: u64) -> ProgressBar {
        const STYLE: &str =
            "{msg} {wide_bar} {bytes} of {total_bytes}  {bytes_per_sec}  {eta} left";
        let bar = self.bars.add(ProgressBar::new(size));
        let bar = match ProgressStyle::with_template(STYLE) {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        };
        bar.with_message(name.to_owned())
    }

    /// Does something that writes to the terminal, without the bars.
    pub(crate) fn aside<T>(&self, act: impl FnOnce() -> T) -> T {
        self.bars.suspend(act)
    }

    /// Tells of a failure that is not the end.
    pub(crate) fn complain(&self, message: &str) {
        self.aside(|| complain(message));
    }
}
