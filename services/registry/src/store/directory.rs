//! A directory of the store, held open: every name in it is a single component, nothing is followed out of it.
//!
//! A file that has to survive is written under a draft name, made durable, and renamed; the directory is made durable after
//! it. A draft that is dropped before that is removed; one that a crash leaves is removed at the next start.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, fchmod, fstat, fsync, mkdirat, openat, renameat, unlinkat,
};
use rustix::io::Errno;

/// How names of drafts begin.
const DRAFT: &str = ".draft-";

/// An open directory.
#[derive(Debug, Clone)]
pub struct Directory(Arc<OwnedFd>);

impl Directory {
    /// Opens the directory at `path`.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(Arc::new(openat(CWD, path, flags, Mode::empty())?)))
    }

    /// Opens the directory `name` in this one, and makes it where it is missing.
    ///
    /// # Errors
    ///
    /// When it cannot be made, or is not a directory.
    pub fn beneath(&self, name: &str) -> io::Result<Self> {
        match mkdirat(&*self.0, name, Mode::RWXU) {
            Ok(()) => fsync(&*self.0)?,
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(Self(Arc::new(openat(&*self.0, name, flags, Mode::empty())?)))
    }

    /// Holds the directory for this process alone, until the descriptor is closed.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when another process holds it.
    pub fn lock(&self) -> io::Result<()> {
        Ok(rustix::fs::flock(
            &*self.0,
            rustix::fs::FlockOperation::NonBlockingLockExclusive,
        )?)
    }

    /// Opens the regular file `name` for reading. A symbolic link, a FIFO or a device is refused without being touched.
    ///
    /// # Errors
    ///
    /// When there is none, or it is something else (`InvalidInput`).
    pub fn read_only(&self, name: &str) -> io::Result<OwnedFd> {
        // Without NONBLOCK, opening a FIFO would wait for its writer.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = match openat(&*self.0, name, flags, Mode::empty()) {
            Err(Errno::LOOP) => return Err(not_a_file()),
            opened => opened?,
        };
        if FileType::from_raw_mode(fstat(&file)?.st_mode) != FileType::RegularFile {
            return Err(not_a_file());
        }
        rustix::fs::fcntl_setfl(&file, OFlags::empty())?;
        Ok(file)
    }

    /// Reads the small file `name`, at most `max` bytes.
    ///
    /// # Errors
    ///
    /// When there is none, or it is longer (`FileTooLarge`).
    pub fn read(&self, name: &str, max: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let file = File::from(self.read_only(name)?);
        file.take(max as u64 + 1).read_to_end(&mut bytes)?;
        if bytes.len() > max {
            Err(io::ErrorKind::FileTooLarge.into())
        } else {
            Ok(bytes)
        }
    }

    /// Starts a file that nobody sees under its final name yet.
    ///
    /// # Errors
    ///
    /// When it cannot be created.
    pub fn draft(&self) -> io::Result<Draft> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|_| io::Error::other("the kernel gives no random bytes"))?;
        let name = format!("{DRAFT}{:016x}", u64::from_ne_bytes(random));
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&*self.0, name.as_str(), flags, Mode::RUSR | Mode::WUSR)?;
        Ok(Draft {
            file: File::from(file),
            name: DraftName {
                directory: self.clone(),
                name,
            },
        })
    }

    /// Replaces or creates the small file `name`. Durable once [`Directory::sync`] returns.
    ///
    /// # Errors
    ///
    /// When it cannot be written; the old file is unchanged then.
    pub fn write(&self, name: &str, bytes: &[u8], mode: Mode) -> io::Result<()> {
        let draft = self.draft()?;
        draft.file().write_all(bytes)?;
        draft.finish(mode)?.publish(name)
    }

    /// Gives the file `from` the name `to`, in place of what had it.
    ///
    /// # Errors
    ///
    /// When the file system refuses.
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(renameat(&*self.0, from, &*self.0, to)?)
    }

    /// Removes the file `name`; that there is none is fine.
    ///
    /// # Errors
    ///
    /// When the file system refuses.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        match unlinkat(&*self.0, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes the directory's names durable.
    ///
    /// # Errors
    ///
    /// When the file system refuses.
    pub fn sync(&self) -> io::Result<()> {
        Ok(fsync(&*self.0)?)
    }

    /// Calls `each` with every name but `.` and `..`.
    ///
    /// # Errors
    ///
    /// When the directory cannot be read.
    pub fn names(&self, mut each: impl FnMut(&str)) -> io::Result<()> {
        for entry in rustix::fs::Dir::read_from(&*self.0)? {
            let entry = entry?;
            match entry.file_name().to_str() {
                Ok("." | "..") => {}
                Ok(name) => each(name),
                // Nothing of the store is named so; it is left alone.
                Err(_) => tracing::warn!(name = ?entry.file_name(), "a name in the store is not UTF-8"),
            }
        }
        Ok(())
    }

    /// Whether `name` is that of a draft.
    pub fn is_draft(name: &str) -> bool {
        name.starts_with(DRAFT)
    }
}

