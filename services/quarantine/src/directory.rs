//! The directories of quarantine, held open: records that survive a power cut, and files that have no name.
//!
//! No name that a caller gave is ever used here.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, FallocateFlags, Mode, OFlags, fallocate, fsync, mkdirat, openat, renameat, unlinkat,
};
use rustix::io::{Errno, retry_on_intr};

/// How names of half-written files begin.
const DRAFT: &str = ".draft-";

/// An open directory.
#[derive(Debug)]
pub struct Directory(OwnedFd);

/// A file without a name: it is gone when the last descriptor is closed, however the process ends.
#[derive(Debug)]
pub struct Nameless {
    /// Writes it.
    pub writer: File,
    /// Reads it, and cannot write it.
    pub reader: File,
}

impl Directory {
    /// Opens the directory at `path`.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(openat(CWD, path, flags, Mode::empty())?))
    }

    /// Opens the directory `name` in this one, and makes it where it is missing.
    ///
    /// # Errors
    ///
    /// When it cannot be made, or is not a directory.
    pub fn beneath(&self, name: &str) -> io::Result<Self> {
        match mkdirat(&self.0, name, Mode::RWXU) {
            Ok(()) => fsync(&self.0)?,
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(Self(openat(&self.0, name, flags, Mode::empty())?))
    }

    /// Holds the directory for this process alone, until the descriptor is closed.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when another process holds it.
    pub fn lock(&self) -> io::Result<()> {
        Ok(rustix::fs::flock(
            &self.0,
            rustix::fs::FlockOperation::NonBlockingLockExclusive,
        )?)
    }

    /// Makes a file without a name, with room for `size` bytes where that is known.
    ///
    /// # Errors
    ///
    /// When there is no room, or the file system refuses.
    pub fn nameless(&self, size: Option<u64>) -> io::Result<Nameless> {
        let (name, writer) = self.create()?;
        // It has a name for a moment only, so that it can be opened a second time, for reading.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let reader = openat(&self.0, name.as_str(), flags, Mode::empty());
        self.remove(&name)?;
        if let Some(size @ 1..) = size {
            match retry_on_intr(|| fallocate(&writer, FallocateFlags::KEEP_SIZE, 0, size)) {
                // Not every file system can reserve; then writing finds out.
                Ok(()) | Err(Errno::OPNOTSUPP) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Nameless {
            writer,
            reader: File::from(reader?),
        })
    }

    /// Replaces or creates the small file `name`, durably.
    ///
    /// # Errors
    ///
    /// When it cannot be written; the old file is unchanged then.
    pub fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let (draft, mut file) = self.create()?;
        let written = file.write_all(bytes).and_then(|()| file.sync_all());
        let renamed = written.and_then(|()| Ok(renameat(&self.0, draft.as_str(), &self.0, name)?));
        if renamed.is_err() {
            self.remove(&draft)?;
        }
        renamed?;
        Ok(fsync(&self.0)?)
    }

    /// Reads the small file `name`, at most `max` bytes.
    ///
    /// # Errors
    ///
    /// When there is none, or it is longer (`FileTooLarge`).
    pub fn read(&self, name: &str, max: usize) -> io::Result<Vec<u8>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(openat(&self.0, name, flags, Mode::empty())?);
        let mut bytes = Vec::new();
        file.take(max as u64 + 1).read_to_end(&mut bytes)?;
        if bytes.len() > max {
            Err(io::ErrorKind::FileTooLarge.into())
        } else {
            Ok(bytes)
        }
    }

    /// Removes the file `name`; that there is none is fine.
    ///
    /// # Errors
    ///
    /// When the file system refuses.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        match unlinkat(&self.0, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The names of the finished files. What a crash left half-written is removed, and counted.
    ///
    /// # Errors
    ///
    /// When the directory cannot be read or cleared.
    pub fn names_without_drafts(&self) -> io::Result<(Vec<String>, u64)> {
        let (mut names, mut drafts) = (Vec::new(), Vec::new());
        for entry in rustix::fs::Dir::read_from(&self.0)? {
            match entry?.file_name().to_str() {
                Ok("." | "..") | Err(_) => {}
                Ok(name) if name.starts_with(DRAFT) => drafts.push(name.to_owned()),
                Ok(name) => names.push(name.to_owned()),
            }
        }
        for draft in &drafts {
            self.remove(draft)?;
        }
        Ok((names, drafts.len() as u64))
    }

    fn create(&self) -> io::Result<(String, File)> {
        let name = format!("{DRAFT}{}", random_id()?);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&self.0, name.as_str(), flags, Mode::RUSR | Mode::WUSR)?;
        Ok((name, File::from(file)))
    }
}

/// Sixteen hex digits that nobody can guess.
///
/// # Errors
///
/// When the kernel has no randomness.
pub fn random_id() -> io::Result<String> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|_| io::Error::other("the kernel gives no random bytes"))?;
    Ok(format!("{:016x}", u64::from_ne_bytes(random)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory() -> (tempfile::TempDir, Directory) {
        let temp = tempfile::tempdir().unwrap();
        let directory = Directory::open(temp.path()).unwrap();
        (temp, directory)
    }

    #[test]
    fn a_nameless_file_is_nowhere_and_is_read_while_it_is_written() {
        let (temp, directory) = directory();
        let mut file = directory.nameless(Some(100)).unwrap();
        assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 0);
        file.writer.write_all(b"content").unwrap();
        let mut read = String::new();
        file.reader.read_to_string(&mut read).unwrap();
        assert_eq!(read, "content");
        assert_eq!(
            file.reader.metadata().unwrap().len(),
            7,
            "reserved room is not content"
        );
        assert!(file.reader.write_all(b"x").is_err());
    }

    #[test]
    fn a_record_is_replaced_whole() {
        let (_temp, directory) = directory();
        directory.write("a", b"old").unwrap();
        directory.write("a", b"new").unwrap();
        assert_eq!(directory.read("a", 3).unwrap(), b"new");
        assert_eq!(
            directory.read("a", 2).unwrap_err().kind(),
            io::ErrorKind::FileTooLarge
        );
        assert_eq!(
            directory.names_without_drafts().unwrap(),
            (vec!["a".to_owned()], 0)
        );
    }

    #[test]
    fn what_was_left_half_written_is_removed() {
        let (temp, directory) = directory();
        std::fs::write(temp.path().join(".draft-0123"), b"half").unwrap();
        directory.write("a", b"whole").unwrap();
        assert_eq!(
            directory.names_without_drafts().unwrap(),
            (vec!["a".to_owned()], 1)
        );
        assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 1);
    }
}
