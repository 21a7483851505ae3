//! Where the log goes, and how it is set up.
//!
//! Messages of the program and lines about segments go to the same place, each
//! line whole.

use core::net::SocketAddr;
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tracing::Subscriber;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::time::Uptime;

use crate::failure::Failure;
use crate::options::LogOptions;
use crate::segments::SegmentLog;

/// The log of this run.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    target: Arc<Target>,
    /// Whose segments these are, where one program is several.
    name: Option<&'static str>,
}

#[derive(Debug)]
struct Target {
    /// Standard error if there is none.
    file: Option<(File, PathBuf)>,
    /// The first error in writing it.
    error: Mutex<Option<io::Error>>,
}

impl Log {
    /// Opens the log file, if one was asked for, and has the program's messages
    /// go there.
    pub(crate) fn start(options: &LogOptions) -> Result<Self, Failure> {
        let open = |path: &PathBuf| match File::create(path) {
            Ok(file) => Ok((file, path.clone())),
            Err(error) => {
                Err(Failure::cannot(format_args!("create log file {}", path.display()), &error))
            }
        };
        let file = options.log_file.as_ref().map(open).transpose()?;
        let target = Arc::new(Target { file, error: Mutex::new(None) });
        let log = Self { target, name: None };
        // Only the first log of a process is for its messages.
        let _ = tracing::subscriber::set_global_default(log.subscriber(options));
        Ok(log)
    }

    /// The same log, for the segments of an end that has a name.
    pub(crate) fn named(&self, name: &'static str) -> Self {
        Self { name: Some(name), ..self.clone() }
    }

    pub(crate) fn name(&self) -> Option<&'static str> {
        self.name
    }

    fn subscriber(&self, options: &LogOptions) -> impl Subscriber + Send + Sync + use<> {
        tracing_subscriber::fmt()
            .with_max_level(options.level())
            .with_timer(Uptime::default())
            .with_target(false)
            .with_ansi(false)
            .with_writer(self.clone())
            .finish()
    }

    /// An observer that logs segments, and where it wants to be told the local
    /// address of the socket that it observes.
    pub(crate) fn segments(&self) -> (SegmentLog, Arc<OnceLock<SocketAddr>>) {
        let local_addr = Arc::new(OnceLock::new());
        (SegmentLog::new(self.clone(), Arc::clone(&local_addr)), local_addr)
    }

    /// Writes whole lines.
    pub(crate) fn write(&self, lines: &[u8]) {
        let Target { file, error } = &*self.target;
        match file {
            // Nobody could be told of an error.
            None => drop(io::stderr().write_all(lines)),
            Some((file, _)) => {
                let mut file = file;
                if let Err(new) = file.write_all(lines) {
                    error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(new);
                }
            }
        }
    }

    /// Tells whether the log is complete.
    pub(crate) fn finish(&self) -> Result<(), Failure> {
        let error = self.target.error.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (error, &self.target.file) {
            (Some(error), Some((_, path))) => {
                Err(Failure::cannot(format_args!("write log file {}", path.display()), &error))
            }
            _ => Ok(()),
        }
    }
}

/// One message on its way to the log.
#[derive(Debug)]
pub(crate) struct Message<'a>(&'a Log);

impl Write for Message<'_> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.write(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Message<'a>;

    fn make_writer(&'a self) -> Message<'a> {
        Message(self)
    }
}
