//! Rules of a site, from files.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::set::{MAX_SOURCE_BYTES, Source};

/// The most files with rules.
const MAX_FILES: usize = 4096;

/// Why rules could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file system refuses.
    #[error("read rules from {}", path.display())]
    Read {
        /// What was read.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// There is no rule where there should be.
    #[error("there is no file with rules (.yar, .yara) in {}", .0.display())]
    None(PathBuf),
    /// There are more than anybody has.
    #[error("{} has too many or too large files with rules", .0.display())]
    TooMany(PathBuf),
}

impl Source {
    /// Reads a file with rules, or those directly in a directory (`.yar` and `.yara`), in the order of their names.
    ///
    /// # Errors
    ///
    /// When they cannot be read, or there are none.
    pub fn read(path: &Path) -> Result<Vec<Self>, ReadError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            |source| ReadError::Read { path, source }
        };
        if !std::fs::metadata(path).map_err(failed(path))?.is_dir() {
            return Ok(vec![Self::file(path)?]);
        }
        let mut files = Vec::new();
        for entry in std::fs::read_dir(path).map_err(failed(path))? {
            let file = entry.map_err(failed(path))?.path();
            let rules = file
                .extension()
                .is_some_and(|end| end.eq_ignore_ascii_case("yar") || end.eq_ignore_ascii_case("yara"));
            if rules && file.is_file() {
                files.push(file);
            }
            if files.len() > MAX_FILES {
                return Err(ReadError::TooMany(path.to_owned()));
            }
        }
        files.sort();
        if files.is_empty() {
            return Err(ReadError::None(path.to_owned()));
        }
        files.iter().map(|file| Self::file(file)).collect()
    }

    fn file(path: &Path) -> Result<Self, ReadError> {
        let failed = |source| ReadError::Read {
            path: path.to_owned(),
            source,
        };
        let mut text = String::new();
        let limit = MAX_SOURCE_BYTES as u64;
        let file = std::fs::File::open(path).map_err(failed)?;
        let read = file.take(limit + 1).read_to_string(&mut text).map_err(failed)?;
        if read > MAX_SOURCE_BYTES {
            return Err(ReadError::TooMany(path.to_owned()));
        }
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
        Ok(Self {
            name: name.into_owned(),
            text,
        })
    }
}
