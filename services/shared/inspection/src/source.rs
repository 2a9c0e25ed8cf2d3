//! Opening what a person named, without waiting for it and without being led astray by what it is.

use std::fs::File;
use std::path::Path;

use holdfast_contract::report::Report;
use holdfast_formats::{Format, rules};
use rustix::fs::{FileType, Mode, OFlags, Stat, fstat, open};
use rustix::io::Errno;

use crate::report::refusal;

/// An open regular file and its size.
#[derive(Debug)]
pub struct Source {
    /// The file, opened for reading.
    pub file: File,
    /// Its size when it was opened, in bytes.
    pub size_bytes: u64,
    /// By what it is known again.
    pub stamp: Stamp,
}

/// Which file it is, and when it last changed: another content has another stamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    size: i64,
    changed: (i64, i64),
}

impl Stamp {
    fn of(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev,
            inode: stat.st_ino,
            size: stat.st_size,
            changed: (stat.st_ctime, i64::try_from(stat.st_ctime_nsec).unwrap_or(-1)),
        }
    }
}

impl Source {
    /// Opens a regular file. A pipe is not waited for and a device is not touched.
    ///
    /// # Errors
    ///
    /// The refusal to report, when the path cannot be opened or is something else than a regular file.
    pub fn open(path: &Path) -> Result<Self, Box<Report>> {
        Self::open_with(path, OFlags::empty())
    }

    /// [`Source::open`], of a file that must not have become a link meanwhile.
    ///
    /// # Errors
    ///
    /// As [`Source::open`], and when it is a link.
    pub fn open_unlinked(path: &Path) -> Result<Self, Box<Report>> {
        Self::open_with(path, OFlags::NOFOLLOW)
    }

    fn open_with(path: &Path, more: OFlags) -> Result<Self, Box<Report>> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC | more;
        match open(path, flags, Mode::empty()) {
            Ok(descriptor) => Self::of(File::from(descriptor)),
            // Of a socket, and of a device without a driver.
            Err(Errno::NXIO | Errno::NODEV) => Err(refused(&rules::IO_KIND, "it is a socket or a device")),
            Err(error) => Err(refused(&rules::IO_OPEN, &format!("it cannot be opened: {error}"))),
        }
    }

    /// Takes an open file.
    ///
    /// # Errors
    ///
    /// The refusal to report, when it is something else than a regular file.
    pub fn of(file: File) -> Result<Self, Box<Report>> {
        let stat = fstat(&file)
            .map_err(|error| refused(&rules::IO_OPEN, &format!("its size cannot be read: {error}")))?;
        let what = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                let size_bytes = u64::try_from(stat.st_size).unwrap_or(0);
                let stamp = Stamp::of(&stat);
                return Ok(Self {
                    file,
                    size_bytes,
                    stamp,
                });
            }
            FileType::Directory => "a directory",
            FileType::Fifo => "a pipe",
            FileType::Socket => "a socket",
            FileType::BlockDevice | FileType::CharacterDevice => "a device",
            _ => "no regular file",
        };
        Err(refused(&rules::IO_KIND, &format!("it is {what}")))
    }
}

fn refused(rule: &'static holdfast_formats::Rule, message: &str) -> Box<Report> {
    Box::new(refusal(rule, Format::Unknown, 0, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(path: &Path) -> String {
        let report = Source::open(path).unwrap_err();
        report.findings[0].id.clone()
    }

    #[test]
    fn opens_regular_files_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        std::fs::write(&file, b"12345").unwrap();
        assert_eq!(Source::open(&file).unwrap().size_bytes, 5);

        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert_eq!(Source::open(&link).unwrap().size_bytes, 5);

        let pipe = directory.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let socket = directory.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        for path in [
            directory.path(),
            &pipe,
            &socket,
            Path::new("/dev/null"),
            Path::new("/dev/zero"),
        ] {
            assert_eq!(id(path), "HF-IO-005", "{}", path.display());
        }
        assert_eq!(id(&directory.path().join("missing")), "HF-IO-006");
    }
}
