//! The directory that files arrive in.
//!
//! A file is written under a name of its own, `.NAME.tou-part`, and gets NAME
//! when it is complete and on the disk. Both names are looked up in the
//! directory that was opened at the start, and no symbolic link is followed, so
//! nothing that somebody puts there leads elsewhere. A lock on the partial file
//! keeps two transfers of one name apart; it goes when its process does.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, Flock, FlockArg, OFlag, openat};
use nix::sys::stat::{Mode, SFlag, fstatat, umask};
use nix::unistd::{UnlinkatFlags, geteuid, linkat, unlinkat};

use super::name::FileName;

/// How often a file is opened that moves away in just that moment.
const ATTEMPTS: u32 = 16;

/// An open directory.
#[derive(Debug)]
pub(crate) struct Directory {
    file: File,
    /// Permissions that new files do not get.
    mask: u32,
}

/// Why a file cannot be taken.
#[derive(Debug)]
pub(crate) enum StoreError {
    /// There is one already.
    Exists,
    /// Another sender is at it.
    Busy,
    /// The partial file is not what this program would have left there.
    Foreign,
    Io(io::Error),
}

impl<E: Into<io::Error>> From<E> for StoreError {
    fn from(error: E) -> Self {
        Self::Io(error.into())
    }
}

/// A file that is not complete yet, and locked.
#[derive(Debug)]
pub(crate) struct Partial<'a> {
    directory: &'a Directory,
    name: FileName,
    file: Flock<File>,
}

impl Directory {
    /// Opens the directory at `path`. To be called before there are threads that
    /// make files: it looks at the process's mask by changing it.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(OFlag::O_DIRECTORY.bits());
        let file = options.open(path)?;
        let mask = umask(Mode::from_bits_truncate(0o077));
        umask(mask);
        #[allow(clippy::useless_conversion, reason = "the types differ between systems")]
        let this = Self { file, mask: mask.bits().into() };
        this.check_writable(path)?;
        Ok(this)
    }

    /// Better now than after a gigabyte.
    fn check_writable(&self, path: &Path) -> io::Result<()> {
        let how = nix::unistd::AccessFlags::W_OK | nix::unistd::AccessFlags::X_OK;
        Ok(nix::unistd::access(path, how)?)
    }

    /// Begins to write `name`, or goes on with what an earlier transfer has left.
    /// `force`: an existing file is to be replaced.
    pub(crate) fn begin(&self, name: &FileName, force: bool) -> Result<Partial<'_>, StoreError> {
        match self.kind(name.as_str())? {
            None => {}
            Some(SFlag::S_IFDIR) => return Err(Errno::EISDIR.into()),
            Some(_) if force => {}
            Some(_) => return Err(StoreError::Exists),
        }
        for _ in 0..ATTEMPTS {
            let file = self.lock(&name.partial())?;
            // Whoever held the lock may have given the file its name meanwhile.
            if self.is_at(&file, &name.partial())? {
                return Ok(Partial { directory: self, name: name.clone(), file });
            }
        }
        Err(StoreError::Busy)
    }

    fn lock(&self, name: &str) -> Result<Flock<File>, StoreError> {
        let flags = OFlag::O_RDWR
            | OFlag::O_CREAT
            | OFlag::O_CLOEXEC
            | OFlag::O_NOFOLLOW
            // A pipe would have us wait for its other end.
            | OFlag::O_NONBLOCK;
        let file = match openat(&self.file, name, flags, Mode::S_IRUSR | Mode::S_IWUSR) {
            Err(Errno::ELOOP | Errno::ENXIO | Errno::EISDIR) => return Err(StoreError::Foreign),
            file => File::from(file?),
        };
        let metadata = file.metadata()?;
        let is_ours =
            metadata.is_file() && metadata.nlink() <= 1 && metadata.uid() == geteuid().as_raw();
        if !is_ours {
            return Err(StoreError::Foreign);
        }
        Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| match error {
            Errno::EWOULDBLOCK => StoreError::Busy,
            error => error.into(),
        })
    }

    /// Whether `name` is a name of `file`.
    fn is_at(&self, file: &File, name: &str) -> io::Result<bool> {
        let metadata = file.metadata()?;
        match fstatat(&self.file, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            #[allow(
                clippy::useless_conversion,
                clippy::unnecessary_cast,
                reason = "the types differ between systems"
            )]
            Ok(stat) => {
                Ok((stat.st_dev as u64, stat.st_ino as u64) == (metadata.dev(), metadata.ino()))
            }
            Err(Errno::ENOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// What `name` is, if it is anything.
    fn kind(&self, name: &str) -> io::Result<Option<SFlag>> {
        match fstatat(&self.file, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT)),
            Err(Errno::ENOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives a partial file its name, unless that is taken.
    fn publish(&self, from: &str, to: &str) -> nix::Result<()> {
        #[cfg(all(target_os = "linux", target_env = "gnu"))]
        {
            use nix::fcntl::{RenameFlags, renameat2};
            let flags = RenameFlags::RENAME_NOREPLACE;
            match renameat2(&self.file, from, &self.file, to, flags) {
                // The file system cannot.
                Err(Errno::EINVAL | Errno::ENOSYS) => {}
                result => return result,
            }
        }
        linkat(&self.file, from, &self.file, to, AtFlags::empty())?;
        unlinkat(&self.file, from, UnlinkatFlags::NoRemoveDir)
    }

    fn replace(&self, from: &str, to: &str) -> nix::Result<()> {
        nix::fcntl::renameat(&self.file, from, &self.file, to)
    }
}

impl Partial<'_> {
    /// How much of it is here.
    pub(crate) fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// The file, to be read from its beginning.
    pub(crate) fn read(&mut self) -> io::Result<&File> {
        self.file.seek(SeekFrom::Start(0))?;
        Ok(&self.file)
    }

    /// Drops what is behind `position`; writing goes on there.
    pub(crate) fn cut(&mut self, position: u64) -> io::Result<()> {
        self.file.set_len(position)?;
        self.file.seek(SeekFrom::Start(position))?;
        Ok(())
    }

    pub(crate) fn write_all(&mut self, data: &[u8]) -> io::Result<()> {
        self.file.write_all(data)
    }

    /// The file is complete: gives it its name, once it would survive a power
    /// cut.
    pub(crate) fn commit(self, mode: u32, force: bool) -> Result<(), StoreError> {
        let permissions = std::fs::Permissions::from_mode(mode & 0o777 & !self.directory.mask);
        self.file.set_permissions(permissions)?;
        self.file.sync_all()?;
        let (from, to) = (self.name.partial(), self.name.as_str());
        if force {
            self.directory.replace(&from, to)?;
        } else {
            self.directory.publish(&from, to).map_err(|error| match error {
                Errno::EEXIST => StoreError::Exists,
                error => error.into(),
            })?;
        }
        nix::unistd::fsync(self.directory.file.as_fd())?;
        Ok(())
    }

    /// It is worth nothing.
    pub(crate) fn discard(self) -> io::Result<()> {
        let name = self.name.partial();
        Ok(unlinkat(&self.directory.file, name.as_str(), UnlinkatFlags::NoRemoveDir)?)
    }
}

#[cfg(test)]
mod tests;
