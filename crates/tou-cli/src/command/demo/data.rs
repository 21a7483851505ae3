//! What a demo sends: random bytes, or a file.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

use crate::failure::Failure;
use crate::format;

/// Where the bytes come from.
#[derive(Debug)]
pub(super) enum Source {
    /// So many from a generator.
    Random { rng: Xoshiro256PlusPlus, size: u64, left: u64 },
    /// All of a file. The size is that of a regular file.
    File { file: File, path: PathBuf, size: Option<u64> },
}

impl Source {
    /// `size` random bytes; the same for the same seed.
    pub(super) fn random(size: u64, seed: u64) -> Self {
        Self::Random { rng: Xoshiro256PlusPlus::seed_from_u64(seed), size, left: size }
    }

    /// The file at `path`.
    pub(super) fn file(path: &Path) -> Result<Self, Failure> {
        let open = || {
            let file = File::open(path)?;
            let metadata = file.metadata()?;
            if metadata.is_dir() {
                return Err(io::Error::from(ErrorKind::IsADirectory));
            }
            let size = metadata.is_file().then_some(metadata.len());
            Ok((file, size))
        };
        let (file, size) = open().map_err(|error| cannot_read(path, &error))?;
        Ok(Self::File { file, path: path.to_owned(), size })
    }

    /// How many bytes there are, where that is known.
    pub(super) fn size(&self) -> Option<u64> {
        match self {
            Self::Random { size, .. } => Some(*size),
            Self::File { size, .. } => *size,
        }
    }

    /// What it is.
    pub(super) fn title(&self) -> String {
        match self {
            Self::Random { size, .. } => format!("{} of random bytes", format::size(*size)),
            Self::File { path, size: Some(size), .. } => {
                format!("{} ({})", path.display(), format::size(*size))
            }
            Self::File { path, size: None, .. } => path.display().to_string(),
        }
    }

    /// Fills a part of `buf`, at least one byte; zero is the end.
    pub(super) fn read(&mut self, buf: &mut [u8]) -> Result<usize, Failure> {
        match self {
            Self::Random { rng, left, .. } => {
                let len = usize::try_from(*left).unwrap_or(usize::MAX).min(buf.len());
                rng.fill_bytes(buf.get_mut(..len).unwrap_or_default());
                *left -= len as u64;
                Ok(len)
            }
            Self::File { file, path, .. } => loop {
                match file.read(buf) {
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    result => return result.map_err(|error| cannot_read(path, &error)),
                }
            },
        }
    }
}

fn cannot_read(path: &Path, error: &io::Error) -> Failure {
    Failure::cannot(format_args!("read {}", path.display()), error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(mut source: Source) -> Vec<u8> {
        let mut data = Vec::new();
        let mut buf = [0; 100];
        loop {
            match source.read(&mut buf).unwrap() {
                0 => return data,
                len => data.extend_from_slice(&buf[..len]),
            }
        }
    }

    #[test]
    fn random_bytes_depend_on_the_seed_alone() {
        let data = all(Source::random(1_234, 7));
        assert_eq!(data.len(), 1_234);
        assert_eq!(data, all(Source::random(1_234, 7)));
        assert_ne!(data, all(Source::random(1_234, 8)));
        assert!(all(Source::random(0, 7)).is_empty());
    }

    #[test]
    fn a_file_that_is_none_is_refused() {
        let failure = |path: &str| Source::file(Path::new(path)).unwrap_err().to_string();
        assert_eq!(
            failure("/nonexistent/x"),
            "cannot read /nonexistent/x: no such file or directory"
        );
        assert_eq!(failure("/"), "cannot read /: is a directory");
    }
}
