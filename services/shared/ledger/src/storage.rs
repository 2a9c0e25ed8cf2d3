//! The few things the ledger asks of a file system, so that tests can stop, fill or crash it at every step.
//!
//! Paths are relative to the ledger's directory and never come from outside. Nothing is durable before it was synced:
//! [`Storage::write`] and [`Storage::rename`] promise only what a file system promises.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

/// A directory tree with the ledger in it.
pub trait Storage: Send + Sync {
    /// Reads a file of at most `limit` bytes into `into`, replacing what was there; `false` when there is no such file.
    ///
    /// # Errors
    /// When it cannot be read or is larger.
    fn read(&self, path: &str, limit: usize, into: &mut Vec<u8>) -> io::Result<bool>;
    /// Creates or replaces the content of a file.
    ///
    /// # Errors
    /// As the file system.
    fn write(&self, path: &str, bytes: &[u8]) -> io::Result<()>;
    /// Makes the content of a file durable.
    ///
    /// # Errors
    /// As the file system.
    fn sync(&self, path: &str) -> io::Result<()>;
    /// Makes the names in a directory durable; `""` is the ledger's directory itself.
    ///
    /// # Errors
    /// As the file system.
    fn sync_directory(&self, path: &str) -> io::Result<()>;
    /// Gives a file another name, replacing what had it.
    ///
    /// # Errors
    /// As the file system.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file, if there is one.
    ///
    /// # Errors
    /// As the file system.
    fn remove(&self, path: &str) -> io::Result<()>;
    /// Removes an empty directory, if there is one.
    ///
    /// # Errors
    /// As the file system, also when it is not empty.
    fn remove_directory(&self, path: &str) -> io::Result<()>;
    /// Makes sure that a directory and those above it exist.
    ///
    /// # Errors
    /// As the file system.
    fn create_directory(&self, path: &str) -> io::Result<()>;
    /// The names in a directory, sorted; none when it does not exist.
    ///
    /// # Errors
    /// As the file system.
    fn list(&self, path: &str) -> io::Result<Vec<String>>;
    /// Opens a file for reading and writing in place; `None` when it does not exist and `create` is not set.
    ///
    /// # Errors
    /// As the file system.
    fn open(&self, path: &str, create: bool) -> io::Result<Option<Box<dyn RandomAccess>>>;
    /// Bytes that can still be written.
    ///
    /// # Errors
    /// As the file system.
    fn free_bytes(&self) -> io::Result<u64>;
}

/// A file that is read and written in place.
pub trait RandomAccess: Send {
    /// Its size in bytes.
    ///
    /// # Errors
    /// As the file system.
    fn size(&self) -> io::Result<u64>;
    /// Reads up to `into.len()` bytes at `offset`; fewer only at the end of the file.
    ///
    /// # Errors
    /// As the file system.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize>;
    /// Writes at `offset`.
    ///
    /// # Errors
    /// As the file system.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Cuts the file off, or extends it with zeros.
    ///
    /// # Errors
    /// As the file system.
    fn set_size(&self, size: u64) -> io::Result<()>;
    /// Makes its content durable (`fdatasync`).
    ///
    /// # Errors
    /// As the file system.
    fn sync(&self) -> io::Result<()>;
}

/// A directory of a real file system.
#[derive(Debug)]
pub struct Disk {
    root: PathBuf,
    is_writable: bool,
}

/// Keeps other writers out until it is dropped.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "the open file is the lock")] File);

impl Disk {
    /// For the one writer: creates the directory if need be and locks it against other writers.
    ///
    /// # Errors
    /// When the directory cannot be created, or another process holds the lock ([`io::ErrorKind::WouldBlock`]).
    pub fn exclusive(root: &Path) -> io::Result<(Self, Lock)> {
        fs::create_dir_all(root)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(root.join("lock"))?;
        lock.try_lock().map_err(io::Error::from)?;
        Ok((
            Self {
                root: root.to_owned(),
                is_writable: true,
            },
            Lock(lock),
        ))
    }

    /// For reading and verifying. Does not create, lock or change anything.
    pub fn shared(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            is_writable: false,
        }
    }

    fn at(&self, path: &str) -> PathBuf {
        if path.is_empty() {
            self.root.clone()
        } else {
            self.root.join(path)
        }
    }
}

/// Opens a file to read it. In a directory that somebody else filled, a pipe would wait for ever and a link lead anywhere.
fn open_regular(path: &Path, write: bool) -> io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW;
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    let file = OpenOptions::new()
        .read(true)
        .write(write)
        .custom_flags(flags)
        .open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::other("not a regular file"))
    }
}

fn unless_missing<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

