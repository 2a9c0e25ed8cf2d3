//! The mapped device as the kernel shows it.

use std::io;
use std::path::{Path, PathBuf};

/// Where the kernel shows block devices.
const BLOCKS: &str = "/sys/class/block";

/// A mapped device.
#[derive(Debug)]
pub struct Mapped(PathBuf);

/// The device file of a mapped device.
pub fn path(name: &str) -> PathBuf {
    Path::new("/dev/mapper").join(name)
}

/// The mapped device of this name, if there is one.
pub fn find(name: &str) -> Option<Mapped> {
    let entries = std::fs::read_dir(BLOCKS).ok()?;
    entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| std::fs::read_to_string(path.join("dm/name")).is_ok_and(|found| found.trim() == name))
        .map(Mapped)
}

impl Mapped {
    /// Whether reads and writes wait.
    pub fn is_suspended(&self) -> bool {
        std::fs::read_to_string(self.0.join("dm/suspended")).is_ok_and(|value| value.trim() == "1")
    }

    /// Its size in sectors of 512 bytes.
    ///
    /// # Errors
    ///
    /// When the kernel does not say.
    pub fn sectors(&self) -> io::Result<u64> {
        let text = std::fs::read_to_string(self.0.join("size"))?;
        text.trim()
            .parse()
            .map_err(|_| io::Error::other("not a number of sectors"))
    }

    /// Reads and writes that were completed (fields 1 and 5 of the kernel's block statistics).
    pub fn transfers(&self) -> u64 {
        let text = std::fs::read_to_string(self.0.join("stat")).unwrap_or_default();
        let fields: Vec<u64> = text
            .split_whitespace()
            .filter_map(|field| field.parse().ok())
            .collect();
        [0, 4].iter().filter_map(|field| fields.get(*field)).sum()
    }
}
