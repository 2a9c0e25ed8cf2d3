//! Opening what a person named, without waiting for it and without being led astray by what it is.

use std::fs::File;
use std::path::Path;

use holdfast_contract::report::Report;
use holdfast_formats::{Format, rules};
use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use rustix::io::Errno;

use crate::report::refusal;

/// An open regular file and its size.
#[derive(Debug)]
pub struct Source {
    /// The file, opened for reading.
    pub file: File,
    /// Its size when it was opened, in bytes.
    pub size_bytes: u64,
}

impl Source {
    /// Opens a regular file. A pipe is not waited for and a device is not touched.
    ///
    /// # Errors
    ///
    /// The refusal to report, when the path cannot be opened or is something else than a regular file.
    pub fn open(path: &Path) -> Result<Self, Box<Report>> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
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
                return Ok(Self { file, size_bytes });
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