impl Storage for Disk {
    fn read(&self, path: &str, limit: usize, into: &mut Vec<u8>) -> io::Result<bool> {
        use std::io::Read as _;
        into.clear();
        let Some(file) = unless_missing(open_regular(&self.at(path), false))? else {
            return Ok(false);
        };
        let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
        file.take(most).read_to_end(into)?;
        if into.len() > limit {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{path} is larger than {limit} bytes"),
            ));
        }
        Ok(true)
    }

    fn write(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        fs::write(self.at(path), bytes)
    }

    fn sync(&self, path: &str) -> io::Result<()> {
        File::open(self.at(path))?.sync_all()
    }

    fn sync_directory(&self, path: &str) -> io::Result<()> {
        File::open(self.at(path))?.sync_all()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.at(from), self.at(to))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        unless_missing(fs::remove_file(self.at(path))).map(drop)
    }

    fn remove_directory(&self, path: &str) -> io::Result<()> {
        unless_missing(fs::remove_dir(self.at(path))).map(drop)
    }

    fn create_directory(&self, path: &str) -> io::Result<()> {
        fs::create_dir_all(self.at(path))
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        let Some(entries) = unless_missing(fs::read_dir(self.at(path)))? else {
            return Ok(Vec::new());
        };
        let mut names = Vec::new();
        for entry in entries {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }

    fn open(&self, path: &str, create: bool) -> io::Result<Option<Box<dyn RandomAccess>>> {
        let path = self.at(path);
        let file = match unless_missing(open_regular(&path, self.is_writable))? {
            None if create => Some(
                OpenOptions::new()
                    .read(true)
                    .write(true)
                    .create_new(true)
                    .open(path)?,
            ),
            opened => opened,
        };
        Ok(file.map(|file| Box::new(file) as Box<dyn RandomAccess>))
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(&self.root)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

impl RandomAccess for File {
    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while let Some(rest) = into.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let place = offset.saturating_add(u64::try_from(done).unwrap_or(u64::MAX));
            match std::os::unix::fs::FileExt::read_at(self, rest, place) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        self.set_len(size)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

/// Why the ledger cannot write at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// The file system is full, or the share of it that is kept free is reached.
    #[error("no space is left for the ledger")]
    NoSpace,
    /// The file system failed otherwise.
    #[error("the file system of the ledger failed: {0}")]
    Io(io::ErrorKind),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        match error.kind() {
            StorageFull | QuotaExceeded | FileTooLarge => Self::NoSpace,
            kind => Self::Io(kind),
        }
    }
}

/// Where files are written before they get their name.
pub(crate) const TEMPORARY: &str = "tmp";

/// Puts a file in place in one step, without making it durable.
pub(crate) fn place(storage: &dyn Storage, path: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = format!("{TEMPORARY}/file");
    storage.write(&temporary, bytes)?;
    match storage.rename(&temporary, path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            storage.create_directory(parent(path))?;
            storage.rename(&temporary, path)
        }
        result => result,
    }
}

/// The directory that a path is in.
pub(crate) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_writer_is_refused_and_a_reader_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let first = Disk::exclusive(directory.path()).unwrap();
        let second = Disk::exclusive(directory.path());
        assert_eq!(second.unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert!(
            !Disk::shared(directory.path())
                .read("nothing", 10, &mut Vec::new())
                .unwrap()
        );
        drop(first);
        assert!(Disk::exclusive(directory.path()).is_ok());
    }

    #[test]
    fn places_files_in_new_directories_and_reads_no_more_than_the_limit() {
        let directory = tempfile::tempdir().unwrap();
        let (disk, _lock) = Disk::exclusive(directory.path()).unwrap();
        disk.create_directory(TEMPORARY).unwrap();
        place(&disk, "a/b/c", b"12345").unwrap();
        let mut bytes = Vec::new();
        assert!(disk.read("a/b/c", 5, &mut bytes).unwrap());
        assert_eq!(bytes, b"12345");
        assert_eq!(
            disk.read("a/b/c", 4, &mut bytes).unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
        assert_eq!(disk.list("a/b").unwrap(), ["c"]);
        assert_eq!(disk.list("tmp").unwrap(), Vec::<String>::new());
    }

    #[test]
    fn only_regular_files_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::shared(directory.path());
        fs::write(directory.path().join("file"), b"1").unwrap();
        std::os::unix::fs::symlink("file", directory.path().join("link")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            directory.path().join("pipe"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RWXU,
            0,
        )
        .unwrap();
        fs::create_dir(directory.path().join("directory")).unwrap();
        let mut bytes = Vec::new();
        for path in ["link", "pipe", "directory"] {
            assert!(disk.read(path, 10, &mut bytes).is_err(), "{path}");
            assert!(disk.open(path, false).is_err(), "{path}");
        }
        assert!(disk.read("file", 10, &mut bytes).unwrap());
        assert!(disk.open("file", false).unwrap().is_some());
    }

    #[test]
    fn full_disks_are_told_from_broken_ones() {
        let trouble = |kind: io::ErrorKind| Trouble::from(io::Error::from(kind));
        assert_eq!(trouble(io::ErrorKind::StorageFull), Trouble::NoSpace);
        assert_eq!(trouble(io::ErrorKind::QuotaExceeded), Trouble::NoSpace);
        assert_eq!(trouble(io::ErrorKind::Other), Trouble::Io(io::ErrorKind::Other));
    }
}