fn not_a_file() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")
}

/// A file under a name that means nothing. Dropped, it is removed.
#[derive(Debug)]
pub struct Draft {
    file: File,
    name: DraftName,
}

impl Draft {
    /// The file, open for reading and writing.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Makes the content durable and gives up the right to write to it.
    ///
    /// # Errors
    ///
    /// When the file system refuses; the draft is removed then.
    pub fn finish(self, mode: Mode) -> io::Result<Finished> {
        fchmod(&self.file, mode)?;
        self.file.sync_all()?;
        Ok(Finished(self.name))
    }
}

/// A draft that nobody writes to any more. Dropped, it is removed.
#[derive(Debug)]
pub struct Finished(DraftName);

impl Finished {
    /// The file, open for reading.
    ///
    /// # Errors
    ///
    /// When it is gone.
    pub fn read_only(&self) -> io::Result<OwnedFd> {
        self.0.directory.read_only(&self.0.name)
    }

    /// Gives the file its name, in place of what had it.
    ///
    /// # Errors
    ///
    /// When the file system refuses; the draft is removed then.
    pub fn publish(self, name: &str) -> io::Result<()> {
        self.0.directory.rename(&self.0.name, name)
    }
}

/// Removes the draft of this name when dropped. After a rename there is nothing left to remove.
#[derive(Debug)]
struct DraftName {
    directory: Directory,
    name: String,
}

impl Drop for DraftName {
    fn drop(&mut self) {
        if let Err(error) = self.directory.remove(&self.name) {
            tracing::warn!(%error, name = self.name, "draft not removed; the next start removes it");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn directory() -> (tempfile::TempDir, Directory) {
        let temp = tempfile::tempdir().unwrap();
        let directory = Directory::open(temp.path()).unwrap();
        (temp, directory)
    }

    fn names(directory: &Directory) -> Vec<String> {
        let mut names = Vec::new();
        directory.names(|name| names.push(name.to_owned())).unwrap();
        names
    }

    #[test]
    fn a_written_file_has_its_content_and_mode_and_leaves_no_draft() {
        let (temp, directory) = directory();
        directory.write("a", b"old", Mode::RUSR).unwrap();
        directory.write("a", b"new", Mode::from_raw_mode(0o444)).unwrap();
        assert_eq!(directory.read("a", 3).unwrap(), b"new");
        assert_eq!(
            temp.path().join("a").metadata().unwrap().permissions().mode() & 0o7777,
            0o444
        );
        assert_eq!(names(&directory), ["a"]);
    }

    #[test]
    fn a_dropped_draft_is_gone() {
        let (_temp, directory) = directory();
        let draft = directory.draft().unwrap();
        assert!(names(&directory).iter().all(|name| Directory::is_draft(name)));
        drop(draft);
        assert_eq!(names(&directory), [""; 0]);
    }

    #[test]
    fn reads_up_to_its_limit() {
        let (_temp, directory) = directory();
        directory.write("a", b"1234", Mode::RUSR).unwrap();
        assert_eq!(directory.read("a", 4).unwrap(), b"1234");
        assert_eq!(
            directory.read("a", 3).unwrap_err().kind(),
            io::ErrorKind::FileTooLarge
        );
    }

    #[test]
    fn opens_neither_links_nor_fifos_nor_directories() {
        let (temp, directory) = directory();
        directory.write("a", b"", Mode::RUSR).unwrap();
        std::os::unix::fs::symlink("a", temp.path().join("link")).unwrap();
        rustix::fs::mknodat(
            CWD,
            temp.path().join("fifo"),
            FileType::Fifo,
            Mode::RUSR | Mode::WUSR,
            0,
        )
        .unwrap();
        directory.beneath("sub").unwrap();
        assert!(directory.read_only("a").is_ok());
        for name in ["link", "fifo", "sub", "absent"] {
            assert!(directory.read_only(name).is_err(), "{name}");
        }
    }

    #[test]
    fn only_one_process_holds_the_lock() {
        let (temp, directory) = directory();
        directory.lock().unwrap();
        let second = Directory::open(temp.path()).unwrap();
        assert_eq!(second.lock().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(directory);
        second.lock().unwrap();
    }
}
